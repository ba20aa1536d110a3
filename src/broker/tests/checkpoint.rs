//! A checkpoint by itself: how much it writes in a turn and in all, when it waits, and what is read of it.

use bytes::Bytes;

use super::unkept::publish;
use super::*;
use crate::ids::SessionId;
use crate::journal::{Legacy, Scribe, SessionRead};
use crate::limits;
use crate::mqtt::Topic;
use crate::mqtt::message::{Holders, Message, NEVER, Sent};
use crate::routing::EntryOptions;
use crate::session::{EXPIRY_NEVER, Origin};

/// Bytes of a message.
const PAYLOAD: usize = 300;

fn message(payload: usize, fill: u8) -> Arc<Message> {
    Arc::new(Message {
        topic: Topic::new("t").unwrap(),
        payload: Bytes::from(vec![fill; payload]),
        properties: Bytes::new(),
        qos: QoS::ExactlyOnce,
        retain: false,
        expires_at_ms: NEVER,
        origin: 0,
        author: None,
        sent: Sent::default(),
        holders: Holders::default(),
    })
}

/// A shard that writes down what happens, and what it has written.
struct Written {
    world: World,
    legacy: Legacy,
    /// Read from where the last checkpoint begins.
    from_there: Option<Legacy>,
    chunks: u64,
}

impl Written {
    fn new() -> Written {
        let mut world = World::new(Settings::default());
        world.broker.write_down(Scribe::new(1));
        Written {
            world,
            legacy: Legacy::of(1),
            from_there: None,
            chunks: 0,
        }
    }

    /// Sessions whose clients are away.
    fn open(&mut self, count: u64) -> Vec<SessionId> {
        let clients = &mut self.world.broker.clients;
        let open = |serial| {
            let session = clients.new_session_as(&format!("client{serial}"), serial);
            clients.change_session(session, |entry| {
                entry.set_expiry(EXPIRY_NEVER);
                entry.leave_alone(u64::MAX, u64::MAX);
            });
            session
        };
        (1..=count).map(open).collect()
    }

    /// A message waits for these.
    fn enqueue(&mut self, sessions: &[SessionId], message: &Arc<Message>) {
        let grant = EntryOptions::with_qos(QoS::AtLeastOnce).grant(QoS::AtLeastOnce, false);
        for &session in sessions {
            let clients = &mut self.world.broker.clients;
            clients.enqueue(session, grant, Origin::ORDINARY, message);
        }
    }

    /// A turn ends. Returns the bytes that were written.
    fn end_turn(&mut self) -> usize {
        let broker = &mut self.world.broker;
        broker.end_turn(1000);
        let mut bytes = 0;
        while let Some((chunk, begins)) = broker.next_chunk() {
            self.chunks += 1;
            bytes += chunk.len();
            if begins {
                self.from_there = Some(Legacy::of(1));
            }
            for legacy in std::iter::once(&mut self.legacy).chain(&mut self.from_there) {
                legacy.feed(0, chunk.content()).unwrap();
            }
            broker.give_chunk_back(chunk);
        }
        bytes
    }

    fn is_durable(&mut self) {
        self.world.broker.on_durable(1000, self.chunks);
    }

    /// Sees a checkpoint through. Returns the bytes of each turn.
    fn see_through(&mut self) -> Vec<usize> {
        let begun = self.world.broker.checkpoint_progress().begun;
        self.world.broker.begin_checkpoint(1000);
        let mut turns = Vec::new();
        while self.world.broker.checkpoint_progress().complete == begun {
            turns.push(self.end_turn());
            self.is_durable();
        }
        turns
    }

    /// How many messages wait for each of the sessions that are known from there.
    fn waiting(&self) -> Vec<usize> {
        let ledger = self.from_there.as_ref().unwrap().ledger(0).unwrap();
        let count = |session: &SessionRead| {
            let numbers = session.waiting().map(|(number, _)| number);
            numbers
                .filter(|&number| ledger.message(number).is_some())
                .count()
        };
        ledger
            .sessions()
            .map(|(_, session)| count(session))
            .collect()
    }
}

