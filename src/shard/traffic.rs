//! What goes on between the sockets, the other shards and the brain: the only place where all of them meet.
//!
//! Carries out what the brain wants done, and sees connections in and out. Receives are in `receive.rs`, sends in `send.rs`.
//! Decides nothing about MQTT, and when a turn begins and ends is the shard's affair. A connection leaves by these steps:
//!
//! ```text
//! open --Close{Flush}--> flushing --nothing to send--> shut --peer closed--> closing --only a receive in flight--> slot closed
//!   \--Close{Now}---------------\-------------------------\---------------->    /             end <--nothing in flight--/
//! ```
//!
//! Invariant: a number is free only when nothing is in flight and nothing is lent under it (`end`): the next connection with that
//! number could never send otherwise, because the brain would wait for the end of a send that there is not.

use crate::broker::{CloseCause, CloseHow, Effect, Handover, Verdict, Verify};
use crate::budget::Account;
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::uring::Completion;

use super::brain::Brain;
use super::connections::{Connection, Flags};
use super::desk::Desk;
use super::error::ShardError;
use super::helpers::Helpers;
use super::memory::give_free_memory_back;
use super::message::ShardMessage;
use super::metrics::Metric;
use super::moves::Known;
use super::overload::Overload;
use super::receiving::Receiving;
use super::roads::{Destination, Roads};
use super::sockets::Sockets;
use super::store_side::StoreSide;
use super::transports::Transports;

/// See the module. Its parts are tied by arguments, and keep to themselves what they are made of.
pub(super) struct Traffic<B: Brain> {
    // Dropped first: it has the ring.
    pub sockets: Sockets,
    pub receiving: Receiving,
    pub transports: Transports,
    pub roads: Roads,
    pub helpers: Helpers,
    pub store: StoreSide,
    pub brain: B,
    pub desk: Desk,
}

impl<B: Brain> Traffic<B> {
    /// Carries out what the brain wants done.
    pub(super) fn run_effects(&mut self) -> Result<(), ShardError> {
        while let Some(effect) = self.brain.next_effect() {
            match effect {
                Effect::Mesh { to, message } => {
                    let message = ShardMessage::Mesh(message);
                    self.roads.send(to, message, &mut self.desk);
                }
                Effect::Close {
                    conn,
                    how: CloseHow::Flush,
                } => self.close_flush(conn),
                Effect::Close {
                    conn,
                    how: CloseHow::Now,
                } => self.close_now(conn)?,
                Effect::CancelSend { conn } => self.return_memory(conn)?,
                Effect::Handover { conn, to, handover } => self.give(conn, to, handover)?,
                Effect::Verify(verify) => self.verify(verify),
                Effect::Pause { conn } => self.pause(conn)?,
                Effect::Resume { conn } => self.receiving.want(conn),
                Effect::Log { kind, text } => self.desk.log(kind, text),
            }
        }
        Ok(())
    }

    /// Hears what the store says.
    #[inline]
    pub(super) fn hear_store(&mut self) {
        self.store.hear(self.desk.now_ms(), &mut self.brain);
    }

    /// The brain wants to know whether a password is right.
    fn verify(&mut self, verify: Box<Verify>) {
        let (conn, ticket) = (verify.conn, verify.ticket);
        if !self.helpers.check(verify, self.desk.shared()) {
            let now_ms = self.desk.now_ms();
            self.brain.on_verified(now_ms, conn, ticket, Verdict::Busy);
        }
    }

    /// The brain wants nothing more from a connection for now. Where a receive is in flight it is cancelled; it is
    /// armed again when the brain wants that.
    fn pause(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let is_open = |entry: &mut Connection| !entry.flags.has(Flags::LEAVING);
        if self.sockets.get(conn).is_some_and(is_open) && self.brain.is_waiting(conn) {
            self.sockets.cancel_receive(conn)?;
        }
        Ok(())
    }

    /// A cancellation of a receive is over. A multishot receive may have been between two attempts, where it cannot
    /// be found: then `Sockets::still` cancels it again.
    pub(super) fn on_receive_cancelled(
        &mut self,
        completion: Completion,
    ) -> Result<(), ShardError> {
        let over = self.sockets.over(&completion, Flags::CANCELLING_RECEIVE);
        let Some((conn, _)) = over else {
            self.desk.count_stray();
            return Ok(());
        };
        self.pause(conn)?;
        self.advance(conn)
    }

