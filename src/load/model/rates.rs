//! When events happen: rates over the model's day, and a Poisson process that follows them.
//!
//! The rates are made for what was published of May 2017 (100 to 2,600 messages a minute, bursts every 15 minutes):
//! people and their tests follow the time of day, cron follows the quarter-hours, the full hour above all.

use std::f64::consts::TAU;

use fastrand::Rng;

use crate::load::arrivals::exponential;

/// Minutes from burst to burst.
pub const CYCLE_MINUTES: u64 = 15;

/// The time of day at which a run begins unless told: a busy afternoon, five minutes before the full hour's burst.
pub const START_MINUTE: f64 = 13.0 * 60.0 + 55.0;

const DAY_MINUTES: f64 = 24.0 * 60.0;

/// The quietest minute of the day.
const NIGHT_MINUTE: f64 = 3.0 * 60.0;

/// Messages a minute at the start of a burst, of the average size; it fades with this time constant.
const BURST_PER_MINUTE: f64 = 1400.0;
const BURST_FADES_MINUTES: f64 = 1.2;

/// Sizes of the four bursts of an hour.
const BURST_SIZES: [f64; 4] = [1.75, 0.8, 1.1, 0.8];

/// What the rates are rates of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gerrit,
    Launchpad,
    /// Playbooks started by people: few hosts, at any time.
    AdHoc,
    /// Playbooks started by cron: many hosts, in bursts.
    Cron,
    Subunit,
    Logstash,
}

pub(super) const KINDS: [Kind; 6] = [
    Kind::Gerrit,
    Kind::Launchpad,
    Kind::AdHoc,
    Kind::Cron,
    Kind::Subunit,
    Kind::Logstash,
];

/// Messages a minute of each kind at a minute of the model's time, which counts from midnight.
pub(super) fn per_minute(minute: f64) -> [f64; KINDS.len()] {
    let day = 0.5 - 0.5 * ((minute - NIGHT_MINUTE) / DAY_MINUTES * TAU).cos();
    let between = |night: f64, noon: f64| night + (noon - night) * day;
    let cycle = CYCLE_MINUTES as f64;
    let size = BURST_SIZES[(minute / cycle) as usize % BURST_SIZES.len()];
    let burst = size * (-(minute % cycle) / BURST_FADES_MINUTES).exp();
    KINDS.map(|kind| match kind {
        Kind::Gerrit => between(85.0, 260.0),
        Kind::Launchpad => between(3.0, 10.0),
        Kind::AdHoc => 25.0,
        Kind::Cron => BURST_PER_MINUTE * burst,
        Kind::Subunit => between(6.0, 18.0),
        Kind::Logstash => between(32.0, 98.0),
    })
}

/// The process: exact for rates that are constant through each second of the model's time.
pub(super) struct Process {
    rng: Rng,
    scale: f64,
    start_minute: f64,
    /// Real nanoseconds of a second of the model.
    second_ns: f64,
    /// The second that it is in.
    second: u64,
    at_ns: f64,
    /// Events a nanosecond, of each kind and those before it.
    below: [f64; KINDS.len()],
}

impl Process {
    /// A process in which `scale` multiplies the rates and `time_lapse` seconds of the model pass in a second.
    pub(super) fn new(seed: u64, scale: f64, time_lapse: f64, start_minute: f64) -> Self {
        let mut process = Process {
            rng: Rng::with_seed(seed),
            scale,
            start_minute,
            second_ns: 1e9 / time_lapse,
            second: 0,
            at_ns: 0.0,
            below: [0.0; KINDS.len()],
        };
        process.set_rates();
        process
    }

    /// Goes to the next event and says of which kind it is.
    pub(super) fn next(&mut self) -> Kind {
        loop {
            let gap_ns = exponential(&mut self.rng) / self.below[KINDS.len() - 1];
            let end_ns = (self.second + 1) as f64 * self.second_ns;
            if self.at_ns + gap_ns < end_ns {
                self.at_ns += gap_ns;
                return self.draw();
            }
            // A gap that is cut off begins anew: exponential gaps have no memory.
            self.at_ns = end_ns;
            self.second += 1;
            self.set_rates();
        }
    }

    /// The time of the event, from the start.
    pub(super) fn at_ns(&self) -> u64 {
        self.at_ns as u64
    }

    /// The second of the model's time, from the start.
    pub(super) fn second(&self) -> u64 {
        self.second
    }

    fn set_rates(&mut self) {
        let minute = self.start_minute + (self.second as f64 + 0.5) / 60.0;
        let mut below = 0.0;
        for (at, rate) in per_minute(minute).into_iter().enumerate() {
            below += rate * self.scale / 60e9;
            self.below[at] = below;
        }
    }

    fn draw(&mut self) -> Kind {
        let drawn = self.rng.f64() * self.below[KINDS.len() - 1];
        let at = self.below.iter().position(|below| drawn < *below);
        KINDS[at.unwrap_or(KINDS.len() - 1)]
    }
}
