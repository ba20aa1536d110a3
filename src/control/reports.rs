//! The shards' own reports: how their turns and sends were distributed since the last look, and whether they answer at all.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use crate::shard::{ShardCommand, ShardHandle, ShardReport};

/// Turns and sends of one shard between two of its reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Turns {
    /// Nanoseconds: half of the turns took no longer.
    pub p50_ns: u64,
    /// Nanoseconds: 99 of 100.
    pub p99_ns: u64,
    /// Nanoseconds: the longest.
    pub max_ns: u64,
    /// Thousandths of the time that were spent in turns.
    pub busy_permille: u64,
    /// Microseconds: half of the sends had waited no longer, 99 of 100, and the longest.
    pub delivery_us: [u64; 3],
}

/// One shard's last report.
#[derive(Default)]
struct Last {
    report: Option<ShardReport>,
    at: Option<Instant>,
    /// A request has not been answered.
    asked: bool,
}

/// Asks and remembers. The copy of a histogram is all that it costs a shard.
pub(super) struct Reports {
    answers: Receiver<ShardReport>,
    to: Sender<ShardReport>,
    last: Vec<Last>,
}

impl Reports {
    /// For so many shards.
    pub(super) fn new(shards: usize) -> Self {
        let (to, answers) = bounded(shards.max(1));
        Reports {
            answers,
            to,
            last: (0..shards).map(|_| Last::default()).collect(),
        }
    }

    /// Asks every shard that has answered the last time.
    pub(super) fn ask(&mut self, shards: &[ShardHandle]) {
        for (last, shard) in self.last.iter_mut().zip(shards) {
            let command = ShardCommand::Report(self.to.clone());
            last.asked = last.asked || shard.send(command).is_ok();
        }
    }

    /// Whether every shard that was asked has answered; to be called after `collect`.
    pub(super) fn all_answered(&self) -> bool {
        self.last.iter().all(|last| !last.asked)
    }

    /// Takes the answers that have come: by shard, its turns since the answer before.
    pub(super) fn collect(&mut self) -> Vec<(u8, Turns)> {
        let mut turns = Vec::new();
        while let Ok(report) = self.answers.try_recv() {
            let Some(last) = self.last.get_mut(report.shard.index()) else {
                continue;
            };
            let now = Instant::now();
            let shard = report.shard.0;
            if let (Some(before), Some(at)) = (&last.report, last.at)
                && let Some(found) = between(before, &report, (now - at).as_nanos() as f64)
            {
                turns.push((shard, found));
            }
            *last = Last {
                report: Some(report),
                at: Some(now),
                asked: false,
            };
        }
        turns
    }
}

/// What was added from one report to the next, in so many nanoseconds.
fn between(before: &ShardReport, now: &ShardReport, elapsed_ns: f64) -> Option<Turns> {
    let since = |before: &Histogram<u64>, now: &Histogram<u64>| {
        let mut added = now.clone();
        added.subtract(before).ok()?;
        Some(added)
    };
    let added = since(&before.turn_ns, &now.turn_ns)?;
    let sends = since(&before.delivery_us, &now.delivery_us)?;
    let busy_ns = match added.is_empty() {
        true => 0.0,
        false => added.mean() * added.len() as f64,
    };
    Some(Turns {
        p50_ns: added.value_at_quantile(0.5),
        p99_ns: added.value_at_quantile(0.99),
        max_ns: added.max(),
        busy_permille: (1000.0 * busy_ns / elapsed_ns.max(1.0)).min(1000.0) as u64,
        delivery_us: [
            sends.value_at_quantile(0.5),
            sends.value_at_quantile(0.99),
            sends.max(),
        ],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(turn_ns: &[(u64, u64)], delivery_us: &[(u64, u64)]) -> ShardReport {
        let histogram = |max: u64, recorded: &[(u64, u64)]| {
            let mut histogram = Histogram::new_with_bounds(1, max, 2).unwrap();
            for &(value, count) in recorded {
                histogram.record_n(value, count).unwrap();
            }
            histogram
        };
        ShardReport {
            shard: crate::ids::ShardId(0),
            metrics: Default::default(),
            turn_ns: histogram(1_000_000_000, turn_ns),
            delivery_us: histogram(1_000_000, delivery_us),
        }
    }

    #[test]
    fn turns_and_sends_are_those_since_the_last_report() {
        let before = [(500_000_000, 10)];
        let now = [(500_000_000, 10), (1000, 98), (100_000, 2)];
        let (before, now) = (
            report(&before, &[(900_000, 1000)]),
            report(&now, &[(900_000, 1000), (50, 97), (2000, 3)]),
        );
        let turns = between(&before, &now, 596_000.0).unwrap();
        assert!((990..1010).contains(&turns.p50_ns), "{turns:?}");
        assert!(
            turns.max_ns >= 99_000 && turns.max_ns < 110_000,
            "{turns:?}"
        );
        assert!((480..520).contains(&turns.busy_permille), "{turns:?}");
        let [half, most, longest] = turns.delivery_us;
        assert_eq!(half, 50);
        assert!((2000..2020).contains(&most) && most <= longest, "{turns:?}");
        let none = between(&now, &now, 1000.0).unwrap();
        assert_eq!((none.max_ns, none.busy_permille), (0, 0));
        assert_eq!(none.delivery_us, [0; 3]);
    }

    #[test]
    fn a_shard_that_does_not_answer_is_known() {
        let (handle, _inbox) = crate::shard::commands().unwrap();
        let mut reports = Reports::new(1);
        assert!(reports.all_answered());
        reports.ask(&[handle]);
        assert!(reports.collect().is_empty());
        assert!(!reports.all_answered());
    }
}
