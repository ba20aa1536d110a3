//! The curve of `--find-max`: latency against rate, with the objective and the rate that held it.

use std::fmt::Write as _;

use super::svg::{self, Plot, Scale};
use super::tables::{Align, table};
use super::text::{self, escape};
use super::ticks::{self, Tick};
use crate::load::report::lead;
use crate::load::result::{Attempt, Search};

/// Rates whose highest is more times the lowest than this are drawn on a log axis.
const LOG_FROM_TIMES: f64 = 12.0;

type Line = (&'static str, &'static str, fn(&Attempt) -> u64);
const LINES: [Line; 3] = [
    ("s1", "half within", |a| a.p50_ns),
    ("s2", "99 % within", |a| a.p99_ns),
    ("s4", "99.9 % within", |a| a.p999_ns),
];

/// The chart and the table of the attempts.
pub(super) fn section(search: &Search) -> String {
    let found = lead::of_search(search);
    let mut out = String::from("<section><h2>The highest rate</h2>");
    let _ = write!(out, "<p>{}</p>", escape(&found));
    if !search.curve.is_empty() {
        out.push_str(&chart(search));
        out.push_str(&attempts(search));
    }
    out.push_str("</section>");
    out
}

fn chart(search: &Search) -> String {
    let objective = objective_ns(&search.slo);
    let attempts = search.curve.iter();
    let shown = attempts.flat_map(|a| LINES.map(|l| (l.2)(a) as f64));
    let values: Vec<f64> = shown.chain(objective.iter().map(|o| o.1)).collect();
    let filled = values.iter().copied().filter(|v| *v > 0.0);
    let least = filled.fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(1.0, f64::max);
    let (low, high) = ticks::log_bounds(least, most);
    let (x, marks) = rate_axis(search);
    let title = "Latency against rate";
    let mut plot = Plot::new(title, 360.0, x, Scale::log(low, high));
    plot.y_axis("delivery latency", &ticks::log(low, high, text::nanos));
    plot.x_axis("msg/s", &marks);
    if let Some((name, ns)) = &objective {
        plot.level("limit", *ns, &format!("{name} {}", text::nanos(*ns)));
    }
    if let Some(rate) = search.max_rate {
        plot.moment("held-line", rate, &format!("{} msg/s", text::rate(rate)));
    }
    for (class, name, of) in LINES {
        let attempts = search.curve.iter();
        let points: Vec<_> = attempts.map(|a| (a.rate, of(a) as f64)).collect();
        plot.line(class, &points);
        for attempt in &search.curve {
            mark(&mut plot, class, name, attempt, of(attempt) as f64);
        }
    }
    let note = "Filled: held. Cross: missed. Square: the tester was the limit.";
    let keys = LINES.map(|(class, name, _)| (class, name.to_owned()));
    svg::figure(title, note, &keys, &plot.finish())
}

/// The axis of the rates with its labels.
fn rate_axis(search: &Search) -> (Scale, Vec<Tick>) {
    let rates = || search.curve.iter().map(|a| a.rate);
    let finite = || rates().filter(|r| r.is_finite());
    let least = finite().fold(f64::INFINITY, f64::min);
    let most = finite().fold(0.0, f64::max);
    if least > 0.0 && most > least * LOG_FROM_TIMES {
        let (low, high) = ticks::log_bounds(least, most);
        let mut marks = ticks::log(low, high, text::short);
        marks.retain(|t| !t.label.is_empty());
        return (Scale::log(low, high), marks);
    }
    let high = most * 1.05;
    (Scale::linear(0.0, high), ticks::linear(high, text::short))
}

fn mark(plot: &mut Plot, class: &str, name: &str, attempt: &Attempt, ns: f64) {
    let (x, y) = (plot.x(attempt.rate), plot.y(ns));
    let shape = match (attempt.tester_limited, attempt.held) {
        (true, _) => format!("M{} {}h8v8h-8z", svg::c(x - 4.0), svg::c(y - 4.0)),
        (false, true) => format!(
            "M{} {}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z",
            svg::c(x - 4.0),
            svg::c(y)
        ),
        (false, false) => {
            let (left, top) = (svg::c(x - 4.0), svg::c(y - 4.0));
            format!("M{left} {top}l8 8m0 -8l-8 8")
        }
    };
    let kind = if attempt.held && !attempt.tester_limited {
        "held"
    } else {
        "open"
    };
    let tip = format!(
        "{} msg/s: {name} {}",
        text::rate(attempt.rate),
        text::nanos(ns)
    );
    plot.raw(&format!(
        "<path class=\"mark {kind} {class}\" d=\"{shape}\"><title>{}</title></path>",
        escape(&tip)
    ));
}

fn attempts(search: &Search) -> String {
    let rows: Vec<Vec<String>> = search
        .curve
        .iter()
        .map(|a| {
            let mut answer = if a.held {
                "held".to_owned()
            } else {
                format!("missed: {}", a.why)
            };
            if a.tester_limited {
                answer.push_str(" (the tester was the limit)");
            }
            vec![
                text::rate(a.rate),
                text::rate(a.achieved),
                text::nanos(a.p50_ns as f64),
                text::nanos(a.p99_ns as f64),
                text::nanos(a.p999_ns as f64),
                text::count(a.lost),
                answer,
            ]
        })
        .collect();
    let head = [
        "rate, msg/s",
        "achieved",
        "p50",
        "p99",
        "p99.9",
        "lost",
        "answer",
    ];
    table(&head, &rows, Align::LastLeft)
}

/// The latency of an objective such as `p99=10ms,loss=0`: its name and its nanoseconds.
pub(super) fn objective_ns(slo: &str) -> Option<(String, f64)> {
    let latency = slo.split(',').filter_map(|part| part.split_once('='));
    let mut latency =
        latency.filter(|(name, _)| name.trim().starts_with('p') || name.trim() == "max");
    let (name, value) = latency.next()?;
    let value = value.trim().trim_start_matches(['<', '=']);
    let split = value.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = value.split_at(split);
    let unit_ns = match unit.trim() {
        "ns" => 1.0,
        "us" | "µs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        _ => return None,
    };
    let ns = number.parse::<f64>().ok()? * unit_ns;
    (ns > 0.0).then(|| (name.trim().to_owned(), ns))
}
