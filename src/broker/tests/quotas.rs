//! What one client may ask for: topics, subscriptions, wildcards, and how fast it may publish.

use super::*;
use crate::limits;
use crate::mqtt::WillOut;

fn world(quotas: Quotas) -> World {
    World::new(Settings {
        quotas,
        ..Settings::default()
    })
}

fn publish(topic: &str, version: Version, qos: QoS) -> Vec<u8> {
    let mut body = (topic.len() as u16).to_be_bytes().to_vec();
    body.extend_from_slice(topic.as_bytes());
    if qos != QoS::AtMostOnce {
        body.extend_from_slice(&[0, 7]);
    }
    if version == Version::V5 {
        body.push(0);
    }
    body.push(b'p');
    let mut bytes = vec![0x30 | (qos as u8) << 1, body.len() as u8];
    bytes.extend_from_slice(&body);
    bytes
}

impl World {
    fn send(&mut self, conn: ConnId, bytes: &[u8]) -> Vec<u8> {
        self.broker.on_bytes(self.now_ms, conn, bytes);
        self.output(conn)
    }

    fn effects(&mut self) -> Vec<Effect> {
        std::iter::from_fn(|| self.broker.next_effect())
            .filter(|effect| !matches!(effect, Effect::Log { .. }))
            .collect()
    }

    /// Time passes, to this moment.
    fn until(&mut self, ms: u64) {
        while let Some(at_ms) = self.broker.next_deadline().filter(|&at_ms| at_ms <= ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.broker.on_timers(self.now_ms);
        }
        self.now_ms = ms;
    }

    fn published(&mut self) -> u64 {
        self.broker.counters().publish_received
    }
}

#[test]
fn a_topic_that_is_too_long_or_deep_is_answered_where_there_is_an_answer() {
    let quotas = Quotas {
        topic_levels: 3,
        topic_bytes: 20,
        ..Quotas::default()
    };
    for (topic, fits) in [
        ("a/b/c", true),
        ("a/b/c/d", false),
        ("///", false),
        ("//", true),
        ("exactly-twenty-bytes", true),
        ("exactly-twenty-bytes.", false),
    ] {
        let mut world = world(quotas);
        let conn = world.connect("c", Version::V5);
        let answer = world.send(conn, &publish(topic, Version::V5, QoS::AtLeastOnce));
        let reason = if fits { 0x10 } else { 0x90 };
        assert_eq!(answer[..5], [0x40, 3, 0, 7, reason], "{topic}");
        let answer = world.send(conn, &publish(topic, Version::V5, QoS::ExactlyOnce));
        assert_eq!(answer[..5], [0x50, 3, 0, 7, reason], "{topic}");
        assert!(world.effects().is_empty());
        let answer = world.send(conn, &publish(topic, Version::V5, QoS::AtMostOnce));
        assert_eq!(answer.is_empty(), fits, "{topic}");
        assert!(fits || answer[2] == 0x90, "DISCONNECT");
        let older = world.connect("d", Version::V311);
        world.effects();
        let answer = world.send(older, &publish(topic, Version::V311, QoS::AtLeastOnce));
        assert_eq!(answer.is_empty(), !fits, "{topic}");
        assert_eq!(world.effects().len(), usize::from(!fits), "closed");
        let refused = world.broker.counters().topics_refused;
        assert_eq!(refused, if fits { 0 } else { 4 });
    }
}

#[test]
fn a_will_and_filters_have_the_same_bounds() {
    let mut world = world(Quotas {
        topic_levels: 2,
        ..Quotas::default()
    });
    let conn = world.connect("c", Version::V5);
    for (filter, reason) in [
        ("a/#", 0),
        ("a/b/#", 0x8f),
        ("$share/g/a/b", 0),
        ("$share/g/a/b/c", 0x8f),
    ] {
        let bytes = subscribe_packet(&[filter], Version::V5, QoS::AtMostOnce);
        assert_eq!(world.send(conn, &bytes).last(), Some(&reason), "{filter}");
    }
    let bytes = subscribe_packet(&["a/b/c", "a"], Version::V311, QoS::AtMostOnce);
    let older = world.connect("d", Version::V311);
    assert_eq!(world.send(older, &bytes), [0x90, 4, 0, 1, 0x80, 0]);
    assert_eq!(world.broker.counters().subscriptions_refused, 3);
    let conn = world.broker.on_accept(world.now_ms, peer());
    let will = b"\x10\x20\x00\x04MQTT\x05\x06\x00\x3c\x00\x00\x01w\x00\x00\x05a/b/c\x00\x07goodbye";
    let mut will = will.to_vec();
    will[1] = (will.len() - 2) as u8;
    let answer = world.send(conn, &will);
    assert_eq!((answer[0], answer[3]), (0x20, 0x90));
}

