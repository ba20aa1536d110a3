//! What is refused or warned of, with its line and reason.

use super::*;

#[test]
fn each_misdeed_names_its_line_and_reason() {
    for (text, expected) in [
        ("\nfoo bar\n", "2: unknown option `foo`"),
        (
            "max_conections 3\n",
            "1: unknown option `max_conections`; did you mean `max_connections`?",
        ),
        (
            "Listener 1883\n",
            "1: unknown option `Listener`; did you mean `listener`?",
        ),
        (
            "listeners 1883\n",
            "1: unknown option `listeners`; did you mean `listener`?",
        ),
        (
            "acl_fle x\n",
            "1: unknown option `acl_fle`; did you mean `acl_file`?",
        ),
        ("listener\n", "1: listener: the value is missing"),
        ("listener abc\n", "1: listener: `abc` is not a whole number"),
        ("listener 0\n", "1: listener: 0 is out of range, 1 to 65535"),
        (
            "listener 70000\n",
            "1: listener: 70000 is out of range, 1 to 65535",
        ),
        ("listener 0\n", "1: listener: 0 is out of range, 1 to 65535"),
        (
            "listener 1883\nprotocol http\n",
            "2: protocol: `http` is none of mqtt, websockets, http_api",
        ),
        (
            "listener 8883\ncertfile /nowhere/a.crt\n",
            "2: certfile: keyfile is missing beside it",
        ),
        (
            "listener 8883\nkeyfile /nowhere/a.key\n",
            "2: keyfile: certfile is missing beside it",
        ),
        (
            "listener 8883\ncertfile /nowhere/a.crt\nkeyfile /nowhere/a.key\n",
            "2: cannot read /nowhere/a.crt: No such file or directory (os error 2)",
        ),
        (
            "listener 8883\ntls_version sslv3\n",
            "2: tls_version: `sslv3` is none of tlsv1.2, tlsv1.3",
        ),
        (
            "listener 8883\ntls_certificate a.crt\n",
            "2: tls_certificate: `a.crt`: the file of the certificate and the file of its key are wanted",
        ),
        (
            "enable_proxy_protocol 3\n",
            "1: enable_proxy_protocol: `3` is none of 1, 2, true, false",
        ),
        (
            "protocol foo\n",
            "1: protocol: `foo` is none of mqtt, websockets, http_api",
        ),
        ("port 0\n", "1: port: 0 is out of range, 1 to 65535"),
        (
            "allow_anonymous yes\n",
            "1: allow_anonymous: `yes` is neither true nor false",
        ),
        (
            "allow_anonymous # true\n",
            "1: allow_anonymous: the value is missing",
        ),
        (
            "sys_interval 1.5\n",
            "1: sys_interval: `1.5` is not a whole number",
        ),
        (
            "sys_interval 010\n",
            "1: sys_interval: `010` is not a whole number",
        ),
        (
            "sys_interval -\n",
            "1: sys_interval: `-` is not a whole number",
        ),
        (
            "sys_interval 0x\n",
            "1: sys_interval: `0x` is not a whole number",
        ),
        (
            "max_packet_size 0\n",
            "1: max_packet_size: 0 is out of range, 20 to 2147483647",
        ),
        ("pid_file a\npid_file b\n", "2: pid_file: given twice"),
        (
            "bind_address ::1\nbind_address ::2\n",
            "2: bind_address: given twice",
        ),
        ("log_dest file\n", "1: log_dest file: the value is missing"),
        (
            "log_dest file a\nlog_dest file b\n",
            "2: log_dest file: given twice",
        ),
        (
            "log_dest foo\n",
            "1: log_dest: `foo` is none of none, stdout, stderr, file, syslog, journald, topic, dlt",
        ),
        (
            "listener 1883\nmount_point a/#\n",
            "2: mount_point: `a/#`: not a topic name; does it contain a wildcard?",
        ),
        (
            "listener 1883\naccept_protocol_versions 3,6\n",
            "2: accept_protocol_versions: `6` is none of 3, 4, 5",
        ),
        (
            "cpu_list 3-1\n",
            "1: cpu_list: `3-1`: a range of CPUs runs from the lower to the higher number",
        ),
        (
            "cpu_list 0,0\n",
            "1: cpu_list: `0,0`: a CPU is listed twice",
        ),
        (
            "cpu_list a\n",
            "1: cpu_list: `a`: CPUs are written as numbers and ranges, like 0-3,6",
        ),
        ("shards 65\n", "1: shards: 65 is out of range, 1 to 64"),
        (
            "allow_anonymous true\nper_listener_settings true\n",
            "2: per_listener_settings: has to stand above the options that it makes a listener's own",
        ),
    ] {
        assert_eq!(error(text), expected, "{text:?}");
    }
}

