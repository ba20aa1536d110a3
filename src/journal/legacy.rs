//! What a run has left, read chunk by chunk: of each stream the turns that are whole, and what was between shards at the end.
//!
//! Chunks come in the order in which they were written over all streams (`storage`), so what has been read at any place is a state in
//! which all shards were together: nothing was taken that was not handed over. Or each stream is a part, fed beside the others.

use std::sync::Arc;

use super::error::Broken;
use super::ledger::{HandedRead, Held, Ledger, Room, Shelves};
use super::part::{Part, Receipts};
use super::reading::Reading;
use crate::limits;

/// All that a run has left.
#[derive(Debug, Default)]
pub struct Legacy {
    streams: Vec<Reading>,
    /// Chunks that were read.
    chunks: u64,
    /// The texts of the messages of all streams; lent to the one that is being read.
    held: Held,
}

/// How much a run has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Sessions of all shards.
    pub sessions: usize,
    /// Retained messages of all shards.
    pub retained: usize,
}

/// A message that was on its way from one shard to another.
#[derive(Clone, Copy, Debug)]
pub struct InTransit {
    /// Whose it is: the number of the message is of this shard's ledger.
    pub from: u8,
    /// Where it was going; `from` itself for what a shard keeps to go on with.
    pub to: u8,
    /// The message, and what is to become of it.
    pub handed: HandedRead,
}

impl Legacy {
    /// Of a run with so many shards, nothing of it was read; without a bound.
    pub fn of(shards: u8) -> Legacy {
        let streams = (0..shards).map(|_| Reading::default());
        Legacy {
            streams: streams.collect(),
            ..Legacy::default()
        }
    }

    /// The same, before anything is read: a message that has come to several shards is in memory once, and messages have no more than
    /// this room: what there is none for is left out. Clients choose what is hashed for that, so they must not know the `seed`.
    #[must_use = "it is another one"]
    pub fn within(self, room: Room, seed: u64) -> Legacy {
        Legacy {
            held: Held::shared(seed, room),
            ..self
        }
    }

    /// The same, to be read in parts that are fed beside each other: messages lie on these shelves.
    #[must_use = "it is another one"]
    pub fn on(self, shelves: Arc<dyn Shelves>) -> Legacy {
        Legacy {
            held: self.held.on(shelves),
            ..self
        }
    }

    /// The run had one shard only: what is read cannot have come to several.
    pub fn is_of_one(&mut self) {
        self.held.look_for_retained();
    }

    /// The parts of a run with so many shards, each to be fed with its stream, and to be given back.
    ///
    /// # Errors
    /// There cannot be so many.
    pub fn parts(&mut self, shards: usize) -> Result<Vec<Part>, Broken> {
        if shards > limits::SHARDS_MAX {
            return Err(Broken::Number);
        }
        let mut readings = std::mem::take(&mut self.streams);
        let count = readings.len().max(shards);
        readings.resize_with(count, Reading::default);
        let receipts = Arc::new(Receipts::new());
        let part = |(stream, mut reading): (u8, Reading)| {
            *reading.ledger_mut().held_mut() = self.held.beside();
            Part::of(stream, reading, Arc::clone(&receipts))
        };
        Ok((0u8..).zip(readings).map(part).collect())
    }

    /// The parts are read.
    ///
    /// # Errors
    /// What they say does not fit together.
    pub fn put_together(&mut self, mut parts: Vec<Part>) -> Result<(), Broken> {
        parts.sort_unstable_by_key(|part| part.stream);
        self.streams = parts.into_iter().map(|part| part.reading).collect();
        for reading in &mut self.streams {
            *reading.ledger_mut().held_mut() = Held::default();
        }
        (0..self.streams.len()).try_for_each(|by| self.forget_taken(by as u8))
    }

    /// Of a run with one shard, which had left this.
    pub fn of_ledger(mut ledger: Ledger) -> Legacy {
        let held = std::mem::take(ledger.held_mut());
        Legacy {
            streams: vec![Reading::of_ledger(ledger)],
            chunks: 0,
            held,
        }
    }

