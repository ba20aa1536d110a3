//! Subscriptions of a session whose retained messages are still to be fetched, in their order; those that have been begun
//! are in front.
//!
//! Invariant: `heap` is the sum of what the replays own.

use std::collections::VecDeque;

use crate::ids::ShardId;
use crate::limits;
use crate::routing::{Cursor, EntryOptions};

/// A subscription whose retained messages are still to be fetched.
pub(crate) struct Replay {
    /// Its filter, with the mount point.
    pub filter: Box<str>,
    /// Its options.
    pub options: EntryOptions,
    /// What has been left for later; `None` if it has not been begun.
    pub rest: Option<Box<Rest>>,
}

/// What is left of a replay.
pub(crate) struct Rest {
    /// The connection that it was asked for: what has passed while the client was away is fetched as well.
    pub epoch: u16,
    /// Owners that have more, and where each goes on.
    pub owners: VecDeque<(ShardId, Cursor)>,
}

impl Replay {
    /// Bytes of memory beside itself.
    fn memory(&self) -> usize {
        let rest = self.rest.as_ref().map_or(0, |rest| {
            let known = rest.owners.iter().map(|(_, cursor)| cursor.memory());
            size_of::<Rest>()
                + rest.owners.capacity() * size_of::<(ShardId, Cursor)>()
                + known.sum::<usize>()
        });
        self.filter.len() + rest
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Replays {
    waiting: VecDeque<Replay>,
    heap: usize,
}

impl Replays {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the next one has been begun.
    pub(crate) fn is_begun(&self) -> bool {
        self.waiting
            .front()
            .is_some_and(|replay| replay.rest.is_some())
    }

    /// One more, behind the others.
    pub(crate) fn push(&mut self, replay: Replay) {
        self.heap += replay.memory();
        self.waiting.push_back(replay);
    }

    /// One that has been begun goes on before the others.
    pub(crate) fn push_begun(&mut self, replay: Replay) {
        self.heap += replay.memory();
        self.waiting.push_front(replay);
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<Replay> {
        let replay = self.waiting.pop_front()?;
        self.heap -= replay.memory();
        if self.waiting.is_empty() {
            self.waiting = VecDeque::new();
        }
        Some(replay)
    }

    /// Ends what has been begun for a filter that is no longer subscribed to (MQTT-3.10.4-2). What has not is left out
    /// in its turn.
    pub(crate) fn end(&mut self, filter: &str) {
        let mut begun = self
            .waiting
            .iter()
            .take(limits::REPLAY_QUESTIONS_MAX.into());
        let is_it = |replay: &Replay| replay.rest.is_some() && *replay.filter == *filter;
        if let Some(replay) = begun
            .position(is_it)
            .and_then(|index| self.waiting.remove(index))
        {
            self.heap -= replay.memory();
        }
    }

    /// Bytes of memory beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.waiting.capacity() * size_of::<Replay>() + self.heap
    }
}
