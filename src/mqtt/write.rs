//! Writes the data types of MQTT (MQTT 5, 1.5), and packets whose length is known before their first byte.

use super::property::Property;
use super::types::{PacketId, Version};

/// The longest string or binary data: its length has two bytes.
pub(super) const FIELD_BYTES_MAX: usize = 0xFFFF;

/// Bytes of a variable byte integer (MQTT 5, 1.5.5).
#[inline]
pub(super) const fn varint_len(value: usize) -> usize {
    match value {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}

/// The bytes of a variable byte integer, of which the first `varint_len` count.
#[inline]
pub(super) const fn varint_bytes(value: usize) -> [u8; 4] {
    let len = varint_len(value);
    let mut bytes = [0; 4];
    let mut index = 0;
    while index < len {
        let more = if index + 1 < len { 0x80 } else { 0 };
        bytes[index] = (value >> (7 * index)) as u8 & 0x7F | more;
        index += 1;
    }
    bytes
}

/// As much of a string as its length field can tell.
pub(super) fn fitting(text: &str) -> &str {
    debug_assert!(
        text.len() <= FIELD_BYTES_MAX,
        "a string of {} bytes",
        text.len()
    );
    if text.len() <= FIELD_BYTES_MAX {
        text
    } else {
        &text[..text.floor_char_boundary(FIELD_BYTES_MAX)]
    }
}

/// As much of binary data as its length field can tell.
pub(super) fn fitting_bytes(bytes: &[u8]) -> &[u8] {
    debug_assert!(
        bytes.len() <= FIELD_BYTES_MAX,
        "a field of {} bytes",
        bytes.len()
    );
    &bytes[..bytes.len().min(FIELD_BYTES_MAX)]
}

/// Bytes of a string with its length field.
pub(super) fn string_len(text: &str) -> usize {
    2 + fitting(text).len()
}

/// Bytes of binary data with its length field.
pub(super) fn binary_len(bytes: &[u8]) -> usize {
    2 + fitting_bytes(bytes).len()
}

/// Is shown the properties of a packet one by one: to measure them, and to write them.
pub(super) struct Visit<'v>(&'v mut dyn FnMut(Property<'_>));

impl Visit<'_> {
    pub(super) fn one(&mut self, property: Property<'_>) {
        (self.0)(property);
    }

    pub(super) fn some<'p, T>(
        &mut self,
        value: Option<T>,
        property: impl FnOnce(T) -> Property<'p>,
    ) {
        if let Some(value) = value {
            self.one(property(value));
        }
    }

    pub(super) fn user_properties(&mut self, pairs: &[(&str, &str)]) {
        for (name, value) in pairs {
            self.one(Property::UserProperty(name, value));
        }
    }
}

/// What has properties to be written.
pub(super) trait PropertySource {
    /// Shows them in the order in which they are to be written, the same each time.
    fn each_property(&self, visit: &mut Visit<'_>);

    /// Bytes of all properties, without the length in front.
    fn properties_len(&self) -> usize {
        let mut len = 0;
        self.each_property(&mut Visit(&mut |property| len += property.encoded_len()));
        len
    }

    /// Bytes of the properties with the length in front; none before MQTT 5.
    fn property_block_len(&self, version: Version) -> usize {
        if !version.has_properties() {
            return 0;
        }
        let len = self.properties_len();
        varint_len(len) + len
    }
}

/// Bytes of a packet with this Remaining Length.
pub(super) const fn packet_len(remaining: usize) -> usize {
    1 + varint_len(remaining) + remaining
}

/// Appends one packet to a vector and checks (in debug builds) that it has the length that was announced.
pub(super) struct Writer<'o> {
    out: &'o mut Vec<u8>,
    end: usize,
}

impl<'o> Writer<'o> {
    /// Writes the fixed header of a packet with this Remaining Length.
    pub(super) fn begin(out: &'o mut Vec<u8>, first: u8, remaining: usize) -> Self {
        let end = out.len() + packet_len(remaining);
        out.reserve(end - out.len());
        let mut writer = Writer { out, end };
        writer.u8(first);
        writer.varint(remaining);
        writer
    }

    pub(super) fn finish(self) {
        debug_assert_eq!(
            self.out.len(),
            self.end,
            "a packet has another length than announced"
        );
    }

    #[inline]
    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    #[inline]
    pub(super) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_be_bytes());
    }

    #[inline]
    pub(super) fn packet_id(&mut self, id: PacketId) {
        self.u16(id.get());
    }

    pub(super) fn varint(&mut self, value: usize) {
        self.out
            .extend_from_slice(&varint_bytes(value)[..varint_len(value)]);
    }

    pub(super) fn string(&mut self, text: &str) {
        self.binary(fitting(text).as_bytes());
    }

    pub(super) fn binary(&mut self, bytes: &[u8]) {
        let bytes = fitting_bytes(bytes);
        self.u16(bytes.len() as u16);
        self.out.extend_from_slice(bytes);
    }

    /// The properties with the length in front; nothing before MQTT 5.
    pub(super) fn properties(&mut self, version: Version, source: &impl PropertySource) {
        if version.has_properties() {
            self.varint(source.properties_len());
            source.each_property(&mut Visit(&mut |property| property.encode(self.out)));
        }
    }
}
