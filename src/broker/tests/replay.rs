//! Large stores of retained messages replayed to clients that take their time.

use std::collections::BTreeMap;

use super::slow::{packets, publish};
use super::*;
use crate::ids::SessionId;
use crate::limits;
use crate::mqtt::{Packet, Topic, UnsubscribeOut};
use crate::routing::PageBounds;

/// More than a socket and several pages hold.
const TOPICS: usize = 6000;
/// Some 250 messages fill what is sent to a client ahead of its socket.
const PAYLOAD: usize = 1000;

impl World {
    fn session_of(&mut self, id: &str) -> SessionId {
        self.broker.clients.sessions.find(id).unwrap()
    }

    fn waiting(&mut self, id: &str) -> usize {
        let session = self.session_of(id);
        self.broker.clients.sessions.queued(session)
    }

    /// Replays that wait with a session, and questions that are open.
    fn replays(&mut self, id: &str) -> (usize, usize) {
        let session = self.session_of(id);
        let entry = self.broker.clients.sessions.get(session).unwrap();
        let waiting = entry.replays();
        let asking = self.broker.clients.sessions.hot(session).asking;
        (waiting, asking.into())
    }

    /// Takes what is there, once.
    fn take(&mut self, conn: ConnId) -> Vec<u8> {
        let mut slices = Vec::new();
        let bytes = self
            .broker
            .gather(self.now_ms, conn, limits::SEND_BYTES_MAX, &mut slices);
        let mut out = Vec::new();
        self.broker.gathered_into(conn, &mut out);
        self.broker.on_sent(self.now_ms, conn, bytes);
        self.now_ms += 1;
        self.broker.on_timers(self.now_ms);
        out
    }

    /// Takes everything.
    fn drain(&mut self, conn: ConnId) -> Vec<Message> {
        let mut bytes = Vec::new();
        loop {
            let more = self.take(conn);
            if more.is_empty() && self.broker.lookups.next_ms().is_none() {
                return messages(&bytes);
            }
            bytes.extend(more);
        }
    }

    fn unsubscribe(&mut self, conn: ConnId, filter: &str) {
        let mut bytes = Vec::new();
        UnsubscribeOut {
            packet_id: PacketId::new(9).unwrap(),
            filters: &[filter],
            user_properties: &[],
        }
        .encode(Version::V311, &mut bytes);
        self.broker.on_bytes(self.now_ms, conn, &bytes);
    }

    fn resume(&mut self, id: &str, clean_start: bool) -> ConnId {
        let connect = ConnectOut {
            client_id: id,
            clean_start,
            ..ConnectOut::default()
        };
        self.connect_as(&connect, Version::V311)
    }
}

/// Topic, first byte of the payload, RETAIN flag.
type Message = (String, Option<u8>, bool);

fn messages(bytes: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    packets(Version::V311, bytes, |packet| {
        if let Packet::Publish(publish) = packet {
            let first = publish.payload.first().copied();
            messages.push((publish.topic.to_string(), first, publish.retain));
        }
    });
    messages
}

/// How often each topic came.
fn counts(messages: &[Message]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for (topic, ..) in messages {
        *counts.entry(&topic[..]).or_default() += 1;
    }
    counts
}

/// A broker with `t/0` to `t/5999`, and a publisher.
fn stored() -> (World, ConnId) {
    let mut world = World::new(Settings::default());
    let publisher = world.connect("p", Version::V311);
    for index in 0..TOPICS {
        world.publish(publisher, &format!("t/{index}"), 0, true, &[b'a'; PAYLOAD]);
    }
    (world, publisher)
}

/// A subscriber that has not taken anything but SUBACK: what it has been sent by then comes first.
fn slow_reader(world: &mut World, id: &str, qos: QoS) -> ConnId {
    let conn = world.resume(id, false);
    world.output(conn);
    let bytes = subscribe_packet(&["#"], Version::V311, qos);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    conn
}

#[test]
fn a_slow_reader_holds_a_page_and_gets_every_message_once() {
    let (mut world, _) = stored();
    let conn = slow_reader(&mut world, "s", QoS::AtMostOnce);
    let most = limits::REPLAY_PAGE_MESSAGES * 3 / 2;
    let mut bytes = Vec::new();
    loop {
        assert!(world.waiting("s") <= most, "{}", world.waiting("s"));
        let more = world.take(conn);
        if more.is_empty() {
            break;
        }
        bytes.extend(more);
    }
    let messages = messages(&bytes);
    assert_eq!(messages.len(), TOPICS);
    assert_eq!(counts(&messages).len(), TOPICS);
    assert_eq!(world.replays("s"), (0, 0));
    assert_eq!(world.broker.counters().stored_messages, 0);
}

