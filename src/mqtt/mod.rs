//! Bytes to packets and back, for MQTT 3.1, 3.1.1 and 5.
//!
//! `frame` finds where a packet ends, `decode` turns it into a `Packet` that borrows from the bytes received, and the
//! `...Out` types and `encode_...` functions write packets, each to its exact length. There is one file per kind of
//! packet, and it holds all versions and both directions: a server's packets are decoded too, for the load tester
//! and the tests.
//!
//! Invariants: decoding allocates nothing and never panics, whatever the bytes; a packet is checked once, and what
//! its accessors give out cannot fail afterwards; what `decode` accepts has no string that is ill-formed or holds
//! control characters, no topic or filter that is invalid and no property that is out of place. What depends on the state of a connection (the first
//! packet is CONNECT, a client does not send CONNACK, an alias is within its maximum, ...) is not decided here.

pub mod author;
pub mod message;
pub mod topic;

mod ack;
mod auth;
mod connack;
mod connect;
mod disconnect;
mod error;
mod frame;
mod packet;
mod ping;
mod properties_out;
mod property;
mod publish;
mod read;
mod reason;
mod suback;
mod subscribe;
#[cfg(test)]
mod tests;
mod topic_name;
mod types;
mod unsuback;
mod unsubscribe;
mod write;

pub use ack::{Ack, AckKind, AckOut, SHORT_ACK_BYTES, short_ack};
pub use auth::{Auth, AuthOut};
pub use connack::{Connack, ConnackOut};
pub use connect::{Connect, ConnectOut, ConnectProperties, Will, WillOut, connect_version_hint};
pub use disconnect::{Disconnect, DisconnectOut};
pub use error::DecodeError;
pub use frame::{Frame, FrameStatus, frame};
pub use packet::{Packet, decode};
pub use ping::{encode_pingreq, encode_pingresp};
pub use property::{Properties, Property, PropertyIter};
pub use publish::{Publish, PublishHead, PublishProperties};
pub use read::is_text;
pub use reason::ReasonCode;
pub use suback::{Suback, SubackOut};
pub use subscribe::{Subscribe, SubscribeFilters, SubscribeOptions, SubscribeOut};
pub use topic_name::{Topic, TopicName};
pub use types::{PacketId, PacketType, QoS, Version};
pub use unsuback::{Unsuback, UnsubackOut};
pub use unsubscribe::{Unsubscribe, UnsubscribeFilters, UnsubscribeOut};
