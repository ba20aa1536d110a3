//! Shared subscriptions with members that may not read a message, or have no room for it.

use super::rights::{READS_ALL, infra, nobody, only, settings, world};
use super::*;
use crate::access::Acl;
use crate::limits;

/// Members of a group, of whom only workers may read, on one shard.
fn group(world: &mut World, strangers: usize, workers: usize, qos: QoS) -> Vec<ConnId> {
    let join = |world: &mut World, user, id: String| {
        let connect = ConnectOut {
            client_id: &id,
            username: user,
            ..infra()
        };
        let conn = world.connect_as(&connect, Version::V5);
        world.output(conn);
        world.subscribe(conn, Version::V5, "$share/g/#", qos);
        conn
    };
    for index in 0..strangers {
        join(world, None, format!("stranger{index}"));
    }
    (0..workers)
        .map(|index| join(world, Some("infra"), format!("worker{index}")))
        .collect()
}

#[test]
fn a_member_that_may_not_read_a_message_is_passed_over() {
    for (strangers, workers) in [(9, 1), (9, 3), (300, 2)] {
        let (mut world, publisher) = world([Some(READS_ALL), None], 20);
        let workers = group(&mut world, strangers, workers, QoS::AtLeastOnce);
        let mut got = vec![Vec::new(); workers.len()];
        for number in 0..1000 {
            world.publish(publisher, &format!("secret/{number}"), 1, false, b"x");
            for (conn, got) in workers.iter().zip(&mut got) {
                got.append(&mut world.arrivals(*conn));
            }
        }
        let mut all: Vec<String> = got.iter().flatten().cloned().collect();
        all.sort();
        let mut expected = only("secret", 0..1000);
        expected.sort();
        assert!(all == expected, "{strangers}: {} arrived", all.len());
        let least = got.iter().map(Vec::len).min().unwrap();
        assert!(least >= (800 - strangers) / workers.len(), "fair: {least}");
        assert_eq!(world.broker.counters().publish_dropped, 0);
    }
}

/// Nobody gets it, nothing is kept, and it goes around once.
#[test]
fn a_message_that_no_member_may_read_is_nobodys() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 20);
    group(&mut world, 50, 0, QoS::AtLeastOnce);
    for _ in 0..100 {
        world.publish(publisher, "secret/x", 1, false, b"x");
    }
    while world.broker.next_deadline() == Some(0) {
        turn(&mut world);
    }
    assert_eq!(world.stored(), (0, 0));
    assert_eq!(world.broker.counters().publish_dropped, 100);
}

/// One takes nothing and its queue is full: the others get everything, and nothing is dropped before all are full.
#[test]
fn a_member_without_room_is_passed_over() {
    let mut settings = settings([Some(READS_ALL), None], 2);
    settings.max_queued_messages = 10;
    let (mut world, publisher) = world([None, None], 2);
    world.broker.on_reload(world.now_ms, Arc::new(settings));
    let members = group(&mut world, 1, 2, QoS::AtLeastOnce);
    let (stuck, lively) = (members[0], members[1]);
    let mut got = 0;
    for number in 0..500 {
        world.publish(publisher, &format!("secret/{number}"), 1, false, b"x");
        got += world.arrivals(lively).len();
    }
    assert_eq!(got, 500 - 12, "two in flight and ten waiting");
    assert_eq!(world.broker.counters().publish_dropped, 0);
    // Now the other one takes nothing either.
    for _ in 0..20 {
        world.publish(publisher, "secret/x", 1, false, b"x");
    }
    assert_eq!(world.broker.counters().publish_dropped, 20 - 12);
    assert_eq!(world.arrivals(lively).len(), 12);
    assert_eq!(world.arrivals(stuck).len(), 12);
}

