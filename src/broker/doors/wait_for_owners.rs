//! A publisher waits until owners of topics have passed on what it had sent before (`retained::under_way`).

use crate::broker::Broker;
use crate::ids::{ConnId, SessionId};

impl Broker {
    fn serial_of(&self, session: SessionId) -> u64 {
        let entry = self.clients.sessions.get(session);
        entry.map_or(0, |entry| entry.serial())
    }

    /// Whether a PUBLISH has to wait until owners have passed on what was sent before.
    #[cold]
    pub(in crate::broker) fn waits_for_owners(&mut self, conn: ConnId, retains: bool) -> bool {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return false;
        };
        let serial = self.serial_of(session);
        if !self.ordering.waits(conn, session, serial, retains) {
            return false;
        }
        let is_new = self.clients.peers.conns[conn.index()].state.is_open();
        self.clients.desk.counters.publish_awaited += u64::from(is_new);
        true
    }

    /// A connection that may wait for owners leaves its session, or is to go on: it waits no more. Returns whether it did.
    pub(in crate::broker) fn ends_waiting(&mut self, conn: ConnId) -> bool {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return false;
        };
        let serial = self.serial_of(session);
        self.ordering.under_way.forget(conn, serial)
    }
}
