//! The checks: facts and wishes to findings. No file is read here but through `Host`.

use super::facts::{Bind, Host};
use super::memory;
use super::report::{Finding, Severity};
use super::wish::{Wish, grade, limit};
use crate::config::{Config, Socket, absolute};
use crate::limits;
use crate::server::{places, resources};
use crate::uring::RingError;

/// Locked memory below which the control thread's executor does not start, in bytes.
pub(super) const MEMLOCK_BYTES: u64 = 512 << 10;

const SYSCTL_FILE: &str = "50-firehose.sysctl.conf";
const LIMITS_FILE: &str = "50-firehose.limits.conf";

/// A kernel setting that has to be at least this.
pub(super) struct Sysctl {
    pub id: &'static str,
    pub wanted: u64,
    pub why: &'static str,
}

/// Settings of which the tuning file has a line with the same value or a greater one.
pub(super) const SYSCTLS: [Sysctl; 3] = [
    Sysctl {
        id: "net.core.somaxconn",
        wanted: limits::LISTEN_BACKLOG as u64,
        why: "Clients that come back all at once are refused where the queue of a listener is short.",
    },
    Sysctl {
        id: "net.ipv4.tcp_max_syn_backlog",
        wanted: limits::LISTEN_BACKLOG as u64,
        why: "The same for connections that are half open.",
    },
    Sysctl {
        id: "net.netfilter.nf_conntrack_max",
        wanted: 0,
        why: "Where connection tracking is loaded each client is an entry, and a full table drops new ones.",
    },
];

/// All findings, in the order in which they are shown.
pub(super) fn all(host: &dyn Host, config: &Config, wish: &Wish) -> Vec<Finding> {
    let mut findings = vec![kernel(host), rings(host, wish), nofile(host, config, wish)];
    findings.extend(memlock(host));
    findings.extend(
        SYSCTLS
            .iter()
            .filter_map(|sysctl| setting(host, sysctl, wish)),
    );
    findings.extend(memory::findings(host, config, wish));
    findings.push(cpus(host, wish));
    findings.extend(information(host));
    findings.extend(listeners(host, config));
    findings.extend(levels(config));
    findings.extend(pid_file(host, config));
    findings.extend(certificates(config));
    findings
}

fn number(host: &dyn Host, path: &str) -> Option<u64> {
    host.read(path)?.parse().ok()
}

fn kernel(host: &dyn Host) -> Finding {
    let release = host.read("/proc/sys/kernel/osrelease");
    let mut parts = release.iter().flat_map(|text| text.split(['.', '-']));
    let mut part = || parts.next().and_then(|part| part.parse::<u32>().ok());
    let version = part().zip(part());
    Finding {
        id: "kernel",
        severity: match version {
            Some(version) if version < (6, 1) => Severity::Fatal,
            Some(version) if version >= (6, 15) => Severity::Ok,
            _ => Severity::Advice,
        },
        found: release.unwrap_or_else(|| "unknown".into()),
        wanted: "6.15 or newer (6.1 at least)".into(),
        why: "From 6.15 on small receives share a buffer; before 6.1 the broker does not start.",
        file: None,
    }
}

fn rings(host: &dyn Host, wish: &Wish) -> Finding {
    let result = host.rings(wish.shards, wish.files);
    let file = match result {
        Ok(()) => None,
        Err(RingError::Disabled(_)) => Some(SYSCTL_FILE),
        Err(RingError::Forbidden(_)) => Some("seccomp.json"),
        Err(RingError::Memory(_) | RingError::Descriptors { .. }) => Some(LIMITS_FILE),
        Err(_) => None,
    };
    Finding {
        id: "io_uring",
        severity: grade(result.is_ok(), Severity::Fatal),
        found: result.map_or_else(|error| error.to_string(), |()| "works".into()),
        wanted: format!("{} rings with {} slots each", wish.shards, wish.files),
        why: "Each shard has a ring with a table of connections; all of them were tried.",
        file,
    }
}

