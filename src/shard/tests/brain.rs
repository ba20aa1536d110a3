//! A brain that does what its clients tell it, a line at a time.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;

use crate::broker::{
    CloseCause, CloseHow, Counters, Effect, Handover, LogKind, MeshMessage, Peer, Settings, Verdict,
};
use crate::budget::{Account, Lease};
use crate::chunk::Chunk;
use crate::ids::{ConnId, ShardId};
use crate::limits::SEND_RANGES_MAX;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{QoS, Topic};
use crate::outbound::{Rest, Slice};
use crate::shard::Brain;

/// What a brain saw, for the test to look at.
#[derive(Default)]
pub(super) struct Seen {
    pub opened: usize,
    pub closed: usize,
    pub ends: Vec<CloseCause>,
    pub publishes: Vec<Vec<u8>>,
    pub zero_sends: usize,
    pub sends: usize,
    pub most_slices: usize,
    pub identified: Vec<(ConnId, Option<SocketAddr>, Option<Box<str>>)>,
    pub failures: Vec<String>,
    /// Clients that were established when the alarm came.
    pub alarms: Vec<usize>,
    /// Milliseconds of standstills.
    pub stood: Vec<u64>,
}

#[derive(Default)]
struct Client {
    peer: Option<Peer>,
    input: Vec<u8>,
    output: VecDeque<u8>,
    /// What the socket is being offered; not to be touched until `on_sent`.
    lent: Box<[u8]>,
    sending: bool,
    dirty: bool,
    established: bool,
    gone: bool,
    /// Not closed by the end of a drain.
    stays: bool,
    /// Nothing is to be received from it.
    paused: bool,
}

pub(super) struct Puppet {
    id: ShardId,
    clients: Vec<Client>,
    free: Vec<ConnId>,
    effects: VecDeque<Effect>,
    dirty: VecDeque<ConnId>,
    counters: Counters,
    deadline: Option<(u64, ConnId)>,
    /// When it is noted how many clients are established.
    alarm: Option<u64>,
    /// When a drain closes what is left.
    drained_at: Option<u64>,
    /// Bytes per slice of a send.
    slice_bytes: usize,
    /// Whether free memory is to be given back.
    gives_back: bool,
    lease: Lease,
    /// A shard of which nothing is taken, until one comes of another.
    shuns: Option<ShardId>,
    /// Messages that it takes of other shards in a turn, and those that are left of them.
    sips: [usize; 2],
    pub seen: Arc<Mutex<Seen>>,
}

impl Puppet {
    pub(super) fn new(id: ShardId, slice_bytes: usize) -> Self {
        Puppet {
            id,
            clients: Vec::new(),
            free: Vec::new(),
            effects: VecDeque::new(),
            dirty: VecDeque::new(),
            counters: Counters::default(),
            deadline: None,
            alarm: None,
            drained_at: None,
            slice_bytes,
            gives_back: false,
            lease: Lease::unbounded(),
            shuns: None,
            sips: [usize::MAX; 2],
            seen: Arc::default(),
        }
    }

    /// Takes so many messages of other shards in a turn.
    pub(super) fn sip(&mut self, messages: usize) {
        self.sips = [messages; 2];
    }

    pub(super) fn with_lease(mut self, lease: Lease) -> Self {
        self.lease = lease;
        self
    }

    fn open(&mut self, peer: Peer) -> ConnId {
        self.seen.lock().unwrap().opened += 1;
        let client = Client {
            peer: Some(peer),
            ..Client::default()
        };
        match self.free.pop() {
            Some(conn) => {
                self.clients[conn.index()] = client;
                conn
            }
            None => {
                self.clients.push(client);
                ConnId(self.clients.len() as u32 - 1)
            }
        }
    }

    fn output(&mut self, conn: ConnId, bytes: impl IntoIterator<Item = u8>) {
        let client = &mut self.clients[conn.index()];
        client.output.extend(bytes);
        self.mark(conn);
    }

    fn mark(&mut self, conn: ConnId) {
        let client = &mut self.clients[conn.index()];
        if !client.output.is_empty() && !client.sending && !client.dirty {
            client.dirty = true;
            self.dirty.push_back(conn);
        }
    }

    fn close(&mut self, conn: ConnId, how: CloseHow) {
        self.clients[conn.index()].gone = true;
        self.effects.push_back(Effect::Close { conn, how });
    }

