//! What a trace shows.

use crate::mqtt::{PacketType, QoS, SubscribeOptions, Version};

/// What is traced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceSubject {
    /// The packets of the client with this identifier, in both directions.
    Client(Box<str>),
    /// What is published to topics that this filter matches.
    Topic(Box<str>),
}

/// Somebody looks at a trace: it begins or goes on, and what was seen since the last look is the answer.
#[derive(Clone, Debug)]
pub struct TraceLook {
    /// Which trace.
    pub number: u64,
    /// Of what.
    pub subject: TraceSubject,
    /// Events a second at most.
    pub rate: u32,
    /// Bytes of each payload that are shown.
    pub payload_bytes: usize,
}

/// The answer to it.
#[derive(Debug, Default)]
pub struct TracePage {
    /// What was seen, in order.
    pub events: Vec<TraceEvent>,
    /// Events that were left out: there was no room, or they were too many in a second.
    pub left_out: u64,
    /// The trace has begun with this look.
    pub has_begun: bool,
    /// Whether the client is connected here; false for topics.
    pub is_connected: bool,
}

/// One thing that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceEvent {
    /// When, by the clock of the shards.
    pub at_ms: u64,
    /// What.
    pub what: TraceWhat,
}

impl TraceEvent {
    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + match &self.what {
                TraceWhat::Packet(packet) => packet.memory(),
                TraceWhat::Malformed { .. } => 0,
                TraceWhat::End { reason, .. } => reason.len(),
                TraceWhat::Published(published) => published.memory(),
            }
    }
}

/// See `TraceEvent`. Connections have numbers that no other connection of the same shard has while there are traces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TraceWhat {
    /// A packet has come, or the socket of its client has taken one.
    Packet(Box<TracedPacket>),
    /// What has come is no packet, or one that must not come.
    Malformed {
        /// Of which connection.
        connection: u64,
        /// Which packet it would be.
        packet: Option<PacketType>,
        /// Bytes of it that have come.
        bytes: usize,
        /// What is wrong with it.
        error: Box<str>,
    },
    /// The broker gives a connection up. What is on its way to the client still goes out.
    End {
        /// Of which connection.
        connection: u64,
        /// Why; empty for a client that said goodbye.
        reason: Box<str>,
    },
    /// A message was published.
    Published(Box<TracedPublish>),
}

/// Where a packet goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the broker.
    In,
    /// To the client.
    Out,
}

/// A packet. What its type does not have is empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPacket {
    /// Of which connection.
    pub connection: u64,
    /// Where it goes.
    pub direction: Direction,
    /// Its type.
    pub packet: PacketType,
    /// Its bytes.
    pub bytes: usize,
    /// Its packet identifier.
    pub packet_id: Option<u16>,
    /// What is in it beside that.
    pub content: TracedContent,
    /// The first of its properties, encoded.
    pub properties: Box<[u8]>,
    /// Whether there are more of them.
    pub has_more_properties: bool,
}

impl TracedPacket {
    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        let content = match &self.content {
            TracedContent::None | TracedContent::Reason(_) | TracedContent::Connack { .. } => 0,
            TracedContent::Connect(connect) => size_of::<TracedConnect>() + connect.text_bytes(),
            TracedContent::Publish(message) => message.memory(),
            TracedContent::Filters { filters, .. } => {
                let texts = filters.iter().map(|one| one.filter.len());
                size_of_val(&filters[..]) + texts.sum::<usize>()
            }
            TracedContent::Reasons { codes, .. } => codes.len(),
        };
        size_of::<Self>() + self.properties.len() + content
    }
}

/// What is in a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracedContent {
    /// Nothing, or nothing that could be read.
    None,
    /// CONNECT.
    Connect(Box<TracedConnect>),
    /// CONNACK.
    Connack {
        /// Whether there was a session.
        session_present: bool,
        /// The reason code, also before MQTT 5.
        reason: u8,
    },
    /// PUBLISH.
    Publish(Box<TracedMessage>),
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, DISCONNECT, AUTH: the reason code.
    Reason(u8),
    /// SUBSCRIBE, UNSUBSCRIBE.
    Filters {
        /// The first ones.
        filters: Vec<TracedFilter>,
        /// How many more there are.
        more: usize,
    },
    /// SUBACK, UNSUBACK.
    Reasons {
        /// The first reason codes.
        codes: Box<[u8]>,
        /// How many more there are.
        more: usize,
    },
}

/// A CONNECT, without what is secret: of its password and its will's payload no more than that there are any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedConnect {
    /// The version.
    pub version: Version,
    /// Whether it asks for a session without a past.
    pub clean_start: bool,
    /// Seconds; 0 for none.
    pub keep_alive_s: u16,
    /// The user name.
    pub user: Option<Box<str>>,
    /// Whether it has a password.
    pub has_password: bool,
    /// The will.
    pub will: Option<TracedWill>,
}

/// The will of a CONNECT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedWill {
    /// The topic name, with the listener's mount point in front.
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

impl TracedConnect {
    fn text_bytes(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| user.len());
        user + self.will.as_ref().map_or(0, |will| will.topic.len())
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedMessage {
    /// Its topic name, with the listener's mount point in front, also where an alias stands for it; `None` if nobody knows it.
    pub topic: Option<Box<str>>,
    /// The QoS.
    pub qos: QoS,
    /// The RETAIN flag.
    pub retain: bool,
    /// The DUP flag.
    pub dup: bool,
    /// Bytes of the payload.
    pub payload_bytes: usize,
    /// The start of it, as far as it is wanted.
    pub payload: Box<[u8]>,
}

impl TracedMessage {
    fn memory(&self) -> usize {
        let topic = self.topic.as_ref().map_or(0, |topic| topic.len());
        size_of::<Self>() + topic + self.payload.len()
    }
}

/// A filter of a SUBSCRIBE or UNSUBSCRIBE, with the listener's mount point in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedFilter {
    /// The filter.
    pub filter: Box<str>,
    /// How it is subscribed to; `None` in UNSUBSCRIBE.
    pub options: Option<SubscribeOptions>,
}

/// What became of a message on a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedPublish {
    /// The message.
    pub message: TracedMessage,
    /// The client that published it, or whose will it is; `None` for one of the broker's own, and for one of another shard.
    pub client: Option<Box<str>>,
    /// The shard that it has come from; `None` where it was published.
    pub from_shard: Option<u8>,
    /// What became of it.
    pub outcome: TracedOutcome,
    /// The first of the properties that go to subscribers, encoded.
    pub properties: Box<[u8]>,
    /// Whether there are more of them.
    pub has_more_properties: bool,
}

impl TracedPublish {
    fn memory(&self) -> usize {
        let client = self.client.as_ref().map_or(0, |client| client.len());
        size_of::<Self>() + self.message.memory() + client + self.properties.len()
    }
}

/// See `TracedPublish`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TracedOutcome {
    /// It was not taken, for the reason with this code.
    Refused(u8),
    /// It was routed.
    Routed {
        /// Subscriptions of sessions on this shard that match, and shared ones.
        matched: usize,
        /// Copies that were put into the output of clients.
        sent: u64,
        /// Copies that were dropped.
        dropped: u64,
        /// Other shards that want it, as bits.
        shards: u64,
    },
}
