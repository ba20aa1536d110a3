//! What is answered over HTTP, as JSON. Names of fields are stable: `control/api/openapi.json` describes them, and a test holds both against
//! each other. Times are seconds from now, so that no clock has to agree with another.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::paged::List;
use crate::broker::{
    BusyTopic, ClientDetails, ClientRow, ConnectionDetails, Disconnected, RetainedRow,
    SubscriptionRow, WillRow,
};
use crate::limits;
use crate::mqtt::Version;
use crate::mqtt::message::Message;

/// An expiry interval that never ends.
const NEVER_S: u32 = u32::MAX;

/// A page of a list.
#[derive(Serialize)]
pub(super) struct PageJson<T> {
    /// The rows.
    items: Vec<T>,
    /// What `after` is to be for the next page; null if this was the last one.
    next: Option<String>,
    /// Shards that have not answered in time.
    missing_shards: Vec<u8>,
    /// Shards with more sessions than are looked at for one answer in an order; left out where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unfinished_shards: Vec<u8>,
}

impl<T> PageJson<T> {
    /// Of a list, its rows made by `json`.
    pub(super) fn of<R>(list: List<R>, json: impl FnMut(R) -> T) -> PageJson<T> {
        PageJson {
            items: list.rows.into_iter().map(json).collect(),
            next: list.next,
            missing_shards: list.missing,
            unfinished_shards: list.unfinished,
        }
    }
}

/// A client in a list.
#[derive(Serialize)]
pub(super) struct ClientJson {
    client_id: Box<str>,
    username: Option<Box<str>>,
    listener: Option<Box<str>>,
    /// Null for a listener that is there no more.
    transport: Option<&'static str>,
    connected: bool,
    address: Option<String>,
    protocol: Option<&'static str>,
    connected_seconds: Option<u64>,
    lag_seconds: Option<u64>,
    slow_consumer_policy: Option<&'static str>,
    /// Null for a session that never ends.
    session_expiry_seconds: Option<u32>,
    /// Null while the client is connected, and for never.
    session_ends_in_seconds: Option<u64>,
    bytes_waiting: u64,
    messages_waiting: u64,
    in_flight: u32,
    subscriptions: u32,
}

impl ClientJson {
    /// `transport` says what is spoken at the listener of a name.
    pub(super) fn new(
        row: ClientRow,
        transport: impl Fn(&str) -> Option<&'static str>,
    ) -> ClientJson {
        let connection = row.connection.as_ref();
        let address = connection.map(|connection| match connection.address.ip() {
            ip if ip.is_unspecified() => "local".into(),
            _ => connection.address.to_string(),
        });
        let policy = connection.map(|connection| connection.policy);
        ClientJson {
            transport: row.listener.as_deref().and_then(transport),
            connected: connection.is_some(),
            address,
            protocol: connection.map(|connection| version(connection.version)),
            connected_seconds: connection.map(|connection| connection.connected_s),
            lag_seconds: connection.map(|connection| connection.lag_s),
            slow_consumer_policy: policy.filter(|policy| !policy.is_empty()),
            session_expiry_seconds: Some(row.expiry_s).filter(|&seconds| seconds != NEVER_S),
            session_ends_in_seconds: row.ends_in_s,
            bytes_waiting: row.bytes,
            messages_waiting: row.messages,
            in_flight: row.in_flight,
            subscriptions: row.subscriptions,
            client_id: row.client,
            username: row.user,
            listener: row.listener,
        }
    }
}

/// As people call it.
pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::V31 => "3.1",
        Version::V311 => "3.1.1",
        Version::V5 => "5",
    }
}

/// All of one client.
#[derive(Serialize)]
pub(super) struct DetailsJson {
    #[serde(flatten)]
    row: ClientJson,
    connection: Option<ConnectionJson>,
    will: Option<WillJson>,
    queued_messages: u64,
    queued_bytes: u64,
    inbound_qos2: u32,
    /// Subscriptions whose retained messages are still to be sent.
    replays: u32,
    /// The first ones.
    subscription_list: Vec<SubscriptionJson>,
    /// Whether there are more.
    subscription_list_cut: bool,
}

impl DetailsJson {
    /// `transport` as for a row.
    pub(super) fn new(
        details: ClientDetails,
        transport: impl Fn(&str) -> Option<&'static str>,
    ) -> DetailsJson {
        let subscriptions = details.subscriptions;
        DetailsJson {
            row: ClientJson::new(details.row, transport),
            connection: details.connection.map(ConnectionJson::from),
            will: details.will.map(WillJson::from),
            queued_messages: details.queued,
            queued_bytes: details.queued_bytes,
            inbound_qos2: details.inbound,
            replays: details.replays,
            subscription_list_cut: subscriptions.next.is_some(),
            subscription_list: subscriptions.rows.into_iter().map(From::from).collect(),
        }
    }
}

/// What there is of a connection beyond a list.
#[derive(Serialize)]
struct ConnectionJson {
    role: &'static str,
    certificate_username: Option<Box<str>>,
    anonymous: bool,
    keep_alive_seconds: u16,
    idle_seconds: u64,
    clean_start: bool,
    receive_maximum: u16,
    maximum_packet_size: Option<u32>,
    output_bytes: u32,
    held: bool,
}

