//! Why what is kept cannot be taken up: one line each, with the cause and the cure.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::waiting;
use crate::config::size_text;
use crate::control::place::denied;
use crate::journal::Broken;
use crate::storage::StartError;

/// Why what is kept cannot be taken up.
#[derive(Debug)]
pub enum StoreError {
    /// The store cannot be opened, or is damaged.
    Start(StartError),
    /// It may not be read or written; with whose it is.
    Denied { error: StartError, whose: String },
    /// There is no room for the first files of a start.
    NoRoom { location: PathBuf, fault: String },
    /// What it says cannot be.
    Broken { location: PathBuf, fault: Broken },
    /// The file system cannot be looked at.
    Disk(io::Error),
    /// The storage thread has failed.
    Thread(String),
    /// Mosquitto's database cannot be read.
    Import { path: PathBuf, fault: String },
    /// It would take more memory than there is, in bytes.
    TooLarge {
        path: PathBuf,
        location: PathBuf,
        needs: u64,
        has: u64,
    },
}

/// What is said to whoever has a damaged store.
fn cure(location: &Path) -> String {
    format!(
        "`firehose store check {}` says more, and `firehose store repair` saves what can be read",
        location.display()
    )
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Start(error @ StartError::Fault { path, .. }) => {
                write!(f, "{error}; {}", cure(path.parent().unwrap_or(path)))
            }
            StoreError::Start(error) => write!(f, "{error}; see persistence_location"),
            StoreError::Denied { error, whose } => {
                write!(f, "{error}{whose}; see persistence_location")
            }
            StoreError::NoRoom { location, fault } => write!(
                f,
                "{fault}: {} of the file system of {} are free, and a start needs {} there, and room for what is kept once more; make room and start again, nothing is lost",
                waiting::free(location),
                location.display(),
                size_text(waiting::needed(0))
            ),
            StoreError::Broken { location, fault } => write!(
                f,
                "{}: what is kept there does not fit together: {fault}; {}",
                location.display(),
                cure(location)
            ),
            StoreError::Thread(fault) => write!(f, "the storage thread has failed: {fault}"),
            StoreError::Disk(source) => write!(f, "{source}; see persistence_location"),
            StoreError::TooLarge {
                path,
                location,
                needs,
                has,
            } => {
                let (path, location) = (path.display(), location.display());
                let (needs, has) = (size_text(*needs), size_text(*has));
                write!(
                    f,
                    "{path} cannot be taken up: that takes {needs} of memory for a while, and the broker has {has}; nothing was, and the file is as it was: raise memory_limit for this start, or let `firehose store import {location} {path}` do it, for which memory_limit does not count"
                )
            }
            StoreError::Import { path, fault } => write!(
                f,
                "{} cannot be taken up: {fault}; nothing was, and the file is as it was: repair it, move it away, or name another with persistence_file",
                path.display()
            ),
        }
    }
}

impl StoreError {
    /// Why the store of a location cannot be opened.
    pub(super) fn of_start(location: &Path, error: StartError) -> StoreError {
        let StartError::Io { path, source } = &error else {
            return StoreError::Start(error);
        };
        if is_no_room(source) {
            let (location, fault) = (location.into(), error.to_string());
            return StoreError::NoRoom { location, fault };
        }
        match denied(path, source) {
            Some(whose) => StoreError::Denied { error, whose },
            None => StoreError::Start(error),
        }
    }

    /// Why the file system of a location cannot be looked at.
    pub(super) fn of_disk(location: &Path, error: io::Error) -> StoreError {
        match is_no_room(&error) {
            true => StoreError::NoRoom {
                location: location.into(),
                fault: error.to_string(),
            },
            false => StoreError::Disk(error),
        }
    }
}

fn is_no_room(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}
