//! SUBSCRIBE (MQTT 5, 3.8).

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties, Property};
use super::read::Reader;
use super::topic;
use super::types::{PacketId, PacketType, QoS, Version};
use super::write::{Writer, packet_len, string_len};

/// A decoded SUBSCRIBE with at least one topic filter (MQTT-3.8.3-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    pub packet_id: PacketId,
    /// 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    /// Subscription identifier and user properties.
    pub properties: Properties<'a>,
    filters: &'a [u8],
}

/// The subscription options (MQTT 5, 3.8.3.1); before MQTT 5 all but the QoS have their defaults.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// The greatest QoS that is wanted.
    pub qos: QoS,
    /// Whether the client's own messages are left out.
    pub no_local: bool,
    /// Whether the RETAIN flag is passed on.
    pub retain_as_published: bool,
    /// 0: send retained messages; 1: only if the subscription is new; 2: do not.
    pub retain_handling: u8,
}

impl SubscribeOptions {
    /// With this QoS and the defaults.
    pub const fn with_qos(qos: QoS) -> SubscribeOptions {
        SubscribeOptions {
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: 0,
        }
    }

    fn from_byte(version: Version, byte: u8) -> Result<SubscribeOptions, DecodeError> {
        let reserved = if version.has_properties() { 0xC0 } else { 0xFC };
        if byte & reserved != 0 {
            return Err(DecodeError::SubscribeOptionsReserved);
        }
        let qos = QoS::from_bits(byte & 0x03).ok_or(DecodeError::SubscribeQosReserved)?;
        let retain_handling = byte >> 4 & 0x03;
        if retain_handling == 3 {
            return Err(DecodeError::RetainHandlingReserved);
        }
        Ok(SubscribeOptions {
            qos,
            no_local: byte & 0x04 != 0,
            retain_as_published: byte & 0x08 != 0,
            retain_handling,
        })
    }

    fn to_byte(self, version: Version) -> u8 {
        let mut byte = self.qos as u8;
        if version.has_properties() {
            byte |= u8::from(self.no_local) << 2;
            byte |= u8::from(self.retain_as_published) << 3;
            byte |= (self.retain_handling & 0x03) << 4;
        }
        byte
    }
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let (mut subscription_id, mut properties) = (None, Properties::default());
        if version.has_properties() {
            properties = property::read(&mut body, Allowed::SUBSCRIBE, |property| {
                if let Property::SubscriptionIdentifier(id) = property {
                    subscription_id = Some(id);
                }
            })?;
        }
        let filters = body.rest();
        if filters.is_empty() {
            return Err(DecodeError::FiltersMissing);
        }
        while !body.is_empty() {
            let shared = check_filter(body.string()?)?;
            let options = SubscribeOptions::from_byte(version, body.u8()?)?;
            if shared && options.no_local {
                return Err(DecodeError::ShareNoLocal);
            }
        }
        Ok(Subscribe {
            packet_id,
            subscription_id,
            properties,
            filters,
        })
    }

    /// The topic filters with their options, in their order; each is valid, shared ones included.
    pub fn filters(&self) -> SubscribeFilters<'a> {
        SubscribeFilters {
            reader: Reader::new(self.filters),
        }
    }
}

/// Checks a topic filter; true if it is that of a shared subscription.
pub(super) fn check_filter(filter: &str) -> Result<bool, DecodeError> {
    if !topic::topic_filter_valid(filter) {
        return Err(DecodeError::FilterInvalid);
    }
    if topic::too_deep(filter) {
        return Err(DecodeError::FilterTooDeep);
    }
    match topic::share(filter) {
        None => Ok(false),
        Some(Ok(_)) => Ok(true),
        Some(Err(())) => Err(DecodeError::ShareInvalid),
    }
}

/// Iterates over the filters of a SUBSCRIBE.
#[derive(Clone, Debug)]
pub struct SubscribeFilters<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for SubscribeFilters<'a> {
    type Item = (&'a str, SubscribeOptions);

    fn next(&mut self) -> Option<Self::Item> {
        let filter = self.reader.string().ok()?;
        // Where a version has fewer options, their bits were found to be zero.
        let options = SubscribeOptions::from_byte(Version::V5, self.reader.u8().ok()?).ok()?;
        Some((filter, options))
    }
}

/// A SUBSCRIBE to be written.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeOut<'a> {
    pub packet_id: PacketId,
    /// 1 to 268,435,455.
    pub subscription_id: Option<u32>,
    pub user_properties: &'a [(&'a str, &'a str)],
    /// At least one (MQTT-3.8.3-2).
    pub filters: &'a [(&'a str, SubscribeOptions)],
}

impl PropertySource for SubscribeOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.some(self.subscription_id, Property::SubscriptionIdentifier);
        visit.user_properties(self.user_properties);
    }
}

impl SubscribeOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        let filters: usize = self
            .filters
            .iter()
            .map(|(filter, _)| string_len(filter) + 1)
            .sum();
        2 + self.property_block_len(version) + filters
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet; before MQTT 5 without what only MQTT 5 has.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(out, PacketType::Subscribe.first(), self.remaining(version));
        writer.packet_id(self.packet_id);
        self.write_properties(version, &mut writer);
        for (filter, options) in self.filters {
            writer.string(filter);
            writer.u8(options.to_byte(version));
        }
        writer.finish();
    }
}
