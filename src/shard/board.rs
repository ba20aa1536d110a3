//! Where a shard leaves copies of its counters for others to read.

use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::broker::Counters;

use super::metrics::Metrics;

/// One shard's figures: written by that shard, read by anyone. Those that are read together are of one moment: some are parts of others,
/// and what is left of the whole must not fall because a part was read later than it. Nobody waits for the other, wherever he stands.
#[repr(align(128))]
pub(crate) struct Board {
    /// How often figures were published: the last ones are on the page of this number, modulo 2.
    version: AtomicU64,
    pages: [Page; 2],
}

struct Page {
    counters: [AtomicU64; Counters::COUNT],
    metrics: [AtomicU64; Metrics::COUNT],
}

impl Page {
    fn new() -> Page {
        Page {
            counters: [const { AtomicU64::new(0) }; _],
            metrics: [const { AtomicU64::new(0) }; _],
        }
    }
}

impl Board {
    pub(super) fn new() -> Self {
        Board {
            version: AtomicU64::new(0),
            pages: [Page::new(), Page::new()],
        }
    }

    /// The brain's counters, as last published.
    pub(crate) fn counters(&self) -> Counters {
        Counters::from_values(self.read(|page| &page.counters))
    }

    /// The thread's figures, as last published.
    pub(crate) fn metrics(&self) -> Metrics {
        Metrics::from_values(self.read(|page| &page.metrics))
    }

    /// All of them at one moment: once more where others were published meanwhile, since the next ones go over those that were read.
    fn read<const COUNT: usize>(
        &self,
        places: impl Fn(&Page) -> &[AtomicU64; COUNT],
    ) -> [u64; COUNT] {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let places = places(self.page(before)).each_ref();
            let values = places.map(|place| place.load(Ordering::Relaxed));
            fence(Ordering::Acquire);
            if self.version.load(Ordering::Relaxed) == before {
                return values;
            }
        }
    }

    fn page(&self, version: u64) -> &Page {
        &self.pages[(version % 2) as usize]
    }

    /// For the shard alone.
    pub(super) fn publish(&self, counters: &Counters, metrics: &Metrics) {
        let next = self.version.load(Ordering::Relaxed) + 1;
        let page = self.page(next);
        // Whoever reads one of these values sees that the page before was published, and that this one is not to be read.
        fence(Ordering::Release);
        for (place, value) in page.counters.iter().zip(counters.values()) {
            place.store(value, Ordering::Relaxed);
        }
        for (place, value) in page.metrics.iter().zip(metrics.values()) {
            place.store(*value, Ordering::Relaxed);
        }
        self.version.store(next, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;

    /// A part that is read later than its whole would be greater.
    #[test]
    fn parts_and_wholes_are_of_one_moment() {
        let board = Board::new();
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut counters = Counters::default();
                let metrics = Metrics::default();
                while !is_over.load(Ordering::Relaxed) {
                    counters.publish_received += 1;
                    counters.publish_received_qos2 += 1;
                    board.publish(&counters, &metrics);
                    // Who reads needs a moment between two of them, as there is between two turns.
                    (0..2000).for_each(|_| std::hint::spin_loop());
                }
            });
            for _ in 0..20_000 {
                let read = board.counters();
                if read.publish_received != read.publish_received_qos2 {
                    is_over.store(true, Ordering::Relaxed);
                }
                assert_eq!(read.publish_received, read.publish_received_qos2);
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }
}
