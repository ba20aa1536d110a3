//! Tests of the codec: what is refused (`refused`), what comes back as it was written (`round_trip`), bytes from the
//! standard (`bytes`), streams cut anywhere (`stream`), topics and filters (`topics`).

mod bytes;
mod refused;
mod round_trip;
mod stream;
mod topics;

use super::*;

/// Decodes bytes that are to be one packet.
fn decode_one(version: Version, bytes: &[u8]) -> Result<Packet<'_>, DecodeError> {
    match frame(bytes, u32::MAX)? {
        FrameStatus::Complete(frame) if frame.total_len == bytes.len() => {
            decode(version, bytes, &frame)
        }
        other => panic!("not one packet of {} bytes: {other:?}", bytes.len()),
    }
}

/// A packet with this first byte around a body of fewer than 128 bytes.
fn framed(first: u8, body: &[u8]) -> Vec<u8> {
    assert!(body.len() < 128);
    let mut bytes = vec![first, body.len() as u8];
    bytes.extend_from_slice(body);
    bytes
}

fn id(id: u16) -> PacketId {
    PacketId::new(id).unwrap()
}
