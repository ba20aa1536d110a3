//! What is asked beside the path of messages, and what an administrator has done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::slow::packets;
use super::*;
use crate::limits;
use crate::mqtt::{Packet, ReasonCode};
use crate::routing::Cursor;

impl World {
    fn ask(&mut self, query: Query) -> Reply {
        self.broker.on_query(self.now_ms, query)
    }

    /// All clients, in pages of so many rows.
    fn list(&mut self, which: &Which, limit: usize) -> Vec<ClientRow> {
        let (mut rows, mut next) = (Vec::new(), Some(0));
        while let Some(from) = next {
            let which = which.clone();
            let Reply::Clients(page) = self.ask(Query::Clients { which, from, limit }) else {
                panic!("another answer");
            };
            assert!(page.rows.len() <= limit);
            rows.extend(page.rows);
            next = page.next;
        }
        rows
    }

    fn names(&mut self, which: &Which, limit: usize) -> Vec<String> {
        let rows = self.list(which, limit);
        rows.iter().map(|row| row.client.to_string()).collect()
    }

    /// All that is said about who gets something, in pages of so many rows.
    fn who(&mut self, wanted: Wanted, limit: usize) -> Vec<SubscriptionRow> {
        let (mut rows, mut next) = (Vec::new(), Some(WhoFrom::START));
        while let Some(from) = next {
            let wanted = wanted.clone();
            let query = Query::Who {
                wanted,
                from,
                limit,
            };
            let Reply::Who(page) = self.ask(query) else {
                panic!("another answer");
            };
            assert!(page.rows.len() <= limit);
            rows.extend(page.rows);
            next = page.next;
        }
        rows
    }

    fn retained(&mut self, filter: &str, limit: usize) -> Vec<String> {
        let (mut topics, mut next) = (Vec::new(), Some(Cursor::default()));
        while let Some(from) = next {
            let filter = filter.into();
            let query = Query::Retained {
                filter,
                from,
                limit,
            };
            let Reply::Retained(page) = self.ask(query) else {
                panic!("another answer");
            };
            assert!(page.rows.len() <= limit);
            let of_rows = page.rows.iter();
            topics.extend(of_rows.map(|row| row.message.topic.to_string()));
            next = page.next;
        }
        topics
    }

    fn details(&mut self, client: &str) -> Option<Box<ClientDetails>> {
        match self.ask(Query::Client(client.into())) {
            Reply::Client(details) => details,
            other => panic!("{other:?}"),
        }
    }

    fn kick(&mut self, client: &str, ends_session: bool) -> Option<Disconnected> {
        let client = client.into();
        let deed = Deed::Disconnect {
            client,
            ends_session,
        };
        match self.broker.on_deed(self.now_ms, deed) {
            Done::Disconnected(disconnected) => disconnected,
            other => panic!("{other:?}"),
        }
    }

    fn forget(&mut self, topic: &str) -> Done {
        let deed = Deed::ForgetRetained(topic.into());
        self.broker.on_deed(self.now_ms, deed)
    }

    /// The clients that lag.
    pub(super) fn slowest(&mut self) -> Vec<ClientRow> {
        let page = self.ranking(Order::Slowest, None, 0);
        assert_eq!(page.next, None);
        let sessions = page.rows.iter().map(|ranked| ranked.session).collect();
        match self.ask(Query::Rows(sessions)) {
            Reply::Clients(page) => page.rows,
            other => panic!("{other:?}"),
        }
    }

    fn ranking(&mut self, order: Order, after: Option<&str>, from: u32) -> RankedPage {
        let ranking = Ranking {
            which: Which::default(),
            order,
            after: after.map(Box::from),
            from,
            limit: 3,
        };
        match self.ask(Query::Ranking(ranking)) {
            Reply::Ranked(page) => page,
            other => panic!("{other:?}"),
        }
    }

    fn durable(&mut self, id: &str) -> ConnId {
        let connect = ConnectOut {
            client_id: id,
            session_expiry: Some(100),
            ..ConnectOut::default()
        };
        let conn = self.connect_as(&connect, Version::V5);
        self.output(conn);
        conn
    }
}

