//! The objective of a search: `p99=10ms,loss=0`.

use std::fmt;

use crate::limits;
use crate::load::distribution::Distribution;
use crate::load::report::units;
use crate::load::result::Step;
use crate::load::verdict;

/// What a rate must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Slo {
    /// As given.
    text: String,
    latency: Vec<(Percentile, u64)>,
    /// Lost over expected deliveries, at most.
    loss: Option<f64>,
}

/// Of the latency of deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Percentile {
    P50,
    P90,
    P99,
    P999,
    Max,
}

const PERCENTILES: [(&str, Percentile); 5] = [
    ("p50", Percentile::P50),
    ("p90", Percentile::P90),
    ("p99", Percentile::P99),
    ("p999", Percentile::P999),
    ("max", Percentile::Max),
];

/// Units of a duration; `s` last, as it ends the others too.
const UNITS: [(&str, f64); 5] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("µs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
];

impl Slo {
    /// Reads `p50=`, `p90=`, `p99=`, `p999=`, `max=` with a duration (`ns`, `us`, `µs`, `ms`, `s`) and `loss=` with a
    /// share (`0.001`, `0.1%`, or `0`), separated by commas.
    ///
    /// # Errors
    /// What is wrong, in words, where a part is none of these, is given twice, or is not to be had.
    pub fn parse(text: &str) -> Result<Slo, String> {
        let mut slo = Slo {
            text: text.trim().to_owned(),
            latency: Vec::new(),
            loss: None,
        };
        for part in text.split(',') {
            slo.add(part.trim())
                .map_err(|why| format!("{why}; an objective looks like p99=10ms,loss=0"))?;
        }
        Ok(slo)
    }

    fn add(&mut self, part: &str) -> Result<(), String> {
        let (key, value) = part
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()))
            .ok_or_else(|| format!("{part:?} has no `=`"))?;
        if key == "loss" {
            let before = self.loss.replace(share(value)?);
            return once(key, before.is_none());
        }
        let known = PERCENTILES.iter().find(|(name, _)| *name == key);
        let Some((_, percentile)) = known else {
            return Err(format!(
                "{key:?} is none of p50, p90, p99, p999, max and loss"
            ));
        };
        let is_new = self.latency.iter().all(|(other, _)| other != percentile);
        self.latency.push((*percentile, duration_ns(value)?));
        once(key, is_new)
    }

    /// What the step missed, in words; `None` if it held. Below 98 % of the intended messages no objective is held,
    /// whatever the latency of the others.
    pub fn misses(&self, step: &Step) -> Option<String> {
        let mut missed = Vec::new();
        if verdict::falls_short(step, limits::LOAD_SEARCH_RATE_SHARE_MIN) {
            missed.push(format!(
                "published {} of {}",
                units::rate(step.publish_rate),
                units::rate_of(step.rate_intended.unwrap_or_default(), "msg/s")
            ));
        }
        missed.extend(self.loss_missed(step));
        // What has no deliveries has an operation of its own: a connect, a cycle, a replay.
        let latency = match &step.latency {
            known if known.delivery_ns.is_empty() && step.operations.is_some() => {
                &known.operation_ns
            }
            known => &known.delivery_ns,
        };
        if latency.is_empty() && !self.latency.is_empty() {
            missed.push("nothing was delivered".to_owned());
        }
        for (percentile, bound) in &self.latency {
            let (name, value) = percentile.of(latency);
            if value > *bound {
                missed.push(format!(
                    "{name} {} above {}",
                    units::nanos(value as f64),
                    units::nanos(*bound as f64)
                ));
            }
        }
        (!missed.is_empty()).then(|| missed.join(", "))
    }

    fn loss_missed(&self, step: &Step) -> Option<String> {
        let v = &step.verification;
        let share = v.lost as f64 / v.expected.max(1) as f64;
        (v.lost > 0 && share > self.loss?).then(|| {
            format!(
                "lost {} of {} ({})",
                units::count(v.lost),
                units::count(v.expected),
                units::percent(share)
            )
        })
    }
}

impl fmt::Display for Slo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Percentile {
    fn of(self, latency: &Distribution) -> (&'static str, u64) {
        match self {
            Percentile::P50 => ("p50", latency.p50),
            Percentile::P90 => ("p90", latency.p90),
            Percentile::P99 => ("p99", latency.p99),
            Percentile::P999 => ("p99.9", latency.p999),
            Percentile::Max => ("max", latency.max),
        }
    }
}

fn once(key: &str, is_new: bool) -> Result<(), String> {
    match is_new {
        true => Ok(()),
        false => Err(format!("{key} is given twice")),
    }
}

fn number(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}

fn duration_ns(text: &str) -> Result<u64, String> {
    let split = |(unit, ns): &(&str, f64)| Some((text.strip_suffix(unit)?, *ns));
    let Some((digits, unit_ns)) = UNITS.iter().find_map(split) else {
        return Err(format!("{text:?} needs a unit: ns, us, ms or s"));
    };
    let ns = number(digits).map(|value| value * unit_ns);
    match ns {
        Some(ns) if ns >= 1.0 && ns <= limits::LOAD_VALUE_NS_MAX as f64 => Ok(ns.round() as u64),
        Some(_) => Err(format!("{text:?} is not between 1 ns and an hour")),
        None => Err(format!("{text:?} is no duration")),
    }
}

fn share(text: &str) -> Result<f64, String> {
    let value = match text.strip_suffix('%') {
        Some(percent) => number(percent).map(|value| value / 100.0),
        None => number(text),
    };
    let is_share = |value: &f64| *value <= 1.0;
    value
        .filter(is_share)
        .ok_or_else(|| format!("{text:?} is no share: 0, 0.001 or 0.1%"))
}
