//! HdrHistogram's percentile distribution, in milliseconds: what its plotter reads.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use crate::load::distribution::{DIGITS, Distribution, new_histogram};
use crate::load::result::{Report, Step};

/// Percentiles between one halving of the rest and the next, as everybody has it.
const TICKS_PER_HALF_DISTANCE: u32 = 5;

/// Nanoseconds in the unit of the values.
pub const NS_PER_VALUE: f64 = 1e6;

/// The latency that the logs are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Delivery,
    /// Of workloads without deliveries.
    Operation,
}

impl Kind {
    /// Deliveries if there are any in the report.
    pub fn of(report: &Report) -> Self {
        let mut steps = report.runs.iter().flat_map(|r| &r.steps);
        let delivers = |s: &Step| !s.latency.delivery_ns.is_empty();
        let operates = |s: &Step| !s.latency.operation_ns.is_empty();
        match !steps.clone().any(delivers) && steps.any(operates) {
            true => Kind::Operation,
            false => Kind::Delivery,
        }
    }

    /// That latency of a step.
    pub fn pick(self, step: &Step) -> &Distribution {
        match self {
            Kind::Delivery => &step.latency.delivery_ns,
            Kind::Operation => &step.latency.operation_ns,
        }
    }

    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Delivery => "delivery latency",
            Kind::Operation => "latency of the operation",
        }
    }
}

/// The distribution of the measured windows of all steps and runs, merged; operations where nothing is delivered.
pub fn hgrm(report: &Report) -> String {
    let kind = Kind::of(report);
    let histogram = merged(report, kind);
    let mut out = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    lines(&mut out, &histogram);
    footer(&mut out, &histogram);
    let runs = report.runs.len();
    let _ = writeln!(out, "# {} in milliseconds, runs: {runs}", kind.name());
    out
}

fn merged(report: &Report, kind: Kind) -> Histogram<u64> {
    let mut all = new_histogram();
    for step in report.runs.iter().flat_map(|r| &r.steps) {
        if let Some(histogram) = kind.pick(step).decode() {
            // What is above the range counts as its end, as everywhere.
            for value in histogram.iter_recorded() {
                all.saturating_record_n(value.value_iterated_to(), value.count_at_value());
            }
        }
    }
    all
}

fn lines(out: &mut String, histogram: &Histogram<u64>) {
    let mut total = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = step.value_iterated_to() as f64 / NS_PER_VALUE;
        let percentile = step.quantile_iterated_to();
        let _ = write!(out, "{value:12.3} {percentile:.12} {total:10}");
        let _ = match percentile < 1.0 {
            true => writeln!(out, " {:14.2}", 1.0 / (1.0 - percentile)),
            false => writeln!(out),
        };
    }
}

fn footer(out: &mut String, histogram: &Histogram<u64>) {
    // As many as hold two values for each unit of the last digit, in powers of two.
    let sub_buckets = (2 * 10_u64.pow(DIGITS.into())).next_power_of_two();
    let (mean, deviation) = (histogram.mean(), histogram.stdev());
    let _ = writeln!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]",
        mean / NS_PER_VALUE,
        deviation / NS_PER_VALUE
    );
    let _ = writeln!(
        out,
        "#[Max     = {:12.3}, Total count    = {:12}]",
        histogram.max() as f64 / NS_PER_VALUE,
        histogram.len()
    );
    let _ = writeln!(
        out,
        "#[Buckets = {:12}, SubBuckets     = {sub_buckets:12}]",
        histogram.buckets()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{golden, sample};

    #[test]
    fn the_percentiles_are_those_of_all_steps_and_runs() {
        let report = sample::full();
        let text = hgrm(&report);
        golden::check("full.hgrm", &text);
        let steps = report.runs.iter().flat_map(|r| &r.steps);
        let count: u64 = steps.map(|s| s.latency.delivery_ns.count).sum();
        assert_eq!(count, 240_000);
        assert!(text.contains(" 1.000000000000     240000\n#[Mean"));
        assert!(text.ends_with("# delivery latency in milliseconds, runs: 2\n"));
    }

    #[test]
    fn without_deliveries_it_is_the_operation() {
        let text = hgrm(&sample::connects());
        golden::check("connects.hgrm", &text);
        assert!(text.ends_with("# latency of the operation in milliseconds, runs: 1\n"));
    }

    #[test]
    fn nothing_is_an_empty_distribution() {
        let text = hgrm(&Report::default());
        assert!(text.contains("Total count    =            0]") && !text.contains("NaN"));
    }
}
