//! Streams read beside each other come to what they come to one after the other.

use std::path::Path;
use std::sync::Arc;

use super::crew::Crew;
use super::shelving::Shelving;
use crate::journal::{Ledger, Legacy, Members, MessageText, Record, Room, Stream};
use crate::mqtt::QoS;
use crate::session::Way;
use crate::storage::Recovered;

const SHARDS: usize = 3;
const SESSION: u32 = 4;
const MESSAGES: u64 = 3000;

fn text(payload: &[u8]) -> MessageText<'_> {
    MessageText {
        topic: "t",
        payload,
        properties: &[],
        qos: QoS::AtLeastOnce,
        retain: false,
        expires_at: None,
        origin: 7,
        author: None,
    }
}

/// On each shard the same messages wait for a session, and all but a hundred are fetched.
fn records(stream: &mut Stream, mut chunk: impl FnMut(&[u8])) {
    let session = SESSION;
    stream.append(&Record::Opened {
        session,
        serial: 1,
        client_id: "dave",
    });
    let mut end = |stream: &mut Stream| {
        stream.append(&Record::TurnEnded);
        while let Some((full, _)) = stream.next_chunk() {
            chunk(full.content());
            stream.give_back(full);
        }
    };
    for number in 0..MESSAGES {
        let payload = [b'.'; 200].map(|byte| byte ^ number as u8);
        let payload = [&number.to_be_bytes()[..], &payload].concat();
        let (message, members) = (text(&payload), Members::One(session));
        stream.append(&Record::Message { number, message });
        let way = Way::from_words(0, u32::MAX).unwrap();
        stream.append(&Record::Queued {
            number,
            way,
            members,
        });
        if number >= 100 {
            let (number, members) = (number - 100, Members::One(session));
            stream.append(&Record::Unqueued {
                number,
                way,
                members,
            });
        }
        if number % 50 == 0 {
            end(stream);
        }
    }
    end(stream);
}

fn chunks() -> Vec<(u8, Vec<u8>)> {
    let mut of_each: Vec<Vec<Vec<u8>>> = Vec::new();
    for _ in 0..SHARDS {
        let mut chunks = Vec::new();
        records(&mut Stream::default(), |chunk| chunks.push(chunk.to_vec()));
        of_each.push(chunks);
    }
    let count = of_each[0].len();
    let by_turns = (0..count).flat_map(|at| (0..SHARDS).map(move |shard| (shard, at)));
    by_turns
        .map(|(shard, at)| (shard as u8, of_each[shard][at].clone()))
        .collect()
}

fn crew(room: Room) -> Crew {
    Crew::new(
        Legacy::default()
            .within(room, 7)
            .on(Arc::new(Shelving::new())),
    )
}

fn give(crew: &mut Crew, (stream, content): &(u8, Vec<u8>)) {
    let chunk = Recovered {
        stream: *stream,
        streams: SHARDS,
        sequence: 0,
        content,
        wall_ms: 0,
        place: (0, 0),
    };
    crew.give(Path::new("/kept"), &chunk);
}

#[test]
fn beside_each_other_is_as_one_after_the_other() {
    let chunks = chunks();
    let mut one = Legacy::default().within(Room::UNBOUNDED, 7);
    for (stream, content) in &chunks {
        one.feed(*stream, content).unwrap();
    }
    for _ in 0..8 {
        let mut crew = crew(Room::UNBOUNDED);
        chunks.iter().for_each(|chunk| give(&mut crew, chunk));
        let mut read = crew.end(Path::new("/kept")).unwrap();
        read.end();
        assert_eq!(read.bytes(), one.bytes());
        let ledgers: Vec<&Ledger> = read.ledgers().collect();
        assert_eq!(ledgers.len(), SHARDS);
        for (ledger, wanted) in ledgers.iter().zip(one.ledgers()) {
            let waiting = |ledger: &Ledger| {
                let session = ledger.session(SESSION).unwrap();
                session
                    .waiting()
                    .map(|(number, _)| number)
                    .collect::<Vec<_>>()
            };
            assert_eq!(waiting(ledger), waiting(wanted));
            for number in waiting(ledger) {
                let kept = ledger.message(number).unwrap();
                assert_eq!(kept.message, wanted.message(number).unwrap().message);
                let first = ledgers[0].message(number).unwrap();
                assert!(Arc::ptr_eq(&kept.message, &first.message), "held once");
                assert_eq!(Arc::strong_count(&kept.message), SHARDS);
            }
        }
    }
}

#[test]
fn the_first_chunk_that_cannot_be_is_told() {
    let mut crew = crew(Room::UNBOUNDED);
    let mut stream = Stream::default();
    stream.append(&Record::Ended { session: 3 });
    stream.append(&Record::TurnEnded);
    let (wrong, _) = stream.next_chunk().unwrap();
    give(&mut crew, &(2, wrong.content().to_vec()));
    chunks().iter().for_each(|chunk| give(&mut crew, chunk));
    let told = crew.end(Path::new("/kept")).unwrap_err().to_string();
    assert!(
        told.starts_with("/kept: what is kept there does not fit together: "),
        "{told}"
    );
}

#[test]
fn a_chunk_of_no_stream_is_refused() {
    let mut crew = crew(Room::UNBOUNDED);
    give(&mut crew, &(SHARDS as u8, Vec::new()));
    assert!(crew.end(Path::new("/kept")).is_err());
}