fn text(value: u64) -> String {
    match value {
        u64::MAX => "unlimited".into(),
        value => value.to_string(),
    }
}

fn nofile(host: &dyn Host, config: &Config, wish: &Wish) -> Finding {
    // New connections are spread evenly, but for the spare slots.
    let share = wish.connections.div_ceil(u64::from(wish.shards.max(1)));
    let wanted = share + u64::from(limits::DESCRIPTORS_SPARE);
    let hard = limit(host, "Max open files").map(|(_, hard)| hard);
    // Where the configuration itself asks for more, `serve` does not start.
    let configured = resources::connections_max(config).unwrap_or(0);
    let cannot_start = |hard: u64| configured > hard.saturating_mul(u64::from(wish.shards.max(1)));
    Finding {
        id: "nofile",
        severity: hard.map_or(Severity::Advice, |hard| match cannot_start(hard) {
            true => Severity::Fatal,
            false => grade(hard >= wanted, Severity::Missing),
        }),
        found: hard.map_or_else(
            || "unknown".into(),
            |hard| format!("hard limit {}", text(hard)),
        ),
        wanted: format!("at least {wanted}"),
        why: "Each shard's table of connections is bounded by the limit on open files, which the broker raises to the hard one.",
        file: Some(LIMITS_FILE),
    }
}

fn memlock(host: &dyn Host) -> Option<Finding> {
    let (soft, _) = limit(host, "Max locked memory")?;
    Some(Finding {
        id: "memlock",
        severity: grade(soft >= MEMLOCK_BYTES, Severity::Fatal),
        found: text(soft),
        wanted: format!("at least {MEMLOCK_BYTES} bytes"),
        why: "The control thread's executor does not start with less.",
        file: Some(LIMITS_FILE),
    })
}

fn setting(host: &dyn Host, sysctl: &Sysctl, wish: &Wish) -> Option<Finding> {
    let found = number(host, &format!("/proc/sys/{}", sysctl.id.replace('.', "/")))?;
    // 0 stands for one entry a connection, and some for the rest of the host.
    let wanted = match sysctl.wanted {
        0 => wish.connections + wish.connections / 4,
        wanted => wanted,
    };
    Some(Finding {
        id: sysctl.id,
        severity: grade(found >= wanted, Severity::Missing),
        found: found.to_string(),
        wanted: format!("at least {wanted}"),
        why: sysctl.why,
        file: Some(SYSCTL_FILE),
    })
}

fn cpus(host: &dyn Host, wish: &Wish) -> Finding {
    let status = host.read("/proc/self/status").unwrap_or_default();
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let count = list.map(|list| list.trim().split(',').map(span).sum::<u64>());
    let enough = count.is_none_or(|count| count >= u64::from(wish.shards));
    Finding {
        id: "cpus",
        severity: grade(enough, Severity::Missing),
        found: list.map_or_else(|| "unknown".into(), |list| list.trim().to_owned()),
        wanted: format!("{} or more", wish.shards),
        why: "Shards that share a CPU hold each other up.",
        file: None,
    }
}

/// CPUs in `3` or `0-3`.
fn span(part: &str) -> u64 {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    match (first.parse::<u64>(), last.parse::<u64>()) {
        (Ok(first), Ok(last)) if last >= first => last - first + 1,
        _ => 0,
    }
}

/// What is shown and not judged, or only advised.
fn information(host: &dyn Host) -> Vec<Finding> {
    const CLOCK: &str = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    const GOVERNOR: &str = "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor";
    let shown: [(&'static str, &str, &[&str], &'static str); 4] = [
        (
            "governor",
            GOVERNOR,
            &["performance"],
            "A CPU that has to wake up from a low clock answers late.",
        ),
        (
            "clocksource",
            CLOCK,
            &["tsc", "kvm-clock", "arch_sys_counter"],
            "Other clocks cost a system call for each look at the time.",
        ),
        (
            "net.ipv4.tcp_congestion_control",
            "/proc/sys/net/ipv4/tcp_congestion_control",
            &[],
            "Shown for comparison.",
        ),
        (
            "net.ipv4.ip_local_port_range",
            "/proc/sys/net/ipv4/ip_local_port_range",
            &[],
            "For a load tester only: ports to one destination.",
        ),
    ];
    let finding = |(id, path, wanted, why): (&'static str, &str, &[&str], &'static str)| {
        let found = host.read(path)?;
        let good = wanted.is_empty() || wanted.contains(&found.as_str());
        Some(Finding {
            id,
            severity: grade(good, Severity::Advice),
            found: found.replace('\t', " "),
            wanted: if wanted.is_empty() {
                "any".into()
            } else {
                wanted.join(" or ")
            },
            why,
            file: None,
        })
    };
    shown.into_iter().filter_map(finding).collect()
}

