//! What happens as memory becomes short: refused, slowed, dropped, closed, and counted.

use std::sync::Arc;

use super::slow::publish;
use super::*;
use crate::budget::{Account, Lease, Plan, Pool, Rung};
use crate::limits;

const MIB: u64 = 1 << 20;

/// A broker whose accounts have so many bytes each, and their pool.
fn world(account_bytes: u64) -> (World, Arc<Pool>) {
    let pool = Arc::new(Pool::new(&Plan::even(account_bytes), 1));
    let settings = Settings {
        max_queued_messages: 0,
        ..Settings::default()
    };
    let broker = Broker::new(Arc::new(settings), ShardId(0), 1, 7);
    let world = World {
        broker: broker.with_lease(Lease::new(pool.clone())),
        now_ms: 1000,
    };
    (world, pool)
}

impl World {
    fn turn(&mut self, ms: u64) -> bool {
        self.now_ms += ms;
        if self
            .broker
            .next_deadline()
            .is_some_and(|at| at <= self.now_ms)
        {
            self.broker.on_timers(self.now_ms);
        }
        self.broker.settle(self.now_ms)
    }

    fn closed(&mut self) -> Vec<ConnId> {
        let mut closed = Vec::new();
        while let Some(effect) = self.broker.next_effect() {
            if let Effect::Close { conn, .. } = effect {
                closed.push(conn);
            }
        }
        closed
    }

    /// A durable session that is subscribed to this topic with QoS 1, and away.
    fn away(&mut self, id: &str, topic: &str) {
        let connect = ConnectOut {
            client_id: id,
            clean_start: false,
            ..ConnectOut::default()
        };
        let conn = self.connect_as(&connect, Version::V311);
        self.output(conn);
        self.subscribe(conn, Version::V311, topic, QoS::AtLeastOnce);
        self.broker.on_bytes(self.now_ms, conn, b"\xe0\x00");
        self.broker.on_closed(self.now_ms, conn);
    }

    fn try_connect(&mut self, id: &str, version: Version) -> u8 {
        let conn = self.broker.on_accept(self.now_ms, peer());
        let mut bytes = Vec::new();
        let connect = ConnectOut {
            client_id: id,
            clean_start: true,
            ..ConnectOut::default()
        };
        connect.encode(version, &mut bytes);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        self.output(conn)[3]
    }
}

/// A PUBLISH of MQTT 5 with QoS 1 and the RETAIN flag.
fn retained_v5(topic: &str, payload: &[u8]) -> Vec<u8> {
    let len = 2 + topic.len() + 2 + 1 + payload.len();
    assert!(len < 128);
    let mut bytes = vec![0x33, len as u8, 0, topic.len() as u8];
    bytes.extend_from_slice(topic.as_bytes());
    bytes.extend_from_slice(&[0, 7, 0]);
    bytes.extend_from_slice(payload);
    bytes
}

#[test]
fn who_comes_when_memory_is_short_is_told_so() {
    let (mut world, pool) = world(64 * MIB);
    let here = world.connect("here", Version::V5);
    pool.set_rung(Rung::Refuse);
    assert_eq!(world.try_connect("old", Version::V311), 3);
    assert_eq!(world.try_connect("new", Version::V5), 0x97);
    assert_eq!(world.broker.counters().connects_refused, 2);
    let bytes = subscribe_packet(&["a/#"], Version::V5, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, here, &bytes);
    assert_eq!(world.output(here).last(), Some(&0x97));
    pool.set_rung(Rung::Calm);
    assert_eq!(world.try_connect("new", Version::V5), 0);
    world.subscribe(here, Version::V5, "a/#", QoS::AtMostOnce);
}

#[test]
fn a_backlog_stays_within_its_account_and_is_charged_once_for_all() {
    let (mut world, pool) = world(8 * MIB);
    for index in 0..100 {
        world.away(&format!("away{index}"), "a");
    }
    let publisher = world.connect("p", Version::V311);
    for _ in 0..1000 {
        world.publish(publisher, "a", 1, false, &[7; 1000]);
        world.output(publisher);
    }
    // A hundred references to each, and one message.
    let held = pool.leased(Account::Backlog);
    assert!(held < 6 * MIB && held > MIB, "{held}");
    assert_eq!(world.broker.counters().backlog_refused, 0);
    for _ in 0..20_000 {
        world.publish(publisher, "a", 1, false, &[7; 1000]);
        world.output(publisher);
    }
    world.turn(100);
    assert!(
        pool.leased(Account::Backlog) <= 9 * MIB,
        "{}",
        pool.leased(Account::Backlog)
    );
    assert!(world.broker.counters().backlog_refused > 0);
}

