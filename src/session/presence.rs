//! Whether the client of a session is there: since when, or when its absence ends the session. One word, since there are many sessions.

/// Set while the client is there.
const HERE: u64 = 1 << 63;
/// An absence that never ends.
const ENDLESS: u64 = HERE - 1;

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Presence(u64);

impl Presence {
    /// The client is there since this moment, in milliseconds.
    pub(super) const fn here(since_ms: u64) -> Presence {
        Presence(HERE | since_ms)
    }

    /// The client is away, which ends the session at this moment, in milliseconds; `u64::MAX` for never.
    pub(super) const fn away(ends_at_ms: u64) -> Presence {
        match ends_at_ms < ENDLESS {
            true => Presence(ends_at_ms),
            false => Presence(ENDLESS),
        }
    }

    /// When the absence ends the session, in milliseconds; `u64::MAX` for never, and while the client is there.
    pub(super) const fn ends_at_ms(self) -> u64 {
        match self.0 < ENDLESS {
            true => self.0,
            false => u64::MAX,
        }
    }

    /// Since when the client is there, in milliseconds; `None` while it is away.
    pub(super) const fn since_ms(self) -> Option<u64> {
        match self.0 & HERE {
            0 => None,
            _ => Some(self.0 & !HERE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_word_says_which_of_both_it_is() {
        for (presence, ends_at_ms, since_ms) in [
            (Presence::here(0), u64::MAX, Some(0)),
            (Presence::here(7), u64::MAX, Some(7)),
            (Presence::away(0), 0, None),
            (Presence::away(7), 7, None),
            (Presence::away(u64::MAX), u64::MAX, None),
        ] {
            assert_eq!(presence.ends_at_ms(), ends_at_ms);
            assert_eq!(presence.since_ms(), since_ms);
        }
    }
}