#[test]
fn what_changes_between_pages_comes_live_once_and_never_late() {
    let (mut world, publisher) = stored();
    let conn = slow_reader(&mut world, "s", QoS::AtMostOnce);
    for (topic, payload) in [
        ("t/3", &b"b"[..]),
        ("t/5998", b"b"),
        ("t/5997", b""),
        ("t/new", b"b"),
    ] {
        world.publish(publisher, topic, 0, true, payload);
    }
    assert_eq!(world.broker.live.topics(), 0, "nothing is noted");
    let all = world.drain(conn);
    let of = |topic: &str| -> Vec<(Option<u8>, bool)> {
        let same = all.iter().filter(|message| message.0 == topic);
        same.map(|message| (message.1, message.2)).collect()
    };
    assert_eq!(of("t/3"), [(Some(b'a'), true), (Some(b'b'), false)]);
    assert_eq!(of("t/5998"), [(Some(b'b'), false)]);
    assert_eq!(of("t/5997"), [(None, false)]);
    assert_eq!(of("t/new"), [(Some(b'b'), false)]);
    assert_eq!(all.len(), TOPICS + 2);
    assert_eq!(counts(&all).len(), TOPICS + 1);
    // Live messages waited for the page that was queued, not for the whole store.
    let live = all.iter().position(|message| message.0 == "t/new").unwrap();
    assert!(live <= 2 * limits::REPLAY_PAGE_MESSAGES, "{live}");
}

#[test]
fn a_replay_ends_with_its_subscription_and_a_new_one_starts_over() {
    let (mut world, _) = stored();
    let conn = slow_reader(&mut world, "s", QoS::AtMostOnce);
    assert_eq!(world.replays("s"), (1, 0));
    world.unsubscribe(conn, "#");
    assert_eq!(world.replays("s"), (0, 0));
    let rest = world.drain(conn).len();
    assert!(rest <= limits::REPLAY_PAGE_MESSAGES + 300, "{rest}");
    let bytes = subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    let again = world.drain(conn);
    assert_eq!((again.len(), counts(&again).len()), (TOPICS, TOPICS));
}

/// What was queued or in flight is the session's; the rest waits, and is as it is when the client is back.
#[test]
fn a_replay_waits_for_the_client_of_a_durable_session() {
    let (mut world, publisher) = stored();
    let conn = slow_reader(&mut world, "s", QoS::AtMostOnce);
    let mut before = Vec::new();
    for _ in 0..8 {
        before.extend(world.take(conn));
    }
    let waiting = world.waiting("s");
    world
        .broker
        .on_eof(world.now_ms, conn, CloseCause::Error(104));
    world.broker.on_closed(world.now_ms, conn);
    assert_eq!(world.replays("s"), (1, 0));
    world.publish(publisher, "t/5999", 0, true, b"b");
    assert_eq!(world.waiting("s"), waiting, "nothing is added");
    let conn = world.resume("s", false);
    let all = world.drain(conn);
    let last: Vec<_> = all.iter().filter(|message| message.0 == "t/5999").collect();
    assert_eq!(last, [&("t/5999".into(), Some(b'b'), true)]);
    assert_eq!(counts(&all).len(), all.len());
    // What was given to the connection that broke is gone, with QoS 0.
    let lost = TOPICS - messages(&before).len() - all.len();
    assert!(lost <= 600, "{lost}");
    assert_eq!(world.replays("s"), (0, 0));
}

#[test]
fn a_replay_ends_with_its_session() {
    let (mut world, _) = stored();
    slow_reader(&mut world, "s", QoS::AtMostOnce);
    assert_eq!(world.replays("s"), (1, 0));
    let conn = world.resume("s", true);
    assert_eq!(world.drain(conn), []);
    assert_eq!(world.broker.counters().stored_messages, 0);
}

#[test]
fn several_large_replays_of_one_client_follow_one_after_the_other() {
    let (mut world, _) = stored();
    let conn = world.connect("s", Version::V311);
    let filters = ["#", "+/+", "t/#", "t/+", "+/#", "#", "t/+", "t/1", "t/+"];
    let bytes = subscribe_packet(&filters, Version::V311, QoS::AtMostOnce);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    let most = limits::REPLAY_PAGE_MESSAGES * (1 + usize::from(limits::REPLAY_QUESTIONS_MAX));
    assert!(world.waiting("s") <= most);
    let all = world.drain(conn);
    assert_eq!(all.len(), 8 * TOPICS + 1);
    let counts = counts(&all);
    assert!(counts.values().all(|&count| count == 8 || count == 9));
    assert_eq!(world.replays("s"), (0, 0));
}

