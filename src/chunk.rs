//! A chunk: memory that a stream fills with bytes of its own, and that goes to the disk as it is, as one block.
//!
//! It begins at a page and has room for the block's header in front and for zeros behind, so that nothing is copied. Its memory
//! does not move while it lives, whoever holds it. What a block's header says is the business of `storage/`.

use std::fmt;

use crate::limits::{STORE_BLOCK_BYTES_MAX, STORE_BLOCK_HEADER_BYTES, STORE_PAGE_BYTES};

/// Bytes for a block, and how many of them are used.
pub struct Chunk {
    pages: Pages,
    /// Bytes of the block: header and content.
    used: usize,
}

impl Chunk {
    /// Bytes of content that the largest chunk has room for.
    pub const CONTENT_MAX: usize = STORE_BLOCK_BYTES_MAX - STORE_BLOCK_HEADER_BYTES;

    /// An empty chunk for so many bytes of content, or `CONTENT_MAX` if that is less.
    pub fn new(content: usize) -> Chunk {
        Chunk {
            pages: Pages::new(block_bytes(content.min(Chunk::CONTENT_MAX))),
            used: STORE_BLOCK_HEADER_BYTES,
        }
    }

    /// Bytes of content.
    pub fn len(&self) -> usize {
        self.used - STORE_BLOCK_HEADER_BYTES
    }

    /// Whether it has no content.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of content that still fit.
    pub fn room(&self) -> usize {
        self.pages.bytes().len() - self.used
    }

    /// Adds all of some bytes, or nothing if they do not fit; says which.
    #[must_use = "what does not fit belongs into another chunk"]
    pub fn append(&mut self, bytes: &[u8]) -> bool {
        let fits = bytes.len() <= self.room();
        fits && self.fill(bytes) == bytes.len()
    }

    /// Adds as much of some bytes as fits, from their beginning on. Returns how many they were.
    #[must_use = "what does not fit belongs into another chunk"]
    pub fn fill(&mut self, bytes: &[u8]) -> usize {
        let at = self.used;
        let count = bytes.len().min(self.room());
        self.pages.bytes_mut()[at..at + count].copy_from_slice(&bytes[..count]);
        self.used += count;
        count
    }

    /// The content.
    pub fn content(&self) -> &[u8] {
        &self.pages.bytes()[STORE_BLOCK_HEADER_BYTES..self.used]
    }

    /// Forgets the content, so that the chunk can be filled anew.
    pub fn clear(&mut self) {
        self.used = STORE_BLOCK_HEADER_BYTES;
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        self.pages.memory.len()
    }

    /// Bytes that it takes on the disk.
    pub(crate) fn block_bytes(&self) -> usize {
        block_bytes(self.len())
    }

    /// Puts zeros behind the content, and gives what its header is written to: room for that, and the content.
    pub(crate) fn finish(&mut self) -> &mut [u8] {
        let end = self.block_bytes();
        let block = self.pages.bytes_mut();
        block[self.used..end].fill(0);
        &mut block[..self.used]
    }

    /// The whole block, as it goes to the disk.
    pub(crate) fn block(&self) -> &[u8] {
        &self.pages.bytes()[..self.block_bytes()]
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Chunk({} of {} bytes)",
            self.len(),
            self.len() + self.room()
        )
    }
}

/// Bytes that a block with so many bytes of content takes on the disk.
pub(crate) fn block_bytes(content: usize) -> usize {
    (STORE_BLOCK_HEADER_BYTES + content).next_multiple_of(STORE_PAGE_BYTES)
}

/// Memory that begins at a page, as a disk wants it. It does not move while it lives.
pub(crate) struct Pages {
    memory: Box<[u8]>,
    /// Where a page begins.
    start: usize,
    bytes: usize,
}

impl Pages {
    /// Zeros.
    pub(crate) fn new(bytes: usize) -> Pages {
        let memory = vec![0; bytes + STORE_PAGE_BYTES - 1].into_boxed_slice();
        let address = memory.as_ptr().addr();
        Pages {
            start: address.next_multiple_of(STORE_PAGE_BYTES) - address,
            memory,
            bytes,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.memory[self.start..self.start + self.bytes]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..self.start + self.bytes]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_takes_what_fits() {
        let mut chunk = Chunk::new(usize::MAX);
        assert_eq!(chunk.room(), Chunk::CONTENT_MAX);
        assert!(chunk.append(&vec![1; Chunk::CONTENT_MAX - 1]));
        assert!(!chunk.append(&[2, 2]));
        assert_eq!(chunk.fill(&[3, 2]), 1);
        assert!(chunk.room() == 0 && chunk.fill(&[4]) == 0);
        assert_eq!(chunk.block_bytes(), STORE_BLOCK_BYTES_MAX);
        assert_eq!(chunk.content().last(), Some(&3));
        chunk.clear();
        assert!(chunk.is_empty() && chunk.append(&[4]));
        assert_eq!(chunk.content(), [4]);
    }

    #[test]
    fn nothing_of_what_a_chunk_held_before_goes_to_the_disk() {
        let mut chunk = Chunk::new(usize::MAX);
        assert!(chunk.append(&vec![1; 2 * STORE_PAGE_BYTES]));
        chunk.clear();
        assert!(chunk.append(&[4]));
        let sealed = chunk.finish();
        assert_eq!(sealed.len(), STORE_BLOCK_HEADER_BYTES + 1);
        let block = chunk.block();
        assert_eq!(block.len(), STORE_PAGE_BYTES);
        assert!(block.as_ptr().addr().is_multiple_of(STORE_PAGE_BYTES));
        let behind = &block[STORE_BLOCK_HEADER_BYTES + 1..];
        assert!(behind.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_chunk_for_little_takes_little() {
        let chunk = Chunk::new(100);
        assert_eq!(chunk.room(), STORE_PAGE_BYTES - STORE_BLOCK_HEADER_BYTES);
        assert!(chunk.memory() < 2 * STORE_PAGE_BYTES);
    }
}
