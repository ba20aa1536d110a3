//! SIGHUP: what clients see before and after, and that a faulty file changes nothing.

#[path = "access/wire.rs"]
mod wire;

mod support;

use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use support::{Folder, Server, free_port};
use wire::{Who, Wire};

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().into()).collect()
}

fn server(shards: u32, text: &str) -> Server {
    Server::start(&support::program(shards), &lines(text))
}

/// A line of a password file.
fn password(user: &str, password: &str) -> String {
    let folder = Folder::new("reload");
    let path = folder.0.join("passwords");
    let status = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["passwd", "-c", "-b"])
        .arg(&path)
        .args([user, password])
        .status()
        .unwrap();
    assert!(status.success());
    let text = std::fs::read_to_string(&path).unwrap();
    format!("password: {}", text.trim())
}

fn who(id: &str, user: Option<&str>, password: Option<&str>) -> Who {
    Who {
        password: password.map(String::from),
        ..Who::new(id, user)
    }
}

fn let_in(to: SocketAddr, who: &Who) -> Wire {
    let (wire, code) = Wire::connect(to, 5, who);
    assert_eq!(code, 0, "{who:?}");
    wire
}

/// Which of these topics a client is sent.
fn seen(reader: &mut Wire, writer: &mut Wire, topics: &[&str]) -> Vec<String> {
    let mut all: Vec<String> = topics.iter().map(|topic| topic.to_string()).collect();
    all.push("end".into());
    let allowed = writer.publish(&all, &mut Vec::new());
    assert!(allowed.iter().all(|is_allowed| *is_allowed));
    reader.topics_until("end")
}

const TOPICS: [&str; 3] = ["open/a", "secret/a", "of/reader"];

#[test]
fn rules_change_for_those_who_are_connected() {
    for shards in [1, 2] {
        let rules = |reader: &str| {
            lines(&format!(
                "{reader}\nacl: topic read end\nacl: user writer\nacl: topic readwrite #"
            ))
        };
        let server = Server::start(&support::program(shards), &rules("acl: topic read open/#"));
        let mut reader = let_in(server.address(), &Who::new("reader", None));
        let mut writer = let_in(server.address(), &Who::new("writer", Some("writer")));
        assert_eq!(reader.subscribe("#"), 0);
        assert_eq!(seen(&mut reader, &mut writer, &TOPICS), ["open/a"]);

        let table: [(&str, &[&str]); 5] = [
            ("acl: topic read secret/#", &["secret/a"]),
            (
                "acl: topic read #\nacl: topic deny secret/#",
                &["open/a", "of/reader"],
            ),
            ("acl: pattern read of/%c", &["of/reader"]),
            ("acl: topic read none", &[]),
            ("acl: topic read #", &TOPICS),
        ];
        for (rule, expected) in table {
            let log = server.reconfigure(&rules(rule));
            assert!(log.contains("has other ACL."), "{log}");
            assert_eq!(seen(&mut reader, &mut writer, &TOPICS), expected, "{rule}");
        }
        // Without a file everything is allowed, and with one again what it says.
        server.reconfigure(&[]);
        assert_eq!(seen(&mut reader, &mut writer, &TOPICS), TOPICS);
        server.reconfigure(&rules("acl: topic read open/#"));
        assert_eq!(seen(&mut reader, &mut writer, &TOPICS), ["open/a"]);
        let denied = reader.publish(&["x".into()], &mut Vec::new());
        assert_eq!(denied, [false]);
    }
}

#[test]
fn users_come_and_go() {
    let (anna, ben, carl) = (
        password("anna", "a"),
        password("ben", "b"),
        password("carl", "c"),
    );
    let both = [anna.clone(), ben.clone()];
    let server = Server::start(&support::program(2), &both);
    let mut a = let_in(server.address(), &who("a", Some("anna"), Some("a")));
    let mut b = let_in(server.address(), &who("b", Some("ben"), Some("b")));
    let mut nobody = let_in(server.address(), &Who::new("n", None));
    let (_, code) = Wire::connect(server.address(), 5, &who("c", Some("carl"), Some("c")));
    assert_eq!(code, 0x87);

    // ben is gone, carl is new, and nobody comes in without a name.
    let log = server.reconfigure(&[anna.clone(), carl, "allow_anonymous false".into()]);
    assert!(log.contains("has been read again"), "{log}");
    let goodbye = b.packet();
    assert_eq!((goodbye[0], goodbye[2]), (0xe0, 0x87));
    assert!(b.is_closed());
    assert_eq!(nobody.packet()[2], 0x87);
    assert_eq!(a.publish(&["x".into()], &mut Vec::new()), [true]);
    let_in(server.address(), &who("c", Some("carl"), Some("c")));
    let (_, code) = Wire::connect(server.address(), 5, &who("b", Some("ben"), Some("b")));
    assert_eq!(code, 0x87);

    // Another password is another user, as far as can be told.
    server.reconfigure(&[password("anna", "other")]);
    assert_eq!(a.packet()[2], 0x87);
    let_in(server.address(), &who("a", Some("anna"), Some("other")));
}

