//! What a worker measures of a step: counts and histograms, by interval and in all.

use hdrhistogram::Histogram;

use super::distribution::new_histogram;
use crate::limits;

/// Digits of an interval's histogram once the interval is over: 1 %, so that a long run does not cost gigabytes.
const INTERVAL_DIGITS: u8 = 2;

/// Messages and bytes in a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub published: u64,
    pub delivered: u64,
    pub published_bytes: u64,
    pub delivered_bytes: u64,
}

impl Counts {
    /// Adds another's.
    pub fn add(&mut self, other: &Counts) {
        self.published += other.published;
        self.delivered += other.delivered;
        self.published_bytes += other.published_bytes;
        self.delivered_bytes += other.delivered_bytes;
    }
}

/// One interval of a step.
#[derive(Clone, Debug)]
pub struct Slice {
    /// Its number, from the start of the step.
    pub index: u64,
    pub measured: bool,
    pub counts: Counts,
    pub latency: Histogram<u64>,
}

/// The times of a step, in nanoseconds of the run's clock.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start_ns: u64,
    /// Before it is warm-up.
    pub measure_ns: u64,
    /// From it on nothing is published.
    pub end_ns: u64,
    /// The length of an interval.
    pub interval_ns: u64,
}

impl Window {
    /// From a time on, without an end that anybody lives to see; nothing is measured.
    pub const fn endless(start_ns: u64) -> Window {
        const FAR_NS: u64 = u64::MAX / 4;
        Window {
            start_ns,
            measure_ns: FAR_NS,
            end_ns: FAR_NS,
            interval_ns: FAR_NS,
        }
    }

    /// It ends at a time before its end; what would have been measured behind that is not.
    pub fn cease(&mut self, end_ns: u64) {
        self.end_ns = self.end_ns.min(end_ns);
        self.measure_ns = self.measure_ns.min(end_ns);
    }

    /// Whether a time is in the measured part.
    #[inline]
    pub fn measures(&self, at_ns: u64) -> bool {
        at_ns >= self.measure_ns && at_ns < self.end_ns
    }

    fn index(&self, at_ns: u64) -> u64 {
        at_ns.saturating_sub(self.start_ns) / self.interval_ns.max(1)
    }
}

/// What one worker measures of one step.
#[derive(Debug)]
pub struct Meter {
    pub window: Window,
    /// Whether latency from the time in the message means anything in this step.
    pub times_deliveries: bool,
    current: Counts,
    current_index: u64,
    /// The time at which the current interval ends, or the measured part begins or ends.
    roll_ns: u64,
    current_latency: Histogram<u64>,
    /// Of the measured part.
    pub measured: Counts,
    pub delivery: Histogram<u64>,
    pub ack: Histogram<u64>,
    pub slip: Histogram<u64>,
    pub operation: Histogram<u64>,
    pub slices: Vec<Slice>,
    /// p99 of the last interval, for the progress line.
    pub last_p99_ns: u64,
}

impl Meter {
    pub fn new(window: Window, times_deliveries: bool) -> Self {
        let mut meter = Meter {
            window,
            times_deliveries,
            current: Counts::default(),
            current_index: 0,
            roll_ns: 0,
            current_latency: new_histogram(),
            measured: Counts::default(),
            delivery: new_histogram(),
            ack: new_histogram(),
            slip: new_histogram(),
            operation: new_histogram(),
            slices: Vec::new(),
            last_p99_ns: 0,
        };
        meter.roll_ns = meter.next_roll(window.start_ns);
        meter
    }

    /// To be called with every new reading of the clock, before anything is counted at that time.
    #[inline]
    pub fn at(&mut self, now_ns: u64) {
        if now_ns >= self.roll_ns {
            self.roll(now_ns);
        }
    }

    /// A message was published, `slip_ns` later than it was to be.
    #[inline]
    pub fn published(&mut self, bytes: usize, intended_ns: u64, slip_ns: Option<u64>) {
        self.current.published += 1;
        self.current.published_bytes += bytes as u64;
        if let Some(slip_ns) = slip_ns
            && self.window.measures(intended_ns)
        {
            self.slip.saturating_record(slip_ns);
        }
    }

    /// A message was delivered.
    #[inline]
    pub fn delivered(&mut self, bytes: usize, intended_ns: u64, now_ns: u64) {
        self.current.delivered += 1;
        self.current.delivered_bytes += bytes as u64;
        if self.times_deliveries && self.window.measures(intended_ns) {
            self.current_latency
                .saturating_record(now_ns.saturating_sub(intended_ns));
        }
    }

    /// A publish was acknowledged.
    pub fn acked(&mut self, at_ns: u64, now_ns: u64) {
        if self.window.measures(at_ns) {
            self.ack.saturating_record(now_ns.saturating_sub(at_ns));
        }
    }

