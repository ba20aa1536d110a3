//! Cuts a stream of bytes into packets by the fixed header (MQTT 5, 2.1), before a version is known.
//!
//! What no version allows is refused here, from the first byte; what only some versions allow is refused by
//! `decode`. Nothing is buffered and nothing is copied.

use super::error::DecodeError;
use super::types::{PacketType, Version};

/// Where a packet begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The first byte: type and flags.
    pub first: u8,
    /// Bytes of the fixed header: 2 to 5.
    pub header_len: usize,
    /// Bytes of the packet, fixed header included.
    pub total_len: usize,
}

impl Frame {
    /// The type; `None` only for a `Frame` that `frame` did not make.
    #[inline]
    pub const fn packet_type(&self) -> Option<PacketType> {
        PacketType::from_first(self.first)
    }
}

/// What the bytes so far amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameStatus {
    /// They begin with a whole packet.
    Complete(Frame),
    /// More are needed; `total_len` tells how many in all, once the length field is complete.
    Incomplete { total_len: Option<usize> },
}

/// Looks at the start of `input` for a packet of at most `max_packet_bytes`, fixed header included (MQTT-3.2.2-15).
///
/// ```
/// use firehose::mqtt::{frame, FrameStatus};
/// let Ok(FrameStatus::Complete(frame)) = frame(&[0xC0, 0x00], 1024) else { unreachable!() };
/// assert_eq!(frame.total_len, 2);
/// ```
#[inline]
pub fn frame(input: &[u8], max_packet_bytes: u32) -> Result<FrameStatus, DecodeError> {
    let Some((&first, lengths)) = input.split_first() else {
        return Ok(FrameStatus::Incomplete { total_len: None });
    };
    check_first(first)?;
    let Some((remaining, length_bytes)) = remaining_length(lengths)? else {
        return Ok(FrameStatus::Incomplete { total_len: None });
    };
    let header_len = 1 + length_bytes;
    let total_len = header_len + remaining as usize;
    if total_len as u64 > u64::from(max_packet_bytes) {
        return Err(DecodeError::PacketTooLarge);
    }
    if input.len() < total_len {
        return Ok(FrameStatus::Incomplete {
            total_len: Some(total_len),
        });
    }
    Ok(FrameStatus::Complete(Frame {
        first,
        header_len,
        total_len,
    }))
}

/// The Remaining Length and the bytes it takes; `None` when it is not complete.
#[inline]
fn remaining_length(bytes: &[u8]) -> Result<Option<(u32, usize)>, DecodeError> {
    // Most packets are short.
    if let Some(&byte) = bytes.first()
        && byte < 0x80
    {
        return Ok(Some((u32::from(byte), 1)));
    }
    let mut value = 0;
    for index in 0..4 {
        let Some(&byte) = bytes.get(index) else {
            return Ok(None);
        };
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    Err(DecodeError::VarintTooLong)
}

/// Refuses a first byte that no version allows. CONNECT says its version itself.
#[inline]
fn check_first(first: u8) -> Result<(), DecodeError> {
    match first >> 4 {
        0 => Err(DecodeError::PacketTypeReserved),
        3 if first & 0x06 == 0x06 => Err(DecodeError::PublishQosReserved),
        3 if first & 0x0E == 0x08 => Err(DecodeError::PublishDupAtQos0),
        2 | 12..=15 if first & 0x0F != 0 => Err(DecodeError::FlagsReserved),
        6 | 8 | 10 if first & 0x06 != 0x02 => Err(DecodeError::FlagsReserved),
        _ => Ok(()),
    }
}

/// Refuses what this version does not allow in a fixed header: reserved flags (MQTT-2.1.3-1), which MQTT 3.1 calls
/// "not used" and where its clients set DUP when they repeat a packet; in MQTT 5 also a length with more bytes than
/// it needs (MQTT-1.5.5-1).
#[inline]
pub(super) fn check_header(version: Version, frame: &Frame) -> Result<(), DecodeError> {
    check_first(frame.first)?;
    match PacketType::from_first(frame.first) {
        Some(PacketType::Publish) => {}
        Some(other) if version > Version::V31 && frame.first != other.first() => {
            return Err(DecodeError::FlagsReserved);
        }
        Some(_) => {}
        None => return Err(DecodeError::PacketTypeReserved),
    }
    let remaining = frame.total_len.saturating_sub(frame.header_len);
    if version == Version::V5
        && frame.header_len > 2
        && remaining >> (7 * (frame.header_len - 2)) == 0
    {
        return Err(DecodeError::VarintNotMinimal);
    }
    Ok(())
}