#[test]
fn subscriptions_are_counted_shared_ones_among_them() {
    for (version, reason) in [(Version::V5, 0x97), (Version::V311, 0x80)] {
        let mut world = world(Quotas {
            subscriptions: 3,
            ..Quotas::default()
        });
        let conn = world.connect("c", version);
        let filters = ["a", "$share/g/b", "c", "d", "$share/g/d", "a", "$share/g/b"];
        let bytes = subscribe_packet(&filters, version, QoS::AtMostOnce);
        let answer = world.send(conn, &bytes);
        let reasons = &answer[answer.len() - 7..];
        assert_eq!(reasons, [0, 0, 0, reason, reason, 0, 0], "{version:?}");
        assert_eq!(world.broker.counters().subscriptions_refused, 2);
    }
    let mut world = world(Quotas {
        subscriptions: 1,
        ..Quotas::default()
    });
    let conn = world.connect("c", Version::V31);
    let bytes = subscribe_packet(&["a", "b"], Version::V31, QoS::AtMostOnce);
    assert_eq!(world.send(conn, &bytes), b"", "its SUBACK knows no error");
    assert_eq!(world.effects().len(), 1);
}

#[test]
fn a_client_without_a_name_has_no_wildcards_near_the_start() {
    let mut world = world(Quotas {
        wildcard_depth: 2,
        ..Quotas::default()
    });
    let conn = world.connect("c", Version::V5);
    for (filter, reason) in [
        ("#", 0x87),
        ("+", 0x87),
        ("a/#", 0x87),
        ("+/a/b", 0x87),
        ("a/+/b", 0x87),
        ("a/b/#", 0),
        ("a/b/+/+", 0),
        ("a", 0),
        ("a/b", 0),
        ("$share/g/#", 0x87),
        ("$share/g/a/b/#", 0),
        ("$SYS/#", 0),
        ("$SYS", 0),
    ] {
        let bytes = subscribe_packet(&[filter], Version::V5, QoS::AtMostOnce);
        assert_eq!(world.send(conn, &bytes).last(), Some(&reason), "{filter}");
    }
}

#[test]
fn who_publishes_too_fast_waits_and_loses_nothing() {
    let mut world = world(Quotas {
        publish_rate: 10,
        ..Quotas::default()
    });
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, Version::V311, "a/b", QoS::AtMostOnce);
    let conn = world.connect("p", Version::V311);
    let ping: &[u8] = b"\xc0\x00";
    let bytes = [&PUBLISH.repeat(25)[..], ping, &PUBLISH[..5]].concat();
    assert_eq!(world.send(conn, &bytes), b"", "PINGREQ comes behind");
    assert_eq!(world.published(), 10, "a second's worth at once");
    assert_eq!(world.effects(), [Effect::Pause { conn }]);
    assert!(world.broker.is_waiting(conn) && world.broker.is_established(conn));
    // What was on its way when reading ended.
    assert_eq!(world.send(conn, &PUBLISH[5..]), b"");
    world.until(1950);
    assert!(
        (19..=20).contains(&world.published()),
        "{}",
        world.published()
    );
    assert_eq!(world.effects(), [], "it stays held");
    world.until(2600);
    assert_eq!(world.published(), 26, "one of them in two pieces");
    assert_eq!(world.output(conn), b"\xd0\x00");
    assert_eq!(world.effects(), [Effect::Resume { conn }]);
    assert!(!world.broker.is_waiting(conn));
    assert_eq!(world.output(subscriber), PUBLISH.repeat(26));
    let counters = world.broker.counters();
    assert_eq!((counters.publish_paused, counters.publish_dropped), (1, 0));
}

