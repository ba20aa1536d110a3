//! The sample deployment of `tuning/sample`, with the clients that people have: over TCP, TLS, WebSocket and both.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
mod certificates;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use certificates::Certificates;
use support::{Finished, Folder, Server, free_port, needed, run, skipped};

/// A broker with the sample's files: ports and paths are those of the test.
struct Deployment {
    server: Server,
    certificates: Certificates,
    _folder: Folder,
    tls: u16,
    ws: u16,
    wss: u16,
}

impl Deployment {
    fn start() -> Deployment {
        Deployment::with(|_| String::new())
    }

    /// With more lines at the end, which may name certificates.
    fn with(more: impl FnOnce(&Certificates) -> String) -> Deployment {
        let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning/sample");
        let certificates = Certificates::new();
        let folder = Folder::new("deployment");
        let passwords = folder.0.join("passwords");
        let acl = sample.join("acl").display().to_string();
        let status = Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["passwd", "-c", "-b"])
            .arg(&passwords)
            .args(["infra", "secret"])
            .status();
        assert!(status.unwrap().success());
        std::fs::create_dir(folder.0.join("conf.d")).unwrap();
        let [tls, ws, wss] = [free_port(), free_port(), free_port()];
        let here = |name: &str| folder.0.join(name).display().to_string();
        let text = std::fs::read_to_string(sample.join("firehose.conf")).unwrap();
        let text = text
            .replace(
                "/etc/mosquitto/certs/firehose",
                &certificates.file("server"),
            )
            .replace("/etc/mosquitto/passwords", &here("passwords"))
            .replace("/etc/mosquitto/acl", &acl)
            .replace("/etc/mosquitto/conf.d", &here("conf.d"))
            .replace("listener 8883", &format!("listener {tls}"))
            .replace("listener 80\n", &format!("listener {ws}\n"))
            .replace("listener 443", &format!("listener {wss}"))
            .replace(
                "log_dest file /var/log/mosquitto/mosquitto.log",
                "log_dest stdout\nlog_type notice",
            );
        // The test's own listener takes the place of the plain one.
        let (global, listeners) = text.split_once("listener 1883\n").unwrap();
        let lines = format!("{global}\n{listeners}\n{}", more(&certificates));
        let lines: Vec<String> = lines.lines().map(String::from).collect();
        let server = Server::start(&support::program(2), &lines);
        Deployment {
            server,
            certificates,
            _folder: folder,
            tls,
            ws,
            wss,
        }
    }

    /// Runs a client of mosquitto at a port, with TLS arguments that begin with files' names in the certificates' folder.
    fn mosquitto(&self, program: &str, port: u16, arguments: &[&str]) -> Finished {
        let mut command = Command::new(program);
        command.args(["-h", "localhost", "-p", &port.to_string(), "-t", "bus/x"]);
        for argument in arguments {
            match argument.strip_prefix('@') {
                Some(name) => command.arg(self.certificates.path(name)),
                None => command.arg(argument),
            };
        }
        run(&mut command)
    }

    fn openssl(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("timeout");
        command.args(["10", "openssl", "s_client", "-connect"]);
        command.arg(format!("localhost:{}", self.tls));
        command.arg("-CAfile").arg(self.certificates.path("ca.crt"));
        let done = run(command.args(arguments));
        done.stdout + &done.stderr
    }
}

/// A program of target/clients, where `.ci/clients` puts them. Skips the test when it is not there.
fn client(file: &str) -> PathBuf {
    let target = Path::new(env!("CARGO_BIN_EXE_firehose")).ancestors().nth(2);
    let path = target.unwrap().join("clients").join(file);
    if !path.exists() {
        skipped(file);
    }
    path
}

fn paho_reads_and_writes_at_every_listener() {
    let python = client("paho2/bin/python");
    let deployment = Deployment::start();
    let ports = [
        deployment.server.port,
        deployment.tls,
        deployment.ws,
        deployment.wss,
    ];
    let mut command = Command::new(python);
    command.arg("tests/clients/transports.py");
    command.arg(deployment.certificates.path("ca.crt"));
    command.args(ports.map(|port| port.to_string()));
    let done = run(command.env("PYTHONDONTWRITEBYTECODE", "1"));
    let log = deployment.server.log();
    assert_eq!(done.code, Some(0), "{}{}\n{log}", done.stdout, done.stderr);
}

