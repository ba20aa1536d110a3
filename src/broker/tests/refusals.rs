//! What the log says of connections: the words, whose they are, and how many lines there are.

use super::*;
use crate::broker::peers::state::Stage;
use crate::limits;

/// A broker that knows no user, with these kinds of line wanted.
fn closed(log: LogMask) -> World {
    let listener = ListenerSettings {
        allow_anonymous: false,
        passwords: Some(Arc::new(crate::access::Passwords::parse(b"").0)),
        ..ListenerSettings::default()
    };
    World::new(Settings {
        listeners: vec![listener],
        log,
        ..Settings::default()
    })
}

fn lines(world: &mut World) -> Vec<(LogKind, String)> {
    std::iter::from_fn(|| world.broker.next_effect())
        .filter_map(|effect| match effect {
            Effect::Log { kind, text } => Some((kind, text)),
            _ => None,
        })
        .collect()
}

fn texts(world: &mut World) -> Vec<String> {
    lines(world).into_iter().map(|(_, text)| text).collect()
}

fn notices() -> LogMask {
    LogMask::NONE.with(LogKind::Notice)
}

fn come(
    world: &mut World,
    address: &str,
    id: &str,
    user: Option<&str>,
    version: Version,
) -> ConnId {
    let peer = Peer {
        address: address.parse().unwrap(),
        listener: 0,
    };
    let conn = world.broker.on_accept(world.now_ms, peer);
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: id,
        clean_start: true,
        username: user,
        keep_alive: 60,
        ..ConnectOut::default()
    }
    .encode(version, &mut bytes);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    conn
}

#[test]
fn a_failed_login_has_a_line_in_mosquittos_words_and_a_counter() {
    let mut world = closed(notices().with(LogKind::Information));
    come(
        &mut world,
        "192.0.2.7:4000",
        "c",
        Some("o'u"),
        Version::V311,
    );
    assert_eq!(
        texts(&mut world),
        [
            "New connection from 192.0.2.7:4000 on port 1883.",
            "Login of u'o\\u{27}u' from 192.0.2.7:4000 as c refused: it has no password.",
            "Client c [192.0.2.7:4000] disconnected: not authorised.",
        ]
    );
    come(&mut world, "[2001:db8::1]:5", "", None, Version::V5);
    let said = texts(&mut world);
    assert_eq!(
        said[2],
        "Client <unknown> [2001:db8::1:5] disconnected: not authorised."
    );
    let counters = world.broker.counters();
    assert_eq!(
        (counters.connects_refused, counters.connects_refused_login),
        (2, 2)
    );
    assert_eq!(counters.connects_accepted, 0);
}

/// Whichever of notices, warnings and information is wanted, and only once.
#[test]
fn failed_logins_are_told_with_any_kind_of_line() {
    for kind in [LogKind::Notice, LogKind::Warning, LogKind::Information] {
        let mut world = closed(LogMask::NONE.with(LogKind::Error).with(kind));
        come(&mut world, "192.0.2.7:4000", "c", Some("u"), Version::V311);
        let found = lines(&mut world);
        let is_it = |line: &&(LogKind, String)| line.1.ends_with("disconnected: not authorised.");
        assert_eq!(found.iter().filter(is_it).count(), 1, "{found:?}");
        assert!(found.iter().all(|line| line.0 == kind), "{found:?}");
    }
}

