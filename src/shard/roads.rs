//! What goes from shard to shard: messages and wake-ups through the mesh, and connections on their way to the home of their
//! client.
//!
//! A connection travels in two parts, each by its own road: what is known of it through the mesh (`Adopt`), and its
//! socket from ring to ring (IORING_MSG_SEND_FD). A ticket pairs them at the other end, whichever comes first. When
//! the socket cannot be given (the other table is full), `AdoptFailed` follows, and the connection is closed here.
//!
//! A socket that was put into the other table and could not be announced there, for want of memory (EOVERFLOW here), is closed
//! here too. The slot over there would stay taken; but that ring has lost a completion then, and ends with `RingError::Lost`.

use std::os::fd::RawFd;

use crate::broker::{Handover, LogKind};
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::uring::{Completion, Op, RingError, UserData};

use super::brain::Brain;
use super::connections::Flags;
use super::desk::Desk;
use super::mesh_side::MeshSide;
use super::message::ShardMessage;
use super::metrics::Metric;
use super::moves::{Known, Met, Moves};
use super::overload::Overload;
use super::sockets::Sockets;

/// See the module.
pub(super) struct Roads {
    mesh: MeshSide,
    moves: Moves,
}

/// Where a connection goes.
#[derive(Clone, Copy)]
pub(super) struct Destination {
    pub shard: ShardId,
    pub ring: RawFd,
}

impl Roads {
    pub(super) fn new(mesh: MeshSide) -> Self {
        Roads {
            mesh,
            moves: Moves::default(),
        }
    }

    /// The shard's side of the mesh.
    #[inline]
    pub(super) fn mesh(&self) -> &MeshSide {
        &self.mesh
    }

    /// The same, to sleep and to shrink.
    pub(super) fn mesh_mut(&mut self) -> &mut MeshSide {
        &mut self.mesh
    }

    /// Whether no connection leaves or comes.
    pub(super) fn are_empty(&self) -> bool {
        self.moves.are_none()
    }

    /// Whether half of a connection has come.
    pub(super) fn await_halves(&self) -> bool {
        self.moves.awaits_halves()
    }

    /// Sends to another shard; it goes out with the next `flush`.
    #[inline]
    pub(super) fn send(&mut self, to: ShardId, message: ShardMessage, desk: &mut Desk) {
        if self.mesh.send(to, message) {
            desk.count(Metric::MeshOverflowed, 1);
        }
    }

    /// Hands the brain what has arrived from other shards, for as long as a turn may work. Returns the rest, connections that
    /// come: they are few beside messages and need all of the shard. The list goes back by `keep_arrivals`.
    pub(super) fn hear<B: Brain>(
        &mut self,
        now_ms: u64,
        brain: &mut B,
        overload: &mut Overload,
    ) -> Vec<(ShardId, ShardMessage)> {
        self.mesh.drain(now_ms, brain, overload);
        self.mesh.take_arrivals()
    }

    /// Gives the empty list back.
    pub(super) fn keep_arrivals(&mut self, empty: Vec<(ShardId, ShardMessage)>) {
        self.mesh.keep_arrivals(empty);
    }

