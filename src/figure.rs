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

/// One figure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figure {
    /// In lower case, with underscores; `/` where `$SYS` has a level more.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
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
        Figure { name, kind, help }
    }

    /// Of two shards together: of peaks, which they may not have reached at the same time, the higher one.
    pub fn together(self, one: u64, other: u64) -> u64 {
        match self.kind {
            Kind::Counter | Kind::Level => one + other,
            Kind::Peak => one.max(other),
        }
    }
}
