//! The upgrade, and frames by the cases of RFC 6455 and of the Autobahn test suite.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, mqtt\r\nSec-WebSocket-Version: 13\r\n\r\n";

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What came of some bytes.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    out: Vec<u8>,
    payload: Vec<u8>,
    end: Option<Result<(), String>>,
}

fn socket() -> WebSocket {
    WebSocket::new(&Arc::new(Options::default()))
}

fn feed(socket: &mut WebSocket, bytes: &[u8], size: usize) -> Seen {
    let mut seen = Seen::default();
    for part in bytes.chunks(size.max(1)) {
        let Seen { out, payload, .. } = &mut seen;
        let mut part = part.to_vec();
        match socket.receive(&mut part, out, &mut |bytes| {
            payload.extend_from_slice(bytes)
        }) {
            Ok(Progress::Open) => {}
            Ok(Progress::Closed) => seen.end = Some(Ok(())),
            Err(failure) => seen.end = Some(Err(failure.to_string())),
        }
        if seen.end.is_some() {
            break;
        }
    }
    seen
}

fn upgraded() -> WebSocket {
    let mut socket = socket();
    let seen = feed(&mut socket, REQUEST.as_bytes(), 1000);
    assert!(seen.out.starts_with(b"HTTP/1.1 101 "), "{seen:?}");
    socket
}

/// A masked frame; `first` is FIN, RSV and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header::new(0, payload.len()).as_ref().to_vec();
    bytes[0] = first;
    bytes[1] |= 0x80;
    bytes.extend_from_slice(&KEY);
    let mut masked = payload.to_vec();
    mask::apply(KEY, 0, &mut masked);
    bytes.extend_from_slice(&masked);
    bytes
}

fn close_frame(code: u16) -> Vec<u8> {
    let mut bytes = vec![0x88, 2];
    bytes.extend_from_slice(&code.to_be_bytes());
    bytes
}

#[test]
fn the_sample_request_gets_the_sample_answer() {
    // RFC 6455, 1.3 has the key and the answer.
    for size in [1, 7, 10_000] {
        let mut socket = socket();
        let seen = feed(&mut socket, REQUEST.as_bytes(), size);
        let text = String::from_utf8(seen.out).unwrap();
        assert!(
            text.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
            "{text}"
        );
        assert!(text.contains("Sec-WebSocket-Protocol: mqtt\r\n"), "{text}");
        assert!(text.ends_with("\r\n\r\n") && socket.is_open());
        assert_eq!(socket.held_bytes(), 0);
    }
}

#[test]
fn frames_right_behind_the_request_are_taken() {
    let mut bytes = REQUEST.as_bytes().to_vec();
    bytes.extend(frame(0x82, b"hello"));
    for size in [1, 3, 1000] {
        assert_eq!(feed(&mut socket(), &bytes, size).payload, b"hello");
    }
}

#[test]
fn requests_that_are_refused() {
    let cases = [
        ("GET /", "POST /", "405"),
        ("HTTP/1.1\r\nHost: example.org", "HTTP/1.1\r\nX: y", "400"),
        ("HTTP/1.1", "HTTP/1.0", "505"),
        ("Upgrade: websocket", "Upgrade: h2c", "426"),
        (
            "Connection: keep-alive, Upgrade",
            "Connection: close",
            "426",
        ),
        ("Version: 13", "Version: 8", "426"),
        ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", "400"),
        ("chat, mqtt", "chat, superchat", "400"),
        ("GET /mqtt", "\0\0\0 /mqtt", "400"),
    ];
    for (from, to, status) in cases {
        let mut socket = socket();
        let seen = feed(&mut socket, REQUEST.replace(from, to).as_bytes(), 1000);
        let text = String::from_utf8_lossy(&seen.out).into_owned();
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{to}: {text}"
        );
        assert!(
            matches!(seen.end, Some(Err(_))) && !socket.is_open(),
            "{to}"
        );
    }
}

