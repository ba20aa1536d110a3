//! The provided-buffer ring: memory that receives land in, lent to the kernel and taken back a receive at a time.
//!
//! A connection that waits for input owns no buffer. The kernel takes the next one when bytes are there; the thread
//! reads them in place and hands the buffer back. Both sides run in the same thread (DEFER_TASKRUN), so what is
//! handed back counts from the next call into the kernel; `publish` is needed once per turn only.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::{Completion, Ring, RingError};

/// IOU_PBUF_RING_INC of linux/io_uring.h, which the crate does not name.
const IOU_PBUF_RING_INC: u16 = 2;

/// An anonymous mapping.
struct Mapping {
    base: NonNull<u8>,
    len: usize,
}

impl Mapping {
    fn new(len: usize) -> Result<Self, RingError> {
        // SAFETY: an anonymous private mapping at an address of the kernel's choice touches no memory of ours.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        match NonNull::new(base.cast::<u8>()) {
            Some(base) if base.as_ptr().cast() != libc::MAP_FAILED => Ok(Mapping { base, len }),
            _ => Err(RingError::Memory(std::io::Error::last_os_error())),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.len) };
    }
}

/// How many buffers, how large, and how they are used up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferPlan {
    /// How many (a power of two).
    pub count: u16,
    /// Bytes of each.
    pub bytes: usize,
    /// Whether the kernel fills a buffer bit by bit (IOU_PBUF_RING_INC), so that small receives share one, or takes a
    /// whole one for each receive.
    pub incremental: bool,
}

/// Where the bytes of one receive are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Filled {
    /// The buffer.
    id: u16,
    start: usize,
    len: usize,
    /// The buffer to be handed back when these bytes have been read: the kernel is done with it.
    pub finished: Option<u16>,
}

/// Receive buffers of one size, registered with one ring as one group. Must be dropped after that ring.
pub(crate) struct ReceiveBuffers {
    entries: Mapping,
    memory: Mapping,
    plan: BufferPlan,
    group: u16,
    /// By buffer: bytes that the kernel has reported as filled. Completions come in the order of filling: those of
    /// single receives are put off by the kernel, but not beyond the next of a multishot one (since Linux 6.15, which
    /// is why older ones get whole buffers).
    filled: Box<[u32]>,
    /// Handed back so far, modulo 2^16; the kernel sees it at `publish`.
    tail: u16,
    /// Lent to the kernel: all but those that are being read or kept back.
    lent: u16,
}

impl ReceiveBuffers {
    /// Maps buffers and lends them all to `ring`.
    pub(crate) fn register(ring: &Ring, group: u16, plan: BufferPlan) -> Result<Self, RingError> {
        debug_assert!(plan.count.is_power_of_two());
        let count = usize::from(plan.count);
        let entries = Mapping::new(count * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(count * plan.bytes)?;
        let flags = if plan.incremental {
            IOU_PBUF_RING_INC
        } else {
            0
        };
        // SAFETY: `entries` is page-aligned, zeroed, has `count` entries, and outlives the ring (see the type's doc).
        unsafe {
            ring.register_buffer_ring(entries.base.as_ptr() as u64, plan.count, group, flags)?
        };
        let filled = vec![0; count].into_boxed_slice();
        let mut buffers = ReceiveBuffers {
            entries,
            memory,
            plan,
            group,
            filled,
            tail: 0,
            lent: 0,
        };
        for id in 0..plan.count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The group's number, for receives.
    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    /// Buffers that the kernel has, as far as completions of receives have been taken note of.
    pub(crate) fn lent(&self) -> u16 {
        self.lent
    }

    /// Takes note of a receive's completion; `None` when it brought no buffer, or one that cannot be. To be called
    /// for every completion of a receive, in their order.
    #[inline]
    pub(crate) fn take(&mut self, completion: &Completion) -> Option<Filled> {
        let id = completion.buffer()?;
        let filled = self.filled.get_mut(usize::from(id))?;
        let start = *filled as usize;
        let len = completion.result.max(0) as usize;
        *filled += len as u32;
        let finished = (!completion.buffer_goes_on()).then_some(id);
        if finished.is_some() {
            self.lent = self.lent.saturating_sub(1);
        }
        (start + len <= self.plan.bytes).then_some(Filled {
            id,
            start,
            len,
            finished,
        })
    }

    /// The bytes of a receive.
    #[inline]
    pub(crate) fn bytes(&self, filled: Filled) -> &[u8] {
        let start = usize::from(filled.id) * self.plan.bytes + filled.start;
        // SAFETY: inside `memory`: `take` has checked the buffer and the range. The kernel has reported these bytes and
        // writes behind them only, until the buffer is lent anew by `give_back`, which needs `&mut self`.
        unsafe { std::slice::from_raw_parts(self.memory.base.as_ptr().add(start), filled.len) }
    }

    /// The bytes of a receive, to be changed in place.
    #[inline]
    pub(crate) fn bytes_mut(&mut self, filled: Filled) -> &mut [u8] {
        let start = usize::from(filled.id) * self.plan.bytes + filled.start;
        // SAFETY: as in `bytes`; nobody else refers to them, because `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.memory.base.as_ptr().add(start), filled.len) }
    }

    /// Hands a finished buffer back; it is lent from the next `publish` on.
    #[inline]
    pub(crate) fn give_back(&mut self, id: u16) {
        let Some(filled) = self.filled.get_mut(usize::from(id)) else {
            return;
        };
        *filled = 0;
        let index = usize::from(self.tail & (self.plan.count - 1));
        // SAFETY: `index` < `count` entries of `entries`; the kernel uses only those before the published tail that it
        // has not finished, and as no more than `count` buffers exist, this one is not among them.
        unsafe {
            let entry = &mut *self.entries.base.as_ptr().cast::<BufRingEntry>().add(index);
            entry.set_addr(
                self.memory
                    .base
                    .as_ptr()
                    .add(usize::from(id) * self.plan.bytes) as u64,
            );
            entry.set_len(self.plan.bytes as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        self.lent += 1;
    }

    /// Shows the kernel what was handed back.
    #[inline]
    pub(crate) fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry of `entries`, is aligned, and is written by this thread only.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.base.as_ptr().cast());
            (*tail.cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }
}
