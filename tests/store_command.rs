//! `firehose store` from outside, on stores that the storage thread has written: what it says of sound and damaged ones, what it
//! makes of them, and that it leaves them as they are.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Command;

use firehose::journal::{MessageText, Record, Stream, SubscriptionText};
use firehose::limits::JOURNAL_CHUNK_BYTES;
use firehose::mosquitto_db::Database;
use firehose::mqtt::QoS;
use firehose::routing::EntryOptions;
use firehose::storage::{self, Fill, Recovered, segment_name};
use serde_json::Value;
use support::client::Client;
use support::{Finished, Folder, Program, Server, broker_user, is_root, run};

/// See `src/mosquitto_db/tests.rs`.
const GOLDEN: &[u8] = include_bytes!("../src/mosquitto_db/tests/2.0.11.db");

fn store(arguments: &[&str]) -> Finished {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    run(command.arg("store").args(arguments))
}

fn says(done: &Finished, code: i32, parts: &[&str]) {
    let text = format!("{}{}", done.stdout, done.stderr);
    assert_eq!(done.code, Some(code), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A directory with a store in which each shard has sessions and retained messages, a turn in each chunk.
struct Store {
    folder: Folder,
    /// Where each chunk lies: shard, number, segment and byte.
    chunks: Vec<(u8, u64, (u32, u64))>,
}

const SHARDS: u8 = 2;
const SESSIONS: u32 = 30;

fn begin(folder: &Folder) -> Fill {
    let read = storage::read(&folder.0, &mut |_| {}, &mut |_| ControlFlow::Continue(())).unwrap();
    read.fill(SHARDS).unwrap()
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> MessageText<'a> {
    MessageText {
        topic,
        payload,
        properties: &[],
        qos: QoS::AtLeastOnce,
        retain: true,
        expires_at: None,
        origin: 0,
        author: None,
    }
}

/// One turn of a shard: a session with a subscription, and a retained message.
fn turn(stream: &mut Stream, shard: u8, number: u32) {
    let client_id = format!("client-{shard}-{number}");
    let topic = format!("topic/{shard}/{number}");
    let records = [
        Record::Opened {
            session: number,
            serial: u64::from(number) + 1,
            client_id: &client_id,
        },
        Record::ExpirySet {
            session: number,
            seconds: 3600,
        },
        Record::Subscribed {
            session: number,
            to: SubscriptionText {
                share: None,
                filter: "topic/#",
            },
            options: EntryOptions::with_qos(QoS::AtLeastOnce),
        },
        Record::Message {
            number: u64::from(number),
            message: message(&topic, b"hello"),
        },
        Record::RetainedStored {
            number: u64::from(number),
        },
        Record::TurnEnded,
    ];
    records.iter().for_each(|record| stream.append(record));
    stream.end_turn();
}

fn push(fill: &mut Fill, stream: &mut Stream, shard: u8) {
    while let Some((chunk, _)) = stream.next_chunk() {
        fill.push(shard, chunk.content()).unwrap();
    }
}

impl Store {
    fn new(name: &str) -> Store {
        let folder = Folder::new(name);
        let mut fill = begin(&folder);
        let mut streams = [Stream::default(), Stream::default()];
        for number in 0..SESSIONS {
            for (shard, stream) in (0..).zip(&mut streams) {
                turn(stream, shard, number);
                push(&mut fill, stream, shard);
            }
            fill.put_in_force().unwrap();
        }
        fill.finish().unwrap();
        let mut store = Store {
            folder,
            chunks: Vec::new(),
        };
        store.chunks = store.look();
        store
    }

    fn look(&self) -> Vec<(u8, u64, (u32, u64))> {
        let looked = storage::look(&self.folder.0, &mut |view| {
            let mut chunks = Vec::new();
            let give = &mut |chunk: Recovered<'_>| {
                chunks.push((chunk.stream, chunk.sequence, chunk.place));
            };
            view.read(give)?;
            Ok(chunks)
        });
        looked.unwrap()
    }

    fn dir(&self) -> &str {
        text(&self.folder.0)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.0.join("firehose").join(name)
    }

    fn place_of(&self, shard: u8, number: u64) -> (u32, u64) {
        let mut chunks = self.chunks.iter();
        let is_it = |chunk: &&(u8, u64, _)| (chunk.0, chunk.1) == (shard, number);
        chunks.find(is_it).unwrap().2
    }

    fn change(&self, segment: u32, change: impl FnOnce(&mut Vec<u8>)) {
        let path = self.file(&segment_name(segment));
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
    }

    /// All files with what is in them.
    fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let entries = fs::read_dir(self.file("")).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        paths
            .map(|path| (path.clone(), fs::read(&path).unwrap()))
            .collect()
    }
}

