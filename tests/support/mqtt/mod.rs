//! MQTT packets for all tests and the stand-in broker of the benchmarks: one codec, which shares nothing with the broker's, so
//! that the broker's is not judged by itself.
//!
//! It writes what is asked of it, sense or not: `packet` puts any first byte in front of any body, and each builder has a
//! field for what a test may want to be wrong. Reading is strict (`decode`), or as far as a test looks (`Fields`).

#![allow(dead_code, reason = "each test uses its part")]

mod decode;
mod properties;

use std::io::{self, ErrorKind, Read};

#[allow(unused_imports, reason = "each test uses its part")]
pub use decode::{Packet, Value, decode, show};
#[allow(unused_imports, reason = "each test uses its part")]
pub use properties::{Form, PROPERTIES, property_named};

/// The version of the protocol that a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Version {
    V31,
    #[default]
    V311,
    V5,
}

impl Version {
    /// As in a script.
    pub fn parse(text: &str) -> Option<Version> {
        Some(match text {
            "3.1" => Version::V31,
            "3.1.1" => Version::V311,
            "5" => Version::V5,
            _ => return None,
        })
    }

    /// By the protocol level in CONNECT.
    pub fn of_level(level: u8) -> Version {
        match level {
            3 => Version::V31,
            4 => Version::V311,
            5 => Version::V5,
            _ => panic!("no version has the level {level}"),
        }
    }

    /// The protocol level in CONNECT.
    pub fn level(self) -> u8 {
        match self {
            Version::V31 => 3,
            Version::V311 => 4,
            Version::V5 => 5,
        }
    }

    /// The protocol name in CONNECT.
    pub fn protocol_name(self) -> &'static str {
        if self == Version::V31 {
            "MQIsdp"
        } else {
            "MQTT"
        }
    }
}

/// The names of the packet types; the index is the type.
pub const KINDS: [&str; 16] = [
    "?",
    "CONNECT",
    "CONNACK",
    "PUBLISH",
    "PUBACK",
    "PUBREC",
    "PUBREL",
    "PUBCOMP",
    "SUBSCRIBE",
    "SUBACK",
    "UNSUBSCRIBE",
    "UNSUBACK",
    "PINGREQ",
    "PINGRESP",
    "DISCONNECT",
    "AUTH",
];

pub const CONNECT: u8 = 1;
pub const CONNACK: u8 = 2;
pub const PUBLISH: u8 = 3;
pub const PUBACK: u8 = 4;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const PUBCOMP: u8 = 7;
pub const SUBSCRIBE: u8 = 8;
pub const SUBACK: u8 = 9;
pub const UNSUBSCRIBE: u8 = 10;
pub const UNSUBACK: u8 = 11;
pub const PINGREQ: u8 = 12;
pub const PINGRESP: u8 = 13;
pub const DISCONNECT: u8 = 14;
pub const AUTH: u8 = 15;

/// PINGREQ, PINGRESP and DISCONNECT as they mostly are.
pub const PING: [u8; 2] = [0xc0, 0];
pub const PONG: [u8; 2] = [0xd0, 0];
pub const GOODBYE: [u8; 2] = [0xe0, 0];

/// A variable byte integer (MQTT 5, 1.5.5).
pub fn put_varint(out: &mut Vec<u8>, mut n: usize) {
    loop {
        let low = (n % 128) as u8;
        n /= 128;
        out.push(if n > 0 { low | 0x80 } else { low });
        if n == 0 {
            return;
        }
    }
}

/// A string or binary data with its length in front.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// A packet with any first byte and any body.
pub fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    put_varint(&mut packet, body.len());
    packet.extend_from_slice(body);
    packet
}

/// CONNECT. The default is a client of MQTT 3.1.1 without a name, whose session ends with its connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Connect<'a> {
    pub version: Version,
    pub id: &'a str,
    /// Clean Session, or Clean Start, is 0.
    pub resumes: bool,
    /// Seconds.
    pub keep_alive: u16,
    pub user: Option<&'a str>,
    pub password: Option<&'a str>,
    pub will: Option<Will<'a>>,
    /// MQTT 5: Session Expiry Interval, in seconds.
    pub expiry_s: Option<u32>,
}

/// A will.
#[derive(Clone, Copy, Debug, Default)]
pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a str,
    pub qos: u8,
    /// MQTT 5: Will Delay Interval, in seconds.
    pub delay_s: Option<u32>,
}

impl Connect<'_> {
    pub fn packet(&self) -> Vec<u8> {
        let flags = [
            (!self.resumes, 0x02),
            (self.will.is_some(), 0x04),
            (self.password.is_some(), 0x40),
            (self.user.is_some(), 0x80),
        ];
        let flags = flags.iter().filter(|(is_set, _)| *is_set);
        let mut body = Vec::new();
        put_bytes(&mut body, self.version.protocol_name().as_bytes());
        body.push(self.version.level());
        let will_qos = self.will.map_or(0, |will| will.qos << 3);
        body.push(flags.map(|(_, bit)| bit).sum::<u8>() | will_qos);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        self.put_interval(&mut body, 0x11, self.expiry_s);
        put_bytes(&mut body, self.id.as_bytes());
        if let Some(will) = self.will {
            self.put_interval(&mut body, 0x18, will.delay_s);
            put_bytes(&mut body, will.topic.as_bytes());
            put_bytes(&mut body, will.payload.as_bytes());
        }
        for text in [self.user, self.password].into_iter().flatten() {
            put_bytes(&mut body, text.as_bytes());
        }
        packet(CONNECT << 4, &body)
    }

    /// MQTT 5: properties, of which there is one at most.
    fn put_interval(&self, body: &mut Vec<u8>, property: u8, seconds: Option<u32>) {
        match (self.version, seconds) {
            (Version::V5, Some(seconds)) => {
                body.extend_from_slice(&[5, property]);
                body.extend_from_slice(&seconds.to_be_bytes());
            }
            _ => put_no_properties(body, self.version),
        }
    }
}

