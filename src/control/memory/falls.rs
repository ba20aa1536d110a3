//! When what the process holds has fallen, and everybody is to give free memory back to the system.
//!
//! A shard does so by itself after a peak of its own. But what one shard frees may lie in the heap of another, which held
//! little at any time, and what is under way between threads is freed a little later: so all are asked, and once more.

use crate::limits;

/// See the module.
#[derive(Debug, Default)]
pub struct Falls {
    /// The most that was held since it fell last.
    peak: u64,
    /// How often everybody is still to be asked, and not before when.
    left: u32,
    due_ms: u64,
}

impl Falls {
    /// So many bytes are held now; true if everybody is to give back what is free.
    pub fn look(&mut self, now_ms: u64, held: u64) -> bool {
        self.peak = self.peak.max(held);
        let step = (self.peak / limits::FALL_DIVISOR).max(limits::FALL_BYTES_MIN);
        if held + step <= self.peak {
            self.peak = held;
            if self.left == 0 {
                self.due_ms = self.due_ms.max(now_ms + limits::GIVE_BACK_SOON_MS);
            }
            self.left = limits::GIVE_BACK_TIMES;
        }
        if self.left == 0 || now_ms < self.due_ms {
            return false;
        }
        self.left -= 1;
        self.due_ms = now_ms + limits::GIVE_BACK_MS;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When everybody is asked, with so much held at each look.
    fn asked(held: impl Fn(u64) -> u64) -> Vec<u64> {
        let mut falls = Falls::default();
        (0..1200)
            .map(|look| look * limits::MEMORY_LOOK_MS)
            .filter(|&now_ms| falls.look(now_ms, held(now_ms)))
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
}
