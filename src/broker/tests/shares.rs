//! An account is short: who holds most gives way, whoever comes next; on one shard, and over several.

use std::sync::Arc;

use super::slow::{packets, publish};
use super::*;
use crate::budget::{Account, Lease, Plan, Pool};
use crate::limits;
use crate::mqtt::Packet;

const MIB: u64 = 1 << 20;

/// Some shards, the mesh between them, and the pool that they share.
pub(super) struct Cluster {
    pub brokers: Vec<Broker>,
    pool: Arc<Pool>,
    now_ms: u64,
    closed: Vec<(usize, ConnId)>,
    log: Vec<String>,
    /// Shards are in long turns, and do not say what they hold.
    is_busy: bool,
    late: Vec<(usize, ShardId, MeshMessage)>,
}

/// A connection at its shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct At(pub usize, pub ConnId);

impl Cluster {
    pub(super) fn new(shards: u8, account_bytes: u64) -> Self {
        let pool = Arc::new(Pool::new(&Plan::even(account_bytes), shards));
        let settings = Arc::new(Settings {
            max_queued_messages: 0,
            ..Settings::default()
        });
        let broker = |shard| {
            Broker::new(settings.clone(), ShardId(shard), shards, 7)
                .with_lease(Lease::new(pool.clone()))
        };
        Cluster {
            brokers: (0..shards).map(broker).collect(),
            pool,
            now_ms: 1000,
            closed: Vec::new(),
            log: Vec::new(),
            is_busy: false,
            late: Vec::new(),
        }
    }

    /// Effects are carried out until there is none.
    pub(super) fn settle(&mut self) {
        loop {
            let mut mesh = match self.is_busy {
                true => Vec::new(),
                false => std::mem::take(&mut self.late),
            };
            for (from, broker) in self.brokers.iter_mut().enumerate() {
                while let Some(effect) = broker.next_effect() {
                    match effect {
                        Effect::Mesh { to, message } => match message {
                            MeshMessage::Shares(_) if self.is_busy => {
                                self.late.push((from, to, message));
                            }
                            message => mesh.push((from, to, message)),
                        },
                        Effect::Close { conn, .. } => self.closed.push((from, conn)),
                        Effect::Log { text, .. } => self.log.push(text),
                        _ => {}
                    }
                }
            }
            if mesh.is_empty() {
                return;
            }
            for (from, to, message) in mesh {
                self.brokers[to.index()].on_mesh(self.now_ms, ShardId(from as u8), message);
            }
        }
    }

    fn accept(&mut self, shard: usize, address: &str) -> At {
        let peer = Peer {
            address: format!("{address}:40000").parse().unwrap(),
            listener: 0,
        };
        At(shard, self.brokers[shard].on_accept(self.now_ms, peer))
    }

    pub(super) fn send(&mut self, at: At, bytes: &[u8]) {
        self.brokers[at.0].on_bytes(self.now_ms, at.1, bytes);
        self.settle();
    }

    pub(super) fn output(&mut self, at: At) -> Vec<u8> {
        let mut out = Vec::new();
        let mut slices = Vec::new();
        loop {
            slices.clear();
            let max = limits::SEND_BYTES_MAX;
            let bytes = self.brokers[at.0].gather(self.now_ms, at.1, max, &mut slices);
            if bytes == 0 {
                return out;
            }
            self.brokers[at.0].gathered_into(at.1, &mut out);
            self.brokers[at.0].on_sent(self.now_ms, at.1, bytes);
            self.settle();
        }
    }