#[test]
fn every_client_is_listed_once_whatever_a_page_is() {
    let mut world = World::new(Settings::default());
    let all: Vec<String> = (0..20).map(|number| format!("c{number:02}")).collect();
    for (number, id) in all.iter().enumerate() {
        let conn = world.durable(id);
        if number % 2 == 1 {
            world.leave(conn);
        }
    }
    for limit in [1, 3, 20, 1000] {
        let names: BTreeSet<String> = world.names(&Which::default(), limit).into_iter().collect();
        assert!(names.iter().eq(&all), "{limit}");
    }
    let which = |is_connected, prefix: &str| Which {
        is_connected,
        prefix: prefix.into(),
    };
    assert_eq!(world.list(&which(Some(true), ""), 7).len(), 10);
    assert_eq!(
        world.names(&which(Some(false), "c1"), 2),
        ["c11", "c13", "c15", "c17", "c19"]
    );
    let away = world.list(&which(Some(false), "c01"), 1).remove(0);
    assert_eq!((away.ends_in_s, away.expiry_s), (Some(100), 100));
    assert_eq!(away.connection, None);
}

/// Names as long as they may be do not make a page long, and a page is never empty for it.
#[test]
fn long_names_make_short_pages() {
    let mut world = World::new(Settings::default());
    for number in 0..9 {
        let id = format!("{number}{}", "x".repeat(40_000));
        world.connect(&id, Version::V311);
    }
    let Reply::Clients(page) = world.ask(Query::Clients {
        which: Which::default(),
        from: 0,
        limit: 100,
    }) else {
        panic!("another answer");
    };
    assert_eq!(page.rows.len(), limits::QUERY_BYTES_MAX / 40_001);
    assert_eq!(world.list(&Which::default(), 100).len(), 9);
    let first = world.ranking(Order::Name, None, 0);
    assert_eq!((first.rows.len(), first.horizon.is_some()), (3, false));
}

#[test]
fn one_client_is_described() {
    let mut world = World::new(Settings::default());
    let connect = ConnectOut {
        client_id: "c",
        clean_start: true,
        keep_alive: 60,
        session_expiry: Some(u32::MAX),
        receive_maximum: Some(2),
        maximum_packet_size: Some(1000),
        will: Some(crate::mqtt::WillOut {
            topic: "gone",
            payload: b"bye",
            qos: QoS::AtLeastOnce,
            retain: true,
            delay_s: 9,
            ..crate::mqtt::WillOut::default()
        }),
        ..ConnectOut::default()
    };
    let conn = world.connect_as(&connect, Version::V5);
    world.output(conn);
    world.subscribe(conn, Version::V5, "a/+", QoS::AtLeastOnce);
    world.subscribe(conn, Version::V5, "$share/g/b/#", QoS::AtMostOnce);
    let publisher = world.connect("p", Version::V311);
    for _ in 0..5 {
        world.publish(publisher, "a/b", 1, false, b"hello");
    }
    world.now_ms += 4000;
    let details = world.details("c").unwrap();
    let row = &details.row;
    assert_eq!(
        (row.in_flight, details.queued, row.subscriptions),
        (2, 3, 2)
    );
    assert_eq!(details.queued_bytes, 15);
    assert_eq!((row.expiry_s, row.ends_in_s), (u32::MAX, None));
    let listed = row.connection.as_ref().unwrap();
    assert_eq!((listed.connected_s, listed.version), (4, Version::V5));
    assert_eq!(listed.address, peer().address);
    let connection = details.connection.as_ref().unwrap();
    assert_eq!((connection.keep_alive_s, connection.in_flight_max), (60, 2));
    assert_eq!(connection.packet_bytes_max, Some(1000));
    assert!(connection.clean_start && connection.is_anonymous && !connection.is_held);
    assert!((3..=5).contains(&connection.idle_s), "{connection:?}");
    assert!(connection.output_bytes > 0 && row.bytes > 15 && row.messages >= 5);
    let will = details.will.as_ref().unwrap();
    assert_eq!(
        (&*will.topic, will.delay_s, will.payload_bytes),
        ("gone", 9, 3)
    );
    let subscriptions = &details.subscriptions;
    assert_eq!(
        (&*subscriptions.rows[0].filter, &subscriptions.rows[0].share),
        ("a/+", &None)
    );
    let shared = &subscriptions.rows[1];
    assert_eq!(
        (&*shared.filter, shared.share.as_deref()),
        ("b/#", Some("g"))
    );
    assert_eq!(subscriptions.next, None);
    assert!(world.details("d").is_none());
}

