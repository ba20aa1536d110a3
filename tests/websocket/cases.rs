//! The cases, as bytes and what has to come back.

use crate::support::mqtt::Publish;
use crate::wire::{Seen, close_frame, frame};

/// CONNECT of MQTT 3.1.1, clean session, no client identifier.
pub const CONNECT: &[u8] = b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0";
pub const CONNACK: &[u8] = &[0x20, 2, 0, 0];
pub const PINGREQ: &[u8] = &[0xc0, 0];
const PINGRESP: &[u8] = &[0xd0, 0];

const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;

pub struct Case {
    pub name: String,
    pub bytes: Vec<u8>,
    /// Whether everything is in order, so that it is for the client to close when it has got its answers.
    pub is_fine: bool,
    pub seen: Seen,
}

/// A PUBLISH of QoS 0.
pub fn publish(topic: &str, payload: &[u8]) -> Vec<u8> {
    let message = Publish {
        topic,
        payload,
        ..Publish::default()
    };
    message.packet()
}

/// A PUBLISH that is so long as a whole; 5 bytes at least.
fn publish_of(len: usize) -> Vec<u8> {
    let fixed = (5..10).find(|fixed| publish("a", &vec![0; len - fixed]).len() == len);
    publish("a", &vec![0; len - fixed.unwrap()])
}

fn seen(data: &[&[u8]], pongs: &[&[u8]], code: u16) -> Seen {
    Seen {
        data: data.concat(),
        pongs: pongs.iter().map(|pong| pong.to_vec()).collect(),
        close: Some(close_frame(code)),
    }
}

/// Frames between a CONNECT and a PINGREQ, which is answered; then the client closes.
fn fine(name: &str, frames: &[Vec<u8>], pongs: &[&[u8]]) -> Case {
    let (before, after) = (frame(BINARY, CONNECT), frame(BINARY, PINGREQ));
    Case {
        name: name.into(),
        bytes: [before, frames.concat(), after].concat(),
        is_fine: true,
        seen: seen(&[CONNACK, PINGRESP], pongs, 1000),
    }
}

/// Bytes behind nothing, the last of which is where the broker has to give up with this code.
fn broken(name: &str, bytes: &[Vec<u8>], pongs: &[&[u8]], code: u16) -> Case {
    Case {
        name: name.into(),
        bytes: bytes.concat(),
        is_fine: false,
        seen: seen(&[], pongs, code),
    }
}

