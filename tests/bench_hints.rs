//! What commonly goes wrong the first time that somebody loads a broker: each gets an answer that says what to do.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/certificates.rs"]
mod certificates;

use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

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

/// It could not run, which is told in one line.
fn assert_could_not(done: &Finished, hint: &str) {
    let told = &done.stderr;
    assert_eq!(done.code, Some(3), "{}{told}", done.stdout);
    assert!(told.contains(hint), "{hint:?} is not told: {told}");
    assert!(
        told.lines().count() == 1 && done.stdout.is_empty(),
        "{told}{}",
        done.stdout
    );
}

/// Every option that a text names.
fn options_in(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
    words.filter(|word| word.starts_with("--"))
}

/// A run with a wrong login could not be: in each workload, at once, with the option that the login came from, and
/// with none that does not exist.
fn a_login_that_is_wrong() {
    let folder = Folder::new("bench-login");
    let file = folder.0.join("passwords");
    let firehose = env!("CARGO_BIN_EXE_firehose");
    let made = Command::new(firehose)
        .args(["passwd", "-c", "-b"])
        .arg(&file)
        .args(["u", "right"])
        .status();
    assert!(made.unwrap().success());
    let lines = [
        "allow_anonymous false".to_owned(),
        format!("password_file {}", file.display()),
    ];
    let server = Server::start(&ours(), &lines);
    let wrong = folder.write("wrong", "wrong-canary\n");
    let wrong = wrong.to_str().unwrap();
    let scenario = "workload = \"fanout\"\nusername = \"u\"\npassword = \"wrong-canary\"\n";
    let scenario = folder.write("s.toml", scenario);
    let login = |workload: &[&str], host: &str, login: &[&str], variable: bool| {
        let mut command = Command::new(firehose);
        command.arg("bench").args(workload);
        command.args([host, "127.0.0.1", "--port"]);
        command.arg(server.port.to_string()).args(login);
        if variable {
            command.env("FIREHOSE_PASSWORD", "wrong-canary");
        }
        run(&mut command)
    };
    let from_file = format!("that of --password-file {wrong})");
    for (arguments, variable, hint) in [
        (
            &[][..],
            false,
            "(no login was given: --username NAME with --password-file FILE)",
        ),
        (
            &["--username", "u"],
            false,
            "no password was given: --password-file FILE, or FIREHOSE_PASSWORD",
        ),
        (
            &["--username", "u", "--password", "wrong-canary"],
            false,
            "that of --password)",
        ),
        (
            &["--username", "u", "--password-file", wrong],
            false,
            &from_file,
        ),
        (
            &["--username", "u"],
            true,
            "that of FIREHOSE_PASSWORD in the environment)",
        ),
    ] {
        for (workload, host) in [
            (&["fanout"][..], "--host"),
            (&["fanin", "--mqtt", "5"], "--host"),
            (&["churn", "--duration", "300s"], "--host"),
            (&["stress", "--sub-timeout", "300"], "--hostname"),
        ] {
            let done = login(workload, host, arguments, variable);
            // The code that came: a return code before MQTT 5, a reason code since.
            let code = match workload.contains(&"5") {
                true => "0x87",
                false => "return code 5",
            };
            let refused = format!("lets no client in: refused: Not authorized ({code})");
            assert_could_not(&done, &refused);
            assert_could_not(&done, hint);
            assert!(!done.stderr.contains("canary"), "{}", done.stderr);
            let help = run(Command::new(firehose).args(["bench", workload[0], "--help"]));
            for option in options_in(&done.stderr) {
                let listed = format!("{option} ");
                assert!(help.stdout.contains(&listed), "{option} is no option");
            }
        }
    }
    let done = login(&["run", scenario.to_str().unwrap()], "--host", &[], false);
    assert_could_not(&done, "that of `password` in the scenario file)");
}

