//! Clients that ask for more than their share.

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::{Packet, WillOut};

fn subscribe(filters: &[&str], version: Version) -> Vec<u8> {
    subscribe_packet(filters, version, QoS::AtMostOnce)
}

impl World {
    fn flow_queued(&mut self, client_id: &str) -> usize {
        let session = self.broker.clients.sessions.find(client_id).unwrap();
        self.broker.clients.sessions.queued(session)
    }
}

/// Retained messages are fetched as they are taken, and none is missed.
#[test]
fn subscribing_again_and_again_holds_no_more_than_a_bound() {
    const TOPICS: usize = 500;
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..TOPICS {
        world.publish(publisher, &format!("t/{index}"), 0, true, &[1; 1000]);
    }
    let greedy = world.connect("greedy", Version::V5);
    let rounds = 300;
    let most = limits::REPLAY_PAGE_MESSAGES / 2 + TOPICS;
    for _ in 0..rounds {
        let bytes = subscribe(&["#"], Version::V5);
        world.broker.on_bytes(world.now_ms, greedy, &bytes);
        assert!(world.flow_queued("greedy") < most);
    }
    let mut messages = 0;
    while messages < rounds * TOPICS {
        packets(Version::V5, &world.output(greedy), |packet| {
            messages += usize::from(matches!(packet, Packet::Publish(_)));
        });
        world.now_ms += 1;
        world.broker.on_timers(world.now_ms);
    }
    assert_eq!(messages, rounds * TOPICS);
    assert_eq!(world.output(greedy), b"");
}

#[test]
fn one_packet_has_a_bounded_number_of_filters() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    let filters = vec!["a"; limits::FILTERS_PER_PACKET_MAX + 1];
    world
        .broker
        .on_bytes(world.now_ms, conn, &subscribe(&filters, Version::V5));
    let answer = world.output(conn);
    assert_eq!((answer[0], answer[2]), (0xe0, 0x97), "quota exceeded");
    assert_eq!(world.broker.counters().subscriptions, 0);
}

#[test]
fn a_session_has_a_bounded_number_of_subscriptions() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    for (prefix, max) in [
        ("", limits::SUBSCRIPTIONS_MAX),
        ("$share/g/", limits::SHARED_SUBSCRIPTIONS_MAX),
    ] {
        let filters: Vec<String> = (0..=max).map(|index| format!("{prefix}{index}")).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let mut last = 0;
        for filters in filters.chunks(limits::FILTERS_PER_PACKET_MAX) {
            let bytes = subscribe(filters, Version::V5);
            world.broker.on_bytes(world.now_ms, conn, &bytes);
            last = *world.output(conn).last().unwrap();
        }
        assert_eq!(last, 0x97, "the one too many");
        let again = subscribe(&filters[..1], Version::V5);
        world.broker.on_bytes(world.now_ms, conn, &again);
        assert_eq!(world.output(conn).last(), Some(&0), "one that is replaced");
    }
    let counters = world.broker.counters().clone();
    assert_eq!(counters.subscriptions as usize, limits::SUBSCRIPTIONS_MAX);
    assert_eq!(
        counters.shared_subscriptions as usize,
        limits::SHARED_SUBSCRIPTIONS_MAX
    );
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    assert_eq!(world.broker.counters().subscriptions, 0);
}

/// Filters with wildcards that find nothing cost the one who asks, not the others: only so many are looked up at once.
#[test]
fn looking_for_retained_messages_takes_a_bounded_share_of_the_time() {
    const TOPICS: usize = 5_000;
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..TOPICS {
        world.publish(publisher, &format!("t/{index}"), 0, true, b"x");
    }
    let greedy = world.connect("greedy", Version::V5);
    let filters = vec!["+/+/nothing"; 1000];
    world.publish(publisher, "t/0/nothing", 0, true, b"found");
    let start_ms = world.now_ms;
    world
        .broker
        .on_bytes(start_ms, greedy, &subscribe(&filters, Version::V5));
    let mut messages = 0;
    let mut turns = 0;
    while messages < 1000 {
        packets(Version::V5, &world.output(greedy), |packet| {
            messages += usize::from(matches!(packet, Packet::Publish(_)));
        });
        turns += 1;
        let next_ms = world.broker.next_deadline().unwrap();
        world.now_ms = world.now_ms.max(next_ms);
        world.broker.on_timers(world.now_ms);
    }
    let visited = 1000 * TOPICS - limits::LOOKUP_NODES_BURST;
    let passed_ms = world.now_ms - start_ms;
    assert!(passed_ms >= (visited / limits::LOOKUP_NODES_PER_MS) as u64);
    assert!(turns > 40, "{turns}");
}

