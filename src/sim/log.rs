//! What all shards write down, in one order, and how much of that is durable: what a disk is to them, whose own faults are `store`'s.

use std::collections::VecDeque;

use super::checkpoints::Checkpoints;
use super::rng::Rng;
use crate::broker::{Broker, CloseHow, MeshMessage};
use crate::chunk::Chunk;
use crate::ids::{ConnId, ShardId};
use crate::journal::Legacy;
use crate::limits;

/// See the module.
pub(super) struct Log {
    /// By their order.
    chunks: Vec<Piece>,
    /// What has been read of all of them.
    legacy: Legacy,
    /// So many of them are durable.
    durable: usize,
    /// By shard: so many of its own are.
    durable_of: Vec<u64>,
    /// It is that some time later only.
    is_slow: bool,
    /// What is read from where checkpoints begin.
    pub checkpoints: Checkpoints,
    /// So many of them are told to be.
    told: usize,
    /// With so many of them it is in force: all that it took up is written. Before that nothing is told.
    in_force_from: usize,
    /// What is read as long as it is not.
    before: Past,
    /// Chunks are cut here and there, where it is chance.
    cuts: Option<Rng>,
}

/// A chunk, or a part of one: as if the chunk were full there.
#[derive(Clone)]
struct Piece {
    shard: u8,
    content: Vec<u8>,
    /// The chunk ends with it.
    ends: bool,
}

/// What a run has left.
#[derive(Clone, Default)]
pub(super) struct Past {
    shards: u8,
    chunks: Vec<Piece>,
}

impl Past {
    /// What it comes to, without a bound.
    pub(super) fn read(&self) -> Legacy {
        self.feed(self.unread())
    }

    /// Nothing of it.
    pub(super) fn unread(&self) -> Legacy {
        Legacy::of(self.shards)
    }

    /// Feeds all of it.
    pub(super) fn feed(&self, mut legacy: Legacy) -> Legacy {
        for Piece { shard, content, .. } in &self.chunks {
            let fed = legacy.feed(*shard, content);
            fed.unwrap_or_else(|error| panic!("shard {shard}, after a crash: {error}"));
        }
        legacy
    }

    /// The same, each shard's beside the others: who is how far is chance.
    pub(super) fn feed_parts(&self, mut legacy: Legacy, rng: &mut Rng) -> Legacy {
        if self.shards == 1 {
            legacy.is_of_one();
        }
        let parts = legacy.parts(usize::from(self.shards));
        let mut parts = parts.expect("as many parts as there are shards");
        let mut chunks = vec![VecDeque::new(); parts.len()];
        for (number, Piece { shard, content, .. }) in (1..).zip(&self.chunks) {
            chunks[usize::from(*shard)].push_back((number, content));
        }
        let mut left: Vec<usize> = (0..parts.len()).collect();
        while !left.is_empty() {
            let at = rng.below(left.len());
            let shard = left[at];
            let Some((number, content)) = chunks[shard].pop_front() else {
                left.swap_remove(at);
                continue;
            };
            let fed = parts[shard].feed(number, content);
            fed.unwrap_or_else(|error| panic!("shard {shard}, in parts: {error}"));
        }
        let together = legacy.put_together(parts);
        together.unwrap_or_else(|error| panic!("parts: {error}"));
        legacy
    }
}

/// What a shard has said that waits for the end of its turn.
#[derive(Default)]
pub(super) struct Outbox {
    /// To other shards.
    pub unsent: Vec<(ShardId, MeshMessage)>,
    /// Of connections that are to be closed.
    pub unclosed: Vec<(ConnId, CloseHow)>,
}

impl Log {
    pub(super) fn new(shards: u8, is_slow: bool) -> Log {
        Log {
            chunks: Vec::new(),
            legacy: Legacy::of(shards),
            durable: 0,
            durable_of: vec![0; usize::from(shards)],
            is_slow,
            checkpoints: Checkpoints::new(shards),
            told: 0,
            in_force_from: 0,
            before: Past::default(),
            cuts: None,
        }
    }

