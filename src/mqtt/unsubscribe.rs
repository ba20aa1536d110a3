//! UNSUBSCRIBE (MQTT 5, 3.10).

use super::error::DecodeError;
use super::properties_out::{PropertySource, Visit};
use super::property::{self, Allowed, Properties};
use super::read::Reader;
use super::subscribe::check_filter;
use super::types::{PacketId, PacketType, Version};
use super::write::{Writer, packet_len, string_len};

/// A decoded UNSUBSCRIBE with at least one topic filter (MQTT-3.10.3-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    pub packet_id: PacketId,
    /// User properties.
    pub properties: Properties<'a>,
    filters: &'a [u8],
}

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(version: Version, mut body: Reader<'a>) -> Result<Self, DecodeError> {
        let packet_id = body.packet_id()?;
        let mut properties = Properties::default();
        if version.has_properties() {
            properties = property::read(&mut body, Allowed::UNSUBSCRIBE, |_| {})?;
        }
        let filters = body.rest();
        if filters.is_empty() {
            return Err(DecodeError::FiltersMissing);
        }
        while !body.is_empty() {
            check_filter(body.string()?)?;
        }
        Ok(Unsubscribe {
            packet_id,
            properties,
            filters,
        })
    }

    /// The topic filters, in their order; each is valid, shared ones included.
    pub fn filters(&self) -> UnsubscribeFilters<'a> {
        UnsubscribeFilters {
            reader: Reader::new(self.filters),
        }
    }
}

/// Iterates over the filters of an UNSUBSCRIBE.
#[derive(Clone, Debug)]
pub struct UnsubscribeFilters<'a> {
    reader: Reader<'a>,
}

impl<'a> Iterator for UnsubscribeFilters<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.reader.string().ok()
    }
}

/// An UNSUBSCRIBE to be written.
#[derive(Clone, Copy, Debug)]
pub struct UnsubscribeOut<'a> {
    pub packet_id: PacketId,
    pub user_properties: &'a [(&'a str, &'a str)],
    /// At least one (MQTT-3.10.3-2).
    pub filters: &'a [&'a str],
}

impl PropertySource for UnsubscribeOut<'_> {
    fn each_property(&self, visit: &mut Visit<'_>) {
        visit.user_properties(self.user_properties);
    }
}

impl UnsubscribeOut<'_> {
    fn remaining(&self, version: Version) -> usize {
        let filters: usize = self.filters.iter().map(|filter| string_len(filter)).sum();
        2 + self.property_block_len(version) + filters
    }

    /// Bytes that `encode` appends.
    pub fn encoded_len(&self, version: Version) -> usize {
        packet_len(self.remaining(version))
    }

    /// Appends the packet; before MQTT 5 without what only MQTT 5 has.
    pub fn encode(&self, version: Version, out: &mut Vec<u8>) {
        let mut writer = Writer::begin(
            out,
            PacketType::Unsubscribe.first(),
            self.remaining(version),
        );
        writer.packet_id(self.packet_id);
        self.write_properties(version, &mut writer);
        for filter in self.filters {
            writer.string(filter);
        }
        writer.finish();
    }
}
