//! A session as its records tell it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::runs::Runs;
use crate::journal::error::Broken;
use crate::journal::message::MessageText;
use crate::journal::record::{Record, SubscriptionText, WillText};
use crate::mqtt::message::Message;
use crate::routing::EntryOptions;
use crate::session::Way;

/// A message in flight to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlightRead {
    /// When it was first sent, by the shard's count of frames.
    pub order: u64,
    /// Its packet identifier.
    pub id: u16,
    /// How it is delivered.
    pub way: Way,
    /// PUBREC has come.
    pub is_received: bool,
    /// The number of the message, if a copy is kept.
    pub number: Option<u64>,
}

/// A message that a session holds.
#[derive(Clone, Copy, Debug)]
pub enum HeldRead {
    /// It is in flight.
    InFlight(InFlightRead),
    /// It waits: its number, and how it goes on.
    Waiting(u64, Way),
}

impl HeldRead {
    /// The number of the message; the least there is where no copy is kept.
    pub fn number(&self) -> u64 {
        match self {
            HeldRead::InFlight(one) => one.number.unwrap_or(0),
            HeldRead::Waiting(number, _) => *number,
        }
    }
}

/// A will.
#[derive(Clone, Debug)]
pub struct WillRead {
    /// What is published.
    pub message: Arc<Message>,
    /// Seconds that it waits after the connection is lost.
    pub delay_s: u32,
    /// Its message expiry interval in seconds.
    pub expiry_s: Option<u32>,
    /// When it is due, in milliseconds since 1970; `None` for not yet known, or never.
    pub due_at: Option<u64>,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct SessionRead {
    /// The client identifier.
    pub client_id: Box<str>,
    /// What no other session of that process had.
    pub serial: u64,
    /// The user name of its client, and the name of the listener that it came by.
    pub owner: Option<(Option<Box<str>>, Box<str>)>,
    /// Whether its client was there.
    pub is_there: bool,
    /// Seconds that it outlives its connection.
    pub expiry_s: u32,
    /// When its client's absence ends it, in milliseconds since 1970.
    pub ends_at: Option<u64>,
    /// Published unless the client says goodbye.
    pub will: Option<WillRead>,
    /// By share name and filter.
    pub subscriptions: BTreeMap<(Option<Box<str>>, Box<str>), EntryOptions>,
    /// Identifiers of QoS 2 messages from the client.
    pub inbound: BTreeSet<u16>,
    pub(super) queue: Runs,
    /// By order.
    in_flight: VecDeque<InFlightRead>,
}

impl WillRead {
    fn of(will: &WillText<'_>) -> Result<WillRead, Broken> {
        let message: &MessageText<'_> = &will.message;
        Ok(WillRead {
            message: Arc::new(message.to_message()?),
            delay_s: will.delay_s,
            expiry_s: will.expiry_s,
            due_at: None,
        })
    }
}

fn key(subscription: SubscriptionText<'_>) -> (Option<Box<str>>, Box<str>) {
    let SubscriptionText { share, filter } = subscription;
    (share.map(Into::into), filter.into())
}

impl SessionRead {
    /// Without any state; its client is there.
    pub(super) fn new(serial: u64, client_id: &str) -> Self {
        SessionRead {
            client_id: client_id.into(),
            serial,
            owner: None,
            is_there: true,
            expiry_s: 0,
            ends_at: None,
            will: None,
            subscriptions: BTreeMap::new(),
            inbound: BTreeSet::new(),
            queue: Runs::default(),
            in_flight: VecDeque::new(),
        }
    }

    /// What waits, in its order, by number.
    pub fn waiting(&self) -> impl Iterator<Item = (u64, Way)> + '_ {
        self.queue.iter()
    }

    /// What is in flight, oldest first.
    pub fn in_flight(&self) -> impl Iterator<Item = &InFlightRead> {
        self.in_flight.iter()
    }

