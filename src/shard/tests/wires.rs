//! Clients that speak to a shard through what its listener has between socket and MQTT.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use super::world::World;
use crate::transport::{self, tls, websocket};

/// What lies between socket and lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kind {
    pub tls: bool,
    pub websocket: bool,
}

impl Kind {
    /// Plain, TLS, WebSocket, both.
    pub(super) const ALL: [Kind; 4] = {
        const fn kind(tls: bool, websocket: bool) -> Kind {
            Kind { tls, websocket }
        }
        [
            kind(false, false),
            kind(true, false),
            kind(false, true),
            kind(true, true),
        ]
    };

    /// The listener's half.
    pub(super) fn plan(self) -> transport::Plan {
        self.plan_for(&["localhost".to_owned()])
    }

    /// The same with a certificate for these names.
    pub(super) fn plan_for(self, names: &[String]) -> transport::Plan {
        let server = || {
            let made = rcgen::generate_simple_self_signed(names.to_vec()).unwrap();
            let material = tls::Material {
                certificates: vec![tls::CertifiedFiles {
                    chain: made.cert.pem().into_bytes(),
                    key: made.signing_key.serialize_pem().into_bytes(),
                }],
                ..tls::Material::default()
            };
            Arc::new(tls::Server::new(&material).unwrap())
        };
        transport::Plan {
            tls: self.tls.then(server),
            websocket: self
                .websocket
                .then(|| Arc::new(websocket::Options::default())),
            ..transport::Plan::default()
        }
    }
}

/// A client that speaks as its kind does.
pub(super) struct Wire {
    pub socket: TcpStream,
    tls: Option<tls::Client>,
    websocket: Option<websocket::Client>,
    /// What has come and was not asked for yet.
    got: Vec<u8>,
}

impl Wire {
    /// Connects, and has the handshakes done.
    pub(super) fn connect(world: &World, kind: Kind) -> Wire {
        let socket = TcpStream::connect(world.address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
            .set_read_timeout(Some(super::world::PATIENCE))
            .unwrap();
        let mut wire = Wire {
            socket,
            tls: None,
            websocket: None,
            got: Vec::new(),
        };
        let mut out = Vec::new();
        if kind.tls {
            let verify = tls::Verify::Nothing;
            let plan = tls::ClientPlan::new("localhost", verify, tls::Minimum::V12, false).unwrap();
            wire.tls = Some(tls::Client::new(&plan, &mut out).unwrap());
            wire.socket.write_all(&out).unwrap();
            while wire.tls.as_ref().unwrap().is_handshaking() {
                assert!(wire.read());
            }
        }
        if kind.websocket {
            out.clear();
            wire.websocket = Some(websocket::Client::new("localhost", &mut out));
            wire.write_below(&out);
            while !wire.websocket.as_ref().unwrap().is_open() {
                assert!(wire.read());
            }
        }
        wire
    }

    /// Sends a text as one record and one frame.
    pub(super) fn say(&mut self, text: &str) {
        let mut framed = Vec::new();
        match &self.websocket {
            Some(websocket) => websocket.send([1, 2, 3, 4], text.as_bytes(), &mut framed),
            None => framed.extend_from_slice(text.as_bytes()),
        }
        self.write_below(&framed);
    }

    fn write_below(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                let mut out = Vec::new();
                tls.send(bytes, &mut out).unwrap();
                self.socket.write_all(&out).unwrap();
            }
            None => self.socket.write_all(bytes).unwrap(),
        }
    }

    /// Reads once; false at the end of the stream, in whatever way.
    pub(super) fn read(&mut self) -> bool {
        let mut bytes = vec![0; 64 << 10];
        let len = match self.socket.read(&mut bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.take(&mut bytes[..len]);
        len > 0
    }

    fn take(&mut self, bytes: &mut [u8]) {
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        match &mut self.tls {
            Some(tls) => drop(tls.receive(bytes, &mut out, &mut plain).unwrap()),
            None => plain.extend_from_slice(bytes),
        }
        match &mut self.websocket {
            Some(websocket) => {
                let (mut answer, got) = (Vec::new(), &mut self.got);
                websocket
                    .receive(&mut plain, &mut answer, &mut |payload| {
                        got.extend_from_slice(payload)
                    })
                    .unwrap();
            }
            None => self.got.extend_from_slice(&plain),
        }
        // An answer may come after the other side has closed.
        let _ = self.socket.write_all(&out);
    }

    /// Reads for a while, as fast as it comes; false at the end of the stream.
    pub(super) fn read_for(&mut self, time: Duration) -> bool {
        let mut left = time;
        while !left.is_zero() {
            let started = std::time::Instant::now();
            self.socket.set_read_timeout(Some(left)).unwrap();
            match self.socket.peek(&mut [0]) {
                Ok(0) => return false,
                Ok(_) => drop(self.read()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return false,
                Err(_) => {}
            }
            left = left.saturating_sub(started.elapsed());
        }
        let patience = Some(super::world::PATIENCE);
        self.socket.set_read_timeout(patience).unwrap();
        true
    }

    /// The next bytes of the other side.
    pub(super) fn bytes(&mut self, len: usize) -> Vec<u8> {
        while self.got.len() < len {
            assert!(self.read(), "the stream ends");
        }
        let rest = self.got.split_off(len);
        std::mem::replace(&mut self.got, rest)
    }

    /// The next line.
    pub(super) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.got.iter().position(|byte| *byte == b'\n') {
                let line = self.bytes(end + 1);
                return String::from_utf8(line).unwrap().trim_end().to_owned();
            }
            assert!(self.read(), "the stream ends");
        }
    }
}
