//! Databases of all kinds: the same by way of bytes, and by way of a ledger and bytes.

use proptest::prelude::*;
use smallvec::smallvec;

use super::told::lines;
use super::*;
use crate::session::Flow;

const TOPICS: [&str; 4] = ["a", "a/b", "$x/y", "ü"];
const NAMES: [&str; 4] = ["c", "client", "k/1", "ü"];
const FILTERS: [&str; 4] = ["#", "a/+", "$share/g/a/#", "$SYS/#"];

fn qos() -> impl Strategy<Value = QoS> {
    (0u8..3).prop_map(|bits| QoS::from_bits(bits).unwrap())
}

fn user() -> impl Strategy<Value = Option<&'static str>> {
    proptest::option::of(prop_oneof![Just("u"), Just("user")])
}

fn port() -> impl Strategy<Value = u16> {
    prop_oneof![Just(0), Just(21_883), Just(7)]
}

/// Never, past and to come.
fn moment() -> impl Strategy<Value = u64> {
    prop_oneof![3 => Just(0), 1 => Just(NOW / 1000 - 1), 1 => Just(NOW / 1000 + 9)]
}

fn stored() -> impl Strategy<Value = Stored<'static>> {
    let texts = (
        0..TOPICS.len(),
        prop_oneof![Just(&b"x"[..]), Just(&b"payload"[..])],
    );
    let source = (0..=NAMES.len(), user(), port());
    let flags = (qos(), any::<bool>(), moment(), any::<bool>(), 0u16..9);
    (texts, source, flags).prop_map(|((topic, payload), (client, user, port), flags)| {
        let (qos, retain, expires_at_s, has_properties, source_packet) = flags;
        Stored {
            number: 0,
            topic: TOPICS[topic],
            payload,
            properties: match has_properties {
                true => (&[1, 1, 38, 0, 1, b'k', 0, 1, b'v']).into(),
                false => (&[]).into(),
            },
            qos,
            retain,
            expires_at_s,
            source: Source {
                client_id: NAMES.get(client).copied(),
                user,
                port,
            },
            source_packet,
        }
    })
}

/// Of a message by its place, which may be one that is missing.
fn delivery() -> impl Strategy<Value = Delivery> {
    let ids = prop_oneof![
        3 => Just(smallvec![]),
        2 => Just(smallvec![300]),
        1 => Just(smallvec![1, 300]),
    ];
    let id = prop_oneof![1u16..6, 32_766u16..32_770, 65_533u16..=65_535];
    (0u64..7, id, qos(), 0..4, any::<bool>(), ids).prop_map(
        |(number, id, qos, stage, retain, subscription_ids)| {
            let stage = match (stage, qos) {
                (1.., QoS::AtMostOnce) => Stage::Waits,
                (2.., QoS::AtLeastOnce) => Stage::Sent,
                (0, _) => Stage::Waits,
                (1, _) => Stage::Sent,
                (2, _) => Stage::Received,
                (_, _) => Stage::Inbound,
            };
            Delivery {
                number,
                id,
                qos,
                stage,
                retain,
                subscription_ids: match stage {
                    Stage::Inbound => smallvec![],
                    _ => subscription_ids,
                },
            }
        },
    )
}

fn subscription() -> impl Strategy<Value = Subscription<'static>> {
    let id = prop_oneof![Just(0u32), Just(1), Just(268_435_455)];
    (0..FILTERS.len(), qos(), any::<bool>(), any::<bool>(), id).prop_map(
        |(filter, qos, no_local, retain_as_published, id)| Subscription {
            filter: FILTERS[filter].into(),
            qos,
            no_local,
            retain_as_published,
            id,
        },
    )
}

fn client() -> impl Strategy<Value = Client<'static>> {
    let expiry = prop_oneof![1 => Just(0u32), 2 => Just(60), 2 => Just(u32::MAX)];
    let ends = prop_oneof![Just(0), Just(NOW / 1000 + 5)];
    let subscriptions = proptest::collection::vec(subscription(), 0..4);
    let deliveries = proptest::collection::vec(delivery(), 0..12);
    (user(), port(), expiry, ends, subscriptions, deliveries).prop_map(
        |(user, port, expiry_s, ends_at_s, subscriptions, deliveries)| Client {
            id: "",
            user,
            port,
            expiry_s,
            ends_at_s,
            last_id: 0,
            subscriptions,
            deliveries,
        },
    )
}

