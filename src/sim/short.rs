//! What a run has left is read with less room than all of it takes: what is held is what it was, and all is if there is room for it.

use std::sync::{Arc, Mutex};

use super::log::Past;
use super::rng::Rng;
use crate::journal::{
    InTransit, Ledger, Legacy, Missing, Room, Shelf, Shelves, is_short, missing, once_more,
};

/// One shelf for all.
#[derive(Debug, Default)]
struct OneShelf(Mutex<Shelf>);

impl Shelves for OneShelf {
    fn with(&self, _: u64, act: &mut dyn FnMut(&mut Shelf)) {
        act(&mut self.0.lock().unwrap());
    }

    fn clear(&self, gone: &(dyn Fn(u64) + Sync)) {
        self.0.lock().unwrap().clear(gone);
    }

    fn anew(&self) -> Arc<dyn Shelves> {
        Arc::new(OneShelf::default())
    }
}

/// Reads it in one order, within a room.
fn read(past: &Past, room: Room, seed: u64) -> Legacy {
    let legacy = past.feed(past.unread().within(room, seed));
    match is_short(&legacy) {
        // Nothing has expired before 1970.
        true => past.feed(once_more(legacy, 0)),
        false => legacy,
    }
}

/// The same as a start does: each shard's beside the others.
fn read_parts(past: &Past, room: Room, rng: &mut Rng) -> Legacy {
    let legacy = past.unread().within(room, rng.next());
    let legacy = past.feed_parts(legacy.on(Arc::new(OneShelf::default())), rng);
    let mut legacy = match is_short(&legacy) {
        true => past.feed_parts(once_more(legacy, 0), rng),
        false => legacy,
    };
    let bytes = legacy.bytes();
    legacy.end();
    assert_eq!(legacy.bytes(), bytes);
    legacy
}

/// Compares with `whole`, which was read without a bound.
pub(super) fn check(past: &Past, whole: &Legacy, rng: &mut Rng) {
    let seed = rng.next();
    let all = read(past, Room::UNBOUNDED, seed);
    compare(&all, whole);
    let most = all.bytes();
    let bytes = rng.below(most as usize + most as usize / 4 + 1) as u64;
    let room = Room {
        sessions: bytes,
        retained: bytes,
    };
    let short = read(past, room, seed);
    let all_parts = read_parts(past, Room::UNBOUNDED, rng);
    compare(&all_parts, whole);
    // Within one stream copies of what is not retained are not looked for.
    let most_parts = all_parts.bytes();
    assert!(most_parts == most || whole.ledgers().len() == 1);
    let parts = read_parts(past, room, rng);
    for (short, most) in [(short, most), (parts, most_parts)] {
        assert!(short.bytes() <= room.bytes(), "{} bytes", short.bytes());
        assert!(bytes < most || missing(&short) == Missing::default());
        compare(&short, whole);
    }
}

fn compare(read: &Legacy, whole: &Legacy) {
    for (read, whole) in read.ledgers().zip(whole.ledgers()) {
        for (number, session) in whole.sessions() {
            let again = read.session(number).expect("a session");
            let numbers = session.held().map(|held| held.number());
            assert!(numbers.eq(again.held().map(|held| held.number())));
            let waiting = session.waiting().map(|(number, _)| number);
            let in_flight = session.in_flight().filter_map(|one| one.number);
            waiting
                .chain(in_flight)
                .for_each(|number| compare_message(read, whole, number));
        }
        for (number, _) in whole.retained() {
            compare_message(read, whole, number);
        }
    }
    let (read_on_way, on_way) = (read.in_transit(), whole.in_transit());
    assert_eq!(read_on_way.len(), on_way.len());
    for (one, other) in read_on_way.iter().zip(&on_way) {
        let of = |one: &InTransit| (one.from, one.to, one.handed);
        assert_eq!(of(one), of(other));
        if let (Some(read), Some(whole)) = (read.ledger(one.from), whole.ledger(one.from)) {
            compare_message(read, whole, one.handed.number);
        }
    }
}

fn compare_message(read: &Ledger, whole: &Ledger, number: u64) {
    let known = whole
        .message(number)
        .expect("a message that is referred to");
    match read.message(number) {
        Some(kept) => {
            assert_eq!(kept.message, known.message);
            assert_eq!(kept.expires_at(), known.expires_at());
        }
        None => assert!(read.is_left_out(number), "message {number} is nowhere"),
    }
}
