//! Files that options name: what is in them, and their paths as errors name them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::limits::ACCESS_FILE_BYTES_MAX;

/// The path that the system is asked for: one that is relative, with the folder that it is relative to. Whoever reads an
/// error may stand in another folder than the broker.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

/// The contents of a file that an option names, within bounds.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(ACCESS_FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > ACCESS_FILE_BYTES_MAX {
        let text = format!("larger than {} MiB", ACCESS_FILE_BYTES_MAX >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
    }
    Ok(bytes)
}

/// Whether nothing stands in a file: who writes one anew empties it first. A byte order mark says nothing.
pub(super) fn is_blank(content: &[u8]) -> bool {
    let mark = "\u{feff}".as_bytes();
    let content = content.strip_prefix(mark).unwrap_or(content);
    content.iter().all(u8::is_ascii_whitespace)
}
