//! The pid file: opened while the broker may still open it, written when everything runs, removed at the end.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::place;
use crate::config::absolute;

/// A pid file, or none. Removed when dropped, if it was written or is new.
pub(crate) struct PidFile(Option<Open>);

struct Open {
    file: File,
    path: PathBuf,
    is_ours: bool,
}

impl PidFile {
    /// Opens the file, if there is one to open, and leaves what is in it.
    ///
    /// # Errors
    /// It can be neither opened nor created; the error names it.
    pub(crate) fn open(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(PidFile(None));
        };
        let is_new = !place::is_taken(path);
        let file = place::open(path, File::options().write(true))?;
        Ok(PidFile(Some(Open {
            file,
            path: path.into(),
            is_ours: is_new,
        })))
    }

    /// No file.
    pub(crate) fn none() -> Self {
        PidFile(None)
    }

    /// The path of one that has just been made.
    pub(crate) fn made(&self) -> Option<&Path> {
        let open = self.0.as_ref().filter(|open| open.is_ours)?;
        Some(&open.path)
    }

    /// Writes the process's id.
    ///
    /// # Errors
    /// It cannot be written; the error names the file.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.0 else {
            return Ok(());
        };
        open.is_ours = true;
        let text = format!("{}\n", std::process::id());
        open.file
            .set_len(0)
            .and_then(|()| open.file.write_all(text.as_bytes()))
            .map_err(|error| {
                let path = absolute(&open.path);
                io::Error::new(error.kind(), format!("{}: {error}", path.display()))
            })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(open) = self.0.as_ref().filter(|open| open.is_ours)
            && fs::remove_file(&open.path).is_err()
        {
            // In a folder of somebody else's an empty file is what can be left: it names no process. If it is gone
            // already, somebody has done our work.
            let _ = open.file.set_len(0);
        }
    }
}
