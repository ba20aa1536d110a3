//! QoS 1 and 2 messages on their way to a client, by packet identifier, in the order in which they were first sent.
//!
//! A session has two windows: one for identifiers of its own (1 to 32,767), one for those that many sessions of the
//! shard share because they share the bytes (32,768 to 65,535; docs/decisions/0303). Both hand out identifiers in
//! ascending order, modulo their number, so an identifier is found by its distance from the oldest one.
//!
//! ```text
//!             QoS 1                                   QoS 2
//!   sent ──▶ Puback ──PUBACK──▶ gone      sent ──▶ Pubrec ──PUBREC──▶ Pubcomp ──PUBCOMP──▶ gone
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::delivery::Origin;
use crate::limits;
use crate::mqtt::message::Message;
use crate::prefetch::prefetch_for_write;
use crate::routing::Grant;

/// Set in the packet identifiers that sessions share.
pub(crate) const SHARED_ID_BIT: u16 = 0x8000;

/// How many shared identifiers there are, and how many private ones may be out at once plus one.
pub(crate) const SHARED_IDS: u64 = 0x8000;

/// The identifier that all share who are sent the frame of this order.
#[inline]
pub(crate) const fn shared_id(order: u64) -> u16 {
    SHARED_ID_BIT | (order % SHARED_IDS) as u16
}

/// What an identifier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Progress {
    /// Nothing: it is done, and stays only until those before it are.
    Done = 0,
    /// PUBACK (QoS 1).
    Puback = 1,
    /// PUBREC (QoS 2).
    Pubrec = 2,
    /// PUBCOMP (QoS 2, PUBREL sent).
    Pubcomp = 3,
}

/// One message in flight.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    /// When it was first sent, by the shard's count of such frames.
    pub order: u64,
    /// The message, where it may have to be sent again; gone after PUBREC.
    pub message: Option<Arc<Message>>,
    /// Where it came from, if from a shared subscription.
    pub origin: Origin,
    /// How it is delivered.
    pub grant: Grant,
    /// Its packet identifier.
    pub id: u16,
    /// What it waits for.
    pub progress: Progress,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Window {
    entries: VecDeque<InFlight>,
    /// The oldest, of which all identifiers behind them have been used meanwhile: what others have is found without them, and
    /// theirs are left out when they come round.
    aside: Vec<InFlight>,
    /// Orders of the first and the last entry, and their identifiers, of which the last is needed for each message sent: in
    /// `entries` it has not been touched since the one before, and is in no cache by then (perf/2026-11-28-window).
    first_order: u64,
    last_order: u64,
    first_id: u16,
    last_id: u16,
    live: u32,
}

/// Private identifiers run from 1 to this, shared ones have as many and one more.
const MODULUS_PRIVATE: u16 = 0x7fff;

/// Places without a message that are not looked for.
const DONE_KEPT: usize = 64;

fn distance(from: u16, to: u16) -> u16 {
    if from & SHARED_ID_BIT != 0 {
        to.wrapping_sub(from) & 0x7fff
    } else {
        (to + MODULUS_PRIVATE - from) % MODULUS_PRIVATE
    }
}

/// The private identifier that follows this one.
pub(super) fn next_private(id: u16) -> u16 {
    if id >= MODULUS_PRIVATE { 1 } else { id + 1 }
}

impl Window {
    /// How many are in flight.
    pub(crate) fn len(&self) -> usize {
        self.live as usize
    }

    /// Places, of messages that are done too.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory, without the messages.
    #[inline]
    pub(crate) fn memory(&self) -> usize {
        (self.entries.capacity() + self.aside.capacity()) * size_of::<InFlight>()
    }

    /// Whether this identifier can be added: it is further from the oldest than every other.
    #[inline]
    pub(crate) fn admits(&self, id: u16, order: u64) -> bool {
        debug_assert!(self.knows_its_ends());
        if !self.aside.is_empty() && self.is_aside(id) {
            return false;
        }
        if self.entries.is_empty() {
            return true;
        }
        match id & SHARED_ID_BIT {
            0 => distance(self.first_id, id) > distance(self.first_id, self.last_id),
            _ => order > self.last_order && order - self.first_order < SHARED_IDS,
        }
    }

    /// Whether this identifier belongs to one that has been put aside.
    #[cold]
    pub(crate) fn is_aside(&self, id: u16) -> bool {
        self.aside.iter().any(|entry| entry.id == id)
    }

    /// The oldest.
    pub(crate) fn first(&self) -> Option<&InFlight> {
        self.aside.first().or(self.entries.front())
    }

    /// Whether a shared identifier is so far from the oldest one that it may be that one's.
    pub(crate) fn is_out_of_reach(&self, order: u64) -> bool {
        !self.entries.is_empty() && order.saturating_sub(self.first_order) >= SHARED_IDS
    }

