//! Whether the disk keeps those waiting who wait for it: told once when it begins to, and once when that is over.

use super::report::Report;
use crate::limits::STORE_SLOW_MS;

/// See the module. All times are milliseconds of the thread's own clock.
#[derive(Debug, Default)]
pub(super) struct Slowness {
    /// When the operation began that was told.
    since: Option<u64>,
    /// An operation has come in time since the last look.
    was_prompt: bool,
}

impl Slowness {
    /// A write or a sync has come, after this time.
    pub(super) fn on_done(&mut self, took_ms: u64) {
        self.was_prompt |= took_ms < STORE_SLOW_MS;
    }

    /// What there is to tell. `under_way`: since when the oldest write or sync is with the disk.
    pub(super) fn look(&mut self, now: u64, under_way: Option<u64>) -> Option<Report> {
        let was_prompt = std::mem::take(&mut self.was_prompt);
        match (self.since, under_way) {
            (None, Some(begun)) if now.saturating_sub(begun) >= STORE_SLOW_MS => {
                self.since = Some(begun);
                Some(Report::Slow)
            }
            // A disk that goes on being slow is not told for each operation.
            (Some(begun), None) => self.over(now, begun),
            (Some(begun), Some(_)) if was_prompt => self.over(now, begun),
            _ => None,
        }
    }

    /// When to look again at the latest.
    pub(super) fn deadline(&self, under_way: Option<u64>) -> Option<u64> {
        let begun = under_way.filter(|_| self.since.is_none())?;
        Some(begun + STORE_SLOW_MS)
    }

    fn over(&mut self, now: u64, begun: u64) -> Option<Report> {
        self.since = None;
        Some(Report::Prompt(now.saturating_sub(begun)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: Option<Report> = Some(Report::Slow);

    #[test]
    fn a_disk_that_hangs_is_told_once_and_so_is_its_end() {
        let mut slow = Slowness::default();
        assert_eq!(slow.look(100, None), None);
        assert_eq!(slow.deadline(None), None);
        assert_eq!(slow.look(100 + STORE_SLOW_MS - 1, Some(100)), None);
        assert_eq!(slow.deadline(Some(100)), Some(100 + STORE_SLOW_MS));
        assert_eq!(slow.look(100 + STORE_SLOW_MS, Some(100)), SLOW);
        assert_eq!(slow.deadline(Some(100)), None, "nothing is due any more");
        assert_eq!(slow.look(9000, Some(100)), None);
        slow.on_done(8950);
        assert_eq!(slow.look(9050, None), Some(Report::Prompt(8950)));
        assert_eq!(slow.look(9051, None), None);
    }

    #[test]
    fn one_that_stays_slow_is_told_once() {
        let mut slow = Slowness::default();
        assert_eq!(slow.look(2000, Some(0)), SLOW);
        for operation in 1..10 {
            slow.on_done(STORE_SLOW_MS + 1);
            let now = 2000 * (operation + 1);
            assert_eq!(slow.look(now, Some(now - 1)), None);
        }
        // Under load there is always something under way: one that came in time ends it.
        slow.on_done(3);
        assert_eq!(
            slow.look(50_000, Some(49_999)),
            Some(Report::Prompt(50_000))
        );
    }
}
