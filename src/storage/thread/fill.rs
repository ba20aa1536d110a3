//! Fills a store with chunks that are there already, as shards would: for a store that is repaired or imported.

use std::fmt;
use std::time::Duration;

use crate::chunk::Chunk;
use crate::limits::{STORE_FILL_LOOK_MS, STORE_SEGMENT_BYTES};
use crate::uring::{Op, Ring, RingError, Sizes, UserData, ops};

use super::super::op::{Settings, State, SyncMode};
use super::error::StartError;
use super::line::{Line, News};
use super::{ReadStore, Running};

/// Why a store could not be filled.
#[derive(Debug)]
pub enum FillError {
    /// The thread or its ring cannot be had.
    Start(StartError),
    /// The ring of the one who fills has failed.
    Ring(String),
    /// The disk does not take it.
    Disk(State),
    /// A chunk is of a stream that there is not, or larger than chunks are.
    Chunk,
    /// The thread has ended without all that it was given.
    Ended,
}

impl fmt::Display for FillError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FillError::Start(error) => error.fmt(f),
            FillError::Ring(error) => write!(f, "io_uring: {error}"),
            FillError::Disk(State::Full) => f.write_str("the file system is full"),
            FillError::Disk(_) => f.write_str("the disk does not take what is written"),
            FillError::Chunk => f.write_str("a chunk is none of those that are written"),
            FillError::Ended => f.write_str("the disk did not answer in time"),
        }
    }
}

impl std::error::Error for FillError {}

impl From<RingError> for FillError {
    fn from(error: RingError) -> Self {
        FillError::Ring(error.to_string())
    }
}

/// A run of a store that is being filled.
pub struct Fill {
    ring: Ring,
    lines: Vec<Line>,
    running: Running,
    /// Chunks of all streams.
    order: u64,
    /// Chunks that can be used again.
    free: Vec<Chunk>,
    state: State,
    /// It is what a start reads.
    is_in_force: bool,
}

impl ReadStore {
    /// Begins a run with so many streams that is to have just what it is given now.
    ///
    /// # Errors
    /// There is no ring or no thread.
    pub fn fill(self, streams: u8) -> Result<Fill, FillError> {
        let ring = Ring::new(Sizes {
            submissions: 8,
            completions: 16,
            files: 1,
            workers: 1,
        })?;
        let settings = Settings {
            streams,
            sync: SyncMode::Group,
            segment_bytes: STORE_SEGMENT_BYTES,
            segments_max: SEGMENTS_MAX,
        };
        let (lines, running) = self.start(settings, |_| {}).map_err(FillError::Start)?;
        lines.iter().for_each(|line| line.set_ring(ring.fd()));
        Ok(Fill {
            ring,
            lines,
            running,
            order: 0,
            free: Vec::new(),
            state: State::Open,
            is_in_force: false,
        })
    }
}

impl Fill {
    /// Hands over a chunk of a stream, behind all others.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn push(&mut self, stream: u8, content: &[u8]) -> Result<(), FillError> {
        let spare = self.free.pop();
        let mut chunk = spare.unwrap_or_else(|| Chunk::new(Chunk::CONTENT_MAX));
        if !chunk.append(content) || usize::from(stream) >= self.lines.len() {
            return Err(FillError::Chunk);
        }
        loop {
            let back = self.lines[usize::from(stream)].send(chunk, self.order, false);
            let Some(back) = back else {
                break;
            };
            chunk = back;
            self.wait()?;
        }
        self.order += 1;
        self.wake()
    }

    /// What was handed over is what a start reads from here on, and what comes later with it. Returns when that is so.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn put_in_force(&mut self) -> Result<(), FillError> {
        if self.is_in_force {
            return Ok(());
        }
        for index in 0..self.lines.len() {
            while !self.lines[index].complete() {
                self.wait()?;
            }
        }
        while !self.is_in_force {
            self.wait()?;
        }
        Ok(())
    }

    /// That was all. Returns when it is on the disk, and what a start reads.
    ///
    /// # Errors
    /// The disk does not take it.
    pub fn finish(mut self) -> Result<(), FillError> {
        // The end of a run waits for the disk, but not for as long as a slow one takes for all of this.
        self.put_in_force()?;
        for index in 0..self.lines.len() {
            while !self.lines[index].close() {
                self.wait()?;
            }
        }
        while !self.running.thread.is_finished() {
            self.wait()?;
        }
        match self.running.join() {
            Ok(true) => Ok(()),
            Ok(false) => Err(FillError::Ended),
            Err(error) => Err(FillError::Ring(error)),
        }
    }

    /// Wakes the thread if it sleeps.
    fn wake(&mut self) -> Result<(), FillError> {
        let rings: Vec<_> = self.lines.iter_mut().filter_map(Line::flush).collect();
        for ring in rings {
            let wake = UserData::new(Op::Wake, 0, 0);
            // SAFETY: it names no memory.
            unsafe { self.ring.push(&ops::wake(ring, wake, wake)) }?;
            self.ring.submit()?;
        }
        Ok(())
    }

    /// Waits a little for news.
    fn wait(&mut self) -> Result<(), FillError> {
        self.wake()?;
        // Who does not let it sleep is enough.
        let may_sleep = self.lines.iter_mut().all(Line::prepare_sleep);
        if may_sleep {
            self.ring
                .wait(Some(Duration::from_millis(STORE_FILL_LOOK_MS)))?;
        }
        let mut completions = Vec::new();
        self.ring.collect(&mut completions, 16)?;
        let Fill {
            lines,
            free,
            state,
            is_in_force,
            ..
        } = self;
        for line in lines {
            line.awake();
            line.receive(|news| match news {
                News::Free(chunk) => free.push(chunk),
                News::State(now) => *state = now,
                News::Checkpoints(_) => *is_in_force = true,
                News::Told(_) | News::CheckpointDue => {}
            });
        }
        self.wake()?;
        match self.state {
            State::Open if self.is_in_force || !self.running.thread.is_finished() => Ok(()),
            State::Open => Err(FillError::Ended),
            state => Err(FillError::Disk(state)),
        }
    }
}

/// Segments of the run: more than any disk has.
const SEGMENTS_MAX: usize = u32::MAX as usize;
