//! The figures that stand for a run: each with its name, its unit, which way is better, and where it comes from.

use super::{pick, units};
use crate::load::distribution::Distribution;
use crate::load::result::{BrokerUse, Report, Run, Step, Verification};

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    PerSecond,
    Nanos,
    Bytes,
    Count,
    /// Of one.
    Share,
}

/// Which way a figure should go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Higher,
    Lower,
    /// Neither: it says how the load was.
    Neither,
}

/// What a figure is taken from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    pub report: &'a Report,
    pub run: &'a Run,
    /// The step that `pick::focus` names.
    pub step: Option<&'a Step>,
}

/// One figure; `None` where the run knows nothing of it.
pub struct Figure {
    /// With its unit, as in the summary of the JSON report.
    pub name: &'static str,
    /// For people, without a unit.
    pub label: &'static str,
    pub unit: Unit,
    pub better: Better,
    of: fn(Source) -> Option<f64>,
}

impl Unit {
    /// A value with its unit, for people.
    pub fn write(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", units::rate_of(value, "").trim_end()),
            Unit::Nanos => units::nanos(value),
            Unit::Bytes => units::bytes(value),
            Unit::Count => units::rate(value),
            Unit::Share => units::percent(value),
        }
    }
}

impl Figure {
    /// Its value in a run; never one that is not finite.
    pub fn of(&self, report: &Report, run: &Run) -> Option<f64> {
        let step = pick::focus(report, run);
        (self.of)(Source { report, run, step }).filter(|v| v.is_finite())
    }
}

/// The figure of that name.
pub fn named(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|f| f.name == name)
}

fn delivery(s: Source, of: fn(&Distribution) -> u64) -> Option<f64> {
    filled(&s.step?.latency.delivery_ns, of)
}

fn filled(d: &Distribution, of: fn(&Distribution) -> u64) -> Option<f64> {
    (!d.is_empty()).then(|| of(d) as f64)
}

/// The sum over all steps, where there were messages.
fn total(s: Source, of: fn(&Verification) -> u64) -> Option<f64> {
    let had = |s: &Step| s.published + s.verification.expected + s.verification.received > 0;
    let steps = &s.run.steps;
    let sum = || steps.iter().map(|s| of(&s.verification) as f64).sum();
    steps.iter().any(had).then(sum)
}

/// The largest of all steps.
fn peak(s: Source, of: fn(&BrokerUse) -> Option<u64>) -> Option<f64> {
    let known = s.run.steps.iter().filter_map(|s| s.broker.as_ref());
    let most = known.filter_map(of).max()?;
    (most > 0).then_some(most as f64)
}

fn busiest(step: &Step) -> Option<f64> {
    step.tester
        .workers
        .iter()
        .map(|w| w.busy)
        .max_by(f64::total_cmp)
}

macro_rules! figures {
    ($($name:literal $label:literal $unit:ident $better:ident $of:expr;)*) => {
        &[$(Figure {
            name: $name,
            label: $label,
            unit: Unit::$unit,
            better: Better::$better,
            of: $of,
        }),*]
    };
}

