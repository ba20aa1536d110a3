//! WebSocket (RFC 6455) as MQTT uses it (MQTT 5, chapter 6): the server's half.
//!
//! Owns the upgrade and the framing of one connection. Payload is unmasked in place and handed on as it comes, whatever
//! the frames: a packet may span several, and one may hold several. Nothing of a data frame is collected.

mod client;
mod failure;
mod frames;
mod header;
mod mask;
#[cfg(test)]
mod tests;
mod upgrade;

use std::sync::Arc;

pub use client::Client;
pub use failure::{Failure, close_code};
pub use frames::Progress;
pub use header::Header;
pub use upgrade::Options;

use frames::Frames;
use upgrade::Upgrade;

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
