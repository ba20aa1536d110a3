//! Where an axis is labelled: round numbers of the unit that the axis measures.

use super::text;

/// A place on an axis; without a label it is only a faint line.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// How many labels an axis should have at most.
const TICKS_MAX: f64 = 6.0;

/// Steps of a time axis, in seconds.
const TIME_STEPS: [f64; 17] = [
    0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0,
    3600.0, 7200.0,
];

/// Labels that a time axis has room for.
const TIME_TICKS_MAX: f64 = 13.0;

fn every(step: f64, high: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
    let last = (high / step + 1e-6).floor().clamp(0.0, 200.0) as u32;
    (0..=last)
        .map(|n| step * f64::from(n))
        .map(|at| Tick {
            at,
            label: label(at),
        })
        .collect()
}

/// The smallest of 1, 2 and 5 times a power of ten that `high` holds no more than `TICKS_MAX` of.
fn decimal_step(high: f64) -> f64 {
    let least = (high / TICKS_MAX).max(1e-9);
    let power = 10f64.powf(least.log10().floor());
    let fits = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|m| m * power >= least * 0.999_999);
    fits.unwrap_or(10.0) * power
}

/// From zero: a number that is not a time and not memory.
pub(super) fn linear(high: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
    every(decimal_step(high), high, label)
}

/// From zero: memory, in steps that are powers of two.
pub(super) fn bytes(high: f64) -> Vec<Tick> {
    let step = 2f64.powf((high / TICKS_MAX).max(1.0).log2().ceil());
    every(step, high, text::bytes)
}

/// From zero: seconds, as `5 s`, `2:30` or `1:05:00`.
pub(super) fn time(high: f64) -> Vec<Tick> {
    let fits = TIME_STEPS
        .into_iter()
        .find(|step| high / step <= TIME_TICKS_MAX);
    let step = fits.unwrap_or_else(|| (high / TIME_TICKS_MAX / 3600.0).ceil() * 3600.0);
    every(step, high, |at| clock(at, high))
}

/// Seconds on an axis that ends at `high`.
pub(super) fn clock(at: f64, high: f64) -> String {
    if !at.is_finite() {
        return text::NONE.to_owned();
    }
    if high <= 120.0 {
        return format!("{}\u{a0}s", text::short(at));
    }
    let whole = at.round();
    let (hours, minutes, seconds) = (
        (whole / 3600.0).floor(),
        (whole % 3600.0 / 60.0).floor(),
        whole % 60.0,
    );
    match hours {
        0.0 => format!("{minutes}:{seconds:02}"),
        hours => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// Decades from `low` to `high`, with faint lines at twice and five times; labels at those too when decades are few.
pub(super) fn log(low: f64, high: f64, label: impl Fn(f64) -> String) -> Vec<Tick> {
    let (first, last) = (
        low.max(1e-9).log10().floor() as i32,
        high.max(1e-9).log10().ceil() as i32,
    );
    let fine = last - first <= 2;
    let mut ticks = Vec::new();
    for power in first..=last.min(first + 20) {
        for times in [1.0, 2.0, 5.0] {
            let at = times * 10f64.powi(power);
            let label = if fine || times == 1.0 {
                label(at)
            } else {
                String::new()
            };
            ticks.push(Tick { at, label });
        }
    }
    ticks
}

/// The ends of a log axis that holds the values, at 1, 2 or 5 times a power of ten.
pub(super) fn log_bounds(low: f64, high: f64) -> (f64, f64) {
    let low = if low.is_finite() { low.max(1.0) } else { 1.0 };
    let high = if high.is_finite() {
        high.max(low * 1.01)
    } else {
        low * 10.0
    };
    let round = |v: f64| {
        let power = 10f64.powf(v.log10().floor());
        [1.0, 2.0, 5.0, 10.0].map(|times| times * power)
    };
    let below = round(low).into_iter().rev().find(|r| *r <= low * 1.000_001);
    let above = round(high).into_iter().find(|r| *r >= high * 0.999_999);
    (below.unwrap_or(low), above.unwrap_or(high))
}

/// Percentiles on an axis of log10(1 / (1 - percentile)): `0 %`, `90 %`, `99 %`, ...
pub(super) fn percentiles(high: f64) -> Vec<Tick> {
    (0..=high.clamp(1.0, 12.0).floor() as usize)
        .map(|nines| Tick {
            at: nines as f64,
            label: match nines {
                0 => "0\u{a0}%".to_owned(),
                1 => "90\u{a0}%".to_owned(),
                2 => "99\u{a0}%".to_owned(),
                n => format!("99.{}\u{a0}%", "9".repeat(n - 2)),
            },
        })
        .collect()
}
