//! `firehose serve` as a process: start, readiness, signals, files, and what it says when it cannot start.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use support::{Folder, PATIENCE, Program, Server};

const FIREHOSE: Program = Program::Firehose { shards: 2 };

fn start(config: &[&str]) -> Server {
    let config: Vec<String> = config.iter().map(|line| line.to_string()).collect();
    Server::start(&FIREHOSE, &config)
}

fn firehose(arguments: &[&str]) -> support::Finished {
    support::run(Command::new(env!("CARGO_BIN_EXE_firehose")).args(arguments))
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A client that was let in.
fn connect(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s")
        .unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    stream
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// A start that has to fail: exit code 3, nothing on standard output, one line on standard error.
fn refused(finished: &support::Finished) -> String {
    assert_eq!(finished.code, Some(3), "{}", finished.stderr);
    assert_eq!(finished.stdout, "");
    assert_eq!(finished.stderr.lines().count(), 1, "{}", finished.stderr);
    finished.stderr.clone()
}

#[test]
fn it_says_when_it_is_ready_and_ends_with_success() {
    let folder = Folder::new("serve");
    let pid_file = folder.0.join("pid");
    let mut server = start(&[&format!("pid_file {}", pid_file.display())]);
    let ready = format!("ready: mqtt 127.0.0.1:{}; 2 shards on CPU", server.port);
    eventually("a ready line", || server.log().contains(&ready));
    assert_eq!(read(&pid_file), format!("{}\n", server.pid()));
    let mut client = connect(&server);
    server.terminate();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    drop(client);
    assert_eq!(server.wait().and_then(|status| status.code()), Some(0));
    assert!(!pid_file.exists());
}

#[test]
fn the_last_line_of_the_log_says_how_it_ended() {
    for signal in ["TERM", "INT"] {
        let mut server = start(&[]);
        drop(connect(&server));
        server.signal(signal);
        assert_eq!(server.wait().and_then(|status| status.code()), Some(0));
        let log = server.log();
        let last = log.lines().next_back().unwrap();
        let wanted = format!(" terminating: SIG{signal}, drained in ");
        assert!(last.contains(&wanted) && last.ends_with(" s."), "{log}");
    }
}

#[test]
fn a_second_signal_does_not_wait() {
    let mut server = start(&[]);
    // Holds the drain up by not closing its side.
    let mut client = connect(&server);
    server.signal("INT");
    let mut end = [0; 1];
    assert_eq!(client.read(&mut end).unwrap(), 0);
    assert!(server.is_running());
    server.signal("INT");
    let status = server.wait().and_then(|status| status.code());
    assert_eq!(status, Some(128 + 2));
}

#[test]
fn signals_that_mean_nothing_end_nothing() {
    let mut server = start(&[]);
    for signal in ["USR1", "USR2", "HUP", "PIPE"] {
        server.signal(signal);
    }
    drop(connect(&server));
    eventually("a word on SIGHUP", || server.log().contains("SIGHUP"));
    assert!(server.is_running());
}

#[test]
fn sighup_reopens_the_log_file() {
    let folder = Folder::new("serve");
    let (log, rotated) = (folder.0.join("log"), folder.0.join("log.1"));
    let server = start(&[
        &format!("log_dest file {}", log.display()),
        "log_timestamp_format [%Y-%m-%d]",
    ]);
    eventually("the first file", || read(&log).contains("ready"));
    assert!(read(&log).starts_with("[2"), "{}", read(&log));
    std::fs::rename(&log, &rotated).unwrap();
    server.signal("HUP");
    eventually("a new file", || read(&log).contains("SIGHUP"));
    assert!(!read(&rotated).contains("SIGHUP"));
}

#[test]
fn sys_topics_are_retained() {
    let server = start(&["sys_interval 1"]);
    eventually("the values of a client that is connected", || {
        let mut client = connect(&server);
        client
            .write_all(b"\x82\x12\x00\x01\x00\x0d$SYS/broker/#\x00")
            .unwrap_or_default();
        let _ = client.set_read_timeout(Some(Duration::from_millis(300)));
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        let received = String::from_utf8_lossy(&received).into_owned();
        [
            "$SYS/broker/versionfirehose version ",
            "$SYS/broker/uptime",
            "$SYS/broker/clients/connected1",
            "$SYS/broker/load/connections/15min",
            "$SYS/broker/heap/current",
        ]
        .iter()
        .all(|topic| received.contains(topic))
    });
}

#[test]
fn a_listener_without_an_address_serves_both_families() {
    let port = support::free_port();
    let folder = Folder::new("serve");
    let config = folder.write(
        "conf",
        &format!("listener {port}\nallow_anonymous true\nlog_dest none\n"),
    );
    let mut child = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["serve", "--shards", "1", "-c"])
        .arg(config)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let ready = support::lines(child.stdout.take().unwrap()).recv_timeout(PATIENCE);
    let reached = ["127.0.0.1", "::1"].map(|host| TcpStream::connect((host, port)).is_ok());
    let _ = child.kill();
    let _ = child.wait();
    let ready = ready.unwrap();
    assert!(ready.contains(&format!("0.0.0.0:{port}")), "{ready}");
    let has_v6 = ready.contains(&format!("[::]:{port}"));
    assert_eq!(reached, [true, has_v6], "{ready}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port();
    let text = refused(&firehose(&["serve", "-p", &port.to_string()]));
    assert!(
        text.contains(&format!("127.0.0.1:{port}")) && text.contains("ss -ltnp"),
        "{text}"
    );
}

#[test]
fn a_cpu_that_is_not_there_is_named() {
    let port = support::free_port().to_string();
    let text = refused(&firehose(&["serve", "-p", &port, "--cpus", "8191"]));
    assert!(text.contains("CPU 8191"), "{text}");
}

#[test]
fn too_few_open_files_are_refused_with_the_cure() {
    let port = support::free_port();
    let folder = Folder::new("serve");
    let config = folder.write(
        "conf",
        &format!("listener {port} 127.0.0.1\nmax_connections 5000\n"),
    );
    let text = refused(&support::run(Command::new("sh").args([
        "-c",
        "ulimit -n 200; exec \"$0\" serve --shards 1 -c \"$1\"",
        env!("CARGO_BIN_EXE_firehose"),
        &config.display().to_string(),
    ])));
    assert!(text.contains("200") && text.contains("5000"), "{text}");
}

/// The log goes to standard error until a SIGHUP finds that the file can be opened.
#[test]
fn a_log_file_that_cannot_be_opened_is_named_and_stands_back() {
    let folder = Folder::new("serve");
    let path = folder.0.join("not/there/log");
    let server = start(&[&format!("log_dest file {}", path.display())]);
    let warning = format!(
        "warning: the log file cannot be opened, its lines go to standard error: {}",
        path.display()
    );
    server.says(&warning);
    drop(connect(&server));
    eventually("lines on standard error", || {
        server.log().contains(" as s (")
    });
    let there = path.parent().unwrap();
    std::fs::create_dir_all(there).unwrap();
    support::give(there);
    server.signal("HUP");
    eventually("lines in the file", || read(&path).contains("SIGHUP"));
    assert!(!server.log().contains("SIGHUP"), "{}", server.log());
    // It cannot be opened anew, and lines go where they went.
    std::fs::rename(folder.0.join("not"), folder.0.join("moved")).unwrap();
    let moved = folder.0.join("moved/there/log");
    server.signal("HUP");
    eventually("a word on it", || {
        read(&moved).contains("cannot be opened anew")
    });
}
