//! What a record says. `encode` makes bytes of it, `decode` is the way back.
//!
//! ```text
//! length of what follows | kind, one byte | fields
//! ```
//!
//! Kinds from 128 on may be left out by who does not know them; others may not. Numbers of messages, orders of frames and serials of
//! publishers are written by their distance from the last one in the stream ([`Last`]): a stream is read from a place where both
//! sides begin with none.

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
    /// It no longer waits for these: its oldest place there is gone.
    Unqueued { number: u64, members: Members<'a> },
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
    /// It waits for this one no longer: it is in flight.
    Moved {
        session: u32,
        number: u64,
        order: u64,
        id: u16,
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
}

/// What distances are counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) number: u64,
    pub(super) order: u64,
    pub(super) origin: u64,
}

/// The kinds, as they stand on the disk: a number is never given another meaning.
pub(super) mod kind {
    pub(in crate::journal) const OPENED: u8 = 1;
    pub(in crate::journal) const RESUMED: u8 = 2;
    pub(in crate::journal) const EXPIRY_SET: u8 = 3;
    pub(in crate::journal) const AWAY: u8 = 4;
    pub(in crate::journal) const ENDED: u8 = 5;
    pub(in crate::journal) const WILL_SET: u8 = 6;
    pub(in crate::journal) const WILL_DUE: u8 = 7;
    pub(in crate::journal) const WILL_TAKEN: u8 = 8;
    pub(in crate::journal) const SUBSCRIBED: u8 = 9;
    pub(in crate::journal) const UNSUBSCRIBED: u8 = 10;
    pub(in crate::journal) const MESSAGE: u8 = 11;
    pub(in crate::journal) const QUEUED: u8 = 12;
    pub(in crate::journal) const UNQUEUED: u8 = 13;
    pub(in crate::journal) const SENT: u8 = 14;
    pub(in crate::journal) const SENT_ALONE: u8 = 15;
    pub(in crate::journal) const MOVED: u8 = 16;
    pub(in crate::journal) const ACKNOWLEDGED: u8 = 17;
    pub(in crate::journal) const RECEIVED: u8 = 18;
    pub(in crate::journal) const COPY_GIVEN_UP: u8 = 19;
    pub(in crate::journal) const INBOUND_STORED: u8 = 20;
    pub(in crate::journal) const INBOUND_RELEASED: u8 = 21;
    pub(in crate::journal) const RETAINED_STORED: u8 = 22;
    pub(in crate::journal) const RETAINED_REMOVED: u8 = 23;
    pub(in crate::journal) const SETS_FORGOTTEN: u8 = 24;
    pub(in crate::journal) const SENT_BARE: u8 = 25;
    pub(in crate::journal) const IDENTIFIED: u8 = 26;
    /// Kinds from here on may be left out.
    pub(in crate::journal) const OPTIONAL: u8 = 128;
}
