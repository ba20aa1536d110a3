//! Journals as they are read after a start: chunks of any bytes, of two shards. Run with `cargo +nightly fuzz run journal`.
#![no_main]

use firehose::journal::{Legacy, Room, is_short, missing, once_more};

/// Room for a few messages.
const ROOM: Room = Room {
    sessions: 1000,
    retained: 500,
};

/// Reads with less room than all of it takes; `None` if it cannot be read.
fn read_short(chunks: &[(bool, Vec<u8>)], mut legacy: Legacy) -> Option<Legacy> {
    for (stream, chunk) in chunks {
        legacy.feed(u8::from(*stream), chunk).ok()?;
        assert!(
            legacy.bytes() <= ROOM.bytes(),
            "no more than there is room for"
        );
    }
    Some(legacy)
}

libfuzzer_sys::fuzz_target!(|chunks: Vec<(bool, Vec<u8>)>| {
    if let Some(legacy) = read_short(&chunks, Legacy::of(2).within(ROOM, 1))
        && is_short(&legacy)
        && let Some(legacy) = read_short(&chunks, once_more(legacy, 1))
    {
        missing(&legacy);
    }
    let mut legacy = Legacy::of(2);
    for (stream, chunk) in &chunks {
        if legacy.feed(u8::from(*stream), chunk).is_err() {
            return;
        }
    }
    for ledger in legacy.ledgers() {
        for (_, session) in ledger.sessions() {
            for (number, _) in session.waiting() {
                assert!(ledger.message(number).is_some(), "what waits is there");
            }
        }
    }
    for one in legacy.in_transit() {
        let from = legacy.ledger(one.from).expect("a shard that was read");
        assert!(
            from.message(one.handed.number).is_some(),
            "what is on its way is there"
        );
    }
});
