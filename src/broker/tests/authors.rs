//! `check_retain_source`: whoever stored a retained message must have the right to when it is delivered.

use super::rights::{infra, nobody, settings};
use super::*;

/// Rules of the first listener with `check_retain_source`.
fn checking(acl: &str) -> Settings {
    Settings {
        check_retain_source: true,
        ..settings([Some(acl), None], 20)
    }
}

/// What a new client that may read everything is sent of what is retained.
fn retained(world: &mut World) -> Vec<String> {
    let connect = ConnectOut {
        client_id: "reader",
        clean_start: true,
        ..ConnectOut::default()
    };
    let reader = world.connect_by(0, &connect);
    world.output(reader);
    let bytes = subscribe_packet(&["#"], Version::V5, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, reader, &bytes);
    let mut seen = world.arrivals(reader);
    world.leave(reader);
    seen.sort();
    seen
}

#[test]
fn who_stored_a_retained_message_must_still_have_the_right() {
    let rules = "topic read #\nuser infra\ntopic write #\nuser temp\ntopic write t/#\n";
    let fewer = "topic read #\nuser infra\ntopic write u/#\n";
    let by_id = "topic read #\npattern write t/%c\npattern write u/%u\n";
    // The option, the rules while it is stored and when it is delivered, and what is sent then.
    let cases: [(bool, &str, &str, &[&str]); 5] = [
        (true, rules, rules, &["t/temp", "u/infra", "w/temp"]),
        (false, rules, fewer, &["t/temp", "u/infra", "w/temp"]),
        (true, rules, fewer, &["u/infra"]),
        // The client id was not kept.
        (true, rules, by_id, &["u/infra"]),
        (true, by_id, by_id, &["t/temp", "u/infra"]),
    ];
    for (checks, before, after, expected) in cases {
        let with = |acl| Settings {
            check_retain_source: checks,
            ..checking(acl)
        };
        let mut world = World::new(with(before));
        let will = if before == rules { "w/temp" } else { "t/temp" };
        let writer = |user, id| ConnectOut {
            client_id: id,
            clean_start: true,
            username: Some(user),
            will: (user == "infra").then(|| crate::mqtt::WillOut {
                topic: will,
                payload: b"x",
                retain: true,
                ..Default::default()
            }),
            ..ConnectOut::default()
        };
        let infra = world.connect_by(0, &writer("infra", "temp"));
        world.publish_v5(infra, "u/infra");
        world.leave(infra);
        let temp = world.connect_by(0, &writer("temp", "temp"));
        world.publish_v5(temp, "t/temp");
        world.leave(temp);
        world.broker.settle(world.now_ms);
        world.broker.on_reload(world.now_ms, Arc::new(with(after)));
        assert_eq!(retained(&mut world), expected, "{checks} {after}");
        let audit = world.broker.audit();
        let index = crate::budget::Account::Retained as usize;
        assert_eq!(audit.held[index], audit.charged[index]);
    }
}

/// It waits for a slow reader while the right of who stored it goes.
#[test]
fn a_replay_that_waits_asks_for_the_right_of_who_stored_it() {
    let rules = "topic read #\nuser infra\ntopic write #\n";
    let mut world = World::new(Settings {
        upgrade_outgoing_qos: true,
        max_inflight_messages: 1,
        ..checking(rules)
    });
    let infra = ConnectOut {
        client_id: "p",
        ..infra()
    };
    let writer = world.connect_by(0, &infra);
    for topic in ["secret/1", "pub/1", "secret/2", "pub/2"] {
        world.publish_v5(writer, topic);
    }
    let reader = world.connect_as(&nobody(), Version::V5);
    world.output(reader);
    let bytes = subscribe_packet(&["#"], Version::V5, QoS::AtLeastOnce);
    world.broker.on_bytes(world.now_ms, reader, &bytes);
    let fewer = "topic read #\nuser infra\ntopic write pub/#\n";
    world
        .broker
        .on_reload(world.now_ms, Arc::new(checking(fewer)));
    let seen = world.arrivals(reader);
    // The first one was on its way.
    assert!(seen.len() <= 3, "{seen:?}");
    let mut late: Vec<&String> = seen[1..].iter().collect();
    late.retain(|topic| topic.starts_with("secret"));
    assert!(late.is_empty(), "{seen:?}");
    assert_eq!(world.stored(), (0, 0));
}

impl World {
    /// Publishes a retained message for a client of MQTT 5.
    fn publish_v5(&mut self, conn: ConnId, topic: &str) {
        let mut bytes = vec![0x31, topic.len() as u8 + 4, 0, topic.len() as u8];
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(b"\0x");
        self.broker.on_bytes(self.now_ms, conn, &bytes);
        self.output(conn);
    }
}