/// A client whose window is full for a moment, while the sessions of others have filled the account.
#[test]
fn who_is_there_has_a_place_in_its_queue_when_those_who_are_away_have_filled_theirs() {
    let (mut world, pool) = world(8 * MIB);
    let here = world.connect("here", Version::V311);
    world.subscribe(here, Version::V311, "b", QoS::AtLeastOnce);
    let publisher = world.connect("p", Version::V311);
    for index in 0..100 {
        world.away(&format!("away{index}"), "a");
    }
    let mut refused = 0;
    while refused == 0 || world.broker.counters().backlog_refused > refused {
        refused = world.broker.counters().backlog_refused;
        world.publish(publisher, "a", 1, false, &[7; 1000]);
        world.output(publisher);
        assert!(pool.leased(Account::Backlog) <= 9 * MIB);
        if refused > 10_000 {
            break;
        }
    }
    assert!(refused > 0);
    // Twice as many as may be in flight to it, before it acknowledges any.
    let before = world.broker.counters().backlog_refused;
    for number in 0..40u8 {
        world.publish(publisher, "b", 1, false, &[number; 256]);
    }
    assert_eq!(world.broker.counters().backlog_refused, before);
    let mut came = Vec::new();
    loop {
        let (mut acks, out) = (Vec::new(), world.output(here));
        super::slow::packets(Version::V311, &out, |packet| {
            if let crate::mqtt::Packet::Publish(publish) = packet {
                came.push(publish.payload[0]);
                acks.extend_from_slice(&[0x40, 2]);
                acks.extend_from_slice(&publish.packet_id.unwrap().get().to_be_bytes());
            }
        });
        if acks.is_empty() {
            break;
        }
        world.broker.on_bytes(world.now_ms, here, &acks);
    }
    assert!(came.into_iter().eq(0..40));
}

#[test]
fn retained_messages_beyond_the_account_are_refused_and_known_topics_are_not() {
    let (mut world, pool) = world(4 * MIB);
    let publisher = world.connect("p", Version::V5);
    let offer = |world: &mut World, topic: &str, payload: &[u8]| {
        world
            .broker
            .on_bytes(world.now_ms, publisher, &retained_v5(topic, payload));
        world.output(publisher).get(4).copied().unwrap_or(0)
    };
    let mut kept = 0;
    while offer(&mut world, &format!("t/{kept}"), b"some state") != 0x97 {
        kept += 1;
        assert!(kept < 100_000);
    }
    assert!(kept > 1000, "{kept}");
    assert_ne!(offer(&mut world, "t/5", b"other state"[..10].into()), 0x97);
    world.turn(100);
    assert!(pool.leased(Account::Retained) <= 4 * MIB + MIB / 2);
    assert_eq!(world.broker.counters().retained_messages, kept);
    // Without an answer that could say so one of that size is passed on, and not kept.
    let reader = world.connect("r", Version::V311);
    world.subscribe(reader, Version::V311, "t/new!!", QoS::AtMostOnce);
    let old = world.connect("old", Version::V311);
    world.publish(old, "t/new!!", 0, true, b"some state");
    assert_eq!(world.output(reader), b"\x30\x13\x00\x07t/new!!some state");
    assert_eq!(world.broker.counters().retained_messages, kept);
}

#[test]
fn a_packet_that_does_not_come_to_an_end_is_given_up() {
    let (mut world, _) = world(1024 * MIB);
    let slow = world.connect("slow", Version::V5);
    let steady = world.connect("steady", Version::V5);
    for conn in [slow, steady] {
        // 200 MB are announced.
        world
            .broker
            .on_bytes(world.now_ms, conn, b"\x30\xff\xff\xff\x5f\x00\x01a\x00");
    }
    for second in 0..90 {
        world.broker.on_bytes(world.now_ms, slow, b"x");
        world.broker.on_bytes(world.now_ms, steady, &[0; 2000]);
        world.turn(1000);
        let closed = world.closed();
        if !closed.is_empty() {
            assert_eq!(closed, [slow], "after {second} s");
            assert!((59..70).contains(&second), "after {second} s");
            world.broker.on_closed(world.now_ms, slow);
        }
    }
    assert_eq!(world.broker.counters().packets_too_slow, 1);
    assert!(world.broker.is_established(steady));
}

