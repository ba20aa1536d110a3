//! A connection on its way from the shard that accepted it to the home of its client.
//!
//! Two things travel, each by its own road: what is known of the connection through the mesh (`Adopt`), and its
//! socket from ring to ring (IORING_MSG_SEND_FD). A ticket pairs them at the other end, whichever comes first. When
//! the socket cannot be given (the other table is full), `AdoptFailed` follows, and the connection is closed here.
//!
//! A socket that was put into the other table and could not be announced there, for want of memory (EOVERFLOW here), is closed
//! here too. The slot over there would stay taken; but that ring has lost a completion then, and ends with `RingError::Lost`.

use crate::broker::{Handover, LogKind};
use crate::ids::{ConnId, ShardId};
use crate::uring::{Completion, Op, UserData, ops};

use super::connections::Flags;
use super::message::ShardMessage;
use super::moves::{Known, Met};
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// The brain wants a connection moved.
    pub(super) fn give(
        &mut self,
        conn: ConnId,
        to: ShardId,
        handover: Box<Handover>,
    ) -> Result<(), ShardError> {
        debug_assert_ne!(to, self.id);
        let leaving = Flags::CLOSING.or(Flags::GIVING);
        if let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(leaving))
        {
            entry.flags.set(Flags::GIVING);
            self.moves.give(conn, to, handover);
            self.advance(conn)?;
        }
        Ok(())
    }

    /// Sends a connection off when nothing of it is in flight any more.
    pub(super) fn advance_giving(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if !self.still(conn)? {
            return Ok(());
        }
        let Some((to, handover)) = self.moves.leave(conn) else {
            return Ok(());
        };
        let (Some(ring), Some(entry)) = (self.shared.ring(to), self.connections.get(conn)) else {
            return self.give_up(conn);
        };
        let ticket = self.moves.go(conn, to);
        let theirs = UserData::new(Op::Given, u32::from(self.id.0), ticket);
        let submission = ops::give(ring, entry.slot, theirs, entry.user_data(Op::Give, conn));
        entry.in_flight += 1;
        // What is packed goes with the transport.
        let packed = self.transports.take_packed(conn);
        self.repay(conn, packed);
        let transport = self.transports.take(conn);
        let adopt = ShardMessage::Adopt {
            ticket,
            handover,
            transport,
        };
        self.send_mesh(to, adopt);
        // SAFETY: names no memory.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// The socket has arrived at the other ring, or could not.
    pub(super) fn on_given_away(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        entry.in_flight -= 1;
        let departure = self.moves.end(conn);
        if completion.result >= 0 {
            entry.flags.set(Flags::GIVEN);
            self.metrics.add(Metric::Given, 1);
        } else {
            self.metrics.add(Metric::HandoverFailed, 1);
            if let Some((to, ticket)) = departure {
                self.send_mesh(to, ShardMessage::AdoptFailed { ticket });
                let source = std::io::Error::from_raw_os_error(-completion.result);
                self.log(
                    LogKind::Warning,
                    format!(
                        "A connection is closed because shard {} has no room for it ({source}).",
                        to.0
                    ),
                );
            }
        }
        self.give_up(conn)
    }

    /// The connection ends here; where its socket is elsewhere too, it lives on there.
    fn give_up(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if let Some(entry) = self.connections.get(conn) {
            entry.flags.clear(Flags::GIVING);
        }
        self.close_now(conn)
    }

    /// A socket arrived from another ring.
    pub(super) fn on_given(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Ok(slot) = u32::try_from(completion.result) else {
            return Ok(());
        };
        let key = (
            ShardId(completion.user_data.generation() as u8),
            completion.user_data.index(),
        );
        let met = self.moves.slot_came(key, slot);
        if let Met::Stray(_) = &met {
            self.close_slot(slot)?;
        }
        self.on_met(met)
    }

    /// What is known of an arriving connection came.
    pub(super) fn on_adopt(
        &mut self,
        from: ShardId,
        ticket: u32,
        known: Known,
    ) -> Result<(), ShardError> {
        let met = self.moves.known_came((from, ticket), known);
        self.on_met(met)
    }

    fn on_met(&mut self, met: Met) -> Result<(), ShardError> {
        match met {
            Met::Waits => Ok(()),
            Met::Both(slot, known) => self.adopt(slot, known),
            Met::Stray(slot) => {
                self.metrics.add(Metric::Stray, 1);
                slot.map_or(Ok(()), |slot| self.close_slot(slot))
            }
        }
    }

    /// An arriving connection will not arrive.
    pub(super) fn on_adopt_failed(&mut self, from: ShardId, ticket: u32) -> Result<(), ShardError> {
        match self.moves.cancel((from, ticket)) {
            Some(slot) => self.close_slot(slot),
            None => Ok(()),
        }
    }

    /// Both halves are here.
    fn adopt(&mut self, slot: u32, known: Known) -> Result<(), ShardError> {
        let Known {
            handover,
            transport,
        } = known;
        let listener = handover.peer.listener;
        let address = handover.peer.address.ip();
        let counted = self.shared.sources().counts(address);
        if self.drain.has_begun() {
            let is_tls = transport.is_some_and(|transport| transport.is_tls());
            self.shared.release(listener, is_tls);
            if counted {
                self.shared.sources().release(address, self.now_ms);
            }
            return self.close_slot(slot);
        }
        self.metrics.add(Metric::Adopted, 1);
        let conn = self.brain.on_adopt(self.now_ms, *handover);
        self.connections.insert(conn, slot, listener);
        if let Some(entry) = self.connections.get(conn).filter(|_| counted) {
            entry.flags.set(Flags::COUNTED);
        }
        if let Some(transport) = transport {
            self.lay_transport(conn, transport);
        }
        self.receiving.want(conn);
        Ok(())
    }
}
