//! Sequences of what can happen to the sessions of one shard, from bytes: well-formed packets, garbage, short sends, time,
//! connections that come and go. Shared by the fuzz target and by `tests/sessions_random.rs`.

use std::sync::Arc;

use firehose::broker::{Broker, CloseCause, CloseHow, Effect, Peer, Settings};
use firehose::ids::{ConnId, ShardId};
use firehose::mqtt::*;

/// Connections that are open at most.
const CONNS: usize = 4;
const TOPICS: [&str; 4] = ["a", "a/b", "c", "$SYS/x"];
const FILTERS: [&str; 6] = ["#", "a/+", "a/b", "c", "$share/g/#", "$share/g/a/+"];

struct World {
    broker: Broker,
    now_ms: u64,
    conns: [Option<(ConnId, Version)>; CONNS],
    /// To be closed, by how.
    closing: Vec<(ConnId, CloseHow)>,
}

/// Bytes as decisions, zeros at the end.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn next(&mut self) -> usize {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        usize::from(*first)
    }
}

/// Plays the bytes and checks that every account is empty when everybody has gone.
pub fn play(bytes: &[u8]) {
    let mut choices = Choices(bytes);
    let settings = Settings {
        max_inflight_messages: choices.next() as u16 % 4,
        max_queued_messages: choices.next() as u32 % 8,
        allow_duplicate_messages: choices.next().is_multiple_of(2),
        upgrade_outgoing_qos: choices.next().is_multiple_of(2),
        queue_qos0_messages: choices.next().is_multiple_of(2),
        ..Settings::default()
    };
    let mut world = World {
        broker: Broker::new(Arc::new(settings), ShardId(0), 1, 1),
        now_ms: 1000,
        conns: [None; CONNS],
        closing: Vec::new(),
    };
    while !choices.0.is_empty() {
        world.step(&mut choices);
    }
    world.end();
}

impl World {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let slot = choices.next() % CONNS;
        let Some((conn, version)) = self.conns[slot] else {
            return self.connect(slot, choices);
        };
        let mut bytes = Vec::new();
        match choices.next() % 8 {
            0 | 1 => publish(version, choices, &mut bytes),
            2 => subscribe(version, choices, &mut bytes),
            3 => acknowledge(version, choices, &mut bytes),
            4 => bytes.extend((0..choices.next() % 16).map(|_| choices.next() as u8)),
            5 => self.send(conn, choices.next()),
            6 => {
                self.now_ms += choices.next() as u64 * 500;
                self.broker.on_timers(self.now_ms);
            }
            _ if choices.next().is_multiple_of(2) => {
                DisconnectOut::default().encode(version, &mut bytes)
            }
            _ => self.broker.on_eof(self.now_ms, conn, CloseCause::Eof),
        }
        if !bytes.is_empty() {
            let (front, back) = bytes.split_at(choices.next() % (bytes.len() + 1));
            self.broker.on_bytes(self.now_ms, conn, front);
            self.broker.on_bytes(self.now_ms, conn, back);
        }
        self.settle();
    }

    fn connect(&mut self, slot: usize, choices: &mut Choices<'_>) {
        let version = Version::ALL[choices.next() % 3];
        let id = ["one", "two", "three"][choices.next() % 3];
        let bits = choices.next();
        let will = (bits & 1 != 0).then(|| WillOut {
            topic: "a/b",
            payload: b"gone",
            delay_s: bits as u32 >> 4,
            ..WillOut::default()
        });
        let connect = ConnectOut {
            client_id: id,
            clean_start: bits & 2 != 0,
            will,
            session_expiry: (bits & 4 != 0).then_some(choices.next() as u32),
            receive_maximum: (bits & 8 != 0).then_some(1 + choices.next() as u16 % 3),
            ..ConnectOut::default()
        };
        let mut bytes = Vec::new();
        connect.encode(version, &mut bytes);
        let peer = Peer {
            address: ([127, 0, 0, 1], 1).into(),
            listener: 0,
        };
        let conn = self.broker.on_accept(self.now_ms, peer);
        self.conns[slot] = Some((conn, version));
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        self.settle();
    }

    /// A send that takes some of what is queued.
    fn send(&mut self, conn: ConnId, part: usize) {
        let mut slices = Vec::new();
        let bytes = self.broker.gather(
            self.now_ms,
            conn,
            firehose::limits::SEND_BYTES_MAX,
            &mut slices,
        );
        if bytes > 0 {
            self.broker
                .on_sent(self.now_ms, conn, bytes * (part + 1) / 256);
        }
    }

    /// Does what the broker asks for.
    fn settle(&mut self) {
        while let Some(effect) = self.broker.next_effect() {
            if let Effect::Close { conn, how } = effect {
                self.closing.push((conn, how));
            }
        }
        for (conn, how) in std::mem::take(&mut self.closing) {
            let Some(slot) = self
                .conns
                .iter()
                .position(|open| open.is_some_and(|(open, _)| open == conn))
            else {
                continue;
            };
            if how == CloseHow::Flush {
                self.send(conn, 255);
            }
            self.conns[slot] = None;
            self.broker.on_closed(self.now_ms, conn);
        }
    }

    fn end(&mut self) {
        for slot in 0..CONNS {
            if let Some((conn, _)) = self.conns[slot] {
                self.broker.on_eof(self.now_ms, conn, CloseCause::Eof);
                self.settle();
            }
        }
        // A clean start ends a session that has no end of its own; nobody is left to take what that sends.
        for slot in 0..3 {
            let mut bytes = vec![slot as u8, 1, slot as u8, 2];
            bytes.push(0);
            self.connect(0, &mut Choices(&bytes[1..]));
            if let Some((conn, _)) = self.conns[0] {
                self.broker.on_eof(self.now_ms, conn, CloseCause::Eof);
                self.settle();
            }
        }
        self.now_ms += 1_000_000_000;
        while self
            .broker
            .next_deadline()
            .is_some_and(|at| at <= self.now_ms && at > 0)
        {
            let before = self.broker.next_deadline();
            self.broker.on_timers(self.now_ms);
            self.settle();
            if self.broker.next_deadline() == before {
                break;
            }
        }
        let counters = self.broker.counters();
        let levels = [
            counters.clients_connected,
            counters.clients_disconnected,
            counters.subscriptions,
            counters.shared_subscriptions,
            counters.stored_messages,
            counters.stored_bytes,
            counters.outbound_bytes,
        ];
        assert_eq!(levels, [0; 7]);
    }
}

