//! Bytes in and out of open connections.

use std::time::Duration;

use super::brain::{message, pattern};
use super::world::{Plan, World, eventually};
use crate::broker::CloseCause;
use crate::limits::{RECV_BUFFER_BYTES, RECV_BUFFERS};
use crate::shard::{Metric, ShardCommand};

#[test]
fn what_a_client_sends_is_answered_before_and_after_it_is_let_in() {
    let world = World::new(Plan::default());
    let mut client = world.connect();
    client.say("echo before");
    assert_eq!(client.line(), "before");
    client.say("hello");
    for n in 0..100 {
        client.say(&format!("echo {n}"));
        assert_eq!(client.line(), n.to_string());
    }
    world.end();
}

#[test]
fn bytes_that_come_one_by_one_make_the_same_lines() {
    let world = World::new(Plan::default());
    let mut client = world.established();
    for byte in b"echo slowly\n" {
        client.write(&[*byte]);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(client.line(), "slowly");
    world.end();
}

#[test]
fn a_message_goes_out_to_all() {
    let world = World::new(Plan::default());
    let mut clients: Vec<_> = (0..300).map(|_| world.established()).collect();
    for n in 0..20 {
        clients[n].say(&format!("all {n}"));
        for client in &mut clients {
            assert_eq!(client.line(), n.to_string());
        }
    }
    world.end();
}

#[test]
fn a_slow_reader_gets_every_byte_of_a_send_that_is_taken_in_pieces() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("blast 3000000");
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(client.bytes(3_000_000).into_iter().eq(pattern(3_000_000)));
    assert!(world.seen(|seen| seen.sends)[0] > 4);
    world.end();
}

#[test]
fn a_send_from_many_places_keeps_their_order() {
    let plan = Plan {
        slice_bytes: 700,
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut clients: Vec<_> = (0..50).map(|_| world.established()).collect();
    for client in &mut clients {
        client.say("blast 100000");
    }
    for client in &mut clients {
        assert!(client.bytes(100_000).into_iter().eq(pattern(100_000)));
    }
    assert_eq!(world.seen(|seen| seen.most_slices)[0], 64);
    world.end();
}

#[test]
fn more_sends_than_the_arena_holds_go_out_in_one_turn() {
    let plan = Plan {
        slice_bytes: 1,
        ..Plan::default()
    };
    let world = World::new(plan);
    // 64 places each: more than SEND_ARENA_SLICES in all.
    let mut clients: Vec<_> = (0..400).map(|_| world.established()).collect();
    let text = "x".repeat(63);
    clients[0].say(&format!("all {text}"));
    for client in &mut clients {
        assert_eq!(client.line(), text);
    }
    world.end();
}

#[test]
fn a_cancelled_send_loses_and_repeats_nothing() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut slow = world.established();
    let mut other = world.established();
    slow.say("blast 2000000");
    // The socket is full now and the send waits.
    eventually("a send that waits", || {
        let before = world.seen(|seen| seen.sends)[0];
        std::thread::sleep(std::time::Duration::from_millis(20));
        world.seen(|seen| seen.sends)[0] == before && before > 2
    });
    // Not every attempt finds a send: it may just have been cancelled and not yet begun again.
    eventually("cancelled sends", || {
        other.say("cancel");
        other.say("echo on");
        assert_eq!(other.line(), "on");
        world.seen(|seen| seen.zero_sends)[0] >= 10
    });
    assert!(slow.bytes(2_000_000).into_iter().eq(pattern(2_000_000)));
    assert!(world.metric(Metric::SendsCancelled) >= 10);
    world.end();
}

#[test]
fn running_out_of_receive_buffers_loses_nothing() {
    let world = World::new(Plan::default());
    let mut clients: Vec<_> = (0..100).map(|_| world.established()).collect();
    let burst = format!("log {}\n", "x".repeat(RECV_BUFFER_BYTES / 4)).repeat(4);
    // While the shard is away, more arrives than it has buffers for.
    clients[0].say("nap 300");
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(clients.len() > usize::from(RECV_BUFFERS));
    for client in &mut clients {
        client.write(burst.as_bytes());
        client.say("echo done");
    }
    for client in &mut clients {
        assert_eq!(client.line(), "done");
    }
    assert_eq!(world.log.len(), clients.len() * 4);
    assert!(world.metric(Metric::Starved) > 0);
    world.end();
}