/// Sessions that wait for the same take some bytes each, and each message is written once.
#[test]
fn what_many_wait_for_is_written_once() {
    const SESSIONS: usize = 2_000;
    const MESSAGES: usize = 200;
    let mut written = Written::new();
    let sessions = written.open(SESSIONS as u64);
    for fill in 0..MESSAGES {
        written.enqueue(&sessions, &message(PAYLOAD, fill as u8));
    }
    written.end_turn();
    written.is_durable();
    let before = written.world.broker.journal().unwrap().memory();
    let turns = written.see_through();
    let bytes: usize = turns.iter().sum();
    let each = 64 * SESSIONS;
    assert!(bytes < each + MESSAGES * (PAYLOAD + 16), "{bytes} bytes");
    let most = limits::CHECKPOINT_SLICE_BYTES as usize + 1024;
    assert!(turns.iter().all(|&turn| turn <= most), "{turns:?}");
    assert!(turns.len() >= bytes / most);
    assert_eq!(written.waiting(), [MESSAGES; SESSIONS]);
    let after = written.world.broker.journal().unwrap().memory();
    assert!(after <= before + 4096, "{before} bytes, and {after}");
    assert!(written.world.broker.checkpoint.memory() <= 1024);
}

/// Messages of one session that are more than a slice are written before its image, which is whole.
#[test]
fn a_session_with_much_takes_several_turns() {
    let mut written = Written::new();
    let sessions = written.open(1);
    for fill in 0..60 {
        written.enqueue(&sessions, &message(10_000, fill));
    }
    written.end_turn();
    written.is_durable();
    written.world.broker.begin_checkpoint(1000);
    let most = limits::CHECKPOINT_SLICE_BYTES as usize + 11_000;
    let mut turns = 0;
    while written.world.broker.checkpoint_progress().complete == 0 {
        let bytes = written.end_turn();
        written.is_durable();
        assert!(bytes <= most, "{bytes} bytes");
        // What comes meanwhile is written as it comes, and is in the image.
        written.enqueue(&sessions, &message(10, 200));
        turns += 1;
    }
    written.end_turn();
    assert!(turns > 8, "{turns} turns");
    assert_eq!(written.waiting(), [60 + turns]);
}

/// What is in flight to many is written once as well, though each has an identifier of its own.
#[test]
fn what_is_in_flight_to_many_is_written_once() {
    let mut written = Written::new();
    let sessions = written.open(100);
    let message = message(5_000, 1);
    let grant = EntryOptions::with_qos(QoS::ExactlyOnce).grant(QoS::ExactlyOnce, false);
    for &session in &sessions {
        let clients = &mut written.world.broker.clients;
        clients.order += 1;
        let frame = (1, clients.order);
        let copy = Some(message.clone());
        let lease = &mut clients.memory.lease;
        let mut entry = clients.sessions.change(session).unwrap();
        entry.sent(frame, grant, Origin::ORDINARY, copy, lease);
    }
    clients_receive(&mut written, &sessions[..50]);
    written.end_turn();
    written.is_durable();
    let bytes: usize = written.see_through().iter().sum();
    assert!(bytes < 5_000 + 100 * 80, "{bytes} bytes");
    let ledger = written.from_there.as_ref().unwrap().ledger(0).unwrap();
    for (session, known) in ledger.sessions() {
        let one = known.in_flight().next().unwrap();
        let is_received = sessions[..50].contains(&SessionId(session));
        assert_eq!((one.id, one.is_received), (1, is_received));
        assert_eq!(one.number.is_none(), is_received);
    }
}

fn clients_receive(written: &mut Written, sessions: &[SessionId]) {
    for &session in sessions {
        let sessions = &mut written.world.broker.clients.sessions;
        sessions.change(session).unwrap().received(1);
    }
}