fn json(done: &Finished) -> Value {
    serde_json::from_str(&done.stdout)
        .unwrap_or_else(|e| panic!("{e}: {}{}", done.stdout, done.stderr))
}

fn starts(dir: &Path) -> u64 {
    storage::read(dir, &mut |_| {}, &mut |_| ControlFlow::Continue(()))
        .unwrap()
        .outcome
        .blocks
}

#[test]
fn each_command_explains_itself() {
    says(
        &store(&["--help"]),
        0,
        &["Exit codes:", "Examples:", "persistence_location"],
    );
    for command in [
        "stats", "dump", "check", "repair", "backup", "export", "import",
    ] {
        says(&store(&[command, "--help"]), 0, &["Exit codes:", "DIR"]);
        says(&store(&[command]), 2, &["Usage"]);
    }
    let topic = store(&["dump", "/nonexistent", "--topic", "a/#/b"]);
    says(&topic, 3, &["no topic filter"]);
}

#[test]
fn where_there_is_no_store_that_is_said() {
    let folder = Folder::new("store-absent");
    let dir = text(&folder.0);
    for arguments in [
        &["stats", dir][..],
        &["dump", dir],
        &["check", dir],
        &["repair", dir, "/nonexistent/new"],
        &["backup", dir, "/nonexistent/new"],
        &["export", "--mosquitto", dir, "/nonexistent/file"],
    ] {
        let done = store(arguments);
        says(
            &done,
            3,
            &["there is no store in", dir, "persistence_location"],
        );
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
    }
    assert_eq!(
        fs::read_dir(&folder.0).unwrap().count(),
        0,
        "nothing is made"
    );
}

#[test]
fn a_sound_store_is_told_and_left_as_it_is() {
    let sound = Store::new("store-sound");
    let dir = sound.dir();
    let before = sound.files();
    says(
        &store(&["check", dir]),
        0,
        &["sound", "60 sessions and 60 retained"],
    );
    let check = json(&store(&["check", dir, "--json"]));
    assert_eq!(
        (&check["verdict"], &check["wrong"]),
        (&"sound".into(), &Value::Array(vec![]))
    );
    says(
        &store(&["stats", dir]),
        0,
        &["1, ended in order", "60", "shard"],
    );
    let stats = json(&store(&["stats", dir, "--json"]));
    assert_eq!(stats["total"]["sessions"], 60);
    assert_eq!(stats["shards"][1]["retained"], 30);
    assert_eq!(stats["run"]["ended"], true);

    let dump = store(&["dump", dir]);
    says(
        &dump,
        0,
        &["session \"client-0-0\" shard 0 expires after 3600 s connected"],
    );
    says(
        &dump,
        0,
        &[
            "  subscribed \"topic/#\" QoS 1",
            "retained \"topic/1/29\" QoS 1 retain 5 bytes \"hello\"",
        ],
    );
    assert_eq!(store(&["dump", dir]).stdout, dump.stdout);
    let one = store(&["dump", dir, "--client", "client-1-7", "--json"]);
    assert_eq!(
        (json(&one)["client_id"].as_str(), one.stdout.lines().count()),
        (Some("client-1-7"), 1)
    );
    let one = store(&["dump", dir, "--topic", "topic/+/3", "--json"]);
    let nobody = store(&["dump", dir, "--client", "nobody"]);
    says(&nobody, 1, &["there is no session of \"nobody\""]);
    let nothing = store(&["dump", dir, "--topic", "none/#"]);
    says(&nothing, 1, &["there is no message", "\"none/#\""]);
    let topics: Vec<Value> = one
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let topics: Vec<&str> = topics
        .iter()
        .map(|line| line["topic"].as_str().unwrap())
        .collect();
    assert_eq!(topics, ["topic/0/3", "topic/1/3"]);
    let records = store(&["dump", dir, "--records"]);
    says(
        &records,
        0,
        &["00000001.log:4096 shard 0 Opened session 0 serial 1 client_id \"client-0-0\""],
    );
    assert_eq!(records.stdout.lines().count(), 360);
    let records = store(&["dump", dir, "--records", "--json"]);
    let first: Value = serde_json::from_str(records.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&first["record"], &first["byte"]),
        (&"Opened".into(), &4096.into())
    );
    assert_eq!(sound.files(), before);

    // The folder itself is not what is asked for.
    let inner = sound.file("");
    says(
        &store(&["check", text(&inner)]),
        3,
        &["the directory above it is meant"],
    );
}

