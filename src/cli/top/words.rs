//! Figures as they stand on a screen: in ASCII, so that every terminal shows them, and in few columns.

/// What stands where nothing is known.
pub(super) const NONE: &str = "-";

/// A whole number, in groups of three digits.
pub(super) fn count(value: Option<u64>) -> String {
    let Some(value) = value else {
        return NONE.into();
    };
    let digits = value.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many in a second.
pub(super) fn rate(value: Option<f64>) -> String {
    match value {
        Some(value) if value > 0.0 && value < 99.95 => format!("{value:.1}"),
        other => count(other.map(|value| value.round() as u64)),
    }
}

/// Bytes.
pub(super) fn bytes(value: Option<f64>) -> String {
    let Some(value) = value else {
        return NONE.into();
    };
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut found = (value, "B");
    for unit in units {
        // What would be written as 1024.0 is one of the next unit.
        if found.0 < 1023.95 {
            break;
        }
        found = (found.0 / 1024.0, unit);
    }
    match found {
        (value, "B") => format!("{value:.0} B"),
        (value, unit) => format!("{value:.1} {unit}"),
    }
}

/// Seconds as a time that something took.
pub(super) fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => NONE.into(),
        Some(s) if s < 0.000_999_5 => format!("{:.0} us", s * 1e6),
        Some(s) if s < 0.099_95 => format!("{:.1} ms", s * 1e3),
        Some(s) if s < 0.999_5 => format!("{:.0} ms", s * 1e3),
        Some(s) => format!("{s:.1} s"),
    }
}

/// Seconds as a time since something.
pub(super) fn since(seconds: Option<u64>) -> String {
    let Some(seconds) = seconds else {
        return NONE.into();
    };
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        days => format!("{days}d {clock}"),
    }
}

/// A part of a whole.
pub(super) fn share(part: Option<f64>) -> String {
    part.map_or(NONE.into(), |part| format!("{:.1} %", 100.0 * part))
}

/// A part of a whole as a bar.
pub(super) fn bar(part: f64, width: usize) -> String {
    let full = (part.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(width - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_end_where_they_should() {
        let counts = [0, 999, 1000, 1_234_567].map(|value| count(Some(value)));
        assert_eq!(counts, ["0", "999", "1,000", "1,234,567"]);
        let rates = [0.0, 0.04, 12.34, 99.96, 1234.5].map(|value| rate(Some(value)));
        assert_eq!(rates, ["0", "0.0", "12.3", "100", "1,235"]);
        let sizes = [0.0, 1023.0, 1024.0, 1_048_575.0, 3.5e9].map(|value| bytes(Some(value)));
        assert_eq!(sizes, ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "3.3 GiB"]);
        let times = [0.0, 0.000_012, 0.002_5, 0.25, 0.999_9, 3.0].map(|value| time(Some(value)));
        assert_eq!(
            times,
            ["0 us", "12 us", "2.5 ms", "250 ms", "1.0 s", "3.0 s"]
        );
        let ages = [0, 3661, 90_061].map(|value| since(Some(value)));
        assert_eq!(ages, ["0:00:00", "1:01:01", "1d 1:01:01"]);
        assert_eq!(share(Some(0.123)), "12.3 %");
        for unknown in [
            count(None),
            rate(None),
            bytes(None),
            time(None),
            since(None),
        ] {
            assert_eq!(unknown, NONE);
        }
    }

    #[test]
    fn a_bar_stays_within_its_width() {
        let bars = [-1.0, 0.0, 0.5, 1.0, 1.06, f64::INFINITY].map(|part| bar(part, 4));
        assert_eq!(
            bars,
            ["[....]", "[....]", "[##..]", "[####]", "[####]", "[####]"]
        );
    }
}
