//! What commonly goes wrong the first time that somebody loads a broker: each gets an answer that says what to do.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
mod certificates;

use std::process::Command;

use certificates::Certificates;
use support::{Finished, Folder, Program, Server, free_port, run};

/// A run of half a second against a port.
fn bench(port: u16, arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.args(["bench", "fanout", "--host", "127.0.0.1", "--port"]);
    command.arg(port.to_string()).args(["--workers", "1"]);
    command.args(["--duration", "0.5s", "--warm-up", "0s", "--drain", "1s"]);
    run(command.args(["--subscribers", "3"]).args(arguments))
}

/// What was said, on one line.
fn said(done: &Finished) -> String {
    done.stdout
        .replace("\n  ", " ")
        .replace("\n             ", " ")
}

fn ours() -> Program {
    Program::Firehose { shards: 1 }
}

fn theirs() -> Program {
    Program::Mosquitto(support::needed("mosquitto"))
}

fn assert_told(done: &Finished, hint: &str) {
    let text = said(done);
    assert_eq!(done.code, Some(1), "{text}{}", done.stderr);
    assert!(text.contains(hint), "{hint:?} is not told: {text}");
}

fn a_broker_that_one_may_only_read() {
    only_to_be_read(&ours());
}

fn a_mosquitto_that_one_may_only_read() {
    only_to_be_read(&theirs());
}

fn only_to_be_read(program: &Program) {
    let folder = Folder::new("bench-read-only");
    let rules = folder.write("acl", "topic read #\n");
    let lines = [
        "allow_anonymous true".to_owned(),
        format!("acl_file {}", rules.display()),
    ];
    let server = Server::start(program, &lines);
    let silent = bench(server.port, &["--rate", "100"]);
    assert_told(
        &silent,
        "hint: nothing arrived at all: may a client without a",
    );
    let old = bench(server.port, &["--rate", "100", "--qos", "1"]);
    assert_told(&old, "--mqtt 5 shows it");
    let told = bench(server.port, &["--rate", "100", "--qos", "1", "--mqtt", "5"]);
    assert_told(&told, "publish refused: Not authorized");
}

fn a_port_that_speaks_something_else() {
    something_else(&ours());
}

fn a_port_of_mosquitto_that_speaks_something_else() {
    something_else(&theirs());
}

fn something_else(program: &Program) {
    let certificates = Certificates::new();
    let [tls, ws] = [free_port(), free_port()];
    let mut lines = vec![
        format!("listener {tls} 127.0.0.1"),
        format!("certfile {}", certificates.file("server.crt")),
        format!("keyfile {}", certificates.file("server.key")),
        format!("listener {ws} 127.0.0.1"),
        "protocol websockets".to_owned(),
    ];
    if let Program::Mosquitto(_) = program {
        lines.push("allow_anonymous true".to_owned());
    }
    let server = Server::start(program, &lines);
    let ca = certificates.file("ca.crt");
    let other = certificates.file("stranger.crt");
    for (port, arguments, hint) in [
        (tls, &[][..], "speaks TLS"),
        (
            server.port,
            &["--insecure"],
            "leave out --cafile and --insecure",
        ),
        (
            server.port,
            &["--cafile", &ca],
            "leave out --cafile and --insecure",
        ),
        (server.port, &["--websocket"], "leave out --websocket"),
        (ws, &[], "--websocket"),
        (
            tls,
            &["--cafile", &other],
            "--cafile has to hold the authority",
        ),
    ] {
        let done = bench(port, arguments);
        assert_told(&done, hint);
        // Nobody came in, so that nothing was due.
        assert!(!said(&done).contains("held back"), "{}", said(&done));
    }
    let right = bench(tls, &["--cafile", &ca, "--rate", "100"]);
    assert_eq!(right.code, Some(0), "{}", said(&right));
}

/// Mosquitto acknowledges what it then drops, where a client's queue is full.
fn queue_limits_of_mosquitto() {
    let lines = [
        "allow_anonymous true".to_owned(),
        "max_queued_messages 1".to_owned(),
        "max_inflight_messages 1".to_owned(),
    ];
    let server = Server::start(&theirs(), &lines);
    let done = bench(server.port, &["--rate", "20000", "--qos", "1"]);
    assert_told(
        &done,
        "max_queued_messages (1000) behind max_inflight_messages (20)",
    );
}

/// The certificate of a broker that signed itself is its own authority, as other clients have it.
fn a_certificate_that_signed_itself() {
    let folder = Folder::new("bench-self-signed");
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = rcgen::generate_simple_self_signed(names).unwrap();
    let certificate = folder.write("own.crt", &own.cert.pem());
    let key = folder.write("own.key", &own.signing_key.serialize_pem());
    let port = free_port();
    let lines = [
        format!("listener {port} 127.0.0.1"),
        format!("certfile {}", certificate.display()),
        format!("keyfile {}", key.display()),
    ];
    let _server = Server::start(&Program::Firehose { shards: 1 }, &lines);
    let file = certificate.to_str().unwrap();
    let done = bench(port, &["--rate", "100", "--cafile", file]);
    let text = said(&done);
    assert_eq!(done.code, Some(0), "{text}{}", done.stderr);
}

cases![
    a_broker_that_one_may_only_read,
    a_mosquitto_that_one_may_only_read,
    a_port_that_speaks_something_else,
    a_port_of_mosquitto_that_speaks_something_else,
    queue_limits_of_mosquitto,
    a_certificate_that_signed_itself,
];
