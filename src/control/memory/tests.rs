//! Control groups from texts, levels and the steps that follow, what the files of this host say.

use std::collections::BTreeMap;

use super::groups::{self, Group, Version};
use super::reading::{Watched, resident_in, waiting_in};
use super::*;
use crate::budget::Plan;
use crate::control::sample::Of;

/// A host made of files.
struct Host(BTreeMap<String, String>);

impl Host {
    fn new(files: &[(&str, &str)]) -> Host {
        let owned = |(path, text): &(&str, &str)| (path.to_string(), text.to_string());
        Host(files.iter().map(owned).collect())
    }

    fn find(&self) -> Vec<Group> {
        groups::find(&|path| self.0.get(path).cloned())
    }

    fn given(&self) -> Option<Gift> {
        groups::given(&|path| self.0.get(path).cloned())
    }
}

const MEMINFO: (&str, &str) = (
    "/proc/meminfo",
    "MemTotal:        4194304 kB\nMemFree: 5 kB\nMemAvailable:  2097152 kB\n",
);

#[test]
fn groups_of_version_2_are_found_up_to_the_mount_point() {
    let host = Host::new(&[
        ("/proc/self/cgroup", "0::/system.slice/firehose.service\n"),
        (
            "/proc/self/mountinfo",
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
        ),
        (
            "/sys/fs/cgroup/system.slice/firehose.service/memory.current",
            "1",
        ),
        (
            "/sys/fs/cgroup/system.slice/firehose.service/memory.max",
            "max",
        ),
        (
            "/sys/fs/cgroup/system.slice/firehose.service/memory.high",
            "2147483648",
        ),
        ("/sys/fs/cgroup/system.slice/memory.current", "1"),
        ("/sys/fs/cgroup/system.slice/memory.max", "1073741824\n"),
        MEMINFO,
    ]);
    let folders: Vec<String> = host.find().into_iter().map(|group| group.folder).collect();
    assert_eq!(
        folders,
        [
            "/sys/fs/cgroup/system.slice/firehose.service",
            "/sys/fs/cgroup/system.slice"
        ]
    );
    let gift = host.given().unwrap();
    assert_eq!(gift.bytes, 1 << 30);
    assert_eq!(
        gift.giver,
        "the control group /sys/fs/cgroup/system.slice has 1.0 GiB"
    );
}

#[test]
fn groups_of_version_1_are_preferred_where_they_count_memory() {
    let host = Host::new(&[
        (
            "/proc/self/cgroup",
            "9:name=systemd:/\n4:memory:/docker/abc/deeper\n1:cpu,cpuacct:/x\n0::/\n",
        ),
        (
            "/proc/self/mountinfo",
            "36 31 0:33 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
             32 31 0:31 /docker/abc /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
             41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n",
        ),
        ("/sys/fs/cgroup/memory/deeper/memory.usage_in_bytes", "1"),
        (
            "/sys/fs/cgroup/memory/deeper/memory.limit_in_bytes",
            "9223372036854771712\n",
        ),
        ("/sys/fs/cgroup/memory/memory.usage_in_bytes", "1"),
        ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
        MEMINFO,
    ]);
    let found = host.find();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|group| group.version == Version::V1));
    assert_eq!(found[0].folder, "/sys/fs/cgroup/memory/deeper");
    assert_eq!(host.given().unwrap().bytes, 512 << 20);
}

#[test]
fn without_groups_the_machine_gives() {
    assert_eq!(Host::new(&[]).given(), None);
    let gift = Host::new(&[MEMINFO]).given().unwrap();
    assert_eq!(
        (gift.bytes, &*gift.giver),
        (4 << 30, "the machine has 4.0 GiB")
    );
}

#[test]
fn what_can_be_reclaimed_is_not_used() {
    let group = |version| Group {
        version,
        folder: String::new(),
    };
    let v2 = group(Version::V2);
    let stat = "anon 5\nfile 900\nkernel 7\nsock 4096\nfile_mapped 3\nfile_dirty 30\nfile_writeback 20\ninactive_file 400\nactive_file 500\n";
    assert_eq!(v2.reclaimable(stat), 850);
    assert_eq!(field(stat, "sock"), Some(4096));
    assert_eq!(v2.events("low 9\nhigh 2\nmax 3\noom 1\noom_kill 1\n"), 5);
    let v1 = group(Version::V1);
    let stat = "cache 9\ninactive_file 1\ntotal_dirty 10\ntotal_writeback 0\ntotal_inactive_file 400\ntotal_active_file 500\n";
    assert_eq!(v1.reclaimable(stat), 890);
    assert_eq!(v1.events("17\n"), 17);
}

