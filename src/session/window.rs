//! QoS 1 and 2 messages on their way to a client, by packet identifier, in the order in which they were first sent.
//!
//! A session has two windows: one for identifiers of its own (1 to 32,767), one for those that many sessions of the
//! shard share because they share the bytes (32,768 to 65,535; design, chapter 4). Both hand out identifiers in
//! ascending order, modulo their number, so an identifier is found by its distance from the oldest one.
//!
//! ```text
//!             QoS 1                                   QoS 2
//!   sent ──▶ Puback ──PUBACK──▶ gone      sent ──▶ Pubrec ──PUBREC──▶ Pubcomp ──PUBCOMP──▶ gone
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use super::Origin;
use crate::mqtt::message::Message;

/// Set in the packet identifiers that sessions share.
pub const SHARED_ID_BIT: u16 = 0x8000;

/// How many shared identifiers there are, and how many private ones may be out at once plus one.
pub const SHARED_IDS: u64 = 0x8000;

/// What an identifier waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Progress {
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
pub struct InFlight {
    /// When it was first sent, by the shard's count of such frames.
    pub order: u64,
    /// The message, where it may have to be sent again; gone after PUBREC.
    pub message: Option<Arc<Message>>,
    /// Where it came from, if from a shared subscription.
    pub origin: Origin,
    /// RETAIN flag and subscription identifier, as in `Delivery::bits`.
    pub bits: u32,
    /// Its packet identifier.
    pub id: u16,
    /// What it waits for.
    pub progress: Progress,
}

/// See the module.
#[derive(Default)]
pub struct Window {
    entries: VecDeque<InFlight>,
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
pub fn next_private(id: u16) -> u16 {
    if id >= MODULUS_PRIVATE { 1 } else { id + 1 }
}

impl Window {
    /// How many are in flight.
    pub fn len(&self) -> usize {
        self.live as usize
    }

    /// Places, of messages that are done too.
    #[cfg(test)]
    pub fn places(&self) -> usize {
        self.entries.len()
    }

    /// Bytes of memory, without the messages.
    #[inline]
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<InFlight>()
    }

    /// Whether none is in flight.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// Whether this identifier can be added: it is further from the oldest than every other.
    pub fn admits(&self, id: u16, order: u64) -> bool {
        match (self.entries.front(), self.entries.back()) {
            (Some(front), Some(back)) if id & SHARED_ID_BIT != 0 => {
                order > back.order && order - front.order < SHARED_IDS
            }
            (Some(front), Some(back)) => distance(front.id, id) > distance(front.id, back.id),
            _ => true,
        }
    }

    /// Adds one that has just been sent; `admits` must hold.
    #[inline]
    pub fn push(&mut self, entry: InFlight) {
        debug_assert!(self.admits(entry.id, entry.order));
        self.entries.push_back(entry);
        self.live += 1;
    }

    fn find(&mut self, id: u16) -> Option<usize> {
        let front = self.entries.front()?.id;
        if front == id {
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
    pub fn get_mut(&mut self, id: u16) -> Option<&mut InFlight> {
        let index = self.find(id)?;
        self.entries
            .get_mut(index)
            .filter(|entry| entry.progress != Progress::Done)
    }

    /// Takes out the message with this identifier.
    #[inline]
    pub fn remove(&mut self, id: u16) -> Option<InFlight> {
        let index = self.find(id)?;
        let entry = self.entries.get_mut(index)?;
        if entry.progress == Progress::Done {
            return None;
        }
        self.live -= 1;
        if index == 0 {
            let entry = self.entries.pop_front();
            while self
                .entries
                .front()
                .is_some_and(|front| front.progress == Progress::Done)
            {
                self.entries.pop_front();
            }
            return entry;
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
        }
        Some(taken)
    }

    /// All that are in flight, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &InFlight> {
        self.entries
            .iter()
            .filter(|entry| entry.progress != Progress::Done)
    }
}
