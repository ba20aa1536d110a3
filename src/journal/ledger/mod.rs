//! What records say, put together again: the sessions of one shard with all they had, and its retained messages.
//!
//! Invariants: a message is known as long as something refers to it, and the newest one in any case, since what follows may; what is
//! said of anything that is not here is an error, but for acknowledgements, which may come late, and for sessions whose image is still
//! to come (`checkpoint`).

mod between;
mod checkpoint;
mod held;
mod images;
mod kept;
mod messages;
mod numbered;
mod room;
mod runs;
mod session;
mod shelves;
mod texts;

use self::between::Between;
pub use self::between::HandedRead;
pub(super) use self::held::Held;
use self::images::Images;
pub use self::kept::KeptMessage;
pub(super) use self::kept::LeftOut;
use self::messages::Messages;
pub(super) use self::room::Need;
pub use self::room::Room;
pub use self::session::{HeldRead, InFlightRead, SessionRead, WillRead};
pub use self::shelves::{Shelf, Shelves};
pub(super) use self::texts::Needs;
use super::error::Broken;
use super::members::{Members, SetsRead};
use super::record::Record;
use std::collections::BTreeMap;

use crate::session::Way;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    sessions: HashMap<u32, SessionRead, FixedState>,
    messages: Messages,
    /// By topic, the number. A tree: clients choose the topics, so their hashes are not to be known.
    retained: BTreeMap<Box<str>, u64>,
    sets: SetsRead,
    between: Between,
    /// The number of the chunk at hand, among those of all shards.
    chunk: u64,
    /// Something was read.
    has_begun: bool,
    images: Images,
    /// What was said of sessions of which an image was read in this turn.
    #[cfg(test)]
    replaced: Vec<(u32, SessionRead)>,
}

impl Ledger {
    /// The next record of the shard.
    pub fn apply(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match *record {
            Record::CheckpointBegun => self.begin_images(is_first),
            Record::CheckpointEnded | Record::SessionAnew { .. } => self.apply_image(record),
            Record::Opened {
                session,
                serial,
                client_id,
            } => self.open(session, SessionRead::new(serial, client_id)),
            Record::Ended { session } => self.end(session),
            Record::Message {
                number,
                ref message,
            } => self.messages.add(number, message),
            Record::Queued { .. } | Record::QueuedRun { .. } | Record::Unqueued { .. } => {
                self.apply_waiting(record)
            }
            Record::Sent { .. }
            | Record::SentAlone { .. }
            | Record::SentBare { .. }
            | Record::Moved { .. }
            | Record::Acknowledged { .. } => self.apply_in_flight(record),
            Record::RetainedStored { number } => self.retain(number),
            Record::RetainedRemoved { topic } => self.retain_no_more(topic),
            Record::SetsForgotten => {
                self.sets.forget();
                Ok(())
            }
            Record::GroupNamed { .. }
            | Record::Handed { .. }
            | Record::Took { .. }
            | Record::TurnEnded => self.apply_between(record),
            Record::Resumed { session }
            | Record::Identified { session, .. }
            | Record::ExpirySet { session, .. }
            | Record::Away { session, .. }
            | Record::WillSet { session, .. }
            | Record::WillDue { session, .. }
            | Record::WillTaken { session }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::InboundStored { session, .. }
            | Record::InboundReleased { session, .. }
            | Record::Received { session, .. }
            | Record::CopyGivenUp { session, .. } => self.change(session, record),
        }
    }

    fn apply_waiting(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        match *record {
            Record::Queued {
                number,
                way,
                ref members,
            } => self.queue(number, way, members),
            Record::QueuedRun {
                session,
                number,
                len,
                way,
            } => self.queue_run(session, (number, len), way),
            Record::Unqueued {
                number,
                way,
                ref members,
            } => self.unqueue(number, way, members),
            _ => Ok(()),
        }
    }

    fn apply_in_flight(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        match *record {
            Record::Sent {
                number,
                order,
                way,
                ref members,
            } => self.send(number, order, way, members),
            Record::SentAlone {
                session,
                number,
                order,
                id,
                way,
            } => match of(&mut self.sessions, session, self.images)? {
                Some(known) => {
                    self.messages.refer(number, 1)?;
                    known.send(Some(number), order, id, way)
                }
                None => Ok(()),
            },
            Record::SentBare {
                session,
                order,
                id,
                way,
            } => match of(&mut self.sessions, session, self.images)? {
                Some(known) => known.send(None, order, id, way),
                None => Ok(()),
            },
            Record::Moved {
                session,
                number,
                order,
                id,
                way,
            } => match of(&mut self.sessions, session, self.images)? {
                Some(known) => known.go_on(number, way, order, id),
                None => Ok(()),
            },
            Record::Acknowledged { order, ref members } => self.acknowledge(order, members),
            _ => Ok(()),
        }
    }

