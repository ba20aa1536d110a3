//! The messages that are referred to, by their numbers, and how often.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::journal::error::Broken;
use crate::journal::message::MessageText;
use crate::mqtt::message::Message;

/// A message, and when it expires, in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct KeptMessage {
    /// The message.
    pub message: Arc<Message>,
    /// `None` for never.
    pub expires_at: Option<u64>,
}

#[derive(Debug)]
struct Entry {
    kept: KeptMessage,
    references: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Messages {
    known: HashMap<u64, Entry, FixedState>,
    /// The number of the newest.
    newest: Option<u64>,
}

impl Messages {
    /// One more; the one before it goes if nothing refers to it.
    pub(super) fn add(&mut self, number: u64, text: &MessageText<'_>) -> Result<(), Broken> {
        let kept = KeptMessage {
            message: Arc::new(text.to_message()?),
            expires_at: text.expires_at,
        };
        let entry = Entry {
            kept,
            references: 0,
        };
        let before = self.newest.replace(number);
        if self.known.insert(number, entry).is_some() {
            return Err(Broken::Message(number));
        }
        match before {
            Some(before) => self.forget_unless_referred(before),
            None => Ok(()),
        }
    }

    fn forget_unless_referred(&mut self, number: u64) -> Result<(), Broken> {
        if self
            .known
            .get(&number)
            .is_some_and(|known| known.references == 0)
        {
            self.known.remove(&number);
        }
        Ok(())
    }

    /// So many references more.
    pub(super) fn refer(&mut self, number: u64, count: u64) -> Result<(), Broken> {
        let known = self.known.get_mut(&number);
        known.ok_or(Broken::Message(number))?.references += count;
        Ok(())
    }

    /// One reference fewer.
    pub(super) fn release(&mut self, number: u64) -> Result<(), Broken> {
        let known = self.known.get_mut(&number);
        let known = known.ok_or(Broken::Message(number))?;
        known.references = known
            .references
            .checked_sub(1)
            .ok_or(Broken::Message(number))?;
        if known.references == 0 && self.newest != Some(number) {
            self.known.remove(&number);
        }
        Ok(())
    }

    pub(super) fn get(&self, number: u64) -> Result<&KeptMessage, Broken> {
        let known = self.known.get(&number);
        known
            .map(|known| &known.kept)
            .ok_or(Broken::Message(number))
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
