//! Frames from a client (RFC 6455, 5): headers, masks, fragments, control frames.

use super::failure::Failure;
use super::failure::close_code::{INVALID, NORMAL, PROTOCOL_ERROR, UNACCEPTABLE};
use super::header::Header;
use super::mask;
use crate::limits::WEBSOCKET_FRAME_BYTES_MAX;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Payload bytes of a control frame, at most (RFC 6455, 5.5).
const CONTROL_BYTES_MAX: usize = 125;

/// Bytes of the longest header: two, a length of eight, a mask of four.
const HEADER_BYTES_MAX: usize = 14;

/// Answers that wait at the same time, from which on pings go without one: a client that sends so many without reading
/// has answers enough to read (RFC 6455, 5.5.3 asks for one to the latest only).
const PONG_BYTES_WAITING_MAX: usize = 4096;

/// Whether the peer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// A close frame has come and was answered.
    Closed,
}

/// A frame whose payload is coming.
#[derive(Clone, Copy)]
struct Frame {
    opcode: u8,
    key: [u8; 4],
    /// Bytes of the payload that have come, and that are still to come.
    done: u64,
    left: u64,
}

/// Where in the stream of frames a connection is.
pub(super) struct Frames {
    /// Frames of clients have to be masked, those of servers must not be (RFC 6455, 5.1).
    masked: bool,
    header: [u8; HEADER_BYTES_MAX],
    header_len: u8,
    frame: Option<Frame>,
    /// A message has begun and its last fragment has not come.
    in_message: bool,
    /// The payload of a control frame.
    control: Vec<u8>,
}

impl Frames {
    /// For frames that come from a client, or from a server.
    pub(super) fn new(from_client: bool) -> Frames {
        Frames {
            masked: from_client,
            header: [0; HEADER_BYTES_MAX],
            header_len: 0,
            frame: None,
            in_message: false,
            control: Vec::new(),
        }
    }

