//! The network and the mesh of the simulation: one connection, or one message between shards, moved on by one thing.

use super::client::{Came, Event};
use super::link::Place;
use super::oracle::Arrival;
use super::world::World;
use crate::broker::{CloseCause, CloseHow, Effect, Peer};
use crate::ids::{ConnId, ShardId};
use crate::journal::{Protection, has};
use crate::limits;
use crate::mqtt::ReasonCode;

impl World {
    pub(super) fn move_mesh(&mut self, from: usize, to: usize) -> bool {
        self.brokers[to].begin_mesh();
        if !self.brokers[to].takes_from(ShardId(from as u8)) {
            return false;
        }
        let Some(message) = self.mesh[from][to].pop_front() else {
            return false;
        };
        self.brokers[to].on_mesh(self.now_ms, ShardId(from as u8), message);
        self.after(to);
        true
    }

    /// Moves one connection on by one thing; false if nothing was to be done.
    pub(super) fn move_link(&mut self, index: usize) -> bool {
        match std::mem::replace(&mut self.links[index].place, Place::Gone) {
            Place::Gone => self.client_reads(index),
            Place::Queued => {
                let shard = self.rng.below(self.brokers.len());
                self.accept(index, shard);
                true
            }
            Place::Moving(to, handover) => {
                let conn = self.brokers[to.index()].on_adopt(self.now_ms, *handover);
                self.place(index, to.index(), conn);
                true
            }
            Place::At(shard, conn) => {
                self.links[index].place = Place::At(shard, conn);
                self.move_at(index, shard.index(), conn) || self.client_reads(index)
            }
        }
    }

    fn accept(&mut self, index: usize, shard: usize) {
        let peer = Peer {
            address: "127.0.0.1:40000".parse().unwrap(),
            listener: 0,
        };
        let conn = self.brokers[shard].on_accept(self.now_ms, peer);
        self.place(index, shard, conn);
    }

    /// Nothing lasts so long that a bound has to end it: the shards look, and hear of each other, as often as it takes.
    pub(super) fn look_everywhere(&mut self) {
        // What one says, others hear when its turn has ended.
        for _ in 0..6 {
            for shard in 0..self.brokers.len() {
                self.look(shard);
            }
        }
    }

    /// A shard handles all that has come to it, and has looked then.
    pub(super) fn look(&mut self, shard: usize) {
        let mut moved = true;
        while std::mem::take(&mut moved) {
            for link in 0..self.links.len() {
                while self.move_to(link, shard) {
                    moved = true;
                }
            }
            for from in 0..self.brokers.len() {
                while self.move_mesh(from, shard) {
                    moved = true;
                }
            }
        }
        self.brokers[shard].on_timers(self.now_ms);
        self.carry_out(shard);
        self.end_turn(shard);
    }

    /// Moves a connection on by one thing that is up to a shard.
    fn move_to(&mut self, index: usize, shard: usize) -> bool {
        match &self.links[index].place {
            Place::Queued => {
                self.accept(index, shard);
                true
            }
            Place::Moving(to, _) if to.index() == shard => self.move_link(index),
            Place::At(at, conn) if at.index() == shard => {
                let conn = *conn;
                self.move_at(index, shard, conn)
            }
            _ => false,
        }
    }

    fn place(&mut self, index: usize, shard: usize, conn: ConnId) {
        self.links[index].place = Place::At(ShardId(shard as u8), conn);
        self.conns.insert((shard as u8, conn.0), index);
        self.after(shard);
    }

    fn move_at(&mut self, index: usize, shard: usize, conn: ConnId) -> bool {
        let now_ms = self.now_ms;
        let link = &mut self.links[index];
        if link.reset && !link.to_broker.is_empty() {
            link.to_broker.clear();
            link.lost_bytes = true;
            return true;
        }
        if link.sending.is_some()
            && (!link.stalled || link.closing == Some(CloseHow::Now) || link.cancel)
        {
            self.finish_send(index, shard, conn);
            return true;
        }
        let link = &mut self.links[index];
        match link.closing {
            None if !link.to_broker.is_empty() => {
                link.lost_bytes |= link.is_ending;
                let most = link.to_broker.len();
                let count = if self.faults {
                    1 + self.rng.below(most.min(64))
                } else {
                    most
                };
                let bytes: Vec<u8> = self.links[index].to_broker.drain(..count).collect();
                self.brokers[shard].on_bytes(now_ms, conn, &bytes);
                self.after(shard);
                true
            }
            None if (link.client_closed || link.half_closed) && !link.end_told => {
                link.end_told = true;
                let cause = if link.reset {
                    CloseCause::Error(104)
                } else {
                    CloseCause::Eof
                };
                self.brokers[shard].on_eof(now_ms, conn, cause);
                self.after(shard);
                true
            }
            None => false,
            Some(how) => {
                link.lost_bytes |= !link.to_broker.is_empty();
                let is_flushed = link.sending.is_none() && !self.brokers[shard].has_output(conn);
                link.broker_closed |= is_flushed;
                let has_ended = link.client_closed || link.half_closed;
                let done = is_flushed && (how == CloseHow::Now || has_ended);
                if done {
                    link.place = Place::Gone;
                    link.end.written = self.log.len();
                    self.conns.remove(&(shard as u8, conn.0));
                    self.brokers[shard].on_closed(now_ms, conn);
                    self.after(shard);
                }
                done
            }
        }
    }

