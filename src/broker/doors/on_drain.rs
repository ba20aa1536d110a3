//! The end of the broker: wills first, on all shards, then goodbyes (`drain`).

use crate::broker::Broker;
use crate::broker::effect::CloseHow;
use crate::broker::mesh_message::MeshMessage;
use crate::broker::peers::conn::Conn;
use crate::broker::peers::state::Stage;
use crate::ids::{ConnId, SessionId};
use crate::mqtt::ReasonCode;

impl Broker {
    /// Ends everything in order: wills, DISCONNECT 0x8B, flush, close.
    pub fn on_drain(&mut self, now_ms: u64) {
        if !self.drain.begin() {
            return;
        }
        self.finish_offers(now_ms);
        // All who wait for owners go on with those who were cut off.
        let waiting = self.ordering.under_way.take_all();
        self.clients.peers.next_turn.extend(waiting);
        while let Some(conn) = self.clients.peers.next_turn.front() {
            self.finish_interrupted(now_ms, conn);
        }
        self.say_last_words(now_ms);
        let sessions: Vec<SessionId> = self.clients.sessions.ids().collect();
        for session in sessions {
            if !self.keeps_will(session) {
                self.publish_will(now_ms, session);
            }
        }
        self.clients
            .desk
            .mesh_all(|| MeshMessage::Draining { relayed: false });
        self.say_goodbye(now_ms);
        self.end_event(now_ms);
    }

    /// A will with a delay stays with its session where that outlives the process: who comes back to the next run within the delay takes
    /// it back (MQTT-3.1.3-9).
    fn keeps_will(&mut self, session: SessionId) -> bool {
        let is_kept = self.clients.sessions.facts().are_written();
        let entry = self.clients.sessions.get(session);
        let kept = entry.filter(|entry| is_kept && entry.is_durable());
        let will = kept.and_then(|entry| entry.will());
        will.is_some_and(|will| will.delay_s > 0)
    }

    /// A goodbye among what is kept of those who are held counts: no will follows it.
    fn say_last_words(&mut self, now_ms: u64) {
        // A table that has fallen has holes: only numbers that are there are asked about.
        let is_held = |conn: &Conn| conn.state.is_held();
        let conns = self.clients.peers.conns.indexed();
        let held = conns.filter(|(_, conn)| is_held(conn));
        let held: Vec<_> = held.map(|(index, _)| ConnId(index as u32)).collect();
        for conn in held {
            self.drop_held(now_ms, conn);
        }
    }

    /// Another shard has published its wills, or passed on those of all others.
    pub(in crate::broker) fn on_draining(&mut self, now_ms: u64, relayed: bool) {
        self.drain.note(relayed);
        self.say_goodbye(now_ms);
    }

    /// Whether a drain has begun: nobody is let in any more.
    pub(in crate::broker) fn is_draining(&self) -> bool {
        self.drain.has_begun()
    }

    /// Whether a drain has begun and every connection is gone.
    pub fn is_drained(&self) -> bool {
        let mut conns = self.clients.peers.conns.iter();
        self.drain.is_over() && conns.all(|conn| conn.stage() == Stage::Free)
    }

    fn say_goodbye(&mut self, now_ms: u64) {
        if !self.drain.go_on(&mut self.clients.desk) {
            return;
        }
        for index in 0..self.clients.peers.conns.len() {
            let conn = ConnId(index as u32);
            match self.clients.peers.stage(conn) {
                Stage::Established => {
                    self.disconnect(now_ms, conn, ReasonCode::SERVER_SHUTTING_DOWN)
                }
                Stage::Connecting | Stage::Verifying => self.shut(now_ms, conn, CloseHow::Now),
                Stage::Free | Stage::Closing | Stage::Moved => {}
            }
        }
    }
}