    /// One that follows on what another has left, and is not in force yet.
    pub(super) fn after(before: Past, shards: u8, is_slow: bool) -> Log {
        Log {
            in_force_from: usize::MAX,
            before,
            ..Log::new(shards, is_slow)
        }
    }

    /// Chunks are cut here and there from now on.
    pub(super) fn cut_chunks(&mut self, rng: Rng) {
        self.cuts = Some(rng);
    }

    /// What was taken up is written: with that the run is in force.
    pub(super) fn complete(&mut self) {
        self.in_force_from = self.chunks.len();
    }

    /// How many chunks there are.
    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    /// It ends at once: some of what is not durable is there all the same. Returns what is read next, and how many chunks of this run
    /// that is: none if it was not in force.
    pub(super) fn end(&mut self, rng: &mut Rng) -> (Past, usize) {
        let end = self.durable + rng.below(self.chunks.len() - self.durable + 1);
        if end < self.in_force_from {
            return (std::mem::take(&mut self.before), 0);
        }
        self.chunks.truncate(end);
        let past = Past {
            shards: self.durable_of.len() as u8,
            chunks: std::mem::take(&mut self.chunks),
        };
        (past, end)
    }

    /// A turn of a shard ends: what was written is there, and read. Returns whether there was anything.
    pub(super) fn end_turn(&mut self, shard: usize, broker: &mut Broker, now_ms: u64) -> bool {
        let before = self.chunks.len();
        broker.end_turn(now_ms);
        while let Some((chunk, begins)) = broker.next_chunk() {
            self.write(shard as u8, &chunk, begins);
            broker.give_chunk_back(chunk);
        }
        let is_whole = self.legacy.is_whole(shard as u8);
        assert!(is_whole, "what was written is whole turns");
        self.chunks.len() > before
    }

    /// A chunk is written, with which a checkpoint of its shard begins or not.
    pub(super) fn write(&mut self, shard: u8, chunk: &Chunk, begins: bool) {
        let content = chunk.content().to_vec();
        assert!(!content.is_empty() && content.len() <= limits::JOURNAL_CHUNK_BYTES);
        let fed = self.legacy.feed(shard, &content);
        fed.unwrap_or_else(|error| panic!("shard {shard}: {error}"));
        self.checkpoints.write(shard, begins, &content);
        let cuts = self.cuts.as_mut().filter(|_| content.len() > 1);
        let cut = cuts.map_or(0, |rng| rng.below(2) * rng.below(content.len()));
        let (first, last) = content.split_at(cut);
        for (content, ends) in [(first, false), (last, true)] {
            if !content.is_empty() {
                let content = content.to_vec();
                self.chunks.push(Piece {
                    shard,
                    content,
                    ends,
                });
            }
        }
    }

    /// A checkpoint that is complete is all there has to be.
    pub(super) fn check_checkpoints(&mut self, brokers: &[Broker]) {
        self.checkpoints.check(brokers, &self.legacy);
    }

    /// Whether what was written is durable some time later only.
    pub(super) fn is_slow(&self) -> bool {
        self.is_slow
    }

    /// What it says by now.
    pub(super) fn legacy(&self) -> &Legacy {
        &self.legacy
    }

    /// So many chunks more are durable, or all; false if that is nothing new.
    pub(super) fn sync(&mut self, most: usize) -> bool {
        let end = self.chunks.len().min(self.durable.saturating_add(most));
        if end >= self.in_force_from {
            for piece in &self.chunks[self.told..end] {
                self.durable_of[usize::from(piece.shard)] += u64::from(piece.ends);
            }
            self.told = end;
        }
        std::mem::replace(&mut self.durable, end) < end
    }

    /// How many chunks of a shard are durable, as it is told.
    pub(super) fn durable_of(&self, shard: usize) -> u64 {
        self.durable_of[shard]
    }
}
