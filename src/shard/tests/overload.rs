//! Turns with more to do than a turn may.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::with_broker;
use super::world::{Plan, World};
use crate::limits;
use crate::shard::Metric;

#[test]
fn a_turn_that_has_worked_enough_leaves_the_rest_to_the_next_in_order() {
    const CLIENTS: usize = 40;
    let world = World::new(Plan::default());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| world.established()).collect();
    let mut other = world.established();
    other.say("nap 100");
    std::thread::sleep(Duration::from_millis(20));
    for (number, client) in clients.iter_mut().enumerate() {
        let filling = "x".repeat(limits::TURN_LOOK_BYTES);
        let text = format!("echo {number}\nnap 10\nlog {number}\necho {filling}\n");
        client.write(text.as_bytes());
    }
    // Who came first has its answer while most of the others still wait for their turn.
    assert_eq!(clients[0].line(), "0");
    assert!(
        world.log.len() < CLIENTS / 2,
        "{} were done",
        world.log.len()
    );
    for (number, client) in clients.iter_mut().enumerate().skip(1) {
        assert_eq!(client.line(), number.to_string());
    }
    for number in 0..CLIENTS {
        let line = world.log.recv_timeout(super::world::PATIENCE).unwrap();
        assert_eq!(line.text, number.to_string());
    }
    assert!(world.metric(Metric::OverloadedTurns) as usize > CLIENTS / 4);
    let longest = world.report(0).turn_ns.max() / 1_000_000;
    assert!(longest < 10 * CLIENTS as u64, "{longest} ms");
    world.end();
}

#[test]
fn connections_wait_for_a_while_behind_a_long_turn() {
    let world = World::new(Plan::default());
    let mut busy = world.established();
    let before = world.metric(Metric::AcceptsPaused);
    busy.say(&format!("nap {}", 2 * limits::TURN_LONG_MS));
    std::thread::sleep(Duration::from_millis(10));
    let mut clients: Vec<_> = (0..5 * limits::ACCEPTS_PER_LISTENER)
        .map(|_| world.connect())
        .collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.say(&format!("hello\necho {number}"));
        assert_eq!(client.line(), number.to_string());
    }
    assert!(world.metric(Metric::AcceptsPaused) > before);
    world.end();
}

#[test]
fn free_memory_goes_back_when_the_brain_says_so() {
    let world = World::new(Plan::default());
    let mut client = world.established();
    client.say("free\necho done");
    assert_eq!(client.line(), "done");
    world.end();
}

#[test]
fn a_drain_that_comes_while_completions_wait_ends() {
    let world = World::new(Plan::default());
    let mut clients: Vec<_> = (0..40).map(|_| world.established()).collect();
    clients[0].say("nap 50");
    std::thread::sleep(Duration::from_millis(10));
    let filling = "x".repeat(limits::TURN_LOOK_BYTES);
    for client in &mut clients {
        client.write(format!("nap 10\necho {filling}\n").as_bytes());
    }
    drop(clients);
    world.end();
}

/// A publisher of a fan-out to 200 has at most the receive buffers that it fills in front of others.
#[test]
fn a_quiet_client_is_answered_while_another_floods() {
    let world = with_broker::world(1, 64);
    let subscribers: Vec<_> = (0..200)
        .map(|n| {
            let mut client = with_broker::connect(&world, &format!("subscriber {n}"));
            with_broker::subscribe(&mut client, "flood", 0);
            client
        })
        .collect();
    let mut quiet = with_broker::connect(&world, "quiet");
    let flooding = Arc::new(AtomicBool::new(true));
    let on = flooding.clone();
    let flooder = with_broker::connect(&world, "flooder");
    let thread = std::thread::spawn(move || {
        let burst = with_broker::publish("flood", &[b'x'; 1000]).repeat(64);
        while on.load(Ordering::Relaxed) && flooder.socket().write_all(&burst).is_ok() {}
    });
    std::thread::sleep(Duration::from_millis(200));
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let start = Instant::now();
        quiet.write(&[0xC0, 0]);
        assert_eq!(quiet.bytes(2), [0xD0, 0]);
        longest = longest.max(start.elapsed());
    }
    flooding.store(false, Ordering::Relaxed);
    thread.join().unwrap();
    println!("a PINGREQ was answered after {longest:?} at the latest");
    assert!(longest < Duration::from_secs(3), "{longest:?}");
    drop((subscribers, quiet));
    world.end();
}
