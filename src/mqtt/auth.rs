//! AUTH (MQTT 5, 3.15), which MQTT 3 does not have.

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketType, Version};
use super::write::{Writer, packet_len};

/// A decoded AUTH.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Auth<'a> {
    pub reason: ReasonCode,
    /// None only in the packet without a body, which means success.
    pub method: Option<&'a str>,
    pub data: Option<&'a [u8]>,
    /// All of them as they came.
    pub properties: Properties<'a>,
}

impl<'a> Auth<'a> {
    pub(super) fn read(mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let mut auth = Auth {
            reason: ReasonCode::SUCCESS,
            method: None,
            data: None,
            properties: Properties::default(),
        };
        // "In this case the AUTH has a Remaining Length of 0" (MQTT 5, 3.15.2.1).
        if body.is_empty() {
            return Ok(auth);
        }
        auth.reason = ReasonCode(body.u8()?);
        if !auth.reason.belongs_to(PacketType::Auth) {
            return Err(DecodeError::ReasonCodeInvalid);
        }
        auth.properties = property::read(&mut body, Allowed::AUTH, |property| match property {
            Property::AuthenticationMethod(method) => auth.method = Some(method),
            Property::AuthenticationData(data) => auth.data = Some(data),
            _ => {}
        })?;
        body.finish()?;
        // "It is a Protocol Error to omit the Authentication Method" (MQTT 5, 3.15.2.2.2).
        if auth.method.is_none() {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(auth)
    }
}

/// An AUTH to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuthOut<'a> {
    pub reason: ReasonCode,
    pub method: Option<&'a str>,
    pub data: Option<&'a [u8]>,
    pub reason_string: Option<&'a str>,
}

impl PropertySource for AuthOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.method, Property::AuthenticationMethod);
        visit.some(self.data, Property::AuthenticationData);
        visit.some(self.reason_string, Property::ReasonString);
    }
}

impl AuthOut<'_> {
    fn remaining(&self) -> usize {
        if self.reason == ReasonCode::SUCCESS && self.properties_len() == 0 {
            return 0;
        }
        1 + self.property_block_len(Version::V5)
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self) -> usize {
        packet_len(self.remaining())
    }

    /// Appends the packet, which is one of MQTT 5.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let remaining = self.remaining();
        let mut writer = Writer::begin(out, PacketType::Auth.first(), remaining);
        if remaining > 0 {
            writer.u8(self.reason.0);
            self.write_properties(Version::V5, &mut writer);
        }
        writer.finish();
    }
}
