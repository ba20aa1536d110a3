//! All figures of the broker at one moment, each with its kind and what it says. `$SYS` is one way to show them.
//!
//! A figure is one line where it is counted: in `broker/counters.rs` or `shard/metrics.rs` (of each shard, and of all together), in
//! `memory/values.rs`, or here. Whoever shows figures needs to know none of them.

use std::sync::atomic::Ordering;

use crate::broker::Counters;
use crate::figure::{Figure, Kind};
use crate::ids::ShardId;
use crate::shard::{Metric, Metrics, Shared};

use super::log::LostLines;
use super::reports::Times;
use super::sample::{Of, Sample};

const LOG_REFUSED: Figure =
    Figure::counter("log_refused", "Log lines that a destination has not taken.");

/// A figure, and how it is read from a report.
type OfTimes = (Figure, fn(&Times) -> u64);

/// What a report says of the turns and sends of a shard since the one before.
const TIMES: [OfTimes; 7] = [
    (
        Figure::level(
            "turn/p50_us",
            "Microseconds: half of the turns took no longer.",
        ),
        |times| times.turn_p50_ns / 1000,
    ),
    (
        Figure::level(
            "turn/p99_us",
            "Microseconds: 99 of 100 turns took no longer.",
        ),
        |times| times.turn_p99_ns / 1000,
    ),
    (
        Figure::level("turn/max_us", "Microseconds: the longest turn."),
        |times| times.turn_max_ns / 1000,
    ),
    (
        Figure::level(
            "busy_permille",
            "Thousandths of the time that were spent in turns.",
        ),
        |times| times.busy_permille,
    ),
    (
        Figure::level(
            "delivery/p50_us",
            "Microseconds: half of the sends had waited no longer for their sockets.",
        ),
        |times| times.delivery_us[0],
    ),
    (
        Figure::level(
            "delivery/p99_us",
            "Microseconds: 99 of 100 sends had waited no longer for their sockets.",
        ),
        |times| times.delivery_us[1],
    ),
    (
        Figure::level(
            "delivery/max_us",
            "Microseconds: the longest that a send had waited for its socket.",
        ),
        |times| times.delivery_us[2],
    ),
];

/// See the module.
pub(super) struct Snapshot {
    samples: Vec<Sample>,
    counters: Counters,
    metrics: Metrics,
}

impl Snapshot {
    /// As the shards have published it, with what was reported of their turns.
    pub(super) fn of_shards(shared: &Shared, times: &[(u8, Times)], lost: &LostLines) -> Snapshot {
        let mut samples = Vec::new();
        let mut counters = [0; Counters::COUNT];
        let mut metrics = [0; Metrics::COUNT];
        for shard in 0..shared.shards() {
            let board = shared.board(ShardId(shard));
            let (of_brain, of_thread) = (board.counters().values(), board.metrics());
            let mut add = |figures: &[Figure], values: &[u64], all: &mut [u64]| {
                for ((&figure, &value), all) in figures.iter().zip(values).zip(all) {
                    let of = Of::Shard(shard);
                    samples.push(Sample { of, figure, value });
                    *all = figure.together(*all, value);
                }
            };
            add(&Counters::FIGURES, &of_brain, &mut counters);
            add(&Metrics::FIGURES, of_thread.values(), &mut metrics);
        }
        metrics[Metric::LogDropped as usize] += lost.own.load(Ordering::Relaxed);
        let refused = lost.refused.load(Ordering::Relaxed);
        let of_brains = Counters::FIGURES.into_iter().zip(counters);
        let of_threads = Metrics::FIGURES.into_iter().zip(metrics);
        let all = of_brains.chain(of_threads).chain([(LOG_REFUSED, refused)]);
        // The peak of a shard is none of the broker's.
        let all = all.filter(|(figure, _)| figure.kind != Kind::Peak);
        samples.extend(all.map(|(figure, value)| Sample {
            of: Of::Broker,
            figure,
            value,
        }));
        for (shard, times) in times {
            samples.extend(TIMES.iter().map(|&(figure, value)| Sample {
                of: Of::Shard(*shard),
                figure,
                value: value(times),
            }));
        }
        Snapshot {
            samples,
            counters: Counters::from_values(counters),
            metrics: Metrics::from_values(metrics),
        }
    }

    /// With these figures too.
    pub(super) fn with(mut self, samples: impl IntoIterator<Item = Sample>) -> Snapshot {
        self.samples.extend(samples);
        self
    }

    /// All of them.
    pub(super) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What the threads of all shards have counted together.
    pub(super) fn of_threads(&self, metric: Metric) -> u64 {
        self.metrics.get(metric)
    }

    /// What the brains of all shards have counted together.
    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;
    use crate::budget::{Plan, Pool};
    use crate::control::memory::Monitor;
    use crate::figure::Unit;

    #[test]
    fn each_figure_is_there_once_and_says_what_it_is() {
        let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 2));
        let shared = Shared::new(2, Vec::new(), None, pool);
        let times = Times {
            turn_p50_ns: 1000,
            turn_p99_ns: 2000,
            turn_max_ns: 3000,
            busy_permille: 4,
            delivery_us: [5, 6, 7],
        };
        let lost = LostLines::default();
        lost.own.store(3, Ordering::Relaxed);
        let snapshot = Snapshot::of_shards(&shared, &[(1, times)], &lost);
        let snapshot = snapshot.with(Monitor::new(shared.pool().clone()).samples());
        let samples = snapshot.samples();
        let places: BTreeSet<String> = samples
            .iter()
            .map(|sample| format!("{:?} {}", sample.of, sample.figure.name))
            .collect();
        assert_eq!(places.len(), samples.len());
        let value = |of, name| {
            let mut found = samples.iter();
            let found = found.find(|one| (one.of, one.figure.name) == (of, name));
            found.map(|sample| sample.value)
        };
        assert_eq!(value(Of::Broker, "log_dropped"), Some(3));
        assert_eq!(value(Of::Shard(0), "log_dropped"), Some(0));
        assert_eq!(value(Of::Shard(1), "turn/max_us"), Some(3));
        assert_eq!(value(Of::Shard(1), "delivery/max_us"), Some(7));
        // Two peaks are no peak of both.
        assert_eq!(value(Of::Shard(0), "clients_maximum"), Some(0));
        assert_eq!(value(Of::Broker, "clients_maximum"), None);
        for sample in samples {
            let Figure {
                name, kind, help, ..
            } = sample.figure;
            assert!(
                help.ends_with('.') && !help.starts_with(' '),
                "{name}: {help}"
            );
            assert_eq!(name.ends_with("_maximum"), kind == Kind::Peak, "{name}");
            // Whoever shows it in another unit goes by this.
            let starts = [
                ("Bytes ", Unit::Bytes),
                ("Microseconds", Unit::Microseconds),
                ("Seconds ", Unit::Seconds),
                ("Thousandths ", Unit::Permille),
                ("Hundredths ", Unit::Percent),
            ];
            for (start, unit) in starts {
                if help.starts_with(start) {
                    assert_eq!(sample.figure.unit, unit, "{name}: {help}");
                }
            }
        }
    }

    #[test]
    fn peaks_do_not_add_up() {
        let peak = Figure::peak("a", "");
        let level = Figure::level("a", "");
        assert_eq!((peak.together(2, 3), level.together(2, 3)), (3, 5));
    }
}
