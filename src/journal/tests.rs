//! Each kind of record, its bytes as they stand on the disk, and how few they are.

use proptest::prelude::*;

use super::*;
use crate::ids::{GroupId, ShardId};
use crate::mqtt::QoS;
use crate::routing::EntryOptions;
use crate::session::{Origin, Way};

/// The bytes of `samples`, a record a line. They are on disks: a line is never changed, only added.
const GOLDEN: &str = include_str!("golden.txt");

const MESSAGE: MessageText<'static> = MessageText {
    topic: "gerrit/openstack/nova",
    payload: b"{\"change\": 1}",
    properties: &[],
    qos: QoS::AtLeastOnce,
    retain: false,
    expires_at: None,
    origin: 7,
    author: None,
};

fn way(qos: QoS, origin: Origin) -> Way {
    let options = EntryOptions::with_qos(qos).with_id(9);
    Way {
        grant: options.grant(qos, false),
        origin,
    }
}

fn options() -> EntryOptions {
    EntryOptions::with_qos(QoS::ExactlyOnce)
        .with_no_local(true)
        .with_id(300)
}

const WHOLE: MessageText<'static> = MessageText {
    properties: &[1, 0],
    retain: true,
    qos: QoS::ExactlyOnce,
    expires_at: Some(1_800_000_000_000),
    origin: 5,
    author: Some(AuthorText {
        user: Some("infra"),
        listener: "127.0.0.1:1883",
        client_id: None,
    }),
    ..MESSAGE
};

fn sessions() -> Vec<Record<'static>> {
    let session = 3;
    let own = SubscriptionText {
        share: None,
        filter: "gerrit/#",
    };
    let shared = SubscriptionText {
        share: Some("g"),
        ..own
    };
    vec![
        Record::Opened {
            session,
            serial: 77,
            client_id: "germqtt",
        },
        Record::Resumed { session },
        Record::ExpirySet {
            session,
            seconds: u32::MAX,
        },
        Record::Away {
            session,
            ends_at: Some(1_800_000_000_000),
        },
        Record::Away {
            session,
            ends_at: None,
        },
        Record::WillSet {
            session,
            will: WillText {
                message: MESSAGE,
                delay_s: 30,
                expiry_s: Some(60),
            },
        },
        Record::WillDue {
            session,
            at: Some(1_800_000_030_000),
        },
        Record::Identified {
            session,
            user: Some("infra"),
            listener: "127.0.0.1:1883",
        },
        Record::WillTaken { session },
        Record::Subscribed {
            session,
            to: own,
            options: options(),
        },
        Record::Subscribed {
            session,
            to: shared,
            options: options(),
        },
        Record::Unsubscribed { session, from: own },
        Record::InboundStored {
            session,
            id: 65_535,
        },
        Record::InboundReleased { session, id: 1 },
        Record::Ended { session },
    ]
}

fn deliveries() -> Vec<Record<'static>> {
    let session = 3;
    let ordinary = way(QoS::AtLeastOnce, Origin::ORDINARY);
    let of_group = Origin::shared(ShardId(1), GroupId(5));
    vec![
        Record::Message {
            number: 1000,
            message: MESSAGE,
        },
        Record::Message {
            number: 1001,
            message: WHOLE,
        },
        Record::Queued {
            number: 1001,
            way: ordinary,
            members: Members::New((&[3, 4, 5, 9, 8, 7, 1, 0]).into()),
        },
        Record::Queued {
            number: 1000,
            way: way(QoS::ExactlyOnce, of_group),
            members: Members::Once((&[1, 2]).into()),
        },
        Record::Unqueued {
            number: 1001,
            way: ordinary,
            members: Members::One(3),
        },
        Record::Sent {
            number: 1001,
            order: 1 << 20,
            way: way(QoS::AtMostOnce, Origin::RETAINED),
            members: Members::Known(0),
        },
        Record::SentAlone {
            session,
            number: 1001,
            order: (1 << 20) + 1,
            id: 12,
            way: ordinary,
        },
        Record::Moved {
            session,
            number: 1000,
            order: (1 << 20) + 2,
            id: 13,
            way: ordinary,
        },
        Record::SentBare {
            session,
            order: (1 << 20) + 3,
            id: 14,
            way: ordinary,
        },
        Record::Received {
            session,
            order: 1 << 20,
        },
        Record::CopyGivenUp {
            session,
            order: (1 << 20) + 1,
        },
        Record::Acknowledged {
            order: 1 << 20,
            members: Members::Known(0),
        },
        Record::RetainedStored { number: 1001 },
        Record::RetainedRemoved { topic: "gerrit" },
        Record::SetsForgotten,
        Record::GroupNamed {
            group: 5,
            to: SubscriptionText {
                share: Some("g"),
                filter: "gerrit/#",
            },
        },
        handed(Errand::Deliver),
        handed(Errand::Retain),
        handed(Errand::PassOn {
            targets: 5,
            retains: false,
        }),
        handed(Errand::PassOn {
            targets: 1 << 63,
            retains: true,
        }),
        handed(Errand::Share { owner: 2, group: 5 }),
        Record::Took { from: 2, at: 300 },
        Record::TurnEnded,
        Record::SessionAnew { session },
        Record::CheckpointBegun,
        Record::QueuedRun {
            session,
            number: 1001,
            len: 200,
            way: ordinary,
        },
        Record::CheckpointEnded,
    ]
}

