//! What is said of the store's disk.

use std::time::Duration;

use super::super::disk;
use super::super::report::{Finding, Severity};
use super::MadeUp;
use crate::config::{Config, Persistence, SyncPolicy};
use crate::control::disk::{Disk, Nature};

/// A disk with which all is well.
fn good() -> Disk {
    Disk {
        directory: "/srv/firehose".into(),
        is_made: true,
        kind: "ext4".into(),
        nature: Nature::Local,
        total: 100 << 30,
        available: 50 << 30,
        held: 128 << 20,
        is_direct: true,
        sync: Duration::from_micros(200),
        device: "8:1".into(),
    }
}

fn persistence() -> Persistence {
    Persistence {
        location: "/srv".into(),
        import: "/srv/mosquitto.db".into(),
        sync: SyncPolicy::Group,
        max_bytes: 0,
    }
}

fn findings(host: &MadeUp, persistence: Persistence) -> Vec<Finding> {
    let config = Config {
        persistence: Some(persistence),
        ..Config::default()
    };
    disk::findings(host, &config, None)
}

/// The finding of this name, on this disk.
fn found(id: &str, disk: Disk, persistence: Persistence) -> Finding {
    let host = MadeUp {
        disk: Some(disk),
        ..MadeUp::default()
    };
    let all = findings(&host, persistence);
    all.into_iter().find(|finding| finding.id == id).unwrap()
}

#[test]
fn nothing_is_said_where_nothing_is_kept() {
    assert_eq!(
        disk::findings(&MadeUp::default(), &Config::default(), None),
        []
    );
}

#[test]
fn a_good_disk_is_well() {
    let host = MadeUp {
        disk: Some(good()),
        ..MadeUp::default()
    };
    let all = findings(&host, persistence());
    let ids: Vec<_> = all.iter().map(|finding| finding.id).collect();
    assert_eq!(
        ids,
        ["store", "store.room", "store.file_system", "store.sync"]
    );
    assert!(
        all.iter().all(|finding| finding.severity == Severity::Ok),
        "{all:?}"
    );
    assert_eq!(
        all[1].found,
        "50.0 GiB free of 100 GiB, 128 MiB in the store"
    );
    assert_eq!(all[1].wanted, "25.0 GiB (a quarter of the file system)");
    assert_eq!(all[2].found, "ext4, O_DIRECT works");
    assert_eq!(all[3].found, "a sync takes 0.20 ms");
}

#[test]
fn a_place_that_cannot_be_written_is_fatal() {
    let all = findings(&MadeUp::default(), persistence());
    assert_eq!(all.len(), 1);
    assert_eq!((all[0].id, all[0].severity), ("store", Severity::Fatal));
    assert_eq!(all[0].found, "/srv: permission denied");
}

#[test]
fn each_fault_of_a_place_has_its_own_cure() {
    use std::io::ErrorKind;
    for (fault, cure) in [
        (ErrorKind::StorageFull, "make room"),
        (ErrorKind::QuotaExceeded, "make room"),
        (ErrorKind::PermissionDenied, "chown -R"),
        (ErrorKind::ReadOnlyFilesystem, "mount"),
        (ErrorKind::NotFound, "make the directory"),
        (ErrorKind::Other, "what the error says"),
    ] {
        let host = MadeUp {
            fault: Some(fault),
            ..MadeUp::default()
        };
        let all = findings(&host, persistence());
        assert!(all[0].why.contains(cure), "{fault}: {}", all[0].why);
    }
}

#[test]
fn room_is_held_against_what_the_store_may_have() {
    use Severity::{Advice, Missing, Ok};
    for (available, held, max_bytes, severity) in [
        (26 << 30, 0, 0, Ok),
        (24 << 30, 0, 0, Advice),
        (24 << 30, 1 << 30, 0, Ok),
        (24 << 30, 0, 30 << 30, Missing),
        (30 << 30, 0, 30 << 30, Ok),
        ((256 << 20) - 1, 0, 0, Missing),
        (128 << 20, 128 << 20, 256 << 20, Ok),
    ] {
        let disk = Disk {
            available,
            held,
            ..good()
        };
        let persistence = Persistence {
            max_bytes,
            ..persistence()
        };
        let finding = found("store.room", disk, persistence);
        assert_eq!(finding.severity, severity, "{finding:?}");
    }
}