/// With QoS 1 a client takes as many as its window, and everything comes once.
#[test]
fn a_reader_with_a_small_window_gets_every_message_once() {
    let (mut world, _) = stored();
    world.broker.lookups.set_page(PageBounds {
        messages: 16,
        nodes: 100,
        slots: 50,
    });
    let publisher = world.connect("q", Version::V311);
    for index in 0..100 {
        world.publish(publisher, &format!("u/{index}"), 1, true, b"a");
    }
    world.output(publisher);
    let conn = world.connect("s", Version::V311);
    let bytes = subscribe_packet(&["u/#"], Version::V311, QoS::AtLeastOnce);
    world.broker.on_bytes(world.now_ms, conn, &bytes);
    let mut topics = Vec::new();
    loop {
        assert!(world.waiting("s") <= 24);
        let mut answers = Vec::new();
        let now_ms = world.now_ms + 1;
        let bytes = world.output(conn);
        packets(Version::V311, &bytes, |packet| {
            let Packet::Publish(publish) = packet else {
                return;
            };
            topics.push(publish.topic.to_string());
            let id = publish.packet_id.unwrap().get().to_be_bytes();
            answers.extend([0x40, 2, id[0], id[1]]);
        });
        world.now_ms = now_ms;
        world.broker.on_timers(now_ms);
        if answers.is_empty() && world.replays("s") == (0, 0) {
            break;
        }
        world.broker.on_bytes(now_ms, conn, &answers);
    }
    assert_eq!(topics.len(), 100);
    topics.sort();
    topics.dedup();
    assert_eq!(topics.len(), 100);
}

/// Two shards that talk to each other.
struct Two {
    worlds: [World; 2],
}

impl Two {
    fn new(messages: usize) -> Two {
        let world = |shard| {
            let mut broker = Broker::new(Arc::new(Settings::default()), ShardId(shard), 2, 7);
            broker.lookups.set_page(PageBounds {
                messages,
                nodes: 200,
                slots: 100,
            });
            let now_ms = 1000;
            World { broker, now_ms }
        };
        Two {
            worlds: [world(0), world(1)],
        }
    }

    /// One shard is told what the other has for it. Returns how many messages that were.
    fn tell(&mut self, to: usize) -> usize {
        let mut told = 0;
        while let Some(effect) = self.worlds[1 - to].broker.next_effect() {
            if let Effect::Mesh { message, .. } = effect {
                told += 1;
                let now_ms = self.worlds[to].now_ms;
                let from = ShardId(1 - to as u8);
                self.worlds[to].broker.on_mesh(now_ms, from, message);
            }
        }
        told
    }

    fn talk(&mut self) {
        while self.tell(0) + self.tell(1) > 0 {}
    }

    /// A client that is at home on this shard.
    fn connect(&mut self, shard: u8, name: &str) -> (String, ConnId) {
        let ids = (0..).map(|number| format!("{name}{number}"));
        let id = ids.into_iter().find(|id| home(id, 2) == ShardId(shard));
        let id = id.unwrap();
        let conn = self.worlds[usize::from(shard)].connect(&id, Version::V311);
        (id, conn)
    }
}

