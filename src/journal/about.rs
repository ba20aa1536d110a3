//! Whom and what a record is about, for whoever says what is lost with it.

use super::members::Members;
use super::record::Record;

/// Sessions that a record speaks of, by their numbers on their shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concerned<'a> {
    /// It speaks of none.
    Nobody,
    /// It speaks of this one.
    One(u32),
    /// It speaks of these.
    All(&'a [u32]),
    /// It speaks of a set that was written before, by its number.
    Known(u64),
}

/// Whom and what a record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About<'a> {
    /// Sessions that have something else behind it than before.
    pub sessions: Concerned<'a>,
    /// The client identifier that the first of them has from here on.
    pub client_id: Option<&'a str>,
    /// The topic of a message that it has.
    pub topic: Option<&'a str>,
}

const NOTHING: About<'static> = About {
    sessions: Concerned::Nobody,
    client_id: None,
    topic: None,
};

impl<'a> About<'a> {
    fn one(session: u32) -> About<'a> {
        About {
            sessions: Concerned::One(session),
            ..NOTHING
        }
    }

    fn all(members: &'a Members<'_>) -> About<'a> {
        let sessions = match members {
            Members::One(session) => Concerned::One(*session),
            Members::New(all) | Members::Once(all) => Concerned::All(all),
            Members::Known(number) => Concerned::Known(*number),
        };
        About {
            sessions,
            ..NOTHING
        }
    }

    fn topic(topic: &'a str) -> About<'a> {
        About {
            topic: Some(topic),
            ..NOTHING
        }
    }
}

impl Record<'_> {
    /// Whom and what it is about.
    ///
    /// A new kind of record has its place here: each is named.
    pub fn about(&self) -> About<'_> {
        match self {
            Record::Opened {
                session, client_id, ..
            } => About {
                client_id: Some(client_id),
                ..About::one(*session)
            },
            Record::Resumed { session }
            | Record::Identified { session, .. }
            | Record::ExpirySet { session, .. }
            | Record::Away { session, .. }
            | Record::Ended { session }
            | Record::WillDue { session, .. }
            | Record::WillTaken { session }
            | Record::Subscribed { session, .. }
            | Record::Unsubscribed { session, .. }
            | Record::SentAlone { session, .. }
            | Record::SentBare { session, .. }
            | Record::Moved { session, .. }
            | Record::Received { session, .. }
            | Record::CopyGivenUp { session, .. }
            | Record::InboundStored { session, .. }
            | Record::InboundReleased { session, .. }
            | Record::SessionAnew { session }
            | Record::QueuedRun { session, .. } => About::one(*session),
            Record::WillSet { session, will } => About {
                topic: Some(will.message.topic),
                ..About::one(*session)
            },
            Record::Queued { members, .. }
            | Record::Unqueued { members, .. }
            | Record::Sent { members, .. }
            | Record::Acknowledged { members, .. } => About::all(members),
            Record::Message { message, .. } => About::topic(message.topic),
            Record::RetainedRemoved { topic } => About::topic(topic),
            // Its message is named where its text is.
            Record::RetainedStored { .. }
            | Record::SetsForgotten
            | Record::GroupNamed { .. }
            | Record::Handed { .. }
            | Record::Took { .. }
            | Record::TurnEnded
            | Record::CheckpointBegun
            | Record::CheckpointEnded => NOTHING,
        }
    }
}