pub fn framing() -> Vec<Case> {
    let mut cases = vec![fine("1.2.1", &[frame(BINARY, b"")], &[])];
    for (name, len) in [
        ("1.2.2", 125),
        ("1.2.3", 126),
        ("1.2.4", 127),
        ("1.2.5", 128),
        ("1.2.6", 65535),
        ("1.2.7", 65536),
    ] {
        cases.push(fine(name, &[frame(BINARY, &publish_of(len))], &[]));
    }
    // Not of Autobahn: the rules for masks and lengths (RFC 6455, 5.1 and 5.2).
    let unmasked = vec![BINARY, 2, 0xc0, 0];
    cases.push(broken("unmasked", &[unmasked], &[], 1002));
    let long = vec![BINARY, 0x80 | 126, 0, 2, 0, 0, 0, 0];
    cases.push(broken("16 bits for 2", &[long], &[], 1002));
    let longer = vec![BINARY, 0x80 | 127, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0];
    cases.push(broken("64 bits for 256", &[longer], &[], 1002));
    let first = vec![BINARY, 0x80 | 127, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    cases.push(broken("the 64th bit", &[first], &[], 1002));
    cases
}

pub fn pings() -> Vec<Case> {
    let binary = [0x00, 0xff, 0xfe, 0xfd, 0xfc, 0xfb, 0x00, 0xff];
    let many: Vec<String> = (0..10).map(|number| format!("payload-{number}")).collect();
    let many_frames: Vec<_> = many
        .iter()
        .map(|text| frame(PING, text.as_bytes()))
        .collect();
    let many: Vec<&[u8]> = many.iter().map(|text| text.as_bytes()).collect();
    let long = vec![0xfe; 125];
    vec![
        fine("2.1", &[frame(PING, b"")], &[b""]),
        fine("2.2", &[frame(PING, b"Hello, world!")], &[b"Hello, world!"]),
        fine("2.3", &[frame(PING, &binary)], &[&binary]),
        fine("2.4", &[frame(PING, &long)], &[&long]),
        broken("2.5", &[vec![PING, 0x80 | 126]], &[], 1002),
        fine("2.7", &[frame(PONG, b"")], &[]),
        fine("2.8", &[frame(PONG, b"unsolicited pong payload")], &[]),
        fine(
            "2.9",
            &[frame(PONG, b"unsolicited"), frame(PING, b"ping")],
            &[b"ping"],
        ),
        fine("2.10", &many_frames, &many),
    ]
}

pub fn reserved_bits() -> Vec<Case> {
    let cases = [
        ("3.1", BINARY | 0x10),
        ("3.2", BINARY | 0x20),
        ("3.3", BINARY | 0x30),
        ("3.4", BINARY | 0x40),
        ("3.5", BINARY | 0x50),
        ("3.6", PING | 0x60),
        ("3.7", CLOSE | 0x70),
    ];
    cases
        .map(|(name, first)| broken(name, &[vec![first]], &[], 1002))
        .into()
}

pub fn opcodes() -> Vec<Case> {
    [3, 4, 5, 6, 7, 11, 12, 13, 14, 15]
        .map(|opcode: u8| {
            let name = format!("4.{}, opcode {opcode}", 1 + opcode / 8);
            let ping = frame(PING, b"before");
            broken(&name, &[ping, vec![0x80 | opcode]], &[b"before"], 1002)
        })
        .into()
}

pub fn fragments() -> Vec<Case> {
    let text = publish("fragments", b"in several parts");
    let (first, second) = text.split_at(7);
    let (begin, end) = (frame(0x02, first), frame(0x80, second));
    let ping = frame(PING, b"ping");
    let single: Vec<Vec<u8>> = text
        .iter()
        .enumerate()
        .map(|(index, byte)| {
            let fin = if index + 1 == text.len() { 0x80 } else { 0 };
            frame(fin | if index == 0 { 2 } else { 0 }, &[*byte])
        })
        .collect();
    vec![
        broken("5.1", &[vec![PING & 0x7f]], &[], 1002),
        broken("5.2", &[vec![PONG & 0x7f]], &[], 1002),
        broken("5, close in fragments", &[vec![CLOSE & 0x7f]], &[], 1002),
        fine("5.3", &[begin.clone(), end.clone()], &[]),
        fine("5.5", &single, &[]),
        fine(
            "5.6",
            &[begin.clone(), ping.clone(), end.clone()],
            &[b"ping"],
        ),
        fine(
            "5.7, empty fragments",
            &[frame(2, b""), frame(0, &text), frame(0x80, b"")],
            &[],
        ),
        broken("5.9", &[vec![0x80]], &[], 1002),
        broken("5.12", &[vec![0x00]], &[], 1002),
        broken(
            "5.15",
            &[frame(2, b""), frame(0x80, b""), vec![0x00]],
            &[],
            1002,
        ),
        broken("5.18", &[frame(2, b""), vec![BINARY]], &[], 1002),
        broken("5.18, text", &[frame(2, b""), vec![0x81]], &[], 1002),
        fine(
            "5.19",
            &[begin, ping.clone(), frame(0, b""), ping, end],
            &[b"ping", b"ping"],
        ),
    ]
}

pub fn text() -> Vec<Case> {
    vec![
        broken("6, text", &[vec![0x81]], &[], 1003),
        broken("6, text in fragments", &[vec![0x01]], &[], 1003),
    ]
}

pub fn closing() -> Vec<Case> {
    let with = |code: u16, reason: &[u8]| frame(CLOSE, &[&code.to_be_bytes(), reason].concat());
    let mut cases = vec![
        fine("7.1.1", &[], &[]),
        broken("7.3.1", &[frame(CLOSE, b"")], &[], 1000),
        broken("7.3.2", &[frame(CLOSE, b"a")], &[], 1002),
        broken("7.3.3", &[with(1000, b"")], &[], 1000),
        broken("7.3.4", &[with(1000, b"Hello World!")], &[], 1000),
        broken("7.3.5", &[with(1000, &[b'*'; 123])], &[], 1000),
        broken("7.3.6", &[vec![CLOSE, 0x80 | 126]], &[], 1002),
        broken(
            "7.5.1",
            &[with(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80")],
            &[],
            1007,
        ),
    ];
    for code in [
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
    ] {
        let name = format!("7.7, code {code}");
        cases.push(broken(&name, &[with(code, b"")], &[], code));
    }
    for code in [
        0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535,
    ] {
        let name = format!("7.9 and 7.13, code {code}");
        cases.push(broken(&name, &[with(code, b"")], &[], 1002));
    }
    cases
}

pub fn limits() -> Vec<Case> {
    let large = publish_of(1 << 20);
    let in_parts = |size: usize| -> Vec<Vec<u8>> {
        let last = (large.len() - 1) / size;
        let parts = large.chunks(size).enumerate();
        let first = |index| if index == 0 { 2 } else { 0 };
        let fin = |index| if index == last { 0x80 } else { 0 };
        parts
            .map(|(index, part)| frame(fin(index) | first(index), part))
            .collect()
    };
    vec![
        fine("9.2.3, 1 MiB", &[frame(BINARY, &large)], &[]),
        fine("9.4.1, fragments of 64", &in_parts(64), &[]),
        fine("9.4.5, fragments of 16 KiB", &in_parts(16 << 10), &[]),
    ]
}
