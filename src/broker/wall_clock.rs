//! Times that outlive the process: the broker's clock and that of the wall.
//!
//! The brain counts milliseconds of a clock that begins anew with each process. What must hold beyond it, the end of a
//! session, the delay of a will, the expiry of a message, is told as milliseconds since 1970 and understood again with the
//! clock of the next process.

use crate::mqtt::message::NEVER;

/// Milliseconds since the beginning of 1970 (UTC), as far as the wall clock was right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct UnixMs(pub u64);

/// How the two clocks stand to each other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WallClock {
    /// Milliseconds by which the wall clock is ahead of the broker's.
    ahead_ms: i64,
}

impl WallClock {
    /// Both were read at the same moment.
    pub fn new(now_ms: u64, unix: UnixMs) -> Self {
        let ahead_ms = i128::from(unix.0) - i128::from(now_ms);
        let bounded = ahead_ms.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        WallClock {
            ahead_ms: bounded as i64,
        }
    }

    /// A moment of the broker's clock; `None` for never. What lies before 1970 or beyond what can be told is at its edge.
    pub fn unix(self, at_ms: u64) -> Option<UnixMs> {
        (at_ms != NEVER).then(|| UnixMs(at_ms.saturating_add_signed(self.ahead_ms)))
    }

    /// A moment that was told, by the broker's clock; `u64::MAX` for never. What lies before its beginning is at its beginning:
    /// it is due at once.
    pub fn broker_ms(self, at: Option<UnixMs>) -> u64 {
        let Some(UnixMs(unix_ms)) = at else {
            return NEVER;
        };
        match self.ahead_ms.checked_neg() {
            // `NEVER` is kept for what never comes.
            Some(behind_ms) => unix_ms.saturating_add_signed(behind_ms).min(NEVER - 1),
            None => NEVER - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_the_same_by_both_clocks() {
        let clock = WallClock::new(10_000, UnixMs(1_700_000_000_000));
        assert_eq!(clock.unix(10_000), Some(UnixMs(1_700_000_000_000)));
        assert_eq!(clock.unix(12_500), Some(UnixMs(1_700_000_002_500)));
        assert_eq!(clock.unix(0), Some(UnixMs(1_699_999_990_000)));
        assert_eq!(clock.unix(NEVER), None);
        assert_eq!(clock.broker_ms(None), NEVER);
        assert_eq!(WallClock::default().unix(7), Some(UnixMs(7)));
    }

    #[test]
    fn what_was_due_before_the_process_began_is_due_at_once() {
        let (before, after) = (UnixMs(5_000), UnixMs(60_000));
        let clock = WallClock::new(1_000, UnixMs(50_000));
        assert_eq!(clock.broker_ms(Some(before)), 0);
        assert_eq!(clock.broker_ms(Some(after)), 11_000);
    }

    #[test]
    fn a_wall_clock_that_is_wrong_does_no_harm() {
        for (now_ms, unix_ms) in [(0, u64::MAX), (NEVER - 1, 0), (5_000, 0), (0, 0)] {
            let clock = WallClock::new(now_ms, UnixMs(unix_ms));
            for at_ms in [0, 1, now_ms, NEVER - 1] {
                let told = clock.unix(at_ms);
                assert!(told.is_some());
                assert_ne!(clock.broker_ms(told), NEVER);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_told_is_understood(
            now_ms in 0..1u64 << 50,
            unix_ms in 1u64 << 40..1 << 50,
            later_ms in 0..1u64 << 50,
        ) {
            let clock = WallClock::new(now_ms, UnixMs(unix_ms));
            prop_assert_eq!(clock.broker_ms(clock.unix(now_ms + later_ms)), now_ms + later_ms);
        }

        #[test]
        fn time_goes_on_over_a_restart(
            (first, second) in (0..1u64 << 50, 0..1u64 << 50),
            (unix_ms, down_ms) in (1u64 << 51..1 << 52, 0..1u64 << 40),
            left_ms in 0..1u64 << 40,
        ) {
            let before = WallClock::new(first, UnixMs(unix_ms));
            let after = WallClock::new(second, UnixMs(unix_ms + down_ms));
            let due_ms = after.broker_ms(before.unix(first + left_ms));
            prop_assert_eq!(due_ms, (second + left_ms).saturating_sub(down_ms));
        }
    }
}
