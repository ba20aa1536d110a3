//! Twenty thousand clients come and go: the broker's memory and descriptors are where they were.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use support::Server;
use support::client::Client;

/// Connect, subscribe, publish, disconnect; so many times.
const CYCLES: u32 = 20_000;

/// Before the first measurement: enough for every pool and cache to have its size.
const WARM_UP: u32 = 10_000;

/// Measured so often at most: a leak grows every time, a pool that was not yet full does not.
const ROUNDS: u32 = 3;

/// At once. Sixteen source addresses are used, so that no client port is needed twice within a minute.
const THREADS: u32 = 4;

/// KiB that a round may grow by: 26 bytes a cycle, less than any session, subscription or connection has.
const GROWTH_KIB_MAX: i64 = 512;

/// One client's life. Every fourth ends without DISCONNECT, every fifth leaves a session that its second life ends.
fn cycle(to: SocketAddr, number: u32) {
    let from = Ipv4Addr::new(127, 0, 0, 2 + (number % 16) as u8);
    let level = if number.is_multiple_of(2) { 4 } else { 5 };
    let id = format!("cycle-{number}");
    let stays = number.is_multiple_of(5);
    let will = (level == 5).then_some(("wills", "gone"));
    let mut client = Client::connect_from(from, to, level, &id, !stays, will);
    client.subscribe(&format!("leaks/{number}/+/#"));
    client.subscribe(&format!("$share/group/shared/{}/{number}", number % 7));
    let topic = format!("leaks/{number}/a/b");
    client.publish(&topic, &[b'x'; 200], number.is_multiple_of(3));
    // PUBACK and the message itself, in either order.
    for _ in 0..2 {
        let packet = client.packet().expect("PUBACK and PUBLISH");
        if packet[0] >> 4 == 3 && !number.is_multiple_of(10) {
            client.acknowledge(&packet);
        }
    }
    if number.is_multiple_of(3) {
        client.publish(&topic, b"", true);
        for _ in 0..2 {
            client.packet().expect("PUBACK and PUBLISH");
        }
    }
    if number.is_multiple_of(7) {
        client.unsubscribe(&format!("leaks/{number}/+/#"));
    }
    if number.is_multiple_of(4) {
        drop(client)
    } else {
        client.disconnect()
    }
    if stays {
        Client::connect_from(from, to, level, &id, true, None).disconnect();
    }
}

fn cycles(to: SocketAddr, numbers: std::ops::Range<u32>) {
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let mine = numbers
                .clone()
                .skip(thread as usize)
                .step_by(THREADS as usize);
            scope.spawn(move || mine.for_each(|number| cycle(to, number)));
        }
    });
}

/// Proportional set size in KiB, and open descriptors.
fn measure(pid: u32) -> (i64, usize) {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let pss = rollup.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap();
    let kib = pss.trim().trim_end_matches(" kB").parse().unwrap();
    (
        kib,
        std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .count(),
    )
}

/// The lowest of some measurements: connections that are closing take their time.
fn measure_at_rest(pid: u32) -> (i64, usize) {
    let started = Instant::now();
    let mut lowest = measure(pid);
    while started.elapsed() < Duration::from_secs(3) {
        std::thread::sleep(Duration::from_millis(100));
        let now = measure(pid);
        lowest = (lowest.0.min(now.0), lowest.1.min(now.1));
    }
    lowest
}

fn leaves_nothing_behind(shards: u32) {
    let server = Server::under_test(shards, &["log_dest none", "set_tcp_nodelay true"]);
    cycles(server.address(), 0..WARM_UP);
    let mut before = measure_at_rest(server.pid());
    let first_descriptors = before.1;
    for round in 0..ROUNDS {
        let first = WARM_UP + round * CYCLES;
        cycles(server.address(), first..first + CYCLES);
        let after = measure_at_rest(server.pid());
        println!(
            "{shards} shards: PSS {} to {} KiB, descriptors {} to {}",
            before.0, after.0, before.1, after.1
        );
        assert!(
            after.1 <= first_descriptors,
            "descriptors: {first_descriptors} before, {} after",
            after.1
        );
        if after.0 - before.0 <= GROWTH_KIB_MAX {
            break;
        }
        assert!(
            round + 1 < ROUNDS,
            "memory: {} KiB before, {} KiB after",
            before.0,
            after.0
        );
        before = after;
    }
    Client::connect(server.address(), 5, "last", true, None).disconnect();
}

#[test]
fn on_one_shard() {
    leaves_nothing_behind(1);
}

#[test]
fn on_two_shards() {
    leaves_nothing_behind(2);
}
