//! Connections that end.

use std::net::Shutdown;
use std::time::{Duration, Instant};

use super::brain::pattern;
use super::world::{Plan, World, eventually};
use crate::limits;
use crate::shard::Metric;

#[test]
fn a_flush_sends_everything_then_ends_the_stream_then_waits_for_the_peer() {
    let plan = Plan {
        send_buffer: 4096,
        slice_bytes: 3000,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("bye 1000000");
    // What still arrives is thrown away and makes no reset that would overtake the last bytes.
    for _ in 0..100 {
        client.say("echo ignored");
    }
    assert!(client.bytes(1_000_000).into_iter().eq(pattern(1_000_000)));
    assert!(client.ended());
    std::thread::sleep(Duration::from_millis(20));
    assert_eq!(world.seen(|seen| seen.closed)[0], 0);
    drop(client);
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_flush_before_the_client_is_let_in_works_too() {
    let world = World::new(Plan::default());
    let mut client = world.connect();
    client.say("bye 10");
    assert_eq!(client.bytes(10).len(), 10);
    assert!(client.ended());
    drop(client);
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_flush_to_a_peer_that_has_closed_its_side_still_sends_everything() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("bye 2000000");
    client.socket().shutdown(Shutdown::Write).unwrap();
    std::thread::sleep(Duration::from_millis(20));
    assert!(client.bytes(2_000_000).into_iter().eq(pattern(2_000_000)));
    assert!(client.ended());
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_flush_to_a_peer_that_resets_ends() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("bye 2000000");
    std::thread::sleep(Duration::from_millis(20));
    client.reset_on_close();
    drop(client);
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_flush_that_lingers_is_cut_short_at_the_deadline() {
    let world = World::new(Plan::default());
    let mut client = world.established();
    client.say("linger 50");
    assert_eq!(client.bytes(1000).len(), 1000);
    assert!(client.ended());
    // The client keeps its side open.
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_close_now_cancels_a_send_that_waits_and_a_receive() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("blast 9000000");
    std::thread::sleep(Duration::from_millis(50));
    client.say("kill");
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    world.end();
}

#[test]
fn a_close_now_under_a_flood_of_input_ends() {
    let world = World::new(Plan::default());
    for _ in 0..50 {
        let mut client = world.established();
        client.say("kill");
        // More than a multishot receive takes in one go.
        let flood = vec![b'x'; 2 << 20];
        let _ = std::io::Write::write_all(&mut client.socket(), &flood);
        assert!(client.is_dead());
    }
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 50);
    world.end();
}

/// The slot is closed in the submission that cancels the receive, which is a turn less than one after the other.
#[test]
fn a_close_with_nothing_to_send_takes_two_turns_more() {
    const CLIENTS: usize = 200;
    let world = World::new(Plan::default());
    let clients: Vec<_> = (0..CLIENTS).map(|_| world.established()).collect();
    let start = Instant::now();
    let before = world.metric(Metric::Turns);
    for (index, mut client) in clients.into_iter().enumerate() {
        client.say("kill");
        assert!(client.is_dead());
        eventually("closed", || world.seen(|seen| seen.closed)[0] == index + 1);
    }
    let turns = world.metric(Metric::Turns) - before;
    // A shard that has nothing to do wakes to look at the clock.
    let looks = start.elapsed().as_millis() as u64 / limits::WATCH_MS + 3;
    println!("{turns} turns, of which at most {looks} for nothing");
    assert!(turns <= 3 * CLIENTS as u64 + looks, "{turns}");
    world.end();
}

#[test]
fn numbers_are_reused_without_mixing_connections_up() {
    let world = World::new(Plan::default());
    let mut stays = world.established();
    for n in 0..300 {
        let mut client = world.established();
        client.say(if n % 2 == 0 { "kill" } else { "bye 0" });
        assert!(client.is_dead());
        stays.say(&format!("echo {n}"));
        assert_eq!(stays.line(), n.to_string());
    }
    world.end();
}

#[test]
fn a_drain_says_goodbye_and_ends() {
    let world = World::new(Plan {
        shards: 2,
        ..Plan::default()
    });
    let clients: Vec<_> = (0..100).map(|_| world.established()).collect();
    let readers: Vec<_> = clients
        .into_iter()
        .map(|mut client| {
            std::thread::spawn(move || {
                assert_eq!(client.line(), "bye");
                assert!(client.ended());
            })
        })
        .collect();
    let start = std::time::Instant::now();
    world.end();
    assert!(start.elapsed() < Duration::from_secs(2));
    for reader in readers {
        reader.join().unwrap();
    }
}

#[test]
fn a_drain_does_not_wait_for_ever() {
    let world = World::new(Plan::default());
    let mut client = world.established();
    // It never closes its side, and its brain lets it.
    client.say("stay");
    client.say("echo staying");
    assert_eq!(client.line(), "staying");
    let start = std::time::Instant::now();
    for handle in &world.handles {
        handle.send(crate::shard::ShardCommand::Drain).unwrap();
    }
    let limit = Duration::from_millis(crate::limits::DRAIN_MS_MAX + 1000);
    assert_eq!(client.line(), "bye");
    assert!(client.ended());
    // The thread is gone when its socket is: the next write is answered by a reset.
    eventually("reset", || {
        assert!(start.elapsed() < limit);
        std::io::Write::write_all(&mut client.socket(), b"x").is_err()
    });
}
