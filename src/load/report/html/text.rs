//! Words as a page may hold them, and the numbers of `units` with spaces at which no line breaks.

use crate::load::report::units;

pub(super) use crate::load::report::units::{NONE, count, rate, times};

/// The text with everything replaced that means something in markup, and what XML cannot hold.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A number and its unit stay on one line.
fn unbroken(text: &str) -> String {
    text.replace(' ', "\u{a0}")
}

/// See `units::nanos`.
pub(super) fn nanos(ns: f64) -> String {
    unbroken(&units::nanos(ns))
}

/// See `units::bytes`.
pub(super) fn bytes(value: f64) -> String {
    unbroken(&units::bytes(value))
}

/// See `units::short`.
pub(super) fn short(value: f64) -> String {
    unbroken(&units::short(value))
}

/// See `units::seconds`.
pub(super) fn seconds(value: f64) -> String {
    unbroken(&units::seconds(value))
}

/// See `units::percent`.
pub(super) fn percent(share: f64) -> String {
    unbroken(&units::percent(share))
}

/// A percentile with as many decimals as its nines need: `99.9 %`.
pub(super) fn percent_exact(share: f64, nines: usize) -> String {
    let decimals = nines.saturating_sub(2);
    format!("{:.decimals$}\u{a0}%", share * 100.0)
}
