//! `$SYS` held against Debian's mosquitto: the same topics, the same values after the same exchange, and ours beside
//! them. And log lines as messages.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use support::mosquitto::{clients_needed, publish};
use support::{PATIENCE, Program, Server, needed};

/// Both are asked to publish every second; Mosquitto takes two.
const CONFIG: [&str; 2] = ["allow_anonymous true", "sys_interval 1"];

fn start(program: &Program, more: &[&str]) -> Server {
    let lines = CONFIG.iter().chain(more);
    let config: Vec<String> = lines.map(|line| line.to_string()).collect();
    Server::start(program, &config)
}

/// What a new subscriber finds retained, by topic.
fn retained(server: &Server, filter: &str) -> BTreeMap<String, String> {
    let port = server.port.to_string();
    let mut command = Command::new("mosquitto_sub");
    command
        .args(["-h", "127.0.0.1", "-p", &port, "-q", "2", "-t", filter])
        .args(["--retained-only", "-W", "1", "-F", "%q|%t|%p"]);
    let found = support::run(&mut command);
    let lines = found.stdout.lines().map(|line| {
        let mut parts = line.splitn(3, '|');
        assert_eq!(parts.next(), Some("2"), "published with QoS 2: {line}");
        let topic = parts.next().unwrap().to_string();
        (topic, parts.next().unwrap().to_string())
    });
    lines.collect()
}

/// Publishes with each QoS and each version, retained and not.
fn exchange(server: &Server) {
    for version in ["3.1.1", "5"] {
        for qos in ["0", "1", "2"] {
            publish(server, version, &["-q", qos, "-t", "a/b", "-m", "hello"]);
        }
    }
    publish(server, "3.1.1", &["-r", "-t", "kept", "-m", "0123456789"]);
}

/// Retained `$SYS` once it shows that the exchange is over.
fn after_exchange(server: &Server) -> BTreeMap<String, String> {
    let started = Instant::now();
    exchange(server);
    // Mosquitto publishes after more than a second, by a clock of whole seconds.
    std::thread::sleep(Duration::from_millis(3500));
    let found = retained(server, "$SYS/broker/#");
    assert!(started.elapsed() < PATIENCE);
    found
}

/// Totals that the exchange alone decides.
const DETERMINED: [&str; 7] = [
    "messages/received",
    "messages/sent",
    "publish/messages/dropped",
    "publish/messages/sent",
    "publish/bytes/received",
    "bytes/received",
    "clients/expired",
];

fn topics_and_values_are_mosquittos() {
    let path = needed("mosquitto");
    clients_needed();
    let theirs = start(&Program::Mosquitto(path), &[]);
    let ours = start(&Program::Firehose { shards: 2 }, &[]);
    let (theirs, ours) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| after_exchange(&theirs));
        let ours = after_exchange(&ours);
        (theirs.join().unwrap(), ours)
    });
    let missing: Vec<&String> = theirs.keys().filter(|t| !ours.contains_key(*t)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    let own = "$SYS/broker/firehose/";
    let is_more = |topic: &&String| !topic.starts_with(own) && !theirs.contains_key(*topic);
    let more: Vec<&String> = ours.keys().filter(is_more).collect();
    // Mosquitto counts errors nowhere, and has no maximum before it has seen a client when it looked.
    let is_known = |topic: &str| topic.contains("/load/errors/") || topic.ends_with("/maximum");
    assert!(more.iter().all(|topic| is_known(topic)), "{more:?}");
    for name in DETERMINED {
        let topic = format!("$SYS/broker/{name}");
        assert_eq!(ours[&topic], theirs[&topic], "{topic}");
    }
    // Mosquitto 2.0 counts only those with QoS 0 and 1 that are not retained, which is not what its manual says.
    let received = "$SYS/broker/publish/messages/received";
    assert_eq!((&*ours[received], &*theirs[received]), ("7", "4"));
    for (topic, value) in &theirs {
        if topic.contains("/load/") {
            assert!(value.parse::<f64>().is_ok());
            let (_, decimals) = ours[topic].split_once('.').unwrap();
            assert_eq!(decimals.len(), 2, "{topic}: {}", ours[topic]);
        }
    }
    assert!(ours["$SYS/broker/uptime"].ends_with(" seconds"));
    for shard in 0..2 {
        for name in [
            "turn/p50_us",
            "turn/max_us",
            "busy_permille",
            "delivery/p50_us",
            "delivery/p99_us",
            "connections",
        ] {
            let topic = format!("{own}shard/{shard}/{name}");
            assert!(ours[&topic].parse::<u64>().is_ok(), "{topic}");
        }
    }
    assert!(ours.contains_key(&format!("{own}outbound_bytes")));
}

/// Whoever has asked for an update an hour does not wait an hour for the first figures.
fn what_is_known_at_the_start_is_published_at_the_start() {
    clients_needed();
    for shards in [1, 2] {
        let config = ["allow_anonymous true".into(), "sys_interval 3600".into()];
        let server = Server::start(&Program::Firehose { shards }, &config);
        let started = Instant::now();
        for name in [
            "retained messages/count",
            "store/messages/bytes",
            "messages/stored",
            "clients/connected",
            "messages/received",
            "firehose/memory/account/retained/used",
            "firehose/shard/0/turn/max_us",
        ] {
            let topic = format!("$SYS/broker/{name}");
            while retained(&server, &topic)
                .get(&topic)
                .is_none_or(|value| value == "0")
            {
                assert!(started.elapsed() < PATIENCE, "{topic} stays 0");
            }
        }
    }
}

fn without_an_interval_there_is_nothing() {
    clients_needed();
    let config = ["sys_interval 0".to_string(), "allow_anonymous true".into()];
    let server = Server::start(&Program::Firehose { shards: 1 }, &config);
    assert!(retained(&server, "$SYS/#").is_empty());
}

fn log_lines_are_messages() {
    clients_needed();
    let more = ["log_dest stdout", "log_dest topic", "log_type all"];
    let server = start(&Program::Firehose { shards: 2 }, &more);
    let filter = "$SYS/broker/log/#";
    let arguments = ["-t", filter, "-F", "|%t|%r|%p"];
    let subscriber = support::mosquitto::Subscriber::start(&server, "3.1.1", &arguments);
    publish(&server, "3.1.1", &["-i", "noted", "-t", "a", "-m", "b"]);
    loop {
        let line = subscriber.message();
        if line.starts_with("|$SYS/broker/log/N|0|") && line.contains("noted") {
            break;
        }
    }
}

cases![
    topics_and_values_are_mosquittos,
    what_is_known_at_the_start_is_published_at_the_start,
    without_an_interval_there_is_nothing,
    log_lines_are_messages,
];
