//! Where a shard leaves copies of its counters for others to read.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::Counters;

use super::metrics::Metrics;

/// One shard's figures: written by that shard, read by anyone, each figure for itself (no snapshot of all).
#[repr(align(128))]
pub(crate) struct Board {
    counters: [AtomicU64; Counters::COUNT],
    metrics: [AtomicU64; Metrics::COUNT],
}

impl Board {
    pub(super) fn new() -> Self {
        Board {
            counters: [const { AtomicU64::new(0) }; _],
            metrics: [const { AtomicU64::new(0) }; _],
        }
    }

    /// The brain's counters, as last published.
    pub(crate) fn counters(&self) -> Counters {
        Counters::from_values(
            self.counters
                .each_ref()
                .map(|value| value.load(Ordering::Relaxed)),
        )
    }

    /// The thread's figures, as last published.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::from_values(
            self.metrics
                .each_ref()
                .map(|value| value.load(Ordering::Relaxed)),
        )
    }

    pub(super) fn publish(&self, counters: &Counters, metrics: &Metrics) {
        for (place, value) in self.counters.iter().zip(counters.values()) {
            place.store(value, Ordering::Relaxed);
        }
        for (place, value) in self.metrics.iter().zip(metrics.values()) {
            place.store(*value, Ordering::Relaxed);
        }
    }
}
