//! The memory control groups that the process is in, of version 1 or 2, and what host and groups give it.
//!
//! Owns where the files are and how their texts are read; opens nothing itself, so that tests can make hosts up.

use crate::config::size_text;
use crate::limits;

/// Reads a text file; `None` where it is missing or may not be read.
pub(super) type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Which files a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `memory.limit_in_bytes` and others.
    V1,
    /// `memory.max` and others.
    V2,
}

/// A memory control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// Which files it has.
    pub version: Version,
    /// Where they are, without a slash at the end.
    pub folder: String,
}

/// Bytes that somebody gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Gift {
    /// How many.
    pub bytes: u64,
    /// Who it is, for people.
    pub giver: String,
}

/// Limits of version 1 from which on there is none.
const UNLIMITED: u64 = 1 << 60;

/// The group of the process and those above it, as far as they can be seen, innermost first.
pub(super) fn find(read: Read<'_>) -> Vec<Group> {
    let (Some(own), Some(mounts)) = (read("/proc/self/cgroup"), read("/proc/self/mountinfo"))
    else {
        return Vec::new();
    };
    for version in [Version::V1, Version::V2] {
        let path = own.lines().find_map(|line| path_in(line, version));
        let mount = mounts.lines().find_map(|line| mount_of(line, version));
        if let (Some(path), Some((root, place))) = (path, mount) {
            return upwards(read, version, path, root, place);
        }
    }
    Vec::new()
}

/// The path in a line of /proc/self/cgroup, if it is about memory.
fn path_in(line: &str, version: Version) -> Option<&str> {
    let mut parts = line.splitn(3, ':');
    let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
    let is_it = match version {
        Version::V1 => controllers.split(',').any(|name| name == "memory"),
        Version::V2 => number == "0" && controllers.is_empty(),
    };
    is_it.then_some(path)
}

/// Root and mount point in a line of /proc/self/mountinfo, if it is about these groups (proc_pid_mountinfo(5)).
fn mount_of(line: &str, version: Version) -> Option<(&str, &str)> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, place) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let is_it = match version {
        Version::V1 => {
            let options = filesystem.nth(1)?;
            kind == "cgroup" && options.split(',').any(|option| option == "memory")
        }
        Version::V2 => kind == "cgroup2",
    };
    is_it.then_some((root, place))
}

/// The groups from a path up to the mount point. In a container the path may begin above what is mounted; then the mount
/// point is the process's own group.
fn upwards(read: Read<'_>, version: Version, path: &str, root: &str, place: &str) -> Vec<Group> {
    let below = match root {
        "/" => path,
        root => path.strip_prefix(root).unwrap_or("/"),
    };
    let mut below = below.trim_end_matches('/');
    let mut groups = Vec::new();
    loop {
        let folder = format!("{place}{below}");
        let group = Group { version, folder };
        if read(&group.file(group.names().usage)).is_some() {
            groups.push(group);
        }
        match below.rfind('/') {
            Some(slash) => below = &below[..slash],
            None => return groups,
        }
    }
}

/// The files of a version.
pub(super) struct Names {
    /// Bytes that are used.
    pub usage: &'static str,
    /// Bytes that may be used at most, the least counts.
    pub limits: &'static [&'static str],
    /// Of what usage consists.
    pub stat: &'static str,
    /// Counts of how often a limit was met.
    pub events: &'static str,
    /// How long tasks have stood still.
    pub pressure: Option<&'static str>,
}

impl Group {
    /// The path of one of its files.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.folder)
    }

    /// How its files are called.
    pub(super) fn names(&self) -> &'static Names {
        match self.version {
            Version::V1 => &Names {
                usage: "memory.usage_in_bytes",
                limits: &["memory.limit_in_bytes"],
                stat: "memory.stat",
                events: "memory.failcnt",
                pressure: None,
            },
            Version::V2 => &Names {
                usage: "memory.current",
                limits: &["memory.max", "memory.high"],
                stat: "memory.stat",
                events: "memory.events",
                pressure: Some("memory.pressure"),
            },
        }
    }

    /// Its limit, if it has one.
    pub(super) fn limit(&self, read: Read<'_>) -> Option<u64> {
        let names = self.names().limits.iter();
        names
            .filter_map(|name| limit_in(&read(&self.file(name))?))
            .min()
    }

    /// Bytes of its usage that the kernel takes back before it refuses any: file pages that are in no need of being
    /// written.
    pub(super) fn reclaimable(&self, stat: &str) -> u64 {
        let (file, unwritten) = match self.version {
            Version::V1 => (
                ["total_inactive_file", "total_active_file"],
                ["total_dirty", "total_writeback"],
            ),
            Version::V2 => (
                ["inactive_file", "active_file"],
                ["file_dirty", "file_writeback"],
            ),
        };
        let sum =
            |names: [&str; 2]| -> u64 { names.iter().filter_map(|name| field(stat, name)).sum() };
        sum(file).saturating_sub(sum(unwritten))
    }

    /// How often a limit was met, in a text of its events.
    pub(super) fn events(&self, text: &str) -> u64 {
        match self.version {
            Version::V1 => text.trim().parse().unwrap_or(0),
            Version::V2 => ["high", "max"]
                .iter()
                .filter_map(|name| field(text, name))
                .sum(),
        }
    }
}

/// The number in the file of a limit; `None` for no limit.
pub(super) fn limit_in(text: &str) -> Option<u64> {
    let bytes = text.trim().parse().ok()?;
    (bytes < UNLIMITED).then_some(bytes)
}

/// The number behind a name, in lines of names and numbers, with or without a colon between them.
pub(crate) fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| {
        let rest = line.strip_prefix(name)?;
        rest.strip_prefix([':', ' '])
    })?;
    line.split_whitespace().next()?.parse().ok()
}

/// Hundredths of the last ten seconds in which some task stood still for want of memory, in whole ones, in a text of PSI.
pub(super) fn stalled(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let average = line
        .split(' ')
        .find_map(|word| word.strip_prefix("avg10="))?;
    average.split('.').next()?.parse().ok()
}

/// What the machine has, or the least of the process's control groups.
pub(crate) fn given(read: Read<'_>) -> Option<Gift> {
    let machine = || {
        let bytes = field(&read("/proc/meminfo")?, "MemTotal")? * 1024;
        Some(Gift {
            bytes,
            giver: format!("the machine has {}", size_text(bytes)),
        })
    };
    let groups = find(read).into_iter().filter_map(|group| {
        let bytes = group.limit(read)?;
        let giver = format!(
            "the control group {} has {}",
            group.folder,
            size_text(bytes)
        );
        Some(Gift { bytes, giver })
    });
    groups.chain(machine()).min_by_key(|gift| gift.bytes)
}

/// What is left to others of so many bytes.
pub(crate) fn reserve(bytes: u64) -> u64 {
    (bytes / limits::MEMORY_RESERVE_DIVISOR)
        .max(limits::MEMORY_RESERVE_BYTES)
        .min(bytes / limits::MEMORY_RESERVE_DIVISOR_MAX)
}
