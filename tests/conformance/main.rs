//! Conformance as data: the scripts in this folder, played against the broker in the process and over a socket.
//!
//! `CONFORMANCE=text` plays only the cases whose file or name contains the text. The format is in `README.md`.

#[path = "../support/mod.rs"]
mod support;

mod bytes;
mod compose;
mod expect;
mod play;
mod referee;
mod script;
mod socket;
mod wire;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use play::World;
use script::Case;
use socket::SocketWorld;
use support::Program;
use wire::Version;

/// Cases that wait longer are for virtual time only.
const SOCKET_WAITS_MS_MAX: u64 = 3_500;

/// What is wanted, by `CONFORMANCE`.
fn wanted() -> Vec<(Case, Version)> {
    let filter = std::env::var("CONFORMANCE").unwrap_or_default();
    let cases = script::load().into_iter().filter(|c| format!("{}/{}", c.file, c.name).contains(&filter));
    cases.flat_map(|case| case.versions.clone().into_iter().map(move |version| (case.clone(), version))).collect()
}

/// Plays all of them, several at once, and reports every failure.
fn play_all(cases: Vec<(Case, Version)>, threads: usize, play_one: impl Fn(&Case, Version) -> Result<(), String> + Sync) {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((case, version)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let played = catch_unwind(AssertUnwindSafe(|| play_one(case, *version)));
                    if let Err(e) = played.unwrap_or_else(|_| Err("panicked".into())) {
                        failures.lock().unwrap().push(format!("[{version:?}] {:?}: {e}", case.name));
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
    play::play(&mut world as &mut dyn World, case, version).map_err(|e| match std::env::var("CONFORMANCE") {
        Ok(_) => format!("{e}\n{}", world.log()),
        Err(_) => e,
    })
}

/// Shows that the scripts mean what the standard says: another broker agrees with them, but for the listed cases.
#[test]
#[ignore = "needs Debian's mosquitto 2.0.11"]
fn mosquitto_agrees() {
    let program = Program::Mosquitto(support::which("mosquitto").expect("mosquitto"));
    let deviations = include_str!("mosquitto.txt");
    let mut cases = wanted();
    cases.retain(|(case, _)| case.waits_ms() <= SOCKET_WAITS_MS_MAX);
    cases.retain(|(case, _)| !deviations.lines().any(|l| l.starts_with(&format!("{}/{}:", case.file, case.name))));
    play_all(cases, 8, |case, version| over_a_socket(&program, case, version));
}
