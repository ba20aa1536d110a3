//! Why a store cannot be opened, in one line each.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::super::recovery::Fault;

/// Why a store cannot be opened.
#[derive(Debug)]
pub enum StartError {
    /// A file or directory cannot be read or made.
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it.
    Locked {
        /// The file that is locked.
        path: PathBuf,
        /// That process, if it has said so.
        pid: Option<u32>,
    },
    /// What lies there is not read.
    Fault {
        /// The directory.
        path: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// Who asked wants it no more.
    BrokenOff,
    /// There is no ring for the thread.
    Ring(String),
    /// There is no thread.
    Thread(io::Error),
}

impl StartError {
    pub(super) fn io(path: &Path, source: io::Error) -> StartError {
        StartError::Io {
            path: path.into(),
            source,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Io { path, source } => write!(f, "{}: {source}", path.display()),
            StartError::Locked { path, pid } => {
                write!(f, "{}: another process has this store", path.display())?;
                match pid {
                    Some(pid) => write!(f, " (process {pid})"),
                    None => Ok(()),
                }
            }
            StartError::Fault { path, fault } => write!(f, "{}: {fault}", path.display()),
            StartError::BrokenOff => write!(f, "reading the store was broken off"),
            StartError::Ring(error) => write!(f, "the storage thread has no io_uring: {error}"),
            StartError::Thread(error) => write!(f, "the storage thread cannot start: {error}"),
        }
    }
}

impl std::error::Error for StartError {}
