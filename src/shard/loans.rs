//! What the brain lends to sends goes back to it in one place, whatever ends the send or its connection.
//!
//! Invariant: `Flags::LENT` of a connection says that `gather` has marked bytes of it as in flight, and that the brain has not
//! heard `on_sent` yet. A number is free only when nothing is lent under it: the next connection with that number could never
//! send otherwise, because the brain would wait for the end of a send that there is not.

use crate::ids::ConnId;

use super::connections::{Connection, Flags};
use super::{Brain, Shard};

impl<B: Brain> Shard<B> {
    /// What the brain has lent goes back to it: so many bytes of it have been taken. Returns whether anything was lent.
    #[inline]
    pub(super) fn repay(&mut self, conn: ConnId, taken: usize) -> bool {
        let is_lent = |entry: &&mut Connection| entry.flags.has(Flags::LENT);
        let Some(entry) = self.connections.get(conn).filter(is_lent) else {
            return false;
        };
        entry.flags.clear(Flags::LENT);
        self.brain.on_sent(self.now_ms, conn, taken);
        true
    }

    /// Nothing of a connection is in flight any more: what there is of it on this shard ends, and its number is the brain's
    /// to give again.
    pub(super) fn end(&mut self, conn: ConnId) {
        self.repay(conn, 0);
        self.transports.forget(conn);
        self.receiving.forget(conn);
        self.release_source(conn);
        self.connections.remove(conn);
        self.brain.on_closed(self.now_ms, conn);
    }
}
