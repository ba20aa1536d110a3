//! `persistence true` as users meet it: clients are away while the broker is killed, and find what they had; starts that are refused, and why;
//! Mosquitto's database.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use firehose::journal::{Legacy, MessageText, Record, Stream};
use firehose::mosquitto_db::Database;
use firehose::mqtt::QoS;
use support::client::Client;
use support::mqtt::{self, Connect, Version, Will};
use support::{Finished, Folder, PATIENCE, Program, Server, free_port, is_root, needed, run};

const ONE: Program = Program::Firehose { shards: 1 };

/// A start that was refused, for this.
fn refuses(done: &Finished, why: &[&str]) {
    assert_eq!(done.code, Some(3), "{}", done.stderr);
    for text in why {
        assert!(done.stderr.contains(text), "{text:?} in {:?}", done.stderr);
    }
    assert_eq!(done.stderr.trim_end().lines().count(), 1, "{}", done.stderr);
}

/// A broker with a store in a folder of its own.
struct Kept {
    server: Server,
    store: Folder,
}

impl Kept {
    fn new() -> Kept {
        let store = Folder::new("kept");
        let server = Server::start(&ONE, &lines(&store.0));
        Kept { server, store }
    }

    /// Kills it with SIGKILL, and starts it with so many shards.
    fn begin_again(&mut self, shards: u32) {
        self.server.kill();
        assert!(self.server.start_again(&Program::Firehose { shards }));
    }

    /// With so many messages that wait for a client: each was acknowledged before the next was sent. Killed.
    fn filled(messages: usize) -> Kept {
        let mut kept = Kept::new();
        let mut away = connect(&kept.server, "away");
        away.subscribe("t/#");
        away.disconnect();
        let mut publisher = Client::connect(kept.server.address(), 4, "publisher", true, None);
        for number in 0..messages {
            publisher.publish("t/1", format!("message {number}").as_bytes(), false);
            assert_eq!(publisher.packet().expect("PUBACK")[0], mqtt::PUBACK << 4);
        }
        kept.server.kill();
        kept
    }

    /// The file of the store that has most blocks, with their places in it.
    fn segment(&self) -> (PathBuf, Vec<u64>) {
        let files = fs::read_dir(self.store.0.join("firehose")).unwrap();
        let paths = files.map(|file| file.unwrap().path());
        let segments = paths.filter(|path| path.extension().is_some_and(|end| end == "log"));
        let blocks = segments.map(|path| {
            let bytes = fs::read(&path).unwrap();
            let pages = bytes.chunks(4096).enumerate();
            let blocks = pages.filter(|(_, page)| page.starts_with(b"FHBL"));
            let places = blocks.map(|(page, _)| page as u64 * 4096).collect();
            (path, places)
        });
        let most = blocks.max_by_key(|(_, places): &(PathBuf, Vec<u64>)| places.len());
        most.expect("a segment")
    }

    /// A start is refused: exit code 3, and a line that says why.
    fn is_refused(&self, why: &[&str]) {
        refuses(&self.start_elsewhere(&[]), why);
    }

    /// The same, and a trial of the configuration says so too.
    fn is_refused_and_said(&self, why: &[&str]) {
        self.is_refused(why);
        refuses(&self.start_elsewhere(&["--test-config"]), why);
    }