#[test]
fn receives_that_share_buffers_are_not_mixed_up() {
    let world = World::new(Plan::default());
    let threads: Vec<_> = (0..40u32)
        .map(|n| {
            let mut client = world.connect();
            std::thread::spawn(move || {
                let mut random = 12345 + n;
                let mut lines = Vec::new();
                for at in 0..2000 {
                    random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let len = (random >> 24) as usize * if at % 100 == 0 { 100 } else { 1 };
                    lines.push(format!("{n} {at} {}", "abcdefg".repeat(len / 7)));
                    // Some are let in late: their receives are single until then.
                    if at == n * 40 {
                        client.say("hello");
                    }
                    client.say(&format!("echo {}", lines[lines.len() - 1]));
                    if at % 20 == 19 {
                        for line in lines.drain(..) {
                            assert_eq!(client.line(), line.trim_end());
                        }
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    world.end();
}

#[test]
fn the_end_of_a_stream_and_a_reset_are_told_once() {
    let world = World::new(Plan::default());
    drop(world.established());
    drop(world.connect());
    eventually("two ends", || world.seen(|seen| seen.closed)[0] == 2);
    let client = world.established();
    client.reset_on_close();
    drop(client);
    eventually("three ends", || world.seen(|seen| seen.closed)[0] == 3);
    let ends = world.seen(|seen| seen.ends.clone()).remove(0);
    assert_eq!(ends[..2], [CloseCause::Eof, CloseCause::Eof]);
    assert_eq!(ends[2], CloseCause::Error(libc::ECONNRESET));
    world.end();
}

#[test]
fn a_peer_that_vanishes_while_a_send_waits_is_noticed_once() {
    let plan = Plan {
        send_buffer: 4096,
        ..Plan::default()
    };
    let world = World::new(plan);
    let mut client = world.established();
    client.say("blast 20000000");
    std::thread::sleep(std::time::Duration::from_millis(50));
    client.reset_on_close();
    drop(client);
    eventually("closed", || world.seen(|seen| seen.closed)[0] == 1);
    assert_eq!(world.seen(|seen| seen.ends.len())[0], 1);
    world.end();
}

#[test]
fn commands_reach_a_sleeping_shard() {
    let world = World::new(Plan::default());
    std::thread::sleep(std::time::Duration::from_millis(20));
    for n in 0..1000 {
        let command = ShardCommand::Publish(Box::new(message(n.to_string())));
        world.handles[0].send(command).unwrap();
    }
    eventually("all published", || {
        world.seen(|seen| seen.publishes.len())[0] == 1000
    });
    let report = world.report(0);
    assert!(!report.turn_ns.is_empty());
    assert!(report.metrics.get(Metric::Turns) > 0);
    world.end();
}

/// TCP makes it wait, and every line arrives in the end.
#[test]
fn nothing_is_received_from_a_connection_that_is_paused() {
    let world = World::new(Plan::default());
    let mut other = world.established();
    for round in 0..20 {
        let mut client = world.established();
        client.say("pause");
        // The answer shows that the pause has come into force.
        other.say("echo so");
        assert_eq!(other.line(), "so");
        other.say("echo more");
        assert_eq!(other.line(), "more");
        let before = world.metric(Metric::Receives);
        for number in 0..100 {
            client.say(&format!("echo {number}"));
        }
        assert!(client.is_silent_for(Duration::from_millis(5)), "{round}");
        assert_eq!(world.metric(Metric::Receives), before);
        other.say("resume");
        for number in 0..100 {
            assert_eq!(client.line(), number.to_string());
        }
        // Back and forth in one breath.
        client.say("pause");
        other.say("resume");
        client.say("echo alive");
        while client.line_within(Duration::from_millis(50)).as_deref() != Some("alive") {
            other.say("resume");
        }
        if round % 2 == 0 {
            client.say("pause");
            client.reset_on_close();
        }
    }
    world.end();
}
