//! CONNECT waits for its password: answers that come late, twice, or for somebody else.

use std::sync::Arc;

use crate::access::{Credential, Passwords, Scheme};
use crate::broker::{
    Broker, CloseCause, CloseHow, Effect, ListenerSettings, Peer, Settings, Verdict, Verify,
};
use crate::budget::{Account, Lease, Plan, Pool};
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::mqtt::{ConnectOut, Version};

fn broker() -> Broker {
    let scheme = Scheme::Pbkdf2 { iterations: 1 };
    let credential = Credential::new(scheme, b"secret", b"salt").unwrap();
    let file = format!("u:{}\n", credential.encoded());
    let (passwords, _) = Passwords::parse(file.as_bytes());
    let listener = ListenerSettings {
        passwords: Some(Arc::new(passwords)),
        ..ListenerSettings::default()
    };
    let settings = Settings {
        listeners: vec![listener],
        ..Settings::default()
    };
    Broker::new(Arc::new(settings), ShardId(0), 1, 1)
}

fn accept(broker: &mut Broker) -> ConnId {
    let address = "127.0.0.1:4000".parse().unwrap();
    let listener = 0;
    broker.on_accept(0, Peer { address, listener })
}

fn connect(broker: &mut Broker, conn: ConnId, password: &str) {
    let mut bytes = Vec::new();
    ConnectOut {
        client_id: "c",
        clean_start: true,
        username: Some("u"),
        password: Some(password.as_bytes()),
        ..ConnectOut::default()
    }
    .encode(Version::V311, &mut bytes);
    broker.on_bytes(0, conn, &bytes);
}

fn asked(broker: &mut Broker) -> Option<Box<Verify>> {
    std::iter::from_fn(|| broker.next_effect()).find_map(|effect| match effect {
        Effect::Verify(verify) => Some(verify),
        _ => None,
    })
}

#[test]
fn an_answer_counts_once_and_only_for_who_asked() {
    let mut broker = broker();
    let conn = accept(&mut broker);
    connect(&mut broker, conn, "secret");
    let first = asked(&mut broker).unwrap();
    assert!(broker.is_waiting(conn) && !broker.is_established(conn));
    broker.on_eof(0, conn, CloseCause::Error(104));
    broker.on_verified(0, conn, first.ticket, Verdict::Right);
    assert!(!broker.is_established(conn), "it is gone");
    broker.on_closed(0, conn);

    let again = accept(&mut broker);
    assert_eq!(again, conn, "the number is used again");
    broker.on_verified(0, again, first.ticket, Verdict::Right);
    connect(&mut broker, again, "wrong");
    let second = asked(&mut broker).unwrap();
    assert_eq!(second.check(), Verdict::Wrong);
    broker.on_verified(0, again, first.ticket, Verdict::Right);
    assert!(broker.is_waiting(again), "that was another's answer");
    broker.on_verified(0, again, second.ticket, second.check());
    broker.on_verified(0, again, second.ticket, Verdict::Right);
    assert!(!broker.is_waiting(again) && !broker.is_established(again));
}

#[test]
fn a_right_password_lets_in() {
    let mut broker = broker();
    let conn = accept(&mut broker);
    connect(&mut broker, conn, "secret");
    let verify = asked(&mut broker).unwrap();
    assert_eq!(verify.check(), Verdict::Right);
    assert!(!format!("{verify:?}").contains("secret"));
    broker.on_verified(0, conn, verify.ticket, Verdict::Right);
    assert!(broker.is_established(conn));
    assert_eq!(broker.counters().clients_connected, 1);
}

#[test]
fn what_is_sent_meanwhile_is_bounded_and_so_is_the_wait() {
    let mut broker = broker();
    let conn = accept(&mut broker);
    connect(&mut broker, conn, "secret");
    let verify = asked(&mut broker).unwrap();
    let bytes = vec![0; limits::CONNECT_BYTES_MAX as usize / 2];
    broker.on_bytes(0, conn, &bytes);
    broker.on_bytes(0, conn, &bytes);
    assert!(broker.is_waiting(conn));
    broker.on_bytes(0, conn, &bytes);
    assert!(!broker.is_waiting(conn));
    broker.on_verified(0, conn, verify.ticket, Verdict::Right);
    assert!(!broker.is_established(conn));

    let conn = accept(&mut broker);
    connect(&mut broker, conn, "secret");
    let verify = asked(&mut broker).unwrap();
    let late_ms = limits::CONNECT_MS_MAX + 1000;
    broker.on_timers(late_ms);
    broker.on_verified(late_ms, conn, verify.ticket, Verdict::Right);
    assert!(!broker.is_established(conn));
}

/// CONNECT, PUBLISH and DISCONNECT at once, and no more: all of it counts when the password is right.
#[test]
fn who_has_sent_everything_and_left_is_heard() {
    for goodbye in [true, false] {
        let mut broker = broker();
        let conn = accept(&mut broker);
        connect(&mut broker, conn, "secret");
        let verify = asked(&mut broker).unwrap();
        broker.on_bytes(0, conn, b"\x32\x07\x00\x01a\x00\x01hi");
        if goodbye {
            broker.on_bytes(0, conn, b"\xe0\x00");
        }
        broker.on_eof(0, conn, CloseCause::Eof);
        broker.on_verified(0, conn, verify.ticket, verify.check());
        assert!(!broker.is_established(conn), "it has left");
        assert_eq!(broker.counters().publish_received, 1);
        assert_eq!(broker.counters().clients_connected, 0);
        let mut slices = Vec::new();
        assert_eq!(broker.gather(0, conn, 1000, &mut slices), 4 + 4, "answered");
        let closes = std::iter::from_fn(|| broker.next_effect());
        let closes = closes.filter(|effect| matches!(effect, Effect::Close { .. }));
        let how = CloseHow::Flush;
        assert_eq!(closes.collect::<Vec<_>>(), [Effect::Close { conn, how }]);
    }
}

