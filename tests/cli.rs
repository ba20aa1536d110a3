//! The program from outside: what it says when it cannot start, its exit codes, and how it ends.

mod support;

use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::client::Client;
use support::{Finished, Folder, PATIENCE, Program, Server, free_port, run};

/// The reason code of a server that shuts down (MQTT 5, 3.14.2.1).
const SERVER_SHUTTING_DOWN: u8 = 0x8b;

fn firehose(arguments: &[&str]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_firehose")).args(arguments))
}

/// It ends with this code and exactly one line on the standard error, which has all these parts.
fn fails_with(done: &Finished, code: i32, parts: &[&str]) {
    assert_eq!(done.code, Some(code), "{}{}", done.stdout, done.stderr);
    let lines: Vec<&str> = done.stderr.lines().collect();
    assert_eq!(lines.len(), 1, "one line: {lines:?}");
    for part in parts {
        assert!(lines[0].contains(part), "{part:?} in {:?}", lines[0]);
    }
}

/// Runs `serve` with a configuration that it must refuse in the line that is named.
fn refused_configuration(text: &str, line: u32, parts: &[&str]) {
    let folder = Folder::new("cli");
    let file = folder.write("bad.conf", text);
    let done = firehose(&["serve", "-c", &file.to_string_lossy()]);
    fails_with(&done, 2, &[&format!("bad.conf:{line}")]);
    fails_with(&done, 2, parts);
}

#[test]
fn help_is_not_an_error() {
    let done = firehose(&["--help"]);
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.contains("serve"));
    assert_eq!(firehose(&["serve", "--help"]).code, Some(0));
    assert_eq!(firehose(&["--version"]).code, Some(0));
}

#[test]
fn wrong_usage_ends_with_2() {
    for arguments in [
        &["no-such-command"][..],
        &["serve", "--no-such-option"],
        &["serve", "-p", "0"],
        &["serve", "-p", "x"],
    ] {
        let done = firehose(arguments);
        assert_eq!(done.code, Some(2), "{arguments:?}: {}", done.stderr);
        assert!(!done.stderr.is_empty());
    }
}

#[test]
fn an_unknown_option_is_an_error_with_file_and_line() {
    refused_configuration(
        "listener 1883\n\n# a comment\nno_such_option true\n",
        4,
        &["no_such_option"],
    );
}

#[test]
fn a_wrong_value_is_an_error_with_file_and_line() {
    refused_configuration("max_qos 3\n", 1, &["max_qos"]);
    refused_configuration(
        "allow_anonymous true\nmax_packet_size lots\n",
        2,
        &["max_packet_size"],
    );
    refused_configuration("listener\n", 1, &["listener"]);
    refused_configuration("listener 70000\n", 1, &["70000"]);
}

#[test]
fn a_missing_file_is_named() {
    fails_with(
        &firehose(&["serve", "-c", "/no/such/file.conf"]),
        2,
        &["/no/such/file.conf"],
    );
}

#[test]
fn a_wrong_file_is_named_where_it_was_included() {
    let folder = Folder::new("cli");
    std::fs::create_dir(folder.0.join("more")).unwrap();
    folder.write("more/extra.conf", "sys_interval 10\nnonsense 1\n");
    let main = folder.write(
        "main.conf",
        &format!("include_dir {}\n", folder.0.join("more").display()),
    );
    fails_with(
        &firehose(&["serve", "-c", &main.to_string_lossy()]),
        2,
        &["extra.conf:2", "nonsense"],
    );
}

#[test]
fn options_that_are_not_supported_yet_are_warnings() {
    let server = Server::start(&Program::Firehose { shards: 1 }, &["http_dir /srv".into()]);
    server.says("http_dir");
}

#[test]
fn a_taken_port_ends_with_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    fails_with(
        &firehose(&["serve", "-p", &port, "--shards", "1"]),
        3,
        &[&port],
    );
}