#[test]
fn unreadable_files_and_text_that_is_none_are_named() {
    let text = load(Path::new("/nonexistent/broker.conf"))
        .unwrap_err()
        .to_string();
    assert!(
        text.starts_with("cannot read /nonexistent/broker.conf: No such file"),
        "{text}"
    );
    let text = error("include_dir /nonexistent\n");
    assert!(
        text.starts_with("1: cannot read /nonexistent: No such file"),
        "{text}"
    );
    let scratch = Scratch::new();
    let path = scratch.0.join("broker.conf");
    fs::write(&path, b"# fine\npid_file \xff\n").unwrap();
    let text = load(&path).unwrap_err().to_string();
    assert!(
        text.ends_with("broker.conf:2: the line is not UTF-8 text"),
        "{text}"
    );
}

#[test]
fn what_keeps_somebody_out_is_never_ignored() {
    for name in [
        "plugin",
        "global_plugin",
        "auth_plugin",
        "plugin_load",
        "plugin_use",
        "plugin_opt_db",
        "auth_opt_db",
    ] {
        let text = error(&format!("listener 1883\n{name} x\n"));
        assert!(text.contains("ignoring it would open the broker"), "{text}");
    }
    for name in ["psk_file", "psk_hint"] {
        let text = error(&format!("listener 1883\n{name} x\n"));
        assert!(text.contains("pre-shared keys"), "{text}");
    }
    // Rules about certificates, where there is no TLS.
    for line in [
        "cafile x",
        "capath x",
        "crlfile x",
        "tls_alpn mqtt",
        "require_certificate true",
        "use_identity_as_username true",
        "use_subject_as_username true",
    ] {
        let text = error(&format!("listener 1883\n{line}\n"));
        assert!(text.starts_with("2: "), "{text}");
        assert!(text.contains("the listener speaks no TLS"), "{text}");
    }
}

#[test]
fn what_mosquitto_has_and_we_do_not_yet_is_warned_of() {
    let text = "autosave_interval 1800\nuser mosquitto\nconnection up\naddress x\n";
    let expected = [
        "1: autosave_interval: nothing waits to be saved here: what is acknowledged is stored (persistence_sync); has no effect",
        "3: connection: bridges are not supported yet, has no effect",
        "4: address: bridges are not supported yet, has no effect",
    ];
    assert_eq!(warnings(text), expected);
    let extra = "allow_anonymous true extra\n";
    assert_eq!(
        warnings(extra),
        ["1: allow_anonymous: `extra` after the value is not looked at"]
    );
    assert_eq!(
        warnings("allow_anonymous true # a comment\n"),
        Vec::<String>::new()
    );
}

/// What is not UTF-8 is borne in comments, behind values too, and nowhere else.
#[test]
fn comments_have_any_encoding() {
    let scratch = Scratch::new();
    let load_bytes = |bytes: &[u8]| {
        let path = scratch.0.join("broker.conf");
        fs::write(&path, bytes).unwrap();
        load(&path).map_err(|error| error.to_string())
    };
    let (config, warnings) = load_bytes(
        b"\xef\xbb\xbflistener 1884\n# gr\xfc\xdfe\n\t #\xff\nmax_qos 1 # h\xf6chstens\n",
    )
    .unwrap();
    assert_eq!(warnings, []);
    assert_eq!(config.listeners[0].settings.max_qos, 1);
    for (bytes, line) in [
        (&b"mount_point gr\xfc\xdfe/\n"[..], ":1: "),
        (b"\nmount_point a # gr\xfc\xdfe\n", ":2: "),
        (b"max_qos \xff # 1\n", ":1: "),
        (b"#\nm\xe4x_qos 1\n", ":2: "),
    ] {
        let error = load_bytes(bytes).unwrap_err();
        assert!(error.contains(line) && error.contains("UTF-8"), "{error}");
    }
}

#[test]
fn an_asterisk_is_all_addresses() {
    for text in ["listener 1884 *\n", "port 1884\nbind_address *\n"] {
        assert_eq!(config(text).listeners[0].socket.address, None, "{text}");
    }
}

/// A password line that is wrong costs its user; the option has a warning with the line.
#[test]
fn a_password_line_without_a_colon_is_warned_of() {
    let scratch = Scratch::new();
    let users = scratch.file("users", "# all\nnobody\n");
    let (_, warnings) = read(&format!("password_file {}\n", users.display())).unwrap();
    let text = warnings[0].to_string();
    assert!(text.contains("users:2: the password is missing"), "{text}");
}