/// Where MQTT 5 has properties, there are none.
fn put_no_properties(body: &mut Vec<u8>, version: Version) {
    if version == Version::V5 {
        body.push(0);
    }
}

/// PUBLISH, from a client or a server.
#[derive(Clone, Copy, Debug, Default)]
pub struct Publish<'a> {
    pub version: Version,
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    /// The packet identifier; in the packet with a QoS above 0 only.
    pub id: u16,
    pub retain: bool,
    pub dup: bool,
}

impl Publish<'_> {
    pub fn packet(&self) -> Vec<u8> {
        let mut body = Vec::new();
        put_bytes(&mut body, self.topic.as_bytes());
        if self.qos > 0 {
            body.extend_from_slice(&self.id.to_be_bytes());
        }
        put_no_properties(&mut body, self.version);
        body.extend_from_slice(self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        packet(PUBLISH << 4 | flags, &body)
    }
}

/// SUBSCRIBE for filters with one QoS.
pub fn subscribe(version: Version, id: u16, filters: &[&str], qos: u8) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    put_no_properties(&mut body, version);
    for filter in filters {
        put_bytes(&mut body, filter.as_bytes());
        body.push(qos);
    }
    packet(SUBSCRIBE << 4 | 2, &body)
}

/// UNSUBSCRIBE.
pub fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    put_no_properties(&mut body, version);
    for filter in filters {
        put_bytes(&mut body, filter.as_bytes());
    }
    packet(UNSUBSCRIBE << 4 | 2, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP that says nothing but what it is for.
pub fn ack(kind: u8, id: u16) -> Vec<u8> {
    let flags = if kind == PUBREL { 2 } else { 0 };
    packet(kind << 4 | flags, &id.to_be_bytes())
}

/// CONNACK of MQTT 3.1.1, without a session.
pub fn connack(code: u8) -> Vec<u8> {
    packet(CONNACK << 4, &[0, code])
}

/// SUBACK of MQTT 3.1.1 for one filter.
pub fn suback(id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    packet(SUBACK << 4, &[high, low, code])
}

/// A variable byte integer in front and how many bytes it has; `Ok(None)` when it is not complete.
fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, String> {
    let mut value = 0usize;
    for (i, b) in bytes.iter().enumerate().take(4) {
        value |= ((b & 0x7f) as usize) << (7 * i);
        if b & 0x80 == 0 {
            if i > 0 && *b == 0 {
                return Err("variable byte integer longer than needed [MQTT-1.5.5-1]".into());
            }
            return Ok(Some((value, i + 1)));
        }
    }
    if bytes.len() >= 4 {
        Err("variable byte integer of more than 4 bytes".into())
    } else {
        Ok(None)
    }
}

/// How long the packet in front is as a whole; `None` as long as that is not known, or it is not all there.
pub fn whole(bytes: &[u8]) -> Result<Option<usize>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let total = varint(&bytes[1..])?.map(|(len, n)| 1 + n + len);
    Ok(total.filter(|total| *total <= bytes.len()))
}

/// Takes one whole packet off the front of `inbox`.
pub fn take_frame(inbox: &mut Vec<u8>) -> Result<Option<Vec<u8>>, String> {
    let total = whole(inbox)?;
    Ok(total.map(|total| inbox.drain(..total).collect()))
}

/// The next packet of a stream; `None` when the other side has closed.
///
/// # Errors
/// Nothing comes in time, or the stream ends, or breaks, within a packet.
pub fn read_packet(stream: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut packet = vec![0];
    match stream.read_exact(&mut packet) {
        Ok(()) => {}
        Err(error) => {
            let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset];
            return if ends.contains(&error.kind()) {
                Ok(None)
            } else {
                Err(error)
            };
        }
    }
    let rest = loop {
        match varint(&packet[1..]).map_err(io::Error::other)? {
            Some((len, _)) => break len,
            None => {
                let mut byte = [0];
                stream.read_exact(&mut byte)?;
                packet.push(byte[0]);
            }
        }
    };
    let head = packet.len();
    packet.resize(head + rest, 0);
    stream.read_exact(&mut packet[head..])?;
    Ok(Some(packet))
}

/// What follows the fixed header of a whole packet, from any side: as far as a test looks.
pub struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub fn of(packet: &'a [u8]) -> Fields<'a> {
        let (len, n) = varint(&packet[1..]).unwrap().expect("a whole packet");
        assert_eq!(packet.len(), 1 + n + len, "a whole packet");
        Fields(&packet[1 + n..])
    }

    fn take(&mut self, n: usize) -> &'a [u8] {
        let (head, rest) = self.0.split_at(n);
        self.0 = rest;
        head
    }

    pub fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    /// A packet identifier, say.
    pub fn u16(&mut self) -> u16 {
        u16::from_be_bytes(self.take(2).try_into().unwrap())
    }

    /// All that is left: a payload, say.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    pub fn text(&mut self) -> String {
        let len = self.u16().into();
        String::from_utf8(self.take(len).to_vec()).unwrap()
    }
}

/// The topic of a PUBLISH.
pub fn topic_of(publish: &[u8]) -> String {
    assert_eq!(publish[0] >> 4, PUBLISH, "{publish:02x?}");
    Fields::of(publish).text()
}

/// The packet identifier of a PUBLISH with a QoS above 0.
pub fn id_of(publish: &[u8]) -> u16 {
    assert_ne!(publish[0] & 6, 0, "{publish:02x?}");
    let mut fields = Fields::of(publish);
    fields.text();
    fields.u16()
}