impl From<ConnectionDetails> for ConnectionJson {
    fn from(details: ConnectionDetails) -> ConnectionJson {
        ConnectionJson {
            role: details.role,
            certificate_username: details.certificate,
            anonymous: details.is_anonymous,
            keep_alive_seconds: details.keep_alive_s,
            idle_seconds: details.idle_s,
            clean_start: details.clean_start,
            receive_maximum: details.in_flight_max,
            maximum_packet_size: details.packet_bytes_max,
            output_bytes: details.output_bytes,
            held: details.is_held,
        }
    }
}

/// A will.
#[derive(Serialize)]
struct WillJson {
    topic: Box<str>,
    qos: u8,
    retain: bool,
    delay_seconds: u32,
    payload_bytes: usize,
}

impl From<WillRow> for WillJson {
    fn from(will: WillRow) -> WillJson {
        WillJson {
            topic: will.topic,
            qos: will.qos.into(),
            retain: will.retain,
            delay_seconds: will.delay_s,
            payload_bytes: will.payload_bytes,
        }
    }
}

/// A subscription.
#[derive(Serialize)]
pub(super) struct SubscriptionJson {
    client_id: Box<str>,
    connected: bool,
    /// The share name of a shared one.
    share: Option<Box<str>>,
    filter: Box<str>,
    qos: u8,
    no_local: bool,
    retain_as_published: bool,
    subscription_identifier: Option<u32>,
    /// Whether access rules let the client be sent the topic that was asked for; null where none was.
    may_read: Option<bool>,
}

impl From<SubscriptionRow> for SubscriptionJson {
    fn from(row: SubscriptionRow) -> SubscriptionJson {
        let options = row.options;
        SubscriptionJson {
            client_id: row.client,
            connected: row.is_connected,
            share: row.share,
            filter: row.filter,
            qos: options.qos().into(),
            no_local: options.no_local(),
            retain_as_published: options.retain_as_published(),
            subscription_identifier: Some(options.id()).filter(|&id| id != 0),
            may_read: row.may_read,
        }
    }
}

/// A retained message, without its payload.
#[derive(Serialize)]
pub(super) struct RetainedJson {
    topic: String,
    qos: u8,
    payload_bytes: usize,
    /// Null for never.
    expires_in_seconds: Option<u64>,
    /// Who stored it, where that is known (`check_retain_source`).
    username: Option<String>,
}

impl From<RetainedRow> for RetainedJson {
    fn from(row: RetainedRow) -> RetainedJson {
        RetainedJson::new(&row.message, row.expires_in_s)
    }
}

impl RetainedJson {
    fn new(message: &Message, expires_in_s: Option<u64>) -> RetainedJson {
        let user = message
            .author
            .as_ref()
            .and_then(|author| author.user.as_deref());
        RetainedJson {
            topic: message.topic.as_str().into(),
            qos: message.qos.into(),
            payload_bytes: message.payload.len(),
            expires_in_seconds: expires_in_s,
            username: user.map(String::from),
        }
    }
}

/// A retained message, with its payload: as text where it is text, else in base64.
#[derive(Serialize)]
pub(super) struct RetainedPayloadJson {
    #[serde(flatten)]
    row: RetainedJson,
    payload: Option<String>,
    payload_base64: Option<String>,
    /// Whether it is longer.
    payload_cut: bool,
}

impl From<RetainedRow> for RetainedPayloadJson {
    fn from(row: RetainedRow) -> RetainedPayloadJson {
        let all = &row.message.payload;
        let most = limits::ANSWER_PAYLOAD_BYTES_MAX.min(all.len());
        let text = std::str::from_utf8(all).ok().filter(|_| most == all.len());
        RetainedPayloadJson {
            payload: text.map(String::from),
            payload_base64: text.is_none().then(|| STANDARD.encode(&all[..most])),
            payload_cut: most < all.len(),
            row: RetainedJson::new(&row.message, row.expires_in_s),
        }
    }
}

/// The busiest topics. Rates are those of the last minute, in which what is longer ago counts less.
#[derive(Serialize)]
pub(super) struct BusiestJson {
    pub items: Vec<BusyTopicJson>,
    /// Messages to all topics.
    pub messages_per_second: f64,
    /// Of those, to topics whose names are too long to be remembered.
    pub long_topics_per_second: f64,
    /// No topic that is not listed for its rate has more.
    pub others_at_most: f64,
    pub missing_shards: Vec<u8>,
}

/// One of them.
#[derive(Serialize)]
pub(super) struct BusyTopicJson {
    topic: Box<str>,
    messages_per_second: f64,
    at_least: f64,
    at_most: f64,
    payload_bytes_per_second: f64,
}

impl From<BusyTopic> for BusyTopicJson {
    fn from(one: BusyTopic) -> BusyTopicJson {
        BusyTopicJson {
            topic: one.topic,
            messages_per_second: one.rate,
            at_least: one.at_least,
            at_most: one.at_most,
            payload_bytes_per_second: one.byte_rate,
        }
    }
}

/// What became of a client that was to be disconnected.
#[derive(Serialize)]
pub(super) struct DisconnectedJson {
    client_id: String,
    was_connected: bool,
    session_ended: bool,
}

impl DisconnectedJson {
    pub(super) fn new(client_id: String, done: Disconnected) -> DisconnectedJson {
        DisconnectedJson {
            client_id,
            was_connected: done.was_connected,
            session_ended: done.session_ended,
        }
    }
}

/// What became of a retained message.
#[derive(Serialize)]
pub(super) struct ForgottenJson {
    pub topic: String,
    pub removed: bool,
}

/// The words of an answer. Nothing in it can fail to be written.
pub(super) fn words(json: &impl Serialize) -> String {
    serde_json::to_string(json).unwrap_or_default()
}
