//! The topics that clients of this shard publish to most, over the last minute: which they are, how often, and how wrong that may be.
//!
//! Two things keep it cheap. Not every message is looked at (`sampler`): one of so many that a second has some thousand looks, so that a
//! shard that does little counts exactly. And of those that are looked at only the most frequent topics have a place (`table`). Both
//! errors are told with each answer. The memory is there from the start; nothing is decided by a clock or by chance that is not given.

mod sampler;
mod table;
#[cfg(test)]
mod tests;
mod told;

pub use told::{BusyTopic, BusyTopics};

use crate::limits;
use sampler::Sampler;
use table::Table;

/// See the module.
pub(in crate::broker) struct Busiest {
    /// Messages until one is looked at.
    countdown: u32,
    /// The second that the sampler goes by ends here.
    second_ends_ms: u64,
    sampler: Sampler,
    table: Table,
}

impl Busiest {
    /// Bytes that it takes, from the start on.
    pub(crate) const BYTES: u64 = Table::BYTES;

    pub(in crate::broker) fn new(seed: u64) -> Busiest {
        Busiest {
            countdown: 1,
            second_ends_ms: 0,
            sampler: Sampler::new(seed),
            table: Table::new(seed),
        }
    }

    /// A message with so many bytes of payload goes to this topic.
    #[inline]
    pub(in crate::broker) fn note(&mut self, now_ms: u64, topic: &str, bytes: usize) {
        self.countdown -= 1;
        if self.countdown == 0 || now_ms >= self.second_ends_ms {
            self.look(now_ms, topic, bytes);
        }
    }

    #[inline(never)]
    fn look(&mut self, now_ms: u64, topic: &str, bytes: usize) {
        let is_looked_at = self.countdown == 0;
        if is_looked_at {
            let stands_for = self.sampler.stride();
            self.table.advance(now_ms);
            self.table.add(topic, bytes, stands_for);
            self.countdown = self.sampler.next_gap();
        }
        if now_ms >= self.second_ends_ms {
            let elapsed_ms = 1000 + (now_ms - self.second_ends_ms);
            if self.sampler.begin_second(self.countdown, elapsed_ms) {
                self.countdown = self.sampler.next_gap();
            }
            self.second_ends_ms = now_ms + 1000;
        }
    }

    /// What is known now.
    pub(in crate::broker) fn tell(&mut self, now_ms: u64) -> BusyTopics {
        self.table.advance(now_ms);
        self.table.tell()
    }
}

const _: () = assert!(limits::BUSIEST_LOOKS > 0 && limits::BUSIEST_STRIDE_MAX.is_power_of_two());
