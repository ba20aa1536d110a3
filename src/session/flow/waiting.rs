//! What waits its turn, in the order in which it came.
//!
//! Retained messages of a replay stand in a queue of their own, each with the place before which it is sent. So the oldest of the
//! others, which give way first, are found without a look at retained ones; and whichever is taken out from between others
//! leaves a gap: all that is known of places stays true.

use std::collections::VecDeque;

use crate::limits;
use crate::mqtt::message::Message;
use crate::session::delivery::{Delivery, Origin};
use crate::session::latest::Latest;

/// See the module. The place of a message counts all that were ever put at the end before it.
#[derive(Default)]
pub(super) struct Waiting {
    /// All but retained messages; the first is no gap.
    kept: VecDeque<Option<Delivery>>,
    gaps: usize,
    /// The place of the first one.
    first: u64,
    /// Those before this place were offered by other rules than hold now.
    doubted: u64,
    /// Retained messages; absent while there are none.
    replayed: Option<Box<Replayed>>,
    /// Where each topic waits, if newer messages replace older ones.
    latest: Option<Box<Latest>>,
}

/// Retained messages that wait, in their order. They leave in front only.
#[derive(Default)]
struct Replayed {
    queue: VecDeque<Retained>,
    /// The number of the first one.
    first: u64,
    /// So many in front were offered by other rules.
    doubted: usize,
}

