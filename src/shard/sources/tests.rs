//! The table by itself: counts, rates, lines, memory, threads, and what it costs.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use super::*;

fn sources(connections: u32, rate: u32) -> Sources {
    let sources = Sources::default();
    sources.set(SourceBounds {
        connections,
        rate,
        local: false,
    });
    sources
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn known(sources: &Sources) -> usize {
    let entries = sources.stripes.iter();
    entries.map(|stripe| locked(stripe).entries.len()).sum()
}

#[test]
fn each_address_has_its_own_count() {
    let sources = sources(2, 0);
    let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
    assert_eq!(sources.admit(one, 0), Ok(true));
    assert_eq!(sources.admit(one, 0), Ok(true));
    let refused = sources.admit(one, 0).unwrap_err();
    assert_eq!(refused.option, "max_connections_per_address");
    assert_eq!(sources.admit(other, 0), Ok(true));
    sources.release(one, 0);
    assert_eq!(sources.admit(one, 0), Ok(true));
    for address in [one, one, other] {
        sources.release(address, 0);
    }
    assert_eq!(sources.open(), 0);
    sources.release(other, 0);
    assert_eq!(sources.open(), 0, "nothing to take back");
}

#[test]
fn an_ipv6_network_of_64_bits_is_one_address() {
    let sources = sources(1, 0);
    assert_eq!(sources.admit(ip("2001:db8:0:1::1"), 0), Ok(true));
    assert!(sources.admit(ip("2001:db8:0:1:ffff::2"), 0).is_err());
    assert_eq!(sources.admit(ip("2001:db8:0:2::1"), 0), Ok(true));
    assert_eq!(sources.admit(ip("::ffff:192.0.2.1"), 0), Ok(true));
    assert!(sources.admit(ip("192.0.2.1"), 0).is_err());
}

#[test]
fn this_hosts_own_addresses_count_only_if_asked_for() {
    let sources = sources(1, 1);
    for address in [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "0.0.0.0",
        "::ffff:127.0.0.1",
    ] {
        for _ in 0..100 {
            assert_eq!(sources.admit(ip(address), 0), Ok(false), "{address}");
        }
    }
    sources.set(SourceBounds {
        connections: 1,
        rate: 0,
        local: true,
    });
    assert_eq!(sources.admit(ip("127.0.0.1"), 0), Ok(true));
    assert!(sources.admit(ip("127.0.0.1"), 0).is_err());
    assert_eq!(sources.admit(ip("0.0.0.0"), 0), Ok(false), "a Unix socket");
}

#[test]
fn without_a_bound_nothing_is_kept() {
    let sources = sources(0, 0);
    assert_eq!(sources.admit(ip("192.0.2.1"), 0), Ok(false));
    assert_eq!(known(&sources), 0);
}

#[test]
fn a_burst_is_followed_by_the_rate() {
    let sources = sources(0, 4);
    let address = ip("192.0.2.1");
    let burst = 4 * limits::SOURCE_BURST_S;
    let admitted = |now_ms, tries: u64| {
        let tries = 0..tries;
        tries
            .filter(|_| sources.admit(address, now_ms).is_ok())
            .count() as u64
    };
    assert_eq!(admitted(5000, burst + 50), burst);
    assert_eq!(admitted(5249, 50), 0, "a quarter of a second is not over");
    assert_eq!(admitted(5250, 50), 1);
    assert_eq!(admitted(6250, 50), 4);
    assert_eq!(admitted(1_000_000, burst + 50), burst, "full again");
}

#[test]
fn there_is_a_line_per_address_and_second_with_a_count() {
    let sources = sources(1, 0);
    let address = ip("192.0.2.1");
    sources.admit(address, 0).unwrap();
    let mut said = Vec::new();
    for now_ms in [10, 20, 999, 1000, 1001, 3500] {
        said.push(sources.admit(address, now_ms).unwrap_err().say);
    }
    assert_eq!(said, [Some(1), None, None, Some(3), None, Some(2)]);
    let mut lines = 0;
    for number in 0..10_000u32 {
        let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number));
        sources.admit(address, 5000).unwrap();
        let refused = sources.admit(address, 5000).unwrap_err();
        lines += u32::from(refused.say.is_some());
    }
    assert_eq!(lines, limits::REFUSAL_LINES_PER_S, "many addresses at once");
}

