//! Messages that go by the owner of their topic: what may overtake what, seen from one of three shards.

use std::collections::VecDeque;

use super::slow::publish;
use super::*;
use crate::mqtt::message::{Holders, Message, NEVER};
use crate::mqtt::{Packet, QoS, Topic};

/// The first of three shards, and a topic that the last one owns.
pub(super) fn first_of_three() -> (World, String) {
    let broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 3, 7);
    let mut topics = (0..).map(|number| format!("t/{number}"));
    let topic = topics.find(|topic| owner_of_topic(topic, 3) == ShardId(2));
    let now_ms = 1000;
    (World { broker, now_ms }, topic.unwrap())
}

/// A client of this shard.
pub(super) fn client(world: &mut World, name: &str) -> ConnId {
    let mut ids = (0..).map(|number| format!("{name}{number}"));
    let id = ids.find(|id| home(id, 3) == ShardId(0)).unwrap();
    world.connect(&id, Version::V311)
}

pub(super) fn sent(world: &mut World) -> Vec<(u8, MeshMessage)> {
    let effects = std::iter::from_fn(|| world.broker.next_effect());
    let of = |effect| match effect {
        Effect::Mesh { to, message } => Some((to.0, message)),
        _ => None,
    };
    effects.filter_map(of).collect()
}

/// A client of this shard that has subscribed to everything.
pub(super) fn subscriber(world: &mut World) -> ConnId {
    let conn = client(world, "s");
    let bytes = subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    for (to, message) in sent(world) {
        if let MeshMessage::Interest { ticket, .. } = message {
            let stored = [0; 3].into();
            let ack = MeshMessage::InterestAck { ticket, stored };
            world.broker.on_mesh(world.now_ms, ShardId(to), ack);
        }
    }
    for (to, message) in sent(world) {
        if let MeshMessage::RetainQuery(query) = message {
            let ticket = query.ticket;
            let reply = RetainReply {
                ticket,
                messages: Vec::new(),
                next: None,
            };
            let reply = MeshMessage::RetainReply(Box::new(reply));
            world.broker.on_mesh(world.now_ms, ShardId(to), reply);
        }
    }
    assert!(world.output(conn).starts_with(b"\x90"));
    conn
}

pub(super) fn message(topic: &str, payload: &'static str, retain: bool) -> Arc<Message> {
    Arc::new(Message {
        sent: Default::default(),
        topic: Topic::new(topic).unwrap(),
        payload: payload.into(),
        properties: "".into(),
        qos: QoS::AtMostOnce,
        retain,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        holders: Holders::default(),
    })
}

fn straight(topic: &str, payload: &'static str) -> MeshMessage {
    MeshMessage::Publish {
        message: message(topic, payload, false),
        retain_seq: 0,
    }
}

/// A retained message of the second shard that the third one passes on.
fn relayed(topic: &str, payload: &'static str, after: u64) -> MeshMessage {
    MeshMessage::Relayed(Arc::new(Ordered {
        message: message(topic, payload, true),
        from: ShardId(1),
        targets: 1,
        durable: 0,
        seq: 1,
        promised: 0,
        after: [after, 0, 0].into(),
    }))
}

/// The last characters of what a subscriber was sent, message by message.
fn payloads(world: &mut World, conn: ConnId) -> String {
    let bytes = world.output(conn);
    let mut last = String::new();
    super::slow::packets(Version::V311, &bytes, |packet| {
        if let Packet::Publish(publish) = packet {
            last.push(publish.payload[0] as char);
        }
    });
    last
}

#[test]
fn a_message_by_the_owner_waits_for_what_was_sent_straight_before() {
    let (mut world, topic) = first_of_three();
    let conn = subscriber(&mut world);
    // The second shard has acknowledged the filter and has had no question: it has sent one message, or two.
    let handled = 2;
    let by_owner = relayed(&topic, "b", handled + 1);
    world.broker.on_mesh(1000, ShardId(2), by_owner);
    world
        .broker
        .on_mesh(1000, ShardId(2), straight(&topic, "c"));
    assert_eq!(payloads(&mut world, conn), "", "they wait");
    assert!(world.broker.ordering.held_bytes() > 0);
    world
        .broker
        .on_mesh(1000, ShardId(1), straight(&topic, "a"));
    assert_eq!(payloads(&mut world, conn), "abc");
    assert_eq!(world.broker.ordering.held_bytes(), 0);
}

