//! The connections of a shard.

use crate::broker::effect::Peer;
use crate::broker::peers::conn::{Conn, Stage};
use crate::broker::peers::partial::Beginners;
use crate::broker::peers::quotas::refusal_lines;
use crate::broker::peers::strangers::{Strangers, strangers};
use crate::broker::said::Said;
use crate::ids::{ConnId, NONE, SessionId};
use crate::table::Table;

/// See the module.
pub struct Peers {
    pub conns: Table<Conn>,
    free: Vec<u32>,
    /// Connections of which CONNECT has not come whole.
    pub beginners: Beginners,
    /// Answers to the connection whose bytes are being handled, queued together.
    pub replies: Vec<u8>,
    pub replies_to: ConnId,
    /// Connections whose answers have grown past every bound; ended with the event.
    pub overflowing: Vec<ConnId>,
    /// Lines about connections that are not let in yet.
    pub strangers: Strangers,
    /// Lines about what is refused to clients.
    pub refusal_lines: Said<()>,
}

impl Peers {
    pub fn new() -> Self {
        Peers {
            conns: Table::new(),
            free: Vec::new(),
            beginners: Beginners::default(),
            replies: Vec::new(),
            replies_to: ConnId(NONE),
            overflowing: Vec::new(),
            strangers: strangers(),
            refusal_lines: refusal_lines(),
        }
    }

    /// How far a connection is; also of a number that nobody has.
    pub fn stage(&self, conn: ConnId) -> Stage {
        let entry = self.conns.get(conn.index());
        entry.map_or(Stage::Free, |entry| entry.stage)
    }

    /// The session of a connection.
    #[inline]
    pub fn session_of(&self, conn: ConnId) -> Option<SessionId> {
        let session = self.conns[conn.index()].session;
        (session != NONE).then_some(SessionId(session))
    }

    /// A number for a connection that has come.
    pub fn admit(&mut self, tick: u32, peer: Peer) -> ConnId {
        if self.free.is_empty()
            && let Some(places) = self.conns.refill(Conn::free)
        {
            self.free.extend(places.rev());
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                self.conns.push(Conn::free());
                (self.conns.len() - 1) as u32
            }
        };
        let entry = &mut self.conns[index as usize];
        *entry = Conn::free();
        entry.set_peer(peer);
        entry.stage = Stage::Connecting;
        entry.active_at = tick;
        ConnId(index)
    }

    /// The number of a connection is free again.
    pub fn release(&mut self, conn: ConnId) {
        let entry = &mut self.conns[conn.index()];
        if entry.stage != Stage::Free {
            *entry = Conn::free();
            self.free.push(conn.0);
        }
    }

    /// Places that nobody has.
    pub fn free_places(&self) -> usize {
        self.free.len()
    }

    /// Gives up what is only kept for reuse.
    pub fn trim(&mut self) {
        self.conns.trim(|_, entry| entry.stage == Stage::Free);
        let conns = &self.conns;
        self.free
            .retain(|&index| conns.get(index as usize).is_some());
        self.free.shrink_to_fit();
        self.replies.shrink_to_fit();
    }
}