    /// Handles what has arrived from other shards, for as long as a turn may work: the connections after the messages.
    pub(super) fn hear_others(&mut self, overload: &mut Overload) -> Result<(), ShardError> {
        let now_ms = self.desk.now_ms();
        let mut arrivals = self.roads.hear(now_ms, &mut self.brain, overload);
        for (from, message) in arrivals.drain(..) {
            match message {
                ShardMessage::Mesh(message) => self.brain.on_mesh(now_ms, from, message),
                ShardMessage::Adopt {
                    ticket,
                    handover,
                    transport,
                } => {
                    let known = Known {
                        handover,
                        transport,
                    };
                    let (sockets, desk) = (&mut self.sockets, &mut self.desk);
                    let whole = self.roads.on_adopt((from, ticket), known, sockets, desk)?;
                    self.adopt(whole)?;
                }
                ShardMessage::AdoptFailed { ticket } => {
                    self.roads
                        .on_adopt_failed((from, ticket), &mut self.sockets)?;
                }
            }
        }
        self.roads.keep_arrivals(arrivals);
        Ok(())
    }

    /// Publishes what was sent to other shards and wakes those that sleep; what was written down of it goes to the store first.
    pub(super) fn flush_roads(&mut self) -> Result<(), ShardError> {
        let (brain, sockets, desk) = (&mut self.brain, &mut self.sockets, &mut self.desk);
        self.store.end_turn(brain, sockets, desk)?;
        Ok(self.roads.flush(&mut self.sockets, &mut self.desk)?)
    }

    /// Wakes all other shards: something that they look at has changed.
    pub(super) fn wake_others(&mut self) -> Result<(), ShardError> {
        let (desk, sockets) = (&mut self.desk, &mut self.sockets);
        for index in 0..desk.shared().shards() {
            let to = ShardId(index);
            if to != desk.id()
                && let Some(ring) = desk.shared().ring(to)
            {
                sockets.wake(ring, to)?;
            }
        }
        Ok(sockets.ring().poll()?)
    }

    /// The brain wants a connection moved.
    fn give(
        &mut self,
        conn: ConnId,
        to: ShardId,
        handover: Box<Handover>,
    ) -> Result<(), ShardError> {
        debug_assert_ne!(to, self.desk.id());
        let entry = self.sockets.get(conn);
        let stays = |entry: &&mut Connection| !entry.flags.has(Flags::CLOSING.or(Flags::GIVING));
        if let Some(entry) = entry.filter(stays) {
            entry.flags.set(Flags::GIVING);
            self.roads.give(conn, to, handover);
            self.advance(conn)?;
        }
        Ok(())
    }

    /// Sends a connection off when nothing of it is in flight any more.
    fn advance_giving(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if !self.sockets.still(conn, &mut self.desk)? {
            return Ok(());
        }
        let Some((shard, handover)) = self.roads.leave(conn) else {
            return Ok(());
        };
        let Some(ring) = self.desk.shared().ring(shard) else {
            if let Some(entry) = self.sockets.get(conn) {
                entry.flags.clear(Flags::GIVING);
            }
            return self.close_now(conn);
        };
        // What is packed goes with the transport.
        let packed = self.transports.take_packed(conn);
        self.repay(conn, packed);
        let known = Known {
            handover,
            transport: self.transports.take(conn),
        };
        let to = Destination { shard, ring };
        let (sockets, desk) = (&mut self.sockets, &mut self.desk);
        Ok(self.roads.set_off(conn, to, known, sockets, desk)?)
    }

    /// A socket has arrived at the other ring, or could not. The connection ends here; where its socket is elsewhere
    /// too, it lives on there.
    pub(super) fn on_given_away(&mut self, completion: Completion) -> Result<(), ShardError> {
        let (sockets, desk) = (&mut self.sockets, &mut self.desk);
        match self.roads.on_given_away(completion, sockets, desk) {
            Some(conn) => self.close_now(conn),
            None => Ok(()),
        }
    }

