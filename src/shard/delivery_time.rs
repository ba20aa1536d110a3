//! How long output waits: from the turn in which it began to wait for its socket until the turn in which the socket is known to have
//! taken it. Recorded for the oldest byte of each send, so no message has waited for longer than what stands for its send.
//!
//! Moments are microseconds of the broker's clock modulo 2^32, 71 minutes: what waits for longer counts for less. Connections that take
//! nothing for so long are seen by their lag, and dropped by their policy.

use hdrhistogram::{CreationError, Histogram};

use crate::limits;
use crate::outbound::Rest;

/// Microseconds in eight bits, rounded up by at most an eighth: three bits below the highest one that is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Rounded(u8);

/// Bits of a value that are kept below the highest.
const KEPT_BITS: u32 = 3;

impl Rounded {
    fn up(us: u32) -> Rounded {
        if us < 1 << KEPT_BITS {
            return Rounded(us as u8);
        }
        let shift = us.ilog2() - KEPT_BITS;
        let kept = u64::from(us).div_ceil(1 << shift);
        // Where rounding has made one bit more of it, that goes to the exponent.
        Rounded((((shift + 1) << KEPT_BITS) as u64 + kept - (1 << KEPT_BITS)) as u8)
    }

    fn us(self) -> u32 {
        let (exponent, kept) = (u32::from(self.0 >> KEPT_BITS), u64::from(self.0 & 7));
        match exponent {
            0 => kept as u32,
            _ => u32::try_from((8 + kept) << (exponent - 1)).unwrap_or(u32::MAX),
        }
    }
}

/// What is remembered of a connection's output that waits: five bytes, since every connection has them.
#[derive(Clone, Copy, Debug, Default)]
#[repr(Rust, packed)]
pub(super) struct Waiting {
    /// When the send that is lent was begun; where none is, since when output waits.
    at_us: u32,
    /// How long the oldest byte of that send had waited before; where none is lent, 0 if nothing waits.
    before: Rounded,
}

impl Waiting {
    /// A send begins.
    #[inline]
    pub(super) fn lend(&mut self, now_us: u32) {
        if self.before != Rounded(0) {
            self.before = Rounded::up(now_us.wrapping_sub(self.at_us));
        }
        self.at_us = now_us;
    }

    /// What waited is no longer there.
    #[cold]
    pub(super) fn forget(&mut self) {
        self.before = Rounded(0);
    }

    /// It is over. Returns for how long the oldest byte of it has waited, in microseconds.
    #[inline]
    pub(super) fn repay(&mut self, now_us: u32, rest: Rest) -> u32 {
        let before = self.before.us();
        let waited = now_us.wrapping_sub(self.at_us).saturating_add(before);
        self.before = Rounded((rest != Rest::Nothing).into());
        if rest == Rest::Offered {
            self.at_us = self.at_us.wrapping_sub(before);
        }
        waited
    }
}

/// How long sends of a shard have waited, rounded: a value a send has to cost little, and these are 2 KiB, not the 20 of a histogram.
pub(super) struct DeliveryTimes {
    counts: [u64; 1 << u8::BITS],
    /// Empty: what they are told in.
    scale: Histogram<u64>,
}

impl DeliveryTimes {
    pub(super) fn new() -> Result<Self, CreationError> {
        Ok(DeliveryTimes {
            counts: [0; _],
            scale: Histogram::new_with_bounds(1, limits::DELIVERY_US_MAX, 2)?,
        })
    }

    /// One more.
    #[inline]
    pub(super) fn record(&mut self, us: u32) {
        self.counts[usize::from(Rounded::up(us).0)] += 1;
    }

    /// All of them, in microseconds.
    pub(super) fn histogram(&self) -> Histogram<u64> {
        let mut all = self.scale.clone();
        for (code, &count) in (0..=u8::MAX).zip(&self.counts) {
            if count > 0 {
                all.saturating_record_n(Rounded(code).us().into(), count);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bits_are_at_most_an_eighth_too_much() {
        let mut last = 0;
        for us in
            (0..100_000).chain((17..32).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1]))
        {
            let rounded = Rounded::up(us).us();
            assert!(
                rounded >= us && rounded - us <= us / 8,
                "{us} became {rounded}"
            );
            assert!(rounded >= last, "{us} became less than what is less");
            last = rounded;
        }
        assert_eq!(Rounded::up(u32::MAX).us(), u32::MAX);
    }

    #[test]
    fn what_was_recorded_is_in_the_histogram() {
        let mut times = DeliveryTimes::new().unwrap();
        assert!(times.histogram().is_empty());
        for us in [0, 5, 5, 1000, u32::MAX] {
            times.record(us);
        }
        let histogram = times.histogram();
        assert_eq!(histogram.len(), 5);
        assert_eq!(histogram.value_at_quantile(0.5), 5);
        let at_80 = histogram.value_at_quantile(0.8);
        assert!((1000..=1130).contains(&at_80), "{at_80}");
        assert!(histogram.max() >= limits::DELIVERY_US_MAX);
    }

    #[test]
    fn a_send_waits_from_its_beginning_to_its_end() {
        let mut waiting = Waiting::default();
        waiting.lend(u32::MAX - 9);
        assert_eq!(waiting.repay(30, Rest::Nothing), 40);
        // Nothing has waited in between.
        waiting.lend(1000);
        assert_eq!(waiting.repay(1007, Rest::Nothing), 7);
    }

    #[test]
    fn what_came_during_a_send_waits_from_its_beginning() {
        let mut waiting = Waiting::default();
        waiting.lend(1000);
        assert_eq!(waiting.repay(9000, Rest::Later), 8000);
        waiting.lend(9000);
        assert_eq!(waiting.repay(9010, Rest::Later), 8202);
        waiting.lend(9010);
        assert_eq!(waiting.repay(9011, Rest::Nothing), 11);
    }

    #[test]
    fn what_was_dropped_waits_no_more() {
        let mut waiting = Waiting::default();
        waiting.lend(1000);
        waiting.repay(2000, Rest::Offered);
        waiting.forget();
        waiting.lend(900_000);
        assert_eq!(waiting.repay(900_001, Rest::Nothing), 1);
    }

    #[test]
    fn what_was_offered_and_not_taken_waits_on() {
        let mut waiting = Waiting::default();
        waiting.lend(1000);
        assert_eq!(waiting.repay(2000, Rest::Offered), 1000);
        waiting.lend(2000);
        let waited = waiting.repay(3000, Rest::Offered);
        assert!((2000..2130).contains(&waited), "{waited}");
        waiting.lend(3000);
        let waited = waiting.repay(4000, Rest::Nothing);
        assert!((3000..3400).contains(&waited), "{waited}");
    }
}
