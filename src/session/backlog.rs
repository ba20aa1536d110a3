//! The messages that wait on a shard: each once, however many sessions it waits for.
//!
//! A message has a *position*. Messages that begin to wait one after the other have positions one after the other, so that what
//! waits for a session is a few runs of positions (`queue/runs.rs`). Each position counts how often it is referred to, and its
//! message goes with the last reference, wherever it stands. Positions lie in chunks; one in which few messages are left keeps no
//! more than those. So who never comes back keeps what waits for it, and nothing of others.
//!
//! It also knows by how much what waits has become more or less since that was charged: a message that waits anywhere counts once.
//!
//! Invariants: a message is there as long as its position is referred to; a position is never given twice; `heap` is the memory of
//! the chunks.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use crate::limits::BACKLOG_CHUNK;
use crate::mqtt::message::Message;

/// A place in the list.
#[derive(Debug)]
struct Slot {
    /// Gone when nobody refers to it any more.
    message: Option<Arc<Message>>,
    references: u32,
    /// Its place in the chunk, of which slots may be gone.
    offset: u32,
}

/// Some positions that follow each other.
#[derive(Debug, Default)]
struct Chunk {
    /// By their offset. One that is gone was not referred to.
    slots: Vec<Slot>,
    /// Slots with a message.
    live: usize,
}

/// Bytes that a chunk takes in the tree of chunks, whose nodes are half full at least.
const CHUNK_PLACE: usize = 2 * size_of::<(u64, Chunk)>();

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    /// The chunk that is being filled: its slots are all there.
    open: Chunk,
    /// The number of that chunk.
    number: u64,
    /// Those before it that have a message.
    full: BTreeMap<u64, Chunk>,
    heap: usize,
    owed: i64,
    /// The message that was given a number last without waiting, and its number.
    at_hand: (Weak<Message>, u64),
}

impl Chunk {
    fn memory(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    /// Where the slot with this offset is.
    #[inline]
    fn index(&self, offset: u32) -> Option<usize> {
        let index = offset as usize;
        match self.slots.get(index) {
            Some(slot) if slot.offset == offset => Some(index),
            _ => (self.slots)
                .binary_search_by_key(&offset, |slot| slot.offset)
                .ok(),
        }
    }

    /// One reference fewer. Returns the message, and whether that was the last.
    fn release(&mut self, offset: u32) -> Option<(Arc<Message>, bool)> {
        let index = self.index(offset)?;
        let slot = self.slots.get_mut(index)?;
        slot.references = slot.references.saturating_sub(1);
        if slot.references > 0 {
            return slot.message.clone().map(|message| (message, false));
        }
        let message = slot.message.take()?;
        self.live -= 1;
        Some((message, true))
    }

    /// Whether so few messages are left that the others' slots should go.
    fn is_thin(&self) -> bool {
        4 * self.live <= self.slots.len()
    }

    /// Keeps the slots with a message only.
    fn shrink(&mut self) {
        self.slots.retain(|slot| slot.message.is_some());
        self.slots.shrink_to_fit();
    }
}

impl Backlog {
    /// One more reference to a message, which waits from here on if it did not. Returns its position.
    #[inline]
    pub(super) fn refer(&mut self, message: &Arc<Message>) -> u64 {
        if let Some(last) = self.open.slots.last_mut()
            && let Some(known) = &last.message
            && Arc::ptr_eq(known, message)
            && last.references < u32::MAX
        {
            last.references += 1;
            return self.number * BACKLOG_CHUNK + u64::from(last.offset);
        }
        self.refer_at_hand(message)
            .unwrap_or_else(|| self.append(message))
    }

    /// The same for a message that has a number and did not wait so far.
    fn refer_at_hand(&mut self, message: &Arc<Message>) -> Option<u64> {
        if !self.is_at_hand(message) {
            return None;
        }
        let position = self.at_hand.1;
        let last = self.open.slots.last_mut()?;
        if last.message.is_some() {
            return None;
        }
        (last.message, last.references) = (Some(message.clone()), 1);
        self.open.live += 1;
        self.note_waits(message);
        Some(position)
    }

    fn append(&mut self, message: &Arc<Message>) -> u64 {
        self.note_waits(message);
        let position = self.push(Some(message.clone()), 1);
        self.open.live += 1;
        position
    }

    fn push(&mut self, message: Option<Arc<Message>>, references: u32) -> u64 {
        if self.open.slots.len() as u64 == BACKLOG_CHUNK {
            self.close();
        }
        let offset = self.open.slots.len() as u32;
        let before = self.open.memory();
        self.open.slots.push(Slot {
            message,
            references,
            offset,
        });
        self.note_memory(before, self.open.memory());
        self.number * BACKLOG_CHUNK + u64::from(offset)
    }