/// One thing that happened is one event, and what is said of it is said once.
fn an_event_is_told_once() {
    let certificates = Certificates::new();
    let port = free_port();
    let lines = [
        format!("listener {port} 127.0.0.1"),
        format!("certfile {}", certificates.file("server.crt")),
        format!("keyfile {}", certificates.file("server.key")),
        // A message that is too big for it: it says DISCONNECT, and closes.
        "max_packet_size 300".to_owned(),
    ];
    let _server = Server::start(&ours(), &lines);
    let ca = certificates.file("ca.crt");
    let arguments = [
        "--cafile", &ca, "--mqtt", "5", "--rate", "100", "--size", "500",
    ];
    let done = bench(port, &arguments);
    assert_told(&done, "dropped, once: disconnected: ");
    let text = said(&done);
    assert_eq!(text.matches("dropped").count(), 1, "{text}");
    assert!(
        !text.contains("1 times") && !text.contains("closed by the broker"),
        "{text}"
    );
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
        assert_could_not(&done, hint);
        // What its bytes would be, were they MQTT, helps nobody.
        assert!(!done.stderr.contains("[MQTT"), "{}", done.stderr);
    }
    let right = bench(tls, &["--cafile", &ca, "--rate", "100"]);
    assert_eq!(right.code, Some(0), "{}", said(&right));
}

fn a_broker_that_requires_a_certificate() {
    requires_a_certificate(&ours());
}

fn a_mosquitto_that_requires_a_certificate() {
    requires_a_certificate(&theirs());
}

/// One that requires certificates, over TLS and secure WebSocket, with these lines for both listeners.
fn requiring(program: &Program, certificates: &Certificates, own: &[&str]) -> (Server, [u16; 2]) {
    let [tls, wss] = [free_port(), free_port()];
    let mut lines = Vec::new();
    for (port, more) in [(tls, ""), (wss, "protocol websockets")] {
        lines.push(format!("listener {port} 127.0.0.1"));
        lines.push(more.to_owned());
        lines.push(format!("cafile {}", certificates.file("ca.crt")));
        lines.push(format!("certfile {}", certificates.file("server.crt")));
        lines.push(format!("keyfile {}", certificates.file("server.key")));
        lines.push("require_certificate true".to_owned());
        lines.extend(own.iter().map(|line| line.to_string()));
    }
    (Server::start(program, &lines), [tls, wss])
}

/// With TLS 1.3 the refusal comes when the handshake is over for the client.
fn requires_a_certificate(program: &Program) {
    let certificates = Certificates::new();
    let crl = format!("crlfile {}", certificates.file("revoked.crl"));
    let (_server, [tls, wss]) = requiring(program, &certificates, &[&crl]);
    let ca = certificates.file("ca.crt");
    for (port, way) in [
        (tls, &[][..]),
        (tls, &["--mqtt", "5"]),
        (wss, &["--websocket"]),
    ] {
        let way = [&["--cafile", &ca], way].concat();
        let none = "(the broker requires a certificate: --cert FILE with --key FILE)";
        assert_could_not(&bench(port, &way), none);
        for (name, hint) in [
            (
                "stranger",
                "(the broker does not know the authority that signed the certificate of --cert;",
            ),
            (
                "expired",
                "the certificate of --cert has expired, or is not valid yet)",
            ),
            (
                "revoked",
                "a list in which the certificate of --cert is revoked)",
            ),
        ] {
            let files = [".crt", ".key"].map(|end| certificates.file(&format!("{name}{end}")));
            let own = ["--cert", &files[0], "--key", &files[1]];
            let is_theirs = matches!(program, Program::Mosquitto(_));
            if is_theirs && port == wss && name == "revoked" {
                // Mosquitto looks at no list where WebSocket is spoken.
                continue;
            }
            assert_could_not(&bench(port, &[&way[..], &own].concat()), hint);
        }
        let files = ["good.crt", "good.key"].map(|name| certificates.file(name));
        let own = ["--cert", &files[0], "--key", &files[1], "--rate", "100"];
        let right = bench(port, &[&way[..], &own].concat());
        assert_eq!(right.code, Some(0), "{}{}", said(&right), right.stderr);
    }
}

/// The certificate is taken, and the name in it lets nobody in; or it names nobody, and no login was given.
fn a_certificate_that_names_nobody_who_may_come_in() {
    let certificates = Certificates::new();
    let own = ["allow_anonymous false"];
    let (_server, [tls, _]) = requiring(&ours(), &certificates, &own);
    let files = ["ca.crt", "good.crt", "good.key"].map(|name| certificates.file(name));
    let [ca, cert, key] = &files;
    let done = bench(tls, &["--cafile", ca, "--cert", cert, "--key", key]);
    let hint = "(the name in the certificate of --cert is not let in, or the broker does not take the user name";
    assert_could_not(&done, hint);
}

