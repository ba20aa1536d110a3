//! The memory that sockets send from: segments of the log, private copies, and payloads that are referenced.
//!
//! The only unsafe code of the sans-io half is here: a segment is written at its end while the kernel reads, through
//! pointers that `slice` gave out, what was written before. Bytes below a segment's write position are never written
//! again until no range refers to the segment.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::collections::VecDeque;
use std::ptr::NonNull;

use bytes::Bytes;

use crate::limits::{SEGMENT_BYTES, SEGMENTS_KEPT, SEGMENTS_WINDOW};

/// Where bytes to send are: the layout of an `iovec`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Slice {
    /// The first byte.
    pub base: *const u8,
    /// How many there are.
    pub len: usize,
}

/// Names a blob of the shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct BlobId(pub u32);

enum Memory {
    Free,
    /// A piece of the log.
    Segment(Segment),
    /// A payload somewhere else.
    Shared(Bytes),
    /// A copy that belongs to one connection, or a packet too large for a segment.
    Private(Box<[u8]>),
}

struct Blob {
    memory: Memory,
    /// Ranges in queues that refer to it.
    users: u32,
    /// Whether it has been pushed out of the window: nothing may refer to it for long.
    evicted: bool,
    /// A segment outside of the window that is kept, because copies for those who need it would be larger.
    pinned: bool,
}

/// One piece of the log.
struct Segment {
    memory: NonNull<u8>,
}

impl Segment {
    const LAYOUT: Layout = match Layout::from_size_align(SEGMENT_BYTES, 64) {
        Ok(layout) => layout,
        Err(_) => panic!("the layout of a segment"), // proved: evaluated at compile time
    };

    fn new() -> Self {
        // SAFETY: the layout has a size above 0. The segment owns the memory until it is dropped.
        let memory = unsafe { alloc_zeroed(Self::LAYOUT) };
        match NonNull::new(memory) {
            Some(memory) => Segment { memory },
            None => handle_alloc_error(Self::LAYOUT),
        }
    }

    /// The part from `offset`, which nobody refers to yet, for writing.
    #[inline]
    fn tail(&mut self, offset: usize, len: usize) -> &mut [u8] {
        assert!(offset + len <= SEGMENT_BYTES);
        // SAFETY: in bounds by the assertion, initialised (zeroed at first), and above the write position, so that
        // no range, and no send in flight, refers to it.
        unsafe { std::slice::from_raw_parts_mut(self.memory.as_ptr().add(offset), len) }
    }

    #[inline]
    fn bytes(&self, offset: usize, len: usize) -> &[u8] {
        assert!(offset + len <= SEGMENT_BYTES);
        // SAFETY: in bounds by the assertion, initialised, and below the write position: not written while `self` is
        // borrowed.
        unsafe { std::slice::from_raw_parts(self.memory.as_ptr().add(offset), len) }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        // SAFETY: allocated with the same layout in `new`; the blob that owned it has no users, so no send in flight
        // reads from it.
        unsafe { dealloc(self.memory.as_ptr(), Self::LAYOUT) }
    }
}

/// All blobs of a shard.
pub(super) struct Blobs {
    blobs: Vec<Blob>,
    free: Vec<u32>,
    /// The segment that is written to, and up to where it is written.
    head: u32,
    position: usize,
    /// Segments with users, in the order in which they were filled.
    filled: Vec<u32>,
    /// Pinned segments.
    pinned: VecDeque<u32>,
    /// How many filled segments are kept before those who lag get copies.
    window: usize,
    /// Segments without users, ready to become the head; the last one used is the warmest.
    ready: Vec<u32>,
    /// Blobs without users that ranges of the current event may still refer to.
    held: Vec<u32>,
    /// Bytes of all private and shared memory.
    extra: usize,
    segments: usize,
}

impl Blobs {
    pub(super) fn new() -> Self {
        let mut blobs = Blobs {
            blobs: Vec::new(),
            free: Vec::new(),
            head: 0,
            position: 0,
            filled: Vec::new(),
            pinned: VecDeque::new(),
            window: SEGMENTS_WINDOW,
            ready: Vec::new(),
            held: Vec::new(),
            extra: 0,
            segments: 0,
        };
        blobs.head = blobs.new_segment();
        blobs
    }

    /// Bytes that can be appended without a new segment.
    #[inline]
    pub(super) fn room(&self) -> usize {
        SEGMENT_BYTES - self.position
    }

