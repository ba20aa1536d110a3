//! What is shown of clients and topics, and that it ends.

use super::slow::publish;
use super::*;
use crate::limits;
use crate::mqtt::{AckKind, AckOut, PacketType, PublishHead, ReasonCode};

/// What a trace of this number is asked.
fn look(number: u64, subject: TraceSubject) -> TraceLook {
    TraceLook {
        number,
        subject,
        rate: limits::TRACE_RATE_MAX,
        payload_bytes: 4,
    }
}

fn client(id: &str) -> TraceLook {
    look(1, TraceSubject::Client(id.into()))
}

fn topic(filter: &str) -> TraceLook {
    look(2, TraceSubject::Topic(filter.into()))
}

/// The events in short: direction and type, or what else.
fn shown(page: &TracePage) -> Vec<String> {
    let events = page.events.iter();
    let short = events.map(|event| match &event.what {
        TraceWhat::Packet(packet) => {
            let id = packet
                .packet_id
                .map_or(String::new(), |id| format!(" {id}"));
            let content = match &packet.content {
                TracedContent::Publish(message) => {
                    let topic = message.topic.as_deref().unwrap_or("?");
                    let payload = String::from_utf8_lossy(&message.payload);
                    format!(" {topic} {payload}/{}", message.payload_bytes)
                }
                TracedContent::Connack { reason, .. } | TracedContent::Reason(reason) => {
                    format!(" {reason:02x}")
                }
                TracedContent::Filters { filters, .. } => {
                    let filters = filters.iter().map(|one| &*one.filter);
                    format!(" {}", filters.collect::<Vec<_>>().join(","))
                }
                TracedContent::Reasons { codes, .. } => format!(" {codes:?}"),
                TracedContent::Connect(_) | TracedContent::None => String::new(),
            };
            format!("{:?} {:?}{id}{content}", packet.direction, packet.packet)
        }
        TraceWhat::Malformed { packet, error, .. } => format!("malformed {packet:?} {error}"),
        TraceWhat::End { reason, .. } => format!("end {reason}"),
        TraceWhat::Published(published) => {
            let name = published.message.topic.as_deref().unwrap_or("?");
            let who = published.client.as_deref().unwrap_or("-");
            format!("{name} by {who}: {:?}", published.outcome)
        }
    });
    short.collect()
}

impl World {
    fn look(&mut self, look: &TraceLook) -> TracePage {
        let query = Query::Trace(Box::new(look.clone()));
        match self.broker.on_query(self.now_ms, query) {
            Reply::Traced(page) => *page,
            other => panic!("{other:?}"),
        }
    }

    fn receive(&mut self, conn: ConnId, bytes: &[u8]) {
        self.broker.on_bytes(self.now_ms, conn, bytes);
    }

    /// Sends everything in pieces of so many bytes.
    fn trickle(&mut self, conn: ConnId, piece: usize) {
        let mut slices = Vec::new();
        loop {
            slices.clear();
            let bytes = self.broker.gather(self.now_ms, conn, 1 << 20, &mut slices);
            if bytes == 0 {
                return;
            }
            self.broker.on_sent(self.now_ms, conn, piece.min(bytes));
        }
    }

    fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        self.broker.on_timers(self.now_ms);
    }
}