fn mqtt_js_speaks_websocket_plain_and_secure() {
    let package = client("node/node_modules/mqtt/package.json");
    let deployment = Deployment::start();
    let mut command = Command::new(needed("node"));
    command.arg("tests/clients/mqtt_js_secure.js");
    command.arg(deployment.certificates.path("ca.crt"));
    let ports = [deployment.ws, deployment.wss, deployment.server.port];
    command.args(ports.map(|port| port.to_string()));
    let modules = package.ancestors().nth(2).unwrap();
    let done = run(command.env("NODE_MODULES", modules));
    let log = deployment.server.log();
    assert_eq!(done.code, Some(0), "{}{}\n{log}", done.stdout, done.stderr);
}

fn a_browser_speaks_websocket_plain_and_secure() {
    let library = client("node/node_modules/mqtt/dist/mqtt.min.js");
    let deployment = Deployment::start();
    let mut command = Command::new(needed("python3"));
    command.arg("tests/clients/browser.py").arg(library);
    command.args([deployment.ws, deployment.wss].map(|port| port.to_string()));
    let done = run(command.env("PYTHONDONTWRITEBYTECODE", "1"));
    let log = deployment.server.log();
    assert_eq!(done.code, Some(0), "{}{}\n{log}", done.stdout, done.stderr);
    if done.stdout.contains("skipped") {
        skipped("chromium");
    }
}

fn mosquitto_clients_with_and_without_certificates() {
    support::mosquitto::clients_needed();
    let strict = free_port();
    let deployment = Deployment::with(|certificates| {
        let text = "certfile @server.crt\nkeyfile @server.key\ntls_certificate @other.crt @other.key\ncafile @ca.crt\n\
                    crlfile @revoked.crl\nrequire_certificate true\nuse_identity_as_username true\n";
        let folder = format!("{}/", certificates.file("").trim_end_matches('/'));
        format!("listener {strict}\n{}", text.replace('@', &folder))
    });
    let server = &deployment.server;
    let anonymous =
        support::mosquitto::Subscriber::start(server, "5", &["-F", "|%t %p", "-t", "#"]);
    let ca = ["--cafile", "@ca.crt"];
    let publish = |port: u16, text: &str, arguments: &[&str]| {
        let all = [&["-V", "5", "-q", "1", "-m", text][..], arguments].concat();
        deployment.mosquitto("mosquitto_pub", port, &all)
    };
    let infra = ["-u", "infra", "-P", "secret"];
    publish(server.port, "anonymous", &[]);
    publish(deployment.tls, "anonymous over TLS", &ca);
    publish(server.port, "wrong", &["-u", "infra", "-P", "wrong"]);
    publish(deployment.tls, "by TLS", &[&ca[..], &infra].concat());
    assert_eq!(anonymous.message(), "|bus/x by TLS");
    for (name, words) in [
        ("good", ""),
        ("expired", "has expired"),
        ("revoked", "is revoked"),
        ("stranger", "is not from a CA"),
    ] {
        let (cert, key) = (format!("@{name}.crt"), format!("@{name}.key"));
        let own = ["--cert", &cert, "--key", &key];
        let done = publish(strict, name, &[&ca[..], &own].concat());
        assert_eq!(
            done.code == Some(0),
            words.is_empty(),
            "{name}: {}{}",
            done.stdout,
            done.stderr
        );
        server.says(words);
    }
    assert_eq!(anonymous.message(), "|bus/x good");
    let none = publish(strict, "none", &ca);
    assert_ne!(none.code, Some(0));
    server.says("has presented no certificate");
    // What clients make of ours.
    let unknown = publish(deployment.tls, "unknown", &["--cafile", "@stranger-ca.crt"]);
    assert_ne!(unknown.code, Some(0));
    assert!(unknown.stderr.contains("TLS error"), "{}", unknown.stderr);
    let by_address = publish(
        deployment.tls,
        "by address",
        &[&ca[..], &["-h", "127.0.0.2"]].concat(),
    );
    assert_ne!(
        by_address.code,
        Some(0),
        "the certificate is not for this address"
    );
}