fn listeners(host: &dyn Host, config: &Config) -> Vec<Finding> {
    let clash = places::check(config.sockets(), std::iter::empty()).err();
    let finding = |(index, socket): (usize, &Socket)| {
        let place = socket.place();
        let clash = clash.as_ref().filter(|clash| clash.index == index);
        let (severity, found) = match (clash, host.bind(socket)) {
            (Some(clash), _) => (Severity::Fatal, clash.to_string()),
            (None, Bind::Free) => (Severity::Ok, format!("{place} is free")),
            (None, Bind::Ours(pid)) => (
                Severity::Ok,
                format!("{place} is held by this broker (pid {pid})"),
            ),
            (None, Bind::Unknown(text)) => (Severity::Missing, text),
            (None, Bind::Refused(text)) => (Severity::Fatal, text),
        };
        Finding {
            id: "listener",
            severity,
            found,
            wanted: place,
            why: "Another program has the port, or the broker of another configuration, or two listeners are in each other's way; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE.",
            file: None,
        }
    };
    let sockets = config.sockets().enumerate();
    let is_shown = |index| clash.as_ref().is_some_and(|clash| clash.index == index);
    let shown = sockets.filter(|(index, socket)| socket.path.is_none() || is_shown(*index));
    shown.map(finding).collect()
}

/// Levels of `$SYS/broker/connection/NAME/state`, where Mosquitto's bridges have their will.
const BRIDGE_LEVELS: u16 = 5;

/// Whether Mosquitto's bridges are let in by a bound on levels; nothing where there is none that could keep them out.
fn levels(config: &Config) -> Option<Finding> {
    let most = config.settings.quotas.topic_levels;
    let listeners = config.listeners.iter();
    let above = listeners.map(|listener| listener.settings.mount_point.matches('/').count());
    let wanted = usize::from(BRIDGE_LEVELS) + above.max().unwrap_or(0);
    (usize::from(most) < wanted).then(|| Finding {
        id: "max_topic_levels",
        severity: Severity::Advice,
        found: most.to_string(),
        wanted: format!("at least {wanted} where Mosquitto bridges to this broker"),
        why: "The will of such a bridge has the topic $SYS/broker/connection/NAME/state, below a mount_point if there is one: with fewer levels the bridge is refused.",
        file: None,
    })
}

fn certificates(config: &Config) -> impl Iterator<Item = Finding> {
    config.certificates.iter().map(|note| Finding {
        id: "certificate",
        severity: match note.is_urgent {
            true => Severity::Missing,
            false => Severity::Advice,
        },
        found: note.to_string(),
        wanted: "valid for two weeks more, with a chain up to a root CA".into(),
        why: "Clients and broker turn each other away over dates, and over CAs that they do not know.",
        file: None,
    })
}

fn pid_file(host: &dyn Host, config: &Config) -> Option<Finding> {
    let path = config.pid_file.as_ref()?;
    let good = host.writable(path);
    let shown = absolute(path).display().to_string();
    Some(Finding {
        id: "pid_file",
        severity: grade(good.is_ok(), Severity::Fatal),
        found: match good {
            Ok(()) => shown,
            Err(cure) => format!("{shown} cannot be written{cure}"),
        },
        wanted: "writable".into(),
        why: "The broker does not start where it cannot write its pid file.",
        file: None,
    })
}
