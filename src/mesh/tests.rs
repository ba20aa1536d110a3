//! One thread plays all sides; then threads that really sleep.

use std::sync::Arc;
use std::thread;

use super::*;
use crate::limits::MESH_DRAIN_MAX;

#[test]
fn nothing_is_visible_before_flush() {
    let mut ports = grid::<u32>(2, 4);
    assert_eq!(ports[0].send(ShardId(1), 7), Ok(()));
    assert_eq!(ports[1].drain(MESH_DRAIN_MAX, |_, _| ()), 0);
    assert!(ports[0].flush().is_empty());
    let mut got = vec![];
    assert_eq!(
        ports[1].drain(MESH_DRAIN_MAX, |from, value| got.push((from, value))),
        1
    );
    assert_eq!(got, [(ShardId(0), 7)]);
}

#[test]
fn a_full_ring_gives_the_message_back() {
    let mut ports = grid::<u32>(2, 4);
    for value in 0..4 {
        assert_eq!(ports[0].send(ShardId(1), value), Ok(()));
    }
    assert_eq!(ports[0].send(ShardId(1), 4), Err(4));
    let _ = ports[0].flush();
    assert_eq!(ports[1].drain(MESH_DRAIN_MAX, |_, _| ()), 4);
    assert_eq!(ports[0].send(ShardId(1), 4), Ok(()));
}

#[test]
fn a_shard_cannot_send_to_itself_or_to_nobody() {
    let mut ports = grid::<u32>(2, 4);
    assert_eq!(ports[0].send(ShardId(0), 1), Err(1));
    assert_eq!(ports[0].send(ShardId(2), 1), Err(1));
}

#[test]
fn a_sleeper_is_woken_once() {
    let mut ports = grid::<u32>(3, 4);
    assert!(ports[2].prepare_sleep());
    for (port, expected) in [(0, true), (1, false), (0, false)] {
        assert!(ports[port].send(ShardId(2), 1).is_ok());
        assert_eq!(ports[port].flush().contains(ShardId(2)), expected);
    }
    ports[2].awake();
    assert!(
        !ports[2].prepare_sleep(),
        "undrained messages keep it awake"
    );
    assert_eq!(ports[2].drain(MESH_DRAIN_MAX, |_, _| ()), 3);
    assert!(ports[2].flush().is_empty());
    assert!(ports[2].prepare_sleep());
}

#[test]
fn one_who_is_awake_is_not_woken() {
    let mut ports = grid::<u32>(2, 4);
    assert!(ports[1].prepare_sleep());
    ports[1].awake();
    assert!(ports[0].send(ShardId(1), 1).is_ok());
    assert!(ports[0].flush().is_empty());
}

#[test]
fn a_producer_that_lacked_slots_is_woken_when_there_are_some() {
    let mut ports = grid::<u32>(2, 2);
    assert!(ports[0].send(ShardId(1), 0).is_ok() && ports[0].send(ShardId(1), 1).is_ok());
    assert_eq!(ports[0].send(ShardId(1), 2), Err(2));
    let _ = ports[0].flush();
    assert!(ports[0].prepare_sleep());
    assert_eq!(ports[1].drain(MESH_DRAIN_MAX, |_, _| ()), 2);
    assert!(ports[1].flush().contains(ShardId(0)));
    ports[0].awake();
    assert!(!ports[0].prepare_sleep(), "there is room for what it keeps");
    assert!(ports[0].send(ShardId(1), 2).is_ok());
    let _ = ports[0].flush();
    assert!(ports[0].prepare_sleep());
}

/// What a thread does not want yet is no reason to stay awake, and what it wants is.
#[test]
fn a_source_that_is_not_wanted_keeps_nobody_awake() {
    let mut ports = grid::<usize>(3, 8);
    for value in 0..3 {
        assert!(ports[0].send(ShardId(2), value).is_ok());
    }
    let _ = ports[0].flush();
    assert!(ports[2].prepare_sleep_on(|from| from != ShardId(0)));
    assert!(ports[1].send(ShardId(2), 7).is_ok());
    assert!(ports[1].flush().contains(ShardId(2)));
    assert!(!ports[2].prepare_sleep_on(|from| from != ShardId(0)));
    let mut got = vec![];
    let mut take = |value| {
        got.push(value);
        (0, value != 1)
    };
    assert_eq!(ports[2].drain_from(ShardId(1), 8, &mut take), 1);
    assert_eq!(ports[2].drain_from(ShardId(0), 8, &mut take), 2);
    assert_eq!(ports[2].drain_from(ShardId(2), 8, &mut take), 0);
    let _ = ports[2].flush();
    assert!(!ports[2].prepare_sleep());
    assert_eq!(ports[2].drain_from(ShardId(0), 8, &mut take), 1);
    assert_eq!(got, [7, 0, 1, 2]);
    let _ = ports[2].flush();
    assert!(ports[2].prepare_sleep());
}

