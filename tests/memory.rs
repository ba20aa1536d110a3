//! The memory budget of a broker that runs: the table in its log, `$SYS`, a reload, and limits that are too small.

mod support;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Instant;

use support::client::Client;
use support::mqtt::Fields;
use support::{Folder, PATIENCE, Program, Server, free_port};

const ACCOUNTS: [&str; 13] = [
    "program",
    "sockets",
    "buffers",
    "connections",
    "transports",
    "packets",
    "outbound",
    "backlog",
    "subscriptions",
    "retained",
    "mesh",
    "journal",
    "http",
];

const RUNGS: [&str; 7] = ["calm", "trim", "shrink", "refuse", "slow", "drop", "shed"];

fn lines(text: &[&str]) -> Vec<String> {
    text.iter().map(|line| line.to_string()).collect()
}

fn start(shards: u32, text: &[&str]) -> Server {
    Server::start(&Program::Firehose { shards }, &lines(text))
}

/// Values below `$SYS/broker/firehose/memory/`, once `is_enough` of them are there.
fn values(
    server: &Server,
    is_enough: impl Fn(&BTreeMap<String, String>) -> bool,
) -> BTreeMap<String, String> {
    let mut client = Client::connect(server.address(), 4, "looks", true, None);
    let prefix = "$SYS/broker/firehose/memory/";
    client.subscribe(&format!("{prefix}#"));
    let mut values = BTreeMap::new();
    let started = Instant::now();
    while !is_enough(&values) {
        assert!(started.elapsed() < PATIENCE, "{values:#?}");
        let packet = client.packet().unwrap();
        assert_eq!(packet[0] & 0xf6, 0x32, "QoS 1: {packet:?}");
        client.acknowledge(&packet);
        let text = String::from_utf8_lossy(&packet);
        let (_, rest) = text.split_once(prefix).unwrap();
        // Behind the topic stand two bytes of packet identifier, and the payload.
        let topic_end = packet.len() - rest.len();
        let topic_len = usize::from(packet[topic_end - prefix.len() - 1]);
        let (name, rest) = rest.split_at(topic_len - prefix.len());
        values.insert(name.to_string(), rest[2..].to_string());
    }
    values
}

/// The lines of the table in the log, by account: the size as shown.
fn table(log: &str) -> BTreeMap<String, String> {
    let rows = log.lines().filter_map(|line| line.split_once("Memory:   "));
    rows.map(|(_, row)| {
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words.len(), 5, "{row}");
        (words[0].to_string(), words[1..3].join(" "))
    })
    .collect()
}

