//! Which buffers are chosen, and what the kernel makes of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::budget::Account;
use crate::config::Config;
use crate::server::budget::{Budget, Layout};

const MIB: u64 = 1 << 20;

#[test]
fn few_connections_keep_the_kernels_tuning() {
    assert_eq!(Buffers::choose(500 * MIB, 50), Buffers::default());
    assert_eq!(Buffers::default().to_string(), "as the kernel tunes them");
    for connections in [1000, 3000, 5000] {
        let buffers = Buffers::choose(500 * MIB, connections);
        assert_eq!((buffers.send, buffers.receive), (None, None));
        let all = buffers.unread_bytes() * connections;
        let full = all / limits::SOCKET_FULL_DIVISOR;
        assert!(full <= 500 * MIB, "{connections}: {buffers}");
    }
}

#[test]
fn the_more_connections_the_less_for_each() {
    let mut before = Buffers::choose(500 * MIB, 2000);
    for connections in [3000, 10_000, 20_000, 100_000, 1 << 20, u64::MAX] {
        let buffers = Buffers::choose(500 * MIB, connections);
        assert!(buffers.notsent <= before.notsent, "{connections}");
        assert!(buffers.notsent >= Some(limits::SOCKET_NOTSENT_MIN));
        if before.receive.is_some() {
            assert!(buffers.receive <= before.receive && buffers.receive.is_some());
        }
        before = buffers;
    }
    assert_eq!(
        before.to_string(),
        "unsent 16 KiB, send 128 KiB, receive 16 KiB, segments 4 KiB a connection"
    );
    assert_eq!(Buffers::choose(0, 0), before);
}

/// What is chosen with a limit on memory, slots of each file table, and shards; and what it was chosen from.
fn chosen(limit: u64, descriptors: u64, shards: u8) -> Option<(Buffers, u64, u64)> {
    let mut config = Config::default();
    config.memory.limit = Some(limit);
    let layout = Layout {
        shards,
        few_buffers: true,
        descriptors: Some(u32::try_from(descriptors).unwrap()),
        has_journal: None,
    };
    let budget = Budget::new(&config, layout, None).ok()?;
    let account = budget.plan.limit(Account::Sockets);
    let connections = descriptors * u64::from(shards);
    Some((Buffers::choose(account, connections), account, connections))
}

const DESCRIPTORS: [u64; 8] = [
    128, 1024, 4096, 20_000, 65_536, 524_288, 1_048_576, 4_194_304,
];

/// Limits on memory from 64 MiB to 256 GiB, with steps of a half.
fn limits_on_memory() -> impl Iterator<Item = u64> {
    (6..18).flat_map(|power| [MIB << power, (MIB << power) * 3 / 2])
}

#[test]
fn whatever_is_chosen_fits_together() {
    let mut seen = 0;
    for descriptors in DESCRIPTORS {
        for shards in [1, 2, 3, 8, 64] {
            let mut before: Option<Buffers> = None;
            for (limit, (buffers, account, connections)) in limits_on_memory()
                .filter_map(|limit| Some((limit, chosen(limit, descriptors, shards)?)))
            {
                let place = format!("{limit} bytes, {descriptors} slots, {shards}: {buffers}");
                let bounded = [buffers.send, buffers.receive, buffers.segment];
                let is_small = buffers.receive.is_some();
                assert!(
                    bounded.iter().all(|part| part.is_some() == is_small),
                    "{place}"
                );
                if let (Some(receive), Some(segment)) = (buffers.receive, buffers.segment) {
                    assert!(8 * segment <= 2 * receive, "{place}");
                    assert!(buffers.notsent.is_some(), "{place}");
                } else {
                    // Those that may be full at once are paid for.
                    let full = connections.div_ceil(limits::SOCKET_FULL_DIVISOR);
                    assert!(full * buffers.unread_bytes() <= account, "{place}");
                }
                if let Some(before) = before {
                    let unsent = |buffers: &Buffers| buffers.notsent.unwrap_or(u32::MAX);
                    assert!(unsent(&before) <= unsent(&buffers), "{place}");
                    assert!(before.receive.is_some() || !is_small, "{place}");
                }
                before = Some(buffers);
                seen += 1;
            }
        }
    }
    assert!(seen > 500, "{seen}");
}

/// The unit of `tuning/` allows a million descriptors.
#[test]
fn a_million_descriptors_bound_buffers_and_segments() {
    for shards in [1, 2, 16] {
        let (buffers, ..) = chosen(2 << 30, 1 << 20, shards).unwrap();
        assert_eq!(buffers.receive, Some(limits::SOCKET_RECEIVE_BYTES));
        assert_eq!(buffers.segment, Some(limits::SOCKET_SEGMENT_BYTES));
    }
}

