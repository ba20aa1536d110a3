//! What the thread counts and measures, for whoever looks from another thread: without a lock, each figure for itself.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::op::State;

/// What the thread has done in this run, and how the store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bytes of commits that were written, headers and padding included.
    pub bytes: u64,
    /// Chunks that were written.
    pub chunks: u64,
    /// Writes of one or more chunks.
    pub commits: u64,
    /// fdatasyncs of what they have written.
    pub syncs: u64,
    /// Microseconds of the last of them, with the write in front where they are one.
    pub sync_last_us: u64,
    /// Microseconds of the longest that ended in this minute or in the one before it: minutes are counted from the start, so it is
    /// seen for one minute at least, and for two at most.
    pub sync_max_us: u64,
    /// Segments of this run, those that are ready included.
    pub segments: u64,
    /// Bytes of all files of segments, each counted as one of this run.
    pub disk_bytes: u64,
    /// Checkpoints in force, or that were.
    pub checkpoints: u64,
    /// Operations that have failed.
    pub failures: u64,
    /// How often the thread has looked for something to do.
    pub turns: u64,
    /// How the store is.
    pub state: State,
}

/// Where the thread puts its figures.
#[derive(Default)]
pub struct Board {
    pub(super) bytes: AtomicU64,
    pub(super) chunks: AtomicU64,
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    sync_last_us: AtomicU64,
    sync_max_us: Longest,
    pub(super) segments: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) checkpoints: AtomicU64,
    pub(super) failures: AtomicU64,
    pub(super) turns: AtomicU64,
    state: AtomicU8,
}

impl Board {
    /// The figures as they are. Who looks takes nothing away from others who do.
    pub fn look(&self) -> Figures {
        let of = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Figures {
            bytes: of(&self.bytes),
            chunks: of(&self.chunks),
            commits: of(&self.commits),
            syncs: of(&self.syncs),
            sync_last_us: of(&self.sync_last_us),
            sync_max_us: self.sync_max_us.get(self.sync_max_us.minute()),
            segments: of(&self.segments),
            disk_bytes: of(&self.disk_bytes),
            checkpoints: of(&self.checkpoints),
            failures: of(&self.failures),
            turns: of(&self.turns),
            state: self.state(),
        }
    }

    /// How the store is.
    pub fn state(&self) -> State {
        match self.state.load(Ordering::Relaxed) {
            FULL => State::Full,
            FAILED => State::Failed,
            _ => State::Open,
        }
    }

    pub(super) fn set_state(&self, state: State) {
        let state = match state {
            State::Open => 0,
            State::Full => FULL,
            State::Failed => FAILED,
        };
        self.state.store(state, Ordering::Relaxed);
    }

    /// A sync has come.
    pub(super) fn on_sync(&self, took: Duration) {
        let took = took.as_micros() as u64;
        add(&self.syncs, 1);
        self.sync_last_us.store(took, Ordering::Relaxed);
        self.sync_max_us.put(self.sync_max_us.minute(), took);
    }
}

/// The longest of some times, by minutes: a place for those that are even, and one for those that are odd.
///
/// A place has the number of its minute above [`MINUTE_AT`] and microseconds below it. So a later minute is greater whatever came in
/// it, and takes the place by `fetch_max`.
struct Longest {
    since: Instant,
    places: [AtomicU64; 2],
}

/// Where the minute begins in a place of [`Longest`], in bits: below it is room for twelve days, above it for 31 years.
const MINUTE_AT: u32 = 40;

const US_MAX: u64 = (1 << MINUTE_AT) - 1;

impl Default for Longest {
    fn default() -> Longest {
        Longest {
            since: Instant::now(),
            places: Default::default(),
        }
    }
}

impl Longest {
    /// The minute that it is.
    fn minute(&self) -> u64 {
        self.since.elapsed().as_secs() / 60
    }

    fn put(&self, minute: u64, took_us: u64) {
        let place = &self.places[(minute % 2) as usize];
        place.fetch_max(minute << MINUTE_AT | took_us.min(US_MAX), Ordering::Relaxed);
    }

    /// Microseconds of the longest in a minute and in the one before it.
    fn get(&self, minute: u64) -> u64 {
        let places = self
            .places
            .iter()
            .map(|place| place.load(Ordering::Relaxed));
        let recent = places.filter(|place| (place >> MINUTE_AT) + 1 >= minute);
        recent.map(|place| place & US_MAX).max().unwrap_or(0)
    }
}

const FULL: u8 = 1;
const FAILED: u8 = 2;

pub(super) fn add(figure: &AtomicU64, count: u64) {
    figure.fetch_add(count, Ordering::Relaxed);
}

pub(super) fn set(figure: &AtomicU64, value: u64) {
    figure.store(value, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_seen_in_its_minute_and_in_the_next() {
        let longest = Longest::default();
        assert_eq!(longest.get(0), 0);
        longest.put(0, 700);
        longest.put(0, 30);
        // However often somebody looks.
        assert_eq!((longest.get(0), longest.get(0)), (700, 700));
        longest.put(1, 20);
        assert_eq!((longest.get(1), longest.get(2)), (700, 20));
        longest.put(2, 5);
        assert_eq!((longest.get(2), longest.get(3), longest.get(4)), (20, 5, 0));
        longest.put(9, u64::MAX);
        assert_eq!(longest.get(10), US_MAX);
        assert_eq!(longest.get(11), 0);
    }
}
