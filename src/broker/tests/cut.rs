//! A turn delivers a bounded number of messages; who published more goes on in the next.

use super::slow::{packets, publish};
use super::*;
use crate::limits;

const TURN: u64 = 1000;
const READERS: usize = 100;

/// Readers of `#`, all with QoS 0.
fn world() -> (World, Vec<ConnId>) {
    let broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 1, 7);
    let mut world = World {
        broker: broker.with_turns_of(TURN),
        now_ms: 1000,
    };
    let readers: Vec<ConnId> = (0..READERS)
        .map(|index| world.connect(&format!("r{index}"), Version::V311))
        .collect();
    for &reader in &readers {
        world.subscribe(reader, Version::V311, "#", QoS::AtMostOnce);
    }
    world.broker.settle(world.now_ms);
    (world, readers)
}

/// The next turn; how many messages it delivered.
fn turn(world: &mut World) -> u64 {
    world.now_ms += 1;
    let before = world.broker.counters().publish_sent;
    if world
        .broker
        .next_deadline()
        .is_some_and(|at| at <= world.now_ms)
    {
        world.broker.on_timers(world.now_ms);
    }
    world.broker.settle(world.now_ms);
    world.broker.counters().publish_sent - before
}

fn numbered(client: &str, count: usize) -> Vec<u8> {
    let numbers = (0..count).map(|number| number.to_string());
    numbers
        .flat_map(|number| publish(client, 0, false, number.as_bytes()))
        .collect()
}

/// What a reader got of a topic, in its order.
fn got(bytes: &[u8], topic: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    packets(Version::V311, bytes, |packet| {
        if let crate::mqtt::Packet::Publish(publish) = packet
            && publish.topic == topic
        {
            numbers.push(
                std::str::from_utf8(publish.payload)
                    .unwrap()
                    .parse()
                    .unwrap(),
            );
        }
    });
    numbers
}

fn pauses(world: &mut World) -> (usize, usize) {
    let (mut paused, mut resumed) = (0, 0);
    while let Some(effect) = world.broker.next_effect() {
        paused += usize::from(matches!(effect, Effect::Pause { .. }));
        resumed += usize::from(matches!(effect, Effect::Resume { .. }));
    }
    (paused, resumed)
}

#[test]
fn a_receive_that_is_too_much_for_a_turn_is_handled_in_several() {
    let (mut world, readers) = world();
    let publisher = world.connect("p", Version::V311);
    world.broker.settle(world.now_ms);
    let mut bytes = numbered("t", 45);
    bytes.extend_from_slice(b"\xc0\x00");
    world.broker.on_bytes(world.now_ms, publisher, &bytes);
    assert_eq!(world.broker.counters().publish_sent, TURN);
    assert_eq!(pauses(&mut world), (1, 0));
    world.broker.settle(world.now_ms);
    let each: Vec<u64> = (0..4).map(|_| turn(&mut world)).collect();
    assert_eq!(each, [1000, 1000, 1000, 500]);
    assert_eq!(pauses(&mut world), (0, 1));
    assert_eq!(turn(&mut world), 0);
    assert_eq!(
        world.output(publisher),
        b"\xd0\x00",
        "what came behind the messages"
    );
    for reader in readers {
        assert!(got(&world.output(reader), "t").into_iter().eq(0..45));
    }
    assert_eq!(world.broker.counters().publish_cut, 1);
}

#[test]
fn those_who_wait_take_turns_and_others_are_served() {
    let (mut world, readers) = world();
    let publishers = ["a", "b", "c"].map(|id| (id, world.connect(id, Version::V311)));
    world.broker.settle(world.now_ms);
    for (id, conn) in publishers {
        world.broker.on_bytes(world.now_ms, conn, &numbered(id, 40));
    }
    world.broker.settle(world.now_ms);
    // A quiet one in between is answered at once.
    let quiet = world.connect("q", Version::V311);
    world.broker.on_bytes(world.now_ms, quiet, b"\xc0\x00");
    assert_eq!(world.output(quiet), b"\xd0\x00");
    // The first of the three has had the first turn already.
    let mut seen = Vec::new();
    for _ in 0..3 {
        turn(&mut world);
        let bytes = world.output(readers[0]);
        seen.push(publishers.map(|(id, _)| got(&bytes, id).len()));
    }
    assert_eq!(seen, [[20, 0, 0], [0, 10, 0], [0, 0, 10]]);
    // One who publishes in every turn as much as it may does not keep them from it.
    let loud = world.connect("d", Version::V311);
    for _ in 0..50 {
        world
            .broker
            .on_bytes(world.now_ms, loud, &numbered("d", 10));
        turn(&mut world);
    }
    let bytes = world.output(readers[1]);
    for (id, _) in publishers {
        assert!(got(&bytes, id).into_iter().eq(0..40), "{id}");
    }
}

#[test]
fn who_leaves_while_it_waits_has_published_what_it_sent() {
    let (mut world, readers) = world();
    let publisher = world.connect("p", Version::V311);
    world.broker.settle(world.now_ms);
    let mut bytes = numbered("t", 25);
    bytes.extend_from_slice(b"\xe0\x00");
    world.broker.on_bytes(world.now_ms, publisher, &bytes);
    world
        .broker
        .on_eof(world.now_ms, publisher, CloseCause::Eof);
    world.broker.settle(world.now_ms);
    for _ in 0..4 {
        turn(&mut world);
    }
    assert!(got(&world.output(readers[0]), "t").into_iter().eq(0..25));
    let closes = std::iter::from_fn(|| world.broker.next_effect())
        .filter(|effect| matches!(effect, Effect::Close { conn, .. } if *conn == publisher));
    assert!(closes.count() >= 1);
    world.broker.on_closed(world.now_ms, publisher);
    assert_eq!(turn(&mut world), 0);
}

