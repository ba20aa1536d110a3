//! The sockets of a shard's connections: its ring, the table of connections, and every operation that is put in flight for one.
//!
//! Owns what is in flight and the flags that say so. Knows neither what bytes mean nor why a connection ends: that is `Traffic`'s.
//!
//! Invariants:
//! - every operation in flight is counted by its connection, from its submission to its last completion;
//! - `Flags::LENT` of a connection says that `gather` has marked bytes of it as in flight, and that the brain has not heard
//!   `on_sent` yet; `repay` alone takes it away.

use std::os::fd::RawFd;

use crate::ids::{ConnId, ShardId};
use crate::limits::SEND_BYTES_MAX;
use crate::uring::{Completion, Op, Ring, RingError, UserData, ops};

use super::arena::{Gathered, SendArena};
use super::brain::Brain;
use super::connections::{Connection, Connections, Flags};
use super::desk::Desk;
use super::metrics::Metric;

/// See the module.
pub(super) struct Sockets {
    // Dropped first: the memory below, and that of the shard's other parts, is the kernel's to read and write until then.
    ring: Ring,
    arena: SendArena,
    connections: Connections,
    /// Slots without a connection that are being closed.
    closing_slots: u32,
}

/// What came of a wish to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// A send is in flight, and was not before.
    Begun,
    /// There is nothing to send, or it cannot be sent now.
    Nothing,
    /// What is sent has to go through the connection's transport.
    Wrapped,
}

impl Sockets {
    pub(super) fn new(ring: Ring) -> Self {
        Sockets {
            ring,
            arena: SendArena::new(),
            connections: Connections::new(),
            closing_slots: 0,
        }
    }