#[test]
fn who_keeps_to_the_rate_is_never_held() {
    let mut world = world(Quotas {
        publish_rate: 100,
        ..Quotas::default()
    });
    let conn = world.connect("p", Version::V311);
    for second in 1..=20u64 {
        world.until(second * 1000);
        world.send(conn, &PUBLISH.repeat(100));
        assert_eq!(world.published(), second * 100);
    }
    assert_eq!(world.effects(), []);
    let other = world.connect("q", Version::V311);
    world.send(other, &PUBLISH.repeat(100));
    assert_eq!(world.effects(), [], "each has its own");
}

#[test]
fn what_was_sent_before_the_end_is_published_and_no_will() {
    let mut world = world(Quotas {
        publish_rate: 1,
        ..Quotas::default()
    });
    let conn = world.connect("p", Version::V311);
    let bytes = [&PUBLISH.repeat(3)[..], b"\xe0\x00"].concat();
    world.send(conn, &bytes);
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    assert_eq!(world.effects(), [Effect::Pause { conn }], "not yet");
    world.until(3500);
    assert_eq!(world.published(), 3);
    let how = CloseHow::Now;
    assert_eq!(world.effects(), [Effect::Close { conn, how }]);
    assert_eq!(world.broker.counters().clients_connected, 0);
}

#[test]
fn one_that_has_gone_is_not_caught_up_with_for_ever() {
    let mut world = world(Quotas {
        publish_rate: 1,
        ..Quotas::default()
    });
    let conn = world.connect("p", Version::V311);
    world.send(conn, &PUBLISH.repeat(1000));
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    world.effects();
    world.until(10_500);
    assert_eq!(world.effects(), []);
    world.until(12_500);
    let how = CloseHow::Now;
    assert_eq!(world.effects(), [Effect::Close { conn, how }]);
    assert!((9..=12).contains(&world.published()));
    // Another has gone, and then it breaks.
    let conn = world.connect("q", Version::V311);
    world.send(conn, &PUBLISH.repeat(1000));
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    world.effects();
    world
        .broker
        .on_eof(world.now_ms, conn, CloseCause::Error(104));
    assert_eq!(world.effects(), [Effect::Close { conn, how }]);
}

/// What it has sent behind its messages counts, also when they are dropped.
#[test]
fn a_goodbye_behind_dropped_messages_keeps_the_will_back() {
    for taken_over in [true, false] {
        let mut world = world(Quotas {
            publish_rate: 1,
            ..Quotas::default()
        });
        let reader = world.connect("r", Version::V311);
        world.subscribe(reader, Version::V311, "w", QoS::AtMostOnce);
        let conn = world.broker.on_accept(world.now_ms, peer());
        world.send(
            conn,
            b"\x10\x12\x00\x04MQTT\x04\x06\x00\x3c\x00\x01p\x00\x01w\x00\x00",
        );
        let bytes = [&PUBLISH.repeat(100)[..], b"\xe0\x00"].concat();
        world.send(conn, &bytes);
        world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
        if taken_over {
            let other = world.connect("p", Version::V311);
            assert!(!world.broker.is_waiting(conn) && other != conn);
        }
        world.until(20_000);
        assert!(world.effects().contains(&Effect::Close {
            conn,
            how: CloseHow::Now
        }));
        assert_eq!(world.output(reader), b"", "{taken_over}");
        let dropped = world.broker.counters().publish_dropped;
        assert!((80..100).contains(&dropped), "{dropped}");
    }
}

#[test]
fn a_held_connection_that_breaks_or_is_taken_over_is_gone_at_once() {
    let mut world = world(Quotas {
        publish_rate: 1,
        ..Quotas::default()
    });
    let conn = world.connect("p", Version::V311);
    world.send(conn, &PUBLISH.repeat(3));
    world.effects();
    world
        .broker
        .on_eof(world.now_ms, conn, CloseCause::Error(104));
    assert_eq!(world.effects().len(), 1, "closed");
    world.broker.on_closed(world.now_ms, conn);
    let again = world.connect("p", Version::V311);
    assert_eq!(again, conn, "the number is used again");
    world.send(conn, PUBLISH);
    assert_eq!(world.effects(), [], "with a bucket of its own");
    world.send(conn, &PUBLISH.repeat(3));
    assert!(world.broker.is_waiting(conn));
    let other = world.connect("p", Version::V311);
    assert_ne!(other, conn);
    assert!(!world.broker.is_waiting(conn), "its close is to be seen");
    world.until(60_000);
    world.broker.on_closed(world.now_ms, conn);
    assert_eq!(world.published(), 2);
}