/// What waited for a member that may not read it any more is another member's.
#[test]
fn what_a_member_may_not_read_any_more_goes_to_others() {
    for is_in_flight in [true, false] {
        let (mut world, publisher) = world([Some(READS_ALL), None], 2);
        let members = group(&mut world, 0, 2, QoS::AtLeastOnce);
        let (first, second) = (members[0], members[1]);
        let count = if is_in_flight { 2 } else { 8 };
        for number in 0..count {
            world.publish(publisher, &format!("secret/{number}"), 1, false, b"x");
        }
        let mut seen = world.arrivals(second);
        let mut half = (seen.len(), Vec::new());
        if is_in_flight {
            world.output(first);
            // It comes back as nobody with its client id.
            world.leave(first);
            let connect = ConnectOut {
                client_id: "worker0",
                ..nobody()
            };
            let conn = world.connect_as(&connect, Version::V5);
            half.1 = world.arrivals(conn);
        } else {
            let mut settings = settings([Some(READS_ALL), None], 2);
            let other = READS_ALL.replace("user infra", "user worker");
            let acl = Acl::parse(other.as_bytes()).unwrap().0;
            settings.listeners[0].acl = Some(Arc::new(acl));
            // Both lose the right; the second comes back with it.
            world.broker.on_reload(world.now_ms, Arc::new(settings));
            world.leave(second);
            let connect = ConnectOut {
                client_id: "worker1",
                username: Some("worker"),
                ..infra()
            };
            let second = world.connect_as(&connect, Version::V5);
            world.output(second);
            half.1 = world.arrivals(first);
            seen.append(&mut world.arrivals(second));
        }
        if is_in_flight {
            assert!(half.1.is_empty());
            seen.append(&mut world.arrivals(second));
            seen.sort();
            assert_eq!(seen, only("secret", 0..2));
        } else {
            seen.append(&mut half.1.clone());
            seen.sort();
            assert_eq!(seen, only("secret", 0..8));
            // Two were in flight to the first one when it could read them.
            assert_eq!(half.1.len(), 2);
        }
        assert_eq!(world.stored(), (0, 0));
    }
}

/// More members than are asked at once.
const MANY: usize = 3 * limits::GROUP_ASKS_MAX - 100;

/// The next turn; how often a member was asked in it.
fn turn(world: &mut World) -> u64 {
    let before = world.broker.counters().shared_asked;
    if world.broker.next_deadline() == Some(0) {
        world.broker.on_timers(world.now_ms);
    }
    world.broker.settle(world.now_ms);
    world.broker.counters().shared_asked - before
}

/// Publishes; how often a member was asked at once.
fn asks(world: &mut World, publisher: ConnId, topic: &str) -> u64 {
    let before = world.broker.counters().shared_asked;
    world.publish(publisher, topic, 1, false, b"x");
    world.broker.counters().shared_asked - before
}

/// The one whose turn it is, as many others as are asked at once, and the one that takes it.
const AT_ONCE: u64 = limits::GROUP_ASKS_MAX as u64 + 2;

#[test]
fn strangers_without_a_right_are_asked_once_each() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 20);
    let worker = group(&mut world, MANY, 1, QoS::AtLeastOnce)[0];
    let (mut all, mut got) = (0, Vec::new());
    for number in 0..MANY {
        let asked = asks(&mut world, publisher, &format!("secret/{number}"));
        assert!(asked <= AT_ONCE, "{asked} at once");
        all += asked;
        while world.broker.next_deadline() == Some(0) {
            let asked = turn(&mut world);
            assert!(asked <= AT_ONCE, "{asked} in a turn");
            all += asked;
        }
        got.append(&mut world.arrivals(worker));
    }
    // Each by the shard that chooses and by its own, and each message twice.
    assert!(all <= 4 * MANY as u64, "{all}");
    for number in 0..500 {
        all = asks(&mut world, publisher, &format!("secret/{number}"));
        assert!(all <= 3, "{all}");
        got.append(&mut world.arrivals(worker));
    }
    let mut expected = only("secret", 0..MANY as u32);
    expected.extend(only("secret", 0..500));
    expected.sort();
    got.sort();
    assert!(got == expected, "{} of {}", got.len(), expected.len());
    assert_eq!(world.broker.counters().publish_dropped, 0);
}

/// However many may not read a message, it asks a bounded number of them at once, until it has asked all.
#[test]
fn a_message_that_nobody_may_read_asks_some_each_turn() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 20);
    group(&mut world, MANY, 0, QoS::AtLeastOnce);
    for _ in 0..3 {
        let mut asked = asks(&mut world, publisher, "secret/x");
        assert!(asked <= AT_ONCE, "{asked} at once");
        let mut turns = 0;
        while world.broker.next_deadline() == Some(0) {
            let more = turn(&mut world);
            assert!(more <= AT_ONCE, "{more} in a turn");
            (asked, turns) = (asked + more, turns + 1);
            assert!(turns < 100);
        }
        assert!(turns >= 2, "{turns}");
        assert!(asked >= MANY as u64, "all have been asked: {asked}");
    }
    assert_eq!(world.stored(), (0, 0));
    // Rights are rights to topics: what they may read is one's of them.
    world.publish(publisher, "pub/x", 1, false, b"x");
    while world.broker.next_deadline() == Some(0) {
        turn(&mut world);
    }
    assert_eq!(world.stored().0, 1);
}

