//! CONNACK (MQTT 5, 3.2).

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property};
use super::read::Reader;
use super::reason::ReasonCode;
use super::types::{PacketType, QoS, Version};
use super::write::{Writer, packet_len};

/// A decoded CONNACK; a property that is left out is `None`, whatever its default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Connack<'a> {
    pub session_present: bool,
    /// Before MQTT 5, the reason code of the return code.
    pub reason: ReasonCode,
    /// Seconds; `u32::MAX`: never.
    pub session_expiry: Option<u32>,
    /// Not zero.
    pub receive_maximum: Option<u16>,
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    /// Bytes, not zero.
    pub maximum_packet_size: Option<u32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<&'a str>,
    pub wildcard_available: Option<bool>,
    pub subscription_ids_available: Option<bool>,
    pub shared_available: Option<bool>,
    /// Seconds.
    pub server_keep_alive: Option<u16>,
    pub response_information: Option<&'a str>,
    pub server_reference: Option<&'a str>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
    /// All of them as they came.
    pub properties: Properties<'a>,
}

impl<'a> Connack<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let flags = body.u8()?;
        // MQTT 3.1 has no session present flag: there all bits are reserved, and "not used".
        if flags > 1 && version > Version::V31 {
            return Err(DecodeError::ConnackFlagsReserved);
        }
        let code = body.u8()?;
        let reason = match version {
            Version::V5 => {
                Some(ReasonCode(code)).filter(|reason| reason.belongs_to(PacketType::Connack))
            }
            Version::V31 | Version::V311 => ReasonCode::from_connack_v3(code),
        };
        let reason = reason.ok_or(DecodeError::ReasonCodeInvalid)?;
        let session_present = flags == 1 && version > Version::V31;
        if session_present && reason != ReasonCode::SUCCESS {
            return Err(DecodeError::SessionPresentRefused);
        }
        let mut connack = Connack {
            session_present,
            reason,
            ..Connack::default()
        };
        if version.has_properties() {
            connack.properties = property::read(&mut body, Allowed::CONNACK, |property| {
                connack.set(property)
            })?;
            if connack.authentication_data.is_some() && connack.authentication_method.is_none() {
                return Err(DecodeError::AuthenticationMethodMissing);
            }
        }
        body.finish()?;
        Ok(connack)
    }

    fn set(&mut self, property: Property<'a>) {
        match property {
            Property::SessionExpiryInterval(seconds) => self.session_expiry = Some(seconds),
            Property::ReceiveMaximum(maximum) => self.receive_maximum = Some(maximum),
            Property::MaximumQos(qos) => self.maximum_qos = Some(qos),
            Property::RetainAvailable(flag) => self.retain_available = Some(flag),
            Property::MaximumPacketSize(bytes) => self.maximum_packet_size = Some(bytes),
            Property::AssignedClientIdentifier(id) => self.assigned_client_id = Some(id),
            Property::TopicAliasMaximum(maximum) => self.topic_alias_maximum = Some(maximum),
            Property::ReasonString(text) => self.reason_string = Some(text),
            Property::WildcardSubscriptionAvailable(flag) => self.wildcard_available = Some(flag),
            Property::SubscriptionIdentifierAvailable(flag) => {
                self.subscription_ids_available = Some(flag)
            }
            Property::SharedSubscriptionAvailable(flag) => self.shared_available = Some(flag),
            Property::ServerKeepAlive(seconds) => self.server_keep_alive = Some(seconds),
            Property::ResponseInformation(text) => self.response_information = Some(text),
            Property::ServerReference(text) => self.server_reference = Some(text),
            Property::AuthenticationMethod(method) => self.authentication_method = Some(method),
            Property::AuthenticationData(data) => self.authentication_data = Some(data),
            _ => {}
        }
    }

    /// The user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.properties.user_properties()
    }
}

/// A CONNACK to be written; what is `None` is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnackOut<'a> {
    /// Written only with success (MQTT-3.2.2-6), and not in MQTT 3.1.
    pub session_present: bool,
    /// Before MQTT 5, written as the return code that comes nearest.
    pub reason: ReasonCode,
    /// Seconds; `u32::MAX`: never.
    pub session_expiry: Option<u32>,
    /// Not zero.
    pub receive_maximum: Option<u16>,
    /// Level 2 is said by leaving it out, which is done here.
    pub maximum_qos: Option<QoS>,
    pub retain_available: Option<bool>,
    /// Bytes, not zero.
    pub maximum_packet_size: Option<u32>,
    pub assigned_client_id: Option<&'a str>,
    pub topic_alias_maximum: Option<u16>,
    pub reason_string: Option<&'a str>,
    pub user_properties: &'a [(&'a str, &'a str)],
    pub wildcard_available: Option<bool>,
    pub subscription_ids_available: Option<bool>,
    pub shared_available: Option<bool>,
    /// Seconds.
    pub server_keep_alive: Option<u16>,
    pub response_information: Option<&'a str>,
    pub server_reference: Option<&'a str>,
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
}

impl PropertySource for ConnackOut<'_> {
    /// The order is that of Mosquitto where both send a property, so that recorded conversations can be compared.
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.topic_alias_maximum, Property::TopicAliasMaximum);
        visit.some(self.server_keep_alive, Property::ServerKeepAlive);
        visit.some(self.assigned_client_id, Property::AssignedClientIdentifier);
        visit.some(self.authentication_method, Property::AuthenticationMethod);
        visit.some(self.authentication_data, Property::AuthenticationData);
        visit.some(self.session_expiry, Property::SessionExpiryInterval);
        visit.some(self.retain_available, Property::RetainAvailable);
        visit.some(self.maximum_packet_size, Property::MaximumPacketSize);
        visit.some(self.receive_maximum, Property::ReceiveMaximum);
        visit.some(
            self.maximum_qos.filter(|&qos| qos < QoS::ExactlyOnce),
            Property::MaximumQos,
        );
        visit.some(
            self.wildcard_available,
            Property::WildcardSubscriptionAvailable,
        );
        visit.some(
            self.subscription_ids_available,
            Property::SubscriptionIdentifierAvailable,
        );
        visit.some(self.shared_available, Property::SharedSubscriptionAvailable);
        visit.some(self.response_information, Property::ResponseInformation);
        visit.some(self.server_reference, Property::ServerReference);
        visit.some(self.reason_string, Property::ReasonString);
        visit.user_properties(self.user_properties);
    }
}

impl ConnackOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        2 + self.property_block_len(version)
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet; before MQTT 5 without properties.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(out, PacketType::Connack.first(), self.remaining(version));
        let session_present =
            self.session_present && !self.reason.is_error() && version > Version::V31;
        writer.u8(u8::from(session_present));
        writer.u8(if version.has_properties() {
            self.reason.0
        } else {
            self.reason.connack_v3()
        });
        self.write_properties(version, &mut writer);
        writer.finish();
    }
}
