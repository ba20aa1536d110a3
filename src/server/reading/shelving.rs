//! Shelves behind locks, so that streams can be read beside each other.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::journal::{Shelf, Shelves};
use crate::limits;

/// A shelf behind its lock, in a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Locked(Mutex<Shelf>);

impl Locked {
    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shelving(Box<[Locked]>);

impl Shelving {
    pub(super) fn new() -> Shelving {
        let shelves = (0..limits::READING_SHELVES).map(|_| Locked::default());
        Shelving(shelves.collect())
    }
}

impl Shelves for Shelving {
    fn with(&self, hash: u64, act: &mut dyn FnMut(&mut Shelf)) {
        // By other bits than those by which a shelf finds its place.
        let at = (hash >> 40) as usize % limits::READING_SHELVES;
        if let Some(shelf) = self.0.get(at) {
            act(&mut shelf.lock());
        }
    }

    /// Each message is looked at for that: by as many threads as there are CPUs.
    fn clear(&self, gone: &(dyn Fn(u64) + Sync)) {
        let next = AtomicUsize::new(0);
        let empty = || {
            while let Some(shelf) = self.0.get(next.fetch_add(1, Ordering::Relaxed)) {
                shelf.lock().clear(gone);
            }
        };
        let others = thread::available_parallelism().map_or(1, NonZero::get) - 1;
        thread::scope(|scope| {
            for _ in 0..others.min(limits::READING_SHELVES) {
                // Where there is no thread the others do it.
                let _ = thread::Builder::new().spawn_scoped(scope, empty);
            }
            empty();
        });
    }

    fn anew(&self) -> Arc<dyn Shelves> {
        Arc::new(Shelving::new())
    }
}
