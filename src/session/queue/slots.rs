//! What waits for a session of which newer messages replace older ones (`slow_consumer_policy latest`): a slot for each, by its
//! place, and which place each topic has.
//!
//! One that is taken out from between others leaves a gap, so that all that is known of places stays true. Gaps are closed when they
//! are as many as messages.

use std::collections::VecDeque;
use std::num::NonZeroU64;

use super::latest::Latest;
use super::replayed::Replayed;
use crate::limits;
use crate::session::backlog::Backlog;
use crate::session::delivery::{Origin, Way};

/// A message, by its position in the shard's list, and how it is delivered.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// The position and one, which leaves room to say that there is none.
    next: NonZeroU64,
    pub(super) way: Way,
}

impl Slot {
    pub(super) fn new(position: u64, way: Way) -> Slot {
        let next = NonZeroU64::MIN.saturating_add(position);
        Slot { next, way }
    }

    /// Its position in the shard's list.
    pub(super) fn position(self) -> u64 {
        self.next.get() - 1
    }
}

/// See the module. The place of a message counts all that were ever put at the end before it.
pub(super) struct Slots {
    /// The first is no gap.
    kept: VecDeque<Option<Slot>>,
    gaps: usize,
    /// The place of the first one.
    first: u64,
    /// Those before this place were offered by other rules than hold now.
    doubted: u64,
    latest: Latest,
}

impl Slots {
    /// With those that waited so far, of which so many in front were offered by other rules.
    pub(super) fn new(first: u64, all: impl Iterator<Item = Slot>, doubted: u32) -> Slots {
        Slots {
            kept: all.map(Some).collect(),
            gaps: 0,
            first,
            doubted: first + u64::from(doubted),
            latest: Latest::default(),
        }
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.kept.capacity() * size_of::<Option<Slot>>() + self.latest.memory()
    }

    /// The place of the first one.
    #[inline]
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The place of the next one that is put.
    pub(super) fn end(&self) -> u64 {
        self.first + self.kept.len() as u64
    }

    /// How many in front were offered by other rules; the gaps between them count.
    pub(super) fn doubted(&self) -> u64 {
        self.doubted.saturating_sub(self.first)
    }

