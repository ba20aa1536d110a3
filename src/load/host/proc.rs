//! What a process uses: CPU time, memory and threads, from /proc, with everything that descends from it. A broker may be
//! started by a shell, or fork.

use super::{field, read_trimmed};
use crate::limits;

/// Units of CPU time in /proc/PID/stat per second: USER_HZ, part of the kernel's interface.
const TICKS_PER_S: f64 = 100.0;

/// What a process and its descendants use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcUse {
    /// CPU seconds in user space and in the kernel, those of ended and awaited children included.
    pub user_s: f64,
    pub system_s: f64,
    /// Resident memory, the sum over the processes: what they share is counted for each.
    pub rss_bytes: u64,
    /// The proportional set, the sum over the processes; `None` where one of them may not be read, or nobody asked.
    pub pss_bytes: Option<u64>,
    pub threads: u32,
}

impl ProcUse {
    /// A process and its descendants now, with PSS; `None` when the process itself is gone.
    pub fn of(pid: u32) -> Option<ProcUse> {
        ProcUse::of_tree(&tree(pid), true)
    }

    /// The sum over processes, the first being the one that matters: `None` when it is gone or a zombie. `with_pss`
    /// walks the page tables of every one, which takes milliseconds for large ones.
    pub fn of_tree(pids: &[u32], with_pss: bool) -> Option<ProcUse> {
        let mut sum = ProcUse::default();
        let mut pss = with_pss.then_some(0);
        for (number, &pid) in pids.iter().enumerate() {
            let Some(stat) = stat(pid).filter(Stat::is_alive) else {
                if number == 0 {
                    return None;
                }
                // A child that ended: its time is in its parent's, once that has waited for it.
                continue;
            };
            sum.user_s += stat.user_ticks as f64 / TICKS_PER_S;
            sum.system_s += stat.system_ticks as f64 / TICKS_PER_S;
            sum.threads += stat.threads;
            sum.rss_bytes += rss_bytes(pid).unwrap_or(0);
            if with_pss {
                pss = pss.and_then(|sum: u64| Some(sum + pss_bytes(pid)?));
            }
        }
        sum.pss_bytes = pss;
        Some(sum)
    }
}

/// A line of /proc/PID/stat, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub state: char,
    pub parent: u32,
    /// The process group, named by its leader's pid.
    pub group: u32,
    /// Own time and that of awaited children.
    pub user_ticks: u64,
    pub system_ticks: u64,
    pub threads: u32,
    /// Ticks since boot: with the pid it names a process for good.
    pub started: u64,
}

impl Stat {
    /// Neither a zombie nor dead.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, 'Z' | 'X' | 'x')
    }

    /// Reads a line. The name in it is whatever the program calls itself, spaces and parentheses included: the last
    /// closing one ends it.
    fn parse(line: &str) -> Option<Stat> {
        let rest = &line[line.rfind(')')? + 1..];
        let words: Vec<&str> = rest.split_whitespace().collect();
        // proc(5) counts from 1, with the pid and the name in front.
        let number = |field: usize| -> Option<u64> {
            // Times of children are signed.
            let value: i64 = words.get(field - 3)?.parse().ok()?;
            Some(value.max(0) as u64)
        };
        Some(Stat {
            state: words.first()?.chars().next()?,
            parent: number(4)? as u32,
            group: number(5)? as u32,
            user_ticks: number(14)? + number(16)?,
            system_ticks: number(15)? + number(17)?,
            threads: number(20)? as u32,
            started: number(22)?,
        })
    }
}

pub(super) fn stat(pid: u32) -> Option<Stat> {
    // A name need not be UTF-8.
    let bytes = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    Stat::parse(&String::from_utf8_lossy(&bytes))
}

/// Resident memory of one process, in bytes.
pub(super) fn rss_bytes(pid: u32) -> Option<u64> {
    let bytes = std::fs::read(format!("/proc/{pid}/status")).ok()?;
    kilobytes(&String::from_utf8_lossy(&bytes), "VmRSS")
}

/// The proportional set of one process, in bytes.
pub(super) fn pss_bytes(pid: u32) -> Option<u64> {
    kilobytes(&read_trimmed(format!("/proc/{pid}/smaps_rollup"))?, "Pss")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    Some(field(text, name)? * 1024)
}

/// A process and its descendants, itself first.
pub(super) fn tree(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    let mut parents = None;
    while next < found.len() && found.len() < limits::LOAD_PROCESSES_MAX {
        for child in children(found[next], &mut parents) {
            if !found.contains(&child) {
                found.push(child);
            }
        }
        next += 1;
    }
    found
}

/// The children of a process. Kernels without `CONFIG_PROC_CHILDREN` have no list of them: then the parents of all
/// processes are read, once a walk.
fn children(pid: u32, parents: &mut Option<Vec<(u32, u32)>>) -> Vec<u32> {
    if let Some(found) = listed_children(pid) {
        return found;
    }
    let parents = parents.get_or_insert_with(all_parents);
    let mine = parents.iter().filter(|(_, parent)| *parent == pid);
    mine.map(|(child, _)| *child).collect()
}

