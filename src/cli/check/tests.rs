//! Checks on hosts that are made up.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

mod disk;

use super::checks::{self, SYSCTLS};
use super::facts::{Bind, Host};
use super::report::{Finding, Severity, exit_code, json, table};
use super::wish::Wish;
use crate::config::{Config, Socket};
use crate::control::disk::Disk;
use crate::server::budget::Layout;
use crate::uring::RingError;

#[derive(Default)]
struct MadeUp {
    files: BTreeMap<String, String>,
    forbidden: bool,
    taken: Option<Bind>,
    disk: Option<Disk>,
    /// Why there is no disk, where it is not that it may not be written.
    fault: Option<io::ErrorKind>,
}

impl MadeUp {
    fn with(mut self, path: &str, text: &str) -> MadeUp {
        self.files.insert(path.into(), text.into());
        self
    }

    fn finding(&self, id: &str) -> Option<Finding> {
        let wish = Wish {
            connections: 100_000,
            shards: 4,
            layout: Layout {
                shards: 4,
                few_buffers: true,
                descriptors: None,
                has_journal: None,
            },
            files: 1000,
        };
        let all = checks::all(self, &Config::default(), &wish);
        all.into_iter().find(|finding| finding.id == id)
    }
}

impl Host for MadeUp {
    fn read(&self, path: &str) -> Option<String> {
        self.files.get(path).cloned()
    }
    fn rings(&self, _: u8, _: u32) -> Result<(), RingError> {
        match self.forbidden {
            true => Err(RingError::Forbidden(io::Error::from_raw_os_error(1))),
            false => Ok(()),
        }
    }
    fn bind(&self, _: &Socket) -> Bind {
        self.taken.clone().unwrap_or(Bind::Free)
    }
    fn writable(&self, _: &Path) -> Result<(), String> {
        Ok(())
    }
    fn disk(&self, location: &Path) -> io::Result<Disk> {
        let kind = self.fault.unwrap_or(io::ErrorKind::PermissionDenied);
        let fault = || io::Error::new(kind, format!("{}: {kind}", location.display()));
        self.disk.clone().ok_or_else(fault)
    }
}

#[test]
fn buffers_of_sockets_are_named() {
    let with = |files: &str| {
        let limits = format!("Max open files  {files} {files} files");
        let host = MadeUp::default()
            .with("/proc/self/limits", &limits)
            .with("/proc/meminfo", "MemTotal: 2097152 kB");
        host.finding("sockets.buffers").unwrap()
    };
    let found = with("1048576");
    assert_eq!(found.severity, Severity::Ok);
    assert!(found.found.contains("segments 4 KiB"), "{found:?}");
    assert!(found.wanted.contains("4194304 connections"), "{found:?}");
    let found = with("16");
    assert!(found.found.contains("as the kernel tunes"), "{found:?}");
}

/// Checks that find this text in this file grade it so.
fn graded(table: &[(&str, &str, &str, Severity)]) {
    for (id, path, text, severity) in table {
        let finding = MadeUp::default().with(path, text).finding(id).unwrap();
        assert_eq!(finding.severity, *severity, "{id}: {text}: {finding:?}");
    }
}

#[test]
fn the_kernel_and_its_settings_are_graded() {
    use Severity::{Advice, Fatal, Missing, Ok};
    graded(&[
        (
            "kernel",
            "/proc/sys/kernel/osrelease",
            "5.15.0-91-generic",
            Fatal,
        ),
        (
            "kernel",
            "/proc/sys/kernel/osrelease",
            "6.8.0-45-generic",
            Advice,
        ),
        ("kernel", "/proc/sys/kernel/osrelease", "6.18.44", Ok),
        (
            "net.core.somaxconn",
            "/proc/sys/net/core/somaxconn",
            "128",
            Missing,
        ),
        (
            "net.core.somaxconn",
            "/proc/sys/net/core/somaxconn",
            "4096",
            Ok,
        ),
        (
            "net.netfilter.nf_conntrack_max",
            "/proc/sys/net/netfilter/nf_conntrack_max",
            "65536",
            Missing,
        ),
        (
            "net.ipv4.tcp_mem",
            "/proc/sys/net/ipv4/tcp_mem",
            "1 2 199999",
            Missing,
        ),
        (
            "net.ipv4.tcp_mem",
            "/proc/sys/net/ipv4/tcp_mem",
            "1 2 200000",
            Ok,
        ),
        (
            "vm.overcommit_memory",
            "/proc/sys/vm/overcommit_memory",
            "2",
            Advice,
        ),
        (
            "vm.overcommit_memory",
            "/proc/sys/vm/overcommit_memory",
            "0",
            Ok,
        ),
    ]);
}

#[test]
fn limits_of_the_process_are_graded() {
    use Severity::{Fatal, Missing, Ok};
    let limits = "/proc/self/limits";
    graded(&[
        (
            "nofile",
            limits,
            "Max open files  1024  29095  files",
            Missing,
        ),
        ("nofile", limits, "Max open files  1024  29096  files", Ok),
        (
            "nofile",
            limits,
            "Max open files  1024  unlimited  files",
            Ok,
        ),
        (
            "memlock",
            limits,
            "Max locked memory  65536  65536  bytes",
            Fatal,
        ),
        (
            "memlock",
            limits,
            "Max locked memory  unlimited  unlimited  bytes",
            Ok,
        ),
    ]);
}