struct Retained {
    /// The place among the others before which it is sent.
    before: u64,
    delivery: Delivery,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.kept() + self.replaying()
    }

    /// How many wait but for retained ones.
    pub(super) fn kept(&self) -> usize {
        self.kept.len() - self.gaps
    }

    /// How many retained ones wait.
    #[inline]
    pub(super) fn replaying(&self) -> usize {
        let replayed = self.replayed.as_ref();
        replayed.map_or(0, |replayed| replayed.queue.len())
    }

    /// Bytes of memory beside itself, without the messages.
    #[inline]
    pub(super) fn memory(&self) -> usize {
        let replayed = self.replayed.as_ref().map_or(0, |replayed| {
            size_of::<Replayed>() + replayed.queue.capacity() * size_of::<Retained>()
        });
        self.kept.capacity() * size_of::<Option<Delivery>>()
            + replayed
            + self.latest.as_ref().map_or(0, |latest| latest.memory())
    }

    /// All of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Delivery> {
        let replayed = self.replayed.iter().flat_map(|all| all.queue.iter());
        let replayed = replayed.map(|retained| &retained.delivery);
        self.kept.iter().flatten().chain(replayed)
    }

    #[inline]
    fn is_retained_next(&self) -> bool {
        let replayed = self.replayed.as_ref();
        let next = replayed.and_then(|replayed| replayed.queue.front());
        next.is_some_and(|retained| retained.before <= self.first)
    }

    /// What is next.
    #[inline]
    pub(super) fn front(&self) -> Option<&Delivery> {
        match self.is_retained_next() {
            true => self
                .replayed
                .as_ref()?
                .queue
                .front()
                .map(|one| &one.delivery),
            false => self.kept.front()?.as_ref(),
        }
    }

    /// Whether what is next was offered by other rules.
    #[inline]
    pub(super) fn is_front_doubted(&self) -> bool {
        match self.is_retained_next() {
            true => self.replayed.as_ref().is_some_and(|all| all.doubted > 0),
            false => self.first < self.doubted,
        }
    }

    /// Other rules hold from here on than those by which all of this was offered.
    pub(super) fn doubt(&mut self) {
        self.doubted = self.first + self.kept.len() as u64;
        if let Some(replayed) = &mut self.replayed {
            replayed.doubted = replayed.queue.len();
        }
    }

    /// Puts one at the end.
    pub(super) fn push(&mut self, delivery: Delivery) {
        let place = self.first + self.kept.len() as u64;
        if delivery.origin == Origin::RETAINED {
            let replayed = self.replayed.get_or_insert_default();
            if let Some(latest) = &mut self.latest {
                let number = replayed.first + replayed.queue.len() as u64;
                latest.put_retained(&delivery.message.topic, number);
            }
            let before = place;
            replayed.queue.push_back(Retained { before, delivery });
            return;
        }
        if let Some(latest) = &mut self.latest
            && delivery.origin == Origin::ORDINARY
        {
            latest.put(&delivery.message.topic, delivery.grant, place);
        }
        self.kept.push_back(Some(delivery));
    }

    /// Takes what is next.
    pub(super) fn pop(&mut self) -> Option<Delivery> {
        match self.is_retained_next() {
            true => self.pop_retained(),
            false => self.pop_kept(),
        }
    }

    /// Takes the oldest but for retained ones.
    pub(super) fn pop_kept(&mut self) -> Option<Delivery> {
        let delivery = self.kept.pop_front()??;
        if let Some(latest) = &mut self.latest {
            latest.leave(&delivery.message.topic, delivery.grant, self.first);
        }
        self.first += 1;
        self.trim();
        Some(delivery)
    }

    fn pop_retained(&mut self) -> Option<Delivery> {
        let replayed = self.replayed.as_mut()?;
        let retained = replayed.queue.pop_front()?;
        if let Some(latest) = &mut self.latest {
            latest.leave_retained(&retained.delivery.message.topic, replayed.first);
        }
        replayed.first += 1;
        replayed.doubted = replayed.doubted.saturating_sub(1);
        if replayed.queue.is_empty() {
            self.replayed = None;
        }
        Some(retained.delivery)
    }

    /// Takes gaps from the front, and the memory of a queue that was much longer: it weighs, and who comes down to a share would
    /// lose messages for it.
    #[inline]
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
    pub(super) fn get(&self, place: u64) -> Option<&Delivery> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.kept.get(index)?.as_ref()
    }

    fn slot(&mut self, place: u64) -> Option<&mut Option<Delivery>> {
        let index = usize::try_from(place.checked_sub(self.first)?).ok()?;
        self.kept.get_mut(index)
    }

    /// Puts one into the place of an older one of its topic and subscription.
    pub(super) fn replace(&mut self, place: u64, delivery: Delivery) -> Option<Delivery> {
        self.slot(place)?.replace(delivery)
    }

    /// Takes out the one at this place.
    pub(super) fn take(&mut self, place: u64) -> Option<Delivery> {
        let delivery = self.slot(place)?.take()?;
        self.gaps += 1;
        if let Some(latest) = &mut self.latest {
            latest.leave(&delivery.message.topic, delivery.grant, place);
        }
        self.trim();
        // There have been as many takes since the last time as are looked at now.
        if self.gaps > self.kept.len() / 2 {
            self.close_gaps();
        }
        Some(delivery)
    }

    /// Takes out those for which this holds, retained ones apart.
    pub(super) fn take_all(&mut self, is_taken: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for slot in &mut self.kept {
            if slot.as_ref().is_some_and(&is_taken) {
                taken.extend(slot.take());
                self.gaps += 1;
            }
        }
        if !taken.is_empty() {
            self.close_gaps();
        }
        taken
    }

    /// Gives all of them places without a gap.
    fn close_gaps(&mut self) {
        let replayed = self.replayed.iter_mut();
        let mut replayed = replayed.flat_map(|all| all.queue.iter_mut()).peekable();
        let old = std::mem::take(&mut self.kept);
        let (first, doubted) = (self.first, self.doubted);
        self.kept.reserve_exact(old.len() - self.gaps);
        for (place, delivery) in (first..).zip(old) {
            let next = first + self.kept.len() as u64;
            while let Some(retained) = replayed.next_if(|one| one.before <= place) {
                retained.before = next;
            }
            if place == doubted {
                self.doubted = next;
            }
            if delivery.is_some() {
                self.kept.push_back(delivery);
            }
        }
        let end = first + self.kept.len() as u64;
        replayed.for_each(|retained| retained.before = end);
        self.doubted = self.doubted.min(end);
        self.gaps = 0;
        self.index();
    }

    /// From here on newer messages replace older ones, or no longer.
    pub(super) fn set_latest(&mut self, is_latest: bool) {
        if is_latest != self.latest.is_some() {
            self.latest = is_latest.then(Box::default);
            self.index();
        }
    }

    /// Notes all places anew.
    fn index(&mut self) {
        let Some(latest) = &mut self.latest else {
            return;
        };
        latest.clear();
        for (place, delivery) in (self.first..).zip(&self.kept) {
            let ordinary = delivery.as_ref();
            if let Some(one) = ordinary.filter(|one| one.origin == Origin::ORDINARY) {
                latest.put(&one.message.topic, one.grant, place);
            }
        }
        if let Some(replayed) = &self.replayed {
            for (number, retained) in (replayed.first..).zip(&replayed.queue) {
                latest.put_retained(&retained.delivery.message.topic, number);
            }
        }
    }

    /// The place of an older message whose place this one may take: of the same topic, and by the same subscription. With what QoS
    /// and which flags does not matter: beside one that waits with others the new one would be out of its order.
    pub(super) fn older(&self, delivery: &Delivery) -> Option<u64> {
        let latest = self.latest.as_ref()?;
        if delivery.origin != Origin::ORDINARY {
            return None;
        }
        latest.find(&delivery.message.topic, delivery.grant, |place| {
            self.get(place).is_some_and(|known| {
                known.grant.id() == delivery.grant.id()
                    && known.message.topic == delivery.message.topic
            })
        })
    }

    /// Whether a retained message of the same topic waits behind this place: it would come after a newer one.
    pub(super) fn is_retained_behind(&self, place: u64, message: &Message) -> bool {
        let (Some(replayed), Some(latest)) = (&self.replayed, &self.latest) else {
            return false;
        };
        latest.has_retained(&message.topic, |number| {
            let index = (number - replayed.first) as usize;
            let known = replayed.queue.get(index);
            known.is_some_and(|known| {
                known.before > place && known.delivery.message.topic == message.topic
            })
        })
    }
}
