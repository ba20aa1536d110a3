//! A client of a few bytes: enough of MQTT 3.1.1 and 5 to see that a broker is well.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::PATIENCE;

/// A connection, and the version that it speaks: 4 or 5.
pub struct Client {
    stream: TcpStream,
    level: u8,
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
            level,
        };
        let flags = (clean as u8) << 1 | (will.is_some() as u8) << 2;
        let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, flags, 0, 60];
        // MQTT 5: session expiry interval of a minute where the session is to stay.
        if level == 5 {
            body.extend_from_slice(if clean { &[0] } else { &[5, 0x11, 0, 0, 0, 60] });
        }
        string(&mut body, id);
        if let Some((topic, payload)) = will {
            body.extend_from_slice(if level == 5 { &[0] } else { &[] });
            string(&mut body, topic);
            string(&mut body, payload);
        }
        client.send(0x10, &body);
        let connack = client.packet().expect("CONNACK");
        assert_eq!(
            (connack[0], connack[3]),
            (0x20, 0),
            "{id} is accepted: {connack:02x?}"
        );
        client
    }

    fn send(&mut self, first: u8, body: &[u8]) {
        self.stream
            .write_all(&Client::packet_of(first, body))
            .unwrap();
    }

    /// Publishes a message so many times with QoS 0, all in one write.
    pub fn publish_burst(&mut self, topic: &str, payload: &[u8], messages: u32) {
        let mut body = Vec::new();
        string(&mut body, topic);
        body.extend_from_slice(self.properties());
        body.extend_from_slice(payload);
        let packets = Client::packet_of(0x30, &body).repeat(messages as usize);
        self.stream.write_all(&packets).unwrap();
    }

    fn packet_of(first: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![first];
        let mut rest = body.len();
        loop {
            let low = (rest % 128) as u8;
            rest /= 128;
            packet.push(if rest > 0 { low | 0x80 } else { low });
            if rest == 0 {
                break;
            }
        }
        packet.extend_from_slice(body);
        packet
    }

    fn properties(&self) -> &'static [u8] {
        if self.level == 5 { &[0] } else { &[] }
    }

    /// Subscribes with QoS 1 and waits for SUBACK.
    pub fn subscribe(&mut self, filter: &str) {
        let mut body = vec![0, 1];
        body.extend_from_slice(self.properties());
        string(&mut body, filter);
        body.push(1);
        self.send(0x82, &body);
        let suback = self.packet().expect("SUBACK");
        assert_eq!(
            (suback[0], suback.last()),
            (0x90, Some(&1)),
            "{filter} is granted"
        );
    }

    /// Unsubscribes and waits for UNSUBACK.
    pub fn unsubscribe(&mut self, filter: &str) {
        let mut body = vec![0, 2];
        body.extend_from_slice(self.properties());
        string(&mut body, filter);
        self.send(0xa2, &body);
        assert_eq!(self.packet().expect("UNSUBACK")[0], 0xb0);
    }

    /// Publishes with QoS 1, without waiting.
    pub fn publish(&mut self, topic: &str, payload: &[u8], retain: bool) {
        let mut body = Vec::new();
        string(&mut body, topic);
        body.extend_from_slice(&[0, 3]);
        body.extend_from_slice(self.properties());
        body.extend_from_slice(payload);
        self.send(0x32 | retain as u8, &body);
    }

    /// Publishes with QoS 0.
    pub fn publish_once(&mut self, topic: &str, payload: &[u8]) {
        let mut body = Vec::new();
        string(&mut body, topic);
        body.extend_from_slice(self.properties());
        body.extend_from_slice(payload);
        self.send(0x30, &body);
    }

    /// Acknowledges a PUBLISH of QoS 1 that arrived.
    pub fn acknowledge(&mut self, publish: &[u8]) {
        let topic = publish.iter().skip(1).position(|b| b & 0x80 == 0).unwrap() + 2;
        let len = u16::from_be_bytes([publish[topic], publish[topic + 1]]) as usize;
        let at = topic + 2 + len;
        self.send(0x40, &[publish[at], publish[at + 1]]);
    }

    /// PINGREQ, and waits for PINGRESP.
    pub fn ping(&mut self) {
        self.send(0xc0, &[]);
        assert_eq!(self.packet(), Some(vec![0xd0, 0]), "PINGRESP");
    }

    /// DISCONNECT, then waits for the broker to close.
    pub fn disconnect(mut self) {
        self.send(0xe0, &[]);
        while self.packet().is_some() {}
    }

    /// The next packet; `None` when the broker has closed.
    pub fn packet(&mut self) -> Option<Vec<u8>> {
        let mut packet = vec![0; 2];
        if !self.fill(&mut packet) {
            return None;
        }
        while packet[packet.len() - 1] & 0x80 != 0 {
            let mut more = [0];
            assert!(self.fill(&mut more), "a packet ends too early");
            packet.push(more[0]);
        }
        let len = packet[1..]
            .iter()
            .rev()
            .fold(0, |len, b| len << 7 | (b & 0x7f) as usize);
        let mut body = vec![0; len];
        assert!(self.fill(&mut body), "a packet ends too early");
        packet.extend(body);
        Some(packet)
    }

    /// Reads exactly so many bytes; `false` when the broker has closed before the first.
    fn fill(&mut self, buffer: &mut [u8]) -> bool {
        match self.stream.read_exact(buffer) {
            Ok(()) => true,
            Err(e)
                if matches!(
                    e.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                false
            }
            Err(e) => panic!("nothing came: {e}"),
        }
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

fn string(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}
