//! Writes the data types of MQTT (MQTT 5, 1.5), and packets whose length is known before their first byte.

use super::types::PacketId;

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

    /// Appends what `write` does, which has been counted in the packet's length.
    #[inline]
    pub(super) fn append(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.out);
    }
}
