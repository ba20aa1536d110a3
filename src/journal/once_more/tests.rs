//! Reading with less room than all of it takes.

mod checkpoints;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::journal::{Errand, Members, MessageText, Record, Room, Stream};
use crate::mqtt::QoS;
use crate::session::Way;

/// Milliseconds since 1970, of the second reading.
const NOW: u64 = 1_000;

/// The session of each shard.
const SESSION: u32 = 4;

/// What the shards of a run have written, in one order.
struct Run {
    streams: Vec<Stream>,
    chunks: Vec<(u8, Vec<u8>)>,
}

impl Run {
    /// With a session on each shard.
    fn of(shards: u8) -> Run {
        let mut run = Run {
            streams: (0..shards).map(|_| Stream::default()).collect(),
            chunks: Vec::new(),
        };
        for shard in 0..shards {
            let opened = Record::Opened {
                session: SESSION,
                serial: u64::from(shard) + 1,
                client_id: "dave",
            };
            run.turn(shard, &[opened]);
        }
        run
    }

    fn turn(&mut self, shard: u8, records: &[Record<'_>]) {
        let stream = &mut self.streams[usize::from(shard)];
        records.iter().for_each(|record| stream.append(record));
        stream.append(&Record::TurnEnded);
        while let Some((chunk, _)) = stream.next_chunk() {
            self.chunks.push((shard, chunk.content().to_vec()));
            stream.give_back(chunk);
        }
    }

    fn feed(&self, mut legacy: Legacy) -> Legacy {
        for (shard, content) in &self.chunks {
            legacy.feed(*shard, content).unwrap();
            assert!(legacy.bytes() <= legacy.held().room().bytes());
        }
        legacy
    }

    fn read(&self, room: Room) -> Legacy {
        self.feed(Legacy::default().within(room, 7))
    }

    /// As a start does.
    fn read_within(&self, room: Room) -> Legacy {
        let legacy = self.read(room);
        match is_short(&legacy) {
            true => {
                let aim = Aim::whole(room);
                self.feed(aiming(legacy, aim, NOW))
            }
            false => legacy,
        }
    }
}

fn way() -> Way {
    Way::from_words(0, u32::MAX).unwrap()
}

fn text<'a>(topic: &'a str, payload: &'a [u8]) -> MessageText<'a> {
    MessageText {
        topic,
        payload,
        properties: &[],
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: None,
        origin: 7,
        author: None,
    }
}

fn queued(number: u64) -> Record<'static> {
    Record::Queued {
        number,
        way: way(),
        members: Members::One(SESSION),
    }
}

fn unqueued(number: u64) -> Record<'static> {
    Record::Unqueued {
        number,
        way: way(),
        members: Members::One(SESSION),
    }
}

fn sent(number: u64) -> Record<'static> {
    Record::SentAlone {
        session: SESSION,
        number,
        order: number,
        id: number as u16 + 1,
        way: way(),
    }
}

/// A message of a thousand bytes of payload, another one for each number.
fn payload(number: u64) -> Vec<u8> {
    let mut payload = vec![b'.'; 1000];
    payload[..8].copy_from_slice(&number.to_be_bytes());
    payload
}

/// Room for so many of these, with topics of one letter.
fn room_for(messages: u64) -> Room {
    Room {
        sessions: messages * cost(),
        retained: 0,
    }
}

/// What one of these costs.
fn cost() -> u64 {
    text("t", &payload(0)).cost()
}

/// The numbers of a shard's messages that are held, out of the first hundred.
fn held(legacy: &Legacy, shard: u8) -> Vec<u64> {
    let ledger = legacy.ledger(shard).unwrap();
    let numbers = 0..100;
    numbers
        .filter(|&number| ledger.message(number).is_some())
        .collect()
}

