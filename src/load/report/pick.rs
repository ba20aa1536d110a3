//! Which run and which step a single figure is of, and the middle of several.

use crate::load::result::{Report, Run, Step};

/// The run that figures and charts are of: the median by the broker's CPU a delivery where every run knows it, else by
/// deliveries a second, else by operations a second. Of an even number the one below the middle.
pub fn median_run(report: &Report) -> Option<&Run> {
    let keys: [fn(&Step) -> Option<f64>; 3] = [cpu_of, deliveries_of, operations_of];
    let of = |key: fn(&Step) -> Option<f64>| {
        let keyed = report.runs.iter().map(|run| {
            let value = focus(report, run).and_then(key)?;
            value.is_finite().then_some((value, run))
        });
        keyed.collect::<Option<Vec<_>>>()
    };
    let Some(mut runs) = keys.into_iter().find_map(of) else {
        return report.runs.first();
    };
    runs.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (_, run) = runs.get(runs.len().saturating_sub(1) / 2)?;
    Some(run)
}

/// What `median_run` goes by, in words.
pub const MEDIAN_BY: &str = "by the broker's CPU a delivery, or else by deliveries a second";

fn cpu_of(step: &Step) -> Option<f64> {
    step.broker.as_ref().and_then(|b| b.cpu_ns_per_delivery)
}

fn deliveries_of(step: &Step) -> Option<f64> {
    (step.delivered > 0 || step.operations.is_none()).then_some(step.delivery_rate)
}

fn operations_of(step: &Step) -> Option<f64> {
    step.operations.as_ref().map(|o| o.rate)
}

/// The step that the figures of a run are of: the highest rate that held the objective of a search, else the last.
pub fn focus<'a>(report: &Report, run: &'a Run) -> Option<&'a Step> {
    let held = report.search.as_ref().and_then(|s| s.max_rate);
    let off = |step: &Step, rate: f64| (step.rate_intended.unwrap_or(f64::MAX) - rate).abs();
    match held {
        Some(rate) => run
            .steps
            .iter()
            .min_by(|a, b| off(a, rate).total_cmp(&off(b, rate))),
        None => run.steps.last(),
    }
}

/// The middle of sorted values.
pub fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    match sorted.len() % 2 {
        1 => Some(upper),
        _ => Some((sorted.get(sorted.len() / 2 - 1)? + upper) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::result::{BrokerUse, Operations, Search};

    fn run(rate: f64, cpu: Option<f64>, connects: Option<f64>) -> Run {
        let step = Step {
            rate_intended: Some(rate),
            delivery_rate: rate,
            delivered: if connects.is_some() { 0 } else { 1 },
            operations: connects.map(|rate| Operations {
                rate,
                ..Operations::default()
            }),
            broker: cpu.map(|cpu| BrokerUse {
                cpu_ns_per_delivery: Some(cpu),
                ..BrokerUse::default()
            }),
            ..Step::default()
        };
        Run {
            steps: vec![step],
            ..Run::default()
        }
    }

    fn chosen(runs: Vec<Run>) -> f64 {
        let report = Report {
            runs,
            ..Report::default()
        };
        median_run(&report).unwrap().steps[0].rate_intended.unwrap()
    }

    #[test]
    fn the_median_run_goes_by_what_every_run_knows() {
        let cpu = |rate, cpu| run(rate, Some(cpu), None);
        assert_eq!(
            chosen(vec![cpu(1.0, 9.0), cpu(2.0, 5.0), cpu(3.0, 7.0)]),
            3.0
        );
        let without = run(2.0, None, None);
        assert_eq!(chosen(vec![cpu(3.0, 9.0), without, cpu(1.0, 5.0)]), 2.0);
        let connects = |name, rate| run(name, None, Some(rate));
        assert_eq!(
            chosen(vec![
                connects(1.0, 5.0),
                connects(2.0, 9.0),
                connects(3.0, 7.0)
            ]),
            3.0
        );
        assert!(median_run(&Report::default()).is_none());
    }

    #[test]
    fn the_step_in_focus_is_the_last_or_what_the_search_found() {
        let mut run = run(10.0, None, None);
        for rate in [20.0, 30.0] {
            run.steps.push(Step {
                rate_intended: Some(rate),
                ..Step::default()
            });
        }
        let mut report = Report::default();
        let rate = |report: &Report| focus(report, &run).unwrap().rate_intended;
        assert_eq!(rate(&report), Some(30.0));
        report.search = Some(Search {
            max_rate: Some(20.0),
            ..Search::default()
        });
        assert_eq!(rate(&report), Some(20.0));
    }

    #[test]
    fn the_middle_of_an_even_number_is_between_two() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), Some(3.0));
    }
}