/// A disk that does not keep up is waited for, and nobody is told to hurry meanwhile.
#[test]
fn a_checkpoint_waits_for_the_disk() {
    let mut written = Written::new();
    let sessions = written.open(1);
    for fill in 0..200 {
        written.enqueue(&sessions, &message(10_000, fill));
    }
    written.end_turn();
    written.is_durable();
    written.world.broker.begin_checkpoint(1000);
    let mut bytes = 0;
    for _ in 0..100 {
        bytes += written.end_turn();
    }
    let most = limits::CHECKPOINT_SLICES_AHEAD * (limits::CHECKPOINT_SLICE_BYTES as usize + 11_000);
    assert!(bytes <= most, "{bytes} bytes");
    assert_ne!(written.world.broker.next_deadline(), Some(0));
    written.is_durable();
    assert_eq!(written.world.broker.next_deadline(), Some(0));
    // Another one does not begin.
    written.world.broker.begin_checkpoint(1000);
    assert_eq!(written.world.broker.checkpoint_progress().begun, 1);
}

/// Without a journal there is none.
#[test]
fn nothing_begins_where_nothing_is_written() {
    let mut world = World::new(Settings::default());
    world.broker.begin_checkpoint(1000);
    world.broker.end_turn(1000);
    assert_eq!(
        world.broker.checkpoint_progress(),
        CheckpointProgress::default()
    );
    assert_eq!(world.broker.next_chunk().map(|_| ()), None);
}

/// A shard is complete when all others have begun, and what they had sent before is handled.
#[test]
fn a_checkpoint_waits_for_markers() {
    let settings = Arc::new(Settings::default());
    let mut broker = Broker::new(settings, ShardId(0), 3, 7);
    broker.write_down(Scribe::new(1));
    broker.begin_checkpoint(1000);
    let markers = std::iter::from_fn(|| broker.next_effect()).filter(|effect| {
        let marker = MeshMessage::CheckpointMarker { number: 1 };
        matches!(effect, Effect::Mesh { message, .. } if *message == marker)
    });
    assert_eq!(markers.count(), 2);
    for from in [1, 2] {
        broker.end_turn(1000);
        let progress = broker.checkpoint_progress();
        assert_eq!((progress.imaged, progress.complete), (1, 0));
        broker.on_mesh(
            1000,
            ShardId(from),
            MeshMessage::CheckpointMarker { number: 1 },
        );
        assert_eq!(
            broker.checkpoint_progress().complete,
            0,
            "a turn has to end"
        );
    }
    broker.end_turn(1000);
    assert_eq!(broker.checkpoint_progress().complete, 1);
    let mut legacy = Legacy::of(3);
    while let Some((chunk, _)) = broker.next_chunk() {
        legacy.feed(0, chunk.content()).unwrap();
    }
    let took = legacy.ledger(0).unwrap();
    assert_eq!((took.took(1), took.took(2)), (1, 1));
}

/// What bridges say of themselves is of this run, as all below `$SYS`: the facts leave it out, and so does a checkpoint, or nothing
/// would ever take it back.
#[test]
fn a_checkpoint_leaves_out_what_the_facts_leave_out() {
    const STATE: &str = "$SYS/broker/connection/bridge/state";
    let mut written = Written::new();
    let bridge = written.world.connect("bridge", Version::V311);
    for topic in [STATE, "kept"] {
        let bytes = publish(Version::V311, topic, QoS::AtMostOnce, true);
        written.world.broker.on_bytes(1000, bridge, &bytes);
    }
    written.end_turn();
    written.is_durable();
    assert!(written.world.broker.routing.retained.get(STATE).is_some());
    written.see_through();
    for legacy in [Some(&written.legacy), written.from_there.as_ref()] {
        let ledger = legacy.unwrap().ledger(0).unwrap();
        let topics = ledger.retained().map(|(_, kept)| &*kept.message.topic);
        assert_eq!(topics.collect::<Vec<_>>(), ["kept"]);
    }
}
