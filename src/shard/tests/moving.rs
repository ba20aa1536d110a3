//! Connections that move between shards, and messages between them.

use std::os::fd::AsRawFd;

use super::world::{Plan, World, eventually};
use crate::ids::ShardId;
use crate::shard::Metric;

/// Where a client is.
fn place(client: &mut super::world::Client) -> u8 {
    client.say("who");
    client.line().split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn a_connection_moves_with_all_its_bytes() {
    let world = World::new(Plan {
        shards: 2,
        ..Plan::default()
    });
    let mut clients = Vec::new();
    for n in 0..200u32 {
        let to = n % 2;
        let mut client = world.connect();
        // What follows in the same segment moves along; what comes later is received there.
        client.write(format!("go {to}\necho first {n}\n").as_bytes());
        client.say(&format!("echo second {n}"));
        assert_eq!(client.line(), format!("first {n}"));
        assert_eq!(client.line(), format!("second {n}"));
        assert_eq!(u32::from(place(&mut client)), to);
        client.say("hello");
        client.say("echo third");
        assert_eq!(client.line(), "third");
        clients.push(client);
    }
    assert!(world.metric(Metric::Given) > 0);
    assert_eq!(world.metric(Metric::Given), world.metric(Metric::Adopted));
    assert_eq!(world.shared.connections(), 200);
    drop(clients);
    eventually("all closed", || world.shared.connections() == 0);
    world.end();
}

#[test]
fn many_connections_move_at_once() {
    let world = World::new(Plan {
        shards: 2,
        descriptors: 4000,
        ..Plan::default()
    });
    let mut clients: Vec<_> = (0..1000).map(|_| world.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.write(format!("go {}\nhello\necho {n}\n", n % 2).as_bytes());
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.line(), n.to_string());
        assert_eq!(usize::from(place(client)), n % 2);
    }
    world.end();
}

#[test]
fn a_connection_that_ends_on_its_way_is_closed_where_it_arrives() {
    let world = World::new(Plan {
        shards: 2,
        ..Plan::default()
    });
    for n in 0..50 {
        let mut client = world.connect();
        client.write(format!("go {}\n", n % 2).as_bytes());
    }
    eventually("all closed", || {
        world.metric(Metric::Accepted) == 50 && world.shared.connections() == 0
    });
    world.end();
}

#[test]
fn a_connection_for_a_full_shard_is_closed() {
    let world = World::new(Plan {
        shards: 2,
        descriptors: 8,
        ..Plan::default()
    });
    // Both shards accept; everyone wants to shard 1, which has room for 8.
    let ask = || {
        let mut client = world.connect();
        let _ = std::io::Write::write_all(&mut client.socket(), b"go 1\nwho\n");
        let answer = client.line_if_alive();
        assert!(answer.as_ref().is_none_or(|line| line.starts_with("1 ")));
        answer.map(|_| client)
    };
    let clients: Vec<_> = (0..20).map(|_| ask()).collect();
    let here = clients.iter().flatten().count();
    assert!((1..=8).contains(&here), "{here}");
    assert!(world.metric(Metric::HandoverFailed) + world.metric(Metric::AcceptFailed) > 0);
    drop(clients);
    eventually("all closed", || world.shared.connections() == 0);
    // And there is room again.
    eventually("room", || ask().is_some());
    world.end();
}

#[test]
fn messages_between_shards_keep_their_order_when_the_mesh_is_full() {
    let world = World::new(Plan {
        shards: 2,
        mesh_slots: 16,
        ..Plan::default()
    });
    // Before anybody is let in, so that it can move to where it is to speak from.
    for from in 0..2 {
        let mut client = world.connect();
        client.write(format!("go {from}\ntell {} 5000\n", 1 - from).as_bytes());
        eventually("all told", || {
            world.seen(|seen| seen.publishes.len())[1 - from] == 5000
        });
    }
    let expected: Vec<Vec<u8>> = (0..5000).map(|n| n.to_string().into_bytes()).collect();
    for publishes in world.seen(|seen| seen.publishes.clone()) {
        assert_eq!(publishes, expected);
    }
    assert!(world.metric(Metric::MeshOverflowed) > 0);
    world.end();
}

