//! What is given to other threads to be worked on, and what comes back. While a thread works on a handshake nothing is received.

use crate::broker::{CloseCause, Verdict, Verify};
use crate::ids::{ConnId, Network};

use super::connections::Flags;
use super::handshake::{Shaken, Step};
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Gives bytes of a handshake to those who work on it.
    pub(super) fn shake(&mut self, conn: ConnId, bytes: Vec<u8>) -> Result<(), ShardError> {
        let known = || self.brain.address(conn).map(Network::of);
        let source = self.transports.source(conn).or_else(known);
        let source = source.unwrap_or(Network::UNSPECIFIED);
        let (Some(entry), Some(transport)) =
            (self.connections.get(conn), self.transports.take(conn))
        else {
            return Ok(());
        };
        let cost = transport.counted + bytes.len() as u64;
        let step = Step {
            conn,
            generation: entry.generation,
            transport,
            bytes,
            cost,
        };
        match self.helpers.shake(source, step) {
            Ok(()) => {
                entry.flags.set(Flags::AWAY);
                self.transports.lend(cost);
                Ok(())
            }
            Err(transport) => {
                self.transports.put(conn, transport);
                self.refuse_handshake(conn)
            }
        }
    }

    fn refuse_handshake(&mut self, conn: ConnId) -> Result<(), ShardError> {
        self.metrics.add(Metric::HandshakesRefused, 1);
        let reason = "too many TLS handshakes are waiting";
        self.brain.on_transport_failed(self.now_ms, conn, reason);
        self.tell_end(conn, CloseCause::Transport)
    }

    /// Somebody has worked on a handshake.
    pub(super) fn on_shaken(&mut self, shaken: Shaken) -> Result<(), ShardError> {
        let Shaken {
            conn,
            generation,
            transport,
            cost,
            plain,
            result,
        } = shaken;
        self.transports.lent_back(cost);
        let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| entry.generation == generation && entry.flags.has(Flags::AWAY))
        else {
            return Ok(());
        };
        entry.flags.clear(Flags::AWAY);
        let is_leaving = entry.flags.has(Flags::LEAVING);
        self.transports.put(conn, transport);
        // Also one that is leaving: the end of its peer's side is waited for.
        self.receiving.want(conn);
        if is_leaving {
            return Ok(());
        }
        match result {
            Some(result) => self.on_transport_received(conn, result, &plain),
            None => self.refuse_handshake(conn),
        }
    }

    /// The brain wants to know whether a password is right.
    pub(super) fn verify(&mut self, verify: Box<Verify>) {
        let (conn, ticket) = (verify.conn, verify.ticket);
        if !self.helpers.check(verify, &self.shared) {
            self.brain
                .on_verified(self.now_ms, conn, ticket, Verdict::Busy);
        }
    }
}
