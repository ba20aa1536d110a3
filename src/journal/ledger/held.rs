//! What reading has of messages in memory: each once, whichever streams have it, and no more bytes than there is room for.
//!
//! A message that has come to several shards was written by each of them, and was in memory once: so it is here. Copies may lie far
//! apart, as each shard writes what it takes up at its own pace: so all that is held is looked through, and not what came last only.
//!
//! Invariant: `bytes` is what all texts cost that ledgers have and this one has given, each counted once.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::{HashSet, HashTable};

use super::kept::{KeptMessage, LeftOut};
use crate::journal::error::Broken;
use crate::journal::message::MessageText;

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

/// A message with its hash: a table that grows looks at no message for that.
#[derive(Debug)]
struct Known {
    hash: u64,
    kept: KeptMessage,
}

/// See the module.
#[derive(Debug)]
pub(in crate::journal) struct Held {
    /// Those that another stream may have as well; none where there is one reader of one stream.
    known: HashTable<Known>,
    hasher: FixedState,
    shares: bool,
    room: Room,
    bytes: u64,
    /// Of these, retained ones.
    retained: u64,
    /// What waits and is to be left out, by what its copies have in common.
    skipped: HashSet<u64, FixedState>,
}

impl Default for Held {
    /// Of one ledger, and without a bound.
    fn default() -> Held {
        Held {
            known: HashTable::new(),
            hasher: FixedState::with_seed(0),
            shares: false,
            room: Room::UNBOUNDED,
            bytes: 0,
            retained: 0,
            skipped: HashSet::default(),
        }
    }
}

fn hash(hasher: &FixedState, text: &MessageText<'_>) -> u64 {
    // All that a client can make differ: else many could have one place in a table.
    let texts = (text.topic, text.payload, text.properties);
    hasher.hash_one((texts, text.origin, text.expires_at))
}

impl Held {
    /// Of the ledgers of several streams. Clients choose what is hashed, so they must not know the `seed`.
    pub(in crate::journal) fn shared(seed: u64, room: Room) -> Held {
        Held {
            hasher: FixedState::with_seed(seed),
            shares: true,
            room,
            ..Held::default()
        }
    }

    /// The same with nothing in it, for those who read once more and know what they need: these wait, and are to be left out.
    pub(in crate::journal) fn again(&self, skipped: HashSet<u64, FixedState>) -> Held {
        Held {
            hasher: self.hasher.clone(),
            shares: self.shares,
            room: self.room,
            skipped,
            ..Held::default()
        }
    }

    /// Nothing more is read: what is held is not looked for any more.
    pub(in crate::journal) fn end(&mut self) {
        self.shares = false;
        self.known = HashTable::new();
        self.skipped = HashSet::default();
    }

    /// Bytes that messages may have.
    pub(in crate::journal) fn room(&self) -> Room {
        self.room
    }

    /// Bytes that messages have.
    pub(in crate::journal) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What all copies of a message have in common, and no other message but by chance.
    fn id(&self, text: &MessageText<'_>) -> u64 {
        hash(&self.hasher, text)
    }

    /// What there is to say of a message that is left out.
    pub(super) fn told(&self, text: &MessageText<'_>) -> LeftOut {
        LeftOut {
            id: self.id(text),
            bytes: text.cost(),
            expires_at: text.expires_at.unwrap_or(u64::MAX),
        }
    }

    /// Holds a message, if there is room for it. What it is needed for may not be known.
    pub(super) fn hold(
        &mut self,
        text: &MessageText<'_>,
        need: Option<Need>,
    ) -> Result<Option<KeptMessage>, Broken> {
        let hash_of_it = if self.shares { self.id(text) } else { 0 };
        if self.shares {
            let is_it = |one: &Known| one.hash == hash_of_it && one.kept.text() == *text;
            if let Some(known) = self.known.find(hash_of_it, is_it) {
                return Ok(Some(known.kept.clone()));
            }
        }
        let cost = text.cost();
        if need == Some(Need::Waiting) && self.skips(text) || !self.has_room(cost, need) {
            return Ok(None);
        }
        let kept = KeptMessage {
            message: Arc::new(text.to_message()?),
            expires_at: text.expires_at,
        };
        self.bytes += cost;
        if need == Some(Need::Retained) {
            self.retained += cost;
        }
        if self.shares {
            let known = Known {
                hash: hash_of_it,
                kept: kept.clone(),
            };
            self.known
                .insert_unique(hash_of_it, known, |known| known.hash);
        }
        Ok(Some(kept))
    }

    fn has_room(&self, cost: u64, need: Option<Need>) -> bool {
        let with_it = |bytes: u64| bytes.saturating_add(cost);
        match need {
            Some(Need::Retained) => with_it(self.retained) <= self.room.retained,
            Some(Need::InFlight | Need::Waiting) => {
                with_it(self.bytes.saturating_sub(self.retained)) <= self.room.sessions
            }
            None => with_it(self.bytes) <= self.room.bytes(),
        }
    }

    /// Whether a message that waits is to be left out.
    fn skips(&self, text: &MessageText<'_>) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&self.id(text))
    }

    /// A ledger is about to drop a message that it was given. It is gone unless another has it, too.
    pub(super) fn give_up(&mut self, kept: &KeptMessage, need: Option<Need>) {
        // The ledger's, and that of the table.
        let last = 1 + usize::from(self.shares);
        if Arc::strong_count(&kept.message) > last {
            return;
        }
        if self.shares {
            let is_it = |one: &Known| Arc::ptr_eq(&one.kept.message, &kept.message);
            let hash = self.id(&kept.text());
            match self.known.find_entry(hash, is_it) {
                Ok(entry) => drop(entry.remove()),
                // It was made elsewhere.
                Err(_) => return,
            }
        }
        let cost = kept.text().cost();
        self.bytes = self.bytes.saturating_sub(cost);
        if need == Some(Need::Retained) {
            self.retained = self.retained.saturating_sub(cost);
        }
    }
}
