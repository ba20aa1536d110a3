//! Deliveries told to the publishers that wait for them, who may be other workers'.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::command::Progress;

/// In place of a publisher: what has been counted is told, and nothing is counted.
pub(super) const NOBODY: u32 = u32::MAX;

/// What this worker counts, and has not told yet.
pub(super) struct Credits {
    /// Whether publishers wait for their messages' deliveries.
    pub are_wanted: bool,
    /// The publisher of the last delivery, and how many of its deliveries followed each other.
    pending: (u32, u64),
    progress: Arc<Progress>,
}

impl Credits {
    pub(super) fn new(progress: Arc<Progress>) -> Credits {
        Credits {
            are_wanted: false,
            pending: (NOBODY, 0),
            progress,
        }
    }

    /// Counts a delivery for a publisher; it is told when one of another publisher's comes, and with `NOBODY`.
    #[inline]
    pub(super) fn give(&mut self, publisher: u32) {
        if publisher != self.pending.0 {
            if self.pending.1 > 0 {
                let credits = &self.progress.credits[self.pending.0 as usize];
                credits.fetch_add(self.pending.1, Ordering::Relaxed);
            }
            self.pending = (publisher, 0);
        }
        self.pending.1 += u64::from(publisher != NOBODY);
    }

    /// Deliveries of a publisher's messages so far.
    pub(super) fn of(&self, publisher: u32) -> u64 {
        self.progress.credits[publisher as usize].load(Ordering::Relaxed)
    }
}
