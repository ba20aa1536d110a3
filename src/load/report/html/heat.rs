//! Latency over time: how the deliveries of each moment are spread over the latencies.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

use super::svg::{self, Plot, Scale};
use super::text::{self, escape};
use super::ticks;
use super::timeline::{Column, Timeline};
use crate::load::distribution::new_histogram;
use crate::load::report::units;

/// Rows for each decade of latency, and how many there are at most in all.
const ROWS_PER_DECADE: f64 = 10.0;
const ROWS_MAX: f64 = 60.0;

/// The share of a moment's deliveries from which on a level begins. The last deliveries in ten thousand matter, so
/// that the levels are far from even.
const LEVELS: [f64; 8] = [0.0, 0.0001, 0.001, 0.01, 0.03, 0.1, 0.2, 0.4];

/// The rows of the map: equal in the logarithm.
struct Rows {
    low: f64,
    count: f64,
    per_decade: f64,
}

impl Rows {
    fn between(low: f64, high: f64) -> Self {
        let decades = (high / low).log10();
        let per_decade = ROWS_PER_DECADE.min(ROWS_MAX / decades);
        Rows {
            low,
            count: (decades * per_decade).ceil().max(1.0),
            per_decade,
        }
    }

    fn of(&self, value: f64) -> usize {
        let row = (value.max(self.low) / self.low).log10() * self.per_decade;
        row.clamp(0.0, self.count - 1.0) as usize
    }

    fn start(&self, row: usize) -> f64 {
        self.low * 10f64.powf(row as f64 / self.per_decade)
    }
}

/// What became of a column: its p50 and p99 at its middle.
#[derive(Default)]
struct Lines {
    p50: Vec<(f64, f64)>,
    p99: Vec<(f64, f64)>,
}

/// The map; nothing without deliveries.
pub(super) fn figure(line: &Timeline<'_>) -> String {
    let all = || line.columns.iter().flat_map(|c| c.intervals);
    let seen = || all().map(|i| &i.latency_ns).filter(|d| !d.is_empty());
    let Some(most) = seen().map(|d| d.max).max() else {
        return String::new();
    };
    let least = seen().map(|d| d.min).min().unwrap_or(1);
    let (low, high) = ticks::log_bounds(least as f64, most as f64);
    let rows = Rows::between(low, high);
    let title = "Latency over time";
    let mut plot = Plot::new(
        title,
        360.0,
        Scale::linear(0.0, line.end),
        Scale::log(low, high),
    );
    line.background(&mut plot);
    plot.y_axis("delivery latency", &ticks::log(low, high, text::nanos));
    line.x_axis(&mut plot);
    columns(&mut plot, &rows, line);
    let note = "Each column is a stretch of time; the colour of a cell is its share of that time's deliveries. \
                Grey: warm-up and drain, not measured.";
    let keys = [
        ("p50", "half of the deliveries".to_owned()),
        ("p99", "99 %".to_owned()),
    ];
    let chart = format!("{}{}", plot.finish(), legend());
    svg::figure(title, note, &keys, &chart)
}

/// The cells by level, then the lines over them, then what is said of a column.
fn columns(plot: &mut Plot, rows: &Rows, line: &Timeline<'_>) {
    let mut levels = vec![String::new(); LEVELS.len()];
    let mut lines = Lines::default();
    let mut hover = String::new();
    for column in &line.columns {
        let Some(merged) = merged(column) else {
            continue;
        };
        cells(plot, rows, column, &merged, &mut levels);
        follow(&mut lines, column, &merged);
        hover.push_str(&tip(plot, column, &merged, line.end));
    }
    let filled = levels
        .iter()
        .enumerate()
        .filter(|(_, path)| !path.is_empty());
    for (level, path) in filled {
        plot.raw(&format!("<path class=\"q{level}\" d=\"{path}\"/>"));
    }
    for (class, points) in [("p50", &lines.p50), ("p99", &lines.p99)] {
        plot.line("halo", points);
        plot.line(class, points);
    }
    plot.raw(&hover);
}

/// All deliveries of a column; `None` without any, or when none of its histograms can be read.
fn merged(column: &Column<'_>) -> Option<Histogram<u64>> {
    let mut all = new_histogram();
    for part in column
        .intervals
        .iter()
        .filter_map(|i| i.latency_ns.decode())
    {
        // A value beyond the range would be of another tool's histogram: left out.
        let _ = all.add(&part);
    }
    (!all.is_empty()).then_some(all)
}

fn cells(
    plot: &Plot,
    rows: &Rows,
    column: &Column<'_>,
    merged: &Histogram<u64>,
    levels: &mut [String],
) {
    let mut counts = vec![0u64; rows.count as usize];
    for value in merged.iter_recorded() {
        if let Some(count) = counts.get_mut(rows.of(value.value_iterated_to() as f64)) {
            *count += value.count_at_value();
        }
    }
    let total = merged.len() as f64;
    let (left, right) = (plot.x(column.from), plot.x(column.to));
    for (row, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let share = count as f64 / total;
        let level = LEVELS.iter().rposition(|from| share >= *from).unwrap_or(0);
        let (top, bottom) = (plot.y(rows.start(row + 1)), plot.y(rows.start(row)));
        let (width, height) = (svg::c(right - left), svg::c(bottom - top));
        if let Some(path) = levels.get_mut(level) {
            let (x, y) = (svg::c(left), svg::c(top));
            let _ = write!(path, "M{x} {y}h{width}v{height}h-{width}z");
        }
    }
}

fn follow(lines: &mut Lines, column: &Column<'_>, merged: &Histogram<u64>) {
    let middle = (column.from + column.to) / 2.0;
    lines
        .p50
        .push((middle, merged.value_at_quantile(0.5) as f64));
    lines
        .p99
        .push((middle, merged.value_at_quantile(0.99) as f64));
}

fn tip(plot: &Plot, column: &Column<'_>, merged: &Histogram<u64>, end: f64) -> String {
    let (left, right) = (plot.x(column.from), plot.x(column.to));
    let at = |quantile| text::nanos(merged.value_at_quantile(quantile) as f64);
    let said = format!(
        "{}\n{}\nhalf within {}\n99\u{a0}% within {}\n99.9\u{a0}% within {}\nslowest {}",
        column.when(end),
        units::counted(merged.len(), "delivery"),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    format!(
        "<rect class=\"hit\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
        svg::c(left),
        svg::c(svg::TOP),
        svg::c((right - left).max(0.5)),
        svg::c(plot.bottom() - svg::TOP),
        escape(&said)
    )
}

/// The levels with the shares that they begin with.
fn legend() -> String {
    let mut out =
        String::from("<ul class=\"ramp\"><li class=\"word\">share of the deliveries:</li>");
    for (level, from) in LEVELS.iter().enumerate() {
        let name = match level {
            0 => "some".to_owned(),
            _ => text::percent(*from),
        };
        let _ = write!(out, "<li><i class=\"swatch q{level}\"></i>{name}</li>");
    }
    out.push_str("</ul>");
    out
}
