//! The intervals of all runs and steps as a table for other programs, RFC 4180: a row each, units in the names.
//!
//! What is not known is empty. Latencies are of what arrived in the interval, in nanoseconds.

use super::series::{self, Placed};
use crate::load::result::{Report, Run, Sample};

/// The names of the columns.
const HEAD: [&str; 23] = [
    "run",
    "step_number",
    "step",
    "at_s",
    "run_at_s",
    "interval_s",
    "measured",
    "published",
    "delivered",
    "published_bytes",
    "delivered_bytes",
    "publish_rate_per_s",
    "delivery_rate_per_s",
    "latency_p50_ns",
    "latency_p90_ns",
    "latency_p99_ns",
    "latency_p999_ns",
    "latency_max_ns",
    "broker_user_s",
    "broker_system_s",
    "broker_rss_bytes",
    "broker_pss_bytes",
    "broker_cgroup_bytes",
];

/// The table. `at_s` counts from the start of the step. `run_at_s` is on the clock of the broker's samples and takes it
/// that the steps follow each other from the end of the setup; the broker's columns are of the sample nearest to the end
/// of the interval.
pub fn csv(report: &Report) -> String {
    let mut out = String::new();
    row(&mut out, HEAD.map(str::to_owned).to_vec());
    for (number, run) in report.runs.iter().enumerate() {
        for placed in series::intervals(run) {
            row(&mut out, cells(number, run, &placed));
        }
    }
    out
}

fn cells(number: usize, run: &Run, placed: &Placed) -> Vec<String> {
    let (i, s) = (placed.interval, placed.seconds);
    let begin = Some(placed.step.at_s).filter(|s| s.is_finite());
    let at = begin.unwrap_or(0.0) + i.at_s;
    let mut row = vec![
        (number + 1).to_string(),
        (placed.number + 1).to_string(),
        placed.step.name.clone(),
        decimal(i.at_s),
        decimal(at),
        decimal(s),
        i.measured.to_string(),
    ];
    let counts = [
        i.published,
        i.delivered,
        i.published_bytes,
        i.delivered_bytes,
    ];
    row.extend(counts.map(|c| c.to_string()));
    row.extend([i.published, i.delivered].map(|c| decimal(c as f64 / s)));
    let d = &i.latency_ns;
    let some = |v: u64| {
        if d.is_empty() {
            String::new()
        } else {
            v.to_string()
        }
    };
    row.extend([d.p50, d.p90, d.p99, d.p999, d.max].map(some));
    row.extend(broker(nearest(run, at + s)));
    row
}

fn broker(sample: Option<&Sample>) -> [String; 5] {
    let Some(sample) = sample else {
        return Default::default();
    };
    let some = |v: Option<u64>| v.map_or(String::new(), |v| v.to_string());
    [
        decimal(sample.user_s),
        decimal(sample.system_s),
        sample.rss_bytes.to_string(),
        some(sample.pss_bytes),
        some(sample.cgroup_bytes),
    ]
}

/// The sample that is nearest to a time; they are in the order of their times.
fn nearest(run: &Run, at_s: f64) -> Option<&Sample> {
    let after = run.samples.partition_point(|s| s.at_s < at_s);
    let around = [after.checked_sub(1), Some(after)];
    let samples = around.iter().flatten().filter_map(|n| run.samples.get(*n));
    let off = |s: &Sample| (s.at_s - at_s).abs();
    samples.min_by(|a, b| off(a).total_cmp(&off(b)))
}

/// At most six decimals, without zeros that say nothing.
fn decimal(value: f64) -> String {
    match value.is_finite() {
        true => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        false => String::new(),
    }
}

fn row(out: &mut String, cells: Vec<String>) {
    let quoted: Vec<String> = cells.into_iter().map(quote).collect();
    out.push_str(&quoted.join(","));
    out.push_str("\r\n");
}

fn quote(cell: String) -> String {
    match cell.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::report::{golden, sample};
    use crate::load::result::Step;

    #[test]
    fn every_interval_is_a_row() {
        let text = csv(&sample::full());
        golden::check("full.csv", &text);
        assert_eq!(text.matches("\r\n").count(), 1 + 2 * 2 * 6);
        assert!(text.contains(",\"1000 msg/s, \"\"paced\"\"\","));
        golden::check("connects.csv", &csv(&sample::connects()));
    }

    #[test]
    fn the_nearest_sample_is_taken() {
        let mut run = sample::full().runs.remove(0);
        let at = |run: &Run, at: f64| nearest(run, at).map(|s| s.at_s);
        assert_eq!(at(&run, -3.0), Some(0.0));
        assert_eq!(at(&run, 1.2), Some(1.0));
        assert_eq!(at(&run, 1.3), Some(1.5));
        assert_eq!(at(&run, 99.0), Some(11.5));
        run.samples.clear();
        assert_eq!(at(&run, 1.0), None);
    }

    #[test]
    fn numbers_that_are_none_are_empty() {
        let mut report = sample::full();
        report.runs.truncate(1);
        report.runs[0].steps = vec![Step {
            name: "a\nb".to_owned(),
            interval_s: f64::NAN,
            series: vec![Default::default()],
            ..Step::default()
        }];
        report.runs[0].steps[0].series[0].at_s = f64::NAN;
        let text = csv(&report);
        assert!(
            text.contains("\r\n1,1,\"a\nb\",,,1,false,0,0,0,0,0,0,,,,,,"),
            "{text}"
        );
    }
}