#[test]
fn what_memory_cannot_hold_needs_no_room() {
    let host = MadeUp {
        disk: Some(Disk {
            available: 3 << 30,
            held: 0,
            ..good()
        }),
        ..MadeUp::default()
    };
    let room = |held_max: u64, max_bytes: u64| {
        let persistence = Persistence {
            max_bytes,
            ..persistence()
        };
        let config = Config {
            persistence: Some(persistence),
            ..Config::default()
        };
        disk::findings(&host, &config, Some(held_max)).swap_remove(1)
    };
    let finding = room(512 << 20, 0);
    assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
    assert_eq!(finding.wanted, "3.0 GiB (for all that memory holds of it)");
    assert_eq!(room(513 << 20, 0).severity, Severity::Advice);
    // What somebody has asked for is wanted.
    assert_eq!(room(512 << 20, 4 << 30).severity, Severity::Missing);
    assert_eq!(
        room(8 << 30, 0).wanted,
        "25.0 GiB (a quarter of the file system)"
    );
}

#[test]
fn kinds_of_file_system_are_graded() {
    use Severity::{Advice, Missing, Ok};
    for (kind, nature, is_direct, severity, told) in [
        ("ext4", Nature::Local, true, Ok, ""),
        ("xfs", Nature::Local, false, Advice, "page cache"),
        (
            "tmpfs",
            Nature::Memory,
            true,
            Missing,
            "gone with the power",
        ),
        ("overlay", Nature::Layer, true, Missing, "mount a volume"),
        ("nfs", Nature::Foreign, true, Missing, "Another host"),
        ("file system 0x7", Nature::Unknown, true, Advice, "known"),
    ] {
        let disk = Disk {
            kind: kind.into(),
            nature,
            is_direct,
            ..good()
        };
        let finding = found("store.file_system", disk, persistence());
        assert_eq!(finding.severity, severity, "{finding:?}");
        assert!(
            finding.found.starts_with(kind) && finding.why.contains(told),
            "{finding:?}"
        );
    }
}

#[test]
fn what_an_acknowledgement_means_is_told() {
    let told = |sync, nature, ms| {
        let disk = Disk {
            nature,
            sync: Duration::from_millis(ms),
            ..good()
        };
        let persistence = Persistence {
            sync,
            ..persistence()
        };
        let finding = found("store.sync", disk, persistence);
        (finding.severity, finding.wanted)
    };
    let local = Nature::Local;
    let (severity, text) = told(SyncPolicy::Group, local, 1);
    assert_eq!(text, "group: what is acknowledged outlives loss of power");
    assert_eq!(severity, Severity::Ok);
    let (severity, text) = told(SyncPolicy::Interval(1000), local, 20);
    assert!(text.contains("costs the last 1000 ms"), "{text}");
    assert_eq!(severity, Severity::Ok);
    let (_, text) = told(SyncPolicy::None, local, 20);
    assert!(text.contains("what the kernel has not written"), "{text}");
    let (_, text) = told(SyncPolicy::Group, Nature::Memory, 0);
    assert!(text.contains("no loss of power"), "{text}");
    assert_eq!(told(SyncPolicy::Group, local, 20).0, Severity::Advice);
}

/// A disk that is never told to empty its cache loses what was synced.
#[test]
fn caches_and_barriers_are_looked_at() {
    let mounts = |options: &str| {
        format!(
            "25 1 8:2 / /boot rw - ext4 /dev/sda2 rw,nobarrier\n30 1 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 {options}"
        )
    };
    let sync = |options: &str, cache: &str, policy| {
        let host = MadeUp {
            disk: Some(good()),
            ..MadeUp::default()
        };
        let host = host.with("/proc/self/mountinfo", &mounts(options));
        let host = host.with(
            &format!("/sys/dev/block/8:1{cache}/queue/write_cache"),
            "write back",
        );
        let persistence = Persistence {
            sync: policy,
            ..persistence()
        };
        findings(&host, persistence).pop().unwrap()
    };
    for cache in ["", "/.."] {
        let finding = sync("rw,errors=remount-ro", cache, SyncPolicy::Group);
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
        assert!(
            finding.found.ends_with("write cache: write back"),
            "{finding:?}"
        );
    }
    for options in ["rw,nobarrier", "rw,barrier=0,data=ordered"] {
        let finding = sync(options, "", SyncPolicy::Interval(5));
        assert_eq!(finding.severity, Severity::Missing, "{finding:?}");
        let finding = sync(options, "", SyncPolicy::None);
        assert_eq!(finding.severity, Severity::Ok, "{finding:?}");
    }
}