/// A generator of no quality.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Small writes of one size, then some of which are larger, then much at once: what makes the window of a small buffer fall
/// while the sender waits for room for a large segment.
fn write_mixed_sizes(mut to: TcpStream, mut chance: Chance, ends: &AtomicBool) {
    let bytes = vec![7; 300_000];
    while !ends.load(Ordering::Relaxed) {
        let size = 100 + chance.below(1400);
        for number in 0..3 + chance.below(30) {
            let more = if number % 5 == 4 {
                chance.below(400)
            } else {
                0
            };
            if to.write_all(&bytes[..(size + more) as usize]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_micros(chance.below(200)));
        }
        let much = chance.below(300_000) as usize;
        if to.write_all(&bytes[..much]).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(chance.below(8)));
    }
}

fn read_all(mut from: TcpStream, mut chance: Chance, got: &AtomicU64) {
    let mut bytes = vec![0; 32 << 10];
    while let Ok(len @ 1..) = from.read(&mut bytes) {
        got.fetch_add(len as u64, Ordering::Relaxed);
        if chance.below(8) == 0 {
            std::thread::sleep(Duration::from_micros(chance.below(3000)));
        }
    }
}

/// Connections to a listener with these buffers on which mixed sizes are sent: what has come of each.
fn senders(buffers: &Buffers, count: u64, ends: &Arc<AtomicBool>) -> Vec<Arc<AtomicU64>> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    buffers.set(&listener).unwrap();
    let connection = |seed: u64| {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.set_nodelay(true).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        let (got, ends) = (Arc::new(AtomicU64::new(0)), ends.clone());
        let counter = got.clone();
        let chance = |salt: u64| Chance((seed + salt).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let (reading, writing) = (chance(1), chance(1000));
        std::thread::spawn(move || read_all(accepted, reading, &counter));
        std::thread::spawn(move || write_mixed_sizes(client, writing, &ends));
        got
    };
    (0..count).map(connection).collect()
}

/// A connection that stands still has some 60 KB a second: what its sender probes the window with.
#[test]
fn no_choice_of_buffers_makes_a_sender_stand_still() {
    const SECONDS: usize = 4;
    const SLOW_BYTES: u64 = 200_000;
    let ends = Arc::new(AtomicBool::new(false));
    let choices = [20, 5000, 1 << 20].map(|connections| Buffers::choose(500 * MIB, connections));
    let of_choice = |buffers: &Buffers| (*buffers, senders(buffers, 8, &ends));
    let all: Vec<_> = choices.iter().map(of_choice).collect();
    let mut before = vec![vec![0; 8]; all.len()];
    let mut slow = vec![vec![0; 8]; all.len()];
    for _ in 0..SECONDS {
        std::thread::sleep(Duration::from_secs(1));
        for (choice, (_, senders)) in all.iter().enumerate() {
            for (index, got) in senders.iter().enumerate() {
                let now = got.load(Ordering::Relaxed);
                let is_slow = now - before[choice][index] < SLOW_BYTES;
                slow[choice][index] += usize::from(is_slow);
                before[choice][index] = now;
            }
        }
    }
    ends.store(true, Ordering::Relaxed);
    for (choice, (buffers, _)) in all.iter().enumerate() {
        // The machine may have other things to do for a second.
        let stood_still = slow[choice].iter().filter(|slow| **slow > 1).count();
        assert_eq!(stood_still, 0, "{buffers}: {:?}", slow[choice]);
    }
}

#[test]
fn what_is_accepted_inherits_them() {
    let buffers = Buffers::choose(100 * MIB, 20_000);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    buffers.set(&listener).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    let socket = SockRef::from(&accepted);
    assert_eq!(socket.tcp_notsent_lowat().ok(), buffers.notsent);
    let receive = buffers.receive.unwrap() as usize;
    assert_eq!(socket.recv_buffer_size().unwrap(), 2 * receive);
    // Bytes get through in both directions.
    for bytes in [1, 100_000] {
        let sent = vec![7; bytes];
        let copy = sent.clone();
        let writer = std::thread::spawn(move || {
            client.write_all(&copy).unwrap();
            client
        });
        let mut got = vec![0; bytes];
        accepted.read_exact(&mut got).unwrap();
        client = writer.join().unwrap();
        assert_eq!(got, sent);
    }
    // A peer that reads nothing is given little.
    accepted.set_nonblocking(true).unwrap();
    let mut taken = 0;
    let error = loop {
        match accepted.write(&[0; 65536]) {
            Ok(bytes) => taken += bytes,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    assert!(taken < 1 << 20, "{taken}");
}