#[test]
fn files_of_the_process_are_read() {
    assert_eq!(
        resident_in("5000 1234 800 1 0 4000 0\n", 4096),
        Some(1234 * 4096)
    );
    let text = "sockets: used 17\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 188\nUDP: inuse 0 mem 3\n";
    assert_eq!(waiting_in(text, 4096), Some(188 * 4096));
    let text = "some avg10=12.75 avg60=0.00 avg300=0.00 total=411684\nfull avg10=3.00 avg60=0.00 avg300=0.00 total=1\n";
    assert_eq!(groups::stalled(text), Some(12));
    assert_eq!(groups::stalled(""), None);
    assert!(resident() > 1 << 20);
}

#[test]
fn the_files_of_a_group_are_read_again_and_again() {
    let folder = std::env::temp_dir().join(format!("firehose-group-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("memory.current", "1000000\n");
    write("memory.max", "4000000\n");
    write("memory.high", "max\n");
    write("memory.events", "low 0\nhigh 1\nmax 2\n");
    write(
        "memory.stat",
        "anon 100\nfile 300000\nsock 8192\ninactive_file 100000\nactive_file 200000\n",
    );
    let mut watched = Watched::open(Group {
        version: Version::V2,
        folder: folder.to_str().unwrap().into(),
    });
    let (mut buffer, mut failed) = ([0; 4096], Vec::new());
    // Its limit is not known before everything has been read once.
    assert_eq!(watched.level(&mut buffer, &mut failed), None);
    assert_eq!(watched.read_whole(&mut buffer, &mut failed), Some(8192));
    let mut expected = Level {
        usage: 700_000,
        limit: 4_000_000,
        events: 3,
    };
    assert_eq!(watched.level(&mut buffer, &mut failed), Some(expected));
    write("memory.current", "2000000\n");
    write("memory.high", "3000000\n");
    expected.usage = 1_700_000;
    assert_eq!(watched.level(&mut buffer, &mut failed), Some(expected));
    watched.read_whole(&mut buffer, &mut failed);
    expected.limit = 3_000_000;
    assert_eq!(watched.level(&mut buffer, &mut failed), Some(expected));
    assert_eq!(failed, [""; 0]);
    std::fs::remove_dir_all(&folder).unwrap();
}

fn monitor(total: u64) -> Monitor {
    let mut plan = Plan::even(total / Account::COUNT as u64);
    plan.total = total;
    Monitor::new(Arc::new(Pool::new(&plan, 1)))
}

fn resident_of(bytes: u64) -> Reading {
    Reading {
        resident: Some(bytes),
        ..Reading::default()
    }
}

#[test]
fn the_greatest_level_counts() {
    let mut monitor = monitor(1_000_000);
    let mut permille = |reading: &Reading| {
        monitor.update(0, reading, 0);
        monitor.level.permille
    };
    assert_eq!(permille(&resident_of(500_000)), 500);
    let mut reading = resident_of(500_000);
    reading.available = Some(500_000 / 4);
    assert_eq!(permille(&reading), 800);
    // Its own group: what nobody names there is the broker's.
    reading.groups = vec![Level {
        usage: 900_000,
        limit: 1_000_000,
        events: 0,
    }];
    assert_eq!(permille(&reading), 900);
    // Another's: only what is left counts.
    reading.available = None;
    reading.groups = vec![Level {
        usage: 9_000_000,
        limit: 10_000_000,
        events: 0,
    }];
    assert_eq!(permille(&reading), 500);
    reading.groups[0].usage = 9_950_000;
    assert_eq!(permille(&reading), 909);
}

/// A step is stood on a while longer than there is need; the level is told at every look.
#[test]
fn the_level_is_told_although_the_step_stays() {
    let mut monitor = monitor(1_000_000);
    monitor.update(0, &resident_of(990_000), 0);
    assert_eq!(
        (monitor.pool.rung(), monitor.pool.level()),
        (Rung::Shed, 990)
    );
    monitor.update(100, &resident_of(300_000), 0);
    assert_eq!(
        (monitor.pool.rung(), monitor.pool.level()),
        (Rung::Shed, 300)
    );
}

#[test]
fn steps_are_counted_and_told() {
    let mut monitor = monitor(1_000_000);
    assert_eq!(monitor.update(0, &resident_of(100_000), 0), None);
    let step = monitor.update(1000, &resident_of(850_000), 0).unwrap();
    assert_eq!(step.rung, Rung::Refuse);
    assert_eq!(monitor.pool.rung(), Rung::Refuse);
    let line = step.line.unwrap();
    assert!(
        line.starts_with("Memory: refuse after calm, at 85.0 %: "),
        "{line}"
    );
    let mut now_ms = 1000;
    while monitor.pool.rung() > Rung::Calm {
        now_ms += 100;
        monitor.update(now_ms, &resident_of(100_000), 0);
        assert!(now_ms < 60_000);
    }
    assert_eq!(monitor.rung(), Rung::Calm);
    let samples = monitor.samples();
    let value = |of, name| {
        let mut samples = samples.iter();
        let found = samples.find(|sample| (sample.of, sample.figure.name) == (of, name));
        found.map(|sample| sample.value)
    };
    assert_eq!(value(Of::Rung(Rung::Calm), "seconds"), Some(1));
    assert_eq!(value(Of::Rung(Rung::Refuse), "entered"), Some(1));
    assert_eq!(value(Of::Rung(Rung::Shrink), "entered"), Some(1));
    assert_eq!(value(Of::Rung(Rung::Slow), "entered"), Some(0));
    assert_eq!(
        value(Of::Account(Account::Backlog), "limit"),
        Some((1_000_000 / Account::COUNT) as u64)
    );
}

#[test]
fn lines_come_to_an_end() {
    let mut lines = Lines::default();
    let said = (0..1000).filter(|_| lines.may_say(59_000)).count();
    assert_eq!(said, limits::RUNG_LINES_PER_MINUTE as usize);
    assert!(lines.may_say(60_000));
}

#[test]
fn the_system_asks_for_steps() {
    let mut monitor = monitor(1_000_000);
    let mut reading = resident_of(100_000);
    let mut rung = |now_ms, reading: &Reading| {
        monitor.update(now_ms, reading, 0);
        monitor.pool.rung()
    };
    let mut group = Level {
        usage: 700_000,
        limit: 1_000_000,
        events: 5,
    };
    reading.groups = vec![group];
    assert_eq!(rung(0, &reading), Rung::Calm, "events of before the start");
    group.events = 6;
    reading.groups = vec![group];
    assert_eq!(rung(100, &reading), Rung::Shrink);
    assert_eq!(rung(limits::MEMORY_EVENTS_MS, &reading), Rung::Shrink);
    let mut now_ms = 2 * limits::MEMORY_EVENTS_MS;
    for _ in 0..100 {
        now_ms += 100;
        rung(now_ms, &reading);
    }
    assert_eq!(rung(now_ms, &reading), Rung::Calm);
    // Low in the group the page cache makes the events.
    (group.usage, group.events) = (100_000, 7);
    reading.groups = vec![group];
    assert_eq!(rung(now_ms + 100, &reading), Rung::Calm);
    reading.stalled = 10;
    assert_eq!(rung(now_ms + 200, &reading), Rung::Trim);
    reading.stalled = 30;
    assert_eq!(rung(now_ms + 300, &reading), Rung::Shrink);
}

#[test]
fn what_waits_in_sockets_is_charged() {
    let mut monitor = monitor(1 << 30);
    let mut reading = resident_of(0);
    reading.waiting = Some(Waiting::OfGroup(3 << 20));
    monitor.update(0, &reading, 0);
    assert_eq!(monitor.sockets.held(Account::Sockets), 3 << 20);
    // The host's sockets are not all the broker's.
    reading.waiting = Some(Waiting::OfHost(1 << 40));
    monitor.update(0, &reading, 0);
    assert_eq!(monitor.sockets.held(Account::Sockets), 0);
    monitor.update(0, &reading, 1);
    let held = monitor.sockets.held(Account::Sockets) as u64;
    assert_eq!(held, monitor.socket_bytes_max);
}

#[test]
fn a_look_at_this_host_is_cheap() {
    let mut reader = Reader::open();
    let whole = reader.look(true).clone();
    assert!(whole.resident.is_some_and(|bytes| bytes > 1 << 20));
    assert!(whole.available.is_some());
    assert!(whole.waiting.is_some());
    assert_eq!(reader.take_failed(), [""; 0]);
    let mut fastest = [Duration::MAX; 2];
    for _ in 0..200 {
        for (fastest, whole) in fastest.iter_mut().zip([false, true]) {
            let started = Instant::now();
            reader.look(whole);
            *fastest = (*fastest).min(started.elapsed());
        }
    }
    println!("a look: {fastest:?}");
    // A generous bound: other tests run beside it, in builds without optimization.
    assert!(fastest[0] < Duration::from_millis(1), "{fastest:?}");
}
