//! Latency by percentile, in the manner of HdrHistogram's plotter: the tail is as wide as the rest.

use std::fmt::Write as _;

use super::svg::{self, Plot, Scale};
use super::text::{self, escape};
use super::ticks;
use crate::load::distribution::Distribution;
use crate::load::report::pick::focus;
use crate::load::result::{Report, Run, Step};

/// Points of a curve for each nine.
const POINTS_PER_NINE: u32 = 16;

/// Nines that are shown at most: one in a hundred million.
const NINES_MAX: f64 = 8.0;

/// The classes of curves, in the order in which they are handed out.
pub(super) const CLASSES: [&str; 6] = ["s1", "s2", "s3", "s4", "s5", "s6"];

/// Percentiles that have a point to hover over, as nines.
const MARKED: [f64; 6] = [std::f64::consts::LOG10_2, 1.0, 2.0, 3.0, 4.0, 5.0];

/// A named curve of `(nines, nanoseconds)`.
struct Curve {
    class: &'static str,
    name: String,
    points: Vec<(f64, f64)>,
}

/// The curves of the step that the report is about; then of all steps and of all repetitions, if there are several.
pub(super) fn section(report: &Report, run: &Run, step: &Step) -> String {
    let mut out = String::new();
    let (latency, tester) = (&step.latency, &step.tester);
    let kinds = [
        ("delivery", &latency.delivery_ns),
        ("acknowledgement", &latency.ack_ns),
        ("spread, first to last subscriber", &latency.spread_ns),
        ("slip, the tester's own lateness", &tester.slip_ns),
        ("operation", &latency.operation_ns),
    ];
    let curves = curves(kinds.into_iter().map(|(name, d)| (name.to_owned(), d)));
    let of = match run.steps.len() {
        0 | 1 => String::new(),
        _ => format!("; step: {}", step.name),
    };
    let note = format!(
        "{}{of}. The right end of a curve is its slowest message.",
        model(report)
    );
    out.push_str(&plot("Latency by percentile", &note, &curves));
    if run.steps.len() > 1 {
        let steps = spaced(&run.steps).into_iter();
        let curves = self::curves(steps.map(|s| (s.name.clone(), &s.latency.delivery_ns)));
        out.push_str(&plot("Delivery latency of each step", "", &curves));
    }
    if report.runs.len() > 1 {
        let named = report.runs.iter().enumerate();
        let runs = named.filter_map(|(n, r)| Some((n, focus(report, r)?)));
        let all: Vec<_> = runs.map(|(n, s)| (format!("run {}", n + 1), s)).collect();
        let curves = self::curves(
            spaced(&all)
                .into_iter()
                .map(|(name, s)| (name.clone(), &s.latency.delivery_ns)),
        );
        out.push_str(&plot("Delivery latency of each repetition", "", &curves));
    }
    out
}

fn model(report: &Report) -> String {
    match report.load_model.as_str() {
        "" => "Latencies".to_owned(),
        model => format!("Load: {model}"),
    }
}

/// As many items as there are classes, from the first to the last.
fn spaced<T>(items: &[T]) -> Vec<&T> {
    let (all, shown) = (items.len(), CLASSES.len());
    if all <= shown {
        return items.iter().collect();
    }
    let at = |n: usize| n * (all - 1) / (shown - 1);
    (0..shown).filter_map(|n| items.get(at(n))).collect()
}

fn curves<'a>(named: impl Iterator<Item = (String, &'a Distribution)>) -> Vec<Curve> {
    named
        .zip(CLASSES)
        .filter(|((_, d), _)| !d.is_empty())
        .map(|((name, distribution), class)| Curve {
            class,
            name,
            points: points(distribution),
        })
        .collect()
}

fn points(distribution: &Distribution) -> Vec<(f64, f64)> {
    let d = distribution;
    let last = (d.count as f64).log10().clamp(0.5, NINES_MAX);
    let Some(histogram) = d.decode() else {
        let known = [d.min, d.p50, d.p75, d.p90, d.p99, d.p999, d.p9999];
        let nines = [0.0, 0.301, 0.602, 1.0, 2.0, 3.0, 4.0];
        let mut points: Vec<(f64, f64)> = nines.into_iter().zip(known.map(|v| v as f64)).collect();
        points.retain(|p| p.0 < last);
        points.push((last, d.max as f64));
        return points;
    };
    let steps = (last * f64::from(POINTS_PER_NINE)).ceil() as u32;
    let mut points: Vec<(f64, f64)> = (0..steps)
        .map(|n| f64::from(n) / f64::from(POINTS_PER_NINE))
        .map(|nines| {
            (
                nines,
                histogram.value_at_quantile(1.0 - 10f64.powf(-nines)) as f64,
            )
        })
        .collect();
    points.push((last, d.max as f64));
    points
}

fn plot(title: &str, note: &str, curves: &[Curve]) -> String {
    if curves.is_empty() {
        return String::new();
    }
    let all = || curves.iter().flat_map(|c| &c.points);
    let nines = all().map(|p| p.0).fold(1.0, f64::max);
    let least = all()
        .map(|p| p.1)
        .filter(|v| *v > 0.0)
        .fold(f64::INFINITY, f64::min);
    let most = all().map(|p| p.1).fold(1.0, f64::max);
    let (low, high) = ticks::log_bounds(least, most);
    let mut plot = Plot::new(
        title,
        380.0,
        Scale::linear(0.0, nines),
        Scale::log(low, high),
    );
    plot.y_axis("latency", &ticks::log(low, high, text::nanos));
    plot.x_axis("percentile", &ticks::percentiles(nines));
    for curve in curves {
        plot.line(curve.class, &curve.points);
    }
    for curve in curves {
        marks(&mut plot, curve);
    }
    let keys: Vec<_> = curves.iter().map(|c| (c.class, c.name.clone())).collect();
    svg::figure(title, note, &keys, &plot.finish())
}

/// Points that say their value when pointed at.
fn marks(plot: &mut Plot, curve: &Curve) {
    let last = curve.points.last().map_or(0.0, |p| p.0);
    let wanted = MARKED.into_iter().filter(|n| *n < last).chain([last]);
    for nines in wanted {
        let near = |p: &&(f64, f64)| p.0 >= nines - 1e-3;
        let Some(&(_, value)) = curve.points.iter().find(near) else {
            continue;
        };
        let (x, y) = (svg::c(plot.x(nines)), svg::c(plot.y(value)));
        let of = match nines == last {
            true => "slowest".to_owned(),
            false => percentile_name(nines),
        };
        let mut dot = format!(
            "<circle class=\"dot {}\" cx=\"{x}\" cy=\"{y}\" r=\"3.5\">",
            curve.class
        );
        let _ = write!(
            dot,
            "<title>{}: {of} {}</title></circle>",
            escape(&curve.name),
            text::nanos(value)
        );
        plot.raw(&dot);
    }
}

fn percentile_name(nines: f64) -> String {
    match nines {
        n if n < 1.0 => "half within".to_owned(),
        n => format!(
            "{} within",
            text::percent_exact(1.0 - 10f64.powf(-n), n as usize)
        ),
    }
}