#[test]
fn what_came_to_several_shards_is_in_memory_once() {
    let payloads = [payload(0), payload(1), payload(2)];
    let texts = [
        text("t", &payloads[0]),
        text("t", &payloads[1]),
        MessageText {
            expires_at: Some(1),
            ..text("t", &payloads[2])
        },
    ];
    let mut run = Run::of(3);
    for shard in 0..3 {
        for (number, message) in (u64::from(shard)..).zip(texts) {
            let message = Record::Message { number, message };
            run.turn(shard, &[message, queued(number)]);
        }
    }
    let legacy = run.read(Room::UNBOUNDED);
    let of = |shard: u8, index: u64| {
        let ledger = legacy.ledger(shard).unwrap();
        &ledger.message(u64::from(shard) + index).unwrap().message
    };
    for (shard, index) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1), (2, 2)] {
        assert!(Arc::ptr_eq(of(0, index), of(shard, index)));
    }
    assert!(!Arc::ptr_eq(of(0, 0), of(0, 1)));
    assert_eq!(of(2, 0).payload, payloads[0]);
    assert_eq!(legacy.bytes(), 3 * cost());
    // There is as much room as they take once, however many have them.
    assert!(!is_short(&run.read(room_for(3))));

    // One that expires at another time is another one.
    let other = MessageText {
        expires_at: Some(2),
        ..texts[2]
    };
    let number = 9;
    let message = Record::Message {
        number,
        message: other,
    };
    run.turn(2, &[message, queued(number)]);
    assert_eq!(run.read(Room::UNBOUNDED).bytes(), 4 * cost());
}

#[test]
fn what_no_shard_has_any_more_makes_room() {
    let payload = payload(0);
    let message = text("t", &payload);
    let mut run = Run::of(2);
    for number in 0..2 {
        for shard in 0..2 {
            let message = Record::Message { number, message };
            run.turn(shard, &[message, queued(number)]);
        }
    }
    run.turn(0, &[unqueued(0), unqueued(1)]);
    let legacy = run.read(Room::UNBOUNDED);
    assert_eq!(legacy.bytes(), cost(), "one shard has it still");
    run.turn(1, &[unqueued(0), unqueued(1)]);
    // The newest of each shard stays, as what follows may refer to it.
    let next = text("u", b"next");
    for shard in 0..2 {
        let (number, message) = (2, next);
        run.turn(shard, &[Record::Message { number, message }]);
    }
    assert_eq!(run.read(Room::UNBOUNDED).bytes(), next.cost());
}

#[test]
fn what_a_message_costs_is_told_before_it_is_made() {
    let author = crate::journal::AuthorText {
        user: Some("frank"),
        listener: "1883",
        client_id: Some("c"),
    };
    for author in [None, Some(author)] {
        let text = MessageText {
            properties: &[1, 2, 3],
            author,
            ..text("a/b", b"payload")
        };
        assert_eq!(text.cost(), text.to_message().unwrap().cost() as u64);
    }
}

/// Whatever a client makes differ, its messages do not all have one place in a table: that would make a start take long.
#[test]
fn messages_that_differ_are_told_apart_by_what_is_hashed() {
    let plain = text("t", b"payload");
    let texts = [
        plain,
        text("u", b"payload"),
        text("t", b"other"),
        MessageText {
            properties: &[0x26, 0, 1, b'a', 0, 1, b'b'],
            ..plain
        },
        MessageText { origin: 8, ..plain },
        MessageText {
            expires_at: Some(NOW),
            ..plain
        },
    ];
    let mut run = Run::of(1);
    for (number, message) in (0..).zip(texts) {
        run.turn(0, &[Record::Message { number, message }, queued(number)]);
    }
    let legacy = run.read(Room::UNBOUNDED);
    let referred = legacy.ledger(0).unwrap().referred(legacy.held());
    let ids: BTreeSet<u64> = referred.map(|(_, told)| told.id).collect();
    assert_eq!(ids.len(), texts.len());
    assert_eq!(
        legacy.bytes(),
        texts.iter().map(MessageText::cost).sum::<u64>()
    );
}

/// What an import has left costs what its messages do.
#[test]
fn a_ledger_brings_its_messages_along() {
    let mut ledger = Ledger::default();
    let (number, message) = (1, text("t", b"payload"));
    ledger.apply(&Record::Message { number, message }).unwrap();
    assert_eq!(Legacy::of_ledger(ledger).bytes(), message.cost());
}

/// A hundred messages wait, and ninety-five of them are fetched: there is never room for more than six.
#[test]
fn a_history_above_the_room_loses_nothing_if_its_end_fits() {
    let mut run = Run::of(2);
    for number in 0..100 {
        let payload = payload(number);
        for shard in 0..2 {
            let message = text("t", &payload);
            let message = Record::Message { number, message };
            run.turn(shard, &[message, queued(number)]);
        }
    }
    for shard in 0..2 {
        let fetched: Vec<_> = (0..95).map(unqueued).collect();
        run.turn(shard, &fetched);
    }
    let room = room_for(6);
    let first = run.read(room);
    assert!(is_short(&first) && missing(&first).messages() > 0);
    let legacy = run.read_within(room);
    assert_eq!(missing(&legacy), Missing::default());
    for shard in 0..2 {
        assert_eq!(held(&legacy, shard), [95, 96, 97, 98, 99]);
        let ledger = legacy.ledger(shard).unwrap();
        assert_eq!(ledger.message(97).unwrap().message.payload, payload(97));
    }
    assert_eq!(legacy.bytes(), 5 * cost());
}

