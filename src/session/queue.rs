//! What waits for a client, in the order in which it came (MQTT-4.6.0-6).
//!
//! The messages lie in the shard's list (`backlog.rs`), and a queue refers to them: by runs of their positions (`runs`), or one by
//! one where newer messages replace older ones (`slots`). Retained messages of a replay stand in a queue of their own, each with the
//! place before which it is sent (`replayed`): so the oldest of the others, which give way first, are found without a look at them.
//!
//! Invariants: each position that is referred to counts in the list; `held_bytes`, `bytes`, `kept` and `qos0` are the sums over what
//! waits; there are no runs while there are slots.

mod dropped;
mod latest;
mod replace;
mod replayed;
mod runs;
mod slots;
mod walk;

use std::sync::Arc;

use self::dropped::Dropped;
use self::replayed::{Replayed, Retained};
use self::runs::Runs;
use self::slots::{Slot, Slots};
pub(crate) use self::walk::Waiting;
use super::backlog::Backlog;
use super::bounds::Bounds;
use super::delivery::{Delivery, Origin, Way};
use crate::mqtt::message::Message;

/// Whether a message found a place in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    /// It did.
    Yes,
    /// It took the place of this older one of its topic.
    Replaced(Delivery),
    /// A bound was reached.
    Full,
}

/// See the module. As small as can be: a hundred thousand sessions that are away have one.
#[derive(Default)]
pub(crate) struct Queue {
    runs: Runs,
    /// What the messages cost that wait.
    held_bytes: u64,
    /// Payload bytes of what waits, retained messages apart: those are references to what is kept anyway.
    bytes: u64,
    /// What few queues have.
    rare: Option<Box<Rare>>,
    /// Messages that wait, retained ones apart.
    kept: u32,
    /// QoS 0 messages among them: later ones wait behind them.
    qos0: u32,
    /// So many in front were offered by other rules than hold now; of slots their own says it.
    doubted: u32,
    /// Bytes of memory that have been charged to the account.
    charged: u32,
}

#[derive(Default)]
struct Rare {
    /// The place of what is next but for retained messages; of slots their own says it.
    first: u64,
    replayed: Replayed,
    /// What waits, in the place of runs, if newer messages replace older ones.
    slots: Option<Slots>,
    /// Messages that were dropped for want of room.
    dropped: Option<Box<Dropped>>,
}

impl Rare {
    /// The place of what is next but for retained messages.
    fn first(&self) -> u64 {
        self.slots.as_ref().map_or(self.first, Slots::first)
    }

    fn memory(&self) -> usize {
        size_of::<Self>()
            + self.replayed.memory()
            + self.slots.as_ref().map_or(0, Slots::memory)
            + self.dropped.as_ref().map_or(0, |_| size_of::<Dropped>())
    }
}

