//! The threads that read: one has the files, and gives each chunk to the thread of its stream.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::super::store_error::StoreError;
use crate::journal::{Broken, Legacy, Part};
use crate::limits;
use crate::storage::{Recovered, StartError};

/// A chunk on its way to its thread.
struct Piece {
    /// Its number among those of all streams.
    number: u64,
    content: Vec<u8>,
}

/// What a thread has found: what it read, and the chunk that cannot be.
type Found = (Part, Option<(u64, Broken)>);

/// The thread of a stream.
struct Worker {
    pieces: Sender<Piece>,
    /// Memory of chunks that were read.
    spare: Receiver<Vec<u8>>,
    thread: JoinHandle<Found>,
}

impl Worker {
    fn start(part: Part, ahead: usize, failed: &Arc<AtomicBool>) -> Result<Worker, StoreError> {
        let (pieces, to_read) = bounded(ahead);
        let (give_back, spare) = bounded(ahead);
        let failed = Arc::clone(failed);
        let run = move || read_all(part, to_read, give_back, &failed);
        let thread = std::thread::Builder::new().name("reading".into());
        let thread = thread.spawn(run);
        Ok(Worker {
            pieces,
            spare,
            thread: thread.map_err(|error| StoreError::Start(StartError::Thread(error)))?,
        })
    }
}

/// Reads what comes for a stream, up to what cannot be.
fn read_all(
    mut part: Part,
    pieces: Receiver<Piece>,
    spare: Sender<Vec<u8>>,
    failed: &AtomicBool,
) -> Found {
    let mut fault = None;
    for Piece { number, content } in pieces {
        if fault.is_none()
            && let Err(broken) = part.feed(number, &content)
        {
            fault = Some((number, broken));
            failed.store(true, Ordering::Relaxed);
        }
        // Where there is no room for it, as much is spare already.
        let _ = spare.try_send(content);
    }
    (part, fault)
}

/// See the module.
pub(super) struct Crew {
    legacy: Legacy,
    /// By stream, from the first chunk on.
    workers: Vec<Worker>,
    /// Chunks that were given on.
    chunks: u64,
    /// Something cannot be: nothing more is read.
    failed: Arc<AtomicBool>,
    /// They could not be started.
    fault: Option<StoreError>,
}

impl Crew {
    pub(super) fn new(legacy: Legacy) -> Crew {
        Crew {
            legacy,
            workers: Vec::new(),
            chunks: 0,
            failed: Arc::default(),
            fault: None,
        }
    }

    /// The next chunk of any stream.
    pub(super) fn give(&mut self, location: &Path, chunk: &Recovered<'_>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        self.chunks += 1;
        let given = self.begin(location, chunk.streams);
        if let Err(fault) = given.and_then(|()| self.give_on(location, chunk)) {
            self.fault = Some(fault);
            self.failed.store(true, Ordering::Relaxed);
        }
    }

    fn begin(&mut self, location: &Path, streams: usize) -> Result<(), StoreError> {
        if !self.workers.is_empty() {
            return Ok(());
        }
        if streams == 1 {
            self.legacy.is_of_one();
        }
        let parts = self.legacy.parts(streams);
        let parts = parts.map_err(|fault| broken(location, fault))?;
        let ahead = limits::READING_CHUNKS_AHEAD / parts.len().max(1);
        let ahead = ahead.max(limits::READING_CHUNKS_AHEAD_MIN);
        for part in parts {
            let worker = Worker::start(part, ahead, &self.failed)?;
            self.workers.push(worker);
        }
        Ok(())
    }

    fn give_on(&self, location: &Path, chunk: &Recovered<'_>) -> Result<(), StoreError> {
        let worker = self.workers.get(usize::from(chunk.stream));
        let worker = worker.ok_or_else(|| broken(location, Broken::Number))?;
        let mut content = worker.spare.try_recv().unwrap_or_default();
        content.clear();
        content.extend_from_slice(chunk.content);
        let number = self.chunks;
        // Fails only if the thread is gone, and then its end is reported.
        let _ = worker.pieces.send(Piece { number, content });
        Ok(())
    }

    /// Nothing more comes.
    ///
    /// # Errors
    /// The first of what cannot be, in the order of all chunks; or there were no threads.
    pub(super) fn end(mut self, location: &Path) -> Result<Legacy, StoreError> {
        let (mut parts, mut faults) = (Vec::new(), Vec::new());
        let (senders, threads): (Vec<_>, Vec<_>) = self
            .workers
            .into_iter()
            .map(|worker| (worker.pieces, worker.thread))
            .unzip();
        drop(senders);
        for thread in threads {
            let found = thread.join();
            let (part, fault) =
                found.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked));
            parts.push(part);
            faults.extend(fault);
        }
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        if let Some((_, fault)) = faults.into_iter().min_by_key(|(number, _)| *number) {
            return Err(broken(location, fault));
        }
        if !parts.is_empty() {
            let together = self.legacy.put_together(parts);
            together.map_err(|fault| broken(location, fault))?;
        }
        Ok(self.legacy)
    }
}

fn broken(location: &Path, fault: Broken) -> StoreError {
    StoreError::Broken {
        location: location.into(),
        fault,
    }
}
