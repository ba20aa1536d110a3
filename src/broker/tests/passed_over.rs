//! Shared subscriptions with members that may not read a message, or have no room for it.

use super::rights::{READS_ALL, infra, nobody, only, settings, world};
use super::*;
use crate::access::Acl;

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
    assert_eq!(world.stored(), (0, 0));
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
