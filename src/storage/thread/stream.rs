//! A stream, as the thread sees it: its line, and what it has been told.

use std::collections::VecDeque;

use crate::chunk::Chunk;

use super::super::op::State;
use super::line::{News, ThreadSide};

/// What a stream is told beside chunks that are free.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Known {
    /// Chunks that are durable.
    pub(super) told: u64,
    /// Checkpoints in force.
    pub(super) checkpoints: u64,
    /// The checkpoint that should begin, by its number from 1; 0: none.
    pub(super) due: u64,
    /// How the store is.
    pub(super) state: State,
}

pub(super) struct Stream {
    pub(super) side: ThreadSide,
    /// Chunks that are to go back.
    pub(super) free: VecDeque<Chunk>,
    known: Known,
    /// What it does not know yet, for want of slots.
    is_behind: bool,
}

impl Stream {
    pub(super) fn new(side: ThreadSide) -> Stream {
        Stream {
            side,
            free: VecDeque::new(),
            known: Known::default(),
            is_behind: false,
        }
    }

    /// Whether slots of its line have to wake us, since there is more to tell it.
    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Tells it what is new, as far as there are slots; it is woken for the rest when there are some again, and so are we.
    pub(super) fn tell(&mut self, now: Known) {
        while let Some(chunk) = self.free.pop_front() {
            if let Err(News::Free(chunk)) = self.side.send(News::Free(chunk)) {
                self.free.push_front(chunk);
                self.is_behind = true;
                return;
            }
        }
        let Stream { side, known, .. } = self;
        if known.told != now.told && side.send(News::Told(now.told)).is_ok() {
            known.told = now.told;
        }
        if known.checkpoints != now.checkpoints
            && side.send(News::Checkpoints(now.checkpoints)).is_ok()
        {
            known.checkpoints = now.checkpoints;
        }
        if known.due < now.due && side.send(News::CheckpointDue).is_ok() {
            known.due = now.due;
        }
        if known.state != now.state && side.send(News::State(now.state)).is_ok() {
            known.state = now.state;
        }
        self.is_behind = known.told != now.told
            || known.checkpoints != now.checkpoints
            || known.due < now.due
            || known.state != now.state;
    }
}