    /// Starts another broker with the same store, on another port.
    fn start_elsewhere(&self, more: &[&str]) -> Finished {
        let text = support::configuration(free_port(), &lines(&self.store.0));
        let folder = Folder::new("elsewhere");
        let conf = folder.write("conf", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        let command = command.args(["serve", "--shards", "1", "-c"]).arg(conf);
        run(command.args(more))
    }

    /// How many messages wait for the client. They are acknowledged.
    fn waiting(&self) -> usize {
        let mut away = connect(&self.server, "away");
        away.publish("t/1", b"end", false);
        let mut count = 0;
        loop {
            let packet = away.packet().expect("a message");
            if packet[0] >> 4 == mqtt::PUBACK {
                continue;
            }
            if packet.ends_with(b"end") {
                return count;
            }
            count += 1;
            away.acknowledge(&packet);
        }
    }
}

/// Acknowledgements of subscribers are kept back for a tenth of a second.
fn let_acknowledgements_be_kept() {
    std::thread::sleep(Duration::from_millis(500));
}

fn lines(store: &Path) -> Vec<String> {
    vec![
        "persistence true".into(),
        format!("persistence_location {}/", store.display()),
    ]
}

/// A client of MQTT 3.1.1 whose session stays.
fn connect(server: &Server, id: &str) -> Client {
    Client::connect(server.address(), 4, id, false, None)
}

/// Runs mosquitto_sub for a session that stays until so many messages have come, or a second has passed; what it printed.
fn mosquitto_sub(server: &Server, version: &str, messages: u32) -> Vec<String> {
    let port = server.port.to_string();
    let count = messages.max(1).to_string();
    let wait = if messages > 0 { "20" } else { "1" };
    let mut command = Command::new("mosquitto_sub");
    command.args(["-p", &port, "-i", "durable", "-c", "-q", "1", "-t", "t/#"]);
    command.args(["-V", version, "-F", "%t %p", "-C", &count, "-W", wait]);
    if version == "mqttv5" {
        command.args(["-x", "3600"]);
    }
    let done = run(&mut command);
    let lines = done.stdout.lines().map(String::from);
    lines.collect()
}

/// Subscribe, stop, publish, kill, start, and see.
fn mosquitto_sub_finds_what_was_published_before_a_kill() {
    support::mosquitto::clients_needed();
    for version in ["mqttv311", "mqttv5"] {
        let mut kept = Kept::new();
        assert!(mosquitto_sub(&kept.server, version, 0).is_empty());
        for text in ["one", "two"] {
            let arguments = ["-q", "1", "-t", "t/x", "-m", text];
            support::mosquitto::publish(&kept.server, "3.1.1", &arguments);
        }
        let arguments = ["-q", "1", "-r", "-t", "kept", "-m", "retained"];
        support::mosquitto::publish(&kept.server, "5", &arguments);
        kept.begin_again(2);
        let arguments = ["-q", "1", "-t", "t/y", "-m", "three"];
        support::mosquitto::publish(&kept.server, "3.1.1", &arguments);
        let found = mosquitto_sub(&kept.server, version, 3);
        assert_eq!(found, ["t/x one", "t/x two", "t/y three"], "{version}");
        let_acknowledgements_be_kept();
        kept.begin_again(3);
        assert!(mosquitto_sub(&kept.server, version, 0).is_empty());
        let mut command = Command::new("mosquitto_sub");
        let port = kept.server.port.to_string();
        command.args(["-p", &port, "-t", "#", "-C", "1", "-W", "20"]);
        assert_eq!(run(&mut command).stdout, "retained\n");
    }
}

/// A CONNECT of MQTT 5 with a will.
fn connect_with_will(server: &Server, delay_s: Option<u32>) -> std::net::TcpStream {
    let connect = Connect {
        version: Version::V5,
        id: "doomed",
        resumes: true,
        expiry_s: Some(600),
        will: Some(Will {
            topic: "w/doomed",
            payload: "gone",
            qos: 1,
            delay_s,
        }),
        ..Connect::default()
    };
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    std::io::Write::write_all(&mut stream, &connect.packet()).unwrap();
    let connack = mqtt::read_packet(&mut stream).unwrap().expect("CONNACK");
    assert_eq!((connack[0], connack[3]), (mqtt::CONNACK << 4, 0));
    stream
}

/// Its client is back at once, but was gone when the will was due, as that had no delay.
fn a_will_of_who_was_there_at_a_kill_is_published_whoever_comes_back() {
    for shards in [1, 2, 3] {
        let mut kept = Kept::new();
        let mut watcher = connect(&kept.server, "watcher");
        watcher.subscribe("w/#");
        let _doomed = connect_with_will(&kept.server, None);
        kept.begin_again(shards);
        let back = connect_with_will(&kept.server, None);
        let mut watcher = connect(&kept.server, "watcher");
        let will = watcher.packet().expect("the will");
        assert!(will.ends_with(b"gone"), "{will:02x?}");
        watcher.acknowledge(&will);
        // And it has another one now.
        drop(back);
        let will = watcher.packet().expect("the other will");
        assert!(will.ends_with(b"gone"), "{will:02x?}");
    }
}

/// A will with a delay waits over the end of the broker (MQTT-3.1.3-9), and comes when that has passed.
fn a_will_with_a_delay_waits_for_its_client_over_an_end_in_order() {
    let mut kept = Kept::new();
    let mut watcher = connect(&kept.server, "watcher");
    watcher.subscribe("w/#");
    let mut started = Instant::now();
    let mut end = |kept: &mut Kept| {
        started = Instant::now();
        kept.server.terminate();
        assert_eq!(kept.server.wait().and_then(|status| status.code()), Some(0));
        assert!(kept.server.start_again(&ONE));
        started
    };
    let _doomed = connect_with_will(&kept.server, Some(60));
    end(&mut kept);
    let mut watcher = connect(&kept.server, "watcher");
    watcher.ping(); // no will has come before
    let back = connect_with_will(&kept.server, Some(3));
    let since = end(&mut kept);
    drop(back);
    let mut watcher = connect(&kept.server, "watcher");
    let will = watcher.packet().expect("the will");
    assert!(will.ends_with(b"gone"), "{will:02x?}");
    assert!(since.elapsed() >= Duration::from_secs(3));
}

/// At any moment of a start: it ends, and what is kept is there at the next one.
fn sigterm_during_a_start_ends_it() {
    let mut kept = Kept::filled(300);
    for step in 0..16 {
        kept.server.launch_again(&ONE);
        std::thread::sleep(Duration::from_millis(step * 7));
        kept.server.terminate();
        let status = kept.server.wait().expect("its end");
        // Before it listens for signals it just ends.
        let is_right = status.code() == Some(0) || status.signal() == Some(15);
        assert!(is_right, "{status}: {}", kept.server.log());
    }
    assert!(kept.server.start_again(&ONE));
    assert_eq!(kept.waiting(), 300);
}

/// Whether a process catches SIGTERM by now.
fn catches_sigterm(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mut caught = status
        .lines()
        .filter_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught
        .next()
        .map(|mask| u64::from_str_radix(mask.trim(), 16));
    caught.is_some_and(|mask| mask.unwrap() >> (15 - 1) & 1 != 0)
}

fn sigterm_while_the_store_is_read_is_heard_at_once() {
    let mut kept = Kept::filled(300);
    let mut has_heard = false;
    // It may come when all is read, on a machine that has much to do.
    for _ in 0..20 {
        kept.server.launch_again(&ONE);
        while !catches_sigterm(kept.server.pid()) {
            std::thread::sleep(Duration::from_micros(100));
        }
        kept.server.terminate();
        let status = kept.server.wait().expect("its end");
        let log = kept.server.log();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("terminating: SIGTERM"), "{log}");
        has_heard = !log.contains(" ready: ") && log.contains("stays as it is");
        if has_heard {
            break;
        }
    }
    assert!(has_heard, "{}", kept.server.log());
    assert!(kept.server.start_again(&ONE));
    assert_eq!(kept.waiting(), 300);
}

