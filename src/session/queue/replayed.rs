//! Retained messages that wait for a session, in their order. They leave in front only, and stand between the others by places: the
//! place of one of those counts all that were ever put at the end before it.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::mqtt::message::Message;
use crate::session::delivery::Way;

/// One of them.
pub(super) struct Retained {
    /// The place among the others before which it is sent.
    pub(super) before: u64,
    pub(super) way: Way,
    pub(super) message: Arc<Message>,
    /// Its number on this shard.
    pub(super) number: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Replayed {
    queue: VecDeque<Retained>,
    /// The number of the first one.
    first: u64,
    /// So many in front were offered by other rules than hold now.
    doubted: usize,
}

impl Replayed {
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.queue.capacity() * size_of::<Retained>()
    }

    /// One more. Returns its number.
    pub(super) fn push(&mut self, retained: Retained) -> u64 {
        self.queue.push_back(retained);
        self.first + self.queue.len() as u64 - 1
    }

    /// The first one, if it is sent before this place.
    #[inline]
    pub(super) fn front(&self, place: u64) -> Option<&Retained> {
        self.queue
            .front()
            .filter(|retained| retained.before <= place)
    }

    /// Takes the first one, with its number.
    pub(super) fn pop(&mut self) -> Option<(u64, Retained)> {
        let retained = self.queue.pop_front()?;
        let number = self.first;
        self.first += 1;
        self.doubted = self.doubted.saturating_sub(1);
        if self.queue.is_empty() {
            self.queue = VecDeque::new();
        }
        Some((number, retained))
    }

    /// Whether the first one was offered by other rules.
    pub(super) fn is_front_doubted(&self) -> bool {
        self.doubted > 0
    }

    /// Other rules hold from here on than those by which all of these were offered.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.queue.len();
    }

    /// Of the others, which begin with this place, some leave: those that stay have places without a gap from here on.
    pub(super) fn close_gaps(&mut self, first: u64, stays: impl Iterator<Item = bool>) {
        let mut all = self.queue.iter_mut().peekable();
        let mut next = first;
        for (place, stays) in (first..).zip(stays) {
            while let Some(retained) = all.next_if(|retained| retained.before <= place) {
                retained.before = next;
            }
            next += u64::from(stays);
        }
        all.for_each(|retained| retained.before = next);
    }

    /// The one with this number.
    pub(super) fn get(&self, number: u64) -> Option<&Retained> {
        let index = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.queue.get(index)
    }

    /// All of them, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, &Retained)> {
        (self.first..).zip(&self.queue)
    }
}
