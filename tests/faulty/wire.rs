//! As much of MQTT 3.1.1's packets as the faulty broker needs, written for itself: a mistake in the codec under test
//! cannot hide here.

use std::io::{self, Read};

pub const CONNECT: u8 = 1;
pub const PUBLISH: u8 = 3;
pub const PUBREC: u8 = 5;
pub const PUBREL: u8 = 6;
pub const SUBSCRIBE: u8 = 8;
pub const PINGREQ: u8 = 12;

/// A packet: its first byte and what follows the remaining length.
#[derive(Clone, Debug)]
pub struct Packet {
    pub first: u8,
    pub body: Vec<u8>,
}

impl Packet {
    /// Reads one; an error at the end of the stream.
    pub fn read(from: &mut impl Read) -> io::Result<Packet> {
        let byte = |from: &mut dyn Read| {
            let mut byte = [0];
            from.read_exact(&mut byte).map(|()| byte[0])
        };
        let first = byte(from)?;
        let (mut len, mut shift) = (0, 0);
        loop {
            let part = byte(from)?;
            len |= usize::from(part & 127) << shift;
            shift += 7;
            if part < 128 {
                break;
            }
        }
        let mut body = vec![0; len];
        from.read_exact(&mut body)?;
        Ok(Packet { first, body })
    }

    pub fn kind(&self) -> u8 {
        self.first >> 4
    }

    /// The packet identifier of those that begin with one.
    pub fn id(&self) -> u16 {
        u16::from_be_bytes([self.body[0], self.body[1]])
    }

    /// SUBSCRIBE: its first filter, and the QoS that is asked for.
    pub fn filter(&self) -> (String, u8) {
        let (filter, rest) = text(&self.body[2..]);
        (filter, rest[0])
    }

    /// PUBLISH: what is in it.
    pub fn message(&self) -> Message {
        let qos = self.first >> 1 & 3;
        let (topic, rest) = text(&self.body);
        let (id, payload) = match qos {
            0 => (0, rest),
            _ => (u16::from_be_bytes([rest[0], rest[1]]), &rest[2..]),
        };
        Message {
            topic,
            payload: payload.to_vec(),
            qos,
            id,
        }
    }
}

fn text(bytes: &[u8]) -> (String, &[u8]) {
    let len = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
    let text = String::from_utf8(bytes[2..2 + len].to_vec()).unwrap();
    (text, &bytes[2 + len..])
}

#[derive(Clone, Debug)]
pub struct Message {
    pub topic: String,
    pub payload: Vec<u8>,
    pub qos: u8,
    pub id: u16,
}

impl Message {
    /// As a PUBLISH.
    pub fn packet(&self) -> Vec<u8> {
        let mut body = (self.topic.len() as u16).to_be_bytes().to_vec();
        body.extend(self.topic.as_bytes());
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(&self.payload);
        packet(PUBLISH << 4 | self.qos << 1, &body)
    }
}

/// CONNACK with a return code.
pub fn connack(code: u8) -> Vec<u8> {
    packet(0x20, &[0, code])
}

pub fn suback(id: u16, qos: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    packet(0x90, &[high, low, qos])
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, by its first byte.
pub fn ack(first: u8, id: u16) -> Vec<u8> {
    packet(first, &id.to_be_bytes())
}

pub fn pingresp() -> Vec<u8> {
    packet(0xD0, &[])
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut len = body.len();
    loop {
        let more = if len > 127 { 128 } else { 0 };
        packet.push((len & 127) as u8 | more);
        len >>= 7;
        if len == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}
