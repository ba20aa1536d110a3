//! A client of MQTT 5 that says what became of each of its publishes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::support::mqtt::{self, Connect, Publish, Version, topic_of};

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

/// A CONNECT of this protocol level.
pub fn connect(level: u8, who: &Who) -> Vec<u8> {
    let connect = Connect {
        version: Version::of_level(level),
        id: &who.id,
        keep_alive: 60,
        user: who.user.as_deref(),
        password: who.password.as_deref(),
        ..Connect::default()
    };
    connect.packet()
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

    /// The next packet.
    pub fn packet(&mut self) -> Vec<u8> {
        mqtt::read_packet(&mut self.0).unwrap().expect("a packet")
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
        self.send(&mqtt::subscribe(Version::V5, 1, &[filter], 0));
        *self.packet().last().unwrap()
    }

    /// Publishes with QoS 1 to each of these topics, and returns whether it was allowed to. What it is sent itself
    /// meanwhile is collected in `sent`.
    pub fn publish(&mut self, topics: &[String], sent: &mut Vec<String>) -> Vec<bool> {
        let mut bytes = Vec::new();
        for (index, topic) in topics.iter().enumerate() {
            let message = Publish {
                version: Version::V5,
                topic,
                payload: b"x",
                qos: 1,
                id: index as u16 + 1,
                ..Publish::default()
            };
            bytes.extend(message.packet());
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