/// Whatever waits for its turn is not done one inside the other.
#[test]
fn many_filters_that_wait_are_looked_up_one_after_the_other() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..=limits::LOOKUP_NODES_BURST {
        world.publish(publisher, &format!("t/{index}"), 0, true, b"x");
    }
    let greedy = world.connect("greedy", Version::V311);
    let mut filters = vec!["#"];
    filters.extend(["+/+/nothing"; limits::REPLAY_QUESTIONS_MAX as usize - 1]);
    filters.extend(["a/+", "b"].repeat(4000));
    for filters in [&filters[..], &["a/+"; 8000], &["b"; 8000]] {
        let bytes = subscribe(filters, Version::V311);
        world.broker.on_bytes(world.now_ms, greedy, &bytes);
    }
    let session = world.broker.clients.sessions.find("greedy").unwrap();
    loop {
        world.output(greedy);
        let next_ms = world.broker.lookups.next_ms();
        let entry = world.broker.clients.sessions.get(session).unwrap();
        if next_ms.is_none() && !entry.has_replays() {
            break;
        }
        world.now_ms = world.now_ms.max(next_ms.unwrap_or(0));
        world.broker.on_timers(world.now_ms);
    }
    assert_eq!(world.broker.clients.sessions.hot(session).asking, 0);
}

/// A client whose look-up waits for its turn behind those of others: its connection, and that of a publisher.
fn world_with_a_lookup_that_waits() -> (World, ConnId, ConnId) {
    const TOPICS: usize = 1000;
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..TOPICS {
        world.publish(publisher, &format!("t/{index}"), 0, true, b"x");
    }
    world.publish(publisher, "t/0/nothing", 0, true, b"x");
    world.publish(publisher, "x/1", 0, true, b"old");
    world.publish(publisher, "x/2", 0, true, b"old");
    let greedy = world.connect("greedy", Version::V311);
    let filters = vec!["+/+/nothing"; 2 * limits::LOOKUP_NODES_BURST / TOPICS];
    let bytes = subscribe(&filters, Version::V311);
    world.broker.on_bytes(world.now_ms, greedy, &bytes);
    let client = world.connect("c", Version::V311);
    world.subscribe(client, Version::V311, "x/+", QoS::AtMostOnce);
    assert!(world.broker.lookups.next_ms().is_some());
    (world, client, publisher)
}

/// What a client gets until no look-up waits any more.
fn looked_up(world: &mut World, conn: ConnId) -> Vec<(String, bool)> {
    let mut messages = Vec::new();
    loop {
        packets(Version::V311, &world.output(conn), |packet| {
            if let Packet::Publish(publish) = packet {
                messages.push((publish.topic.to_string(), publish.retain));
            }
        });
        let Some(next_ms) = world.broker.lookups.next_ms() else {
            return messages;
        };
        world.now_ms = world.now_ms.max(next_ms);
        world.broker.on_timers(world.now_ms);
    }
}

/// A message that comes while its look-up waits is not sent again as a retained one.
#[test]
fn a_live_message_is_left_out_of_a_lookup_that_waits() {
    let (mut world, client, publisher) = world_with_a_lookup_that_waits();
    world.publish(publisher, "x/1", 0, true, b"new");
    let messages = looked_up(&mut world, client);
    assert_eq!(messages, [("x/1".into(), false), ("x/2".into(), true)]);
    assert_eq!(world.broker.live.topics(), 0);
}

/// MQTT-3.10.4-2: nothing is added for a subscription that has been taken back.
#[test]
fn a_lookup_that_waits_ends_with_its_subscription() {
    let (mut world, client, _) = world_with_a_lookup_that_waits();
    let unsubscribe = b"\xa2\x07\x00\x02\x00\x03x/+";
    world.broker.on_bytes(world.now_ms, client, unsubscribe);
    assert_eq!(looked_up(&mut world, client), []);
    let session = world.broker.clients.sessions.find("c").unwrap();
    assert_eq!(world.broker.clients.sessions.hot(session).asking, 0);
}

