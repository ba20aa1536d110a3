//! Answers to a client: packets that are not messages.
//!
//! Answers to the connection whose bytes are being handled are queued together when its bytes are done, so that they
//! do not lie between the messages of others in the log (which would keep those from merging).

use crate::broker::clients::Clients;

use crate::broker::doors::on_identified::PeerName;
use crate::broker::lines::Doing;
use crate::broker::peers::conn::Stage;
use crate::broker::peers::refusals::ended;
use crate::broker::settings::LogKind;
use crate::escape::Name;
use crate::ids::{ConnId, SessionId};

impl Clients {
    /// Queues an answer, written by `encode`.
    pub fn reply(&mut self, conn: ConnId, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.peers.conns[conn.index()].stage == Stage::Moved {
            return;
        }
        self.desk.counters.packets_sent += 1;
        if conn == self.peers.replies_to {
            encode(&mut self.peers.replies);
            return;
        }
        let mut bytes = Vec::new();
        encode(&mut bytes);
        let range = self.out.append_bytes(&bytes);
        self.push_control(conn, range);
    }

    /// Queues the answers to the connection whose bytes are being handled.
    pub fn flush_replies(&mut self) {
        if self.peers.replies.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.peers.replies);
        let range = self.out.append_bytes(&replies);
        self.push_control(self.peers.replies_to, range);
        self.peers.replies = replies;
        self.peers.replies.clear();
    }

    /// Writes a log line about a client, by its identifier or, before it has one, its address.
    pub fn log_client(&mut self, kind: LogKind, conn: ConnId, text: impl FnOnce(&str) -> String) {
        if !self.desk.settings.log.has(kind) {
            return;
        }
        let entry = &self.peers.conns[conn.index()];
        let name = match self.sessions.get(SessionId(entry.session)) {
            Some(session) => Name(session.client_id()).to_string(),
            None => PeerName(entry.peer().address).to_string(),
        };
        self.desk.log(kind, || text(&name));
    }

    /// Writes the line about the end of a connection, which still has its session; without a reason, of one whose client
    /// said goodbye.
    pub fn log_end(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        if self.desk.settings.connection_messages {
            self.log_end_anyhow(now_ms, conn, why);
        }
    }

    /// The same where comings and goings are not wanted: for ends that somebody has to see to.
    pub fn log_end_anyhow(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        let is_wanted = self.desk.settings.log.has(LogKind::Notice);
        if !is_wanted || !self.may_tell(now_ms, conn, Doing::Going) {
            return;
        }
        let entry = &self.peers.conns[conn.index()];
        let session = self.sessions.get(SessionId(entry.session));
        let id = session.map_or("", |session| session.client_id());
        let text = ended(id, &PeerName(entry.peer().address), why);
        self.desk.log(LogKind::Notice, || text);
    }
}
