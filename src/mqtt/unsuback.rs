//! UNSUBACK (MQTT 5, 3.11), which has no payload before MQTT 5.

use super::error::DecodeError;
use super::property::{self, Allowed, Properties};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketId, PacketType, Version};
use super::write::{Writer, packet_len};

/// A decoded UNSUBACK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsuback<'a> {
    pub packet_id: PacketId,
    /// Reason string and user properties.
    pub properties: Properties<'a>,
    reasons: &'a [u8],
}

impl<'a> Unsuback<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        if !version.has_properties() {
            body.finish()?;
            return Ok(Unsuback {
                packet_id,
                properties: Properties::default(),
                reasons: &[],
            });
        }
        let properties = property::read(&mut body, Allowed::ACK, |_| {})?;
        let reasons = body.rest();
        if reasons.is_empty() {
            return Err(DecodeError::ReasonCodesMissing);
        }
        if !reasons
            .iter()
            .all(|&code| ReasonCode(code).belongs_to(PacketType::Unsuback))
        {
            return Err(DecodeError::ReasonCodeInvalid);
        }
        Ok(Unsuback {
            packet_id,
            properties,
            reasons,
        })
    }

    /// One for each filter of the UNSUBSCRIBE, in their order; none before MQTT 5.
    pub fn reasons(&self) -> impl ExactSizeIterator<Item = ReasonCode> + use<'a> {
        self.reasons.iter().map(|&code| ReasonCode(code))
    }
}

/// An UNSUBACK to be written.
#[derive(Clone, Copy, Debug)]
pub struct UnsubackOut<'a> {
    pub packet_id: PacketId,
    /// One for each filter of the UNSUBSCRIBE, in their order (MQTT-3.11.3-1); not written before MQTT 5.
    pub reasons: &'a [ReasonCode],
}

impl UnsubackOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        if version.has_properties() {
            3 + self.reasons.len()
        } else {
            2
        }
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(out, PacketType::Unsuback.first(), self.remaining(version));
        writer.packet_id(self.packet_id);
        if version.has_properties() {
            writer.varint(0);
            self.reasons.iter().for_each(|reason| writer.u8(reason.0));
        }
        writer.finish();
    }
}