    /// One line. Returns false when the connection takes no more.
    fn obey(&mut self, now_ms: u64, conn: ConnId, line: &str) -> bool {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let number = rest.parse::<usize>().unwrap_or(0);
        match verb {
            "hello" => self.clients[conn.index()].established = true,
            "echo" => self.output(conn, rest.bytes().chain([b'\n'])),
            "who" => self.output(
                conn,
                format!("{} {}\n", self.id.0, conn.0)
                    .bytes()
                    .collect::<Vec<_>>(),
            ),
            "blast" => self.output(conn, pattern(number)),
            "all" => {
                for index in 0..self.clients.len() {
                    if self.clients[index].peer.is_some() && !self.clients[index].gone {
                        let text: Vec<u8> = rest.bytes().chain([b'\n']).collect();
                        self.output(ConnId(index as u32), text);
                    }
                }
            }
            "bye" => {
                self.output(conn, pattern(number));
                self.close(conn, CloseHow::Flush);
            }
            // Keeps the whole shard from doing anything.
            "nap" => std::thread::sleep(std::time::Duration::from_millis(number as u64)),
            "pause" => {
                self.clients[conn.index()].paused = true;
                self.effects.push_back(Effect::Pause { conn });
            }
            "resume" => {
                for (index, client) in self.clients.iter_mut().enumerate() {
                    if std::mem::take(&mut client.paused) {
                        let conn = ConnId(index as u32);
                        self.effects.push_back(Effect::Resume { conn });
                    }
                }
            }
            // Takes nothing of a shard, until something comes of another one.
            "shun" => self.shuns = Some(ShardId(number as u8)),
            // Takes so many of all shards in a turn.
            "sip" => self.sips = [number, 0],
            "free" => self.gives_back = true,
            "stay" => self.clients[conn.index()].stays = true,
            "kill" => self.close(conn, CloseHow::Now),
            // Flushes, but gives up after so many milliseconds.
            "linger" => {
                self.output(conn, pattern(1000));
                self.close(conn, CloseHow::Flush);
                self.deadline = Some((now_ms + number as u64, conn));
            }
            "alarm" => self.alarm = Some(now_ms + number as u64),
            "cancel" => {
                for (index, client) in self.clients.iter().enumerate() {
                    if client.sending {
                        let conn = ConnId(index as u32);
                        self.effects.push_back(Effect::CancelSend { conn });
                    }
                }
            }
            "tell" => {
                let (to, count) = rest.split_once(' ').unwrap();
                let to = ShardId(to.parse().unwrap());
                for n in 0..count.parse::<u32>().unwrap() {
                    let message = MeshMessage::Publish {
                        message: Arc::new(message(n.to_string())),
                        retain_seq: 0,
                    };
                    self.effects.push_back(Effect::Mesh { to, message });
                }
            }
            // A megabyte for a shard.
            "load" => {
                let message = MeshMessage::Publish {
                    message: Arc::new(message(vec![0; 1 << 20])),
                    retain_seq: 0,
                };
                let to = ShardId(number as u8);
                self.effects.push_back(Effect::Mesh { to, message });
            }
            "log" => self.effects.push_back(Effect::Log {
                kind: LogKind::Notice,
                text: rest.into(),
            }),
            _ => panic!("not understood: {line}"),
        }
        !self.clients[conn.index()].gone
    }
}

pub(super) fn pattern(len: usize) -> impl Iterator<Item = u8> {
    (0..len).map(|n| (n % 251) as u8)
}

pub(super) fn message(payload: impl Into<Bytes>) -> Message {
    Message {
        topic: Topic::new("t").unwrap(),
        payload: payload.into(),
        properties: Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    }
}

impl Brain for Puppet {
    fn on_accept(&mut self, _now_ms: u64, peer: Peer) -> ConnId {
        self.open(peer)
    }

    fn on_adopt(&mut self, now_ms: u64, handover: Handover) -> ConnId {
        let conn = self.open(handover.peer);
        self.on_bytes(now_ms, conn, &handover.received);
        conn
    }

