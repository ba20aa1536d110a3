//! Publishers wait while owners do not pass on what they sent.

use super::ordered::{client, first_of_three, sent, subscriber};
use super::rights::settings;
use super::slow::{packets, publish};
use super::*;
use crate::budget::Account;
use crate::limits;
use crate::mqtt::Packet;

const FLOOD: usize = 3000;
const MAX: usize = limits::UNDER_WAY_MESSAGES_MAX as usize;

/// Numbers from `from` on, to one topic; the first is to be retained.
fn flood(topic: &str, numbers: std::ops::Range<usize>) -> Vec<u8> {
    let first = numbers.start;
    let packet = |number: usize| publish(topic, 1, number == first, number.to_string().as_bytes());
    numbers.flat_map(packet).collect()
}

/// What the owner was given since the last call.
fn given(world: &mut World) -> Vec<usize> {
    let number = |(to, message)| match message {
        MeshMessage::Ordered(ordered) => {
            assert_eq!(to, 2);
            let payload = std::str::from_utf8(&ordered.message.payload).unwrap();
            Some(payload.parse().unwrap())
        }
        _ => None,
    };
    sent(world).into_iter().filter_map(number).collect()
}

/// The owner has passed on so many; and the next turn.
fn passed_on(world: &mut World, count: usize) {
    let told = MeshMessage::PassedOn {
        count: count as u64,
        sent: [0; 3].into(),
    };
    world.broker.on_mesh(world.now_ms, ShardId(2), told);
    turn(world);
}

fn turn(world: &mut World) {
    if world.broker.next_deadline() == Some(0) {
        world.broker.on_timers(world.now_ms);
    }
    world.broker.settle(world.now_ms);
}

fn acknowledged(world: &mut World, conn: ConnId) -> usize {
    let mut count = 0;
    packets(Version::V311, &world.output(conn), |packet| {
        count += usize::from(matches!(packet, Packet::Puback(_)));
    });
    count
}

fn kept(world: &World) -> i64 {
    world.broker.clients.memory.lease.held(Account::Packets)
}

/// A subscriber and a publisher on one shard, and an owner that does nothing.
fn world() -> (World, String, ConnId) {
    let (mut world, topic) = first_of_three();
    subscriber(&mut world);
    let publisher = client(&mut world, "p");
    sent(&mut world);
    (world, topic, publisher)
}

#[test]
fn a_publisher_waits_while_the_owner_passes_nothing_on() {
    let (mut world, topic, publisher) = world();
    let other = client(&mut world, "q");
    let bytes = flood(&topic, 0..FLOOD);
    world.broker.on_bytes(world.now_ms, publisher, &bytes);
    let mut all = given(&mut world);
    assert_eq!(all.len(), MAX, "no more than the bound");
    assert_eq!(acknowledged(&mut world, publisher), MAX);
    assert!(world.broker.is_held(publisher));
    assert_eq!(world.broker.counters().publish_awaited, 1);
    assert!(kept(&world) > 0);
    // What comes then is kept as well, and others are not concerned.
    let more = flood(&topic, FLOOD..FLOOD + 1);
    world.broker.on_bytes(world.now_ms, publisher, &more);
    world.publish(other, &topic, 1, false, b"straight");
    assert_eq!(acknowledged(&mut world, other), 1);
    assert!(given(&mut world).is_empty());

    let mut acks = MAX;
    while all.len() <= FLOOD {
        let before = all.len();
        passed_on(&mut world, before - 1);
        all.append(&mut given(&mut world));
        acks += acknowledged(&mut world, publisher);
        assert!(all.len() > before && all.len() < before + MAX);
        assert_eq!(acks, all.len(), "what is acknowledged is on its way");
    }
    assert_eq!(all, Vec::from_iter(0..=FLOOD));
    passed_on(&mut world, all.len());
    assert!(!world.broker.is_held(publisher));
    assert_eq!(kept(&world), 0);
    assert_eq!(world.broker.ordering.under_way.all(), Default::default());
}

#[test]
fn large_messages_are_bounded_by_their_bytes() {
    let (mut world, topic, publisher) = world();
    let large = vec![b'x'; limits::UNDER_WAY_BYTES_MAX as usize / 3];
    for _ in 0..10 {
        world.publish(publisher, &topic, 0, true, &large);
    }
    let ordered = |world: &mut World| {
        let is_ordered =
            |(_, message): &(u8, MeshMessage)| matches!(message, MeshMessage::Ordered(_));
        sent(world).into_iter().filter(is_ordered).count()
    };
    assert_eq!(ordered(&mut world), 3);
    passed_on(&mut world, 3);
    assert_eq!(ordered(&mut world), 3);
}

