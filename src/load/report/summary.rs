//! The small flat object for CI: the figures of the median run by their names.

use std::collections::BTreeMap;

use super::figures::FIGURES;
use super::pick;
use crate::load::result::{Report, Run};

/// The figures of the run that `pick::median_run` names; what a run knows nothing of is not there.
pub fn summary(report: &Report) -> BTreeMap<String, f64> {
    pick::median_run(report).map_or_else(BTreeMap::new, |run| of_run(report, run))
}

/// The figures of one run.
pub fn of_run(report: &Report, run: &Run) -> BTreeMap<String, f64> {
    let known = FIGURES.iter().filter_map(|figure| {
        let value = figure.of(report, run)?;
        Some((figure.name.to_owned(), value))
    });
    known.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::sample;

    #[test]
    fn the_summary_is_of_the_median_run_and_its_last_step() {
        let mut report = sample::ramp();
        for (run, cpu) in report.runs.iter_mut().zip([500.0, 300.0, 400.0]) {
            run.steps[7].broker.as_mut().unwrap().cpu_ns_per_delivery = Some(cpu);
            run.steps[7].latency.ack_ns.p99 = cpu as u64;
        }
        let summary = summary(&report);
        assert_eq!(summary["broker_cpu_ns_per_delivery"], 400.0);
        assert_eq!(summary["ack_p99_ns"], 400.0);
        assert_eq!(summary["lost"], 12.0);
        assert_eq!(summary["publish_rate_per_s"], 40_000.0 * 0.998 * 0.81);
        for none in ["operations_per_s", "operation_p99_ns", "max_rate"] {
            assert!(!summary.contains_key(none), "{none}");
        }
    }

    #[test]
    fn a_search_is_summed_up_at_the_rate_that_it_found() {
        let report = sample::search();
        let summary = summary(&report);
        assert_eq!(summary["max_rate"], 35_000.0);
        assert_eq!(summary["publish_rate_per_s"], 35_000.0 * 0.998);
    }

    #[test]
    fn nothing_sums_up_to_nothing() {
        assert!(summary(&Report::default()).is_empty());
        let report = Report {
            runs: vec![Run::default()],
            ..Report::default()
        };
        assert!(summary(&report).is_empty());
    }
}