#[test]
fn a_faulty_file_changes_nothing() {
    let anna = password("anna", "a");
    let server = Server::start(
        &support::program(2),
        &[anna.clone(), "allow_anonymous false".into()],
    );
    let mut a = let_in(server.address(), &who("a", Some("anna"), Some("a")));
    for fault in [
        "no_such_option 1",
        "acl: user",
        "password_file /nonexistent/users",
        "certfile /nowhere/x.crt",
        "acl_file /nowhere/acl",
        "max_inflight_messages many",
    ] {
        let config = ["allow_anonymous true".to_string(), fault.into()];
        let log = server.reconfigure(&config);
        assert!(log.contains("stays as it was: "), "{fault}: {log}");
        assert_eq!(a.publish(&["x".into()], &mut Vec::new()), [true], "{fault}");
        let (_, code) = Wire::connect(server.address(), 5, &Who::new("n", None));
        assert_eq!(code, 0x87, "{fault}");
    }
}

#[test]
fn listeners_come_and_go() {
    for shards in [1, 2] {
        let server = server(shards, "");
        let (port, taken) = (free_port(), free_port());
        let other = SocketAddr::from(([127, 0, 0, 1], port));
        let more = |port: u16| {
            let lines =
                format!("listener {port} 127.0.0.1\nallow_anonymous true\nmax_connections 3");
            lines.lines().map(String::from).collect::<Vec<_>>()
        };
        let mut here = let_in(server.address(), &Who::new("here", None));
        assert_eq!(here.subscribe("t"), 0);
        for round in 0..3 {
            assert!(TcpStream::connect(other).is_err());
            let log = server.reconfigure(&more(port));
            assert!(log.contains("is opened"), "{log}");
            let mut there: Vec<Wire> = (0..3)
                .map(|index| let_in(other, &Who::new(&format!("there{index}"), None)))
                .collect();
            assert_eq!(there[0].publish(&["t".into()], &mut Vec::new()), [true]);
            assert_eq!(here.topics_until("t"), [""; 0], "{round}");
            let log = server.reconfigure(&[]);
            assert!(log.contains("is closed"), "{log}");
            for wire in &mut there {
                assert_eq!(wire.packet()[2], 0x98);
                assert!(wire.is_closed());
            }
            // The kernel lets go of the socket when the accepts are undone.
            for _ in 0..200 {
                if TcpStream::connect(other).is_err() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
        let log = server.reconfigure(&[more(port), more(port)].concat());
        assert!(log.contains("stays as it was: "), "{log}");
        let somebody = std::net::TcpListener::bind(("127.0.0.1", taken)).unwrap();
        let log = server.reconfigure(&more(taken));
        assert!(log.contains("stays as it was: cannot listen"), "{log}");
        drop(somebody);
        assert_eq!(here.publish(&["x".into()], &mut Vec::new()), [true]);
    }
}

#[test]
fn settings_of_the_broker_change_and_others_ask_for_a_restart() {
    let server = server(2, "message_size_limit 0");
    let mut client = let_in(server.address(), &Who::new("c", None));
    assert_eq!(client.publish(&["x".into()], &mut Vec::new()), [true]);
    let log = server.reconfigure(&lines(
        "max_keepalive 30\npid_file /nowhere/pid\nsys_interval 3",
    ));
    assert!(
        log.contains("Takes effect with a restart: pid_file, sys_interval."),
        "{log}"
    );
    // What counts is what runs, not what was read last.
    let log = server.reconfigure(&lines("max_keepalive 30\nsys_interval 3"));
    assert!(
        log.contains("Takes effect with a restart: sys_interval."),
        "{log}"
    );
    let log = server.reconfigure(&lines("max_keepalive 30\nsys_interval 3"));
    assert!(
        log.contains("Takes effect with a restart: sys_interval."),
        "{log}"
    );
    let log = server.reconfigure(&lines("max_keepalive 30"));
    assert!(!log.contains("with a restart"), "{log}");
    let log = server.reconfigure(&lines("max_keepalive 30\nmount_point there/"));
    assert!(log.contains("restart: mount_point of 127.0.0.1:"), "{log}");
    let (mut wire, code) = Wire::connect(server.address(), 5, &Who::new("k", None));
    assert_eq!(code, 0);
    assert_eq!(wire.publish(&["x".into()], &mut Vec::new()), [true]);
    let (_, code) = Wire::connect(server.address(), 4, &Who::new("k3", None));
    assert_eq!(code, 0, "a keep alive of 60 is bounded in MQTT 5 only");
}

/// An editor, or whoever writes with `>`, empties a file first.
#[test]
fn a_file_that_is_being_written_keeps_its_content() {
    let folder = Folder::new("reload");
    let line = password("anna", "a");
    let users = folder.write("users", line.strip_prefix("password: ").unwrap());
    let rules = "user anna\ntopic readwrite open\n";
    let acl = folder.write("rules", rules);
    let config = lines(&format!(
        "password_file {}\nacl_file {}",
        users.display(),
        acl.display()
    ));
    let server = Server::start(&support::program(2), &config);
    let anna = who("a", Some("anna"), Some("a"));
    let mut client = let_in(server.address(), &anna);
    for text in ["", "\n", " \t\r\n\n", "\u{feff}"] {
        for path in [&users, &acl] {
            let before = std::fs::read(path).unwrap();
            std::fs::write(path, text).unwrap();
            // Twice: what is kept is kept again.
            for _ in 0..2 {
                let log = server.reconfigure(&config);
                let wanted = format!("{} is empty", path.display());
                assert!(log.contains(&wanted), "{text:?} {log}");
                assert!(log.contains("stays in force"), "{text:?} {log}");
                assert!(log.contains("read again and holds"), "{text:?} {log}");
            }
            let topics = ["open".into(), "closed".into()];
            assert_eq!(client.publish(&topics, &mut Vec::new()), [true, false]);
            let_in(server.address(), &who("b", Some("anna"), Some("a")));
            std::fs::write(path, before).unwrap();
        }
    }
    // Whoever writes a comment means it.
    folder.write("rules", "# nobody may do anything\n");
    let log = server.reconfigure(&config);
    assert!(!log.contains("stays in force"), "{log}");
    assert_eq!(client.publish(&["open".into()], &mut Vec::new()), [false]);
    folder.write("rules", rules);
    folder.write("users", "# nobody\n");
    let log = server.reconfigure(&config);
    assert!(!log.contains("stays in force"), "{log}");
    assert_eq!(client.packet()[2], 0x87);
}

/// At a start there is nothing to keep: an empty file grants nothing, then and at each reload.
#[test]
fn a_file_that_was_empty_from_the_start_may_stay_so() {
    let folder = Folder::new("reload");
    let acl = folder.write("rules", "");
    let config = lines(&format!("acl_file {}", acl.display()));
    let server = Server::start(&support::program(1), &config);
    let mut client = let_in(server.address(), &Who::new("c", None));
    assert_eq!(client.publish(&["open".into()], &mut Vec::new()), [false]);
    let log = server.reconfigure(&config);
    assert!(!log.contains("is empty"), "{log}");
    folder.write("rules", "topic readwrite open\n");
    let log = server.reconfigure(&config);
    assert!(!log.contains("is empty"), "{log}");
    assert_eq!(client.publish(&["open".into()], &mut Vec::new()), [true]);
}

/// A file of `include_dir` that is empty for a moment must not close its listeners.
#[test]
fn an_included_file_that_is_being_written_refuses_the_reload() {
    let folder = Folder::new("reload");
    let port = free_port();
    let more = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    std::fs::create_dir(folder.0.join("more")).unwrap();
    let file = folder.write("more/a.conf", &more);
    let config = lines(&format!(
        "per_listener_settings true\ninclude_dir {}",
        folder.0.join("more").display()
    ));
    let server = Server::start(&support::program(2), &config);
    let there = SocketAddr::from(([127, 0, 0, 1], port));
    let mut client = let_in(there, &Who::new("c", None));
    for text in ["", " \n"] {
        std::fs::write(&file, text).unwrap();
        let log = server.reconfigure(&config);
        let wanted = format!("{} is empty", file.display());
        assert!(log.contains("stays as it was: "), "{log}");
        assert!(log.contains(&wanted), "{log}");
        assert_eq!(client.publish(&["x".into()], &mut Vec::new()), [true]);
    }
    std::fs::write(&file, "# closed\n").unwrap();
    let log = server.reconfigure(&config);
    assert!(log.contains("is closed"), "{log}");
    assert_eq!(client.packet()[2], 0x98);
}
