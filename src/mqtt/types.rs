//! The small types that every packet shares: protocol version, packet type, quality of service, packet identifier.

use std::num::NonZeroU16;

/// The protocol level of a connection (MQTT 5, 3.1.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Version {
    /// MQTT 3.1: protocol name "MQIsdp", level 3.
    V31 = 3,
    /// MQTT 3.1.1: protocol name "MQTT", level 4.
    V311 = 4,
    /// MQTT 5: protocol name "MQTT", level 5.
    V5 = 5,
}

impl Version {
    /// All of them, the oldest first.
    pub const ALL: [Version; 3] = [Version::V31, Version::V311, Version::V5];

    /// Whether packets of this version carry properties.
    #[inline]
    pub const fn has_properties(self) -> bool {
        matches!(self, Version::V5)
    }
}

/// A control packet type (MQTT 5, 2.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PacketType {
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl PacketType {
    /// From the first byte of a packet; `None` for type 0.
    #[inline]
    pub const fn from_first(first: u8) -> Option<PacketType> {
        Some(match first >> 4 {
            1 => PacketType::Connect,
            2 => PacketType::Connack,
            3 => PacketType::Publish,
            4 => PacketType::Puback,
            5 => PacketType::Pubrec,
            6 => PacketType::Pubrel,
            7 => PacketType::Pubcomp,
            8 => PacketType::Subscribe,
            9 => PacketType::Suback,
            10 => PacketType::Unsubscribe,
            11 => PacketType::Unsuback,
            12 => PacketType::Pingreq,
            13 => PacketType::Pingresp,
            14 => PacketType::Disconnect,
            15 => PacketType::Auth,
            _ => return None,
        })
    }

    /// The first byte of a packet of this type other than PUBLISH, with the flags that the standard prescribes.
    #[inline]
    pub const fn first(self) -> u8 {
        let flags = match self {
            PacketType::Pubrel | PacketType::Subscribe | PacketType::Unsubscribe => 0x02,
            _ => 0,
        };
        (self as u8) << 4 | flags
    }
}

/// A level of quality of service (MQTT 5, 4.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum QoS {
    /// Delivered according to what the network can do; no acknowledgement.
    #[default]
    AtMostOnce = 0,
    /// Acknowledged with PUBACK; may arrive more than once.
    AtLeastOnce = 1,
    /// Acknowledged in two steps; arrives once.
    ExactlyOnce = 2,
}

impl QoS {
    /// From the two bits of a packet; 3 is no level (MQTT-3.3.1-4).
    #[inline]
    pub const fn from_bits(bits: u8) -> Option<QoS> {
        match bits {
            0 => Some(QoS::AtMostOnce),
            1 => Some(QoS::AtLeastOnce),
            2 => Some(QoS::ExactlyOnce),
            _ => None,
        }
    }
}

impl From<QoS> for u8 {
    #[inline]
    fn from(qos: QoS) -> u8 {
        qos as u8
    }
}

impl TryFrom<u8> for QoS {
    type Error = u8;

    /// Gives the number back when it is no level.
    #[inline]
    fn try_from(bits: u8) -> Result<QoS, u8> {
        QoS::from_bits(bits).ok_or(bits)
    }
}

/// A packet identifier, which is never zero (MQTT-2.2.1-3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PacketId(NonZeroU16);

impl PacketId {
    /// The least one.
    pub const FIRST: PacketId = PacketId(NonZeroU16::MIN);

    /// `None` for zero.
    #[inline]
    pub const fn new(id: u16) -> Option<PacketId> {
        match NonZeroU16::new(id) {
            Some(id) => Some(PacketId(id)),
            None => None,
        }
    }

    /// The number.
    #[inline]
    pub const fn get(self) -> u16 {
        self.0.get()
    }
}