    pub(super) fn connect(&mut self, id: &str, address: &str) -> At {
        let at = self.accept(home(id, self.brokers.len() as u8).index(), address);
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start: false,
            ..ConnectOut::default()
        }
        .encode(Version::V311, &mut bytes);
        self.send(at, &bytes);
        assert_eq!(self.output(at)[3], 0);
        at
    }

    fn leave(&mut self, at: At) {
        self.send(at, b"\xe0\x00");
        self.brokers[at.0].on_closed(self.now_ms, at.1);
        self.closed.clear();
    }

    /// A durable session that is subscribed to the topic of its name with QoS 1, and away.
    fn away(&mut self, id: &str, address: &str) {
        let at = self.connect(id, address);
        let bytes = subscribe_packet(&[id], Version::V311, QoS::AtLeastOnce);
        self.send(at, &bytes);
        self.output(at);
        self.leave(at);
    }

    fn refused(&mut self) -> u64 {
        let refused = |broker: &mut Broker| broker.counters().backlog_refused;
        self.brokers.iter_mut().map(refused).sum()
    }

    /// The client is back and acknowledges what comes: the first bytes of it, in their order.
    fn fetch(&mut self, id: &str, address: &str) -> Vec<u8> {
        let at = self.accept(home(id, self.brokers.len() as u8).index(), address);
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: id,
            clean_start: false,
            ..ConnectOut::default()
        }
        .encode(Version::V311, &mut bytes);
        self.send(at, &bytes);
        let mut came = Vec::new();
        loop {
            let (mut acks, out) = (Vec::new(), self.output(at));
            packets(Version::V311, &out, |packet| {
                if let Packet::Publish(publish) = packet {
                    came.push(publish.payload[0]);
                    acks.extend_from_slice(&[0x40, 2]);
                    acks.extend_from_slice(&publish.packet_id.unwrap().get().to_be_bytes());
                }
            });
            if acks.is_empty() {
                return came;
            }
            self.send(at, &acks);
        }
    }

    /// Twelve sessions of a stranger fill the account twice over; then 200 messages go to somebody else's session.
    fn attack(&mut self, victim: &str, stranger: &str) -> Vec<u8> {
        let names: Vec<String> = (0..12).map(|index| format!("stranger{index}")).collect();
        for name in &names {
            self.away(name, stranger);
        }
        self.away("victim", victim);
        let publisher = self.connect("publisher", victim);
        for _ in 0..128 {
            for name in &names {
                self.send(publisher, &publish(name, 1, false, &[9; 10_000]));
            }
            self.output(publisher);
        }
        for number in 0..200 {
            self.send(publisher, &publish("victim", 1, false, &[number; 1000]));
            assert_eq!(self.output(publisher).first(), Some(&0x40), "PUBACK");
        }
        self.fetch("victim", victim)
    }
}

#[test]
fn a_session_within_its_share_loses_nothing_to_those_who_fill_the_account() {
    for shards in [1, 2, 3] {
        for stranger in ["10.0.0.9", "10.0.0.1"] {
            let mut cluster = Cluster::new(shards, 8 * MIB);
            let came = cluster.attack("10.0.0.1", stranger);
            assert!(came.into_iter().eq(0..200), "{shards} shards, {stranger}");
            assert!(cluster.refused() > 0);
            assert!(cluster.pool.leased(Account::Backlog) <= 8 * MIB);
            let says = |line: &&String| line.contains("holds more than its share");
            let said = cluster.log.iter().filter(says).cloned().collect::<Vec<_>>();
            assert!(!said.is_empty());
            assert!(
                said.iter().all(|line| line.starts_with("stranger")),
                "{said:?}"
            );
        }
    }
}

/// A turn of a shard may be longer than it takes to fill the account, and nobody knows what it holds before.
#[test]
fn a_session_within_its_share_loses_nothing_while_shards_do_not_answer() {
    for shards in [2, 3] {
        for stranger in ["10.0.0.9", "10.0.0.1"] {
            let mut cluster = Cluster::new(shards, 8 * MIB);
            cluster.is_busy = true;
            let came = cluster.attack("10.0.0.1", stranger);
            assert!(
                came.iter().copied().eq(0..200),
                "{shards} shards, {stranger}: {} came",
                came.len()
            );
            let most = 8 * MIB + 8 * MIB / limits::SHARES_BEYOND_DIVISOR;
            assert!(cluster.pool.leased(Account::Backlog) <= most);
            assert!(cluster.refused() > 0);
            // And then they come down.
            cluster.is_busy = false;
            cluster.settle();
            cluster.now_ms += limits::PRESSURE_LOOK_MS;
            for shard in 0..usize::from(shards) {
                cluster.brokers[shard].settle(cluster.now_ms);
                cluster.settle();
            }
            assert!(cluster.pool.leased(Account::Backlog) <= 8 * MIB);
        }
    }
}

