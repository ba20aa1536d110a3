//! What a record says. `encode` makes bytes of it, `decode` is the way back.
//!
//! ```text
//! length of what follows | kind, one byte | fields
//! ```
//!
//! Kinds from 128 on may be left out by who does not know them; others may not. Numbers of messages, orders of frames and serials of
//! publishers are written by their distance from the last one in the stream ([`Last`]): a stream is read from a place where both
//! sides begin with none, which is its beginning or that of a checkpoint.

use super::members::Members;
use super::message::MessageText;
use crate::routing::EntryOptions;
use crate::session::Way;

/// Of which subscription of a session a record speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SubscriptionText<'a> {
    /// The share name of a shared subscription.
    pub share: Option<&'a str>,
    /// The filter, with the mount point.
    pub filter: &'a str,
}

/// A will.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WillText<'a> {
    /// What is published.
    pub message: MessageText<'a>,
    /// Seconds that it waits after the connection is lost.
    pub delay_s: u32,
    /// Its message expiry interval in seconds, which counts from when it is published.
    pub expiry_s: Option<u32>,
}

/// What is to become of a message that one shard hands to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// It is for the sessions there.
    Deliver,
    /// It is to be retained there.
    Retain,
    /// It is to be passed on to the sessions of these shards, as bits.
    PassOn {
        targets: u64,
        /// It is to be retained as well.
        retains: bool,
    },
    /// It is for a member of a shared subscription, by its owner and its number there.
    Share { owner: u8, group: u32 },
}

/// A record. Moments are milliseconds since 1970; a session is named by its number on its shard, which is another's after `Ended`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// There is a session of this client identifier, without any state.
    Opened {
        session: u32,
        serial: u64,
        client_id: &'a str,
    },
    /// Its client is there, for the first time or again.
    Resumed { session: u32 },
    /// Its client has this user name, and came by the listener of this name.
    Identified {
        session: u32,
        user: Option<&'a str>,
        listener: &'a str,
    },
    /// It outlives its connection by so many seconds.
    ExpirySet { session: u32, seconds: u32 },
    /// Its client is away; when that ends the session.
    Away { session: u32, ends_at: Option<u64> },
    /// It is gone, and all that it had.
    Ended { session: u32 },
    /// CONNECT has brought a will.
    WillSet { session: u32, will: WillText<'a> },
    /// When its will is to be published.
    WillDue { session: u32, at: Option<u64> },
    /// Its will is published, or will never be.
    WillTaken { session: u32 },
    /// It has subscribed, or has other options from here on.
    Subscribed {
        session: u32,
        to: SubscriptionText<'a>,
        options: EntryOptions,
    },
    /// It has unsubscribed.
    Unsubscribed {
        session: u32,
        from: SubscriptionText<'a>,
    },
    /// A message, to which later records refer.
    Message {
        number: u64,
        message: MessageText<'a>,
    },
    /// It waits for these, behind all that does.
    Queued {
        number: u64,
        way: Way,
        members: Members<'a>,
    },
    /// It no longer waits for these: its oldest place there among those that go this way is gone. A session has a message several times
    /// where its subscriptions overlap, and not always loses the oldest of them.
    Unqueued {
        number: u64,
        way: Way,
        members: Members<'a>,
    },
    /// It is in flight to these, under a packet identifier that follows from the order of its frame.
    Sent {
        number: u64,
        order: u64,
        way: Way,
        members: Members<'a>,
    },
    /// It is in flight to this one, under an identifier of the session's own.
    SentAlone {
        session: u32,
        number: u64,
        order: u64,
        id: u16,
        way: Way,
    },
    /// One is in flight to this one of which no copy is kept: it will not be sent again.
    SentBare {
        session: u32,
        order: u64,
        id: u16,
        way: Way,
    },
    /// It waits for this one no longer, in the place that `Unqueued` would name: it is in flight.
    Moved {
        session: u32,
        number: u64,
        order: u64,
        id: u16,
        way: Way,
    },
    /// The frame of this order is done for these: PUBACK or PUBCOMP has come, or it is given up.
    Acknowledged { order: u64, members: Members<'a> },
    /// PUBREC has come.
    Received { session: u32, order: u64 },
    /// The copy of a message in flight is given up: it will not be sent again.
    CopyGivenUp { session: u32, order: u64 },
    /// The identifier of a QoS 2 message from the client is kept until PUBREL.
    InboundStored { session: u32, id: u16 },
    /// PUBREL has come.
    InboundReleased { session: u32, id: u16 },
    /// A message is retained, in the place of another of its topic.
    RetainedStored { number: u64 },
    /// A topic has no retained message any more.
    RetainedRemoved { topic: &'a str },
    /// Sets that were written are referred to no more: their numbers begin anew.
    SetsForgotten,
    /// A shared subscription that this shard owns has this number.
    GroupNamed {
        group: u32,
        to: SubscriptionText<'a>,
    },
    /// A message was handed to another shard, or is kept here to be gone on with; `at` is its place among all that was handed there.
    Handed {
        to: u8,
        at: u64,
        number: u64,
        errand: Errand,
    },
    /// All that another shard has handed to this one was taken, up to this place.
    Took { from: u8, at: u64 },
    /// A turn of the shard ends. What was written since the last one happened together, or not at all.
    TurnEnded,
    /// A checkpoint begins: reading may begin here. Distances are counted from none, sets are forgotten, and the text of a message is
    /// written again before it is referred to.
    CheckpointBegun,
    /// All images are written: who began to read where the checkpoint begins knows all there is from here on.
    CheckpointEnded,
    /// The image of a session follows: what was said of it is void.
    SessionAnew { session: u32 },
    /// So many messages, of which the numbers follow each other, wait for this one, behind all that does.
    QueuedRun {
        session: u32,
        number: u64,
        len: u32,
        way: Way,
    },
}

/// What distances are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) number: u64,
    pub(super) order: u64,
    pub(super) origin: u64,
}

impl Record<'_> {
    /// The byte by which it is known on the disk.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Record::Opened { .. } => kind::OPENED,
            Record::Resumed { .. } => kind::RESUMED,
            Record::ExpirySet { .. } => kind::EXPIRY_SET,
            Record::Away { .. } => kind::AWAY,
            Record::Ended { .. } => kind::ENDED,
            Record::WillSet { .. } => kind::WILL_SET,
            Record::WillDue { .. } => kind::WILL_DUE,
            Record::WillTaken { .. } => kind::WILL_TAKEN,
            Record::Subscribed { .. } => kind::SUBSCRIBED,
            Record::Unsubscribed { .. } => kind::UNSUBSCRIBED,
            Record::Message { .. } => kind::MESSAGE,
            Record::Queued { .. } => kind::QUEUED,
            Record::Unqueued { .. } => kind::UNQUEUED,
            Record::Sent { .. } => kind::SENT,
            Record::SentAlone { .. } => kind::SENT_ALONE,
            Record::Moved { .. } => kind::MOVED,
            Record::Acknowledged { .. } => kind::ACKNOWLEDGED,
            Record::Received { .. } => kind::RECEIVED,
            Record::CopyGivenUp { .. } => kind::COPY_GIVEN_UP,
            Record::InboundStored { .. } => kind::INBOUND_STORED,
            Record::InboundReleased { .. } => kind::INBOUND_RELEASED,
            Record::RetainedStored { .. } => kind::RETAINED_STORED,
            Record::RetainedRemoved { .. } => kind::RETAINED_REMOVED,
            Record::SetsForgotten => kind::SETS_FORGOTTEN,
            Record::SentBare { .. } => kind::SENT_BARE,
            Record::Identified { .. } => kind::IDENTIFIED,
            Record::GroupNamed { .. } => kind::GROUP_NAMED,
            Record::Handed { .. } => kind::HANDED,
            Record::Took { .. } => kind::TOOK,
            Record::TurnEnded => kind::TURN_ENDED,
            Record::CheckpointBegun => kind::CHECKPOINT_BEGUN,
            Record::CheckpointEnded => kind::CHECKPOINT_ENDED,
            Record::SessionAnew { .. } => kind::SESSION_ANEW,
            Record::QueuedRun { .. } => kind::QUEUED_RUN,
        }
    }
}