#[test]
fn what_a_crash_has_cut_off_is_no_damage() {
    let torn = Store::new("store-torn");
    let last = torn.chunks.len() as u64 / 2 - 1;
    let (segment, byte) = torn.place_of(1, last);
    // Its block is cut in the midst, and what came behind it never was.
    torn.change(segment, |bytes| bytes[byte as usize + 70..].fill(0));
    let place = segment_name(segment);
    says(
        &store(&["check", torn.dir()]),
        1,
        &[
            "cut off by a crash",
            &place,
            &byte.to_string(),
            "nothing to do",
        ],
    );
    says(&store(&["stats", torn.dir()]), 0, &["not ended", "cut off"]);
    let new = torn.folder.0.join("new");
    says(
        &store(&["repair", torn.dir(), text(&new)]),
        0,
        &["nothing is lost"],
    );
    says(&store(&["check", text(&new)]), 0, &["59 retained"]);
    assert!(starts(&torn.folder.0) > 0 && starts(&new) > 0);
}

#[test]
fn a_bit_that_has_changed_is_named_and_gone_around() {
    let bad = Store::new("store-bit");
    let (segment, byte) = bad.place_of(1, 10);
    bad.change(segment, |bytes| bytes[byte as usize + 80] ^= 1);
    let before = bad.files();
    let place = format!("{} at byte {byte}", segment_name(segment));
    let lost = "shard 1: 19 chunks";
    says(
        &store(&["check", bad.dir()]),
        2,
        &["damaged", &place, lost, "firehose store repair"],
    );
    let check = json(&store(&["check", bad.dir(), "--json"]));
    assert_eq!(check["wrong"][0]["byte"], byte);
    assert_eq!(check["lost"][0]["shard"], 1);
    for command in ["stats", "dump"] {
        says(
            &store(&[command, bad.dir()]),
            3,
            &["is damaged at byte", "firehose store check"],
        );
    }
    let copy = bad.folder.0.join("copy");
    says(
        &store(&["backup", bad.dir(), text(&copy)]),
        3,
        &["is damaged at byte"],
    );
    assert!(!copy.join("firehose").exists());

    let new = bad.folder.0.join("new");
    let names = ["\"client-1-12\"", "\"topic/1/29\""];
    // Of the damaged chunk nothing is known, nor where a record begins in the one behind it.
    let unknown = "that are missing: 1, that cannot be read: 1; whom those were about is not known";
    let said = [&place[..], lost, "40 sessions", names[0], names[1], unknown];
    says(&store(&["repair", bad.dir(), text(&new)]), 1, &said);
    assert_eq!(bad.files(), before, "the old one stays as it is");
    says(
        &store(&["check", text(&new)]),
        0,
        &["40 sessions and 40 retained"],
    );
    let dump = store(&["dump", text(&new)]).stdout;
    assert!(
        dump.contains("client-0-29")
            && dump.contains("client-1-9")
            && !dump.contains("client-1-10")
    );
    assert!(starts(&new) > 0);
    says(
        &store(&["repair", bad.dir(), text(&new)]),
        3,
        &["has a store already"],
    );
}

