//! SUBACK (MQTT 5, 3.9).

use super::error::DecodeError;
use super::property::{self, Allowed, Properties};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketId, PacketType, Version};
use super::write::{Writer, packet_len};

/// A decoded SUBACK with at least one reason code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suback<'a> {
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
    reasons: &'a [u8],
}

impl<'a> Suback<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let mut properties = Properties::default();
        if version.has_properties() {
            properties = property::read(&mut body, Allowed::ACK, |_| {})?;
        }
        let reasons = body.rest();
        if reasons.is_empty() {
            return Err(DecodeError::ReasonCodesMissing);
        }
        let valid = |code: u8| match version {
            Version::V5 => ReasonCode(code).belongs_to(PacketType::Suback),
            Version::V31 | Version::V311 => matches!(code, 0..=2 | 0x80),
        };
        if !reasons.iter().all(|&code| valid(code)) {
            return Err(DecodeError::ReasonCodeInvalid);
        }
        Ok(Suback {
            packet_id,
            properties,
            reasons,
        })
    }

    /// One for each filter of the SUBSCRIBE, in their order: the QoS granted, or an error (before MQTT 5: 0x80).
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.reasons.iter().map(|&code| ReasonCode(code))
    }
}

/// A SUBACK to be written.
#[derive(Clone, Copy, Debug)]
pub struct SubackOut<'a> {
    pub packet_id: PacketId,
    /// One for each filter of the SUBSCRIBE, in their order (MQTT-3.8.4-6). Before MQTT 5 every error is written as
    /// 0x80, which MQTT 3.1 does not know: there it is for the caller to grant something.
    pub reasons: &'a [ReasonCode],
}

impl SubackOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        2 + usize::from(version.has_properties()) + self.reasons.len()
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(out, PacketType::Suback.first(), self.remaining(version));
        writer.packet_id(self.packet_id);
        if version.has_properties() {
            writer.varint(0);
        }
        for &reason in self.reasons {
            let plain = !version.has_properties() && reason.is_error();
            writer.u8(if plain {
                ReasonCode::UNSPECIFIED_ERROR.0
            } else {
                reason.0
            });
        }
        writer.finish();
    }
}
