//! Deadlines, and what had come before them.

use super::slow::publish;
use super::*;
use crate::access::{Credential, Passwords, Scheme};
use crate::limits;
use crate::mqtt::WillOut;

/// A session that stays for 100 s, a will that waits for 2 s, a keep alive of 2 s.
fn durable(id: &str) -> ConnectOut<'_> {
    ConnectOut {
        client_id: id,
        keep_alive: 2,
        session_expiry: Some(100),
        will: Some(WillOut {
            topic: "w",
            payload: b"gone",
            delay_s: 2,
            ..WillOut::default()
        }),
        ..ConnectOut::default()
    }
}

fn begin(world: &mut World, connect: &ConnectOut<'_>) -> ConnId {
    let conn = world.broker.on_accept(world.now_ms, peer());
    let mut bytes = Vec::new();
    connect.encode(Version::V5, &mut bytes);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    conn
}

/// Connects; whether there was a session.
fn connect(world: &mut World, connect: &ConnectOut<'_>) -> (ConnId, bool) {
    let conn = begin(world, connect);
    let connack = world.output(conn);
    assert_eq!((connack[0], connack[3]), (0x20, 0));
    (conn, connack[2] == 1)
}

fn watcher(world: &mut World, id: &str) -> ConnId {
    let watcher = world.connect(id, Version::V311);
    world.broker.on_bytes(
        world.now_ms,
        watcher,
        &subscribe_packet(&["w"], Version::V311, QoS::AtMostOnce),
    );
    watcher
}

fn is_closed(world: &mut World, conn: ConnId) -> bool {
    let is_it = |effect: Effect| matches!(effect, Effect::Close { conn: of, .. } if of == conn);
    std::iter::from_fn(|| world.broker.next_effect()).any(is_it)
}

fn leave(world: &mut World, conn: ConnId) {
    world.broker.on_eof(world.now_ms, conn, CloseCause::Eof);
    assert!(is_closed(world, conn));
    world.broker.on_closed(world.now_ms, conn);
}

/// MQTT-3.1.2-22: what was sent in time may be still to be handled; but not for ever.
#[test]
fn a_client_is_not_closed_before_it_has_been_looked_at() {
    for is_alive in [true, false] {
        let mut world = World::new(Settings::default());
        let (conn, _) = connect(&mut world, &durable("c"));
        world.now_ms += 3200;
        world.broker.on_timers_behind(world.now_ms);
        assert!(!is_closed(&mut world, conn));
        let again_ms = world.broker.next_deadline().unwrap();
        assert_eq!(again_ms, world.now_ms + limits::LOOK_PAUSE_MS);
        if is_alive {
            world.broker.on_bytes(world.now_ms, conn, b"\xc0\x00");
        }
        world.now_ms = again_ms;
        world.broker.on_timers(world.now_ms);
        assert_eq!(is_closed(&mut world, conn), !is_alive);
    }
    let mut world = World::new(Settings::default());
    let (conn, _) = connect(&mut world, &durable("c"));
    world.now_ms += 3200;
    let noticed_ms = world.now_ms;
    loop {
        world.broker.on_timers_behind(world.now_ms);
        if is_closed(&mut world, conn) {
            break;
        }
        world.now_ms = world.broker.next_deadline().unwrap();
    }
    assert_eq!(world.now_ms - noticed_ms, limits::LOOK_MS_MAX);
}

/// A standstill is not a client's fault: it has what was left of its time.
#[test]
fn clocks_of_connections_stand_still_with_the_shard() {
    let mut world = World::new(Settings::default());
    let (conn, _) = connect(&mut world, &durable("c"));
    let fresh = world.broker.on_accept(world.now_ms, peer());
    let stalled = world.connect("s", Version::V311);
    world.broker.on_bytes(world.now_ms, stalled, b"\xc0\x00");
    let mut slices = Vec::new();
    let sent = world
        .broker
        .gather(world.now_ms, stalled, usize::MAX, &mut slices);
    assert_eq!(sent, 2);
    world.now_ms += 2000;
    for _ in 0..3 {
        world.now_ms += 70_000;
        world.broker.on_standstill(world.now_ms, 70_000);
        world.broker.on_timers(world.now_ms);
        let mut effects = std::iter::from_fn(|| world.broker.next_effect());
        assert!(!effects.any(|effect| matches!(effect, Effect::Close { .. })));
    }
    world.now_ms += 1300;
    world.broker.on_timers(world.now_ms);
    assert!(is_closed(&mut world, conn));
    world.now_ms += limits::CONNECT_MS_MAX - 3200;
    world.broker.on_timers(world.now_ms);
    assert!(is_closed(&mut world, fresh));
    world.now_ms += limits::STALL_MS_MAX;
    world.broker.on_timers(world.now_ms);
    assert!(is_closed(&mut world, stalled));
}

