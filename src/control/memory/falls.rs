//! When everybody is to give free memory back to the system: when what the process holds has fallen, and when more stays
//! resident than that accounts for.
//!
//! A shard does so by itself after a peak of its own. But what one shard frees may lie in the heap of another, which held
//! little at any time, and what is under way between threads is freed a little later: so all are asked, and once more.
//! And a peak that is over between two looks, or within what has been leased, is no fall: it is seen by what it leaves
//! resident. That may be in use, or lie where it cannot go back, so that it is asked for ever more rarely.

use crate::limits;

/// See the module.
#[derive(Debug)]
pub(super) struct Falls {
    /// The most that was held since it fell last.
    peak: u64,
    /// How often everybody is still to be asked, and not before when.
    left: u32,
    due_ms: u64,
    /// The least that was resident beyond what was held.
    least_beyond: u64,
    /// The same since what is beyond that was asked for last, and when that was.
    settled_beyond: u64,
    asked_ms: u64,
    /// When it is asked for again, and how long after that once more.
    again_ms: u64,
    pause_ms: u64,
}

impl Default for Falls {
    fn default() -> Self {
        Falls {
            peak: 0,
            left: 0,
            due_ms: 0,
            least_beyond: u64::MAX,
            settled_beyond: u64::MAX,
            asked_ms: 0,
            again_ms: 0,
            pause_ms: limits::GIVE_BACK_MS,
        }
    }
}

impl Falls {
    /// So many bytes of memory are held now, and so many are resident; true if everybody is to give back what is free.
    pub(super) fn look(&mut self, now_ms: u64, held: u64, resident: u64) -> bool {
        self.peak = self.peak.max(held);
        let step = (self.peak / limits::FALL_DIVISOR).max(limits::FALL_BYTES_MIN);
        if held + step <= self.peak {
            self.peak = held;
            self.ask(now_ms);
        }
        if self.has_more_beyond(now_ms, held, resident) {
            self.ask(now_ms);
        }
        if self.left == 0 || now_ms < self.due_ms {
            return false;
        }
        self.left -= 1;
        self.due_ms = now_ms + limits::GIVE_BACK_MS;
        true
    }

    fn ask(&mut self, now_ms: u64) {
        if self.left == 0 {
            self.due_ms = self.due_ms.max(now_ms + limits::GIVE_BACK_SOON_MS);
        }
        self.left = limits::GIVE_BACK_TIMES;
    }

    /// Whether so much more is resident than is held that it is time to ask for it.
    fn has_more_beyond(&mut self, now_ms: u64, held: u64, resident: u64) -> bool {
        let beyond = resident.saturating_sub(held);
        self.least_beyond = self.least_beyond.min(beyond);
        self.settled_beyond = self.settled_beyond.min(beyond);
        let step = (held / limits::BEYOND_DIVISOR).max(limits::BEYOND_BYTES_MIN);
        if beyond < self.least_beyond + step {
            self.pause_ms = limits::GIVE_BACK_MS;
            return false;
        }
        // That has come since.
        if beyond >= self.settled_beyond + step {
            self.pause_ms = limits::GIVE_BACK_MS;
            self.again_ms = self.again_ms.min(self.asked_ms + limits::GIVE_BACK_MS);
        }
        let is_due = self.left == 0 && now_ms >= self.again_ms;
        if is_due {
            (self.settled_beyond, self.asked_ms) = (beyond, now_ms);
            self.again_ms = now_ms + self.pause_ms;
            self.pause_ms = (2 * self.pause_ms).min(limits::GIVE_BACK_MS_MAX);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When everybody is asked in two minutes, with so much held at each look, and all of it resident.
    fn asked(held: impl Fn(u64) -> u64) -> Vec<u64> {
        asked_beyond(120, |now_ms| (held(now_ms), held(now_ms)))
    }

    /// The same in so many seconds, with so much held and resident.
    fn asked_beyond(seconds: u64, look: impl Fn(u64) -> (u64, u64)) -> Vec<u64> {
        let mut falls = Falls::default();
        (0..seconds * 1000 / limits::MEMORY_LOOK_MS)
            .map(|at| at * limits::MEMORY_LOOK_MS)
            .filter(|&now_ms| {
                let (held, resident) = look(now_ms);
                falls.look(now_ms, held, resident)
            })
            .collect()
    }

    #[test]
    fn after_a_fall_all_are_asked_twice() {
        const AT_MS: u64 = 30_000;
        let soon = AT_MS + limits::GIVE_BACK_SOON_MS;
        let held = |now_ms| if now_ms < AT_MS { 200 << 20 } else { 20 << 20 };
        assert_eq!(asked(held), [soon, soon + limits::GIVE_BACK_MS]);
    }

    #[test]
    fn what_stays_about_the_same_has_not_fallen() {
        assert!(asked(|now_ms| (200 << 20) + now_ms % 1000).is_empty());
        // Pieces that are leased come and go.
        assert!(asked(|now_ms| (4 << 20) + (now_ms / 100 % 2) * (512 << 10)).is_empty());
    }

    #[test]
    fn what_rises_and_falls_all_the_time_is_given_back_now_and_then() {
        let times = asked(|now_ms| (1 + now_ms / 500 % 2) * (100 << 20));
        assert!(
            times
                .windows(2)
                .all(|pair| pair[1] - pair[0] >= limits::GIVE_BACK_MS)
        );
        assert!(times.len() >= 10);
    }

    #[test]
    fn what_a_peak_between_two_looks_leaves_is_asked_for() {
        const AT_MS: u64 = 30_000;
        const GIVEN_MS: u64 = AT_MS + limits::GIVE_BACK_SOON_MS;
        // It goes back when it is asked for.
        let stays = |now_ms| (AT_MS..=GIVEN_MS).contains(&now_ms);
        let look = |now_ms| (27 << 20, if stays(now_ms) { 33 << 20 } else { 28 << 20 });
        let once_more = GIVEN_MS + limits::GIVE_BACK_MS;
        assert_eq!(asked_beyond(600, look), [GIVEN_MS, once_more]);
        // What waits in sockets is held and not resident.
        assert!(asked_beyond(600, |_| (27 << 20, 20 << 20)).is_empty());
    }

    #[test]
    fn what_does_not_go_back_is_asked_for_ever_more_rarely() {
        let look = |now_ms| (27 << 20, if now_ms < 1000 { 28 << 20 } else { 40 << 20 });
        let times = asked_beyond(3600, look);
        assert!((10..40).contains(&times.len()), "{times:?}");
        let last = times.windows(3).last().unwrap();
        assert!(last[2] - last[0] >= limits::GIVE_BACK_MS_MAX, "{times:?}");
        // More of it is news.
        const MORE_MS: u64 = 2_000_000;
        let resident = |now_ms| [40 << 20, 46 << 20][usize::from(now_ms >= MORE_MS)];
        let look = |now_ms| {
            (
                27 << 20,
                if now_ms < 1000 {
                    28 << 20
                } else {
                    resident(now_ms)
                },
            )
        };
        let soon = MORE_MS + limits::GIVE_BACK_SOON_MS;
        assert!(asked_beyond(3600, look).contains(&soon));
    }
}
