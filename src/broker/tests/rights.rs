//! What was offered by rules that hold no more: asked again when it is sent.

use super::slow::packets;
use super::*;
use crate::access::Acl;
use crate::mqtt::author::ListenerName;
use crate::mqtt::{AckKind, AckOut, Packet};

/// Two listeners, of these rules; `None` for one without. `max` messages in flight.
pub(super) fn settings(acls: [Option<&str>; 2], max: u16) -> Settings {
    let listener = |(index, text): (usize, &Option<&str>)| {
        let acl = |text: &str| Arc::new(Acl::parse(text.as_bytes()).unwrap().0);
        ListenerSettings {
            name: ListenerName::new(["inner", "outer"][index]),
            acl: text.map(acl),
            ..ListenerSettings::default()
        }
    };
    Settings {
        listeners: acls.iter().enumerate().map(listener).collect(),
        max_inflight_messages: max,
        ..Settings::default()
    }
}

pub(super) const READS_ALL: &str =
    "topic write #\ntopic read pub/#\nuser infra\ntopic readwrite #\n";
const READS_PUB: &str = "user infra\ntopic read pub/#\n";

pub(super) fn infra() -> ConnectOut<'static> {
    ConnectOut {
        client_id: "s",
        username: Some("infra"),
        session_expiry: Some(1000),
        ..ConnectOut::default()
    }
}

pub(super) fn nobody() -> ConnectOut<'static> {
    ConnectOut {
        username: None,
        ..infra()
    }
}

/// A world whose listeners have these rules, with a publisher that may do anything.
pub(super) fn world(acls: [Option<&str>; 2], max: u16) -> (World, ConnId) {
    let mut world = World::new(settings(acls, max));
    let publisher = ConnectOut {
        client_id: "p",
        clean_start: true,
        username: Some("infra"),
        ..ConnectOut::default()
    };
    let publisher = world.connect_as(&publisher, Version::V311);
    world.output(publisher);
    (world, publisher)
}

impl World {
    pub(super) fn leave(&mut self, conn: ConnId) {
        self.broker.on_eof(self.now_ms, conn, CloseCause::Eof);
        self.broker.on_closed(self.now_ms, conn);
    }

    pub(super) fn connect_by(&mut self, listener: u16, connect: &ConnectOut<'_>) -> ConnId {
        let by = Peer { listener, ..peer() };
        let conn = self.broker.on_accept(self.now_ms, by);
        let mut bytes = Vec::new();
        connect.encode(Version::V5, &mut bytes);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        conn
    }

    /// What arrives at a client of MQTT 5: its first byte and topic or packet identifier each; all is acknowledged.
    pub(super) fn arrivals(&mut self, conn: ConnId) -> Vec<String> {
        let mut seen = Vec::new();
        loop {
            let (output, mut answers) = (self.output(conn), Vec::new());
            if output.is_empty() {
                return seen;
            }
            packets(Version::V5, &output, |packet| {
                let mut ack =
                    |kind, id| AckOut::success(kind, id).encode(Version::V5, &mut answers);
                match packet {
                    Packet::Publish(publish) => {
                        seen.push(publish.topic.to_string());
                        match (publish.qos, publish.packet_id) {
                            (QoS::AtLeastOnce, Some(id)) => ack(AckKind::Puback, id),
                            (QoS::ExactlyOnce, Some(id)) => ack(AckKind::Pubrec, id),
                            _ => {}
                        }
                    }
                    Packet::Pubrel(pubrel) => {
                        seen.push("PUBREL".into());
                        ack(AckKind::Pubcomp, pubrel.packet_id);
                    }
                    _ => {}
                }
            });
            self.broker.on_bytes(self.now_ms, conn, &answers);
        }
    }

    pub(super) fn stored(&mut self) -> (u64, u64) {
        let counters = self.broker.counters();
        (counters.stored_messages, counters.stored_bytes)
    }
}

/// A session of `infra` that has subscribed to everything, with `secret/...` and `pub/...` in flight and waiting.
fn with_messages(world: &mut World, publisher: ConnId, qos: QoS) -> ConnId {
    let subscriber = world.connect_as(&infra(), Version::V5);
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", qos);
    for number in 0..6 {
        for topic in ["secret", "pub"] {
            world.publish(publisher, &format!("{topic}/{number}"), 2, false, b"x");
            // Acknowledged, so that the identifier is free.
            world
                .broker
                .on_bytes(world.now_ms, publisher, b"\x62\x02\x00\x01");
        }
    }
    world.output(subscriber);
    subscriber
}