/// Who has taken nothing for longest comes first in one order, who has most waiting in the others.
#[test]
fn clients_are_ranked_by_what_waits() {
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for (client, filter) in [("few", "f"), ("many", "m"), ("large", "l")] {
        let conn = world.connect(client, Version::V311);
        world.subscribe(conn, Version::V311, filter, QoS::AtMostOnce);
    }
    world.publish(publisher, "f", 0, false, b"x");
    // It is under way to the socket, which takes nothing.
    let mut slices = Vec::new();
    let few = ConnId(1);
    world.broker.gather(world.now_ms, few, 1000, &mut slices);
    for _ in 0..9 {
        world.publish(publisher, "m", 0, false, b"x");
    }
    world.publish(publisher, "l", 0, false, &[0; 5000]);
    world.now_ms += 10_000;
    for (order, expected) in [
        (Order::Lag, ["few", "large", "many"]),
        (Order::Bytes, ["large", "many", "few"]),
        (Order::Messages, ["many", "large", "few"]),
        (Order::Name, ["few", "large", "many"]),
    ] {
        let page = world.ranking(order, None, 0);
        assert_eq!((page.rows.len(), page.next), (3, None));
        let sessions = page.rows.iter().map(|ranked| ranked.session).collect();
        let Reply::Clients(rows) = world.ask(Query::Rows(sessions)) else {
            panic!("another answer");
        };
        let mut names: Vec<&str> = rows.rows.iter().map(|row| &*row.client).collect();
        if order == Order::Messages {
            // One message each.
            names[1..].sort_unstable_by(|one, other| other.cmp(one));
        }
        assert_eq!(names, expected, "{order:?}");
    }
    let behind = world.ranking(Order::Name, Some("large"), 0);
    let names: Vec<&str> = behind.rows.iter().map(|ranked| &*ranked.name).collect();
    assert_eq!(names, ["many", "p"]);
}

/// A session that has ended meanwhile is left out, and another in its place is not taken for it.
#[test]
fn rows_are_of_the_sessions_that_were_ranked() {
    let mut world = World::new(Settings::default());
    let conn = world.connect("a", Version::V311);
    let ranked = world.ranking(Order::Name, None, 0).rows;
    world.leave(conn);
    world.connect("b", Version::V311);
    let sessions = vec![ranked[0].session];
    let Reply::Clients(page) = world.ask(Query::Rows(sessions)) else {
        panic!("another answer");
    };
    assert!(page.rows.is_empty() && page.next.is_none());
}

#[test]
fn who_gets_a_topic_is_who_is_sent_a_message_with_it() {
    let rules = "topic read open/#\ntopic write #\nuser infra\ntopic readwrite #\n";
    let (mut world, _) = super::rights::world([Some(rules), None], 20);
    let topics: [&[&str]; 5] = [
        &["open/door"],
        &["open/+", "#"],
        &["$share/g/open/#", "other"],
        &["closed"],
        &["$share/g/open/#", "$share/h/+/door"],
    ];
    for (number, filters) in topics.iter().enumerate() {
        let connect = ConnectOut {
            client_id: &format!("c{number}"),
            clean_start: true,
            ..ConnectOut::default()
        };
        let conn = world.connect_as(&connect, Version::V311);
        world.output(conn);
        for filter in *filters {
            world.subscribe(conn, Version::V311, filter, QoS::AtLeastOnce);
        }
    }
    let topic = |topic: &str| Wanted::Topic(topic.into());
    for limit in [1, 2, 100] {
        let rows = world.who(topic("open/door"), limit);
        let found: BTreeSet<(String, String)> = rows
            .iter()
            .map(|row| {
                (
                    row.client.to_string(),
                    format!("{:?} {}", row.share, row.filter),
                )
            })
            .collect();
        assert_eq!(found.len(), rows.len(), "{limit}: {rows:?}");
        assert_eq!(rows.len(), 6, "{limit}: {rows:?}");
        assert!(
            rows.iter()
                .all(|row| row.may_read == Some(true) && row.is_connected)
        );
    }
    let closed = world.who(topic("closed"), 9);
    let mut clients: Vec<(&str, Option<bool>)> = closed
        .iter()
        .map(|row| (&*row.client, row.may_read))
        .collect();
    clients.sort_unstable();
    assert_eq!(clients, [("c1", Some(false)), ("c3", Some(false))]);

    let filter = |share: Option<&str>, filter: &str| Wanted::Filter {
        share: share.map(Box::from),
        filter: filter.into(),
    };
    assert_eq!(world.who(filter(None, "open/#"), 1).len(), 2);
    assert_eq!(world.who(filter(Some("g"), "open/#"), 1).len(), 2);
    assert_eq!(world.who(filter(Some("h"), "open/#"), 1).len(), 0);
    let own = world.who(filter(None, "open/+"), 1);
    assert_eq!((own.len(), own[0].may_read), (1, None));
}