/// Messages for sessions that are away cost more than deliveries, and are not sent: they fill a turn as well.
#[test]
fn what_is_queued_for_those_who_are_away_fills_a_turn_too() {
    let (mut world, _) = world();
    for index in 0..50 {
        let connect = ConnectOut {
            client_id: &format!("away{index}"),
            clean_start: false,
            ..ConnectOut::default()
        };
        let conn = world.connect_as(&connect, Version::V311);
        world.output(conn);
        world.subscribe(conn, Version::V311, "queue", QoS::AtLeastOnce);
        world.broker.on_bytes(world.now_ms, conn, b"\xe0\x00");
        world.broker.on_closed(world.now_ms, conn);
    }
    let publisher = world.connect("p", Version::V311);
    world.broker.settle(world.now_ms);
    let before = world.broker.counters().stored_messages;
    // One message is a delivery for each reader and several for each session that is away.
    let each = READERS as u64 + 50 * limits::TURN_QUEUED_DELIVERIES;
    let a_turn = TURN.div_ceil(each);
    let one = publish("queue", 1, false, b"x");
    world
        .broker
        .on_bytes(world.now_ms, publisher, &one.repeat(12));
    let stored = world.broker.counters().stored_messages - before;
    assert_eq!(stored, 50 * a_turn, "{a_turn} messages fill a turn");
    world.broker.settle(world.now_ms);
    for _ in 0..12 / a_turn {
        turn(&mut world);
    }
    assert_eq!(world.broker.counters().stored_messages - before, 600);
}

/// One that was cut off, and closed by the broker, is not looked for when the broker ends.
#[test]
fn who_is_gone_does_not_go_on() {
    let (mut world, _) = world();
    let others: Vec<ConnId> = (0..50)
        .map(|index| world.connect(&format!("o{index}"), Version::V311))
        .collect();
    let publisher = world.connect("p", Version::V311);
    world.broker.settle(world.now_ms);
    world
        .broker
        .on_bytes(world.now_ms, publisher, &numbered("t", 25));
    // Closed without a word of its own: as when memory is short.
    world.broker.disconnect(
        world.now_ms,
        publisher,
        crate::mqtt::ReasonCode::QUOTA_EXCEEDED,
    );
    world.broker.on_closed(world.now_ms, publisher);
    for conn in others {
        world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
        world.broker.on_closed(world.now_ms, conn);
    }
    world.broker.trim();
    assert_ne!(world.broker.next_deadline(), Some(0));
    world.broker.on_drain(world.now_ms);
}

/// A turn subscribes to what it may; who subscribes to more waits, in its order, while others publish.
#[test]
fn subscribing_takes_a_bounded_part_of_a_turn() {
    let (mut world, _) = world();
    let subscribers: Vec<ConnId> = (0..4)
        .map(|index| world.connect(&format!("s{index}"), Version::V5))
        .collect();
    let publisher = world.connect("p", Version::V311);
    world.broker.settle(world.now_ms);
    let filters: Vec<String> = (0..200).map(|number| format!("a/b/c/d/{number}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let mut bytes = subscribe_packet(&filters, Version::V5, QoS::AtMostOnce);
    bytes.extend_from_slice(b"\xc0\x00");
    for &subscriber in &subscribers {
        world.broker.on_bytes(world.now_ms, subscriber, &bytes);
    }
    // One of them is as much as a turn may have, and the rest waits with what came behind.
    assert_eq!(world.broker.counters().subscribe_cut, 3);
    assert_eq!(world.output(subscribers[1]), b"");
    let sent = world.broker.counters().publish_sent;
    world
        .broker
        .on_bytes(world.now_ms, publisher, &numbered("p", 1));
    assert_eq!(world.broker.counters().publish_sent, sent + READERS as u64);
    world.broker.settle(world.now_ms);
    for done in 2..=4 {
        turn(&mut world);
        let subscribed = world.broker.counters().subscriptions as usize;
        assert_eq!(subscribed, READERS + done * filters.len());
    }
    assert_eq!(world.broker.next_deadline().filter(|&at| at == 0), None);
    for subscriber in subscribers {
        let answers = world.output(subscriber);
        assert_eq!(answers[0], 0x90, "SUBACK");
        assert!(answers.ends_with(b"\xd0\x00"), "PINGRESP behind it");
    }
}

#[test]
fn nodes_that_a_message_visits_count_although_nobody_gets_it() {
    let broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 1, 7);
    let mut world = World {
        broker: broker.with_turns_of(TURN),
        now_ms: 1000,
    };
    let attacker = world.connect("attacker", Version::V311);
    // A topic leads to twice as many nodes with each level, and to none of these filters.
    let filter = |number: u32| {
        let levels = (0..8).map(|bit| if number >> bit & 1 == 0 { "+" } else { "x" });
        levels.chain(["end"]).collect::<Vec<_>>().join("/")
    };
    for number in 0..256 {
        world.subscribe(attacker, Version::V311, &filter(number), QoS::AtMostOnce);
        turn(&mut world);
    }
    let publisher = world.connect("publisher", Version::V311);
    let before = world.broker.counters().publish_received;
    let messages: Vec<u8> = (0..20)
        .flat_map(|number| publish(&format!("x/x/x/x/x/x/x/x/{number}"), 0, false, b"m"))
        .collect();
    world.broker.on_bytes(world.now_ms, publisher, &messages);
    assert_eq!(world.broker.counters().publish_received, before + 1);
    let mut turns = 0;
    while world.broker.counters().publish_received < before + 20 {
        turn(&mut world);
        turns += 1;
        assert!(turns <= 20);
    }
    assert!(turns >= 10, "{turns}");
    assert_eq!(world.broker.counters().publish_cut, 1);
}