#[test]
fn an_address_of_another_host_ends_with_3() {
    let folder = Folder::new("cli");
    let file = folder.write(
        "elsewhere.conf",
        &format!("listener {} 203.0.113.1\n", free_port()),
    );
    fails_with(
        &firehose(&["serve", "--shards", "1", "-c", &file.to_string_lossy()]),
        3,
        &["203.0.113.1"],
    );
}

#[test]
fn too_few_descriptors_end_with_3() {
    let port = free_port().to_string();
    let script = "ulimit -n 8 && exec \"$0\" serve --shards 1 -p \"$1\"";
    let done = run(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_firehose"), &port]));
    fails_with(&done, 3, &["descriptor"]);
}

/// Starts `serve` with these arguments and gives the line that says that it is ready.
fn ready_line(arguments: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("serve")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    for pipe in [
        support::lines(child.stdout.take().unwrap()),
        support::lines(child.stderr.take().unwrap()),
    ] {
        let sender = sender.clone();
        std::thread::spawn(move || pipe.into_iter().for_each(|line| drop(sender.send(line))));
    }
    let started = Instant::now();
    let mut seen = Vec::new();
    while started.elapsed() < PATIENCE {
        let Ok(line) = lines.recv_timeout(Duration::from_millis(100)) else {
            continue;
        };
        if line.contains("ready") || line.contains("Ready") {
            let _ = child.kill();
            let _ = child.wait();
            return line;
        }
        seen.push(line);
    }
    let _ = child.kill();
    let _ = child.wait();
    panic!("no ready line in {seen:?}");
}

#[test]
fn the_ready_line_names_listeners_and_shards() {
    let port = free_port().to_string();
    let line = ready_line(&["-p", &port, "--shards", "2"]);
    assert!(
        line.contains(&format!("127.0.0.1:{port}")) && line.contains("2 shards"),
        "{line}"
    );
}

#[test]
fn without_a_listener_only_this_host_is_served() {
    let port = free_port();
    let mut child = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["serve", "--shards", "1", "-p", &port.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(started.elapsed() < PATIENCE, "it listens on 127.0.0.1");
        std::thread::sleep(Duration::from_millis(5));
    }
    // A listener on all addresses would take this one too.
    let elsewhere = TcpStream::connect(("127.0.0.2", port));
    let _ = child.kill();
    let _ = child.wait();
    assert!(elsewhere.is_err());
}

#[test]
fn several_listeners() {
    let other = free_port();
    let server = Server::start(
        &Program::Firehose { shards: 2 },
        &[format!("listener {other} 127.0.0.1")],
    );
    let mut subscriber = Client::connect(([127, 0, 0, 1], other).into(), 5, "s", true, None);
    subscriber.subscribe("t");
    let mut publisher = Client::connect(server.address(), 4, "p", true, None);
    publisher.publish("t", b"x", false);
    assert_eq!(subscriber.packet().unwrap()[0] >> 4, 3);
}

#[test]
fn connections_above_the_limit_are_closed() {
    let server = Server::start(
        &Program::Firehose { shards: 1 },
        &["max_connections 2".into()],
    );
    let started = Instant::now();
    // The connection that asked whether it listens may still count.
    let (one, two) = loop {
        let connect =
            |id| std::panic::catch_unwind(|| Client::connect(server.address(), 5, id, true, None));
        if let (Ok(one), Ok(two)) = (connect("one"), connect("two")) {
            break (one, two);
        }
        assert!(started.elapsed() < PATIENCE);
    };
    let third =
        std::panic::catch_unwind(|| Client::connect(server.address(), 5, "three", true, None));
    assert!(third.is_err());
    two.disconnect();
    std::thread::sleep(Duration::from_millis(100));
    Client::connect(server.address(), 5, "three", true, None).disconnect();
    one.disconnect();
}

#[test]
fn the_pid_file_is_written() {
    let folder = Folder::new("cli");
    let file = folder.0.join("pid");
    let server = Server::start(
        &Program::Firehose { shards: 1 },
        &[format!("pid_file {}", file.display())],
    );
    let started = Instant::now();
    while std::fs::read_to_string(&file)
        .ok()
        .is_none_or(|text| text.trim() != server.pid().to_string())
    {
        assert!(
            started.elapsed() < PATIENCE,
            "the pid file names the process"
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_log_goes_where_it_should() {
    let folder = Folder::new("cli");
    let file = folder.0.join("log");
    let config = [
        format!("log_dest file {}", file.display()),
        "log_type all".into(),
    ];
    let server = Server::start(&Program::Firehose { shards: 1 }, &config);
    Client::connect(server.address(), 5, "logged-client", true, None).disconnect();
    let started = Instant::now();
    while !std::fs::read_to_string(&file)
        .unwrap_or_default()
        .contains("logged-client")
    {
        assert!(started.elapsed() < PATIENCE, "the log names the client");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Everybody is told, wills are published, the exit code is 0.
fn drains(shards: u32, signal: &str) {
    let mut server = Server::start(&Program::Firehose { shards }, &[]);
    let mut watcher = Client::connect(server.address(), 5, "watcher", true, None);
    watcher.subscribe("wills/#");
    let mut doomed = Client::connect(
        server.address(),
        5,
        "doomed",
        true,
        Some(("wills/doomed", "gone")),
    );
    let mut old = Client::connect(
        server.address(),
        4,
        "old",
        true,
        Some(("wills/old", "gone")),
    );
    server.signal(signal);
    // MQTT-3.14.2-1: the reason; MQTT-3.14.4-2: closed behind it.
    let farewell = doomed.packet().expect("DISCONNECT");
    assert_eq!((farewell[0], farewell[2]), (0xe0, SERVER_SHUTTING_DOWN));
    assert!(doomed.packet().is_none());
    // MQTT 3.1.1 has no DISCONNECT from a server.
    assert!(old.packet().is_none());
    let mut wills = Vec::new();
    while let Some(packet) = watcher.packet() {
        if packet[0] >> 4 == 3 {
            wills.push(packet);
        } else {
            assert_eq!((packet[0], packet[2]), (0xe0, SERVER_SHUTTING_DOWN));
        }
    }
    assert_eq!(wills.len(), 2, "the wills of both: {wills:02x?}");
    let status = server.wait().expect("it ends in time");
    assert_eq!(status.code(), Some(0), "{}", server.log());
    assert!(
        TcpListener::bind(server.address()).is_ok(),
        "the port is free again"
    );
}

#[test]
fn sigterm_drains() {
    drains(1, "TERM");
    drains(2, "TERM");
}

#[test]
fn sigint_drains() {
    drains(1, "INT");
    drains(2, "INT");
}

#[test]
fn a_client_that_takes_nothing_does_not_hold_up_the_end() {
    let mut server = Server::start(&Program::Firehose { shards: 2 }, &[]);
    let mut deaf = Client::connect(server.address(), 5, "deaf", true, None);
    deaf.subscribe("t");
    let mut publisher = Client::connect(server.address(), 5, "publisher", true, None);
    for _ in 0..100 {
        publisher.publish("t", &[b'x'; 100_000], false);
        publisher.packet().expect("PUBACK");
    }
    server.terminate();
    let status = server.wait().expect("it ends in time");
    assert_eq!(status.code(), Some(0));
}

#[test]
fn other_signals_do_not_end_it() {
    let mut server = Server::start(&Program::Firehose { shards: 1 }, &[]);
    for signal in ["HUP", "USR1", "USR2", "PIPE"] {
        server.signal(signal);
    }
    std::thread::sleep(Duration::from_millis(100));
    assert!(server.is_running());
    Client::connect(server.address(), 5, "still", true, None).disconnect();
}