/// With more entries than are looked through for a page each session is asked; the answer is the same.
#[test]
fn many_subscribers_are_found_in_pages_each_once() {
    const FILTERS: [&str; 9] = [
        "#", "+/b", "a/+", "a/b", "a/#", "+/#", "+/b/#", "a/+/#", "a/b/#",
    ];
    let sessions = limits::QUERY_ENTRIES_MAX / FILTERS.len() + 10;
    let mut world = World::new(Settings::default());
    for number in 0..sessions {
        let conn = world.connect(&number.to_string(), Version::V311);
        let bytes = subscribe_packet(&FILTERS, Version::V311, QoS::AtMostOnce);
        world.broker.on_bytes(world.now_ms, conn, &bytes);
        world.output(conn);
    }
    let rows = world.who(Wanted::Topic("a/b".into()), 100);
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &rows {
        *counts.entry(&row.client).or_default() += 1;
    }
    assert_eq!(counts.len(), sessions);
    assert!(counts.values().all(|&count| count == FILTERS.len()));
}

/// Each page looks at a bounded number of places, however few of them are meant.
#[test]
fn a_page_looks_at_no_more_than_its_bound() {
    let mut world = World::new(Settings::default());
    for number in 0..limits::QUERY_LOOKS_MAX + 10 {
        world.connect(&format!("c{number}"), Version::V311);
    }
    let which = Which {
        prefix: "nobody".into(),
        ..Which::default()
    };
    let Reply::Clients(page) = world.ask(Query::Clients {
        which,
        from: 0,
        limit: 9,
    }) else {
        panic!("another answer");
    };
    assert_eq!(page.next, Some(limits::QUERY_LOOKS_MAX as u32));
    let ranked = world.ranking(Order::Bytes, None, 0);
    assert_eq!(ranked.next, Some(limits::QUERY_LOOKS_MAX as u32));
    // Where nothing waits in the output no packets are walked along.
    let ranked = world.ranking(Order::Messages, None, 0);
    assert_eq!(ranked.next, Some(limits::QUERY_LOOKS_MAX as u32));
    let rest = world.ranking(Order::Bytes, None, limits::QUERY_LOOKS_MAX as u32);
    assert_eq!((rest.rows.len(), rest.next), (3, None));
}

struct Told(Arc<Mutex<Vec<String>>>);

impl Keeper for Told {
    fn keep(&mut self, fact: &Fact<'_>) {
        let text = match fact {
            Fact::RetainedRemoved { topic } => format!("removed {topic}"),
            Fact::Ended { session } => format!("ended {}", session.id.0),
            _ => return,
        };
        self.0.lock().unwrap().push(text);
    }
}

fn told(world: &mut World) -> Arc<Mutex<Vec<String>>> {
    let told = Arc::new(Mutex::new(Vec::new()));
    world.broker.listen(Box::new(Told(told.clone())));
    told
}

#[test]
fn retained_messages_are_listed_shown_and_forgotten() {
    let mut world = World::new(Settings::default());
    let told = told(&mut world);
    let publisher = world.connect("p", Version::V311);
    for number in 0..9 {
        world.publish(publisher, &format!("r/{number}"), 0, true, b"x");
    }
    for limit in [1, 4, 100] {
        assert_eq!(world.retained("r/+", limit).len(), 9);
        assert_eq!(world.retained("#", limit).len(), 9);
    }
    assert_eq!(world.retained("r/3", 9), ["r/3"]);
    let subscriber = world.connect("s", Version::V311);
    world.subscribe(subscriber, Version::V311, "r/3", QoS::AtMostOnce);
    world.output(subscriber);
    let topic = || Box::<str>::from("r/3");
    let Reply::RetainedOf(Some(row)) = world.ask(Query::RetainedOf(topic())) else {
        panic!("not there");
    };
    assert_eq!(
        (&row.message.payload[..], row.expires_in_s),
        (&b"x"[..], None)
    );
    for expected in [true, false] {
        let done = world.forget(&topic());
        assert!(matches!(done, Done::ForgotRetained(found) if found == expected));
    }
    assert!(matches!(
        world.ask(Query::RetainedOf(topic())),
        Reply::RetainedOf(None)
    ));
    assert_eq!(world.retained("r/+", 4).len(), 8);
    assert_eq!(world.broker.counters().retained_messages, 8);
    assert_eq!(*told.lock().unwrap(), ["removed r/3"]);
    assert_eq!(world.output(subscriber), b"", "nobody is told");
}

