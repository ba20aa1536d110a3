//! A chunk: memory that a stream fills with bytes of its own, and that goes to the disk as it is, as one block.
//!
//! It begins at a page and has room for the block's header in front and for zeros behind, so that nothing is copied. Its memory
//! does not move while it lives, whoever holds it.

use crate::limits::STORE_BLOCK_BYTES_MAX;

use super::format::{BLOCK_HEADER_BYTES, BlockHeader, Place, block_bytes};
use super::pages::Pages;

/// Bytes for a block, and how many of them are used.
pub struct Chunk {
    pages: Pages,
    /// Bytes of the block: header and content.
    used: usize,
}

impl Chunk {
    /// Bytes of content that the largest chunk has room for.
    pub const CONTENT_MAX: usize = STORE_BLOCK_BYTES_MAX - BLOCK_HEADER_BYTES;

    /// An empty chunk for so many bytes of content, or `CONTENT_MAX` if that is less.
    pub fn new(content: usize) -> Chunk {
        Chunk {
            pages: Pages::new(block_bytes(content.min(Chunk::CONTENT_MAX))),
            used: BLOCK_HEADER_BYTES,
        }
    }

    /// Bytes of content.
    pub fn len(&self) -> usize {
        self.used - BLOCK_HEADER_BYTES
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
        let at = self.used;
        let fits = bytes.len() <= self.room();
        if fits {
            self.pages.bytes_mut()[at..at + bytes.len()].copy_from_slice(bytes);
            self.used += bytes.len();
        }
        fits
    }

    /// The content.
    pub fn content(&self) -> &[u8] {
        &self.pages.bytes()[BLOCK_HEADER_BYTES..self.used]
    }

    /// Forgets the content, so that the chunk can be filled anew.
    pub fn clear(&mut self) {
        self.used = BLOCK_HEADER_BYTES;
    }

    /// Bytes that it takes on the disk.
    pub(super) fn block_bytes(&self) -> usize {
        block_bytes(self.len())
    }

    /// Makes it the block that belongs to a place.
    pub(super) fn seal(&mut self, header: &BlockHeader, place: &Place) {
        let block = self.pages.bytes_mut();
        let end = block_bytes(self.used - BLOCK_HEADER_BYTES);
        block[self.used..end].fill(0);
        header.seal(place, &mut block[..self.used]);
    }

    /// The whole block, as it goes to the disk.
    pub(super) fn block(&self) -> &[u8] {
        &self.pages.bytes()[..self.block_bytes()]
    }
}
