//! One message while it is routed on this shard: borrowed from where it was received, encoded once per variant, made
//! into a `Message` of its own only when somebody has to keep it.

use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::ids::NONE;
use crate::limits::PAYLOAD_REFERENCE_BYTES_MIN;
use crate::mqtt::author::Author;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{PacketId, PublishHead, QoS, TopicName, Version};
use crate::outbound::{Outbound, Range};
use crate::routing::Grant;
use crate::session::shared_id;

/// A message on its way to the subscribers of this shard.
pub(crate) struct Outgoing<'a> {
    pub topic: TopicName<'a>,
    pub payload: &'a [u8],
    /// The properties that are passed on.
    pub properties: &'a [u8],
    pub qos: QoS,
    pub retain: bool,
    pub expires_at_ms: u64,
    /// Seconds to its expiry that subscribers are told.
    pub expiry_s: Option<u32>,
    /// The serial of the session that published it.
    pub origin: u64,
    /// The session that published it, where that is on this shard; `NONE` otherwise.
    pub publisher: u32,
    /// Who stores it, if it is retained and that is to be known.
    pub author: Option<Arc<Author>>,
    /// Whether an earlier message of its publisher may be on its way by the owner of a topic.
    pub may_follow: bool,
    /// How its publisher sent it.
    pub sent: Sent,
    owned: Option<Arc<Message>>,
    frames: SmallVec<[(u32, Frame); 4]>,
    payload_range: Option<Range>,
    /// Whether so many take it with QoS above 0 that they share packet identifiers.
    pub shares_ids: bool,
    /// Its mark where clients are asked about that may not have it; 0 before the first.
    pub stamp: u64,
}

/// One encoding of it in the log.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    /// The packet, or its head.
    pub head: Range,
    /// The payload, where it is referenced.
    pub payload: Option<Range>,
    /// For a shared packet identifier: the count that it was made from.
    pub order: u64,
}

impl Frame {
    /// Bytes of the packet.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.head.len() + self.payload.map_or(0, |payload| payload.len())
    }
}

/// Seconds to an expiry, rounded up so that a message that lives is never announced as dead (MQTT-3.3.2-6).
pub(crate) fn expiry_left(expires_at_ms: u64, now_ms: u64) -> Option<u32> {
    (expires_at_ms != NEVER).then(|| {
        u32::try_from(expires_at_ms.saturating_sub(now_ms).div_ceil(1000)).unwrap_or(u32::MAX)
    })
}

impl<'a> Outgoing<'a> {
    /// From a PUBLISH that is still in the receive buffer.
    pub(crate) fn borrowed(
        topic: TopicName<'a>,
        payload: &'a [u8],
        properties: &'a [u8],
        qos: QoS,
        retain: bool,
    ) -> Self {
        Outgoing {
            topic,
            payload,
            properties,
            qos,
            retain,
            expires_at_ms: NEVER,
            expiry_s: None,
            origin: 0,
            publisher: NONE,
            sent: Sent::default(),
            author: None,
            may_follow: false,
            owned: None,
            frames: SmallVec::new(),
            payload_range: None,
            shares_ids: false,
            stamp: 0,
        }
    }

    /// From a message that somebody keeps.
    pub(crate) fn shared(message: &'a Arc<Message>, now_ms: u64) -> Self {
        let mut outgoing = Self::borrowed(
            message.topic.as_name(),
            &message.payload,
            &message.properties,
            message.qos,
            message.retain,
        );
        outgoing.expires_at_ms = message.expires_at_ms;
        outgoing.expiry_s = expiry_left(message.expires_at_ms, now_ms);
        outgoing.origin = message.origin;
        outgoing.may_follow = true;
        outgoing.sent = message.sent;
        outgoing.owned = Some(message.clone());
        outgoing
    }