#[test]
fn files_that_are_missing_foreign_or_renamed_are_named() {
    let bad = Store::new("store-files");
    let other = Store::new("store-other");
    let name = segment_name(1);
    let good = fs::read(bad.file(&name)).unwrap();
    let check = || store(&["check", bad.dir()]);
    let unread = bad.folder.0.join("unread");
    let repair = || store(&["repair", bad.dir(), text(&unread)]);

    fs::copy(other.file(&name), bad.file(&name)).unwrap();
    says(
        &check(),
        2,
        &[
            "00000001.log is of another store",
            "00000001.log is missing",
        ],
    );
    says(&repair(), 3, &["the beginning of run 1 is not there"]);
    fs::remove_file(bad.file(&name)).unwrap();
    says(&check(), 2, &["00000001.log is missing"]);
    assert!(!unread.exists());
    fs::write(bad.file("00000077.log"), &good).unwrap();
    says(&check(), 2, &["00000077.log was 00000001.log before"]);
    let renamed = bad.folder.0.join("renamed");
    says(
        &store(&["repair", bad.dir(), text(&renamed)]),
        1,
        &["60 sessions"],
    );
    fs::remove_file(bad.file("00000077.log")).unwrap();
    fs::write(bad.file(&name), &good[..10_000]).unwrap();
    says(&check(), 2, &["00000001.log at byte 8192"]);
    fs::write(bad.file(&name), &good).unwrap();
    says(&check(), 0, &["sound"]);

    let of_store = fs::read(bad.file("STORE")).unwrap();
    for (bytes, said) in [
        (&b"hello"[..], "not a file of firehose"),
        (&of_store[..40], "its checksum is wrong"),
    ] {
        fs::write(bad.file("STORE"), bytes).unwrap();
        says(&check(), 2, &[said, "60 sessions"]);
    }
    fs::remove_file(bad.file("STORE")).unwrap();
    says(&check(), 2, &["STORE is missing"]);
    let new = bad.folder.0.join("new");
    says(
        &store(&["repair", bad.dir(), text(&new)]),
        1,
        &["60 sessions"],
    );
    says(&store(&["check", text(&new)]), 0, &[]);
    says(
        &store(&["repair", bad.dir(), text(&unread), "--run", "9"]),
        3,
        &["has nothing of run 9", "[1]"],
    );

    // A wrong byte in the format is no newer firehose: it is mended.
    let mut rotten = of_store.clone();
    rotten[8] = 2;
    fs::write(bad.file("STORE"), rotten).unwrap();
    says(&check(), 2, &["its checksum is wrong"]);
    let mended = bad.folder.0.join("mended");
    says(
        &store(&["repair", bad.dir(), text(&mended)]),
        1,
        &["60 sessions"],
    );
    fs::write(bad.file("STORE"), &of_store).unwrap();
    support::seal_store_as(2, &bad.file("STORE"));
    says(
        &check(),
        3,
        &["has format 2, of a newer firehose", "start that version"],
    );
}

/// Shard 1 says all again in a checkpoint behind its tenth turn, up to its end or not. A chunk before that is damaged.
fn with_a_checkpoint(name: &str, is_whole: bool) -> Store {
    let folder = Folder::new(name);
    let mut fill = begin(&folder);
    let mut streams = [Stream::default(), Stream::default()];
    for number in 0..20 {
        for (shard, stream) in (0..).zip(&mut streams) {
            if (shard, number) == (1, 10) {
                stream.begin_part();
                stream.append(&Record::CheckpointBegun);
                for session in 0..10 {
                    stream.append(&Record::SessionAnew { session });
                    turn(stream, shard, session);
                    push(&mut fill, stream, shard);
                }
                if is_whole {
                    stream.append(&Record::CheckpointEnded);
                }
            }
            turn(stream, shard, number);
            push(&mut fill, stream, shard);
        }
        fill.put_in_force().unwrap();
    }
    fill.finish().unwrap();
    let mut store = Store {
        folder,
        chunks: Vec::new(),
    };
    store.chunks = store.look();
    let (segment, byte) = store.place_of(1, 5);
    store.change(segment, |bytes| bytes[byte as usize + 80] ^= 1);
    store
}