    /// The ring, for what is no connection's.
    #[inline]
    pub(super) fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.connections.open()
    }

    /// Enters a connection under the number that the brain has given it.
    pub(super) fn insert(&mut self, conn: ConnId, slot: u32, listener: u16) {
        self.connections.insert(conn, slot, listener);
    }

    /// Takes a connection out.
    pub(super) fn remove(&mut self, conn: ConnId) {
        self.connections.remove(conn);
    }

    /// An open connection.
    #[inline]
    pub(super) fn get(&mut self, conn: ConnId) -> Option<&mut Connection> {
        self.connections.get(conn)
    }

    /// The numbers of those that are open.
    pub(super) fn numbers(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.connections.numbers()
    }

    /// Whether a connection is open and has any of these flags.
    #[inline]
    pub(super) fn has(&mut self, conn: ConnId, any: Flags) -> bool {
        self.get(conn).is_some_and(|entry| entry.flags.has(any))
    }

    /// An open connection gets more flags.
    pub(super) fn set(&mut self, conn: ConnId, more: Flags) {
        if let Some(entry) = self.get(conn) {
            entry.flags.set(more);
        }
    }

    /// The open connection that a completion belongs to.
    #[inline]
    pub(super) fn of(&mut self, completion: &Completion) -> Option<(ConnId, &mut Connection)> {
        self.connections.of(completion.user_data)
    }

    /// The connection whose operation is over by this completion, which clears such a flag.
    #[inline]
    pub(super) fn over(
        &mut self,
        completion: &Completion,
        flag: Flags,
    ) -> Option<(ConnId, &mut Connection)> {
        let (conn, entry) = self.of(completion)?;
        entry.flags.clear(flag);
        entry.in_flight -= 1;
        Some((conn, entry))
    }

    /// One that is flushed is to be looked at: it may have come to the end of that.
    pub(super) fn look_at(&mut self, conn: ConnId) {
        self.connections.look_at(conn);
    }

    /// The next one to be looked at.
    pub(super) fn next_flushing(&mut self) -> Option<ConnId> {
        self.connections.next_flushing()
    }

    /// An operation of a connection is put in flight, with such flags: the slot that it is of, and what it carries.
    #[inline]
    fn begin(&mut self, conn: ConnId, op: Op, flags: Flags) -> Option<(u32, UserData)> {
        let entry = self.connections.get(conn)?;
        entry.flags.set(flags);
        entry.in_flight += 1;
        Some((entry.slot, entry.user_data(op, conn)))
    }

    /// Receives into provided buffers: once, or for as long as there is something.
    pub(super) fn receive(
        &mut self,
        conn: ConnId,
        group: u16,
        is_multishot: bool,
    ) -> Result<(), RingError> {
        let Some((slot, user_data)) = self.begin(conn, Op::Receive, Flags::RECEIVING) else {
            return Ok(());
        };
        let submission = match is_multishot {
            true => ops::receive_multishot(slot, group, user_data),
            false => ops::receive_once(slot, group, user_data),
        };
        // SAFETY: names no memory; the provided buffers are the affair of `Receiving`.
        unsafe { self.ring.push(&submission) }
    }

    /// A turn's sends begin: the memory that describes the last ones may be used again if they are submitted.
    pub(super) fn begin_sends(&mut self) {
        if !self.ring.has_queued() {
            self.arena.reset();
        }
    }

    /// Sends what the brain has for a connection, unless something forbids that.
    #[inline]
    pub(super) fn send<B: Brain>(
        &mut self,
        conn: ConnId,
        brain: &mut B,
        desk: &Desk,
    ) -> Result<Sent, RingError> {
        let barred = Flags::SENDING
            .or(Flags::CLOSING)
            .or(Flags::GIVING)
            .or(Flags::SHUT);
        let entry = self.connections.get(conn);
        let Some(entry) = entry.filter(|entry| !entry.flags.has(barred)) else {
            return Ok(Sent::Nothing);
        };
        if entry.flags.has(Flags::TRANSPORT) {
            return Ok(Sent::Wrapped);
        }
        self.arena.make_room(&mut self.ring)?;
        let (first, slices) = self.arena.slices();
        let bytes = brain.gather(desk.now_ms(), conn, SEND_BYTES_MAX, slices);
        if bytes == 0 {
            slices.truncate(first);
            // Nothing is there, or it waits for a disk and not for its socket.
            entry.waiting.forget();
            return Ok(Sent::Nothing);
        }
        let user_data = entry.user_data(Op::Send, conn);
        let submission = match self.arena.add(first) {
            Gathered::One(base, len) => ops::send(entry.slot, base, len, user_data),
            Gathered::Many(header) => ops::send_vectored(entry.slot, header, user_data),
        };
        entry.flags.set(Flags::SENDING);
        entry.lend(desk.now_us(), brain.has_more(conn));
        entry.in_flight += 1;
        // SAFETY: the bytes belong to the brain, which leaves them untouched until `on_sent`, called by this send's
        // completion only; header and slices lie in the arena, which neither moves nor is reset before a submission.
        unsafe { self.ring.push(&submission)? };
        Ok(Sent::Begun)
    }

    /// Sends the output of a connection's transport; false if there is no connection.
    ///
    /// # Safety
    /// The bytes stay where they are, unchanged, until the completion.
    pub(super) unsafe fn send_output(
        &mut self,
        conn: ConnId,
        base: *const u8,
        len: usize,
    ) -> Result<bool, RingError> {
        let Some((slot, user_data)) = self.begin(conn, Op::Send, Flags::SENDING) else {
            return Ok(false);
        };
        let submission = ops::send(slot, base, len.min(i32::MAX as usize) as u32, user_data);
        // SAFETY: passed on to the caller.
        unsafe { self.ring.push(&submission)? };
        Ok(true)
    }

    /// The brain has lent bytes of a connection, which its transport is to pack.
    pub(super) fn lend(&mut self, conn: ConnId, is_part: bool, desk: &Desk) {
        if let Some(entry) = self.get(conn) {
            entry.lend(desk.now_us(), is_part);
        }
    }

    /// What the brain has lent goes back to it: so many bytes of it have been taken. Returns whether anything was lent.
    #[inline]
    pub(super) fn repay<B: Brain>(
        &mut self,
        conn: ConnId,
        taken: usize,
        brain: &mut B,
        desk: &mut Desk,
    ) -> bool {
        let entry = self.connections.get(conn);
        let Some(entry) = entry.filter(|entry| entry.flags.has(Flags::LENT)) else {
            return false;
        };
        let rest = brain.on_sent(desk.now_ms(), conn, taken);
        let waited = entry.repay(desk.now_us(), rest);
        if taken > 0 {
            desk.note_delivery(waited);
        }
        true
    }

    /// Cancels what is in flight; true when nothing is.
    pub(super) fn still(&mut self, conn: ConnId, desk: &mut Desk) -> Result<bool, RingError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(false);
        };
        if entry.in_flight == 0 {
            return Ok(true);
        }
        self.cancel_receive(conn)?;
        self.cancel_send(conn, desk)?;
        Ok(false)
    }

    /// Cancels a receive that is in flight.
    pub(super) fn cancel_receive(&mut self, conn: ConnId) -> Result<(), RingError> {
        let (of, cancelling) = (Flags::RECEIVING, Flags::CANCELLING_RECEIVE);
        match self.has(conn, of) && !self.has(conn, cancelling) {
            true => self.cancel(conn, Op::Receive, Op::CancelReceive, cancelling),
            false => Ok(()),
        }
    }

    /// Cancels a send that is in flight.
    #[cold]
    pub(super) fn cancel_send(&mut self, conn: ConnId, desk: &mut Desk) -> Result<(), RingError> {
        let (of, cancelling) = (Flags::SENDING, Flags::CANCELLING_SEND);
        if !self.has(conn, of) || self.has(conn, cancelling) {
            return Ok(());
        }
        desk.count(Metric::SendsCancelled, 1);
        self.cancel(conn, Op::Send, Op::CancelSend, cancelling)
    }

    fn cancel(&mut self, conn: ConnId, of: Op, op: Op, flag: Flags) -> Result<(), RingError> {
        let Some(target) = self.get(conn).map(|entry| entry.user_data(of, conn)) else {
            return Ok(());
        };
        match self.begin(conn, op, flag) {
            // SAFETY: names no memory.
            Some((_, user_data)) => unsafe { self.ring.push(&ops::cancel(target, user_data)) },
            None => Ok(()),
        }
    }

    /// Shuts the sending side down.
    pub(super) fn shut(&mut self, conn: ConnId) -> Result<(), RingError> {
        match self.begin(conn, Op::Shutdown, Flags::SHUT) {
            // SAFETY: names no memory.
            Some((slot, user_data)) => unsafe {
                self.ring.push(&ops::shutdown_write(slot, user_data))
            },
            None => Ok(()),
        }
    }

    /// Cancels what is in flight of a connection, and closes its slot, once, when that is nothing but a receive, which holds
    /// the socket itself until its cancellation in the same submission. True when all of that is over.
    pub(super) fn close(&mut self, conn: ConnId, desk: &mut Desk) -> Result<bool, RingError> {
        let is_still = self.still(conn, desk)?;
        let Some(entry) = self.connections.get(conn) else {
            return Ok(false);
        };
        if !entry.flags.has(Flags::SLOT_CLOSING) && entry.only_receives() {
            self.close_connection(conn)?;
            return Ok(false);
        }
        Ok(is_still && entry.flags.has(Flags::SLOT_CLOSED))
    }

    fn close_connection(&mut self, conn: ConnId) -> Result<(), RingError> {
        match self.begin(conn, Op::Close, Flags::SLOT_CLOSING) {
            // SAFETY: names no memory.
            Some((slot, user_data)) => unsafe { self.ring.push(&ops::close(slot, user_data)) },
            None => Ok(()),
        }
    }

    /// Gives a connection's socket to another ring, where `theirs` arrives with it.
    pub(super) fn give(
        &mut self,
        conn: ConnId,
        ring: RawFd,
        theirs: UserData,
    ) -> Result<(), RingError> {
        match self.begin(conn, Op::Give, Flags::default()) {
            // SAFETY: names no memory.
            Some((slot, user_data)) => unsafe {
                self.ring.push(&ops::give(ring, slot, theirs, user_data))
            },
            None => Ok(()),
        }
    }

    /// Wakes the shard that has this ring.
    pub(super) fn wake(&mut self, ring: RawFd, shard: ShardId) -> Result<(), RingError> {
        let ours = UserData::new(Op::WakeFailed, 0, u32::from(shard.0));
        let submission = ops::wake(ring, UserData::new(Op::Wake, 0, 0), ours);
        // SAFETY: names no memory.
        unsafe { self.ring.push(&submission) }
    }

    /// Closes a slot that has no connection.
    pub(super) fn close_slot(&mut self, slot: u32) -> Result<(), RingError> {
        let entry = ops::close(slot, UserData::new(Op::CloseSlot, 0, slot));
        // SAFETY: names no memory.
        unsafe { self.ring.push(&entry)? };
        self.closing_slots += 1;
        Ok(())
    }

    /// Such a slot is closed.
    pub(super) fn slot_closed(&mut self) {
        self.closing_slots -= 1;
    }

    /// Whether there is no connection, and no slot is being closed.
    pub(super) fn are_gone(&self) -> bool {
        self.open() == 0 && self.closing_slots == 0
    }
}
