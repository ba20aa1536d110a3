//! A client of MQTT 5 that says what became of each of its publishes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Who connects.
#[derive(Clone, Debug)]
pub struct Who {
    pub id: String,
    pub user: Option<String>,
    pub password: Option<String>,
}

impl Who {
    pub fn new(id: &str, user: Option<&str>) -> Who {
        Who {
            id: id.into(),
            user: user.map(String::from),
            password: None,
        }
    }
}

pub struct Wire(TcpStream);

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend_from_slice(&(text.len() as u16).to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = body.len();
    loop {
        let low = (rest % 128) as u8;
        rest /= 128;
        bytes.push(if rest > 0 { low | 0x80 } else { low });
        if rest == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// A CONNECT of this protocol level.
pub fn connect(level: u8, who: &Who) -> Vec<u8> {
    let flags = 2 | (u8::from(who.user.is_some()) << 7) | (u8::from(who.password.is_some()) << 6);
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 60];
    if level == 3 {
        body = vec![0, 6, b'M', b'Q', b'I', b's', b'd', b'p', 3, flags, 0, 60];
    }
    if level == 5 {
        body.push(0);
    }
    string(&mut body, &who.id);
    for text in [&who.user, &who.password].into_iter().flatten() {
        string(&mut body, text);
    }
    packet(0x10, &body)
}

impl Wire {
    pub fn open(to: SocketAddr) -> Wire {
        let stream = TcpStream::connect(to).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Wire(stream)
    }

    /// Connects, and returns the code of CONNACK.
    pub fn connect(to: SocketAddr, level: u8, who: &Who) -> (Wire, u8) {
        let mut wire = Wire::open(to);
        wire.send(&connect(level, who));
        let connack = wire.packet();
        assert_eq!(connack[0], 0x20, "{connack:02x?}");
        (wire, connack[3])
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    fn exactly(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.0.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next packet: its first byte, its length in one byte, its body.
    pub fn packet(&mut self) -> Vec<u8> {
        let mut bytes = self.exactly(2);
        assert!(bytes[1] < 128, "short packets only");
        bytes.append(&mut self.exactly(bytes[1].into()));
        bytes
    }

    /// Whether the broker has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        match self.0.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// Subscribes with QoS 0; returns the code of SUBACK.
    pub fn subscribe(&mut self, filter: &str) -> u8 {
        let mut body = vec![0, 1, 0];
        string(&mut body, filter);
        body.push(0);
        self.send(&packet(0x82, &body));
        *self.packet().last().unwrap()
    }

    /// Publishes with QoS 1 to each of these topics, and returns whether it was allowed to. What it is sent itself
    /// meanwhile is collected in `sent`.
    pub fn publish(&mut self, topics: &[String], sent: &mut Vec<String>) -> Vec<bool> {
        let mut bytes = Vec::new();
        for (index, topic) in topics.iter().enumerate() {
            let mut body = Vec::new();
            string(&mut body, topic);
            body.extend_from_slice(&(index as u16 + 1).to_be_bytes());
            body.extend_from_slice(b"\0x");
            bytes.extend_from_slice(&packet(0x32, &body));
        }
        self.send(&bytes);
        let mut allowed = Vec::new();
        while allowed.len() < topics.len() {
            let packet = self.packet();
            match packet[0] {
                0x40 => allowed.push(packet.get(4) != Some(&0x87)),
                0x30 => sent.push(topic_of(&packet)),
                first => panic!("unexpected {first:02x}"),
            }
        }
        allowed
    }

    /// What it is sent until it is sent this topic.
    pub fn topics_until(&mut self, last: &str) -> Vec<String> {
        let mut topics = Vec::new();
        loop {
            let topic = topic_of(&self.packet());
            if topic == last {
                return topics;
            }
            topics.push(topic);
        }
    }
}

fn topic_of(publish: &[u8]) -> String {
    assert_eq!(publish[0] & 0xf0, 0x30, "{publish:02x?}");
    let length = usize::from(u16::from_be_bytes([publish[2], publish[3]]));
    String::from_utf8(publish[4..4 + length].to_vec()).unwrap()
}