#[test]
fn a_drain_is_bounded_per_source() {
    let slots = (MESH_DRAIN_MAX * 2).next_power_of_two();
    let mut ports = grid::<usize>(2, slots);
    for value in 0..MESH_DRAIN_MAX + 1 {
        assert!(ports[0].send(ShardId(1), value).is_ok());
    }
    let _ = ports[0].flush();
    assert_eq!(ports[1].drain(MESH_DRAIN_MAX, |_, _| ()), MESH_DRAIN_MAX);
    let _ = ports[1].flush();
    assert!(!ports[1].prepare_sleep());
    let mut rest = vec![];
    assert_eq!(
        ports[1].drain(MESH_DRAIN_MAX, |_, value| rest.push(value)),
        1
    );
    assert_eq!(rest, [MESH_DRAIN_MAX]);
}

#[test]
fn elements_that_nobody_took_are_dropped_once() {
    let element = Arc::new(());
    let mut ports = grid::<Arc<()>>(2, 4);
    for _ in 0..3 {
        assert!(ports[0].send(ShardId(1), Arc::clone(&element)).is_ok());
    }
    let _ = ports[0].flush();
    assert!(
        ports[0].send(ShardId(1), Arc::clone(&element)).is_ok(),
        "not published"
    );
    let mut kept = vec![];
    ports[1].incoming[0].as_mut().map(|consumer| {
        consumer.drain(1, |taken| {
            kept.push(taken);
            0
        })
    });
    assert_eq!(Arc::strong_count(&element), 5);
    drop(ports);
    assert_eq!(Arc::strong_count(&element), 2);
}

#[test]
fn bytes_count_until_they_are_taken() {
    let mut ports = grid::<usize>(3, 4);
    for (to, bytes) in [(1, 10), (2, 200), (1, 3000)] {
        assert!(ports[0].send_bytes(ShardId(to), bytes, bytes).is_ok());
    }
    assert_eq!(ports[0].bytes(), 3210);
    let _ = ports[0].flush();
    assert_eq!(ports[1].drain_bytes(1, |_, bytes| bytes), 1);
    assert_eq!(ports[0].bytes(), 3200);
    for (port, left) in [(2, 3000), (1, 0)] {
        ports[port].drain_bytes(4, |_, bytes| bytes);
        assert_eq!(ports[0].bytes(), left);
    }
    // One that finds no room does not count.
    for _ in 0..4 {
        assert!(ports[0].send_bytes(ShardId(1), 5, 5).is_ok());
    }
    assert_eq!(ports[0].send_bytes(ShardId(1), 5, 5), Err(5));
    assert_eq!(ports[0].bytes(), 20);
}

#[test]
fn a_panic_while_draining_loses_only_what_was_taken() {
    let element = Arc::new(());
    let mut ports = grid::<Arc<()>>(2, 4);
    for _ in 0..3 {
        assert!(ports[0].send(ShardId(1), Arc::clone(&element)).is_ok());
    }
    let _ = ports[0].flush();
    let port = &mut ports[1];
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        port.drain(MESH_DRAIN_MAX, |_, _| panic!("on purpose"))
    }));
    assert!(caught.is_err());
    assert_eq!(ports[1].drain(MESH_DRAIN_MAX, |_, _| ()), 2);
    drop(ports);
    assert_eq!(Arc::strong_count(&element), 1);
}

/// Threads that really sleep (by `park`) and are woken only as `flush` says: with a lost wake-up this hangs.
#[test]
fn a_ring_of_sleepers_passes_everything_on_in_order() {
    const SHARDS: usize = 3;
    const MESSAGES: u32 = 20_000;
    let (send_handles, handles) = std::sync::mpsc::channel();
    let mut gates = vec![];
    let threads: Vec<_> = grid::<u32>(SHARDS, 8)
        .into_iter()
        .map(|mut port| {
            let (gate, opened) = std::sync::mpsc::channel::<Vec<thread::Thread>>();
            gates.push(gate);
            thread::spawn(move || {
                let Ok(threads) = opened.recv() else { return };
                let next = ShardId(((port.id().index() + 1) % SHARDS) as u8);
                let (mut sent, mut received) = (0, 0);
                while sent < MESSAGES || received < MESSAGES {
                    port.drain(MESH_DRAIN_MAX, |_, value| {
                        assert_eq!(value, received);
                        received += 1;
                    });
                    while sent < MESSAGES && port.send(next, sent).is_ok() {
                        sent += 1;
                    }
                    for shard in port.flush() {
                        threads[shard.index()].unpark();
                    }
                    if (sent < MESSAGES || received < MESSAGES) && port.prepare_sleep() {
                        thread::park();
                        port.awake();
                    }
                }
            })
        })
        .collect();
    assert!(
        send_handles
            .send(
                threads
                    .iter()
                    .map(|t| t.thread().clone())
                    .collect::<Vec<_>>()
            )
            .is_ok()
    );
    let handles = handles.recv().unwrap();
    for gate in gates {
        gate.send(handles.clone()).unwrap();
    }
    for thread in threads {
        thread.join().unwrap();
    }
}
