//! DISCONNECT (MQTT 5, 3.14), which only clients send before MQTT 5, and without a word.

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketType, Version};
use super::write::{Writer, packet_len};

/// A decoded DISCONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Normal disconnection where the packet leaves it out, and before MQTT 5.
    pub reason: ReasonCode,
    /// Seconds; only from a client (MQTT-3.14.2-2).
    pub session_expiry: Option<u32>,
    pub reason_string: Option<&'a str>,
    /// Only from a server.
    pub server_reference: Option<&'a str>,
    /// All of them as they came.
    pub properties: Properties<'a>,
}

impl<'a> Disconnect<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let mut disconnect = Disconnect {
            reason: ReasonCode::NORMAL_DISCONNECTION,
            session_expiry: None,
            reason_string: None,
            server_reference: None,
            properties: Properties::default(),
        };
        if body.is_empty() {
            return Ok(disconnect);
        }
        if !version.has_properties() {
            return Err(DecodeError::TrailingBytes);
        }
        disconnect.reason = ReasonCode(body.u8()?);
        if !disconnect.reason.belongs_to(PacketType::Disconnect) {
            return Err(DecodeError::ReasonCodeInvalid);
        }
        // "If the Remaining Length is less than 2, a value of 0 is used" (MQTT 5, 3.14.2.2.1).
        if body.is_empty() {
            return Ok(disconnect);
        }
        disconnect.properties =
            property::read(&mut body, Allowed::DISCONNECT, |property| match property {
                Property::SessionExpiryInterval(seconds) => {
                    disconnect.session_expiry = Some(seconds)
                }
                Property::ReasonString(text) => disconnect.reason_string = Some(text),
                Property::ServerReference(text) => disconnect.server_reference = Some(text),
                _ => {}
            })?;
        body.finish()?;
        Ok(disconnect)
    }
}

/// A DISCONNECT to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct DisconnectOut<'a> {
    pub reason: ReasonCode,
    pub reason_string: Option<&'a str>,
    /// Seconds; only for clients (MQTT-3.14.2-2).
    pub session_expiry: Option<u32>,
    /// Only for servers.
    pub server_reference: Option<&'a str>,
}

impl PropertySource for DisconnectOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.session_expiry, Property::SessionExpiryInterval);
        visit.some(self.reason_string, Property::ReasonString);
        visit.some(self.server_reference, Property::ServerReference);
    }
}

impl DisconnectOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        match self.properties_len() {
            _ if !version.has_properties() => 0,
            0 if self.reason == ReasonCode::NORMAL_DISCONNECTION => 0,
            0 => 1,
            _ => 1 + self.property_block_len(version),
        }
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet in its shortest form; before MQTT 5 it has no reason.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let remaining = self.remaining(version);
        let mut writer = Writer::begin(out, PacketType::Disconnect.first(), remaining);
        if remaining > 0 {
            writer.u8(self.reason.0);
        }
        if remaining > 1 {
            self.write_properties(version, &mut writer);
        }
        writer.finish();
    }
}
