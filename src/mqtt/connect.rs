//! CONNECT (MQTT 5, 3.1): the only packet that says its version itself.

use super::error::DecodeError;
use super::frame::{Frame, check_header};
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property, PropertyIter};
use super::read::Reader;
use super::topic;
use super::types::{PacketType, QoS, Version};
use super::write::{Writer, binary_len, packet_len, string_len};

const FLAG_RESERVED: u8 = 0x01;
const FLAG_CLEAN_START: u8 = 0x02;
const FLAG_WILL: u8 = 0x04;
const FLAG_WILL_RETAIN: u8 = 0x20;
const FLAG_PASSWORD: u8 = 0x40;
const FLAG_USERNAME: u8 = 0x80;

/// A decoded CONNECT.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    pub version: Version,
    /// Whether the client says that it is a bridge: what others than this server publish comes through it, and what it
    /// subscribes to goes on to them. Mosquitto's bridges say so by the highest bit of the protocol level.
    pub is_bridge: bool,
    /// Clean Session before MQTT 5.
    pub clean_start: bool,
    /// Seconds; 0 turns it off.
    pub keep_alive: u16,
    /// May be empty; whether the server accepts that depends on version and configuration.
    pub client_id: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub will: Option<Will<'a>>,
    pub properties: ConnectProperties<'a>,
}

impl Connect<'_> {
    /// Seconds that its session outlives the connection; `u32::MAX`: it does not expire. Before MQTT 5 it either ends with the
    /// connection or does not expire (MQTT 5, 3.1.2.11.2).
    pub fn session_expiry_s(&self) -> u32 {
        match self.version {
            Version::V5 => self.properties.session_expiry.unwrap_or(0),
            _ if self.clean_start => 0,
            _ => u32::MAX,
        }
    }
}

/// Without what is secret or the client's own affair: password, will, properties.
impl std::fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive", &self.keep_alive)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// The properties of a CONNECT, with the values that hold where one is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectProperties<'a> {
    /// Seconds; `u32::MAX`: never.
    pub session_expiry: Option<u32>,
    /// Not zero; 65,535 where it is left out.
    pub receive_maximum: Option<u16>,
    /// Bytes, not zero; unbounded where it is left out.
    pub maximum_packet_size: Option<u32>,
    /// 0 where it is left out.
    pub topic_alias_maximum: u16,
    /// False where it is left out.
    pub request_response_information: bool,
    /// True where it is left out.
    pub request_problem_information: bool,
    pub authentication_method: Option<&'a str>,
    /// Some only with a method.
    pub authentication_data: Option<&'a [u8]>,
    /// All of them as they came.
    pub all: Properties<'a>,
}

impl Default for ConnectProperties<'_> {
    fn default() -> Self {
        ConnectProperties {
            session_expiry: None,
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            authentication_method: None,
            authentication_data: None,
            all: Properties::default(),
        }
    }
}

impl<'a> ConnectProperties<'a> {
    fn read(body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let mut properties = Self::default();
        properties.all = property::read(body, Allowed::CONNECT, |property| match property {
            Property::SessionExpiryInterval(seconds) => properties.session_expiry = Some(seconds),
            Property::ReceiveMaximum(maximum) => properties.receive_maximum = Some(maximum),
            Property::MaximumPacketSize(bytes) => properties.maximum_packet_size = Some(bytes),
            Property::TopicAliasMaximum(maximum) => properties.topic_alias_maximum = maximum,
            Property::RequestResponseInformation(flag) => {
                properties.request_response_information = flag
            }
            Property::RequestProblemInformation(flag) => {
                properties.request_problem_information = flag
            }
            Property::AuthenticationMethod(method) => {
                properties.authentication_method = Some(method)
            }
            Property::AuthenticationData(data) => properties.authentication_data = Some(data),
            _ => {}
        })?;
        if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
            return Err(DecodeError::AuthenticationMethodMissing);
        }
        Ok(properties)
    }

    /// The user properties, in their order.
    pub fn user_properties(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.all.user_properties()
    }
}

/// The will message of a CONNECT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    pub qos: QoS,
    pub retain: bool,
    /// A valid topic name.
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Seconds.
    pub delay_s: u32,
    /// Seconds.
    pub message_expiry: Option<u32>,
    /// The will properties, checked, encoded, in their order, without the length in front.
    pub properties: &'a [u8],
}

/// Will properties that are not part of the will message: message expiry interval (kept apart) and will delay.
const WILL_NOT_FORWARDED: u64 = 1 << 2 | 1 << 24;

