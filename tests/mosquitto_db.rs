//! What is written as Mosquitto's database, loaded by Mosquitto: its clients find what they had left.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::io::Write;
use std::net::TcpStream;

use firehose::journal::Legacy;
use firehose::mosquitto_db::Database;
use support::mqtt::{self, Connect, Version};
use support::{Folder, PATIENCE, Program, Server, needed};

/// See `src/mosquitto_db/tests.rs`.
const GOLDEN: &[u8] = include_bytes!("../src/mosquitto_db/tests/2.0.11.db");

/// When it was written, in milliseconds since 1970.
const NOW: u64 = 1_795_981_800_000;

/// Mosquitto with this database.
fn start(name: &str, file: &[u8]) -> (Server, Folder) {
    let path = needed("mosquitto");
    let folder = Folder::new(name);
    std::fs::write(folder.0.join("mosquitto.db"), file).unwrap();
    let config = [
        "persistence true".to_owned(),
        format!("persistence_location {}/", folder.0.display()),
    ];
    (Server::start(&Program::Mosquitto(path), &config), folder)
}

/// A client that finds its session, or has a new one.
struct Client(TcpStream);

impl Client {
    fn connect(server: &Server, version: Version, id: &str, resumes: bool) -> Client {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client(stream);
        let connect = Connect {
            version,
            id,
            resumes,
            keep_alive: 60,
            expiry_s: (resumes && version == Version::V5).then_some(600),
            ..Connect::default()
        };
        client.send(&connect.packet());
        let connack = client.packet();
        assert_eq!(connack[0], mqtt::CONNACK << 4);
        assert_eq!(
            connack[2..4],
            [u8::from(resumes), 0],
            "{id}: session present, accepted"
        );
        client
    }

    fn send(&mut self, packet: &[u8]) {
        self.0.write_all(packet).unwrap();
    }

    fn packet(&mut self) -> Vec<u8> {
        mqtt::read_packet(&mut self.0).unwrap().expect("a packet")
    }

    /// The next so many packets as lines, sorted: kind, flags, identifier, and the text behind it.
    fn packets(&mut self, count: usize) -> Vec<String> {
        let mut told: Vec<String> = (0..count).map(|_| tell(&self.packet())).collect();
        told.sort();
        told
    }
}

/// First byte, then identifier (of a PUBLISH with QoS 0: none) and all behind it, as text.
fn tell(packet: &[u8]) -> String {
    let kind = packet[0] >> 4;
    if kind != mqtt::PUBLISH {
        let id = u16::from_be_bytes([packet[2], packet[3]]);
        return format!("{:02x} {id}", packet[0]);
    }
    let topic_len = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let behind = &packet[4 + topic_len..];
    let (id, rest) = match packet[0] >> 1 & 3 {
        0 => (String::new(), behind),
        _ => {
            let id = u16::from_be_bytes([behind[0], behind[1]]);
            (format!("{id} "), &behind[2..])
        }
    };
    format!("{:02x} {id}{}", packet[0], rest.escape_ascii())
}

