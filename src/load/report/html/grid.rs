//! The stress grid as heat maps: ours, that of 2017, and how many times better ours is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::tables::{self, Align};
use super::text::{self, escape};
use crate::load::report::pick::median;
use crate::load::report::units;
use crate::load::stress::compare::CellMedian as Cell;

/// The highest power of two of the square.
const POWER_MAX: u32 = 10;

/// Classes `q0` to `q7` for values, `r0` to `r8` for ratios (`r4`: as good).
const LEVELS: f64 = 8.0;
const RATIO_SIDE: f64 = 4.0;

/// A ratio nearer to one than this is as good.
const SAME: f64 = 1.05;

const SIZE: f64 = 30.0;
const LEFT: f64 = 46.0;
const TOP: f64 = 8.0;
const BELOW: f64 = 44.0;

/// What is shown of a cell.
struct Measure {
    title: &'static str,
    of: fn(&Cell) -> f64,
    write: fn(f64) -> String,
    tip: fn(f64) -> String,
    /// Whether more is better.
    more: bool,
}

const MEASURES: [Measure; 4] = [
    Measure {
        title: "Subscriber total throughput, msg/s",
        of: |c| c.sub_total,
        write: cell_text,
        tip: |v| format!("{} msg/s", text::rate(v)),
        more: true,
    },
    Measure {
        title: "Publisher total throughput, msg/s",
        of: |c| c.pub_total,
        write: cell_text,
        tip: |v| format!("{} msg/s", text::rate(v)),
        more: true,
    },
    Measure {
        title: "Subscriber mean duration",
        of: |c| c.sub_duration,
        write: cell_time,
        tip: text::seconds,
        more: false,
    },
    Measure {
        title: "Publisher mean duration",
        of: |c| c.pub_duration,
        write: cell_time,
        tip: text::seconds,
        more: false,
    },
];

type Grid = BTreeMap<(u32, u32), Cell>;

/// The page of a grid; `meta` is what a repeat needs, by name.
pub fn grid_page(
    ours: &[Cell],
    published: &[Cell],
    title: &str,
    meta: &[(String, String)],
) -> String {
    let (ours, theirs) = (by_place(ours), by_place(published));
    let mut body = format!(
        "<header><h1>{}</h1><p class=\"lead\">Every pair of subscribers and publishers: ours, the runs published \
         in 2017, and how many times better ours is.</p></header>",
        escape(title)
    );
    body.push_str(&tiles(&ours, &theirs));
    let subscribers = places(&ours, &theirs, |place| place.0);
    let publishers = places(&ours, &theirs, |place| place.1);
    for measure in &MEASURES {
        body.push_str(&maps(measure, &ours, &theirs, &subscribers, &publishers));
    }
    body.push_str(&super::section("Cells", &numbers(&ours, &theirs)));
    let meta = tables::pairs(meta.iter().map(|(n, v)| (n.as_str(), v.clone())));
    body.push_str(&super::section("To repeat it", &meta));
    super::document(title, &body)
}

/// Cells by (subscribers, publishers); several of one place become their mean by runs.
fn by_place(cells: &[Cell]) -> Grid {
    let mut grid = Grid::new();
    for cell in cells {
        let held = grid
            .entry((cell.subscribers, cell.publishers))
            .or_insert(Cell { runs: 0, ..*cell });
        let (old, new) = (f64::from(held.runs), f64::from(cell.runs.max(1)));
        let mean = |a: f64, b: f64| (a * old + b * new) / (old + new);
        held.sub_total = mean(held.sub_total, cell.sub_total);
        held.pub_total = mean(held.pub_total, cell.pub_total);
        held.sub_duration = mean(held.sub_duration, cell.sub_duration);
        held.pub_duration = mean(held.pub_duration, cell.pub_duration);
        held.runs += cell.runs.max(1);
    }
    grid
}