fn database() -> impl Strategy<Value = Database<'static>> {
    let clients = proptest::collection::vec(client(), 0..NAMES.len());
    let messages = proptest::collection::vec(stored(), 0..6);
    let retained = proptest::collection::vec(0u64..7, 0..4);
    (clients, messages, retained).prop_map(|(mut clients, mut messages, retained)| {
        for (client, id) in clients.iter_mut().zip(NAMES) {
            client.id = id;
            let mut seen = std::collections::BTreeSet::new();
            client.deliveries.retain(|one| match one.stage {
                Stage::Waits => true,
                stage => seen.insert((stage == Stage::Inbound, one.id)),
            });
        }
        for (number, message) in (0..).zip(&mut messages) {
            message.number = number;
        }
        Database {
            clients,
            messages,
            retained,
        }
    })
}

proptest! {
    #[test]
    fn bytes_say_all_of_it(database in database()) {
        let file = database.write();
        prop_assert_eq!(Database::read(&file), Ok(database));
    }

    #[test]
    fn a_ledger_says_all_that_lives_on(database in database()) {
        let one = import(&database);
        let other = round(&[&one.ledger]);
        prop_assert_eq!(lines(&one.ledger), lines(&other.ledger));
        prop_assert!(other.to_route.is_empty());
        prop_assert_eq!(other.left_out, LeftOut::default());
    }
}

fn to_one_client(deliveries: Vec<Delivery>) -> Database<'static> {
    let message = Stored {
        number: 1,
        topic: "t",
        payload: b"x",
        properties: (&[]).into(),
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at_s: 0,
        source: Source::default(),
        source_packet: 0,
    };
    let client = Client {
        id: "c",
        expiry_s: u32::MAX,
        deliveries,
        ..Client::default()
    };
    Database {
        clients: vec![client],
        messages: vec![message],
        retained: Vec::new(),
    }
}

fn of_id(id: u16, stage: Stage) -> Delivery {
    Delivery {
        number: 1,
        id,
        qos: QoS::AtLeastOnce,
        stage,
        retain: false,
        subscription_ids: smallvec![],
    }
}

/// Mosquitto counts from 1 to 65,535. Here the upper half is of those that follow from the order of a frame.
#[test]
fn a_session_takes_up_all_identifiers_of_mosquitto() {
    for first in [1, 32_760, 65_530] {
        let ids = (first..=65_535u16).chain(1..).take(20);
        let ids: Vec<u16> = [700].into_iter().chain(ids).collect();
        let database = to_one_client(ids.iter().map(|&id| of_id(id, Stage::Sent)).collect());
        let ledger = import(&database).ledger;
        let (_, session) = ledger.sessions().next().unwrap();
        let mut flow = Flow::default();
        for frame in session.in_flight() {
            assert!(flow.takes_up(frame.id, frame.order), "{first}: {frame:?}");
            flow.sent(
                frame.id,
                frame.order,
                frame.way.grant,
                frame.way.origin,
                None,
            );
        }
        assert_eq!(
            session
                .in_flight()
                .map(|frame| frame.id)
                .collect::<Vec<_>>(),
            ids
        );
    }
}

/// Mosquitto sends what waits under the identifier that it was given before, and does not look whether it is in use.
#[test]
fn what_waits_gets_identifiers_that_are_not_in_flight() {
    let mut deliveries = vec![of_id(1, Stage::Sent), of_id(65_534, Stage::Sent)];
    deliveries.extend((0..3).map(|_| of_id(9, Stage::Waits)));
    let ledger = import(&to_one_client(deliveries)).ledger;
    let database = Database::of_ledgers(&[&ledger], NOW);
    let client = &database.clients[0];
    let ids: Vec<u16> = client.deliveries.iter().map(|one| one.id).collect();
    assert_eq!(ids, [1, 65_534, 65_535, 2, 3]);
    assert_eq!(client.last_id, 3);
}

/// A message of its own for each of many sessions would be many times the file.
#[test]
fn several_subscription_identifiers_take_no_more_than_the_file() {
    let mut deliveries = Vec::new();
    for other in 2..100 {
        deliveries.push(Delivery {
            subscription_ids: smallvec![1, other],
            ..of_id(9, Stage::Waits)
        });
    }
    deliveries.push(deliveries[0].clone());
    let ledger = import(&to_one_client(deliveries)).ledger;
    assert_eq!(ledger.messages(), 2);
    let (_, session) = ledger.sessions().next().unwrap();
    let told: Vec<u32> = session.waiting().map(|(_, way)| way.grant.id()).collect();
    let with_the_last = (3..100).collect::<Vec<u32>>();
    assert_eq!(told, [&[0], &with_the_last[..], &[0]].concat());
}
