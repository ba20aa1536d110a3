//! Conformance as data: the scripts in this folder, played against the broker in the process and over a socket.
//!
//! `CONFORMANCE=text` plays only the cases whose file or name contains the text. The format is in `README.md`.

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod compose;
mod expect;
mod in_process;
mod play;
mod referee;
mod script;
mod socket;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use in_process::{Cut, InProcess};
use play::World;
use script::Case;
use socket::SocketWorld;
use support::Program;
use support::mqtt::Version;

/// Cases that wait longer are for virtual time only.
const SOCKET_WAITS_MS_MAX: u64 = 3_500;

/// Brokers at once: most of the time is waiting.
const SOCKET_THREADS: usize = 8;

/// What is wanted, by `CONFORMANCE`.
fn wanted() -> Vec<(Case, Version)> {
    let filter = std::env::var("CONFORMANCE").unwrap_or_default();
    let cases = script::load()
        .into_iter()
        .filter(|c| format!("{}/{}", c.file, c.name).contains(&filter));
    cases
        .flat_map(|case| {
            case.versions
                .clone()
                .into_iter()
                .map(move |version| (case.clone(), version))
        })
        .collect()
}

/// Plays all of them, several at once, and reports every failure.
fn play_all(
    cases: Vec<(Case, Version)>,
    threads: usize,
    play_one: impl Fn(&Case, Version) -> Result<(), String> + Sync,
) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((case, version)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = catch_unwind(AssertUnwindSafe(|| play_one(case, *version)));
                    if let Err(e) = played.unwrap_or_else(|_| Err("panicked".into())) {
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("[{version:?}] {:?}: {e}", case.name));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    println!("{} cases, {} failed", cases.len(), failures.len());
    assert!(failures.is_empty(), "\n{}\n", failures.join("\n"));
}

fn over_a_socket(program: &Program, case: &Case, version: Version) -> Result<(), String> {
    let mut world = SocketWorld::new(program, &case.config);
    play::play(&mut world as &mut dyn World, case, version).map_err(|e| {
        match std::env::var("CONFORMANCE") {
            Ok(_) => format!("{e}\n{}", world.log()),
            Err(_) => e,
        }
    })
}

fn in_process(shards: u8, cut: Cut) {
    play_all(wanted(), 2, |case, version| {
        play::play(
            &mut InProcess::new(shards, cut, &case.config),
            case,
            version,
        )
    });
}

#[test]
fn in_process_on_one_shard() {
    in_process(1, Cut::Whole);
}

#[test]
fn in_process_on_two_shards() {
    in_process(2, Cut::Whole);
}

#[test]
fn in_process_on_seven_shards() {
    in_process(7, Cut::Whole);
}

#[test]
fn in_process_in_crumbs() {
    in_process(1, Cut::Crumbs);
}

#[test]
fn in_process_in_crumbs_on_three_shards() {
    in_process(3, Cut::Crumbs);
}

/// Those whose waits are short.
fn wanted_in_real_time() -> Vec<(Case, Version)> {
    wanted()
        .into_iter()
        .filter(|(case, _)| case.waits_ms() <= SOCKET_WAITS_MS_MAX && case.is_for_sockets())
        .collect()
}

#[test]
fn over_a_socket_with_one_shard() {
    play_all(wanted_in_real_time(), SOCKET_THREADS, |case, version| {
        over_a_socket(&support::program(1), case, version)
    });
}

#[test]
fn over_a_socket_with_two_shards() {
    play_all(wanted_in_real_time(), SOCKET_THREADS, |case, version| {
        over_a_socket(&support::program(2), case, version)
    });
}

/// Every statement that binds a server is shown by a script, or `statements.txt` says why not.
#[test]
fn every_statement_is_shown() {
    let mut known = Vec::new();
    let mut excused = Vec::new();
    for line in include_str!("statements.txt")
        .lines()
        .filter(|l| !l.is_empty() && !l.starts_with('#'))
    {
        if let Some(rest) = line.strip_prefix("not ") {
            excused.push(rest.split(": ").next().unwrap_or(rest).to_string());
            continue;
        }
        let words: Vec<&str> = line.split(' ').collect();
        let (first, last) = words[2].split_once("..").unwrap_or((words[2], words[2]));
        let numbers = first.parse::<u32>().unwrap()..=last.parse::<u32>().unwrap();
        known.extend(numbers.map(|n| format!("{}:{}-{n}", words[0], words[1])));
    }
    let shown: std::collections::BTreeSet<String> = script::load()
        .into_iter()
        .flat_map(|c| c.statements)
        .collect();
    let missing: Vec<_> = known
        .iter()
        .filter(|s| !shown.contains(*s) && !excused.contains(s))
        .collect();
    assert!(missing.is_empty(), "shown by no script: {missing:?}");
    let unknown: Vec<_> = shown
        .iter()
        .filter(|s| s.contains(":MQTT-") && !known.contains(s))
        .collect();
    assert!(unknown.is_empty(), "not in statements.txt: {unknown:?}");
    let both: Vec<_> = excused.iter().filter(|s| shown.contains(*s)).collect();
    assert!(both.is_empty(), "shown although excused: {both:?}");
}

/// Shows that the scripts mean what the standard says: another broker agrees with them, but for the listed cases.
#[test]
#[ignore = "needs Debian's mosquitto 2.0.11"]
fn mosquitto_agrees() {
    let program = Program::Mosquitto(support::which("mosquitto").expect("mosquitto"));
    let deviations = include_str!("mosquitto.txt");
    let mut cases = wanted_in_real_time();
    cases.retain(|(case, _)| {
        !deviations
            .lines()
            .any(|l| l.starts_with(&format!("{}/{}:", case.file, case.name)))
    });
    play_all(cases, SOCKET_THREADS, |case, version| {
        over_a_socket(&program, case, version)
    });
}
