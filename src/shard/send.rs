//! Sending: one send per connection with output at the end of a turn, all of them in one submission.

use crate::ids::ConnId;
use crate::limits::SEND_BYTES_MAX;
use crate::uring::{Completion, Op, SendFailure, ops};

use super::arena::Gathered;
use super::connections::Flags;
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Starts a send for every connection that has output and none in flight.
    pub(super) fn start_sends(&mut self) -> Result<(), ShardError> {
        if !self.ring.has_queued() {
            self.arena.reset();
        }
        while let Some(conn) = self.transports.next_waiting() {
            self.start_send(conn)?;
        }
        while let Some(conn) = self.brain.next_dirty() {
            self.start_send(conn)?;
        }
        Ok(())
    }

    #[inline]
    fn start_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let barred = Flags::SENDING
            .or(Flags::CLOSING)
            .or(Flags::GIVING)
            .or(Flags::SHUT);
        let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(barred))
        else {
            return Ok(());
        };
        if entry.flags.has(Flags::TRANSPORT) {
            return self.start_transport_send(conn);
        }
        self.arena.make_room(&mut self.ring)?;
        let (first, slices) = self.arena.slices();
        let bytes = self.brain.gather(self.now_ms, conn, SEND_BYTES_MAX, slices);
        if bytes == 0 {
            slices.truncate(first);
            return Ok(());
        }
        let user_data = entry.user_data(Op::Send, conn);
        let submission = match self.arena.add(first) {
            Gathered::One(base, len) => ops::send(entry.slot, base, len, user_data),
            Gathered::Many(header) => ops::send_vectored(entry.slot, header, user_data),
        };
        entry.flags.set(Flags::SENDING.or(Flags::LENT));
        entry.in_flight += 1;
        self.metrics.add(Metric::Sends, 1);
        // SAFETY: the bytes belong to the brain, which leaves them untouched until `on_sent`, called by this send's
        // completion only; header and slices lie in the arena, which neither moves nor is reset before a submission.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// A send is over.
    #[inline]
    pub(super) fn on_send(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        entry.flags.clear(Flags::SENDING);
        entry.in_flight -= 1;
        let leaving = entry.flags.has(Flags::LEAVING);
        let written = completion.result.max(0) as usize;
        if entry.flags.has(Flags::TRANSPORT) {
            self.on_transport_sent(conn, written);
        } else {
            self.repay(conn, written);
        }
        if completion.result < 0 {
            self.on_send_failed(conn, -completion.result)?;
        }
        if leaving { self.advance(conn) } else { Ok(()) }
    }

    #[cold]
    fn on_send_failed(&mut self, conn: ConnId, errno: i32) -> Result<(), ShardError> {
        match SendFailure::of(errno) {
            SendFailure::Nothing => Ok(()),
            SendFailure::Broken(errno) => self.on_broken(conn, errno),
        }
    }

    /// The brain wants the memory of a send back.
    #[cold]
    pub(super) fn cancel_send(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(());
        };
        if !entry.flags.has(Flags::SENDING) || entry.flags.has(Flags::CANCELLING_SEND) {
            return Ok(());
        }
        entry.flags.set(Flags::CANCELLING_SEND);
        entry.in_flight += 1;
        let submission = ops::cancel(
            entry.user_data(Op::Send, conn),
            entry.user_data(Op::CancelSend, conn),
        );
        self.metrics.add(Metric::SendsCancelled, 1);
        // SAFETY: names no memory.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// A cancellation of a send is over. The send may have been between two attempts, where it cannot be found: then
    /// it is cancelled again.
    pub(super) fn on_send_cancelled(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        entry.flags.clear(Flags::CANCELLING_SEND);
        entry.in_flight -= 1;
        if completion.result < 0 && entry.flags.has(Flags::SENDING) {
            self.cancel_send(conn)?;
        }
        self.advance(conn)
    }
}
