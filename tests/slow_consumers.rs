//! Clients that do not take messages as fast as they come, by policy, as a user sees them: what comes when they read at
//! last, `$SYS`, and the log.

mod support;

use std::time::{Duration, Instant};

use support::client::Client;
use support::{PATIENCE, Program, Server};

const TOPICS: u32 = 10;
const MESSAGES: u32 = 40_000;

fn start(policy: &str) -> Server {
    let lines = [policy, "sys_interval 1", "memory_limit 512M"].map(String::from);
    Server::start(&Program::Firehose { shards: 1 }, &lines)
}

/// Publishes far more than sockets and bounds hold, numbered, on topics in turn.
fn flood(server: &Server) {
    let mut publisher = Client::connect(server.address(), 4, "publisher", true, None);
    let mut payload = vec![0; 1000];
    for number in 0..MESSAGES {
        payload[..4].copy_from_slice(&number.to_be_bytes());
        publisher.publish_once(&format!("data/{}", number % TOPICS), &payload);
    }
    publisher.ping();
    publisher.disconnect();
}

/// The number in a message, if the packet is one of the flood.
fn number(packet: &[u8]) -> Option<u32> {
    let start = packet.windows(5).position(|window| window == b"data/")?;
    let bytes = packet.get(start + 6..start + 10)?;
    Some(u32::from_be_bytes(bytes.try_into().unwrap()))
}

/// Reads until so many of the newest messages have come, one of each topic: the numbers in the order in which they came.
fn read_all(reader: &mut Client, newest: u32) -> Vec<u32> {
    let mut numbers = Vec::new();
    let is_newest = |number: &&u32| **number >= MESSAGES - TOPICS;
    while numbers.iter().filter(is_newest).count() < newest as usize {
        let packet = reader.packet().expect("a message");
        numbers.extend(number(&packet));
    }
    numbers
}

#[test]
fn latest_ends_with_the_newest_of_each_topic() {
    let server = start("slow_consumer_policy latest");
    let mut reader = Client::connect(server.address(), 4, "reader", true, None);
    reader.subscribe("data/#");
    flood(&server);
    let numbers = read_all(&mut reader, TOPICS);
    assert!(numbers.len() < MESSAGES as usize, "{}", numbers.len());
    for topic in 0..TOPICS {
        let of_topic = || numbers.iter().filter(|&&number| number % TOPICS == topic);
        assert!(
            of_topic().is_sorted(),
            "never an older one behind a newer one"
        );
        assert_eq!(of_topic().next_back(), Some(&(MESSAGES - TOPICS + topic)));
    }
}

#[test]
fn the_slowest_are_shown_and_told_of() {
    let server = start("slow_consumer_policy drop_oldest");
    let mut reader = Client::connect(server.address(), 4, "dawdler", true, None);
    reader.subscribe("data/#");
    flood(&server);
    let mut looker = Client::connect(server.address(), 4, "looker", true, None);
    looker.subscribe("$SYS/broker/firehose/slowest/1/client");
    let packet = looker.packet().unwrap();
    assert!(packet.ends_with(b"dawdler"), "{packet:?}");
    server.signal("USR2");
    let started = Instant::now();
    while !server.log().contains("SIGUSR2: slowest 1: dawdler has") {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    // The newest came through, and nothing twice or out of order.
    let numbers = read_all(&mut reader, TOPICS);
    assert!(numbers.is_sorted() && numbers.len() < MESSAGES as usize);
}

#[test]
fn who_is_slow_is_disconnected_where_that_is_wanted() {
    let server = start("slow_consumer_policy disconnect");
    let mut reader = Client::connect(server.address(), 4, "reader", true, None);
    reader.subscribe("data/#");
    flood(&server);
    let mut looker = Client::connect(server.address(), 4, "looker", true, None);
    looker.subscribe("$SYS/broker/firehose/clients_slow");
    while looker.packet().unwrap().last() != Some(&b'1') {}
}
