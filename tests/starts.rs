//! Starts and reloads with files as people have them, and by whom the broker is started: what holds, what is said, and that
//! `--test-config` and `firehose check` say beforehand what a start would.

#[allow(dead_code, reason = "others use the rest")]
#[path = "access/wire.rs"]
mod wire;

#[path = "support/certificates.rs"]
mod certificates;
mod support;

#[path = "support/harness.rs"]
mod harness;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use certificates::Certificates;
use support::{Finished, Folder, PATIENCE, Program, Server, free_port, is_root};
use wire::{Who, Wire};

const FIREHOSE: Program = Program::Firehose { shards: 1 };

fn start(config: &[&str]) -> Server {
    let config: Vec<String> = config.iter().map(|line| line.to_string()).collect();
    Server::start(&FIREHOSE, &config)
}

fn lines(text: &str) -> Vec<String> {
    text.lines().map(String::from).collect()
}

fn firehose(arguments: &[&str]) -> Finished {
    support::run(Command::new(env!("CARGO_BIN_EXE_firehose")).args(arguments))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn connects(server: &Server) -> bool {
    Wire::connect(server.address(), 4, &Who::new("c", None)).1 == 0
}

/// A line of a thread's status file, without its name.
fn status(pid: u32, name: &str) -> Vec<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let line = |path: &Path| {
        let text = std::fs::read_to_string(path.join("status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    threads
        .filter_map(|thread| line(&thread.ok()?.path()))
        .collect()
}

/// Every thread is the user, in no other group, and has no capability left.
fn started_as_root_it_becomes_an_ordinary_user() {
    if !is_root() {
        support::skipped("the right of root");
    }
    let (name, uid) = support::broker_user();
    let folder = Folder::new("starts");
    let pid_file = folder.0.join("pid");
    let log = folder.0.join("log");
    let mut server = start(&[
        &format!("pid_file {}", pid_file.display()),
        &format!("log_dest file {}", log.display()),
        "log_type all",
    ]);
    let ready = format!("; user {name}\n");
    assert!(server.log().contains(&ready), "{}", server.log());
    for (line, wanted) in [
        ("Uid:", format!("{uid} {uid} {uid} {uid}")),
        ("CapPrm:", "0000000000000000".into()),
        ("CapEff:", "0000000000000000".into()),
    ] {
        let found = status(server.pid(), line);
        assert!(found.len() > 2, "threads: {found:?}");
        assert!(
            found.iter().all(|value| *value == wanted),
            "{line} {found:?}"
        );
    }
    for groups in status(server.pid(), "Groups:") {
        assert!(groups.split(' ').all(|group| group != "0"), "{groups}");
    }
    // What it opens and removes itself it may.
    assert!(connects(&server));
    std::fs::rename(&log, folder.0.join("log.1")).unwrap();
    server.signal("HUP");
    eventually("a new log file", || {
        std::fs::read_to_string(&log).is_ok_and(|text| text.contains("SIGHUP"))
    });
    server.terminate();
    assert_eq!(server.wait().and_then(|status| status.code()), Some(0));
    assert!(!pid_file.exists());
}

fn a_broker_that_is_told_to_stay_root_says_so() {
    if !is_root() {
        support::skipped("the right of root");
    }
    let server = start(&["user root"]);
    let log = server.log();
    assert!(log.contains("; user root\n"), "{log}");
    assert!(log.contains("warning: the broker stays root"), "{log}");
    assert!(
        status(server.pid(), "Uid:")
            .iter()
            .all(|uid| uid == "0 0 0 0")
    );
}

fn a_user_that_does_not_exist_is_named() {
    if !is_root() {
        support::skipped("the right of root");
    }
    let folder = Folder::new("starts");
    let text = format!("listener {} 127.0.0.1\nuser no-such-user\n", free_port());
    let file = folder.write("conf", &text);
    for more in [&[][..], &["--test-config"]] {
        let done = firehose(&[&["serve", "-c", file.to_str().unwrap()], more].concat());
        assert_eq!(done.code, Some(2), "{}", done.stderr);
        let text = "root cannot be given up: there is no user no-such-user";
        assert!(done.stderr.contains(text), "{}", done.stderr);
    }
}

/// Started by whoever is not root, it is what it was, whatever the option says.
fn who_is_not_root_stays_who_he_is() {
    let (mut command, name) = match is_root() {
        // The number has no name.
        true => {
            let mut command = Command::new("setpriv");
            command.args([
                "--reuid=61234",
                "--clear-groups",
                env!("CARGO_BIN_EXE_firehose"),
            ]);
            (command, "uid 61234".to_owned())
        }
        false => (Command::new(env!("CARGO_BIN_EXE_firehose")), String::new()),
    };
    let folder = Folder::new("starts");
    let port = free_port();
    let text = format!("listener {port} 127.0.0.1\nuser no-such-user\n");
    let mut child = command
        .args(["serve", "--shards", "1", "-c"])
        .arg(folder.write("conf", &text))
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let ready = support::lines(child.stdout.take().unwrap()).recv_timeout(PATIENCE);
    let _ = child.kill();
    let _ = child.wait();
    let ready = ready.unwrap();
    assert!(ready.contains(&format!("; user {name}")), "{ready}");
}

/// Key, ACL and users are root's alone: read at the start, kept at a reload, and the rest of the file holds.
fn what_a_reload_may_not_read_any_more_stays_as_it_was() {
    if !is_root() {
        support::skipped("the right of root");
    }
    let certificates = Certificates::new();
    let folder = Folder::new("starts");
    let acl = folder.write("acl", "topic readwrite open\n");
    let tls = free_port();
    for path in [&acl, &certificates.path("server.key")] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let config = |more: &str| {
        lines(&format!(
            "acl_file {}\nlistener {tls} 127.0.0.1\ncertfile {}\nkeyfile {}\n{more}",
            acl.display(),
            certificates.file("server.crt"),
            certificates.file("server.key"),
        ))
    };
    let server = Server::start(&FIREHOSE, &config(""));
    let log = server.reconfigure(&config("max_qos 1\nmax_keepalive 30\n"));
    for path in [acl.display().to_string(), certificates.file("server.key")] {
        let wanted = format!("cannot read {path}: Permission denied");
        assert!(log.contains(&wanted), "{log}");
    }
    assert!(log.contains("stays in force"), "{log}");
    assert!(log.contains("read again and holds"), "{log}");
    // A client's keep alive is a minute: the new bound holds. The rights are the old ones.
    let mut client = TcpStream::connect(server.address()).unwrap();
    let connect = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04keep";
    client.write_all(connect).unwrap();
    let mut connack = [0; 256];
    let len = client.read(&mut connack).unwrap();
    assert!(
        connack[..len]
            .windows(3)
            .any(|bytes| bytes == [0x13, 0, 30])
    );
    let log = server.reconfigure(&config(""));
    assert!(log.contains("read again and holds"), "{log}");
    let (mut wire, code) = Wire::connect(server.address(), 5, &Who::new("c", None));
    assert_eq!(code, 0);
    let may = wire.publish(&["open".into(), "closed".into()], &mut Vec::new());
    assert_eq!(may, [true, false]);
    assert!(TcpStream::connect(("127.0.0.1", tls)).is_ok());
}

/// An editor empties a file before it writes it.
fn an_empty_file_at_a_reload_is_refused() {
    let server = start(&[]);
    let client = TcpStream::connect(server.address()).unwrap();
    for text in ["", "\n", "# nothing\n \n"] {
        let log = server.reload_with(text);
        let wanted = "stays as it was: the file is empty, and every listener would be closed";
        assert!(log.contains(wanted), "{log}");
        assert!(connects(&server));
    }
    drop(client);
}

fn a_limit_below_the_least_is_the_least() {
    let server = start(&["memory_limit 1M", "log_dest stdout", "log_type all"]);
    assert!(connects(&server));
    eventually("a warning", || {
        server
            .log()
            .contains("memory_limit is 1.0 MiB, which is less")
    });
}

fn the_ready_line_names_what_each_listener_speaks() {
    let certificates = Certificates::new();
    let ports = [free_port(), free_port(), free_port()];
    let tls = format!(
        "certfile {}\nkeyfile {}\n",
        certificates.file("server.crt"),
        certificates.file("server.key")
    );
    let [mqtts, ws, wss] = ports.map(|port| format!("listener {port} 127.0.0.1\n"));
    let text = format!("{mqtts}{tls}{ws}protocol websockets\n{wss}protocol websockets\n{tls}");
    let server = Server::start(&FIREHOSE, &lines(&text));
    let wanted = format!(
        "ready: mqtt 127.0.0.1:{}, mqtts 127.0.0.1:{}, websockets 127.0.0.1:{}, websockets over TLS 127.0.0.1:{};",
        server.port, ports[0], ports[1], ports[2]
    );
    assert!(server.log().contains(&wanted), "{}", server.log());
}

/// Configurations and hosts that a broker does not start with; the test of the configuration, and `check`, fail with the same
/// words and the same exit code.
fn a_test_of_the_configuration_fails_as_the_start_does() {
    let folder = Folder::new("starts");
    let stranger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = stranger.local_addr().unwrap().port();
    let listener = || format!("listener {} 127.0.0.1\n", free_port());
    let port = free_port();
    let twice = format!("listener {port}\nlistener {port}\n");
    let closed = folder.0.join("closed");
    std::fs::create_dir(&closed).unwrap();
    std::os::unix::fs::symlink("/nonexistent/elsewhere", closed.join("pid")).unwrap();
    let mut cases = vec![
        ("max_qos 3\n".into(), 2),
        (format!("{}acl_file /nonexistent/acl\n", listener()), 2),
        (format!("listener {taken} 127.0.0.1\n"), 3),
        (format!("listener {} 192.0.2.1\n", free_port()), 3),
        (
            format!("listener {} no-such-host.invalid\n", free_port()),
            3,
        ),
        (format!("{}bind_interface no-such0\n", listener()), 3),
        (format!("{}pid_file /nonexistent/pid\n", listener()), 3),
        (format!("{}cpu_list 8191\n", listener()), 3),
        (format!("{}max_connections 2000000000\n", listener()), 3),
        (twice.clone(), 2),
        (format!("{twice}cpu_list 8191\n"), 3),
        (
            format!("{}pid_file {}/pid\n", listener(), closed.display()),
            3,
        ),
    ];
    if is_root() {
        let user = "user no-such-user\n";
        cases.push((format!("{}{user}", listener()), 2));
        cases.push((format!("listener {taken} 127.0.0.1\n{user}"), 2));
        cases.push((format!("{}cpu_list 8191\n{user}", listener()), 2));
    }
    for (text, code) in cases {
        let file = folder.write("conf", &text);
        let file = file.to_str().unwrap();
        let start = firehose(&["serve", "--shards", "1", "-c", file]);
        let test = firehose(&["serve", "--shards", "1", "-c", file, "--test-config"]);
        assert_eq!(start.code, Some(code), "{text}{}", start.stderr);
        assert_eq!(test.code, Some(code), "{text}{}", test.stderr);
        assert_eq!(test.stderr, start.stderr, "{text}");
        let check = firehose(&["check", "--shards", "1", "-c", file]);
        let said = check.stdout + &check.stderr;
        assert_eq!(check.code, Some(code), "{text}{said}");
        let words = start.stderr.trim_end().strip_prefix("firehose: ").unwrap();
        assert!(said.contains(words), "{text}{said}");
    }
}

/// What the command line says to `serve` it says to `check`.
fn check_takes_the_options_of_a_start() {
    let stranger = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = stranger.local_addr().unwrap().port().to_string();
    let free = free_port().to_string();
    for (port, cpus, code) in [(&taken, "0", 3), (&free, "8191", 3), (&free, "0", 0)] {
        let options = ["--shards", "1", "-p", port, "--cpus", cpus];
        let start = [&["serve"], &options[..], &["--test-config"]].concat();
        let check = firehose(&[&["check"], &options[..]].concat());
        assert_eq!(firehose(&start).code, Some(code));
        let is_alike = match code {
            0 => matches!(check.code, Some(0 | 1)),
            code => check.code == Some(code),
        };
        assert!(
            is_alike,
            "{:?} {}{}",
            check.code, check.stdout, check.stderr
        );
    }
}

/// As a start warns of it.
fn check_warns_of_what_a_configuration_lacks() {
    let folder = Folder::new("starts");
    let text = format!("listener {} 127.0.0.1\nautosave_interval 60\n", free_port());
    let file = folder.write("conf", &text);
    let file = file.to_str().unwrap();
    let start = firehose(&["serve", "--shards", "1", "-c", file, "--test-config"]);
    let warning = start.stderr.lines().next().unwrap_or_default();
    let warning = warning.strip_prefix("firehose: warning: ").unwrap();
    assert!(warning.contains("nothing waits to be saved"), "{warning}");
    let check = firehose(&["check", "--shards", "1", "-c", file]);
    assert!(check.stdout.contains(warning), "{}", check.stdout);
}

/// What stands in files reaches a terminal as text, whoever prints it: settings, warnings, errors, rows, the ready line.
fn what_a_terminal_would_obey_is_escaped() {
    let folder = Folder::new("starts");
    let odd = "\u{1b}[2J\u{202e}\u{9b}";
    let socket = format!("listener 0 {}/{odd}socket\n", folder.0.display());
    let pid = format!("{socket}pid_file {}/{odd}pid\n", folder.0.display());
    let bad = folder.write(&format!("{odd}acl"), &format!("{odd} nonsense\n"));
    let acl = format!("acl_file {}\n", bad.display());
    let store = format!(
        "{socket}persistence true\npersistence_location {}/{odd}\n",
        folder.0.display()
    );
    for text in [pid, format!("{socket}http_dir {odd}\n"), acl, store] {
        let file = folder.write(&format!("{odd}conf"), &text);
        let file = file.to_str().unwrap();
        for arguments in [
            &["serve", "--test-config"][..],
            &["check"],
            &["check", "--json"],
        ] {
            let done = firehose(&[arguments, &["--shards", "1", "-c", file]].concat());
            let said = done.stdout + &done.stderr;
            assert!(said.contains("202e"), "{arguments:?} {said:?}");
            let is_clean = said.is_ascii() && !said.contains('\u{1b}');
            assert!(is_clean, "{arguments:?} {said:?}");
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    let conf = folder.write("conf", &format!("{socket}log_type all\n"));
    command.args(["serve", "--shards", "1", "-c"]).arg(conf);
    let mut broker = Running(
        command
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let output = support::lines(broker.0.stdout.take().unwrap());
    let ready = output.recv_timeout(PATIENCE).unwrap();
    assert!(ready.contains(" ready: ") && ready.is_ascii(), "{ready:?}");
    assert!(!ready.contains('\u{1b}'), "{ready:?}");
}

/// Root reads them at the start; the user that the broker becomes does not at a reload.
fn files_that_only_root_may_read_are_warned_of() {
    if !is_root() {
        support::skipped("the right of root");
    }
    let (name, _) = support::broker_user();
    let certificates = Certificates::new();
    let folder = Folder::new("starts");
    let files = ["users", "acl", "key", "folder/more.conf"];
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    folder.write("users", "");
    folder.write("acl", "");
    std::fs::copy(certificates.path("server.key"), folder.0.join("key")).unwrap();
    folder.write("folder/more.conf", "# more\n");
    let at = folder.0.display();
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\npassword_file {at}/users\nacl_file {at}/acl\n\
         certfile {}\nkeyfile {at}/key\ninclude_dir {at}/folder\n",
        free_port(),
        certificates.file("server.crt")
    );
    let conf = folder.write("conf", &text);
    let conf = conf.to_str().unwrap();
    let test = || firehose(&["serve", "--shards", "1", "-c", conf, "--test-config"]).stderr;
    let check = || firehose(&["check", "--shards", "1", "-c", conf]).stdout;
    let warning = format!("may not be read by the user {name}");
    for said in [test(), check()] {
        assert!(!said.contains(&warning), "{said}");
    }
    for file in files.iter().chain(&["conf"]) {
        let path = folder.0.join(file);
        std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        for said in [test(), check()] {
            let wanted = format!("{} {warning}", path.display());
            assert!(said.contains(&wanted), "{file}: {said}");
            assert!(said.contains(&format!("chown {name}")), "{said}");
            assert_eq!(said.matches(&warning).count(), 1, "{said}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
    }
    // Who stays root reads them.
    std::fs::set_permissions(folder.0.join("key"), PermissionsExt::from_mode(0o600)).unwrap();
    folder.write("conf", &format!("{text}user root\n"));
    assert!(!check().contains("may not be read"), "{}", check());
}

/// At a start, in its test, in `check`, and at a reload.
fn two_listeners_in_each_others_way_are_named_by_their_lines() {
    let folder = Folder::new("starts");
    let (port, other) = (free_port(), free_port());
    let text = format!("listener {port} 127.0.0.1\nlistener {other} 127.0.0.1\nlistener {port}\n");
    let file = folder.write("conf", &text);
    let file = file.to_str().unwrap();
    let wanted = format!(
        "cannot listen on 0.0.0.0:{port} ({file}:3): the listener of {file}:1 has 127.0.0.1:{port}; give one"
    );
    for more in [&[][..], &["--test-config"]] {
        let done = firehose(&[&["serve", "--shards", "1", "-c", file], more].concat());
        assert!(done.stderr.contains(&wanted), "{}", done.stderr);
        assert_eq!(done.code, Some(2));
    }
    let done = firehose(&["check", "--shards", "1", "-c", file]);
    assert!(done.stdout.contains(&wanted), "{}", done.stdout);
    assert_eq!(done.code, Some(2));
    let twice = format!("listener 0 {0}/s\nlistener 0 {0}/s\n", folder.0.display());
    let file = folder.write("twice", &twice);
    let file = file.to_str().unwrap();
    let done = firehose(&["serve", "--shards", "1", "-c", file, "--test-config"]);
    let wanted = format!("/s ({file}:2): the listener of {file}:1 has ");
    assert!(done.stderr.contains(&wanted), "{}", done.stderr);

    let server = start(&[]);
    let port = server.port;
    let log = server.reconfigure(&lines(&format!(
        "listener {other}\nlistener {port} ::1\nlistener {other} ::1\n"
    )));
    for words in [
        " stays as it was: cannot listen on ",
        "conf:5): the listener of ",
        "conf:3 has ",
    ] {
        assert!(log.contains(words), "{words} {log}");
    }
    let log = server.reload_with(&format!("listener {port}\nallow_anonymous true\n"));
    let wanted = format!("has 127.0.0.1:{port} until this configuration holds");
    assert!(log.contains(&wanted), "{log}");
    assert!(connects(&server));
}

/// `/run/mosquitto` is gone after each start of the machine.
fn a_folder_that_is_missing_is_named_with_its_cure() {
    let folder = Folder::new("starts");
    let port = free_port();
    let gone = format!("/run/firehose-no-such-{port}");
    let unit = format!("(RuntimeDirectory=firehose-no-such-{port} in the unit)");
    let wanted = format!("the folder {gone} does not exist: create it, or have");
    let listener = format!("listener {port} 127.0.0.1\n");
    for text in [
        format!("{listener}pid_file {gone}/pid\n"),
        format!("{listener}log_dest file {gone}/log\n"),
        format!("listener 0 {gone}/socket\n"),
    ] {
        let file = folder.write("conf", &text);
        let file = file.to_str().unwrap();
        let done = firehose(&["serve", "--shards", "1", "-c", file, "--test-config"]);
        for words in [&wanted, &unit] {
            assert!(done.stderr.contains(words), "{text}{}", done.stderr);
        }
        let found = firehose(&["check", "--shards", "1", "-c", file]).stdout;
        let is_shown = found.contains(&wanted) || text.starts_with("listener 0");
        assert!(is_shown, "{found}");
    }
}

/// Whoever reads it may stand in another folder.
fn a_relative_path_is_shown_with_its_folder() {
    let folder = Folder::new("starts");
    let listener = format!("listener {} 127.0.0.1\n", free_port());
    folder.write("bad", "nonsense\n");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        support::run(command.args(arguments).current_dir(&folder.0)).stderr
    };
    for (text, path) in [
        (format!("{listener}acl_file no/acl\n"), "no/acl"),
        (format!("{listener}acl_file bad\n"), "bad:1"),
        (format!("{listener}password_file no-users\n"), "no-users"),
        (format!("{listener}password_file bad\n"), "bad:1"),
        ("include_dir no/more\n".into(), "no/more"),
        (
            format!("{listener}certfile bad\nkeyfile no-key\n"),
            "no-key",
        ),
        (format!("{listener}certfile bad\nkeyfile bad\n"), "bad"),
        (format!("{listener}pid_file no/pid\n"), "no/pid"),
        (format!("{listener}log_dest file no/log\n"), "no/log"),
        ("listener 0 no/socket\n".into(), "no/socket"),
    ] {
        folder.write("conf", &text);
        let said = run(&["serve", "--shards", "1", "-c", "conf", "--test-config"]);
        let wanted = format!("{}/{path}", folder.0.display());
        assert!(said.contains(&wanted), "{text}{said}");
    }
    for (arguments, path) in [
        (&["serve", "-c", "no-conf"][..], "no-conf"),
        (&["passwd", "-b", "no/users", "u", "p"], "no/users"),
        (&["passwd", "-D", "bad", "u"], "bad"),
    ] {
        let wanted = format!("{}/{path}", folder.0.display());
        let said = run(arguments);
        assert!(said.contains(&wanted), "{arguments:?} {said}");
    }
}

/// Ended when dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A test leaves nothing behind, and minds the broker of the same file as little as `check` does.
fn a_test_of_a_configuration_that_is_in_use_succeeds() {
    let folder = Folder::new("starts");
    let (log, pid) = (folder.0.join("log"), folder.0.join("pid"));
    let unix = folder.0.join("socket");
    let text = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\nlog_dest file {}\npid_file {}\nlistener 0 {}\n",
        free_port(),
        log.display(),
        pid.display(),
        unix.display()
    );
    let file = folder.write("conf", &text);
    let file = file.to_str().unwrap();
    let test = || firehose(&["serve", "--shards", "1", "-c", file, "--test-config"]);
    let before = test();
    assert_eq!((before.code, &*before.stderr), (Some(0), ""));
    for path in [&log, &pid, &unix] {
        assert!(!path.exists(), "{}", path.display());
    }
    let check = || firehose(&["check", "--shards", "1", "-c", file]);
    let found = check();
    assert!(found.stdout.contains("is free"), "{}", found.stdout);
    let mut broker = Running(
        Command::new(env!("CARGO_BIN_EXE_firehose"))
            .args(["serve", "--shards", "1", "-c", file])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let child = &mut broker.0;
    let output = support::lines(child.stdout.take().unwrap());
    assert!(output.recv_timeout(PATIENCE).unwrap().contains(" ready: "));
    let during = test();
    let wanted = format!("listens there (pid {})", child.id());
    assert_eq!(during.code, Some(0), "{}", during.stderr);
    assert!(during.stderr.contains(&wanted), "{}", during.stderr);
    let found = check();
    assert!(matches!(found.code, Some(0 | 1)), "{}", found.stdout);
    let wanted = format!("by this broker (pid {})", child.id());
    assert!(found.stdout.contains(&wanted), "{}", found.stdout);
    // What the broker holds is as it was.
    assert_eq!(
        std::fs::read_to_string(&pid).unwrap(),
        format!("{}\n", child.id())
    );
    assert!(std::os::unix::net::UnixStream::connect(&unix).is_ok());
    // The broker of another file is a stranger.
    let other = text.replace("pid_file", "# pid_file");
    let other = folder.write("other", &other);
    let other = other.to_str().unwrap();
    let stranger = firehose(&["serve", "--shards", "1", "-c", other, "--test-config"]);
    assert_eq!(stranger.code, Some(3), "{}", stranger.stderr);
    let found = firehose(&["check", "--shards", "1", "-c", other]);
    assert_eq!(found.code, Some(3), "{}", found.stdout);
}

cases![
    started_as_root_it_becomes_an_ordinary_user,
    a_broker_that_is_told_to_stay_root_says_so,
    a_user_that_does_not_exist_is_named,
    who_is_not_root_stays_who_he_is,
    what_a_reload_may_not_read_any_more_stays_as_it_was,
    an_empty_file_at_a_reload_is_refused,
    a_limit_below_the_least_is_the_least,
    the_ready_line_names_what_each_listener_speaks,
    a_test_of_the_configuration_fails_as_the_start_does,
    check_takes_the_options_of_a_start,
    what_a_terminal_would_obey_is_escaped,
    check_warns_of_what_a_configuration_lacks,
    files_that_only_root_may_read_are_warned_of,
    two_listeners_in_each_others_way_are_named_by_their_lines,
    a_folder_that_is_missing_is_named_with_its_cure,
    a_relative_path_is_shown_with_its_folder,
    a_test_of_a_configuration_that_is_in_use_succeeds,
];
