//! Where messages are found by what they say, so that each is in memory once.
//!
//! Streams may be read beside each other. So messages lie on shelves, by their hashes, and who looks for one has its shelf to himself
//! meanwhile. How that is seen to is not known here: `Shelves` is of who reads.

use std::fmt;
use std::sync::Arc;

use hashbrown::HashTable;

use super::kept::KeptMessage;
use crate::journal::message::MessageText;

/// A message with its hash: a table that grows looks at no message for that.
#[derive(Debug)]
struct Known {
    hash: u64,
    kept: KeptMessage,
}

/// Some of the messages that are held.
#[derive(Debug, Default)]
pub struct Shelf {
    known: HashTable<Known>,
}

impl Shelf {
    /// The message that says this, if it is there.
    pub(super) fn find(&self, hash: u64, text: &MessageText<'_>) -> Option<KeptMessage> {
        let is_it = |one: &Known| one.hash == hash && one.kept.text() == *text;
        let known = self.known.find(hash, is_it)?;
        Some(known.kept.clone())
    }

    /// One more.
    pub(super) fn put(&mut self, hash: u64, kept: KeptMessage) {
        let known = Known { hash, kept };
        self.known.insert_unique(hash, known, |known| known.hash);
    }

    /// What is here is not looked for any more. Calls for each message that nobody else has, with what it costs.
    pub fn clear(&mut self, gone: &dyn Fn(u64)) {
        for Known { kept, .. } in std::mem::take(&mut self.known) {
            if Arc::strong_count(&kept.message) == 1 {
                gone(kept.text().cost());
            }
        }
    }

    /// A ledger drops a message that it was given. Whether nobody else has it, so that it is gone.
    pub(super) fn give_up(&mut self, hash: u64, kept: KeptMessage) -> bool {
        // The ledger's, and that of the shelf. Others may be dropped at the same time, but not here: so one of them is the last.
        if Arc::strong_count(&kept.message) > 2 {
            drop(kept);
            return false;
        }
        let is_it = |one: &Known| Arc::ptr_eq(&one.kept.message, &kept.message);
        match self.known.find_entry(hash, is_it) {
            Ok(entry) => {
                entry.remove();
                true
            }
            // It was made elsewhere.
            Err(_) => false,
        }
    }
}

/// The shelves of streams that are read beside each other.
pub trait Shelves: fmt::Debug + Send + Sync {
    /// Does something, once, with the shelf of the messages of this hash, which nobody else has meanwhile.
    fn with(&self, hash: u64, act: &mut dyn FnMut(&mut Shelf));

    /// Nothing is looked for any more: clears all of them.
    fn clear(&self, gone: &(dyn Fn(u64) + Sync));

    /// As many of the same kind, and nothing on them.
    fn anew(&self) -> Arc<dyn Shelves>;
}

/// Where a reader has its messages.
#[derive(Debug)]
pub(super) enum Place {
    /// On a shelf of its own.
    Own(Shelf),
    /// On those of all.
    Common(Arc<dyn Shelves>),
}

impl Place {
    /// Does something with the shelf of this hash. `None`: it could not be had.
    pub(super) fn with<T>(&mut self, hash: u64, act: impl FnOnce(&mut Shelf) -> T) -> Option<T> {
        match self {
            Place::Own(shelf) => Some(act(shelf)),
            Place::Common(shelves) => {
                let (mut act, mut done) = (Some(act), None);
                shelves.with(hash, &mut |shelf| {
                    if let Some(act) = act.take() {
                        done = Some(act(shelf));
                    }
                });
                done
            }
        }
    }

    /// The same place for a reader beside this one; a shelf of one's own is not lent.
    pub(super) fn beside(&self) -> Place {
        match self {
            Place::Own(_) => Place::default(),
            Place::Common(shelves) => Place::Common(Arc::clone(shelves)),
        }
    }

    /// Nothing is looked for there any more.
    pub(super) fn clear(&mut self, gone: &(dyn Fn(u64) + Sync)) {
        match self {
            Place::Own(shelf) => shelf.clear(gone),
            Place::Common(shelves) => shelves.clear(gone),
        }
    }

    /// One of the same kind, with nothing there.
    pub(super) fn anew(&self) -> Place {
        match self {
            Place::Own(_) => Place::default(),
            Place::Common(shelves) => Place::Common(shelves.anew()),
        }
    }
}

impl Default for Place {
    fn default() -> Place {
        Place::Own(Shelf::default())
    }
}