/// Many sessions that hold a few messages each overdraw the account while the others do not answer. What the one that asks had
/// counted is less by then than what is missing: who is within a share gives nothing all the same.
#[test]
fn a_session_within_its_share_loses_nothing_when_shards_answer_late() {
    for shards in [2, 3] {
        let mut cluster = Cluster::new(shards, 8 * MIB);
        let names: Vec<String> = (0..4000).map(|index| format!("stranger{index}")).collect();
        for name in &names {
            cluster.away(name, "10.0.0.9");
        }
        let victims: Vec<String> = (0..8).map(|index| format!("victim{index}")).collect();
        let publisher = cluster.connect("publisher", "10.0.0.1");
        for victim in &victims {
            cluster.away(victim, "10.0.0.1");
            for number in 0..8 {
                cluster.send(publisher, &publish(victim, 1, false, &[number; 3000]));
            }
        }
        cluster.is_busy = true;
        for _ in 0..4 {
            for name in &names {
                cluster.send(publisher, &publish(name, 1, false, &[9; 700]));
            }
            cluster.output(publisher);
        }
        assert!(cluster.pool.leased(Account::Backlog) > 9 * MIB);
        cluster.is_busy = false;
        cluster.settle();
        for _ in 0..3 {
            cluster.now_ms += limits::PRESSURE_LOOK_MS;
            for shard in 0..usize::from(shards) {
                cluster.brokers[shard].settle(cluster.now_ms);
                cluster.settle();
            }
        }
        assert!(cluster.pool.leased(Account::Backlog) <= 8 * MIB);
        for victim in &victims {
            let came = cluster.fetch(victim, "10.0.0.1");
            assert!(
                came.iter().copied().eq(0..8),
                "{shards} shards, {victim}: {came:?}"
            );
        }
    }
}

/// A message that is as large as all that may wait is not a reason for all others to give what they have.
#[test]
fn a_message_larger_than_the_account_takes_nothing_from_those_within_their_share() {
    for shards in [1, 2] {
        let mut cluster = Cluster::new(shards, 8 * MIB);
        cluster.away("victim", "10.0.0.1");
        cluster.away("large", "10.0.0.9");
        let publisher = cluster.connect("publisher", "10.0.0.1");
        for number in 0..200 {
            cluster.send(publisher, &publish("victim", 1, false, &[number; 1000]));
        }
        cluster.output(publisher);
        for _ in 0..4 {
            cluster.send(publisher, &publish("large", 1, false, &vec![9; 12 << 20]));
            cluster.output(publisher);
            cluster.now_ms += limits::PRESSURE_LOOK_MS;
            for shard in 0..usize::from(shards) {
                cluster.brokers[shard].settle(cluster.now_ms);
                cluster.settle();
            }
        }
        let came = cluster.fetch("victim", "10.0.0.1");
        assert!(
            came.iter().copied().eq(0..200),
            "{shards} shards: {came:?} {:?}",
            cluster.log
        );
    }
}

/// They are many times more than are named.
#[test]
fn lines_about_those_who_give_way_are_bounded_by_the_second() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    cluster.attack("10.0.0.1", "10.0.0.9");
    let says = |line: &&String| line.contains("holds more than its share");
    let said = cluster.log.iter().filter(says).count();
    assert_eq!(said, limits::SHARES_LINES as usize);
    cluster.now_ms += 1000;
    cluster.brokers[0].settle(cluster.now_ms);
    cluster.settle();
    let says = |line: &&String| line.contains("more times for that reason");
    assert_eq!(cluster.log.iter().filter(says).count(), 1);
}

/// Who gave way once does not when it holds more than it was left then, but less than its share.
#[test]
fn what_was_found_out_holds_while_the_account_is_short() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    cluster.attack("10.0.0.1", "10.0.0.9");
    for index in 0..12 {
        cluster.fetch(&format!("stranger{index}"), "10.0.0.9");
        cluster.now_ms += limits::PRESSURE_LOOK_MS;
        cluster.brokers[0].settle(cluster.now_ms);
    }
    cluster.away("honest", "10.0.0.9");
    cluster.away("big", "10.0.0.2");
    let publisher = cluster.connect("publisher2", "10.0.0.1");
    for number in 0..200 {
        cluster.send(publisher, &publish("honest", 1, false, &[number; 10_000]));
    }
    cluster.output(publisher);
    let before = cluster.refused();
    while cluster.refused() == before {
        cluster.send(publisher, &publish("big", 1, false, &[9; 10_000]));
        cluster.send(publisher, &publish("honest", 1, false, &[200; 10]));
        cluster.output(publisher);
    }
    let came = cluster.fetch("honest", "10.0.0.9");
    assert!(
        came.len() > 200 && came[..200].iter().copied().eq(0..200),
        "{}",
        came.len()
    );
}