#[test]
fn retained_and_in_flight_come_first_then_the_newer() {
    let mut run = Run::of(2);
    for number in 0..20 {
        let payload = payload(number);
        let (topic, retain) = match number {
            18 => ("r", true),
            _ => ("t", false),
        };
        let message = MessageText {
            retain,
            ..text(topic, &payload)
        };
        let message = Record::Message { number, message };
        let refers = match number {
            17 => sent(number),
            18 => Record::RetainedStored { number },
            19 => Record::Handed {
                to: 1,
                at: 1,
                number,
                errand: Errand::Deliver,
            },
            _ => queued(number),
        };
        run.turn(0, &[message, refers]);
    }
    // What is in flight on one shard may wait on another.
    let (number, payload) = (5, payload(17));
    let message = text("t", &payload);
    run.turn(1, &[Record::Message { number, message }, queued(number)]);
    let room = Room {
        retained: cost(),
        ..room_for(9)
    };
    let legacy = run.read_within(room);
    let wanted = [10, 11, 12, 13, 14, 15, 16, 17, 18, 19];
    assert_eq!(held(&legacy, 0), wanted);
    assert_eq!(held(&legacy, 1), [5]);
    let left_out = missing(&legacy);
    assert_eq!((left_out.retained, left_out.others), (0, 10));
    assert_eq!(left_out.bytes, 10 * cost());
    let ledger = legacy.ledger(0).unwrap();
    assert!(ledger.is_left_out(9) && !ledger.is_left_out(10));
    let session = ledger.session(SESSION).unwrap();
    assert_eq!(
        session.waiting().count(),
        17,
        "it waits, whatever of it is there"
    );
}

#[test]
fn what_has_expired_needs_no_room() {
    let mut run = Run::of(1);
    for number in 0..20 {
        let payload = payload(number);
        let message = MessageText {
            expires_at: Some(if number < 15 { NOW } else { NOW + 1 }),
            ..text("t", &payload)
        };
        let message = Record::Message { number, message };
        run.turn(0, &[message, queued(number)]);
    }
    let legacy = run.read_within(room_for(5));
    assert_eq!(held(&legacy, 0), [15, 16, 17, 18, 19]);
    assert_eq!(missing(&legacy), Missing::default());
    assert!(!legacy.ledger(0).unwrap().is_left_out(3));
}

#[test]
fn retained_ones_have_no_more_than_their_room() {
    let mut run = Run::of(1);
    for number in 0..10 {
        let (topic, payload) = (format!("{number}"), payload(number));
        let message = MessageText {
            retain: true,
            ..text(&topic, &payload)
        };
        let message = Record::Message { number, message };
        run.turn(0, &[message, Record::RetainedStored { number }]);
    }
    // What there is no room for is known by its topic all the same.
    let removed = Record::RetainedRemoved { topic: "7" };
    run.turn(0, &[removed]);
    for number in 10..20 {
        let payload = payload(number);
        let message = text("t", &payload);
        let message = Record::Message { number, message };
        run.turn(0, &[message, queued(number)]);
    }
    let room = Room {
        retained: 4 * cost(),
        ..room_for(4)
    };
    let legacy = run.read_within(room);
    assert_eq!(held(&legacy, 0), [0, 1, 2, 3, 16, 17, 18, 19]);
    let left_out = missing(&legacy);
    assert_eq!((left_out.retained, left_out.others), (5, 6));
    assert_eq!(legacy.counts().retained, 4);
}

/// What a shard does in a random run.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// A message of so many bytes comes, for the session or as retained below one of three topics.
    Comes { bytes: usize, retains: Option<u8> },
    /// The same comes to another shard.
    Again,
    /// The oldest that waits is fetched.
    Fetched,
    /// The oldest that waits is sent.
    Moved,
    /// What is retained below this topic goes.
    Removed(u8),
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let retains = prop_oneof![3 => Just(None), 1 => (0u8..3).prop_map(Some)];
    let comes = (0usize..2000, retains);
    let comes = comes.prop_map(|(bytes, retains)| Step::Comes { bytes, retains });
    let step = prop_oneof![
        4 => comes,
        2 => Just(Step::Again),
        2 => Just(Step::Fetched),
        1 => Just(Step::Moved),
        1 => (0u8..3).prop_map(Step::Removed),
    ];
    (0u8..2, step)
}

