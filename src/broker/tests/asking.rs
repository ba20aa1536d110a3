//! Retained messages on another shard, with little room for them: who publishes is told what became of its message.

use std::collections::VecDeque;

use super::slow::packets;
use super::*;
use crate::budget::{Account, Lease, Plan, Pool};
use crate::limits;
use crate::mqtt::{Packet, PublishHead, ReasonCode};

const SHARDS: u8 = 3;
const ACCOUNT: u64 = 1 << 20;

/// Three shards and what is under way between them.
struct Cluster {
    worlds: Vec<World>,
    mesh: VecDeque<(usize, usize, MeshMessage)>,
    /// Answers to questions stay where they are.
    mute: bool,
    pauses: usize,
}

impl Cluster {
    fn new() -> Cluster {
        let pool = Arc::new(Pool::new(&Plan::even(ACCOUNT), SHARDS));
        let settings = Arc::new(Settings {
            max_inflight_messages: 0,
            ..Settings::default()
        });
        let worlds = (0..SHARDS).map(|shard| {
            let broker = Broker::new(settings.clone(), ShardId(shard), SHARDS, 7);
            World {
                broker: broker.with_lease(Lease::new(pool.clone())),
                now_ms: 1000,
            }
        });
        Cluster {
            worlds: worlds.collect(),
            mesh: VecDeque::new(),
            mute: false,
            pauses: 0,
        }
    }

    /// A client whose home is this shard.
    fn connect(&mut self, shard: usize, name: &str, version: Version) -> ConnId {
        let mut ids = (0..).map(|number| format!("{name}{number}"));
        let id = ids.find(|id| home(id, SHARDS) == ShardId(shard as u8));
        self.worlds[shard].connect(&id.unwrap(), version)
    }

    /// Passes messages on until there are none, or none but those that are held back.
    fn pump(&mut self) {
        loop {
            for (from, world) in self.worlds.iter_mut().enumerate() {
                while let Some(effect) = world.broker.next_effect() {
                    match effect {
                        Effect::Mesh { to, message } => {
                            self.mesh.push_back((from, to.index(), message));
                        }
                        Effect::Pause { .. } => self.pauses += 1,
                        _ => {}
                    }
                }
            }
            let is_held =
                |message: &MeshMessage| matches!(message, MeshMessage::RetainAnswer { .. });
            let next =
                (self.mesh.iter()).position(|(.., message)| !(self.mute && is_held(message)));
            let Some((from, to, message)) = next.and_then(|index| self.mesh.remove(index)) else {
                return;
            };
            let world = &mut self.worlds[to];
            world
                .broker
                .on_mesh(world.now_ms, ShardId(from as u8), message);
        }
    }

    fn bytes(&mut self, shard: usize, conn: ConnId, bytes: &[u8]) {
        let world = &mut self.worlds[shard];
        world.broker.on_bytes(world.now_ms, conn, bytes);
        self.pump();
    }

    fn pass(&mut self, ms: u64) {
        for world in &mut self.worlds {
            world.now_ms += ms;
            world.broker.on_timers(world.now_ms);
        }
        self.pump();
    }

    /// Identifiers and reasons of the acknowledgements that have come for a publisher.
    fn acks(&mut self, shard: usize, conn: ConnId) -> Vec<(u16, ReasonCode)> {
        let mut acks = Vec::new();
        let out = self.worlds[shard].output(conn);
        packets(Version::V5, &out, |packet| {
            if let Packet::Puback(ack) | Packet::Pubrec(ack) = packet {
                acks.push((ack.packet_id.get(), ack.reason));
            }
        });
        acks
    }

    /// Topics that a new subscriber of `#` on this shard is told.
    fn kept(&mut self, shard: usize, name: &str) -> Vec<String> {
        let conn = self.connect(shard, name, Version::V311);
        self.bytes(
            shard,
            conn,
            &subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce),
        );
        let mut topics = Vec::new();
        loop {
            let out = self.worlds[shard].output(conn);
            if out.is_empty() {
                break;
            }
            packets(Version::V311, &out, |packet| {
                if let Packet::Publish(publish) = packet {
                    topics.push(publish.topic.to_string());
                }
            });
            self.pass(200);
        }
        self.bytes(shard, conn, b"\xe0\x00");
        let world = &mut self.worlds[shard];
        world.broker.on_closed(world.now_ms, conn);
        self.pump();
        topics.sort();
        topics
    }

    fn promised(&self) -> u64 {
        let promised = |world: &World| world.broker.promises.promised();
        self.worlds.iter().map(promised).sum()
    }

    /// The accounts are right, and nobody waits or has been promised anything.
    fn check(&mut self) {
        assert_eq!(self.promised(), 0);
        for world in &mut self.worlds {
            world.broker.settle(world.now_ms);
            let audit = world.broker.audit();
            for account in [Account::Connections, Account::Packets, Account::Retained] {
                let index = account as usize;
                assert_eq!(
                    audit.held[index],
                    audit.charged[index],
                    "{}",
                    account.name()
                );
            }
        }
    }
}

