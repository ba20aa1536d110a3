//! A checkpoint of what is written down: how far its images are, and what it waits for (docs/decisions/1110).

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::ids::ShardId;
use crate::limits;
use crate::mqtt::message::Message;

/// How far the checkpoints of a shard are: the number of the last one, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckpointProgress {
    /// Which has begun.
    pub begun: u64,
    /// Of which all images are written.
    pub imaged: u64,
    /// Which is complete: nothing of what was written before it began is needed any more.
    pub complete: u64,
}

/// What images are written of next, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// This shared subscription that the shard owns.
    Groups(u32),
    /// This session.
    Sessions(u32),
    /// The retained message of this slot.
    Retained(u32),
}

/// The numbers under which messages in flight were written, by where they lie.
#[derive(Default)]
pub(super) struct Numbers {
    /// What is referred to weakly keeps its place, so that no other message comes to lie there.
    known: HashMap<usize, (Weak<Message>, u64), FixedState>,
}

impl Numbers {
    /// That of a message.
    pub(super) fn get(&self, message: &Arc<Message>) -> Option<u64> {
        let known = self.known.get(&(Arc::as_ptr(message) as usize));
        known.map(|&(_, number)| number)
    }

    /// Whether one more can be noted.
    pub(super) fn has_room(&self) -> bool {
        self.known.len() < limits::CHECKPOINT_NUMBERS_MAX
    }

    /// A message was written under this number.
    pub(super) fn note(&mut self, message: &Arc<Message>, number: u64) {
        if self.has_room() {
            let place = Arc::as_ptr(message) as usize;
            self.known.insert(place, (Arc::downgrade(message), number));
        }
    }

    /// Bytes of memory beside itself, what is kept of messages that are no more included.
    fn memory(&self) -> usize {
        self.known.allocation_size() + self.known.len() * size_of::<Message>()
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Checkpoint {
    progress: CheckpointProgress,
    /// While images are written.
    pub stage: Option<Stage>,
    /// By shard: the number of its last checkpoint of which all that it had sent before has been handled here.
    markers: Box<[u64]>,
    /// So many messages that were kept here to be gone on with have to be gone on with.
    own_due: u64,
    /// The order of the last frame that was sent before.
    pub last_order: u64,
    pub numbers: Numbers,
    /// The turns of slices that are not durable.
    slices: VecDeque<u64>,
    /// Bytes of images in a turn.
    slice_bytes: u64,
}

impl Checkpoint {
    /// Of one of so many shards.
    pub(super) fn new(shards: u8) -> Self {
        Checkpoint {
            markers: vec![0; usize::from(shards)].into(),
            slice_bytes: limits::CHECKPOINT_SLICE_BYTES,
            ..Checkpoint::default()
        }
    }

    pub(super) fn progress(&self) -> CheckpointProgress {
        self.progress
    }

    /// Whether one is under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.progress.complete < self.progress.begun
    }

    /// One begins, when so many messages of the shard's own are kept to be gone on with. Returns its number.
    pub(super) fn begin(&mut self, own_due: u64, last_order: u64) -> u64 {
        self.progress.begun += 1;
        self.stage = Some(Stage::Groups(0));
        (self.own_due, self.last_order) = (own_due, last_order);
        self.progress.begun
    }

    /// Whether images are to be written in this turn: as long as what was written of them becomes durable.
    #[inline]
    pub(super) fn is_writing(&self) -> bool {
        self.stage.is_some() && self.slices.len() < limits::CHECKPOINT_SLICES_AHEAD
    }

    /// Bytes of images that are written in a turn.
    pub(super) fn slice_bytes(&self) -> u64 {
        self.slice_bytes
    }

    /// The same, from here on.
    #[cfg(test)]
    pub(super) fn set_slice_bytes(&mut self, bytes: u64) {
        self.slice_bytes = bytes;
    }

    /// A slice of images belongs to this turn.
    pub(super) fn note_slice(&mut self, turn: u64) {
        self.slices.push_back(turn);
    }

    /// All turns up to this one are durable.
    pub(super) fn note_durable(&mut self, turn: u64) {
        while self.slices.front().is_some_and(|&slice| slice <= turn) {
            self.slices.pop_front();
        }
    }

    /// All images are written.
    pub(super) fn end_images(&mut self) {
        self.progress.imaged = self.progress.begun;
        self.stage = None;
        self.numbers = Numbers::default();
    }

    /// All that another shard had sent before it began its checkpoint of this number has been handled.
    pub(super) fn note_marker(&mut self, from: ShardId, number: u64) {
        self.markers[from.index()] = number;
    }

    /// Whether nothing of what was written before it began is needed any more, once this turn has ended. So many messages of the shard's
    /// own have been gone on with.
    pub(super) fn is_settled(&self, own: ShardId, gone_on: u64) -> bool {
        let CheckpointProgress { begun, imaged, .. } = self.progress;
        let has_marker = |(from, &marker): (usize, &u64)| from == own.index() || marker >= begun;
        self.is_under_way()
            && imaged == begun
            && gone_on >= self.own_due
            && self.markers.iter().enumerate().all(has_marker)
    }

    /// It is complete.
    pub(super) fn complete(&mut self) {
        self.progress.complete = self.progress.begun;
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.numbers.memory() + self.slices.capacity() * size_of::<u64>()
    }
}
