//! What changed, for whoever keeps it: a journal, a fabric, a hook.
//!
//! Facts are told in the order in which they happen, each when it is true, and before the acknowledgement that the client
//! gets for it. Together they are all that there is to know of sessions, subscriptions, messages in flight or waiting, wills
//! and retained messages; what only this process needs (timers, accounts, policies, what is still to be fetched) is not told.
//! While nobody listens (`keepers`) a fact is not even made.
//!
//! To listen, implement `Keeper` and hand it to `Broker::listen`. A keeper must not block: it is called in the middle of an
//! event.

use std::sync::Arc;

use crate::broker::wall_clock::{UnixMs, WallClock};
use crate::ids::SessionRef;
use crate::mqtt::message::Message;
use crate::mqtt::{AckKind, PacketId, ReasonCode};
use crate::routing::{EntryOptions, Grant};
use crate::session::{Origin, Will};

/// Something has changed. Messages are told by reference: many sessions share one.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// There is a session of this client identifier, without any state.
    Opened {
        session: SessionRef,
        client_id: &'a str,
    },
    /// Its client is there, for the first time or again.
    Resumed { session: SessionRef },
    /// Its client has this user name, and came by the listener of this name.
    Identified {
        session: SessionRef,
        user: Option<&'a str>,
        listener: &'a str,
    },
    /// It outlives its connection by so many seconds; `session::EXPIRY_NEVER` without end.
    ExpirySet { session: SessionRef, seconds: u32 },
    /// Its client is away; when that ends the session.
    Away {
        session: SessionRef,
        ends_at: Option<UnixMs>,
    },
    /// It is gone, and all that it had.
    Ended { session: SessionRef },
    /// CONNECT has brought a will, in the place of another.
    WillSet { session: SessionRef, will: &'a Will },
    /// Its client is away: when its will is to be published.
    WillDue {
        session: SessionRef,
        at: Option<UnixMs>,
    },
    /// Its will is published, or will never be.
    WillTaken { session: SessionRef },
    /// It has subscribed, or has other options from here on.
    Subscribed {
        session: SessionRef,
        to: Subscription<'a>,
        options: EntryOptions,
    },
    /// It has unsubscribed.
    Unsubscribed {
        session: SessionRef,
        from: Subscription<'a>,
    },
    /// A message waits for its client.
    Queued {
        session: SessionRef,
        message: Numbered<'a>,
        grant: Grant,
        origin: Origin,
    },
    /// A message waits no longer: it is sent next, given to another session, or dropped.
    Unqueued {
        session: SessionRef,
        /// That with which it was queued.
        number: u64,
        grant: Grant,
        origin: Origin,
        message: &'a Arc<Message>,
    },
    /// A message with QoS 1 or 2 has been sent; there where it is kept to be sent again.
    Sent {
        session: SessionRef,
        id: u16,
        /// Counts such frames of the shard; no other one that is in flight to this session has it.
        order: u64,
        grant: Grant,
        origin: Origin,
        /// The message, with its number and its expiry, if it is kept.
        message: Option<Numbered<'a>>,
    },
    /// The copy of a message in flight is given up: it will not be sent again.
    CopyGivenUp {
        session: SessionRef,
        id: u16,
        order: u64,
    },
    /// PUBREC has come: the message is the client's.
    Received {
        session: SessionRef,
        id: u16,
        order: u64,
    },
    /// An identifier is not in use any more: PUBACK or PUBCOMP has come, or the message is given up.
    Acknowledged {
        session: SessionRef,
        id: u16,
        order: u64,
    },
    /// A QoS 2 message has come from the client: its identifier is kept until PUBREL.
    InboundStored { session: SessionRef, id: u16 },
    /// PUBREL has come for it.
    InboundReleased { session: SessionRef, id: u16 },
    /// A message is retained, in the place of another of its topic.
    RetainedStored { message: Numbered<'a> },
    /// A topic has no retained message any more.
    RetainedRemoved { topic: &'a str },
    /// An answer to the client has been decided; it goes out at once, or when what it promises is durable.
    Answered { session: SessionRef, answer: Answer },
    /// What a new fact needs.
    #[cfg(test)]
    Example { session: SessionRef, noted: u32 },
}

/// A message, with what the shard knows of it.
#[derive(Clone, Copy, Debug)]
pub struct Numbered<'a> {
    /// The message.
    pub message: &'a Arc<Message>,
    /// Its number on this shard: the message at hand has one, whoever it is for, and one that comes again later has another.
    pub number: u64,
    /// When it expires.
    pub expires_at: Option<UnixMs>,
}

/// What a session subscribes to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Subscription<'a> {
    /// The share name of a shared subscription.
    pub share: Option<&'a str>,
    /// The filter, with the mount point.
    pub filter: &'a str,
}

impl WallClock {
    /// A message, with its number.
    pub(in crate::broker) fn numbered<'a>(
        self,
        message: &'a Arc<Message>,
        number: u64,
    ) -> Numbered<'a> {
        Numbered {
            message,
            number,
            expires_at: self.unix(message.expires_at_ms),
        }
    }
}

/// An answer to a client, before which all that it says must be kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// CONNACK, of a connection that is accepted.
    Connack { session_present: bool },
    /// PUBACK, PUBREC, PUBREL or PUBCOMP.
    Ack(AckKind, PacketId, ReasonCode),
    /// SUBACK.
    Suback(PacketId),
    /// UNSUBACK.
    Unsuback(PacketId),
}

/// Somebody who keeps facts.
pub trait Keeper {
    /// Something has changed.
    fn keep(&mut self, fact: &Fact<'_>);
}
