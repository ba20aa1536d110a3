//! What openssl's client sees of the TLS options; and slow beginnings at every kind of door, which end in time.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
mod certificates;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;
use firehose::limits;
use support::client::Client;
use support::{Folder, Server, free_port, needed, run};

/// A broker with a TLS listener of these options beside the plain one.
struct Tls {
    server: Server,
    certificates: Certificates,
    port: u16,
}

impl Tls {
    /// Skips the test without openssl. An `@` in the options is the certificates' folder.
    fn start(options: &str) -> Tls {
        needed("openssl");
        let (certificates, port) = (Certificates::new(), free_port());
        let options = format!("certfile @server.crt\nkeyfile @server.key\n{options}")
            .replace('@', &certificates.file(""));
        let listener = format!("listener {port}\n{options}");
        let lines: Vec<&str> = listener.lines().collect();
        let server = Server::under_test(2, &lines);
        Tls {
            server,
            certificates,
            port,
        }
    }

    /// What openssl says of one connection, which it holds for a moment: tickets come after the handshake.
    fn openssl(&self, arguments: &str) -> String {
        let line = format!(
            "sleep 0.5 | timeout 10 openssl s_client -connect localhost:{} -CAfile {} {arguments}",
            self.port,
            self.certificates.file("ca.crt")
        );
        let done = run(Command::new("sh").args(["-c", &line]));
        done.stdout + &done.stderr
    }

    fn accepts(&self, arguments: &str, expected: &str) {
        let text = self.openssl(arguments);
        let is_good = text.contains("Verify return code: 0 (ok)") && text.contains(expected);
        assert!(is_good, "{arguments}: {text}\n{}", self.server.log());
    }

    fn refuses(&self, arguments: &str) {
        let text = self.openssl(arguments);
        let is_refused = text.contains("no peer certificate available") && text.contains("alert");
        assert!(is_refused, "{arguments}: {text}");
    }
}

fn below_the_lowest_version_nobody_is_let_in() {
    let tls = Tls::start("tls_version tlsv1.3");
    tls.accepts("-tls1_3", "TLSv1.3");
    tls.refuses("-tls1_2");
    let tls = Tls::start("tls_version tlsv1.2");
    tls.accepts("-tls1_3", "TLSv1.3");
    tls.accepts("-tls1_2", "TLSv1.2");
    tls.refuses("-tls1_1 -cipher ALL:@SECLEVEL=0");
}

fn only_the_suites_that_are_named_are_spoken() {
    let tls = Tls::start("ciphers_tls1.3 TLS_AES_128_GCM_SHA256");
    tls.accepts("-tls1_3", "Cipher is TLS_AES_128_GCM_SHA256");
    tls.refuses("-tls1_3 -ciphersuites TLS_CHACHA20_POLY1305_SHA256");
}

fn the_name_that_is_asked_for_chooses_the_certificate() {
    let tls = Tls::start("tls_certificate @other.crt @other.key");
    let check = |name: &str, verified: &str| {
        format!("-servername {name} -verify_return_error -verify_hostname {verified}")
    };
    tls.accepts(&check("localhost", "localhost"), "");
    tls.accepts(&check("bus.example.org", "bus.example.org"), "");
    // A name that nobody has gets the first one, and so does who names none.
    tls.accepts(&check("elsewhere.example.org", "localhost"), "");
    tls.accepts("-noservername -verify_hostname localhost", "");
    let text = tls.openssl(&check("localhost", "bus.example.org"));
    assert!(text.contains("hostname mismatch"), "{text}");
}

fn a_session_is_resumed() {
    let tls = Tls::start("");
    for version in ["-tls1_3", "-tls1_2"] {
        let file = tls.certificates.file(&format!("session{version}"));
        tls.accepts(&format!("{version} -sess_out {file}"), "New, TLSv1");
        assert!(Path::new(&file).exists(), "{version}: a ticket came");
        let text = tls.openssl(&format!("{version} -sess_in {file}"));
        assert!(text.contains("Reused, TLSv1"), "{version}: {text}");
    }
}

/// One that begins and never comes to an end.
struct Slow {
    name: &'static str,
    stream: TcpStream,
    /// What it sends, a byte at a time, for as long as it is let.
    drip: Option<u8>,
    closed: Option<Duration>,
}

impl Slow {
    fn new(name: &'static str, port: u16, start: &[u8], drip: Option<u8>) -> Slow {
        let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
        stream.write_all(start).unwrap();
        stream.set_nonblocking(true).unwrap();
        Slow {
            name,
            stream,
            drip,
            closed: None,
        }
    }

    fn turn(&mut self, started: Instant) {
        if self.closed.is_some() {
            return;
        }
        if let Some(byte) = self.drip {
            let _ = self.stream.write(&[byte]);
        }
        match self.stream.read(&mut [0; 512]) {
            Ok(count) if count > 0 => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => self.closed = Some(started.elapsed()),
        }
    }
}

