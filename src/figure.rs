//! What a figure is that one counts and another shows: its name, what it says, and how the values of several shards come together.

/// How a figure moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows: what has happened since the start.
    Counter,
    /// Is what it is now.
    Level,
    /// The highest level so far.
    Peak,
}

/// What a value of a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Number,
    Bytes,
    Seconds,
    Microseconds,
    /// Thousandths of a whole.
    Permille,
    /// Hundredths of a whole.
    Percent,
}

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// In lower case, with underscores; `/` where `$SYS` has a level more.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// What it counts.
    pub unit: Unit,
    /// What it says: one sentence, with its unit where that is not a number of things.
    pub help: &'static str,
}

impl Figure {
    /// One that only grows. `help` may be the text of a doc comment, with the blank in front.
    pub const fn counter(name: &'static str, help: &'static str) -> Figure {
        Figure::new(name, Kind::Counter, help)
    }

    /// One that is what it is now.
    pub const fn level(name: &'static str, help: &'static str) -> Figure {
        Figure::new(name, Kind::Level, help)
    }

    /// The highest level so far.
    pub const fn peak(name: &'static str, help: &'static str) -> Figure {
        Figure::new(name, Kind::Peak, help)
    }

    const fn new(name: &'static str, kind: Kind, help: &'static str) -> Figure {
        let help = help.trim_ascii_start();
        let unit = Unit::of(name);
        Figure {
            name,
            kind,
            unit,
            help,
        }
    }

    /// It counts bytes, which its name does not say.
    pub const fn in_bytes(self) -> Figure {
        Figure {
            unit: Unit::Bytes,
            ..self
        }
    }

    /// Of two shards together: of peaks, which they may not have reached at the same time, the higher one.
    pub fn together(self, one: u64, other: u64) -> u64 {
        match self.kind {
            Kind::Counter | Kind::Level => one + other,
            Kind::Peak => one.max(other),
        }
    }
}

impl Unit {
    /// What the name of a figure says: one of its words is the unit, where it is not a number of things.
    const fn of(name: &str) -> Unit {
        let units = [
            ("bytes", Unit::Bytes),
            ("seconds", Unit::Seconds),
            ("us", Unit::Microseconds),
            ("permille", Unit::Permille),
            ("percent", Unit::Percent),
        ];
        let mut index = 0;
        while index < units.len() {
            if has_word(name.as_bytes(), units[index].0.as_bytes()) {
                return units[index].1;
            }
            index += 1;
        }
        Unit::Number
    }
}

/// Whether a word stands in a name, with `_`, `/` or nothing on both of its sides.
const fn has_word(name: &[u8], word: &[u8]) -> bool {
    let mut start = 0;
    while start + word.len() <= name.len() {
        let mut same = 0;
        while same < word.len() && name[start + same] == word[same] {
            same += 1;
        }
        let end = start + word.len();
        let is_begin = start == 0 || is_between(name[start - 1]);
        if same == word.len() && is_begin && (end == name.len() || is_between(name[end])) {
            return true;
        }
        start += 1;
    }
    false
}

const fn is_between(byte: u8) -> bool {
    matches!(byte, b'_' | b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_of_the_name_is_the_unit() {
        for (name, unit) in [
            ("bytes_received", Unit::Bytes),
            ("bytes", Unit::Bytes),
            ("turn/p50_us", Unit::Microseconds),
            ("busy_permille", Unit::Permille),
            ("subscriptions", Unit::Number),
            ("status", Unit::Number),
            ("us", Unit::Microseconds),
            ("bytesize", Unit::Number),
            ("", Unit::Number),
        ] {
            assert_eq!(Figure::level(name, "").unit, unit, "{name}");
        }
        assert_eq!(Figure::level("used", "").in_bytes().unit, Unit::Bytes);
    }
}
