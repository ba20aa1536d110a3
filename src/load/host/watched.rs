//! A broker's process as two threads see it: the one that started it, and the sampler. Whoever looks first learns of its
//! end; each thing that happens is told once.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

use super::cgroup::MemoryCgroup;
use super::folder::Folder;
use super::launch::Watchdog;
use super::proc;
use crate::escape::one_line;
use crate::limits;
use crate::load::report::units;
use crate::load::result::BrokerEvent;

/// Lines of the log that are quoted.
const QUOTED_LINES: usize = 8;

/// How long a broker may take to end when it is asked to.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Time between two looks at a process that is to end.
const STOP_POLL: Duration = Duration::from_millis(5);

/// How long the kernel may take to count a kill that it has done.
const OOM_COUNTED_MAX: Duration = Duration::from_millis(200);

/// A process that we started, with what belongs to it. Its files and its cgroup go with the last who holds it.
#[derive(Debug)]
pub(super) struct Watched {
    pid: u32,
    state: Mutex<State>,
    // Removed in this order.
    pub group: Option<MemoryCgroup>,
    log: PathBuf,
    _folder: Folder,
}

#[derive(Debug)]
struct State {
    child: Child,
    watchdog: Option<Watchdog>,
    ended: Option<ExitStatus>,
    /// What was told already.
    told_end: bool,
    told_kills: u64,
}

impl Watched {
    pub(super) fn new(
        child: Child,
        group: Option<MemoryCgroup>,
        log: PathBuf,
        folder: Folder,
    ) -> Self {
        let pid = child.id();
        let dir = group.as_ref().map(MemoryCgroup::dir);
        let watchdog = Watchdog::start(pid, dir, Some(folder.path()));
        let state = State {
            child,
            watchdog,
            ended: None,
            told_end: false,
            told_kills: 0,
        };
        Watched {
            pid,
            state: Mutex::new(state),
            group,
            log,
            _folder: folder,
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A thread that panicked left nothing half done in it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it ended, if it has. What it started ends with it.
    pub(super) fn ended(&self) -> Option<ExitStatus> {
        self.reap(&mut self.state())
    }

    fn reap(&self, state: &mut State) -> Option<ExitStatus> {
        if state.ended.is_some() {
            return state.ended;
        }
        if !self.is_zombie() {
            return None;
        }
        // Before it is waited for its number is still its own, so the group is too.
        self.kill_all();
        state.ended = state.child.wait().ok();
        // From here on there is nothing to watch over.
        state.watchdog = None;
        state.ended
    }

    /// Whether it has ended and was not waited for yet.
    fn is_zombie(&self) -> bool {
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let pid = Pid::from_raw(self.pid as i32);
        pid.is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), look), Ok(Some(_))))
    }

    /// SIGKILL to its process group and to its cgroup. Only while it has not been waited for.
    fn kill_all(&self) {
        self.signal(Signal::KILL);
        if let Some(group) = &self.group {
            group.kill_all();
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid as i32) {
            // An empty group is what is wanted.
            let _ = kill_process_group(pid, signal);
        }
    }

    /// What happened since the last call: out of memory first, then the end.
    pub(super) fn events(&self, at_s: f64) -> Vec<BrokerEvent> {
        let mut state = self.state();
        let ended = self.reap(&mut state);
        let is_end_new = ended.is_some() && !state.told_end;
        let mut events = Vec::new();
        let kills = self.kills(state.told_kills, is_end_new && was_killed(ended));
        if kills > state.told_kills {
            events.push(self.out_of_memory(at_s, kills - state.told_kills));
            state.told_kills = kills;
        }
        if let (true, Some(status)) = (is_end_new, ended) {
            state.told_end = true;
            events.push(BrokerEvent {
                at_s,
                kind: if status.signal().is_some() {
                    "killed"
                } else {
                    "ended"
                }
                .into(),
                text: format!("the broker {}{}", status_text(status), self.quoted()),
            });
        }
        events
    }

    /// Processes that the kernel has killed for want of memory. After a SIGKILL that nobody here sent, the count may
    /// take a moment to show it.
    fn kills(&self, told: u64, wait: bool) -> u64 {
        let Some(group) = &self.group else {
            return 0;
        };
        let started = Instant::now();
        loop {
            let kills = group.usage().oom_kills;
            if kills > told || !wait || started.elapsed() > OOM_COUNTED_MAX {
                return kills;
            }
            std::thread::sleep(STOP_POLL);
        }
    }

    fn out_of_memory(&self, at_s: f64, kills: u64) -> BrokerEvent {
        let budget = self.group.as_ref().map_or(0, MemoryCgroup::bytes);
        let killed = match kills {
            1 => "a process".to_owned(),
            n => format!("{n} processes"),
        };
        BrokerEvent {
            at_s,
            kind: "out of memory".into(),
            text: format!(
                "the budget of {} was used up: the kernel killed {killed} of the broker",
                units::bytes(budget as f64)
            ),
        }
    }

    /// The last lines that it wrote, indented below a line; empty if there are none.
    pub(super) fn quoted(&self) -> String {
        let lines = last_lines(&self.log);
        if lines.is_empty() {
            return String::new();
        }
        let quoted: Vec<String> = lines.iter().map(|line| format!("\n    {line}")).collect();
        format!("; its last words:{}", quoted.concat())
    }

    /// Whether it wrote this lately.
    pub(super) fn has_said(&self, words: &str) -> bool {
        log_end(&self.log).contains(words)
    }

    /// Its last lines in one.
    pub(super) fn last_words(&self) -> String {
        last_lines(&self.log).join(" ")
    }

    /// Ends it: SIGTERM, and SIGKILL when it does not end in time. What happened to it before and was not told is
    /// returned, or that it had to be killed.
    pub(super) fn stop(&self, at_s: f64) -> Option<BrokerEvent> {
        if let Some(event) = self.events(at_s).into_iter().next() {
            // It may be a child of its that was killed.
            self.end();
            return Some(event);
        }
        if self.end() {
            return None;
        }
        Some(BrokerEvent {
            at_s,
            kind: "killed".into(),
            text: format!(
                "the broker did not end within {} s of SIGTERM and was killed{}",
                STOP_MAX.as_secs(),
                self.quoted()
            ),
        })
    }

    /// Whether it ended without force; at once if it has ended before. Nothing is told of its end afterwards.
    fn end(&self) -> bool {
        let mut state = self.state();
        state.told_end = true;
        if self.reap(&mut state).is_some() {
            return true;
        }
        self.signal(Signal::TERM);
        let started = Instant::now();
        // A shell may end before the broker that it started: that has its time too.
        let is_over = || self.is_zombie() && proc::group(self.pid).is_empty();
        while !is_over() {
            if started.elapsed() > STOP_MAX {
                self.kill_all();
                state.ended = state.child.wait().ok();
                state.watchdog = None;
                return false;
            }
            std::thread::sleep(STOP_POLL);
        }
        self.reap(&mut state);
        true
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // Where a start came to nothing it still runs.
        self.end();
    }
}

