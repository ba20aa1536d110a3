//! `firehose bench` over TLS, WebSocket and both: every message verified, and clear words when it cannot be.

mod support;

#[path = "support/certificates.rs"]
mod certificates;

use std::process::Command;

use certificates::Certificates;
use support::{Finished, Server, free_port, run};

struct Bench {
    server: Server,
    certificates: Certificates,
    tls: u16,
    ws: u16,
    wss: u16,
}

impl Bench {
    fn new() -> Bench {
        let certificates = Certificates::new();
        let [tls, ws, wss] = [free_port(), free_port(), free_port()];
        let own = format!(
            "certfile {}\nkeyfile {}",
            certificates.file("server.crt"),
            certificates.file("server.key")
        );
        let text = format!(
            "sys_interval 1\nlistener {tls} 127.0.0.1\n{own}\nlistener {ws} 127.0.0.1\nprotocol websockets\n\
             listener {wss} 127.0.0.1\nprotocol websockets\n{own}"
        );
        let lines: Vec<String> = text.lines().map(String::from).collect();
        Bench {
            server: Server::start(&support::program(2), &lines),
            certificates,
            tls,
            ws,
            wss,
        }
    }

    fn run(&self, workload: &str, port: u16, arguments: &[&str]) -> Finished {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", workload, "--host", "127.0.0.1", "--workers", "1"]);
        command.args(["--duration", "0.5s", "--warm-up", "0s", "--port"]);
        command.arg(port.to_string());
        for argument in arguments {
            match argument.strip_prefix('@') {
                Some(name) => command.arg(self.certificates.path(name)),
                None => command.arg(argument),
            };
        }
        run(&mut command)
    }
}

#[test]
fn every_message_arrives_over_every_transport() {
    let bench = Bench::new();
    let ca = ["--cafile", "@ca.crt"];
    let ways: [(u16, Vec<&str>); 6] = [
        (bench.server.port, vec![]),
        (bench.tls, ca.to_vec()),
        (
            bench.tls,
            [&ca[..], &["--tls-version", "tlsv1.3", "--resume"]].concat(),
        ),
        (bench.tls, vec!["--insecure"]),
        (bench.ws, vec!["--websocket"]),
        (bench.wss, [&ca[..], &["--websocket"]].concat()),
    ];
    for (port, way) in &ways {
        for qos in ["0", "1", "2"] {
            let load = [
                "--subscribers",
                "20",
                "--rate",
                "200",
                "--qos",
                qos,
                "--size",
                "2000",
            ];
            let done = bench.run("fanout", *port, &[&load[..], way].concat());
            assert_eq!(
                done.code,
                Some(0),
                "{way:?} {qos}: {}{}",
                done.stdout,
                done.stderr
            );
        }
        let visits = ["--connections", "20", "--connect-rate", "100"];
        let done = bench.run("churn", *port, &[&visits[..], way].concat());
        assert_eq!(
            done.code,
            Some(0),
            "{way:?}: {}{}",
            done.stdout,
            done.stderr
        );
    }
}

