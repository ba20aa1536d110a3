//! The completions of a turn, and in front of them those that the turn before left.

use crate::limits;
use crate::uring::{Completion, Ring, RingError};

/// See the module.
pub(super) struct Batch {
    completions: Vec<Completion>,
    /// How many of them have been handled.
    handled: usize,
}

impl Batch {
    pub(super) fn new() -> Self {
        Batch {
            completions: Vec::with_capacity(limits::COMPLETIONS_PER_TURN_MAX),
            handled: 0,
        }
    }

    /// A turn begins: what has been handled is forgotten.
    pub(super) fn begin(&mut self) {
        self.completions.drain(..std::mem::take(&mut self.handled));
    }

    /// Takes what the ring has.
    pub(super) fn collect(&mut self, ring: &mut Ring) -> Result<(), RingError> {
        ring.collect(&mut self.completions, limits::COMPLETIONS_PER_TURN_MAX)
    }

    /// Whether the turn has found nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.completions.is_empty()
    }

    /// The next one to be handled.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Completion> {
        let completion = self.completions.get(self.handled).copied();
        self.handled += usize::from(completion.is_some());
        completion
    }

    /// How many have been handled.
    pub(super) fn handled(&self) -> usize {
        self.handled
    }

    /// Whether some are left for the next turn.
    pub(super) fn leaves_some(&self) -> bool {
        self.handled < self.completions.len()
    }
}