#[test]
fn each_refusal_counts_by_its_reason() {
    let mut world = World::new(Settings::default());
    for (packet, count) in [
        // Level 6; a control character in the client id; no client id and no clean session.
        (&b"\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01a"[..], 1),
        (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01\n", 2),
        (b"\x10\x0c\x00\x04MQTT\x04\x00\x00\x3c\x00\x00", 3),
    ] {
        let conn = world.broker.on_accept(world.now_ms, peer());
        world.broker.on_bytes(world.now_ms, conn, packet);
        assert_eq!(world.broker.counters().connects_refused, count);
    }
    let counters = world.broker.counters();
    assert_eq!(counters.connects_refused_version, 1);
    assert_eq!(counters.connects_refused_malformed, 1);
    assert_eq!(counters.connects_refused_client_id, 1);
    assert_eq!(counters.connects_refused_login, 0);
}

/// Beyond the bound only the number is said, with the address, when the while is over; others have their lines.
#[test]
fn lines_about_one_address_are_bounded_and_the_rest_is_said() {
    let mut world = closed(notices());
    for port in 0..100 {
        come(
            &mut world,
            &format!("192.0.2.7:{}", 4000 + port),
            "c",
            None,
            Version::V311,
        );
    }
    come(&mut world, "192.0.2.8:1", "c", None, Version::V311);
    let failed = |lines: &[String]| {
        lines
            .iter()
            .filter(|line| line.contains("not authorised"))
            .count()
    };
    let said = texts(&mut world);
    assert_eq!(failed(&said), limits::REFUSAL_LINES_MAX as usize + 1);
    assert_eq!(world.broker.counters().connects_refused_login, 101);
    let due_ms = world.broker.next_deadline().unwrap();
    assert!(due_ms <= world.now_ms + limits::REFUSALS_MS);
    world.now_ms += limits::REFUSALS_MS;
    world.broker.on_timers(world.now_ms);
    let summaries: Vec<String> = texts(&mut world)
        .into_iter()
        .filter(|line| line.contains("were not logged"))
        .collect();
    let more = 100 - limits::REFUSAL_LINES_MAX;
    assert_eq!(
        summaries,
        [format!(
            "{more} more refusals of 192.0.2.7 were not logged."
        )]
    );
    come(&mut world, "192.0.2.7:4000", "c", None, Version::V311);
    assert_eq!(failed(&texts(&mut world)), 1, "a while of its own");
}

#[test]
fn addresses_beyond_those_that_are_told_apart_are_counted_together() {
    let mut world = closed(notices());
    for host in 0..limits::REFUSAL_SOURCES_MAX + 5 {
        let address = std::net::Ipv4Addr::from(0xC000_0200 + host as u32);
        come(
            &mut world,
            &format!("{address}:1"),
            "c",
            None,
            Version::V311,
        );
        texts(&mut world);
    }
    world.now_ms += limits::REFUSALS_MS;
    world.broker.on_timers(world.now_ms);
    let said = texts(&mut world);
    assert!(said.contains(&"5 more refusals of other addresses were not logged.".into()));
    assert_eq!(world.broker.clients.desk.lines.due_ms(), None);
}

#[test]
fn ends_are_told_in_mosquittos_words() {
    let mut world = World::new(Settings {
        log: notices(),
        ..Settings::default()
    });
    let said = |world: &mut World| {
        let last = texts(world).pop();
        last.unwrap_or_default()
    };
    let at = "127.0.0.1:40000";
    let clean = come(&mut world, at, "c", Some("u"), Version::V311);
    assert_eq!(
        said(&mut world),
        format!("New client connected from {at} as c (p4, c1, k60, u'u').")
    );
    world.broker.on_bytes(world.now_ms, clean, b"\xe0\x00");
    assert_eq!(said(&mut world), format!("Client c [{at}] disconnected."));
    let lost = come(&mut world, at, "c", None, Version::V31);
    assert_eq!(
        said(&mut world),
        format!("New client connected from {at} as c (p3, c1, k60).")
    );
    world.broker.on_eof(world.now_ms, lost, CloseCause::Eof);
    assert_eq!(
        said(&mut world),
        format!("Client c [{at}] disconnected: connection closed by client.")
    );
    let old = come(&mut world, at, "c", None, Version::V5);
    texts(&mut world);
    come(&mut world, at, "c", None, Version::V5);
    let all = texts(&mut world);
    assert!(
        all.contains(&format!(
            "Client c [{at}] disconnected: session taken over."
        )),
        "{all:?}"
    );
    world.broker.on_closed(world.now_ms, old);
    let bad = come(&mut world, at, "b", None, Version::V5);
    world
        .broker
        .on_bytes(world.now_ms, bad, b"\x30\x04\x00\x01\n\x00");
    assert_eq!(
        said(&mut world),
        format!("Client b [{at}] disconnected: malformed packet.")
    );
    let idle = come(&mut world, at, "i", None, Version::V5);
    texts(&mut world);
    world.now_ms += 200_000;
    while world
        .broker
        .next_deadline()
        .is_some_and(|at| at <= world.now_ms)
    {
        world.broker.on_timers(world.now_ms);
    }
    let all = texts(&mut world);
    assert!(
        all.contains(&format!("Client i [{at}] disconnected: exceeded timeout.")),
        "{all:?}"
    );
    assert_eq!(world.broker.clients.peers.stage(idle), Stage::Closing);
}

/// Brackets with an address are the broker's own words, wherever a name stands in a line.
#[test]
fn no_name_forges_a_line() {
    let forged = "x [9.9.9.9:1] disconnected: not authorised.";
    let mut world = World::new(Settings {
        log: notices()
            .with(LogKind::Subscribe)
            .with(LogKind::Unsubscribe)
            .with(LogKind::Debug),
        ..Settings::default()
    });
    let conn = come(
        &mut world,
        "127.0.0.1:40000",
        forged,
        Some(forged),
        Version::V5,
    );
    let subscribe = subscribe_packet(&[forged], Version::V5, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, conn, &subscribe);
    world.broker.on_bytes(world.now_ms, conn, b"\xe0\x00");
    let mut said = texts(&mut world);
    let mut world = closed(notices().with(LogKind::Information));
    come(
        &mut world,
        "127.0.0.1:40000",
        forged,
        Some(forged),
        Version::V5,
    );
    said.extend(texts(&mut world));
    assert!(said.len() >= 7, "{said:?}");
    for line in &said {
        assert!(!line.contains("[9.9.9.9"), "{line}");
        assert!(line.len() < 1024, "{line}");
    }
    let bytes = "n".repeat(65_535);
    come(
        &mut world,
        "127.0.0.1:40000",
        &bytes,
        Some(&bytes),
        Version::V5,
    );
    assert!(texts(&mut world).iter().all(|line| line.len() < 1024));
}

#[test]
fn a_client_id_that_is_made_up_reads_like_a_uuid() {
    let mut world = World::new(Settings {
        log: notices(),
        ..Settings::default()
    });
    come(&mut world, "127.0.0.1:40000", "", None, Version::V5);
    let line = texts(&mut world).pop().unwrap();
    let id = line
        .split(" as auto-")
        .nth(1)
        .and_then(|rest| rest.split(' ').next())
        .unwrap();
    let parts: Vec<usize> = id.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12], "{line}");
    assert!(
        id.chars()
            .all(|letter| letter == '-' || letter.is_ascii_hexdigit())
    );
}