#[test]
fn pages_of_two_shards_come_once_and_no_older_one_follows_a_live_message() {
    for page in [10, 64] {
        let mut two = Two::new(page);
        let (_, near) = two.connect(0, "near");
        let (_, far) = two.connect(1, "far");
        for index in 0..2000 {
            let bytes = publish(&format!("t/{index}"), 0, true, &[b'a'; PAYLOAD]);
            let publisher = [near, far][index % 2];
            let world = &mut two.worlds[index % 2];
            world.broker.on_bytes(1000, publisher, &bytes);
        }
        two.talk();
        let (id, conn) = two.connect(0, "s");
        let bytes = subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce);
        two.worlds[0].broker.on_bytes(1000, conn, &bytes);
        two.talk();
        let mut all = Vec::new();
        for round in 0.. {
            if round % 3 == 0 && round < 300 {
                // Now from here and now from there, near the start and near the end.
                let index = [round, 1999 - round][round % 2];
                let bytes = publish(&format!("t/{index}"), 0, true, b"b");
                let publisher = [near, far][round / 3 % 2];
                let world = &mut two.worlds[round / 3 % 2];
                world.broker.on_bytes(world.now_ms, publisher, &bytes);
            }
            let told = two.tell(0) + two.tell(1);
            assert!(two.worlds[0].waiting(&id) <= 3 * page + 10);
            let more = two.worlds[0].take(conn);
            two.worlds[1].now_ms = two.worlds[0].now_ms;
            two.worlds[1].broker.on_timers(two.worlds[0].now_ms);
            if more.is_empty() && told == 0 && round > 300 {
                break;
            }
            all.extend(more);
        }
        check_two(&messages(&all), page);
        assert_eq!(two.worlds[0].replays(&id), (0, 0));
        assert_eq!(two.worlds[0].broker.live.topics(), 0);
    }
}

fn check_two(all: &[Message], page: usize) {
    let mut changed = 0;
    for index in 0..2000 {
        let topic = format!("t/{index}");
        let of = all.iter().filter(|message| message.0 == topic);
        let of: Vec<_> = of.map(|message| (message.1, message.2)).collect();
        match &of[..] {
            [(Some(b'a'), true)] => {}
            [(Some(b'b'), false)] | [(Some(b'a'), true), (Some(b'b'), false)] => changed += 1,
            other => panic!("{topic} with pages of {page}: {other:?}"),
        }
    }
    assert_eq!(changed, 100);
}

fn message(topic: &str, payload: &'static str) -> Arc<crate::mqtt::message::Message> {
    Arc::new(crate::mqtt::message::Message {
        sent: Default::default(),
        topic: Topic::new(topic).unwrap(),
        payload: payload.into(),
        properties: "".into(),
        qos: QoS::AtMostOnce,
        retain: true,
        expires_at_ms: crate::mqtt::message::NEVER,
        origin: 1,
        author: None,
        holders: Default::default(),
    })
}

/// The first or the last of three shards, and a topic that the last one owns.
fn one_of_three(shard: u8) -> (World, String) {
    let broker = Broker::new(Arc::new(Settings::default()), ShardId(shard), 3, 7);
    let now_ms = 1000;
    let topics = (0..).map(|number| format!("t/{number}"));
    let topic = topics
        .into_iter()
        .find(|topic| owner_of_topic(topic, 3) == ShardId(2));
    (World { broker, now_ms }, topic.unwrap())
}

fn sent(world: &mut World) -> Vec<(ShardId, MeshMessage)> {
    let effects = std::iter::from_fn(|| world.broker.next_effect());
    let of = |effect| match effect {
        Effect::Mesh { to, message } => Some((to, message)),
        _ => None,
    };
    effects.filter_map(of).collect()
}

/// What the third shard is asked.
fn asked(world: &mut World) -> Option<RetainQuery> {
    let query = |(to, message)| match message {
        MeshMessage::RetainQuery(query) if to == ShardId(2) => Some(*query),
        _ => None,
    };
    sent(world).into_iter().find_map(query)
}

/// The other shards have the filters that they are told of, and have stored so much.
fn acknowledge(asker: &mut World, stored: [u64; 3]) {
    for (to, message) in sent(asker) {
        if let MeshMessage::Interest { ticket, .. } = message {
            let stored = stored.into();
            let ack = MeshMessage::InterestAck { ticket, stored };
            asker.broker.on_mesh(1000, to, ack);
        }
    }
}

/// A client subscribes, all know of it, and the third shard is asked.
fn asks(asker: &mut World, conn: ConnId, topic: &str) -> RetainQuery {
    let bytes = subscribe_packet(&[topic], Version::V311, QoS::AtLeastOnce);
    asker.broker.on_bytes(1000, conn, &bytes);
    acknowledge(asker, [0, 0, 0]);
    asked(asker).unwrap()
}

/// The one message of a topic.
fn answer(ticket: u32, topic: &str) -> MeshMessage {
    MeshMessage::RetainReply(Box::new(RetainReply {
        ticket,
        messages: vec![message(topic, "x")],
        next: None,
    }))
}