/// A client that is waited for, of each version, and each packet in both directions, once, however the socket takes them.
#[test]
fn a_client_is_shown_from_its_connect_to_its_end() {
    for (version, piece) in [(Version::V311, 1), (Version::V5, 3), (Version::V31, 1000)] {
        let mut world = World::new(Settings::default());
        let page = world.look(&client("c"));
        assert!(page.has_begun && !page.is_connected && page.events.is_empty());
        let conn = world.broker.on_accept(world.now_ms, peer());
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: "c",
            clean_start: true,
            username: Some("u"),
            ..ConnectOut::default()
        }
        .encode(version, &mut bytes);
        bytes.extend(subscribe_packet(&["a/+", "b"], version, QoS::AtLeastOnce));
        // Cut anywhere.
        world.receive(conn, &bytes[..5]);
        world.receive(conn, &bytes[5..]);
        world.trickle(conn, piece);
        let publisher = world.connect("p", version);
        let head = PublishHead {
            version,
            packet_id: PacketId::new(9),
            qos: QoS::AtLeastOnce,
            topic: b"a/b",
            payload_len: 7,
            ..head(version)
        };
        let mut message = vec![0; head.head_len()];
        head.write_head(&mut message);
        message.extend_from_slice(b"payload");
        world.receive(publisher, &message);
        world.trickle(conn, piece);
        let mut ack = Vec::new();
        AckOut {
            kind: AckKind::Puback,
            packet_id: PacketId::new(1).unwrap(),
            reason: ReasonCode::SUCCESS,
            reason_string: None,
        }
        .encode(version, &mut ack);
        world.receive(conn, &ack);
        world.receive(conn, b"\xc0\x00");
        world.trickle(conn, piece);
        world.receive(conn, b"\xe0\x00");
        world.broker.on_closed(world.now_ms, conn);
        let page = world.look(&client("c"));
        assert_eq!(
            shown(&page),
            [
                "In Connect",
                "In Subscribe 1 a/+,b",
                "Out Connack 00",
                "Out Suback 1 [1, 1]",
                "Out Publish 1 a/b payl/7",
                "In Puback 1 00",
                "In Pingreq",
                "Out Pingresp",
                "In Disconnect 00",
                "end ",
            ],
            "{version:?}"
        );
        assert_eq!(page.left_out, 0);
        let TraceWhat::Packet(first) = &page.events[0].what else {
            panic!("no packet");
        };
        let TracedContent::Connect(connect) = &first.content else {
            panic!("no CONNECT");
        };
        assert_eq!(
            (connect.version, connect.user.as_deref()),
            (version, Some("u"))
        );
    }
}

fn head(version: Version) -> PublishHead<'static> {
    PublishHead {
        version,
        dup: false,
        qos: QoS::AtMostOnce,
        retain: false,
        topic: b"",
        packet_id: None,
        topic_alias: None,
        message_expiry: None,
        subscription_ids: &[],
        properties: &[],
        payload_len: 0,
    }
}

/// Somebody begins to look in the midst of a packet that goes out; what follows is read right.
#[test]
fn a_trace_begins_in_the_midst_of_a_packet() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V311);
    world.subscribe(conn, Version::V311, "#", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    let message = |text: &str| publish("t", 0, false, text.as_bytes());
    world.receive(publisher, &message("first"));
    let mut slices = Vec::new();
    world
        .broker
        .gather(world.now_ms, conn, 1 << 20, &mut slices);
    world.broker.on_sent(world.now_ms, conn, 4);
    let page = world.look(&client("c"));
    assert!(page.is_connected);
    world.receive(publisher, &message("second"));
    world.trickle(conn, 2);
    let page = world.look(&client("c"));
    assert_eq!(shown(&page), ["Out Publish t seco/6"]);
}

/// Of a packet that is larger than what is ever kept of one the start is shown, and what follows it.
#[test]
fn a_large_packet_is_shown_by_its_start() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    world.subscribe(conn, Version::V5, "#", QoS::AtMostOnce);
    world.look(&client("c"));
    let publisher = world.connect("p", Version::V311);
    let large = vec![b'x'; 3 << 20];
    world.receive(publisher, &publish("t", 0, false, &large));
    world.receive(publisher, &publish("t", 0, false, b"small"));
    world.trickle(conn, 100_000);
    let page = world.look(&client("c"));
    let sizes = format!("Out Publish t xxxx/{}", large.len());
    assert_eq!(shown(&page), [&*sizes, "Out Publish t smal/5"]);
}

/// What an alias stands for is said in both directions.
#[test]
fn aliases_are_resolved() {
    let mut settings = Settings::default();
    settings.listeners[0].max_topic_alias = 5;
    settings.listeners[0].max_topic_alias_broker = 5;
    let mut world = World::new(settings);
    let conn = world.broker.on_accept(world.now_ms, peer());
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: "c",
        clean_start: true,
        topic_alias_maximum: Some(5),
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    bytes.extend(subscribe_packet(&["#"], Version::V5, QoS::AtMostOnce));
    world.receive(conn, &bytes);
    let say = |world: &mut World, topic: &'static [u8]| {
        let head = PublishHead {
            topic,
            topic_alias: Some(1),
            ..head(Version::V5)
        };
        let mut message = vec![0; head.head_len()];
        head.write_head(&mut message);
        world.receive(conn, &message);
        world.trickle(conn, 1000);
    };
    say(&mut world, b"t/x");
    world.look(&client("c"));
    say(&mut world, b"");
    let page = world.look(&client("c"));
    assert_eq!(shown(&page), ["In Publish t/x /0", "Out Publish t/x /0"]);
}