fn retained(version: Version, topic: &str, qos: QoS, id: u16, payload: usize) -> Vec<u8> {
    let head = PublishHead {
        version,
        dup: false,
        qos,
        retain: true,
        topic: topic.as_bytes(),
        packet_id: PacketId::new(id).filter(|_| qos != QoS::AtMostOnce),
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: payload,
    };
    let mut bytes = vec![0; head.head_len()];
    head.write_head(&mut bytes);
    bytes.resize(bytes.len() + payload, b'x');
    bytes
}

fn owner(topic: &str) -> usize {
    owner_of_topic(topic, SHARDS).index()
}

/// Publishes new topics in receives of this many bytes until long after the account is full; returns those that were taken.
fn fill(cluster: &mut Cluster, qos: QoS, receive: usize) -> Vec<String> {
    let publisher = cluster.connect(0, "p", Version::V5);
    let topics: Vec<String> = (0..1400).map(|number| format!("t/{number}")).collect();
    let all: Vec<u8> = (1..)
        .zip(&topics)
        .flat_map(|(id, topic)| retained(Version::V5, topic, qos, id, 1000))
        .collect();
    let mut acks = Vec::new();
    for part in all.chunks(receive) {
        cluster.bytes(0, publisher, part);
        cluster.pass(1);
        acks.extend(cluster.acks(0, publisher));
    }
    let ids: Vec<u16> = acks.iter().map(|&(id, _)| id).collect();
    assert!(
        ids.into_iter().eq(1..=1400),
        "all are answered, in their order"
    );
    for shard in 0..3 {
        let (mut taken, mut refused) = (0, 0);
        for &(id, reason) in &acks {
            if owner(&topics[usize::from(id) - 1]) == shard {
                taken += u32::from(!reason.is_error());
                refused += u32::from(reason == ReasonCode::QUOTA_EXCEEDED);
            }
        }
        assert!(
            taken > 20 && refused > 20,
            "of shard {shard}: {taken} {refused}"
        );
    }
    let mut taken: Vec<String> = (acks.iter())
        .filter(|(_, reason)| !reason.is_error())
        .map(|&(id, _)| topics[usize::from(id) - 1].clone())
        .collect();
    taken.sort();
    taken
}

#[test]
fn who_is_told_success_finds_its_message_and_who_is_not_does_not() {
    for (qos, receive) in [
        (QoS::AtLeastOnce, 32 << 10),
        (QoS::AtLeastOnce, 700),
        (QoS::ExactlyOnce, 5000),
    ] {
        let mut cluster = Cluster::new();
        let taken = fill(&mut cluster, qos, receive);
        assert_eq!(cluster.kept(1, "all"), taken);
        assert!(cluster.pauses > 0);
        let asked: Vec<u64> = (cluster.worlds.iter_mut())
            .map(|world| world.broker.counters().retained_asked)
            .collect();
        assert!(asked[0] > 0 && asked[1..] == [0, 0], "{asked:?}");
        let received = cluster.worlds[0].broker.counters().publish_received;
        assert_eq!(received, 1400, "each counts once");
        cluster.check();

        // A new value for a topic that is kept is taken, wherever it is.
        let publisher = cluster.connect(2, "q", Version::V5);
        for (id, topic) in (1..=60).zip(&taken) {
            cluster.bytes(2, publisher, &retained(Version::V5, topic, qos, id, 1000));
            let acks = cluster.acks(2, publisher);
            assert!(matches!(acks[..], [(acked, reason)] if acked == id && !reason.is_error()));
        }
        cluster.check();
    }
}

#[test]
fn while_there_is_room_nobody_asks_and_who_cannot_be_told_is_not_held() {
    let mut cluster = Cluster::new();
    let publisher = cluster.connect(0, "p", Version::V5);
    for number in 0..50 {
        let topic = format!("t/{number}");
        cluster.bytes(
            0,
            publisher,
            &retained(Version::V5, &topic, QoS::AtLeastOnce, 1, 1000),
        );
    }
    assert_eq!(cluster.worlds[0].broker.counters().retained_asked, 0);
    fill(&mut cluster, QoS::AtLeastOnce, 32 << 10);
    let (pauses, asked) = (
        cluster.pauses,
        cluster.worlds[0].broker.counters().retained_asked,
    );
    let old = cluster.connect(0, "old", Version::V311);
    for number in 0..50u16 {
        let topic = format!("u/{number}");
        cluster.bytes(
            0,
            old,
            &retained(Version::V311, &topic, QoS::AtLeastOnce, number + 1, 1000),
        );
        cluster.bytes(
            0,
            publisher,
            &retained(Version::V5, &topic, QoS::AtMostOnce, 1, 1000),
        );
    }
    assert_eq!(cluster.pauses, pauses);
    assert_eq!(cluster.worlds[0].broker.counters().retained_asked, asked);
    cluster.check();
}

/// Topics that the last shard owns.
fn of_the_last(name: &'static str) -> impl Iterator<Item = String> {
    (0..)
        .map(move |number| format!("{name}/{number}"))
        .filter(|topic| owner(topic) == 2)
}