/// Each page is a question of its own: the owner must have what has passed the asker by then, however late it is there.
#[test]
fn the_next_page_waits_for_the_stores_that_have_passed_the_asker() {
    let (mut asker, topic) = one_of_three(0);
    let mut ids = (0..).map(|number| format!("c{number}"));
    let id = ids.find(|id| home(id, 3) == ShardId(0)).unwrap();
    let conn = asker.connect(&id, Version::V311);
    let bytes = subscribe_packet(&["#"], Version::V311, QoS::AtMostOnce);
    asker.broker.on_bytes(1000, conn, &bytes);
    acknowledge(&mut asker, [0, 0, 4]);
    let first = asked(&mut asker).unwrap();
    assert_eq!(*first.seen, [0, 4, 4]);
    let live = MeshMessage::Publish {
        message: message(&topic, "new"),
        retain_seq: 5,
    };
    let cursor = first.from.knowing(first.seen);
    let reply = |ticket, messages, next| {
        let reply = RetainReply {
            ticket,
            messages,
            next,
        };
        MeshMessage::RetainReply(Box::new(reply))
    };
    let ticket = first.ticket;
    asker.broker.on_mesh(1000, ShardId(1), live);
    let old = vec![message(&topic, "old"), message("t/other", "old")];
    let page = reply(ticket, old, Some(cursor.clone()));
    asker.broker.on_mesh(1000, ShardId(2), page);
    let empty = reply(ticket, Vec::new(), None);
    asker.broker.on_mesh(1000, ShardId(1), empty);
    let second = asked(&mut asker).unwrap();
    assert_eq!((&*second.seen, &second.from), (&[0, 5, 4][..], &cursor));
    let told = messages(&asker.output(conn));
    let told: Vec<_> = told
        .iter()
        .map(|(topic, _, live)| (&topic[..], *live))
        .collect();
    assert_eq!(told, [(&topic[..], false), ("t/other", true)]);

    // And the owner, who has not got it.
    let (mut owner, _) = one_of_three(2);
    let old = MeshMessage::RetainStore {
        message: message(&topic, "old"),
        seq: 4,
        promised: 0,
    };
    owner.broker.on_mesh(1000, ShardId(1), old);
    let query = MeshMessage::RetainQuery(Box::new(second));
    owner.broker.on_mesh(1000, ShardId(0), query);
    assert!(sent(&mut owner).is_empty());
    let new = MeshMessage::RetainStore {
        message: message(&topic, "new"),
        seq: 5,
        promised: 0,
    };
    owner.broker.on_mesh(1000, ShardId(1), new);
    let answers = sent(&mut owner);
    assert!(
        matches!(&answers[..], [(ShardId(0), MeshMessage::RetainReply(reply))]
        if reply.messages.is_empty() && reply.next.is_none())
    );
}

/// The answer comes when the session has ended, and its place in the tables is given back.
#[test]
fn what_is_answered_to_a_session_that_has_ended_finds_nobody() {
    let (mut asker, topic) = one_of_three(0);
    let mut ids = (0..).map(|number| format!("c{number}"));
    let id = ids.find(|id| home(id, 3) == ShardId(0)).unwrap();
    let conn = asker.connect(&id, Version::V311);
    let question = asks(&mut asker, conn, &topic);
    asker.broker.on_eof(1000, conn, CloseCause::Error(104));
    asker.broker.on_closed(1000, conn);
    sent(&mut asker);
    asker.broker.trim();
    asker
        .broker
        .on_mesh(1000, ShardId(2), answer(question.ticket, &topic));
    assert!(sent(&mut asker).is_empty());
}

/// The answer comes when the client has gone, and with another connection it is asked again.
#[test]
fn what_is_answered_to_a_client_that_is_away_is_asked_again() {
    let (mut asker, topic) = one_of_three(0);
    let mut ids = (0..).map(|number| format!("c{number}"));
    let id = ids.find(|id| home(id, 3) == ShardId(0)).unwrap();
    let conn = asker.resume(&id, false);
    let first = asks(&mut asker, conn, &topic);
    asker.broker.on_eof(1000, conn, CloseCause::Error(104));
    asker.broker.on_closed(1000, conn);
    asker
        .broker
        .on_mesh(1000, ShardId(2), answer(first.ticket, &topic));
    assert_eq!((asker.replays(&id), asker.waiting(&id)), ((1, 0), 0));
    let conn = asker.resume(&id, false);
    let second = asked(&mut asker).unwrap();
    asker
        .broker
        .on_mesh(1000, ShardId(2), answer(second.ticket, &topic));
    let told = asker.output(conn);
    assert!(told.ends_with(b"x"), "{told:?}");
    assert_eq!(asker.replays(&id), (0, 0));
}