#[test]
fn what_is_wrong_with_a_packet_is_said_and_how_it_ends() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V5);
    world.look(&client("c"));
    world.receive(conn, b"\x30\x04\x00\x01+\x00");
    world.trickle(conn, 1000);
    let page = world.look(&client("c"));
    let shown = shown(&page);
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert!(
        shown[0].starts_with("malformed Some(Publish) "),
        "{shown:?}"
    );
    assert!(shown[1].starts_with("end "), "{shown:?}");
    assert!(shown[2].starts_with("Out Disconnect "), "{shown:?}");
}

/// The new connection of a client, and why the old one ends.
#[test]
fn a_takeover_is_shown() {
    let mut world = World::new(Settings::default());
    world.look(&client("c"));
    let old = world.connect("c", Version::V5);
    world.connect("c", Version::V5);
    world.trickle(old, 1000);
    world.broker.on_closed(world.now_ms, old);
    let page = world.look(&client("c"));
    assert_eq!(
        shown(&page),
        [
            "In Connect",
            "Out Connack 00",
            "In Connect",
            "end session taken over",
            "Out Connack 00",
            "Out Disconnect 8e",
        ]
    );
}

/// A CONNECT is refused by the shard that it comes to, also if another is the home of its client; one that goes there is shown there.
#[test]
fn a_refused_connect_is_shown_where_it_came() {
    let ids = || (0..).map(|index| format!("c{index}"));
    let foreign = ids().find(|id| home(id, 2) == ShardId(1)).unwrap();
    let mut settings = Settings::default();
    let connect = |world: &mut World| {
        let conn = world.broker.on_accept(world.now_ms, peer());
        let mut bytes = Vec::new();
        ConnectOut {
            client_id: &foreign,
            clean_start: true,
            ..ConnectOut::default()
        }
        .encode(Version::V5, &mut bytes);
        world.receive(conn, &bytes);
        world.trickle(conn, 1000);
        world.broker.on_closed(world.now_ms, conn);
    };
    let world = |settings: &Settings| World {
        broker: Broker::new(Arc::new(settings.clone()), ShardId(0), 2, 7),
        now_ms: 1000,
    };
    let mut moves = world(&settings);
    moves.look(&client(&foreign));
    connect(&mut moves);
    assert_eq!(shown(&moves.look(&client(&foreign))), [""; 0]);
    settings.listeners[0].allow_anonymous = false;
    let mut refuses = world(&settings);
    refuses.look(&client(&foreign));
    connect(&mut refuses);
    assert_eq!(
        shown(&refuses.look(&client(&foreign))),
        ["In Connect", "Out Connack 87", "end closed"]
    );
}

#[test]
fn topics_are_shown_with_what_became_of_each_message() {
    let mut settings = super::rights::settings([Some("topic read #\ntopic write a/#\n"), None], 0);
    settings.max_inflight_messages = 20;
    let mut world = World::new(settings);
    for id in ["s0", "s1"] {
        let conn = world.connect(id, Version::V311);
        world.subscribe(conn, Version::V311, "a/#", QoS::AtMostOnce);
    }
    let publisher = world.connect("p", Version::V311);
    world.look(&topic("+/x"));
    for name in ["a/x", "a/y", "b/x", "a/x/y"] {
        world.receive(publisher, &publish(name, 0, false, b"hello"));
    }
    world.broker.on_publish(world.now_ms, own("a/x"));
    let page = world.look(&topic("+/x"));
    assert_eq!(
        shown(&page),
        [
            "a/x by p: Routed { matched: 2, sent: 2, dropped: 0, shards: 0 }",
            "b/x by p: Refused(135)",
            "a/x by -: Routed { matched: 2, sent: 2, dropped: 0, shards: 0 }",
        ]
    );
}

/// A message of the broker's own.
fn own(topic: &str) -> Message {
    use crate::mqtt::message::{Holders, NEVER, Sent};
    Message {
        topic: crate::mqtt::Topic::new(topic).unwrap(),
        payload: bytes::Bytes::from_static(b"hello"),
        properties: bytes::Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: false,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    }
}