/// What would be refused as a PUBLISH is refused as a will.
#[test]
fn a_will_has_the_limits_of_a_publish() {
    let mut world = World::new(Settings {
        listeners: vec![ListenerSettings {
            mount_point: "mounted/".into(),
            ..ListenerSettings::default()
        }],
        message_size_limit: 100,
        ..Settings::default()
    });
    let long = "t".repeat(65_535);
    for (topic, payload, reason) in [(&long[..], &[1u8; 1][..], 0x90), ("t", &[1; 101], 0x95)] {
        let will = WillOut {
            topic,
            payload,
            ..WillOut::default()
        };
        let connect = ConnectOut {
            client_id: "c",
            clean_start: true,
            will: Some(will),
            ..ConnectOut::default()
        };
        let conn = world.connect_as(&connect, Version::V5);
        let answer = world.output(conn);
        assert_eq!((answer[0], answer[3]), (0x20, reason));
    }
}

/// A deadline in a hundred years is forgotten with its session.
#[test]
fn sessions_that_come_and_go_leave_no_deadlines_behind() {
    let mut world = World::new(Settings::default());
    for _ in 0..5 * limits::TIMERS_STALE_MIN {
        let connect = ConnectOut {
            client_id: "c",
            clean_start: true,
            session_expiry: Some(u32::MAX - 1),
            ..ConnectOut::default()
        };
        let conn = world.connect_as(&connect, Version::V5);
        world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
        world.broker.on_closed(world.now_ms, conn);
    }
    assert!(world.broker.clients.desk.timers.len() <= 2 * limits::TIMERS_STALE_MIN);
    assert!(world.broker.next_deadline().is_some());
}

/// MQTT 5, table 3-4: PUBACK has no "packet too large".
#[test]
fn a_payload_over_the_limit_is_refused_with_a_reason_that_puback_has() {
    let mut world = World::new(Settings {
        message_size_limit: 3,
        ..Settings::default()
    });
    let conn = world.connect("c", Version::V5);
    let publish = b"\x32\x0a\x00\x01t\x00\x01\x00\x00\x00\x00\x00";
    world.broker.on_bytes(world.now_ms, conn, publish);
    assert_eq!(world.output(conn), b"\x40\x03\x00\x01\x97");
}

/// MQTT-3.1.0-2, and DISCONNECT has no 0x84.
#[test]
fn a_second_connect_of_an_unknown_version_is_a_protocol_error() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("twice", Version::V5);
    let again = b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x00\x00\x00\x00";
    world.broker.on_bytes(world.now_ms, conn, again);
    let said = world.output(conn);
    assert_eq!((said[0], said[2]), (0xe0, 0x82), "{said:02x?}");
}

/// Filters in which `+` and a name stand beside each other double what a topic leads to with each level. What others
/// subscribe to does not, and goes in; what has gone makes room.
#[test]
fn filters_that_branch_too_far_are_refused() {
    const LEVELS: u32 = 16;
    let filter = |number: u32| {
        let levels = (0..LEVELS).map(|bit| if number >> bit & 1 == 0 { "+" } else { "x" });
        levels.collect::<Vec<_>>().join("/")
    };
    let mut world = World::new(Settings::default());
    let quiet = world.connect("quiet", Version::V5);
    world.subscribe(quiet, Version::V5, "quiet/#", QoS::AtMostOnce);
    let attacker = world.connect("attacker", Version::V5);
    let numbers: Vec<u32> = (0..1 << LEVELS)
        .step_by(2)
        .map(|number| number | 1)
        .collect();
    let mut refused = 0;
    for some in numbers.chunks(500) {
        let filters: Vec<String> = some.iter().map(|&number| filter(number)).collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let bytes = subscribe_packet(&filters, Version::V5, QoS::AtMostOnce);
        world.broker.on_bytes(world.now_ms, attacker, &bytes);
        let suback = world.output(attacker);
        let reasons = &suback[suback.len() - some.len()..];
        assert!(reasons.iter().all(|&reason| reason == 0 || reason == 0x97));
        refused += reasons.iter().filter(|&&reason| reason == 0x97).count();
    }
    let reach = world.broker.routing.subscriptions.reach();
    assert!(reach <= limits::MATCH_NODES_MAX, "{reach}");
    assert!(refused > numbers.len() / 4, "{refused}");
    assert_eq!(
        world.broker.counters().subscriptions_refused as usize,
        refused
    );

    // Others do not notice, nor does the same subscription made again.
    let code = |world: &mut World, filter: &str| {
        let bytes = subscribe_packet(&[filter], Version::V5, QoS::AtMostOnce);
        world.broker.on_bytes(world.now_ms, quiet, &bytes);
        world.output(quiet).last().copied()
    };
    assert_eq!(code(&mut world, "gerrit/+/nova/#"), Some(0));
    // Not even of those that make it a node more for every topic.
    for filter in ["#", "+/status", "$share/group/+/+/+/state"] {
        assert_eq!(code(&mut world, filter), Some(0), "{filter}");
    }
    assert_eq!(code(&mut world, "quiet/#"), Some(0));
    let mut matched = SmallVec::new();
    let topic = vec!["x"; LEVELS as usize].join("/");
    world
        .broker
        .routing
        .subscriptions
        .matching_once(&topic, &mut matched);
    assert!(matched.len() > 1000);

    // When the attacker has gone, so has all of it, when it is asked for.
    world.broker.on_eof(world.now_ms, attacker, CloseCause::Eof);
    world.now_ms += limits::MATCH_TIGHTEN_MS;
    for number in (0..1 << 10).map(|number| number << 6) {
        assert_eq!(code(&mut world, &filter(number)), Some(0));
    }
}