    fn finish_send(&mut self, index: usize, shard: usize, conn: ConnId) {
        let Some(bytes) = self.links[index].sending.take() else {
            return;
        };
        let is_cut = self.links[index].cancel || self.links[index].closing == Some(CloseHow::Now);
        self.links[index].cancel = false;
        let written = match () {
            () if is_cut => self.rng.below(bytes.len() + 1),
            () if self.faults && self.rng.once_in(3) => 1 + self.rng.below(bytes.len()),
            () => bytes.len(),
        };
        if !self.links[index].client_closed {
            self.links[index].to_client.extend(&bytes[..written]);
        }
        self.brokers[shard].on_sent(self.now_ms, conn, written);
        self.carry_out(shard);
        // What is left of its output goes out before the connection is closed.
        self.end_turn(shard);
    }

    /// The client reads some of what has come.
    pub(super) fn client_reads(&mut self, index: usize) -> bool {
        let link = &mut self.links[index];
        let client = link.client;
        if client == usize::MAX || self.clients[client].link != Some(index) || link.stalled {
            let had = !link.to_client.is_empty() && !link.stalled;
            if !link.stalled {
                link.to_client.clear();
            }
            return had;
        }
        if link.to_client.is_empty() {
            if !link.broker_closed && !matches!(link.place, Place::Gone) {
                return false;
            }
            // The broker has closed: whatever the reason, the client comes again.
            link.client_closed = true;
            link.was_stalled |= self.now_ms > link.half_closed_ms + limits::ANSWERS_MS_MAX;
            let unanswered = self.clients[client].exchanges.unanswered();
            assert!(
                !link.half_closed || link.was_stalled || link.lost_bytes || unanswered == 0,
                "client {client} was not answered before its connection was closed"
            );
            self.leave_link(client, true);
            return true;
        }
        let most = link.to_client.len();
        let count = if self.faults {
            1 + self.rng.below(most)
        } else {
            most
        };
        let bytes: Vec<u8> = self.links[index].to_client.drain(..count).collect();
        let mut events = Vec::new();
        let rng = &mut self.rng;
        let faults = self.faults;
        let answers =
            self.clients[client].receive(&bytes, &mut || faults && rng.once_in(3), &mut events);
        for event in events {
            self.on_event(client, index, event);
        }
        self.write(client, answers);
        true
    }

    fn on_event(&mut self, index: usize, link: usize, event: Event) {
        let step = self.step;
        if std::env::var_os("FIREHOSE_SIM_TRACE").is_some() {
            eprintln!(
                "{step} link {link} client {index}.{}: {event:?}",
                self.clients[index].incarnation
            );
        }
        match event {
            Event::Connected { session_present } => self.on_connected(index, link, session_present),
            Event::Refused => panic!("client {index} was refused"),
            Event::Resent(message) => self.oracle.published[message].resent = true,
            Event::Acknowledged(message) => self.oracle.published[message].acknowledged = true,
            Event::Subscribed(filters) => {
                for known in &mut self.session(index).subscriptions {
                    if filters.contains(&known.filter) {
                        known.acknowledged_at = Some(step);
                    }
                }
            }
            Event::Unsubscribed(filter) => {
                let mut known = self.session(index).subscriptions.iter_mut();
                if let Some(known) = known.find(|known| known.filter == filter) {
                    known.ended_at = Some(step);
                }
            }
            Event::Arrived(came) => self.on_arrived(index, link, came),
            Event::Closed(reason) => assert!(
                reason != ReasonCode::KEEP_ALIVE_TIMEOUT || self.links[link].half_closed,
                "client {index} has sent something in time"
            ),
        }
    }

