//! Brokers that are started, watched and ended: programs that do what brokers do, and worse.

use std::path::Path;
use std::time::{Duration, Instant};

use super::folder::Folder;
use super::*;
use crate::load::result::BrokerEvent;

const BUDGET: u64 = 64 << 20;

/// Python with a socket that listens on the port, and then this.
fn listening(then: &str) -> String {
    format!(
        "python3 -u -c \"import socket,time,os,sys; s=socket.create_server(('127.0.0.1',{{port}}))\n{then}\""
    )
}

fn spec(command: &str) -> BrokerSpec {
    BrokerSpec {
        command: BrokerCommand::Other {
            command: command.into(),
            host: "127.0.0.1".into(),
            port: 0,
        },
        budget: None,
        cpus: Vec::new(),
        log: None,
    }
}

/// Says why a test has not been done.
fn skipped(why: &str) {
    eprintln!("SKIPPED: {why}");
}

/// Whether there is what most of these tests start.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("-V").output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        skipped("python3 is not installed");
    }
    found
}

/// Whether a budget is enforced here.
fn has_cgroups() -> bool {
    match MemoryCgroup::create(BUDGET) {
        Ok(_) => true,
        Err(why) => {
            skipped(&why);
            false
        }
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is_running(pid: u32) -> bool {
    proc::stat(pid).is_some_and(|stat| stat.is_alive())
}

/// The file holds a pid, once it is there.
fn pid_in(path: &Path) -> u32 {
    let mut pid = None;
    eventually("a pid", || {
        pid = read_number(path);
        pid.is_some()
    });
    pid.unwrap() as u32
}

fn kinds(events: &[BrokerEvent]) -> Vec<&str> {
    events.iter().map(|event| event.kind.as_str()).collect()
}

#[test]
fn a_command_that_ends_at_once_is_quoted() {
    let text = start(spec("echo one {port}; echo two >&2; exit 5")).unwrap_err();
    assert_eq!(text.exit_code(), 3);
    let text = text.to_string();
    for part in ["ended with exit code 5 at once", "\n    one ", "\n    two"] {
        assert!(text.contains(part), "{text}");
    }
    let text = start(spec("true {port}")).unwrap_err().to_string();
    assert!(text.contains("foreground"), "{text}");
    let text = start(spec("kill -9 $$; sleep 1 # {port}"))
        .unwrap_err()
        .to_string();
    assert!(text.contains("SIGKILL"), "{text}");
}

#[test]
fn a_command_that_is_not_there_is_a_usage_error() {
    for command in ["no-such-broker {port}", "/etc/passwd {port}"] {
        let error = start(spec(command)).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        assert!(error.to_string().contains(command), "{error}");
    }
}

#[test]
fn it_is_started_pinned_and_ended() {
    if !has_python() {
        return;
    }
    let folder = Folder::create().unwrap();
    let child = folder.path().join("child");
    let log = folder.path().join("log");
    let mut spec = spec(&format!(
        "echo hello; sleep 60 & echo $! > {}; {}; true",
        child.display(),
        listening("time.sleep(60)")
    ));
    spec.log = Some(log.clone());
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("Cpus_allowed_list"))
        .unwrap();
    let cpu = line
        .split(['\t', '-', ','])
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    spec.cpus = vec![cpu];
    let mut broker = start(spec).unwrap();
    assert!(std::net::TcpStream::connect(broker.address()).is_ok());
    let info = broker.info();
    assert_eq!(
        (info.pid, info.cpus),
        (Some(broker.pid()), Some(cpu.to_string()))
    );
    assert!(info.what.starts_with("echo hello") && info.budget.is_none());
    assert!(info.address.starts_with("127.0.0.1:"));
    assert!(broker.events(1.0).is_empty() && !broker.ended());

    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(10));
    // The shell, the one in the background and Python.
    assert!(sampler.now().threads >= 3 && sampler.now().rss_bytes > 1 << 20);
    let (pid, child) = (broker.pid(), pid_in(&child));
    assert_eq!(broker.stop(), None);
    assert!(!is_running(pid) && !is_running(child));
    // An end that was asked for is no event.
    assert_eq!(sampler.finish().1, vec![]);
    assert_eq!(std::fs::read_to_string(log).unwrap(), "hello\n");
}

