//! The provided-buffer ring: memory that receives land in, lent to the kernel and taken back a receive at a time.
//!
//! A connection that waits for input owns no buffer. The kernel takes the next one when bytes are there; the thread
//! reads them in place and hands the buffer back. Both sides run in the same thread (DEFER_TASKRUN), so what is
//! handed back counts from the next call into the kernel; `publish` is needed once per turn only.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::{Ring, RingError};

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

/// Receive buffers of one size, registered with one ring as one group. Must be dropped after that ring.
pub struct ReceiveBuffers {
    entries: Mapping,
    memory: Mapping,
    buffer_bytes: usize,
    count: u16,
    group: u16,
    /// Handed back so far, modulo 2^16; the kernel sees it at `publish`.
    tail: u16,
    /// Lent to the kernel: `count` minus those that are being read or kept back.
    lent: u16,
}

impl ReceiveBuffers {
    /// Maps `count` (a power of two) buffers of `buffer_bytes` each and lends them all to `ring`.
    pub fn register(
        ring: &Ring,
        group: u16,
        count: u16,
        buffer_bytes: usize,
    ) -> Result<Self, RingError> {
        debug_assert!(count.is_power_of_two());
        let entries = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
        let memory = Mapping::new(usize::from(count) * buffer_bytes)?;
        // SAFETY: `entries` is page-aligned, zeroed, has `count` entries, and outlives the ring (see the type's doc).
        unsafe { ring.register_buffer_ring(entries.base.as_ptr() as u64, count, group)? };
        let mut buffers = ReceiveBuffers {
            entries,
            memory,
            buffer_bytes,
            count,
            group,
            tail: 0,
            lent: 0,
        };
        for id in 0..count {
            buffers.give_back(id);
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The group's number, for receives.
    pub fn group(&self) -> u16 {
        self.group
    }

    /// Whether the kernel has any buffer left.
    pub fn any_lent(&self) -> bool {
        self.lent > 0
    }

    /// The bytes that a receive put into buffer `id`, which the kernel has just handed over. `None` for an id or a
    /// length that no receive can have reported.
    #[inline]
    pub fn filled(&self, id: u16, len: usize) -> Option<&[u8]> {
        if id >= self.count || len > self.buffer_bytes {
            return None;
        }
        // SAFETY: inside `memory`, by the check above. The kernel writes to a buffer only while it is lent; this one
        // came back with its completion and is lent again only by `give_back`, which needs `&mut self`.
        Some(unsafe {
            std::slice::from_raw_parts(
                self.memory
                    .base
                    .as_ptr()
                    .add(usize::from(id) * self.buffer_bytes),
                len,
            )
        })
    }

    /// Notes that a completion handed a buffer over.
    #[inline]
    pub fn took(&mut self) {
        self.lent = self.lent.saturating_sub(1);
    }

    /// Hands a buffer back; it is lent from the next `publish` on.
    #[inline]
    pub fn give_back(&mut self, id: u16) {
        if id >= self.count {
            return;
        }
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `index` < `count` entries of `entries`; the kernel reads only those before the published tail, and
        // as no more than `count` buffers exist, this one is not among them.
        unsafe {
            let entry = &mut *self.entries.base.as_ptr().cast::<BufRingEntry>().add(index);
            entry.set_addr(
                self.memory
                    .base
                    .as_ptr()
                    .add(usize::from(id) * self.buffer_bytes) as u64,
            );
            entry.set_len(self.buffer_bytes as u32);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        self.lent += 1;
    }

    /// Shows the kernel what was handed back.
    #[inline]
    pub fn publish(&mut self) {
        // SAFETY: the tail lies in the first entry of `entries`, is aligned, and is written by this thread only.
        unsafe {
            let tail = BufRingEntry::tail(self.entries.base.as_ptr().cast());
            (*tail.cast::<AtomicU16>()).store(self.tail, Ordering::Release);
        }
    }
}
