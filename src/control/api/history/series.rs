//! Points of one length, the newest ones of a fixed number.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::look::{COUNTED, LEVELS, Look};
use crate::control::api::histogram::{Buckets, SLOTS};
use crate::control::reports::Added;

/// What was between two looks.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::control::api) struct Point {
    /// Seconds from the start to its end.
    pub end: u64,
    /// How long it was.
    pub milliseconds: u64,
    /// How much was added, in the order of `COUNTED`.
    pub counted: [u64; COUNTED.len()],
    /// How much there was at its end, in the order of `LEVELS`.
    pub levels: [u64; LEVELS.len()],
    /// Microseconds: half of all sends had waited no longer, and 99 of 100. `None`: there were none.
    pub delivery_us: Option<[u64; 2]>,
    /// Sends by how long they had waited.
    pub buckets: [u32; SLOTS],
    /// By shard; `None` for one that has told nothing new.
    pub shards: Box<[Option<Turns>]>,
}

/// What a shard has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control::api) struct Turns {
    /// Thousandths of the time that were spent in turns.
    pub busy_permille: u16,
    /// Microseconds: 99 of 100 turns took no longer.
    pub p99_us: u32,
}

/// See the module.
pub(in crate::control::api) struct Series {
    pub step_s: u64,
    pub capacity: usize,
    points: VecDeque<Point>,
    before: Option<Look>,
}

impl Series {
    /// Points of so many seconds, so many of them at most.
    pub(in crate::control::api) fn new(step_s: u64, capacity: usize) -> Series {
        Series {
            step_s,
            capacity,
            points: VecDeque::new(),
            before: None,
        }
    }

    /// A point from the look before to this one, which is at this second.
    pub(in crate::control::api) fn add(&mut self, end: u64, look: Look) {
        if let Some(before) = &self.before {
            if self.points.len() == self.capacity {
                self.points.pop_front();
            }
            self.points.push_back(between(end, before, &look));
        }
        self.before = Some(look);
    }

    /// Those that end after this second, oldest first.
    pub(in crate::control::api) fn after(
        &self,
        second: Option<u64>,
    ) -> impl Iterator<Item = &Point> + Clone {
        let points = self.points.iter();
        points.filter(move |point| second.is_none_or(|second| point.end > second))
    }
}

fn between(end: u64, before: &Look, now: &Look) -> Point {
    let mut counted = now.counted;
    for (value, before) in counted.iter_mut().zip(before.counted) {
        *value = value.saturating_sub(before);
    }
    let mut sends: Option<Histogram<u64>> = None;
    let shards = now.told.iter().enumerate().map(|(shard, told)| {
        let before = before.told.get(shard)?.as_ref()?;
        let added = Added::between(before, told.as_ref()?)?;
        let turns = turns(&added);
        match &mut sends {
            // Both have the same bounds.
            Some(all) => drop(all.add(&added.delivery_us)),
            None => sends = Some(added.delivery_us),
        }
        Some(turns)
    });
    let shards = shards.collect();
    let sends = sends.filter(|sends| !sends.is_empty());
    let quantile = |sends: &Histogram<u64>| [0.5, 0.99].map(|part| sends.value_at_quantile(part));
    let elapsed = now.at.saturating_duration_since(before.at);
    Point {
        end,
        milliseconds: elapsed.as_millis() as u64,
        counted,
        levels: now.levels,
        delivery_us: sends.as_ref().map(quantile),
        buckets: sends.map_or([0; SLOTS], |sends| {
            let counts = Buckets::of(&sends, 1).counts();
            counts.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
        }),
        shards,
    }
}

fn turns(added: &Added) -> Turns {
    let p99_us = added.turn_ns.value_at_quantile(0.99) / 1000;
    Turns {
        busy_permille: added.busy_permille() as u16,
        p99_us: u32::try_from(p99_us).unwrap_or(u32::MAX),
    }
}
