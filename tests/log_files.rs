//! Destinations of the log that take no lines, a disk that is full and a daemon that is away: no line is cut, and what is missing
//! there is told at once, counted, and found on standard error.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Folder, PATIENCE};

/// A broker with file systems of its own: what is mounted for it nobody else sees.
struct Apart {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Apart {
    /// `setup` is run by a shell before the broker starts, with `$1` for its folder; `log` are lines of its configuration, in
    /// which `@` stands for the folder, with a folder `disk` in it. `None` where this user may not mount anything.
    fn start(setup: &str, log: &str) -> Option<Apart> {
        let folder = Folder::new("log");
        let port = support::free_port();
        std::fs::create_dir(folder.0.join("disk")).unwrap();
        let log = log.replace('@', &folder.0.display().to_string());
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nsys_interval 1\n{log}"
        );
        let config = folder.write("conf", &text);
        let script = format!("{setup} && exec \"$0\" serve --shards 1 -c \"$2\"");
        let errors = File::create(folder.0.join("stderr")).unwrap();
        let mut child = Command::new("unshare")
            .args(["-rm", "sh", "-c", &script])
            .arg(env!("CARGO_BIN_EXE_firehose"))
            .arg(&folder.0)
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .ok()?;
        let mut ready = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let _ = child.wait();
            return None;
        }
        assert!(ready.contains(" ready: "), "{ready}");
        Some(Apart {
            child,
            folder,
            port,
        })
    }

    /// A path as the broker sees it.
    fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{path}", self.child.id()))
    }

    /// A file of its disk.
    fn on_disk(&self, name: &str) -> PathBuf {
        self.inside(&format!("{}/disk/{name}", self.folder.0.display()))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.on_disk("log")).unwrap_or_default()
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("stderr")).unwrap()
    }

    /// A client comes, and goes.
    fn visit(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s\xe0\x00")
            .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, [0x20, 2, 0, 0]);
    }

    /// Visits until something holds.
    fn visit_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            self.visit();
            std::thread::sleep(Duration::from_millis(60));
            let (log, stderr) = (self.log(), self.stderr());
            assert!(started.elapsed() < PATIENCE, "{what}:\n{log}\n{stderr}");
        }
    }

    /// What is published below `$SYS/broker/firehose/` as this figure.
    fn figure(&self, name: &str) -> Option<u64> {
        let topic = format!("$SYS/broker/firehose/{name}");
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_millis(300)))
            .unwrap();
        let mut packets = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01t\x82".to_vec();
        packets.push(topic.len() as u8 + 5);
        packets.extend_from_slice(&[0, 1, 0, topic.len() as u8]);
        packets.extend_from_slice(topic.as_bytes());
        packets.push(0);
        stream.write_all(&packets).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let (_, value) = answer.split_once(&topic)?;
        let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A disk of 16 KiB, half of which a file takes up.
const DISK: &str = "{ mount -t tmpfs -o size=16k none \"$1/disk\" || exit 77; } && \
                    head -c 8192 /dev/zero >\"$1/disk/ballast\"";

fn a_full_disk_cuts_no_line_and_what_is_missing_is_on_standard_error() {
    let log = "log_type all\nlog_format json\nlog_dest file @/disk/log\n";
    let Some(broker) = Apart::start(DISK, log) else {
        support::skipped("unshare, or the right to mount,");
    };
    // Told while the disk is full: nobody has made room.
    let full = "No space left on device";
    let refused = |text: &str| text.contains("takes no log lines") && text.contains(full);
    broker.visit_until("a word on the full disk", || refused(&broker.stderr()));
    let words = broker.stderr().matches("takes no log lines").count();
    assert_eq!(words, 1, "{}", broker.stderr());
    assert!(
        !broker.log().contains("takes no log lines"),
        "{}",
        broker.log()
    );
    broker.visit_until("its lines", || {
        broker.stderr().contains("Client s [127.0.0.1:")
    });
    broker.visit_until("a figure", || {
        broker.figure("log_refused").is_some_and(|lines| lines > 0)
    });
    std::fs::remove_file(broker.on_disk("ballast")).unwrap();
    let told = |log: &str| log.contains(" missing here: ") && log.ends_with('\n');
    broker.visit_until("lines in the file", || told(&broker.log()));
    broker.visit_until("a word on it", || {
        broker.stderr().contains("takes log lines again")
    });
    for line in broker.log().lines().chain(broker.stderr().lines()) {
        if line.starts_with("firehose: warning: the broker stays root") {
            continue;
        }
        let value: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(value.is_ok(), "{line}");
    }
    // All of them are in the one or the other.
    let started = Instant::now();
    loop {
        let lines = [broker.log(), broker.stderr()].concat();
        let count = |words: &str| lines.matches(words).count();
        if count("New connection from ") == count("] disconnected") {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "{lines}");
        std::thread::sleep(Duration::from_millis(60));
    }
}