    /// Other rules hold from here on than those by which all of these were offered.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.end();
    }

    /// All of them, in their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.kept.iter().flatten().copied()
    }

    /// The same, with their places.
    pub(super) fn placed(&self) -> impl Iterator<Item = (u64, Slot)> {
        let places = (self.first..).zip(&self.kept);
        places.filter_map(|(place, slot)| Some((place, (*slot)?)))
    }

    /// The first one.
    #[inline]
    pub(super) fn front(&self) -> Option<Slot> {
        *self.kept.front()?
    }

    /// Puts one at the end.
    pub(super) fn push(&mut self, slot: Slot, topic: &str) {
        if slot.way.origin == Origin::ORDINARY {
            self.latest.put(topic, slot.way.grant, self.end());
        }
        self.kept.push_back(Some(slot));
    }

    /// Takes the first one, of this topic.
    pub(super) fn pop(&mut self, topic: &str) {
        if let Some(Some(slot)) = self.kept.pop_front() {
            self.latest.leave(topic, slot.way.grant, self.first);
            self.first += 1;
            self.trim();
        }
    }

    /// Takes gaps from the front, and the memory of a queue that was much longer: it weighs, and who comes down to a share would
    /// lose messages for it.
    fn trim(&mut self) {
        while let Some(None) = self.kept.front() {
            self.kept.pop_front();
            self.first += 1;
            self.gaps -= 1;
        }
        let (len, capacity) = (self.kept.len(), self.kept.capacity());
        if capacity > limits::QUEUE_CAPACITY_KEPT && len < capacity / 4 {
            self.kept.shrink_to(2 * len);
        }
    }

    /// The one at this place.
    pub(super) fn get(&self, place: u64) -> Option<Slot> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        *self.kept.get(index)?
    }

    fn place_of(&mut self, place: u64) -> Option<&mut Option<Slot>> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.kept.get_mut(index)
    }

    /// Puts one into the place of an older one of its topic and subscription.
    pub(super) fn replace(&mut self, place: u64, slot: Slot) -> Option<Slot> {
        self.place_of(place)?.replace(slot)
    }

    /// Takes out the one at this place, which is of this topic. Whether there are so many gaps now that they should be closed: there
    /// have been as many takes since the last time as are looked at then.
    pub(super) fn take(&mut self, place: u64, topic: &str) -> Option<(Slot, bool)> {
        let slot = self.place_of(place)?.take()?;
        self.gaps += 1;
        self.latest.leave(topic, slot.way.grant, place);
        self.trim();
        Some((slot, self.gaps > self.kept.len() / 2))
    }

    /// Takes out those for which this holds.
    pub(super) fn take_all(
        &mut self,
        replayed: &mut Replayed,
        is_taken: impl Fn(Slot) -> bool,
    ) -> Vec<Slot> {
        let mut taken = Vec::new();
        for place in &mut self.kept {
            if place.is_some_and(&is_taken) {
                taken.extend(place.take());
                self.gaps += 1;
            }
        }
        if !taken.is_empty() {
            self.close_gaps(replayed);
        }
        taken
    }

    /// Gives all of them places without a gap. Which place each topic has is to be noted anew.
    pub(super) fn close_gaps(&mut self, replayed: &mut Replayed) {
        let old = std::mem::take(&mut self.kept);
        replayed.close_gaps(self.first, old.iter().map(Option::is_some));
        let doubted = old.iter().take(self.doubted() as usize);
        self.doubted = self.first + doubted.flatten().count() as u64;
        self.kept.reserve_exact(old.len() - self.gaps);
        self.kept.extend(old.into_iter().filter(Option::is_some));
        self.gaps = 0;
    }

    /// Notes all places anew.
    pub(super) fn index(&mut self, backlog: &Backlog, replayed: &Replayed) {
        let mut latest = std::mem::take(&mut self.latest);
        latest.clear();
        for (place, slot) in self.placed() {
            if slot.way.origin == Origin::ORDINARY
                && let Some(message) = backlog.get(slot.position())
            {
                let topic = &message.topic;
                let is_older = |known| self.is_of(backlog, known, topic, slot.way);
                latest.put_newest(topic, slot.way.grant, place, is_older);
            }
        }
        self.latest = latest;
        for (number, retained) in replayed.iter() {
            self.latest.put_retained(&retained.message.topic, number);
        }
    }

    /// A retained message of this topic waits, with this number.
    pub(super) fn put_retained(&mut self, topic: &str, number: u64) {
        self.latest.put_retained(topic, number);
    }

    /// The retained message with this number has left.
    pub(super) fn leave_retained(&mut self, topic: &str, number: u64) {
        self.latest.leave_retained(topic, number);
    }

    /// Whether the message at this place is of this topic and of the same subscription.
    fn is_of(&self, backlog: &Backlog, place: u64, topic: &str, way: Way) -> bool {
        self.get(place).is_some_and(|known| {
            let message = backlog.get(known.position());
            known.way.grant.id() == way.grant.id()
                && message.is_some_and(|message| *message.topic == *topic)
        })
    }

    /// The place of the newest message whose place one of this topic may take: of the same topic, and by the same subscription. With
    /// what QoS and which flags does not matter: beside one that waits with others the new one would be out of its order.
    pub(super) fn older(&self, backlog: &Backlog, topic: &str, way: Way) -> Option<u64> {
        if way.origin != Origin::ORDINARY {
            return None;
        }
        let is_it = |place| self.is_of(backlog, place, topic, way);
        self.latest.find(topic, way.grant, is_it)
    }

    /// Whether a retained message of this topic waits behind this place: it would come after a newer one.
    pub(super) fn is_retained_behind(&self, replayed: &Replayed, place: u64, topic: &str) -> bool {
        self.latest.has_retained(topic, |number| {
            let known = replayed.get(number);
            known.is_some_and(|known| known.before > place && *known.message.topic == *topic)
        })
    }
}
