//! What a page says in numbers: verification, steps, repetitions, the tester itself, and what a repeat needs.

use std::fmt::Write as _;

use super::text::{self, escape};
use crate::load::distribution::Distribution;
use crate::load::report::pick::{focus, median};
use crate::load::result::{Machine, Report, Run, Step};

/// Rows of steps, workers and events that are shown at most.
const ROWS_MAX: usize = 200;
pub(super) const EVENTS_MAX: usize = 50;

/// Where the cells of a table stand; the first column is always a heading at the left.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Align {
    Right,
    Left,
    /// Numbers, and words in the last column.
    LastLeft,
}

/// A table of plain text.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], align: Align) -> String {
    let left = |column: usize| match align {
        Align::Right => false,
        Align::Left => true,
        Align::LastLeft => column + 1 == head.len(),
    };
    let class = |column: usize| {
        if column == 0 || left(column) {
            ""
        } else {
            " class=\"n\""
        }
    };
    let mut out = String::from("<div class=\"scroll\"><table>");
    if !head.is_empty() {
        out.push_str("<thead><tr>");
        for (column, name) in head.iter().enumerate() {
            let _ = write!(
                out,
                "<th scope=\"col\"{}>{}</th>",
                class(column),
                escape(name)
            );
        }
        out.push_str("</tr></thead>");
    }
    out.push_str("<tbody>");
    for row in rows.iter().take(ROWS_MAX) {
        out.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            let _ = match column {
                0 => write!(out, "<th scope=\"row\">{cell}</th>"),
                _ => write!(out, "<td{}>{cell}</td>", class(column)),
            };
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    if rows.len() > ROWS_MAX {
        let _ = write!(out, "<p>… and {} more.</p>", rows.len() - ROWS_MAX);
    }
    out
}

/// Names and what they hold.
pub(super) fn pairs<'a>(rows: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => table(&[], &rows, Align::Left),
    }
}

/// A row for each distribution that holds something.
pub(super) fn percentiles(named: &[(&str, &Distribution)]) -> String {
    let filled = named.iter().filter(|(_, d)| !d.is_empty());
    let rows: Vec<Vec<String>> = filled
        .map(|(name, d)| {
            let mut row = vec![
                (*name).to_owned(),
                text::count(d.count),
                text::nanos(d.mean),
            ];
            let values = [d.min, d.p50, d.p90, d.p99, d.p999, d.p9999, d.max];
            row.extend(values.map(|v| text::nanos(v as f64)));
            row
        })
        .collect();
    let head = [
        "", "count", "mean", "least", "p50", "p90", "p99", "p99.9", "p99.99", "most",
    ];
    match rows.is_empty() {
        true => String::new(),
        false => table(&head, &rows, Align::Right),
    }
}

/// A row for each step.
pub(super) fn steps(run: &Run) -> String {
    let none = || text::NONE.to_owned();
    let rows: Vec<Vec<String>> = run
        .steps
        .iter()
        .map(|s| {
            let d = &s.latency.delivery_ns;
            let latency = |v: u64| {
                if d.is_empty() {
                    none()
                } else {
                    text::nanos(v as f64)
                }
            };
            let broker = s.broker.as_ref();
            vec![
                s.name.clone(),
                s.rate_intended.map_or_else(none, text::rate),
                text::rate(s.publish_rate),
                text::rate(s.delivery_rate),
                latency(d.p50),
                latency(d.p99),
                latency(d.p999),
                latency(d.max),
                text::count(s.verification.lost),
                broker.map_or_else(none, |b| text::percent(b.busy)),
                broker.map_or_else(none, |b| text::bytes(b.rss_peak_bytes as f64)),
            ]
        })
        .collect();
    let head = [
        "step",
        "intended, msg/s",
        "in",
        "out",
        "p50",
        "p99",
        "p99.9",
        "most",
        "lost",
        "broker CPU",
        "peak RSS",
    ];
    table(&head, &rows, Align::Right)
}

/// Every message by what became of it, a row for each step.
pub(super) fn verification(run: &Run) -> String {
    let rows: Vec<Vec<String>> = run
        .steps
        .iter()
        .map(|s| {
            let v = &s.verification;
            let mut row = vec![s.name.clone()];
            let counts = [
                v.expected,
                v.received,
                v.lost,
                v.duplicated,
                v.reordered,
                v.unexpected,
                v.corrupt,
                v.unacknowledged,
                v.refused,
                v.disconnects,
            ];
            row.extend(counts.map(text::count));
            row.push(match v.violations.is_empty() {
                true => "kept".to_owned(),
                false => v.violations.join("; "),
            });
            row
        })
        .collect();
    let head = [
        "step",
        "expected",
        "received",
        "lost",
        "duplicated",
        "reordered",
        "unexpected",
        "corrupt",
        "unacknowledged",
        "refused",
        "disconnects",
        "promise of the QoS",
    ];
    table(&head, &rows, Align::LastLeft)
}

/// A figure of a run, and how to write it.
type Figure = (
    &'static str,
    fn(&Run, &Step) -> Option<f64>,
    fn(f64) -> String,
);
const FIGURES: [Figure; 9] = [
    ("published, msg/s", |_, s| Some(s.publish_rate), text::rate),
    ("delivered, msg/s", |_, s| Some(s.delivery_rate), text::rate),
    (
        "operations a second",
        |_, s| s.operations.as_ref().map(|o| o.rate),
        text::rate,
    ),
    ("p50", |_, s| latency(s, |d| d.p50), text::nanos),
    ("p99", |_, s| latency(s, |d| d.p99), text::nanos),
    ("p99.9", |_, s| latency(s, |d| d.p999), text::nanos),
    ("slowest", |_, s| latency(s, |d| d.max), text::nanos),
    (
        "broker CPU a delivery",
        |_, s| s.broker.as_ref().and_then(|b| b.cpu_ns_per_delivery),
        text::nanos,
    ),
    (
        "broker memory a connection",
        |r, _| r.setup.broker_bytes_per_connection,
        text::bytes,
    ),
];

