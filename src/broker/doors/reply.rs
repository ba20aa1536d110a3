//! Answers to a client: packets that are not messages.
//!
//! Answers to the connection whose bytes are being handled are queued together when its bytes are done, so that they
//! do not lie between the messages of others in the log (which would keep those from merging).

use crate::broker::clients::Clients;
use crate::broker::peers::state::Stage;
use crate::ids::ConnId;

impl Clients {
    /// Queues an answer, written by `encode`.
    pub(crate) fn reply(&mut self, conn: ConnId, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.peers.conns[conn.index()].stage() == Stage::Moved {
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
    pub(crate) fn flush_replies(&mut self) {
        if self.peers.replies.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.peers.replies);
        let range = self.out.append_bytes(&replies);
        self.push_control(self.peers.replies_to, range);
        self.peers.replies = replies;
        self.peers.replies.clear();
    }
}
