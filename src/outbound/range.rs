//! Ranges of bytes in blobs, and lists of them.

use super::blob::BlobId;

/// Bytes in a blob: a part of the log, a private copy or a payload that is referenced where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub(super) blob: BlobId,
    pub(super) offset: u32,
    pub(super) len: u32,
}

impl Range {
    /// How many bytes.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no bytes.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes it longer by one that starts where it ends; false if that one does not.
    #[inline]
    pub(super) fn extend(&mut self, next: Range) -> bool {
        let follows = self.blob == next.blob && self.offset + self.len == next.offset;
        if follows {
            self.len += next.len;
        }
        follows
    }
}

/// Adds a range to a list, as a longer last range where it can.
pub(super) fn add(list: &mut Vec<Range>, range: Range) {
    if !list.last_mut().is_some_and(|last| last.extend(range)) {
        list.push(range);
    }
}

/// Splits a list of ranges behind its first `bytes` bytes.
pub(super) fn split(ranges: &[Range], mut bytes: u32) -> (Vec<Range>, Vec<Range>) {
    let (mut front, mut rest) = (Vec::new(), Vec::new());
    for range in ranges {
        let head = bytes.min(range.len);
        bytes -= head;
        if head > 0 {
            front.push(Range {
                len: head,
                ..*range
            });
        }
        if head < range.len {
            rest.push(Range {
                blob: range.blob,
                offset: range.offset + head,
                len: range.len - head,
            });
        }
    }
    (front, rest)
}
