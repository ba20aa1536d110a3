//! The messages that are referred to, by their numbers, and how often.

use super::held::Held;
use super::kept::{KeptMessage, LeftOut};
use super::numbered::Numbered;
use super::texts::{Needs, Text, Texts};
use crate::journal::error::Broken;
use crate::journal::message::MessageText;

#[derive(Debug)]
struct Entry {
    text: Text,
    references: u32,
    /// The part of the stream in which it was last written.
    part: u32,
}

const _: () = assert!(size_of::<Entry>() == size_of::<Text>() + 2 * size_of::<u32>());

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Messages {
    known: Numbered<Entry>,
    texts: Texts,
    /// The number of the newest.
    newest: Option<u64>,
    /// Counts checkpoints that have begun.
    part: u32,
    /// Images are being read: what they say may refer to any message that was written since the checkpoint began.
    in_images: bool,
}

impl Messages {
    /// Of a stream that is read once more.
    pub(super) fn needing(needs: Needs) -> Messages {
        Messages {
            texts: Texts::needing(needs),
            ..Messages::default()
        }
    }

    /// Where texts are held, to be lent.
    pub(super) fn held_mut(&mut self) -> &mut Held {
        &mut self.texts.held
    }

    /// One more, or one from before the checkpoint again. If it is the newest, the one that was goes if nothing refers to it.
    pub(super) fn add(&mut self, number: u64, text: &MessageText<'_>) -> Result<(), Broken> {
        match self.known.get_mut(number) {
            Some(known) if known.part == self.part => return Err(Broken::Message(number)),
            Some(known) => {
                known.part = self.part;
                let before = std::mem::replace(&mut known.text, Text::NEEDLESS);
                self.texts.let_go(number, before);
                known.text = self.texts.take_in(number, text)?;
            }
            None => {
                let entry = Entry {
                    text: self.texts.take_in(number, text)?,
                    references: 0,
                    part: self.part,
                };
                self.known.insert(number, entry);
            }
        }
        if let Some(newest) = self.newest
            && number <= newest
        {
            return Ok(());
        }
        if let Some(before) = self.newest.replace(number) {
            self.forget_unless_referred(before);
        }
        Ok(())
    }

    fn forget_unless_referred(&mut self, number: u64) {
        let may_go =
            |known: &Entry| known.references == 0 && !(self.in_images && known.part == self.part);
        if self.newest != Some(number)
            && self.known.get(number).is_some_and(may_go)
            && let Some(known) = self.known.remove(number)
        {
            self.texts.let_go(number, known.text);
        }
    }

    /// A checkpoint begins.
    pub(super) fn begin_images(&mut self) {
        self.part = self.part.wrapping_add(1);
        self.in_images = true;
    }

    /// Its images are read: what nothing refers to by now goes.
    pub(super) fn end_images(&mut self) {
        self.in_images = false;
        let (texts, newest) = (&mut self.texts, self.newest);
        self.known.retain(|number, known| {
            let is_kept = known.references > 0 || newest == Some(number);
            if !is_kept {
                let text = std::mem::replace(&mut known.text, Text::NEEDLESS);
                texts.let_go(number, text);
            }
            is_kept
        });
    }

    /// So many references more.
    pub(super) fn refer(&mut self, number: u64, count: u64) -> Result<(), Broken> {
        let known = self.known.get_mut(number);
        let known = known.ok_or(Broken::Message(number))?;
        let count = u32::try_from(count).ok();
        let references = count.and_then(|count| known.references.checked_add(count));
        known.references = references.ok_or(Broken::Message(number))?;
        Ok(())
    }

    /// One reference fewer.
    pub(super) fn release(&mut self, number: u64) -> Result<(), Broken> {
        let known = self.known.get_mut(number);
        let known = known.ok_or(Broken::Message(number))?;
        known.references = known
            .references
            .checked_sub(1)
            .ok_or(Broken::Message(number))?;
        if known.references == 0 {
            self.forget_unless_referred(number);
        }
        Ok(())
    }

    /// `None` if it is not held.
    pub(super) fn get(&self, number: u64) -> Option<&KeptMessage> {
        match &self.known.get(number)?.text {
            Text::Held(kept) => Some(kept),
            Text::NotHeld(_) => None,
        }
    }

    /// Whether there was no room for it.
    pub(super) fn is_left_out(&self, number: u64) -> bool {
        let known = self.known.get(number);
        known.is_some_and(|known| known.text.left_out().is_some())
    }

    /// Its topic; `None` if that is not known any more.
    pub(super) fn topic(&self, number: u64) -> Result<Option<&str>, Broken> {
        let known = self.known.get(number).ok_or(Broken::Message(number))?;
        Ok(match &known.text {
            Text::Held(kept) => Some(kept.message.topic.as_str()),
            Text::NotHeld(_) => self.texts.topic(number),
        })
    }

    /// Those that something refers to, as they would be told if there were no room for them, with their numbers. `held` is where their
    /// texts are.
    pub(super) fn referred(&self, held: &Held) -> impl Iterator<Item = (u64, LeftOut)> {
        let all = self.known.iter();
        all.filter_map(move |(number, known)| {
            let told = match &known.text {
                Text::Held(kept) => held.told(&kept.text()),
                Text::NotHeld(told) => **told.as_ref()?,
            };
            (known.references > 0).then_some((number, told))
        })
    }

    /// Those that something refers to, and that there was no room for.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (u64, LeftOut)> {
        let all = self.known.iter();
        let referred = all.filter(|(_, known)| known.references > 0);
        referred.filter_map(|(number, known)| Some((number, known.text.left_out()?)))
    }

    pub(super) fn next_number(&self) -> u64 {
        // The newest one is here in any case.
        self.newest.map_or(0, |newest| newest.saturating_add(1))
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }
}