    fn on_bytes(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        self.counters.bytes_received += bytes.len() as u64;
        let client = &mut self.clients[conn.index()];
        if client.gone {
            return;
        }
        client.input.extend_from_slice(bytes);
        while let Some(end) = self.clients[conn.index()]
            .input
            .iter()
            .position(|b| *b == b'\n')
        {
            let line: Vec<u8> = self.clients[conn.index()].input.drain(..=end).collect();
            let line = String::from_utf8(line).unwrap();
            if let Some(to) = line.strip_prefix("go ") {
                let to = ShardId(to.trim().parse().unwrap());
                if to == self.id {
                    continue;
                }
                let client = &mut self.clients[conn.index()];
                client.gone = true;
                let received = std::mem::take(&mut client.input);
                let peer = client.peer.unwrap();
                let handover = Box::new(Handover {
                    peer,
                    received,
                    identity: None,
                });
                self.effects
                    .push_back(Effect::Handover { conn, to, handover });
                return;
            }
            if !self.obey(now_ms, conn, line.trim_end()) {
                return;
            }
        }
    }

    fn on_reload(&mut self, _now_ms: u64, _settings: Arc<Settings>) {}

    fn on_verified(&mut self, _now_ms: u64, _conn: ConnId, _ticket: u32, _verdict: Verdict) {}

    fn is_waiting(&self, conn: ConnId) -> bool {
        self.clients[conn.index()].paused
    }

    fn address(&self, conn: ConnId) -> Option<std::net::IpAddr> {
        Some(self.clients[conn.index()].peer?.address.ip())
    }

    fn on_eof(&mut self, _now_ms: u64, conn: ConnId, cause: CloseCause) {
        self.seen.lock().unwrap().ends.push(cause);
        self.close(conn, CloseHow::Now);
    }

    fn on_sent(&mut self, _now_ms: u64, conn: ConnId, written: usize) -> Rest {
        let client = &mut self.clients[conn.index()];
        assert!(client.sending && written <= client.lent.len());
        client.sending = false;
        let rest = match (written < client.lent.len(), client.output.is_empty()) {
            (true, _) => Rest::Offered,
            (false, false) => Rest::Later,
            (false, true) => Rest::Nothing,
        };
        for byte in client.lent[written..].iter().rev() {
            client.output.push_front(*byte);
        }
        client.lent = Box::default();
        let mut seen = self.seen.lock().unwrap();
        seen.sends += 1;
        seen.zero_sends += usize::from(written == 0);
        drop(seen);
        self.mark(conn);
        rest
    }

    fn on_closed(&mut self, _now_ms: u64, conn: ConnId) {
        let client = &mut self.clients[conn.index()];
        assert!(client.gone && !client.sending && client.peer.is_some());
        self.dirty.retain(|other| *other != conn);
        *client = Client::default();
        self.free.push(conn);
        self.seen.lock().unwrap().closed += 1;
    }

    fn begin_mesh(&mut self) {}

    fn takes_from(&self, from: ShardId) -> bool {
        self.shuns != Some(from) && self.sips[1] > 0
    }

    fn on_congestion(&mut self, _is_congested: bool) {}

    fn on_mesh(&mut self, _now_ms: u64, from: ShardId, message: MeshMessage) {
        assert!(self.takes_from(from));
        self.shuns = None;
        self.sips[1] -= 1;
        if let MeshMessage::Publish { message, .. } = message {
            self.seen
                .lock()
                .unwrap()
                .publishes
                .push(message.payload.to_vec());
        }
    }

    fn on_publish(&mut self, _now_ms: u64, message: Message) {
        self.seen
            .lock()
            .unwrap()
            .publishes
            .push(message.payload.to_vec());
    }

    fn on_timers_behind(&mut self, _now_ms: u64) {}

    fn on_standstill(&mut self, _now_ms: u64, lost_ms: u64) {
        self.seen.lock().unwrap().stood.push(lost_ms);
    }

    fn on_timers(&mut self, now_ms: u64) {
        if self.alarm.take_if(|at| *at <= now_ms).is_some() {
            let established = self.clients.iter().filter(|client| client.established);
            let count = established.count();
            self.seen.lock().unwrap().alarms.push(count);
        }
        if let Some((_, conn)) = self.deadline.take_if(|(at, _)| *at <= now_ms) {
            self.close(conn, CloseHow::Now);
        }
        if self.drained_at.take_if(|at| *at <= now_ms).is_some() {
            for index in 0..self.clients.len() {
                if self.clients[index].peer.is_some() && !self.clients[index].stays {
                    self.close(ConnId(index as u32), CloseHow::Now);
                }
            }
        }
    }