#[test]
fn what_is_sent_straight_again_waits_for_what_came_by_the_owner() {
    let (mut world, topic) = first_of_three();
    let conn = subscriber(&mut world);
    let (shard, count) = (ShardId(2), 3);
    let after = MeshMessage::After { shard, count };
    world.broker.on_mesh(1000, ShardId(1), after);
    let next = straight(&topic, "b");
    world.broker.on_mesh(1000, ShardId(1), next);
    assert_eq!(payloads(&mut world, conn), "", "it waits");
    let by_owner = relayed(&topic, "a", 0);
    world.broker.on_mesh(1000, shard, by_owner);
    assert_eq!(payloads(&mut world, conn), "ab");
}

/// Only what follows a retained message of its own publisher goes the long way, and only until it has arrived.
#[test]
fn who_has_no_retained_message_under_way_publishes_straight() {
    let (mut world, topic) = first_of_three();
    let conn = subscriber(&mut world);
    let (one, other) = (client(&mut world, "p"), client(&mut world, "q"));
    sent(&mut world);
    let publishes = |world: &mut World, conn, retain| {
        let bytes = publish(&topic, 0, retain, b"x");
        world.broker.on_bytes(1000, conn, &bytes);
        sent(world)
    };
    assert!(publishes(&mut world, one, false).is_empty());
    assert_eq!(payloads(&mut world, conn), "x");
    for retain in [true, false] {
        let way = publishes(&mut world, one, retain);
        assert!(matches!(&way[..], [(2, MeshMessage::Ordered(ordered))]
            if ordered.targets == 1 && (ordered.seq > 0) == retain));
        assert_eq!(payloads(&mut world, conn), "", "it comes back by the owner");
    }
    assert!(publishes(&mut world, other, false).is_empty());
    assert_eq!(payloads(&mut world, conn), "x");
    let passed_on = |world: &mut World, count| {
        let sent_before = [0, 7, 0].into();
        let told = MeshMessage::PassedOn {
            count,
            sent: sent_before,
        };
        world.broker.on_mesh(1000, ShardId(2), told);
        sent(world)
    };
    // The first of two has been.
    assert!(passed_on(&mut world, 1).is_empty());
    assert_eq!(publishes(&mut world, one, false).len(), 1);
    let (shard, count) = (ShardId(2), 7);
    let after = (1, MeshMessage::After { shard, count });
    assert_eq!(passed_on(&mut world, 3), [after]);
    assert!(publishes(&mut world, one, false).is_empty());
    assert_eq!(payloads(&mut world, conn), "x");
}

/// A will that is retained reaches subscribers on other shards before these say goodbye.
#[test]
fn goodbyes_wait_for_what_owners_pass_on() {
    let (mut world, topic) = first_of_three();
    let conn = subscriber(&mut world);
    world.broker.on_drain(1000);
    for shard in [1, 2] {
        let out = MeshMessage::Draining { relayed: false };
        world.broker.on_mesh(1000, ShardId(shard), out);
    }
    let passed_on = (1, MeshMessage::Draining { relayed: true });
    assert!(sent(&mut world).contains(&passed_on));
    world
        .broker
        .on_mesh(1000, ShardId(2), relayed(&topic, "w", 0));
    assert_eq!(payloads(&mut world, conn), "w");
    let closes = |world: &mut World| {
        let mut effects = std::iter::from_fn(|| world.broker.next_effect());
        effects.any(|effect| matches!(effect, Effect::Close { .. }))
    };
    assert!(!closes(&mut world));
    for shard in [1, 2] {
        let passed_on = MeshMessage::Draining { relayed: true };
        world.broker.on_mesh(1000, ShardId(shard), passed_on);
    }
    assert!(closes(&mut world));
}

