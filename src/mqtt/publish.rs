//! PUBLISH (MQTT 5, 3.3): the packet that everything else is about.
//!
//! Both directions are on the path of every message: decoding looks at each byte of topic and properties once or
//! twice and at none of the payload; the head (everything but the payload) is written into memory of the right size.

use std::num::NonZeroU16;

use super::error::DecodeError;
use super::property::{self, Allowed, Properties, Property, PropertyIter};
use super::read::{self, Reader};
use super::topic;
use super::topic_name::TopicName;
use super::types::{PacketId, QoS, Version};
use super::write::{FIELD_BYTES_MAX, packet_len, varint_bytes, varint_len};

/// A decoded PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Whether it may have been sent before.
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    /// A valid topic name; empty only in MQTT 5 and with a topic alias.
    pub topic: &'a str,
    /// There is one iff the QoS is above 0 (MQTT-2.2.1-2).
    pub packet_id: Option<PacketId>,
    pub properties: PublishProperties<'a>,
    pub payload: &'a [u8],
}

/// The properties of a PUBLISH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishProperties<'a> {
    /// All of them, checked, encoded, in their order, without the length in front.
    pub raw: &'a [u8],
    /// Seconds.
    pub message_expiry: Option<u32>,
    pub topic_alias: Option<NonZeroU16>,
    /// Whether `raw` holds only what a server passes on unaltered.
    pub forward_whole: bool,
    /// Bytes of `raw` that are not passed on. 0 iff `forward_whole`.
    dropped_len: usize,
    has_subscription_ids: bool,
}

/// What a server does not pass on as it is: message expiry interval, subscription identifier, topic alias.
const NOT_FORWARDED: u64 = 1 << 2 | 1 << 11 | 1 << 35;

impl<'a> PublishProperties<'a> {
    /// Of a packet without properties.
    const NONE: PublishProperties<'static> = PublishProperties {
        raw: &[],
        message_expiry: None,
        topic_alias: None,
        forward_whole: true,
        dropped_len: 0,
        has_subscription_ids: false,
    };

    fn read(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut properties = Self::NONE;
        let checked = property::read(body, Allowed::PUBLISH, |property| {
            match property {
                Property::MessageExpiryInterval(seconds) => {
                    properties.message_expiry = Some(seconds)
                }
                Property::TopicAlias(alias) => properties.topic_alias = Some(alias),
                Property::SubscriptionIdentifier(_) => properties.has_subscription_ids = true,
                _ => return,
            }
            properties.dropped_len += property.encoded_len();
        })?;
        properties.raw = checked.raw();
        properties.forward_whole = properties.dropped_len == 0;
        Ok(properties)
    }

    /// Bytes that `forward_into` appends.
    #[inline]
    pub fn forwardable_len(&self) -> usize {
        self.raw.len().saturating_sub(self.dropped_len)
    }

    /// Appends what a server passes on unaltered and in its order (MQTT-3.3.2-4, -15 to -18, -20): everything but
    /// message expiry interval, subscription identifiers and topic alias.
    pub fn forward_into(&self, out: &mut Vec<u8>) {
        if self.forward_whole {
            out.extend_from_slice(self.raw);
        } else if self.forwardable_len() > 0 {
            out.reserve(self.forwardable_len());
            property::copy_without(self.raw, NOT_FORWARDED, out);
        }
    }

    /// Each of them, in their order.
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter::new(self.raw)
    }

    fn find<T>(&self, wanted: impl Fn(Property<'a>) -> Option<T>) -> Option<T> {
        self.iter().find_map(wanted)
    }

    /// 1 when the payload is UTF-8.
    pub fn payload_format(&self) -> Option<u8> {
        self.find(|property| match property {
            Property::PayloadFormatIndicator(value) => Some(value),
            _ => None,
        })
    }

    /// The content type.
    pub fn content_type(&self) -> Option<&'a str> {
        self.find(|property| match property {
            Property::ContentType(text) => Some(text),
            _ => None,
        })
    }

    /// The response topic.
    pub fn response_topic(&self) -> Option<&'a str> {
        self.find(|property| match property {
            Property::ResponseTopic(topic) => Some(topic),
            _ => None,
        })
    }

    /// The correlation data.
    pub fn correlation_data(&self) -> Option<&'a [u8]> {
        self.find(|property| match property {
            Property::CorrelationData(bytes) => Some(bytes),
            _ => None,
        })
    }

    /// The user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Whether there is a subscription identifier, which a client must not send (MQTT-3.3.4-6).
    #[inline]
    pub fn has_subscription_ids(&self) -> bool {
        self.has_subscription_ids
    }

    /// The subscription identifiers.
    pub fn subscription_ids(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::SubscriptionIdentifier(id) => Some(id),
            _ => None,
        })
    }
}