#[test]
fn the_table_is_in_the_log_and_in_sys() {
    let server = start(
        1,
        &[
            "memory_limit 96M",
            "memory_account retained 10M",
            "sys_interval 1",
        ],
    );
    // The writer of the log is a moment behind the ready line.
    let started = Instant::now();
    while table(&server.log()).len() < ACCOUNTS.len() && started.elapsed() < PATIENCE {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let log = server.log();
    assert!(log.contains("Memory: 96.0 MiB, by memory_limit"), "{log}");
    let table = table(&log);
    assert_eq!(table.len(), ACCOUNTS.len(), "{log}");
    assert_eq!(table["retained"], "10.0 MiB");
    assert_eq!(table["journal"], "0 B");

    let wanted = 7 + 2 * ACCOUNTS.len() + 2 * RUNGS.len();
    let values = values(&server, |values| values.len() >= wanted);
    let number = |name: &str| -> u64 { values[name].parse().unwrap() };
    let limit = 96 << 20;
    assert_eq!(number("limit"), limit);
    assert_eq!(number("account/retained/limit"), 10 << 20);
    let sum: u64 = ACCOUNTS
        .iter()
        .map(|name| number(&format!("account/{name}/limit")))
        .sum();
    assert!(sum <= limit && limit - sum < 16, "{sum}");
    assert!(ACCOUNTS.iter().all(|name| table.contains_key(*name)));
    assert!(number("account/program/used") > 1 << 20);
    // All of it is taken at the start, but for log lines that wait.
    let free = number("account/buffers/limit") - number("account/buffers/used");
    assert!(free <= firehose::limits::LOG_WAITING_BYTES_MAX, "{free}");
    assert!((1 << 20..limit).contains(&number("resident")));
    assert!((1 << 20..limit).contains(&number("used")));
    assert!(RUNGS.contains(&&*values["rung"]));
    for rung in RUNGS {
        number(&format!("rung/{rung}/entered"));
        number(&format!("rung/{rung}/seconds"));
    }
}

/// For as long as the broker runs, whatever a reload says.
#[test]
fn what_is_kept_on_the_disk_has_an_account() {
    let folder = Folder::new("memory");
    let location = format!("persistence_location {}", folder.0.display());
    let server = start(1, &["persistence true", &location, "memory_limit 96M"]);
    let journal = || {
        let values = values(&server, |values| {
            values.contains_key("account/journal/limit")
        });
        values["account/journal/limit"].parse::<u64>().unwrap()
    };
    let before = journal();
    assert!((12 << 20..14 << 20).contains(&before), "{before}");
    let log = server.reconfigure(&lines(&[&location, "memory_limit 96M"]));
    assert!(
        log.contains("with a restart: persistence and its options."),
        "{log}"
    );
    assert_eq!(journal(), before);
}

#[test]
fn a_reload_splits_anew() {
    let server = start(2, &["memory_limit 256M", "sys_interval 1"]);
    let log = server.reconfigure(&lines(&[
        "memory_limit 512M",
        "memory_account backlog 100M",
        "sys_interval 1",
    ]));
    assert!(log.contains("Memory: 512 MiB, by memory_limit"), "{log}");
    assert_eq!(table(&log)["backlog"], "100 MiB");
    values(&server, |values| {
        values
            .get("limit")
            .is_some_and(|bytes| *bytes == (512 << 20).to_string())
            && values
                .get("account/backlog/limit")
                .is_some_and(|bytes| *bytes == (100 << 20).to_string())
    });
    let log = server.reconfigure(&lines(&["memory_limit 8M"]));
    assert!(
        log.contains("memory_limit is 8.0 MiB, which is less than the accounts need"),
        "{log}"
    );
}

#[test]
fn accounts_above_the_limit_are_an_error() {
    let folder = Folder::new("memory");
    let serve = |text: &str| {
        let text = format!("listener {} 127.0.0.1\n{text}\n", free_port());
        let file = folder.write("firehose.conf", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["serve", "--shards", "1", "-c"]).arg(file);
        support::run(&mut command)
    };
    let ended = serve("memory_limit 100M\nmemory_account backlog 200M");
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("the accounts come to 200 MiB"),
        "{}",
        ended.stderr
    );
}

/// The thresholds that the documentation names are those of the program.
#[test]
fn the_ladder_is_documented() {
    let documented = include_str!("../docs/operating.md");
    for rung in firehose::budget::Rung::ALL.into_iter().skip(1) {
        let row = format!("| `{}` | {} % |", rung.name(), rung.threshold() / 10);
        assert!(documented.contains(&row), "{row}");
    }
    for name in ACCOUNTS {
        assert!(documented.contains(&format!("| `{name}` |")), "{name}");
    }
}

/// A table that is as small as the documentation says that it may be.
#[test]
fn a_small_broker_serves() {
    let server = start(1, &["memory_limit 64M", "sys_interval 0"]);
    let mut client = Client::connect(server.address(), 5, "small", true, None);
    client.subscribe("a");
    client.ping();
    client.disconnect();
}

/// The most that a process has had in memory, in bytes.
fn most_resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.unwrap().split_whitespace().nth(1).unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// Sessions of the test below, and messages of a megabyte that wait for each.
const SESSIONS: u64 = 6;
const WAITING: u64 = 50;

