//! As much MQTT as the driver needs, for 3.1.1 and 5: CONNECT, SUBSCRIBE, PUBLISH, acknowledgements, and a walk over
//! the frames of a received stream. It trusts the broker: a broken frame ends the run, it is not diagnosed.

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Version {
    V311,
    V5,
}

pub const CONNACK: u8 = 0x20;
pub const PUBLISH: u8 = 0x30;
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const SUBACK: u8 = 0x90;
pub const DISCONNECT: [u8; 2] = [0xe0, 0];

/// Bytes at the start of each payload: publisher (4), sequence (4), intended send time (8), big endian.
pub const STAMP_BYTES: usize = 16;

/// Who sent a message, as its how manieth, and when it should have left.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Stamp {
    pub publisher: u32,
    pub sequence: u32,
    pub intended_ns: u64,
}

impl Stamp {
    fn to_bytes(self) -> [u8; STAMP_BYTES] {
        let mut bytes = [0; STAMP_BYTES];
        bytes[..4].copy_from_slice(&self.publisher.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[8..].copy_from_slice(&self.intended_ns.to_be_bytes());
        bytes
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (publisher, rest) = payload.split_first_chunk::<4>()?;
        let (sequence, rest) = rest.split_first_chunk::<4>()?;
        let (intended, _) = rest.split_first_chunk::<8>()?;
        Some(Self {
            publisher: u32::from_be_bytes(*publisher),
            sequence: u32::from_be_bytes(*sequence),
            intended_ns: u64::from_be_bytes(*intended),
        })
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut rest = body.len();
    loop {
        let digit = u8::try_from(rest % 128).unwrap_or(0);
        rest /= 128;
        out.push(if rest > 0 { digit | 0x80 } else { digit });
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// CONNECT with a clean session and no keep alive.
pub fn connect(version: Version, client_id: &str) -> Vec<u8> {
    let mut body = Vec::new();
    text(&mut body, "MQTT");
    body.extend_from_slice(&[if version == Version::V5 { 5 } else { 4 }, 0x02, 0, 0]);
    if version == Version::V5 {
        body.push(0);
    }
    text(&mut body, client_id);
    packet(0x10, &body)
}

/// SUBSCRIBE with one filter and packet identifier 1.
pub fn subscribe(version: Version, filter: &str, qos: u8) -> Vec<u8> {
    let mut body = vec![0, 1];
    if version == Version::V5 {
        body.push(0);
    }
    text(&mut body, filter);
    body.push(qos);
    packet(0x82, &body)
}

/// The four bytes of PUBACK, PUBREC, PUBREL and PUBCOMP, by the first one.
pub fn ack(first: u8, id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [first, 2, high, low]
}

/// A PUBLISH of one topic and size, in which only packet identifier and stamp change.
pub struct Template {
    bytes: Vec<u8>,
    id_at: Option<usize>,
    stamp_at: usize,
}

impl Template {
    pub fn new(version: Version, topic: &str, qos: u8, payload: usize) -> Self {
        let mut body = Vec::new();
        text(&mut body, topic);
        let id_in_body = (qos > 0).then_some(body.len());
        if qos > 0 {
            body.extend_from_slice(&[0, 0]);
        }
        if version == Version::V5 {
            body.push(0);
        }
        let stamp_in_body = body.len();
        body.resize(body.len() + payload.max(STAMP_BYTES), b'x');
        let bytes = packet(PUBLISH | qos << 1, &body);
        let head = bytes.len() - body.len();
        Self {
            id_at: id_in_body.map(|at| at + head),
            stamp_at: stamp_in_body + head,
            bytes,
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    pub fn append(&self, id: u16, stamp: Stamp, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if let Some(at) = self.id_at {
            out[start + at..start + at + 2].copy_from_slice(&id.to_be_bytes());
        }
        let at = start + self.stamp_at;
        out[at..at + STAMP_BYTES].copy_from_slice(&stamp.to_bytes());
    }
}

/// Takes the first whole frame off `input`: its first byte and its body.
pub fn next_frame<'a>(input: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&first, mut rest) = input.split_first()?;
    let length = varint(&mut rest)?;
    let (body, rest) = rest.split_at_checked(length)?;
    *input = rest;
    Some((first, body))
}

fn varint(input: &mut &[u8]) -> Option<usize> {
    let mut value = 0;
    for shift in [0, 7, 14, 21] {
        let (&digit, rest) = input.split_first()?;
        *input = rest;
        value |= usize::from(digit & 0x7f) << shift;
        if digit < 0x80 {
            break;
        }
    }
    Some(value)
}

/// The packet identifier that an acknowledgement's body starts with.
pub fn ack_id(body: &[u8]) -> Option<u16> {
    body.first_chunk::<2>().map(|id| u16::from_be_bytes(*id))
}

/// The packet identifier (0 with QoS 0) and the stamp of a received PUBLISH.
pub fn read_publish(version: Version, first: u8, body: &[u8]) -> Option<(u16, Stamp)> {
    let topic = usize::from(ack_id(body)?);
    let mut rest = body.get(2 + topic..)?;
    let mut id = 0;
    if first & 0x06 != 0 {
        id = ack_id(rest)?;
        rest = &rest[2..];
    }
    if version == Version::V5 {
        let properties = varint(&mut rest)?;
        rest = rest.get(properties..)?;
    }
    Some((id, Stamp::read(rest)?))
}