pub(super) fn only(topic: &str, numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(|number| format!("{topic}/{number}")).collect()
}

#[test]
fn who_comes_back_as_another_gets_what_that_one_may_read() {
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let (mut world, publisher) = world([Some(READS_ALL), None], 3);
        let subscriber = with_messages(&mut world, publisher, qos);
        world.leave(subscriber);
        let subscriber = world.connect_as(&nobody(), Version::V5);
        let mut seen = world.arrivals(subscriber);
        seen.retain(|name| name != "PUBREL");
        assert_eq!(seen, only("pub", 0..6));
        assert_eq!(world.stored(), (0, 0));
        // The window is free again.
        world.publish(publisher, "secret/x", 0, false, b"x");
        world.publish(publisher, "pub/x", 2, false, b"x");
        assert_eq!(world.arrivals(subscriber)[0], "pub/x");
        // What was given up does not come back with the first name.
        world.leave(subscriber);
        let subscriber = world.connect_as(&infra(), Version::V5);
        assert_eq!(world.arrivals(subscriber), Vec::<String>::new());
    }
}

/// The cheap way: nothing has changed, and nothing is asked.
#[test]
fn who_comes_back_as_before_gets_everything_unasked() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 3);
    let subscriber = with_messages(&mut world, publisher, QoS::AtLeastOnce);
    world.leave(subscriber);
    let settings = settings([Some(READS_ALL), None], 3);
    world.broker.on_reload(world.now_ms, Arc::new(settings));
    let subscriber = world.connect_as(&infra(), Version::V5);
    let session = world.broker.clients.peers.session_of(subscriber).unwrap();
    let sessions = &world.broker.clients.sessions;
    assert!(!sessions.queue(session).unwrap().has_doubted());
    assert!(!sessions.flow(session).unwrap().is_doubted(1));
    assert_eq!(world.arrivals(subscriber).len(), 12);
}

#[test]
fn a_right_that_a_reload_takes_away_is_gone_for_what_waits() {
    for (is_away, qos) in [
        (false, QoS::AtLeastOnce),
        (true, QoS::AtLeastOnce),
        (false, QoS::ExactlyOnce),
    ] {
        let (mut world, publisher) = world([Some(READS_ALL), None], 3);
        let mut subscriber = with_messages(&mut world, publisher, qos);
        if is_away {
            world.leave(subscriber);
        }
        let settings = settings([Some(READS_PUB), None], 3);
        world.broker.on_reload(world.now_ms, Arc::new(settings));
        if !is_away {
            // What is in flight is the client's already; acknowledged, it makes room for what waits.
            let mut ids = Vec::new();
            let session = world.broker.clients.peers.session_of(subscriber).unwrap();
            let flow = world.broker.clients.sessions.get(session).unwrap().flow();
            ids.extend(flow.unwrap().ids());
            let kind = match qos {
                QoS::AtLeastOnce => AckKind::Puback,
                _ => AckKind::Pubrec,
            };
            let mut answers = Vec::new();
            for id in ids {
                let id = PacketId::new(id).unwrap();
                AckOut::success(kind, id).encode(Version::V5, &mut answers);
            }
            world.broker.on_bytes(world.now_ms, subscriber, &answers);
        } else {
            subscriber = world.connect_as(&infra(), Version::V5);
        }
        let seen = world.arrivals(subscriber);
        let topics: Vec<&String> = seen.iter().filter(|name| *name != "PUBREL").collect();
        // Three were in flight: secret/0, pub/0, secret/1.
        let expected = if is_away {
            only("pub", 0..6)
        } else {
            only("pub", 1..6)
        };
        assert_eq!(
            topics,
            expected.iter().collect::<Vec<_>>(),
            "{is_away} {qos:?}"
        );
        assert_eq!(world.stored(), (0, 0));
    }
}

/// MQTT-4.4.0-1: the client has the message already, and waits for its release; or it may have, and would wait for ever.
#[test]
fn a_release_is_finished_whatever_may_be_read() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 3);
    let subscriber = world.connect_as(&infra(), Version::V5);
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", QoS::ExactlyOnce);
    for number in 0..2 {
        world.publish(publisher, &format!("secret/{number}"), 2, false, b"x");
        world
            .broker
            .on_bytes(world.now_ms, publisher, b"\x62\x02\x00\x01");
    }
    world.output(subscriber);
    // PUBREC for the first.
    world
        .broker
        .on_bytes(world.now_ms, subscriber, b"\x50\x02\x00\x01");
    world.output(subscriber);
    world.leave(subscriber);
    let subscriber = world.connect_as(&nobody(), Version::V5);
    assert_eq!(world.arrivals(subscriber), ["PUBREL", "PUBREL"]);
    let session = world.broker.clients.peers.session_of(subscriber).unwrap();
    let flow = world.broker.clients.sessions.get(session).unwrap().flow();
    assert_eq!((flow.unwrap().in_flight(), world.stored()), (0, (0, 0)));
}

