//! What has happened in the last hour, so that who begins to look sees what has just been. A point a second for
//! some minutes, and one of ten seconds for an hour; in memory of a fixed size, and only while HTTP is open.
//!
//! Kept from what shards have published, and from what they tell of their turns and sends (`pulse.rs`): no shard is asked anything
//! but that.

mod look;
mod series;
#[cfg(test)]
mod tests;

pub(super) use look::{COUNTED, LEVELS, Look};
pub(super) use series::{Point, Series};

use crate::limits;

/// See the module.
pub(super) struct History {
    /// Seconds from the start to the newest point.
    pub newest: u64,
    pub seconds: Series,
    pub tens: Series,
}

impl Default for History {
    fn default() -> Self {
        History {
            newest: 0,
            seconds: Series::new(1, limits::HISTORY_SECONDS),
            tens: Series::new(limits::HISTORY_STEP_S, limits::HISTORY_STEPS),
        }
    }
}

impl History {
    /// What is seen so many whole seconds after the start.
    pub(super) fn add(&mut self, second: u64, look: Look) {
        if second == self.newest {
            return;
        }
        let step = limits::HISTORY_STEP_S;
        if second / step != self.newest / step {
            self.tens.add(second, look.clone());
        }
        self.seconds.add(second, look);
        self.newest = second;
    }
}
