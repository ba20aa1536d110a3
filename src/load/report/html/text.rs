//! Numbers and words as a person reads them, and as a page may hold them.
//!
//! Every value that is not finite is written as a dash: no `NaN` reaches a page.

/// What stands where there is no number.
pub const NONE: &str = "–";

/// The text with everything replaced that means something in markup, and what XML cannot hold.
pub fn escape(text: &str) -> String {
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

/// Three significant digits, without zeros that say nothing: `0.5`, `1.25`, `34`, `340`, `3400`.
fn three(value: f64) -> String {
    let decimals = match value.abs() {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        v if v >= 0.9995 => 2,
        _ => 3,
    };
    let text = format!("{value:.decimals$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// The value in the largest unit that it fills; `units` go from the smallest to the largest.
fn in_units(value: f64, units: &[(f64, &str)]) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let fills = |size: f64| value.abs() >= size * 0.9995;
    let found = units.iter().rev().find(|(size, _)| fills(*size));
    let (size, unit) = found.or(units.first()).copied().unwrap_or((1.0, ""));
    match unit {
        "" => three(value / size),
        unit => format!("{}\u{a0}{unit}", three(value / size)),
    }
}

/// A time given in nanoseconds: `850 ns`, `1.25 ms`, `3 s`.
pub fn nanos(ns: f64) -> String {
    if ns == 0.0 {
        return "0".to_owned();
    }
    in_units(ns, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

/// Memory: `512 B`, `1.25 MiB`.
pub fn bytes(value: f64) -> String {
    const KIB: f64 = 1024.0;
    in_units(
        value,
        &[
            (1.0, "B"),
            (KIB, "KiB"),
            (KIB * KIB, "MiB"),
            (KIB * KIB * KIB, "GiB"),
            (KIB * KIB * KIB * KIB, "TiB"),
        ],
    )
}

/// A number for an axis or a small cell: `950`, `34 k`, `2.03 M`.
pub fn short(value: f64) -> String {
    in_units(value, &[(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")])
}

/// A whole number in groups of three: `2,030,000`.
pub fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, c) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A rate a second, whole from ten on.
pub fn rate(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v >= 10.0 => count(v.round() as u64),
        v => three(v),
    }
}

/// Seconds: `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub fn seconds(value: f64) -> String {
    let whole = value.round();
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v < 1.0 => nanos(v * 1e9),
        v if v < 120.0 => format!("{}\u{a0}s", three(v)),
        v if v < 7200.0 => format!(
            "{}\u{a0}min {}\u{a0}s",
            (whole / 60.0).floor(),
            whole % 60.0
        ),
        _ => format!(
            "{}\u{a0}h {}\u{a0}min",
            (whole / 3600.0).floor(),
            (whole % 3600.0 / 60.0).floor()
        ),
    }
}

/// A share of one: `12.5 %`.
pub fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{}\u{a0}%", three(share * 100.0)),
        false => NONE.to_owned(),
    }
}

/// How many times as much: `3.2×`.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if !r.is_finite() => NONE.to_owned(),
        r if r >= 1000.0 => format!("{}×", short(r).replace('\u{a0}', "")),
        r if r >= 99.5 => format!("{r:.0}×"),
        r if r >= 9.95 => format!("{r:.0}×"),
        r if r >= 0.095 => format!("{r:.1}×"),
        r => format!("{r:.2}×"),
    }
}

/// A percentile with as many decimals as its nines need: `99.9 %`.
pub fn percent_exact(share: f64, nines: usize) -> String {
    let decimals = nines.saturating_sub(2);
    format!("{:.decimals$}\u{a0}%", share * 100.0)
}
