//! A client of a few bytes: enough of MQTT 3.1.1 and 5 to see that a broker is well.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;
use super::mqtt::{self, Connect, Publish, Version, Will as WillOf};

/// A connection, and the version that it speaks.
pub struct Client {
    stream: TcpStream,
    version: Version,
}

/// The topic and payload of a will.
pub type Will<'a> = (&'a str, &'a str);

impl Client {
    /// Connects from an address of the loopback net, and waits for CONNACK.
    pub fn connect(to: SocketAddr, level: u8, id: &str, clean: bool, will: Option<Will>) -> Client {
        Client::connect_from(Ipv4Addr::LOCALHOST, to, level, id, clean, will)
    }

    /// The same from a given address: each has client ports of its own.
    pub fn connect_from(
        from: Ipv4Addr,
        to: SocketAddr,
        level: u8,
        id: &str,
        clean: bool,
        will: Option<Will>,
    ) -> Client {
        let mut client = Client {
            stream: open(from, to),
            version: Version::of_level(level),
        };
        let connect = Connect {
            version: client.version,
            id,
            resumes: !clean,
            keep_alive: 60,
            will: will.map(|(topic, payload)| WillOf {
                topic,
                payload,
                qos: 0,
                delay_s: None,
            }),
            // MQTT 5: a minute where the session is to stay.
            expiry_s: (!clean).then_some(60),
            ..Connect::default()
        };
        client.send(&connect.packet());
        let connack = client.packet().expect("CONNACK");
        assert_eq!(
            (connack[0], connack[3]),
            (0x20, 0),
            "{id} is accepted: {connack:02x?}"
        );
        client
    }

    fn send(&mut self, packet: &[u8]) {
        self.stream.write_all(packet).unwrap();
    }

    fn message<'a>(&self, topic: &'a str, payload: &'a [u8]) -> Publish<'a> {
        Publish {
            version: self.version,
            topic,
            payload,
            ..Publish::default()
        }
    }

    /// Publishes a message so many times with QoS 0, all in one write.
    pub fn publish_burst(&mut self, topic: &str, payload: &[u8], messages: u32) {
        let packet = self.message(topic, payload).packet();
        self.send(&packet.repeat(messages as usize));
    }

    /// Subscribes with QoS 1 and waits for SUBACK.
    pub fn subscribe(&mut self, filter: &str) {
        self.send(&mqtt::subscribe(self.version, 1, &[filter], 1));
        let suback = self.packet().expect("SUBACK");
        assert_eq!(
            (suback[0], suback.last()),
            (0x90, Some(&1)),
            "{filter} is granted"
        );
    }

    /// Unsubscribes and waits for UNSUBACK.
    pub fn unsubscribe(&mut self, filter: &str) {
        self.send(&mqtt::unsubscribe(self.version, 2, &[filter]));
        assert_eq!(self.packet().expect("UNSUBACK")[0], 0xb0);
    }

    /// Publishes with QoS 1, without waiting.
    pub fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let message = Publish {
            qos: 1,
            id: 3,
            retain,
            ..self.message(topic, payload)
        };
        self.send(&message.packet());
    }

    /// Publishes with QoS 0.
    pub fn publish_once(&mut self, topic: &str, payload: &[u8]) {
        self.send(&self.message(topic, payload).packet());
    }

    /// Acknowledges a PUBLISH of QoS 1 that arrived.
    pub fn acknowledge(&mut self, publish: &[u8]) {
        self.send(&mqtt::ack(mqtt::PUBACK, mqtt::id_of(publish)));
    }

    /// PINGREQ, and waits for PINGRESP.
    pub fn ping(&mut self) {
        self.send(&mqtt::PING);
        assert_eq!(self.packet(), Some(mqtt::PONG.to_vec()), "PINGRESP");
    }

    /// DISCONNECT, then waits for the broker to close.
    pub fn disconnect(mut self) {
        self.send(&mqtt::GOODBYE);
        while self.packet().is_some() {}
    }

    /// The next packet; `None` when the broker has closed.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        mqtt::read_packet(&mut self.stream).expect("a whole packet in time")
    }
}

fn open(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}