#[test]
fn it_ends_when_dropped_and_its_files_go() {
    if !has_python() {
        return;
    }
    let folder = Folder::create().unwrap();
    let link = folder.path().join("link");
    let command = listening(&format!(
        "os.symlink(os.readlink('/proc/self/fd/1'), '{}'); time.sleep(60)",
        link.display()
    ));
    let broker = start(spec(&command)).unwrap();
    eventually("the name of its log", || link.is_symlink());
    let log = std::fs::read_link(&link).unwrap();
    assert!(log.exists());
    let pid = broker.pid();
    drop(broker);
    assert!(!is_running(pid) && !log.exists() && !log.parent().unwrap().exists());
}

#[test]
fn its_end_is_told_once_with_its_last_words() {
    if !has_python() {
        return;
    }
    let command = listening("s.accept(); s.accept(); print('cannot go on'); os._exit(7)");
    let mut broker = start(spec(&command)).unwrap();
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(10));
    eventually("a look", || sampler.latest().is_some());
    drop(std::net::TcpStream::connect(broker.address()));
    eventually("its end", || {
        sampler.ended() && !sampler.events().is_empty()
    });
    assert!(broker.ended() && broker.events(9.0).is_empty());
    let (samples, events) = sampler.finish();
    assert!(!samples.is_empty());
    assert_eq!(kinds(&events), ["ended"]);
    assert!(events[0].text.contains("exit code 7"), "{}", events[0].text);
    assert!(
        events[0].text.contains("cannot go on"),
        "{}",
        events[0].text
    );
    assert_eq!(broker.stop(), None);
}

#[test]
fn an_end_that_nobody_saw_is_told_by_stop() {
    if !has_python() {
        return;
    }
    let command = listening("s.accept(); s.accept(); os.kill(os.getpid(), 11)");
    let mut broker = start(spec(&command)).unwrap();
    broker.set_epoch(Instant::now());
    drop(std::net::TcpStream::connect(broker.address()));
    eventually("its end", || broker.ended());
    let event = broker.stop().unwrap();
    assert_eq!(event.kind, "killed");
    assert!(event.text.contains("SIGSEGV"), "{}", event.text);
}

#[test]
fn one_that_does_not_want_to_end_is_killed() {
    if !has_python() {
        return;
    }
    let deaf = "import signal; signal.signal(15, signal.SIG_IGN); print('deaf'); time.sleep(60)";
    let folder = Folder::create().unwrap();
    let log = folder.path().join("log");
    let mut spec = spec(&listening(deaf));
    spec.log = Some(log.clone());
    let broker = start(spec).unwrap();
    eventually("its word", || {
        std::fs::read_to_string(&log).unwrap() == "deaf\n"
    });
    let pid = broker.pid();
    let event = broker.stop().unwrap();
    assert_eq!(event.kind, "killed");
    assert!(event.text.contains("SIGTERM"), "{}", event.text);
    assert!(!is_running(pid));
}

#[test]
fn one_that_does_not_listen_is_ended() {
    let folder = Folder::create().unwrap();
    let file = folder.path().join("pid");
    let command = format!("echo $$ > {}; exec sleep 60 # {{port}}", file.display());
    let started = Instant::now();
    let error = start(spec(&command)).unwrap_err();
    assert!(started.elapsed() > Duration::from_secs(10));
    assert_eq!(error.exit_code(), 3);
    assert!(error.to_string().contains("does it listen"), "{error}");
    assert!(!is_running(pid_in(&file)));
}

#[test]
fn a_budget_counts_from_the_first_byte() {
    if !has_python() || !has_cgroups() {
        return;
    }
    let mut spec = spec(&listening(
        "b=bytearray(20<<20); print('full'); time.sleep(60)",
    ));
    spec.budget = Some(BUDGET);
    let broker = start(spec).unwrap();
    let budget = broker.info().budget.unwrap();
    assert!(budget.enforced && budget.bytes == BUDGET, "{budget:?}");
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(10));
    let counted = |sampler: &Sampler| sampler.now().cgroup_bytes.unwrap();
    eventually("20 MiB", || counted(&sampler) > 20 << 20);
    let now = sampler.now();
    assert!(counted(&sampler) < BUDGET && now.cgroup_peak_bytes >= now.cgroup_bytes);
    assert!(now.cgroup_kernel_bytes.unwrap() > 0);
    assert_eq!(broker.stop(), None);
    let (samples, events) = sampler.finish();
    assert!(samples.iter().all(|sample| sample.cgroup_bytes.is_some()));
    assert!(events.is_empty());
}

