//! Starting a process pinned to CPUs, in a process group of its own and inside a memory cgroup from its first byte on;
//! and a watchdog that ends it when the tester dies without a word.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::HostError;
use crate::load::secrets;

/// What the shell that joins the cgroup exits with when it may not.
pub(super) const JOIN_FAILED: i32 = 96;

/// Joins a cgroup, then becomes the program: memory that a process touches before it joins would count elsewhere.
const JOIN: &str = r#"echo $$ > "$1" || exit 96; shift; exec "$@""#;

/// Waits for a line on a pipe that the tester holds. At its end without one the tester is dead: ends the group of
/// processes, clears the cgroup and removes the files.
const WATCH: &str = r#"read -r line && exit 0
kill -s TERM -- "-$1"; sleep 1; kill -s KILL -- "-$1"
if [ -n "$2" ]; then
    while read -r pid; do kill -s KILL "$pid"; done < "$2/cgroup.procs"
    sleep 1; rmdir "$2"
fi
[ -z "$3" ] || rm -rf -- "$3""#;

/// A program to start.
pub(super) struct Launch<'a> {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    /// CPUs that it may use; all that the tester may if there are none.
    pub cpus: &'a [u16],
    /// `cgroup.procs` of the group to join.
    pub procs: Option<PathBuf>,
    /// Takes standard output and standard error.
    pub log: File,
}

impl Launch<'_> {
    /// Starts it. The child leads a process group of its own, so that it can be ended with all that it starts, and does
    /// not see the Ctrl-C that is meant for the tester.
    pub(super) fn spawn(self) -> Result<Child, HostError> {
        let mut command = match &self.procs {
            None => Command::new(&self.program),
            Some(procs) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", JOIN, "sh"]).arg(procs).arg(&self.program);
                shell
            }
        };
        let error = |error| HostError::Cannot(format!("cannot start a process: {error}"));
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(self.log.try_clone().map_err(error)?)
            .stderr(self.log)
            .process_group(0);
        secrets::keep_from(&mut command);
        spawn_on(command, self.cpus).map_err(|problem| match problem {
            Spawn::Cpus(error) => error,
            Spawn::Failed(problem) => {
                let text = format!("cannot start {}: {problem}", self.program.display());
                match problem.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => {
                        HostError::Usage(text)
                    }
                    _ => HostError::Cannot(text),
                }
            }
        })
    }
}

/// Why there is no child.
enum Spawn {
    Cpus(HostError),
    Failed(io::Error),
}

/// Starts a command that may use these CPUs. A child inherits the CPUs of the thread that starts it: that is one of its
/// own here, and ends.
fn spawn_on(mut command: Command, cpus: &[u16]) -> Result<Child, Spawn> {
    if cpus.is_empty() {
        return command.spawn().map_err(Spawn::Failed);
    }
    std::thread::scope(|scope| {
        let starter = scope.spawn(|| {
            pin(cpus).map_err(Spawn::Cpus)?;
            command.spawn().map_err(Spawn::Failed)
        });
        let lost = || Spawn::Failed(io::Error::other("the thread that starts it ended"));
        starter.join().unwrap_or_else(|_| Err(lost()))
    })
}

/// Lets this thread use only these CPUs.
fn pin(cpus: &[u16]) -> Result<(), HostError> {
    let refused = |cpu: u16| {
        HostError::Usage(format!(
            "CPU {cpu} is not there or not allowed to this process; see `taskset -p $$` and choose others for the broker"
        ))
    };
    let mut set = CpuSet::new();
    for &cpu in cpus {
        if usize::from(cpu) >= CpuSet::MAX_CPU {
            return Err(refused(cpu));
        }
        set.set(cpu.into());
    }
    let first = cpus.first().copied().unwrap_or(0);
    sched_setaffinity(None, &set).map_err(|_| refused(first))?;
    // The kernel ignores those that are not there as long as one is.
    let got = sched_getaffinity(None).unwrap_or(set);
    match cpus.iter().find(|&&cpu| !got.is_set(cpu.into())) {
        Some(&cpu) => Err(refused(cpu)),
        None => Ok(()),
    }
}

/// CPUs as `CpuList` reads them: `0-3,6`.
pub(super) fn cpus_text(cpus: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for &cpu in cpus {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(cpu) => *last = cpu,
            _ => runs.push((cpu, cpu)),
        }
    }
    let texts = runs.iter().map(|(first, last)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    });
    texts.collect::<Vec<String>>().join(",")
}