    /// An operation of the workload's own succeeded.
    pub fn operated(&mut self, intended_ns: u64, now_ns: u64) {
        if self.window.measures(intended_ns) {
            self.operation
                .saturating_record(now_ns.saturating_sub(intended_ns));
        }
    }

    /// The step ends at a time that is to come.
    pub fn cease(&mut self, end_ns: u64) {
        self.window.cease(end_ns);
        self.roll_ns = self.roll_ns.min(self.window.end_ns);
    }

    /// Ends the current interval for good.
    pub fn finish(&mut self) {
        self.close_interval();
    }

    #[cold]
    fn roll(&mut self, now_ns: u64) {
        self.close_interval();
        self.current_index = self.window.index(now_ns);
        self.roll_ns = self.next_roll(now_ns);
    }

    fn next_roll(&self, now_ns: u64) -> u64 {
        let window = &self.window;
        let next = window.start_ns + (window.index(now_ns) + 1) * window.interval_ns.max(1);
        [window.measure_ns, window.end_ns]
            .into_iter()
            .filter(|&edge| edge > now_ns)
            .fold(next, u64::min)
    }

    /// Whether the current interval, which ends no later than `roll_ns`, is measured.
    fn is_measured(&self) -> bool {
        self.roll_ns > self.window.measure_ns && self.roll_ns <= self.window.end_ns
    }

    fn close_interval(&mut self) {
        let measured = self.is_measured();
        let counts = std::mem::take(&mut self.current);
        if measured {
            self.measured.add(&counts);
        }
        let mut compact = Histogram::new(INTERVAL_DIGITS).unwrap_or_else(|_| new_histogram());
        if !self.current_latency.is_empty() {
            self.last_p99_ns = self.current_latency.value_at_quantile(0.99);
            // Both have the same bounds, and the smaller one grows.
            let _ = self.delivery.add(&self.current_latency);
            for value in self.current_latency.iter_recorded() {
                // It grows with its values; recording into it with saturation would not let it.
                let _ = compact.record_n(value.value_iterated_to(), value.count_at_value());
            }
            self.current_latency.reset();
        }
        match self.slices.last_mut() {
            Some(slice) if slice.index == self.current_index && slice.measured == measured => {
                slice.counts.add(&counts);
                let _ = slice.latency.add(&compact);
            }
            _ if counts == Counts::default() && compact.is_empty() => {}
            _ => self.slices.push(Slice {
                index: self.current_index,
                measured,
                counts,
                latency: compact,
            }),
        }
    }
}

/// First and last arrival of sampled messages: the spread of a fan-out, put together from all workers.
#[derive(Clone, Debug, Default)]
pub struct Spread {
    every: u32,
    arrivals: std::collections::HashMap<(u32, u32), Arrivals>,
}

/// When a message reached its first and its last subscriber so far.
#[derive(Clone, Copy, Debug)]
struct Arrivals {
    first_ns: u64,
    last_ns: u64,
    count: u32,
}

impl Spread {
    /// Samples every `every`th message of a stream; none when it is 0.
    pub fn new(every: u32) -> Self {
        Spread {
            every,
            ..Spread::default()
        }
    }

    /// Every how manieth message is sampled; 0: none.
    pub fn every(&self) -> u32 {
        self.every
    }

    /// A delivery.
    #[inline]
    pub fn see(&mut self, stream: u32, sequence: u32, now_ns: u64) {
        if self.every != 0 && (self.every == 1 || sequence.is_multiple_of(self.every)) {
            self.note(stream, sequence, now_ns);
        }
    }

    fn note(&mut self, stream: u32, sequence: u32, now_ns: u64) {
        if self.arrivals.len() >= limits::LOAD_SPREAD_MESSAGES_MAX
            && !self.arrivals.contains_key(&(stream, sequence))
        {
            return;
        }
        let arrivals = self.arrivals.entry((stream, sequence)).or_insert(Arrivals {
            first_ns: now_ns,
            last_ns: now_ns,
            count: 0,
        });
        arrivals.last_ns = now_ns;
        arrivals.count += 1;
    }

    /// Puts another worker's in.
    pub fn merge(&mut self, other: Spread) {
        for (key, theirs) in other.arrivals {
            self.arrivals
                .entry(key)
                .and_modify(|ours| {
                    ours.first_ns = ours.first_ns.min(theirs.first_ns);
                    ours.last_ns = ours.last_ns.max(theirs.last_ns);
                    ours.count += theirs.count;
                })
                .or_insert(theirs);
        }
    }

    /// The spreads of messages that reached more than one subscriber and were first seen in the measured part.
    pub fn histogram(&self, window: &Window) -> Histogram<u64> {
        let mut histogram = new_histogram();
        for arrivals in self.arrivals.values() {
            if arrivals.count > 1 && window.measures(arrivals.first_ns) {
                histogram.saturating_record(arrivals.last_ns - arrivals.first_ns);
            }
        }
        histogram
    }
}

#[cfg(test)]
mod tests;