/// A file that was read and may not be read any more: what was read stays. Others are refused as ever.
#[test]
fn what_may_not_be_read_any_more_stays() {
    let forbidden = |path: &std::path::Path| {
        Misdeed::unreadable(path, std::io::ErrorKind::PermissionDenied.into())
    };
    let scratch = Scratch::new();
    let acl = scratch.file("acl", "topic read a\n");
    let path = scratch.file("broker.conf", &format!("acl_file {}\n", acl.display()));
    let (before, _) = load(&path).unwrap();
    let judged = |path: &std::path::Path, misdeed| {
        let text = format!("acl_file {}", path.display());
        let line = super::super::line::Line::parse(&text).unwrap();
        let mut security = super::super::draft::Security::default();
        let files = &before.files;
        let note = kept::judged(files, line.name, &line, &mut security, Err(misdeed));
        (note, security.acl.map(|acl| acl.held))
    };
    let (note, kept) = judged(&acl, forbidden(&acl));
    assert_eq!(kept, before.listeners[0].settings.acl);
    assert!(note.unwrap().unwrap().contains("stays in force"));
    let other = scratch.0.join("other");
    let missing = Misdeed::unreadable(&acl, std::io::ErrorKind::NotFound.into());
    for (path, misdeed) in [(&other, forbidden(&other)), (&acl, missing)] {
        let (refused, kept) = judged(path, misdeed);
        assert!(refused.is_err() && kept.is_none());
    }
}

/// Who is told that a file cannot be read is told what to do.
#[test]
fn a_file_that_may_not_be_read_is_refused_with_the_cure() {
    let path = std::path::Path::new("/etc/broker.conf");
    let error = |kind: std::io::ErrorKind| ConfigError {
        at: None,
        misdeed: Misdeed::unreadable(path, kind.into()),
    };
    let text = error(std::io::ErrorKind::PermissionDenied).to_string();
    assert!(text.starts_with("cannot read /etc/broker.conf: "), "{text}");
    assert!(
        text.contains("; let the user that the broker runs as read it (chown"),
        "{text}"
    );
    let text = error(std::io::ErrorKind::NotFound).to_string();
    assert!(!text.contains("chown"), "{text}");
}

/// Files are read when all lines are known; each is blamed on the line that names it, in the listener that does.
#[test]
fn a_wrong_certificate_is_reported_for_its_line() {
    let ca = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["other".into()]).unwrap();
    let scratch = super::Scratch::new();
    let write = |name: &str, text: &str| scratch.file(name, text).display().to_string();
    let good = write("good.crt", &ca.cert.pem());
    let key = write("good.key", &ca.signing_key.serialize_pem());
    let wrong = write("wrong.key", &other.signing_key.serialize_pem());
    let empty = write("empty", "");
    let head = "# A comment.\nlistener 1883\n\nlistener 8883\n";
    let pair = format!("certfile {good}\nkeyfile {key}\n");
    for (rest, line, words) in [
        (
            format!("certfile {empty}\nkeyfile {key}\n"),
            5,
            "no certificate",
        ),
        (
            format!("certfile {good}\nkeyfile {empty}\n"),
            6,
            "no private key",
        ),
        (
            format!("keyfile {wrong}\nmax_qos 1\ncertfile {good}\n"),
            5,
            "not that of",
        ),
        (
            format!("{pair}cafile /nowhere\n"),
            7,
            "cannot read /nowhere",
        ),
        (
            format!("{pair}capath /nowhere\n"),
            7,
            "cannot read /nowhere",
        ),
        (
            format!("{pair}crlfile /nowhere\n"),
            7,
            "cannot read /nowhere",
        ),
        (
            format!("{pair}cafile {good}\nrequire_certificate true\ncrlfile {empty}\n"),
            9,
            "no revocation list",
        ),
        (
            format!("{pair}require_certificate true\n"),
            7,
            "cafile or capath is missing",
        ),
        (
            format!("{pair}cafile {empty}\nrequire_certificate true\n"),
            7,
            "no CA certificate",
        ),
        (
            format!("{pair}tls_certificate {good} {key}\ntls_certificate {good} {wrong}\n"),
            8,
            "not that of",
        ),
        (
            format!("{pair}ciphers NULL\nciphers_tls1.3 NULL\n"),
            7,
            "no cipher suite",
        ),
        (
            "enable_proxy_protocol 2\nuse_subject_as_username true\n".into(),
            6,
            "only the common name",
        ),
    ] {
        let text = error(&format!("{head}{rest}"));
        assert!(text.starts_with(&format!("{line}: ")), "{rest}: {text}");
        assert!(text.contains(words), "{rest}: {text}");
    }
    for (rest, expected) in [
        (
            format!("{pair}ciphers AES256-SHA:ECDHE-RSA-AES256-GCM-SHA384\n"),
            "7: ciphers: the cipher suite AES256-SHA is not known",
        ),
        (
            format!("{pair}use_identity_as_username true\n"),
            "7: use_identity_as_username: user names are to come",
        ),
        (
            format!("{pair}proxy_protocol_v2_require_tls true\n"),
            "7: proxy_protocol_v2_require_tls: without enable_proxy_protocol",
        ),
    ] {
        let found = warnings(&format!("{head}{rest}"));
        assert!(found[0].starts_with(expected), "{found:?}");
    }
}