#[test]
fn a_checkpoint_behind_the_damage_says_all_again() {
    let bad = with_a_checkpoint("store-checkpoint", true);
    let again = "shard 1: what is missing before 00000001.log byte";
    says(&store(&["check", bad.dir()]), 2, &["40 sessions", again]);
    let check = json(&store(&["check", bad.dir(), "--json"]));
    assert_eq!(check["lost"].as_array().unwrap().len(), 0);
    let new = bad.folder.0.join("new");
    let repaired = store(&["repair", bad.dir(), text(&new)]);
    says(&repaired, 1, &[again, "40 sessions"]);
    let sound = "40 sessions and 40 retained";
    says(&store(&["check", text(&new)]), 0, &[sound]);
    assert!(starts(&new) > 0);
}

#[test]
fn a_checkpoint_that_is_not_all_there_is_not_trusted() {
    let bad = with_a_checkpoint("store-part", false);
    let new = bad.folder.0.join("new");
    let lost = ["shard 1: 24 chunks", "client-1-19", "topic/1/8"];
    says(&store(&["repair", bad.dir(), text(&new)]), 1, &lost);
    let sound = "25 sessions and 25 retained";
    says(&store(&["check", text(&new)]), 0, &[sound]);
}

/// A payload that fills chunks with what would be checkpoints if a record began there.
#[test]
fn a_payload_that_looks_like_a_checkpoint_is_none() {
    let folder = Folder::new("store-forged");
    let mut fill = begin(&folder);
    let mut stream = Stream::default();
    for number in 0..2 {
        turn(&mut stream, 1, number);
        push(&mut fill, &mut stream, 1);
    }
    let ends = [
        Record::CheckpointBegun,
        Record::CheckpointEnded,
        Record::TurnEnded,
    ];
    let mut forged = Stream::default();
    ends.iter().for_each(|record| forged.append(record));
    let forged = forged.next_chunk().unwrap().0.content().to_vec();
    // One more byte each time, so that some chunk begins with it.
    for number in 2..2 + forged.len() {
        let payload = [&vec![0; number][..], &forged.repeat(40_000)].concat();
        let number = number as u64;
        let message = message("forged", &payload);
        stream.append(&Record::Message { number, message });
        stream.append(&Record::RetainedStored { number });
        stream.append(&Record::TurnEnded);
        push(&mut fill, &mut stream, 1);
    }
    fill.finish().unwrap();
    let mut bad = Store {
        folder,
        chunks: Vec::new(),
    };
    bad.chunks = bad.look();
    // What begins otherwise is damaged, so that nothing behind a forged chunk says that it is none.
    let mut left = 0;
    bad.change(1, |bytes| {
        for &(_, number, (_, byte)) in &bad.chunks {
            let content = &bytes[byte as usize + 64..][..JOURNAL_CHUNK_BYTES];
            let mut records = content.chunks_exact(forged.len());
            match records.all(|records| records == forged) {
                true => left += 1,
                false => bytes[byte as usize + 80] ^= u8::from(number > 0),
            }
        }
    });
    assert!(left > 1, "{left}");
    let new = bad.folder.0.join("new");
    let repaired = store(&["repair", bad.dir(), text(&new)]);
    says(&repaired, 1, &["shard 1: ", " are lost", "1 sessions"]);
    assert!(
        !repaired.stdout.contains("said again"),
        "{}",
        repaired.stdout
    );
}

#[test]
fn a_record_that_cannot_be_is_found_and_cut_off() {
    let folder = Folder::new("store-record");
    let mut fill = begin(&folder);
    let (mut good, mut bad) = (Stream::default(), Stream::default());
    for number in 0..3 {
        turn(&mut good, 0, number);
        push(&mut fill, &mut good, 0);
        turn(&mut bad, 1, number);
        push(&mut fill, &mut bad, 1);
    }
    bad.append(&Record::Resumed { session: 77 });
    bad.append(&Record::TurnEnded);
    push(&mut fill, &mut bad, 1);
    turn(&mut good, 0, 3);
    push(&mut fill, &mut good, 0);
    fill.finish().unwrap();
    let dir = text(&folder.0);
    says(
        &store(&["check", dir]),
        2,
        &["chunk 3 of shard 1", "something of session 77"],
    );
    says(&store(&["dump", dir]), 3, &["something of session 77"]);
    let new = folder.0.join("new");
    says(
        &store(&["repair", dir, text(&new)]),
        1,
        &[
            "shard 1: all from",
            "7 sessions",
            "other sessions may have lost something of it too: their names are not there",
        ],
    );
    says(
        &store(&["check", text(&new)]),
        0,
        &["7 sessions and 7 retained"],
    );
}