/// The broker takes no one without a certificate, and gives rights to the name in it alone.
#[test]
fn clients_come_in_by_their_certificate() {
    let certificates = Certificates::new();
    let [tls, wss] = [free_port(), free_port()];
    let mut lines = vec![
        "acl: user infra".to_owned(),
        "acl: topic readwrite #".to_owned(),
        "per_listener_settings false".to_owned(),
    ];
    for (port, more) in [(tls, ""), (wss, "protocol websockets")] {
        let text = format!(
            "listener {port} 127.0.0.1\n{more}\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true\n\
             use_identity_as_username true",
            certificates.file("ca.crt"),
            certificates.file("server.crt"),
            certificates.file("server.key")
        );
        lines.extend(text.lines().map(String::from));
    }
    let _server = Server::start(&support::program(2), &lines);
    let files = ["ca.crt", "good.crt", "good.key"].map(|name| certificates.file(name));
    let pem = |name: &str| std::fs::read_to_string(certificates.path(name)).unwrap();
    // Both in one file, as some tools keep them.
    let bundle = certificates.path("bundle.pem");
    std::fs::write(&bundle, pem("good.key") + &pem("good.crt")).unwrap();
    let bundle = bundle.to_str().unwrap();
    let cert = ["--cafile", &files[0], "--cert", &files[1]];
    let key = ["--key", &files[2]];
    let both = ["--cafile", &files[0], "--cert", bundle, "--key", bundle];
    for (workload, port, own, more) in [
        ("fanout", tls, &key[..], &["--qos", "1"][..]),
        ("fanout", tls, &key, &["--tls-version", "tlsv1.3"]),
        ("fanout", wss, &key, &["--websocket", "--mqtt", "5"]),
        ("churn", tls, &key, &["--connect-rate", "100"]),
        ("churn", tls, &key, &["--connect-rate", "100", "--resume"]),
        (
            "churn",
            wss,
            &key,
            &["--connect-rate", "100", "--websocket"],
        ),
        // From the environment.
        ("fanout", tls, &[], &[]),
        ("fanout", tls, &both, &[]),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", workload, "--host", "127.0.0.1", "--workers", "1"]);
        command.args(["--duration", "0.5s", "--warm-up", "0s", "--port"]);
        command.arg(port.to_string());
        match workload {
            "fanout" => command.args(["--subscribers", "5", "--rate", "100"]),
            _ => command.args(["--connections", "10"]),
        };
        if own.len() < both.len() {
            command.args(cert);
        }
        if own.is_empty() {
            command.env("FIREHOSE_KEY", pem("good.key"));
        }
        let done = run(command.args(own).args(more));
        let told = done.stdout + &done.stderr;
        assert_eq!(done.code, Some(0), "{workload} {own:?} {more:?}: {told}");
    }
    let mut stress = Command::new(env!("CARGO_BIN_EXE_firehose"));
    stress.args(["bench", "stress", "--hostname", "127.0.0.1", "--port"]);
    stress.arg(tls.to_string()).args(cert).args(key);
    let done = run(stress.args(["--pub-clients", "3", "--sub-clients", "3"]));
    let told = done.stdout + &done.stderr;
    assert_eq!(done.code, Some(0), "{told}");
    assert!(told.contains("verified: 90 of 90 deliveries"), "{told}");
}

/// SIGHUP with other files: new connections see them, and it can be taken back.
#[test]
fn certificates_change_with_a_reload() {
    let certificates = Certificates::new();
    let tls = free_port();
    let lines = |name: &str| {
        let (chain, key) = (format!("{name}.crt"), format!("{name}.key"));
        let (chain, key) = (certificates.file(&chain), certificates.file(&key));
        let text = format!("listener {tls} 127.0.0.1\ncertfile {chain}\nkeyfile {key}");
        text.lines().map(String::from).collect::<Vec<_>>()
    };
    let server = Server::start(&support::program(2), &lines("server"));
    let run_it = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", "fanout", "--host", "127.0.0.1", "--workers", "1"]);
        command.args([
            "--duration",
            "0.2s",
            "--warm-up",
            "0s",
            "--subscribers",
            "2",
            "--port",
        ]);
        command.arg(tls.to_string()).arg("--cafile");
        run(command.arg(certificates.path("ca.crt")))
    };
    for (name, words) in [
        ("server", "every message arrived once"),
        ("stranger", "UnknownIssuer"),
        ("server", "every message arrived once"),
    ] {
        let log = server.reconfigure(&lines(name));
        assert!(log.contains("has been read again"), "{log}");
        let done = run_it();
        let told = done.stdout + &done.stderr;
        assert!(told.contains(words), "{name}: {told}");
    }
    let mut mixed = lines("server");
    mixed[2] = lines("stranger")[2].clone();
    let log = server.reconfigure(&mixed);
    assert!(log.contains("not that of the certificate"), "{log}");
    assert!(run_it().stdout.contains("every message arrived once"));
}

#[test]
fn what_cannot_be_spoken_is_said() {
    let bench = Bench::new();
    let few = ["--subscribers", "2", "--rate", "10"];
    for (port, way, words) in [
        (
            bench.tls,
            &["--cafile", "@stranger-ca.crt"][..],
            "UnknownIssuer",
        ),
        (bench.ws, &["--cafile", "@ca.crt"], "connection"),
        (bench.tls, &["--websocket"], "speaks TLS"),
        (bench.server.port, &["--websocket"], "leave out --websocket"),
    ] {
        let done = bench.run("fanout", port, &[&few[..], way].concat());
        assert_eq!(
            done.code,
            Some(3),
            "{way:?}: {}{}",
            done.stdout,
            done.stderr
        );
        assert!(done.stderr.contains(words), "{way:?}: {}", done.stderr);
    }
    let done = bench.run("fanout", bench.tls, &["--cafile", "/nowhere/ca.crt"]);
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
    let done = bench.run("fanout", bench.tls, &["--resume"]);
    assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
}