#[test]
fn memory_is_graded() {
    use Severity::{Advice, Fatal, Missing, Ok};
    graded(&[
        ("memory", "/proc/meminfo", "MemTotal: 1048576 kB", Missing),
        ("memory", "/proc/meminfo", "MemTotal: 3145728 kB", Ok),
        ("memory_limit", "/proc/meminfo", "MemTotal: 65536 kB", Fatal),
        ("memory_limit", "/proc/meminfo", "MemTotal: 262144 kB", Ok),
        (
            "memory.available",
            "/proc/meminfo",
            "MemTotal: 2097152 kB\nMemAvailable: 1048576 kB",
            Advice,
        ),
        ("swap", "/proc/meminfo", "SwapTotal:       1024 kB", Advice),
        ("swap", "/proc/meminfo", "SwapTotal:       0 kB", Ok),
    ]);
}

#[test]
fn processors_are_graded() {
    use Severity::{Advice, Missing, Ok};
    graded(&[
        (
            "cpus",
            "/proc/self/status",
            "Cpus_allowed_list:\t0-1,3",
            Missing,
        ),
        ("cpus", "/proc/self/status", "Cpus_allowed_list:\t0-3", Ok),
        (
            "governor",
            "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave",
            Advice,
        ),
    ]);
}

#[test]
fn a_host_without_files_is_no_failure() {
    let bare = MadeUp::default();
    assert_eq!(bare.finding("memory_limit").unwrap().severity, Severity::Ok);
    assert_eq!(bare.finding("kernel").unwrap().severity, Severity::Advice);
    let strict = MadeUp {
        forbidden: true,
        ..MadeUp::default()
    };
    let finding = strict.finding("io_uring").unwrap();
    assert_eq!(finding.file, Some("seccomp.json"));
    assert_eq!(finding.severity, Severity::Fatal);
    assert_eq!(exit_code(std::slice::from_ref(&finding), Some(3)), 3);
    // A start that succeeds knows better.
    assert_eq!(exit_code(&[finding], None), 1);
    let busy = MadeUp {
        taken: Some(Bind::Refused("taken".into())),
        ..MadeUp::default()
    };
    let finding = busy.finding("listener").unwrap();
    assert!(table(std::slice::from_ref(&finding), false).starts_with("fatal    listener  taken"));
}

/// Text of files neither moves a terminal's other text nor makes up rows.
#[test]
fn what_stands_in_files_is_escaped() {
    let odd = "a\nfatal\u{1b}[2J\u{202e}\u{9b}b";
    let finding = Finding {
        id: "certificate",
        severity: Severity::Advice,
        found: odd.into(),
        wanted: odd.into(),
        why: "Why.",
        file: None,
    };
    let findings = [finding];
    let shown = table(&findings, false);
    assert!(shown.is_ascii() && shown.lines().count() == 2, "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    let text = json(&findings);
    assert!(text.is_ascii() && !text.contains('\u{1b}'), "{text}");
    let read: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read[0]["found"], odd);
}

#[test]
fn tuning_sets_what_is_wanted() {
    let file = include_str!("../../../tuning/50-firehose.sysctl.conf");
    for sysctl in &SYSCTLS {
        let line = file.lines().find_map(|line| {
            let line = line.trim_start_matches('-').strip_prefix(sysctl.id)?;
            line.trim_start()
                .strip_prefix('=')?
                .trim()
                .parse::<u64>()
                .ok()
        });
        assert!(line.unwrap() >= sysctl.wanted, "{}", sysctl.id);
    }
}

#[test]
fn sizes_are_read() {
    assert_eq!(super::size("4G"), Ok(4 << 30));
    assert_eq!(super::size("512m"), Ok(512 << 20));
    assert_eq!(super::size("7"), Ok(7));
    assert!(super::size("").is_err() && super::size("G").is_err());
    assert!(super::size("99999999999G").is_err());
}

#[test]
fn a_limit_above_what_there_is_is_named() {
    let group = "/sys/fs/cgroup/firehose";
    let host = MadeUp::default()
        .with("/proc/meminfo", "MemTotal: 16777216 kB")
        .with("/proc/self/cgroup", "0::/firehose")
        .with(
            "/proc/self/mountinfo",
            "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
        )
        .with(&format!("{group}/memory.current"), "1")
        .with(&format!("{group}/memory.max"), "2147483648");
    let layout = Layout {
        shards: 1,
        few_buffers: true,
        descriptors: None,
        has_journal: None,
    };
    let wish = Wish {
        connections: 10_000,
        shards: 1,
        layout,
        files: 1000,
    };
    for (limit, tls, expected) in [
        (1920 << 20, 100 << 20, [Severity::Ok, Severity::Ok]),
        (
            (1920 << 20) + 1,
            1 << 30,
            [Severity::Missing, Severity::Missing],
        ),
    ] {
        let mut config = Config::default();
        config.memory.limit = Some(limit);
        config.memory.tls = Some(tls);
        let all = checks::all(&host, &config, &wish);
        let graded = ["memory_limit", "tls_memory_limit"]
            .map(|id| all.iter().find(|f| f.id == id).unwrap().severity);
        assert_eq!(graded, expected, "{all:?}");
    }
}