/// Nobody asks any more: nothing is left of it, and connections are as others. While somebody does it stays.
#[test]
fn a_trace_that_nobody_looks_at_ends() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V311);
    assert_eq!(world.broker.clients.traces.memory(), 0);
    assert!(!world.broker.clients.peers.conns[conn.index()].is_traced());
    for _ in 0..5 {
        world.look(&client("c"));
        world.look(&topic("#"));
        world.wait(limits::TRACE_LEASE_MS - 1);
        assert_eq!(world.broker.counters().traces, 2);
    }
    assert!(world.broker.clients.peers.conns[conn.index()].is_traced());
    assert!(world.broker.clients.traces.has_topics());
    let due_ms = world.broker.next_deadline().unwrap();
    assert!(due_ms <= world.now_ms + 1, "the shard wakes for it");
    world.wait(1);
    assert_eq!(world.broker.counters().traces, 0);
    assert!(!world.broker.clients.peers.conns[conn.index()].is_traced());
    assert!(!world.broker.clients.traces.has_topics());
    assert_eq!(world.broker.clients.traces.memory(), 0);
    world.receive(conn, b"\xc0\x00");
    let page = world.look(&client("c"));
    assert!(page.has_begun && page.events.is_empty());
}

/// What is more than the rate, or than there is room for, is counted; all that is held is bounded.
#[test]
fn what_is_too_much_is_counted() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V311);
    let slow = TraceLook {
        rate: 3,
        ..client("c")
    };
    world.look(&slow);
    for _ in 0..10 {
        world.receive(conn, b"\xc0\x00");
    }
    let page = world.look(&slow);
    assert_eq!((page.events.len(), page.left_out), (3, 7));
    world.now_ms += 1000;
    world.receive(conn, b"\xc0\x00");
    let page = world.look(&slow);
    assert_eq!((page.events.len(), page.left_out), (1, 0));
    let wide = TraceLook {
        payload_bytes: limits::TRACE_PAYLOAD_BYTES_MAX,
        ..topic("#")
    };
    world.look(&wide);
    let message = publish("t", 0, false, &vec![b'x'; limits::TRACE_PAYLOAD_BYTES_MAX]);
    for _ in 0..limits::TRACE_RATE_MAX {
        world.receive(conn, &message);
    }
    let held = world.broker.clients.traces.memory();
    assert!(held < 2 * limits::TRACE_BYTES_MAX, "{held}");
    let page = world.look(&wide);
    let all = page.events.len() as u64 + page.left_out;
    assert_eq!(all, u64::from(limits::TRACE_RATE_MAX));
    assert!(page.left_out > 0 && page.events.len() > 40);
    assert!(world.broker.counters().trace_events_left_out > page.left_out);
}

/// More traces than there may be: the one ends that was looked at least lately.
#[test]
fn the_number_of_traces_is_bounded() {
    let mut world = World::new(Settings::default());
    for number in 0..20 {
        world.now_ms += 1;
        let page = world.look(&look(number, TraceSubject::Client("c".into())));
        assert!(page.has_begun);
        assert!(world.broker.counters().traces <= limits::TRACES_MAX as u64);
    }
    assert!(
        !world
            .look(&look(19, TraceSubject::Client("c".into())))
            .has_begun
    );
    assert!(
        world
            .look(&look(0, TraceSubject::Client("c".into())))
            .has_begun
    );
}

/// However many try to come in by the name of a client that is traced, so many are looked at.
#[test]
fn connections_that_are_looked_at_are_bounded() {
    let mut world = World::new(Settings::default());
    world.look(&client("c"));
    for _ in 0..2 * limits::TRACE_CONNECTIONS_MAX {
        world.connect("c", Version::V5);
    }
    let conns = 0..2 * limits::TRACE_CONNECTIONS_MAX;
    let watched = conns.filter(|&conn| world.broker.clients.traces.knows(ConnId(conn as u32)));
    assert_eq!(watched.count(), limits::TRACE_CONNECTIONS_MAX);
}

/// A packet that waits for others and is handled again is shown once.
#[test]
fn a_packet_that_waits_is_shown_once() {
    assert_eq!(PacketType::from_first(0x30), Some(PacketType::Publish));
    let mut world = World::new(Settings::default());
    let conn = world.connect("c", Version::V311);
    world.look(&client("c"));
    world.broker.clients.note_shown(conn);
    world.receive(conn, b"\xc0\x00\xc0\x00");
    assert_eq!(shown(&world.look(&client("c"))), ["In Pingreq"]);
}
