//! The ladder: which measures are taken as memory becomes short, and when they end.

use crate::limits;

/// A step of the ladder. Each takes the measures of those below it too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Rung {
    /// Nothing is short.
    #[default]
    Calm,
    /// Caches are emptied, free memory goes back to the system.
    Trim,
    /// Connections and sessions may have less waiting for them.
    Shrink,
    /// New connections, subscriptions and retained topics are refused.
    Refuse,
    /// Publishers are not read from for a while.
    Slow,
    /// QoS 0 messages are dropped for those that have most waiting.
    Drop,
    /// The connections that hold most are closed, one after the other.
    Shed,
}

impl Rung {
    /// All steps, from the ground up.
    pub const ALL: [Rung; 7] = [
        Rung::Calm,
        Rung::Trim,
        Rung::Shrink,
        Rung::Refuse,
        Rung::Slow,
        Rung::Drop,
        Rung::Shed,
    ];

    /// Its name in `$SYS` and in log lines.
    pub fn name(self) -> &'static str {
        match self {
            Rung::Calm => "calm",
            Rung::Trim => "trim",
            Rung::Shrink => "shrink",
            Rung::Refuse => "refuse",
            Rung::Slow => "slow",
            Rung::Drop => "drop",
            Rung::Shed => "shed",
        }
    }

    /// Thousandths of the limit from which on it is taken.
    pub fn threshold(self) -> u64 {
        match self {
            Rung::Calm => 0,
            Rung::Trim => limits::RUNG_TRIM,
            Rung::Shrink => limits::RUNG_SHRINK,
            Rung::Refuse => limits::RUNG_REFUSE,
            Rung::Slow => limits::RUNG_SLOW,
            Rung::Drop => limits::RUNG_DROP,
            Rung::Shed => limits::RUNG_SHED,
        }
    }

    pub(super) fn from_number(number: u8) -> Rung {
        Self::ALL
            .get(usize::from(number))
            .copied()
            .unwrap_or_default()
    }

    fn below(self) -> Rung {
        Self::from_number((self as u8).saturating_sub(1))
    }
}

/// Climbs at once, and comes down one step at a time: when the level is well below the step, and has been for a while.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ladder {
    rung: Rung,
    /// Since when the level has been low enough to go down, in milliseconds.
    low_since_ms: Option<u64>,
}

impl Ladder {
    /// The step that it stands on.
    pub fn rung(&self) -> Rung {
        self.rung
    }

    /// Memory is at this level, in thousandths of the limit, and the system asks for at least the step `floor`. Returns
    /// the step from here on, and whether it is another one.
    pub fn update(&mut self, now_ms: u64, permille: u64, floor: Rung) -> (Rung, bool) {
        let reached = |rung: &&Rung| permille >= rung.threshold();
        let wanted = Rung::ALL.iter().rfind(reached).copied().unwrap_or_default();
        let wanted = wanted.max(floor);
        if wanted > self.rung {
            (self.rung, self.low_since_ms) = (wanted, None);
            return (self.rung, true);
        }
        let leaves_at = self
            .rung
            .threshold()
            .saturating_sub(limits::RUNG_HYSTERESIS);
        if self.rung == Rung::Calm || floor == self.rung || permille >= leaves_at {
            self.low_since_ms = None;
            return (self.rung, false);
        }
        let since_ms = *self.low_since_ms.get_or_insert(now_ms);
        if now_ms < since_ms + limits::RUNG_DOWN_MS {
            return (self.rung, false);
        }
        (self.rung, self.low_since_ms) = (self.rung.below(), None);
        (self.rung, true)
    }
}
