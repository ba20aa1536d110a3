//! Answers are held until what they promise is durable: each is given once, in its order, and none before.

use super::slow::packets;
use super::*;
use crate::budget::Account;
use crate::limits;
use crate::mqtt::{AckKind, AckOut, Packet, PublishHead, WillOut};

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
            Packet::Connack(connack) => (2, u16::from(connack.session_present)),
            Packet::Publish(_) => (3, 0),
            Packet::Puback(ack) => (4, ack.packet_id.get()),
            Packet::Pubrec(ack) => (5, ack.packet_id.get()),
            Packet::Pubcomp(ack) => (7, ack.packet_id.get()),
            Packet::Suback(suback) => (9, suback.packet_id.get()),
            Packet::Pingresp => (13, 0),
            Packet::Disconnect(_) => (14, 0),
            other => panic!("{other:?}"),
        });
    });
    answers
}

/// A client whose CONNECT has come, and this behind it. Its session is to outlive the connection, and its will is retained.
fn connecting(world: &mut World, id: &str, clean_start: bool, behind: &[u8]) -> ConnId {
    let conn = world.broker.on_accept(1000, peer());
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: id,
        clean_start,
        session_expiry: Some(100),
        will: Some(WillOut {
            topic: "t",
            payload: b"gone",
            ..WillOut::default()
        }),
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    bytes.extend(behind);
    world.broker.on_bytes(1000, conn, &bytes);
    conn
}

/// How connections are closed.
fn ends(world: &mut World) -> Vec<(ConnId, CloseHow)> {
    let effects = std::iter::from_fn(|| world.broker.next_effect());
    let ends = effects.filter_map(|effect| match effect {
        Effect::Close { conn, how } => Some((conn, how)),
        _ => None,
    });
    ends.collect()
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
        let clients = ["a", "b"].map(|id| world.connect(id, Version::V5));
        world.broker.hold_each_answer();
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
            world.broker.on_durable_turn(1000, durable);
            for (given, &conn) in given.iter_mut().zip(&clients) {
                given.extend(answers(&mut world, conn));
            }
            let count: usize = given.iter().map(Vec::len).sum();
            assert_eq!(count as u64, durable, "{step} {id}");
        }
        world.broker.on_durable_turn(1000, 60);
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
        let conn = world.connect("a", Version::V5);
        world.broker.hold_each_answer();
        let mut bytes = publish(QoS::AtLeastOnce, 1);
        bytes.extend(b"\xc0\x00");
        bytes.extend(publish(QoS::AtLeastOnce, 2));
        world.broker.on_bytes(1000, conn, &bytes);
        assert_eq!(answers(&mut world, conn), [(13, 0)]);
        match by_eof {
            false => world.broker.on_bytes(1000, conn, b"\xe0\x00"),
            true => world.broker.on_eof(1000, conn, CloseCause::Eof),
        }
        world.broker.on_durable_turn(1000, 1);
        assert_eq!(answers(&mut world, conn), [(4, 1)]);
        assert_eq!(closes(&mut world), 0);
        world.broker.on_durable_turn(1000, 2);
        assert_eq!(answers(&mut world, conn), [(4, 2)]);
        assert_eq!(closes(&mut world), 1);
    }
}

#[test]
fn a_disk_that_never_answers_does_not_hold_a_goodbye_for_ever() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("a", Version::V5);
    world.broker.hold_each_answer();
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
    let gone = world.connect("a", Version::V5);
    world.broker.hold_each_answer();
    world
        .broker
        .on_bytes(1000, gone, &publish(QoS::AtLeastOnce, 1));
    world.broker.on_eof(1000, gone, CloseCause::Error(104));
    world.broker.on_closed(1000, gone);
    let next = connecting(&mut world, "b", true, &publish(QoS::AtLeastOnce, 9));
    assert_eq!(next, gone);
    world.broker.on_durable_turn(1000, 1);
    assert_eq!(answers(&mut world, next), []);
    world.broker.on_durable_turn(1000, 2);
    assert_eq!(answers(&mut world, next), [(2, 0)]);
    world.broker.on_durable_turn(1000, 3);
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
    world.broker.on_durable_turn(1000, 6);
    assert_eq!(answers(&mut world, waits), []);
    world.broker.on_durable_turn(1000, 7);
    assert_eq!(answers(&mut world, waits), [(4, 1), (4, 2)]);
    world
        .broker
        .on_bytes(1000, waits, &publish(QoS::AtLeastOnce, 4));
    assert_eq!(answers(&mut world, waits), [(4, 4)]);
}

