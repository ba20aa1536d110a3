//! A client over any transport that does not mind how its connection ends.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use firehose::transport::{tls, websocket};
use socket2::{Domain, SockRef, Socket, Type};

use crate::support::PATIENCE;

/// What lies between socket and MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Plain,
    Tls,
    WebSocket,
    Both,
}

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Plain, Kind::Tls, Kind::WebSocket, Kind::Both];
}

/// One connection. What fails after the handshakes is not told: the other side may have ended.
pub struct Stream {
    socket: TcpStream,
    tls: Option<tls::Client>,
    websocket: Option<websocket::Client>,
    kind: Kind,
    /// MQTT bytes that have come, for [`Read`].
    plain: Vec<u8>,
}

impl Stream {
    /// Connects and has the handshakes done; `None` when the other side does not let it. With a receive buffer of so many
    /// bytes, where one is given.
    pub fn connect(kind: Kind, to: SocketAddr, receive_buffer: Option<usize>) -> Option<Stream> {
        let mut stream = Stream::begin(kind, to, receive_buffer)?;
        stream.finish()?;
        Some(stream)
    }

    /// Connects and sends what comes first, and waits for nothing of the other side.
    pub fn begin(kind: Kind, to: SocketAddr, receive_buffer: Option<usize>) -> Option<Stream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).ok()?;
        if let Some(bytes) = receive_buffer {
            socket.set_recv_buffer_size(bytes).ok()?;
        }
        socket.connect_timeout(&to.into(), PATIENCE).ok()?;
        socket.set_tcp_nodelay(true).ok()?;
        let mut stream = Stream {
            socket: socket.into(),
            tls: None,
            websocket: None,
            kind,
            plain: Vec::new(),
        };
        let mut out = Vec::new();
        if matches!(kind, Kind::Tls | Kind::Both) {
            let verify = tls::Verify::Nothing;
            let plan = tls::ClientPlan::new("localhost", verify, tls::Minimum::V12, false).ok()?;
            stream.tls = Some(tls::Client::new(&plan, &mut out).ok()?);
            stream.socket.write_all(&out).ok()?;
        }
        if kind == Kind::WebSocket {
            stream.upgrade()?;
        }
        Some(stream)
    }

    /// Has the handshakes done that were begun.
    pub fn finish(&mut self) -> Option<()> {
        self.wait(|stream| stream.tls.as_ref().is_none_or(|tls| !tls.is_handshaking()))?;
        if self.kind == Kind::Both {
            self.upgrade()?;
        }
        self.wait(|stream| {
            stream
                .websocket
                .as_ref()
                .is_none_or(|websocket| websocket.is_open())
        })
    }

    fn upgrade(&mut self) -> Option<()> {
        let mut out = Vec::new();
        self.websocket = Some(websocket::Client::new("localhost", &mut out));
        self.send_below(&out)
    }

    /// How long a read may take.
    pub fn set_read_timeout(&self, time: Duration) {
        self.socket.set_read_timeout(Some(time)).unwrap();
    }

    fn wait(&mut self, is_so: impl Fn(&Stream) -> bool) -> Option<()> {
        self.socket.set_read_timeout(Some(PATIENCE)).ok()?;
        while !is_so(self) {
            self.read(16 << 10)?;
        }
        Some(())
    }

    /// Sends a packet, as far as the socket takes it within a while.
    pub fn send(&mut self, packet: &[u8]) {
        let mut framed = Vec::new();
        match &self.websocket {
            Some(websocket) => websocket.send([1, 2, 3, 4], packet, &mut framed),
            None => framed.extend_from_slice(packet),
        }
        self.send_below(&framed);
    }

    fn send_below(&mut self, bytes: &[u8]) -> Option<()> {
        let mut out = Vec::new();
        match &mut self.tls {
            Some(tls) => tls.send(bytes, &mut out).ok()?,
            None => out.extend_from_slice(bytes),
        }
        let patience = Some(Duration::from_millis(500));
        self.socket.set_write_timeout(patience).ok()?;
        self.socket.write_all(&out).ok()
    }

    /// Reads once, at most so many bytes; `None` at the end, whatever it is.
    fn read(&mut self, max: usize) -> Option<()> {
        let read = self.read_with(max, &mut |_| {});
        read.ok().filter(|is_open| *is_open).map(drop)
    }

    /// Reads once; false at the end.
    fn read_with(&mut self, max: usize, mqtt: &mut dyn FnMut(&[u8])) -> io::Result<bool> {
        let mut bytes = vec![0; max];
        let len = self.socket.read(&mut bytes)?;
        if len == 0 {
            return Ok(false);
        }
        let broken = |_| io::Error::from(io::ErrorKind::InvalidData);
        let (mut out, mut plain) = (Vec::new(), Vec::new());
        match &mut self.tls {
            Some(tls) => {
                let received = tls.receive(&mut bytes[..len], &mut out, &mut plain);
                received.map_err(|_| broken(()))?;
            }
            None => plain.extend_from_slice(&bytes[..len]),
        }
        if !out.is_empty() {
            self.socket.write_all(&out)?;
        }
        match &mut self.websocket {
            Some(websocket) => {
                let received = websocket.receive(&mut plain, &mut Vec::new(), mqtt);
                received.map_err(|_| broken(()))?;
            }
            None => mqtt(&plain),
        }
        Ok(true)
    }

    /// Reads for a while, so many bytes at a time.
    pub fn read_for(&mut self, time: Duration, max: usize) {
        let until = Instant::now() + time;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let is_over = left.is_zero() || self.socket.set_read_timeout(Some(left)).is_err();
            if is_over || self.read(max).is_none() {
                return;
            }
        }
    }

    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub fn reset_on_close(&self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Announces the end in the terms of its transport.
    pub fn say_goodbye(&mut self) {
        let mut frame = Vec::new();
        if let Some(websocket) = &self.websocket {
            websocket.close(&mut frame);
            self.send_below(&frame);
        }
        let mut out = Vec::new();
        if let Some(tls) = &mut self.tls {
            tls.close(&mut out);
        }
        let _ = self.socket.write_all(&out);
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut plain = std::mem::take(&mut self.plain);
        let mut is_open = true;
        while plain.is_empty() && is_open {
            is_open = self.read_with(16 << 10, &mut |bytes| plain.extend_from_slice(bytes))?;
        }
        let len = plain.len().min(buffer.len());
        buffer[..len].copy_from_slice(&plain[..len]);
        plain.drain(..len);
        self.plain = plain;
        Ok(len)
    }
}