/// A million addresses that come once: the table stays small, and none of them is refused.
#[test]
fn a_full_table_shuts_nobody_out() {
    let sources = sources(1, 1);
    let kept = ip("192.0.2.1");
    sources.admit(kept, 0).unwrap();
    for number in 0..1_000_000u32 {
        let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number));
        assert_eq!(sources.admit(address, 0), Ok(true));
        sources.release(address, 0);
    }
    assert!(known(&sources) <= limits::SOURCES_IDLE_MAX + STRIPES);
    assert!(sources.admit(kept, 0).is_err(), "its connection is open");
    assert_eq!(sources.open(), 1);
    for number in 0..200_000u32 {
        let address = IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number));
        assert_eq!(sources.admit(address, 0), Ok(true), "and all stay");
    }
    assert_eq!(sources.open(), 200_001);
}

#[test]
fn threads_agree_about_the_count() {
    let sources = sources(1000, 0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..20_000u32 {
                    let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number % 100));
                    sources.admit(address, 0).unwrap();
                    sources.release(address, 0);
                }
            });
        }
    });
    assert_eq!((sources.open(), known(&sources)), (0, 0));
}

#[test]
fn one_address_does_not_fill_the_queue_of_passwords() {
    let sources = sources(0, 0);
    let (one, other) = (ip("192.0.2.1"), ip("192.0.2.2"));
    let most = limits::PASSWORDS_WAITING_PER_ADDRESS;
    let enter = |address| sources.enter_check(address, 100, u64::MAX);
    assert!((0..most).all(|_| enter(one)));
    assert!(!enter(one) && enter(other));
    sources.leave_check(one, 100);
    assert!(enter(one) && !enter(one));
    for _ in 0..most {
        sources.leave_check(one, 100);
    }
    sources.leave_check(other, 100);
    let checks = locked(&sources.checks);
    assert!(checks.sources.is_empty() && checks.bytes == 0);
    drop(checks);
    assert!((0..10_000).all(|_| enter(ip("127.0.0.1"))));
}

/// Names and passwords of 64 KiB each: an address has an eighth of what there is, all together hold no more than that and
/// what those with little always may have; with it, nobody is shut out by others.
#[test]
fn passwords_that_wait_are_bounded_in_bytes() {
    const LARGE: u64 = 2 << 16;
    let all = limits::PASSWORDS_WAITING_BYTES_MAX;
    for most in [0, all / 4, u64::MAX] {
        let sources = sources(0, 0);
        let fill = |address| {
            let enters = |_: &u32| sources.enter_check(address, LARGE, most);
            (0..).take_while(enters).count() as u64 * LARGE
        };
        let one = fill(ip("192.0.2.1"));
        let share = (most.min(all) / 8).max(limits::CONNECT_BYTES_MAX.into());
        assert!(one >= LARGE && one <= share, "{most}: {one}");
        assert_eq!(fill(ip("192.0.2.1")), 0, "its own");
        let small = limits::PASSWORDS_WAITING_BYTES_ALWAYS / 2;
        assert!(!sources.enter_check(ip("192.0.2.1"), share, most));
        let others: u64 = (0..=255)
            .map(|host| fill(ip(&format!("198.51.100.{host}"))))
            .sum();
        let held = one + others;
        assert!(held <= most.min(all).max(share), "{most}: {held}");
        for host in ["203.0.113.1", "127.0.0.1", "::1"] {
            assert!(sources.enter_check(ip(host), small, most), "{most}: {host}");
            assert_eq!(fill(ip(host)), 0, "others have it");
        }
        assert_eq!(locked(&sources.checks).bytes, held + 3 * small);
    }
}

/// Prints what an accept and a close cost; `cargo test --release -- --ignored --nocapture`.
#[test]
#[ignore = "measures"]
fn what_it_costs() {
    for (name, connections, rate) in [("off", 0, 0), ("on", 1000, 1000)] {
        let sources = sources(connections, rate);
        let started = Instant::now();
        let rounds = 1_000_000u32;
        for number in 0..rounds {
            let address = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + number % 10_000));
            let now_ms = u64::from(number) / 10;
            if sources.admit(address, now_ms) == Ok(true) {
                sources.release(address, now_ms);
            }
        }
        println!(
            "{name}: {} ns",
            started.elapsed().as_nanos() / u128::from(rounds)
        );
    }
}
