//! What the writer has of a commit: the chunks that are not known to be on the disk, and how far writes and syncs are.

use crate::chunk::Chunk;

/// A chunk, or an empty block, that is not known to be on the disk.
pub(super) struct Item {
    pub(super) chunk: Chunk,
    /// `None` for an empty block.
    pub(super) stream: Option<(u8, u64)>,
    pub(super) flags: u8,
    /// With this block all chunks of a checkpoint are on the disk.
    pub(super) completes: bool,
    /// From when it is written.
    pub(super) number: u64,
}

impl Item {
    /// An empty block.
    pub(super) fn empty(flags: u8) -> Item {
        Item {
            chunk: Chunk::new(0),
            stream: None,
            flags,
            completes: false,
            number: 0,
        }
    }
}

/// The write under way: the last `blocks` of what is held.
pub(super) struct Write {
    pub(super) blocks: usize,
    pub(super) offset: u64,
    /// It was shorter than asked for, and goes on.
    pub(super) again: bool,
    /// It has gone on before without a whole block.
    pub(super) stuck: bool,
}

/// How far the blocks are.
pub(super) struct Commit {
    pub(super) next_number: u64,
    pub(super) write: Option<Write>,
    /// The last block written.
    pub(super) written: u64,
    /// The fdatasync under way, and the last block that it covers.
    pub(super) sync: Option<u64>,
    pub(super) synced: u64,
    /// When the first of what is written and not synced was written.
    pub(super) unsynced_since: u64,
    /// The last block on the disk is an empty one, or there is none.
    pub(super) is_quiet: bool,
    pub(super) idle_since: u64,
    /// The segment has failed and is left when nothing is under way.
    pub(super) failing: bool,
    /// Segments in a row that have failed.
    pub(super) failures: u32,
    pub(super) retry_at: u64,
}

impl Commit {
    pub(super) fn new() -> Commit {
        Commit {
            next_number: 1,
            write: None,
            written: 0,
            sync: None,
            synced: 0,
            unsynced_since: 0,
            is_quiet: true,
            idle_since: 0,
            failing: false,
            failures: 0,
            retry_at: 0,
        }
    }
}