/// Who was there does not cost memory when it has gone.
#[test]
fn whose_sessions_were_is_forgotten() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    let before = cluster.brokers[0].clients.memory.shares.memory();
    let all: Vec<At> = (0..100)
        .map(|index| cluster.connect(&format!("c{index}"), "10.0.0.1"))
        .collect();
    assert!(cluster.brokers[0].clients.memory.shares.memory() > before);
    for at in all {
        let session = cluster.brokers[0].clients.peers.session_of(at.1).unwrap();
        cluster.leave(at);
        cluster.brokers[0].end_session(cluster.now_ms, session);
        cluster.settle();
    }
    cluster.brokers[0].trim();
    assert_eq!(cluster.brokers[0].clients.memory.shares.memory(), before);
}

/// What those who gave way still have are their newest, in their order.
#[test]
fn who_holds_most_gives_its_oldest() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    cluster.away("a", "10.0.0.1");
    let publisher = cluster.connect("publisher", "10.0.0.2");
    for number in 0..200u8 {
        cluster.send(publisher, &publish("a", 1, false, &vec![number; 100_000]));
        cluster.output(publisher);
    }
    let came = cluster.fetch("a", "10.0.0.1");
    assert!(
        came.len() > 60,
        "most of the account is its own: {}",
        came.len()
    );
    assert!(came.iter().copied().eq(200 - came.len() as u8..200));
}

/// Topics and properties are memory too, and so are copies of what is in flight.
#[test]
fn what_is_held_is_more_than_payloads() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    for index in 0..12 {
        let name = format!("s{index}");
        let at = cluster.connect(&name, "10.0.0.9");
        let filter = format!("{name}/#");
        let bytes = subscribe_packet(&[&filter], Version::V311, QoS::AtLeastOnce);
        cluster.send(at, &bytes);
        cluster.output(at);
        cluster.leave(at);
    }
    cluster.away("victim", "10.0.0.1");
    let publisher = cluster.connect("publisher", "10.0.0.1");
    for _ in 0..40 {
        for index in 0..12 {
            let topic = format!("s{index}/{}", "x".repeat(30_000));
            cluster.send(publisher, &publish(&topic, 1, false, b"x"));
        }
        cluster.output(publisher);
    }
    for number in 0..200 {
        cluster.send(publisher, &publish("victim", 1, false, &[number; 1000]));
    }
    cluster.output(publisher);
    let came = cluster.fetch("victim", "10.0.0.1");
    assert!(came.into_iter().eq(0..200));
}

/// An established client whose PUBLISH of 100 KB comes in parts, and those who leave theirs unfinished.
fn publish_in_parts(cluster: &mut Cluster, publisher: At, number: u8) -> bool {
    let bytes = publish("t", 1, false, &vec![number; 100_000]);
    for part in bytes.chunks(30_000) {
        cluster.send(publisher, part);
    }
    let answer = cluster.output(publisher);
    cluster.now_ms += 10;
    answer.first() == Some(&0x40)
}

#[test]
fn unfinished_connects_leave_the_room_of_packets_to_those_who_were_let_in() {
    for shards in [1, 2] {
        let mut cluster = Cluster::new(shards, 8 * MIB);
        let publisher = cluster.connect("publisher", "10.0.0.1");
        let mut connect = vec![0x10, 0xff, 0xff, 0x07, 0, 4];
        connect.extend_from_slice(b"MQTT\x04\x02\x00\x00\xff\xff");
        connect.resize(65_000, b'x');
        for number in 0..600 {
            let shard = number % usize::from(shards);
            let at = cluster.accept(shard, "10.0.0.9");
            cluster.send(at, &connect);
            assert!(cluster.pool.leased(Account::Packets) <= 3 * MIB);
            if number % 30 == 0 {
                assert!(publish_in_parts(&mut cluster, publisher, number as u8));
            }
        }
        // The first of them have gone.
        let first = cluster.closed[..4].to_vec();
        assert!(first.iter().all(|(_, conn)| conn.0 < 20), "{first:?}");
        // Whoever has little to say comes in all the same.
        cluster.connect("new", "10.0.0.9");
    }
}