/// A cluster in which there is room for some more messages of a kilobyte, and a publisher on the first shard.
fn nearly_full() -> (Cluster, ConnId) {
    let mut cluster = Cluster::new();
    let publisher = cluster.connect(0, "p", Version::V5);
    let mut topics = of_the_last("full");
    let pool = cluster.worlds[0].broker.clients.memory.lease.pool().clone();
    while pool.free(Account::Retained) > (ACCOUNT / limits::RETAIN_ASK_DIVISOR) as i64 {
        let bytes = retained(
            Version::V5,
            &topics.next().unwrap(),
            QoS::AtLeastOnce,
            1,
            1000,
        );
        cluster.bytes(0, publisher, &bytes);
    }
    cluster.acks(0, publisher);
    (cluster, publisher)
}

#[test]
fn two_who_want_the_last_place_are_not_both_told_that_they_have_it() {
    let (mut cluster, _) = nearly_full();
    let publishers = [0, 1].map(|shard| {
        let conns: Vec<ConnId> = (0..200)
            .map(|index| cluster.connect(shard, &format!("x{index}-"), Version::V5))
            .collect();
        conns
    });
    // All ask before anybody is answered, and are answered before anything is stored.
    let mut topics = of_the_last("new");
    let mut sent = Vec::new();
    for (shard, conns) in publishers.iter().enumerate() {
        for &conn in conns {
            let topic = topics.next().unwrap();
            let world = &mut cluster.worlds[shard];
            let bytes = retained(Version::V5, &topic, QoS::AtLeastOnce, 1, 1000);
            world.broker.on_bytes(world.now_ms, conn, &bytes);
            sent.push((shard, conn, topic));
        }
    }
    cluster.mute = true;
    cluster.pump();
    assert!(cluster.promised() > 10_000);
    cluster.mute = false;
    cluster.pump();
    let mut taken = Vec::new();
    for (shard, conn, topic) in sent {
        match cluster.acks(shard, conn)[..] {
            [(1, ReasonCode::QUOTA_EXCEEDED)] => {}
            [(1, reason)] if !reason.is_error() => taken.push(topic),
            ref other => panic!("{other:?}"),
        }
    }
    taken.sort();
    assert!((10..390).contains(&taken.len()), "{}", taken.len());
    let kept = cluster.kept(1, "all");
    let kept: Vec<_> = kept
        .into_iter()
        .filter(|topic| topic.starts_with("new"))
        .collect();
    assert_eq!(kept, taken);
    cluster.check();
}

#[test]
fn what_is_promised_to_one_who_leaves_is_released() {
    let (mut cluster, publisher) = nearly_full();
    cluster.mute = true;
    let topic = of_the_last("new").next().unwrap();
    cluster.bytes(
        0,
        publisher,
        &retained(Version::V5, &topic, QoS::AtLeastOnce, 1, 1000),
    );
    assert!(cluster.promised() > 0);
    let world = &mut cluster.worlds[0];
    world
        .broker
        .on_eof(world.now_ms, publisher, CloseCause::Error(104));
    world.broker.on_closed(world.now_ms, publisher);
    cluster.mute = false;
    cluster.pump();
    assert!(!cluster.kept(1, "all").contains(&topic));
    cluster.check();
}

#[test]
fn who_closes_its_side_while_it_waits_has_published() {
    let (mut cluster, publisher) = nearly_full();
    cluster.mute = true;
    let topic = of_the_last("new").next().unwrap();
    let mut bytes = retained(Version::V5, &topic, QoS::AtLeastOnce, 1, 1000);
    bytes.extend_from_slice(b"\xe0\x00");
    cluster.bytes(0, publisher, &bytes);
    let world = &mut cluster.worlds[0];
    world
        .broker
        .on_eof(world.now_ms, publisher, CloseCause::Eof);
    cluster.mute = false;
    cluster.pump();
    assert!(cluster.kept(1, "all").contains(&topic));
    cluster.check();
}

#[test]
fn without_an_answer_it_is_refused_after_a_while_and_nothing_stays_promised() {
    let (mut cluster, publisher) = nearly_full();
    cluster.mute = true;
    let topic = of_the_last("new").next().unwrap();
    let mut bytes = retained(Version::V5, &topic, QoS::ExactlyOnce, 9, 1000);
    bytes.extend_from_slice(b"\xc0\x00");
    cluster.bytes(0, publisher, &bytes);
    cluster.pass(limits::RETAIN_ASK_MS / 2);
    assert!(cluster.worlds[0].output(publisher).is_empty());
    cluster.pass(limits::RETAIN_ASK_MS);
    let out = cluster.worlds[0].output(publisher);
    assert_eq!(out[..5], [0x50, 3, 0, 9, 0x97], "{out:?}");
    assert!(out.ends_with(b"\xd0\x00"));
    cluster.mute = false;
    cluster.pump();
    assert!(!cluster.kept(1, "all").contains(&topic));
    cluster.check();
}