/// All of them, in the order of reading. Figures of a step are of the one in focus; counts of what went wrong are sums
/// over all steps of the run, peaks the largest of all steps.
#[rustfmt::skip]
pub static FIGURES: &[Figure] = figures![
    "max_rate" "highest rate that holds" PerSecond Higher |s| s.report.search.as_ref()?.max_rate;
    "publish_rate_per_s" "published" PerSecond Higher |s| s.step.filter(|s| s.published > 0).map(|s| s.publish_rate);
    "delivery_rate_per_s" "delivered" PerSecond Higher
        |s| s.step.filter(|s| s.delivered + s.verification.expected > 0).map(|s| s.delivery_rate);
    "operations_per_s" "operations" PerSecond Higher |s| Some(s.step?.operations.as_ref()?.rate);
    "latency_p50_ns" "latency p50" Nanos Lower |s| delivery(s, |d| d.p50);
    "latency_p90_ns" "latency p90" Nanos Lower |s| delivery(s, |d| d.p90);
    "latency_p99_ns" "latency p99" Nanos Lower |s| delivery(s, |d| d.p99);
    "latency_p999_ns" "latency p99.9" Nanos Lower |s| delivery(s, |d| d.p999);
    "latency_max_ns" "latency max" Nanos Lower |s| delivery(s, |d| d.max);
    "ack_p99_ns" "acknowledgement p99" Nanos Lower |s| filled(&s.step?.latency.ack_ns, |d| d.p99);
    "spread_p99_ns" "spread p99" Nanos Lower |s| filled(&s.step?.latency.spread_ns, |d| d.p99);
    "operation_p50_ns" "operation p50" Nanos Lower |s| filled(&s.step?.latency.operation_ns, |d| d.p50);
    "operation_p99_ns" "operation p99" Nanos Lower |s| filled(&s.step?.latency.operation_ns, |d| d.p99);
    "lost" "lost" Count Lower |s| total(s, |v| v.lost);
    "duplicated" "duplicated" Count Lower |s| total(s, |v| v.duplicated);
    "reordered" "reordered" Count Lower |s| total(s, |v| v.reordered);
    "unexpected" "unexpected" Count Lower |s| total(s, |v| v.unexpected);
    "corrupt" "corrupt" Count Lower |s| total(s, |v| v.corrupt);
    "unacknowledged" "unacknowledged" Count Lower |s| total(s, |v| v.unacknowledged);
    "refused" "refused" Count Lower |s| total(s, |v| v.refused);
    "disconnects" "disconnects" Count Lower
        |s| (!s.run.steps.is_empty()).then(|| s.run.steps.iter().map(|s| s.verification.disconnects as f64).sum());
    "connections" "connections" Count Neither
        |s| (s.run.setup.connections > 0).then_some(s.run.setup.connections as f64);
    "connect_p99_ns" "connect p99" Nanos Lower |s| filled(&s.run.setup.connect_ns, |d| d.p99);
    "broker_cpu_ns_per_delivery" "broker CPU a delivery" Nanos Lower |s| s.step?.broker.as_ref()?.cpu_ns_per_delivery;
    "broker_busy" "broker CPU" Share Lower |s| s.step?.broker.as_ref().map(|b| b.busy);
    "broker_rss_peak_bytes" "broker memory, peak" Bytes Lower |s| peak(s, |b| Some(b.rss_peak_bytes));
    "broker_cgroup_peak_bytes" "broker cgroup, peak" Bytes Lower |s| peak(s, |b| b.cgroup_peak_bytes);
    "broker_bytes_per_connection" "broker memory a connection" Bytes Lower |s| s.run.setup.broker_bytes_per_connection;
    "tester_bytes_per_connection" "tester memory a connection" Bytes Lower |s| s.run.setup.tester_bytes_per_connection;
    "slip_p99_ns" "tester slip p99" Nanos Lower |s| filled(&s.step?.tester.slip_ns, |d| d.p99);
    "tester_busy_max" "tester busiest worker" Share Lower |s| busiest(s.step?);
    "tester_cpu_ns_per_delivery" "tester CPU a delivery" Nanos Lower |s| s.step?.tester.cpu_ns_per_delivery;
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;

    #[test]
    fn a_name_says_its_unit_and_comes_once() {
        for (at, figure) in FIGURES.iter().enumerate() {
            let end = match figure.unit {
                Unit::Nanos if figure.name.contains("per_delivery") => "_ns_per_delivery",
                Unit::Nanos => "_ns",
                Unit::Bytes if figure.name.contains("per_connection") => "_bytes_per_connection",
                Unit::Bytes => "_bytes",
                Unit::PerSecond if figure.name != "max_rate" => "_per_s",
                _ => "",
            };
            assert!(figure.name.ends_with(end), "{}", figure.name);
            let first = FIGURES.iter().position(|f| f.name == figure.name);
            assert_eq!(first, Some(at), "{}", figure.name);
        }
        assert!(named("lost").is_some() && named("found").is_none());
    }

    #[test]
    fn a_report_of_everything_has_every_figure() {
        let report = sample::full();
        for figure in FIGURES {
            assert!(
                figure.of(&report, &report.runs[0]).is_some(),
                "{}",
                figure.name
            );
        }
    }

    #[test]
    fn what_went_wrong_is_summed_and_peaks_are_the_largest() {
        let mut report = sample::full();
        let run = &mut report.runs[0];
        run.steps[0].verification.lost = 5;
        run.steps[1].verification.lost = 7;
        run.steps[0].broker.as_mut().unwrap().rss_peak_bytes = 1 << 40;
        let of = |name: &str| named(name).unwrap().of(&report, &report.runs[0]);
        assert_eq!(of("lost"), Some(12.0));
        assert_eq!(
            of("broker_rss_peak_bytes"),
            Some(f64::from(1 << 20) * f64::from(1 << 20))
        );
    }

    #[test]
    fn a_value_that_is_none_is_no_figure() {
        let mut report = sample::full();
        report.runs[0].setup.broker_bytes_per_connection = Some(f64::NAN);
        let figure = named("broker_bytes_per_connection").unwrap();
        assert_eq!(figure.of(&report, &report.runs[0]), None);
    }
}