#[test]
fn among_the_established_who_holds_most_gives_way_and_not_who_comes_next() {
    for shards in [1, 2] {
        for stranger in ["10.0.0.9", "10.0.0.1"] {
            let mut cluster = Cluster::new(shards, 8 * MIB);
            let publisher = cluster.connect("publisher", "10.0.0.1");
            let mut part = publish("x", 0, false, &vec![7; 200_000]);
            part.truncate(65_000);
            for number in 0..400 {
                let at = cluster.connect(&format!("s{number}"), stranger);
                cluster.send(at, &part);
                cluster.now_ms += 10;
                assert!(cluster.pool.leased(Account::Packets) <= 8 * MIB);
                if number % 10 == 0 {
                    assert!(publish_in_parts(&mut cluster, publisher, number as u8));
                }
            }
            assert!(!cluster.closed.contains(&(publisher.0, publisher.1)));
            let refused = |broker: &mut Broker| broker.counters().packets_refused;
            assert!(cluster.brokers.iter_mut().map(refused).sum::<u64>() > 200);
        }
    }
}

/// The last step of the ladder takes from those who hold most, a little at a time.
#[test]
fn when_all_memory_is_short_sessions_that_are_away_give_way_by_what_they_hold() {
    use crate::budget::Rung;
    let mut cluster = Cluster::new(2, 64 * MIB);
    cluster.away("victim", "10.0.0.1");
    cluster.away("stranger", "10.0.0.1");
    let publisher = cluster.connect("publisher", "10.0.0.1");
    for number in 0..200 {
        cluster.send(publisher, &publish("victim", 1, false, &[number; 1000]));
        cluster.send(publisher, &publish("stranger", 1, false, &[number; 50_000]));
        cluster.output(publisher);
    }
    cluster.pool.set_rung(Rung::Shed);
    cluster.pool.set_level(limits::RUNG_SHED);
    for _ in 0..5 {
        cluster.now_ms += limits::PRESSURE_LOOK_MS;
        for shard in 0..2 {
            cluster.brokers[shard].settle(cluster.now_ms);
            cluster.settle();
        }
    }
    cluster.pool.set_rung(Rung::Calm);
    assert!(cluster.fetch("victim", "10.0.0.1").into_iter().eq(0..200));
    let left = cluster.fetch("stranger", "10.0.0.1");
    assert!(left.len() < 180 && left.len() > 20, "{}", left.len());
    assert_eq!(left.last(), Some(&199));
}

/// Strangers from a hundred addresses are away, each with a little; those of one address read slowly, and have more together.
#[test]
fn who_is_connected_has_room_before_strangers_who_are_away() {
    let mut cluster = Cluster::new(1, 8 * MIB);
    let names: Vec<String> = (0..100).map(|index| format!("away{index}")).collect();
    for (index, name) in names.iter().enumerate() {
        cluster.away(name, &format!("10.1.0.{index}"));
    }
    let readers: Vec<At> = (0..4)
        .map(|index| cluster.connect(&format!("reader{index}"), "10.0.0.1"))
        .collect();
    for &reader in &readers {
        let bytes = subscribe_packet(&["r"], Version::V311, QoS::AtLeastOnce);
        cluster.send(reader, &bytes);
        cluster.output(reader);
    }
    let publisher = cluster.connect("publisher", "10.0.0.2");
    for number in 0..100 {
        for name in &names {
            cluster.send(publisher, &publish(name, 1, false, &[9; 2000]));
        }
        cluster.send(publisher, &publish("r", 1, false, &[number; 1000]));
        cluster.output(publisher);
    }
    assert!(cluster.refused() > 0);
    for index in 0..4 {
        let came = cluster.fetch(&format!("reader{index}"), "10.0.0.1");
        assert!(came.into_iter().eq(0..100), "reader {index}");
    }
}
