//! The headers of the frames that are sent.

/// The header of a frame from the server: unmasked (RFC 6455, 5.1), whole (FIN).
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 10],
    len: u8,
}

impl Header {
    pub(super) fn new(opcode: u8, payload: usize) -> Header {
        let mut bytes = [0; 10];
        bytes[0] = 0x80 | opcode;
        let len = match payload {
            0..=125 => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Header { bytes, len }
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