#[test]
fn a_client_without_subprotocol_is_let_in_and_told_none() {
    let request = REQUEST.replace("Sec-WebSocket-Protocol: chat, mqtt\r\n", "");
    let seen = feed(&mut socket(), request.as_bytes(), 1000);
    let text = String::from_utf8(seen.out).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 101 ") && !text.contains("Protocol:"),
        "{text}"
    );
}

#[test]
fn origins_are_held_to_the_list() {
    let options = Arc::new(Options {
        origins: vec!["https://good.example".into()],
        ..Options::default()
    });
    let cases = [
        ("Origin: https://good.example\r\n", "101"),
        ("Origin: https://bad.example\r\n", "403"),
        ("", "403"),
    ];
    for (line, status) in cases {
        let request = REQUEST.replace("Host:", &format!("{line}Host:"));
        let seen = feed(&mut WebSocket::new(&options), request.as_bytes(), 1000);
        assert!(
            seen.out
                .starts_with(format!("HTTP/1.1 {status}").as_bytes()),
            "{line}"
        );
    }
}

#[test]
fn a_request_may_be_so_long_and_no_longer() {
    let long = |bytes: usize| {
        let filler = "x".repeat(bytes - REQUEST.len() - "A: \r\n".len());
        REQUEST.replace("Host:", &format!("A: {filler}\r\nHost:"))
    };
    let max = Options::default().headers_bytes_max;
    for size in [1, 100, 100_000] {
        assert!(
            feed(&mut socket(), long(max).as_bytes(), size)
                .out
                .starts_with(b"HTTP/1.1 101")
        );
        let over = feed(&mut socket(), long(max + 1).as_bytes(), size);
        assert!(over.out.starts_with(b"HTTP/1.1 431"), "{size}");
    }
    let many = REQUEST.replace("Host:", &format!("{}Host:", "A: b\r\n".repeat(200)));
    assert!(
        feed(&mut socket(), many.as_bytes(), 100_000)
            .out
            .starts_with(b"HTTP/1.1 431")
    );
}

#[test]
fn strangers_are_told_apart() {
    for (bytes, word) in [(&[0x10u8, 0x10][..], "MQTT"), (&[0x16, 3, 1], "TLS")] {
        let seen = feed(&mut socket(), bytes, 10);
        assert!(matches!(seen.end, Some(Err(text)) if text.contains(word)));
        assert!(seen.out.is_empty());
    }
}

#[test]
fn pings_are_answered_and_pongs_are_not() {
    // RFC 6455, 5.7; Autobahn 2.
    for len in [0, 5, 125] {
        let payload = vec![0xfe; len];
        let seen = feed(&mut upgraded(), &frame(0x89, &payload), 1000);
        assert_eq!(seen.out[..2], [0x8a, len as u8]);
        assert_eq!(seen.out[2..], payload);
    }
    let seen = feed(&mut upgraded(), &frame(0x8a, b"unasked"), 3);
    assert_eq!(seen, Seen::default());
}

#[test]
fn a_flood_of_pings_costs_a_bounded_answer() {
    let flood = frame(0x89, &[1; 125]).repeat(10_000);
    let seen = feed(&mut upgraded(), &flood, flood.len());
    assert!(seen.out.len() < 5000 && seen.end.is_none());
}

#[test]
fn broken_frames_end_with_their_code() {
    // Autobahn 2.5, 3, 4, 5.
    let unmasked = [&[0x82, 5][..], b"hello"].concat();
    let mut long = frame(0x82, b"hello");
    long.splice(1..2, [0x80 | 126, 0, 5]);
    let mut huge = frame(0x82, b"hello");
    huge.splice(1..2, [0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 5]);
    let cases = [
        ("ping too long", frame(0x89, &[0; 126]), 1002),
        ("close too long", frame(0x88, &[0; 126]), 1002),
        ("reserved bit 1", frame(0xc2, b"x"), 1002),
        ("reserved bit 3", frame(0x92, b"x"), 1002),
        ("opcode 3", frame(0x83, b"x"), 1002),
        ("opcode 7", frame(0x87, b""), 1002),
        ("opcode 11", frame(0x8b, b"x"), 1002),
        ("opcode 15", frame(0x8f, b""), 1002),
        ("fragmented ping", frame(0x09, b"x"), 1002),
        ("nothing to continue", frame(0x80, b"x"), 1002),
        (
            "begins inside",
            [frame(0x02, b"x"), frame(0x82, b"y")].concat(),
            1002,
        ),
        (
            "text inside",
            [frame(0x02, b"x"), frame(0x81, b"y")].concat(),
            1002,
        ),
        (
            "continues after the end",
            [frame(0x82, b"x"), frame(0x80, b"y")].concat(),
            1002,
        ),
        ("text", frame(0x81, b"hello"), 1003),
        ("unmasked", unmasked, 1002),
        ("length too long", long, 1002),
        ("length with its first bit", huge, 1002),
    ];
    for (name, bytes, code) in cases {
        for size in [1, 1000] {
            let seen = feed(&mut upgraded(), &bytes, size);
            assert_eq!(seen.out, close_frame(code), "{name}");
            assert!(matches!(seen.end, Some(Err(_))), "{name}");
        }
    }
}