/// All together have a bound too, and each comes in its turn.
#[test]
fn publishers_share_what_all_may_have_under_way() {
    let (mut world, topic) = first_of_three();
    world.broker = world.broker.with_under_way(4, 6);
    subscriber(&mut world);
    let publishers: Vec<_> = (0..20)
        .map(|number| client(&mut world, &format!("p{number}x")))
        .collect();
    sent(&mut world);
    for (number, &publisher) in publishers.iter().enumerate() {
        let bytes = flood(&topic, 100 * number..100 * number + 10);
        world.broker.on_bytes(world.now_ms, publisher, &bytes);
    }
    let mut all = given(&mut world);
    let mut rounds = 0;
    while all.len() < 200 {
        assert!(world.broker.ordering.under_way.all().messages <= 6);
        if rounds == 20 {
            let begun = |number: usize| all.contains(&(100 * number));
            assert!((0..20).all(begun), "each has had its turn");
        }
        rounds += 1;
        assert!(rounds < 200);
        passed_on(&mut world, all.len() - 1);
        all.append(&mut given(&mut world));
    }
    for (number, &publisher) in publishers.iter().enumerate() {
        let own = all.iter().filter(|&&one| one / 100 == number);
        let expected = 100 * number..100 * number + 10;
        assert_eq!(own.copied().collect::<Vec<_>>(), Vec::from_iter(expected));
        assert_eq!(acknowledged(&mut world, publisher), 10);
    }
    assert_eq!(kept(&world), 0);
}

/// What was received of one that waits is not lost by its waiting, however it ends; and nothing of it stays.
#[test]
fn what_ends_while_it_waits_loses_nothing() {
    for end in ["eof", "takeover", "drain", "rights", "error"] {
        let (mut world, topic, publisher) = world();
        let bytes = flood(&topic, 0..FLOOD);
        world.broker.on_bytes(world.now_ms, publisher, &bytes);
        let mut all = given(&mut world);
        assert!(world.broker.is_held(publisher));
        let now_ms = world.now_ms;
        match end {
            "eof" => world.broker.on_eof(now_ms, publisher, CloseCause::Eof),
            "error" => world
                .broker
                .on_eof(now_ms, publisher, CloseCause::Error(104)),
            "takeover" => {
                client(&mut world, "p");
            }
            "drain" => world.broker.on_drain(now_ms),
            _ => {
                let settings = settings([Some("topic read #\n"), None], 20);
                world.broker.on_reload(now_ms, Arc::new(settings));
                passed_on(&mut world, MAX);
            }
        }
        all.append(&mut given(&mut world));
        if end == "rights" {
            assert_eq!(all, Vec::from_iter(0..MAX));
            let denied = world.broker.counters().publish_denied;
            assert_eq!(denied, (FLOOD - MAX) as u64);
            assert!(!world.broker.is_held(publisher));
        } else {
            assert_eq!(all, Vec::from_iter(0..FLOOD), "{end}");
            world.broker.on_closed(now_ms, publisher);
        }
        assert_eq!(kept(&world), 0, "{end}");
        passed_on(&mut world, all.len());
        assert_eq!(world.broker.ordering.under_way.all(), Default::default());
    }
}

/// An owner in front of whose mesh much waits says it later: publishers on other shards wait for that.
#[test]
fn an_owner_that_is_congested_says_later_what_it_has_passed_on() {
    let (mut world, _) = first_of_three();
    let ordered = Ordered {
        message: super::ordered::message("t", "x", false),
        from: ShardId(1),
        targets: 4,
        durable: 0,
        seq: 0,
        promised: 0,
        after: Box::default(),
    };
    world.broker.on_congestion(true);
    let ordered = MeshMessage::Ordered(Arc::new(ordered));
    world.broker.on_mesh(1000, ShardId(1), ordered);
    turn(&mut world);
    let way = sent(&mut world);
    assert!(matches!(&way[..], [(2, MeshMessage::Relayed(_))]));
    assert_ne!(
        world.broker.next_deadline(),
        Some(0),
        "it need not be awake"
    );
    world.broker.on_congestion(false);
    turn(&mut world);
    let told = sent(&mut world);
    assert!(matches!(
        &told[..],
        [(1, MeshMessage::PassedOn { count: 1, .. })]
    ));
}
