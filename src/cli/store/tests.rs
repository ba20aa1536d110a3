//! What is imported is what was told, and how moments and sizes are written.

use std::collections::BTreeMap;

use super::image::image;
use super::words::{age, moment, quoted, size};
use crate::journal::{Errand, InFlightRead, Ledger, Legacy, SessionRead};
use crate::mosquitto_db::Database;
use crate::session::Way;

/// See `src/mosquitto_db/tests.rs`.
const GOLDEN: &[u8] = include_bytes!("../../mosquitto_db/tests/2.0.11.db");

/// When it was written, in milliseconds since 1970.
const NOW: u64 = 1_795_981_800_000;

/// What one session has, with messages in words.
type Told = (SessionRead, Vec<(String, Way)>, Vec<(String, InFlightRead)>);

fn message(ledger: &Ledger, number: u64) -> String {
    let kept = ledger.message(number).unwrap();
    format!("{:?} {:?}", kept.message, kept.expires_at())
}

fn told(ledger: &Ledger) -> (BTreeMap<u32, Told>, Vec<String>) {
    let sessions = ledger.sessions().map(|(number, session)| {
        let waiting = session.waiting();
        let waiting = waiting.map(|(number, way)| (message(ledger, number), way));
        let in_flight = session.in_flight().map(|one| {
            let kept = one.number.map(|number| message(ledger, number));
            (kept.unwrap_or_default(), *one)
        });
        let told = (session.clone(), waiting.collect(), in_flight.collect());
        (number, told)
    });
    let retained = ledger.retained().map(|(number, _)| message(ledger, number));
    let mut retained: Vec<String> = retained.collect();
    retained.sort();
    (sessions.collect(), retained)
}

#[test]
fn a_ledger_comes_back_from_its_image() {
    let database = Database::read(GOLDEN).unwrap();
    let import = database.to_ledger(NOW, &[]).unwrap();
    let mut stream = image(&import.ledger, &import.to_route);
    let mut legacy = Legacy::of(1);
    while let Some((chunk, _)) = stream.next_chunk() {
        legacy.feed(0, chunk.content()).unwrap();
    }
    assert!(legacy.is_whole(0));
    let ledger = legacy.ledger(0).unwrap();
    assert_eq!(
        format!("{:?}", told(ledger)),
        format!("{:?}", told(&import.ledger))
    );
    assert_eq!(import.to_route.len(), 2);
    let in_transit = legacy.in_transit();
    for (one, kept) in in_transit.iter().zip(&import.to_route) {
        let known = ledger.message(one.handed.number).unwrap();
        assert_eq!(format!("{known:?}"), format!("{kept:?}"));
        let retains = kept.message.retain;
        let errand = Errand::PassOn {
            targets: 1,
            retains,
        };
        assert_eq!((one.from, one.to, one.handed.errand), (0, 0, errand));
    }
    assert_eq!(in_transit.len(), 2);
}

#[test]
fn moments_sizes_and_names_are_written_for_people() {
    assert_eq!(moment(NOW), "2026-11-29T19:50:00Z");
    assert_eq!(moment(u64::MAX), format!("{} ms", u64::MAX));
    assert_eq!(age(NOW, NOW + 59_999), "59 s ago");
    assert_eq!(age(NOW, NOW + 60_000), "1 min ago");
    assert_eq!(age(NOW, NOW + 90_061_000), "1 d 1 h ago");
    assert_eq!(age(NOW, 0), "0 s ago");
    assert_eq!(size(1023), "1023 bytes");
    assert_eq!(size(64 << 20), "64.0 MiB");
    assert_eq!(quoted("a\"\n\u{202E}"), "\"a\\\"\\n\\u202e\"");
}