/// Everybody finds what was left: what waits in its order, what is in flight under its identifier.
fn clients_find_what_they_had_left(server: &Server) {
    let mut watcher = Client::connect(server, Version::V311, "watcher", false);
    watcher.send(&mqtt::subscribe(Version::V311, 1, &["kept/#", "live/#"], 1));
    assert_eq!(watcher.packet()[0], mqtt::SUBACK << 4);
    let retained: Vec<String> = watcher.packets(2);
    assert_eq!(retained[0], "31 first");
    assert!(retained[1].starts_with("33 ") && retained[1].ends_with(" second"));

    let mut half_1 = Client::connect(server, Version::V311, "half-1", true);
    assert_eq!(
        half_1.packets(3),
        [
            "32 3 to be acknowledged 3",
            "3a 1 to be acknowledged 1",
            "3a 2 to be acknowledged 2",
        ]
    );
    let mut half_2 = Client::connect(server, Version::V5, "half-2", true);
    assert_eq!(
        half_2.packets(3),
        [
            r"34 3 \x02\x0b\x07waits",
            r"3c 1 \x02\x0b\x07to be received",
            "62 2",
        ]
    );
    let mut half_3 = Client::connect(server, Version::V311, "half-3", true);
    assert_eq!(
        half_3.packets(3),
        ["34 3 waits", "3c 2 is received", "62 1"]
    );
    half_3.send(&mqtt::ack(mqtt::PUBCOMP, 1));

    let mut away = Client::connect(server, Version::V311, "away-311", true);
    let told: Vec<String> = (0..6).map(|_| tell(&away.packet())).collect();
    let payloads = told.iter().map(|line| line.rsplit(' ').next().unwrap());
    let payloads: Vec<&str> = payloads.collect();
    assert_eq!(
        payloads,
        ["zero", "one", "two", "retained", "expires", "done"]
    );
    let mut away = Client::connect(server, Version::V5, "away-5", true);
    for payload in ["zero", "one", "two", "retained", "expires", "done"] {
        let told = tell(&away.packet());
        // With properties and what is left of its time, but always with the identifier.
        assert!(told.contains(r"\x0b\xac\x02"), "{told}");
        assert!(told.ends_with(payload), "{told}");
    }

    // Subscriptions are there.
    let live = mqtt::Publish {
        topic: "live/1",
        payload: b"news",
        ..mqtt::Publish::default()
    };
    watcher.send(&live.packet());
    assert_eq!(half_1.packets(1), ["30 news"]);
    assert!(!server.log().contains("rror"), "{}", server.log());
}

/// Releases what `open-in` has sent, which it may repeat before. Returns what comes of it to somebody who wants it.
fn release(server: &Server, repeats: bool) -> Vec<String> {
    let mut all = Client::connect(server, Version::V311, "all", false);
    all.send(&mqtt::subscribe(Version::V311, 1, &["queue/in", "end"], 0));
    assert_eq!(all.packet()[0], mqtt::SUBACK << 4);
    let mut open = Client::connect(server, Version::V5, "open-in", true);
    let again = mqtt::Publish {
        version: Version::V5,
        topic: "queue/in",
        payload: b"open",
        qos: 2,
        id: 77,
        ..mqtt::Publish::default()
    };
    let mut again = again.packet();
    again[0] |= 8;
    if repeats {
        open.send(&again);
        assert_eq!(tell(&open.packet()), "50 77");
    }
    open.send(&mqtt::ack(mqtt::PUBREL, 77));
    assert_eq!(tell(&open.packet()), "70 77");
    let end = mqtt::Publish {
        topic: "end",
        payload: b"end",
        ..mqtt::Publish::default()
    };
    all.send(&end.packet());
    let mut told = Vec::new();
    loop {
        let line = tell(&all.packet());
        if line.ends_with("end") {
            return told;
        }
        told.push(line);
    }
}

fn mosquitto_goes_on_with_its_own_database_written_again() {
    let file = Database::read(GOLDEN).unwrap().write();
    let (server, _folder) = start("own", &file);
    clients_find_what_they_had_left(&server);
    assert_eq!(
        release(&server, true),
        ["30 open"],
        "it routes at PUBREL, once"
    );
}

fn mosquitto_goes_on_with_what_a_ledger_says() {
    let database = Database::read(GOLDEN).unwrap();
    let mut legacy = Legacy::of(1);
    let names = [(21_883, "*:21883".to_owned())];
    let told = database.to_journal(NOW, &names, |chunk| legacy.feed(0, chunk));
    told.unwrap();
    let ledgers: Vec<_> = legacy.ledgers().collect();
    let file = Database::of_ledgers(&ledgers, NOW).write();
    let (server, _folder) = start("ledger", &file);
    clients_find_what_they_had_left(&server);
    assert_eq!(
        release(&server, false),
        Vec::<String>::new(),
        "what has been routed is not routed again"
    );
}

cases![
    mosquitto_goes_on_with_its_own_database_written_again,
    mosquitto_goes_on_with_what_a_ledger_says,
];