/// Whoever may not publish, or too much, sets off no alarm on messages that are dropped.
#[test]
fn what_a_stranger_may_not_publish_is_not_dropped() {
    let acl = Arc::new(crate::access::Acl::parse(b"topic read #\n").unwrap().0);
    let listener = ListenerSettings {
        acl: Some(acl),
        ..ListenerSettings::default()
    };
    let mut world = World::new(Settings {
        listeners: vec![listener],
        message_size_limit: 3,
        ..Settings::default()
    });
    let conn = world.connect("c", Version::V311);
    world
        .broker
        .on_bytes(world.now_ms, conn, b"\x30\x04\x00\x01ax");
    world.broker.on_bytes(world.now_ms, conn, PUBLISH);
    let counters = world.broker.counters();
    assert_eq!((counters.publish_denied, counters.publish_oversize), (1, 1));
    assert_eq!(counters.publish_dropped, 0);
}

/// Whoever comes and goes ten thousand times a second, before anybody has vouched for it, fills no disk.
#[test]
fn ends_of_strangers_are_bounded_by_address_and_the_rest_is_said() {
    let mut world = World::new(Settings {
        log: notices(),
        ..Settings::default()
    });
    let visit = |world: &mut World, address: &str, how: u32| {
        let peer = Peer {
            address: address.parse().unwrap(),
            listener: 0,
        };
        let conn = world.broker.on_accept(world.now_ms, peer);
        match how % 3 {
            0 => world.broker.on_eof(world.now_ms, conn, CloseCause::Eof),
            1 => {
                world
                    .broker
                    .on_transport_failed(world.now_ms, conn, "no TLS record");
                let cause = CloseCause::Transport;
                world.broker.on_eof(world.now_ms, conn, cause);
            }
            _ => {
                let cause = CloseCause::Error(104);
                world.broker.on_eof(world.now_ms, conn, cause);
            }
        }
        world.broker.on_closed(world.now_ms, conn);
    };
    for how in 0..10_000 {
        visit(&mut world, "192.0.2.7:1000", how);
    }
    visit(&mut world, "192.0.2.8:1000", 0);
    let said = texts(&mut world);
    let of = |host: &str| said.iter().filter(|line| line.contains(host)).count();
    assert!((1..=40).contains(&of("192.0.2.7")), "{}", of("192.0.2.7"));
    assert_eq!(of("192.0.2.8"), 2, "others have theirs");
    let more = 10_000 - limits::STRANGER_LINES_MAX;
    world.now_ms = world
        .broker
        .next_deadline()
        .unwrap()
        .max(world.now_ms + 10_000);
    world.broker.on_timers(world.now_ms);
    let summary =
        format!("{more} more connections of 192.0.2.7 have ended before they were let in.");
    assert!(texts(&mut world).contains(&summary));
}

