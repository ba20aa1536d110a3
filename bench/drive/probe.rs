//! The broker's process seen from outside: CPU time and memory.

use std::fs;
use std::io;

use super::sys;

pub struct Probe {
    pid: i32,
    clock: libc::clockid_t,
}

impl Probe {
    pub fn new(pid: i32) -> io::Result<Self> {
        Ok(Self {
            pid,
            clock: sys::cpu_clock(pid)?,
        })
    }

    /// CPU time of all the process's threads, in nanoseconds, as the scheduler accounts it.
    pub fn cpu_ns(&self) -> u64 {
        sys::clock_ns(self.clock)
    }

    /// utime + stime of /proc/PID/stat in clock ticks of 10 ms: coarser, a check of `cpu_ns`.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid)).unwrap_or_default();
        // The name, field 2, may hold blanks: fields 14 and 15 are the 12th and 13th after its closing bracket.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        fields
            .split(' ')
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum()
    }

    /// How long the process's threads were ready to run but had no CPU, in nanoseconds: what others on its CPU took.
    pub fn wait_ns(&self) -> u64 {
        let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", self.pid)) else {
            return 0;
        };
        let waited = |schedstat: String| {
            schedstat
                .split(' ')
                .nth(1)
                .and_then(|wait| wait.parse::<u64>().ok())
        };
        tasks
            .flatten()
            .filter_map(|task| waited(fs::read_to_string(task.path().join("schedstat")).ok()?))
            .sum()
    }

    /// The proportional set size in bytes.
    pub fn pss_bytes(&self) -> io::Result<u64> {
        let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid))?;
        let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
        let kilobytes = line.and_then(|line| {
            line.trim()
                .trim_end_matches("kB")
                .trim()
                .parse::<u64>()
                .ok()
        });
        kilobytes
            .map(|kilobytes| kilobytes * 1024)
            .ok_or_else(|| io::Error::other("no Pss in smaps_rollup"))
    }
}
