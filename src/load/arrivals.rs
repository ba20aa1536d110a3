//! When messages are due: open-loop schedules, which do not know how the broker fares.
//!
//! Times are nanoseconds from the start of the step. A schedule is a function of its parameters: no clock, and chance
//! from a seed alone.

use fastrand::Rng;

use crate::limits;

const NS_PER_S: f64 = 1e9;

/// A schedule of one worker: the time of its next message, and a step to the one behind it.
#[derive(Clone, Debug)]
pub enum Arrivals {
    Constant(Constant),
    Poisson(Poisson),
}

/// Evenly spaced: message `k` of all workers together is due at `k / rate`.
#[derive(Clone, Debug)]
pub struct Constant {
    rate_per_s: f64,
    message: u64,
    stride: u64,
    due_ns: u64,
}

/// Independent arrivals: exponential gaps.
#[derive(Clone, Debug)]
pub struct Poisson {
    mean_gap_ns: f64,
    due_ns: f64,
    rng: Rng,
}

/// When that is over whose next part is due at `due_ns`: what is due before the end is done behind it by a worker that is
/// late, for a while. To leave it out would hide that it was late.
#[inline]
pub fn over_ns(due_ns: u64, end_ns: u64) -> u64 {
    match due_ns < end_ns {
        true => end_ns.saturating_add(limits::LOAD_LATE_MS_MAX * 1_000_000),
        false => end_ns,
    }
}

impl Arrivals {
    /// Messages at `rate_per_s` in all, of which this worker sends `first`, `first + stride`, and so on. No message
    /// is ever due at a rate of 0.
    pub fn constant(rate_per_s: f64, first: u64, stride: u64) -> Self {
        let mut constant = Constant {
            rate_per_s,
            message: first,
            stride: stride.max(1),
            due_ns: 0,
        };
        constant.set_due();
        Arrivals::Constant(constant)
    }

    /// Messages of this worker alone, `rate_per_s` on average; the first comes after a gap. Workers that share a rate
    /// divide it and take different seeds: independent arrivals add up to such.
    pub fn poisson(rate_per_s: f64, seed: u64) -> Self {
        let mut poisson = Poisson {
            mean_gap_ns: if rate_per_s > 0.0 {
                NS_PER_S / rate_per_s
            } else {
                f64::INFINITY
            },
            due_ns: 0.0,
            rng: Rng::with_seed(seed),
        };
        poisson.advance();
        Arrivals::Poisson(poisson)
    }

    /// When the next message is due; the same until `advance`.
    #[inline]
    pub fn next_due_ns(&self) -> u64 {
        match self {
            Arrivals::Constant(constant) => constant.due_ns,
            Arrivals::Poisson(poisson) => poisson.due_ns as u64,
        }
    }

    /// Goes to the message behind it.
    #[inline]
    pub fn advance(&mut self) {
        match self {
            Arrivals::Constant(constant) => {
                constant.message += constant.stride;
                constant.set_due();
            }
            Arrivals::Poisson(poisson) => poisson.advance(),
        }
    }
}

impl Constant {
    /// Computed from the message's number, not added up: rounding does not accumulate.
    #[inline]
    fn set_due(&mut self) {
        self.due_ns = if self.rate_per_s > 0.0 {
            (self.message as f64 * NS_PER_S / self.rate_per_s + 0.5) as u64
        } else {
            u64::MAX
        };
    }
}

impl Poisson {
    #[inline]
    fn advance(&mut self) {
        self.due_ns += self.mean_gap_ns * exponential(&mut self.rng);
    }
}

