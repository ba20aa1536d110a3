//! Memory that begins at a page, as a disk wants it. It does not move while it lives.

use crate::limits::STORE_PAGE_BYTES;

pub(super) struct Pages {
    memory: Box<[u8]>,
    /// Where a page begins.
    start: usize,
    bytes: usize,
}

impl Pages {
    /// Zeros.
    pub(super) fn new(bytes: usize) -> Pages {
        let memory = vec![0; bytes + STORE_PAGE_BYTES - 1].into_boxed_slice();
        let address = memory.as_ptr().addr();
        Pages {
            start: address.next_multiple_of(STORE_PAGE_BYTES) - address,
            memory,
            bytes,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.bytes]
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.bytes]
    }
}
