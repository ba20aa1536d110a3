//! What holds for transports whatever the bytes; shared by the fuzz targets and by `tests/transport_random.rs`.
#![allow(dead_code, reason = "each user needs a part of it")]

use std::sync::Arc;

use firehose::limits;
use firehose::transport::proxy::{Header, Rules};
use firehose::transport::websocket::{Options, Progress, WebSocket};

const REQUEST: &[u8] =
    b"GET /mqtt HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

/// Bytes held of a control frame that is not whole: 125, and what a vector grows by.
const CONTROL_BYTES_HELD_MAX: usize = 256;

/// What came of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    out: Vec<u8>,
    payload: Vec<u8>,
    /// A goodbye, or an error's text.
    end: Option<Option<String>>,
}

/// Feeds pieces of this size; holds no more than `held_max` meanwhile.
fn feed(socket: &mut WebSocket, bytes: &[u8], size: usize, held_max: usize) -> Seen {
    let mut seen = Seen::default();
    for piece in bytes.chunks(size) {
        let Seen { out, payload, end } = &mut seen;
        let mut piece = piece.to_vec();
        let result = socket.receive(&mut piece, out, &mut |part| payload.extend_from_slice(part));
        match result {
            Ok(Progress::Open) => {}
            Ok(Progress::Closed) => *end = Some(None),
            Err(failure) => *end = Some(Some(failure.to_string())),
        }
        assert!(socket.held_bytes() <= held_max);
        if end.is_some() {
            break;
        }
    }
    seen
}

/// The first byte is the size of pieces.
fn split(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, bytes) = bytes.split_first()?;
    Some((usize::from(*size).max(1), bytes))
}

/// Frames of a client: whole and in pieces, the same comes out.
pub fn frames(bytes: &[u8]) {
    let Some((size, bytes)) = split(bytes) else {
        return;
    };
    let [whole, pieces] = [usize::MAX, size].map(|size| {
        let mut socket = WebSocket::new(&Arc::new(Options::default()));
        let head = feed(&mut socket, REQUEST, usize::MAX, usize::MAX);
        assert!(head.end.is_none() && socket.is_open());
        feed(&mut socket, bytes, size, CONTROL_BYTES_HELD_MAX)
    });
    assert_eq!(whole, pieces);
    assert!(whole.payload.len() <= bytes.len() && whole.out.len() <= bytes.len() + 4);
}

/// A request to upgrade, and frames behind it: whole and in pieces, the same comes out.
pub fn upgrade(bytes: &[u8]) {
    let Some((size, bytes)) = split(bytes) else {
        return;
    };
    let [whole, pieces] = [usize::MAX, size].map(|size| {
        let mut socket = WebSocket::new(&Arc::new(Options::default()));
        feed(
            &mut socket,
            bytes,
            size,
            2 * limits::WEBSOCKET_HEADERS_BYTES,
        )
    });
    assert_eq!(whole, pieces);
}

/// A PROXY header: whole and in pieces, it tells the same, and the rest is the same. Whom the strictest rules let in
/// others let in too, and a name is a verified client's.
pub fn proxy(bytes: &[u8]) {
    let Some((size, bytes)) = split(bytes) else {
        return;
    };
    let [whole, pieces] = [usize::MAX, size].map(|size| {
        let mut header = Header::new();
        let mut before = 0;
        for piece in bytes.chunks(size) {
            match header.receive(piece) {
                Ok(None) => before += piece.len(),
                Ok(Some((used, told))) => {
                    assert!(used <= piece.len());
                    let end = before + used;
                    assert!(end <= limits::PROXY_HEADER_BYTES_MAX);
                    return Ok(Some((end, told)));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    });
    assert_eq!(whole, pieces);
    let Ok(Some((_, told))) = whole else {
        return;
    };
    let strict = Rules {
        needs_tls: true,
        needs_certificate: true,
        is_named: true,
    };
    assert!(Rules::default().admit(&told).is_ok());
    if strict.admit(&told).is_ok() && !told.is_local {
        assert!(
            told.tls
                .as_ref()
                .is_some_and(|tls| tls.is_used && tls.has_certificate)
        );
    }
    let named = Rules {
        is_named: true,
        ..Rules::default()
    };
    if let Ok(Some(_)) = named.admit(&told) {
        assert!(strict.admit(&told).is_ok());
    }
}