    pub(super) fn receive(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        payload: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Failure> {
        let mut rest = bytes;
        loop {
            let mut frame = match self.frame {
                Some(frame) => frame,
                None => {
                    let Some((frame, used)) = self.begin(rest, out)? else {
                        return Ok(Progress::Open);
                    };
                    rest = rest.split_at_mut(used).1;
                    frame
                }
            };
            let take = usize::try_from(frame.left)
                .unwrap_or(usize::MAX)
                .min(rest.len());
            let (part, after) = rest.split_at_mut(take);
            if self.masked {
                mask::apply(frame.key, (frame.done % 4) as usize, part);
            }
            frame.done += take as u64;
            frame.left -= take as u64;
            if frame.opcode >= CLOSE {
                self.control.extend_from_slice(part);
            } else if !part.is_empty() {
                payload(part);
            }
            rest = after;
            if frame.left > 0 {
                self.frame = Some(frame);
                return Ok(Progress::Open);
            }
            self.frame = None;
            if frame.opcode >= CLOSE {
                let control = std::mem::take(&mut self.control);
                if self.control(frame.opcode, &control, out)? == Progress::Closed {
                    return Ok(Progress::Closed);
                }
            }
        }
    }

    /// Reads a header; `None` until it is whole. Returns how many of `bytes` belonged to it.
    fn begin(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<(Frame, usize)>, Failure> {
        let before = usize::from(self.header_len);
        let take = bytes.len().min(HEADER_BYTES_MAX - before);
        self.header[before..before + take].copy_from_slice(&bytes[..take]);
        let have = before + take;
        let Some(wanted) = self.wanted(have, out)? else {
            self.header_len = have as u8;
            return Ok(None);
        };
        self.header_len = 0;
        let opcode = self.header[0] & 0x0f;
        let left = self.length();
        if left > WEBSOCKET_FRAME_BYTES_MAX {
            return Err(self.fail(out, PROTOCOL_ERROR, "a frame is too long"));
        }
        if opcode < CLOSE {
            self.in_message = self.header[0] & 0x80 == 0;
        }
        let mut key = [0; 4];
        if self.masked {
            key.copy_from_slice(&self.header[wanted - 4..wanted]);
        }
        let frame = Frame {
            opcode,
            key,
            done: 0,
            left,
        };
        Ok(Some((frame, wanted - before)))
    }

    /// The length of the header of which `have` bytes are there; `None` while it is not whole. Checks what can be seen.
    fn wanted(&self, have: usize, out: &mut Vec<u8>) -> Result<Option<usize>, Failure> {
        if have == 0 {
            return Ok(None);
        }
        let (fin, opcode) = (self.header[0] & 0x80 != 0, self.header[0] & 0x0f);
        let error = match opcode {
            _ if self.header[0] & 0x70 != 0 => Some("a reserved bit is set"),
            CONTINUATION if !self.in_message => Some("there is no message to continue"),
            TEXT if self.in_message => Some("a message begins inside another"),
            TEXT => return Err(self.fail(out, UNACCEPTABLE, "MQTT needs binary frames")),
            BINARY if self.in_message => Some("a message begins inside another"),
            CLOSE | PING | PONG if !fin => Some("a control frame is fragmented"),
            CONTINUATION | BINARY | CLOSE | PING | PONG => None,
            _ => Some("the opcode is not known"),
        };
        if let Some(error) = error {
            return Err(self.fail(out, PROTOCOL_ERROR, error));
        }
        if have < 2 {
            return Ok(None);
        }
        let short = self.header[1] & 0x7f;
        if (self.header[1] & 0x80 != 0) != self.masked {
            let text = match self.masked {
                true => "a frame is not masked",
                false => "a frame of the server is masked",
            };
            return Err(self.fail(out, PROTOCOL_ERROR, text));
        }
        if opcode >= CLOSE && usize::from(short) > CONTROL_BYTES_MAX {
            return Err(self.fail(out, PROTOCOL_ERROR, "a control frame is too long"));
        }
        let key = if self.masked { 4 } else { 0 };
        let wanted = key
            + match short {
                126 => 4,
                127 => 10,
                _ => 2,
            };
        if have < wanted {
            return Ok(None);
        }
        let is_minimal = match short {
            126 => self.length() > 125,
            127 => self.length() > 0xffff && self.header[2] & 0x80 == 0,
            _ => true,
        };
        match is_minimal {
            true => Ok(Some(wanted)),
            false => Err(self.fail(out, PROTOCOL_ERROR, "a length is not written shortest")),
        }
    }

    /// The payload's length, of a whole header.
    fn length(&self) -> u64 {
        let bytes = &self.header;
        match bytes[1] & 0x7f {
            126 => u64::from(u16::from_be_bytes([bytes[2], bytes[3]])),
            127 => u64::from_be_bytes([
                bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8], bytes[9],
            ]),
            short => u64::from(short),
        }
    }

    /// A whole control frame.
    fn control(&self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) -> Result<Progress, Failure> {
        match opcode {
            PING => {
                if out.len() < PONG_BYTES_WAITING_MAX {
                    self.answer(PONG, payload, out);
                }
                Ok(Progress::Open)
            }
            PONG => Ok(Progress::Open),
            _ => self.on_close(payload, out),
        }
    }

    /// A close frame: answered with its code (RFC 6455, 5.5.1).
    fn on_close(&self, payload: &[u8], out: &mut Vec<u8>) -> Result<Progress, Failure> {
        let code = match payload {
            [] => NORMAL,
            [_] => return Err(self.fail(out, PROTOCOL_ERROR, "a close frame has half a code")),
            [high, low, reason @ ..] => {
                if std::str::from_utf8(reason).is_err() {
                    return Err(self.fail(out, INVALID, "a close reason is not UTF-8"));
                }
                u16::from_be_bytes([*high, *low])
            }
        };
        if !is_valid_code(code) {
            return Err(self.fail(out, PROTOCOL_ERROR, "a close code is not allowed"));
        }
        self.answer(CLOSE, &code.to_be_bytes(), out);
        Ok(Progress::Closed)
    }

    /// A control frame of ours.
    fn answer(&self, opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(Header::new(opcode, payload.len()).as_ref());
        if !self.masked {
            // The load tester's: with a key that changes nothing.
            out[start + 1] |= 0x80;
            out.extend_from_slice(&[0; 4]);
        }
        out.extend_from_slice(payload);
    }

    #[cold]
    fn fail(&self, out: &mut Vec<u8>, code: u16, text: &str) -> Failure {
        self.answer(CLOSE, &code.to_be_bytes(), out);
        Failure::new(format!("WebSocket: {text}"))
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.control.capacity()
    }
}

/// Codes that may stand in a close frame (RFC 6455, 7.4).
fn is_valid_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A close frame with a code.
pub(super) fn close(code: u16, out: &mut Vec<u8>) {
    out.extend_from_slice(Header::new(CLOSE, 2).as_ref());
    out.extend_from_slice(&code.to_be_bytes());
}
