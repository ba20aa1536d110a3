//! The pid file: written when everything runs, removed at the end.

use std::io;
use std::path::{Path, PathBuf};

/// A pid file, or none; removed when dropped.
pub struct PidFile(Option<PathBuf>);

impl PidFile {
    /// Writes the process's id to the path, if there is one.
    pub fn write(path: Option<&Path>) -> io::Result<Self> {
        let Some(path) = path else {
            return Ok(PidFile(None));
        };
        std::fs::write(path, format!("{}\n", std::process::id())).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(PidFile(Some(path.into())))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            // If it is gone already, somebody has done our work.
            let _ = std::fs::remove_file(path);
        }
    }
}
