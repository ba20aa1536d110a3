//! The shards' own reports: how their turns and sends were distributed, since the start and between two of them, and whether they
//! answer at all.

use std::rc::Rc;
use std::time::Instant;

use hdrhistogram::Histogram;

use super::each_shard::EachShard;
use crate::ids::ShardId;
use crate::shard::{Awaited, ShardCommand, ShardHandle, ShardReport};

/// What a shard has told last.
pub(super) struct Told {
    /// When the answer was taken.
    pub at: Instant,
    /// Nanoseconds that turns took.
    pub turn_ns: Histogram<u64>,
    /// Microseconds that output waited for its socket.
    pub delivery_us: Histogram<u64>,
}

/// What is known of one shard.
#[derive(Default)]
struct One {
    /// It was asked, and has not answered.
    awaited: Option<Awaited<ShardReport>>,
    told: Option<Rc<Told>>,
}

/// Asks and remembers. The copies of two histograms are all that it costs a shard.
pub(super) struct Reports {
    each: EachShard,
    known: Vec<One>,
}

impl Reports {
    /// Of these shards.
    pub(super) fn new(shards: Vec<ShardHandle>) -> Reports {
        Reports {
            known: shards.iter().map(|_| One::default()).collect(),
            each: EachShard::new(shards),
        }
    }

    /// Asks every shard that has answered the last time.
    pub(super) fn ask(&mut self) {
        for (one, shard) in self.known.iter_mut().zip(0..) {
            if one.awaited.is_none() {
                one.awaited = self.each.ask(ShardId(shard), ShardCommand::Report);
            }
        }
    }

    /// Takes the answers that have come.
    pub(super) fn collect(&mut self) {
        for one in &mut self.known {
            if let Some(report) = one.awaited.as_ref().and_then(Awaited::take) {
                one.awaited = None;
                one.told = Some(Rc::new(Told {
                    at: Instant::now(),
                    turn_ns: report.turn_ns,
                    delivery_us: report.delivery_us,
                }));
            }
        }
    }

    /// Whether every shard that was asked has answered; to be called after `collect`.
    pub(super) fn all_answered(&self) -> bool {
        self.known.iter().all(|one| one.awaited.is_none())
    }

    /// Takes the answers that have come; the shards that owe one, or take no command.
    pub(super) fn silent(&mut self) -> Vec<u8> {
        self.collect();
        let all = (0u8..).zip(&self.known);
        let silent =
            all.filter(|(shard, one)| one.awaited.is_some() || self.each.is_deaf(ShardId(*shard)));
        silent.map(|(shard, _)| shard).collect()
    }

    /// What each shard has told last.
    pub(super) fn told(&self) -> impl Iterator<Item = (u8, &Told)> {
        let all = (0u8..).zip(&self.known);
        all.filter_map(|(shard, one)| Some((shard, one.told.as_deref()?)))
    }

    /// The same by shard, to be kept.
    pub(super) fn all_told(&self) -> Vec<Option<Rc<Told>>> {
        self.known.iter().map(|one| one.told.clone()).collect()
    }
}

/// What has come between two reports of a shard.
pub(super) struct Added {
    /// Nanoseconds that turns took.
    pub turn_ns: Histogram<u64>,
    /// Microseconds that output waited for its socket.
    pub delivery_us: Histogram<u64>,
    /// Nanoseconds between the two.
    elapsed_ns: f64,
}

impl Added {
    /// From one to the next; `None` if that is none.
    pub(super) fn between(before: &Told, now: &Told) -> Option<Added> {
        let added = |before: &Histogram<u64>, now: &Histogram<u64>| {
            let mut added = now.clone();
            added.subtract(before).ok()?;
            Some(added)
        };
        let elapsed = now.at.checked_duration_since(before.at)?;
        Some(Added {
            turn_ns: added(&before.turn_ns, &now.turn_ns)?,
            delivery_us: added(&before.delivery_us, &now.delivery_us)?,
            elapsed_ns: elapsed.as_nanos() as f64,
        })
        .filter(|_| !elapsed.is_zero())
    }

    /// Thousandths of the time that were spent in turns.
    pub(super) fn busy_permille(&self) -> u64 {
        let busy_ns = match self.turn_ns.is_empty() {
            true => 0.0,
            false => self.turn_ns.mean() * self.turn_ns.len() as f64,
        };
        (1000.0 * busy_ns / self.elapsed_ns.max(1.0)).min(1000.0) as u64
    }

