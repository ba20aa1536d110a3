//! How much memory messages may have while they are read, and how much they have.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of messages that reading may hold, as a queue is charged for them (`Message::cost`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Of those that wait for sessions, are in flight to them, or are on their way between shards.
    pub sessions: u64,
    /// Of those that are retained.
    pub retained: u64,
}

impl Room {
    /// For all there is.
    pub const UNBOUNDED: Room = Room {
        sessions: u64::MAX,
        retained: u64::MAX,
    };

    /// All together.
    pub fn bytes(self) -> u64 {
        self.sessions.saturating_add(self.retained)
    }
}

/// What a message is needed for at the end of reading: of several needs the last one here counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::journal) enum Need {
    /// It waits for sessions.
    Waiting,
    /// It is in flight to a session, or on its way between shards.
    InFlight,
    /// It is retained.
    Retained,
}

/// Bytes that messages have, of all streams together. Invariant: never more than there is room for, whoever reads at the same time.
#[derive(Debug, Default)]
pub(super) struct Taken {
    /// Of those that are needed as retained ones.
    retained: AtomicU64,
    /// Of the rest, and of all whose need is not known.
    others: AtomicU64,
}

impl Taken {
    fn of(&self, need: Option<Need>) -> &AtomicU64 {
        match need {
            Some(Need::Retained) => &self.retained,
            Some(Need::InFlight | Need::Waiting) | None => &self.others,
        }
    }

    /// One more message of so many bytes; false if there is no room for it.
    pub(super) fn take(&self, bytes: u64, need: Option<Need>, room: Room) -> bool {
        let most = match need {
            Some(Need::Retained) => room.retained,
            Some(Need::InFlight | Need::Waiting) => room.sessions,
            None => room.bytes(),
        };
        let with_it = |taken: u64| taken.checked_add(bytes).filter(|&taken| taken <= most);
        let taken = self.of(need);
        let taken = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, with_it);
        taken.is_ok()
    }

    /// One fewer.
    pub(super) fn give(&self, bytes: u64, need: Option<Need>) {
        let without = |taken: u64| Some(taken.saturating_sub(bytes));
        let taken = self.of(need);
        // Never fails: there is always a number.
        let _ = taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, without);
    }

    /// All there are.
    pub(super) fn bytes(&self) -> u64 {
        let retained = self.retained.load(Ordering::Relaxed);
        retained.saturating_add(self.others.load(Ordering::Relaxed))
    }
}