fn was_killed(status: Option<ExitStatus>) -> bool {
    status.and_then(|status| status.signal()) == Some(Signal::KILL.as_raw())
}

/// How a process ended, as the end of a sentence.
pub(super) fn status_text(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with exit code {code}"),
        (None, Some(signal)) => match signal_name(signal) {
            Some(name) => format!("was killed by signal {signal} ({name})"),
            None => format!("was killed by signal {signal}"),
        },
        (None, None) => "ended".into(),
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::TERM, "SIGTERM"),
    ]
    .iter()
    .find(|(known, _)| known.as_raw() == signal)
    .map(|(_, name)| *name)
}

/// The end of a log; empty when it cannot be read.
fn log_end(log: &Path) -> String {
    let mut bytes = Vec::new();
    if let Ok(mut file) = File::open(log) {
        let len = file.metadata().map_or(0, |data| data.len());
        let from = len.saturating_sub(limits::LOAD_LOG_TAIL_BYTES);
        // What cannot be read is not quoted.
        let _ = file.seek(SeekFrom::Start(from));
        let _ = file
            .take(limits::LOAD_LOG_TAIL_BYTES)
            .read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines of a log that are not empty. Whatever of them does not show is escaped: a broker writes what its clients call
/// themselves, and so does one that is not ours.
fn last_lines(log: &Path) -> Vec<String> {
    let text = log_end(log);
    let clean = |line: &str| -> String {
        let line = line.trim_end().replace('\t', " ");
        one_line(&line).into_owned()
    };
    let lines: Vec<String> = text
        .lines()
        .map(clean)
        .filter(|line| !line.is_empty())
        .collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_lines_of_any_log() {
        let folder = Folder::create().unwrap();
        let log = folder.path().join("log");
        assert!(last_lines(&log).is_empty());
        std::fs::write(&log, "one\r\n\n\x1b[31mtwo \u{202e}owt\n").unwrap();
        let lines = last_lines(&log);
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0], "one");
        // Neither a terminal's colours nor the order of letters are changed by it.
        assert_eq!(lines[1], one_line("\x1b[31mtwo \u{202e}owt"));
        assert!(lines[1].is_ascii() && !lines[1].contains('\x1b'));
        std::fs::write(&log, b"two\xff\n").unwrap();
        assert_eq!(last_lines(&log), ["two\u{fffd}"]);
        let long: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, long).unwrap();
        let lines = last_lines(&log);
        assert_eq!(
            (lines.len(), lines[7].as_str()),
            (QUOTED_LINES, "line 99999")
        );
    }

    #[test]
    fn ends_are_put_in_words() {
        for (raw, text) in [
            (0, "ended with exit code 0"),
            (3 << 8, "ended with exit code 3"),
            (9, "was killed by signal 9 (SIGKILL)"),
            (40, "was killed by signal 40"),
        ] {
            assert_eq!(status_text(ExitStatus::from_raw(raw)), text);
        }
    }
}
