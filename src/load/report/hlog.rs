//! HdrHistogram's interval log, V1.3: a histogram for each interval, in seconds since the start.
//!
//! Lines without a tag, or with that of a step or run alone, are the measured window; the others are tagged
//! `unmeasured`. Maxima are in milliseconds, the histograms in nanoseconds.

use std::fmt::Write as _;

use super::hgrm::{Kind, NS_PER_VALUE};
use super::series;
use crate::load::distribution::{Distribution, empty_text};
use crate::load::result::{Report, Run, Step};

/// The log: deliveries by interval, or a line for each step with its operations where nothing is delivered. Runs and
/// steps follow each other, tagged where there are several.
pub fn hlog(report: &Report) -> String {
    let kind = Kind::of(report);
    let mut out = format!(
        "#[{} in nanoseconds, maximum in milliseconds]\n\
         #[Histogram log format version 1.3]\n",
        kind.name()
    );
    start(&mut out, &report.started);
    out.push_str(
        "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n",
    );
    let mut begin = 0.0;
    for (number, run) in report.runs.iter().enumerate() {
        let named = (report.runs.len() > 1).then(|| format!("run{}", number + 1));
        match kind {
            Kind::Delivery => deliveries(&mut out, run, named, begin),
            Kind::Operation => operations(&mut out, run, named, begin),
        }
        begin += run.steps.iter().map(series::span_s).sum::<f64>();
    }
    out
}

/// The time that seconds count from; without it they are what they are.
fn start(out: &mut String, started: &str) {
    let Ok(time) = started.parse::<jiff::Timestamp>() else {
        return;
    };
    let seconds = time.as_millisecond() as f64 / 1e3;
    let _ = writeln!(
        out,
        "#[StartTime: {seconds:.3} (seconds since epoch), {started}]"
    );
}

fn deliveries(out: &mut String, run: &Run, named: Option<String>, begin: f64) {
    for placed in series::intervals(run) {
        let mut tags: Vec<String> = named.iter().cloned().collect();
        tags.extend(step_tag(run, placed.number, placed.step));
        if !placed.interval.measured {
            tags.push("unmeasured".to_owned());
        }
        let at = begin + placed.at_s;
        let latency = &placed.interval.latency_ns;
        line(out, &tags.join("."), (at, placed.seconds), latency);
    }
}

fn operations(out: &mut String, run: &Run, named: Option<String>, begin: f64) {
    let mut at = begin;
    for (number, step) in run.steps.iter().enumerate() {
        let mut tags: Vec<String> = named.iter().cloned().collect();
        tags.extend(step_tag(run, number, step));
        let span = series::span_s(step);
        line(out, &tags.join("."), (at, span), &step.latency.operation_ns);
        at += span;
    }
}

/// The step's name as a tag may be: without spaces, line ends and commas.
fn step_tag(run: &Run, number: usize, step: &Step) -> Option<String> {
    let plain = |c: char| match c {
        c if c.is_whitespace() || c.is_control() || c == ',' => '_',
        c => c,
    };
    let name = match step.name.is_empty() {
        true => format!("step{}", number + 1),
        false => step.name.chars().map(plain).collect(),
    };
    (run.steps.len() > 1).then_some(name)
}

/// One interval; nothing if its times are no numbers or its histogram is none.
fn line(out: &mut String, tag: &str, (at, seconds): (f64, f64), latency: &Distribution) {
    let histogram = match latency.is_empty() {
        true => empty_text(),
        false if latency.decode().is_some() => latency.histogram.clone(),
        false => return,
    };
    if !at.is_finite() || histogram.is_empty() {
        return;
    }
    if !tag.is_empty() {
        let _ = write!(out, "Tag={tag},");
    }
    let max = latency.max as f64 / NS_PER_VALUE;
    let _ = writeln!(out, "{at:.3},{seconds:.3},{max:.3},{histogram}");
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;
    use crate::load::report::{golden, sample};

    /// What the library reads: tag, start, length, maximum, count.
    fn read(text: &str) -> Vec<(String, f64, f64, f64, u64)> {
        let entries = IntervalLogIterator::new(text.as_bytes());
        let intervals = entries.filter_map(|entry| match entry.unwrap() {
            LogEntry::Interval(i) => Some(i),
            _ => None,
        });
        let told = intervals.map(|i| {
            let whole = Distribution {
                histogram: i.encoded_histogram().to_owned(),
                ..Distribution::default()
            };
            let histogram: Histogram<u64> = whole.decode().unwrap();
            let tag = i.tag().map(|t| t.as_str().to_owned());
            let (at, length) = (i.start_timestamp(), i.duration());
            let (at, length) = (at.as_secs_f64(), length.as_secs_f64());
            (
                tag.unwrap_or_default(),
                at,
                length,
                i.max(),
                histogram.len(),
            )
        });
        told.collect()
    }

    #[test]
    fn every_interval_can_be_read() {
        let report = sample::full();
        let text = hlog(&report);
        golden::check("full.hlog", &text);
        assert!(text.contains("#[StartTime: 1795431600.000 (seconds since epoch), 2026-11-23T12"));
        let read = read(&text);
        assert_eq!(read.len(), 24);
        let tags: Vec<&str> = read.iter().map(|i| i.0.as_str()).collect();
        assert_eq!(tags[0], "run1.1000_msg/s__\"paced\".unmeasured");
        assert_eq!(tags[2], "run1.1000_msg/s__\"paced\"");
        assert_eq!((read[23].1, read[23].2), (23.0, 1.0));
        let series = report.runs.iter().flat_map(series::intervals);
        for (placed, read) in series.zip(&read) {
            let d = &placed.interval.latency_ns;
            assert_eq!(
                (d.count, format!("{:.3}", d.max as f64 / 1e6)),
                (read.4, format!("{:.3}", read.3))
            );
        }
    }

    #[test]
    fn one_step_has_no_tag_and_a_stall_is_an_empty_histogram() {
        let mut report = sample::full();
        report.runs.truncate(1);
        report.runs[0].steps.truncate(1);
        let series = &mut report.runs[0].steps[0].series;
        series[3].latency_ns = Distribution::default();
        series[4].latency_ns.histogram = "broken".to_owned();
        series[0].at_s = f64::NAN;
        report.started = "yesterday".to_owned();
        let text = hlog(&report);
        assert!(!text.contains("StartTime:"));
        let read = read(&text);
        let told: Vec<_> = read.iter().map(|i| (i.0.as_str(), i.1, i.4)).collect();
        assert_eq!(
            told,
            [
                ("unmeasured", 1.0, 600),
                ("", 2.0, 600),
                ("", 3.0, 0),
                ("unmeasured", 5.0, 600)
            ]
        );
    }

    #[test]
    fn operations_are_a_line_for_each_step() {
        let text = hlog(&sample::connects());
        golden::check("connects.hlog", &text);
        let read = read(&text);
        assert_eq!((read.len(), read[0].4, read[0].2), (1, 1500, 6.0));
    }
}
