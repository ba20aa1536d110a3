//! A histogram as Prometheus' classic ones: how many were no longer than each of some bounds.

use hdrhistogram::Histogram;

/// Bounds: from 8 µs on each is twice the one before, up to 134 s.
const BOUNDS: usize = 25;
/// Counts: one for each bound, and one for what is above all.
pub(super) const SLOTS: usize = BOUNDS + 1;
/// Microseconds of the least.
const LEAST_US: u64 = 8;

const US_PER_S: f64 = 1e6;

/// See the module.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Buckets {
    /// By bound: those above the one before; the last ones are above all.
    counts: [u64; SLOTS],
    sum_s: f64,
}

impl Buckets {
    /// What was recorded in parts of a microsecond, so many of them. A recorded value is always in the same bucket, so that no count
    /// ever falls.
    pub(super) fn of(histogram: &Histogram<u64>, parts: u64) -> Buckets {
        let mut buckets = Buckets::default();
        let mut place = 0;
        for recorded in histogram.iter_recorded() {
            let value = recorded.value_iterated_to();
            while place < BOUNDS && (LEAST_US * parts) << place < value {
                place += 1;
            }
            buckets.counts[place] += recorded.count_since_last_iteration();
        }
        if !histogram.is_empty() {
            buckets.sum_s = histogram.mean() * histogram.len() as f64 / (US_PER_S * parts as f64);
        }
        buckets
    }

    /// Those of another one too.
    pub(super) fn add(&mut self, other: &Buckets) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.sum_s += other.sum_s;
    }

    /// Seconds of each bound, and how many were no longer.
    pub(super) fn cumulated(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut below = 0;
        self.counts[..BOUNDS]
            .iter()
            .enumerate()
            .map(move |(place, count)| {
                below += count;
                ((LEAST_US << place) as f64 / US_PER_S, below)
            })
    }

    /// Microseconds of each bound.
    pub(super) fn bounds_us() -> impl Iterator<Item = u64> {
        (0..BOUNDS).map(|place| LEAST_US << place)
    }

    /// By bound: those above the one before; the last ones are above all.
    pub(super) fn counts(&self) -> [u64; SLOTS] {
        self.counts
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Seconds of all together.
    pub(super) fn sum_s(&self) -> f64 {
        self.sum_s
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_is_below_its_bound() {
        let mut histogram = Histogram::new_with_bounds(1, 1 << 40, 2).unwrap();
        for ns in [1, 7900, 9000, 1_000_000, 200_000_000_000] {
            histogram.record(ns).unwrap();
        }
        let buckets = Buckets::of(&histogram, 1000);
        let all: Vec<(f64, u64)> = buckets.cumulated().collect();
        assert_eq!(all[0], (8e-6, 2));
        assert_eq!(all[1], (16e-6, 3));
        assert_eq!(all[7], (1.024e-3, 4));
        assert_eq!(all[24], (134.217_728, 4));
        assert_eq!(buckets.count(), 5);
        assert!((198.0..202.0).contains(&buckets.sum_s()));
        let mut twice = buckets.clone();
        twice.add(&buckets);
        assert_eq!(twice.count(), 10);
        let none = Buckets::of(&Histogram::new(2).unwrap(), 1);
        assert_eq!(none, Buckets::default());
        let mut histogram = Histogram::new(2).unwrap();
        histogram.record(9).unwrap();
        let all: Vec<(f64, u64)> = Buckets::of(&histogram, 1).cumulated().collect();
        assert_eq!((all[0].1, all[1].1), (0, 1));
    }
}