#[test]
fn a_replay_that_waits_is_for_who_may_read_it() {
    let (mut world, publisher) = world([Some(READS_ALL), None], 2);
    for number in 0..100 {
        for topic in ["secret", "pub"] {
            world.publish(publisher, &format!("{topic}/{number}"), 0, true, b"x");
        }
    }
    let upgraded = || Settings {
        upgrade_outgoing_qos: true,
        ..settings([Some(READS_ALL), None], 2)
    };
    world.broker.on_reload(world.now_ms, Arc::new(upgraded()));
    let subscriber = world.connect_as(&infra(), Version::V5);
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", QoS::AtLeastOnce);
    world.leave(subscriber);
    let subscriber = world.connect_as(&nobody(), Version::V5);
    let mut seen = world.arrivals(subscriber);
    seen.sort();
    let mut expected = only("pub", 0..100);
    expected.sort();
    assert_eq!(seen, expected);
    assert_eq!(world.stored(), (0, 0));
}

/// The file is taken out and put back while a session is away: what it may read, it gets.
#[test]
fn a_session_that_is_away_keeps_its_user_name() {
    let only_infra = "user infra\ntopic readwrite #\n";
    let (mut world, publisher) = world([Some(only_infra), None], 20);
    let subscriber = world.connect_as(&infra(), Version::V5);
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", QoS::AtLeastOnce);
    world.leave(subscriber);
    for acl in [None, Some(only_infra)] {
        let settings = settings([acl, None], 20);
        world.broker.on_reload(world.now_ms, Arc::new(settings));
        world.publish(publisher, "t", 1, false, b"x");
    }
    let subscriber = world.connect_as(&infra(), Version::V5);
    assert_eq!(world.arrivals(subscriber), ["t", "t"]);
}

/// It is away while its listener is closed, another one opened, and its own again: what it is sent follows its own.
#[test]
fn a_session_that_is_away_keeps_its_listener() {
    let anybody = "topic read pub/#\n";
    let (mut world, publisher) = world([None, Some(anybody)], 20);
    let subscriber = world.connect_by(1, &nobody());
    world.output(subscriber);
    world.subscribe(subscriber, Version::V5, "#", QoS::AtLeastOnce);
    world.leave(subscriber);
    let mut outer = settings([None, Some(anybody)], 20);
    let name = world.broker.clients.desk.settings.listeners[1].name.clone();
    assert!(name.is_referred_to());
    outer.listeners[1].name = name.clone();
    let publish = |world: &mut World| {
        for topic in ["secret", "pub"] {
            world.publish(publisher, topic, 1, false, b"x");
        }
    };
    outer.listeners[1].is_closed = true;
    world
        .broker
        .on_reload(world.now_ms, Arc::new(outer.clone()));
    publish(&mut world);
    // A new one has another number while the session refers to this one.
    outer.listeners.push(ListenerSettings {
        name: ListenerName::new("new"),
        ..ListenerSettings::default()
    });
    world
        .broker
        .on_reload(world.now_ms, Arc::new(outer.clone()));
    publish(&mut world);
    // Even if it had: nothing is read by the rules of another.
    let stranger = ListenerSettings {
        name: ListenerName::new("stranger"),
        acl: Some(Arc::new(Acl::parse(b"topic readwrite #\n").unwrap().0)),
        ..ListenerSettings::default()
    };
    outer.listeners[1] = stranger;
    world
        .broker
        .on_reload(world.now_ms, Arc::new(outer.clone()));
    publish(&mut world);
    outer.listeners[1] = settings([None, Some(anybody)], 20).listeners[1].clone();
    outer.listeners[1].name = name.clone();
    world.broker.on_reload(world.now_ms, Arc::new(outer));
    let subscriber = world.connect_by(1, &nobody());
    assert_eq!(world.arrivals(subscriber), ["pub", "pub"]);
    assert!(!name.is_referred_to(), "its client is there");
}