fn publish(version: Version, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let (bits, id) = (choices.next(), 1 + choices.next() as u16 % 4);
    let qos = QoS::try_from(bits as u8 % 3).unwrap_or_default();
    let payload = vec![b'x'; choices.next() * (1 + (bits >> 7) * 200)];
    let head = PublishHead {
        version,
        dup: false,
        qos,
        retain: bits & 16 != 0,
        topic: TOPICS[choices.next() % TOPICS.len()].as_bytes(),
        packet_id: PacketId::new(id).filter(|_| qos != QoS::AtMostOnce),
        topic_alias: None,
        message_expiry: (bits & 32 != 0).then_some(choices.next() as u32),
        subscription_ids: &[],
        properties: &[],
        payload_len: payload.len(),
    };
    let start = out.len();
    out.resize(start + head.head_len(), 0);
    head.write_head(&mut out[start..]);
    out.extend(payload);
}

fn subscribe(version: Version, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let Some(packet_id) = PacketId::new(1) else {
        return;
    };
    let filter = FILTERS[choices.next() % FILTERS.len()];
    let bits = choices.next();
    if bits & 64 != 0 {
        UnsubscribeOut {
            packet_id,
            filters: &[filter],
            user_properties: &[],
        }
        .encode(version, out);
        return;
    }
    let options = SubscribeOptions {
        qos: QoS::try_from(bits as u8 % 3).unwrap_or_default(),
        no_local: bits & 4 != 0 && !filter.starts_with('$'),
        retain_as_published: bits & 8 != 0,
        retain_handling: (bits >> 4) as u8 % 3,
    };
    let subscription_id = (bits & 128 != 0).then_some(7);
    SubscribeOut {
        packet_id,
        subscription_id,
        filters: &[(filter, options)],
        user_properties: &[],
    }
    .encode(version, out);
}

fn acknowledge(version: Version, choices: &mut Choices<'_>, out: &mut Vec<u8>) {
    let kinds = [
        AckKind::Puback,
        AckKind::Pubrec,
        AckKind::Pubrel,
        AckKind::Pubcomp,
    ];
    let kind = kinds[choices.next() % 4];
    let id = choices.next() as u16;
    let Some(id) = PacketId::new(if id & 128 != 0 {
        0x8000 | (id & 127)
    } else {
        1 + id % 8
    }) else {
        return;
    };
    AckOut::success(kind, id).encode(version, out);
}
