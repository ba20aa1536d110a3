//! The broker in this process: its shards' brains, the mesh between them, virtual time.

use std::collections::VecDeque;
use std::sync::Arc;

use firehose::broker::{
    Broker, CloseCause, CloseHow, Effect, LogMask, MeshMessage, Peer, Settings,
};
use firehose::ids::{ConnId, ShardId};
use firehose::limits::LINGER_MS_MAX;

use crate::play::World;
use crate::support::{Folder, configure};

/// How bytes are cut on their way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// What is sent arrives whole.
    Whole,
    /// Every byte arrives by itself, and a send takes a few bytes only.
    Crumbs,
}

/// Bytes that a send takes when they are cut.
const CRUMB: usize = 7;

/// One connection: where it is now, and what has arrived at the client.
struct Link {
    /// `None` when the shard has nothing to do with it any more.
    place: Option<(usize, ConnId)>,
    output: Vec<u8>,
    /// The client takes nothing: what is gathered stays in flight.
    stalled: bool,
    in_flight: Option<Vec<u8>>,
    /// The shard is to close it when its output is sent.
    flushing: bool,
    /// The client has seen the end.
    ended: bool,
    /// The client has closed.
    gone: bool,
}

/// Brokers, one per shard, and the clients' connections to them.
pub struct InProcess {
    shards: Vec<Broker>,
    mesh: VecDeque<(ShardId, ShardId, MeshMessage)>,
    links: Vec<Link>,
    now_ms: u64,
    cut: Cut,
}

impl InProcess {
    pub fn new(shards: u8, cut: Cut, config: &[String]) -> InProcess {
        let settings = Arc::new(settings(config));
        let broker = |i| Broker::new(settings.clone(), ShardId(i), shards, 0x5eed + u64::from(i));
        InProcess {
            shards: (0..shards).map(broker).collect(),
            mesh: VecDeque::new(),
            links: Vec::new(),
            now_ms: 1_000_000,
            cut,
        }
    }

    fn link_at(&mut self, shard: usize, conn: ConnId) -> Option<&mut Link> {
        self.links
            .iter_mut()
            .find(|l| l.place == Some((shard, conn)))
    }

    /// Until nobody has anything to do.
    fn run(&mut self) {
        loop {
            let mut idle = true;
            for shard in 0..self.shards.len() {
                while let Some(effect) = self.shards[shard].next_effect() {
                    self.effect(shard, effect);
                    idle = false;
                }
                while let Some(conn) = self.shards[shard].next_dirty() {
                    self.flush(shard, conn);
                    idle = false;
                }
            }
            idle &= !self.close_what_is_flushed();
            if let Some((from, to, message)) = self.mesh.pop_front() {
                self.shards[to.index()].on_mesh(self.now_ms, from, message);
                idle = false;
            }
            if idle {
                return;
            }
        }
    }

    fn effect(&mut self, shard: usize, effect: Effect) {
        match effect {
            Effect::Mesh { to, message } => {
                self.mesh.push_back((ShardId(shard as u8), to, message))
            }
            Effect::Close {
                conn,
                how: CloseHow::Flush,
            } => {
                if let Some(link) = self.link_at(shard, conn) {
                    link.flushing = true;
                }
            }
            Effect::Close {
                conn,
                how: CloseHow::Now,
            } => {
                let mut cancelled = None;
                if let Some(link) = self.link_at(shard, conn) {
                    link.place = None;
                    link.ended = true;
                    cancelled = link.in_flight.take();
                }
                if cancelled.is_some() {
                    self.shards[shard].on_sent(self.now_ms, conn, 0);
                }
                self.shards[shard].on_closed(self.now_ms, conn);
            }
            Effect::Handover { conn, to, handover } => {
                let adopted = self.shards[to.index()].on_adopt(self.now_ms, *handover);
                if let Some(link) = self.link_at(shard, conn) {
                    link.place = Some((to.index(), adopted));
                }
                self.shards[shard].on_closed(self.now_ms, conn);
            }
            // The socket had taken half of it.
            Effect::CancelSend { conn } => {
                let cancelled = self.link_at(shard, conn).and_then(|l| l.in_flight.take());
                if let Some(bytes) = cancelled {
                    self.sent(shard, conn, &bytes[..bytes.len() / 2]);
                }
            }
            Effect::Verify(verify) => {
                let verdict = verify.check();
                self.shards[shard].on_verified(self.now_ms, verify.conn, verify.ticket, verdict);
            }
            // What the brain gets meanwhile, it keeps.
            Effect::Pause { .. } | Effect::Resume { .. } | Effect::Log { .. } => {}
        }
    }

    /// The socket has taken these bytes.
    fn sent(&mut self, shard: usize, conn: ConnId, bytes: &[u8]) {
        if let Some(link) = self.link_at(shard, conn) {
            link.output.extend_from_slice(bytes);
        }
        self.shards[shard].on_sent(self.now_ms, conn, bytes.len());
    }