fn a_store_has_one_broker() {
    let kept = Kept::new();
    let pid = format!(
        "another process has this store (process {})",
        kept.server.pid()
    );
    kept.is_refused(&[&pid, "LOCK"]);
    // Who removes the file has not made the store free.
    fs::remove_file(kept.store.0.join("firehose/LOCK")).unwrap();
    kept.is_refused(&[&pid, "LOCK"]);
    // Nor does the file say who has it, which the one that was refused has made.
    kept.is_refused(&[&pid, "LOCK"]);
    connect(&kept.server, "c").ping();
}

fn a_directory_that_may_not_be_written_to_is_refused() {
    let kept = Kept::filled(1);
    let location = &kept.store.0;
    let text = location.display().to_string();
    let set = |mode| fs::set_permissions(location, fs::Permissions::from_mode(mode)).unwrap();
    // What is there already may be all that is needed.
    fs::remove_dir_all(location.join("firehose")).unwrap();
    set(0o555);
    let whose = match is_root() {
        true => format!(
            "this is user {}, and {text} belongs to",
            support::broker_user().0
        ),
        false => format!(", and {text} belongs to"),
    };
    kept.is_refused(&[&text, "Permission denied", &whose, "has mode 0555"]);
    set(0o755);
    fs::remove_dir(location).unwrap();
    kept.is_refused(&[&text, "does not exist"]);
}

