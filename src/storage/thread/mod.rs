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

mod backup;
mod directory;
mod error;
mod figures;
mod fill;
mod line;
mod lock;
mod remains;
mod report;
mod slow;
mod stream;
mod to_read;
mod turn;
mod view;
mod wall;

#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use crate::limits::STORE_RING_SUBMISSIONS;
use crate::uring::{IdleRing, RingError, Sizes};

use super::op::Settings;
use super::recovery::{Opened, Outcome, Progress, Reader, Recovered, open};
use super::writer::Writer;
use directory::{Directory, Files};
use line::line;
use to_read::{ReadBuffer, ToRead};
use turn::StorageThread;

pub use backup::{Backup, back_up};
pub use directory::{FOLDER, set_aside};
pub use error::StartError;
pub use figures::{Board, Figures};
pub use fill::{Fill, FillError};
pub use line::{Line, News};
pub use lock::holder;
pub use remains::Remains;
pub use report::Report;
pub use view::{LookError, View, folder, is_folder, look};
pub use wall::unix_ms;

/// A store that has been read, and that nobody else has while this lives.
pub struct ReadStore {
    directory: Directory,
    opened: Opened,
    /// What was read.
    pub outcome: Outcome,
}

/// Opens the store below a directory, or makes one, and reads the run in force: its chunks are given one after the other.
/// After each piece that was read `progress` hears how far it is, and may break off: the store stays as it is.
///
/// # Errors
/// It cannot be opened, another process has it, it is damaged, or `progress` has broken off.
pub fn read(
    location: &Path,
    give: &mut dyn FnMut(Recovered<'_>),
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<ReadStore, StartError> {
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
    let outcome = read_run(&directory, &opened, give, progress)?;
    Ok(ReadStore {
        directory,
        opened,
        outcome,
    })
}

/// Reads the run in force.
fn read_run(
    directory: &Directory,
    opened: &Opened,
    give: &mut dyn FnMut(Recovered<'_>),
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Outcome, StartError> {
    let path = directory.file("");
    let refused = |fault| StartError::Fault {
        path: path.clone(),
        fault,
    };
    let mut reader = Reader::new(opened);
    let mut buffer = ReadBuffer::new();
    let mut last: Option<(u32, ToRead)> = None;
    while let Some(request) = reader.next_read() {
        let segment = directory.segment(request.segment);
        let refused_by_disk = |error| StartError::io(&segment, error);
        let (number, mut file) = match last.take() {
            Some(known) if known.0 == request.segment => known,
            _ => {
                let opened = ToRead::open(&segment).map_err(refused_by_disk)?;
                (request.segment, opened)
            }
        };
        let read = file.read(&segment, &request, &mut buffer);
        let read = read.map_err(refused_by_disk)?;
        reader.take(read, give).map_err(refused)?;
        last = Some((number, file));
        if progress(reader.progress()).is_break() {
            return Err(StartError::BrokenOff);
        }
    }
    reader.finish().map_err(refused)
}

/// The thread, from outside.
pub struct Running {
    thread: JoinHandle<Result<bool, RingError>>,
    board: Arc<Board>,
}

impl Running {
    /// Where it puts its figures: they stay there when it has ended.
    pub fn board(&self) -> Arc<Board> {
        Arc::clone(&self.board)
    }

    /// Waits for its end, which comes when all streams have closed. Says whether the run has ended in order.
    ///
    /// # Errors
    /// Its ring has failed.
    pub fn join(self) -> Result<bool, String> {
        let ended = self.thread.join().unwrap_or(Ok(false));
        ended.map_err(|error| error.to_string())
    }
}

impl ReadStore {
    /// Reads the run in force once more: the same chunks are given again.
    ///
    /// # Errors
    /// It cannot be read, or `progress` has broken off.
    pub fn read_again(
        &self,
        give: &mut dyn FnMut(Recovered<'_>),
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<(), StartError> {
        read_run(&self.directory, &self.opened, give, progress).map(|_| ())
    }

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
        let board = Arc::new(Board::default());
        let outside = (Arc::clone(&board), Box::new(report) as Box<_>);
        let run = move || {
            let writer = Writer::new(self.opened, settings);
            let files = Files::new(self.directory, settings.segment_bytes);
            let thread = StorageThread::new(ring.enable()?, writer, files, sides, outside);
            thread.run()
        };
        let thread = std::thread::Builder::new().name("storage".into());
        let thread = thread.spawn(run).map_err(StartError::Thread)?;
        Ok((lines, Running { thread, board }))
    }
}