/// Neither answers nor messages: not those that waited for the session, nor those that come.
#[test]
fn nothing_passes_a_connack_that_is_held() {
    let mut world = World::new(Settings::default());
    let before = connecting(
        &mut world,
        "a",
        true,
        &subscribe_packet(&["t"], Version::V5, QoS::AtLeastOnce),
    );
    assert_eq!(answers(&mut world, before), [(2, 0), (9, 1)]);
    world.broker.on_bytes(1000, before, b"\xe0\x00");
    let publisher = world.connect("p", Version::V5);
    let message = publish(QoS::AtLeastOnce, 1);
    world.broker.on_bytes(1000, publisher, &message);
    assert_eq!(answers(&mut world, publisher), [(4, 1)]);
    while world.broker.next_dirty().is_some() {}

    world.broker.hold_answer_after(5);
    let conn = connecting(&mut world, "a", false, b"\xc0\x00");
    world.broker.on_bytes(
        1000,
        conn,
        &subscribe_packet(&["u"], Version::V5, QoS::AtMostOnce),
    );
    world.broker.on_bytes(1000, publisher, &message);
    assert_eq!(
        answers(&mut world, publisher),
        [(4, 1)],
        "others are not held"
    );
    assert_eq!(world.slowest(), [], "it is not slow");
    world.broker.on_durable_turn(1000, 4);
    while let Some(dirty) = world.broker.next_dirty() {
        assert_eq!(dirty, publisher);
    }
    assert_eq!(answers(&mut world, conn), []);
    world.broker.on_durable_turn(1000, 5);
    assert_eq!(world.broker.next_dirty(), Some(conn));
    let given = answers(&mut world, conn);
    assert_eq!(given, [(2, 1), (3, 0), (13, 0), (3, 0), (9, 1)]);
    world.broker.on_bytes(1000, publisher, &message);
    assert_eq!(
        answers(&mut world, conn),
        [(3, 0)],
        "as any other from here on"
    );
    world.broker.settle(1000);
    let mut audit = world.broker.audit();
    audit.held[Account::Backlog as usize] +=
        audit.messages.iter().map(|(_, cost)| cost).sum::<i64>();
    assert_eq!(audit.held, audit.charged);
}

/// A second connection of the client, a fault of its own, the end of the broker: DISCONNECT would be the first that it is sent
/// (MQTT-3.14.0-1).
#[test]
fn who_ends_before_its_connack_is_closed_without_a_word() {
    let ends_by: [fn(&mut World, ConnId); 3] = [
        |world, _| {
            connecting(world, "a", false, b"");
        },
        |world, conn| world.broker.on_bytes(1000, conn, b"\xf0\x00"),
        |world, _| world.broker.on_drain(1000),
    ];
    for end in ends_by {
        let mut world = World::new(Settings::default());
        let witness = world.connect("w", Version::V5);
        world.subscribe(witness, Version::V5, "t", QoS::AtMostOnce);
        world.broker.hold_answer_after(1);
        let conn = connecting(&mut world, "a", true, b"");
        end(&mut world, conn);
        assert!(ends(&mut world).contains(&(conn, CloseHow::Now)));
        world.broker.on_durable_turn(1000, 1);
        assert_eq!(answers(&mut world, conn), []);
        assert_eq!(
            answers(&mut world, witness).first(),
            Some(&(3, 0)),
            "its will"
        );
        world.broker.on_closed(1000, conn);
        // The number's next owner is not kept in.
        let next = world.broker.on_accept(1000, peer());
        assert_eq!(next, conn);
        assert!(!world.broker.clients.out.is_kept_in(next));
    }
}

/// DISCONNECT, or an end of what it sends, directly behind CONNECT: it sees CONNACK all the same, unless that takes for ever.
#[test]
fn a_goodbye_behind_connect_waits_for_connack() {
    for (by_eof, is_durable) in [(false, true), (true, true), (false, false)] {
        let mut world = World::new(Settings::default());
        world.broker.hold_answer_after(1);
        let conn = match by_eof {
            false => connecting(&mut world, "a", true, b"\xe0\x00"),
            true => connecting(&mut world, "a", true, b""),
        };
        if by_eof {
            world.broker.on_eof(1000, conn, CloseCause::Eof);
        }
        assert_eq!(ends(&mut world), []);
        if !is_durable {
            world.broker.on_timers(1000 + limits::ANSWERS_MS_MAX);
            assert_eq!(ends(&mut world), [(conn, CloseHow::Now)]);
            continue;
        }
        world.broker.on_durable_turn(1000, 1);
        assert_eq!(ends(&mut world), [(conn, CloseHow::Flush)]);
        assert_eq!(answers(&mut world, conn), [(2, 0)]);
    }
}

/// While the disk takes its time, what is kept for one who asks and asks is bounded: it ends, and others are answered.
#[test]
fn who_asks_and_asks_while_the_disk_stands_still_is_closed() {
    let mut world = World::new(Settings::default());
    let [asks, other] = ["a", "b"].map(|id| world.connect(id, Version::V5));
    world.broker.hold_answer_after(7);
    let publish = publish(QoS::AtLeastOnce, 1);
    world.broker.on_bytes(1000, asks, &publish);
    let many = release(9).repeat(1000);
    let rounds = limits::HELD_ANSWERS_OF_ONE / 1000 + 2;
    let is_closed = (0..rounds).any(|_| {
        world.broker.on_bytes(1000, asks, &many);
        ends(&mut world).contains(&(asks, CloseHow::Now))
    });
    assert!(is_closed);
    let ping = b"\xc0\x00";
    world.broker.on_bytes(1000, other, ping);
    assert_eq!(answers(&mut world, other), [(13, 0)]);
    world.broker.on_durable_turn(1000, 7);
    assert_eq!(answers(&mut world, asks), []);
}