    /// The same in some figures.
    fn times(&self) -> Times {
        Times {
            turn_p50_ns: self.turn_ns.value_at_quantile(0.5),
            turn_p99_ns: self.turn_ns.value_at_quantile(0.99),
            turn_max_ns: self.turn_ns.max(),
            busy_permille: self.busy_permille(),
            delivery_us: [
                self.delivery_us.value_at_quantile(0.5),
                self.delivery_us.value_at_quantile(0.99),
                self.delivery_us.max(),
            ],
        }
    }
}

/// Turns and sends of one shard between two of its reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Times {
    /// Nanoseconds: half of the turns took no longer.
    pub turn_p50_ns: u64,
    /// Nanoseconds: 99 of 100.
    pub turn_p99_ns: u64,
    /// Nanoseconds: the longest.
    pub turn_max_ns: u64,
    /// Thousandths of the time that were spent in turns.
    pub busy_permille: u64,
    /// Microseconds: half of the sends had waited no longer, 99 of 100, and the longest.
    pub delivery_us: [u64; 3],
}

/// Goes from report to report.
#[derive(Default)]
pub(super) struct Steps(Vec<Option<Rc<Told>>>);

impl Steps {
    /// By shard, its times since what was told before; of those only that have told something new.
    pub(super) fn to(&mut self, now: Vec<Option<Rc<Told>>>) -> Vec<(u8, Times)> {
        let before = std::mem::replace(&mut self.0, now);
        let pairs = (0u8..).zip(before.iter().zip(&self.0));
        let times = pairs.filter_map(|(shard, (before, now))| {
            let added = Added::between(before.as_ref()?, now.as_ref()?)?;
            Some((shard, added.times()))
        });
        times.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn told(at: Instant, turn_ns: &[(u64, u64)], delivery_us: &[(u64, u64)]) -> Told {
        let histogram = |max: u64, recorded: &[(u64, u64)]| {
            let mut histogram = Histogram::new_with_bounds(1, max, 2).unwrap();
            for &(value, count) in recorded {
                histogram.record_n(value, count).unwrap();
            }
            histogram
        };
        Told {
            at,
            turn_ns: histogram(1_000_000_000, turn_ns),
            delivery_us: histogram(1_000_000, delivery_us),
        }
    }

    #[test]
    fn turns_and_sends_are_those_since_the_last_report() {
        let before = [(500_000_000, 10)];
        let now = [(500_000_000, 10), (1000, 98), (100_000, 2)];
        let start = Instant::now();
        let after = |ns| start + Duration::from_nanos(ns);
        let sends = [(900_000, 1000), (50, 97), (2000, 3)];
        let before = told(start, &before, &[(900_000, 1000)]);
        let later = told(after(596_000), &now, &sends);
        let mut steps = Steps::default();
        assert_eq!(steps.to(vec![Some(Rc::new(before)), None]), []);
        let later = Rc::new(later);
        let all = steps.to(vec![Some(later.clone()), None]);
        let [(0, times)] = all[..] else {
            panic!("{all:?}");
        };
        assert!((990..1010).contains(&times.turn_p50_ns), "{times:?}");
        assert!(
            times.turn_max_ns >= 99_000 && times.turn_max_ns < 110_000,
            "{times:?}"
        );
        assert!((480..520).contains(&times.busy_permille), "{times:?}");
        let [half, most, longest] = times.delivery_us;
        assert_eq!(half, 50);
        assert!((2000..2020).contains(&most) && most <= longest, "{times:?}");
        assert_eq!(steps.to(vec![Some(later), None]), [], "nothing new");
        let none = told(after(597_000), &now, &sends);
        let all = steps.to(vec![Some(Rc::new(none)), None]);
        let [(0, none)] = all[..] else {
            panic!("{all:?}");
        };
        assert_eq!((none.turn_max_ns, none.busy_permille), (0, 0));
        assert_eq!(none.delivery_us, [0; 3]);
    }

    #[test]
    fn a_shard_that_does_not_answer_is_known() {
        let (handle, _inbox) = crate::shard::commands().unwrap();
        let mut reports = Reports::new(vec![handle]);
        assert!(reports.all_answered());
        reports.ask();
        assert_eq!(reports.silent(), [0]);
        assert!(!reports.all_answered());
    }
}