fn a_store_of_another_user_is_refused() {
    if !is_root() {
        support::cannot("it takes root to make a folder of another user");
    }
    let mut kept = Kept::filled(1);
    let folder = kept.store.0.join("firehose");
    let user = support::broker_user().1;
    chown(&folder, Some(0), Some(0)).unwrap();
    let whose = format!("{} belongs to root and has mode 0700", folder.display());
    kept.is_refused_and_said(&["Permission denied", &whose]);
    chown(&folder, Some(user), None).unwrap();
    assert!(kept.server.start_again(&ONE));
    assert_eq!(kept.waiting(), 1);
}

fn a_store_of_a_newer_firehose_is_refused() {
    let mut kept = Kept::filled(1);
    let path = kept.store.0.join("firehose/STORE");
    let before = fs::read(&path).unwrap();
    support::seal_store_as(7, &path);
    kept.is_refused_and_said(&["has format 7, of a newer firehose", "STORE"]);
    fs::write(&path, before).unwrap();
    assert!(kept.server.start_again(&ONE));
    assert_eq!(kept.waiting(), 1);
}

/// The start is refused, and says where; with the bit as it was all is there.
fn a_wrong_bit_in_the_middle_is_named() {
    let mut kept = Kept::filled(60);
    let (path, blocks) = kept.segment();
    let place = blocks[blocks.len() / 2];
    let file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&path)
        .unwrap();
    let mut byte = [0];
    let at = place + 70;
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 4], at).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let damaged = format!("{name} is damaged at byte {place}");
    kept.is_refused(&[&damaged, "firehose store check", "firehose store repair"]);
    file.write_all_at(&byte, at).unwrap();
    assert!(kept.server.start_again(&ONE));
    assert_eq!(kept.waiting(), 60);
}

/// What was being written when the power failed is cut off.
fn a_last_segment_that_was_cut_is_no_reason() {
    for inside in [false, true] {
        let mut kept = Kept::filled(60);
        let (path, blocks) = kept.segment();
        let last = *blocks.last().unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(last + if inside { 100 } else { 0 }).unwrap();
        assert!(kept.server.start_again(&ONE), "{}", kept.server.log());
        let waiting = kept.waiting();
        assert!((55..60).contains(&waiting), "{waiting} messages");
    }
}

/// A session with messages that wait, half an exchange, and what is retained: written by Mosquitto, found with the same configuration.
fn what_mosquitto_has_kept_is_there() {
    support::mosquitto::clients_needed();
    let mosquitto = Program::Mosquitto(needed("mosquitto"));
    for shards in [1, 3] {
        let store = Folder::new("kept");
        let mut server = Server::start(&mosquitto, &lines(&store.0));
        assert!(mosquitto_sub(&server, "mqttv5", 0).is_empty());
        for text in ["one", "two", "three"] {
            support::mosquitto::publish(&server, "5", &["-q", "2", "-t", "t/x", "-m", text]);
        }
        let arguments = ["-q", "1", "-r", "-t", "kept/1", "-m", "retained"];
        support::mosquitto::publish(&server, "3.1.1", &arguments);
        server.terminate();
        assert!(server.wait().is_some_and(|status| status.success()));
        let database = store.0.join("mosquitto.db");
        let before = fs::read(&database).expect("Mosquitto writes it at its end");
        assert!(server.start_again(&Program::Firehose { shards }));
        let found = mosquitto_sub(&server, "mqttv5", 3);
        assert_eq!(found, ["t/x one", "t/x two", "t/x three"]);
        let mut looks = Client::connect(server.address(), 4, "looks", true, None);
        looks.subscribe("kept/#");
        let retained = looks.packet().expect("what is retained");
        assert!(retained.ends_with(b"retained"), "{retained:02x?}");
        // It is not taken up again.
        let_acknowledgements_be_kept();
        server.kill();
        assert!(server.start_again(&Program::Firehose { shards: 2 }));
        assert!(mosquitto_sub(&server, "mqttv5", 0).is_empty());
        assert_eq!(fs::read(&database).unwrap(), before);
    }
}

fn a_database_of_mosquitto_that_is_broken_is_refused() {
    const GOLDEN: &[u8] = include_bytes!("../src/mosquitto_db/tests/2.0.11.db");
    let mut kept = Kept::new();
    kept.server.kill();
    let database = kept.store.0.join("mosquitto.db");
    let folder = kept.store.0.join("firehose");
    for broken in [&GOLDEN[..GOLDEN.len() - 3], &[GOLDEN, b"more"].concat()] {
        fs::remove_dir_all(&folder).unwrap();
        fs::write(&database, broken).unwrap();
        kept.is_refused_and_said(&["mosquitto.db cannot be taken up", "byte", "nothing was"]);
        assert_eq!(fs::read(&database).unwrap(), broken);
    }
    // And it is no matter once there is a store.
    fs::remove_file(&database).unwrap();
    assert!(kept.server.start_again(&ONE));
    connect(&kept.server, "kept").subscribe("t/#");
    fs::write(&database, b"broken").unwrap();
    kept.begin_again(1);
}

