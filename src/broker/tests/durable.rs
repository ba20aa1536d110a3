//! Answers are held until what they promise is durable: each is given once, in its order, and none before.

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::{AckKind, AckOut, Packet, PublishHead};

/// A publish of one byte.
fn publish(qos: QoS, id: u16) -> Vec<u8> {
    let head = PublishHead {
        version: Version::V5,
        dup: false,
        qos,
        retain: false,
        topic: b"t",
        packet_id: PacketId::new(id),
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

fn release(id: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    AckOut::success(AckKind::Pubrel, PacketId::new(id).unwrap()).encode(Version::V5, &mut bytes);
    bytes
}

/// What a connection has been answered, as the first byte and the identifier.
fn answers(world: &mut World, conn: ConnId) -> Vec<(u8, u16)> {
    let mut answers = Vec::new();
    let out = world.output(conn);
    packets(Version::V5, &out, |packet| {
        answers.push(match packet {
            Packet::Puback(ack) => (4, ack.packet_id.get()),
            Packet::Pubrec(ack) => (5, ack.packet_id.get()),
            Packet::Pubcomp(ack) => (7, ack.packet_id.get()),
            Packet::Suback(suback) => (9, suback.packet_id.get()),
            Packet::Pingresp => (13, 0),
            other => panic!("{other:?}"),
        });
    });
    answers
}

fn closes(world: &mut World) -> usize {
    let effects = std::iter::from_fn(|| world.broker.next_effect());
    effects
        .filter(|effect| matches!(effect, Effect::Close { .. }))
        .count()
}

/// Whatever the disk does when, the answers are those of a broker without one.
#[test]
fn answers_come_once_and_in_order_when_they_are_durable() {
    for step in 1..=7 {
        let mut world = World::new(Settings::default());
        world.broker.hold_each_answer();
        let clients = ["a", "b"].map(|id| world.connect(id, Version::V5));
        let mut expected = [Vec::new(), Vec::new()];
        let mut given = [Vec::new(), Vec::new()];
        for id in 1..=60u16 {
            let one = usize::from(id / 5 % 2);
            let (kind, bytes) = match id % 4 {
                0 => (9, subscribe_packet(&["u"], Version::V5, QoS::AtMostOnce)),
                1 => (4, publish(QoS::AtLeastOnce, id)),
                2 => (5, publish(QoS::ExactlyOnce, id)),
                _ => (7, release(id)),
            };
            let known = if kind == 9 { 1 } else { id };
            expected[one].push((kind, known));
            world.broker.on_bytes(1000, clients[one], &bytes);
            let durable = u64::from(id) / step * step;
            world.broker.on_durable(1000, durable);
            for (given, &conn) in given.iter_mut().zip(&clients) {
                given.extend(answers(&mut world, conn));
            }
            let count: usize = given.iter().map(Vec::len).sum();
            assert_eq!(count as u64, durable, "{step} {id}");
        }
        world.broker.on_durable(1000, 60);
        for (given, &conn) in given.iter_mut().zip(&clients) {
            given.extend(answers(&mut world, conn));
        }
        assert_eq!(given, expected, "{step}");
    }
}

#[test]
fn a_goodbye_waits_for_what_is_held_and_a_ping_does_not() {
    for by_eof in [false, true] {
        let mut world = World::new(Settings::default());
        world.broker.hold_each_answer();
        let conn = world.connect("a", Version::V5);
        let mut bytes = publish(QoS::AtLeastOnce, 1);
        bytes.extend(b"\xc0\x00");
        bytes.extend(publish(QoS::AtLeastOnce, 2));
        world.broker.on_bytes(1000, conn, &bytes);
        assert_eq!(answers(&mut world, conn), [(13, 0)]);
        match by_eof {
            false => world.broker.on_bytes(1000, conn, b"\xe0\x00"),
            true => world.broker.on_eof(1000, conn, CloseCause::Eof),
        }
        world.broker.on_durable(1000, 1);
        assert_eq!(answers(&mut world, conn), [(4, 1)]);
        assert_eq!(closes(&mut world), 0);
        world.broker.on_durable(1000, 2);
        assert_eq!(answers(&mut world, conn), [(4, 2)]);
        assert_eq!(closes(&mut world), 1);
    }
}

#[test]
fn a_disk_that_never_answers_does_not_hold_a_goodbye_for_ever() {
    let mut world = World::new(Settings::default());
    world.broker.hold_each_answer();
    let conn = world.connect("a", Version::V5);
    world
        .broker
        .on_bytes(1000, conn, &publish(QoS::AtLeastOnce, 1));
    world.broker.on_bytes(1000, conn, b"\xe0\x00");
    assert_eq!(closes(&mut world), 0);
    world.broker.on_timers(1000 + limits::ANSWERS_MS_MAX);
    assert_eq!(closes(&mut world), 1);
}

/// The next client has the number of the one that is gone, and is not given its answers.
#[test]
fn who_is_gone_is_answered_no_more_and_nobody_in_its_place() {
    let mut world = World::new(Settings::default());
    world.broker.hold_each_answer();
    let gone = world.connect("a", Version::V5);
    world
        .broker
        .on_bytes(1000, gone, &publish(QoS::AtLeastOnce, 1));
    world.broker.on_eof(1000, gone, CloseCause::Error(104));
    world.broker.on_closed(1000, gone);
    let next = world.connect("b", Version::V5);
    assert_eq!(next, gone);
    world
        .broker
        .on_bytes(1000, next, &publish(QoS::AtLeastOnce, 9));
    world.broker.on_durable(1000, 1);
    assert_eq!(answers(&mut world, next), []);
    world.broker.on_durable(1000, 2);
    assert_eq!(answers(&mut world, next), [(4, 9)]);
    world.broker.settle(1000);
    let audit = world.broker.audit();
    assert_eq!(audit.held, audit.charged);
}

/// What needs no record follows what does, of the same connection only.
#[test]
fn only_what_waits_is_held_and_what_is_behind_it() {
    let mut world = World::new(Settings::default());
    let [waits, other] = ["a", "b"].map(|id| world.connect(id, Version::V5));
    world.broker.hold_answer_after(7);
    world
        .broker
        .on_bytes(1000, waits, &publish(QoS::AtLeastOnce, 1));
    world
        .broker
        .on_bytes(1000, waits, &publish(QoS::AtLeastOnce, 2));
    world
        .broker
        .on_bytes(1000, other, &publish(QoS::AtLeastOnce, 3));
    assert_eq!(answers(&mut world, other), [(4, 3)]);
    world.broker.on_durable(1000, 6);
    assert_eq!(answers(&mut world, waits), []);
    world.broker.on_durable(1000, 7);
    assert_eq!(answers(&mut world, waits), [(4, 1), (4, 2)]);
    world
        .broker
        .on_bytes(1000, waits, &publish(QoS::AtLeastOnce, 4));
    assert_eq!(answers(&mut world, waits), [(4, 4)]);
}
