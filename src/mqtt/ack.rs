//! PUBACK, PUBREC, PUBREL and PUBCOMP (MQTT 5, 3.4 to 3.7), which have one layout.

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketId, PacketType, Version};
use super::write::{Writer, packet_len};

/// Which of the four.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AckKind {
    /// Answers a PUBLISH with QoS 1.
    Puback,
    /// Answers a PUBLISH with QoS 2.
    Pubrec,
    /// Answers a PUBREC.
    Pubrel,
    /// Answers a PUBREL.
    Pubcomp,
}

impl AckKind {
    /// The packet type.
    #[inline]
    pub const fn packet_type(self) -> PacketType {
        match self {
            AckKind::Puback => PacketType::Puback,
            AckKind::Pubrec => PacketType::Pubrec,
            AckKind::Pubrel => PacketType::Pubrel,
            AckKind::Pubcomp => PacketType::Pubcomp,
        }
    }
}

/// The acknowledgement in its shortest form with which bytes begin: four bytes, the same in all versions, that say nothing but
/// success. What is anything else has to be decoded.
#[inline]
pub const fn short_ack(bytes: &[u8]) -> Option<(AckKind, PacketId)> {
    let &[first, 2, high, low, ..] = bytes else {
        return None;
    };
    let kind = match first {
        0x40 => AckKind::Puback,
        0x50 => AckKind::Pubrec,
        0x62 => AckKind::Pubrel,
        0x70 => AckKind::Pubcomp,
        _ => return None,
    };
    match PacketId::new(u16::from_be_bytes([high, low])) {
        Some(id) => Some((kind, id)),
        None => None,
    }
}

/// Bytes of such an acknowledgement.
pub const SHORT_ACK_BYTES: usize = 4;

/// A decoded acknowledgement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Of the PUBLISH that it is about.
    pub packet_id: PacketId,
    /// Success where the packet leaves it out, and before MQTT 5.
    pub reason: ReasonCode,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
}

impl<'a> Ack<'a> {
    #[inline]
    pub(super) fn read(
        version: Version,
        kind: AckKind,
        mut body: Reader<'a>,
    ) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        if body.is_empty() {
            return Ok(Ack {
                packet_id,
                reason: ReasonCode::SUCCESS,
                properties: Properties::default(),
            });
        }
        Self::read_reason(version, kind, packet_id, body)
    }

    fn read_reason(
        version: Version,
        kind: AckKind,
        packet_id: PacketId,
        mut body: Reader<'a>,
    ) -> Result<Self, DecodeError> {
        if !version.has_properties() {
            return Err(DecodeError::TrailingBytes);
        }
        let reason = ReasonCode(body.u8()?);
        if !reason.belongs_to(kind.packet_type()) {
            return Err(DecodeError::ReasonCodeInvalid);
        }
        // "If the Remaining Length is less than 4 there is no Property Length" (MQTT 5, 3.4.2.2.1).
        let mut properties = Properties::default();
        if !body.is_empty() {
            properties = property::read(&mut body, Allowed::ACK, |_| {})?;
        }
        body.finish()?;
        Ok(Ack {
            packet_id,
            reason,
            properties,
        })
    }

    /// The reason string.
    pub fn reason_string(&self) -> Option<&'a str> {
        self.properties.reason_string()
    }
}

/// An acknowledgement to be written.
#[derive(Clone, Copy, Debug)]
pub struct AckOut<'a> {
    pub kind: AckKind,
    /// Of the PUBLISH that it is about.
    pub packet_id: PacketId,
    pub reason: ReasonCode,
    pub reason_string: Option<&'a str>,
}

impl PropertySource for AckOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.reason_string, Property::ReasonString);
    }
}

impl AckOut<'static> {
    /// One that says nothing but success.
    #[inline]
    pub const fn success(kind: AckKind, packet_id: PacketId) -> Self {
        AckOut {
            kind,
            packet_id,
            reason: ReasonCode::SUCCESS,
            reason_string: None,
        }
    }
}

impl AckOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        match (version.has_properties(), self.reason_string) {
            (true, Some(_)) => 3 + self.property_block_len(version),
            (true, None) if self.reason != ReasonCode::SUCCESS => 3,
            _ => 2,
        }
    }

    /// Bytes that `encode` appends: for the comparison with the peer's Maximum Packet Size (MQTT-3.4.2-2).
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet in its shortest form. Before MQTT 5 it has no reason.
    #[inline]
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let first = self.kind.packet_type().first();
        let is_success = self.reason == ReasonCode::SUCCESS && self.reason_string.is_none();
        if !version.has_properties() || is_success {
            let [high, low] = self.packet_id.get().to_be_bytes();
            out.extend_from_slice(&[first, 2, high, low]);
            return;
        }
        let mut writer = Writer::begin(out, first, self.remaining(version));
        writer.packet_id(self.packet_id);
        writer.u8(self.reason.0);
        if self.reason_string.is_some() {
            self.write_properties(version, &mut writer);
        }
        writer.finish();
    }
}