/// What was read is in memory until the shards have it: who then asks is told what the program takes, without that.
fn what_a_start_has_read_is_no_memory_of_the_program() {
    const MESSAGES: usize = 64;
    const BYTES: usize = 1 << 20;
    let store = Folder::new("kept");
    let mut settings = lines(&store.0);
    settings.push("max_queued_bytes 0".into());
    let server = Server::start(&ONE, &settings);
    let mut kept = Kept { server, store };
    let mut away = connect(&kept.server, "away");
    away.subscribe("t/#");
    away.disconnect();
    let mut publisher = Client::connect(kept.server.address(), 4, "publisher", true, None);
    for _ in 0..MESSAGES {
        publisher.publish("t/1", &vec![b'x'; BYTES], false);
        assert_eq!(publisher.packet().expect("PUBACK")[0], mqtt::PUBACK << 4);
    }
    kept.begin_again(1);
    let topic = "$SYS/broker/firehose/memory/account/program/used";
    let mut asks = Client::connect(kept.server.address(), 4, "asks", true, None);
    asks.subscribe(topic);
    let used = loop {
        let packet = asks.packet().expect("a figure");
        let text = String::from_utf8_lossy(&packet);
        if let Some(used) = text.split_once("program/used").map(|(_, used)| used) {
            let digits = used.trim_start_matches(|letter: char| !letter.is_ascii_digit());
            break digits.parse::<usize>().expect("a number");
        }
    };
    assert!(used < MESSAGES * BYTES, "{used}");
}

/// Gives all below a path to the broker's user: a command of root's has made some.
fn give_all(path: &Path) {
    if is_root() {
        let user = support::broker_user().1.to_string();
        let done = run(Command::new("chown").args(["-R", &user]).arg(path));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
}

fn store(arguments: &[&str]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("store")
        .args(arguments))
}

/// Who goes back to Mosquitto for a while and comes again is told that the store is older; and an export is no such thing.
fn mosquitto_that_ran_in_between_is_told_of() {
    const YOUNGER: &str = "mosquitto.db is younger than what is kept";
    support::mosquitto::clients_needed();
    let mosquitto = Program::Mosquitto(needed("mosquitto"));
    let folder = Folder::new("kept");
    let (dir, database) = (folder.0.clone(), folder.0.join("mosquitto.db"));
    let server = Server::start(&mosquitto, &lines(&dir));
    let mut kept = Kept {
        server,
        store: folder,
    };
    let end = |kept: &mut Kept| {
        kept.server.terminate();
        assert!(kept.server.wait().is_some_and(|status| status.success()));
    };
    let says = |kept: &Kept| {
        let trial = kept.start_elsewhere(&["--test-config"]);
        assert_eq!(trial.code, Some(0), "{}", trial.stderr);
        trial.stderr.contains(YOUNGER)
    };
    assert!(mosquitto_sub(&kept.server, "mqttv5", 0).is_empty());
    support::mosquitto::publish(&kept.server, "5", &["-q", "2", "-t", "t/x", "-m", "one"]);
    end(&mut kept);
    for _ in 0..2 {
        assert!(!says(&kept));
        assert!(kept.server.start_again(&ONE));
        assert!(
            !kept.server.log().contains(YOUNGER),
            "{}",
            kept.server.log()
        );
        end(&mut kept);
    }
    let (to, from) = (database.to_str().unwrap(), dir.to_str().unwrap());
    let export = store(&["export", "--mosquitto", from, to, "--force"]);
    assert_eq!(export.code, Some(0), "{}", export.stderr);
    give_all(&dir);
    assert!(!says(&kept), "an export is as old as what it is of");

    assert!(kept.server.start_again(&mosquitto));
    support::mosquitto::publish(&kept.server, "5", &["-q", "2", "-t", "t/x", "-m", "two"]);
    end(&mut kept);
    assert!(says(&kept));
    let folder = Folder::new("elsewhere");
    let text = support::configuration(free_port(), &lines(&dir));
    let conf = folder.write("conf", &text);
    let mut check = Command::new(env!("CARGO_BIN_EXE_firehose"));
    let check = run(check.args(["check", "--shards", "1", "-c"]).arg(conf));
    assert!(check.stdout.contains("store.import"), "{}", check.stdout);
    // It starts nevertheless, with what it had.
    assert!(kept.server.start_again(&ONE));
    kept.server.says(YOUNGER);
    end(&mut kept);
    // Once it has run, the store is the younger one again.
    assert!(!says(&kept));

    let import = store(&["import", "--force", from, to]);
    assert_eq!(import.code, Some(0), "{}", import.stderr);
    give_all(&dir);
    assert!(kept.server.start_again(&ONE));
    assert!(
        !kept.server.log().contains(YOUNGER),
        "{}",
        kept.server.log()
    );
    let found = mosquitto_sub(&kept.server, "mqttv5", 2);
    assert_eq!(found, ["t/x one", "t/x two"]);
}