#[test]
fn a_congested_mesh_holds_up_input_until_there_is_room() {
    let world = World::new(Plan {
        shards: 2,
        mesh_slots: 16,
        ..Plan::default()
    });
    let mut slow = world.connect();
    slow.write(b"go 1\nhello\nnap 500\n");
    let mut fast = world.connect();
    fast.write(b"go 0\nhello\n");
    assert_eq!(place(&mut fast), 0);
    for _ in 0..40 {
        fast.say("tell 1 1000");
    }
    // More than the shard has buffers for: with nowhere to go with it, it stops taking.
    let line = "x".repeat(10_000);
    for _ in 0..400 {
        fast.say(&format!("log {line}"));
    }
    fast.say("echo done");
    assert_eq!(fast.line(), "done");
    eventually("all told", || {
        world.seen(|seen| seen.publishes.len())[1] == 40_000
    });
    let expected: Vec<Vec<u8>> = (0..40_000)
        .map(|n| (n % 1000).to_string().into_bytes())
        .collect();
    assert!(world.seen(|seen| seen.publishes == expected)[1]);
    assert!(world.metric(Metric::MeshCongested) > 0);
    assert!(world.metric(Metric::Starved) > 0);
    world.end();
}

#[test]
fn a_sleeping_shard_is_woken_by_every_message() {
    let world = World::new(Plan {
        shards: 2,
        ..Plan::default()
    });
    let mut client = world.connect();
    client.write(b"go 0\n");
    assert_eq!(place(&mut client), 0);
    for n in 1..=500 {
        client.say("tell 1 1");
        eventually("told", || world.seen(|seen| seen.publishes.len())[1] == n);
    }
    assert!(world.metric(Metric::Wakes) >= 100);
    world.end();
}

/// A wake-up that cannot be posted, as if the kernel had no memory for it: here because the other ring is none.
#[test]
fn a_sleeping_shard_is_woken_although_a_wake_up_has_failed() {
    let world = World::new(Plan {
        shards: 2,
        ..Plan::default()
    });
    let mut client = world.connect();
    client.say("go 0\nhello\necho here");
    assert_eq!(client.line(), "here");
    let other = ShardId(1);
    let ring = world.shared.ring(other).unwrap();
    let no_ring = std::fs::File::open("/dev/null").unwrap();
    world.shared.set_ring(other, no_ring.as_raw_fd());
    // It sleeps now, or will soon: then this message finds it asleep, or a later one does.
    let mut told = 0;
    eventually("a wake-up that failed", || {
        client.say("tell 1 1");
        told += 1;
        std::thread::sleep(std::time::Duration::from_millis(5));
        let metrics = world.shared.board(ShardId(0)).metrics();
        metrics.get(Metric::WakesFailed) > 0
    });
    world.shared.set_ring(other, ring);
    eventually("all have come", || {
        world.seen(|seen| seen.publishes.len())[1] == told
    });
    world.end();
}

/// What a shard does not take of another stays in the ring, in order; meanwhile it sleeps, and takes what comes of others.
#[test]
fn a_shard_sleeps_on_what_has_to_wait() {
    let world = World::new(Plan {
        shards: 3,
        ..Plan::default()
    });
    let at = |shard: u8, lines: &str| {
        let mut client = world.connect();
        client.write(format!("go {shard}\nhello\n{lines}\necho done\n").as_bytes());
        assert_eq!(client.line(), "done");
        client
    };
    let publishes = || world.seen(|seen| seen.publishes.clone()).swap_remove(0);
    let shunning = at(0, "shun 1");
    let held = at(1, "tell 0 100");
    let turns = world.report(0).turn_ns.len();
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(publishes().is_empty());
    let turns = world.report(0).turn_ns.len() - turns;
    assert!(turns < 1000, "{turns} turns for nothing");
    let awaited = at(2, "tell 0 1");
    eventually("all have come", || publishes().len() == 101);
    let numbers = (0..100).map(|number: u32| number.to_string().into_bytes());
    assert_eq!(publishes()[1..], numbers.collect::<Vec<_>>());
    drop((shunning, held, awaited));
    world.end();
}

/// However few messages fill a turn, each shard is heard in its turn.
#[test]
fn a_shard_that_was_not_heard_in_a_full_turn_is_heard_first() {
    const MANY: usize = 2000;
    let world = World::new(Plan {
        shards: 3,
        mesh_slots: 4096,
        ..Plan::default()
    });
    let at = |shard: u8| {
        let mut client = world.connect();
        client.write(format!("go {shard}\nhello\necho in\n").as_bytes());
        assert_eq!(client.line(), "in");
        client
    };
    let publishes = || world.seen(|seen| seen.publishes.clone()).swap_remove(0);
    let (mut slow, mut many, mut one) = (at(0), at(1), at(2));
    slow.say("sip 1");
    slow.say("nap 1000");
    for (client, count) in [(&mut many, MANY), (&mut one, 1)] {
        client.say(&format!("tell 0 {count}\necho told"));
        assert_eq!(client.line(), "told");
    }
    assert!(publishes().is_empty(), "both wait");
    eventually("all have come", || publishes().len() == MANY + 1);
    let firsts = publishes()
        .iter()
        .take(4)
        .filter(|text| **text == b"0")
        .count();
    assert_eq!(firsts, 2, "of each shard");
    drop((slow, many, one));
    world.end();
}