fn handed(errand: Errand) -> Record<'static> {
    Record::Handed {
        to: 1,
        at: 300,
        number: 1001,
        errand,
    }
}

fn samples() -> Vec<Record<'static>> {
    [sessions(), deliveries()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn records_have_the_bytes_that_are_on_disks() {
    let mut encoder = Encoder::default();
    let lines: Vec<String> = samples()
        .iter()
        .map(|record| {
            let mut bytes = Vec::new();
            encoder.encode(record, &mut bytes);
            hex(&bytes)
        })
        .collect();
    let golden: Vec<&str> = GOLDEN.lines().collect();
    assert_eq!(lines, golden, "\n{}\n", lines.join("\n"));
}

#[test]
fn records_come_back() {
    let (mut stream, mut joiner, mut decoder) =
        (Stream::default(), Joiner::default(), Decoder::default());
    let samples = samples();
    samples.iter().for_each(|record| stream.append(record));
    let (chunk, _) = stream.next_chunk().unwrap();
    let mut all = samples.iter();
    let fed = joiner.feed(chunk.content(), |bytes| {
        let record = decoder.decode(bytes)?.unwrap();
        assert_eq!(Some(&record), all.next());
        Ok::<_, Broken>(())
    });
    assert_eq!((fed, all.next()), (Ok(()), None));
}

/// Whoever adds a kind adds a sample, which the tests above write and read.
#[test]
fn there_is_a_sample_of_each_kind() {
    let mut kinds: Vec<u8> = samples().iter().map(Record::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, record::kind::ALL);
    let is_known = |&kind: &u8| Decoder::default().decode(&[kind]) != Err(Broken::Kind(kind));
    assert!((0..record::kind::OPTIONAL).filter(is_known).eq(kinds));
}

#[test]
fn a_record_of_another_version_is_left_out_or_refused() {
    let mut decoder = Decoder::default();
    assert_eq!(decoder.decode(&[128, 1, 2, 3]), Ok(None));
    assert_eq!(decoder.decode(&[127]), Err(Broken::Kind(127)));
    assert_eq!(decoder.decode(&[0]), Err(Broken::Kind(0)));
    assert_eq!(decoder.decode(&[2, 3, 3]), Err(Broken::Long));
    assert_eq!(decoder.decode(&[]), Err(Broken::Short));
}

/// A number of a shard that none can have comes from no broker, and its bit would be another's.
#[test]
fn a_stream_of_no_shard_is_refused() {
    let mut legacy = Legacy::default();
    let last = crate::limits::SHARDS_MAX as u8;
    assert_eq!(legacy.feed(last - 1, &[]), Ok(()));
    assert_eq!(legacy.feed(last, &[]), Err(Broken::Number));
}

proptest! {
    #[test]
    fn anything_is_read_without_harm(records: Vec<Vec<u8>>) {
        read_anything(&records);
    }

    #[test]
    fn records_with_a_wrong_byte_are_read_without_harm(at: prop::sample::Index, byte: u8) {
        let mut encoder = Encoder::default();
        let mut all: Vec<Vec<u8>> = samples()
            .iter()
            .map(|record| {
                let mut bytes = Vec::new();
                encoder.encode(record, &mut bytes);
                bytes[1..].to_vec()
            })
            .collect();
        let which = at.index(all.len());
        let within = at.index(all[which].len());
        all[which][within] = byte;
        read_anything(&all);
    }
}

fn read_anything(records: &[Vec<u8>]) {
    let (mut decoder, mut ledger) = (Decoder::default(), Ledger::default());
    for bytes in records {
        if let Ok(Some(record)) = decoder.decode(bytes) {
            let _ = ledger.apply(&record);
        }
    }
}

/// So many sessions.
const MANY: u32 = 100_000;

fn bytes_of(scribe: &mut Scribe, now_ms: u64) -> usize {
    scribe.end_turn(now_ms, std::iter::empty());
    let mut bytes = 0;
    while let Some((chunk, _)) = scribe.next_chunk() {
        bytes += chunk.len();
        scribe.give_back(chunk);
    }
    bytes
}

fn with_sessions() -> Scribe {
    let mut scribe = Scribe::new(1);
    for session in 0..MANY {
        scribe.opened(session, u64::from(session), "c");
        scribe.expiry_set(session, u32::MAX);
    }
    bytes_of(&mut scribe, 0);
    scribe
}

/// In an order that has nothing to do with their numbers.
fn shuffled() -> impl Iterator<Item = u32> {
    (0..MANY).map(|index| ((u64::from(index) * 61_403) % u64::from(MANY)) as u32)
}

/// What a message to 100,000 sessions that are away takes: topic, payload and at most 64 bytes, whatever the order in which they
/// subscribed.
#[test]
fn a_message_to_many_is_written_once() {
    let mut scribe = with_sessions();
    for number in 1..4 {
        for session in shuffled() {
            let ordinary = way(QoS::AtLeastOnce, Origin::ORDINARY);
            scribe.queued(session, number, ordinary, || MESSAGE);
        }
        let bytes = bytes_of(&mut scribe, number);
        let text = MESSAGE.topic.len() + MESSAGE.payload.len();
        // The first time its sessions are written, too.
        let most = if number == 1 {
            5 * MANY as usize
        } else {
            text + 64
        };
        assert!(bytes <= most, "{bytes} bytes for {MANY} sessions");
    }
}

/// A message that goes to sessions by several subscriptions waits for each in the order in which that was told.
#[test]
fn a_message_that_waits_twice_keeps_its_order() {
    let mut scribe = Scribe::new(1);
    for session in 0..2 {
        scribe.opened(session, u64::from(session), "c");
        scribe.expiry_set(session, u32::MAX);
    }
    let [one, other] = [QoS::ExactlyOnce, QoS::AtLeastOnce].map(|qos| way(qos, Origin::ORDINARY));
    for (session, way) in [(0, one), (1, other), (0, other), (1, one)] {
        scribe.queued(session, 7, way, || MESSAGE);
    }
    for (session, ways) in ways_of(&mut scribe) {
        let told = [[one, other], [other, one]][session as usize];
        assert_eq!(ways, told, "session {session}");
    }
}

/// Of a message that waits twice, the one that is told to wait no longer is gone, be it the older one or not: where a newer message takes
/// the place of one that waits, any may go first.
#[test]
fn a_message_that_waits_twice_loses_the_right_one() {
    let mut scribe = Scribe::new(1);
    let [one, other] = [QoS::ExactlyOnce, QoS::AtLeastOnce].map(|qos| way(qos, Origin::ORDINARY));
    for session in 0..4 {
        scribe.opened(session, u64::from(session), "c");
        scribe.expiry_set(session, u32::MAX);
        scribe.queued(session, 7, one, || MESSAGE);
        scribe.queued(session, 7, other, || MESSAGE);
        let gone = [one, other][session as usize % 2];
        scribe.unqueued(session, 7, gone);
        if session >= 2 {
            let (order, id) = (u64::from(session), 1);
            scribe.sent(session, 7, Frame { order, id }, gone, || MESSAGE);
        }
    }
    for (session, ways) in ways_of(&mut scribe) {
        let left = [other, one][session as usize % 2];
        assert_eq!(ways, [left], "session {session}");
    }
}

/// The ways of what waits for each session, by what was told.
fn ways_of(scribe: &mut Scribe) -> Vec<(u32, Vec<Way>)> {
    scribe.end_turn(0, std::iter::empty());
    let mut reading = Reading::default();
    while let Some((chunk, _)) = scribe.next_chunk() {
        reading.feed(chunk.content()).unwrap();
    }
    let sessions = reading.ledger().sessions();
    sessions
        .map(|(session, known)| (session, known.waiting().map(|(_, way)| way).collect()))
        .collect()
}

/// Acknowledgements of all sessions take a tenth of a byte each, and two bytes where some of them come at random.
#[test]
fn acknowledgements_take_little() {
    let mut scribe = with_sessions();
    let frames = |number| Frame {
        order: number,
        id: crate::session::shared_id(number),
    };
    let mut bytes = 0;
    for number in 1..4 {
        for session in shuffled() {
            let ordinary = way(QoS::AtLeastOnce, Origin::ORDINARY);
            scribe.sent(session, number, frames(number), ordinary, || MESSAGE);
        }
        bytes_of(&mut scribe, 1000 * number);
        shuffled().for_each(|session| scribe.acknowledged(session, number));
        bytes = bytes_of(&mut scribe, 1000 * number + 500);
    }
    assert!(bytes <= MANY as usize / 10, "{bytes} bytes in lock step");

    let random = shuffled().take(MANY as usize / 100);
    random.for_each(|session| scribe.acknowledged(session, 4));
    let bytes = bytes_of(&mut scribe, 9000) + bytes_of(&mut scribe, 10_000);
    // The end of the turn is two more.
    assert!(
        bytes <= 2 * MANY as usize / 100 + 64 + 2,
        "{bytes} bytes at random"
    );
}

/// A new kind of record is shown by its name and all that it says; whoever forgets it is told by this and by the compiler.
#[test]
fn each_record_is_shown_by_its_name() {
    let all = samples();
    for kind in record::kind::ALL {
        assert!(all.iter().any(|record| record.kind() == *kind), "{kind}");
    }
    for record in &all {
        let debug = format!("{record:?}");
        let name = debug.split([' ', '{']).next().unwrap();
        let fields = record.fields();
        assert_eq!(fields.name, name);
        let says = debug.contains('{');
        assert_eq!(!fields.all.is_empty(), says, "{record:?}");
        let about = record.about();
        let is_of_session = fields
            .all
            .iter()
            .any(|field| field.name.starts_with("session"));
        assert_eq!(
            about.sessions != Concerned::Nobody,
            is_of_session,
            "{record:?}"
        );
    }
}