/// Mosquitto's database with so many retained messages, each with so many bytes.
fn database(messages: u64, bytes: usize) -> Vec<u8> {
    let mut stream = Stream::default();
    let mut legacy = Legacy::of(1);
    let payload = vec![b'x'; bytes];
    for number in 0..messages {
        let topic = format!("t/{number}");
        let message = MessageText {
            topic: &topic,
            payload: &payload,
            properties: &[],
            qos: QoS::AtLeastOnce,
            retain: true,
            expires_at: None,
            origin: 0,
            author: None,
        };
        stream.append(&Record::Message { number, message });
        stream.append(&Record::RetainedStored { number });
        stream.append(&Record::TurnEnded);
        while let Some(chunk) = stream.next_full_chunk() {
            legacy.feed(0, chunk.content()).unwrap();
        }
    }
    while let Some((chunk, _)) = stream.next_chunk() {
        legacy.feed(0, chunk.content()).unwrap();
    }
    let ledgers: Vec<_> = legacy.ledgers().collect();
    Database::of_ledgers(&ledgers, 0).write()
}

/// The log, once it says this, and what follows it there at once.
fn told(server: &Server, text: &str) -> String {
    server.says(text);
    std::thread::sleep(Duration::from_millis(200));
    server.log()
}

/// A start with too little memory leaves out what does not fit, once: what it keeps fits the next starts too, whatever shares there are.
fn what_fits_a_start_fits_the_next_ones() {
    const MESSAGES: u64 = 2000;
    let two = Program::Firehose { shards: 2 };
    let folder = Folder::new("kept");
    let server = Server::start(&two, &lines(&folder.0));
    let mut kept = Kept {
        server,
        store: folder,
    };
    let clients = ["away-0", "away-1", "away-2", "away-3"];
    for (number, id) in clients.iter().enumerate() {
        let mut away = connect(&kept.server, id);
        away.subscribe(&format!("t/{number}"));
        away.disconnect();
    }
    let mut publisher = Client::connect(kept.server.address(), 4, "publisher", true, None);
    for number in 0..MESSAGES {
        let payload = format!("{number:04000}");
        publisher.publish(&format!("t/{}", number % 4), payload.as_bytes(), false);
        assert_eq!(publisher.packet().expect("PUBACK")[0], mqtt::PUBACK << 4);
    }
    let mut config = lines(&kept.store.0);
    config.push("memory_limit 80M".into());
    kept.server.terminate();
    assert!(kept.server.wait().is_some_and(|status| status.success()));
    kept.server.configure(&config);
    let waiting = || {
        let done = store(&["stats", kept.store.0.to_str().unwrap(), "--json"]);
        let text = done.stdout.split_once("\"total\"").expect("a total").1;
        let text = text.split_once("\"waiting\":").expect("what waits").1;
        let digits = text.trim_start().split(|one: char| !one.is_ascii_digit());
        digits.clone().next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!(waiting(), MESSAGES);
    let mut stays = None;
    for _ in 0..4 {
        kept.server.launch_again(&two);
        let log = told(&kept.server, " is taken up: 4 sessions");
        assert!(!log.contains("more than its share"), "{log}");
        kept.server.terminate();
        assert!(kept.server.wait().is_some_and(|status| status.success()));
        let waits = waiting();
        assert!(waits > 0 && waits < MESSAGES, "{waits}");
        assert_eq!(*stays.get_or_insert(waits), waits, "{log}");
    }
}

/// The line about what was taken up counts what is there, and the others what is not.
fn stays(log: &str, messages: u64) {
    let number = |before: &str| {
        let rest = log.split_once(before)?.1;
        rest.split(' ').next()?.parse::<u64>().ok()
    };
    let stays = number("is taken up: 0 sessions, ").unwrap();
    let dropped = number("once for each session, and ").unwrap_or(0);
    assert_eq!(stays + dropped, messages, "{log}");
}

/// The most memory that a process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<u64>().unwrap() << 10
}

