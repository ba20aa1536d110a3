//! Our grid beside published runs: medians and ratios cell by cell, and the question whether the largest cell, where
//! most clients share the broker, is above the best of all published runs.

use std::fmt::Write as _;

use super::dat::{Grid, Pair};
use super::stats::Row;
use crate::load::report::pick;

/// The cell that has to be above every published run.
pub const TOP: Pair = (1024, 1024);

/// One cell: the median of its runs, figure by figure.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CellMedian {
    pub subscribers: u32,
    pub publishers: u32,
    pub runs: u32,
    /// Messages per second of all subscribers, and of all publishers.
    pub sub_total: f64,
    pub pub_total: f64,
    /// Mean duration in seconds of a subscriber, and of a publisher.
    pub sub_duration: f64,
    pub pub_duration: f64,
}

/// One of our cells and the published one; without the latter there is no ratio.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    pub ours: CellMedian,
    pub published: Option<CellMedian>,
    /// Total throughput, ours over published: above 1 is better.
    pub sub_ratio: Option<f64>,
    pub pub_ratio: Option<f64>,
}

/// The highest published total, and where it was reached.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Best {
    pub total: f64,
    pub pair: Pair,
}

/// Our runs of the cell `TOP` against the best of all published runs; the lowest of ours is what counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Top {
    pub runs: u32,
    pub sub_lowest: f64,
    pub pub_lowest: f64,
    pub sub_above: bool,
    pub pub_above: bool,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    pub cells: Vec<Compared>,
    /// Runs in the published grid.
    pub published_runs: usize,
    /// `None` without published runs.
    pub best_sub: Option<Best>,
    pub best_pub: Option<Best>,
    /// `None` without runs of that cell, or without published runs.
    pub top: Option<Top>,
}

/// The medians of all cells, publishers within subscribers.
pub fn cells(grid: &Grid) -> Vec<CellMedian> {
    let cells = grid.runs.iter().filter(|(_, rows)| !rows.is_empty());
    cells.map(|(&pair, rows)| cell(pair, rows)).collect()
}

fn cell((subscribers, publishers): Pair, rows: &[Row]) -> CellMedian {
    let median_of = |figure: fn(&Row) -> f64| median(rows.iter().map(figure).collect());
    CellMedian {
        subscribers,
        publishers,
        runs: rows.len() as u32,
        sub_total: median_of(sub_total),
        pub_total: median_of(pub_total),
        sub_duration: median_of(|row| row.subscriber.mean_s),
        pub_duration: median_of(|row| row.publisher.mean_s),
    }
}

/// The middle value, or the mean of the two in the middle; not a number without values.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    pick::median(&values).unwrap_or(f64::NAN)
}

fn sub_total(row: &Row) -> f64 {
    row.subscriber.total_throughput
}

fn pub_total(row: &Row) -> f64 {
    row.publisher.total_throughput
}

fn best(grid: &Grid, total: fn(&Row) -> f64) -> Option<Best> {
    let best = grid.rows().max_by(|a, b| total(a).total_cmp(&total(b)))?;
    Some(Best {
        total: total(best),
        pair: (best.sub_clients, best.pub_clients),
    })
}

impl Comparison {
    /// Compares.
    pub fn of(ours: &Grid, published: &Grid) -> Comparison {
        let theirs = |pair: Pair| published.runs.get(&pair).map(|rows| cell(pair, rows));
        let compared = |ours: CellMedian| {
            let published = theirs((ours.subscribers, ours.publishers));
            Compared {
                ours,
                published,
                sub_ratio: published.map(|theirs| ours.sub_total / theirs.sub_total),
                pub_ratio: published.map(|theirs| ours.pub_total / theirs.pub_total),
            }
        };
        let (best_sub, best_pub) = (best(published, sub_total), best(published, pub_total));
        Comparison {
            cells: cells(ours).into_iter().map(compared).collect(),
            published_runs: published.rows().count(),
            best_sub,
            best_pub,
            top: top(ours, best_sub, best_pub),
        }
    }