    fn apply_between(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        match *record {
            Record::GroupNamed { group, to } => {
                self.between.name(group, to);
                Ok(())
            }
            Record::Handed {
                to,
                at,
                number,
                errand,
            } => {
                self.messages.refer(number, 1)?;
                let one = HandedRead {
                    at,
                    chunk: self.chunk,
                    number,
                    errand,
                };
                self.between.hand(to, one)
            }
            Record::Took { from, at } => self.between.take(from, at),
            _ => self.check_images(),
        }
    }

    /// What changes one session only.
    fn change(&mut self, session: u32, record: &Record<'_>) -> Result<(), Broken> {
        let Some(known) = of(&mut self.sessions, session, self.images)? else {
            return Ok(());
        };
        match known.change(record)? {
            Some(number) => self.messages.release(number),
            None => Ok(()),
        }
    }

    fn open(&mut self, session: u32, new: SessionRead) -> Result<(), Broken> {
        match self.sessions.insert(session, new) {
            Some(_) => Err(Broken::Session(session)),
            None => Ok(()),
        }
    }

    fn end(&mut self, session: u32) -> Result<(), Broken> {
        of(&mut self.sessions, session, self.images)?;
        self.forget_session(session)
    }

    fn forget_session(&mut self, session: u32) -> Result<(), Broken> {
        let ended = self.sessions.remove(&session);
        let mut numbers = ended.iter().flat_map(SessionRead::numbers);
        numbers.try_for_each(|number| self.messages.release(number))
    }

    fn queue(&mut self, number: u64, way: Way, members: &Members) -> Result<(), Broken> {
        let mut count = 0;
        for &session in self.sets.resolve(members)? {
            if let Some(known) = of(&mut self.sessions, session, self.images)? {
                known.queue.push(number, way);
                count += 1;
            }
        }
        self.messages.refer(number, count)
    }

