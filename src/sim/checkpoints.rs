//! Checkpoints begin at any moment. When one is complete, what is read from where it begins, stream by stream, is what is read of all
//! that was ever written, at any later end.

use std::collections::{BTreeMap, BTreeSet};

use super::rng::Rng;
use crate::broker::{Broker, CheckpointProgress, place};
use crate::journal::{Ledger, Legacy};

/// One of so many steps begins a checkpoint on a shard, where none is under way.
const BEGIN_ONE_IN: usize = 60;

/// One of so many looks compares: it costs as much as all that is held.
const LOOKS: u64 = 4;

/// See the module.
pub(super) struct Checkpoints {
    rng: Rng,
    /// In their order: whose, whether a checkpoint begins with it, and the chunk.
    chunks: Vec<(u8, bool, Vec<u8>)>,
    /// Which checkpoint is read.
    number: u64,
    legacy: Legacy,
    /// By shard: with how many of its checkpoints reading has met the beginning.
    met: Vec<u64>,
    read: usize,
    /// When a checkpoint is taken to be complete.
    pub is_complete: fn(CheckpointProgress) -> u64,
    /// Images are written without the messages that they refer to.
    pub forgets_texts: bool,
    looks: u64,
    /// So many comparisons were made.
    pub compared: u64,
}

impl Checkpoints {
    pub(super) fn new(shards: u8) -> Checkpoints {
        Checkpoints {
            rng: Rng(u64::from(shards)),
            chunks: Vec::new(),
            number: 0,
            legacy: Legacy::of(shards),
            met: vec![0; usize::from(shards)],
            read: 0,
            is_complete: |progress| progress.complete,
            forgets_texts: false,
            looks: 0,
            compared: 0,
        }
    }

    /// A chunk was written.
    pub(super) fn write(&mut self, shard: u8, begins: bool, content: &[u8]) {
        self.chunks.push((shard, begins, content.to_vec()));
    }

    /// What is read from where the last complete checkpoint begins is what is read of all.
    pub(super) fn check(&mut self, brokers: &[Broker], of_all: &Legacy) {
        let complete = brokers.iter().map(|broker| {
            let progress = broker.checkpoint_progress();
            (self.is_complete)(progress)
        });
        let complete = complete.min().unwrap_or_default();
        self.looks += 1;
        if complete == 0 || !self.looks.is_multiple_of(LOOKS) {
            return;
        }
        self.read(complete);
        self.compared += 1;
        compare(&self.legacy, of_all);
    }

    /// Whether one is to begin now.
    pub(super) fn begins(&mut self) -> bool {
        self.rng.once_in(BEGIN_ONE_IN)
    }

    /// Of all shared subscriptions it is known who owns them.
    pub(super) fn check_groups(&self) {
        check_groups(&self.legacy);
    }

    /// Reads on; of a newer checkpoint from where that begins.
    fn read(&mut self, complete: u64) {
        if complete > self.number {
            let shards = self.met.len();
            (self.number, self.read) = (complete, 0);
            (self.legacy, self.met) = (Legacy::of(shards as u8), vec![0; shards]);
        }
        while let Some((shard, begins, content)) = self.chunks.get(self.read) {
            let met = &mut self.met[usize::from(*shard)];
            *met += u64::from(*begins);
            if *met >= self.number {
                let fed = self.legacy.feed(*shard, content);
                let number = self.number;
                fed.unwrap_or_else(|error| panic!("shard {shard}, checkpoint {number}: {error}"));
            }
            self.read += 1;
        }
    }
}

fn compare(from_there: &Legacy, of_all: &Legacy) {
    let ledgers = from_there.ledgers().zip(of_all.ledgers());
    for (shard, (one, other)) in ledgers.enumerate() {
        assert_eq!(sessions(one), sessions(other), "sessions of shard {shard}");
        assert_eq!(retained(one), retained(other), "retained on shard {shard}");
        for from in 0..of_all.ledgers().len() as u8 {
            assert_eq!(
                one.took(from),
                other.took(from),
                "took of {from} by {shard}"
            );
        }
    }
    assert_eq!(in_transit(from_there), in_transit(of_all), "on their way");
    // Of groups only those are known from there that have members.
    let named: BTreeSet<_> = from_there.ledgers().flat_map(Ledger::groups).collect();
    let known: BTreeSet<_> = of_all.ledgers().flat_map(Ledger::groups).collect();
    assert!(named.is_subset(&known), "{named:?} of {known:?}");
}

/// Of all shared subscriptions it is known who owns them.
fn check_groups(legacy: &Legacy) {
    let named: BTreeSet<_> = legacy.ledgers().flat_map(Ledger::groups).collect();
    for (_, session) in legacy.ledgers().flat_map(Ledger::sessions) {
        for (share, filter) in session.subscriptions.keys() {
            let share = share.as_deref().map(|share| (share, &**filter));
            assert!(
                share.is_none_or(|share| named.contains(&share)),
                "{share:?}"
            );
        }
    }
}

/// All that is said of sessions, with the messages.
fn sessions(ledger: &Ledger) -> BTreeMap<u32, (String, Vec<u64>)> {
    let all = ledger.sessions().map(|(number, session)| {
        let in_flight = session.in_flight().filter_map(|one| one.number);
        let numbers = session.waiting().map(|(number, _)| number).chain(in_flight);
        let messages = numbers.map(|number| place(&ledger.message(number).unwrap().message));
        (number, (format!("{session:?}"), messages.collect()))
    });
    all.collect()
}

fn retained(ledger: &Ledger) -> BTreeMap<String, (u64, u64)> {
    let all = ledger.retained().map(|(number, kept)| {
        let topic = kept.message.topic.as_str().to_string();
        (topic, (number, place(&kept.message)))
    });
    all.collect()
}

fn in_transit(legacy: &Legacy) -> Vec<(u8, u8, String, u64)> {
    let all = legacy.in_transit().into_iter().map(|one| {
        let message = legacy.ledger(one.from).unwrap().message(one.handed.number);
        let message = place(&message.unwrap().message);
        let handed = (one.handed.at, one.handed.errand);
        (one.from, one.to, format!("{handed:?}"), message)
    });
    all.collect()
}
