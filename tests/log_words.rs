//! Log lines as other programs read them: fail2ban's way of finding an address, lines that a client tries to forge, and what
//! waits for a log that nobody reads.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::mqtt::Connect;
use support::{Folder, PATIENCE, Program, Server, configure, free_port};

/// A client id that reads like the end of somebody else's line.
const FORGED: &str = "x [9.9.9.9:1] disconnected: not authorised.";

/// A CONNECT of MQTT 3.1.1 with a user name and a password.
fn connect(id: &str, user: &str) -> Vec<u8> {
    let connect = Connect {
        id,
        keep_alive: 60,
        user: Some(user),
        password: Some("wrong"),
        ..Connect::default()
    };
    connect.packet()
}

/// Tries to come in; returns the code of the CONNACK and the own address.
fn try_login(to: SocketAddr, id: &str, user: &str) -> (u8, SocketAddr) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&connect(id, user)).unwrap();
    let mut connack = [0; 4];
    stream.read_exact(&mut connack).unwrap();
    (connack[3], stream.local_addr().unwrap())
}

/// What `Client .* \[<ADDR>:\d+\] disconnected: not authorised` finds in a line, at every place where it could begin: a
/// filter need not be anchored, and need not be greedy.
fn banned(line: &str) -> Vec<&str> {
    let ends = line.match_indices("] disconnected: not authorised");
    ends.filter_map(|(end, _)| {
        let (_, inside) = line[..end].rsplit_once('[')?;
        let (address, port) = inside.rsplit_once(':')?;
        port.parse::<u16>().ok().map(|_| address)
    })
    .collect()
}

/// Waits until the log has a line that ends so, and returns all lines.
fn lines_until(server: &Server, end: &str) -> Vec<String> {
    let started = Instant::now();
    loop {
        let log = server.log();
        if log.lines().any(|line| line.ends_with(end)) {
            return log.lines().map(String::from).collect();
        }
        assert!(started.elapsed() < PATIENCE, "no {end} in\n{log}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_filter_finds_the_address_that_failed_and_no_other() {
    let kinds: [&[&str]; 2] = [
        &[],
        // Those of the sample configuration: no notices.
        &["log_type error", "log_type warning", "log_type information"],
    ];
    for more in kinds {
        let mut config = vec!["password: u:$7$1$YWJj$YWJj", "allow_anonymous false"];
        config.extend(more);
        let config: Vec<String> = config.iter().map(|line| line.to_string()).collect();
        let server = Server::start(&Program::Firehose { shards: 2 }, &config);
        let mut last = String::new();
        for (id, user) in [
            ("plain", "u"),
            (FORGED, FORGED),
            ("a\u{202E}b", "\u{2028}"),
            ("end", "u"),
        ] {
            let (code, own) = try_login(server.address(), id, user);
            assert_eq!(code, 5);
            last = format!("[{own}] disconnected: not authorised.");
        }
        let lines = lines_until(&server, &last);
        let found: Vec<&str> = lines.iter().flat_map(|line| banned(line)).collect();
        assert_eq!(found, ["127.0.0.1"; 4], "{lines:#?}");
        let is_plain = |line: &String| line.contains(": Client plain [127.0.0.1:");
        assert!(lines.iter().any(is_plain), "{lines:#?}");
        let hidden = |line: &String| line.contains(['\u{202E}', '\u{2028}']);
        assert!(!lines.iter().any(hidden), "{lines:#?}");
    }
}

/// 1,500 logins with names of 60 KB are 270 MB of names.
#[test]
fn a_log_that_nobody_reads_does_not_grow() {
    let (port, folder) = (free_port(), Folder::new("blocked"));
    let config = ["log_type all".to_string(), "log_dest stderr".to_string()];
    let file = configure(&folder, port, &config);
    let mut child = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["serve", "--shards", "1", "-c"])
        .arg(file)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = support::lines(child.stdout.take().unwrap());
    stdout.recv_timeout(PATIENCE).expect("the ready line");
    let resident = || {
        let path = format!("/proc/{}/status", child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
        kilobytes.unwrap().parse::<u64>().unwrap() >> 10
    };
    let to = SocketAddr::from(([127, 0, 0, 1], port));
    let name = "n".repeat(60_000);
    try_login(to, &name, &name);
    let before = resident();
    for number in 0..1500 {
        let name = format!("{name}{number}");
        assert_eq!(try_login(to, &name, &name).0, 0);
    }
    let after = resident();
    let _ = child.kill();
    let _ = child.wait();
    assert!(after < before + 64, "{before} MiB, then {after} MiB");
}
