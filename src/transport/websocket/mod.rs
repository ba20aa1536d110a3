//! WebSocket (RFC 6455) as MQTT uses it (MQTT 5, chapter 6): the server's half.
//!
//! Owns the upgrade and the framing of one connection. Payload is unmasked in place and handed on as it comes, whatever
//! the frames: a packet may span several, and one may hold several. Nothing of a data frame is collected.

mod client;
mod frames;
mod mask;
#[cfg(test)]
mod tests;
mod upgrade;

use std::fmt;
use std::sync::Arc;

pub use client::Client;
use frames::Frames;
use upgrade::Upgrade;

/// What a listener's WebSocket connections share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The origins that pages may have (`websockets_origin`); empty for any.
    pub origins: Vec<String>,
    /// Bytes of the greatest upgrade request (`websockets_headers_size`).
    pub headers_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            origins: Vec::new(),
            headers_bytes_max: crate::limits::WEBSOCKET_HEADERS_BYTES,
        }
    }
}

/// Why a connection cannot go on: a line for the log, without a full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(String);

impl Failure {
    fn new(text: impl Into<String>) -> Failure {
        Failure(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether the peer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// A close frame has come and was answered.
    Closed,
}

/// Status codes of close frames (RFC 6455, 7.4.1) that are sent here.
pub mod close_code {
    /// The purpose is fulfilled.
    pub const NORMAL: u16 = 1000;
    /// A rule of the protocol was broken.
    pub const PROTOCOL_ERROR: u16 = 1002;
    /// Text, where MQTT needs binary data (MQTT-6.0.0-1).
    pub const UNACCEPTABLE: u16 = 1003;
    /// Text that is not UTF-8, in a close frame.
    pub const INVALID: u16 = 1007;
}

enum State {
    Upgrading(Upgrade),
    Open(Frames),
    Closed,
}

/// One connection.
pub struct WebSocket {
    state: State,
}

impl WebSocket {
    /// A connection that waits for the upgrade request.
    pub fn new(options: &Arc<Options>) -> WebSocket {
        WebSocket {
            state: State::Upgrading(Upgrade::new(options)),
        }
    }

    /// Whether the upgrade has been answered, so that frames can be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Takes bytes in place; payload goes to `payload`, answers (to the upgrade, pings and close frames) to the end of
    /// `out`.
    ///
    /// # Errors
    /// The peer breaks the rules. What is to be told it is in `out`; nothing more is taken from it.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        payload: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Failure> {
        let mut rest = bytes;
        if let State::Upgrading(upgrade) = &mut self.state {
            match upgrade.receive(rest, out) {
                Ok(None) => return Ok(Progress::Open),
                Ok(Some(used)) => rest = rest.split_at_mut(used).1,
                Err(failure) => {
                    self.state = State::Closed;
                    return Err(failure);
                }
            }
            self.state = State::Open(Frames::new(true));
        }
        let State::Open(frames) = &mut self.state else {
            return Ok(Progress::Open);
        };
        let result = frames.receive(rest, out, payload);
        if !matches!(result, Ok(Progress::Open)) {
            self.state = State::Closed;
        }
        result
    }

    /// The header of one binary frame with so many bytes.
    pub fn header(len: usize) -> Header {
        Header::new(frames::BINARY, len)
    }

    /// Says goodbye with a status code, if that can be.
    pub fn close(&mut self, code: u16, out: &mut Vec<u8>) {
        if self.is_open() {
            frames::close(code, out);
            self.state = State::Closed;
        }
    }

    /// Bytes held of requests and frames that are not whole.
    pub fn held_bytes(&self) -> usize {
        match &self.state {
            State::Upgrading(upgrade) => upgrade.held_bytes(),
            State::Open(frames) => frames.held_bytes(),
            State::Closed => 0,
        }
    }
}

/// The header of a frame from the server: unmasked (RFC 6455, 5.1), whole (FIN).
#[derive(Clone, Copy, Debug)]
pub struct Header {
    bytes: [u8; 10],
    len: u8,
}

impl Header {
    fn new(opcode: u8, payload: usize) -> Header {
        let mut bytes = [0; 10];
        bytes[0] = 0x80 | opcode;
        let len = match payload {
            0..=125 => {
                bytes[1] = payload as u8;
                2
            }
            126..=0xffff => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload as u64).to_be_bytes());
                10
            }
        };
        Header { bytes, len }
    }
}

impl AsRef<[u8]> for Header {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