/// The kinds, as they stand on the disk: a number is never given another meaning.
pub(super) mod kind {
    macro_rules! kinds {
        ($($name:ident = $number:literal,)*) => {
            $(pub(in crate::journal) const $name: u8 = $number;)*
            #[cfg(test)]
            pub(in crate::journal) const ALL: &[u8] = &[$($name),*];
        };
    }

    kinds! {
        OPENED = 1,
        RESUMED = 2,
        EXPIRY_SET = 3,
        AWAY = 4,
        ENDED = 5,
        WILL_SET = 6,
        WILL_DUE = 7,
        WILL_TAKEN = 8,
        SUBSCRIBED = 9,
        UNSUBSCRIBED = 10,
        MESSAGE = 11,
        QUEUED = 12,
        UNQUEUED = 13,
        SENT = 14,
        SENT_ALONE = 15,
        MOVED = 16,
        ACKNOWLEDGED = 17,
        RECEIVED = 18,
        COPY_GIVEN_UP = 19,
        INBOUND_STORED = 20,
        INBOUND_RELEASED = 21,
        RETAINED_STORED = 22,
        RETAINED_REMOVED = 23,
        SETS_FORGOTTEN = 24,
        SENT_BARE = 25,
        IDENTIFIED = 26,
        GROUP_NAMED = 27,
        HANDED = 28,
        TOOK = 29,
        TURN_ENDED = 30,
        CHECKPOINT_BEGUN = 31,
        CHECKPOINT_ENDED = 32,
        SESSION_ANEW = 33,
        QUEUED_RUN = 34,
    }

    /// Kinds from here on may be left out.
    pub(in crate::journal) const OPTIONAL: u8 = 128;
}