impl Queue {
    /// How many messages wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.kept as usize + self.replaying()
    }

    /// Whether none waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Retained messages that wait: they do not count towards the bound on messages, because they are fetched a page at a time,
    /// and keep QoS 0 messages behind them.
    #[inline]
    pub(crate) fn replaying(&self) -> usize {
        self.rare.as_ref().map_or(0, |rare| rare.replayed.len())
    }

    /// Whether QoS 0 messages have to wait: behind retained ones, or behind other QoS 0 messages that do.
    #[inline]
    pub(crate) fn holds_qos0(&self) -> bool {
        self.replaying() > 0 || self.qos0 > 0
    }

    /// Payload bytes of the messages that wait, those of a replay apart.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of memory, its own included, without the messages and the shard's list of them.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        let rare = self.rare.as_ref().map_or(0, |rare| rare.memory());
        size_of::<Self>() + self.runs.memory() + rare
    }

    /// Whether other memory is used than has been charged.
    #[inline]
    pub(crate) fn is_uncharged(&self) -> bool {
        self.memory() != self.charged()
    }

    /// Notes that what is used now has been charged; returns what was before.
    pub(crate) fn charge(&mut self) -> usize {
        let memory = u32::try_from(self.memory()).unwrap_or(u32::MAX);
        std::mem::replace(&mut self.charged, memory) as usize
    }

    /// What has been charged.
    #[inline]
    pub(crate) fn charged(&self) -> usize {
        self.charged as usize
    }

    /// Bytes that are held for the session here: messages, whoever else holds them, and what refers to them.
    #[inline]
    pub(crate) fn weight(&self) -> u64 {
        self.held_bytes + u64::from(self.charged)
    }

    /// Whether a message of so many bytes does not find a place.
    #[inline]
    pub(crate) fn is_full(&self, bytes: u64, bounds: &Bounds) -> bool {
        let is_full = bounds.queued > 0 && self.kept >= bounds.queued;
        is_full || (self.bytes + bytes > bounds.queued_bytes_max() && self.kept > 0)
    }

    /// Puts a message behind the others, or in the place of an older one, if the bounds allow it.
    #[inline]
    pub(crate) fn put(
        &mut self,
        backlog: &mut Backlog,
        message: &Arc<Message>,
        way: Way,
        bounds: &Bounds,
    ) -> Queued {
        if self.rare.is_some() || way.origin == Origin::RETAINED {
            return self.put_rare(backlog, message, way, bounds);
        }
        self.put_run(backlog, message, way, bounds)
    }

    #[inline]
    fn put_run(
        &mut self,
        backlog: &mut Backlog,
        message: &Arc<Message>,
        way: Way,
        bounds: &Bounds,
    ) -> Queued {
        if self.is_full(message.payload.len() as u64, bounds) {
            return Queued::Full;
        }
        self.note_put(message, way);
        self.runs.push(backlog.refer(message), way);
        Queued::Yes
    }

    fn put_rare(
        &mut self,
        backlog: &mut Backlog,
        message: &Arc<Message>,
        way: Way,
        bounds: &Bounds,
    ) -> Queued {
        if way.origin == Origin::RETAINED {
            self.put_retained(backlog, message, way);
            return Queued::Yes;
        }
        match self.slots() {
            Some(_) => self.put_latest(backlog, message, way, bounds),
            None => self.put_run(backlog, message, way, bounds),
        }
    }

    fn put_retained(&mut self, backlog: &mut Backlog, message: &Arc<Message>, way: Way) {
        backlog.note_waits(message);
        self.held_bytes += message.cost() as u64;
        let kept = u64::from(self.kept);
        let rare = self.rare.get_or_insert_default();
        let before = match &rare.slots {
            Some(slots) => slots.end(),
            None => rare.first + kept,
        };
        let place = rare.replayed.push(Retained {
            before,
            way,
            message: message.clone(),
            number: backlog.number(message),
        });
        if let Some(slots) = &mut rare.slots {
            slots.put_retained(&message.topic, place);
        }
    }

    /// A message waits.
    #[inline]
    fn note_put(&mut self, message: &Message, way: Way) {
        self.held_bytes += message.cost() as u64;
        self.bytes += message.payload.len() as u64;
        self.kept += 1;
        self.qos0 += u32::from(way.grant.is_qos0());
    }

    /// A message no longer waits.
    fn note_taken(&mut self, message: &Message, way: Way) {
        self.held_bytes -= message.cost() as u64;
        self.bytes -= message.payload.len() as u64;
        self.kept -= 1;
        self.qos0 -= u32::from(way.grant.is_qos0());
    }

    /// The retained message that is next.
    #[inline]
    fn retained_front(&self) -> Option<&Retained> {
        let rare = self.rare.as_ref()?;
        rare.replayed.front(rare.first())
    }

    /// How what is next in the queue is delivered.
    #[inline]
    pub(crate) fn front(&self) -> Option<Way> {
        if let Some(retained) = self.retained_front() {
            return Some(retained.way);
        }
        match self.slots() {
            Some(slots) => slots.front().map(|slot| slot.way),
            None => self.runs.front().map(|(_, way)| way),
        }
    }

    /// Whether what is next was offered by other rules than hold now.
    #[inline]
    pub(crate) fn has_doubted(&self) -> bool {
        match &self.rare {
            None => self.doubted > 0,
            Some(rare) if self.retained_front().is_some() => rare.replayed.is_front_doubted(),
            Some(rare) => match &rare.slots {
                Some(slots) => slots.doubted() > 0,
                None => self.doubted > 0,
            },
        }
    }

    /// Other rules hold from here on than those by which all of this was offered.
    pub(crate) fn doubt(&mut self) {
        self.doubted = self.kept;
        if let Some(rare) = &mut self.rare {
            rare.replayed.doubt();
            if let Some(slots) = &mut rare.slots {
                slots.doubt();
            }
        }
    }

    /// Takes what is next.
    pub(crate) fn pop(&mut self, backlog: &mut Backlog) -> Option<Delivery> {
        match self.retained_front() {
            Some(_) => self.pop_retained(backlog),
            None => self.pop_oldest(backlog),
        }
    }

    /// Takes the oldest message that waits, but for those of a replay, which are retained whoever waits for them.
    pub(crate) fn pop_oldest(&mut self, backlog: &mut Backlog) -> Option<Delivery> {
        let taken = match self.slots() {
            Some(_) => self.pop_slot(backlog)?,
            None => {
                let (position, way) = self.runs.pop()?;
                self.doubted = self.doubted.saturating_sub(1);
                if let Some(rare) = &mut self.rare {
                    rare.first += 1;
                }
                Delivery::of(backlog.release(position)?, way, position)
            }
        };
        self.note_taken(&taken.message, taken.way());
        Some(taken)
    }

    fn pop_slot(&mut self, backlog: &mut Backlog) -> Option<Delivery> {
        let slots = self.rare.as_mut()?.slots.as_mut()?;
        let slot = slots.front()?;
        let message = backlog.release(slot.position())?;
        slots.pop(&message.topic);
        Some(Delivery::of(message, slot.way, slot.position()))
    }

    fn pop_retained(&mut self, backlog: &mut Backlog) -> Option<Delivery> {
        let rare = self.rare.as_mut()?;
        let (place, retained) = rare.replayed.pop()?;
        let Retained {
            way,
            message,
            number,
            ..
        } = retained;
        if let Some(slots) = &mut rare.slots {
            slots.leave_retained(&message.topic, place);
        }
        backlog.note_waits_no_longer(&message);
        self.held_bytes -= message.cost() as u64;
        self.forget_rare();
        Some(Delivery::of(message, way, number))
    }

    /// Gives up what only few queues have, if this is none of them any more.
    fn forget_rare(&mut self) {
        let is_used =
            |rare: &Rare| rare.replayed.len() > 0 || rare.slots.is_some() || rare.dropped.is_some();
        self.rare = self.rare.take().filter(|rare| is_used(rare));
    }

    /// From here on newer messages replace older ones, or no longer.
    pub(crate) fn set_latest(&mut self, backlog: &Backlog, is_latest: bool) {
        if is_latest == self.slots().is_some() {
            return;
        }
        let runs = std::mem::take(&mut self.runs);
        let rare = self.rare.get_or_insert_default();
        match rare.slots.take() {
            None => {
                let all = runs.iter().flat_map(|run| run.positions());
                let all = all.map(|(position, way)| Slot::new(position, way));
                let mut slots = Slots::new(rare.first, all, self.doubted);
                slots.index(backlog, &rare.replayed);
                rare.slots = Some(slots);
            }
            Some(mut slots) => {
                slots.close_gaps(&mut rare.replayed);
                rare.first = slots.first();
                self.doubted = slots.doubted() as u32;
                for slot in slots.iter() {
                    self.runs.push(slot.position(), slot.way);
                }
                self.forget_rare();
            }
        }
    }

    /// Takes out what waits, with any QoS, for other members of a shared subscription.
    pub(crate) fn take_shared(&mut self, backlog: &mut Backlog) -> Vec<Delivery> {
        let is_others = |way: Way| way.origin.group().is_some();
        let taken = match &mut self.rare {
            Some(rare) if rare.slots.is_some() => rare.take_slots(backlog, is_others),
            _ => self.take_runs(is_others),
        };
        let mut deliveries = Vec::with_capacity(taken.len());
        for slot in taken {
            if let Some(message) = backlog.release(slot.position()) {
                self.note_taken(&message, slot.way);
                deliveries.push(Delivery::of(message, slot.way, slot.position()));
            }
        }
        deliveries
    }

    fn take_runs(&mut self, is_taken: impl Fn(Way) -> bool) -> Vec<Slot> {
        let mut taken = Vec::new();
        if !self.runs.iter().any(|run| is_taken(run.way)) {
            return taken;
        }
        let old = std::mem::take(&mut self.runs);
        let all = || old.iter().flat_map(|run| run.positions());
        if let Some(rare) = &mut self.rare {
            let stays = all().map(|(_, way)| !is_taken(way));
            rare.replayed.close_gaps(rare.first, stays);
        }
        let doubted = all().take(self.doubted as usize);
        self.doubted = doubted.filter(|&(_, way)| !is_taken(way)).count() as u32;
        for (position, way) in all() {
            match is_taken(way) {
                true => taken.push(Slot::new(position, way)),
                false => self.runs.push(position, way),
            }
        }
        taken
    }

    /// The messages that wait here, in no order.
    #[cfg(test)]
    pub(crate) fn iter<'a>(
        &'a self,
        backlog: &'a Backlog,
    ) -> impl Iterator<Item = &'a Arc<Message>> {
        let positions = self.positions().into_iter();
        let kept = positions.filter_map(|position| backlog.get(position));
        kept.chain(self.retained())
    }

    /// The positions that are referred to here.
    #[cfg(test)]
    pub(crate) fn positions(&self) -> Vec<u64> {
        let runs = self.runs.iter().flat_map(|run| run.positions());
        let slots = self.slots().into_iter().flat_map(|slots| slots.iter());
        let runs = runs.map(|(position, _)| position);
        runs.chain(slots.map(|slot| slot.position())).collect()
    }

    /// The retained messages that wait.
    #[cfg(test)]
    pub(crate) fn retained(&self) -> impl Iterator<Item = &Arc<Message>> {
        let replayed = self.rare.iter().flat_map(|rare| rare.replayed.iter());
        replayed.map(|(_, retained)| &retained.message)
    }

    /// A message has been dropped for want of room.
    #[cold]
    pub(crate) fn note_dropped(&mut self, message: &Message) {
        if message.sent.id != 0 {
            let rare = self.rare.get_or_insert_default();
            rare.dropped.get_or_insert_default().note(message);
        }
    }

    /// Whether this message, which is sent again, was dropped.
    pub(crate) fn has_dropped(&self, message: &Message) -> bool {
        let dropped = self.rare.as_ref().and_then(|rare| rare.dropped.as_ref());
        dropped.is_some_and(|dropped| dropped.has(message))
    }
}

impl Rare {
    fn take_slots(&mut self, backlog: &Backlog, is_taken: impl Fn(Way) -> bool) -> Vec<Slot> {
        let Some(slots) = &mut self.slots else {
            return Vec::new();
        };
        let taken = slots.take_all(&mut self.replayed, |slot| is_taken(slot.way));
        if !taken.is_empty() {
            slots.index(backlog, &self.replayed);
        }
        taken
    }
}