    fn next_deadline(&self) -> Option<u64> {
        [self.deadline.map(|(at, _)| at), self.drained_at, self.alarm]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_drain(&mut self, now_ms: u64) {
        self.drained_at = Some(now_ms + 100);
        for index in 0..self.clients.len() {
            if self.clients[index].peer.is_some() && !self.clients[index].gone {
                let conn = ConnId(index as u32);
                self.output(conn, *b"bye\n");
                self.close(conn, CloseHow::Flush);
            }
        }
    }

    fn is_established(&self, conn: ConnId) -> bool {
        self.clients[conn.index()].established
    }

    fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    fn next_dirty(&mut self) -> Option<ConnId> {
        let conn = self.dirty.pop_front()?;
        self.clients[conn.index()].dirty = false;
        Some(conn)
    }

    fn splits(&self, _conn: ConnId) -> bool {
        false
    }

    fn parts(&self, _conn: ConnId, _parts: &mut Vec<u32>) {}

    fn gather(&mut self, _now_ms: u64, conn: ConnId, max: usize, slices: &mut Vec<Slice>) -> usize {
        let client = &mut self.clients[conn.index()];
        assert!(!client.sending);
        let len = client
            .output
            .len()
            .min(SEND_RANGES_MAX * self.slice_bytes)
            .min(max);
        client.lent = client.output.drain(..len).collect();
        client.sending = len > 0;
        let mut seen = self.seen.lock().unwrap();
        let parts = client.lent.chunks(self.slice_bytes);
        seen.most_slices = seen.most_slices.max(parts.len());
        slices.extend(parts.map(|part| Slice {
            base: part.as_ptr(),
            len: part.len(),
        }));
        len
    }

    fn on_progress(&mut self, _now_ms: u64, _conn: ConnId) {}

    fn on_transport_failed(&mut self, _now_ms: u64, _conn: ConnId, reason: &str) {
        self.seen.lock().unwrap().failures.push(reason.into());
    }

    fn on_identified(&mut self, conn: ConnId, source: Option<SocketAddr>, user: Option<Box<str>>) {
        let peer = self.clients[conn.index()].peer.as_mut();
        if let (Some(peer), Some(address)) = (peer, source) {
            peer.address = address;
        }
        let mut seen = self.seen.lock().unwrap();
        seen.identified.push((conn, source, user));
    }

    fn charge(&mut self, account: Account, level: u64) {
        self.lease.set(account, level);
    }

    fn may_turn_away(&self) -> bool {
        false
    }

    fn turn_away(&mut self, _conn: ConnId, _reason: crate::mqtt::ReasonCode) {}

    fn has_more(&self, conn: ConnId) -> bool {
        !self.clients[conn.index()].output.is_empty()
    }

    fn has_output(&self, _conn: ConnId) -> bool {
        false
    }

    // It writes nothing down.
    fn on_restore(&mut self, _: u64, _: &crate::journal::Legacy, _: &mut dyn FnMut(Chunk)) {}

    fn is_restoring(&self) -> bool {
        false
    }

    fn on_wall_clock(&mut self, _now_ms: u64, _unix: crate::broker::UnixMs) {}

    fn end_turn(&mut self, _now_ms: u64) {}

    fn begin_checkpoint(&mut self, _now_ms: u64) {}

    fn complete_checkpoint(&self) -> u64 {
        0
    }

    fn next_chunk(&mut self) -> Option<(Chunk, bool)> {
        None
    }

    fn give_chunk_back(&mut self, _chunk: Chunk) {}

    fn on_durable(&mut self, _now_ms: u64, _chunks: u64) {}

    fn on_store(&mut self, _is_open: bool) {}

    fn is_all_durable(&mut self) -> bool {
        true
    }

    fn settle(&mut self, _now_ms: u64) -> bool {
        self.sips[1] = self.sips[0];
        std::mem::take(&mut self.gives_back)
    }

    fn trim(&mut self) {}

    fn delivered(&self) -> u64 {
        0
    }

    fn on_query(&mut self, _now_ms: u64, _query: crate::broker::Query) -> crate::broker::Reply {
        crate::broker::Reply::RetainedOf(None)
    }

    fn on_deed(&mut self, _now_ms: u64, _deed: crate::broker::Deed) -> crate::broker::Done {
        crate::broker::Done::ForgotRetained(false)
    }

    fn counters(&mut self) -> &Counters {
        &self.counters
    }
}