    /// What is in flight and then what waits, each oldest first.
    pub fn held(&self) -> impl Iterator<Item = HeldRead> + '_ {
        let in_flight = self.in_flight.iter().copied().map(HeldRead::InFlight);
        let waiting = self.waiting();
        in_flight.chain(waiting.map(|(number, way)| HeldRead::Waiting(number, way)))
    }

    /// All messages that it refers to, as often as it does.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        let in_flight = self.in_flight.iter().filter_map(|entry| entry.number);
        self.queue.iter().map(|(number, _)| number).chain(in_flight)
    }

    /// Something that concerns it alone. Returns the number of a message to which it refers no longer.
    pub(super) fn change(&mut self, record: &Record<'_>) -> Result<Option<u64>, Broken> {
        match *record {
            Record::Received { order, .. } => return self.receive(order),
            Record::CopyGivenUp { order, .. } => return Ok(self.frame(order)?.number.take()),
            Record::Resumed { .. } => {
                (self.is_there, self.ends_at) = (true, None);
                if let Some(will) = &mut self.will {
                    will.due_at = None;
                }
            }
            Record::Identified { user, listener, .. } => {
                self.owner = Some((user.map(Into::into), listener.into()));
            }
            Record::ExpirySet { seconds, .. } => self.expiry_s = seconds,
            Record::Away { ends_at, .. } => (self.is_there, self.ends_at) = (false, ends_at),
            Record::WillSet { ref will, .. } => self.will = Some(WillRead::of(will)?),
            Record::WillDue { at, .. } => {
                self.will.as_mut().ok_or(Broken::Unknown)?.due_at = at;
            }
            Record::WillTaken { .. } => {
                self.will.take().ok_or(Broken::Unknown)?;
            }
            Record::Subscribed { to, options, .. } => {
                self.subscriptions.insert(key(to), options);
            }
            Record::Unsubscribed { from, .. } => {
                let was_there = self.subscriptions.remove(&key(from));
                was_there.ok_or(Broken::Unknown)?;
            }
            Record::InboundStored { id, .. } => {
                self.inbound.insert(id);
            }
            Record::InboundReleased { id, .. } => {
                let was_there = self.inbound.remove(&id);
                was_there.then_some(()).ok_or(Broken::Unknown)?;
            }
            _ => {}
        }
        Ok(None)
    }

    fn place(&self, order: u64) -> Result<usize, usize> {
        let last = self.in_flight.back();
        match last.is_none_or(|last| last.order < order) {
            true => Err(self.in_flight.len()),
            false => (self.in_flight).binary_search_by_key(&order, |entry| entry.order),
        }
    }

    fn frame(&mut self, order: u64) -> Result<&mut InFlightRead, Broken> {
        let place = self.place(order).map_err(|_| Broken::Unknown)?;
        Ok(&mut self.in_flight[place])
    }

    fn receive(&mut self, order: u64) -> Result<Option<u64>, Broken> {
        let frame = self.frame(order)?;
        frame.is_received = true;
        Ok(frame.number.take())
    }

    /// A message is in flight.
    pub(super) fn send(
        &mut self,
        number: Option<u64>,
        order: u64,
        id: u16,
        way: Way,
    ) -> Result<(), Broken> {
        let place = self.place(order).err().ok_or(Broken::Unknown)?;
        let frame = InFlightRead {
            order,
            id,
            way,
            is_received: false,
            number,
        };
        self.in_flight.insert(place, frame);
        Ok(())
    }

    /// A message that waited is in flight.
    pub(super) fn go_on(
        &mut self,
        number: u64,
        way: Way,
        order: u64,
        id: u16,
    ) -> Result<(), Broken> {
        let taken = self.queue.take(number, way);
        taken.then_some(()).ok_or(Broken::Message(number))?;
        self.send(Some(number), order, id, way)
    }

    /// A frame is done. Returns the number of its message, if it was kept.
    pub(super) fn acknowledge(&mut self, order: u64) -> Option<u64> {
        let place = self.place(order).ok()?;
        self.in_flight.remove(place)?.number
    }
}
