//! What a shard has seen of how short memory is (`budget::Rung`), and of its own peak.

use crate::budget::Rung;
use crate::limits;

/// What was seen at the last look.
#[derive(Default)]
pub(crate) struct Pressure {
    rung: Rung,
    next_look_ms: u64,
    /// Bytes of tables that have been charged.
    tables: usize,
    /// The most that was held since memory was last given back, and when that was.
    peak: u64,
    trimmed_ms: u64,
    /// Places in tables that were free when memory was last given back, but could not be.
    free: usize,
}

impl Pressure {
    /// The step of the ladder that was stood on at the last look.
    pub(crate) fn rung(&self) -> Rung {
        self.rung
    }

    /// When to look again although the step is the same.
    pub(crate) fn next_look_ms(&self) -> u64 {
        self.next_look_ms
    }

    /// The look at this moment finds this step. Returns the one before.
    pub(crate) fn look(&mut self, now_ms: u64, rung: Rung) -> Rung {
        self.next_look_ms = now_ms + limits::PRESSURE_LOOK_MS;
        std::mem::replace(&mut self.rung, rung)
    }

    /// Tables take so many bytes now. Returns what has been charged for them until here.
    pub(crate) fn set_tables(&mut self, bytes: usize) -> usize {
        std::mem::replace(&mut self.tables, bytes)
    }

    /// Whether much less is held now than at the peak, or many more places in tables are `free` than could not be given back the
    /// last time, of which there are so many in `use`.
    pub(crate) fn has_fallen(&self, held: u64, free: usize, places: usize) -> bool {
        let more = free.saturating_sub(self.free);
        held < self.peak / 4 * 3 || more > limits::TRIM_PLACES_MIN.max(places / 4)
    }

    /// So much is held.
    pub(crate) fn note_held(&mut self, bytes: u64) {
        self.peak = self.peak.max(bytes);
    }

    /// Milliseconds since memory was last given back.
    pub(crate) fn since_trim_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_sub(self.trimmed_ms)
    }

    /// Memory is being given back.
    pub(crate) fn begin_trim(&mut self, now_ms: u64) {
        self.trimmed_ms = now_ms;
    }

    /// It has been, and so much is left: bytes that are held, and places that could not be given back.
    pub(crate) fn end_trim(&mut self, held: u64, free: usize) {
        (self.peak, self.free) = (held, free);
    }
}
