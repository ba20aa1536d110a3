//! The texts of one stream's messages: held, or left out where there is no room for them.
//!
//! Who reads a store the first time does not know which messages matter at its end, and holds what there is room for. Who reads it
//! once more does, and holds these only.

use std::collections::BTreeMap;

use super::held::Held;
use super::kept::{KeptMessage, LeftOut};
use super::numbered::Numbered;
use super::room::Need;
use crate::journal::error::Broken;
use crate::journal::message::MessageText;
use crate::mqtt::TopicName;

/// What there is of a message. There is one for each that is referred to: so it is small.
#[derive(Debug)]
pub(super) enum Text {
    Held(KeptMessage),
    /// There is no room for it; `None`: whatever refers to it by now does not at the end, or it has expired.
    NotHeld(Option<Box<LeftOut>>),
}

const _: () = assert!(size_of::<Text>() == size_of::<KeptMessage>());

impl Text {
    pub(super) const NEEDLESS: Text = Text::NotHeld(None);

    /// What there was no room for.
    pub(super) fn left_out(&self) -> Option<LeftOut> {
        match self {
            Text::Held(_) => None,
            Text::NotHeld(told) => told.as_deref().copied(),
        }
    }
}

/// What is needed at the end of the stream.
#[derive(Debug, Default)]
pub(in crate::journal) struct Needs {
    /// By the number of the message.
    pub(in crate::journal) by_number: Numbered<Need>,
    /// Milliseconds since 1970: what waits and has expired by then is not needed.
    pub(in crate::journal) now: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Where they are held. A ledger that is read with others has theirs while it is.
    pub(super) held: Held,
    /// `None`: not known yet.
    needs: Option<Needs>,
    /// The topics of messages that are not held and may be retained.
    topics: BTreeMap<u64, Box<str>>,
    /// Of these, one that is there only as long as no other message comes.
    passing: Option<u64>,
}

impl Texts {
    /// Of a stream that is read once more.
    pub(super) fn needing(needs: Needs) -> Texts {
        Texts {
            needs: Some(needs),
            ..Texts::default()
        }
    }

    fn need(&self, number: u64) -> Option<Need> {
        let needs = self.needs.as_ref()?;
        needs.by_number.get(number).copied()
    }

    /// A message is written. If it is not held, its topic stays as long as it may be said to be retained: with a RETAIN flag until it is
    /// let go, without until the next one is written.
    pub(super) fn take_in(&mut self, number: u64, text: &MessageText<'_>) -> Result<Text, Broken> {
        if let Some(passing) = self.passing.take() {
            self.topics.remove(&passing);
        }
        let need = self.need(number);
        let is_needed = match (&self.needs, need) {
            (None, _) => true,
            (Some(needs), Some(Need::Waiting)) => text.expires_at.is_none_or(|at| at > needs.now),
            (Some(_), need) => need.is_some(),
        };
        let held = match is_needed {
            true => self.held.hold(text, need)?,
            false => None,
        };
        if let Some(kept) = held {
            return Ok(Text::Held(kept));
        }
        let topic = TopicName::new(text.topic).ok_or(Broken::Text)?;
        self.topics.insert(number, topic.as_str().into());
        self.passing = Some(number).filter(|_| !text.retain);
        if !is_needed {
            return Ok(Text::NEEDLESS);
        }
        let told = self.held.told(text);
        Ok(Text::NotHeld(Some(Box::new(told))))
    }

    /// A message goes.
    pub(super) fn let_go(&mut self, number: u64, text: Text) {
        match text {
            Text::Held(kept) => {
                let need = self.need(number);
                self.held.give_up(kept, need);
            }
            Text::NotHeld(_) => {
                self.topics.remove(&number);
            }
        }
    }

    /// The topic of a message that is not held.
    pub(super) fn topic(&self, number: u64) -> Option<&str> {
        self.topics.get(&number).map(|topic| &**topic)
    }
}