/// What waits for a client comes in its order; how many messages that were. A message behind all others ends it.
fn take_all(server: &Server, session: u64) -> u64 {
    let mut publisher = Client::connect(server.address(), 4, "publisher", true, None);
    publisher.publish(&format!("s/{session}"), b"end", false);
    assert_eq!(publisher.packet().unwrap()[0], 0x40, "PUBACK");
    let id = format!("away{session}");
    let mut client = Client::connect(server.address(), 4, &id, false, None);
    let (mut count, mut next) = (0, 0);
    loop {
        let packet = client.packet().unwrap();
        client.acknowledge(&packet);
        let mut fields = Fields::of(&packet);
        assert_eq!(fields.text(), format!("s/{session}"));
        fields.u16();
        let payload = fields.rest();
        if payload == b"end" {
            assert!(
                count == 0 || next == WAITING,
                "the oldest are dropped first"
            );
            return count;
        }
        assert_eq!(payload.len(), 1 << 20);
        let number = u64::from_be_bytes(payload[..8].try_into().unwrap());
        assert!(number >= next && number < WAITING, "{number} behind {next}");
        (count, next) = (count + 1, number + 1);
    }
}

/// What waits is far more than the limit of the next start: that has no more of it in memory than it may, is not refused, and says
/// what it drops.
#[test]
fn a_start_with_less_memory_takes_what_it_has_room_for() {
    let folder = Folder::new("memory");
    let config = |limit: &str| {
        let location = format!("persistence_location {}", folder.0.display());
        let limit = format!("memory_limit {limit}");
        lines(&[
            "persistence true",
            &location,
            "max_queued_messages 0",
            "sys_interval 1",
            &limit,
        ])
    };
    let program = Program::Firehose { shards: 2 };
    let mut server = Server::start(&program, &config("8G"));
    for session in 0..SESSIONS {
        let id = format!("away{session}");
        let mut away = Client::connect(server.address(), 4, &id, false, None);
        away.subscribe(&format!("s/{session}"));
        away.disconnect();
    }
    let mut publisher = Client::connect(server.address(), 4, "publisher", true, None);
    let mut payload = vec![b'.'; 1 << 20];
    for number in 0..WAITING {
        payload[..8].copy_from_slice(&number.to_be_bytes());
        for session in 0..SESSIONS {
            publisher.publish(&format!("s/{session}"), &payload, false);
            assert_eq!(publisher.packet().unwrap()[0], 0x40, "PUBACK");
        }
    }
    server.kill();

    server.configure(&config("192M"));
    assert!(server.start_again(&program));
    let most = most_resident(&server);
    assert!(most < 192 << 20, "{most} bytes");
    // What there was no room for when it was read, and all that was dropped.
    let told = |what: &str| {
        let started = Instant::now();
        loop {
            let log = server.log();
            let line = log.lines().find(|line| line.contains(what));
            let words = line.into_iter().flat_map(str::split_whitespace);
            if let Some(number) = words.filter_map(|word| word.parse::<u64>().ok()).next() {
                return number;
            }
            assert!(started.elapsed() < PATIENCE, "{what}: {log}");
        }
    };
    let left_out = told("of the messages that are kept");
    let dropped = told("messages that were kept are dropped");
    let taken: u64 = (0..SESSIONS)
        .map(|session| take_all(&server, session))
        .sum();
    eprintln!("{most} bytes at most; {left_out} left out, {dropped} dropped, {taken} taken");
    assert!(taken > 5 && left_out <= dropped);
    // A message that ends a session's may come while the account is full: then the oldest of a session gives way to it.
    let lost = SESSIONS * WAITING - dropped - taken;
    assert!(lost <= SESSIONS, "{lost} are neither taken nor told of");

    // The next start has no more of it.
    server.kill();
    assert!(server.start_again(&program));
    assert!(!server.log().contains("of the messages that are kept"));
}
