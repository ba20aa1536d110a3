//! What the log of a store comes to: the ledgers of all shards.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use crate::journal::{Broken, Legacy, Room};
use crate::storage::{LookError, Outcome, Recovered, View, look};

/// What a chunk says cannot be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Misfit {
    pub(super) stream: u8,
    /// Segment and byte of the chunk's block.
    pub(super) place: (u32, u64),
    /// The number of the chunk in its stream.
    pub(super) sequence: u64,
    pub(super) broken: Broken,
}

/// What was read of a stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Read {
    pub(super) chunks: u64,
    pub(super) bytes: u64,
}

/// The content of a log, as far as it was read: all of it, however much memory that takes, but a message that several shards have
/// once.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) legacy: Legacy,
    pub(super) streams: Vec<Read>,
    /// When the first chunk was written, in milliseconds since 1970.
    pub(super) first_ms: Option<u64>,
    /// What ended it.
    pub(super) misfit: Option<Misfit>,
}

impl Default for Content {
    /// Of a log of which nothing was read.
    fn default() -> Content {
        Content::of(0)
    }
}

impl Content {
    /// Of a log with so many streams, nothing of it was read.
    pub(super) fn of(streams: usize) -> Content {
        let shards = u8::try_from(streams).unwrap_or(u8::MAX);
        // Clients have chosen what is hashed.
        let seed = RandomState::new().hash_one(());
        Content {
            legacy: Legacy::of(shards).within(Room::UNBOUNDED, seed),
            streams: vec![Read::default(); streams],
            first_ms: None,
            misfit: None,
        }
    }

    /// The next chunk. Behind one that cannot be nothing is read.
    pub(super) fn feed(&mut self, chunk: &Recovered<'_>) {
        if self.misfit.is_some() {
            return;
        }
        self.first_ms.get_or_insert(chunk.wall_ms);
        let index = usize::from(chunk.stream);
        if self.streams.len() <= index {
            self.streams.resize(index + 1, Read::default());
        }
        self.streams[index].chunks += 1;
        self.streams[index].bytes += chunk.content.len() as u64;
        if let Err(broken) = self.legacy.feed(chunk.stream, chunk.content) {
            self.misfit = Some(Misfit {
                stream: chunk.stream,
                place: chunk.place,
                sequence: chunk.sequence,
                broken,
            });
        }
    }
}

/// Reads a store that others may have. `see` makes of the view what is wanted of it beside its content.
pub(super) fn content<T>(
    location: &Path,
    see: impl Fn(&View) -> T,
) -> Result<(Content, Outcome, T), LookError> {
    look(location, &mut |view| {
        let mut content = Content::of(view.store().starts.len());
        let outcome = view.read(&mut |chunk| content.feed(&chunk))?;
        Ok((content, outcome, see(view)))
    })
}
