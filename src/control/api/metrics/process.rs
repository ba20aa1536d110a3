//! The process, by the names that all of Prometheus' clients give such figures, and what the broker is.

use std::fs;

use rustix::param::{clock_ticks_per_second, page_size};
use rustix::process::{Resource, getrlimit};

use super::page::{Labels, Page};
use crate::figure::Kind;

/// Of /proc/self/stat, counted from the field behind the name (proc(5)).
const USER_TICKS: usize = 11;
const SYSTEM_TICKS: usize = 12;
const START_TICKS: usize = 19;
const VIRTUAL_BYTES: usize = 20;
const RESIDENT_PAGES: usize = 21;

/// What the kernel says of the process; what it does not say is left out.
pub(super) fn show(page: &mut Page) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel: String = kernel
        .trim()
        .chars()
        .filter(|letter| is_plain(*letter))
        .collect();
    let labels = Labels::default();
    let labels = labels
        .with("version", env!("CARGO_PKG_VERSION"))
        .with("kernel", kernel);
    let build = "The version of the broker, and of the kernel that it runs on.";
    page.put(("firehose_build_info", Kind::Level, build), &labels, 1.0);
    let stat = read("/proc/self/stat");
    times(page, &stat, &read("/proc/stat"));
    sizes(page, &stat);
}

/// What it has had of the CPU, and since when.
fn times(page: &mut Page, stat: &str, host: &str) {
    let ticks = clock_ticks_per_second() as f64;
    let cpu = "CPU time of the process.";
    for (mode, field) in [("user", USER_TICKS), ("system", SYSTEM_TICKS)] {
        if let Some(spent) = field_of(stat, field) {
            let labels = Labels::default().with("mode", mode);
            let family = ("process_cpu_seconds", Kind::Counter, cpu);
            page.put(family, &labels, spent as f64 / ticks);
        }
    }
    let boot = boot_s(host);
    if let Some((boot, start)) = boot.zip(field_of(stat, START_TICKS)) {
        let help = "When the process began, in seconds since 1970.";
        let family = ("process_start_time_seconds", Kind::Level, help);
        page.put(
            family,
            &Labels::default(),
            boot as f64 + start as f64 / ticks,
        );
    }
}

/// What it holds.
fn sizes(page: &mut Page, stat: &str) {
    let pages = field_of(stat, RESIDENT_PAGES);
    let open = fs::read_dir("/proc/self/fd")
        .ok()
        .map(|all| all.count() as u64);
    let levels = [
        (
            "process_resident_memory_bytes",
            "Memory of the process that is in memory.",
            pages.map(|pages| pages * page_size() as u64),
        ),
        (
            "process_virtual_memory_bytes",
            "Memory that the process has mapped.",
            field_of(stat, VIRTUAL_BYTES),
        ),
        (
            "process_open_fds",
            "File descriptors that are open; connections of clients are none.",
            open,
        ),
        (
            "process_max_fds",
            "File descriptors that may be.",
            getrlimit(Resource::Nofile).current,
        ),
    ];
    for (name, help, value) in levels {
        if let Some(value) = value {
            page.put_whole((name, Kind::Level, help), &Labels::default(), value);
        }
    }
}

/// What may stand in a label without an escape.
fn is_plain(letter: char) -> bool {
    letter.is_ascii_graphic() && letter != '"' && letter != '\\'
}

/// The name of the process stands in brackets, and may have blanks and brackets in it.
fn field_of(stat: &str, field: usize) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(field)?.parse().ok()
}

fn boot_s(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("btime "))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 50 60 0 0 20 0 9 0 123 4096 77 1";
        assert_eq!(field_of(stat, USER_TICKS), Some(50));
        assert_eq!(field_of(stat, SYSTEM_TICKS), Some(60));
        assert_eq!(field_of(stat, START_TICKS), Some(123));
        assert_eq!(field_of(stat, VIRTUAL_BYTES), Some(4096));
        assert_eq!(field_of(stat, RESIDENT_PAGES), Some(77));
        assert_eq!(field_of("", 1), None);
        assert_eq!(boot_s("cpu 1 2\nbtime 1700000000\n"), Some(1_700_000_000));
    }
}
