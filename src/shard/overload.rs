//! How long the turns of a shard take: when one has worked enough, and when there is too much to do for new connections.
//!
//! The clock is read where work was done, and not for every small part of it.

use std::time::{Duration, Instant};

use hdrhistogram::{CreationError, Histogram};

use crate::limits;

/// See the module.
pub(super) struct Overload {
    /// When the work of this turn is to end.
    until: Instant,
    /// Bytes of work since the clock was read.
    unlooked: usize,
    /// Whether this turn leaves work to the next one.
    leaves_work: bool,
    /// Turns in a row that did.
    in_a_row: u32,
    /// Whether the last turn was a long one.
    was_long: bool,
    /// Milliseconds that the shard has stood still, and has not been told yet.
    stood_ms: u64,
    /// Nanoseconds that turns took.
    turn_ns: Histogram<u64>,
}

const WORK: Duration = Duration::from_millis(limits::TURN_WORK_MS);
const LONG: Duration = Duration::from_millis(limits::TURN_LONG_MS);
const STANDSTILL: Duration = Duration::from_millis(limits::STANDSTILL_MS_MIN);

impl Overload {
    pub(super) fn new(now: Instant) -> Result<Self, CreationError> {
        Ok(Overload {
            until: now + WORK,
            unlooked: 0,
            leaves_work: false,
            in_a_row: 0,
            was_long: false,
            stood_ms: 0,
            turn_ns: Histogram::new_with_bounds(1, limits::TURN_NS_MAX, 2)?,
        })
    }

    /// Nanoseconds that turns took, from wake-up to the end of submission.
    pub(super) fn turn_ns(&self) -> &Histogram<u64> {
        &self.turn_ns
    }

    /// The shard has woken, and was to wake at this moment or before.
    #[inline]
    pub(super) fn woke(&mut self, now_ms: u64, due_ms: u64) {
        if now_ms >= due_ms + limits::STANDSTILL_MS_MIN {
            self.stood_ms += now_ms - due_ms;
        }
    }

    /// Whether the shard has stood still since that was told.
    #[inline]
    pub(super) fn has_stood_still(&self) -> bool {
        self.stood_ms > 0
    }

    /// For how many milliseconds; told once.
    pub(super) fn take_stood_ms(&mut self) -> u64 {
        std::mem::take(&mut self.stood_ms)
    }

    /// Work begins.
    #[inline]
    pub(super) fn begin(&mut self, now: Instant) {
        self.until = now + WORK;
        self.unlooked = 0;
    }

    /// So many bytes were received and handled: whether the rest has to wait for the next turn.
    #[inline]
    pub(super) fn received(&mut self, bytes: usize) -> bool {
        self.unlooked += limits::TURN_RECEIVE_BYTES + bytes;
        self.unlooked >= limits::TURN_LOOK_BYTES && self.look()
    }

    /// Whether this turn has worked for as long as it may.
    #[inline(never)]
    pub(super) fn look(&mut self) -> bool {
        self.unlooked = 0;
        Instant::now() >= self.until
    }

    /// This turn leaves work to the next one.
    pub(super) fn leave(&mut self) {
        self.leaves_work = true;
    }

    /// Whether it does.
    pub(super) fn leaves_work(&self) -> bool {
        self.leaves_work
    }

    /// A turn is over; returns whether it has left work to the next one.
    #[inline]
    pub(super) fn end(&mut self, took: Duration) -> bool {
        self.turn_ns.saturating_record(took.as_nanos() as u64);
        self.was_long = took >= LONG;
        if self.was_long && took >= STANDSTILL {
            self.stood_ms += took.as_millis() as u64;
        }
        let leaves_work = std::mem::take(&mut self.leaves_work);
        self.in_a_row = match leaves_work {
            true => self.in_a_row.saturating_add(1),
            false => 0,
        };
        leaves_work
    }

    /// Whether there is so much to do that new connections should wait.
    #[inline]
    pub(super) fn is_too_much(&self) -> bool {
        self.was_long || self.in_a_row >= limits::TURNS_OVERLOADED_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_worked_enough_when_its_time_is_over() {
        let now = Instant::now();
        let mut overload = Overload::new(now).unwrap();
        overload.begin(now + Duration::from_secs(60));
        assert!(!(0..1000).any(|_| overload.received(100_000)));
        overload.begin(now - WORK);
        assert!(overload.received(limits::TURN_LOOK_BYTES));
        // The clock is not read for every small receive.
        assert!(!overload.received(1));
        assert!((0..16).any(|_| overload.received(1)));
    }

    #[test]
    fn who_is_late_by_half_a_second_has_stood_still() {
        let mut overload = Overload::new(Instant::now()).unwrap();
        overload.end(STANDSTILL - Duration::from_millis(1));
        overload.woke(1000 + limits::STANDSTILL_MS_MIN - 1, 1000);
        assert!(!overload.has_stood_still());
        overload.end(STANDSTILL);
        overload.woke(3000, 1000);
        assert!(overload.has_stood_still());
        let stood_ms = overload.take_stood_ms();
        assert_eq!(stood_ms, limits::STANDSTILL_MS_MIN + 2000);
        assert!(!overload.has_stood_still());
    }

    #[test]
    fn a_long_turn_and_many_full_ones_are_too_much() {
        let mut overload = Overload::new(Instant::now()).unwrap();
        assert!(!overload.is_too_much());
        overload.end(LONG);
        assert!(overload.is_too_much());
        for _ in 1..limits::TURNS_OVERLOADED_MAX {
            overload.leave();
            assert!(overload.end(LONG / 2));
            assert!(!overload.is_too_much());
        }
        overload.leave();
        assert!(overload.end(LONG / 2));
        assert!(overload.is_too_much());
        assert!(!overload.end(LONG / 2));
        assert!(!overload.is_too_much());
    }
}
