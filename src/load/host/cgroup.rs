//! A memory cgroup of a given size without swap, of version 2 or 1, whichever counts memory on this machine.
//!
//! It is made below the tester's own cgroup (version 1), or beside it where the rule against processes in inner groups
//! of version 2 asks for that, so that whatever bounds the tester goes on bounding the broker. No other group is
//! changed, and nothing is mounted. The directory goes when the value is dropped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::mounts::{self, Version};
use super::{field, read_number, read_trimmed};

/// How long a group may stay busy after the last of its processes has ended.
const BUSY_MAX: Duration = Duration::from_secs(2);

/// The version 1 files with a value above this hold no limit.
const V1_UNLIMITED: u64 = 1 << 62;

/// What a group counts now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CgroupUse {
    /// All of it, kernel memory and TCP buffers included.
    pub bytes: u64,
    /// The kernel's part, TCP buffers included.
    pub kernel_bytes: u64,
    /// The most that was ever counted. In version 1 TCP buffers are counted apart: there it is what the kernel says
    /// without them, or the largest sum that was seen.
    pub peak_bytes: u64,
    /// Processes that the kernel killed because the group was full.
    pub oom_kills: u64,
}

/// A group; removed when dropped.
#[derive(Debug)]
pub struct MemoryCgroup {
    dir: PathBuf,
    version: Version,
    how: String,
    bytes: u64,
    /// The largest sum seen so far.
    peak: AtomicU64,
}