    /// Publishes what was sent and wakes the shards that sleep.
    pub(super) fn flush(
        &mut self,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<(), RingError> {
        let (sleeping, owed) = self.mesh.flush(desk.now_ms());
        for to in sleeping.into_iter().chain(owed) {
            if let Some(ring) = desk.shared().ring(to) {
                desk.count(Metric::Wakes, 1);
                sockets.wake(ring, to)?;
            }
        }
        Ok(())
    }

    /// A wake-up could not be posted, for want of memory as a rule (io_uring allocates an entry in the target's ring for it). Who
    /// claimed a sleeper is the only one to wake it: this is tried until it succeeds, or the sleeper has ended and has no ring.
    #[cold]
    pub(super) fn on_wake_failed(&mut self, to: ShardId, desk: &mut Desk) {
        desk.count(Metric::WakesFailed, 1);
        self.mesh.owe(to, desk.now_ms() + limits::MESH_POLL_MS);
    }

    /// A connection is to move away when nothing of it is in flight any more.
    pub(super) fn give(&mut self, conn: ConnId, to: ShardId, handover: Box<Handover>) {
        self.moves.give(conn, to, handover);
    }

    /// Where bytes go that are still received from a connection that is to move away.
    pub(super) fn received(&mut self, conn: ConnId) -> Option<&mut Vec<u8>> {
        self.moves.received(conn)
    }

    /// A connection goes now: to whom, and with what.
    pub(super) fn leave(&mut self, conn: ConnId) -> Option<(ShardId, Box<Handover>)> {
        self.moves.leave(conn)
    }

    /// Sends a connection off, of which nothing is in flight any more.
    pub(super) fn set_off(
        &mut self,
        conn: ConnId,
        to: Destination,
        known: Known,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<(), RingError> {
        let ticket = self.moves.go(conn, to.shard);
        let theirs = UserData::new(Op::Given, u32::from(desk.id().0), ticket);
        let Known {
            handover,
            transport,
        } = known;
        let adopt = ShardMessage::Adopt {
            ticket,
            handover,
            transport,
        };
        self.send(to.shard, adopt, desk);
        sockets.give(conn, to.ring, theirs)
    }

    /// A socket has arrived at the other ring, or could not. Returns the connection, which ends here either way.
    pub(super) fn on_given_away(
        &mut self,
        completion: Completion,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Option<ConnId> {
        let Some((conn, entry)) = sockets.over(&completion, Flags::GIVING) else {
            desk.count_stray();
            return None;
        };
        let departure = self.moves.end(conn);
        if completion.result >= 0 {
            entry.flags.set(Flags::GIVEN);
            desk.count(Metric::Given, 1);
            return Some(conn);
        }
        desk.count(Metric::HandoverFailed, 1);
        if let Some((to, ticket)) = departure {
            self.send(to, ShardMessage::AdoptFailed { ticket }, desk);
            let source = std::io::Error::from_raw_os_error(-completion.result);
            let text = format!(
                "A connection is closed because shard {} has no room for it ({source}).",
                to.0
            );
            desk.log(LogKind::Warning, text);
        }
        Some(conn)
    }

    /// A socket arrived from another ring. Returns the connection if both of its parts are here.
    pub(super) fn on_given(
        &mut self,
        completion: Completion,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<Option<(u32, Known)>, RingError> {
        let Ok(slot) = u32::try_from(completion.result) else {
            return Ok(None);
        };
        let from = ShardId(completion.user_data.generation() as u8);
        let ticket = (from, completion.user_data.index());
        let met = self.moves.slot_came(ticket, slot);
        if let Met::Stray(_) = &met {
            sockets.close_slot(slot)?;
        }
        on_met(met, sockets, desk)
    }

    /// What is known of an arriving connection came. Returns the connection if both of its parts are here.
    pub(super) fn on_adopt(
        &mut self,
        ticket: (ShardId, u32),
        known: Known,
        sockets: &mut Sockets,
        desk: &mut Desk,
    ) -> Result<Option<(u32, Known)>, RingError> {
        let met = self.moves.known_came(ticket, known);
        on_met(met, sockets, desk)
    }

    /// An arriving connection will not arrive.
    pub(super) fn on_adopt_failed(
        &mut self,
        ticket: (ShardId, u32),
        sockets: &mut Sockets,
    ) -> Result<(), RingError> {
        match self.moves.cancel(ticket) {
            Some(slot) => sockets.close_slot(slot),
            None => Ok(()),
        }
    }
}

fn on_met(
    met: Met,
    sockets: &mut Sockets,
    desk: &mut Desk,
) -> Result<Option<(u32, Known)>, RingError> {
    match met {
        Met::Waits => Ok(None),
        Met::Both(slot, known) => Ok(Some((slot, known))),
        Met::Stray(slot) => {
            desk.count_stray();
            slot.map_or(Ok(()), |slot| sockets.close_slot(slot))?;
            Ok(None)
        }
    }
}
