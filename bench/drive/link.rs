//! One connection to the broker: the handshake blocks, everything after it does not.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::Failure;
use super::wire::{self, Version};

/// How long the broker may take to answer a CONNECT or SUBSCRIBE.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// Room for one read. A read that fills less has emptied the socket.
pub const READ_BYTES: usize = 256 * 1024;

/// A client's socket with what is left to write and the start of a frame that has not arrived in full.
pub struct Link {
    socket: Socket,
    /// Queue bytes here, then `flush`.
    pub out: Vec<u8>,
    written: usize,
    carry: Vec<u8>,
}

impl Link {
    /// Connects a client, subscribes it to `filter` if there is one, and leaves the socket non-blocking.
    pub fn open(
        addr: SocketAddrV4,
        source: Option<Ipv4Addr>,
        version: Version,
        client_id: &str,
        filter: Option<(&str, u8)>,
    ) -> Result<Self, Failure> {
        let mut stream = dial(addr, source)?;
        stream.set_read_timeout(Some(HANDSHAKE_MAX))?;
        stream.write_all(&wire::connect(version, client_id))?;
        let (first, body) = read_frame(&mut stream)?;
        if first != wire::CONNACK || body.get(1) != Some(&0) {
            return Err(
                format!("CONNECT of {client_id} was answered by {first:#04x} {body:02x?}").into(),
            );
        }
        if let Some((filter, qos)) = filter {
            stream.write_all(&wire::subscribe(version, filter, qos))?;
            let (first, body) = read_frame(&mut stream)?;
            if first != wire::SUBACK || body.last() != Some(&qos) {
                return Err(format!(
                    "SUBSCRIBE to {filter} was answered by {first:#04x} {body:02x?}"
                )
                .into());
            }
        }
        stream.set_nonblocking(true)?;
        Ok(Self {
            socket: Socket::from(stream),
            out: Vec::new(),
            written: 0,
            carry: Vec::new(),
        })
    }

    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Writes what is queued until the socket takes no more; the rest goes with a later call.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match (&self.socket).write(&self.out[self.written..]) {
                Ok(written) => self.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(())
    }

    /// True while bytes wait for room in the socket.
    pub fn is_backed_up(&self) -> bool {
        !self.out.is_empty()
    }

    /// Throws away everything received, uncopied, and returns how many bytes that was.
    pub fn discard(&mut self, scratch: &mut Vec<u8>) -> io::Result<u64> {
        let mut total = 0;
        loop {
            // With MSG_TRUNC, TCP drops the bytes instead of copying them.
            match self
                .socket
                .recv_with_flags(scratch.spare_capacity_mut(), libc::MSG_TRUNC)
            {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    total += count as u64;
                    if count < scratch.capacity() - scratch.len() {
                        return Ok(total);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(total),
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads everything received and hands each whole frame to `each`, with the bytes to write in return.
    /// `buffer` is at least twice `READ_BYTES` long.
    pub fn frames(
        &mut self,
        buffer: &mut [u8],
        mut each: impl FnMut(u8, &[u8], &mut Vec<u8>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        loop {
            let start = self.carry.len();
            buffer[..start].copy_from_slice(&self.carry);
            let count = match (&self.socket).read(&mut buffer[start..start + READ_BYTES]) {
                Ok(0) => return Err("the broker closed a connection".into()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let mut input = &buffer[..start + count];
            while let Some((first, body)) = wire::next_frame(&mut input) {
                each(first, body, &mut self.out)?;
            }
            if input.len() > READ_BYTES {
                return Err("the broker sent a frame beyond the driver's buffer".into());
            }
            self.carry.clear();
            self.carry.extend_from_slice(input);
            if count < READ_BYTES {
                return Ok(());
            }
        }
    }
}

/// A blocking TCP connection without Nagle's delay, from `source` if one is given.
pub fn dial(addr: SocketAddrV4, source: Option<Ipv4Addr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    if let Some(source) = source {
        socket.bind(&SocketAddrV4::new(source, 0).into())?;
    }
    socket.connect(&addr.into())?;
    socket.set_tcp_nodelay(true)?;
    Ok(socket.into())
}

/// Reads one frame, blocking: its first byte and its body.
pub fn read_frame(stream: &mut TcpStream) -> io::Result<(u8, Vec<u8>)> {
    let mut frame = Vec::new();
    let mut byte = [0];
    loop {
        stream.read_exact(&mut byte)?;
        frame.push(byte[0]);
        if let Some((first, body)) = wire::next_frame(&mut frame.as_slice()) {
            return Ok((first, body.to_vec()));
        }
    }
}