/// Messages wait for more members to be asked, and only so many of them; the others go on at once, and none is lost.
#[test]
fn what_goes_on_being_offered_is_bounded_and_not_lost() {
    const MESSAGES: usize = 3 * limits::GROUP_OFFERS_MAX;
    let rules = "topic write #\nuser infra\ntopic write #\ntopic read secret/#\n";
    let (mut world, publisher) = world([Some(rules), None], 20);
    let mut settings = settings([Some(rules), None], 20);
    settings.max_queued_messages = 0;
    world.broker.on_reload(world.now_ms, Arc::new(settings));
    let worker = group(&mut world, MANY, 1, QoS::AtLeastOnce)[0];
    // Nobody may read this: all are barred.
    for number in 0..=MANY {
        asks(&mut world, publisher, &format!("other/{number}"));
        turn(&mut world);
    }
    while world.broker.next_deadline() == Some(0) {
        turn(&mut world);
    }
    assert_eq!(world.broker.offers.bytes(), 0);
    let mut most = 0;
    for number in 0..MESSAGES {
        world.publish(publisher, &format!("secret/{number}"), 1, false, b"x");
        most = most.max(world.broker.offers.bytes());
    }
    let mut turns = 0;
    while world.broker.next_deadline() == Some(0) {
        turn(&mut world);
        turns += 1;
        assert!(turns < 10_000);
    }
    assert!(most <= 2 * limits::GROUP_OFFERS_BYTES_MAX as u64, "{most}");
    assert_eq!(world.broker.offers.bytes(), 0);
    let mut got = world.arrivals(worker);
    got.sort();
    let mut expected = only("secret", 0..MESSAGES as u32);
    expected.sort();
    assert!(got == expected, "{} came", got.len());
}

/// Whom rules let read from here on has its turn again.
#[test]
fn who_gets_a_right_takes_turns_again() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 20);
    let members = group(&mut world, 3, 1, QoS::AtLeastOnce);
    for _ in 0..10 {
        world.publish(publisher, "secret/x", 1, false, b"x");
    }
    assert_eq!(world.arrivals(members[0]).len(), 10);
    let all = settings(
        [
            Some("topic readwrite #\nuser infra\ntopic readwrite #\n"),
            None,
        ],
        20,
    );
    world.broker.on_reload(world.now_ms, Arc::new(all));
    for _ in 0..12 {
        world.publish(publisher, "secret/x", 1, false, b"x");
    }
    assert!((1..=4).contains(&world.arrivals(members[0]).len()));
}

/// Somebody comes back, and is barred again, while a message asks those that are: all others are asked all the same.
#[test]
fn who_is_barred_meanwhile_takes_nobodys_turn() {
    let rules = "topic write #\nuser infra\ntopic write #\ntopic read secret/#\n";
    let (mut world, publisher) = world([Some(rules), None], 20);
    let finish = |world: &mut World| {
        while world.broker.next_deadline() == Some(0) {
            turn(world);
        }
    };
    let again = group(&mut world, 0, 1, QoS::AtLeastOnce)[0];
    world.leave(again);
    let again = || ConnectOut {
        client_id: "worker0",
        ..nobody()
    };
    let mut conn = world.connect_as(&again(), Version::V5);
    group(&mut world, MANY, 0, QoS::AtLeastOnce);
    // Nobody may read this: all are barred, and then the worker as the last one.
    for number in 0..=MANY {
        asks(&mut world, publisher, &format!("other/{number}"));
        finish(&mut world);
    }
    let connect = ConnectOut {
        client_id: "worker",
        ..infra()
    };
    let worker = world.connect_as(&connect, Version::V5);
    world.output(worker);
    world.subscribe(worker, Version::V5, "$share/g/#", QoS::AtLeastOnce);
    asks(&mut world, publisher, "other/x");
    finish(&mut world);
    asks(&mut world, publisher, "secret/x");
    assert_eq!(world.broker.next_deadline(), Some(0), "it goes on");
    world.leave(conn);
    conn = world.connect_as(&again(), Version::V5);
    finish(&mut world);
    assert_eq!(world.arrivals(worker), ["secret/x"]);
    assert!(world.arrivals(conn).is_empty());
}
