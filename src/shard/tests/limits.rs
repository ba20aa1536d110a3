//! Bounds on connections.

use std::time::{Duration, Instant};

use super::world::{Plan, World, eventually};
use crate::config::SourceBounds;
use crate::shard::Metric;

#[test]
fn a_connection_above_the_bound_of_its_listener_is_closed_at_once() {
    let world = World::new(Plan {
        listener_max: Some(5),
        ..Plan::default()
    });
    let mut clients: Vec<_> = (0..5).map(|_| world.established()).collect();
    assert!(world.connect().is_dead());
    assert!(world.connect().is_dead());
    assert_eq!(world.metric(Metric::Refused), 2);
    let line = world.log.try_recv().unwrap().text;
    assert!(line.contains("denied: max_connections exceeded"), "{line}");
    clients.pop();
    eventually("room", || world.shared.connections() == 4);
    clients.push(world.established());
    world.end();
}

#[test]
fn a_connection_above_the_bound_of_the_broker_is_closed_at_once_on_any_shard() {
    let world = World::new(Plan {
        shards: 2,
        connections_max: Some(20),
        ..Plan::default()
    });
    let mut clients: Vec<_> = (0..20).map(|_| world.established()).collect();
    for n in 0..10 {
        assert!(world.connect().is_dead(), "{n}");
    }
    clients.truncate(10);
    eventually("room", || world.shared.connections() == 10);
    clients.extend((0..10).map(|_| world.established()));
    assert_eq!(world.metric(Metric::Refused), 10);
    world.end();
}

#[test]
fn a_full_file_table_refuses_and_recovers() {
    let world = World::new(Plan {
        descriptors: 10,
        ..Plan::default()
    });
    let mut clients: Vec<_> = (0..10).map(|_| world.established()).collect();
    for _ in 0..20 {
        assert!(world.connect().is_dead());
    }
    assert!(world.metric(Metric::AcceptFailed) >= 20);
    assert!(
        world
            .log
            .try_iter()
            .any(|line| line.text.contains("has room for 10"))
    );
    clients.clear();
    eventually("empty", || world.shared.connections() == 0);
    for _ in 0..10 {
        clients.push(world.established());
    }
    world.end();
}

#[test]
fn fifteen_thousand_connections_are_accepted_served_and_closed() {
    // The clients' side takes a descriptor each; the shards' side takes none, or this would not fit into 20,000.
    const CLIENTS: usize = 15_000;
    let world = World::new(Plan {
        shards: 2,
        descriptors: 16_000,
        ..Plan::default()
    });
    let start = Instant::now();
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| world.connect()).collect();
    for (n, client) in clients.iter_mut().enumerate() {
        client.write(format!("go {}\nhello\necho in\n", n % 2).as_bytes());
    }
    for client in &mut clients {
        assert_eq!(client.line(), "in");
    }
    println!("{CLIENTS} connected and moved in {:?}", start.elapsed());
    assert_eq!(world.shared.connections() as usize, CLIENTS);
    let start = Instant::now();
    for n in 0..5 {
        clients[n].say(&format!("all {n}"));
        clients[n + 1].say(&format!("all {n}"));
        for client in &mut clients {
            assert_eq!(client.line(), n.to_string());
        }
    }
    println!("5 messages to {CLIENTS} in {:?}", start.elapsed());
    for shard in 0..2 {
        let report = world.report(shard);
        let turns = &report.turn_ns;
        println!(
            "shard {shard}: {} turns, p50 {} us, p99 {} us, max {} us",
            turns.len(),
            turns.value_at_quantile(0.5) / 1000,
            turns.value_at_quantile(0.99) / 1000,
            turns.max() / 1000
        );
    }
    let start = Instant::now();
    drop(clients);
    eventually("all closed", || world.shared.connections() == 0);
    println!("closed in {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(5));
    world.end();
}

#[test]
fn connections_of_one_address_are_counted_over_all_shards_wherever_they_move() {
    let world = World::new(Plan {
        shards: 2,
        sources: SourceBounds {
            connections: 6,
            rate: 0,
            local: true,
        },
        ..Plan::default()
    });
    let mut clients: Vec<_> = (0..6).map(|_| world.connect()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.say(&format!("go {}", number % 2));
        client.say("hello");
        client.say("echo in");
        assert_eq!(client.line(), "in");
    }
    for _ in 0..5 {
        assert!(world.connect().is_dead());
    }
    assert_eq!(world.metric(Metric::RefusedByAddress), 5);
    let lines: Vec<_> = world.log.try_iter().map(|line| line.text).collect();
    assert!(lines.len() < 5, "{lines:?}");
    assert!(lines[0].contains("127.0.0.1 denied: max_connections_per_address exceeded"));
    clients.truncate(4);
    eventually("room", || world.shared.sources().open() == 4);
    clients.extend((0..2).map(|_| world.established()));
    assert!(world.connect().is_dead());
    world.end();
}

#[test]
fn connections_that_come_too_fast_are_closed_at_once() {
    let world = World::new(Plan {
        sources: SourceBounds {
            connections: 0,
            rate: 1,
            local: true,
        },
        ..Plan::default()
    });
    let clients: Vec<_> = (0..10).map(|_| world.established()).collect();
    assert!(world.connect().is_dead());
    let line = world.log.try_recv().unwrap().text;
    assert!(
        line.contains("max_connection_rate_per_address exceeded"),
        "{line}"
    );
    drop(clients);
    eventually("tokens", || {
        !world.connect().is_dead_within(Duration::from_millis(20))
    });
    world.end();
}