fn versions_and_ciphers_are_what_the_options_say() {
    needed("openssl");
    let deployment = Deployment::start();
    for (arguments, expected) in [
        (&["-tls1_3"][..], "TLSv1.3"),
        (&["-tls1_2"], "TLSv1.2"),
        (
            &["-tls1_3", "-ciphersuites", "TLS_CHACHA20_POLY1305_SHA256"],
            "TLS_CHACHA20_POLY1305_SHA256",
        ),
    ] {
        let text = deployment.openssl(arguments);
        assert!(text.contains(expected), "{text}");
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    }
    let text = deployment.openssl(&["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(text.contains("no peer certificate available"), "{text}");
}

/// Whether the broker closes the connection, and after how long.
fn closes(stream: &mut TcpStream) -> (Vec<u8>, Duration) {
    let started = Instant::now();
    stream.set_read_timeout(Some(support::PATIENCE)).unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    (rest, started.elapsed())
}

fn strangers_at_every_door_are_let_go_and_nobody_waits_for_them() {
    let deployment = Deployment::start();
    let at = |port: u16| TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).unwrap();
    let connect = b"\x10\x10\0\x04MQTT\x04\x02\0\0\0\x04name";
    let mut healthy =
        support::client::Client::connect(deployment.server.address(), 4, "h", true, None);
    let cases: [(u16, &[u8], &str, &[u8]); 7] = [
        (
            deployment.tls,
            connect,
            "MQTT without TLS on a TLS port",
            b"",
        ),
        (
            deployment.tls,
            b"GET / HTTP/1.1\r\n\r\n",
            "HTTP without TLS",
            b"",
        ),
        (
            deployment.wss,
            connect,
            "MQTT without TLS on a TLS port",
            b"",
        ),
        (deployment.ws, connect, "MQTT without WebSocket", b""),
        (
            deployment.ws,
            b"\x16\x03\x01\x02\0\x01",
            "TLS on a WebSocket port",
            b"",
        ),
        (
            deployment.ws,
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            "WebSocket is wanted",
            b"HTTP/1.1 426 ",
        ),
        (
            deployment.server.port,
            b"\x16\x03\x01\x02\0\x01",
            "appears to be using TLS to connect to a non-TLS listener",
            b"",
        ),
    ];
    for (port, bytes, words, answer) in cases {
        let mut stream = at(port);
        stream.write_all(bytes).unwrap();
        let (rest, _) = closes(&mut stream);
        assert!(rest.starts_with(answer), "{words}: {rest:?}");
        deployment.server.says(words);
        healthy.ping();
    }
    let mut long = at(deployment.ws);
    long.write_all(b"GET / HTTP/1.1\r\nA: ").unwrap();
    let _ = long.write_all(&[b'x'; 100_000]);
    let mut silent: Vec<TcpStream> = Vec::new();
    for port in [deployment.tls, deployment.ws, deployment.wss] {
        for bytes in [&b""[..], b"\x16\x03\x01", b"GET /mqtt HT"] {
            let mut stream = at(port);
            stream.write_all(bytes).unwrap();
            silent.push(stream);
        }
    }
    let slowest = (0..200).map(|_| {
        let started = Instant::now();
        healthy.ping();
        started.elapsed()
    });
    let slowest = slowest.max().unwrap();
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

cases![
    paho_reads_and_writes_at_every_listener,
    mqtt_js_speaks_websocket_plain_and_secure,
    a_browser_speaks_websocket_plain_and_secure,
    mosquitto_clients_with_and_without_certificates,
    versions_and_ciphers_are_what_the_options_say,
    strangers_at_every_door_are_let_go_and_nobody_waits_for_them,
];