/// The powers of two, and what else there are cells of.
fn places(ours: &Grid, theirs: &Grid, of: fn(&(u32, u32)) -> u32) -> Vec<u32> {
    let powers = (0..=POWER_MAX).map(|p| 1 << p);
    let mut all: Vec<u32> = powers
        .chain(ours.keys().chain(theirs.keys()).map(of))
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn usable(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

/// How many times better ours is.
fn better(measure: &Measure, ours: &Cell, theirs: &Cell) -> Option<f64> {
    let (a, b) = ((measure.of)(ours), (measure.of)(theirs));
    let ratio = if measure.more { a / b } else { b / a };
    (usable(a) && usable(b)).then_some(ratio)
}

fn tiles(ours: &Grid, theirs: &Grid) -> String {
    let runs = ours.values().map(|c| u64::from(c.runs)).sum();
    let mut tiles = vec![
        ("cells of ours".to_owned(), text::count(ours.len() as u64)),
        ("runs in them".to_owned(), text::count(runs)),
    ];
    for (of, measure) in ["subscriber", "publisher"].into_iter().zip(&MEASURES) {
        let (best, before) = (highest(ours, measure.of), highest(theirs, measure.of));
        let best = format!("{best} ({before} in 2017)");
        tiles.push((format!("highest {of} throughput, msg/s"), best));
        let both = pairs(ours, theirs);
        let mut ratios: Vec<f64> = both.filter_map(|(a, b)| better(measure, a, b)).collect();
        ratios.sort_by(f64::total_cmp);
        if let Some(median) = median(&ratios) {
            let above = ratios.iter().filter(|r| **r > 1.0).count();
            let (median, all) = (text::times(median), ratios.len());
            let said = format!("{median}, more in {above} of {all}");
            tiles.push((format!("median ratio, {of} throughput"), said));
        }
    }
    super::tiles("tiles wide", tiles.into_iter())
}

fn highest(grid: &Grid, of: fn(&Cell) -> f64) -> String {
    let usable = grid.values().map(of).filter(|v| usable(*v));
    usable
        .max_by(f64::total_cmp)
        .map_or(text::NONE.to_owned(), text::rate)
}

/// Cells that both have.
fn pairs<'a>(ours: &'a Grid, theirs: &'a Grid) -> impl Iterator<Item = (&'a Cell, &'a Cell)> {
    ours.iter()
        .filter_map(|(place, cell)| Some((cell, theirs.get(place)?)))
}

/// The three maps of a measure.
fn maps(
    measure: &Measure,
    ours: &Grid,
    theirs: &Grid,
    subscribers: &[u32],
    publishers: &[u32],
) -> String {
    let colours = Colours::of(measure, ours, theirs);
    let draw = |name: &str, show: &Show<'_>| {
        let label = format!("{}: {name}", measure.title);
        map(&label, name, subscribers, publishers, show)
    };
    let own = |grid: &Grid, place: &(u32, u32)| {
        let cell = grid.get(place)?;
        let value = Some((measure.of)(cell)).filter(|v| usable(*v))?;
        let tip = format!(
            "{}, {}",
            (measure.tip)(value),
            units::counted(cell.runs as u64, "run")
        );
        let class = format!("q{}", colours.level(value));
        Some((class, (measure.write)(value), tip))
    };
    let ratio = |place: &(u32, u32)| {
        let (a, b) = (ours.get(place)?, theirs.get(place)?);
        let value = better(measure, a, b)?;
        let [a, b] = [a, b].map(|cell| (measure.tip)((measure.of)(cell)));
        let class = format!("r{}", colours.ratio_level(value));
        Some((class, text::times(value), format!("{a} against {b}")))
    };
    let name = match measure.more {
        true => "times as much as in 2017",
        false => "times as fast as in 2017",
    };
    let title = escape(measure.title);
    let mut out = format!("<section class=\"grid\"><h2>{title}</h2><div class=\"maps\">");
    out.push_str(&draw("ours", &|place| own(ours, place)));
    out.push_str(&draw("2017", &|place| own(theirs, place)));
    out.push_str(&draw(name, &ratio));
    out.push_str("</div>");
    if colours.high > 0.0 {
        out.push_str(&legend(measure, &colours));
    }
    out.push_str("</section>");
    out
}

