//! `firehose check` on this host: its exit codes, with limits and ports as they should be and as they should not.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::net::TcpListener;
use std::process::{Command, Output};

use support::{Folder, free_port, needed};

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    let text = [stdout, stderr].concat();
    (status.code(), String::from_utf8(text).unwrap())
}

fn check(arguments: &[&str]) -> (Option<i32>, String) {
    run(Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("check")
        .args(arguments))
}

fn exit_codes_follow_what_is_found() {
    let folder = Folder::new("check");
    let port = free_port();
    let text = format!("listener {port} 127.0.0.1\nmax_connections 100\nallow_anonymous true\n");
    let file = folder.write("firehose.conf", &text);
    let file = file.to_str().unwrap();
    let (code, text) = check(&["-c", file, "--shards", "1"]);
    assert!(matches!(code, Some(0 | 1)), "{code:?} {text}");
    assert!(!text.contains('\x1b'), "no colour in a pipe");
    let (code, text) = check(&["-c", file, "--shards", "1", "--memory", "1K"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("1.0 KiB, too low: "), "{text}");
    let more = ["--memory", "64M", "--connections", "20000", "--json"];
    let (code, text) = check(&[&["-c", file, "--shards", "1"], &more[..]].concat());
    assert_eq!(code, Some(1), "{text}");
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    let memory = findings.as_array().unwrap().iter();
    let memory: Vec<_> = memory.filter(|f| f["id"] == "memory").collect();
    assert_eq!(memory[0]["severity"], "missing");

    let taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
    let (code, text) = check(&["-c", file, "--shards", "1"]);
    assert_eq!(code, Some(3), "{text}");
    drop(taken);

    let (code, _) = check(&["--shards", "0"]);
    assert_eq!(code, Some(2));
    let wrong = folder.write("wrong.conf", "max_connexions 7\n");
    let (code, text) = check(&["-c", wrong.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{text}");
}

/// Without a configuration the broker listens at two addresses.
fn each_listener_has_a_row_of_its_own() {
    let (_, text) = check(&["--shards", "1", "--json"]);
    let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rows = findings.as_array().unwrap().iter();
    let rows = rows.filter(|finding| finding["id"] == "listener");
    let wanted: Vec<&str> = rows.map(|row| row["wanted"].as_str().unwrap()).collect();
    assert_eq!(wanted, ["127.0.0.1:1883", "[::1]:1883"], "{text}");
}

/// The topic of their will has five levels, below the mount point.
fn a_bound_on_levels_that_keeps_bridges_out_is_told() {
    let folder = Folder::new("check");
    for (most, mount_point, wanted) in [(4, "", 5), (5, "", 0), (6, "a/b/", 7), (7, "a/b/", 0)] {
        let mount_point = match mount_point {
            "" => String::new(),
            topic => format!("mount_point {topic}\n"),
        };
        let port = free_port();
        let text = format!("max_topic_levels {most}\nlistener {port} 127.0.0.1\n{mount_point}");
        let file = folder.write("firehose.conf", &text);
        let (code, found) = check(&["-c", file.to_str().unwrap(), "--shards", "1"]);
        assert!(matches!(code, Some(0 | 1)), "{code:?} {found}");
        let row = found.lines().find(|line| line.contains("max_topic_levels"));
        let is_right = match wanted {
            0 => row.is_none(),
            levels => row.is_some_and(|row| row.contains(&format!("at least {levels} where"))),
        };
        assert!(is_right, "{text}{found}");
    }
}

fn limits_are_seen() {
    needed("prlimit");
    let folder = Folder::new("check");
    let text = format!("listener {} 127.0.0.1\n", free_port());
    let file = folder.write("firehose.conf", &text);
    let limited = |limit: &str| {
        run(Command::new("prlimit")
            .args([
                limit,
                env!("CARGO_BIN_EXE_firehose"),
                "check",
                "--shards",
                "1",
                "-c",
            ])
            .arg(&file))
    };
    let (code, text) = limited("--nofile=1024:1024");
    assert_eq!(code, Some(1), "{text}");
    let (code, text) = limited("--memlock=65536:65536");
    assert_eq!(code, Some(3), "{text}");
}

cases![
    exit_codes_follow_what_is_found,
    each_listener_has_a_row_of_its_own,
    a_bound_on_levels_that_keeps_bridges_out_is_told,
    limits_are_seen,
];
