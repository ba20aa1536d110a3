//! One stream of what a run has left, read beside the others: any thread may have it.
//!
//! Streams say nothing of each other but what one shard has taken of what another has handed to it. That may be known here sooner or later
//! than where all is read in one order: what was handed over has been taken, or is on its way, as it was then, for who writes a stream never
//! knows what others have taken. So all is the same as soon as all is read.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::error::Broken;
use super::reading::Reading;
use crate::limits::SHARDS_MAX;

/// Up to which place each shard has taken what each other one has handed to it, as far as that was read.
#[derive(Debug)]
pub(super) struct Receipts(Box<[AtomicU64]>);

impl Receipts {
    pub(super) fn new() -> Receipts {
        let places = (0..SHARDS_MAX * SHARDS_MAX).map(|_| AtomicU64::new(0));
        Receipts(places.collect())
    }

    fn of(&self, by: u8, from: u8) -> Option<&AtomicU64> {
        let (by, from) = (usize::from(by), usize::from(from));
        let is_one = by < SHARDS_MAX && from < SHARDS_MAX;
        is_one.then(|| self.0.get(by * SHARDS_MAX + from)).flatten()
    }
}

/// See the module.
#[derive(Debug)]
pub struct Part {
    pub(super) stream: u8,
    pub(super) reading: Reading,
    receipts: Arc<Receipts>,
}

impl Part {
    pub(super) fn of(stream: u8, reading: Reading, receipts: Arc<Receipts>) -> Part {
        Part {
            stream,
            reading,
            receipts,
        }
    }

    /// The next chunk of the stream, with its number among those of all streams, which counts from 1.
    ///
    /// # Errors
    /// What it says cannot be; nothing more is to be read.
    pub fn feed(&mut self, number: u64, chunk: &[u8]) -> Result<(), Broken> {
        let Part {
            stream,
            reading,
            receipts,
        } = self;
        if reading.feed_numbered(number, chunk)? {
            let took = reading.ledger().all_taken();
            for (from, at) in took {
                if let Some(place) = receipts.of(*stream, from) {
                    place.store(at, Ordering::Relaxed);
                }
            }
        }
        let ledger = reading.ledger_mut();
        for by in 0..SHARDS_MAX as u8 {
            if ledger.handed(by).next().is_some()
                && let Some(place) = receipts.of(by, *stream)
            {
                ledger.forget_taken(by, place.load(Ordering::Relaxed))?;
            }
        }
        Ok(())
    }
}
