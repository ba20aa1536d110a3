//! WebSocket over real sockets: the broker held against RFC 6455 by cases numbered as those of the Autobahn test suite
//! (1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragments, 6 text, 7 closing, 9 limits).
//!
//! Text is refused (MQTT-6.0.0-1), and a broker is no echo: data frames carry MQTT, whose answers are looked at.

#[path = "websocket/cases.rs"]
mod cases;
#[path = "websocket/wire.rs"]
mod wire;

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;

use cases::{CONNACK, CONNECT, Case, PINGREQ};
use support::Server;
use wire::{Seen, close_frame, frame, read_frames, upgrade};

fn server() -> Server {
    Server::under_test(2, &["protocol websockets"])
}

/// Sends a case's bytes in pieces of this size and reads until the broker closes.
fn play(server: &Server, case: &Case, size: usize) -> Seen {
    let mut stream = upgrade(server.address());
    stream.set_nodelay(true).unwrap();
    for piece in case.bytes.chunks(size) {
        // The broker may close before everything is sent.
        if stream.write_all(piece).is_err() {
            break;
        }
    }
    let mut seen = Seen::default();
    if case.is_fine {
        while seen.data.len() < case.seen.data.len() {
            wire::read_frame(&mut stream, &mut seen).unwrap();
        }
        stream.write_all(&frame(0x88, &close_frame(1000))).unwrap();
    }
    read_frames(&mut stream, seen)
}

fn check(server: &Server, cases: &[Case], size: usize) {
    for case in cases {
        let seen = play(server, case, size);
        assert_eq!(seen, case.seen, "case {} in pieces of {size}", case.name);
    }
}

#[test]
fn cases_1_framing() {
    check(&server(), &cases::framing(), usize::MAX);
}

#[test]
fn cases_1_to_7_byte_by_byte() {
    let server = server();
    check(&server, &cases::pings(), 1);
    check(&server, &cases::fragments(), 1);
    check(&server, &cases::closing(), 1);
}

#[test]
fn cases_2_pings() {
    check(&server(), &cases::pings(), usize::MAX);
}

#[test]
fn cases_3_reserved_bits() {
    check(&server(), &cases::reserved_bits(), usize::MAX);
}

#[test]
fn cases_4_opcodes() {
    check(&server(), &cases::opcodes(), usize::MAX);
}

#[test]
fn cases_5_fragments() {
    check(&server(), &cases::fragments(), usize::MAX);
}

#[test]
fn cases_6_text() {
    check(&server(), &cases::text(), usize::MAX);
}

#[test]
fn cases_7_closing() {
    check(&server(), &cases::closing(), usize::MAX);
}

#[test]
fn cases_9_limits() {
    let server = server();
    check(&server, &cases::limits(), usize::MAX);
    check(&server, &cases::limits(), 997);
}

#[test]
fn a_message_comes_back_whole() {
    let server = server();
    let mut stream = upgrade(server.address());
    let payload: Vec<u8> = (0..70_000u32).map(|i| (i % 251) as u8).collect();
    let mut mqtt = [CONNECT, &[0x82, 6, 0, 1, 0, 1, b'a', 0]].concat();
    mqtt.extend(cases::publish("a", &payload));
    mqtt.extend(PINGREQ);
    stream.write_all(&frame(0x82, &mqtt)).unwrap();
    let want = [
        CONNACK,
        &[0x90, 3, 0, 1, 0],
        &cases::publish("a", &payload),
        &[0xd0, 0],
    ]
    .concat();
    let mut seen = Seen::default();
    while seen.data.len() < want.len() {
        wire::read_frame(&mut stream, &mut seen).unwrap();
    }
    // Its place among the answers is the broker's.
    let position = |part: &[u8]| {
        seen.data
            .windows(part.len())
            .position(|found| found == part)
    };
    assert_eq!(seen.data.len(), want.len());
    assert!(position(&cases::publish("a", &payload)).is_some());
    stream
        .write_all(&frame(0x88, &1000u16.to_be_bytes()))
        .unwrap();
    let end = read_frames(&mut stream, Seen::default());
    assert_eq!(end.close, Some(close_frame(1000)));
}

/// What the broker says to these bytes before it closes.
fn answer(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

#[test]
fn strangers_get_an_answer_in_http_or_none() {
    let server = server();
    let page = answer(&server, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 426 "), "{page}");
    let post = answer(&server, b"POST / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(post.starts_with("HTTP/1.1 405 "), "{post}");
    let long = [b"GET / HTTP/1.1\r\nA: ", &[b'a'; 4096][..]].concat();
    assert!(answer(&server, &long[..4096]).starts_with("HTTP/1.1 431 "));
    assert_eq!(answer(&server, CONNECT), "");
    assert_eq!(answer(&server, &[0x16, 3, 1]), "");
}