/// Fifteen hundred sessions of a stranger with 32 branching filters each; others go on subscribing to what people subscribe to, and to
/// a branching filter as well.
#[test]
fn branching_filters_of_strangers_leave_room_to_others() {
    let mut world = World::new(Settings::default());
    let from = |world: &mut World, id: &str, address: &str| {
        let peer = Peer {
            address: format!("{address}:40000").parse().unwrap(),
            listener: 0,
        };
        let conn = world.broker.on_accept(world.now_ms, peer);
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start: true,
            ..ConnectOut::default()
        }
        .encode(Version::V5, &mut bytes);
        world.broker.on_bytes(world.now_ms, conn, &bytes);
        world.output(conn);
        conn
    };
    let mut refused = 0;
    for number in 0..1500u32 {
        let conn = from(&mut world, &format!("s{number}"), "10.0.0.9");
        let filters: Vec<String> = (0..32)
            .map(|at| {
                let bits = number * 32 + at;
                let level = |bit: u32| if bits >> bit & 1 == 0 { "+" } else { "x" };
                (0..16).map(level).collect::<Vec<_>>().join("/")
            })
            .collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let bytes = subscribe(&filters, Version::V5);
        world.broker.on_bytes(world.now_ms, conn, &bytes);
        let answer = world.output(conn);
        refused += answer.iter().filter(|&&byte| byte == 0x97).count();
    }
    assert!(refused > 0);
    for (number, address) in ["10.0.0.1", "10.0.0.9"].into_iter().enumerate() {
        let conn = from(&mut world, &format!("o{number}"), address);
        let deep = format!("{}/#", vec!["x"; 16].join("/"));
        for filter in ["#", "+/status", "x/+/x/y", "a/b/c", "x/x/x/x", "+/#", &deep] {
            let bytes = subscribe(&[filter], Version::V5);
            world.broker.on_bytes(world.now_ms, conn, &bytes);
            let answer = world.output(conn);
            assert_eq!(answer.last(), Some(&0), "{address} {filter}");
        }
    }
    let conn = from(&mut world, "branching", "10.0.0.2");
    let bytes = subscribe(&["+/x/+/x/+/other"], Version::V5);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    assert_eq!(world.output(conn).last(), Some(&0));
    let reach = world.broker.routing.subscriptions.reach();
    assert!(reach <= 2 * limits::MATCH_NODES_MAX + 1000, "{reach}");
}

/// Many have left, and the table of connections has a hole in front of those who stay.
#[test]
fn a_drain_passes_over_connections_that_there_are_not() {
    let mut broker = Broker::new(Arc::new(Settings::default()), ShardId(0), 1, 7);
    let peer = Peer {
        address: "127.0.0.1:40000".parse().unwrap(),
        listener: 0,
    };
    let conns: Vec<ConnId> = (0..100).map(|_| broker.on_accept(1000, peer)).collect();
    for &conn in &conns[..90] {
        broker.on_eof(1000, conn, CloseCause::Eof);
        while broker.next_effect().is_some() {}
        broker.on_closed(1000, conn);
    }
    broker.trim();
    broker.on_drain(2000);
    while broker.next_effect().is_some() {}
    for &conn in &conns[90..] {
        broker.on_closed(2000, conn);
    }
    assert!(broker.is_drained());
}