impl Default for PublishProperties<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<'a> From<PublishProperties<'a>> for Properties<'a> {
    fn from(properties: PublishProperties<'a>) -> Properties<'a> {
        Properties::checked(properties.raw)
    }
}

impl<'a> Publish<'a> {
    /// The topic name, as the decoder has checked it; `None` where a topic alias stands for it.
    #[inline]
    pub fn topic_name(&self) -> Option<TopicName<'a>> {
        (!self.topic.is_empty()).then(|| TopicName::checked(self.topic))
    }

    #[inline]
    pub(super) fn read(
        version: Version,
        first: u8,
        mut body: Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let qos = QoS::from_bits(first >> 1 & 0x03).ok_or(DecodeError::PublishQosReserved)?;
        let name = topic_name(body.binary()?)?;
        let packet_id = match qos {
            QoS::AtMostOnce => None,
            _ => Some(body.packet_id()?),
        };
        let properties = if version.has_properties() {
            PublishProperties::read(&mut body)?
        } else {
            PublishProperties::NONE
        };
        if name.is_empty() && properties.topic_alias.is_none() {
            return Err(DecodeError::TopicEmpty);
        }
        Ok(Publish {
            dup: first & 0x08 != 0,
            qos,
            retain: first & 0x01 != 0,
            topic: name,
            packet_id,
            properties,
            payload: body.rest(),
        })
    }
}

/// A topic name that may be empty. One pass finds wildcards (MQTT-3.3.2-2) and whether characters have to be looked at
/// one by one, which those of ASCII need not be.
#[inline]
fn topic_name(bytes: &[u8]) -> Result<&str, DecodeError> {
    let name = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8IllFormed)?;
    let is_suspect = |byte: u8| topic::is_wildcard(byte) | read::is_odd(byte);
    // A fold without an early end, so that it is done sixteen bytes at a time.
    if bytes
        .iter()
        .fold(false, |bad, &byte| bad | is_suspect(byte))
    {
        read::characters(name)?;
        if bytes.iter().any(|&byte| topic::is_wildcard(byte)) {
            return Err(DecodeError::TopicWildcard);
        }
    }
    if topic::too_deep(name) {
        return Err(DecodeError::TopicTooDeep);
    }
    Ok(name)
}

/// A PUBLISH to be written, without its payload, which is to follow what `write_head` writes.
#[derive(Clone, Copy, Debug)]
pub struct PublishHead<'a> {
    pub version: Version,
    pub dup: bool,
    pub qos: QoS,
    pub retain: bool,
    /// A valid topic name of at most 65,535 bytes; empty when `topic_alias` stands for it.
    pub topic: &'a [u8],
    /// Some iff the QoS is above 0; without one the identifier is written as 0.
    pub packet_id: Option<PacketId>,
    /// Not zero. Ignored, like all that follow but the last, before MQTT 5.
    pub topic_alias: Option<u16>,
    /// Seconds.
    pub message_expiry: Option<u32>,
    /// Each 1 to 268,435,455.
    pub subscription_ids: &'a [u32],
    /// Properties that are passed on unaltered, encoded.
    pub properties: &'a [u8],
    /// Bytes of the payload.
    pub payload_len: usize,
}