#[test]
fn a_store_in_use_can_be_looked_at_and_copied() {
    let used = Store::new("store-used");
    let content = storage::read(&used.folder.0, &mut |_| {}, &mut |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    // Whoever has it writes the next run, which is not in force yet.
    let mut fill = content.fill(SHARDS).unwrap();
    let mut stream = Stream::default();
    turn(&mut stream, 0, 0);
    push(&mut fill, &mut stream, 0);
    let dir = used.dir();
    says(&store(&["check", dir]), 0, &["sound"]);
    let process = format!("process {}", std::process::id());
    says(&store(&["stats", dir]), 0, &[&process, "60"]);
    says(&store(&["dump", dir]), 0, &["client-1-29"]);
    let copy = used.folder.0.join("backup/today");
    says(&store(&["backup", dir, text(&copy)]), 3, &["backup"]);
    fs::create_dir(used.folder.0.join("backup")).unwrap();
    says(
        &store(&["backup", dir, text(&copy)]),
        0,
        &["60 sessions and 60 retained"],
    );
    says(
        &store(&["backup", dir, text(&copy)]),
        3,
        &["has a store already"],
    );
    says(&store(&["check", text(&copy)]), 0, &["sound"]);
    fill.finish().unwrap();
    says(&store(&["check", dir]), 0, &["run 2", "1 sessions"]);
    says(
        &store(&["check", text(&copy)]),
        0,
        &["run 1", "60 sessions"],
    );
    assert!(starts(&copy) > 0);
    let second = used.folder.0.join("second");
    let told = json(&store(&["backup", dir, text(&second), "--json"]));
    assert_eq!((&told["run"], &told["sessions"]), (&2.into(), &1.into()));
}

#[test]
fn a_backup_that_was_killed_is_in_nobodys_way() {
    let store_of = Store::new("store-killed");
    let to = store_of.folder.0.join("copy");
    let left = to.join("firehose.unfinished");
    fs::create_dir_all(&left).unwrap();
    fs::write(left.join("00000001.log"), "half").unwrap();
    let backup = || store(&["backup", store_of.dir(), text(&to)]);
    // That of a backup which is being made stays.
    let used = fs::File::open(&left).unwrap();
    rustix::fs::flock(&used, rustix::fs::FlockOperation::LockExclusive).unwrap();
    says(&backup(), 3, &["firehose.unfinished"]);
    assert!(left.join("00000001.log").exists());
    drop(used);
    says(&backup(), 0, &["60 sessions and 60 retained"]);
    assert!(!left.exists());
    says(&store(&["check", text(&to)]), 0, &["sound"]);
}

#[test]
fn names_and_payloads_move_nothing() {
    let folder = Folder::new("store-names");
    let mut fill = begin(&folder);
    let mut stream = Stream::default();
    let odd = "a\nretained \"x\" \u{202E}\u{1B}[31m";
    for (number, payload) in [(0, &b"\x1b[2J\n"[..]), (1, &[0xff, 0, 1])] {
        let topic = format!("{odd}{number}");
        stream.append(&Record::Message {
            number,
            message: message(&topic, payload),
        });
        stream.append(&Record::RetainedStored { number });
    }
    stream.append(&Record::TurnEnded);
    push(&mut fill, &mut stream, 0);
    fill.finish().unwrap();
    for arguments in [&["dump"][..], &["dump", "--json"], &["dump", "--records"]] {
        let done = store(&[arguments, &[text(&folder.0)]].concat());
        says(&done, 0, &["/wAB", "\\u001b[2J\\n", "a\\nretained"]);
        assert!(
            !done.stdout.contains(|c: char| c != '\n' && c.is_control()),
            "{}",
            done.stdout
        );
        assert!(!done.stdout.contains('\u{202E}'));
    }
    let dump = store(&["dump", "--json", text(&folder.0)]).stdout;
    let lines: Vec<Value> = dump
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["topic"].as_str(), Some(&*format!("{odd}0")));
    assert_eq!(lines[1]["payload_base64"], "/wAB");
}

