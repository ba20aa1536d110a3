//! All that waits, in its order, as it is referred to.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::Queue;
use super::replayed::Retained;
use crate::mqtt::message::Message;
use crate::session::delivery::Way;

/// Messages that wait one behind the other, of which the numbers follow each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting<'a> {
    /// The number of the first.
    pub number: u64,
    /// How many they are.
    pub len: u32,
    /// How they are delivered.
    pub way: Way,
    /// The message, if it is a retained one of a replay: it has no place in the shard's list.
    pub retained: Option<&'a Arc<Message>>,
}

impl<'a> Waiting<'a> {
    fn of_retained(retained: &'a Retained) -> Self {
        Waiting {
            number: retained.number,
            len: 1,
            way: retained.way,
            retained: Some(&retained.message),
        }
    }
}

impl Queue {
    /// Calls for all that waits, in its order, until it breaks off.
    pub(crate) fn each_waiting<'a>(
        &'a self,
        mut then: impl FnMut(Waiting<'a>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let rare = self.rare.as_ref();
        let replayed = rare.into_iter().flat_map(|rare| rare.replayed.iter());
        let mut replayed = replayed.map(|(_, retained)| retained).peekable();
        if let Some(slots) = self.slots() {
            for (place, slot) in slots.placed() {
                while let Some(retained) = replayed.next_if(|one| one.before <= place) {
                    then(Waiting::of_retained(retained))?;
                }
                then(Waiting {
                    number: slot.position(),
                    len: 1,
                    way: slot.way,
                    retained: None,
                })?;
            }
        }
        let mut place = rare.map_or(0, |rare| rare.first());
        for run in self.runs.iter() {
            let (mut number, mut left) = (run.start, run.len);
            while left > 0 {
                while let Some(retained) = replayed.next_if(|one| one.before <= place) {
                    then(Waiting::of_retained(retained))?;
                }
                let to_next = replayed.peek().map_or(u64::MAX, |one| one.before - place);
                let len = u32::try_from(to_next).unwrap_or(u32::MAX).min(left);
                then(Waiting {
                    number,
                    len,
                    way: run.way,
                    retained: None,
                })?;
                (number, left) = (number + u64::from(len), left - len);
                place += u64::from(len);
            }
        }
        replayed.try_for_each(|retained| then(Waiting::of_retained(retained)))
    }
}
