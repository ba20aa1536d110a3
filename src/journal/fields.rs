//! A record as a name and fields, for whoever shows it.

use super::members::Members;
use super::message::MessageText;
use super::record::{Errand, Record, SubscriptionText};
use crate::routing::EntryOptions;
use crate::session::Way;

/// What a field says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A number.
    Number(u64),
    /// A number that need not be there.
    NumberOrNone(Option<u64>),
    /// A text.
    Text(&'a str),
    /// A text that need not be there.
    TextOrNone(Option<&'a str>),
    /// A moment in milliseconds since 1970; `None`: never.
    Moment(Option<u64>),
    /// A message.
    Message(&'a MessageText<'a>),
    /// What was asked for with a subscription.
    Options(EntryOptions),
    /// How a message goes to a session.
    Way(Way),
    /// Sessions.
    Members(&'a Members<'a>),
    /// What is to become of a message.
    Errand(&'a Errand),
}

/// A field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// What it is called.
    pub name: &'static str,
    /// What it says.
    pub value: Value<'a>,
}

/// A record, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields<'a> {
    /// What the record is called.
    pub name: &'static str,
    /// In the order in which they are shown.
    pub all: Vec<Field<'a>>,
}

impl<'a> Fields<'a> {
    fn new(name: &'static str) -> Fields<'a> {
        Fields {
            name,
            all: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: Value<'a>) -> Self {
        self.all.push(Field { name, value });
        self
    }

    fn number(self, name: &'static str, number: impl Into<u64>) -> Self {
        self.with(name, Value::Number(number.into()))
    }

    fn session(name: &'static str, session: u32) -> Fields<'a> {
        Fields::new(name).number("session", session)
    }

    fn subscription(self, to: &SubscriptionText<'a>) -> Self {
        let shared = match to.share {
            Some(share) => self.with("share", Value::Text(share)),
            None => self,
        };
        shared.with("filter", Value::Text(to.filter))
    }

    fn way(self, way: Way) -> Self {
        self.with("granted", Value::Way(way))
    }

    fn members(self, members: &'a Members<'a>) -> Self {
        self.with("sessions", Value::Members(members))
    }
}

impl Record<'_> {
    /// What it says, by name.
    ///
    /// A new kind of record has its place here: each is named.
    pub fn fields(&self) -> Fields<'_> {
        match self {
            Record::Opened { .. }
            | Record::Resumed { .. }
            | Record::Identified { .. }
            | Record::ExpirySet { .. }
            | Record::Away { .. }
            | Record::Ended { .. }
            | Record::SessionAnew { .. }
            | Record::WillSet { .. }
            | Record::WillDue { .. }
            | Record::WillTaken { .. }
            | Record::Subscribed { .. }
            | Record::Unsubscribed { .. } => self.of_session(),
            Record::InboundStored { .. }
            | Record::InboundReleased { .. }
            | Record::SentAlone { .. }
            | Record::SentBare { .. }
            | Record::Moved { .. }
            | Record::Received { .. }
            | Record::CopyGivenUp { .. }
            | Record::Sent { .. }
            | Record::Acknowledged { .. } => self.of_flight(),
            Record::Message { .. }
            | Record::Queued { .. }
            | Record::Unqueued { .. }
            | Record::QueuedRun { .. }
            | Record::RetainedStored { .. }
            | Record::RetainedRemoved { .. } => self.of_messages(),
            Record::GroupNamed { group, to } => Fields::new("GroupNamed")
                .number("group", *group)
                .subscription(to),
            Record::Handed {
                to,
                at,
                number,
                errand,
            } => Fields::new("Handed")
                .number("to", *to)
                .number("at", *at)
                .number("number", *number)
                .with("errand", Value::Errand(errand)),
            Record::Took { from, at } => {
                Fields::new("Took").number("from", *from).number("at", *at)
            }
            Record::SetsForgotten => Fields::new("SetsForgotten"),
            Record::TurnEnded => Fields::new("TurnEnded"),
            Record::CheckpointBegun => Fields::new("CheckpointBegun"),
            Record::CheckpointEnded => Fields::new("CheckpointEnded"),
        }
    }
}

/// What a record would be called of which the functions below say nothing: a test looks for it.
const UNNAMED: &str = "Unnamed";

impl Record<'_> {
    fn of_session(&self) -> Fields<'_> {
        match self {
            Record::Opened {
                session,
                serial,
                client_id,
            } => Fields::session("Opened", *session)
                .number("serial", *serial)
                .with("client_id", Value::Text(client_id)),
            Record::Resumed { session } => Fields::session("Resumed", *session),
            Record::Identified {
                session,
                user,
                listener,
            } => Fields::session("Identified", *session)
                .with("user", Value::TextOrNone(*user))
                .with("listener", Value::Text(listener)),
            Record::ExpirySet { session, seconds } => {
                Fields::session("ExpirySet", *session).number("seconds", *seconds)
            }
            Record::Away { session, ends_at } => {
                Fields::session("Away", *session).with("ends", Value::Moment(*ends_at))
            }
            Record::Ended { session } => Fields::session("Ended", *session),
            Record::SessionAnew { session } => Fields::session("SessionAnew", *session),
            Record::WillSet { session, will } => Fields::session("WillSet", *session)
                .number("delay_s", will.delay_s)
                .with(
                    "expiry_s",
                    Value::NumberOrNone(will.expiry_s.map(u64::from)),
                )
                .with("message", Value::Message(&will.message)),
            Record::WillDue { session, at } => {
                Fields::session("WillDue", *session).with("due", Value::Moment(*at))
            }
            Record::WillTaken { session } => Fields::session("WillTaken", *session),
            Record::Subscribed {
                session,
                to,
                options,
            } => Fields::session("Subscribed", *session)
                .subscription(to)
                .with("options", Value::Options(*options)),
            Record::Unsubscribed { session, from } => {
                Fields::session("Unsubscribed", *session).subscription(from)
            }
            _ => Fields::new(UNNAMED),
        }
    }

    fn of_messages(&self) -> Fields<'_> {
        match self {
            Record::Message { number, message } => Fields::new("Message")
                .number("number", *number)
                .with("message", Value::Message(message)),
            Record::Queued {
                number,
                way,
                members,
            } => Fields::new("Queued")
                .number("number", *number)
                .way(*way)
                .members(members),
            Record::Unqueued {
                number,
                way,
                members,
            } => Fields::new("Unqueued")
                .number("number", *number)
                .way(*way)
                .members(members),
            Record::QueuedRun {
                session,
                number,
                len,
                way,
            } => Fields::session("QueuedRun", *session)
                .number("number", *number)
                .number("messages", *len)
                .way(*way),
            Record::RetainedStored { number } => {
                Fields::new("RetainedStored").number("number", *number)
            }
            Record::RetainedRemoved { topic } => {
                Fields::new("RetainedRemoved").with("topic", Value::Text(topic))
            }
            _ => Fields::new(UNNAMED),
        }
    }

    fn of_flight(&self) -> Fields<'_> {
        let alone =
            |name, session: &u32, number: Option<&u64>, order: &u64, id: &u16, way: &Way| {
                let fields = Fields::session(name, *session);
                let fields = match number {
                    Some(number) => fields.number("number", *number),
                    None => fields,
                };
                let fields = fields.number("order", *order);
                fields.number("packet_id", *id).way(*way)
            };
        match self {
            Record::Sent {
                number,
                order,
                way,
                members,
            } => Fields::new("Sent")
                .number("number", *number)
                .number("order", *order)
                .way(*way)
                .members(members),
            Record::SentAlone {
                session,
                number,
                order,
                id,
                way,
            } => alone("SentAlone", session, Some(number), order, id, way),
            Record::SentBare {
                session,
                order,
                id,
                way,
            } => alone("SentBare", session, None, order, id, way),
            Record::Moved {
                session,
                number,
                order,
                id,
                way,
            } => alone("Moved", session, Some(number), order, id, way),
            Record::Acknowledged { order, members } => Fields::new("Acknowledged")
                .number("order", *order)
                .members(members),
            Record::Received { session, order } => {
                Fields::session("Received", *session).number("order", *order)
            }
            Record::CopyGivenUp { session, order } => {
                Fields::session("CopyGivenUp", *session).number("order", *order)
            }
            Record::InboundStored { session, id } => {
                Fields::session("InboundStored", *session).number("packet_id", *id)
            }
            Record::InboundReleased { session, id } => {
                Fields::session("InboundReleased", *session).number("packet_id", *id)
            }
            _ => Fields::new(UNNAMED),
        }
    }
}
