//! The disk takes nothing more: what would have to be kept is refused, and nothing else.

use bytes::Bytes;

use super::slow::packets;
use super::*;
use crate::ids::ShardId;
use crate::journal::Scribe;
use crate::mqtt::Topic;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::mqtt::{Packet, PublishHead};

pub(super) fn publish(version: Version, topic: &str, qos: QoS, retain: bool) -> Vec<u8> {
    let head = PublishHead {
        version,
        dup: false,
        qos,
        retain,
        topic: topic.as_bytes(),
        packet_id: PacketId::new(7).filter(|_| qos != QoS::AtMostOnce),
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: 1,
    };
    let mut bytes = vec![0; head.head_len()];
    head.write_head(&mut bytes);
    bytes.push(b'x');
    bytes
}

fn durable(world: &mut World, id: &str) -> ConnId {
    let conn = world.broker.on_accept(1000, peer());
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: id,
        clean_start: false,
        session_expiry: Some(100),
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    world.broker.on_bytes(1000, conn, &bytes);
    conn
}

/// The turn ends, and is durable.
fn settle(world: &mut World) {
    world.broker.end_turn(1000);
    while let Some((chunk, _)) = world.broker.next_chunk() {
        world.broker.give_chunk_back(chunk);
    }
    world.broker.on_durable(1000, u64::MAX);
}

/// The reasons of acknowledgements, of CONNACK and of SUBACK.
fn reasons(world: &mut World, version: Version, conn: ConnId) -> Vec<u8> {
    let out = world.output(conn);
    let mut reasons = Vec::new();
    packets(version, &out, |packet| match packet {
        Packet::Connack(connack) => reasons.push(connack.reason.0),
        Packet::Puback(ack) | Packet::Pubrec(ack) => reasons.push(ack.reason.0),
        Packet::Suback(suback) => reasons.extend(suback.reasons().map(|reason| reason.0)),
        _ => {}
    });
    reasons
}

fn world() -> World {
    let mut world = World::new(Settings::default());
    world.broker.write_down(Scribe::new(1));
    world
}

#[test]
fn what_would_have_to_be_kept_is_refused_and_nothing_else() {
    let mut world = world();
    let kept = durable(&mut world, "kept");
    let subscribe = subscribe_packet(&["kept/#"], Version::V5, QoS::AtLeastOnce);
    world.broker.on_bytes(1000, kept, &subscribe);
    let other = world.connect("other", Version::V5);
    world.subscribe(other, Version::V5, "other/#", QoS::AtLeastOnce);
    settle(&mut world);
    let [new, old] = [("p5", Version::V5), ("p3", Version::V311)]
        .map(|(id, version)| world.connect(id, version));
    settle(&mut world);
    for conn in [kept, other, new, old] {
        world.output(conn);
    }
    world.broker.on_store(false);
    for (topic, qos, retain, reason) in [
        ("kept/a", QoS::AtLeastOnce, false, 0x97),
        ("kept/a", QoS::ExactlyOnce, false, 0x97),
        ("other/a", QoS::AtLeastOnce, true, 0x97),
        (
            "$SYS/broker/connection/b/state",
            QoS::AtLeastOnce,
            true,
            0x10,
        ),
        ("other/a", QoS::AtLeastOnce, false, 0),
        ("nobody", QoS::AtLeastOnce, false, 0x10),
    ] {
        let bytes = publish(Version::V5, topic, qos, retain);
        world.broker.on_bytes(1000, new, &bytes);
        assert_eq!(
            reasons(&mut world, Version::V5, new),
            [reason],
            "{topic} {qos:?} {retain}"
        );
    }
    let bytes = publish(Version::V5, "kept/a", QoS::AtMostOnce, false);
    world.broker.on_bytes(1000, new, &bytes);
    assert!(!world.output(kept).is_empty(), "QoS 0 goes on");
    // 3.1.1 has no word for it: no answer, and the end.
    let bytes = publish(Version::V311, "kept/a", QoS::AtLeastOnce, false);
    world.broker.on_bytes(1000, old, &bytes);
    assert_eq!(reasons(&mut world, Version::V311, old), [0u8; 0]);
    let ends = std::iter::from_fn(|| world.broker.next_effect());
    let is_end = |effect: &Effect| matches!(effect, Effect::Close { conn, .. } if *conn == old);
    assert_eq!(ends.filter(is_end).count(), 1);
    assert_eq!(world.broker.counters().unkept_refused, 4);
    world.broker.on_store(true);
    let bytes = publish(Version::V5, "kept/a", QoS::AtLeastOnce, false);
    world.broker.on_bytes(1000, new, &bytes);
    settle(&mut world);
    assert_eq!(reasons(&mut world, Version::V5, new), [0]);
}

#[test]
fn new_sessions_and_subscriptions_that_would_have_to_be_kept_are_refused() {
    let mut world = world();
    let kept = durable(&mut world, "kept");
    settle(&mut world);
    world.output(kept);
    world.broker.on_store(false);
    let subscribe = subscribe_packet(&["a"], Version::V5, QoS::AtLeastOnce);
    world.broker.on_bytes(1000, kept, &subscribe);
    assert_eq!(reasons(&mut world, Version::V5, kept), [0x97]);
    let new = durable(&mut world, "new");
    assert_eq!(reasons(&mut world, Version::V5, new), [0x97]);
    let back = durable(&mut world, "kept");
    settle(&mut world);
    assert_eq!(
        reasons(&mut world, Version::V5, back),
        [0],
        "who is known comes back"
    );
    let other = world.connect("other", Version::V5);
    world.broker.on_bytes(1000, other, &subscribe);
    let reasons = reasons(&mut world, Version::V5, other);
    assert!(!reasons.contains(&0x97), "{reasons:?}");
}

/// Bytes that a shard of several writes down of retained messages that the broker publishes, whoever owns their topics.
fn written_of(prefix: &str) -> usize {
    let mut broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 4, 7);
    broker.write_down(Scribe::new(1));
    for number in 0..20 {
        let message = Message {
            topic: Topic::new(format!("{prefix}/{number}")).unwrap(),
            payload: Bytes::from_static(b"x"),
            properties: Bytes::new(),
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at_ms: NEVER,
            origin: 0,
            author: None,
            sent: Sent::default(),
            holders: Holders::default(),
        };
        broker.on_publish(1000, message);
    }
    broker.end_turn(1000);
    let chunks = std::iter::from_fn(|| broker.next_chunk());
    chunks.map(|(chunk, _)| chunk.len()).sum()
}

#[test]
fn what_a_broker_says_of_itself_is_not_written_down() {
    assert!(written_of("plant") > 0);
    assert_eq!(written_of("$SYS/broker/load"), 0);
}
