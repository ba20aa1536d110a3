//! Sending: one send per connection with output at the end of a turn, all of them in one submission.

use crate::ids::ConnId;
use crate::limits::{SEND_ARENA_HEADERS, SEND_ARENA_SLICES, SEND_BYTES_MAX, SEND_RANGES_MAX};
use crate::outbound::Slice;
use crate::uring::{Completion, Op, Ring, RingError, SendFailure, ops};

use super::connections::Flags;
use super::{Brain, Metric, Shard, ShardError};

/// The `msghdr`s and `iovec`s of the sends of a turn. Both are allocated once and never grow, so that they do not
/// move; they are needed until the next submission, which copies them (IORING_FEAT_SUBMIT_STABLE).
pub(super) struct SendArena {
    slices: Vec<Slice>,
    headers: Vec<libc::msghdr>,
}

// A slice is what the kernel takes for an iovec.
const _: () = assert!(size_of::<Slice>() == size_of::<libc::iovec>());
const _: () =
    assert!(std::mem::offset_of!(Slice, base) == std::mem::offset_of!(libc::iovec, iov_base));
const _: () =
    assert!(std::mem::offset_of!(Slice, len) == std::mem::offset_of!(libc::iovec, iov_len));

impl SendArena {
    /// Bytes of both.
    pub(super) const BYTES: usize =
        SEND_ARENA_SLICES * size_of::<Slice>() + SEND_ARENA_HEADERS * size_of::<libc::msghdr>();

    pub(super) fn new() -> Self {
        SendArena {
            slices: Vec::with_capacity(SEND_ARENA_SLICES),
            headers: Vec::with_capacity(SEND_ARENA_HEADERS),
        }
    }

    /// Makes room for one more send, submitting the others first when there is none.
    #[inline]
    fn make_room(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        if self.slices.capacity() - self.slices.len() < SEND_RANGES_MAX
            || self.headers.len() == self.headers.capacity()
        {
            ring.submit()?;
            self.reset();
        }
        Ok(())
    }

    /// Forgets everything; only when nothing is queued that has not been submitted.
    pub(super) fn reset(&mut self) {
        self.slices.clear();
        self.headers.clear();
    }

    /// A header for the slices from `first` on.
    fn header(&mut self, first: usize) -> *const libc::msghdr {
        debug_assert!(self.headers.len() < self.headers.capacity());
        // SAFETY: a msghdr is plain data, for which zeros are a value.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        let slices = &mut self.slices[first..];
        header.msg_iov = slices.as_mut_ptr().cast();
        header.msg_iovlen = slices.len() as _;
        self.headers.push(header);
        &raw const self.headers[self.headers.len() - 1]
    }
}

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
        let first = self.arena.slices.len();
        let slices = &mut self.arena.slices;
        let bytes = self.brain.gather(self.now_ms, conn, SEND_BYTES_MAX, slices);
        debug_assert!(self.arena.slices.len() - first <= SEND_RANGES_MAX);
        if bytes == 0 {
            self.arena.slices.truncate(first);
            return Ok(());
        }
        let user_data = entry.user_data(Op::Send, conn);
        let submission = match self.arena.slices[first..] {
            [slice] => {
                self.arena.slices.truncate(first);
                let len = slice.len.min(i32::MAX as usize) as u32;
                ops::send(entry.slot, slice.base, len, user_data)
            }
            _ => ops::send_vectored(entry.slot, self.arena.header(first), user_data),
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
