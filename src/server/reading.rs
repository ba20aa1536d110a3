//! What is kept is read within the memory that messages may have: once, or a second time where not all could be held that the end of it
//! needs.

mod crew;
mod shelving;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::crew::Crew;
use self::shelving::Shelving;
use super::chance;
use super::store_error::StoreError;
use crate::config::size_text;
use crate::control::stderr;
use crate::journal::{self, Legacy, Missing, Room};
use crate::limits;
use crate::storage::{self, Progress, ReadStore};

/// Reads the store below a directory, and says how far it is once a second; unless it `ends` in between. What there is no room for is
/// left out.
///
/// # Errors
/// Why it cannot be taken up, or that reading was broken off.
pub(super) fn read(
    location: &Path,
    room: Room,
    ends: &mut dyn FnMut() -> bool,
) -> Result<(ReadStore, Legacy), StoreError> {
    let mut teller = Teller::new(ends);
    let legacy = Legacy::default().within(room, chance::seed());
    let mut crew = Crew::new(legacy.on(Arc::new(Shelving::new())));
    let mut give = |chunk: storage::Recovered<'_>| crew.give(location, &chunk);
    let read = storage::read(location, &mut give, &mut |progress| teller.tell(progress));
    let read = read.map_err(|error| StoreError::of_start(location, error))?;
    let mut legacy = crew.end(location)?;
    if !journal::is_short(&legacy) {
        legacy.end();
        return Ok((read, legacy));
    }
    teller.what = "reading what is kept once more, as it did not fit the memory";
    let mut crew = Crew::new(journal::once_more(legacy, storage::unix_ms()));
    let mut give = |chunk: storage::Recovered<'_>| crew.give(location, &chunk);
    let again = read.read_again(&mut give, &mut |progress| teller.tell(progress));
    again.map_err(|error| StoreError::of_start(location, error))?;
    let mut legacy = crew.end(location)?;
    legacy.end();
    Ok((read, legacy))
}

/// What there is to say of messages that are left out; `None`: none are.
pub(super) fn told_of_missing(missing: Missing, room: Room) -> Option<String> {
    let messages = missing.messages();
    (messages > 0).then(|| {
        format!(
            "{messages} of the messages that are kept ({}) do not fit the memory that there is for them and are dropped, {} retained ones among them: the account backlog has {}, the account retained {}; see memory_limit.",
            size_text(missing.bytes),
            missing.retained,
            size_text(room.sessions),
            size_text(room.retained),
        )
    })
}

/// Says how far reading is, once a second.
struct Teller<'a> {
    what: &'static str,
    last: Instant,
    ends: &'a mut dyn FnMut() -> bool,
}

impl Teller<'_> {
    fn new(ends: &mut dyn FnMut() -> bool) -> Teller<'_> {
        Teller {
            what: "reading what is kept",
            last: Instant::now(),
            ends,
        }
    }

    fn tell(&mut self, progress: Progress) -> ControlFlow<()> {
        if self.last.elapsed() >= Duration::from_millis(limits::STORE_PROGRESS_MS) {
            self.last = Instant::now();
            let (bytes, of) = (size_text(progress.bytes), size_text(progress.of));
            stderr::tell(&format!("firehose: {}: {bytes} of {of}", self.what));
        }
        match (self.ends)() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }
}
