//! Certificates as mosquitto-tls(7) makes them, and chains that OpenSSL completes: end to end with other programs.

mod support;

#[path = "support/harness.rs"]
mod harness;

#[path = "support/openssl.rs"]
mod openssl;

use std::process::Command;

use openssl::Openssl;
use support::{Finished, Server, free_port, needed, run};

/// A broker with a TLS listener of these options beside the plain one; an `@` is the folder of files.
fn start(files: &Openssl, options: &str) -> (Server, u16) {
    let port = free_port();
    let text = format!("listener {port}\nallow_anonymous true\n{options}");
    let text = text.replace('@', &files.file(""));
    let lines: Vec<&str> = text.lines().collect();
    (Server::under_test(2, &lines), port)
}

/// What openssl says of one connection.
fn s_client(files: &Openssl, port: u16, arguments: &str) -> String {
    let line = format!(
        "sleep 0.5 | timeout 20 openssl s_client -connect localhost:{port} {}",
        arguments.replace('@', &files.file(""))
    );
    let done = run(Command::new("sh").args(["-c", &line]));
    done.stdout + &done.stderr
}

/// mosquitto_pub of a retained message, then mosquitto_sub of it.
fn round_trip(files: &Openssl, port: u16, client: &str) -> (Finished, Finished) {
    let ask = |program: &str, more: &[&str]| {
        let mut command = Command::new("timeout");
        command.args(["20", program, "-h", "localhost", "-p", &port.to_string()]);
        command.args(["--cafile", &files.file("ca.crt"), "-t", "a", "-q", "1"]);
        if !client.is_empty() {
            let (certificate, key) = (format!("{client}.crt"), format!("{client}.key"));
            command.args(["--cert", &files.file(&certificate)]);
            command.args(["--key", &files.file(&key)]);
        }
        run(command.args(more))
    };
    let published = ask("mosquitto_pub", &["-m", "hello", "-r"]);
    (published, ask("mosquitto_sub", &["-C", "1", "-W", "10"]))
}

const OWN: &str = "certfile @server.crt\nkeyfile @server.key\ncafile @ca.crt\n";

fn certificates_of_the_manual_are_good_for_servers_and_clients() {
    for program in ["openssl", "mosquitto_pub", "mosquitto_sub"] {
        needed(program);
    }
    let files = Openssl::new();
    files.as_mosquitto_tls();
    // Another CA's, of the same names; and one that is taken back.
    let others = Openssl::new();
    others.as_mosquitto_tls();
    for kind in ["crt", "key"] {
        let (from, to) = (
            others.file(&format!("client.{kind}")),
            format!("stranger.{kind}"),
        );
        std::fs::copy(from, files.file(&to)).unwrap();
    }
    files.run("req -out gone.csr -key client.key -new -subj /O=client/CN=gone");
    files.run(
        "x509 -req -in gone.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out gone.crt -days 30",
    );
    std::fs::copy(files.file("client.key"), files.file("gone.key")).unwrap();
    files.0.write("index.txt", "");
    files.0.write("number", "01\n");
    files.0.write(
        "ca.cnf",
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=30\n",
    );
    files.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -revoke gone.crt");
    files.run("ca -config ca.cnf -cert ca.crt -keyfile ca.key -gencrl -out gone.crl");

    let (server, port) = start(&files, OWN);
    let (published, received) = round_trip(&files, port, "");
    assert_eq!(published.code, Some(0), "{}", published.stderr);
    assert_eq!(received.stdout, "hello\n", "{}", received.stderr);
    let text = s_client(&files, port, "-CAfile @ca.crt -verify_return_error");
    assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
    drop(server);

    let guarded = "require_certificate true\nuse_identity_as_username true\ncrlfile @gone.crl\n";
    let (server, port) = start(&files, &format!("{OWN}{guarded}"));
    let (published, received) = round_trip(&files, port, "client");
    assert_eq!(
        published.code,
        Some(0),
        "{}{}",
        published.stderr,
        server.log()
    );
    assert_eq!(received.stdout, "hello\n", "{}", received.stderr);
    server.says("infra");
    for version in ["-tls1_2", "-tls1_3"] {
        let client = "-CAfile @ca.crt -cert @client.crt -key @client.key -verify_return_error";
        let text = s_client(&files, port, &format!("{version} {client}"));
        assert!(text.contains("Verify return code: 0 (ok)"), "{text}");
        assert!(!text.contains("alert"), "{version}: {text}");
    }
    for (client, words) in [
        ("", "has presented no certificate"),
        ("stranger", "is not signed by the CA that it names"),
        ("gone", "is revoked"),
    ] {
        let (published, received) = round_trip(&files, port, client);
        assert_ne!(published.code, Some(0), "{client}: {}", server.log());
        assert_ne!(received.stdout, "hello\n", "{client}");
        server.says(words);
    }
}

