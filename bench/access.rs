//! What access control costs: nanoseconds a publish and a delivery, with many rules over none.
//!
//! `cargo bench --bench access`. The brain of one shard without sockets; each figure is the best of several rounds,
//! because everything else on the machine only makes it worse.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Instant;

use firehose::access::Acl;
use firehose::broker::{Broker, ListenerSettings, Peer, Settings};
use firehose::ids::{ConnId, ShardId};
use firehose::mqtt::{
    ConnectOut, PacketId, PublishHead, QoS, SubscribeOptions, SubscribeOut, Version,
};
use firehose::outbound::Slice;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const VERSION: Version = Version::V311;
const ROUNDS: usize = 15;
const LINES: usize = 10_000;

fn main() {
    let files = [
        ("no ACL file", None),
        ("two lines", Some(two_lines())),
        ("10,000 topic lines", Some(topic_lines())),
        ("10,000 lines, half of them patterns", Some(pattern_lines())),
    ];
    for topics in [16, 1000, 100_000] {
        println!("a publish that nobody wants, {topics} topics in turn");
        let mut none = 0.0;
        for (name, acl) in &files {
            let ns = publish(acl.as_deref(), topics);
            none = if acl.is_none() { ns } else { none };
            println!("  {name:<44} {ns:>8.1} ns, {:>+7.1}", ns - none);
        }
    }
    println!("a delivery, 1 -> 1000, QoS 0");
    let mut none = 0.0;
    for (name, acl) in &files {
        let ns = fan_out(acl.as_deref(), 1000);
        none = if acl.is_none() { ns } else { none };
        println!("  {name:<44} {ns:>8.2} ns, {:>+7.2}", ns - none);
    }
}

fn two_lines() -> String {
    "topic read #\nuser infra\ntopic readwrite #\n".into()
}

fn topic_lines() -> String {
    let mut text = String::new();
    for line in 0..LINES / 2 {
        text += &format!("topic read site/{}/device/{line}/#\n", line % 100);
    }
    text += "topic read #\nuser infra\n";
    for line in 0..LINES / 2 {
        text += &format!("topic write site/{}/device/{line}/+\n", line % 100);
    }
    text
}

fn pattern_lines() -> String {
    let mut text = String::from("topic read #\nuser infra\n");
    for line in 0..LINES / 2 {
        text += &format!("topic write other/{}/device/{line}/+\n", line % 100);
        text += &format!("pattern write site/+/device/{line}/%c/#\n");
    }
    text + "pattern write site/+/device/+/%c\n"
}

struct World {
    broker: Broker,
    slices: Vec<Slice>,
}

impl World {
    fn new(acl: Option<&str>) -> World {
        let acl = acl.map(|text| match Acl::parse(text.as_bytes()) {
            Ok((acl, _)) => Arc::new(acl),
            Err(error) => panic!("{error}"),
        });
        let listener = ListenerSettings {
            acl,
            ..ListenerSettings::default()
        };
        let settings = Settings {
            listeners: vec![listener],
            ..Settings::default()
        };
        World {
            broker: Broker::new(Arc::new(settings), ShardId(0), 1, 1),
            slices: Vec::new(),
        }
    }

    fn client(&mut self, id: &str, user: Option<&str>, filter: Option<&str>) -> ConnId {
        let address = "127.0.0.1:40000".parse().unwrap();
        let listener = 0;
        let conn = self.broker.on_accept(0, Peer { address, listener });
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start: true,
            username: user,
            ..ConnectOut::default()
        }
        .encode(VERSION, &mut bytes);
        if let Some(filter) = filter {
            let filters = [(filter, SubscribeOptions::with_qos(QoS::AtMostOnce))];
            SubscribeOut {
                packet_id: PacketId::new(1).unwrap(),
                subscription_id: None,
                filters: &filters,
                user_properties: &[],
            }
            .encode(VERSION, &mut bytes);
        }
        self.broker.on_bytes(0, conn, &bytes);
        self.send_all();
        conn
    }

    fn send_all(&mut self) {
        while self.broker.next_effect().is_some() {}
        while let Some(conn) = self.broker.next_dirty() {
            self.slices.clear();
            let bytes =
                self.broker
                    .gather(0, conn, firehose::limits::SEND_BYTES_MAX, &mut self.slices);
            self.broker.on_sent(0, conn, bytes);
        }
    }
}

/// PUBLISH packets, 64 in a piece, as a receive brings them.
fn publishes(topics: usize) -> Vec<Vec<u8>> {
    let topics: Vec<String> = (0..topics.max(64))
        .map(|index| index % topics)
        .map(|index| {
            format!("site/{}/device/{}/p", index % 100, index % (LINES / 2)) + &suffix(index)
        })
        .collect();
    topics
        .chunks(64)
        .map(|topics| {
            let mut bytes = Vec::new();
            for topic in topics {
                let head = PublishHead {
                    version: VERSION,
                    dup: false,
                    qos: QoS::AtMostOnce,
                    retain: false,
                    topic: topic.as_bytes(),
                    packet_id: None,
                    topic_alias: None,
                    message_expiry: None,
                    subscription_ids: &[],
                    properties: &[],
                    payload_len: 64,
                };
                let start = bytes.len();
                bytes.resize(start + head.head_len(), 0);
                head.write_head(&mut bytes[start..]);
                bytes.resize(bytes.len() + 64, b'x');
            }
            bytes
        })
        .collect()
}

/// The publisher is `p`: `p` is its own place, so that patterns with %c match too.
fn suffix(index: usize) -> String {
    match index / (LINES / 2) {
        0 => String::new(),
        more => format!("{more}"),
    }
}

fn best(count: usize, mut round: impl FnMut()) -> f64 {
    round();
    let mut best = f64::MAX;
    for _ in 0..ROUNDS {
        let started = Instant::now();
        round();
        best = best.min(started.elapsed().as_nanos() as f64 / count as f64);
    }
    best
}

fn publish(acl: Option<&str>, topics: usize) -> f64 {
    let mut world = World::new(acl);
    let publisher = world.client("p", Some("infra"), None);
    let pieces = publishes(topics);
    let count = 20_000usize.max(topics);
    best(count / 64 * 64, || {
        for piece in pieces.iter().cycle().take(count / 64) {
            world.broker.on_bytes(0, publisher, black_box(piece));
        }
    })
}

fn fan_out(acl: Option<&str>, subscribers: usize) -> f64 {
    let mut world = World::new(acl);
    for index in 0..subscribers {
        world.client(&format!("s{index}"), None, Some("#"));
    }
    let publisher = world.client("p", Some("infra"), None);
    let pieces = publishes(64);
    best(20 * 64 * subscribers, || {
        for _ in 0..20 {
            world.broker.on_bytes(0, publisher, black_box(&pieces[0]));
            world.send_all();
        }
    })
}