#[test]
fn keep_alive_does_not_end_a_connection_that_is_held() {
    let mut world = world(Quotas {
        publish_rate: 1,
        ..Quotas::default()
    });
    let conn = world.broker.on_accept(world.now_ms, peer());
    world.send(conn, b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x02\x00\x01p");
    world.effects();
    world.send(conn, &PUBLISH.repeat(20));
    world.until(20_900);
    assert_eq!(world.published(), 20);
    let effects = world.effects();
    assert_eq!(effects, [Effect::Pause { conn }, Effect::Resume { conn }]);
    world.until(25_000);
    assert_eq!(world.effects().len(), 1, "keep alive holds again");
}

#[test]
fn refusals_do_not_flood_the_log() {
    let mut world = world(Quotas {
        subscriptions: 1,
        ..Quotas::default()
    });
    let conn = world.connect("c", Version::V5);
    let filters: Vec<String> = (0..1000).map(|number| format!("f{number}")).collect();
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    let bytes = subscribe_packet(&filters, Version::V5, QoS::AtMostOnce);
    world.send(conn, &bytes);
    let mut lines = || {
        std::iter::from_fn(|| world.broker.next_effect())
            .filter_map(|effect| match effect {
                Effect::Log { text, .. } if text.contains("may not") => Some(text),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(lines().len(), limits::REFUSAL_LINES_PER_S as usize);
    world.until(2000);
    world.send(conn, &bytes);
    let all: Vec<String> = std::iter::from_fn(|| world.broker.next_effect())
        .filter_map(|effect| match effect {
            Effect::Log { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    let left_out = "979 more refusals were not logged.";
    assert!(all.contains(&left_out.to_string()), "{all:?}");
    assert!(all.iter().any(|line| line.contains("may not")), "{all:?}");
}

#[test]
fn nobody_publishes_to_the_brokers_topics_and_a_will_there_is_dropped() {
    let mut world = World::new(Settings::default());
    let reader = world.connect("r", Version::V311);
    world.subscribe(reader, Version::V311, "$SYS/#", QoS::AtMostOnce);
    let conn = world.connect("c", Version::V5);
    let near = [
        "$SYS/broker/connection/state",
        "$SYS/broker/connection/a/b/state",
        "$SYS/broker/connection/a/state/x",
        "$SYS/broker/connection/a/status",
        "$SYS/broker/connections/a/state",
    ];
    let reserved = ["$SYS", "$SYS/x", "$SYSx", "$share/g/t", "$share", "$shared"];
    for topic in reserved.into_iter().chain(near) {
        let answer = world.send(conn, &publish(topic, Version::V5, QoS::AtLeastOnce));
        assert_eq!(answer[4], 0x87, "{topic}");
    }
    let answer = world.send(conn, &publish("$other", Version::V5, QoS::AtLeastOnce));
    assert_eq!(answer[4], 0x10);
    let conn = world.broker.on_accept(world.now_ms, peer());
    let will = b"\x10\x19\x00\x04MQTT\x04\x06\x00\x3c\x00\x01w\x00\x06$SYS/x\x00\x02no";
    assert_eq!(
        world.send(conn, will),
        [0x20, 2, 0, 0],
        "let in, as Mosquitto does"
    );
    world
        .broker
        .on_eof(world.now_ms, conn, CloseCause::Error(104));
    assert_eq!(world.output(reader), b"");
    let counters = world.broker.counters();
    assert_eq!((counters.publish_denied, counters.publish_dropped), (12, 0));
}

/// As Mosquitto's bridges tell whether they are there: by a message and by a will.
#[test]
fn the_state_of_a_bridge_is_for_clients_to_write() {
    let mut world = World::new(Settings::default());
    let reader = world.connect("r", Version::V311);
    world.subscribe(reader, Version::V311, "$SYS/#", QoS::AtMostOnce);
    let conn = world.broker.on_accept(world.now_ms, peer());
    let state = "$SYS/broker/connection/w/state";
    let mut connect = Vec::new();
    ConnectOut {
        client_id: "w",
        clean_start: true,
        will: Some(WillOut {
            topic: state,
            payload: b"0",
            retain: true,
            ..WillOut::default()
        }),
        ..ConnectOut::default()
    }
    .encode(Version::V311, &mut connect);
    world.send(conn, &connect);
    let answer = world.send(conn, &publish(state, Version::V311, QoS::AtLeastOnce));
    assert_eq!(answer[0], 0x40, "PUBACK");
    assert!(!world.output(reader).is_empty());
    world
        .broker
        .on_eof(world.now_ms, conn, CloseCause::Error(104));
    assert!(world.output(reader).ends_with(b"/state0"));
    assert_eq!(world.broker.counters().publish_denied, 0);
}

/// A bridge is not sent what it has published, and is told what is retained; in a group it is a member like others.
#[test]
fn a_bridge_has_no_local_and_retain_as_published() {
    let mut world = World::new(Settings::default());
    let bridge = world.broker.on_accept(world.now_ms, peer());
    let connect = b"\x10\x0d\x00\x04MQTT\x84\x02\x00\x3c\x00\x01b";
    assert_eq!(world.send(bridge, connect), [0x20, 2, 0, 0]);
    world.subscribe(bridge, Version::V311, "a/#", QoS::AtMostOnce);
    let other = world.connect("o", Version::V311);
    world.subscribe(other, Version::V311, "a/#", QoS::AtMostOnce);
    assert_eq!(world.send(bridge, PUBLISH), b"");
    assert_eq!(world.output(other), PUBLISH);
    let retained = b"\x31\x09\x00\x03a/bhell";
    let live = world.send(other, retained);
    assert_eq!(live, PUBLISH, "without the flag");
    assert_eq!(world.output(bridge), retained);
    world.subscribe(bridge, Version::V311, "$share/g/c", QoS::AtMostOnce);
    let shared = b"\x30\x07\x00\x01chell";
    assert_eq!(world.send(bridge, shared), shared);
}

/// Connects with MQTT 5 and sends QoS 2 messages with these identifiers, in one go.
fn send_exactly_once(world: &mut World, conn: ConnId, ids: std::ops::RangeInclusive<u16>) {
    for id in ids {
        let [high, low] = id.to_be_bytes();
        let publish = [0x34, 7, 0, 1, b't', high, low, 0, b'x'];
        world.broker.on_bytes(world.now_ms, conn, &publish);
    }
}

/// Libraries that do not count are borne, up to a bound; who goes on is ended (MQTT-3.3.4-9).
#[test]
fn a_little_more_than_the_receive_maximum_is_borne() {
    let mut world = World::new(Settings::default());
    let max = world.broker.clients.inbound_max();
    let borne = u16::try_from(crate::limits::INBOUND_BORNE).unwrap();
    let conn = world.connect("c", Version::V5);
    send_exactly_once(&mut world, conn, 1..=max);
    assert_eq!(world.broker.counters().receive_maximum_exceeded, 0);
    send_exactly_once(&mut world, conn, max + 1..=max + borne);
    let counted = world.broker.counters().receive_maximum_exceeded;
    assert_eq!(counted, u64::from(borne));
    let answers = world.output(conn);
    let received = answers.iter().filter(|&&byte| byte == 0x50).count();
    assert!(received >= usize::from(max + borne), "a PUBREC each");
    // One that is sent again is not one more.
    send_exactly_once(&mut world, conn, 1..=1);
    assert_eq!(world.output(conn)[0], 0x50);
    // One that is released makes room for another one.
    world.broker.on_bytes(world.now_ms, conn, &[0x62, 2, 0, 1]);
    send_exactly_once(&mut world, conn, 1..=1);
    let answers = world.output(conn);
    assert_eq!((answers[0], answers[4]), (0x70, 0x50));
    send_exactly_once(&mut world, conn, max + borne + 1..=max + borne + 1);
    let goodbye = world.output(conn);
    assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x93));
}
