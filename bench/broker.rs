//! The brain of one shard without sockets: nanoseconds of user code per delivery, for fan-outs and pairs.
//!
//! `cargo bench --bench broker`, or `-- 'pairs, 256 B, QoS 0'` for those whose name has that in it. Repeatable instruction
//! counts: `valgrind --tool=callgrind target/release/deps/broker-*`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use firehose::broker::{Broker, Peer, Settings};
use firehose::ids::{ConnId, ShardId};
use firehose::mqtt::{
    AckKind, AckOut, ConnectOut, PacketId, PublishHead, QoS, SubscribeOptions, SubscribeOut,
    Version,
};

const VERSION: Version = Version::V311;

struct World {
    broker: Broker,
    slices: Vec<firehose::outbound::Slice>,
    out: Vec<u8>,
}

impl World {
    fn new() -> Self {
        let settings = Settings {
            max_inflight_messages: 0,
            max_queued_messages: 0,
            ..Settings::default()
        };
        let broker = Broker::new(Arc::new(settings), ShardId(0), 1, 1);
        World {
            broker,
            slices: Vec::new(),
            out: Vec::new(),
        }
    }

    fn client(&mut self, id: &str, filter: Option<(&str, QoS)>) -> ConnId {
        self.connect(id, true, filter)
    }

    fn connect(&mut self, id: &str, clean_start: bool, filter: Option<(&str, QoS)>) -> ConnId {
        let conn = self.open(id, clean_start, filter);
        self.send_all();
        conn
    }

    /// A client that says CONNECT, and SUBSCRIBE, and has not been sent anything.
    fn open(&mut self, id: &str, clean_start: bool, filter: Option<(&str, QoS)>) -> ConnId {
        let address = "127.0.0.1:40000".parse().unwrap();
        let conn = self.broker.on_accept(
            0,
            Peer {
                address,
                listener: 0,
            },
        );
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start,
            ..ConnectOut::default()
        }
        .encode(VERSION, &mut bytes);
        if let Some((filter, qos)) = filter {
            let filters = [(filter, SubscribeOptions::with_qos(qos))];
            let packet_id = PacketId::new(1).unwrap();
            SubscribeOut {
                packet_id,
                subscription_id: None,
                filters: &filters,
                user_properties: &[],
            }
            .encode(VERSION, &mut bytes);
        }
        self.broker.on_bytes(0, conn, &bytes);
        conn
    }

    /// A client says goodbye.
    fn leave(&mut self, conn: ConnId) {
        self.broker.on_bytes(0, conn, b"\xe0\x00");
        self.send_all();
        self.broker.on_closed(0, conn);
    }

    /// So many sessions whose clients are away.
    fn put_away(&mut self, sessions: usize) {
        for index in 0..sessions {
            let filter = Some(("bench/t", QoS::AtLeastOnce));
            let conn = self.connect(&format!("a{index}"), false, filter);
            self.leave(conn);
        }
    }

    /// Sends everything; returns the bytes.
    fn send_all(&mut self) -> usize {
        let mut total = 0;
        while self.broker.next_effect().is_some() {}
        while let Some(conn) = self.broker.next_dirty() {
            self.slices.clear();
            let bytes =
                self.broker
                    .gather(0, conn, firehose::limits::SEND_BYTES_MAX, &mut self.slices);
            black_box(&self.slices);
            self.broker.on_sent(0, conn, bytes);
            total += bytes;
        }
        total
    }

    /// What one connection was sent; nothing else may be pending.
    fn sent_to(&mut self, conn: ConnId) -> &[u8] {
        self.out.clear();
        self.slices.clear();
        let bytes = self
            .broker
            .gather(0, conn, firehose::limits::SEND_BYTES_MAX, &mut self.slices);
        self.broker.gathered_into(conn, &mut self.out);
        self.broker.on_sent(0, conn, bytes);
        &self.out
    }
}

fn publishes(topic: &str, payload: usize, qos: QoS, count: usize) -> Vec<u8> {
    let payload = vec![b'x'; payload];
    let mut bytes = Vec::new();
    for index in 0..count {
        let head = PublishHead {
            version: VERSION,
            dup: false,
            qos,
            retain: false,
            topic: topic.as_bytes(),
            packet_id: PacketId::new(index as u16 + 1).filter(|_| qos != QoS::AtMostOnce),
            topic_alias: None,
            message_expiry: None,
            subscription_ids: &[],
            properties: &[],
            payload_len: payload.len(),
        };
        let start = bytes.len();
        bytes.resize(start + head.head_len(), 0);
        head.write_head(&mut bytes[start..]);
        bytes.extend_from_slice(&payload);
    }
    bytes
}

/// Identifiers of the PUBLISH packets in what a subscriber was sent, as PUBACKs.
fn acks(bytes: &[u8], kind: AckKind, first: u8, out: &mut Vec<u8>) {
    let mut rest = bytes;
    while let Ok(firehose::mqtt::FrameStatus::Complete(frame)) =
        firehose::mqtt::frame(rest, u32::MAX)
    {
        if rest[0] & 0xf0 == first {
            let at = match first {
                0x30 => {
                    frame.header_len
                        + 2
                        + usize::from(u16::from_be_bytes([
                            rest[frame.header_len],
                            rest[frame.header_len + 1],
                        ]))
                }
                _ => frame.header_len,
            };
            let id = PacketId::new(u16::from_be_bytes([rest[at], rest[at + 1]])).unwrap();
            AckOut::success(kind, id).encode(VERSION, out);
        }
        rest = &rest[frame.total_len..];
    }
}

