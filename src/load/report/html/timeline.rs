//! The intervals of a run's steps, one step behind the other, in as many columns as a chart can show.

use super::svg::Plot;
use super::{text, ticks};
use crate::load::report::series;
use crate::load::result::{Interval, Run};

/// Columns that a run is merged into; steps are not merged, so that a run of very many has more.
const COLUMNS_MAX: usize = 180;

/// Steps from which on their ends are not marked any more.
const MARKS_MAX: usize = 40;

/// Some intervals of one step that follow each other.
pub(super) struct Column<'a> {
    /// Seconds since the start of the first step.
    pub from: f64,
    pub to: f64,
    pub measured: bool,
    /// A second.
    pub published: f64,
    pub delivered: f64,
    /// Messages a second that were to be published.
    pub intended: Option<f64>,
    pub intervals: &'a [Interval],
}

pub(super) struct Timeline<'a> {
    pub columns: Vec<Column<'a>>,
    /// Where each step begins.
    pub steps: Vec<f64>,
    /// The end of the last one.
    pub end: f64,
}

impl<'a> Timeline<'a> {
    pub(super) fn of(run: &'a Run) -> Self {
        let all: usize = run.steps.iter().map(|s| s.series.len()).sum();
        let merged = all.div_ceil(COLUMNS_MAX).max(1);
        let mut line = Timeline {
            columns: Vec::new(),
            steps: Vec::new(),
            end: 0.0,
        };
        for step in &run.steps {
            let interval_s = series::interval_s(step);
            let begin = line.end;
            line.steps.push(begin);
            // Warm-up and drain stay apart from what was measured.
            for part in step.series.chunk_by(|a, b| a.measured == b.measured) {
                for intervals in part.chunks(merged) {
                    let column = column(intervals, begin, interval_s, step.rate_intended);
                    line.end = line.end.max(column.to);
                    line.columns.push(column);
                }
            }
        }
        line
    }

    /// Greys out what was not measured and marks where steps begin.
    pub(super) fn background(&self, plot: &mut Plot) {
        for part in self.columns.chunk_by(|a, b| a.measured == b.measured) {
            if let ([first, ..], [.., last]) = (part, part)
                && !first.measured
            {
                plot.band("cut", first.from, last.to, "");
            }
        }
        if self.steps.len() <= MARKS_MAX {
            for begin in self.steps.iter().skip(1) {
                plot.moment("mark", *begin, "");
            }
        }
    }

    /// Names the x axis.
    pub(super) fn x_axis(&self, plot: &mut Plot) {
        plot.x_axis("time since the start of the load", &ticks::time(self.end));
    }
}

impl Column<'_> {
    /// `12 s to 14 s`
    pub(super) fn when(&self, end: f64) -> String {
        let cut = if self.measured { "" } else { " (not measured)" };
        let (from, to) = (ticks::clock(self.from, end), ticks::clock(self.to, end));
        format!("{from} to {to}{cut}")
    }

    pub(super) fn tip(&self, end: f64) -> String {
        let (published, delivered) = (text::rate(self.published), text::rate(self.delivered));
        let when = self.when(end);
        format!("{when}\nin: {published} msg/s\nout: {delivered} msg/s")
    }
}

fn column<'a>(
    intervals: &'a [Interval],
    begin: f64,
    interval_s: f64,
    intended: Option<f64>,
) -> Column<'a> {
    let from = begin + intervals.first().map_or(0.0, |i| i.at_s);
    let to = begin + intervals.last().map_or(0.0, |i| i.at_s) + interval_s;
    let seconds = intervals.len() as f64 * interval_s;
    let sum = |of: fn(&Interval) -> u64| intervals.iter().map(of).sum::<u64>() as f64;
    Column {
        from,
        to,
        measured: intervals.iter().any(|i| i.measured),
        published: sum(|i| i.published) / seconds,
        delivered: sum(|i| i.delivered) / seconds,
        intended: intended.filter(|r| r.is_finite()),
        intervals,
    }
}
