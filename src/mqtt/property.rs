//! Properties (MQTT 5, 2.2.2): their types, which packet may carry which, and iteration over those of a packet.
//!
//! Properties are checked once, when their packet is decoded (`read`). `Properties` is the proof of that: what it
//! gives out cannot fail.

use std::num::NonZeroU16;

use super::error::DecodeError;
use super::read::Reader;
use super::topic;
use super::types::QoS;
use super::write::{binary_len, fitting, fitting_bytes, string_len, varint_bytes, varint_len};

/// One property with its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Property<'a> {
    /// 0: bytes, 1: UTF-8.
    PayloadFormatIndicator(u8),
    /// Seconds.
    MessageExpiryInterval(u32),
    ContentType(&'a str),
    ResponseTopic(&'a str),
    CorrelationData(&'a [u8]),
    /// 1 to 268,435,455.
    SubscriptionIdentifier(u32),
    /// Seconds; `u32::MAX`: never.
    SessionExpiryInterval(u32),
    AssignedClientIdentifier(&'a str),
    /// Seconds.
    ServerKeepAlive(u16),
    AuthenticationMethod(&'a str),
    AuthenticationData(&'a [u8]),
    RequestProblemInformation(bool),
    /// Seconds.
    WillDelayInterval(u32),
    RequestResponseInformation(bool),
    ResponseInformation(&'a str),
    ServerReference(&'a str),
    ReasonString(&'a str),
    /// Not zero.
    ReceiveMaximum(u16),
    TopicAliasMaximum(u16),
    TopicAlias(NonZeroU16),
    /// 0 or 1 on the wire; 2 is said by leaving it out.
    MaximumQos(QoS),
    RetainAvailable(bool),
    UserProperty(&'a str, &'a str),
    /// Bytes, not zero.
    MaximumPacketSize(u32),
    WildcardSubscriptionAvailable(bool),
    SubscriptionIdentifierAvailable(bool),
    SharedSubscriptionAvailable(bool),
}

impl<'a> Property<'a> {
    /// The identifier (MQTT 5, table 2-4).
    pub const fn id(&self) -> u8 {
        match self {
            Property::PayloadFormatIndicator(_) => 1,
            Property::MessageExpiryInterval(_) => 2,
            Property::ContentType(_) => 3,
            Property::ResponseTopic(_) => 8,
            Property::CorrelationData(_) => 9,
            Property::SubscriptionIdentifier(_) => 11,
            Property::SessionExpiryInterval(_) => 17,
            Property::AssignedClientIdentifier(_) => 18,
            Property::ServerKeepAlive(_) => 19,
            Property::AuthenticationMethod(_) => 21,
            Property::AuthenticationData(_) => 22,
            Property::RequestProblemInformation(_) => 23,
            Property::WillDelayInterval(_) => 24,
            Property::RequestResponseInformation(_) => 25,
            Property::ResponseInformation(_) => 26,
            Property::ServerReference(_) => 28,
            Property::ReasonString(_) => 31,
            Property::ReceiveMaximum(_) => 33,
            Property::TopicAliasMaximum(_) => 34,
            Property::TopicAlias(_) => 35,
            Property::MaximumQos(_) => 36,
            Property::RetainAvailable(_) => 37,
            Property::UserProperty(..) => 38,
            Property::MaximumPacketSize(_) => 39,
            Property::WildcardSubscriptionAvailable(_) => 40,
            Property::SubscriptionIdentifierAvailable(_) => 41,
            Property::SharedSubscriptionAvailable(_) => 42,
        }
    }

    /// Reads one property with its identifier, and checks what holds for its value in every packet.
    fn read(reader: &mut Reader<'a>) -> Result<Property<'a>, DecodeError> {
        Ok(match reader.u8()? {
            1 => Property::PayloadFormatIndicator(u8::from(flag(reader)?)),
            2 => Property::MessageExpiryInterval(reader.u32()?),
            3 => Property::ContentType(reader.string()?),
            8 => Property::ResponseTopic(response_topic(reader.string()?)?),
            9 => Property::CorrelationData(reader.binary()?),
            11 => match reader.varint()? {
                0 => return Err(DecodeError::SubscriptionIdZero),
                id => Property::SubscriptionIdentifier(id),
            },
            17 => Property::SessionExpiryInterval(reader.u32()?),
            18 => Property::AssignedClientIdentifier(reader.string()?),
            19 => Property::ServerKeepAlive(reader.u16()?),
            21 => Property::AuthenticationMethod(reader.string()?),
            22 => Property::AuthenticationData(reader.binary()?),
            23 => Property::RequestProblemInformation(flag(reader)?),
            24 => Property::WillDelayInterval(reader.u32()?),
            25 => Property::RequestResponseInformation(flag(reader)?),
            26 => Property::ResponseInformation(reader.string()?),
            28 => Property::ServerReference(reader.string()?),
            31 => Property::ReasonString(reader.string()?),
            33 => match reader.u16()? {
                0 => return Err(DecodeError::ReceiveMaximumZero),
                maximum => Property::ReceiveMaximum(maximum),
            },
            34 => Property::TopicAliasMaximum(reader.u16()?),
            35 => Property::TopicAlias(
                NonZeroU16::new(reader.u16()?).ok_or(DecodeError::TopicAliasZero)?,
            ),
            36 => Property::MaximumQos(if flag(reader)? {
                QoS::AtLeastOnce
            } else {
                QoS::AtMostOnce
            }),
            37 => Property::RetainAvailable(flag(reader)?),
            38 => Property::UserProperty(reader.string()?, reader.string()?),
            39 => match reader.u32()? {
                0 => return Err(DecodeError::MaximumPacketSizeZero),
                maximum => Property::MaximumPacketSize(maximum),
            },
            40 => Property::WildcardSubscriptionAvailable(flag(reader)?),
            41 => Property::SubscriptionIdentifierAvailable(flag(reader)?),
            42 => Property::SharedSubscriptionAvailable(flag(reader)?),
            _ => return Err(DecodeError::PropertyUnknown),
        })
    }

    fn value(&self) -> Value<'a> {
        match *self {
            Property::PayloadFormatIndicator(value) => Value::Byte(value),
            Property::MaximumQos(qos) => Value::Byte(qos as u8),
            Property::RequestProblemInformation(flag)
            | Property::RequestResponseInformation(flag)
            | Property::RetainAvailable(flag)
            | Property::WildcardSubscriptionAvailable(flag)
            | Property::SubscriptionIdentifierAvailable(flag)
            | Property::SharedSubscriptionAvailable(flag) => Value::Byte(u8::from(flag)),
            Property::ServerKeepAlive(value)
            | Property::ReceiveMaximum(value)
            | Property::TopicAliasMaximum(value) => Value::Two(value),
            Property::TopicAlias(alias) => Value::Two(alias.get()),
            Property::MessageExpiryInterval(value)
            | Property::SessionExpiryInterval(value)
            | Property::WillDelayInterval(value)
            | Property::MaximumPacketSize(value) => Value::Four(value),
            Property::SubscriptionIdentifier(id) => Value::Varint(id),
            Property::ContentType(text)
            | Property::ResponseTopic(text)
            | Property::AssignedClientIdentifier(text)
            | Property::AuthenticationMethod(text)
            | Property::ResponseInformation(text)
            | Property::ServerReference(text)
            | Property::ReasonString(text) => Value::Bytes(fitting(text).as_bytes()),
            Property::CorrelationData(bytes) | Property::AuthenticationData(bytes) => {
                Value::Bytes(bytes)
            }
            Property::UserProperty(name, value) => Value::Pair(name, value),
        }
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self) -> usize {
        1 + match self.value() {
            Value::Byte(_) => 1,
            Value::Two(_) => 2,
            Value::Four(_) => 4,
            Value::Varint(value) => varint_len(value as usize),
            Value::Bytes(bytes) => binary_len(bytes),
            Value::Pair(name, value) => string_len(name) + string_len(value),
        }
    }

    /// Appends identifier and value. Strings and binary data end at 65,535 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.id());
        match self.value() {
            Value::Byte(value) => out.push(value),
            Value::Two(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::Four(value) => out.extend_from_slice(&value.to_be_bytes()),
            Value::Varint(value) => {
                out.extend_from_slice(&varint_bytes(value as usize)[..varint_len(value as usize)]);
            }
            Value::Bytes(bytes) => put_bytes(out, bytes),
            Value::Pair(name, value) => {
                put_bytes(out, fitting(name).as_bytes());
                put_bytes(out, fitting(value).as_bytes());
            }
        }
    }
}

/// A property's value by its data type (MQTT 5, 1.5).
enum Value<'a> {
    Byte(u8),
    Two(u16),
    Four(u32),
    Varint(u32),
    Bytes(&'a [u8]),
    Pair(&'a str, &'a str),
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = fitting_bytes(bytes);
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(DecodeError::PropertyFlagInvalid),
    }
}

fn response_topic(topic: &str) -> Result<&str, DecodeError> {
    if topic::topic_name_valid(topic) {
        Ok(topic)
    } else {
        Err(DecodeError::ResponseTopicInvalid)
    }
}

/// The properties that one kind of packet may carry, as bits by identifier, and those that may be there repeatedly.
#[derive(Clone, Copy)]
pub(super) struct Allowed {
    ids: u64,
    repeated: u64,
}

impl Allowed {
    /// These and user properties, each but those once.
    const fn once(ids: &[u8]) -> Allowed {
        let mut bits = 1 << 38;
        let mut index = 0;
        while index < ids.len() {
            bits |= 1 << ids[index];
            index += 1;
        }
        Allowed {
            ids: bits,
            repeated: 1 << 38,
        }
    }

    pub(super) const CONNECT: Allowed = Allowed::once(&[17, 21, 22, 23, 25, 33, 34, 39]);
    pub(super) const WILL: Allowed = Allowed::once(&[1, 2, 3, 8, 9, 24]);
    pub(super) const CONNACK: Allowed = Allowed::once(&[
        17, 18, 19, 21, 22, 26, 28, 31, 33, 34, 36, 37, 39, 40, 41, 42,
    ]);
    pub(super) const PUBLISH: Allowed = {
        let once = Allowed::once(&[1, 2, 3, 8, 9, 11, 35]);
        Allowed {
            ids: once.ids,
            repeated: once.repeated | 1 << 11,
        }
    };
    pub(super) const ACK: Allowed = Allowed::once(&[31]);
    pub(super) const SUBSCRIBE: Allowed = Allowed::once(&[11]);
    pub(super) const UNSUBSCRIBE: Allowed = Allowed::once(&[]);
    pub(super) const DISCONNECT: Allowed = Allowed::once(&[17, 28, 31]);
    pub(super) const AUTH: Allowed = Allowed::once(&[21, 22, 31]);
}

/// Reads the length and the properties after it, checks them, and shows each to `visit`.
#[inline]
pub(super) fn read<'a>(
    reader: &mut Reader<'a>,
    allowed: Allowed,
    mut visit: impl FnMut(Property<'a>),
) -> Result<Properties<'a>, DecodeError> {
    let len = reader.varint()?;
    let raw = reader.take(len as usize)?;
    let mut rest = Reader::new(raw);
    let mut seen = 0u64;
    while !rest.is_empty() {
        let property = Property::read(&mut rest)?;
        let bit = 1 << property.id();
        if allowed.ids & bit == 0 {
            return Err(DecodeError::PropertyMisplaced);
        }
        if seen & bit & !allowed.repeated != 0 {
            return Err(DecodeError::PropertyRepeated);
        }
        seen |= bit;
        visit(property);
    }
    Ok(Properties { raw })
}

/// The properties of a decoded packet: checked, encoded, in their order, without the length in front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a> {
    raw: &'a [u8],
}

impl<'a> Properties<'a> {
    /// Of bytes that `read` has checked.
    pub(super) const fn checked(raw: &'a [u8]) -> Self {
        Properties { raw }
    }

    /// The bytes.
    #[inline]
    pub const fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Each of them, in their order.
    #[inline]
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter {
            reader: Reader::new(self.raw),
        }
    }

    /// The user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.iter().filter_map(|property| match property {
            Property::UserProperty(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// The reason string.
    pub fn reason_string(&self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property::ReasonString(text) => Some(text),
            _ => None,
        })
    }
}

impl<'a> IntoIterator for Properties<'a> {
    type Item = Property<'a>;
    type IntoIter = PropertyIter<'a>;

    fn into_iter(self) -> PropertyIter<'a> {
        self.iter()
    }
}

/// Iterates over encoded properties; ends at the first byte that is none (for checked ones: at their end).
#[derive(Clone, Debug)]
pub struct PropertyIter<'a> {
    reader: Reader<'a>,
}

impl<'a> PropertyIter<'a> {
    /// Over properties that were checked before, such as `Message::properties`.
    pub fn new(raw: &'a [u8]) -> PropertyIter<'a> {
        PropertyIter {
            reader: Reader::new(raw),
        }
    }
}

impl<'a> Iterator for PropertyIter<'a> {
    type Item = Property<'a>;

    fn next(&mut self) -> Option<Property<'a>> {
        Property::read(&mut self.reader).ok()
    }
}

/// Appends the properties whose identifier is not among the `dropped` bits, unaltered and in their order.
pub(super) fn copy_without(raw: &[u8], dropped: u64, out: &mut Vec<u8>) {
    let mut iter = PropertyIter::new(raw);
    let mut rest = raw;
    while let Some(property) = iter.next() {
        let (bytes, after) = rest.split_at(rest.len() - iter.reader.len());
        rest = after;
        if dropped & 1 << property.id() == 0 {
            out.extend_from_slice(bytes);
        }
    }
}