impl MemoryCgroup {
    /// A group of so many bytes with nobody in it. The error says why the machine does not let us.
    pub fn create(bytes: u64) -> Result<MemoryCgroup, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (parent, version) = mounts::parent()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = parent.join(format!("firehose-bench-{}-{number}", std::process::id()));
        fs::create_dir(&dir).map_err(|error| {
            format!(
                "cannot make a memory cgroup in {}: {error}{}",
                parent.display(),
                cure(version)
            )
        })?;
        let mut group = MemoryCgroup {
            dir,
            version,
            how: String::new(),
            bytes,
            peak: AtomicU64::new(0),
        };
        group.how = match version {
            Version::V1 => group.limit_v1()?,
            Version::V2 => group.limit_v2()?,
        };
        Ok(group)
    }

    fn limit_v2(&self) -> Result<String, String> {
        self.write("memory.max", self.bytes)?;
        let mut how = "cgroup v2: memory.max".to_owned();
        if self.has("memory.swap.max") {
            self.write("memory.swap.max", 0)?;
            how += ", memory.swap.max 0";
        } else {
            how += no_swap_file();
        }
        Ok(how + "; kernel memory and socket buffers included")
    }

    fn limit_v1(&self) -> Result<String, String> {
        self.write("memory.limit_in_bytes", self.bytes)?;
        let mut how = "cgroup v1: memory.limit_in_bytes".to_owned();
        if self.has("memory.memsw.limit_in_bytes") {
            // Memory and swap together may be no more than memory alone.
            self.write("memory.memsw.limit_in_bytes", self.bytes)?;
            how += ", memory.memsw.limit_in_bytes the same";
        } else {
            self.write("memory.swappiness", 0)?;
            how += no_swap_file();
        }
        how += "; kernel memory included";
        // Without a limit TCP buffers are not counted at all; with one they are, but apart.
        if self
            .write("memory.kmem.tcp.limit_in_bytes", self.bytes)
            .is_ok()
        {
            how += ", TCP buffers counted beside it with a limit of the same size";
        } else {
            how += ", TCP buffers not counted";
        }
        Ok(how)
    }

    /// How the budget is enforced, for the report.
    pub fn how(&self) -> String {
        self.how.clone()
    }

    /// The size that was asked for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The file that a process joins by writing its pid into it.
    pub fn procs_path(&self) -> PathBuf {
        self.dir.join("cgroup.procs")
    }

    /// The directory of the group.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What is counted now; zeros for what cannot be read.
    pub fn usage(&self) -> CgroupUse {
        let mut now = match self.version {
            Version::V1 => usage_v1(&self.dir),
            Version::V2 => usage_v2(&self.dir),
        };
        let seen = self.peak.fetch_max(now.bytes, Ordering::Relaxed);
        now.peak_bytes = now.peak_bytes.max(seen).max(now.bytes);
        now
    }

    /// Sends SIGKILL to whoever is in the group: the processes that were started in it and their descendants, wherever
    /// they have gone to.
    pub fn kill_all(&self) {
        let text = read_trimmed(self.procs_path()).unwrap_or_default();
        for pid in text.lines().filter_map(|line| line.parse().ok()) {
            if let Some(pid) = Pid::from_raw(pid) {
                // It may have ended by itself.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
    }

    fn has(&self, name: &str) -> bool {
        self.dir.join(name).exists()
    }

    fn write(&self, name: &str, value: u64) -> Result<(), String> {
        let path = self.dir.join(name);
        fs::write(&path, value.to_string())
            .map_err(|error| format!("cannot write {value} to {}: {error}", path.display()))
    }
}

impl Drop for MemoryCgroup {
    fn drop(&mut self) {
        // A group stays busy for a moment after the end of its last process. What is still there then belongs to
        // somebody who escaped the signal; there is nobody to tell.
        let started = Instant::now();
        while fs::remove_dir(&self.dir).is_err_and(|e| e.kind() == std::io::ErrorKind::ResourceBusy)
            && started.elapsed() < BUSY_MAX
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// What to do where a group cannot be made.
fn cure(version: Version) -> &'static str {
    match version {
        Version::V1 => " (it takes root, or a memory cgroup that belongs to this user)",
        Version::V2 => " (it takes root, or `systemd-run --user --scope firehose bench ...`)",
    }
}

/// What stands for a limit on swap where the kernel has none.
fn no_swap_file() -> &'static str {
    match read_number_of("/proc/meminfo", "SwapTotal") {
        Some(0) => " (the machine has no swap)",
        _ => " (swap cannot be forbidden here: it may be used)",
    }
}

fn read_number_of(path: impl AsRef<Path>, name: &str) -> Option<u64> {
    field(&read_trimmed(path)?, name)
}

fn usage_v2(dir: &Path) -> CgroupUse {
    let number = |name: &str| read_number(dir.join(name)).unwrap_or(0);
    let stat = read_trimmed(dir.join("memory.stat")).unwrap_or_default();
    let part = |name| field(&stat, name).unwrap_or(0);
    // Before 5.18 there is no sum of the kernel's parts.
    let kernel = field(&stat, "kernel").unwrap_or_else(|| {
        ["kernel_stack", "pagetables", "percpu", "slab"]
            .into_iter()
            .map(part)
            .sum()
    });
    CgroupUse {
        bytes: number("memory.current"),
        kernel_bytes: kernel + part("sock"),
        peak_bytes: number("memory.peak"),
        oom_kills: read_number_of(dir.join("memory.events"), "oom_kill").unwrap_or(0),
    }
}

fn usage_v1(dir: &Path) -> CgroupUse {
    let number = |name: &str| read_number(dir.join(name)).unwrap_or(0);
    let limit = number("memory.kmem.tcp.limit_in_bytes");
    let tcp = if (1..V1_UNLIMITED).contains(&limit) {
        number("memory.kmem.tcp.usage_in_bytes")
    } else {
        0
    };
    CgroupUse {
        bytes: number("memory.usage_in_bytes") + tcp,
        kernel_bytes: number("memory.kmem.usage_in_bytes") + tcp,
        peak_bytes: number("memory.max_usage_in_bytes"),
        oom_kills: read_number_of(dir.join("memory.oom_control"), "oom_kill").unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with files in it, removed when dropped.
    fn files(files: &[(&str, &str)]) -> super::super::folder::Folder {
        let folder = super::super::folder::Folder::create().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn version_2_counts_sockets_as_the_kernels() {
        let mut group = vec![
            ("memory.current", "1000\n"),
            ("memory.peak", "2000\n"),
            ("memory.stat", "anon 500\nkernel 300\nslab 200\nsock 40\n"),
            ("memory.events", "low 0\nmax 9\noom 2\noom_kill 1\n"),
        ];
        let found = usage_v2(files(&group).path());
        let expected = CgroupUse {
            bytes: 1000,
            kernel_bytes: 340,
            peak_bytes: 2000,
            oom_kills: 1,
        };
        assert_eq!(found, expected);
        group[2].1 = "anon 500\nkernel_stack 16\npagetables 4\nsock 40\nslab 200\n";
        assert_eq!(usage_v2(files(&group).path()).kernel_bytes, 260);
    }

    #[test]
    fn version_1_counts_tcp_beside() {
        let mut group = vec![
            ("memory.usage_in_bytes", "1000\n"),
            ("memory.max_usage_in_bytes", "1500\n"),
            ("memory.kmem.usage_in_bytes", "300\n"),
            ("memory.kmem.tcp.usage_in_bytes", "4096\n"),
            ("memory.kmem.tcp.limit_in_bytes", "67108864\n"),
            (
                "memory.oom_control",
                "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            ),
        ];
        let found = usage_v1(files(&group).path());
        let expected = CgroupUse {
            bytes: 5096,
            kernel_bytes: 4396,
            peak_bytes: 1500,
            oom_kills: 2,
        };
        assert_eq!(found, expected);
        group[4].1 = "9223372036854771712\n";
        assert_eq!(usage_v1(files(&group).path()).bytes, 1000);
    }

    #[test]
    fn a_group_comes_and_goes() {
        let group = match MemoryCgroup::create(64 << 20) {
            Ok(group) => group,
            Err(why) => return eprintln!("SKIPPED: {why}"),
        };
        let other = MemoryCgroup::create(64 << 20).unwrap();
        assert_ne!(group.dir(), other.dir());
        assert!(group.procs_path().exists() && group.how().contains("kernel memory"));
        assert_eq!((group.usage().oom_kills, group.bytes()), (0, 64 << 20));
        let dirs = [group.dir().to_owned(), other.dir().to_owned()];
        drop((group, other));
        assert!(dirs.iter().all(|dir| !dir.exists()));
    }
}
