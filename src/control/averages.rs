//! Moving averages over 1, 5 and 15 minutes, as `$SYS/broker/load/+` gives them: per minute, updated by the interval.

/// Minutes of the three averages.
pub(super) const MINUTES: [u32; 3] = [1, 5, 15];

/// The averages of one counter.
#[derive(Clone, Debug, Default)]
pub(super) struct Average {
    last: u64,
    averages: [f64; 3],
}

impl Average {
    /// The counter shows `value`, `interval_s` seconds (above 0) after the last call. An exponential average, as
    /// Mosquitto's.
    pub(super) fn update(&mut self, value: u64, interval_s: f64) {
        let per_minute = (value - self.last.min(value)) as f64 * 60.0 / interval_s;
        self.last = value;
        for (average, minutes) in self.averages.iter_mut().zip(MINUTES) {
            let keep = (-interval_s / (60.0 * f64::from(minutes))).exp();
            *average = per_minute + keep * (*average - per_minute);
        }
    }

    /// The averages over 1, 5 and 15 minutes, per minute.
    pub(super) fn averages(&self) -> [f64; 3] {
        self.averages
    }
}