/// The colours of a measure: those of values are shared by both maps.
struct Colours {
    low: f64,
    high: f64,
    /// The logarithm of the ratio farthest from one.
    limit: f64,
}

impl Colours {
    fn of(measure: &Measure, ours: &Grid, theirs: &Grid) -> Self {
        let all = || ours.values().chain(theirs.values()).map(measure.of);
        let values = || all().filter(|v| usable(*v));
        let ratios = pairs(ours, theirs).filter_map(|(a, b)| better(measure, a, b));
        let far = ratios.map(|r| r.ln().abs());
        Colours {
            low: values().fold(f64::INFINITY, f64::min),
            high: values().fold(0.0, f64::max),
            limit: far.fold(std::f64::consts::LN_2, f64::max),
        }
    }

    fn level(&self, value: f64) -> u32 {
        if self.high <= self.low {
            return 3;
        }
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        (share * LEVELS).clamp(0.0, LEVELS - 1.0) as u32
    }

    fn ratio_level(&self, ratio: f64) -> i32 {
        let side = match ratio {
            r if r > SAME => 1.0,
            r if r < 1.0 / SAME => -1.0,
            _ => return RATIO_SIDE as i32,
        };
        let far = (ratio.ln().abs() / self.limit * RATIO_SIDE).ceil();
        (RATIO_SIDE + side * far.clamp(1.0, RATIO_SIDE)) as i32
    }
}

/// Class, text and tip of a place.
type Show<'a> = dyn Fn(&(u32, u32)) -> Option<(String, String, String)> + 'a;

fn map(
    label: &str,
    name: &str,
    subscribers: &[u32],
    publishers: &[u32],
    show: &Show<'_>,
) -> String {
    let width = LEFT + SIZE * publishers.len() as f64 + 4.0;
    let bottom = TOP + SIZE * subscribers.len() as f64;
    let mut out = format!(
        "<figure><figcaption><h3>{}</h3></figcaption><svg class=\"chart\" role=\"img\" aria-label=\"{}\" \
         viewBox=\"0 0 {width} {}\">",
        escape(name),
        escape(label),
        bottom + BELOW
    );
    for (row, &subs) in subscribers.iter().rev().enumerate() {
        let y = TOP + SIZE * row as f64;
        let middle = y + SIZE / 2.0 + 3.5;
        let _ = write!(
            out,
            "<text class=\"tick end\" x=\"{}\" y=\"{middle}\">{subs}</text>",
            LEFT - 5.0
        );
        for (column, &pubs) in publishers.iter().enumerate() {
            let x = LEFT + SIZE * column as f64;
            cell(&mut out, x, y, (subs, pubs), show);
        }
    }
    for (column, pubs) in publishers.iter().enumerate() {
        let x = LEFT + SIZE * (column as f64 + 0.5);
        let _ = write!(
            out,
            "<text class=\"tick mid\" x=\"{x}\" y=\"{}\">{pubs}</text>",
            bottom + 15.0
        );
    }
    let (middle, half) = (
        LEFT + SIZE * publishers.len() as f64 / 2.0,
        (TOP + bottom) / 2.0,
    );
    let _ = write!(
        out,
        "<text class=\"axis mid\" x=\"{middle}\" y=\"{}\">publishers</text>\
         <text class=\"axis mid\" transform=\"translate(11 {half}) rotate(-90)\">subscribers</text></svg></figure>",
        bottom + 35.0
    );
    out
}