#[test]
fn close_frames_are_answered() {
    // Autobahn 7.
    let with = |code: u16, reason: &[u8]| frame(0x88, &[&code.to_be_bytes(), reason].concat());
    let mut cases = vec![
        (frame(0x88, b""), 1000, true),
        (frame(0x88, b"x"), 1002, false),
        (with(1000, b"bye"), 1000, true),
        (with(1000, &[b'a'; 123]), 1000, true),
        (with(1000, b"\xce\xba\xe1"), 1007, false),
    ];
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        cases.push((with(code, b""), code, true));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        cases.push((with(code, b""), 1002, false));
    }
    for (bytes, code, is_in_order) in cases {
        let seen = feed(&mut upgraded(), &bytes, 1000);
        assert_eq!(seen.out, close_frame(code), "{bytes:?}");
        assert_eq!(seen.end.unwrap().is_ok(), is_in_order, "{bytes:?}");
    }
}

#[test]
fn nothing_is_taken_after_the_end() {
    let mut socket = upgraded();
    let bytes = [frame(0x88, b""), frame(0x82, b"late")].concat();
    assert_eq!(feed(&mut socket, &bytes, 1000).payload, b"");
    assert_eq!(
        feed(&mut socket, &frame(0x82, b"later"), 1000),
        Seen::default()
    );
}

#[test]
fn headers_of_all_lengths() {
    assert_eq!(WebSocket::header(125).as_ref(), [0x82, 125]);
    assert_eq!(WebSocket::header(126).as_ref(), [0x82, 126, 0, 126]);
    assert_eq!(WebSocket::header(65535).as_ref(), [0x82, 126, 255, 255]);
    let long = WebSocket::header(65536);
    assert_eq!(long.as_ref(), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}

proptest! {
    #[test]
    fn payload_comes_out_whatever_the_frames_and_splits(
        messages in proptest::collection::vec(
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 1..4), 0..8),
        ping in any::<bool>(),
        size in 1usize..500,
    ) {
        let mut bytes = Vec::new();
        for fragments in &messages {
            for (index, fragment) in fragments.iter().enumerate() {
                let opcode = if index == 0 { BINARY } else { 0 };
                let fin = if index + 1 == fragments.len() { 0x80 } else { 0 };
                bytes.extend(frame(fin | opcode, fragment));
                if ping {
                    bytes.extend(frame(0x89, b"?"));
                }
            }
        }
        let seen = feed(&mut upgraded(), &bytes, size);
        prop_assert_eq!(seen.payload, messages.concat().concat());
        prop_assert_eq!(seen.end, None);
    }

    #[test]
    fn masks_apply_at_every_offset(bytes in proptest::collection::vec(any::<u8>(), 0..100), cut in 0usize..100) {
        let mut whole = bytes.clone();
        mask::apply(KEY, 0, &mut whole);
        let mut parts = bytes;
        let (front, back) = parts.split_at_mut(cut.min(whole.len()));
        mask::apply(KEY, 0, front);
        mask::apply(KEY, front.len(), back);
        prop_assert_eq!(parts, whole);
    }
}

use frames::BINARY;
