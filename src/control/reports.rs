//! The shards' own reports: how their turns were distributed since the last look, and whether they answer at all.

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, bounded};
use hdrhistogram::Histogram;

use crate::shard::{ShardCommand, ShardHandle, ShardReport};

/// Turns of one shard between two of its reports.
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
}

/// One shard's last report.
#[derive(Default)]
struct Last {
    turns: Option<Histogram<u64>>,
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
            if let (Some(before), Some(at)) = (&last.turns, last.at)
                && let Some(found) = between(before, &report.turn_ns, (now - at).as_nanos() as f64)
            {
                turns.push((report.shard.0, found));
            }
            *last = Last {
                turns: Some(report.turn_ns),
                at: Some(now),
                asked: false,
            };
        }
        turns
    }
}

/// What was added from one histogram to the next, in so many nanoseconds.
fn between(before: &Histogram<u64>, now: &Histogram<u64>, elapsed_ns: f64) -> Option<Turns> {
    let mut added = now.clone();
    added.subtract(before).ok()?;
    let busy_ns = match added.is_empty() {
        true => 0.0,
        false => added.mean() * added.len() as f64,
    };
    Some(Turns {
        p50_ns: added.value_at_quantile(0.5),
        p99_ns: added.value_at_quantile(0.99),
        max_ns: added.max(),
        busy_permille: (1000.0 * busy_ns / elapsed_ns.max(1.0)).min(1000.0) as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_those_since_the_last_report() {
        let mut before = Histogram::new_with_bounds(1, 1_000_000_000, 2).unwrap();
        before.record_n(500_000_000, 10).unwrap();
        let mut now = before.clone();
        now.record_n(1000, 98).unwrap();
        now.record_n(100_000, 2).unwrap();
        let turns = between(&before, &now, 596_000.0).unwrap();
        assert!((990..1010).contains(&turns.p50_ns), "{turns:?}");
        assert!(
            turns.max_ns >= 99_000 && turns.max_ns < 110_000,
            "{turns:?}"
        );
        assert!((480..520).contains(&turns.busy_permille), "{turns:?}");
        let none = between(&now, &now, 1000.0).unwrap();
        assert_eq!((none.max_ns, none.busy_permille), (0, 0));
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