fn cell(out: &mut String, x: f64, y: f64, place: (u32, u32), show: &Show<'_>) {
    let size = SIZE - 2.0;
    let (x, y) = (x + 1.0, y + 1.0);
    let Some((class, written, tip)) = show(&place) else {
        let _ = write!(
            out,
            "<rect class=\"none\" x=\"{x}\" y=\"{y}\" width=\"{size}\" height=\"{size}\"/>"
        );
        return;
    };
    let said = format!(
        "{}, {}\n{tip}",
        units::counted(u64::from(place.0), "subscriber"),
        units::counted(u64::from(place.1), "publisher")
    );
    let _ = write!(
        out,
        "<g class=\"cell\"><title>{}</title><rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{size}\" \
         height=\"{size}\" rx=\"2\"/><text class=\"on {class}t\" x=\"{}\" y=\"{}\">{}</text></g>",
        escape(&said),
        x + size / 2.0,
        y + size / 2.0 + 3.0,
        escape(&written)
    );
}

/// The colours with the values at which they begin.
fn legend(measure: &Measure, colours: &Colours) -> String {
    let Colours { low, high, limit } = *colours;
    let mut out = String::from("<ul class=\"ramp\"><li class=\"word\">both maps, from:</li>");
    for level in 0..LEVELS as u32 {
        let from = low * (high / low).powf(f64::from(level) / LEVELS);
        let _ = write!(
            out,
            "<li><i class=\"swatch q{level}\"></i>{}</li>",
            (measure.write)(from)
        );
    }
    out.push_str("</ul><ul class=\"ramp\"><li class=\"word\">ratio, up to:</li>");
    for level in 0..=(2.0 * RATIO_SIDE) as u32 {
        let far = f64::from(level) - RATIO_SIDE;
        let name = match far {
            0.0 => "as good".to_owned(),
            far => text::times((limit * far / RATIO_SIDE).exp()),
        };
        let _ = write!(out, "<li><i class=\"swatch r{level}\"></i>{name}</li>");
    }
    out.push_str("</ul>");
    out
}

/// At most four characters.
fn cell_text(value: f64) -> String {
    let two = match value {
        v if v < 0.995 => format!("{v:.2}").trim_start_matches('0').to_owned(),
        v if v < 9.95 => format!("{v:.1}"),
        v if v < 999.5 => format!("{v:.0}"),
        v if v < 9950.0 => format!("{:.1}k", v / 1e3),
        v if v < 999_500.0 => format!("{:.0}k", v / 1e3),
        v if v < 9.95e6 => format!("{:.1}M", v / 1e6),
        v => format!("{:.0}M", v / 1e6),
    };
    two.replace(".0k", "k").replace(".0M", "M")
}

/// Seconds in at most four characters: `6ms`, `.11s`, `2.5s`.
fn cell_time(value: f64) -> String {
    match value {
        v if v < 0.000_995 => format!("{:.0}µs", v * 1e6),
        v if v < 0.0995 => format!("{:.0}ms", v * 1e3),
        v => format!("{}s", cell_text(v)),
    }
}

/// The same as numbers.
fn numbers(ours: &Grid, theirs: &Grid) -> String {
    let rows: Vec<Vec<String>> = ours
        .iter()
        .map(|(place, cell)| {
            let other = theirs.get(place);
            let mut row = vec![format!("{} × {}", place.0, place.1), cell.runs.to_string()];
            for measure in &MEASURES {
                row.push((measure.tip)((measure.of)(cell)));
                let theirs = other.map(|o| (measure.tip)((measure.of)(o)));
                row.push(theirs.unwrap_or(text::NONE.to_owned()));
            }
            row
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let head = [
        "subscribers × publishers",
        "runs",
        "subscribers, ours",
        "2017",
        "publishers, ours",
        "2017",
        "subscriber duration, ours",
        "2017",
        "publisher duration, ours",
        "2017",
    ];
    let table = tables::table(&head, &rows, Align::Right);
    format!(
        "<details><summary>All {} cells as numbers</summary>{table}</details>",
        rows.len()
    )
}
