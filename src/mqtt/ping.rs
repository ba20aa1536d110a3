//! PINGREQ and PINGRESP (MQTT 5, 3.12 and 3.13): two bytes each, the same in every version.

use super::types::PacketType;

/// Appends a PINGREQ.
#[inline]
pub fn encode_pingreq(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingreq.first(), 0]);
}

/// Appends a PINGRESP.
#[inline]
pub fn encode_pingresp(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PacketType::Pingresp.first(), 0]);
}