    /// Sends what a connection has, all of it in the end.
    fn flush(&mut self, shard: usize, conn: ConnId) {
        let mut slices = Vec::new();
        let gathered = self.shards[shard].gather(
            self.now_ms,
            conn,
            firehose::limits::SEND_BYTES_MAX,
            &mut slices,
        );
        if gathered == 0 {
            return;
        }
        let mut bytes = Vec::new();
        self.shards[shard].gathered_into(conn, &mut bytes);
        assert_eq!(
            bytes.len(),
            gathered,
            "what is in flight is what was gathered"
        );
        if self.cut == Cut::Crumbs && gathered < 10_000 {
            bytes.truncate(CRUMB);
        }
        match self.link_at(shard, conn) {
            Some(link) if link.stalled => link.in_flight = Some(bytes),
            _ => self.sent(shard, conn, &bytes),
        }
    }

    /// Connections that are to be closed and have sent everything: the client sees the end and closes its side.
    fn close_what_is_flushed(&mut self) -> bool {
        let mut any = false;
        for i in 0..self.links.len() {
            let Some((shard, conn)) = self.links[i].place.filter(|_| self.links[i].flushing) else {
                continue;
            };
            if self.links[i].in_flight.is_some() {
                continue;
            }
            self.links[i].flushing = false;
            self.links[i].ended = true;
            self.shards[shard].on_eof(self.now_ms, conn, CloseCause::Eof);
            any = true;
        }
        any
    }
}

impl World for InProcess {
    fn open(&mut self) -> usize {
        let number = self.links.len();
        let address = ([127, 0, 0, 1], 40_000 + number as u16).into();
        // One after the other, as connections come to several listening shards.
        let shard = number % self.shards.len();
        let conn = self.shards[shard].on_accept(
            self.now_ms,
            Peer {
                address,
                listener: 0,
            },
        );
        let place = Some((shard, conn));
        self.links.push(Link {
            place,
            output: Vec::new(),
            stalled: false,
            in_flight: None,
            flushing: false,
            ended: false,
            gone: false,
        });
        self.run();
        number
    }

    fn send(&mut self, link: usize, bytes: &[u8]) {
        let size = if self.cut == Cut::Crumbs && bytes.len() < 10_000 {
            1
        } else {
            bytes.len().max(1)
        };
        for chunk in bytes.chunks(size) {
            let Some((shard, conn)) = self.links[link].place else {
                return;
            };
            self.shards[shard].on_bytes(self.now_ms, conn, chunk);
            self.run();
        }
    }

    fn close(&mut self, link: usize) {
        self.links[link].gone = true;
        let Some((shard, conn)) = self.links[link].place else {
            return;
        };
        self.shards[shard].on_eof(self.now_ms, conn, CloseCause::Eof);
        self.run();
    }

    fn receive(&mut self, link: usize, inbox: &mut Vec<u8>, _block: bool) -> bool {
        let link = &mut self.links[link];
        inbox.append(&mut link.output);
        link.ended
    }

    fn stall(&mut self, link: usize, stalled: bool) {
        self.links[link].stalled = stalled;
        if let (Some(bytes), Some((shard, conn))) =
            (self.links[link].in_flight.take(), self.links[link].place)
        {
            self.sent(shard, conn, &bytes);
        }
        self.run();
    }

    fn wait(&mut self, ms: u64) {
        let until = self.now_ms + ms;
        loop {
            let next = self.shards.iter().filter_map(|s| s.next_deadline()).min();
            let due = next.filter(|due| *due <= until);
            self.now_ms = due.unwrap_or(until).max(self.now_ms);
            for shard in 0..self.shards.len() {
                self.shards[shard].on_timers(self.now_ms);
            }
            self.run();
            if due.is_none() {
                return;
            }
        }
    }

    fn settle(&mut self) {
        self.run();
    }
}

impl Drop for InProcess {
    /// Whatever a case did: every connection that the client closed is closed on the shard too.
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What is left to send to one that is gone is given up after a while.
            self.wait(LINGER_MS_MAX);
            let leaked = self
                .links
                .iter()
                .filter(|l| l.gone && l.place.is_some())
                .count();
            assert_eq!(
                leaked, 0,
                "connections that the shard keeps although the client has closed"
            );
        }
    }
}

/// The settings of a case, from lines of mosquitto.conf.
fn settings(config: &[String]) -> Settings {
    let folder = Folder::new("settings");
    let file = configure(&folder, 1883, config);
    let (config, _) = firehose::config::load(&file).unwrap();
    Settings {
        log: LogMask::NONE,
        connection_messages: false,
        listeners: config
            .listeners
            .iter()
            .map(|one| one.settings.clone())
            .collect(),
        ..config.settings
    }
}