#[test]
fn incomplete_packets_stay_within_their_account_and_the_largest_go_first() {
    let (mut world, pool) = world(8 * MIB);
    let small = world.connect("small", Version::V5);
    world
        .broker
        .on_bytes(world.now_ms, small, b"\x30\xff\xff\x03\x00\x01a\x00");
    let large: Vec<ConnId> = (0..20)
        .map(|index| world.connect(&format!("l{index}"), Version::V5))
        .collect();
    for &conn in &large {
        world
            .broker
            .on_bytes(world.now_ms, conn, b"\x30\xff\xff\xff\x5f\x00\x01a\x00");
    }
    for _ in 0..200 {
        for &conn in &large {
            world.broker.on_bytes(world.now_ms, conn, &[0; 30_000]);
        }
        for conn in world.closed() {
            assert_ne!(conn, small);
        }
        assert!(pool.leased(Account::Packets) <= 8 * MIB);
    }
    assert!(world.broker.counters().packets_refused > 0);
    assert!(world.broker.is_established(small));
}

#[test]
fn publishers_wait_while_memory_is_short_and_lose_nothing() {
    let (mut world, pool) = world(64 * MIB);
    let reader = world.connect("r", Version::V311);
    world.subscribe(reader, Version::V311, "a/#", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    pool.set_rung(Rung::Slow);
    world.turn(1);
    for _ in 0..3 {
        world.broker.on_bytes(world.now_ms, publisher, PUBLISH);
    }
    assert!(world.output(reader).is_empty());
    assert_eq!(world.broker.counters().publish_slowed, 1);
    world.turn(limits::SLOW_MS + 200);
    assert_eq!(
        world.output(reader),
        PUBLISH.repeat(3),
        "slower, not stopped"
    );
    pool.set_rung(Rung::Calm);
    world.turn(1000);
    world.broker.on_bytes(world.now_ms, publisher, PUBLISH);
    assert_eq!(world.output(reader), PUBLISH);
}

#[test]
fn the_heaviest_connection_is_closed_first_and_only_while_it_is_needed() {
    let (mut world, pool) = world(64 * MIB);
    let light = world.connect("light", Version::V311);
    let heavy = world.connect("heavy", Version::V5);
    world.subscribe(light, Version::V311, "small", QoS::AtMostOnce);
    world.subscribe(heavy, Version::V5, "large", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "large", 0, false, &vec![7; 1 << 20]);
    world.publish(publisher, "small", 0, false, b"x");
    pool.set_rung(Rung::Shed);
    pool.set_level(limits::RUNG_SHED);
    world.turn(limits::PRESSURE_LOOK_MS);
    assert_eq!(world.closed(), [heavy]);
    assert_eq!(world.broker.counters().shed, 1);
    world.broker.on_closed(world.now_ms, heavy);
    for _ in 0..10 {
        world.turn(limits::PRESSURE_LOOK_MS);
    }
    assert!(world.closed().is_empty(), "nobody else holds anything");
    assert!(world.broker.is_established(light));
}

/// Each has a megabyte of the same messages pending when other traffic pushes them out of the window of the log.
#[test]
fn those_who_lag_together_share_what_they_lag_by() {
    let (mut world, pool) = world(64 * MIB);
    for index in 0..500 {
        let conn = world.connect(&format!("s{index}"), Version::V311);
        world.subscribe(conn, Version::V311, "slow", QoS::AtMostOnce);
    }
    let publisher = world.connect("p", Version::V311);
    let lively = world.connect("lively", Version::V311);
    world.subscribe(lively, Version::V311, "other", QoS::AtMostOnce);
    for _ in 0..1000 {
        world.publish(publisher, "slow", 0, false, &[1; 1000]);
    }
    for _ in 0..60_000 {
        world.publish(publisher, "other", 0, false, &[2; 1000]);
        world.output(lively);
    }
    world.turn(100);
    let held = pool.leased(Account::Outbound);
    assert!(held < 24 * MIB, "{held}");
    assert_eq!(world.broker.counters().publish_dropped, 0);
    for index in 0..500 {
        assert_eq!(world.output(ConnId(index)).len(), 1000 * 1009, "{index}");
    }
}

#[test]
fn memory_is_given_back_after_a_peak() {
    let (mut world, pool) = world(64 * MIB);
    world.turn(1000);
    let before = pool.leased(Account::Connections);
    let conns: Vec<ConnId> = (0..20_000)
        .map(|index| world.connect(&format!("c{index}"), Version::V311))
        .collect();
    world.turn(1000);
    assert!(pool.leased(Account::Connections) > before + MIB);
    for conn in conns {
        world.broker.on_bytes(world.now_ms, conn, b"\xe0\x00");
        world.broker.on_closed(world.now_ms, conn);
    }
    let gave_back = (0..60).any(|_| world.turn(1000));
    assert!(gave_back);
    let after = pool.leased(Account::Connections);
    assert!(after <= before + MIB, "{before} {after}");
    assert!(!world.turn(20_000), "once");
}

/// What one client has that stays is not all that there was.
#[test]
fn memory_is_given_back_although_the_last_one_stays() {
    let (mut world, pool) = world(64 * MIB);
    let before = pool.leased(Account::Connections);
    let conns: Vec<ConnId> = (0..20_000)
        .map(|index| world.connect(&format!("c{index}"), Version::V311))
        .collect();
    let (&last, others) = conns.split_last().unwrap();
    world.subscribe(last, Version::V311, "t", QoS::AtMostOnce);
    for &conn in others {
        world.broker.on_bytes(world.now_ms, conn, b"\xe0\x00");
        world.broker.on_closed(world.now_ms, conn);
    }
    assert!((0..60).any(|_| world.turn(1000)));
    let after = pool.leased(Account::Connections);
    assert!(after <= before + MIB, "{before} {after}");
    let publisher = world.connect("p", Version::V311);
    world
        .broker
        .on_bytes(world.now_ms, publisher, &publish("t", 0, false, b"x"));
    assert!(world.output(last).ends_with(b"x"));
    for index in 0..1000 {
        world.connect(&format!("n{index}"), Version::V311);
    }
    world.turn(1000);
}

mod policies {
    use super::*;
    use crate::session::SlowPolicy;

    fn world(policy: SlowPolicy) -> (World, ConnId, ConnId) {
        let mut settings = Settings::default();
        let mut listener = settings.listeners.first().cloned().unwrap_or_default();
        listener.slow_policy = Some(policy);
        settings.listeners = vec![listener];
        let mut world = World::new(settings);
        let reader = world.connect("r", Version::V311);
        world.subscribe(reader, Version::V311, "#", QoS::AtMostOnce);
        let publisher = world.connect("p", Version::V311);
        (world, reader, publisher)
    }

    /// Publishes 6000 messages of a kilobyte on ten topics, numbered; returns what comes, by topic and number.
    fn flood(world: &mut World, reader: ConnId, publisher: ConnId) -> Vec<(u32, u32)> {
        for number in 0..6000u32 {
            let mut payload = [0; 1000];
            payload[..4].copy_from_slice(&number.to_be_bytes());
            let bytes = publish(&format!("t{}", number % 10), 0, false, &payload);
            world.broker.on_bytes(world.now_ms, publisher, &bytes);
        }
        let mut came = Vec::new();
        super::super::slow::packets(Version::V311, &world.output(reader), |packet| {
            if let crate::mqtt::Packet::Publish(publish) = packet {
                let number = u32::from_be_bytes(publish.payload[..4].try_into().unwrap());
                came.push((number % 10, number));
            }
        });
        came
    }

    #[test]
    fn drop_oldest_keeps_the_newest() {
        let (mut world, reader, publisher) = world(SlowPolicy::DropOldest);
        let came = flood(&mut world, reader, publisher);
        assert_eq!(came.last(), Some(&(9, 5999)));
        assert!(came.len() < 5000 && came[0].1 > 0);
    }

    #[test]
    fn drop_newest_keeps_the_oldest() {
        let (mut world, reader, publisher) = world(SlowPolicy::DropNewest);
        let came = flood(&mut world, reader, publisher);
        let numbers: Vec<u32> = came.iter().map(|&(_, number)| number).collect();
        let expected: Vec<u32> = (0..numbers.len() as u32).collect();
        assert_eq!(numbers, expected);
        assert!(numbers.len() < 5000);
    }

    #[test]
    fn disconnect_ends_the_connection() {
        let (mut world, reader, publisher) = world(SlowPolicy::Disconnect);
        flood(&mut world, reader, publisher);
        assert!(!world.broker.is_established(reader));
        assert_eq!(world.broker.counters().clients_slow, 1);
    }

    #[test]
    fn latest_has_the_newest_of_each_topic_and_never_an_older_one_behind_it() {
        let (mut world, reader, publisher) = world(SlowPolicy::Latest);
        let came = flood(&mut world, reader, publisher);
        assert!(came.len() < 200, "{}", came.len());
        let mut newest = [None; 10];
        for (topic, number) in came {
            assert!(newest[topic as usize] < Some(number));
            newest[topic as usize] = Some(number);
        }
        let expected: Vec<_> = (5990..6000).map(Some).collect();
        assert_eq!(newest.to_vec(), expected);
        assert!(world.broker.counters().publish_replaced > 5000);
    }

    #[test]
    fn a_user_has_a_policy_of_its_own() {
        let listener = ListenerSettings {
            slow_policy: Some(SlowPolicy::DropNewest),
            slow_policy_of: vec![("ann".into(), SlowPolicy::Latest)],
            ..ListenerSettings::default()
        };
        assert_eq!(
            listener.slow_policy_for(Some("ann")),
            Some(SlowPolicy::Latest)
        );
        assert_eq!(
            listener.slow_policy_for(Some("bob")),
            Some(SlowPolicy::DropNewest)
        );
        assert_eq!(listener.slow_policy_for(None), Some(SlowPolicy::DropNewest));
    }
}

/// One large message against many small ones that wait: they go one after the other, however many they are.
#[test]
fn many_small_messages_make_room_for_a_large_one() {
    use crate::session::SlowPolicy;
    let settings = Settings {
        max_queued_messages: 0,
        max_queued_bytes: 1 << 20,
        ..Settings::default()
    };
    let listener = ListenerSettings {
        slow_policy: Some(SlowPolicy::DropOldest),
        ..settings.listeners[0].clone()
    };
    let mut world = World::new(Settings {
        listeners: vec![listener],
        ..settings
    });
    world.away("away", "a");
    let publisher = world.connect("p", Version::V311);
    for _ in 0..200_000 {
        world.publish(publisher, "a", 1, false, b"12345");
        world.output(publisher);
    }
    world.publish(publisher, "a", 1, false, &vec![7; 1 << 20]);
    let counters = world.broker.counters();
    assert_eq!(counters.stored_messages, 1);
    assert_eq!(counters.publish_dropped, 200_000);
}

/// What CONNACK announces is kept, as long as nobody else has begun a packet.
#[test]
fn a_packet_of_the_announced_size_gets_through() {
    let (mut world, _) = world(8 * MIB);
    world.turn(1);
    let max = world.broker.clients.packet_bytes_max();
    assert!(u64::from(max) < 8 * MIB && u64::from(max) >= MIB, "{max}");
    let reader = world.connect("r", Version::V311);
    world.subscribe(reader, Version::V311, "a", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    let packet = publish("a", 0, false, &vec![7; max as usize - 7]);
    assert_eq!(packet.len(), max as usize);
    for piece in packet.chunks(30_000) {
        world.broker.on_bytes(world.now_ms, publisher, piece);
    }
    assert!(world.broker.is_established(publisher));
    assert_eq!(world.output(reader), packet);
}

/// The same filter again and again, with the messages that are retained for it: what waits for that is bounded.
#[test]
fn questions_about_retained_messages_are_bounded_by_memory() {
    let (mut world, pool) = world(2 * MIB);
    let store = world.connect("store", Version::V311);
    for number in 0..5000 {
        world.publish(store, &format!("t/{number}"), 0, true, b"x");
    }
    let greedy = world.connect("greedy", Version::V311);
    let long = format!("+/{}", "x".repeat(50_000));
    let bytes = subscribe_packet(&["#", &long], Version::V311, QoS::AtMostOnce);
    let mut rounds = 0;
    while world.broker.is_established(greedy) && rounds < 1000 {
        world.broker.on_bytes(world.now_ms, greedy, &bytes);
        world.turn(1);
        assert!(pool.leased(Account::Connections) < 3 * MIB);
        rounds += 1;
    }
    assert!(rounds < 1000, "closed when there is no room");
}

#[test]
fn a_small_account_of_output_is_not_overdrawn_by_the_log_alone() {
    let (mut world, pool) = world(3 * MIB);
    world.turn(100);
    let readers: Vec<ConnId> = (0..4)
        .map(|index| {
            let conn = world.connect(&format!("r{index}"), Version::V311);
            world.subscribe(conn, Version::V311, "#", QoS::AtMostOnce);
            conn
        })
        .collect();
    let publisher = world.connect("p", Version::V311);
    for round in 0..10_000 {
        world.publish(publisher, "a", 0, false, &[7; 1000]);
        if round % 10 == 0 {
            for &reader in &readers {
                world.output(reader);
            }
        }
        world.turn(1);
        assert!(pool.free(Account::Outbound) >= 0);
    }
    assert_eq!(world.broker.counters().shed, 0);
}
