//! The machine that the tester runs on, for the table of everything needed to repeat a run; and the tester's own limits.

use std::collections::BTreeMap;
use std::path::Path;

use rustix::process::{Resource, getrlimit, setrlimit};

use super::{field, proc, read_trimmed};
use crate::config::CpuList;
use crate::load::result::Machine;

/// Kernel settings that a run depends on: the name in the report, and where they stand.
const SETTINGS: [(&str, &str); 13] = [
    (
        "tcp_congestion_control",
        "/proc/sys/net/ipv4/tcp_congestion_control",
    ),
    ("somaxconn", "/proc/sys/net/core/somaxconn"),
    (
        "tcp_max_syn_backlog",
        "/proc/sys/net/ipv4/tcp_max_syn_backlog",
    ),
    (
        "ip_local_port_range",
        "/proc/sys/net/ipv4/ip_local_port_range",
    ),
    ("tcp_mem", "/proc/sys/net/ipv4/tcp_mem"),
    ("tcp_rmem", "/proc/sys/net/ipv4/tcp_rmem"),
    ("tcp_wmem", "/proc/sys/net/ipv4/tcp_wmem"),
    ("tcp_tw_reuse", "/proc/sys/net/ipv4/tcp_tw_reuse"),
    ("io_uring_disabled", "/proc/sys/kernel/io_uring_disabled"),
    (
        "governor",
        "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
    ),
    ("smt", "/sys/devices/system/cpu/smt/active"),
    (
        "transparent_hugepage",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ),
    (
        "clocksource",
        "/sys/devices/system/clocksource/clocksource0/current_clocksource",
    ),
];

/// The machine as it is now. What cannot be read is left out.
pub fn machine() -> Machine {
    let cpuinfo = read_trimmed("/proc/cpuinfo").unwrap_or_default();
    let meminfo = read_trimmed("/proc/meminfo").unwrap_or_default();
    let kilobytes = |name| field(&meminfo, name).unwrap_or(0) * 1024;
    let mut settings = settings();
    settings.insert("swap_bytes".into(), kilobytes("SwapTotal").to_string());
    if let Some(what) = virtualisation(&cpuinfo) {
        settings.insert("virtualisation".into(), what);
    }
    if let Some(what) = container() {
        settings.insert("container".into(), what);
    }
    Machine {
        kernel: read_trimmed("/proc/sys/kernel/osrelease").unwrap_or_default(),
        cpu_model: cpu_model(&cpuinfo),
        cpus: cpus_online(),
        memory_bytes: kilobytes("MemTotal"),
        settings,
    }
}

fn settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for (name, path) in SETTINGS {
        if let Some(value) = read_trimmed(path) {
            // Tabs between the numbers of a range or a triple.
            let words: Vec<&str> = value.split_whitespace().collect();
            settings.insert(name.into(), words.join(" "));
        }
    }
    let files = getrlimit(Resource::Nofile);
    settings.insert("nofile_soft".into(), limit_text(files.current));
    settings.insert("nofile_hard".into(), limit_text(files.maximum));
    let locked = getrlimit(Resource::Memlock).current;
    settings.insert("memlock_bytes".into(), limit_text(locked));
    let status = read_trimmed("/proc/self/status").unwrap_or_default();
    if let Some(cpus) = line_value(&status, "Cpus_allowed_list") {
        settings.insert("cpus_allowed".into(), cpus.into());
    }
    settings
}

fn limit_text(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".into(), |limit| limit.to_string())
}

/// What stands behind `name` and a colon.
fn line_value<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim())
    })
}

/// The name of the first CPU. Not every architecture says one: then that of the architecture.
fn cpu_model(cpuinfo: &str) -> String {
    ["model name", "cpu model", "cpu", "Model", "Hardware"]
        .iter()
        .find_map(|name| line_value(cpuinfo, name))
        .filter(|model| !model.is_empty())
        .unwrap_or(std::env::consts::ARCH)
        .to_owned()
}

fn cpus_online() -> u32 {
    read_trimmed("/sys/devices/system/cpu/online")
        .and_then(|list| list.parse::<CpuList>().ok())
        .map(|list| list.0.len() as u32)
        .or_else(|| {
            std::thread::available_parallelism()
                .ok()
                .map(|n| n.get() as u32)
        })
        .unwrap_or(1)
}

/// The hypervisor, as far as the guest can tell.
fn virtualisation(cpuinfo: &str) -> Option<String> {
    let flags = line_value(cpuinfo, "flags").unwrap_or_default();
    let is_guest = flags.split_whitespace().any(|flag| flag == "hypervisor");
    let product = read_trimmed("/sys/class/dmi/id/product_name").filter(|name| !name.is_empty());
    let xen = read_trimmed("/sys/hypervisor/type").filter(|name| !name.is_empty());
    match (is_guest, xen.or(product)) {
        (true, Some(name)) => Some(format!("guest: {name}")),
        (true, None) => Some("guest".into()),
        (false, _) => None,
    }
}

/// The container, as far as its inside can tell.
fn container() -> Option<String> {
    let name = read_trimmed("/run/systemd/container").filter(|name| !name.is_empty());
    let marks = [("/.dockerenv", "docker"), ("/run/.containerenv", "podman")];
    name.or_else(|| {
        let mark = marks.iter().find(|(path, _)| Path::new(path).exists());
        mark.map(|(_, name)| (*name).to_owned())
    })
}

/// Raises the soft limit on open files to the hard one, and returns what holds then; `u64::MAX` is no limit.
pub fn raise_nofile() -> u64 {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.unwrap_or(u64::MAX) < limit.maximum.unwrap_or(u64::MAX) {
        limit.current = limit.maximum;
        // Where it cannot be raised, what is there has to do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Resident memory of this process in bytes; 0 when it cannot be read.
pub fn rss_bytes() -> u64 {
    proc::rss_bytes(std::process::id()).unwrap_or(0)
}

/// The same as a proportional set (PSS: shared pages count by their share), where the kernel tells it.
pub fn own_pss_bytes() -> Option<u64> {
    proc::pss_bytes(std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_described() {
        let machine = machine();
        assert!(machine.kernel.starts_with(|c: char| c.is_ascii_digit()));
        assert!(!machine.cpu_model.is_empty());
        assert!(machine.cpus >= 1);
        assert!(machine.memory_bytes > 64 << 20);
        for name in [
            "nofile_soft",
            "nofile_hard",
            "memlock_bytes",
            "ip_local_port_range",
            "cpus_allowed",
        ] {
            assert!(!machine.settings[name].is_empty(), "{name}");
        }
        let range = &machine.settings["ip_local_port_range"];
        assert_eq!(range.split(' ').count(), 2, "{range}");
    }

    #[test]
    fn models_of_several_architectures() {
        assert_eq!(
            cpu_model("processor\t: 0\nmodel name\t: A B  C\n"),
            "A B  C"
        );
        assert_eq!(cpu_model("cpu\t\t: POWER9\nrevision: 2\n"), "POWER9");
        assert_eq!(cpu_model("BogoMIPS\t: 50.00\n"), std::env::consts::ARCH);
    }

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        let limit = raise_nofile();
        let hard = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        assert_eq!(limit, hard);
    }

    #[test]
    fn own_memory_is_read() {
        assert!(rss_bytes() > 1 << 20);
        if let Some(pss) = own_pss_bytes() {
            assert!(pss > 100 << 10);
        }
    }
}
