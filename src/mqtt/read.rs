//! Reads the data types of MQTT (MQTT 5, 1.5) from a packet, without copying.

use super::error::DecodeError;
use super::types::PacketId;

/// What is left to read of a packet, or of a part of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.rest.len()
    }

    /// Everything that is left.
    #[inline]
    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// For the end of a packet, where nothing may be left.
    #[inline]
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes)
        }
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(*head)
    }

    #[inline]
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(head)
    }

    #[inline]
    pub(super) fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(super) fn u16(&mut self) -> Result<u16, DecodeError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A variable byte integer (MQTT 5, 1.5.5).
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u32, DecodeError> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        self.varint_after(first)
    }

    fn varint_after(&mut self, first: u8) -> Result<u32, DecodeError> {
        let mut value = u32::from(first & 0x7F);
        for shift in [7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << shift;
            match byte {
                0 => return Err(DecodeError::VarintNotMinimal),
                1..0x80 => return Ok(value),
                _ => {}
            }
        }
        Err(DecodeError::VarintTooLong)
    }

    /// A packet identifier that is not zero (MQTT-2.2.1-3).
    #[inline]
    pub(super) fn packet_id(&mut self) -> Result<PacketId, DecodeError> {
        PacketId::new(self.u16()?).ok_or(DecodeError::PacketIdZero)
    }

    /// Binary data (MQTT 5, 1.5.6).
    #[inline]
    pub(super) fn binary(&mut self) -> Result<&'a [u8], DecodeError> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// A UTF-8 encoded string (MQTT 5, 1.5.4).
    #[inline]
    pub(super) fn string(&mut self) -> Result<&'a str, DecodeError> {
        text(self.binary()?)
    }
}

/// Bytes as a string: well-formed, which leaves out surrogates (MQTT-1.5.4-1), and without what `characters` refuses.
/// U+FEFF is a character like others and stays (MQTT-1.5.4-3).
#[inline]
pub(super) fn text(bytes: &[u8]) -> Result<&str, DecodeError> {
    let text = std::str::from_utf8(bytes).map_err(|_| DecodeError::Utf8IllFormed)?;
    // A fold without an early end, so that it is done sixteen bytes at a time.
    if bytes.iter().fold(false, |odd, &byte| odd | is_odd(byte)) {
        characters(text)?;
    }
    Ok(text)
}

/// Whether a byte may belong to a character that `characters` refuses: all but the printable ones of ASCII.
#[inline]
pub(super) fn is_odd(byte: u8) -> bool {
    byte.wrapping_sub(b' ') >= 0x7F - b' '
}

/// Looks at each character: none may be U+0000 (MQTT-1.5.4-2), and none a control character or a non-character, which
/// a receiver may refuse (MQTT 5, 1.5.4). Clients on libmosquitto do, so that one retained message with a newline in its topic
/// would make all of them come back for ever.
#[inline(never)]
pub(super) fn characters(text: &str) -> Result<(), DecodeError> {
    text.chars().try_for_each(|letter| match letter {
        '\0' => Err(DecodeError::Utf8Nul),
        '\x01'..='\x1F' | '\x7F'..='\u{9F}' => Err(DecodeError::Utf8Control),
        '\u{FDD0}'..='\u{FDEF}' => Err(DecodeError::Utf8NonCharacter),
        // The last two of each plane.
        _ if u32::from(letter) & 0xFFFE == 0xFFFE => Err(DecodeError::Utf8NonCharacter),
        _ => Ok(()),
    })
}

/// Whether a text from elsewhere, such as the name in a certificate, could stand in a packet as a string.
pub fn is_text(text: &str) -> bool {
    characters(text).is_ok()
}