    /// A socket arrived from another ring.
    pub(super) fn on_given(&mut self, completion: Completion) -> Result<(), ShardError> {
        let (sockets, desk) = (&mut self.sockets, &mut self.desk);
        let whole = self.roads.on_given(completion, sockets, desk)?;
        self.adopt(whole)
    }

    /// Takes in a connection of which both parts are here.
    fn adopt(&mut self, whole: Option<(u32, Known)>) -> Result<(), ShardError> {
        let Some((slot, known)) = whole else {
            return Ok(());
        };
        let Known {
            handover,
            transport,
        } = known;
        let (listener, address) = (handover.peer.listener, handover.peer.address.ip());
        let (shared, now_ms) = (self.desk.shared(), self.desk.now_ms());
        let counted = shared.sources().counts(address);
        if self.desk.is_ending() {
            let is_tls = transport.is_some_and(|transport| transport.is_tls());
            shared.release(listener, is_tls);
            if counted {
                shared.sources().release(address, now_ms);
            }
            return Ok(self.sockets.close_slot(slot)?);
        }
        self.desk.count(Metric::Adopted, 1);
        let conn = self.brain.on_adopt(now_ms, *handover);
        self.sockets.insert(conn, slot, listener);
        if counted {
            self.sockets.set(conn, Flags::COUNTED);
        }
        if let Some(transport) = transport {
            self.lay_transport(conn, transport);
        }
        self.receiving.want(conn);
        Ok(())
    }

    /// Asks whether a connection may stay whose address is known only now (the PROXY header has been read and the
    /// brain knows it); false: it is to be closed.
    pub(super) fn admit_source_late(&mut self, conn: ConnId) -> bool {
        let Some(address) = self.brain.address(conn) else {
            return true;
        };
        let counted = self.desk.admit_source(address);
        if counted == Ok(true) {
            self.sockets.set(conn, Flags::COUNTED);
        }
        counted.is_ok()
    }

    /// A connection ends here: its address has one less. To be called while the brain knows it.
    fn release_source(&mut self, conn: ConnId) {
        let is_counted = |entry: &mut Connection| {
            entry.flags.has(Flags::COUNTED) && !entry.flags.has(Flags::GIVEN)
        };
        if self.sockets.get(conn).is_some_and(is_counted)
            && let Some(address) = self.brain.address(conn)
        {
            let sources = self.desk.shared().sources();
            sources.release(address, self.desk.now_ms());
        }
    }

    /// Tells the brain once that a connection has ended; it answers with a close. What it wanted before it knew comes
    /// first: a last answer may still reach a peer that has closed its own side only.
    pub(super) fn tell_end(&mut self, conn: ConnId, cause: CloseCause) -> Result<(), ShardError> {
        self.run_effects()?;
        // A brain that puts an orderly end off hears of an error too.
        let told = match cause {
            CloseCause::Error(_) => Flags::default(),
            _ => Flags::END_TOLD,
        };
        let leaving = told.or(Flags::LEAVING);
        let entry = self.sockets.get(conn);
        if let Some(entry) = entry.filter(|entry| !entry.flags.has(leaving)) {
            entry.flags.set(Flags::END_TOLD);
            self.brain.on_eof(self.desk.now_ms(), conn, cause);
        }
        Ok(())
    }

    /// The connection is broken: nothing more can be sent or received.
    #[cold]
    pub(super) fn on_broken(&mut self, conn: ConnId, errno: i32) -> Result<(), ShardError> {
        let Some(entry) = self.sockets.get(conn) else {
            return Ok(());
        };
        entry.flags.set(Flags::EOF);
        if entry.flags.has(Flags::FLUSHING) {
            return self.close_now(conn);
        }
        self.tell_end(conn, CloseCause::Error(errno))
    }

    /// Sends what is queued, shuts the sending side down, and closes when the peer has closed too.
    fn close_flush(&mut self, conn: ConnId) {
        let entry = self.sockets.get(conn);
        if let Some(entry) = entry.filter(|entry| !entry.flags.has(Flags::LEAVING)) {
            entry.flags.set(Flags::FLUSHING);
            self.receiving.want(conn);
            self.sockets.look_at(conn);
        }
    }

    /// Gives up what is queued and closes.
    pub(super) fn close_now(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let entry = self.sockets.get(conn);
        if let Some(entry) = entry.filter(|entry| !entry.flags.has(Flags::GIVING)) {
            entry.flags.set(Flags::CLOSING);
            self.advance(conn)?;
        }
        Ok(())
    }