/// The children that the kernel lists by the thread that made them; `None` where it does not.
fn listed_children(pid: u32) -> Option<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))
        .ok()?
        .flatten()
    {
        let list = thread.path().join("children");
        match std::fs::read_to_string(&list) {
            Ok(text) => found.extend(
                text.split_whitespace()
                    .filter_map(|pid| pid.parse::<u32>().ok()),
            ),
            // The thread has ended, or there are no such lists.
            Err(_) if !thread.path().exists() => {}
            Err(_) => return None,
        }
    }
    Some(found)
}

/// Every process with its parent.
fn all_parents() -> Vec<(u32, u32)> {
    let found = all().into_iter();
    found.map(|(pid, stat)| (pid, stat.parent)).collect()
}

/// The living processes of a group.
pub(super) fn group(leader: u32) -> Vec<u32> {
    let found = all().into_iter();
    let found = found.filter(|(_, stat)| stat.group == leader && stat.is_alive());
    found.map(|(pid, _)| pid).collect()
}

/// Every process.
fn all() -> Vec<(u32, Stat)> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let pids = entries.flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid| Some((pid, stat(pid)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command};
    use std::time::{Duration, Instant};

    use super::*;

    const REST: &str = "S 4 5 6 0 -1 4194304 100 200 0 0 1201 302 30 4 20 0 7 0 98765 1000 42 18446744073709551615 0";

    /// Ended when dropped.
    struct Ends(Child);

    impl Drop for Ends {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn names_with_anything_in_them() {
        for name in [
            "mosquitto",
            "a b",
            "a) S 9 (b",
            ") R 1 1",
            "((",
            "new\nline)",
        ] {
            let stat = Stat::parse(&format!("123 ({name}) {REST}\n")).unwrap();
            let expected = Stat {
                state: 'S',
                parent: 4,
                group: 5,
                user_ticks: 1231,
                system_ticks: 306,
                threads: 7,
                started: 98_765,
            };
            assert_eq!(stat, expected, "{name}");
        }
    }

    #[test]
    fn lines_that_are_none() {
        for line in ["", "1", "1 (a", "1 (a)", "1 (a) S 1 2", "1 (a) S x"] {
            assert_eq!(Stat::parse(line), None, "{line}");
        }
    }

    #[test]
    fn fields_by_their_names() {
        let text = "Rss:    1704 kB\nPss_Anon:  112 kB\nPss:   389 kB\n";
        assert_eq!(kilobytes(text, "Pss"), Some(389 * 1024));
        assert_eq!(kilobytes(text, "Rss"), Some(1704 * 1024));
        assert_eq!(kilobytes(text, "Ps"), None);
        assert_eq!(
            field("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n", "oom_kill"),
            Some(3)
        );
    }

    #[test]
    fn own_use_grows() {
        let pid = std::process::id();
        let before = ProcUse::of(pid).unwrap();
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(100) {
            std::hint::black_box(started);
        }
        let after = ProcUse::of(pid).unwrap();
        assert!(after.user_s + after.system_s > before.user_s + before.system_s);
        assert!(after.rss_bytes > 1 << 20 && after.threads >= 1);
        assert_eq!(ProcUse::of_tree(&[pid], false).unwrap().pss_bytes, None);
    }

    #[test]
    fn descendants_belong_to_it() {
        // A shell that waits for a shell that waits for a program: three processes.
        let script = "sh -c 'sleep 30; true'; true";
        let mut shell = Ends(Command::new("sh").args(["-c", script]).spawn().unwrap());
        let pid = shell.0.id();
        let started = Instant::now();
        let mut pids = tree(pid);
        while pids.len() < 3 && started.elapsed() < Duration::from_secs(10) {
            std::thread::sleep(Duration::from_millis(5));
            pids = tree(pid);
        }
        assert_eq!((pids.len(), pids[0]), (3, pid));
        let one = ProcUse::of_tree(&pids[..1], true).unwrap();
        let all = ProcUse::of(pid).unwrap();
        assert_eq!((one.threads, all.threads), (1, 3));
        assert!(all.rss_bytes > one.rss_bytes);
        assert!(listed_children(pid).is_none_or(|found| found == [pids[1]]));
        assert!(all_parents().contains(&(pids[1], pid)));
        for pid in pids.iter().rev() {
            let _ = Command::new("kill").arg(pid.to_string()).output();
        }
        shell.0.wait().unwrap();
        assert_eq!(ProcUse::of(pid), None);
    }

    #[test]
    fn a_zombie_is_gone() {
        let child = Ends(Command::new("true").spawn().unwrap());
        let pid = child.0.id();
        let started = Instant::now();
        while ProcUse::of(pid).is_some() {
            assert!(started.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(stat(pid).map(|stat| stat.state), Some('Z'));
    }
}
