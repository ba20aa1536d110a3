//! The turns of a shard that are written, and which of them are durable.

use std::collections::VecDeque;

/// See the module.
#[derive(Debug)]
pub(super) struct Turns {
    /// Counts from 1.
    pub(super) current: u64,
    /// Something was told that an answer may promise, since somebody last asked.
    pub(super) has_promised: bool,
    /// Of turns that are not durable: their number, and the number of the chunk in which they end.
    ends: VecDeque<(u64, u64)>,
    durable: u64,
}

impl Turns {
    pub(super) fn new() -> Turns {
        Turns {
            current: 1,
            has_promised: false,
            ends: VecDeque::new(),
            durable: 0,
        }
    }

    /// The turn ends in this chunk.
    pub(super) fn end(&mut self, chunk: u64) {
        self.ends.push_back((self.current, chunk));
        self.current += 1;
    }

    /// So many chunks are durable. Returns the last turn that is.
    pub(super) fn on_durable(&mut self, chunks: u64) -> u64 {
        while let Some(&(turn, end)) = self.ends.front()
            && end <= chunks
        {
            self.durable = turn;
            self.ends.pop_front();
        }
        self.durable
    }

    pub(super) fn are_durable(&self) -> bool {
        self.ends.is_empty()
    }

    pub(super) fn memory(&self) -> usize {
        self.ends.capacity() * size_of::<(u64, u64)>()
    }
}