    /// Appends to the head if it fits there, else to memory of its own.
    #[inline]
    pub(super) fn append(&mut self, len: usize, write: impl FnOnce(&mut [u8])) -> (BlobId, u32) {
        if len <= self.room() {
            let offset = self.position;
            if let Memory::Segment(segment) = &mut self.blobs[self.head as usize].memory {
                write(segment.tail(offset, len));
                self.position += len;
                return (BlobId(self.head), offset as u32);
            }
        }
        let mut memory = vec![0; len];
        write(&mut memory);
        let blob = self.private(memory);
        self.held.push(blob.0);
        (blob, 0)
    }

    /// Copies what lies in one blob to the part of the head that was appended last.
    pub(super) fn copy_within(&mut self, from: BlobId, offset: u32, len: u32, to: BlobId, at: u32) {
        let source = self.slice(from, offset, len);
        // SAFETY: `source` is below the write position of its blob or in another blob, `target` is in the range that
        // the caller has just appended and to which nothing refers yet: they do not overlap, and both live in `self`.
        let source = unsafe { std::slice::from_raw_parts(source.base, source.len) };
        let target = match &mut self.blobs[to.0 as usize].memory {
            Memory::Segment(segment) => segment.tail(at as usize, len as usize),
            Memory::Private(memory) => &mut memory[at as usize..(at + len) as usize],
            Memory::Shared(_) | Memory::Free => return,
        };
        target.copy_from_slice(source);
    }

    /// Takes a copy that somebody made.
    pub(super) fn private(&mut self, memory: Vec<u8>) -> BlobId {
        self.extra += memory.len();
        BlobId(self.add(Memory::Private(memory.into_boxed_slice())))
    }

    /// Refers to a payload; held until `settle`.
    pub(super) fn reference(&mut self, payload: Bytes) -> BlobId {
        self.extra += payload.len();
        let blob = self.add(Memory::Shared(payload));
        self.held.push(blob);
        BlobId(blob)
    }

    fn add(&mut self, memory: Memory) -> u32 {
        let blob = Blob {
            memory,
            users: 0,
            evicted: false,
            pinned: false,
        };
        match self.free.pop() {
            Some(index) => {
                self.blobs[index as usize] = blob;
                index
            }
            None => {
                self.blobs.push(blob);
                (self.blobs.len() - 1) as u32
            }
        }
    }

    fn new_segment(&mut self) -> u32 {
        self.segments += 1;
        self.add(Memory::Segment(Segment::new()))
    }

    /// One more range refers to the blob.
    #[inline]
    pub(super) fn enter(&mut self, blob: BlobId) {
        self.blobs[blob.0 as usize].users += 1;
    }

    /// One range fewer refers to the blob.
    #[inline]
    pub(super) fn leave(&mut self, blob: BlobId) {
        let users = &mut self.blobs[blob.0 as usize].users;
        *users -= 1;
        if *users == 0 {
            self.unused(blob.0);
        }
    }

    /// The last range that referred to the blob is gone.
    fn unused(&mut self, index: u32) {
        if index == self.head {
            // Nothing in a queue refers to the head, but a range of the current event may: `settle` takes it back.
            return;
        }
        let is_segment = matches!(self.blobs[index as usize].memory, Memory::Segment(_));
        if is_segment {
            self.filled.retain(|&segment| segment != index);
            if self.blobs[index as usize].pinned {
                self.blobs[index as usize].pinned = false;
                self.pinned.retain(|&segment| segment != index);
            }
        }
        self.held.push(index);
    }

    /// Ranges outside of queues are no longer used.
    #[inline]
    pub(super) fn settle(&mut self) {
        if !self.held.is_empty() {
            self.free_held();
        }
        if self.blobs[self.head as usize].users == 0 {
            // Starting over keeps the memory that is written warm in the cache, and little of it resident.
            self.position = 0;
        }
    }

    fn free_held(&mut self) {
        let mut held = std::mem::take(&mut self.held);
        for index in held.drain(..) {
            let blob = &mut self.blobs[index as usize];
            if blob.users > 0 {
                // Left the head while only the current event referred to it, and was queued after that.
                let is_segment = matches!(blob.memory, Memory::Segment(_));
                if is_segment && index != self.head && !self.filled.contains(&index) {
                    self.filled.push(index);
                }
                continue;
            }
            match &blob.memory {
                Memory::Free => {}
                Memory::Segment(_) => {
                    blob.evicted = false;
                    if self.ready.contains(&index) || self.head == index {
                        continue;
                    }
                    if self.ready.len() < SEGMENTS_KEPT.min(self.window - 1) {
                        self.ready.push(index);
                    } else {
                        self.segments -= 1;
                        self.release(index);
                    }
                }
                Memory::Shared(bytes) => {
                    self.extra -= bytes.len();
                    self.release(index);
                }
                Memory::Private(bytes) => {
                    self.extra -= bytes.len();
                    self.release(index);
                }
            }
        }
        self.held = held;
    }

