//! The parts of a chart: scales, the frame with its axes, lines, areas, and the figure around it.
//!
//! A chart is drawn in units of its own (`WIDTH` wide) and scaled by the page. Values beyond a scale are drawn at its
//! edge, those that are no numbers at its start: no coordinate is ever `NaN`. Colours come from the style sheet by class.

use std::fmt::Write as _;

use super::text::escape;
use super::ticks::Tick;

pub(super) const WIDTH: f64 = 920.0;
pub(super) const LEFT: f64 = 76.0;
pub(super) const RIGHT: f64 = 18.0;
pub(super) const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// Narrowest space between the labels of the x axis, in units of the chart.
const LABEL_GAP: f64 = 52.0;

/// Values to a share of an axis.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    pub(super) fn linear(low: f64, high: f64) -> Self {
        let low = if low.is_finite() { low } else { 0.0 };
        let high = if high.is_finite() && high > low {
            high
        } else {
            low + 1.0
        };
        Scale {
            low,
            high,
            log: false,
        }
    }

    /// Both ends above zero; what is not becomes one.
    pub(super) fn log(low: f64, high: f64) -> Self {
        let low = if low.is_finite() && low > 0.0 {
            low
        } else {
            1.0
        };
        let high = if high.is_finite() && high > low {
            high
        } else {
            low * 10.0
        };
        Scale {
            low,
            high,
            log: true,
        }
    }

    /// Where the value lies, from 0 to 1.
    pub(super) fn share(&self, value: f64) -> f64 {
        let part = match self.log {
            false => (value - self.low) / (self.high - self.low),
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
        };
        if part.is_nan() {
            0.0
        } else {
            part.clamp(0.0, 1.0)
        }
    }

    pub(super) fn holds(&self, value: f64) -> bool {
        value >= self.low && value <= self.high
    }

    fn high(&self) -> f64 {
        self.high
    }
}

/// A coordinate: one decimal at most.
pub(super) fn c(value: f64) -> String {
    let text = format!("{:.1}", if value.is_finite() { value } else { 0.0 });
    text.trim_end_matches(".0").to_owned()
}

/// A chart with an x and a y axis, being drawn.
pub(super) struct Plot {
    x: Scale,
    y: Scale,
    height: f64,
    label: String,
    body: String,
}

impl Plot {
    /// `label` says to those who do not see it what the chart shows.
    pub(super) fn new(label: &str, height: f64, x: Scale, y: Scale) -> Self {
        Plot {
            x,
            y,
            height,
            label: escape(label),
            body: String::new(),
        }
    }

    pub(super) fn x(&self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn y(&self, value: f64) -> f64 {
        self.bottom() - self.y.share(value) * (self.bottom() - TOP)
    }

    /// The end of the y axis.
    pub(super) fn y_high(&self) -> f64 {
        self.y.high()
    }

    pub(super) fn bottom(&self) -> f64 {
        self.height - BOTTOM
    }

    /// Grid lines and labels of the y axis, with what it measures.
    pub(super) fn y_axis(&mut self, name: &str, ticks: &[Tick]) {
        let y = self.y;
        for tick in ticks.iter().filter(|t| y.holds(t.at)) {
            let (y, right) = (c(self.y(tick.at)), c(WIDTH - RIGHT));
            let class = if tick.label.is_empty() {
                "minor"
            } else {
                "grid"
            };
            let _ = write!(
                self.body,
                "<path class=\"{class}\" d=\"M{LEFT} {y}H{right}\"/>"
            );
            if !tick.label.is_empty() {
                self.text(LEFT - 8.0, self.y(tick.at) + 4.0, "tick end", &tick.label);
            }
        }
        let middle = c((TOP + self.bottom()) / 2.0);
        let _ = write!(
            self.body,
            "<text class=\"axis mid\" transform=\"translate(14 {middle}) rotate(-90)\">{}</text>",
            escape(name)
        );
    }

    /// Grid lines and labels of the x axis, leaving out labels that would touch, with what it measures.
    pub(super) fn x_axis(&mut self, name: &str, ticks: &[Tick]) {
        let (top, bottom) = (c(TOP), c(self.bottom()));
        let mut free = f64::MIN;
        let x = self.x;
        for tick in ticks.iter().filter(|t| x.holds(t.at)) {
            let x = self.x(tick.at);
            let _ = write!(
                self.body,
                "<path class=\"grid\" d=\"M{} {top}V{bottom}\"/>",
                c(x)
            );
            if x >= free {
                free = x + LABEL_GAP;
                let y = self.bottom() + 17.0;
                // A label at the very end stays inside.
                if x + LABEL_GAP / 2.0 > WIDTH {
                    self.text(WIDTH - 2.0, y, "tick end", &tick.label);
                } else {
                    self.text(x, y, "tick mid", &tick.label);
                }
            }
        }
        self.text(
            (LEFT + WIDTH - RIGHT) / 2.0,
            self.bottom() + 37.0,
            "axis mid",
            name,
        );
    }

    /// Text at a place of the chart.
    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, text: &str) {
        let (x, y, text) = (c(x), c(y), escape(text));
        let _ = write!(
            self.body,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{text}</text>"
        );
    }