    /// Of these streams, which are read once more.
    pub(super) fn again(streams: Vec<Reading>, held: Held) -> Legacy {
        Legacy {
            streams,
            chunks: 0,
            held,
        }
    }

    /// Bytes that its messages cost, each counted once.
    pub fn bytes(&self) -> u64 {
        self.held.bytes()
    }

    /// The texts of the messages of all streams.
    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    /// Whether nothing of this stream was read behind its last whole turn.
    pub fn is_whole(&self, stream: u8) -> bool {
        let reading = self.streams.get(usize::from(stream));
        reading.is_none_or(|reading| !reading.has_begun())
    }

    /// The next chunk, of this stream.
    ///
    /// # Errors
    /// What it says cannot be; nothing more is to be read.
    pub fn feed(&mut self, stream: u8, chunk: &[u8]) -> Result<(), Broken> {
        let index = usize::from(stream);
        if index >= limits::SHARDS_MAX {
            return Err(Broken::Number);
        }
        while self.streams.len() <= index {
            self.streams.push(Reading::default());
        }
        // The order of chunks is that of the turns that end in them.
        self.chunks += 1;
        let chunks = self.chunks;
        let has_ended = self.with(index, |reading| reading.feed_numbered(chunks, chunk))?;
        if has_ended {
            self.forget_taken(stream)?;
        }
        Ok(())
    }

    /// All has been read: what was needed for that only goes.
    pub fn end(&mut self) {
        self.streams.iter_mut().for_each(Reading::end);
        self.held.end();
    }

    /// Does something with a stream that may change which messages there are.
    fn with<T>(&mut self, stream: usize, act: impl FnOnce(&mut Reading) -> T) -> T {
        let reading = &mut self.streams[stream];
        std::mem::swap(reading.ledger_mut().held_mut(), &mut self.held);
        let result = act(reading);
        std::mem::swap(reading.ledger_mut().held_mut(), &mut self.held);
        result
    }

    /// What this shard has taken is no longer on its way.
    fn forget_taken(&mut self, by: u8) -> Result<(), Broken> {
        for from in 0..self.streams.len() {
            let took = self.streams[usize::from(by)].ledger().took(from as u8);
            self.with(from, |reading| reading.ledger_mut().forget_taken(by, took))?;
        }
        Ok(())
    }

    /// The ledgers, by shard.
    pub fn ledgers(&self) -> impl ExactSizeIterator<Item = &Ledger> {
        self.streams.iter().map(Reading::ledger)
    }

    /// How much there is.
    pub fn counts(&self) -> Counts {
        Counts {
            sessions: self.ledgers().map(|one| one.sessions().count()).sum(),
            retained: self.ledgers().map(|one| one.retained().count()).sum(),
        }
    }

    /// That of one shard.
    pub fn ledger(&self, shard: u8) -> Option<&Ledger> {
        self.streams.get(usize::from(shard)).map(Reading::ledger)
    }

    /// The same, to be changed.
    pub(super) fn ledger_mut(&mut self, shard: u8) -> Option<&mut Ledger> {
        let reading = self.streams.get_mut(usize::from(shard));
        reading.map(Reading::ledger_mut)
    }

    /// Nothing is on its way.
    pub(super) fn forget_all_handed(&mut self) -> Result<(), Broken> {
        for from in 0..self.streams.len() {
            for to in 0..self.streams.len() as u8 {
                self.with(from, |reading| {
                    reading.ledger_mut().forget_taken(to, u64::MAX)
                })?;
            }
        }
        Ok(())
    }

    /// What was on its way between shards, in the order in which it was handed over.
    pub fn in_transit(&self) -> Vec<InTransit> {
        let shards = 0..self.streams.len() as u8;
        let pairs = shards
            .clone()
            .flat_map(move |from| shards.clone().map(move |to| (from, to)));
        let all = pairs.flat_map(|(from, to)| {
            let handed = self.ledger(from).into_iter();
            let handed = handed.flat_map(move |ledger| ledger.handed(to));
            handed.map(move |&handed| InTransit { from, to, handed })
        });
        let mut all: Vec<_> = all.collect();
        // What one chunk says to one shard keeps its order.
        all.sort_by_key(|one| one.handed.chunk);
        all
    }
}
