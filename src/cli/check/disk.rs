//! The checks of what the store lies on: whether it can be written, its room, its kind, and what an acknowledgement means there.

use std::io::{self, ErrorKind};
use std::time::Duration;

use super::facts::Host;
use super::report::{Finding, Severity};
use super::wish::grade;
use crate::config::{Config, Persistence, SyncPolicy, size_text};
use crate::control::disk::{Disk, Nature, bytes_max};
use crate::limits;

/// A store that has to keep so much takes at most so many times that, and so many bytes beside it, while a start writes all anew
/// (docs/persistence.md, "How large the disk has to be").
const ROOM_TIMES: u64 = 5;
const ROOM_BESIDE: u64 = 512 << 20;

/// All findings about the disk, where so many bytes of memory may hold what is kept; none where nothing is kept on it.
pub(super) fn findings(host: &dyn Host, config: &Config, held_max: Option<u64>) -> Vec<Finding> {
    let Some(persistence) = &config.persistence else {
        return Vec::new();
    };
    match host.disk(&persistence.location) {
        Ok(disk) => vec![
            directory(Ok(&disk)),
            room(persistence, &disk, held_max),
            file_system(&disk),
            sync(host, persistence.sync, &disk),
        ],
        Err(error) => vec![directory(Err(error))],
    }
}

/// What the broker lacks where its store can be neither made nor written, and what to do.
fn cure(fault: ErrorKind) -> &'static str {
    match fault {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "The broker does not start where it has no room for its store: make room in that file system, or name another with persistence_location."
        }
        ErrorKind::PermissionDenied => {
            "The broker does not start where it may not write its store: chown -R that directory to the broker's user, or start it as who owns it."
        }
        ErrorKind::ReadOnlyFilesystem => {
            "The broker does not start where it cannot write its store: mount that file system for writing, or name another with persistence_location."
        }
        ErrorKind::NotFound => {
            "The broker does not start where it cannot keep its store: make the directory that persistence_location names, and chown it to the broker's user."
        }
        _ => {
            "The broker does not start where it cannot keep its store: mend what the error says, or name another directory with persistence_location."
        }
    }
}

fn directory(disk: io::Result<&Disk>) -> Finding {
    let fault = disk
        .as_ref()
        .map_or_else(io::Error::kind, |_| ErrorKind::NotFound);
    Finding {
        id: "store",
        severity: grade(disk.is_ok(), Severity::Fatal),
        why: cure(fault),
        found: match disk {
            Ok(disk) if disk.is_made => format!("{} is there", disk.directory.display()),
            Ok(disk) => format!("can be made in {}", disk.directory.display()),
            Err(error) => error.to_string(),
        },
        wanted: "a directory that is there, and that the broker's user may write to".into(),
        file: None,
    }
}

fn room(persistence: &Persistence, disk: &Disk, held_max: Option<u64>) -> Finding {
    let most = bytes_max(persistence, disk.total);
    let of_memory =
        held_max.map(|held| held.saturating_mul(ROOM_TIMES).saturating_add(ROOM_BESIDE));
    let is_bounded_by_memory = persistence.max_bytes == 0 && of_memory.is_some_and(|of| of < most);
    let most = of_memory.filter(|_| is_bounded_by_memory).unwrap_or(most);
    let has = disk.available.saturating_add(disk.held);
    let is_default = persistence.max_bytes == 0;
    let (severity, why) = if has < limits::PERSISTENCE_BYTES_MIN {
        let why = "The store cannot have the four files of 64 MiB that it needs: what has to be kept is refused (0x97) until there is room.";
        (Severity::Missing, why)
    } else {
        let why = "The file system is full before the store has all that may come: then what has to be kept is refused (0x97) until there is room.";
        let otherwise = match is_default {
            true => Severity::Advice,
            false => Severity::Missing,
        };
        (grade(has >= most, otherwise), why)
    };
    let held = match disk.held {
        0 => String::new(),
        held => format!(", {} in the store", size_text(held)),
    };
    let origin = match is_default {
        true if is_bounded_by_memory => "for all that memory holds of it",
        true => "a quarter of the file system",
        false => "persistence_max_size",
    };
    Finding {
        id: "store.room",
        severity,
        found: format!(
            "{} free of {}{held}",
            size_text(disk.available),
            size_text(disk.total)
        ),
        wanted: format!("{} ({origin})", size_text(most)),
        why,
        file: None,
    }
}