/// Silence and drips alike: who has not sent a CONNECT in time is closed, and another client's pings stay quick.
fn who_never_comes_to_the_point_is_closed_in_time() {
    let certificates = Certificates::new();
    let [tls, ws, wss] = [free_port(), free_port(), free_port()];
    let listeners = format!(
        "listener {tls}\ncertfile @server.crt\nkeyfile @server.key\nlistener {ws}\nprotocol websockets\n\
         listener {wss}\nprotocol websockets\ncertfile @server.crt\nkeyfile @server.key"
    )
    .replace('@', &certificates.file(""));
    let lines: Vec<&str> = listeners.lines().collect();
    let server = Server::under_test(2, &lines);
    let mut healthy = Client::connect(server.address(), 4, "healthy", true, None);
    let started = Instant::now();
    // The beginning of a record of 512 bytes with a ClientHello of 508.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let upgrade = b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nX: ";
    let connect = b"\x10\xff\x01\0\x04MQTT\x04\x02\0\0\0\xf0";
    let mut all = [
        Slow::new("TLS, silent", tls, b"", None),
        Slow::new("TLS, half a hello", tls, hello, None),
        Slow::new("TLS, drips", tls, hello, Some(0)),
        Slow::new("WebSocket, half an upgrade", ws, upgrade, None),
        Slow::new("WebSocket, drips", ws, upgrade, Some(b'x')),
        Slow::new("secure WebSocket, drips", wss, hello, Some(0)),
        Slow::new("MQTT, silent", server.port, b"", None),
        Slow::new("MQTT, drips", server.port, connect, Some(b'x')),
    ];
    // The broker looks at deadlines by ticks; a loaded host takes its time too.
    let bound = Duration::from_millis(limits::CONNECT_MS_MAX) + Duration::from_secs(6);
    let mut slowest = Duration::ZERO;
    while all.iter().any(|slow| slow.closed.is_none()) && started.elapsed() < bound {
        all.iter_mut().for_each(|slow| slow.turn(started));
        let asked = Instant::now();
        healthy.ping();
        slowest = slowest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(250));
    }
    let open: Vec<&str> = all
        .iter()
        .filter(|slow| slow.closed.is_none())
        .map(|slow| slow.name)
        .collect();
    assert!(
        open.is_empty(),
        "open after {bound:?}: {open:?}\n{}",
        server.log()
    );
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

/// The sample is Mosquitto's to read as well: only ports and paths are others.
fn mosquitto_starts_with_the_sample() {
    let mosquitto = needed("mosquitto");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/sample");
    let (certificates, folder) = (Certificates::new(), Folder::new("sample"));
    std::fs::create_dir(folder.0.join("conf.d")).unwrap();
    let passwords = folder.0.join("passwords");
    let made = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["passwd", "-c", "-b"])
        .arg(&passwords)
        .args(["infra", "secret"])
        .status();
    assert!(made.unwrap().success());
    std::fs::copy(sample.join("acl"), folder.0.join("acl")).unwrap();
    let text = std::fs::read_to_string(sample.join("firehose.conf")).unwrap();
    let here = folder.0.display().to_string();
    let text = text
        .replace(
            "/etc/mosquitto/certs/firehose",
            &certificates.file("server"),
        )
        .replace("/var/log/mosquitto", &here)
        .replace("/etc/mosquitto", &here);
    let text = ["1883\n", "8883\n", "80\n", "443\n"]
        .iter()
        .fold(text, |text, port| {
            let free = format!("listener {}\n", free_port());
            text.replacen(&format!("listener {port}"), &free, 1)
        });
    // Started by root it would become another user, whom the test's files are not for.
    let file = folder.write("sample.conf", &format!("user root\n{text}"));
    // It runs until the time is over: 124. A file that it does not accept ends it at once.
    let mut command = Command::new("timeout");
    command.args(["2"]).arg(mosquitto).arg("-c").arg(file);
    let done = run(&mut command);
    let log = std::fs::read_to_string(folder.0.join("mosquitto.log")).unwrap_or_default();
    assert_eq!(done.code, Some(124), "{}{}{log}", done.stdout, done.stderr);
    assert!(!log.contains("Error"), "{log}");
}

/// How many of a burst of messages reach a client that reads one packet for each time that its socket is ready.
fn read_one_by_one(tls: &Tls, version: u8, messages: u32) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients/one_packet.py");
    let mut child = Command::new("python3")
        .arg(script)
        .arg(tls.certificates.path("ca.crt"))
        .args([tls.port.to_string(), version.to_string()])
        .args([messages.to_string(), "3".into()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = support::lines(child.stdout.take().unwrap());
    let next = || lines.recv_timeout(Duration::from_secs(30)).unwrap();
    assert_eq!(next(), "ready");
    let mut publisher = Client::connect(tls.server.address(), 4, "publisher", true, None);
    publisher.publish_burst("burst", b"hello", messages);
    let seen = next();
    assert!(support::wait_for(&mut child).is_some_and(|status| status.success()));
    seen
}

fn a_client_that_reads_one_packet_at_a_time_gets_all() {
    needed("python3");
    let tls = Tls::start("");
    assert_eq!(read_one_by_one(&tls, 4, 200), "200");
    let tls = Tls::start("tls_records packet");
    assert_eq!(read_one_by_one(&tls, 5, 200), "200");
    // What the option is for: together in a record, most of them are not seen.
    let tls = Tls::start("tls_records full");
    assert_ne!(read_one_by_one(&tls, 4, 200), "200");
}

cases![
    below_the_lowest_version_nobody_is_let_in,
    only_the_suites_that_are_named_are_spoken,
    the_name_that_is_asked_for_chooses_the_certificate,
    a_session_is_resumed,
    who_never_comes_to_the_point_is_closed_in_time,
    mosquitto_starts_with_the_sample,
    a_client_that_reads_one_packet_at_a_time_gets_all,
];