/// After a standstill clients come back first.
#[test]
fn sessions_are_left_alone_for_a_while_after_a_standstill() {
    for is_back in [true, false] {
        let mut world = World::new(Settings::default());
        let watcher = watcher(&mut world, "watcher");
        world.output(watcher);
        let (conn, _) = connect(&mut world, &durable("c"));
        leave(&mut world, conn);
        world.now_ms += 1_000_000;
        world.broker.on_standstill(world.now_ms, 999_000);
        world.broker.on_timers(world.now_ms);
        world.now_ms += limits::GRACE_MS_MAX - 1;
        world.broker.on_timers(world.now_ms);
        assert_eq!(world.output(watcher), b"");
        if is_back {
            assert!(connect(&mut world, &durable("c")).1);
        }
        world.now_ms += 1;
        assert!(world.broker.next_deadline().unwrap() <= world.now_ms);
        world.broker.on_timers(world.now_ms);
        assert_eq!(world.output(watcher).is_empty(), is_back);
        assert_eq!(connect(&mut world, &durable("c")).1, is_back);
    }
}

/// MQTT-3.3.2-5: a message is as old as it is, whoever stood still.
#[test]
fn what_is_published_expires_in_a_standstill() {
    let mut world = World::new(Settings::default());
    let (conn, _) = connect(&mut world, &durable("c"));
    world.subscribe(conn, Version::V5, "t", QoS::AtLeastOnce);
    leave(&mut world, conn);
    let (publisher, _) = connect(&mut world, &durable("p"));
    // With a message expiry interval of 5 s, and without one.
    let bytes = b"\x32\x0f\0\x01t\0\x01\x05\x02\0\0\0\x05hello";
    world.broker.on_bytes(world.now_ms, publisher, bytes);
    let bytes = publish("t", 1, false, b"stays");
    let plain = world.connect("plain", Version::V311);
    world.broker.on_bytes(world.now_ms, plain, &bytes);
    world.now_ms += 6000;
    world.broker.on_standstill(world.now_ms, 6000);
    let conn = begin(&mut world, &durable("c"));
    let output = world.output(conn);
    let has = |text: &[u8]| output.windows(text.len()).any(|part| part == text);
    assert!(has(b"stays") && !has(b"hello"), "{output:x?}");
}

/// MQTT-3.1.3-9: a client whose password is being checked is back.
#[test]
fn who_waits_for_its_password_is_back() {
    let scheme = Scheme::Pbkdf2 { iterations: 1 };
    let credential = Credential::new(scheme, b"secret", b"salt").unwrap();
    let file = format!("u:{}\n", credential.encoded());
    let listener = ListenerSettings {
        passwords: Some(Arc::new(Passwords::parse(file.as_bytes()).0)),
        ..ListenerSettings::default()
    };
    let mut world = World::new(Settings {
        listeners: vec![listener],
        ..Settings::default()
    });
    let watcher = watcher(&mut world, "watcher");
    world.output(watcher);
    let named = ConnectOut {
        username: Some("u"),
        password: Some(b"secret"),
        ..durable("c")
    };
    let verify = |world: &mut World| {
        let mut effects = std::iter::from_fn(|| world.broker.next_effect());
        effects.find_map(|effect| match effect {
            Effect::Verify(verify) => Some(verify),
            _ => None,
        })
    };
    let conn = begin(&mut world, &named);
    let check = verify(&mut world).unwrap();
    world
        .broker
        .on_verified(world.now_ms, conn, check.ticket, check.check());
    world.output(conn);
    leave(&mut world, conn);
    world.now_ms += 1900;
    let conn = begin(&mut world, &named);
    let check = verify(&mut world).unwrap();
    for _ in 0..20 {
        world.now_ms += 100;
        world.broker.on_timers(world.now_ms);
    }
    world
        .broker
        .on_verified(world.now_ms, conn, check.ticket, check.check());
    assert_eq!(world.output(conn)[2], 1, "session present");
    world.now_ms += 100;
    world.broker.on_timers(world.now_ms);
    assert_eq!(world.output(watcher), b"");
}

