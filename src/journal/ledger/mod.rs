//! What records say, put together again: the sessions of one shard with all they had, and its retained messages.
//!
//! Invariants: a message is here as long as something refers to it, and the newest one in any case, since what follows may; what is
//! said of anything that is not here is an error, but for acknowledgements, which may come late.

mod messages;
mod runs;
mod session;

pub use self::messages::KeptMessage;
use self::messages::Messages;
pub use self::session::{InFlightRead, SessionRead, WillRead};
use super::error::Broken;
use super::members::{Members, SetsRead};
use super::record::Record;
use crate::session::Way;
use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// See the module.
#[derive(Debug, Default)]
pub struct Ledger {
    sessions: HashMap<u32, SessionRead, FixedState>,
    messages: Messages,
    /// By topic, the number.
    retained: HashMap<Box<str>, u64, FixedState>,
    sets: SetsRead,
}

impl Ledger {
    /// The next record of the shard.
    pub fn apply(&mut self, record: &Record<'_>) -> Result<(), Broken> {
        match *record {
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
            Record::Queued {
                number,
                way,
                ref members,
            } => self.queue(number, way, members),
            Record::Unqueued {
                number,
                ref members,
            } => self.unqueue(number, members),
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
            } => {
                self.messages.refer(number, 1)?;
                of(&mut self.sessions, session)?.send(Some(number), order, id, way)
            }
            Record::SentBare {
                session,
                order,
                id,
                way,
            } => of(&mut self.sessions, session)?.send(None, order, id, way),
            Record::Moved {
                session,
                number,
                order,
                id,
            } => of(&mut self.sessions, session)?.go_on(number, order, id),
            Record::Acknowledged { order, ref members } => self.acknowledge(order, members),
            _ => Ok(()),
        }
    }

    /// What changes one session only.
    fn change(&mut self, session: u32, record: &Record<'_>) -> Result<(), Broken> {
        let given_up = of(&mut self.sessions, session)?.change(record)?;
        match given_up {
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
        let ended = self.sessions.remove(&session);
        let ended = ended.ok_or(Broken::Session(session))?;
        let mut numbers = ended.numbers();
        numbers.try_for_each(|number| self.messages.release(number))
    }

    fn queue(&mut self, number: u64, way: Way, members: &Members) -> Result<(), Broken> {
        let members = self.sets.resolve(members)?;
        self.messages.refer(number, members.len() as u64)?;
        for &session in members {
            of(&mut self.sessions, session)?.queue.push(number, way);
        }
        Ok(())
    }

    fn unqueue(&mut self, number: u64, members: &Members) -> Result<(), Broken> {
        for &session in self.sets.resolve(members)? {
            let queue = &mut of(&mut self.sessions, session)?.queue;
            queue.take(number).ok_or(Broken::Message(number))?;
            self.messages.release(number)?;
        }
        Ok(())
    }

    fn send(&mut self, number: u64, order: u64, way: Way, members: &Members) -> Result<(), Broken> {
        let members = self.sets.resolve(members)?;
        self.messages.refer(number, members.len() as u64)?;
        let id = crate::session::shared_id(order);
        for &session in members {
            of(&mut self.sessions, session)?.send(Some(number), order, id, way)?;
        }
        Ok(())
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
        let topic = self.messages.get(number)?.message.topic.as_str();
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

    /// The retained messages, by their numbers, in no order.
    pub fn retained(&self) -> impl Iterator<Item = (u64, &KeptMessage)> {
        let numbers = self.retained.values();
        numbers.filter_map(|&number| Some((number, self.messages.get(number).ok()?)))
    }

    /// A message that a session refers to.
    pub fn message(&self, number: u64) -> Option<&KeptMessage> {
        self.messages.get(number).ok()
    }

    /// Messages that are kept here.
    pub fn messages(&self) -> usize {
        self.messages.len()
    }
}

/// A session that something is said of.
fn of(
    sessions: &mut HashMap<u32, SessionRead, FixedState>,
    session: u32,
) -> Result<&mut SessionRead, Broken> {
    sessions.get_mut(&session).ok_or(Broken::Session(session))
}