/// They have common names only, by which the one is found that a client asks for.
fn common_names_choose_the_certificate() {
    needed("openssl");
    let files = Openssl::new();
    files.as_mosquitto_tls();
    let (_server, port) = start(
        &files,
        &format!("{OWN}tls_certificate @client.crt @client.key\n"),
    );
    for (asked, subject) in [
        ("infra", "infra"),
        ("localhost", "localhost"),
        ("x", "localhost"),
    ] {
        let text = s_client(
            &files,
            port,
            &format!("-CAfile @ca.crt -servername {asked}"),
        );
        let found = text.lines().find(|line| line.starts_with("subject="));
        assert!(
            found.is_some_and(|line| line.ends_with(subject)),
            "{asked}: {text}"
        );
    }
}

/// The load tester trusts whom other clients trust.
fn the_load_tester_accepts_them_and_what_has_signed_itself() {
    needed("openssl");
    let files = Openssl::new();
    files.as_mosquitto_tls();
    files.run(
        "req -x509 -newkey rsa:2048 -nodes -keyout own.key -out own.crt -days 30 -subj /CN=localhost",
    );
    let bench = |port: u16, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", "fanout", "--host", "localhost", "--workers", "1"]);
        command.args([
            "--duration",
            "0.5s",
            "--warm-up",
            "0s",
            "--subscribers",
            "3",
        ]);
        command.args(["--rate", "50", "--port", &port.to_string()]);
        run(command.args(arguments))
    };
    let own = "certfile @own.crt\nkeyfile @own.key\n";
    for (options, good, bad) in [(OWN, "ca.crt", "own.crt"), (own, "own.crt", "ca.crt")] {
        let (server, port) = start(&files, options);
        for version in ["tlsv1.2", "tlsv1.3"] {
            let good = files.file(good);
            let done = bench(port, &["--cafile", &good, "--tls-version", version]);
            let text = format!("{version}: {}{}{}", done.stdout, done.stderr, server.log());
            assert_eq!(done.code, Some(0), "{text}");
        }
        let done = bench(port, &["--cafile", &files.file(bad)]);
        assert_ne!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
    }
}

fn chains_are_completed_from_cafile_and_capath() {
    needed("openssl");
    let files = Openssl::new();
    files.with_intermediate();
    let folder = files.0.0.join("cas");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(files.file("between.crt"), folder.join("b.pem")).unwrap();
    std::fs::write(folder.join("README"), "not a certificate\n").unwrap();
    let both = ["between.crt", "root.crt"].map(|name| std::fs::read(files.file(name)).unwrap());
    std::fs::write(files.file("both.crt"), both.concat()).unwrap();
    let own = "certfile @leaf.crt\nkeyfile @leaf.key\n";
    let gap = "is in none of certfile, cafile and capath";
    for (more, is_trusted, is_whole) in [
        ("", false, false),
        ("cafile @between.crt\n", true, false),
        ("cafile @both.crt\n", true, true),
        ("capath @cas\n", true, false),
        ("capath @cas\ncafile @root.crt\n", true, true),
    ] {
        let options = format!("{own}{more}");
        let (server, port) = start(&files, &options);
        let text = s_client(&files, port, "-CAfile @root.crt -servername localhost");
        assert_eq!(
            text.contains("Verify return code: 0 (ok)"),
            is_trusted,
            "{more}: {text}"
        );
        // The root is the clients' own.
        assert!(!text.contains("2 s:"), "{more}: {text}");
        if !is_whole {
            server.says(gap);
        }
        let log = server.log();
        assert_eq!(log.contains(gap), !is_whole, "{more}: {log}");
        let path = files.0.write(
            "check.conf",
            &format!("listener {}\n{options}", free_port()).replace('@', &files.file("")),
        );
        let mut check = Command::new(env!("CARGO_BIN_EXE_firehose"));
        check
            .args(["check", "--json", "--shards", "1", "-c"])
            .arg(&path);
        let done = run(&mut check);
        assert_eq!(done.stdout.contains(gap), !is_whole, "{}", done.stdout);
        if !is_whole {
            let place = format!("{}:2: ", path.display());
            assert!(done.stdout.contains(&place), "{}", done.stdout);
        }
    }
}

