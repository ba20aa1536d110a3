//! A shard's brain by itself: the smallest conversations, and by theme in the files beside.

mod asking;
mod audit;
mod authors;
mod checkpoint;
mod cut;
mod durable;
pub(super) mod examples;
mod forgotten;
mod hostile;
mod looks;
mod memory;
mod ordered;
mod passed_over;
mod passwords;
mod queries;
mod quotas;
mod reach;
mod refusals;
mod replay;
mod resend;
mod restore;
mod rights;
mod shards;
mod shares;
mod slow;
pub(super) mod state;
mod traces;
mod under_way;
mod unkept;

use std::sync::Arc;

use super::placement::owner_of_topic;
use super::*;
use crate::mqtt::{ConnectOut, QoS, SubscribeOptions, SubscribeOut, Version};

fn peer() -> Peer {
    Peer {
        address: "127.0.0.1:40000".parse().unwrap(),
        listener: 0,
    }
}

struct World {
    broker: Broker,
    now_ms: u64,
}

/// A SUBSCRIBE with identifier 1.
fn subscribe_packet(filters: &[&str], version: Version, qos: QoS) -> Vec<u8> {
    let options = SubscribeOptions::with_qos(qos);
    let filters: Vec<_> = filters.iter().map(|&filter| (filter, options)).collect();
    let mut bytes = Vec::new();
    SubscribeOut {
        packet_id: PacketId::new(1).unwrap(),
        subscription_id: None,
        filters: &filters,
        user_properties: &[],
    }
    .encode(version, &mut bytes);
    bytes
}

impl World {
    fn new(settings: Settings) -> Self {
        World {
            broker: Broker::new(Arc::new(settings), ShardId(0), 1, 7),
            now_ms: 1000,
        }
    }

    fn connect(&mut self, id: &str, version: Version) -> ConnId {
        let conn = self.broker.on_accept(self.now_ms, peer());
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start: true,
            ..ConnectOut::default()
        }
        .encode(version, &mut bytes);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        let reply = self.output(conn);
        assert_eq!(reply[0], 0x20, "CONNACK");
        assert_eq!(reply[3], 0, "accepted");
        conn
    }

    fn subscribe(&mut self, conn: ConnId, version: Version, filter: &str, qos: QoS) {
        let bytes = subscribe_packet(&[filter], version, qos);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        assert_eq!(self.output(conn)[0], 0x90, "SUBACK");
    }

    /// Takes everything that is queued for a connection.
    fn output(&mut self, conn: ConnId) -> Vec<u8> {
        let mut out = Vec::new();
        let mut slices = Vec::new();
        loop {
            slices.clear();
            let bytes = self.broker.gather(
                self.now_ms,
                conn,
                crate::limits::SEND_BYTES_MAX,
                &mut slices,
            );
            if bytes == 0 {
                return out;
            }
            self.broker.gathered_into(conn, &mut out);
            self.broker.on_sent(self.now_ms, conn, bytes);
        }
    }
}

use crate::mqtt::PacketId;

/// 3.1.1, QoS 0: the bytes that come in are the bytes that go out.
const PUBLISH: &[u8] = b"\x30\x09\x00\x03a/bhell";

#[test]
fn a_message_reaches_its_subscriber() {
    let mut world = World::new(Settings::default());
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, Version::V311, "a/#", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    world.broker.on_bytes(world.now_ms, publisher, PUBLISH);
    assert_eq!(world.output(subscriber), PUBLISH);
    assert_eq!(world.output(publisher), b"");
}

#[test]
fn many_messages_merge_into_one_range() {
    let mut world = World::new(Settings::default());
    let subscribers: Vec<ConnId> = (0..20)
        .map(|index| {
            let conn = world.connect(&format!("s{index}"), Version::V311);
            world.subscribe(conn, Version::V311, "a/b", QoS::AtLeastOnce);
            conn
        })
        .collect();
    let publisher = world.connect("p", Version::V311);
    for _ in 0..100 {
        world.broker.on_bytes(world.now_ms, publisher, PUBLISH);
    }
    for conn in subscribers {
        let mut slices = Vec::new();
        assert_eq!(
            world.broker.gather(
                world.now_ms,
                conn,
                crate::limits::SEND_BYTES_MAX,
                &mut slices
            ),
            100 * PUBLISH.len()
        );
        assert_eq!(slices.len(), 1);
    }
}

/// What an idle connection costs in the brain's tables; `perf/` has the whole.
#[test]
fn tables_stay_small() {
    use crate::broker::peers::conn::Conn;
    use crate::broker::sessions::hot::Hot;
    assert!(size_of::<Conn>() <= 64);
    assert!(size_of::<Hot>() <= 8);
    assert!(size_of::<Option<crate::session::Session>>() <= 80);
}

/// A member whose group is at home on the same shard waits for nobody.
#[test]
fn a_shared_subscription_is_answered_and_served_in_turn() {
    let mut world = World::new(Settings::default());
    let members = ["m0", "m1"].map(|id| {
        let conn = world.connect(id, Version::V311);
        world.subscribe(conn, Version::V311, "$share/g/a/#", QoS::AtMostOnce);
        conn
    });
    let publisher = world.connect("p", Version::V311);
    for _ in 0..6 {
        world.broker.on_bytes(world.now_ms, publisher, PUBLISH);
    }
    for conn in members {
        assert_eq!(world.output(conn), PUBLISH.repeat(3));
    }
}

/// It asks and asks and takes nothing: closed, with its session, before it costs more than its bound.
#[test]
fn one_who_does_not_take_answers_is_closed() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("greedy", Version::V311);
    let pings = b"\xc0\x00".repeat(4096);
    let mut closed = false;
    for _ in 0..4096 {
        world.broker.on_bytes(world.now_ms, conn, &pings);
        while let Some(effect) = world.broker.next_effect() {
            closed |= matches!(
                effect,
                Effect::Close {
                    how: CloseHow::Now,
                    ..
                }
            );
        }
        if closed {
            break;
        }
    }
    assert!(closed);
    assert_eq!(world.broker.counters().clients_connected, 0);
    world.broker.on_closed(world.now_ms, conn);
    assert_eq!(world.broker.counters().outbound_bytes, 0);
    world.connect("greedy", Version::V311);
}

/// "Session taken over" is nothing that a client can say.
#[test]
fn a_reason_that_only_a_server_has_is_a_protocol_error() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    world.broker.on_bytes(world.now_ms, conn, b"\xe0\x01\x8e");
    assert_eq!(world.broker.counters().protocol_errors, 1);
    let answer = world.output(conn);
    assert_eq!(
        (answer[0], answer[2]),
        (0xe0, 0x82),
        "DISCONNECT, protocol error"
    );
}