/// The numbers of the questions to look that the shard has for the other one.
fn looks(world: &mut World) -> Vec<u32> {
    let effects = std::iter::from_fn(|| world.broker.next_effect());
    let ticket = |effect| match effect {
        Effect::Mesh {
            message: MeshMessage::Look { ticket },
            ..
        } => Some(ticket),
        _ => None,
    };
    effects.filter_map(ticket).collect()
}

/// The first of two shards, with a watcher of wills and a client that has left one behind.
fn with_a_will() -> (World, ConnId, String) {
    let mut world = World {
        broker: Broker::new(Arc::new(Settings::default()), ShardId(0), 2, 7),
        now_ms: 1000,
    };
    let ids = (0..).map(|number| format!("c{number}"));
    let mut ids = ids.filter(|id| home(id, 2) == ShardId(0));
    let (watching, id) = (ids.next().unwrap(), ids.next().unwrap());
    let watcher = watcher(&mut world, &watching);
    let (conn, _) = connect(&mut world, &durable(&id));
    leave(&mut world, conn);
    world.now_ms += 2000;
    world.output(watcher);
    (world, watcher, id)
}

/// Its connection may be at any shard.
#[test]
fn a_will_waits_for_all_shards() {
    let looked = |ticket| MeshMessage::Looked { ticket };
    for is_back in [true, false] {
        let (mut world, watcher, id) = with_a_will();
        world.broker.on_timers(world.now_ms);
        let tickets = looks(&mut world);
        assert_eq!(tickets.len(), 1);
        world.now_ms += 2000;
        world.broker.on_timers(world.now_ms);
        // The answer to another question is none.
        let other = looked(tickets[0].wrapping_sub(1));
        world.broker.on_mesh(world.now_ms, ShardId(1), other);
        world.broker.on_timers(world.now_ms);
        assert_eq!(world.output(watcher), b"");
        if is_back {
            assert!(connect(&mut world, &durable(&id)).1);
        }
        let answer = looked(tickets[0]);
        world.broker.on_mesh(world.now_ms, ShardId(1), answer);
        world.broker.on_timers_behind(world.now_ms);
        assert_eq!(world.output(watcher), b"");
        world.broker.on_timers(world.now_ms);
        assert_eq!(world.output(watcher).is_empty(), is_back);
    }
}

/// One that stands still for ever holds up no will for ever.
#[test]
fn a_shard_that_does_not_answer_is_waited_for_no_more() {
    let (mut world, watcher, _) = with_a_will();
    let due_ms = world.now_ms;
    loop {
        world.broker.on_timers(world.now_ms);
        if !world.output(watcher).is_empty() {
            break;
        }
        world.now_ms = world.broker.next_deadline().unwrap().max(world.now_ms + 1);
    }
    assert!(world.now_ms >= due_ms + limits::LOOKS_MS_MAX);
    assert!(world.now_ms <= due_ms + limits::LOOKS_MS_MAX + 200);
}

/// A shard answers when it has looked since it was asked.
#[test]
fn a_shard_looks_before_it_says_so() {
    let mut world = World {
        broker: Broker::new(Arc::new(Settings::default()), ShardId(0), 2, 7),
        now_ms: 1000,
    };
    let is_answered = |world: &mut World| {
        let mut effects = std::iter::from_fn(|| world.broker.next_effect());
        effects.any(|effect| {
            let message = MeshMessage::Looked { ticket: 7 };
            let to = ShardId(1);
            effect == Effect::Mesh { to, message }
        })
    };
    let ask = |world: &mut World| {
        let question = MeshMessage::Look { ticket: 7 };
        world.broker.on_mesh(world.now_ms, ShardId(1), question);
        assert!(world.broker.next_deadline().unwrap() <= world.now_ms);
    };
    ask(&mut world);
    // The turn in which it was asked.
    world.broker.on_timers(world.now_ms);
    assert!(!is_answered(&mut world));
    world.broker.on_timers_behind(world.now_ms);
    assert!(!is_answered(&mut world));
    world.broker.on_timers(world.now_ms);
    assert!(is_answered(&mut world));
    ask(&mut world);
    world.broker.on_timers_behind(world.now_ms);
    world.now_ms += limits::LOOK_MS_MAX;
    world.broker.on_timers_behind(world.now_ms);
    assert!(is_answered(&mut world));
}
