//! The thread that has the disk: it takes chunks from all streams, carries out what the `Writer` asks for with an io_uring of its
//! own, and gives back what is durable.
//!
//! Decides nothing about what is written. Names of files are changed by ordinary calls, which are short and seldom; everything that
//! waits for the disk goes by the ring, so that a commit does not wait for a segment that is filled with zeros.
//!
//! Invariants:
//! - memory that an operation names lives until its completion: chunks in the `Writer` until it is answered, the rest here;
//! - each kind of operation is under way once at most, and answered once;
//! - no wake-up is lost: the thread sleeps only when every line says that it may.

mod directory;
mod error;
mod line;
mod report;
mod turn;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::thread::JoinHandle;

use crate::limits::{STORE_READ_BYTES, STORE_RING_SUBMISSIONS};
use crate::uring::{IdleRing, RingError, Sizes};

use super::op::Settings;
use super::recovery::{Opened, Outcome, Reader, Recovered, open};
use super::writer::Writer;
use directory::{Directory, Files, read_at};
use line::line;
use turn::StorageThread;

pub use error::StartError;
pub use line::{Line, News};
pub use report::Report;

/// A store that has been read, and that nobody else has while this lives.
pub struct ReadStore {
    directory: Directory,
    opened: Opened,
    /// What was read.
    pub outcome: Outcome,
}

/// Opens the store below a directory, or makes one, and reads the run in force: its chunks are given one after the other.
///
/// # Errors
/// It cannot be opened, another process has it, or it is damaged.
pub fn read(location: &Path, give: &mut dyn FnMut(Recovered<'_>)) -> Result<ReadStore, StartError> {
    let directory = Directory::open(location)?;
    let path = directory.file("");
    let refused = |fault| StartError::Fault {
        path: path.clone(),
        fault,
    };
    let mut id = [0; 8];
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .map_err(|e| StartError::io(&path, e.into()))?;
    let opened = open(&directory.found()?, u64::from_le_bytes(id)).map_err(refused)?;
    let mut reader = Reader::new(&opened);
    let mut buffer = vec![0; STORE_READ_BYTES];
    let mut file = None;
    while let Some(request) = reader.next_read() {
        let file = match &file {
            Some((number, file)) if *number == request.segment => file,
            _ => {
                &file
                    .insert((request.segment, directory.to_read(request.segment)?))
                    .1
            }
        };
        let into = &mut buffer[..request.bytes];
        let count = read_at(file, request.offset, into).map_err(|e| StartError::io(&path, e))?;
        reader.take(&buffer[..count], give).map_err(refused)?;
    }
    let outcome = reader.finish().map_err(refused)?;
    Ok(ReadStore {
        directory,
        opened,
        outcome,
    })
}

/// The thread, from outside.
pub struct Running(JoinHandle<Result<bool, RingError>>);

impl Running {
    /// Waits for its end, which comes when all streams have closed. Says whether the run has ended in order.
    ///
    /// # Errors
    /// Its ring has failed.
    pub fn join(self) -> Result<bool, String> {
        let ended = self.0.join().unwrap_or(Ok(false));
        ended.map_err(|error| error.to_string())
    }
}

impl ReadStore {
    /// Begins a run of the store, written by a thread of its own. Returns a line for each stream.
    ///
    /// # Errors
    /// There is no ring, or no thread.
    pub fn start(
        self,
        settings: Settings,
        report: impl FnMut(Report) + Send + 'static,
    ) -> Result<(Vec<Line>, Running), StartError> {
        let ring = IdleRing::new(Sizes {
            submissions: STORE_RING_SUBMISSIONS,
            completions: 2 * STORE_RING_SUBMISSIONS,
            files: 1,
            workers: 4,
        });
        let ring = ring.map_err(|e| StartError::Ring(e.to_string()))?;
        let (lines, sides): (Vec<_>, Vec<_>) = (0..settings.streams).map(|_| line()).unzip();
        let run = move || {
            let writer = Writer::new(self.opened, settings);
            let files = Files::new(self.directory, settings.segment_bytes);
            let thread = StorageThread::new(ring.enable()?, writer, files, sides, Box::new(report));
            thread.run()
        };
        let thread = std::thread::Builder::new().name("storage".into());
        let thread = thread.spawn(run).map_err(StartError::Thread)?;
        Ok((lines, Running(thread)))
    }
}