    /// Takes a connection that is leaving as far as it can go. Called when anything of it has changed.
    pub(super) fn advance(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let Some(flags) = self.sockets.get(conn).map(|entry| entry.flags) else {
            return Ok(());
        };
        if flags.has(Flags::CLOSING) {
            if self.sockets.close(conn, &mut self.desk)? {
                self.end(conn);
            }
            return Ok(());
        }
        if flags.has(Flags::GIVING) {
            return self.advance_giving(conn);
        }
        if flags.has(Flags::FLUSHING) {
            self.sockets.look_at(conn);
        }
        Ok(())
    }

    /// Shuts down the connections that have nothing left to send, and closes those whose peer has closed too. To be
    /// called after the sends of a turn, so that "no send in flight" means "nothing to send".
    pub(super) fn check_flushing(&mut self) -> Result<(), ShardError> {
        while let Some(conn) = self.sockets.next_flushing() {
            let Some(&mut Connection {
                flags, in_flight, ..
            }) = self.sockets.get(conn)
            else {
                continue;
            };
            let busy = flags.has(Flags::CLOSING.or(Flags::SENDING));
            // What waits behind a gate goes out when that opens, and comes here again then.
            if busy || !flags.has(Flags::FLUSHING) || self.brain.has_output(conn) {
                continue;
            }
            if !flags.has(Flags::SHUT) {
                if !flags.has(Flags::TRANSPORT) || !self.says_goodbye(conn)? {
                    self.sockets.shut(conn)?;
                }
            } else if flags.has(Flags::EOF) && in_flight == 0 {
                self.close_now(conn)?;
            }
        }
        Ok(())
    }

    /// The sending side is shut down; or it could not be, for the connection is gone.
    pub(super) fn on_shut(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, _)) = self.sockets.over(&completion, Flags::default()) else {
            self.desk.count_stray();
            return Ok(());
        };
        match completion.result < 0 {
            true => self.close_now(conn),
            false => self.advance(conn),
        }
    }

    /// A connection's slot is closed.
    pub(super) fn on_slot_closed(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.sockets.over(&completion, Flags::default()) else {
            self.desk.count_stray();
            return Ok(());
        };
        entry.flags.set(Flags::SLOT_CLOSED);
        self.advance(conn)
    }

    /// Lends the kernel the buffers that were read, unless the mesh is congested: without buffers the kernel
    /// receives nothing, and TCP holds the publishers up.
    pub(super) fn return_buffers(&mut self) {
        if self.roads.mesh().congested() {
            self.desk.count(Metric::MeshCongested, 1);
        } else {
            self.receiving.give_back_withheld();
        }
        self.receiving.publish();
    }

    /// Tells what the thread holds beside the brain, and whether that is much.
    #[inline]
    pub(super) fn charge(&mut self) {
        let (brain, mesh) = (&mut self.brain, self.roads.mesh());
        let sockets = self.sockets.open() as u64 * limits::SOCKET_BYTES;
        brain.charge(Account::Sockets, sockets);
        brain.charge(Account::Transports, self.transports.charge());
        brain.charge(Account::Mesh, mesh.bytes());
        brain.on_congestion(mesh.congested());
        self.store.charge(brain);
    }

    /// Gives back what is free: not for every turn.
    #[cold]
    pub(super) fn give_memory_back(&mut self) {
        self.roads.mesh_mut().shrink();
        self.desk.count(Metric::MemoryGivenBack, 1);
        give_free_memory_back();
    }

    /// Nothing of a connection is in flight any more: what there is of it on this shard ends, and its number is the brain's
    /// to give again.
    fn end(&mut self, conn: ConnId) {
        let Some(&mut Connection {
            listener, flags, ..
        }) = self.sockets.get(conn)
        else {
            return;
        };
        if !flags.has(Flags::GIVEN) {
            let shared = self.desk.shared();
            shared.release(listener, flags.has(Flags::TLS));
        }
        self.repay(conn, 0);
        self.transports.forget(conn);
        self.receiving.forget(conn);
        self.release_source(conn);
        self.sockets.remove(conn);
        self.brain.on_closed(self.desk.now_ms(), conn);
    }
}
