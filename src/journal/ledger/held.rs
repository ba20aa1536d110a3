//! What reading has of messages in memory: each once, whichever streams have it, and no more bytes than there is room for.
//!
//! A message that has come to several shards was written by each of them, and was in memory once: so it is here. Copies may lie far
//! apart, as each shard writes what it takes up at its own pace: so all that is held is looked through, and not what came last only.
//! Within one stream only a retained message has copies: it is written for those who wait for it, and as a retained one.
//!
//! Invariant: `taken` is what all texts cost that ledgers have and this one has given, each counted once.

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashSet;

use super::kept::{KeptMessage, LeftOut};
use super::room::{Need, Room, Taken};
use super::shelves::{Place, Shelves};
use crate::journal::error::Broken;
use crate::journal::message::MessageText;

/// Which messages are looked for before another one like it is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::journal) enum Looks {
    /// None: there is one reader of one stream.
    #[default]
    Nothing,
    /// Those with a RETAIN flag.
    Retained,
    /// All.
    Everything,
}

/// See the module.
#[derive(Debug)]
pub(in crate::journal) struct Held {
    place: Place,
    rules: Rules,
}

/// What all who read the same have in common.
#[derive(Clone, Debug)]
struct Rules {
    looks: Looks,
    hasher: FixedState,
    room: Room,
    taken: Arc<Taken>,
    /// What waits and is to be left out, by what its copies have in common.
    skipped: Arc<HashSet<u64, FixedState>>,
}

impl Default for Held {
    /// Of one ledger, and without a bound.
    fn default() -> Held {
        Held {
            place: Place::default(),
            rules: Rules {
                looks: Looks::Nothing,
                hasher: FixedState::with_seed(0),
                room: Room::UNBOUNDED,
                taken: Arc::default(),
                skipped: Arc::default(),
            },
        }
    }
}

impl Rules {
    /// What all copies of a message have in common, and no other message but by chance.
    fn id(&self, text: &MessageText<'_>) -> u64 {
        // All that a client can make differ: else many could have one place in a table.
        let texts = (text.topic, text.payload, text.properties);
        let hasher = &self.hasher;
        hasher.hash_one((texts, text.origin, text.expires_at))
    }

    fn looks_for(&self, text: &MessageText<'_>) -> bool {
        match self.looks {
            Looks::Nothing => false,
            Looks::Retained => text.retain,
            Looks::Everything => true,
        }
    }

    /// Whether a message that waits is to be left out.
    fn skips(&self, text: &MessageText<'_>) -> bool {
        !self.skipped.is_empty() && self.skipped.contains(&self.id(text))
    }

    /// The message, if there is room for it.
    fn make(
        &self,
        text: &MessageText<'_>,
        need: Option<Need>,
    ) -> Result<Option<KeptMessage>, Broken> {
        if need == Some(Need::Waiting) && self.skips(text) {
            return Ok(None);
        }
        if !self.taken.take(text.cost(), need, self.room) {
            return Ok(None);
        }
        match text.to_message() {
            Ok(message) => Ok(Some(KeptMessage::new(message, text.expires_at))),
            Err(fault) => {
                self.taken.give(text.cost(), need);
                Err(fault)
            }
        }
    }
}

impl Held {
    /// Of the ledgers of several streams. Clients choose what is hashed, so they must not know the `seed`.
    pub(in crate::journal) fn shared(seed: u64, room: Room) -> Held {
        let mut held = Held::default();
        held.rules.hasher = FixedState::with_seed(seed);
        held.rules.looks = Looks::Everything;
        held.rules.room = room;
        held
    }

    /// The same, for streams that are read beside each other: messages lie on these shelves.
    #[must_use = "it is another one"]
    pub(in crate::journal) fn on(mut self, shelves: Arc<dyn Shelves>) -> Held {
        self.place = Place::Common(shelves);
        self
    }

    /// The same, for another of those who read beside each other.
    pub(in crate::journal) fn beside(&self) -> Held {
        Held {
            place: self.place.beside(),
            rules: self.rules.clone(),
        }
    }

    /// The same with nothing in it, for those who read once more and know what they need: these wait, and are to be left out.
    pub(in crate::journal) fn again(&self, skipped: HashSet<u64, FixedState>) -> Held {
        Held {
            place: self.place.anew(),
            rules: Rules {
                taken: Arc::default(),
                skipped: Arc::new(skipped),
                ..self.rules.clone()
            },
        }
    }

    /// There is one stream only.
    pub(in crate::journal) fn look_for_retained(&mut self) {
        self.rules.looks = Looks::Retained;
    }

    /// Nothing more is read: what is held is not looked for any more.
    pub(in crate::journal) fn end(&mut self) {
        let taken = Arc::clone(&self.rules.taken);
        self.place.clear(&|bytes| taken.give(bytes, None));
        self.rules.looks = Looks::Nothing;
        self.rules.skipped = Arc::default();
    }

    /// Bytes that messages may have.
    pub(in crate::journal) fn room(&self) -> Room {
        self.rules.room
    }

    /// Bytes that messages have.
    pub(in crate::journal) fn bytes(&self) -> u64 {
        self.rules.taken.bytes()
    }

    /// What there is to say of a message that is left out.
    pub(super) fn told(&self, text: &MessageText<'_>) -> LeftOut {
        LeftOut {
            id: self.rules.id(text),
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
        let Held { place, rules } = self;
        if !rules.looks_for(text) {
            return rules.make(text, need);
        }
        let hash = rules.id(text);
        let held = place.with(hash, |shelf| {
            if let Some(known) = shelf.find(hash, text) {
                return Ok(Some(known));
            }
            let made = rules.make(text, need)?;
            if let Some(kept) = &made {
                shelf.put(hash, kept.clone());
            }
            Ok(made)
        });
        held.unwrap_or(Ok(None))
    }

    /// A ledger drops a message that it was given. It is gone unless another has it, too.
    pub(super) fn give_up(&mut self, kept: KeptMessage, need: Option<Need>) {
        let Held { place, rules } = self;
        // Most have a copy in another stream. Where two give up the last two at the same moment it stays on the shelf until reading
        // ends: a second reading, for which room is counted out, waits for the shelf.
        if need.is_none() && Arc::strong_count(&kept.message) > 2 {
            return;
        }
        let text = kept.text();
        let cost = text.cost();
        let is_gone = match rules.looks_for(&text) {
            true => {
                let hash = rules.id(&text);
                place.with(hash, |shelf| shelf.give_up(hash, kept))
            }
            false => Some(Arc::strong_count(&kept.message) == 1),
        };
        if is_gone == Some(true) {
            rules.taken.give(cost, need);
        }
    }
}