    /// The same message with other properties to be passed on.
    pub(crate) fn with_properties<'b>(&self, properties: &'b [u8]) -> Outgoing<'b>
    where
        'a: 'b,
    {
        let mut own =
            Outgoing::borrowed(self.topic, self.payload, properties, self.qos, self.retain);
        own.expires_at_ms = self.expires_at_ms;
        own.expiry_s = self.expiry_s;
        own.origin = self.origin;
        own.sent = self.sent;
        own.stamp = self.stamp;
        own
    }

    /// The message in a form that can be kept; made once.
    pub(crate) fn owned(&mut self) -> Arc<Message> {
        self.kept().clone()
    }

    /// The same, for who may not want to keep it.
    #[inline]
    pub(crate) fn kept(&mut self) -> &Arc<Message> {
        self.owned.get_or_insert_with(|| {
            Arc::new(Message {
                topic: self.topic.to_topic(),
                payload: Bytes::copy_from_slice(self.payload),
                properties: Bytes::copy_from_slice(self.properties),
                qos: self.qos,
                retain: self.retain,
                expires_at_ms: self.expires_at_ms,
                origin: self.origin,
                author: self.author.take(),
                sent: self.sent,
                holders: Holders::default(),
            })
        })
    }

    /// The encoding for a grant, made on its first use. `order` counts the frames with QoS above 0.
    #[inline]
    pub(crate) fn frame(
        &mut self,
        out: &mut Outbound,
        order: &mut u64,
        grant: Grant,
        is_v5: bool,
    ) -> Frame {
        let key = grant.encoding(is_v5);
        for (known, frame) in &self.frames {
            if *known == key {
                return *frame;
            }
        }
        self.encode(out, order, grant, is_v5)
    }

    fn encode(&mut self, out: &mut Outbound, order: &mut u64, grant: Grant, is_v5: bool) -> Frame {
        let mut packet_id = None;
        let mut count = 0;
        if !grant.is_qos0() {
            *order += 1;
            count = *order;
            packet_id = PacketId::new(shared_id(count));
        }
        let version = match is_v5 {
            true => Version::V5,
            false => Version::V311,
        };
        let id = grant.id();
        let head = PublishHead {
            packet_id,
            ..self.head(version, self.topic.as_str(), grant, &id)
        };
        let frame = self.write(out, &head, count);
        if self.frames.len() < 8 {
            self.frames.push((grant.encoding(is_v5), frame));
        }
        frame
    }

    /// The head of its PUBLISH, without packet identifier and alias. `topic` is as the client knows it, `id` the
    /// subscription identifier of the grant.
    #[inline]
    pub(crate) fn head<'b>(
        &self,
        version: Version,
        topic: &'b str,
        grant: Grant,
        id: &'b u32,
    ) -> PublishHead<'b>
    where
        'a: 'b,
    {
        PublishHead {
            version,
            dup: false,
            qos: grant.qos(),
            retain: grant.retain(),
            topic: topic.as_bytes(),
            packet_id: None,
            topic_alias: None,
            message_expiry: self.expiry_s,
            subscription_ids: match *id {
                0 => &[],
                _ => std::slice::from_ref(id),
            },
            properties: self.properties,
            payload_len: self.payload.len(),
        }
    }

    /// Appends a packet with this head to the log; the payload behind it, or by reference where it is large.
    pub(crate) fn write(
        &mut self,
        out: &mut Outbound,
        head: &PublishHead<'_>,
        order: u64,
    ) -> Frame {
        let head_len = head.head_len();
        let payload = self.payload;
        if payload.len() < PAYLOAD_REFERENCE_BYTES_MIN {
            let range = out.append(head_len + payload.len(), |bytes| {
                let (front, back) = bytes.split_at_mut(head_len);
                head.write_head(front);
                back.copy_from_slice(payload);
            });
            return Frame {
                head: range,
                payload: None,
                order,
            };
        }
        let range = out.append(head_len, |bytes| head.write_head(bytes));
        let payload = match self.payload_range {
            Some(range) => range,
            None => {
                let bytes = self.owned().payload.clone();
                *self.payload_range.insert(out.reference(bytes))
            }
        };
        Frame {
            head: range,
            payload: Some(payload),
            order,
        }
    }
}