/// A database is taken up within the memory that the broker may have, with as many messages as that holds, or refused before it is read.
fn a_database_of_mosquitto_is_taken_up_within_the_memory() {
    const LIMIT: u64 = 128 << 20;
    let mut kept = Kept::new();
    let folder = kept.store.0.join("firehose");
    let path = kept.store.0.join("mosquitto.db");
    let mut config = lines(&kept.store.0);
    config.push(format!("memory_limit {LIMIT}"));
    kept.server.kill();
    kept.server.configure(&config);
    for (messages, bytes, is_taken_up) in [
        (30_000, 1000, true),
        (100_000, 16, true),
        (90_000, 1000, false),
        (400_000, 16, false),
    ] {
        fs::remove_dir_all(&folder).unwrap();
        let file = database(messages, bytes);
        fs::write(&path, &file).unwrap();
        kept.server.launch_again(&ONE);
        if is_taken_up {
            let started = Instant::now();
            while !kept.server.is_ready() && started.elapsed() < PATIENCE {
                assert!(kept.server.is_running(), "{}", kept.server.log());
                std::thread::sleep(Duration::from_millis(10));
            }
            let peak = peak(kept.server.pid());
            eprintln!(
                "{messages} of {bytes} B, a file of {}: {peak} bytes at most",
                file.len()
            );
            assert!(peak < LIMIT, "{peak}");
            let log = told(&kept.server, "mosquitto.db is taken up: 0 sessions");
            stays(&log, messages);
            // More than the account has is dropped, and said.
            assert!(log.contains("they are beyond the bounds"), "{log}");
            kept.server.kill();
        } else {
            let status = kept.server.wait();
            let log = kept.server.log();
            assert_eq!(status.and_then(|status| status.code()), Some(3), "{log}");
            for text in [
                "mosquitto.db cannot be taken up",
                "of memory",
                "firehose store import",
            ] {
                assert!(log.contains(text), "{text:?} in {log}");
            }
            assert_eq!(fs::read(&path).unwrap(), file);
            // What memory_limit does not count for can do it, and then a start keeps what it has room for.
            if bytes == 1000 {
                fs::remove_dir_all(&folder).unwrap();
                let dir = kept.store.0.to_str().unwrap();
                let done = store(&["import", dir, path.to_str().unwrap()]);
                assert_eq!(done.code, Some(0), "{}", done.stderr);
                give_all(&kept.store.0);
                assert!(kept.server.start_again(&ONE));
                let peak = peak(kept.server.pid());
                assert!(peak < LIMIT, "{peak}");
                kept.server.kill();
            }
        }
    }
}

cases![
    mosquitto_that_ran_in_between_is_told_of,
    a_database_of_mosquitto_is_taken_up_within_the_memory,
    what_fits_a_start_fits_the_next_ones,
    mosquitto_sub_finds_what_was_published_before_a_kill,
    a_will_of_who_was_there_at_a_kill_is_published_whoever_comes_back,
    a_will_with_a_delay_waits_for_its_client_over_an_end_in_order,
    sigterm_during_a_start_ends_it,
    sigterm_while_the_store_is_read_is_heard_at_once,
    a_store_has_one_broker,
    a_directory_that_may_not_be_written_to_is_refused,
    a_store_of_another_user_is_refused,
    a_store_of_a_newer_firehose_is_refused,
    a_wrong_bit_in_the_middle_is_named,
    a_last_segment_that_was_cut_is_no_reason,
    what_mosquitto_has_kept_is_there,
    a_database_of_mosquitto_that_is_broken_is_refused,
    what_a_start_has_read_is_no_memory_of_the_program,
];