fn latency(step: &Step, of: fn(&Distribution) -> u64) -> Option<f64> {
    let d = &step.latency.delivery_ns;
    (!d.is_empty()).then(|| of(d) as f64)
}

/// The repetitions side by side: median, least, most, and their distance as a share of the median.
pub(super) fn repeats(report: &Report) -> String {
    let pairs: Vec<_> = report
        .runs
        .iter()
        .filter_map(|r| Some((r, focus(report, r)?)))
        .collect();
    let mut rows = Vec::new();
    for (name, of, write) in FIGURES {
        let values: Vec<f64> = pairs
            .iter()
            .filter_map(|(r, s)| of(r, s))
            .filter(|v| v.is_finite())
            .collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(least), Some(most), Some(median)) =
            (sorted.first(), sorted.last(), median(&sorted))
        else {
            continue;
        };
        let mut row = vec![name.to_owned(), write(median), write(*least), write(*most)];
        row.push(text::percent((most - least) / median));
        row.extend(values.iter().take(10).map(|v| write(*v)));
        rows.push(row);
    }
    let mut head = vec!["", "median", "least", "most", "spread"];
    let runs = [
        "run 1", "run 2", "run 3", "run 4", "run 5", "run 6", "run 7", "run 8", "run 9", "run 10",
    ];
    head.extend(runs.iter().take(pairs.len()));
    table(&head, &rows, Align::Right)
}

/// What the tester knows about itself.
pub(super) fn tester(step: &Step) -> String {
    let t = &step.tester;
    let some = |v: Option<f64>| v.map_or(String::new(), text::nanos);
    let rss = if t.rss_bytes == 0 {
        String::new()
    } else {
        text::bytes(t.rss_bytes as f64)
    };
    let mut out = pairs([
        ("CPU a delivery", some(t.cpu_ns_per_delivery)),
        ("memory (RSS)", rss),
    ]);
    let rows: Vec<Vec<String>> = t
        .workers
        .iter()
        .enumerate()
        .map(|(n, w)| {
            vec![
                (n + 1).to_string(),
                w.cpu.map_or(text::NONE.to_owned(), |c| c.to_string()),
                text::percent(w.busy),
                text::count(w.connections),
                text::count(w.sent),
                text::count(w.received),
            ]
        })
        .collect();
    if !rows.is_empty() {
        let head = ["worker", "CPU", "busy", "connections", "sent", "received"];
        out.push_str(&table(&head, &rows, Align::Right));
    }
    out
}

/// What became of the broker.
pub(super) fn events(run: &Run) -> String {
    let rows: Vec<Vec<String>> = run
        .broker_events
        .iter()
        .take(EVENTS_MAX)
        .map(|e| vec![text::seconds(e.at_s), e.kind.clone(), e.text.clone()])
        .collect();
    match rows.is_empty() {
        true => String::new(),
        false => table(&["at", "what", ""], &rows, Align::Left),
    }
}

/// Everything that a repeat needs: where, against what, with which settings.
pub(super) fn repeat(report: &Report) -> String {
    let b = &report.broker;
    let mut out = pairs([
        (
            "command",
            report
                .command
                .iter()
                .map(|a| quoted(a))
                .collect::<Vec<_>>()
                .join(" "),
        ),
        ("seed", report.seed.to_string()),
        ("started", report.started.clone()),
        ("tester", report.version.clone()),
        ("load", report.load_model.clone()),
        ("broker", b.what.clone()),
        ("broker's address", b.address.clone()),
        (
            "broker's process",
            b.pid.map_or(String::new(), |p| p.to_string()),
        ),
        ("broker's CPUs", b.cpus.clone().unwrap_or_default()),
        ("budget", budget(report)),
        ("report", report.schema.clone()),
    ]);
    out.push_str("<div class=\"columns\"><div><h3>Machine</h3>");
    out.push_str(&machine(&report.machine));
    out.push_str("</div><div><h3>Settings</h3>");
    out.push_str(&pairs(
        report.settings.iter().map(|(n, v)| (n.as_str(), v.clone())),
    ));
    out.push_str("</div></div>");
    out
}

fn budget(report: &Report) -> String {
    let Some(budget) = &report.broker.budget else {
        return String::new();
    };
    let how = if budget.enforced {
        "enforced"
    } else {
        "not enforced"
    };
    format!(
        "{}, {how}: {}",
        text::bytes(budget.bytes as f64),
        budget.how
    )
}

fn machine(m: &Machine) -> String {
    let known = |n: u64, written: String| if n == 0 { String::new() } else { written };
    let own = [
        ("kernel", m.kernel.clone()),
        ("CPU", m.cpu_model.clone()),
        ("CPUs", known(m.cpus.into(), m.cpus.to_string())),
        (
            "memory",
            known(m.memory_bytes, text::bytes(m.memory_bytes as f64)),
        ),
    ];
    let settings = m.settings.iter().map(|(n, v)| (n.as_str(), v.clone()));
    pairs(own.into_iter().chain(settings))
}

/// An argument as a shell takes it.
fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}