    fn release(&mut self, index: u32) {
        self.blobs[index as usize].memory = Memory::Free;
        self.free.push(index);
    }

    /// Gives the log a new head, unless `len` bytes would not fit into one anyway.
    pub(super) fn rotate(&mut self, len: usize) {
        if len > SEGMENT_BYTES {
            return;
        }
        let old = self.head;
        self.head = match self.ready.pop() {
            Some(segment) => segment,
            None => self.new_segment(),
        };
        self.position = 0;
        if self.blobs[old as usize].users == 0 {
            self.held.push(old);
        } else {
            self.filled.push(old);
        }
    }

    /// The oldest segment, if there are more than the window holds: it is to be freed.
    pub(super) fn evict(&mut self) -> Option<BlobId> {
        let live = self
            .filled
            .iter()
            .filter(|&&index| !self.blobs[index as usize].evicted)
            .count();
        if live < self.window {
            return None;
        }
        let oldest = self
            .filled
            .iter()
            .copied()
            .find(|&index| !self.blobs[index as usize].evicted)?;
        self.blobs[oldest as usize].evicted = true;
        Some(BlobId(oldest))
    }

    /// Sets how many filled segments are kept.
    pub(super) fn set_window(&mut self, segments: usize) {
        self.window = segments.max(1);
    }

    /// Keeps a segment that was to be freed.
    pub(super) fn pin(&mut self, blob: BlobId) {
        let entry = &mut self.blobs[blob.0 as usize];
        (entry.evicted, entry.pinned) = (false, true);
        self.filled.retain(|&segment| segment != blob.0);
        self.pinned.push_back(blob.0);
    }

    /// A pinned segment, for a look at whether it is still worth it; each in its turn.
    pub(super) fn next_pinned(&mut self) -> Option<BlobId> {
        let index = self.pinned.pop_front()?;
        self.pinned.push_back(index);
        Some(BlobId(index))
    }

    /// How many segments are pinned.
    pub(super) fn pinned(&self) -> usize {
        self.pinned.len()
    }

    /// A pinned segment is to be freed after all.
    pub(super) fn unpin(&mut self, blob: BlobId) {
        let entry = &mut self.blobs[blob.0 as usize];
        (entry.evicted, entry.pinned) = (true, false);
        self.pinned.retain(|&segment| segment != blob.0);
    }

    /// Whether a blob is kept for those who refer to it only, and would not be there otherwise.
    pub(super) fn is_extra(&self, blob: BlobId) -> bool {
        let entry = &self.blobs[blob.0 as usize];
        entry.pinned || !matches!(entry.memory, Memory::Segment(_))
    }

    /// Gives up segments that are kept for reuse.
    pub(super) fn trim(&mut self) {
        while let Some(index) = self.ready.pop() {
            self.segments -= 1;
            self.release(index);
        }
        self.ready.shrink_to_fit();
        self.held.shrink_to_fit();
    }

    /// Whether a blob has been pushed out of the window.
    pub(super) fn is_evicted(&self, blob: BlobId) -> bool {
        self.blobs[blob.0 as usize].evicted
    }

    /// Bytes of memory held.
    pub(super) fn memory(&self) -> usize {
        self.segments * SEGMENT_BYTES + self.extra
    }

    /// How many blobs there are that are not free.
    #[cfg(test)]
    pub(super) fn live(&self) -> usize {
        self.blobs
            .iter()
            .filter(|blob| !matches!(blob.memory, Memory::Free))
            .count()
    }

    #[inline]
    pub(super) fn bytes(&self, blob: BlobId, offset: u32, len: u32) -> &[u8] {
        let (offset, len) = (offset as usize, len as usize);
        match &self.blobs[blob.0 as usize].memory {
            Memory::Segment(segment) => segment.bytes(offset, len),
            Memory::Shared(bytes) => &bytes[offset..offset + len],
            Memory::Private(bytes) => &bytes[offset..offset + len],
            Memory::Free => &[],
        }
    }

    #[inline]
    pub(super) fn slice(&self, blob: BlobId, offset: u32, len: u32) -> Slice {
        let bytes = self.bytes(blob, offset, len);
        Slice {
            base: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}