    /// A line through values.
    pub(super) fn line(&mut self, class: &str, points: &[(f64, f64)]) {
        let path = self.path(points);
        let _ = write!(self.body, "<path class=\"line {class}\" d=\"{path}\"/>");
    }

    /// The area between two values over stretches of x: `(from, to, low, high)`, drawn as steps.
    pub(super) fn steps_area(&mut self, class: &str, steps: &[(f64, f64, f64, f64)]) {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            return;
        };
        let mut path = format!("M{} {}", c(self.x(first.0)), c(self.y(first.2)));
        for &(from, to, _, high) in steps {
            let _ = write!(
                path,
                "L{} {}H{}",
                c(self.x(from)),
                c(self.y(high)),
                c(self.x(to))
            );
        }
        let _ = write!(path, "V{}", c(self.y(last.2)));
        for &(from, to, low, _) in steps.iter().rev() {
            let _ = write!(
                path,
                "L{} {}H{}",
                c(self.x(to)),
                c(self.y(low)),
                c(self.x(from))
            );
        }
        let _ = write!(self.body, "<path class=\"area {class}\" d=\"{path}Z\"/>");
    }

    fn path(&self, points: &[(f64, f64)]) -> String {
        let mut path = String::new();
        for (at, &(x, y)) in points.iter().enumerate() {
            let letter = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{} {}", c(self.x(x)), c(self.y(y)));
        }
        path
    }

    /// A stretch of x over the whole height.
    pub(super) fn band(&mut self, class: &str, from: f64, to: f64, tip: &str) {
        let (left, right) = (self.x(from), self.x(to));
        let (width, height) = (c((right - left).max(0.5)), c(self.bottom() - TOP));
        let title = match tip {
            "" => String::new(),
            tip => format!("<title>{}</title>", escape(tip)),
        };
        let _ = write!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{TOP}\" width=\"{width}\" height=\"{height}\">{title}</rect>",
            c(left)
        );
    }

    /// A line across at a value of y, with its name above (or below it, where there is no room) at the left: curves rise
    /// to the right.
    pub(super) fn level(&mut self, class: &str, value: f64, name: &str) {
        let y = self.y(value);
        let right = WIDTH - RIGHT;
        let _ = write!(
            self.body,
            "<path class=\"line {class}\" d=\"M{LEFT} {}H{}\"/>",
            c(y),
            c(right)
        );
        let below = y - TOP < 18.0;
        let shift = if below { 14.0 } else { -5.0 };
        self.text(LEFT + 6.0, y + shift, "note", name);
    }

    /// A line up at a value of x, with its name beside it.
    pub(super) fn moment(&mut self, class: &str, value: f64, name: &str) {
        let x = self.x(value);
        let (top, bottom) = (c(TOP), c(self.bottom()));
        // The halo keeps a line that has a name apart from an area of any colour.
        let halo = (!name.is_empty()).then_some("halo");
        for class in halo.into_iter().chain([class]) {
            let line = format!(
                "<path class=\"line {class}\" d=\"M{} {top}V{bottom}\"/>",
                c(x)
            );
            self.raw(&line);
        }
        if name.is_empty() {
            return;
        }
        let left = x > WIDTH * 0.7;
        let (shift, class) = if left {
            (-5.0, "note end")
        } else {
            (5.0, "note")
        };
        self.text(x + shift, TOP + 32.0, class, name);
    }

    /// What a chart draws that the others do not.
    pub(super) fn raw(&mut self, markup: &str) {
        self.body.push_str(markup);
    }

    pub(super) fn finish(self) -> String {
        let Plot {
            height,
            label,
            body,
            ..
        } = self;
        format!(
            "<svg class=\"chart\" role=\"img\" aria-label=\"{label}\" viewBox=\"0 0 {WIDTH} {}\">{body}</svg>",
            c(height)
        )
    }
}

/// A chart with its heading, a sentence on how to read it, and the names of its colours `(class, name)`.
pub(super) fn figure(title: &str, note: &str, keys: &[(&str, String)], chart: &str) -> String {
    let mut out = format!("<figure><figcaption><h3>{}</h3>", escape(title));
    if !note.is_empty() {
        let _ = write!(out, "<p>{}</p>", escape(note));
    }
    out.push_str("</figcaption>");
    if !keys.is_empty() {
        out.push_str("<ul class=\"legend\">");
        for (class, name) in keys {
            let _ = write!(
                out,
                "<li><i class=\"key {class}\"></i>{}</li>",
                escape(name)
            );
        }
        out.push_str("</ul>");
    }
    let _ = write!(out, "<div class=\"scroll\">{chart}</div></figure>");
    out
}
