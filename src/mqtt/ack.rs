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

/// The property of an acknowledgement that this broker sends.
struct AckProperties<'s>(Option<&'s str>);

impl PropertySource for AckProperties<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.0, Property::ReasonString);
    }
}

/// Remaining Length of an acknowledgement.
fn ack_remaining(version: Version, reason: ReasonCode, properties: &AckProperties<'_>) -> usize {
    match (version.has_properties(), properties.0) {
        (true, Some(_)) => 3 + properties.property_block_len(version),
        (true, None) if reason != ReasonCode::SUCCESS => 3,
        _ => 2,
    }
}

/// Bytes that `encode_ack` appends: for the comparison with the peer's Maximum Packet Size (MQTT-3.4.2-2).
pub fn ack_len(version: Version, reason: ReasonCode, reason_string: Option<&str>) -> usize {
    packet_len(ack_remaining(
        version,
        reason,
        &AckProperties(reason_string),
    ))
}

/// Appends an acknowledgement in its shortest form. Before MQTT 5 it has no reason.
#[inline]
pub fn encode_ack(
    kind: AckKind,
    version: Version,
    id: PacketId,
    reason: ReasonCode,
    reason_string: Option<&str>,
    out: &mut Vec<u8>,
) {
    let first = kind.packet_type().first();
    if !version.has_properties() || (reason == ReasonCode::SUCCESS && reason_string.is_none()) {
        let [high, low] = id.get().to_be_bytes();
        out.extend_from_slice(&[first, 2, high, low]);
        return;
    }
    let properties = AckProperties(reason_string);
    let mut writer = Writer::begin(out, first, ack_remaining(version, reason, &properties));
    writer.packet_id(id);
    writer.u8(reason.0);
    if reason_string.is_some() {
        properties.write_properties(version, &mut writer);
    }
    writer.finish();
}
