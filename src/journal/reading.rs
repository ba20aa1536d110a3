//! One stream of what a run has left, read chunk by chunk: the turns that are whole.
//!
//! A turn of which the end is missing did not happen; nobody was promised anything of it.

use super::bytes::Reader;
use super::canary::{Protection, has};
use super::decode::Decoder;
use super::error::Broken;
use super::ledger::{Ledger, Needs};
use super::record::kind;
use super::stream::Joiner;
use crate::limits;

/// The journal of one shard, as far as it was read.
#[derive(Debug, Default)]
pub struct Reading {
    joiner: Joiner,
    decoder: Decoder,
    ledger: Ledger,
    /// Records of the turn that has not ended, each with its length.
    turn: Vec<u8>,
    /// Turns that have ended.
    turns: u64,
}

impl Reading {
    /// The next chunk.
    ///
    /// # Errors
    /// What it says cannot be; nothing more is to be read.
    pub fn feed(&mut self, chunk: &[u8]) -> Result<(), Broken> {
        let Reading {
            joiner,
            decoder,
            ledger,
            turn,
            turns,
        } = self;
        joiner.feed(chunk, |record| {
            super::bytes::put_bytes(turn, record);
            if record.first() != Some(&kind::TURN_ENDED) && has(Protection::TurnWhole) {
                return Ok(());
            }
            let mut reader = Reader::new(turn);
            while reader.left() > 0 {
                if let Some(record) = decoder.decode(reader.bytes()?)? {
                    ledger.apply(&record)?;
                }
            }
            turn.clear();
            turn.shrink_to(limits::JOURNAL_TURN_BYTES_SPARE);
            *turns += 1;
            Ok(())
        })
    }

    /// The next chunk, with its number among those of all streams. Says whether a turn has ended in it.
    pub(super) fn feed_numbered(&mut self, number: u64, chunk: &[u8]) -> Result<bool, Broken> {
        let before = self.turns;
        self.ledger.begin_chunk(number);
        self.feed(chunk)?;
        Ok(self.turns > before)
    }

    /// Of a stream that is read once more, when this is known to be needed at its end.
    pub(super) fn needing(needs: Needs) -> Reading {
        Reading {
            ledger: Ledger::needing(needs),
            ..Reading::default()
        }
    }

    /// Of a stream that comes to this.
    pub(super) fn of_ledger(ledger: Ledger) -> Reading {
        Reading {
            ledger,
            ..Reading::default()
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.joiner.shrink();
        self.turn.shrink_to_fit();
    }

    /// What it says by now.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The same, to be changed.
    pub(super) fn ledger_mut(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Turns that are whole.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Whether something was read behind the last whole turn.
    pub fn has_begun(&self) -> bool {
        self.joiner.has_begun() || !self.turn.is_empty()
    }
}