    /// Whether every run of the cell `TOP` is above every published run, for subscribers and for publishers; `None`
    /// without such runs.
    pub fn above_all(&self) -> Option<bool> {
        self.top.map(|top| top.sub_above && top.pub_above)
    }

    /// A table of all cells, and what became of the largest.
    pub fn text(&self) -> String {
        let mut text = String::from(TABLE_HEAD);
        for cell in &self.cells {
            text += &table_line(cell);
        }
        text += &self.best_text();
        text
    }

    fn best_text(&self) -> String {
        let (Some(best_sub), Some(best_pub)) = (self.best_sub, self.best_pub) else {
            return "\nNo published runs to compare with.\n".into();
        };
        let mut text = format!(
            "\nBest of {} published runs: subscribers {} msg/s ({} x {}), publishers {} msg/s ({} x {}).\n",
            self.published_runs,
            grouped(best_sub.total),
            best_sub.pair.0,
            best_sub.pair.1,
            grouped(best_pub.total),
            best_pub.pair.0,
            best_pub.pair.1,
        );
        let Some(top) = self.top else {
            let _ = writeln!(text, "No run of {} x {} to set against it.", TOP.0, TOP.1);
            return text;
        };
        let answer = |above: bool| if above { "above" } else { "NOT above" };
        let _ = writeln!(
            text,
            "Ours at {} x {}, lowest of {} run{}: subscribers {} msg/s, {} every one of them; \
             publishers {} msg/s, {} every one of them.",
            TOP.0,
            TOP.1,
            top.runs,
            if top.runs == 1 { "" } else { "s" },
            grouped(top.sub_lowest),
            answer(top.sub_above),
            grouped(top.pub_lowest),
            answer(top.pub_above),
        );
        text
    }
}

fn top(ours: &Grid, best_sub: Option<Best>, best_pub: Option<Best>) -> Option<Top> {
    let rows = ours.runs.get(&TOP).filter(|rows| !rows.is_empty())?;
    let lowest = |total: fn(&Row) -> f64| rows.iter().map(total).fold(f64::INFINITY, f64::min);
    let (sub_lowest, pub_lowest) = (lowest(sub_total), lowest(pub_total));
    Some(Top {
        runs: rows.len() as u32,
        sub_lowest,
        pub_lowest,
        sub_above: sub_lowest > best_sub?.total,
        pub_above: pub_lowest > best_pub?.total,
    })
}

const TABLE_HEAD: &str = "\
Total throughput in messages per second: median of our runs, median of the published runs, ours over published

                       |              subscribers            |              publishers
  subs   pubs     runs |         ours    published     ratio |         ours    published     ratio
";

fn table_line(cell: &Compared) -> String {
    let ours = &cell.ours;
    let theirs = |total: fn(&CellMedian) -> f64| {
        let total = cell.published.as_ref().map(total);
        total.map_or("-".into(), grouped)
    };
    let ratio = |ratio: Option<f64>| ratio.map_or("-".into(), times);
    format!(
        "{:>6} {:>6} {:>8} | {:>12} {:>12} {:>9} | {:>12} {:>12} {:>9}\n",
        ours.subscribers,
        ours.publishers,
        runs(cell),
        grouped(ours.sub_total),
        theirs(|cell| cell.sub_total),
        ratio(cell.sub_ratio),
        grouped(ours.pub_total),
        theirs(|cell| cell.pub_total),
        ratio(cell.pub_ratio),
    )
}

/// Our runs, and those published.
fn runs(cell: &Compared) -> String {
    let theirs = cell.published.map_or(0, |published| published.runs);
    format!("{}/{theirs}", cell.ours.runs)
}

/// A ratio with three digits or so: `0.873x`, `12.4x`, `3,450x`.
fn times(ratio: f64) -> String {
    match ratio {
        r if r >= 100.0 => format!("{}x", grouped(r)),
        r if r >= 10.0 => format!("{r:.1}x"),
        r if r >= 1.0 => format!("{r:.2}x"),
        r => format!("{r:.3}x"),
    }
}

/// A throughput for people: commas between thousands, a decimal below 100.
fn grouped(value: f64) -> String {
    if !value.is_finite() || value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
