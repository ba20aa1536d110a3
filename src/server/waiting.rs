//! A start that waits for room on the disk says so: nobody else is there yet who could.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::config::size_text;
use crate::control::disk;
use crate::limits;
use crate::storage::{Board, State};

/// How much a start writes: what is ready before it is needed, and what is kept once more.
pub(super) fn needed(kept_bytes: u64) -> u64 {
    let ready = limits::STORE_SEGMENTS_MIN as u64 * limits::STORE_SEGMENT_BYTES;
    ready.saturating_add(kept_bytes)
}

/// What is free where the store is, for people.
pub(super) fn free(location: &Path) -> String {
    disk::available(location).map_or_else(|| "an unknown size".into(), size_text)
}

/// Looks whether a start waits for the disk.
pub(super) struct Waiting {
    board: Arc<Board>,
    location: PathBuf,
    /// Bytes that the start writes, about.
    needed: u64,
    /// When it was last said.
    told: Option<Instant>,
}

impl Waiting {
    pub(super) fn new(board: Arc<Board>, location: &Path, needed: u64) -> Waiting {
        Waiting {
            board,
            location: location.into(),
            needed,
            told: None,
        }
    }

    /// What there is to say, at once and then from time to time.
    pub(super) fn line(&mut self) -> Option<String> {
        if self.board.state() == State::Open {
            self.told = None;
            return None;
        }
        let span = Duration::from_millis(limits::STORE_WAIT_TOLD_MS);
        if self.told.is_some_and(|told| told.elapsed() < span) {
            return None;
        }
        self.told = Some(Instant::now());
        Some(text(
            self.board.state(),
            &self.location,
            &free(&self.location),
            self.needed,
        ))
    }
}

fn text(state: State, location: &Path, free: &str, needed: u64) -> String {
    let (location, needed) = (location.display(), size_text(needed));
    match state {
        State::Failed => format!(
            "The start waits for the disk of {location}, which does not take what is written. It goes on by itself when it does; nothing is lost."
        ),
        _ => format!(
            "The start waits for room in the file system of {location}: {free} of it are free, and the start writes what is kept once more, about {needed} in all. Make room, and it goes on by itself; nothing is lost."
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_says_for_what() {
        let text = text(State::Full, Path::new("/var/lib"), "12 B", needed(44 << 20));
        assert!(text.contains("/var/lib: 12 B of it are free"), "{text}");
        assert!(text.contains("about 300 MiB in all"), "{text}");
    }

    #[test]
    fn who_does_not_wait_says_nothing() {
        let mut waiting = Waiting::new(Arc::default(), Path::new("/"), 1);
        assert_eq!(waiting.line(), None);
    }
}
