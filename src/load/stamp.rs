//! What every message of the load tester carries: who sent it, which one it is, and when it was to be sent.
//!
//! In a plain payload the stamp is its first 24 bytes and filler follows; in a JSON payload it is the value of the
//! first field, in hexadecimal digits, and the sum of the rest is folded into the run's number.

use std::hash::BuildHasher;

/// Bytes of a stamp; the smallest payload.
pub const STAMP_BYTES: usize = 24;

/// Where a JSON payload's stamp begins: behind `{"fh":"`.
pub const JSON_OFFSET: usize = 7;

/// Where the body of a JSON payload begins.
const JSON_BODY: usize = JSON_OFFSET + 2 * STAMP_BYTES;

/// What a JSON payload begins with.
const JSON_HEAD: &[u8; JSON_OFFSET] = b"{\"fh\":\"";

const MAGIC: u32 = u32::from_le_bytes(*b"fh\x01\xB5");

/// The identity of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The run: messages of others, and of an earlier run, are told apart by it.
    pub run: u32,
    /// The stream (a publisher's messages that the same filters match) that it belongs to.
    pub stream: u32,
    /// Its number in the stream, from 0.
    pub sequence: u32,
    /// When it was to be sent, in nanoseconds of the run's clock.
    pub intended_ns: u64,
}

impl Stamp {
    /// What a stamp begins with: it changes with every bit of the others, so that a damaged stamp is none.
    #[inline]
    fn magic(self) -> u32 {
        MAGIC
            ^ self.run.rotate_left(3)
            ^ self.stream.rotate_left(7)
            ^ self.sequence.rotate_left(13)
            ^ (self.intended_ns as u32).rotate_left(19)
            ^ ((self.intended_ns >> 32) as u32).rotate_left(29)
    }

    fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&self.magic().to_le_bytes());
        bytes[4..8].copy_from_slice(&self.run.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.stream.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.sequence.to_le_bytes());
        bytes[16..].copy_from_slice(&self.intended_ns.to_le_bytes());
        bytes
    }

    #[inline]
    fn from_bytes(bytes: &[u8; STAMP_BYTES]) -> Option<Stamp> {
        let word = |at: usize| {
            u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
        };
        let stamp = Stamp {
            run: word(4),
            stream: word(8),
            sequence: word(12),
            intended_ns: u64::from(word(16)) | u64::from(word(20)) << 32,
        };
        (word(0) == stamp.magic()).then_some(stamp)
    }
}

/// Appends a plain payload: the stamp, and as much of `filler` behind it as there is.
#[inline]
pub fn append_plain(out: &mut Vec<u8>, stamp: Stamp, filler: &[u8]) {
    out.extend_from_slice(&stamp.to_bytes());
    out.extend_from_slice(filler);
}

/// Writes the stamp into a JSON payload that has room for it.
pub fn write_json(payload: &mut [u8], stamp: Stamp) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let run = stamp.run ^ sum(payload.get(JSON_BODY..).unwrap_or_default());
    let bytes = Stamp { run, ..stamp }.to_bytes();
    let Some(place) = payload.get_mut(JSON_OFFSET..JSON_BODY) else {
        return;
    };
    for (digits, byte) in place.chunks_exact_mut(2).zip(bytes) {
        digits[0] = DIGITS[usize::from(byte >> 4)];
        digits[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// What a payload turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// A message of a load tester.
    Stamped(Stamp),
    /// One whose body is not what was sent.
    Corrupt(Stamp),
    /// Somebody else's.
    Foreign,
}

/// Reads a payload's stamp and checks its body: `filler` is what follows in a plain one.
#[inline]
pub fn read(payload: &[u8], filler: &[u8]) -> Read {
    if let Some((head, body)) = payload.split_first_chunk::<STAMP_BYTES>()
        && let Some(stamp) = Stamp::from_bytes(head)
    {
        return if body == filler {
            Read::Stamped(stamp)
        } else {
            Read::Corrupt(stamp)
        };
    }
    read_json(payload)
}

#[cold]
fn read_json(payload: &[u8]) -> Read {
    let (Some(JSON_HEAD), Some(digits)) = (
        payload.first_chunk::<JSON_OFFSET>(),
        payload.get(JSON_OFFSET..JSON_BODY),
    ) else {
        return Read::Foreign;
    };
    let mut bytes = [0; STAMP_BYTES];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (digit(pair[0]), digit(pair[1])) else {
            return Read::Foreign;
        };
        *byte = high << 4 | low;
    }
    match Stamp::from_bytes(&bytes) {
        // A body that differs makes the run's number a stranger's: the ledger counts it as unexpected.
        Some(stamp) => Read::Stamped(Stamp {
            run: stamp.run ^ sum(payload.get(JSON_BODY..).unwrap_or_default()),
            ..stamp
        }),
        None => Read::Foreign,
    }
}

fn digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

fn sum(body: &[u8]) -> u32 {
    foldhash::quality::FixedState::with_seed(0).hash_one(body) as u32
}

/// Filler for payloads of `bytes` bytes: printable, and the same each time.
pub fn filler(bytes: usize) -> Vec<u8> {
    (0..bytes.saturating_sub(STAMP_BYTES))
        .map(|at| b'A' + (at % 53) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAMP: Stamp = Stamp {
        run: 7,
        stream: 0x0102_0304,
        sequence: 99,
        intended_ns: 0x1122_3344_5566_7788,
    };

    #[test]
    fn a_plain_payload_comes_back() {
        let filler = filler(64);
        let mut payload = Vec::new();
        append_plain(&mut payload, STAMP, &filler);
        assert_eq!(payload.len(), 64);
        assert_eq!(read(&payload, &filler), Read::Stamped(STAMP));
        payload[63] ^= 1;
        assert_eq!(read(&payload, &filler), Read::Corrupt(STAMP));
        payload.truncate(63);
        assert_eq!(read(&payload, &filler), Read::Corrupt(STAMP));
        assert_eq!(read(b"hello", &filler), Read::Foreign);
        assert_eq!(read(&[0; 64], &filler), Read::Foreign);
    }

    #[test]
    fn a_damaged_stamp_is_none() {
        let mut payload = Vec::new();
        append_plain(&mut payload, STAMP, b"");
        for bit in 0..8 * STAMP_BYTES {
            let mut damaged = payload.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&damaged, b""), Read::Foreign, "{bit}");
        }
        assert_eq!(read(&[0; STAMP_BYTES], b""), Read::Foreign);
    }

    #[test]
    fn a_json_payload_comes_back_and_a_changed_one_is_a_strangers() {
        let mut payload = format!("{{\"fh\":\"{}\",\"a\":1}}", "0".repeat(48)).into_bytes();
        write_json(&mut payload, STAMP);
        assert_eq!(read(&payload, b""), Read::Stamped(STAMP));
        let at = payload.len() - 2;
        payload[at] = b'2';
        assert_ne!(read(&payload, b""), Read::Stamped(STAMP));
        assert_eq!(read(&payload[..20], b""), Read::Foreign);
    }
}
