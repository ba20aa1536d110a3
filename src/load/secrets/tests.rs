//! What is typed, and what is left of it.

use super::*;

fn hidden(line: &[&str]) -> Vec<String> {
    let line: Vec<OsString> = line.iter().map(OsString::from).collect();
    let text = |(at, range): (usize, Range<usize>)| {
        String::from_utf8(line[at].as_bytes()[range].to_vec()).unwrap()
    };
    places(&line).into_iter().map(text).collect()
}

#[test]
fn secrets_are_found_on_the_command_line() {
    let none: [&str; 0] = [];
    for (line, secrets) in [
        (&["f", "bench", "--password", "a b"][..], &["a b"][..]),
        (&["f", "bench", "fanout", "--password=x=y"], &["x=y"]),
        (
            &["f", "bench", "--password-file", "p", "--rate", "5"],
            &none,
        ),
        (&["f", "bench", "stress", "--password", "-x"], &["-x"]),
        (
            &["f", "bench", "--broker", "b -P pw --port {port}"],
            &["pw"],
        ),
        (&["f", "bench", "--host", "mqtt://u:p@h"], &["p"]),
        (
            &["f", "passwd", "-b", "file", "user", "secret"],
            &["secret"],
        ),
        (
            &["f", "passwd", "-cb", "-H", "argon2id", "f", "u", "s"],
            &["s"],
        ),
        (&["f", "passwd", "-c", "file", "user"], &none),
        (&["f", "passwd", "-b", "--", "-f", "u", "s"], &["s"]),
        (&["f", "serve", "-c", "password.conf"], &none),
        (&["f", "bench", "--cert", "c.pem", "--key", "k.pem"], &none),
        // A key where the name of its file was meant.
        (
            &["f", "bench", "--key", "-----BEGIN RSA PRIVATE KEY-----\nAb"],
            &["-----BEGIN RSA PRIVATE KEY-----\nAb"],
        ),
        (&["f"], &none),
    ] {
        assert_eq!(hidden(line), secrets, "{line:?}");
    }
}

#[test]
fn commands_are_told_without_their_secrets() {
    for (command, told) in [
        (
            "docker run -e MQTT_PASSWORD=abc -p 1883 emqx",
            "docker run -e MQTT_PASSWORD=(hidden) -p 1883 emqx",
        ),
        (
            "API_KEY=1 broker --auth-token t --token-file f",
            "API_KEY=(hidden) broker --auth-token (hidden) --token-file f",
        ),
        (
            "broker --db postgres://u:p@db/x",
            "broker --db postgres://u:(hidden)@db/x",
        ),
        ("broker amqp://token@h", "broker amqp://(hidden)@h"),
        ("broker -P 'a b'; true", "broker -P '(hidden)'; true"),
        ("broker PASSWORD='a' -v", "broker PASSWORD=(hidden) -v"),
        ("broker --password=\u{e4}", "broker --password=(hidden)"),
        (
            "mosquitto -c m.conf -p {port}",
            "mosquitto -c m.conf -p {port}",
        ),
        (
            "broker --config /etc/pw.d/a=b",
            "broker --config /etc/pw.d/a=b",
        ),
        ("", ""),
    ] {
        assert_eq!(redacted(command), told);
    }
}

#[test]
fn a_secret_cannot_be_printed() {
    let secret: Secret = "hunter2".parse().unwrap();
    assert_eq!(format!("{secret:?}"), HIDDEN);
    assert_eq!(serde_json::to_string(&secret).unwrap(), "\"(hidden)\"");
    assert_eq!(secret.bytes(), b"hunter2");
}

#[test]
fn a_password_comes_from_one_place() {
    let typed: Secret = "typed".parse().unwrap();
    let path = std::env::temp_dir().join(format!("firehose-password-{}", std::process::id()));
    std::fs::write(&path, b"line\xff\r\nmore\n").unwrap();
    let of = |typed, file, user| password(typed, file, user);
    assert_eq!(of(Some(&typed), None, true), Ok(Some(typed.clone())));
    let read = of(None, Some(&path), true).unwrap().unwrap();
    assert_eq!(read.bytes(), b"line\xff");
    assert!(of(Some(&typed), Some(&path), true).is_err());
    // The error names what was given, and nothing else.
    let scenario = typed.clone().of_scenario();
    for (typed, file, named) in [
        (Some(&typed), None, "--password: "),
        (Some(&scenario), None, "`password` in the scenario file: "),
        (None, Some(&*path), "--password-file /"),
    ] {
        let told = of(typed, file, false).unwrap_err();
        assert!(
            told.starts_with(named) && told.ends_with("--username"),
            "{told}"
        );
    }
    std::fs::write(&path, vec![b'a'; 65_536]).unwrap();
    assert!(of(None, Some(&path), true).unwrap_err().contains("65536"));
    std::fs::remove_file(&path).unwrap();
    let missing = of(None, Some(&path), true).unwrap_err();
    assert!(missing.contains("No such file"), "{missing}");
}