#[test]
fn mosquittos_database_is_taken_and_given_back() {
    let folder = Folder::new("store-mosquitto");
    let dir = text(&folder.0);
    let golden = folder.0.join("golden.db");
    fs::write(&golden, GOLDEN).unwrap();
    let import = |more: &[&str]| store(&[&["import", dir, text(&golden)], more].concat());
    let done = import(&[]);
    assert!(
        matches!(done.code, Some(0 | 1)),
        "{}{}",
        done.stdout,
        done.stderr
    );
    says(&store(&["check", dir]), 0, &["sound"]);
    let dump = store(&["dump", dir]);
    says(
        &dump,
        0,
        &[
            "session ",
            "waits ",
            "in flight ",
            "retained ",
            "holds packet identifier",
            "on its way",
        ],
    );
    assert!(starts(&folder.0) > 0);
    assert_eq!(fs::read(&golden).unwrap(), GOLDEN);

    let back = folder.0.join("back.db");
    let export =
        |more: &[&str]| store(&[&["export", "--mosquitto", dir, text(&back)], more].concat());
    let done = export(&[]);
    assert!(
        matches!(done.code, Some(0 | 1)),
        "{}{}",
        done.stdout,
        done.stderr
    );
    says(&export(&[]), 3, &["is there already; --force"]);
    assert!(matches!(export(&["--force"]).code, Some(0 | 1)));
    let bytes = fs::read(&back).unwrap();
    let (was, is) = (
        Database::read(GOLDEN).unwrap(),
        Database::read(&bytes).unwrap(),
    );
    assert!(is.clients() > 0 && is.clients() <= was.clients());

    // What was exported and imported is the same.
    let again = Folder::new("store-mosquitto-again");
    let done = store(&["import", text(&again.0), text(&back)]);
    assert!(
        matches!(done.code, Some(0 | 1)),
        "{}{}",
        done.stdout,
        done.stderr
    );
    let sessions = |dir: &str| {
        let stats = json(&store(&["stats", dir, "--json"]));
        let names = ["waiting", "in_flight", "inbound", "retained", "in_transit"];
        names.map(|name| stats["total"][name].clone())
    };
    // Two were to be routed by a start of the first: they wait for three sessions, and one of them is retained.
    let (first, second) = (sessions(dir), sessions(text(&again.0)));
    let number = |value: &Value| value.as_u64().unwrap();
    assert_eq!(first[1..3], second[1..3]);
    assert_eq!(number(&first[0]) + 3, number(&second[0]));
    assert_eq!(number(&first[3]) + 1, number(&second[3]));
    assert_eq!((&first[4], &second[4]), (&2.into(), &0.into()));
    let dump = store(&["dump", text(&again.0), "--client", "late-311"]);
    says(&dump, 0, &["\"kept/in\"", "open retain"]);

    says(&import(&[]), 3, &["not empty", "--force"]);
    let done = import(&["--force"]);
    says(&done, done.code.unwrap(), &["firehose.1"]);
    says(&store(&["check", dir]), 0, &["sound"]);
}

#[test]
fn a_database_that_is_damaged_leaves_the_store_as_it_was() {
    let folder = Folder::new("store-import-bad");
    let dir = text(&folder.0);
    let file = folder.0.join("bad.db");
    fs::write(&file, &GOLDEN[..GOLDEN.len() - 3]).unwrap();
    says(
        &store(&["import", dir, text(&file)]),
        3,
        &["bad.db: byte", "nothing was written"],
    );
    fs::write(&file, "hello").unwrap();
    says(
        &store(&["import", dir, text(&file)]),
        3,
        &["no database of Mosquitto"],
    );
    assert!(!folder.0.join("firehose").exists());
    let bad = Store::new("store-import-full");
    fs::write(&file, GOLDEN).unwrap();
    let before = bad.files();
    says(
        &store(&["import", bad.dir(), text(&file)]),
        3,
        &["not empty"],
    );
    assert_eq!(bad.files(), before);
}