impl<'a> Will<'a> {
    fn read(version: Version, flags: u8, body: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let qos = QoS::from_bits(flags >> 3 & 0x03).ok_or(DecodeError::WillQosReserved)?;
        let (mut delay_s, mut message_expiry, mut properties) = (0, None, Properties::default());
        if version.has_properties() {
            properties = property::read(body, Allowed::WILL, |property| match property {
                Property::WillDelayInterval(seconds) => delay_s = seconds,
                Property::MessageExpiryInterval(seconds) => message_expiry = Some(seconds),
                _ => {}
            })?;
        }
        let topic = body.string()?;
        if !topic::topic_name_valid(topic) {
            return Err(DecodeError::WillTopicInvalid);
        }
        if topic::too_deep(topic) {
            return Err(DecodeError::TopicTooDeep);
        }
        let payload = body.binary()?;
        let retain = flags & FLAG_WILL_RETAIN != 0;
        Ok(Will {
            qos,
            retain,
            topic,
            payload,
            delay_s,
            message_expiry,
            properties: properties.raw(),
        })
    }

    /// Appends the properties of the PUBLISH that the will becomes, unaltered and in their order: all but message
    /// expiry interval and will delay interval.
    pub fn forward_into(&self, out: &mut Vec<u8>) {
        property::copy_without(self.properties, WILL_NOT_FORWARDED, out);
    }

    /// The will properties, in their order.
    pub fn iter(&self) -> PropertyIter<'a> {
        PropertyIter::new(self.properties)
    }
}

/// The bit of the protocol level that says "a bridge", before MQTT 5, which has subscription options for what it means.
const LEVEL_BRIDGE: u8 = 0x80;

/// Reads protocol name and level, and whether the client is a bridge.
fn read_version(body: &mut Reader<'_>) -> Result<(Version, bool), DecodeError> {
    let name = body.binary()?;
    let level = match name {
        b"MQTT" | b"MQIsdp" => body.u8()?,
        _ => return Err(DecodeError::ProtocolNameUnknown),
    };
    let is_bridge = level & LEVEL_BRIDGE != 0;
    match (name, level & !LEVEL_BRIDGE) {
        (b"MQIsdp", 3) => Ok((Version::V31, is_bridge)),
        (b"MQTT", 4) => Ok((Version::V311, is_bridge)),
        (b"MQTT", 5) if !is_bridge => Ok((Version::V5, false)),
        _ => Err(DecodeError::ProtocolLevelUnsupported),
    }
}

/// The version in which to answer a CONNECT that `decode` refuses, from its first bytes: that of the CONNECT; for an
/// unsupported level of a known protocol, the form of MQTT 3 that every client understands; `None` if this is not MQTT.
pub fn connect_version_hint(packet: &[u8]) -> Option<Version> {
    let (&first, rest) = packet.split_first()?;
    if PacketType::from_first(first) != Some(PacketType::Connect) {
        return None;
    }
    let length_bytes = 1 + rest
        .iter()
        .take(3)
        .take_while(|&&byte| byte & 0x80 != 0)
        .count();
    let mut body = Reader::new(rest.get(length_bytes..)?);
    match read_version(&mut body) {
        Ok((version, _)) => Some(version),
        Err(DecodeError::ProtocolLevelUnsupported) => Some(Version::V311),
        Err(_) => None,
    }
}

impl<'a> Connect<'a> {
    pub(super) fn read(frame: &Frame, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let (version, is_bridge) = read_version(&mut body)?;
        check_header(version, frame)?;
        let flags = body.u8()?;
        check_flags(version, flags)?;
        let keep_alive = body.u16()?;
        let properties = if version.has_properties() {
            ConnectProperties::read(&mut body)?
        } else {
            ConnectProperties::default()
        };
        let client_id = body.string()?;
        let will = if flags & FLAG_WILL != 0 {
            Some(Will::read(version, flags, &mut body)?)
        } else {
            None
        };
        // In MQTT 3.1 "the Remaining Length field takes precedence over the User Name flag", and over the other.
        let missing = |body: &Reader<'_>| version == Version::V31 && body.is_empty();
        let has_username = flags & FLAG_USERNAME != 0 && !missing(&body);
        let username = if has_username {
            Some(body.string()?)
        } else {
            None
        };
        let has_password = flags & FLAG_PASSWORD != 0 && !missing(&body);
        let password = if has_password {
            Some(body.binary()?)
        } else {
            None
        };
        body.finish()?;
        let clean_start = flags & FLAG_CLEAN_START != 0;
        Ok(Connect {
            version,
            is_bridge,
            clean_start,
            keep_alive,
            client_id,
            username,
            password,
            will,
            properties,
        })
    }
}