/// Whether a measurement was asked for: all are, or those with the words given in their names (`cargo bench` itself passes
/// `--bench`).
fn is_wanted(name: &str) -> bool {
    let mut words = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"));
    words.all(|word| name.contains(&word))
}

fn report(name: &str, rounds: usize, per_round: usize, mut round: impl FnMut()) {
    if !is_wanted(name) {
        return;
    }
    (0..rounds / 10 + 1).for_each(|_| round());
    let start = Instant::now();
    (0..rounds).for_each(|_| round());
    let ns = start.elapsed().as_nanos() as f64 / (rounds * per_round) as f64;
    println!("{name:<44} {ns:>8.1} ns");
}

fn fan_out(subscribers: usize, payload: usize, qos: QoS, window: usize) {
    let mut world = World::new();
    let conns: Vec<ConnId> = (0..subscribers)
        .map(|index| world.client(&format!("s{index}"), Some(("bench/t", qos))))
        .collect();
    let publisher = world.client("p", None);
    let bytes = publishes("bench/t", payload, qos, window);
    let mut replies = Vec::new();
    let name = format!(
        "fan-out 1 -> {subscribers}, {payload} B, QoS {}, window {window}",
        qos as u8
    );
    report(
        &name,
        200_000 / window.max(20),
        subscribers * window,
        || {
            world.broker.on_bytes(0, publisher, &bytes);
            if qos == QoS::AtLeastOnce {
                for &conn in &conns {
                    replies.clear();
                    let sent = world.sent_to(conn);
                    acks(sent, AckKind::Puback, 0x30, &mut replies);
                    world.broker.on_bytes(0, conn, &replies);
                }
            }
            black_box(world.send_all());
        },
    );
}

fn pairs(payload: usize, qos: QoS, window: usize) {
    const PAIRS: usize = 50;
    let mut world = World::new();
    let conns: Vec<(ConnId, ConnId, Vec<u8>)> = (0..PAIRS)
        .map(|index| {
            let topic = format!("bench/{index}");
            let subscriber = world.client(&format!("s{index}"), Some((&topic, qos)));
            let publisher = world.client(&format!("p{index}"), None);
            (
                publisher,
                subscriber,
                publishes(&topic, payload, qos, window),
            )
        })
        .collect();
    let mut replies = Vec::new();
    report(
        &format!(
            "{PAIRS} pairs, {payload} B, QoS {}, window {window}",
            qos as u8
        ),
        2000,
        PAIRS * window,
        || {
            for (publisher, _, bytes) in &conns {
                world.broker.on_bytes(0, *publisher, bytes);
            }
            for (publisher, subscriber, _) in &conns {
                if qos == QoS::AtMostOnce {
                    continue;
                }
                let (first, second) = match qos {
                    QoS::ExactlyOnce => (AckKind::Pubrec, AckKind::Pubcomp),
                    _ => (AckKind::Puback, AckKind::Puback),
                };
                replies.clear();
                acks(world.sent_to(*subscriber), first, 0x30, &mut replies);
                world.broker.on_bytes(0, *subscriber, &replies);
                if qos == QoS::ExactlyOnce {
                    replies.clear();
                    acks(world.sent_to(*subscriber), second, 0x60, &mut replies);
                    world.broker.on_bytes(0, *subscriber, &replies);
                    replies.clear();
                    acks(
                        world.sent_to(*publisher),
                        AckKind::Pubrel,
                        0x50,
                        &mut replies,
                    );
                    world.broker.on_bytes(0, *publisher, &replies);
                }
            }
            black_box(world.send_all());
        },
    );
}

/// A message is put into the queues of sessions whose clients are away: what `limits::TURN_QUEUED_DELIVERIES` goes by.
fn away(sessions: usize, payload: usize) {
    let name = format!("queue 1 -> {sessions} that are away, {payload} B");
    if !is_wanted(&name) {
        return;
    }
    let mut world = World::new();
    world.put_away(sessions);
    let publisher = world.client("p", None);
    let bytes = publishes("bench/t", payload, QoS::AtLeastOnce, 1);
    report(&name, 50, sessions, || {
        world.broker.on_bytes(0, publisher, &bytes);
        black_box(world.send_all());
    });
}

/// Messages wait for sessions whose clients are away, which then come back one after the other and take them.
fn back(sessions: usize, payload: usize, count: usize) {
    let name = format!("queue {count} -> {sessions}, which come back, {payload} B");
    if !is_wanted(&name) {
        return;
    }
    let mut world = World::new();
    world.put_away(sessions);
    let publisher = world.client("p", None);
    let bytes = publishes("bench/t", payload, QoS::AtLeastOnce, count);
    let mut replies = Vec::new();
    report(&name, 25, sessions * count, || {
        world.broker.on_bytes(0, publisher, &bytes);
        for index in 0..sessions {
            let conn = world.open(&format!("a{index}"), false, None);
            loop {
                replies.clear();
                let sent = world.sent_to(conn);
                acks(sent, AckKind::Puback, 0x30, &mut replies);
                if replies.is_empty() {
                    break;
                }
                world.broker.on_bytes(0, conn, &replies);
            }
            world.leave(conn);
        }
        black_box(world.send_all());
    });
}

fn main() {
    println!(
        "user time of the brain (QoS 1 and 2: with the clients' part of making acknowledgements)"
    );
    for window in [512, 64, 16, 1] {
        fan_out(1000, 64, QoS::AtMostOnce, window);
    }
    fan_out(1000, 64, QoS::AtLeastOnce, 64);
    fan_out(100, 1024, QoS::AtLeastOnce, 64);
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        pairs(256, qos, 64);
    }
    for sessions in [1000, 50_000, 100_000] {
        away(sessions, 64);
    }
    back(1000, 64, 200);
}
