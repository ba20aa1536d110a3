//! The memory that describes the sends of a turn to the kernel.

use crate::limits::{SEND_ARENA_HEADERS, SEND_ARENA_SLICES, SEND_RANGES_MAX};
use crate::outbound::Slice;
use crate::uring::{Ring, RingError};

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

/// What a send is made of.
pub(super) enum Gathered {
    /// Bytes in one place, and how many.
    One(*const u8, u32),
    /// In several.
    Many(*const libc::msghdr),
}

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
    pub(super) fn make_room(&mut self, ring: &mut Ring) -> Result<(), RingError> {
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

    /// Where the slices of the next send go, behind those of the others: `add` follows.
    #[inline]
    pub(super) fn slices(&mut self) -> (usize, &mut Vec<Slice>) {
        (self.slices.len(), &mut self.slices)
    }

    /// What the slices from `first` on are sent by.
    #[inline]
    pub(super) fn add(&mut self, first: usize) -> Gathered {
        debug_assert!(self.slices.len() - first <= SEND_RANGES_MAX);
        match self.slices[first..] {
            [slice] => {
                self.slices.truncate(first);
                let len = slice.len.min(i32::MAX as usize) as u32;
                Gathered::One(slice.base, len)
            }
            _ => Gathered::Many(self.header(first)),
        }
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