const TOPICS: [&str; 3] = ["r/0", "r/1", "r/2"];

fn random_run(steps: &[(u8, Step)]) -> Run {
    let mut run = Run::of(2);
    let mut waiting = [BTreeSet::new(), BTreeSet::new()];
    let (mut number, mut last) = (0, (0, None));
    for &(shard, step) in steps {
        let of_shard = &mut waiting[usize::from(shard)];
        if let Step::Comes { bytes, retains } = step {
            last = (bytes, retains);
        }
        number += 1;
        match step {
            Step::Comes { .. } | Step::Again => {
                let (bytes, retains) = last;
                let payload = vec![b'.'; bytes];
                let topic = retains.map_or("t", |topic| TOPICS[usize::from(topic)]);
                let message = MessageText {
                    retain: retains.is_some(),
                    ..text(topic, &payload)
                };
                let message = Record::Message { number, message };
                let refers = match retains {
                    Some(_) => Record::RetainedStored { number },
                    None => queued(number),
                };
                if retains.is_none() {
                    of_shard.insert(number);
                }
                run.turn(shard, &[message, refers]);
            }
            Step::Fetched => {
                if let Some(number) = of_shard.pop_first() {
                    run.turn(shard, &[unqueued(number)]);
                }
            }
            Step::Moved => {
                if let Some(number) = of_shard.pop_first() {
                    let (session, order, id) = (SESSION, number, 1);
                    let moved = Record::Moved {
                        session,
                        number,
                        order,
                        id,
                        way: way(),
                    };
                    run.turn(shard, &[moved]);
                }
            }
            Step::Removed(topic) => {
                let topic = TOPICS[usize::from(topic)];
                run.turn(shard, &[Record::RetainedRemoved { topic }]);
            }
        }
    }
    run
}

proptest! {
    #[test]
    fn what_is_held_is_right_and_within_the_room(
        steps in prop::collection::vec(step(), 0..80),
        (of_sessions, of_retained) in (0u64..1300, 0u64..1300),
    ) {
        let run = random_run(&steps);
        let whole = run.read(Room::UNBOUNDED);
        let (mut all, mut retained) = (BTreeMap::new(), BTreeSet::new());
        for ledger in whole.ledgers() {
            let numbers: BTreeSet<u64> = ledger.retained_numbers().collect();
            for (number, LeftOut { id, bytes, .. }) in ledger.referred(whole.held()) {
                all.insert(id, bytes);
                if numbers.contains(&number) {
                    retained.insert(id);
                }
            }
        }
        let sum = |is_retained: bool| -> u64 {
            let of = all.iter().filter(|(id, _)| retained.contains(id) == is_retained);
            of.map(|(_, bytes)| bytes).sum()
        };
        let needed = Room { sessions: sum(false), retained: sum(true) };
        let room = Room {
            sessions: needed.sessions * of_sessions / 1000,
            retained: needed.retained * of_retained / 1000,
        };
        let legacy = run.read_within(room);
        let left_out = missing(&legacy).messages();
        if room.sessions >= needed.sessions && room.retained >= needed.retained {
            prop_assert_eq!(left_out, 0);
        }
        prop_assert!(left_out > 0 || room.bytes() >= needed.bytes());
        for (ledger, whole) in legacy.ledgers().zip(whole.ledgers()) {
            let sessions = |ledger: &Ledger| {
                let session = ledger.session(SESSION).unwrap();
                let held = session.held().map(|held| held.number());
                held.collect::<Vec<_>>()
            };
            prop_assert_eq!(sessions(ledger), sessions(whole));
            let retained = |ledger: &Ledger| ledger.retained_numbers().collect::<Vec<_>>();
            prop_assert_eq!(retained(ledger), retained(whole));
            for number in sessions(ledger).into_iter().chain(retained(ledger)) {
                let there = ledger.message(number);
                prop_assert_eq!(there.is_none(), ledger.is_left_out(number));
                if let Some(there) = there {
                    let wanted = whole.message(number).unwrap();
                    prop_assert_eq!(&there.message, &wanted.message);
                }
            }
        }
    }
}
