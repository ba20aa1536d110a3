//! The tables of the text report: repetitions, steps, and the attempts of a search.

use crate::load::report::figures::{self, Figure};
use crate::load::report::layout::Lines;
use crate::load::report::pick::{self, median};
use crate::load::report::units;
use crate::load::result::{Report, Run, Search, Step};

/// Rows of a table that are shown at most.
const ROWS_MAX: usize = 64;

/// What is told of the sorted values of all runs.
type Spread = (&'static str, fn(&[f64]) -> Option<f64>);
const SPREADS: [Spread; 3] = [
    ("  median", median),
    ("  min", |sorted| sorted.first().copied()),
    ("  max", |sorted| sorted.last().copied()),
];

/// The figures that repetitions are compared by, with the heads of their columns.
const OF_RUNS: [(&str, &str); 9] = [
    ("in/s", "publish_rate_per_s"),
    ("out/s", "delivery_rate_per_s"),
    ("operations/s", "operations_per_s"),
    ("p50", "latency_p50_ns"),
    ("p99", "latency_p99_ns"),
    ("p99.9", "latency_p999_ns"),
    ("lost", "lost"),
    ("CPU each", "broker_cpu_ns_per_delivery"),
    ("memory", "broker_rss_peak_bytes"),
];

/// A row for each run, then their median, least and most, and which of them the rest is of; nothing for a single run.
pub(super) fn repetitions(out: &mut Lines, report: &Report, shown: &Run) {
    if report.runs.len() < 2 {
        return;
    }
    let named = OF_RUNS
        .iter()
        .filter_map(|(head, name)| Some((*head, figures::named(name)?)));
    let known = named.filter(|(_, f)| report.runs.iter().any(|r| f.of(report, r).is_some()));
    let columns: Vec<(&str, &Figure)> = known.collect();
    let mut head = vec!["runs"];
    head.extend(columns.iter().map(|(head, _)| *head));
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (number, run) in report.runs.iter().enumerate().take(ROWS_MAX) {
        let mut row = vec![format!("  run {}", number + 1)];
        row.extend(columns.iter().map(|(_, f)| cell(f, f.of(report, run))));
        rows.push(row);
    }
    for (name, of) in SPREADS {
        let mut row = vec![name.to_owned()];
        row.extend(columns.iter().map(|(_, f)| cell(f, of(&sorted(report, f)))));
        rows.push(row);
    }
    out.table(&head, &rows);
    more(out, report.runs.len());
    let number = report.runs.iter().position(|r| std::ptr::eq(r, shown));
    let number = number.map_or(0, |n| n + 1);
    out.line(&format!(
        "  below: run {number}, the median {}",
        pick::MEDIAN_BY
    ));
    out.gap();
}

/// The values of all runs that know the figure.
fn sorted(report: &Report, figure: &Figure) -> Vec<f64> {
    let runs = report.runs.iter();
    let mut values: Vec<f64> = runs.filter_map(|run| figure.of(report, run)).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn cell(figure: &Figure, value: Option<f64>) -> String {
    match (figure.unit, value) {
        (_, None) => units::NONE.to_owned(),
        (figures::Unit::PerSecond, Some(value)) => units::rate(value),
        (unit, Some(value)) => unit.write(value),
    }
}

/// A row for each step of a ramp; nothing for a single one, and for a search, whose attempts say more.
pub(super) fn several(out: &mut Lines, report: &Report, run: &Run) {
    if run.steps.len() < 2 || report.search.is_some() {
        return;
    }
    let rows: Vec<Vec<String>> = run.steps.iter().take(ROWS_MAX).map(step).collect();
    let head = [
        "steps", "due/s", "in/s", "out/s", "p50", "p99", "p99.9", "max", "lost", "CPU", "memory",
    ];
    out.table(&head, &rows);
    more(out, run.steps.len());
    out.gap();
}

fn step(s: &Step) -> Vec<String> {
    let none = || units::NONE.to_owned();
    let d = match s.latency.delivery_ns.is_empty() {
        true => &s.latency.operation_ns,
        false => &s.latency.delivery_ns,
    };
    let latency = |v: u64| {
        if d.is_empty() {
            none()
        } else {
            units::nanos(v as f64)
        }
    };
    let broker = s.broker.as_ref();
    vec![
        format!("  {}", s.name),
        s.rate_intended.map_or_else(none, units::short),
        units::short(s.publish_rate),
        units::short(s.delivery_rate),
        latency(d.p50),
        latency(d.p99),
        latency(d.p999),
        latency(d.max),
        units::short(s.verification.lost as f64),
        broker.map_or_else(none, |b| units::percent(b.busy)),
        broker.map_or_else(none, |b| units::bytes(b.rss_peak_bytes as f64)),
    ]
}

/// The attempts of a search, and what it found.
pub(super) fn search(out: &mut Lines, search: &Search) {
    out.gap();
    let tried = units::counted(search.curve.len() as u64, "attempt");
    out.field("find-max", &format!("{} in {tried}", search.slo));
    let mut rows = Vec::new();
    for a in search.curve.iter().take(ROWS_MAX) {
        let held = match (a.held, a.tester_limited) {
            (true, false) => "held",
            (false, false) => "missed",
            (true, true) => "held, tester limited",
            (false, true) => "missed, tester limited",
        };
        rows.push(vec![
            format!("  {:>12}", units::rate(a.rate)),
            units::rate(a.achieved),
            units::nanos(a.p50_ns as f64),
            units::nanos(a.p99_ns as f64),
            units::nanos(a.p999_ns as f64),
            units::short(a.lost as f64),
            format!("{held:<22}"),
        ]);
    }
    if !rows.is_empty() {
        let head = [
            "         due/s",
            "in/s",
            "p50",
            "p99",
            "p99.9",
            "lost",
            "held?                 ",
        ];
        out.table(&head, &rows);
    }
    more(out, search.curve.len());
    out.gap();
}

/// How many rows are not shown.
fn more(out: &mut Lines, rows: usize) {
    if rows > ROWS_MAX {
        out.line(&format!("  ... and {} more", rows - ROWS_MAX));
    }
}
