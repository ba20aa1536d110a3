//! The client's half, for the load tester.

use super::frames::{BINARY, Frames};
use super::upgrade::accept_of;
use super::{Failure, Header, Progress, close_code, mask};
use crate::limits::{WEBSOCKET_HEADERS_BYTES, WEBSOCKET_HEADERS_MAX};

/// The key of every connection: nothing depends on its being secret, and a load tester has no proxy in front.
const KEY: &str = "ZmlyZWhvc2UgYmVuY2ggOg==";

/// One connection.
pub struct Client {
    /// The answer to the upgrade, until it is whole.
    head: Option<Vec<u8>>,
    frames: Frames,
}

impl Client {
    /// Begins the upgrade, with `out` to be sent. `host` is what the request names.
    pub fn new(host: &str, out: &mut Vec<u8>) -> Client {
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n"
        );
        out.extend_from_slice(request.as_bytes());
        Client {
            head: Some(Vec::new()),
            frames: Frames::new(false),
        }
    }

    /// Whether frames can be sent.
    pub fn is_open(&self) -> bool {
        self.head.is_none()
    }

    /// Takes bytes in place; payload goes to `payload`, answers to `out`.
    ///
    /// # Errors
    /// The server refuses, or breaks the rules.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        payload: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Failure> {
        let mut rest = bytes;
        if let Some(head) = &mut self.head {
            let before = head.len();
            head.extend_from_slice(rest);
            let Some(len) = answer(head)? else {
                return Ok(Progress::Open);
            };
            self.head = None;
            rest = rest.split_at_mut(len - before).1;
        }
        self.frames.receive(rest, out, payload)
    }

    /// Adds one binary frame with these bytes, masked by `key`.
    pub fn send(&self, key: [u8; 4], mqtt: &[u8], out: &mut Vec<u8>) {
        masked(BINARY, key, mqtt, out);
    }

    /// Says goodbye.
    pub fn close(&self, out: &mut Vec<u8>) {
        if self.is_open() {
            masked(8, [0; 4], &close_code::NORMAL.to_be_bytes(), out);
        }
    }
}

fn masked(opcode: u8, key: [u8; 4], payload: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(Header::new(opcode, payload.len()).as_ref());
    out[start + 1] |= 0x80;
    out.extend_from_slice(&key);
    let start = out.len();
    out.extend_from_slice(payload);
    mask::apply(key, 0, &mut out[start..]);
}

/// Checks the answer to the upgrade; its length, once it is whole.
fn answer(head: &[u8]) -> Result<Option<usize>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; WEBSOCKET_HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let len = match response.parse(head) {
        Ok(httparse::Status::Complete(len)) => len,
        Ok(httparse::Status::Partial) if head.len() <= WEBSOCKET_HEADERS_BYTES => return Ok(None),
        _ => return Err(Failure::new("WebSocket: the answer is not HTTP")),
    };
    if response.code != Some(101) {
        let code = response.code.unwrap_or_default();
        let reason = response.reason.unwrap_or_default();
        return Err(Failure::new(format!(
            "WebSocket: the upgrade is refused: {code} {reason}"
        )));
    }
    let accept = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("sec-websocket-accept"));
    match accept.is_some_and(|header| header.value == accept_of(KEY).as_bytes()) {
        true => Ok(Some(len)),
        false => Err(Failure::new("WebSocket: the answer is to another key")),
    }
}
