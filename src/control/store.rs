//! What the storage thread has done, as figures.

use std::sync::Arc;

use super::sample::{Of, Sample};
use crate::figure::Figure;
use crate::storage::{Board, Figures, State};

/// A figure, and how it is read.
type OfStore = (Figure, fn(&Figures) -> u64);

const FIGURES: [OfStore; 11] = [
    (
        Figure::counter("bytes", "Bytes written to the store."),
        |of| of.bytes,
    ),
    (
        Figure::counter("chunks", "Chunks of shards written to the store."),
        |of| of.chunks,
    ),
    (
        Figure::counter("commits", "Writes of one or more chunks."),
        |of| of.commits,
    ),
    (
        Figure::counter("syncs", "Times that what was written was synced."),
        |of| of.syncs,
    ),
    (
        Figure::level("sync_us", "Microseconds of the last sync."),
        |of| of.sync_last_us,
    ),
    (
        Figure::level(
            "sync_max_us",
            "Microseconds of the longest sync of this minute and the one before it.",
        ),
        |of| of.sync_max_us,
    ),
    (Figure::level("segments", "Segments of this run."), |of| {
        of.segments
    }),
    (
        Figure::level("disk_bytes", "Bytes of all segments on the disk."),
        |of| of.disk_bytes,
    ),
    (
        Figure::counter("checkpoints", "Checkpoints of this run."),
        |of| of.checkpoints,
    ),
    (
        Figure::counter("failures", "Operations of the disk that have failed."),
        |of| of.failures,
    ),
    (
        Figure::counter("turns", "Turns of the storage thread."),
        |of| of.turns,
    ),
];

/// Where the figures are, if there is a store.
#[derive(Clone, Default)]
pub(crate) struct Store(pub Option<Arc<Board>>);

impl Store {
    /// As they are now; nothing without a store.
    pub(super) fn samples(&self) -> Vec<Sample> {
        let figures = self.0.as_ref().map(|board| board.look());
        figures.map_or(Vec::new(), |figures| samples(&figures).collect())
    }

    /// How the store is, if there is one.
    pub(super) fn state(&self) -> Option<State> {
        self.0.as_ref().map(|board| board.look().state)
    }

    /// As they are now, and how the store is; nothing without one.
    pub(super) fn look(&self) -> Option<(Vec<Sample>, &'static str)> {
        let figures = self.0.as_ref()?.look();
        let samples = samples(&figures);
        let state = match figures.state {
            State::Open => "open",
            State::Full => "full",
            State::Failed => "failed",
        };
        Some((samples.collect(), state))
    }
}

fn samples(figures: &Figures) -> impl Iterator<Item = Sample> {
    FIGURES.iter().map(|&(figure, value)| Sample {
        of: Of::Store,
        figure,
        value: value(figures),
    })
}