fn file_system(disk: &Disk) -> Finding {
    let (severity, why) = match disk.nature {
        Nature::Memory => (
            Severity::Missing,
            "It is memory: what is kept there is gone with the power, and with a restart of the host.",
        ),
        Nature::Layer => (
            Severity::Missing,
            "It is the layer of a container, and goes with it: mount a volume at persistence_location.",
        ),
        Nature::Foreign => (
            Severity::Missing,
            "Another host or program keeps it, and what a sync and a lock mean is up to that; a disk of this host is sure.",
        ),
        Nature::Unknown => (
            Severity::Advice,
            "It is none of those that are known here: whether a sync means that something is on the disk is not known either.",
        ),
        Nature::Local => (
            grade(disk.is_direct, Severity::Advice),
            "Without O_DIRECT each commit takes memory of the page cache and more of the CPU; what is acknowledged is as safe.",
        ),
    };
    let direct = match disk.is_direct {
        true => "O_DIRECT works",
        false => "without O_DIRECT",
    };
    Finding {
        id: "store.file_system",
        severity,
        found: format!("{}, {direct}", disk.kind),
        wanted: "a disk of this host, with O_DIRECT".into(),
        why,
        file: None,
    }
}

/// What an acknowledgement waits for, and what it means.
fn sync(host: &dyn Host, policy: SyncPolicy, disk: &Disk) -> Finding {
    const SLOW: Duration = Duration::from_millis(limits::PERSISTENCE_SLOW_SYNC_MS);
    let is_unsure = policy != SyncPolicy::None && has_no_barriers(host, &disk.device);
    let (severity, why) = match policy {
        _ if is_unsure => (
            Severity::Missing,
            "The file system is mounted without barriers: the disk is never told to empty its write cache, and loss of power may cost what was synced.",
        ),
        SyncPolicy::Group if disk.sync >= SLOW => (
            Severity::Advice,
            "Each acknowledgement of what is kept waits for a sync, which takes long here; persistence_sync interval 1000 waits for none.",
        ),
        _ => (
            Severity::Ok,
            "What outlives loss of power is what was synced.",
        ),
    };
    let cache = write_cache(host, &disk.device);
    let cache = cache.map_or(String::new(), |cache| format!(", write cache: {cache}"));
    Finding {
        id: "store.sync",
        severity,
        found: format!(
            "a sync takes {:.2} ms{cache}",
            disk.sync.as_secs_f64() * 1e3
        ),
        wanted: promise(policy, disk.nature),
        why,
        file: None,
    }
}

/// What an acknowledgement says.
fn promise(policy: SyncPolicy, nature: Nature) -> String {
    let process = "what is acknowledged outlives the process (kill -9)";
    match policy {
        _ if nature == Nature::Memory => format!("{process}, and no loss of power: it is memory"),
        SyncPolicy::Group => "group: what is acknowledged outlives loss of power".into(),
        SyncPolicy::Interval(ms) => {
            format!("interval: {process}; loss of power costs the last {ms} ms")
        }
        SyncPolicy::None => {
            format!("none: {process}; loss of power costs what the kernel has not written")
        }
    }
}

/// What the block device says of its cache; of a partition the disk says it.
fn write_cache(host: &dyn Host, device: &str) -> Option<String> {
    let of = |above: &str| host.read(&format!("/sys/dev/block/{device}{above}/queue/write_cache"));
    of("").or_else(|| of("/.."))
}

/// Whether the file system of a device was mounted so that it does not flush the disk's cache.
fn has_no_barriers(host: &dyn Host, device: &str) -> bool {
    let mounts = host.read("/proc/self/mountinfo").unwrap_or_default();
    let mut of_device = mounts
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(device));
    of_device.any(|line| {
        let mut options = line.split([' ', ',']);
        options.any(|option| matches!(option, "nobarrier" | "barrier=0"))
    })
}