/// A turn delivers a hundred messages to these readers of everything: ten by ten.
const TURN: u64 = 100;
const READERS: usize = 10;

fn with_readers() -> (World, String, Vec<ConnId>) {
    let (mut world, topic) = first_of_three();
    world.broker = world.broker.with_turns_of(TURN);
    let mut readers = vec![subscriber(&mut world)];
    readers.extend((1..READERS).map(|number| {
        let conn = client(&mut world, &format!("r{number}x"));
        let bytes = subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce);
        world.broker.on_bytes(world.now_ms, conn, &bytes);
        conn
    }));
    sent(&mut world);
    for &reader in &readers {
        world.output(reader);
    }
    world.broker.settle(world.now_ms);
    (world, topic, readers)
}

/// The next turn, with what is in the ring from the third shard; how many messages it delivered.
fn turn(world: &mut World, ring: &mut VecDeque<MeshMessage>) -> u64 {
    let before = world.broker.counters().publish_sent;
    world.broker.begin_mesh();
    while world.broker.takes_from(ShardId(2))
        && let Some(message) = ring.pop_front()
    {
        world.broker.on_mesh(world.now_ms, ShardId(2), message);
    }
    if world.broker.next_deadline() == Some(0) {
        world.broker.on_timers(world.now_ms);
    }
    world.broker.settle(world.now_ms);
    world.broker.counters().publish_sent - before
}

const DIGITS: [&str; 10] = ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

/// Messages of the third shard, the first of which has to wait for one of the second.
fn waiting(topic: &str, count: usize) -> VecDeque<MeshMessage> {
    let behind = (1..count).map(|number| straight(topic, DIGITS[number % 10]));
    let first = relayed(topic, "0", 3);
    [first].into_iter().chain(behind).collect()
}

#[test]
fn what_is_behind_a_message_that_waits_stays_in_the_ring() {
    let (mut world, topic, readers) = with_readers();
    let mut ring = waiting(&topic, 200);
    for _ in 0..10 {
        assert_eq!(turn(&mut world, &mut ring), 0);
        assert_eq!(ring.len(), 199, "one waits here, whatever comes");
    }
    let awaited = straight(&topic, "x");
    world.broker.on_mesh(world.now_ms, ShardId(1), awaited);
    let mut turns = 0;
    while !ring.is_empty() {
        let delivered = turn(&mut world, &mut ring);
        assert!(delivered <= TURN + READERS as u64, "{delivered}");
        turns += 1;
    }
    assert!(turns >= 2000 / (TURN as usize + READERS), "{turns}");
    let expected = DIGITS.concat().repeat(20);
    for reader in readers {
        assert_eq!(payloads(&mut world, reader), format!("x{expected}"));
    }
}

/// However many wait, they go on turn by turn, in order.
#[test]
fn messages_that_need_not_wait_any_more_are_a_turn_s_work_each_turn() {
    let (mut world, topic, readers) = with_readers();
    for message in waiting(&topic, 200) {
        world.broker.on_mesh(world.now_ms, ShardId(2), message);
    }
    let before = world.broker.counters().publish_sent;
    let awaited = straight(&topic, "x");
    world.broker.on_mesh(world.now_ms, ShardId(1), awaited);
    let delivered = world.broker.counters().publish_sent - before;
    assert!(delivered <= TURN + READERS as u64, "{delivered}");
    world.broker.settle(world.now_ms);
    let mut turns = 0;
    while world.broker.next_deadline() == Some(0) {
        // What comes meanwhile of others is not behind them.
        let quick = straight(&topic, "y");
        world.broker.on_mesh(world.now_ms, ShardId(1), quick);
        let delivered = turn(&mut world, &mut VecDeque::new());
        assert!(delivered <= TURN + READERS as u64, "{delivered}");
        turns += 1;
        assert!(turns < 200);
    }
    assert!(turns > 10);
    assert_eq!(world.broker.ordering.held_bytes(), 0);
    let expected = DIGITS.concat().repeat(20);
    for reader in readers {
        let got = payloads(&mut world, reader).replace(['x', 'y'], "");
        assert_eq!(got, expected);
    }
}