    /// The number of a message, for who writes it down: its position, if it was the last to be given one; else it takes the next,
    /// whether it waits or not. So the message at hand has one number, and one that comes back later has another.
    pub(crate) fn number(&mut self, message: &Arc<Message>) -> u64 {
        if let Some(last) = self.open.slots.last()
            && let Some(known) = &last.message
            && Arc::ptr_eq(known, message)
        {
            return self.number * BACKLOG_CHUNK + u64::from(last.offset);
        }
        if !self.is_at_hand(message) {
            let position = self.push(None, 0);
            self.at_hand = (Arc::downgrade(message), position);
        }
        self.at_hand.1
    }

    /// Whether this message was given the last number, without waiting.
    fn is_at_hand(&self, message: &Arc<Message>) -> bool {
        let (known, position) = &self.at_hand;
        let last = self.open.slots.last();
        known.as_ptr() == Arc::as_ptr(message)
            && last.is_some_and(|last| self.position(last) == *position)
    }

    fn position(&self, slot: &Slot) -> u64 {
        self.number * BACKLOG_CHUNK + u64::from(slot.offset)
    }

    /// The chunk at hand is full: another one begins.
    fn close(&mut self) {
        match self.open.live {
            0 => self.open.slots.clear(),
            _ => {
                let mut chunk = std::mem::take(&mut self.open);
                let before = chunk.memory();
                if chunk.is_thin() {
                    chunk.shrink();
                }
                self.note_memory(before, chunk.memory() + CHUNK_PLACE);
                self.full.insert(self.number, chunk);
            }
        }
        self.number += 1;
    }

    /// One reference fewer to a position. Returns the message, which may be gone from here.
    pub(super) fn release(&mut self, position: u64) -> Option<Arc<Message>> {
        let number = position / BACKLOG_CHUNK;
        let offset = (position % BACKLOG_CHUNK) as u32;
        if number == self.number {
            let (message, is_last) = self.open.release(offset)?;
            if is_last {
                self.note_waits_no_longer(&message);
            }
            return Some(message);
        }
        let chunk = self.full.get_mut(&number)?;
        let (message, is_last) = chunk.release(offset)?;
        if !is_last {
            return Some(message);
        }
        let before = chunk.memory();
        if chunk.live == 0 {
            self.full.remove(&number);
            self.note_memory(before + CHUNK_PLACE, 0);
        } else if chunk.is_thin() {
            chunk.shrink();
            let after = chunk.memory();
            self.note_memory(before, after);
        }
        self.note_waits_no_longer(&message);
        Some(message)
    }

    /// The message at a position that is referred to.
    pub(crate) fn get(&self, position: u64) -> Option<&Arc<Message>> {
        let number = position / BACKLOG_CHUNK;
        let chunk = match number == self.number {
            true => &self.open,
            false => self.full.get(&number)?,
        };
        let index = chunk.index((position % BACKLOG_CHUNK) as u32)?;
        chunk.slots.get(index)?.message.as_ref()
    }

    /// A message waits from here on, at a position or as one of a replay.
    pub(super) fn note_waits(&mut self, message: &Message) {
        if message.holders.enter() {
            self.owed += message.cost() as i64;
        }
    }

    /// It waits there no longer.
    pub(super) fn note_waits_no_longer(&mut self, message: &Message) {
        if message.holders.leave() {
            self.owed -= message.cost() as i64;
        }
    }

    fn note_memory(&mut self, before: usize, after: usize) {
        self.heap = self.heap - before + after;
        self.owed += after as i64 - before as i64;
    }

    /// Bytes by which what waits, and the list itself, have become more since this was asked last; below zero by which less.
    #[inline]
    pub(crate) fn take_owed(&mut self) -> i64 {
        std::mem::take(&mut self.owed)
    }

    /// Bytes of memory beside itself, without the messages.
    #[cfg(test)]
    pub(crate) fn memory(&self) -> usize {
        self.heap
    }

    /// What is referred to, and how often.
    #[cfg(test)]
    pub(crate) fn references(&self) -> impl Iterator<Item = (u64, u32)> {
        let chunks = self.full.iter().chain([(&self.number, &self.open)]);
        chunks.flat_map(|(&number, chunk)| {
            let live = chunk.slots.iter().filter(|slot| slot.message.is_some());
            live.map(move |slot| {
                let position = number * BACKLOG_CHUNK + u64::from(slot.offset);
                (position, slot.references)
            })
        })
    }

    /// The same as `memory`, counted anew.
    #[cfg(test)]
    pub(crate) fn counted(&self) -> usize {
        let full = self.full.values();
        let full = full.map(|chunk| chunk.memory() + CHUNK_PLACE);
        self.open.memory() + full.sum::<usize>()
    }
}
