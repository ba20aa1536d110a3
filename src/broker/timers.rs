//! Deadlines of connections and sessions, in ticks of 100 ms: a heap with one live entry per object.
//!
//! An object remembers the tick of its live entry; an entry that comes up with another tick is stale and ignored. So a
//! deadline that moves later (keep alive, with every packet) costs nothing until the old one comes up.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{ConnId, SessionId};
use crate::limits;

/// Milliseconds in a tick.
pub(super) const TICK_MS: u64 = 100;

/// The tick that this moment lies in.
#[inline]
pub(super) fn tick(now_ms: u64) -> u32 {
    (now_ms / TICK_MS) as u32
}

/// The first tick that is not before this moment, so that a deadline is never early.
pub(super) fn tick_after(ms: u64) -> u32 {
    u32::try_from(ms.div_ceil(TICK_MS)).unwrap_or(u32::MAX)
}

/// Whose deadline came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeadlineOf {
    Conn(ConnId),
    Session(SessionId),
}

const SESSION: u32 = 1 << 31;

fn deadline_of(key: u32) -> DeadlineOf {
    if key & SESSION != 0 {
        DeadlineOf::Session(SessionId(key & !SESSION))
    } else {
        DeadlineOf::Conn(ConnId(key))
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(u32, u32)>>,
}

impl Timers {
    /// Adds a deadline; the caller remembers `at` as the owner's live one.
    pub(super) fn add(&mut self, at: u32, of: DeadlineOf) {
        let key = match of {
            DeadlineOf::Conn(conn) => conn.0,
            DeadlineOf::Session(session) => session.0 | SESSION,
        };
        self.heap.push(Reverse((at, key)));
    }

    /// Whether there are so many deadlines that most must be stale: those of owners that have gone, or moved to earlier.
    pub(super) fn is_bloated(&self, owners: usize) -> bool {
        self.heap.len() > 2 * owners + limits::TIMERS_STALE_MIN
    }

    /// Forgets the deadlines that are stale, or there twice.
    pub(super) fn retain(&mut self, is_live: impl Fn(u32, DeadlineOf) -> bool) {
        let mut deadlines = std::mem::take(&mut self.heap).into_vec();
        deadlines.retain(|&Reverse((at, key))| is_live(at, deadline_of(key)));
        deadlines.sort_unstable();
        deadlines.dedup();
        deadlines.shrink_to_fit();
        self.heap = deadlines.into();
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.heap.capacity() * size_of::<Reverse<(u32, u32)>>()
    }

    /// How many deadlines there are, stale ones too.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The next deadline that has come, with its tick.
    pub(super) fn pop(&mut self, now_ms: u64) -> Option<(u32, DeadlineOf)> {
        let &Reverse((at, key)) = self.heap.peek()?;
        if at > tick(now_ms) {
            return None;
        }
        self.heap.pop();
        Some((at, deadline_of(key)))
    }

    /// When the next deadline comes up, in milliseconds.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.heap
            .peek()
            .map(|&Reverse((at, _))| u64::from(at) * TICK_MS)
    }
}

/// When the things of a shard are looked through next, in milliseconds.
#[derive(Default)]
pub(super) struct Sweeps {
    /// Sockets that take nothing, and packets that come too slowly.
    pub sockets_ms: u64,
    /// Retained messages that have expired.
    pub retained_ms: u64,
}