/// Exponentially distributed with mean 1; never 0, so that an infinite mean gap stays infinite.
#[inline]
pub fn exponential(rng: &mut Rng) -> f64 {
    // From 2^-53 up to just under 1.
    let uniform = ((rng.u64(..) >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64);
    -uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn count_before(mut arrivals: Arrivals, end_ns: u64) -> u64 {
        let mut count = 0;
        while arrivals.next_due_ns() < end_ns {
            arrivals.advance();
            count += 1;
        }
        count
    }

    #[test]
    fn a_second_holds_exactly_the_rate() {
        for rate in [1, 3, 7, 999, 50_000, 333_333, 1_000_003] {
            let arrivals = Arrivals::constant(rate as f64, 0, 1);
            assert_eq!(count_before(arrivals, SECOND), rate, "{rate}");
        }
        assert_eq!(count_before(Arrivals::constant(0.5, 0, 1), 10 * SECOND), 5);
    }

    #[test]
    fn workers_divide_the_messages_and_take_turns() {
        let mut workers: Vec<_> = (0..3).map(|i| Arrivals::constant(1000.0, i, 3)).collect();
        for message in 0..100 {
            let worker = &mut workers[message % 3];
            assert_eq!(worker.next_due_ns(), message as u64 * 1_000_000);
            worker.advance();
        }
    }

    /// Message k is due at k / rate after a day too, to the nanosecond.
    #[test]
    fn nothing_drifts() {
        for rate in [3u64, 7, 30_011, 340_000, 1_000_003] {
            for second in [1u64, 3_600, 86_400] {
                let arrivals = Arrivals::constant(rate as f64, second * rate, 1);
                assert_eq!(arrivals.next_due_ns(), second * SECOND, "{rate}");
                let message = second * rate + rate / 2;
                let exact = u128::from(message) * u128::from(SECOND) / u128::from(rate);
                let due = Arrivals::constant(rate as f64, message, 1).next_due_ns();
                assert!(u128::from(due).abs_diff(exact) <= 1, "{rate} {second}");
            }
        }
    }

    #[test]
    fn odd_rates_do_no_harm() {
        for rate in [0.0, -1.0, f64::NAN] {
            assert_eq!(Arrivals::constant(rate, 0, 1).next_due_ns(), u64::MAX);
            let mut poisson = Arrivals::poisson(rate, 1);
            poisson.advance();
            assert_eq!(poisson.next_due_ns(), u64::MAX);
        }
        let mut flood = Arrivals::constant(f64::INFINITY, 0, 0);
        flood.advance();
        assert_eq!(flood.next_due_ns(), 0);
    }

    /// Counts of a Poisson process have their mean as variance, and its gaps too many short ones for an even pace.
    #[test]
    fn poisson_has_its_mean_and_variance() {
        let (rate, seconds) = (1000.0, 400);
        let mut arrivals = Arrivals::poisson(rate, 7);
        let (mut sum, mut squares) = (0.0, 0.0);
        for second in 1..=seconds {
            let mut count = 0.0;
            while arrivals.next_due_ns() < second * SECOND {
                arrivals.advance();
                count += 1.0;
            }
            sum += count;
            squares += count * count;
        }
        let mean = sum / seconds as f64;
        let variance = squares / seconds as f64 - mean * mean;
        assert!((mean / rate - 1.0).abs() < 0.01, "{mean}");
        assert!((variance / rate - 1.0).abs() < 0.25, "{variance}");
    }

    #[test]
    fn exponential_has_its_distribution() {
        let mut rng = Rng::with_seed(3);
        let draws: Vec<f64> = (0..100_000).map(|_| exponential(&mut rng)).collect();
        let above = |x: f64| draws.iter().filter(|draw| **draw > x).count() as f64 / 1e5;
        for x in [0.1, 0.5, 1.0, 2.0, 4.0] {
            assert!((above(x) - (-x).exp()).abs() < 0.01, "{x}: {}", above(x));
        }
        assert!(draws.iter().all(|draw| *draw > 0.0));
    }

    #[test]
    fn the_same_seed_gives_the_same_times() {
        let times = |seed| {
            let mut arrivals = Arrivals::poisson(50_000.0, seed);
            let mut times = Vec::new();
            for _ in 0..1000 {
                times.push(arrivals.next_due_ns());
                arrivals.advance();
            }
            times
        };
        assert_eq!(times(1), times(1));
        assert_ne!(times(1), times(2));
        assert!(times(1).is_sorted());
    }
}