/// A broker that keeps what it has in this folder.
fn broker(folder: &Folder) -> Server {
    if is_root() {
        let (_, uid) = broker_user();
        let kept = folder.0.join("firehose");
        let files = fs::read_dir(&kept).into_iter().flatten();
        let files = files.map(|entry| entry.unwrap().path());
        for path in files.chain([kept].into_iter().filter(|kept| kept.exists())) {
            std::os::unix::fs::chown(path, Some(uid), None).unwrap();
        }
    }
    let location = format!("persistence_location {}", folder.0.display());
    let config = ["persistence true".to_owned(), location];
    Server::start(&Program::Firehose { shards: 2 }, &config)
}

fn publish(server: &Server, topic: &str, payload: &str) {
    let mut publisher = Client::connect(server.address(), 4, "publisher", true, None);
    publisher.publish(topic, payload.as_bytes(), true);
    assert_eq!(publisher.packet().unwrap()[0], 0x40, "PUBACK");
}

#[test]
fn a_broker_starts_with_a_backup_that_was_made_while_it_ran() {
    let folder = Folder::new("store-broker");
    let dir = text(&folder.0);
    let mut server = broker(&folder);
    let mut client = Client::connect(server.address(), 4, "durable", false, None);
    client.subscribe("a/#");
    drop(client);
    publish(&server, "a/1", "before");
    says(&store(&["check", dir]), 0, &["1 sessions and 1 retained"]);
    let process = format!("process {}", server.pid());
    says(&store(&["stats", dir]), 0, &[&process]);
    says(
        &store(&["dump", dir]),
        0,
        &[
            "session \"durable\"",
            "waits as QoS 1: \"a/1\"",
            "\"before\"",
        ],
    );
    says(
        &store(&["dump", dir, "--records"]),
        0,
        &["Subscribed", "RetainedStored"],
    );
    let import = store(&["import", dir, "/dev/null", "--force"]);
    says(&import, 3, &["no database of Mosquitto"]);
    let golden = folder.write("golden.db", "");
    fs::write(&golden, GOLDEN).unwrap();
    let import = store(&["import", dir, text(&golden), "--force"]);
    says(&import, 3, &["another process has this store"]);

    let copy = Folder::new("store-broker-copy");
    says(
        &store(&["backup", dir, text(&copy.0)]),
        0,
        &["1 sessions and 1 retained"],
    );
    publish(&server, "a/2", "behind");
    server.terminate();
    server.wait();
    says(&store(&["check", dir]), 0, &["2 retained"]);
    says(&store(&["stats", dir]), 0, &["ended in order"]);

    let restored = broker(&copy);
    let mut client = Client::connect(restored.address(), 4, "durable", false, None);
    let message = client.packet().unwrap();
    assert!(message.ends_with(b"before"), "{message:02x?}");
    client.acknowledge(&message);
    client.ping();
}

#[test]
fn a_broker_starts_with_mosquittos_database() {
    let folder = Folder::new("store-broker-import");
    let golden = folder.0.join("golden.db");
    fs::write(&golden, GOLDEN).unwrap();
    let done = store(&["import", text(&folder.0), text(&golden)]);
    assert!(matches!(done.code, Some(0 | 1)), "{}", done.stderr);
    let server = broker(&folder);
    let mut watcher = Client::connect(server.address(), 4, "watcher", true, None);
    watcher.subscribe("kept/#");
    let mut payloads: Vec<Vec<u8>> = (0..3).map(|_| watcher.packet().unwrap()).collect();
    payloads.sort();
    let ends: Vec<bool> = [&b"first"[..], b"open retained", b"second"]
        .iter()
        .map(|end| payloads.iter().any(|packet| packet.ends_with(end)))
        .collect();
    assert_eq!(ends, [true; 3], "{payloads:02x?}");
    let mut half = Client::connect(server.address(), 4, "half-1", false, None);
    let first = half.packet().unwrap();
    assert!(first.ends_with(b"to be acknowledged 1"), "{first:02x?}");
}
