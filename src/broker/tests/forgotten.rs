//! A connection that is no more is forgotten everywhere: its number is another's soon.

use super::*;
use crate::access::Passwords;
use crate::budget::{Lease, Plan, Pool, Rung};
use crate::mqtt::{PublishHead, ReasonCode};

impl Broker {
    /// Where the number of a connection stands. A field that is added here is looked into as well, or says why not.
    fn traces(&self, conn: ConnId) -> Vec<&'static str> {
        let Broker {
            clients,
            routing: _,   // by session
            interests: _, // by filter
            stores: _,    // by shard
            lookups: _,   // by shard
            live: _,      // by topic
            drain: _,
            sweeps: _,
            waits,
            held, // the rest by line
            pressure: _,
            offers: _,   // by group
            promises: _, // by shard
            ordering,
            looks: _,      // what is due is asked again
            busiest: _,    // by topic
            checkpoint: _, // by message and shard
            restoring: _,
            restored_ms: _,
        } = self;
        let Clients {
            desk: _, // deadlines of others mean nothing, and effects are told the shard
            peers,
            sessions,
            memory: _, // by session
            out,
            shared_ids_min: _,
            order: _,
            passed_over: _,
            traces: shown,
        } = clients;
        let mut traces = peers.traces(conn);
        let others = [
            ("waits", waits.knows(conn)),
            ("held", held.knows(conn)),
            ("under way", ordering.under_way.knows(conn)),
            ("hot", sessions.has_conn(conn)),
            ("outbound", out.pending(conn) > 0),
            ("traces", shown.knows(conn)),
        ];
        traces.extend(
            others
                .iter()
                .filter(|(_, is_there)| *is_there)
                .map(|(what, _)| what),
        );
        traces
    }

    fn forgets(&mut self, conn: ConnId) {
        self.on_eof(1000, conn, CloseCause::Error(104));
        self.clients.peers.next_turn.push_back(conn);
        self.clients.peers.overflowing.push(conn);
        self.held.note_told(conn, 7);
        self.turn_away(conn, ReasonCode::CONNECTION_RATE_EXCEEDED);
        self.on_closed(1000, conn);
        assert_eq!(self.traces(conn), [""; 0]);
        assert_eq!(self.clients.peers.particulars.turned_away(), 0);
    }
}

fn retained(topic: &str, alias: u16) -> Vec<u8> {
    let head = PublishHead {
        version: Version::V5,
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: topic.as_bytes(),
        packet_id: PacketId::new(alias),
        topic_alias: Some(alias),
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: 1,
    };
    let mut bytes = vec![0; head.head_len()];
    head.write_head(&mut bytes);
    bytes.push(b'x');
    bytes
}

/// It has a user name, topic aliases, an author, a publish rate and half a packet; it waits for a SUBACK, for the owner of a
/// topic, for the next turn; it has answers to take.
#[test]
fn nothing_refers_to_a_connection_that_is_closed() {
    let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 2));
    let settings = Settings {
        check_retain_source: true,
        quotas: Quotas {
            publish_rate: 1000,
            ..Quotas::default()
        },
        ..Settings::default()
    };
    let broker = Broker::new(Arc::new(settings), ShardId(0), 2, 7);
    let mut world = World {
        broker: broker.with_lease(Lease::new(pool.clone())),
        now_ms: 1000,
    };
    let mut ids = (0..).map(|number| format!("c{number}"));
    let id = ids.find(|id| home(id, 2) == ShardId(0)).unwrap();
    let conn = world.broker.on_accept(1000, peer());
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: &id,
        clean_start: true,
        username: Some("user"),
        topic_alias_maximum: Some(10),
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    bytes.extend(subscribe_packet(&["far/#"], Version::V5, QoS::AtMostOnce));
    let mut topics = (0..).map(|number| format!("t/{number}"));
    let near = topics
        .find(|topic| owner_of_topic(topic, 2) == ShardId(0))
        .unwrap();
    let far = topics
        .find(|topic| owner_of_topic(topic, 2) == ShardId(1))
        .unwrap();
    bytes.extend(retained(&near, 1));
    world.broker.on_bytes(1000, conn, &bytes);
    pool.set_rung(Rung::Refuse);
    world.broker.on_bytes(1000, conn, &retained(&far, 2));
    world.broker.clients.peers.next_turn.push_back(conn);
    world.broker.settle(1000);
    let expected = [
        "stage",
        "partial",
        "aliases",
        "particulars",
        "rates",
        "next_turn",
        "waits",
        "hot",
        "outbound",
    ];
    assert_eq!(world.broker.traces(conn), expected);
    world.broker.forgets(conn);
    world.broker.settle(1000);
    let audit = world.broker.audit();
    assert_eq!(audit.held, audit.charged);
}

/// Its window is full, or it sends the start of CONNECT, or its password is being checked.
#[test]
fn nothing_refers_to_connections_that_were_about_to_come_in() {
    let listener = ListenerSettings {
        passwords: Some(Arc::new(Passwords::parse(b"").0)),
        ..ListenerSettings::default()
    };
    let settings = Settings {
        listeners: vec![listener],
        ..Settings::default()
    };
    let mut world = World::new(settings);
    let conn = world.broker.on_accept(1000, peer());
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: "c",
        clean_start: true,
        username: Some("user"),
        password: Some(b"password"),
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    world.broker.on_bytes(1000, conn, &bytes[..10]);
    assert_eq!(world.broker.traces(conn), ["stage", "partial", "beginners"]);
    world.broker.forgets(conn);
    assert_eq!(world.broker.on_accept(1000, peer()), conn);
    world.broker.on_bytes(1000, conn, &bytes);
    assert_eq!(world.broker.traces(conn), ["stage", "beginners", "waits"]);
    world.broker.forgets(conn);
    world.broker.settle(1000);
    let audit = world.broker.audit();
    assert_eq!(audit.held, audit.charged);
}