/// Checks the connect flags against one another (MQTT 5, 3.1.2.3).
fn check_flags(version: Version, flags: u8) -> Result<(), DecodeError> {
    if flags & FLAG_RESERVED != 0 {
        return Err(DecodeError::ConnectFlagReserved);
    }
    let will_bits = flags & (FLAG_WILL_RETAIN | 0x18);
    if flags & FLAG_WILL == 0 && will_bits != 0 {
        return Err(DecodeError::WillFlagsWithoutWill);
    }
    if flags & 0x18 == 0x18 {
        return Err(DecodeError::WillQosReserved);
    }
    if version != Version::V5 && flags & (FLAG_USERNAME | FLAG_PASSWORD) == FLAG_PASSWORD {
        return Err(DecodeError::PasswordWithoutUsername);
    }
    Ok(())
}

/// A CONNECT to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectOut<'a> {
    pub clean_start: bool,
    pub keep_alive: u16,
    pub client_id: &'a str,
    pub username: Option<&'a str>,
    pub password: Option<&'a [u8]>,
    pub will: Option<WillOut<'a>>,
    pub session_expiry: Option<u32>,
    pub receive_maximum: Option<u16>,
    pub maximum_packet_size: Option<u32>,
    pub topic_alias_maximum: Option<u16>,
    pub request_response_information: Option<bool>,
    pub request_problem_information: Option<bool>,
    pub user_properties: &'a [(&'a str, &'a str)],
    pub authentication_method: Option<&'a str>,
    pub authentication_data: Option<&'a [u8]>,
}

/// A will message to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct WillOut<'a> {
    pub qos: QoS,
    pub retain: bool,
    pub topic: &'a str,
    pub payload: &'a [u8],
    /// Seconds; written when it is not 0.
    pub delay_s: u32,
    pub message_expiry: Option<u32>,
    pub payload_format: Option<u8>,
    pub content_type: Option<&'a str>,
    pub response_topic: Option<&'a str>,
    pub correlation_data: Option<&'a [u8]>,
    pub user_properties: &'a [(&'a str, &'a str)],
}

impl PropertySource for WillOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        if self.delay_s != 0 {
            visit.one(Property::WillDelayInterval(self.delay_s));
        }
        visit.some(self.payload_format, Property::PayloadFormatIndicator);
        visit.some(self.message_expiry, Property::MessageExpiryInterval);
        visit.some(self.content_type, Property::ContentType);
        visit.some(self.response_topic, Property::ResponseTopic);
        visit.some(self.correlation_data, Property::CorrelationData);
        visit.user_properties(self.user_properties);
    }
}

impl PropertySource for ConnectOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.session_expiry, Property::SessionExpiryInterval);
        visit.some(self.receive_maximum, Property::ReceiveMaximum);
        visit.some(self.maximum_packet_size, Property::MaximumPacketSize);
        visit.some(self.topic_alias_maximum, Property::TopicAliasMaximum);
        visit.some(
            self.request_response_information,
            Property::RequestResponseInformation,
        );
        visit.some(
            self.request_problem_information,
            Property::RequestProblemInformation,
        );
        visit.user_properties(self.user_properties);
        visit.some(self.authentication_method, Property::AuthenticationMethod);
        visit.some(self.authentication_data, Property::AuthenticationData);
    }
}

impl ConnectOut<'_> {
    fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.clean_start {
            flags |= FLAG_CLEAN_START;
        }
        if let Some(will) = &self.will {
            flags |= FLAG_WILL | (will.qos as u8) << 3;
            if will.retain {
                flags |= FLAG_WILL_RETAIN;
            }
        }
        if self.password.is_some() {
            flags |= FLAG_PASSWORD;
        }
        if self.username.is_some() {
            flags |= FLAG_USERNAME;
        }
        flags
    }

    fn remaining(&self, version: Version) -> usize {
        let will = self.will.as_ref().map_or(0, |will| {
            will.property_block_len(version) + string_len(will.topic) + binary_len(will.payload)
        });
        string_len(protocol_name(version))
            + 4
            + self.property_block_len(version)
            + string_len(self.client_id)
            + will
            + self.username.map_or(0, string_len)
            + self.password.map_or(0, binary_len)
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet; before MQTT 5 without what only MQTT 5 has.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(out, PacketType::Connect.first(), self.remaining(version));
        writer.string(protocol_name(version));
        writer.u8(version as u8);
        writer.u8(self.flags());
        writer.u16(self.keep_alive);
        self.write_properties(version, &mut writer);
        writer.string(self.client_id);
        if let Some(will) = &self.will {
            will.write_properties(version, &mut writer);
            writer.string(will.topic);
            writer.binary(will.payload);
        }
        if let Some(username) = self.username {
            writer.string(username);
        }
        if let Some(password) = self.password {
            writer.binary(password);
        }
        writer.finish();
    }
}

const fn protocol_name(version: Version) -> &'static str {
    match version {
        Version::V31 => "MQIsdp",
        Version::V311 | Version::V5 => "MQTT",
    }
}