/// Comes as a client, with the user name of a certificate if there is one, and ends in one of three ways.
fn visit(world: &mut World, address: &str, user: Option<&str>, how: u32) {
    let peer = Peer {
        address: address.parse().unwrap(),
        listener: 0,
    };
    let conn = world.broker.on_accept(world.now_ms, peer);
    (world.broker).on_identified(conn, None, user.map(Into::into));
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: "c",
        clean_start: true,
        ..ConnectOut::default()
    }
    .encode(Version::V5, &mut bytes);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    assert!(world.broker.is_established(conn));
    match how % 3 {
        0 => world.broker.on_bytes(world.now_ms, conn, b"\xe0\x00"),
        1 => world.broker.on_bytes(world.now_ms, conn, b"\xff\x00"),
        _ => (world.broker).on_eof(world.now_ms, conn, CloseCause::Eof),
    }
    world.broker.on_closed(world.now_ms, conn);
}

/// Where nobody needs a name, whoever comes and goes ten thousand times a second leaves the lines of others in the log.
#[test]
fn clients_without_a_name_are_told_of_by_address_and_the_rest_is_said() {
    let mut world = World::new(Settings {
        log: notices().with(LogKind::Information),
        ..Settings::default()
    });
    for how in 0..10_000 {
        visit(&mut world, "192.0.2.7:1000", None, how);
    }
    let said = texts(&mut world);
    let kinds = 4; // it has come, was let in, has broken the protocol, has gone
    assert!(
        said.len() <= kinds * limits::STRANGER_LINES_MAX as usize,
        "{}",
        said.len()
    );
    visit(&mut world, "192.0.2.8:1000", None, 0);
    assert_eq!(texts(&mut world).len(), 3, "others have theirs");
    world.now_ms += limits::STRANGERS_MS;
    world.broker.on_timers(world.now_ms);
    let (said, most) = (texts(&mut world), limits::STRANGER_LINES_MAX);
    for line in [
        format!("{} more connections of 192.0.2.7 have come.", 10_000 - most),
        format!(
            "{} more clients of 192.0.2.7 were let in without a name.",
            10_000 - most
        ),
        format!(
            "{} more clients of 192.0.2.7 have broken the protocol.",
            3333 - most
        ),
        format!("{} more clients of 192.0.2.7 have gone.", 10_000 - most),
    ] {
        assert!(said.contains(&line), "{line}: {said:?}");
    }
}

/// Who has proved its name has all of its lines, but for those from before it had.
#[test]
fn clients_with_a_name_are_told_of_each() {
    let mut world = World::new(Settings {
        log: notices(),
        ..Settings::default()
    });
    for _ in 0..100 {
        visit(&mut world, "192.0.2.7:1000", Some("user"), 0);
    }
    let said = texts(&mut world);
    let of = |what: &str| said.iter().filter(|line| line.contains(what)).count();
    assert_eq!(
        (of("New client connected"), of("disconnected.")),
        (100, 100)
    );
    assert_eq!(of("New connection"), limits::STRANGER_LINES_MAX as usize);
}