/// What cannot be meant is told before anything is begun.
fn certificates_that_cannot_be_used() {
    let certificates = Certificates::new();
    let folder = Folder::new("bench-certificates");
    let file = |name| certificates.file(name);
    let (cert, key, ca) = (file("good.crt"), file("good.key"), file("ca.crt"));
    let other = file("other.key");
    let encrypted = folder.0.join("encrypted.key");
    let made = Command::new("openssl")
        .args(["pkcs8", "-topk8", "-passout", "pass:secret", "-in", &key])
        .arg("-out")
        .arg(&encrypted)
        .status();
    assert!(made.unwrap().success());
    let encrypted = encrypted.to_str().unwrap();
    let in_place = std::fs::read_to_string(&key).unwrap();
    let inline = format!("--key={in_place}");
    for (arguments, hint) in [
        (&["--cert", &cert, "--key", &key][..], "--cert is about TLS"),
        (
            &["--cafile", &ca, "--cert", &cert],
            "a certificate needs its private key, --key FILE, or FIREHOSE_KEY",
        ),
        (
            &["--cafile", &ca, "--key", &key],
            "--key is the private key of a certificate: --cert FILE",
        ),
        (
            &["--cafile", &ca, "--cert", &cert, "--key", &other],
            "other.key: the key is not that of the certificate",
        ),
        (
            &["--cafile", &ca, "--cert", &cert, "--key", encrypted],
            "encrypted.key: the key is encrypted",
        ),
        (
            &["--cafile", &ca, "--cert", &key, "--key", &key],
            "good.key: there is no certificate in it",
        ),
        (
            &["--cafile", &ca, "--cert", &cert, "--key", &cert],
            "good.crt: there is no private key in it",
        ),
        (
            &["--cafile", &ca, "--cert", &cert, "--key", "/nowhere.key"],
            "--key /nowhere.key: No such file",
        ),
        (
            &["--cafile", &ca, "--cert", &cert, &inline],
            "--key is the name of a file; a key itself may come by FIREHOSE_KEY",
        ),
    ] {
        let done = bench(free_port(), arguments);
        assert_eq!(done.code, Some(2), "{}{}", done.stdout, done.stderr);
        let told = &done.stderr;
        assert!(told.contains(hint), "{hint:?} is not told: {told}");
        assert!(!told.contains("-----"), "{told}");
    }
}

/// The same in each version of TLS, from a server that speaks no other.
fn a_certificate_is_required_in_each_version_of_tls() {
    let certificates = Certificates::new();
    let stranger = ["stranger.crt", "stranger.key"].map(|name| certificates.file(name));
    let stranger = ["--cert", &stranger[0], "--key", &stranger[1]];
    for (version, own, hint) in [
        ("-tls1_2", &[][..], "--cert FILE with --key FILE"),
        ("-tls1_3", &[], "--cert FILE with --key FILE"),
        ("-tls1_2", &stranger, "does not know the authority"),
        ("-tls1_3", &stranger, "does not know the authority"),
    ] {
        let port = free_port();
        let mut command = Command::new("openssl");
        command.args(["s_server", "-quiet", version, "-Verify", "1"]);
        command.arg("-verify_return_error");
        command.args(["-accept", &format!("127.0.0.1:{port}")]);
        for (option, file) in [
            ("-CAfile", "ca.crt"),
            ("-cert", "server.crt"),
            ("-key", "server.key"),
        ] {
            command.arg(option).arg(certificates.path(file));
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let mut server = command.stderr(Stdio::null()).spawn().unwrap();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(10));
        }
        let done = bench(port, &[&["--insecure"], own].concat());
        server.kill().unwrap();
        server.wait().unwrap();
        assert_could_not(&done, hint);
    }
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
    a_login_that_is_wrong,
    an_event_is_told_once,
    a_broker_that_one_may_only_read,
    a_mosquitto_that_one_may_only_read,
    a_port_that_speaks_something_else,
    a_port_of_mosquitto_that_speaks_something_else,
    a_broker_that_requires_a_certificate,
    a_mosquitto_that_requires_a_certificate,
    a_certificate_is_required_in_each_version_of_tls,
    a_certificate_that_names_nobody_who_may_come_in,
    certificates_that_cannot_be_used,
    queue_limits_of_mosquitto,
    a_certificate_that_signed_itself,
];