#[test]
fn what_waits_in_sockets_is_counted() {
    if !has_python() || !has_cgroups() {
        return;
    }
    let fill = "s.accept(); s.accept(); c=socket.create_connection(s.getsockname()); p=s.accept()\nc.setblocking(False)\ntry:\n while True: c.send(bytes(65536))\nexcept BlockingIOError: time.sleep(60)";
    let mut spec = spec(&listening(fill));
    spec.budget = Some(BUDGET);
    let broker = start(spec).unwrap();
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(10));
    let kernel = || sampler.now().cgroup_kernel_bytes.unwrap();
    let before = kernel();
    drop(std::net::TcpStream::connect(broker.address()));
    eventually("some of it", || kernel() > before + (1 << 20));
    assert_eq!(broker.stop(), None);
}

#[test]
fn one_that_needs_more_than_its_budget_is_out_of_memory() {
    if !has_python() || !has_cgroups() {
        return;
    }
    let command = listening("s.accept(); s.accept(); b=bytearray(1<<30)");
    let mut spec = spec(&command);
    spec.budget = Some(BUDGET);
    let broker = start(spec.clone()).unwrap();
    let sampler = Sampler::start(broker.target(), Instant::now(), Duration::from_millis(10));
    drop(std::net::TcpStream::connect(broker.address()));
    eventually("its end", || sampler.ended());
    let now = sampler.now();
    assert!(now.cgroup_peak_bytes.unwrap() > BUDGET * 9 / 10, "{now:?}");
    let (_, events) = sampler.finish();
    assert_eq!(kinds(&events), ["out of memory", "killed"]);
    assert!(
        events[0].text.contains("budget of 64 MiB"),
        "{}",
        events[0].text
    );
    assert_eq!(broker.stop(), None);

    // And before it listens.
    spec.command = BrokerCommand::Other {
        command: "python3 -c 'b=bytearray(10**9); print({port})'".into(),
        host: "127.0.0.1".into(),
        port: 0,
    };
    let error = start(spec).unwrap_err();
    assert_eq!(error.exit_code(), 3);
    assert!(
        error
            .to_string()
            .contains("ran out of its budget of 64 MiB"),
        "{error}"
    );
}

#[test]
fn a_child_that_is_out_of_memory_is_an_event() {
    if !has_python() || !has_cgroups() {
        return;
    }
    let command = listening(
        "s.accept(); s.accept()\nif os.fork()==0: b=bytearray(1<<30)\nos.wait(); time.sleep(60)",
    );
    let mut spec = spec(&command);
    spec.budget = Some(BUDGET);
    let mut broker = start(spec).unwrap();
    drop(std::net::TcpStream::connect(broker.address()));
    let mut events = Vec::new();
    eventually("an event", || {
        events.extend(broker.events(2.0));
        !events.is_empty()
    });
    assert_eq!(kinds(&events), ["out of memory"]);
    assert!(!broker.ended());
    assert_eq!(broker.stop(), None);
}

#[test]
fn one_that_leaves_its_group_is_ended_by_the_cgroup() {
    if !has_python() || !has_cgroups() {
        return;
    }
    let folder = Folder::create().unwrap();
    let file = folder.path().join("pid");
    let command = format!(
        "setsid sleep 60 & echo $! > {}; {}",
        file.display(),
        listening("time.sleep(60)")
    );
    let mut spec = spec(&command);
    spec.budget = Some(BUDGET);
    let broker = start(spec).unwrap();
    let child = pid_in(&file);
    assert!(is_running(child));
    assert_eq!(broker.stop(), None);
    eventually("the end of all", || !is_running(child));
}