/// A shell that ends a process group when the tester is killed. Called off when dropped.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    /// Watches over the group that `leader` leads, with its cgroup and its folder. `None` where no shell can be
    /// started: then nobody watches.
    pub(super) fn start(
        leader: u32,
        cgroup: Option<&Path>,
        folder: Option<&Path>,
    ) -> Option<Watchdog> {
        let none = Path::new("");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", WATCH, "sh", &leader.to_string()])
            .arg(cgroup.unwrap_or(none))
            .arg(folder.unwrap_or(none))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0);
        secrets::keep_from(&mut command);
        command.spawn().ok().map(Watchdog)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // If it is gone already there is nothing to call off.
            let _ = pipe.write_all(b"\n");
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::super::cgroup::MemoryCgroup;
    use super::super::folder::Folder;
    use super::super::proc;
    use super::*;

    fn launch<'a>(folder: &Folder, script: &str, cpus: &'a [u16]) -> Launch<'a> {
        Launch {
            program: "sh".into(),
            arguments: vec!["-c".into(), script.into()],
            cpus,
            procs: None,
            log: File::create(folder.path().join("log")).unwrap(),
        }
    }

    fn log(folder: &Folder) -> String {
        std::fs::read_to_string(folder.path().join("log")).unwrap()
    }

    #[test]
    fn it_is_pinned_and_leads_its_group() {
        let folder = Folder::create().unwrap();
        let script = "grep Cpus_allowed_list /proc/self/status; cut -d' ' -f5 /proc/$$/stat >&2";
        let before = sched_getaffinity(None).unwrap();
        let cpu = (0..1024).find(|&cpu| before.is_set(cpu.into())).unwrap();
        let mut child = launch(&folder, script, &[cpu]).spawn().unwrap();
        child.wait().unwrap();
        let expected = format!("Cpus_allowed_list:\t{cpu}\n{}\n", child.id());
        assert_eq!(log(&folder), expected);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
    }

    #[test]
    fn cpus_and_programs_that_are_not_there() {
        let folder = Folder::create().unwrap();
        for cpus in [&[1000][..], &[0, 1000], &[8191]] {
            let error = launch(&folder, "true", cpus).spawn().unwrap_err();
            assert!(error.to_string().contains("not there"), "{error}");
        }
        let mut missing = launch(&folder, "true", &[]);
        missing.program = "/nonexistent/broker".into();
        let error = missing.spawn().unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("/nonexistent/broker"), "{error}");
    }

    #[test]
    fn a_group_that_cannot_be_joined_has_a_code_of_its_own() {
        let folder = Folder::create().unwrap();
        let mut launch = launch(&folder, "echo started", &[]);
        launch.procs = Some("/nonexistent/cgroup.procs".into());
        let status = launch.spawn().unwrap().wait().unwrap();
        assert_eq!(status.code(), Some(JOIN_FAILED));
        assert!(!log(&folder).contains("started"));
    }

    #[test]
    fn cpus_are_written_as_they_are_read() {
        assert_eq!(cpus_text(&[]), "");
        assert_eq!(cpus_text(&[0]), "0");
        assert_eq!(cpus_text(&[0, 1, 2, 6, 8, 9]), "0-2,6,8-9");
        assert_eq!(cpus_text(&[3, 1, 2]), "3,1-2");
    }

    fn is_running(pid: u32) -> bool {
        proc::stat(pid).is_some_and(|stat| stat.is_alive())
    }

    #[test]
    fn the_watchdog_bites_when_the_pipe_breaks_and_only_then() {
        let folder = Folder::create().unwrap();
        let mut child = launch(&folder, "sleep 60; true", &[]).spawn().unwrap();
        drop(Watchdog::start(child.id(), None, None).unwrap());
        assert!(is_running(child.id()));

        let files = folder.path().join("files");
        std::fs::create_dir(&files).unwrap();
        let mut watchdog = Watchdog::start(child.id(), None, Some(&files)).unwrap();
        drop(watchdog.0.stdin.take());
        let started = Instant::now();
        while is_running(child.id()) || files.exists() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait().unwrap();
    }

    #[test]
    fn the_watchdog_clears_the_cgroup() {
        let group = match MemoryCgroup::create(64 << 20) {
            Ok(group) => group,
            Err(why) => return eprintln!("SKIPPED: {why}"),
        };
        let folder = Folder::create().unwrap();
        let file = folder.path().join("pid");
        // One of the two leaves the process group.
        let script = format!(
            "setsid sleep 60 & echo $! > {}; sleep 60; true",
            file.display()
        );
        let mut launch = launch(&folder, &script, &[]);
        launch.procs = Some(group.procs_path());
        let mut child = launch.spawn().unwrap();
        let read = || super::super::read_number(&file);
        let started = Instant::now();
        while read().is_none() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut watchdog = Watchdog::start(child.id(), Some(group.dir()), None).unwrap();
        drop(watchdog.0.stdin.take());
        while is_running(child.id()) || is_running(read().unwrap() as u32) || group.dir().exists() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(10));
        }
        child.wait().unwrap();
    }
}
