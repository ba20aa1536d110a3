//! Files are closed by a thread of their own: a file system that does not answer may hold a close up for ever, and what is dropped is
//! dropped on the control thread.

use std::fs::File;
use std::io;
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;

use crate::limits;

/// Files that wait to be closed, or are being closed.
static WAITING: AtomicUsize = AtomicUsize::new(0);

/// Where they go; `None` where there is no thread.
static CLOSER: LazyLock<Mutex<Option<Sender<File>>>> = LazyLock::new(|| Mutex::new(start()));

fn start() -> Option<Sender<File>> {
    let (to, files) = channel::<File>();
    let close = move || {
        for file in files {
            drop(file);
            WAITING.fetch_sub(1, Ordering::Relaxed);
        }
    };
    let started = thread::Builder::new().name("closer".into()).spawn(close);
    started.is_ok().then_some(to)
}

/// A file that somebody else closes.
#[derive(Debug)]
pub(super) struct Opened(Option<File>);

impl Opened {
    /// Opens one, unless too many wait to be closed. May take as long as the disk takes.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub(super) fn open(open: impl FnOnce() -> io::Result<File>) -> io::Result<Opened> {
        match WAITING.load(Ordering::Relaxed) {
            limits::HTTP_CLOSING_MAX.. => Err(io::ErrorKind::ResourceBusy.into()),
            _ => open().map(|file| Opened(Some(file))),
        }
    }

    /// The file.
    ///
    /// # Errors
    /// It is closed already, which it is not before the end of this.
    pub(super) fn as_file(&self) -> io::Result<&File> {
        self.0
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let Some(file) = self.0.take() else {
            return;
        };
        let closer = CLOSER.deref().lock();
        if let Some(to) = &*closer.unwrap_or_else(PoisonError::into_inner) {
            WAITING.fetch_add(1, Ordering::Relaxed);
            // The thread ends with the process.
            let _ = to.send(file);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn what_is_dropped_is_closed_by_another_thread() {
        let opened = Opened::open(|| File::open("/proc/self/status")).unwrap();
        assert!(opened.as_file().is_ok());
        drop(opened);
        let started = Instant::now();
        while WAITING.load(Ordering::Relaxed) > 0 {
            assert!(started.elapsed() < Duration::from_secs(10));
            thread::yield_now();
        }
    }
}
