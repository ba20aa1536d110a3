//! An application message that outlives the turn in which it was received, or crosses to another shard.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;

use super::author::Author;
use super::topic_name::Topic;
use super::types::QoS;

/// Never expires.
pub const NEVER: u64 = u64::MAX;

/// An application message, immutable and cheap to share (`Arc<Message>`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The topic name, with the listener's mount point in front.
    pub topic: Topic,
    /// The payload.
    pub payload: Bytes,
    /// The properties of an MQTT 5 PUBLISH that a server passes on unaltered (payload format, response topic,
    /// correlation data, content type, user properties), encoded, in their order, without a length in front.
    pub properties: Bytes,
    /// The quality of service with which it was published.
    pub qos: QoS,
    /// The RETAIN flag with which it was published.
    pub retain: bool,
    /// When it expires, in milliseconds of the broker's clock; `NEVER` without a message expiry interval.
    pub expires_at_ms: u64,
    /// Who published it, for No Local (MQTT-3.8.3-3): a number that is unique to a session across shards; 0 for the broker.
    pub origin: u64,
    /// Who stored it, if it is retained and that is to be known.
    pub author: Option<Arc<Author>>,
    /// How its publisher sent it.
    pub sent: Sent,
    /// How many sessions hold it.
    pub holders: Holders,
}

/// How its publisher sent a message with QoS 1: a session that has dropped it must know it when it comes again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// The packet identifier; 0 for none.
    pub id: u16,
    /// Whether it is sent again, since it has not been acknowledged.
    pub again: bool,
}

/// How many sessions, on any shard, hold a message, so that it is charged once. A copy of a message starts with none, and
/// two messages are equal whoever holds them.
#[derive(Debug, Default)]
pub struct Holders(AtomicU32);

impl Holders {
    /// One more; true if it is the first.
    #[inline]
    pub fn enter(&self) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed) == 0
    }

    /// One fewer; true if it was the last.
    #[inline]
    pub fn leave(&self) -> bool {
        self.0.fetch_sub(1, Ordering::Relaxed) == 1
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Clone for Holders {
    fn clone(&self) -> Self {
        Holders::default()
    }
}

impl PartialEq for Holders {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Holders {}

impl Message {
    /// Bytes that this message holds: what a queue that references it is charged. Its author counts with each of its messages,
    /// since any of them may be the last that has it.
    pub fn cost(&self) -> usize {
        let author = self.author.as_ref().map_or(0, |author| author.cost());
        size_of::<Self>() + self.topic.len() + self.payload.len() + self.properties.len() + author
    }
}