impl PublishHead<'_> {
    /// Bytes of the properties, without the length in front.
    #[inline]
    fn properties_len(&self) -> usize {
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        let expiry = if self.message_expiry.is_some() { 5 } else { 0 };
        let ids: usize = self
            .subscription_ids
            .iter()
            .map(|&id| 1 + varint_len(id as usize))
            .sum();
        self.properties.len() + alias + expiry + ids
    }

    #[inline]
    fn topic(&self) -> &[u8] {
        debug_assert!(
            self.topic.len() <= FIELD_BYTES_MAX,
            "a topic of {} bytes",
            self.topic.len()
        );
        &self.topic[..self.topic.len().min(FIELD_BYTES_MAX)]
    }

    /// The Remaining Length, and the properties' part of it without the length in front.
    #[inline]
    fn lengths(&self) -> (usize, usize) {
        let mut remaining = 2 + self.topic().len() + self.payload_len;
        if self.qos != QoS::AtMostOnce {
            remaining += 2;
        }
        if !self.version.has_properties() {
            return (remaining, 0);
        }
        let properties = self.properties_len();
        (remaining + varint_len(properties) + properties, properties)
    }

    /// Bytes that `write_head` writes.
    #[inline]
    pub fn head_len(&self) -> usize {
        self.packet_len() - self.payload_len
    }

    /// Bytes of the whole packet: for the comparison with the peer's Maximum Packet Size (MQTT-3.1.2-24).
    #[inline]
    pub fn packet_len(&self) -> usize {
        packet_len(self.lengths().0)
    }

    /// Writes everything but the payload. `out` has `head_len` bytes; what does not fit into a shorter one is not
    /// written.
    #[inline]
    pub fn write_head(&self, out: &mut [u8]) {
        let (remaining, properties_len) = self.lengths();
        debug_assert_eq!(out.len(), packet_len(remaining) - self.payload_len);
        let flags = u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain);
        let topic = self.topic();
        let mut cursor = Cursor { out };
        cursor.put(&[0x30 | flags]);
        cursor.varint(remaining);
        cursor.put(&(topic.len() as u16).to_be_bytes());
        cursor.put(topic);
        if self.qos != QoS::AtMostOnce {
            debug_assert!(
                self.packet_id.is_some(),
                "a PUBLISH with QoS above 0 has a packet identifier"
            );
            cursor.put(&self.packet_id.map_or(0, PacketId::get).to_be_bytes());
        }
        if self.version.has_properties() {
            cursor.varint(properties_len);
            if properties_len > 0 {
                self.write_properties(&mut cursor);
            }
        }
    }

    fn write_properties(&self, cursor: &mut Cursor<'_>) {
        if let Some(alias) = self.topic_alias {
            cursor.put(&[35]);
            cursor.put(&alias.to_be_bytes());
        }
        if let Some(seconds) = self.message_expiry {
            cursor.put(&[2]);
            cursor.put(&seconds.to_be_bytes());
        }
        cursor.put(self.properties);
        for &id in self.subscription_ids {
            cursor.put(&[11]);
            cursor.varint(id as usize);
        }
    }
}

/// Writes from the start of a slice towards its end.
struct Cursor<'o> {
    out: &'o mut [u8],
}

impl Cursor<'_> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if let Some((place, rest)) = std::mem::take(&mut self.out).split_at_mut_checked(bytes.len())
        {
            place.copy_from_slice(bytes);
            self.out = rest;
        }
    }

    #[inline]
    fn varint(&mut self, value: usize) {
        if value < 0x80 {
            self.put(&[value as u8]);
        } else {
            self.put(&varint_bytes(value)[..varint_len(value)]);
        }
    }
}
