//! The segments of the run that is written: the one that is written to, and those before it that are still needed.

use std::collections::VecDeque;

use super::format::FIRST_BLOCK_AT;
use super::keeper::Keeper;

/// The segment that is written to.
pub(super) struct Current {
    pub(super) number: u32,
    /// Where the next block goes.
    pub(super) at: u64,
    first_block: u64,
}

/// One that was written to before, and is still needed.
struct Used {
    number: u32,
    first_block: u64,
    failed: bool,
    /// It has failed before anything in it was on the disk.
    void: bool,
}

#[derive(Default)]
pub(super) struct Segments {
    pub(super) current: Option<Current>,
    used: VecDeque<Used>,
    /// The next segment begins with a block that resumes.
    resumes: bool,
}

impl Segments {
    /// Begins the next segment, whose first block has this number.
    pub(super) fn begin(&mut self, number: u32, first_block: u64) {
        self.current = Some(Current {
            number,
            at: FIRST_BLOCK_AT,
            first_block,
        });
    }

    /// Whether the next block resumes what a segment that has failed did not keep.
    pub(super) fn resumes(&self) -> bool {
        let current = self.current.as_ref();
        self.resumes && current.is_some_and(|current| current.at == FIRST_BLOCK_AT)
    }

    /// The segment that is written to is one of those that were.
    pub(super) fn retire(&mut self, failed: bool, synced: u64) {
        if let Some(current) = self.current.take() {
            self.used.push_back(Used {
                number: current.number,
                first_block: current.first_block,
                failed,
                void: failed && synced < current.first_block,
            });
        }
        self.resumes = failed;
    }

    /// The last segments, if nothing in them counts: they are made again, so that a disk that goes on failing does not fill up.
    pub(super) fn make_void_again(&mut self, keeper: &mut Keeper) {
        while self.used.back().is_some_and(|used| used.void)
            && let Some(used) = self.used.pop_back()
        {
            keeper.make_again(used.number);
        }
    }

    /// The number of a segment's first block.
    pub(super) fn first_block(&self, number: u32) -> Option<u64> {
        let current = self.current.iter().map(|c| (c.number, c.first_block));
        let used = self.used.iter().map(|used| (used.number, used.first_block));
        let found = used.chain(current).find(|(other, _)| *other == number);
        found.map(|(_, block)| block)
    }

    /// Segments before this one are not needed any more.
    pub(super) fn release(&mut self, first: u32, keeper: &mut Keeper) {
        while self.used.front().is_some_and(|used| used.number < first)
            && let Some(used) = self.used.pop_front()
        {
            keeper.release(used.number, used.failed);
        }
    }
}