/// A daemon that is away when the broker starts, comes, and goes.
fn a_daemon_that_is_away_is_told_of_and_has_standard_error_in_its_place() {
    for (setup, destination, path) in [
        ("mount -t tmpfs none /dev", "syslog", "/dev/log"),
        (
            "mount -t tmpfs none /run && mkdir -p /run/systemd/journal",
            "journald",
            "/run/systemd/journal/socket",
        ),
    ] {
        let setup = format!("{{ {setup} || exit 77; }}");
        let log = format!("log_type all\nlog_dest {destination}\n");
        let Some(broker) = Apart::start(&setup, &log) else {
            support::skipped("unshare, or the right to mount,");
        };
        let words = |what: &str| broker.stderr().matches(what).count();
        let warning = "firehose: warning: ";
        let told = || {
            broker
                .stderr()
                .lines()
                .filter(|line| line.contains(path))
                .count()
        };
        let at_start = broker.stderr();
        let is_told = |line: &str| line.starts_with(warning) && line.contains(path);
        assert!(at_start.lines().any(is_told), "{at_start}");
        let connections = || words("New connection from ");
        broker.visit_until("lines on standard error", || connections() > 2);
        // For who starts it, and as a line of the log.
        assert_eq!(told(), 2, "{}", broker.stderr());
        broker.visit_until("a figure", || {
            broker.figure("log_refused").is_some_and(|lines| lines > 0)
        });

        let daemon = UnixDatagram::bind(broker.inside(path)).unwrap();
        daemon.set_read_timeout(Some(PATIENCE)).unwrap();
        broker.visit();
        let receive = || {
            let mut line = vec![0; 16 << 10];
            let len = daemon.recv(&mut line).unwrap();
            String::from_utf8(line[..len].to_vec()).unwrap()
        };
        let first = receive();
        assert!(first.contains(" missing here: "), "{first}");
        while !receive().contains("New connection from ") {}
        broker.visit_until("a word on it", || words("takes log lines again") == 1);
        let before = connections();
        broker.visit();
        while !receive().contains(" disconnected") {}
        assert_eq!(connections(), before, "{}", broker.stderr());

        drop(daemon);
        broker.visit_until("lines on standard error again", || connections() > before);
    }
}

/// A start that fails: the exit code, standard error, and the log file.
fn fails(folder: &Folder, config: &str) -> (Option<i32>, String, String) {
    let log = folder.0.join("log");
    let _ = std::fs::remove_file(&log);
    let text = format!("log_dest file {}\n{config}", log.display());
    let config = folder.write("conf", &text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    let done = support::run(command.args(["serve", "--shards", "1", "-c"]).arg(config));
    let log = std::fs::read_to_string(log).unwrap_or_default();
    (done.code, done.stderr, log)
}

fn why_a_broker_does_not_start_is_in_the_log() {
    let folder = Folder::new("log");
    support::give(&folder.0);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().port();
    let port = support::free_port();
    let store = folder.0.join("store");
    std::fs::create_dir_all(store.join("firehose")).unwrap();
    std::fs::write(store.join("firehose/STORE"), "nothing of ours").unwrap();
    let store = store.display();
    for (config, code, why) in [
        (
            format!("listener {taken} 127.0.0.1\n"),
            3,
            "cannot listen on",
        ),
        (
            format!(
                "listener {port} 127.0.0.1\nuser root\npersistence true\npersistence_location {store}\n"
            ),
            3,
            "STORE",
        ),
        (
            format!("listener {port} 127.0.0.1\ncertfile {store}/none\nkeyfile {store}/none\n"),
            2,
            "none",
        ),
        (
            format!("listener {port} 127.0.0.1\nno_such_option 1\n"),
            2,
            "no_such_option",
        ),
        (
            format!("no_such_option 1\nuser no-such-user\nlistener {port}\n"),
            2,
            "no_such_option",
        ),
    ] {
        let (found, stderr, log) = fails(&folder, &config);
        assert_eq!(found, Some(code), "{stderr}");
        assert!(stderr.contains(why), "{stderr}");
        if config.contains("no-such-user") && support::is_root() {
            // A file that root has made, and nobody could be given, would be in the way of the next start.
            assert!(log.is_empty(), "{log}");
            continue;
        }
        assert_eq!(log.lines().count(), 1, "{log}");
        let said = stderr
            .lines()
            .last()
            .unwrap()
            .trim_start_matches("firehose: ");
        let end = format!(": The broker does not start: {said}\n");
        assert!(log.ends_with(&end), "{log}\n{stderr}");
        assert!(
            log.starts_with(|first: char| first.is_ascii_digit()),
            "{log}"
        );
        if support::is_root() && !config.contains("user root") {
            let owner = std::fs::metadata(folder.0.join("log")).unwrap();
            let owner = std::os::unix::fs::MetadataExt::uid(&owner);
            assert_eq!(owner, support::broker_user().1);
        }
    }
    // Where standard error is the destination, it has the line once; and a trial leaves the log alone.
    let text = format!("listener {taken} 127.0.0.1\n");
    let config = folder.write("conf", &text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    let done = support::run(command.args(["serve", "-c"]).arg(config));
    assert_eq!(
        done.stderr.matches("cannot listen on").count(),
        1,
        "{}",
        done.stderr
    );
    let log = folder.0.join("trial");
    let text = format!("log_dest file {}\nno_such_option 1\n", log.display());
    let config = folder.write("conf", &text);
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    support::run(command.args(["serve", "--test-config", "-c"]).arg(config));
    assert!(!log.exists());
}

cases![
    why_a_broker_does_not_start_is_in_the_log,
    a_full_disk_cuts_no_line_and_what_is_missing_is_on_standard_error,
    a_daemon_that_is_away_is_told_of_and_has_standard_error_in_its_place,
];