    fn on_connected(&mut self, index: usize, link: usize, session_present: bool) {
        let incarnation = self.clients[index].incarnation;
        assert!(
            session_present || !self.links[link].finds_session,
            "client {index} was back in time and found no session"
        );
        if !session_present && incarnation > 1 {
            let before = (index, incarnation - 1);
            self.oracle.sessions.entry(before).or_default().alive = false;
        }
        self.clients[index].left = None;
        let session = self.session(index);
        session.alive = true;
        session.links.push(link);
    }

    fn on_arrived(&mut self, index: usize, link: usize, came: Came) {
        let text = String::from_utf8(came.payload).unwrap();
        if text.starts_with("will-") {
            if index == 0 {
                // That it was published may be forgotten, if everything has ended since.
                let is_cut = self.links[link].end.cut_ms.is_some();
                let written = (!is_cut).then(|| self.log.len());
                self.oracle.will_came(text, came.dup, written);
            }
            return;
        }
        let Some(message) = text.strip_prefix('m') else {
            return;
        };
        let message = message.parse().unwrap();
        if came.retain {
            self.oracle.seen.push((came.topic.clone(), message));
        }
        self.oracle.arrived(&Arrival {
            session: (index, self.clients[index].incarnation),
            link,
            topic: &came.topic,
            qos: came.qos,
            dup: came.dup,
            retain: came.retain,
            message,
        });
    }

    /// After something was said to a brain: what it wants done.
    pub(super) fn after(&mut self, shard: usize) {
        self.carry_out(shard);
        // Several events make a turn, now and then.
        if self.now_ms % 5 < 2 {
            self.end_turn(shard);
        }
    }

    /// What a brain wants done. What it says to others waits for the end of its turn.
    pub(super) fn carry_out(&mut self, shard: usize) {
        while let Some(effect) = self.brokers[shard].next_effect() {
            self.on_effect(shard, effect);
        }
    }

    /// Connections that a brain wants closed are, when what it had for them has begun to go out.
    pub(super) fn close(&mut self, shard: usize) {
        for (conn, how) in std::mem::take(&mut self.outboxes[shard].unclosed) {
            let Some(&index) = self.conns.get(&(shard as u8, conn.0)) else {
                continue;
            };
            let link = &mut self.links[index];
            if link.closing != Some(CloseHow::Now) {
                link.closing = Some(how);
            }
        }
    }

    /// What a brain has for clients goes out.
    pub(super) fn gather(&mut self, shard: usize) {
        while let Some(conn) = self.brokers[shard].next_dirty() {
            let Some(&index) = self.conns.get(&(shard as u8, conn.0)) else {
                continue;
            };
            let mut slices = Vec::new();
            let most = crate::limits::SEND_BYTES_MAX;
            let broker = &mut self.brokers[shard];
            if broker.gather(self.now_ms, conn, most, &mut slices) > 0 {
                let mut bytes = Vec::new();
                broker.gathered_into(conn, &mut bytes);
                self.links[index].sending = Some(bytes);
            }
        }
        // Gathering may have made the brain change its mind about a connection.
        self.carry_out(shard);
    }

    fn on_effect(&mut self, shard: usize, effect: Effect) {
        if std::env::var_os("FIREHOSE_SIM_TRACE").is_some() {
            let conn = match &effect {
                Effect::Close { conn, .. } | Effect::Handover { conn, .. } => *conn,
                _ => ConnId(u32::MAX),
            };
            let link = self.conns.get(&(shard as u8, conn.0));
            eprintln!("{} shard {shard} link {link:?}: {effect:?}", self.step);
        }
        let of = |conn: ConnId| (shard as u8, conn.0);
        match effect {
            Effect::Close { conn, how } => {
                self.links[self.conns[&of(conn)]].is_ending = true;
                self.outboxes[shard].unclosed.push((conn, how));
            }
            Effect::CancelSend { conn } => self.links[self.conns[&of(conn)]].cancel = true,
            Effect::Handover { conn, to, handover } => {
                let index = self.conns.remove(&of(conn)).unwrap();
                self.links[index].place = Place::Moving(to, handover);
                self.brokers[shard].on_closed(self.now_ms, conn);
            }
            Effect::Mesh { to, message } if !has(Protection::TurnBeforeMesh) => {
                self.mesh[shard][to.index()].push_back(message);
            }
            Effect::Mesh { to, message } => self.outboxes[shard].unsent.push((to, message)),
            // Nothing in this world takes time but what is sent.
            Effect::Verify(verify) => {
                let now_ms = self.now_ms;
                let verdict = verify.check();
                self.brokers[shard].on_verified(now_ms, verify.conn, verify.ticket, verdict);
            }
            // What the brain gets meanwhile, it keeps.
            Effect::Pause { .. } | Effect::Resume { .. } | Effect::Log { .. } => {}
        }
    }
}