    /// Puts the oldest aside, so that it no longer keeps others from being added. False if it cannot be.
    #[cold]
    pub(crate) fn put_aside(&mut self) -> bool {
        if self.aside.len() >= limits::WINDOW_ASIDE_MAX {
            return false;
        }
        let oldest = self.pop_front();
        let is_there = oldest.is_some();
        self.aside.extend(oldest);
        is_there
    }

    /// Takes the oldest out, and what is done behind it.
    fn pop_front(&mut self) -> Option<InFlight> {
        let entry = self.entries.pop_front();
        while let Some(front) = self.entries.front() {
            (self.first_order, self.first_id) = (front.order, front.id);
            if front.progress != Progress::Done {
                break;
            }
            self.entries.pop_front();
        }
        entry
    }

    fn knows_its_ends(&self) -> bool {
        let first = (self.first_order, self.first_id);
        let last = (self.last_order, self.last_id);
        [(self.entries.front(), first), (self.entries.back(), last)]
            .into_iter()
            .all(|(entry, end)| entry.is_none_or(|entry| (entry.order, entry.id) == end))
    }

    /// Adds one that has just been sent; `admits` must hold.
    #[inline]
    pub(crate) fn push(&mut self, entry: InFlight) {
        debug_assert!(self.admits(entry.id, entry.order));
        if self.entries.is_empty() {
            (self.first_order, self.first_id) = (entry.order, entry.id);
        }
        (self.last_order, self.last_id) = (entry.order, entry.id);
        self.entries.push_back(entry);
        self.live += 1;
        self.prefetch_next();
    }

    /// Asks for the memory of the next entry: by the time it is written, after one for each other session, it is there. Without
    /// that a message to 1000 sessions waits for memory as often (perf/2026-11-28-window).
    #[inline]
    fn prefetch_next(&self) {
        if let Some(back) = self.entries.back() {
            prefetch_for_write(std::ptr::from_ref(back).wrapping_add(1));
        }
    }

    fn find(&mut self, id: u16) -> Option<usize> {
        let front = self.first_id;
        if front == id && !self.entries.is_empty() {
            return Some(0);
        }
        if (front ^ id) & SHARED_ID_BIT != 0 || id == 0 {
            return None;
        }
        let wanted = distance(front, id);
        let index = self
            .entries
            .partition_point(|entry| distance(front, entry.id) < wanted);
        (self.entries.get(index)?.id == id).then_some(index)
    }

    /// The message in flight with this identifier.
    pub(crate) fn get_mut(&mut self, id: u16) -> Option<&mut InFlight> {
        if !self.aside.is_empty() && self.is_aside(id) {
            return self.aside.iter_mut().find(|entry| entry.id == id);
        }
        let index = self.find(id)?;
        self.entries
            .get_mut(index)
            .filter(|entry| entry.progress != Progress::Done)
    }

    /// Takes out the message with this identifier.
    #[inline]
    pub(crate) fn remove(&mut self, id: u16) -> Option<InFlight> {
        if let Some(index) = self.aside.iter().position(|entry| entry.id == id) {
            self.live -= 1;
            return Some(self.aside.remove(index));
        }
        let index = self.find(id)?;
        let entry = self.entries.get_mut(index)?;
        if entry.progress == Progress::Done {
            return None;
        }
        self.live -= 1;
        if index == 0 {
            return self.pop_front();
        }
        let taken = InFlight {
            message: entry.message.take(),
            ..entry.clone()
        };
        entry.progress = Progress::Done;
        if self.entries.len() > 2 * self.live as usize + DONE_KEPT {
            // The oldest is slow: the others must not leave a place each behind it.
            self.entries
                .retain(|entry| entry.progress != Progress::Done);
            self.entries.shrink_to(2 * self.entries.len());
            if let Some(back) = self.entries.back() {
                (self.last_order, self.last_id) = (back.order, back.id);
            }
        }
        debug_assert!(self.knows_its_ends());
        Some(taken)
    }

    /// Takes out the message with this identifier, if it waits for that; else tells what it waits for, if it is there.
    #[inline]
    pub(crate) fn take(&mut self, id: u16, due: Progress) -> Result<InFlight, Option<Progress>> {
        let is_first = self.aside.is_empty()
            && self.first_id == id
            && self
                .entries
                .front()
                .is_some_and(|front| front.progress == due);
        if is_first {
            self.live -= 1;
            return self.pop_front().ok_or(None);
        }
        match self.get_mut(id).map(|entry| entry.progress) {
            Some(progress) if progress == due => self.remove(id).ok_or(None),
            other => Err(other),
        }
    }

    /// All that are in flight, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &InFlight> {
        let others = self.entries.iter();
        let others = others.filter(|entry| entry.progress != Progress::Done);
        self.aside.iter().chain(others)
    }
}