    fn unqueue(&mut self, number: u64, way: Way, members: &Members) -> Result<(), Broken> {
        for &session in self.sets.resolve(members)? {
            if let Some(known) = of(&mut self.sessions, session, self.images)? {
                let taken = known.queue.take(number, way);
                taken.then_some(()).ok_or(Broken::Message(number))?;
                self.messages.release(number)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, number: u64, order: u64, way: Way, members: &Members) -> Result<(), Broken> {
        let id = crate::session::shared_id(order);
        let mut count = 0;
        for &session in self.sets.resolve(members)? {
            if let Some(known) = of(&mut self.sessions, session, self.images)? {
                known.send(Some(number), order, id, way)?;
                count += 1;
            }
        }
        self.messages.refer(number, count)
    }

    fn acknowledge(&mut self, order: u64, members: &Members) -> Result<(), Broken> {
        for &session in self.sets.resolve(members)? {
            let known = self.sessions.get_mut(&session);
            if let Some(number) = known.and_then(|known| known.acknowledge(order)) {
                self.messages.release(number)?;
            }
        }
        Ok(())
    }

    fn retain(&mut self, number: u64) -> Result<(), Broken> {
        self.messages.refer(number, 1)?;
        let Some(topic) = self.messages.topic(number)? else {
            // It was published without a RETAIN flag, as only an import could have it, and there was no room for it.
            return self.messages.release(number);
        };
        match self.retained.insert(topic.into(), number) {
            Some(before) => self.messages.release(before),
            None => Ok(()),
        }
    }

    fn retain_no_more(&mut self, topic: &str) -> Result<(), Broken> {
        match self.retained.remove(topic) {
            Some(before) => self.messages.release(before),
            None => Ok(()),
        }
    }

    /// The sessions, by their numbers, in no order.
    pub fn sessions(&self) -> impl Iterator<Item = (u32, &SessionRead)> {
        let sessions = self.sessions.iter();
        sessions.map(|(&number, session)| (number, session))
    }

    /// One of them.
    pub fn session(&self, number: u32) -> Option<&SessionRead> {
        self.sessions.get(&number)
    }

    /// The retained messages, with their numbers, by topic.
    pub fn retained(&self) -> impl Iterator<Item = (u64, &KeptMessage)> {
        let numbers = self.retained.values();
        numbers.filter_map(|&number| Some((number, self.messages.get(number)?)))
    }

    /// The topics of retained messages that there was no room for.
    pub fn retained_left_out(&self) -> impl Iterator<Item = &str> {
        let retained = self.retained.iter();
        let left_out = retained.filter(|(_, number)| self.is_left_out(**number));
        left_out.map(|(topic, _)| &**topic)
    }

    /// The topic of a message with a RETAIN flag, whether there was room for it or not.
    pub fn topic(&self, number: u64) -> Option<&str> {
        self.messages.topic(number).ok().flatten()
    }

    /// A message that is referred to, if it is held.
    pub fn message(&self, number: u64) -> Option<&KeptMessage> {
        self.messages.get(number)
    }

    /// Whether a message is referred to, and there was no room for it.
    pub fn is_left_out(&self, number: u64) -> bool {
        self.messages.is_left_out(number)
    }

    /// Of a stream that is read once more, when this is known to be needed at its end.
    pub(super) fn needing(needs: Needs) -> Ledger {
        Ledger {
            messages: Messages::needing(needs),
            ..Ledger::default()
        }
    }

    /// Where the texts of its messages are held, to be lent while it is read.
    pub(super) fn held_mut(&mut self) -> &mut Held {
        self.messages.held_mut()
    }

    /// The messages that something refers to and that may be needed, with their numbers. `held` is where they are.
    pub(super) fn referred(&self, held: &Held) -> impl Iterator<Item = (u64, LeftOut)> {
        self.messages.referred(held)
    }

    /// Those of them that there was no room for.
    pub(super) fn left_out(&self) -> impl Iterator<Item = (u64, LeftOut)> {
        self.messages.left_out()
    }

    /// The numbers of messages that are in flight, or on their way to another shard.
    pub(super) fn under_way(&self) -> impl Iterator<Item = u64> {
        let sessions = self.sessions.values();
        let in_flight = sessions.flat_map(SessionRead::in_flight);
        let in_flight = in_flight.filter_map(|one| one.number);
        in_flight.chain(self.between.numbers())
    }

    /// The numbers of messages that are retained.
    pub(super) fn retained_numbers(&self) -> impl Iterator<Item = u64> {
        self.retained.values().copied()
    }

    /// What follows is of turns that end in the chunk of this number, among those of all shards.
    pub(super) fn begin_chunk(&mut self, number: u64) {
        self.chunk = number;
    }

    /// What it has handed to another shard and was not taken there, in its order.
    pub fn handed(&self, to: u8) -> impl Iterator<Item = &HandedRead> {
        self.between.handed(to)
    }

    /// Up to which place it has taken what each other shard has handed to it, by shard.
    pub(super) fn all_taken(&self) -> impl Iterator<Item = (u8, u64)> {
        self.between.all_taken()
    }

    /// Up to which place it has taken what another shard has handed to it.
    pub fn took(&self, from: u8) -> u64 {
        self.between.took(from)
    }

    /// Another shard has taken what was handed to it, up to this place.
    pub(super) fn forget_taken(&mut self, to: u8, at: u64) -> Result<(), Broken> {
        while let Some(number) = self.between.forget_taken(to, at) {
            self.messages.release(number)?;
        }
        Ok(())
    }

    /// The share name and the filter of a shared subscription that it owns.
    pub fn group(&self, group: u32) -> Option<(&str, &str)> {
        self.between.group(group)
    }

    /// The shared subscriptions that it owns.
    pub fn groups(&self) -> impl Iterator<Item = (&str, &str)> {
        self.between.groups()
    }

    /// A number that no message here has, nor one less than it.
    pub fn next_number(&self) -> u64 {
        self.messages.next_number()
    }

    /// Messages that are known here.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }
}

/// A session that something is said of; `None` for one whose image has not been read yet, of which nothing is to be known so far.
fn of(
    sessions: &mut HashMap<u32, SessionRead, FixedState>,
    session: u32,
    images: Images,
) -> Result<Option<&mut SessionRead>, Broken> {
    match sessions.get_mut(&session) {
        None if !images.may_be_missing() => Err(Broken::Session(session)),
        known => Ok(known),
    }
}
