//! What is answered about a client, a subscription, a retained message.

use std::net::SocketAddr;
use std::sync::Arc;

use super::page::Page;
use crate::ids::SessionRef;
use crate::mqtt::message::Message;
use crate::mqtt::{QoS, Version};
use crate::routing::EntryOptions;

/// A client, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientRow {
    /// Its session.
    pub session: SessionRef,
    /// The client identifier.
    pub client: Box<str>,
    /// Its user name, wherever it comes from.
    pub user: Option<Box<str>>,
    /// The name of the listener that it has come by.
    pub listener: Option<Box<str>>,
    /// Its connection; `None` while it is away.
    pub connection: Option<ConnectionRow>,
    /// Seconds until its absence ends the session; `None` for never, and while it is there.
    pub ends_in_s: Option<u64>,
    /// Session expiry interval in seconds; `u32::MAX` for a session that never ends.
    pub expiry_s: u32,
    /// Bytes that wait for it: in its output and with its session.
    pub bytes: u64,
    /// Messages that wait for it; of those in its output as many as its first ones make likely.
    pub messages: u64,
    /// Messages with QoS 1 and 2 in flight to it.
    pub in_flight: u32,
    /// Its subscriptions, shared ones among them.
    pub subscriptions: u32,
}

impl ClientRow {
    /// Bytes of the names in it.
    pub fn name_bytes(&self) -> usize {
        let bytes = |name: &Option<Box<str>>| name.as_ref().map_or(0, |name| name.len());
        self.client.len() + bytes(&self.user) + bytes(&self.listener)
    }
}

/// The connection of a client, in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRow {
    /// Its address; unspecified for a client at a Unix domain socket.
    pub address: SocketAddr,
    /// The version that it speaks.
    pub version: Version,
    /// Seconds since its CONNECT.
    pub connected_s: u64,
    /// Seconds since its socket has taken something, while it has more to take.
    pub lag_s: u64,
    /// Seconds for which it has not acknowledged the oldest message in flight, as far as it was looked.
    pub unacknowledged_s: u32,
    /// What happens when it is too slow; empty without a policy of its own.
    pub policy: &'static str,
}

/// All of one client.
#[derive(Clone, Debug)]
pub struct ClientDetails {
    /// As in a list.
    pub row: ClientRow,
    /// What else there is of its connection; `None` while it is away.
    pub connection: Option<ConnectionDetails>,
    /// Its will.
    pub will: Option<WillRow>,
    /// Messages that wait with its session.
    pub queued: u64,
    /// Payload bytes of these.
    pub queued_bytes: u64,
    /// QoS 2 messages from it that wait for PUBREL.
    pub inbound: u32,
    /// Subscriptions that wait for retained messages.
    pub replays: u32,
    /// Its first subscriptions, and the number of the next one.
    pub subscriptions: Page<SubscriptionRow, usize>,
}

/// What there is of a connection beyond a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionDetails {
    /// What it is to the broker.
    pub role: &'static str,
    /// The user name that its certificate gives it.
    pub certificate: Option<Box<str>>,
    /// Whether nobody has vouched for who it is.
    pub is_anonymous: bool,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// Seconds since its last packet.
    pub idle_s: u64,
    /// Whether it asked for a session without a past.
    pub clean_start: bool,
    /// Messages with QoS 1 and 2 that may be in flight to it.
    pub in_flight_max: u16,
    /// Bytes of the largest packet that it takes; `None` without a bound of its own.
    pub packet_bytes_max: Option<u32>,
    /// Bytes in its output.
    pub output_bytes: u32,
    /// Whether nothing is received from it for now.
    pub is_held: bool,
}

/// A will.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WillRow {
    /// The topic name.
    pub topic: Box<str>,
    /// The QoS.
    pub qos: QoS,
    /// Whether it is to be retained.
    pub retain: bool,
    /// Seconds that it waits after the connection is lost.
    pub delay_s: u32,
    /// Bytes of its payload.
    pub payload_bytes: usize,
}

/// A subscription.
#[derive(Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    /// The client identifier.
    pub client: Box<str>,
    /// The share name of a shared one.
    pub share: Option<Box<str>>,
    /// The filter, with the listener's mount point in front.
    pub filter: Box<str>,
    /// QoS and the rest.
    pub options: EntryOptions,
    /// Whether the client is there.
    pub is_connected: bool,
    /// Whether the client may be sent messages with the topic that was asked for; `None` where none was.
    pub may_read: Option<bool>,
}

impl SubscriptionRow {
    /// Bytes of the names in it.
    pub fn name_bytes(&self) -> usize {
        let share = self.share.as_ref().map_or(0, |share| share.len());
        self.client.len() + share + self.filter.len()
    }
}

impl std::fmt::Debug for SubscriptionRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (share, filter) = (&self.share, &self.filter);
        let qos = self.options.qos();
        let may_read = self.may_read;
        write!(f, "{} {share:?} {filter} {qos:?} {may_read:?}", self.client)
    }
}

/// A retained message.
#[derive(Clone, Debug)]
pub struct RetainedRow {
    /// The message, shared with the shard.
    pub message: Arc<Message>,
    /// Seconds until it expires; `None` for never.
    pub expires_in_s: Option<u64>,
}

/// Where a session stands in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ranked {
    /// The figure of the order; 0 in the order of names.
    pub figure: u64,
    /// The client identifier, in the order of names.
    pub name: Box<str>,
    /// Which session.
    pub session: SessionRef,
}

/// The sessions of a part of all places that come first in an order.
#[derive(Debug)]
pub struct RankedPage {
    /// They, in that order.
    pub rows: Vec<Ranked>,
    /// The next place; `None` if that were all.
    pub next: Option<u32>,
    /// In the order of names: there was room for no name behind this one, so that nothing is known of those.
    pub horizon: Option<Box<str>>,
}