/// What the broker says of itself is not for anybody to take away.
#[test]
fn what_the_broker_says_of_itself_stays() {
    let mut world = World::new(Settings::default());
    let message = Message {
        topic: crate::mqtt::Topic::new("$SYS/broker/version").unwrap(),
        payload: bytes::Bytes::from_static(b"1"),
        properties: bytes::Bytes::new(),
        qos: QoS::AtMostOnce,
        retain: true,
        expires_at_ms: crate::mqtt::message::NEVER,
        origin: 0,
        author: None,
        sent: Default::default(),
        holders: Default::default(),
    };
    world.broker.on_publish(world.now_ms, message);
    let done = world.forget("$SYS/broker/version");
    assert!(matches!(done, Done::ForgotRetained(false)));
    assert_eq!(world.retained("$SYS/#", 9).len(), 1);
    assert_eq!(world.retained("#", 9).len(), 0);
}

/// The reason of the DISCONNECT in what a client of MQTT 5 is sent.
fn reason(bytes: &[u8]) -> Option<ReasonCode> {
    let mut reason = None;
    packets(Version::V5, bytes, |packet| {
        if let Packet::Disconnect(disconnect) = packet {
            reason = Some(disconnect.reason);
        }
    });
    reason
}

#[test]
fn a_client_is_disconnected_for_an_administrator() {
    let mut world = World::new(Settings::default());
    let told = told(&mut world);
    let (new, old) = (world.durable("new"), world.connect("old", Version::V311));
    assert_eq!(world.kick("nobody", true), None);
    let kept = world.kick("new", false).unwrap();
    assert_eq!((kept.was_connected, kept.session_ended), (true, false));
    assert_eq!(
        reason(&world.output(new)),
        Some(ReasonCode::ADMINISTRATIVE_ACTION)
    );
    let ended = world.kick("old", false).unwrap();
    assert_eq!((ended.was_connected, ended.session_ended), (true, true));
    assert_eq!(world.output(old), b"", "3.1.1 has no word for it");
    let mut closed = Vec::new();
    while let Some(effect) = world.broker.next_effect() {
        if let Effect::Close { conn, .. } = effect {
            closed.push(conn);
        }
    }
    assert_eq!(closed, [new, old]);
    assert_eq!(told.lock().unwrap().len(), 1);
    let away = world.kick("new", true).unwrap();
    assert_eq!((away.was_connected, away.session_ended), (false, true));
    assert_eq!(told.lock().unwrap().len(), 2);
    assert!(world.names(&Which::default(), 9).is_empty());
    let counters = world.broker.counters();
    assert_eq!(
        (counters.clients_connected, counters.clients_disconnected),
        (0, 0)
    );
}

/// Its will is published: it has not said goodbye.
#[test]
fn who_is_disconnected_leaves_its_will() {
    let mut world = World::new(Settings::default());
    let connect = ConnectOut {
        client_id: "c",
        clean_start: true,
        will: Some(crate::mqtt::WillOut {
            topic: "gone",
            payload: b"bye",
            ..crate::mqtt::WillOut::default()
        }),
        ..ConnectOut::default()
    };
    let conn = world.connect_as(&connect, Version::V311);
    world.output(conn);
    let heir = world.connect("h", Version::V311);
    world.subscribe(heir, Version::V311, "gone", QoS::AtMostOnce);
    world.kick("c", true);
    assert_eq!(world.output(heir), b"\x30\x09\x00\x04gonebye");
}

/// A will that waits is published when its session is ended, and what the session held is given back.
#[test]
fn a_session_that_is_ended_gives_back_what_it_held() {
    let mut world = World::new(Settings::default());
    let conn = world.durable("c");
    world.subscribe(conn, Version::V5, "a", QoS::AtLeastOnce);
    world.leave(conn);
    let publisher = world.connect("p", Version::V311);
    world.publish(publisher, "a", 1, false, b"waits");
    assert_eq!(world.details("c").unwrap().queued, 1);
    world.kick("c", true);
    assert_eq!(world.broker.counters().stored_messages, 0);
    assert_eq!(world.broker.counters().subscriptions, 0);
    assert!(world.who(Wanted::Topic("a".into()), 9).is_empty());
}