/// At the start, at a reload, by `firehose check` and by `--test-config`.
fn dates_that_are_over_or_will_be_soon_are_said() {
    needed("openssl");
    let files = Openssl::new();
    let make = |name: &str, days: u32| {
        files.run(&format!(
            "req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days {days} -subj /CN={name}"
        ));
    };
    make("long", 100);
    // Which is twelve days and some, or thirteen within the same second.
    make("soon", 13);
    let pair = |name: &str| format!("certfile @{name}.crt\nkeyfile @{name}.key\n");
    let (server, port) = start(&files, &pair("long"));
    assert!(!server.log().contains("expires"), "{}", server.log());
    drop(server);
    let (server, _) = start(&files, &pair("soon"));
    server.says("the certificate of `CN=soon` expires in 1");
    let text = format!("listener {port}\n{}", pair("soon")).replace('@', &files.file(""));
    let lines: Vec<String> = text.lines().map(String::from).collect();
    let log = server.reconfigure(&lines);
    assert!(log.contains("`CN=soon` expires in 1"), "{log}");
    let path = files.0.write("soon.conf", &text).display().to_string();
    for arguments in [
        ["check", "--json", "-c", &path],
        ["serve", "--test-config", "-c", &path],
    ] {
        let done = run(Command::new(env!("CARGO_BIN_EXE_firehose")).args(arguments));
        let text = done.stdout + &done.stderr;
        assert!(text.contains("`CN=soon` expires in 1"), "{text}");
    }
}

/// Expired and not valid yet: nobody but who switches it off lets such clients in.
fn dates_of_clients_can_be_left_alone() {
    needed("openssl");
    let files = Openssl::new();
    files.as_mosquitto_tls();
    files.0.write("index.txt", "");
    files.0.write("number", "01\n");
    files.0.write(
        "ca.cnf",
        "[ca]\ndefault_ca=a\n[a]\ndatabase=index.txt\nserial=number\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n\
         unique_subject=no\n[p]\ncommonName=supplied\n",
    );
    for (name, dates) in [
        ("old", "-startdate 20200101000000Z -enddate 20210101000000Z"),
        ("new", "-startdate 21000101000000Z -enddate 21100101000000Z"),
    ] {
        files.run(&format!(
            "ca -batch -notext -config ca.cnf -cert ca.crt -keyfile ca.key -in client.csr -out {name}.crt {dates}"
        ));
    }
    for (option, is_open) in [
        ("", false),
        ("disable_client_cert_date_checks true\n", true),
    ] {
        let options = format!("{OWN}require_certificate true\n{option}");
        let (server, port) = start(&files, &options);
        for (name, words) in [("old", "has expired"), ("new", "is not valid yet")] {
            let arguments = format!("-CAfile @ca.crt -tls1_3 -cert @{name}.crt -key @client.key");
            let text = s_client(&files, port, &arguments);
            assert_eq!(text.contains("alert"), !is_open, "{name}: {text}");
            match is_open {
                true => assert!(!server.log().contains(words), "{}", server.log()),
                false => drop(server.says(words)),
            }
        }
    }
}

cases![
    certificates_of_the_manual_are_good_for_servers_and_clients,
    common_names_choose_the_certificate,
    the_load_tester_accepts_them_and_what_has_signed_itself,
    chains_are_completed_from_cafile_and_capath,
    dates_that_are_over_or_will_be_soon_are_said,
    dates_of_clients_can_be_left_alone,
];
