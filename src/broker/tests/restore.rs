//! A start takes up what a run has left: what was on its way between shards, and moments that a wrong clock told.

use bytes::Bytes;

use super::slow::packets;
use super::*;
use crate::broker::wall_clock::UnixMs;
use crate::chunk::Chunk;
use crate::journal;
use crate::journal::{
    Errand, Legacy, Members, MessageText, Record, Room, Scribe, Stream, SubscriptionText, WillText,
};
use crate::mqtt::{ConnectOut, Packet};
use crate::routing::EntryOptions;
use crate::session::{EXPIRY_NEVER, Origin, Way};

/// The shards of the run before.
const SHARDS: usize = 3;

/// Milliseconds since 1970 when the run before ended.
const THEN: u64 = 1_800_000_000_000;

/// What the shards of a run write, a turn at a time.
struct Run {
    streams: [Stream; SHARDS],
    legacy: Legacy,
    sessions: u32,
}

impl Run {
    fn new() -> Run {
        Run {
            streams: Default::default(),
            legacy: Legacy::of(SHARDS as u8),
            sessions: 0,
        }
    }

    fn turn(&mut self, shard: u8, records: &[Record<'_>]) {
        let stream = &mut self.streams[usize::from(shard)];
        for record in records.iter().chain(&[Record::TurnEnded]) {
            stream.append(record);
        }
        stream.end_turn();
        while let Some((chunk, _)) = stream.next_chunk() {
            self.legacy.feed(shard, chunk.content()).unwrap();
        }
    }

    /// A session that subscribes with QoS 1; its client is away.
    fn away(&mut self, shard: u8, client_id: &str, share: Option<&str>, filter: &str) {
        self.sessions += 1;
        let session = self.sessions;
        let records = [
            Record::Opened {
                session,
                serial: session.into(),
                client_id,
            },
            Record::ExpirySet {
                session,
                seconds: EXPIRY_NEVER,
            },
            Record::Subscribed {
                session,
                to: SubscriptionText { share, filter },
                options: EntryOptions::with_qos(QoS::AtLeastOnce),
            },
            Record::Away {
                session,
                ends_at: None,
            },
        ];
        self.turn(shard, &records);
    }

    /// A shard hands a message to another one; its number is its place there.
    fn hand(&mut self, (from, to, at): (u8, u8, u64), errand: Errand, message: MessageText<'_>) {
        let records = [
            Record::Message {
                number: at,
                message,
            },
            Record::Handed {
                to,
                at,
                number: at,
                errand,
            },
        ];
        self.turn(from, &records);
    }

    /// A broker with one shard that has taken it up, so many milliseconds after its end.
    fn restored(&self, later_ms: i64) -> World {
        let mut world = World::new(Settings::default());
        let unix = UnixMs(THEN.saturating_add_signed(later_ms));
        world.broker.on_wall_clock(world.now_ms, unix);
        world
            .broker
            .on_restore(world.now_ms, &self.legacy, &mut |_| {});
        assert!(!world.broker.is_restoring());
        world
    }
}

/// The payloads of what waits for a client by what is written, in their order, when nothing is on its way any more.
fn settled_for(run: &mut Run, client_id: &str) -> Vec<String> {
    run.legacy.settle().unwrap();
    assert!(run.legacy.in_transit().is_empty());
    let ledgers = run.legacy.ledgers();
    let mut sessions = ledgers.flat_map(|ledger| ledger.sessions().map(move |of| (ledger, of.1)));
    let (ledger, session) = sessions
        .find(|(_, session)| &*session.client_id == client_id)
        .unwrap();
    let payloads = session.waiting().map(|(number, _)| {
        let kept = ledger.message(number).unwrap();
        String::from_utf8(kept.message.payload.to_vec()).unwrap()
    });
    payloads.collect()
}

/// The payload of what is retained under a topic by what is written.
fn retained_as(run: &Run, topic: &str) -> Option<Vec<u8>> {
    let mut all = run.legacy.ledgers().flat_map(|ledger| ledger.retained());
    let (_, kept) = all.find(|(_, kept)| &*kept.message.topic == topic)?;
    assert!(all.all(|(_, other)| &*other.message.topic != topic));
    Some(kept.message.payload.to_vec())
}

fn text<'a>(topic: &'a str, payload: &'a str) -> MessageText<'a> {
    MessageText {
        topic,
        payload: payload.as_bytes(),
        properties: &[],
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: None,
        origin: 99,
        author: None,
    }
}

impl World {
    /// The payloads of what waits for a client, in their order.
    fn waits_for(&self, client_id: &str) -> Vec<String> {
        let sessions = &self.broker.clients.sessions;
        let session = sessions.find(client_id).unwrap();
        let positions = sessions.queue(session).map(|queue| queue.positions());
        let positions = positions.into_iter().flatten();
        let payloads = positions.map(|position| {
            let message = sessions.backlog().get(position).unwrap();
            String::from_utf8(message.payload.to_vec()).unwrap()
        });
        payloads.collect()
    }
}

/// A shard sends "straight" and then two messages of a topic by its owner, which has passed on the first of them.
#[test]
fn what_an_owner_has_not_passed_on_comes_behind_what_it_has() {
    let mut run = Run::new();
    run.away(1, "at the owner", None, "t/#");
    run.away(2, "elsewhere", None, "t/#");
    let pass_on = Errand::PassOn {
        targets: 0b110,
        retains: true,
    };
    run.hand((0, 2, 1), Errand::Deliver, text("t/1", "straight"));
    run.hand((0, 1, 2), pass_on, text("t/1", "first"));
    run.hand((0, 1, 3), pass_on, text("t/1", "second"));
    run.turn(1, &[Record::Took { from: 0, at: 2 }]);
    run.hand((1, 2, 1), Errand::Deliver, text("t/1", "first"));
    run.hand((0, 1, 4), Errand::Deliver, text("t/2", "third"));
    let world = run.restored(0);
    assert_eq!(world.waits_for("at the owner"), ["second", "third"]);
    assert_eq!(
        world.waits_for("elsewhere"),
        ["straight", "first", "second"]
    );
    let retained = world.broker.routing.retained.get("t/1").unwrap();
    assert_eq!(&retained.payload[..], b"second");
    for client in ["at the owner", "elsewhere"] {
        assert_eq!(settled_for(&mut run, client), world.waits_for(client));
    }
    assert_eq!(retained_as(&run, "t/1").as_deref(), Some(&b"second"[..]));
}

/// A shared subscription that had ended and come again has had two numbers.
#[test]
fn a_shared_subscription_gets_what_was_on_its_way_once() {
    let mut run = Run::new();
    run.away(0, "member", Some("g"), "t/#");
    run.away(2, "other", Some("g"), "t/#");
    let (share, filter) = (Some("g"), "t/#");
    for group in [4, 7] {
        let to = SubscriptionText { share, filter };
        run.turn(1, &[Record::GroupNamed { group, to }]);
    }
    for at in 1..=5 {
        let topic = format!("t/{at}");
        run.hand((0, 1, at), Errand::Deliver, text(&topic, &topic));
    }
    let share = Errand::Share { owner: 1, group: 4 };
    run.hand((1, 2, 1), share, text("t/6", "t/6"));
    let world = run.restored(0);
    let mut got = world.waits_for("member");
    got.extend(world.waits_for("other"));
    got.sort();
    assert_eq!(got, ["t/1", "t/2", "t/3", "t/4", "t/5", "t/6"]);
    for client in ["member", "other"] {
        assert_eq!(settled_for(&mut run, client), world.waits_for(client));
    }
}

/// A session that ends an hour behind the end of the run, with a will that is due ten seconds behind it.
#[test]
fn a_wall_clock_that_was_set_back_keeps_nobody_longer() {
    const HOUR: i64 = 3_600_000;
    let run = || {
        let mut run = Run::new();
        let session = 1;
        let will = WillText {
            message: text("will", "gone"),
            delay_s: 10,
            expiry_s: None,
        };
        let records = [
            Record::Opened {
                session,
                serial: 1,
                client_id: "away",
            },
            Record::ExpirySet {
                session,
                seconds: 3600,
            },
            Record::WillSet { session, will },
            Record::Away {
                session,
                ends_at: Some(THEN + HOUR as u64),
            },
            Record::WillDue {
                session,
                at: Some(THEN + 10_000),
            },
        ];
        run.turn(0, &records);
        run
    };
    for (later_ms, will_ms, end_ms) in [
        (0, 10_000, HOUR),
        (4_000, 6_000, HOUR - 4_000),
        (-24 * HOUR, 10_000, HOUR),
        (i64::MIN, 10_000, HOUR),
    ] {
        let world = run().restored(later_ms);
        let sessions = &world.broker.clients.sessions;
        let session = sessions.find("away").unwrap();
        let entry = sessions.get(session).unwrap();
        let (will_ms, end_ms) = (world.now_ms + will_ms, world.now_ms + end_ms as u64);
        let due_ms = entry.will().map(|will| will.due_ms);
        assert_eq!((due_ms, entry.ends_at_ms()), (Some(will_ms), end_ms));
    }
}

/// A retained message that has expired since has taken the place of the one before it.
#[test]
fn a_retained_message_that_expired_on_its_way_leaves_none() {
    let mut run = Run::new();
    let message = |payload, expires_at| MessageText {
        retain: true,
        expires_at,
        ..text("t/1", payload)
    };
    let records = [
        Record::Message {
            number: 1,
            message: message("before", None),
        },
        Record::RetainedStored { number: 1 },
    ];
    run.turn(1, &records);
    let expiring = message("on its way", Some(THEN + 1_000));
    run.hand((0, 1, 1), Errand::Retain, expiring);
    let topic = |later_ms| {
        let world = run.restored(later_ms);
        let retained = world.broker.routing.retained.get("t/1");
        retained.map(|message| message.payload.to_vec())
    };
    assert_eq!(topic(0).as_deref(), Some(&b"on its way"[..]));
    assert_eq!(topic(2_000), None);
}

/// The state of a bridge that was on its way is of the run that has ended, as one that is kept would be.
#[test]
fn what_is_below_sys_is_not_retained_again() {
    const STATE: &str = "$SYS/broker/connection/bridge/state";
    let mut run = Run::new();
    run.away(1, "watches", None, "$SYS/#");
    run.hand((0, 1, 1), Errand::Retain, text(STATE, "0"));
    let pass_on = Errand::PassOn {
        targets: 0b10,
        retains: true,
    };
    run.hand((0, 1, 2), pass_on, text(STATE, "1"));
    let world = run.restored(0);
    assert!(world.broker.routing.retained.get(STATE).is_none());
    assert_eq!(world.waits_for("watches"), ["1"]);
}

#[test]
fn what_many_sessions_hold_is_written_once_again() {
    let (members, messages) = (20, 5);
    let mut run = Run::new();
    for number in 0..members {
        run.away(0, &format!("client{number}"), None, "a/#");
    }
    let way = Way {
        grant: EntryOptions::with_qos(QoS::AtLeastOnce).grant(QoS::AtLeastOnce, false),
        origin: Origin::ORDINARY,
    };
    // The older ones are in flight, the others wait.
    for number in 0..2 * messages {
        let payload = number.to_string();
        let mut records = vec![Record::Message {
            number,
            message: text("a/b", &payload),
        }];
        records.extend((1..=members).map(|session| match number < messages {
            true => Record::SentAlone {
                session,
                number,
                order: u64::from(session) * 100 + number,
                id: 1 + number as u16,
                way,
            },
            false => Record::Queued {
                number,
                way,
                members: Members::One(session),
            },
        }));
        run.turn(0, &records);
    }
    let mut world = World::new(Settings::default());
    world.broker.on_wall_clock(world.now_ms, UnixMs(THEN));
    world.broker.write_down(Scribe::new(1));
    let mut again = Legacy::of(1);
    let feed = |again: &mut Legacy, chunk: Chunk| again.feed(0, chunk.content()).unwrap();
    world
        .broker
        .on_restore(world.now_ms, &run.legacy, &mut |chunk| {
            feed(&mut again, chunk)
        });
    world.broker.end_turn(world.now_ms);
    while let Some((chunk, _)) = world.broker.next_chunk() {
        feed(&mut again, chunk);
    }
    let ledger = again.ledger(0).unwrap();
    assert_eq!(ledger.sessions().count(), members as usize);
    assert_eq!(ledger.messages(), 2 * messages as usize);
    for (_, session) in ledger.sessions() {
        let payload = |number| ledger.message(number).unwrap().message.payload.clone();
        let held = session.held().map(|held| payload(held.number()));
        let expected = (0..2 * messages).map(|number| Bytes::from(number.to_string()));
        assert!(held.eq(expected), "each has all, in its order");
    }
}

/// What there was no room for when it was read is dropped for each session that it was for; what was in flight of it is done.
#[test]
fn what_there_was_no_room_for_is_dropped_and_counted() {
    let way = Way {
        grant: EntryOptions::with_qos(QoS::AtLeastOnce).grant(QoS::AtLeastOnce, false),
        origin: Origin::ORDINARY,
    };
    let (session, members) = (1, Members::One(1));
    let payloads: Vec<String> = (0..8u64).map(|number| number.to_string()).collect();
    let message = |number: u64| MessageText {
        retain: number % 3 == 2,
        ..text("t/0", &payloads[number as usize])
    };
    let cost = message(0).to_message().unwrap().cost() as u64;
    let room = Room {
        sessions: 2 * cost,
        retained: cost,
    };
    let mut run = Run::new();
    run.legacy = run.legacy.within(room, 1);
    run.away(0, "away", None, "t/#");
    for number in 0..6 {
        let refers = match number % 3 {
            0 => Record::SentAlone {
                session,
                number,
                order: number,
                id: 1 + number as u16,
                way,
            },
            1 => Record::Queued {
                number,
                way,
                members: members.clone(),
            },
            _ => Record::RetainedStored { number },
        };
        let message = message(number);
        run.turn(0, &[Record::Message { number, message }, refers]);
    }
    let to_all = Errand::PassOn {
        targets: 1,
        retains: false,
    };
    // What took the place of number 2 has left room for one more.
    for number in 6..8 {
        let (to, at, errand) = (0, number, to_all);
        let handed = Record::Handed {
            to,
            at,
            number,
            errand,
        };
        let message = text("t/0", &payloads[number as usize]);
        run.turn(0, &[Record::Message { number, message }, handed]);
    }
    assert_eq!(journal::missing(&run.legacy).messages(), 4);
    let mut world = run.restored(0);
    assert_eq!(world.waits_for("away"), ["1", "6"]);
    assert!(world.broker.routing.retained.get("t/0").is_none());
    let counters = &world.broker.clients.desk.counters;
    assert_eq!(
        (counters.publish_dropped, counters.backlog_refused),
        (2, 2),
        "one that was in flight, and one that waited"
    );
    assert_eq!(counters.retained_refused, 1);
    // Number 0 comes again, 1 and 6 for the first time, and number 3 not at all.
    let conn = world.broker.on_accept(world.now_ms, peer());
    let mut bytes = Vec::new();
    let connect = ConnectOut {
        client_id: "away",
        ..ConnectOut::default()
    };
    connect.encode(Version::V311, &mut bytes);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    let mut sent = Vec::new();
    let output = world.output(conn);
    packets(Version::V311, &output, |packet| {
        if let Packet::Publish(publish) = packet {
            sent.push((publish.dup, publish.payload.to_vec()));
        }
    });
    let wanted = [(true, "0"), (false, "1"), (false, "6")];
    assert_eq!(sent, wanted.map(|(dup, payload)| (dup, payload.into())));
}

/// A client that publishes the same again and again: each of these messages waits, although their text is in memory once.
#[test]
fn the_same_message_several_times_waits_several_times() {
    let way = Way {
        grant: EntryOptions::with_qos(QoS::AtLeastOnce).grant(QoS::AtLeastOnce, false),
        origin: Origin::ORDINARY,
    };
    let (session, members) = (1, Members::One(1));
    let mut run = Run::new();
    run.legacy = run.legacy.within(Room::UNBOUNDED, 1);
    run.away(0, "away", None, "t/#");
    for number in 0..6 {
        let message = text("t/0", "the same");
        let refers = match number < 3 {
            true => Record::SentAlone {
                session,
                number,
                order: number,
                id: 1 + number as u16,
                way,
            },
            false => Record::Queued {
                number,
                way,
                members: members.clone(),
            },
        };
        run.turn(0, &[Record::Message { number, message }, refers]);
    }
    let mut world = World::new(Settings::default());
    world.broker.on_wall_clock(world.now_ms, UnixMs(THEN));
    world.broker.write_down(Scribe::new(1));
    let mut again = Legacy::of(1);
    let now_ms = world.now_ms;
    world.broker.on_restore(now_ms, &run.legacy, &mut |_| {});
    assert_eq!(world.waits_for("away"), ["the same"; 3]);
    world.broker.end_turn(now_ms);
    while let Some((chunk, _)) = world.broker.next_chunk() {
        again.feed(0, chunk.content()).unwrap();
    }
    let ledger = again.ledger(0).unwrap();
    let (_, session) = ledger.sessions().next().unwrap();
    assert_eq!(session.waiting().count(), 3);
    assert_eq!(session.in_flight().count(), 3);
}

/// A retained message that was on its way takes away the one before it, also where there was no room for it.
#[test]
fn a_retained_message_without_room_leaves_none() {
    let message = |payload| MessageText {
        retain: true,
        ..text("t/1", payload)
    };
    let large = "x".repeat(100);
    let mut run = Run::new();
    let retained = message("before").to_message().unwrap().cost() as u64;
    let room = Room {
        sessions: 0,
        retained,
    };
    run.legacy = run.legacy.within(room, 1);
    let records = [
        Record::Message {
            number: 1,
            message: message("before"),
        },
        Record::RetainedStored { number: 1 },
    ];
    run.turn(1, &records);
    let topic = |run: &Run| {
        let world = run.restored(0);
        let refused = world.broker.clients.desk.counters.retained_refused;
        let retained = world.broker.routing.retained.get("t/1");
        (retained.is_some(), refused)
    };
    assert_eq!(topic(&run), (true, 0));
    run.hand((0, 1, 1), Errand::Retain, message(&large));
    assert_eq!(topic(&run), (false, 1));
}
