//! Numbers as a person reads them: times, rates, memory, counts, shares.
//!
//! Every value that is not finite is written as a dash: no `NaN` reaches a report.

/// What stands where there is no number.
pub const NONE: &str = "–";

/// Three significant digits, without zeros that say nothing: `0.5`, `1.25`, `34`, `340`, `3400`.
pub fn three(value: f64) -> String {
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
        unit => format!("{} {unit}", three(value / size)),
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

/// Memory a second: `1.25 MiB/s`.
pub fn byte_rate(value: f64) -> String {
    match value.is_finite() {
        true => format!("{}/s", bytes(value)),
        false => NONE.to_owned(),
    }
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

/// A count with what is counted, in the singular if it is one: `1 connection`, `1,010 connections`.
pub fn counted(value: u64, one: &str) -> String {
    let many = match (one.strip_suffix('y'), one.ends_with('s')) {
        _ if value == 1 => one.to_owned(),
        (Some(stem), _) => format!("{stem}ies"),
        (None, true) => format!("{one}es"),
        (None, false) => format!("{one}s"),
    };
    format!("{} {many}", count(value))
}

/// How often: `once`, `2 times`, `1,010 times`.
pub fn repeated(value: u64) -> String {
    match value {
        1 => "once".to_owned(),
        _ => format!("{} times", count(value)),
    }
}

/// A rate a second, whole from ten on.
pub fn rate(value: f64) -> String {
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v >= 10.0 => count(v.round() as u64),
        v => three(v),
    }
}

/// A rate with what it is of, large ones in millions: `34,000 msg/s`, `1.2 M msg/s`.
pub fn rate_of(value: f64, what: &str) -> String {
    match value {
        v if v.is_finite() && v >= 999_500.0 => format!("{} {what}", short(v)),
        v => format!("{} {what}", rate(v)),
    }
}

/// Seconds: `12.3 s`, `4 min 5 s`, `2 h 10 min`.
pub fn seconds(value: f64) -> String {
    let whole = value.round();
    match value {
        v if !v.is_finite() => NONE.to_owned(),
        v if v < 1.0 => nanos(v * 1e9),
        v if v < 120.0 => format!("{} s", three(v)),
        v if v < 7200.0 => format!("{} min {} s", (whole / 60.0).floor(), whole % 60.0),
        _ => format!(
            "{} h {} min",
            (whole / 3600.0).floor(),
            (whole % 3600.0 / 60.0).floor()
        ),
    }
}

/// A share of one: `12.5 %`.
pub fn percent(share: f64) -> String {
    match share.is_finite() {
        true => format!("{} %", three(share * 100.0)),
        false => NONE.to_owned(),
    }
}

/// How many times as much: `3.2×`.
pub fn times(ratio: f64) -> String {
    match ratio {
        r if !r.is_finite() => NONE.to_owned(),
        r if r >= 1000.0 => format!("{}×", short(r).replace(' ', "")),
        r if r >= 9.95 => format!("{r:.0}×"),
        r if r >= 0.095 => format!("{r:.1}×"),
        r => format!("{r:.2}×"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_memory_take_the_largest_unit_that_they_fill() {
        let times = [0.0, 412.0, 1250.0, 999_600.0, 1_240_000.0, 3.1e9, 3.6e12].map(nanos);
        assert_eq!(
            times,
            [
                "0", "412 ns", "1.25 µs", "1 ms", "1.24 ms", "3.1 s", "3600 s"
            ]
        );
        let memory = [0.0, 385.0, 1536.0, 1.37 * f64::from(1 << 30)].map(bytes);
        assert_eq!(memory, ["0 B", "385 B", "1.5 KiB", "1.37 GiB"]);
        assert_eq!(byte_rate(1536.0), "1.5 KiB/s");
        assert_eq!(
            [0.5, 90.0, 245.0, 7800.0].map(seconds),
            ["500 ms", "90 s", "4 min 5 s", "2 h 10 min"]
        );
    }

    #[test]
    fn counts_and_rates_are_in_groups_of_three() {
        assert_eq!([0, 999, 2_030_000].map(count), ["0", "999", "2,030,000"]);
        assert_eq!([4.25, 34_000.4].map(rate), ["4.25", "34,000"]);
        assert_eq!(rate_of(34_000.0, "msg/s"), "34,000 msg/s");
        assert_eq!(rate_of(1_200_000.0, "msg/s"), "1.2 M msg/s");
        assert_eq!(counted(1, "connection"), "1 connection");
        assert_eq!(counted(1010, "connection"), "1,010 connections");
        assert_eq!(counted(1, "delivery"), "1 delivery");
        assert_eq!(counted(0, "delivery"), "0 deliveries");
        assert_eq!(counted(2, "address"), "2 addresses");
        assert_eq!(
            [0, 1, 2, 1010].map(repeated),
            ["0 times", "once", "2 times", "1,010 times"]
        );
        assert_eq!(percent(0.125), "12.5 %");
        assert_eq!(
            [0.05, 1.0, 12.3, 250.0].map(times),
            ["0.05×", "1.0×", "12×", "250×"]
        );
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for write in [
                nanos, bytes, byte_rate, short, rate, seconds, percent, times,
            ] {
                assert_eq!(write(value), NONE);
            }
        }
    }
}
