//! `firehose --version`: what the program is built from and what it found of the kernel. The version's only place is Cargo.toml.

use std::fmt::Write;

use crate::uring::{Ring, RingError, Sizes};

/// The version.
pub(super) const NUMBER: &str = env!("CARGO_PKG_VERSION");
/// The day of the commit that it is built from.
pub(super) const DATE: &str = env!("FIREHOSE_DATE");
/// The commit.
const REVISION: &str = env!("FIREHOSE_REVISION");
/// Target, profile and options of the build.
const OPTIONS: &str = env!("FIREHOSE_OPTIONS");
const RUSTC: &str = env!("FIREHOSE_RUSTC");

/// The least ring there is: it only answers what it has.
const SMALL: Sizes = Sizes {
    submissions: 8,
    completions: 16,
    files: 8,
    workers: 1,
};

/// All that is known, in lines. `-V` prints the first, as far as the version goes.
pub(super) fn long() -> String {
    let mut text = format!("firehose {NUMBER}");
    // Writing to a `String` does not fail.
    let _ = match REVISION {
        "" => writeln!(text),
        revision => writeln!(text, " ({revision}, {DATE})"),
    };
    let _ = writeln!(text, "build: {OPTIONS}; {RUSTC}");
    let _ = writeln!(text, "kernel: {}", kernel());
    text
}

fn kernel() -> String {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("Linux {}; {}", release.trim(), io_uring(Ring::new(SMALL)))
}

/// What of io_uring is there, in words.
fn io_uring(ring: Result<Ring, RingError>) -> String {
    match ring {
        Err(error) => format!("io_uring: {error}"),
        Ok(ring) if ring.has_ordered_buffers() => {
            "io_uring has all that is needed, and of Linux 6.15 buffers that are filled bit by bit and waits that are not iowait"
                .into()
        }
        Ok(_) => {
            "io_uring has all that is needed; without what came with Linux 6.15: buffers that are filled bit by bit".into()
        }
    }
}