fn charged(broker: &Broker) -> i64 {
    let audit = broker.audit();
    let packets = Account::Packets as usize;
    assert_eq!(audit.held[packets], audit.charged[packets]);
    audit.charged[packets]
}

/// A CONNECT that waits for its password, and what comes behind it, counts as one that has not come whole; whatever ends the
/// wait, nothing is left of it.
#[test]
fn what_waits_for_a_password_is_charged() {
    let password = "p".repeat(60_000);
    type End = fn(&mut Broker, ConnId, &Verify);
    let ends: [(&str, End); 8] = [
        ("right", |broker, conn, verify| {
            broker.on_verified(0, conn, verify.ticket, Verdict::Right);
        }),
        ("wrong", |broker, conn, verify| {
            broker.on_verified(0, conn, verify.ticket, Verdict::Wrong);
        }),
        ("busy", |broker, conn, verify| {
            broker.on_verified(0, conn, verify.ticket, Verdict::Busy);
        }),
        ("broken", |broker, conn, _| {
            broker.on_eof(0, conn, CloseCause::Error(104));
        }),
        ("late", |broker, _, _| {
            broker.on_timers(limits::CONNECT_MS_MAX + 1000);
        }),
        ("flooding", |broker, conn, _| {
            broker.on_bytes(0, conn, &vec![0; limits::CONNECT_BYTES_MAX as usize]);
        }),
        ("drained", |broker, _, _| broker.on_drain(0)),
        ("the broker's", |broker, conn, _| broker.on_closed(0, conn)),
    ];
    for (what, end) in ends {
        let mut broker = broker();
        let conn = accept(&mut broker);
        connect(&mut broker, conn, &password);
        let verify = asked(&mut broker).unwrap();
        let waiting = charged(&broker);
        assert!(waiting > 2 * password.len() as i64, "{what}: {waiting}");
        broker.on_bytes(0, conn, &[0; 10_000]);
        assert!(charged(&broker) >= waiting + 10_000, "{what}");
        end(&mut broker, conn, &verify);
        // The name and the password are still held where they are checked.
        let is_answered = ["right", "wrong", "busy"].contains(&what);
        let asked = if is_answered { 0 } else { verify.memory() };
        assert_eq!(charged(&broker), asked as i64, "{what}");
        broker.on_closed(0, conn);
        assert_eq!(charged(&broker), asked as i64, "{what}");
        broker.on_verified(0, conn, verify.ticket, Verdict::Right);
        assert_eq!(charged(&broker), 0, "{what}");
        broker.on_verified(0, conn, verify.ticket, Verdict::Right);
        assert_eq!(charged(&broker), 0, "{what}");
    }
}

/// Connections that ask and are gone at once: what they asked stays charged, whoever has their number by then.
#[test]
fn what_is_asked_is_charged_although_its_connection_is_gone() {
    let mut broker = broker();
    let password = "p".repeat(60_000);
    let mut asked: Vec<Box<Verify>> = Vec::new();
    for number in 1..=20 {
        let conn = accept(&mut broker);
        connect(&mut broker, conn, &password);
        asked.push(self::asked(&mut broker).unwrap());
        broker.on_eof(0, conn, CloseCause::Error(104));
        broker.on_closed(0, conn);
        assert!(charged(&broker) > number * 60_000, "{number}");
    }
    for verify in asked {
        broker.on_verified(0, verify.conn, verify.ticket, verify.check());
    }
    assert_eq!(charged(&broker), 0);
}

/// Of those that wait the largest give way, as of those that have not come whole.
#[test]
fn passwords_that_wait_give_way_to_others() {
    let pool = Arc::new(Pool::new(&Plan::even(8 << 20), 1));
    let mut broker = broker().with_lease(Lease::new(pool.clone()));
    let quiet = accept(&mut broker);
    connect(&mut broker, quiet, "secret");
    let verify = asked(&mut broker).unwrap();
    let password = "p".repeat(60_000);
    let mut others = Vec::new();
    for _ in 0..100 {
        let conn = accept(&mut broker);
        connect(&mut broker, conn, &password);
        let verify = asked(&mut broker).unwrap();
        others.push(verify);
    }
    // What was asked for those that gave way is held until it is answered.
    for verify in others {
        if !broker.is_waiting(verify.conn) {
            broker.on_verified(0, verify.conn, verify.ticket, Verdict::Right);
        }
    }
    let most = (1 << 20) + i64::from(limits::CONNECT_BYTES_MAX);
    assert!(charged(&broker) <= most, "{}", charged(&broker));
    assert!(broker.counters().packets_refused > 80);
    broker.on_verified(0, quiet, verify.ticket, verify.check());
    assert!(broker.is_established(quiet));
}
