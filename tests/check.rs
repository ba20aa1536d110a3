//! `firehose check` on this host: its exit codes, with limits and ports as they should be and as they should not.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::net::TcpListener;
use std::process::{Command, Output};

use support::{Folder, free_port, give, needed};

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

/// What lies there is as it was afterwards.
fn the_disk_of_the_store_is_looked_at() {
    let folder = Folder::new("check");
    let location = folder.0.join("state");
    let settings = format!(
        "listener {} 127.0.0.1\npersistence_location {}/\npersistence_sync interval 100\npersistence_max_size 256M\n",
        free_port(),
        location.display()
    );
    let rows = |settings: &str| {
        let file = folder.write("firehose.conf", settings);
        let file = file.to_str().unwrap();
        let (code, text) = check(&["-c", file, "--shards", "1", "--json"]);
        let findings: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = findings.as_array().unwrap().iter();
        let rows = rows.filter(|row| row["id"].as_str().unwrap().starts_with("store"));
        (code, rows.cloned().collect::<Vec<_>>())
    };
    assert_eq!(rows(&settings).1, [0; 0]);
    let settings = format!("persistence true\n{settings}");
    let (code, missing) = rows(&settings);
    assert!(matches!(code, Some(1 | 3)), "{code:?}");
    assert_eq!(missing.len(), 1, "{missing:?}");
    let found = missing[0]["found"].as_str().unwrap();
    assert!(found.contains("does not exist: create it"), "{found}");
    std::fs::create_dir(&location).unwrap();
    give(&location);
    let (code, all) = rows(&settings);
    assert!(matches!(code, Some(0 | 1)), "{code:?} {all:?}");
    let ids: Vec<_> = all.iter().map(|row| row["id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["store", "store.room", "store.file_system", "store.sync"]
    );
    assert_eq!(all[1]["wanted"], "256 MiB (persistence_max_size)");
    let promise = all[3]["wanted"].as_str().unwrap();
    assert!(promise.contains("loss of power"), "{promise}");
    assert!(!location.join(".firehose-trial").exists());
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
    the_disk_of_the_store_is_looked_at,
    limits_are_seen,
];
