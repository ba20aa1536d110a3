//! What can be kept of a damaged journal: of each shard's stream the part from which its end can be known best, and what is lost with the
//! rest.
//!
//! A stream is read from its beginning up to the first chunk that is missing, or from a checkpoint behind that: with all its images read,
//! it says all that the chunks before it said. A checkpoint is looked for only where a chunk must begin with a record, and tried before it is
//! trusted: the payload of a message that looks like one is none.

mod choices;
mod lost;

pub use choices::{Choices, Scan, Span};
pub use lost::{Glance, Lost};

/// A chunk of a stream that is there.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// Its number in its stream.
    pub sequence: u64,
    /// Segment and byte where it lies.
    pub place: (u32, u64),
    /// What it says.
    pub content: &'a [u8],
}
