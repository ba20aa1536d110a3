//! Looks at a store that others may have and write to: nothing is locked, made or changed.
//!
//! A broker goes on meanwhile. What is read is right if `STORE` says the same before and after: until it says something else, no
//! segment that it names is used for anything else. At the end of the last segment a block may be on its way to the disk, so that
//! the one behind it is seen and it is not: that looks as damage does, once. Damage that stays where it is, is.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::limits::{STORE_LOOK_AGAIN_MS, STORE_LOOKS_MAX, STORE_READ_BYTES};

use super::super::format::{Store, segment_name};
use super::super::recovery::{
    Fault, Found, FoundSegment, Opened, Outcome, Reader, Recovered, open,
};
use super::directory::{FOLDER, STORE, found_segments, found_store, read_at};
use super::error::StartError;

/// Why there is nothing to see.
#[derive(Debug)]
pub enum LookError {
    /// There is no store in this directory.
    Absent(PathBuf),
    /// It cannot be read, or what lies there is no store that a start reads.
    Start(StartError),
    /// A broker writes so fast that it was another one after each look.
    Restless(PathBuf),
}

impl LookError {
    /// What is wrong with the store, if that is why.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            LookError::Start(StartError::Fault { fault, .. }) => Some(fault),
            _ => None,
        }
    }
}

impl From<StartError> for LookError {
    fn from(error: StartError) -> Self {
        LookError::Start(error)
    }
}

impl fmt::Display for LookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LookError::Absent(path) => write!(f, "there is no store in {}", path.display()),
            LookError::Start(error) => error.fmt(f),
            LookError::Restless(path) => write!(
                f,
                "{}: the broker has written a checkpoint during each of {STORE_LOOKS_MAX} looks",
                path.display()
            ),
        }
    }
}

impl std::error::Error for LookError {}

/// The folder of the store below a directory.
///
/// # Errors
/// There is none.
pub fn folder(location: &Path) -> Result<PathBuf, LookError> {
    let path = location.join(FOLDER);
    match path.is_dir() {
        true => Ok(path),
        false => Err(LookError::Absent(location.into())),
    }
}

/// A store as it was at a moment.
pub struct View {
    folder: PathBuf,
    bytes: Option<Vec<u8>>,
    opened: Opened,
    found: Vec<FoundSegment>,
    files: BTreeMap<u32, File>,
}

impl View {
    fn open(folder: &Path, bytes: Option<Vec<u8>>) -> Result<View, StartError> {
        let segments = found_segments(folder)?;
        let found = Found {
            store: bytes,
            segments,
        };
        let opened = open(&found, 0).map_err(|fault| StartError::Fault {
            path: folder.into(),
            fault,
        })?;
        let mut files = BTreeMap::new();
        for &number in &opened.read {
            let path = folder.join(segment_name(number));
            let file = File::open(&path).map_err(|e| StartError::io(&path, e))?;
            files.insert(number, file);
        }
        Ok(View {
            folder: folder.into(),
            bytes: found.store,
            opened,
            found: found.segments,
            files,
        })
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What `STORE` says.
    pub fn store(&self) -> &Store {
        &self.opened.store
    }

    /// The bytes of `STORE`; `None` where it is not there, and nothing else either.
    pub(super) fn store_bytes(&self) -> Option<&[u8]> {
        self.bytes.as_deref()
    }

    /// Whether `STORE` says the same still.
    pub(super) fn is_current(&self) -> Result<bool, StartError> {
        Ok(found_store(&self.folder)? == self.bytes)
    }

    /// The segments that are read, in order.
    pub fn read_segments(&self) -> &[u32] {
        &self.opened.read
    }

    /// All files of segments, whatever for.
    pub fn segments(&self) -> &[FoundSegment] {
        &self.found
    }

    /// When anything was written to what is read, as the file system has it; `None` where there is nothing.
    pub fn last_written(&self) -> Option<SystemTime> {
        let files = self.files.values();
        let moments = files.filter_map(|file| file.metadata().ok()?.modified().ok());
        moments.max()
    }

    pub(super) fn file(&self, number: u32) -> Option<&File> {
        self.files.get(&number)
    }

    /// Reads the run in force: its chunks are given one after the other.
    ///
    /// # Errors
    /// It is damaged, or cannot be read.
    pub fn read(&self, give: &mut dyn FnMut(Recovered<'_>)) -> Result<Outcome, LookError> {
        let refused = |fault| StartError::Fault {
            path: self.folder.clone(),
            fault,
        };
        let mut reader = Reader::new(&self.opened);
        let mut buffer = vec![0; STORE_READ_BYTES];
        while let Some(request) = reader.next_read() {
            let Some(file) = self.file(request.segment) else {
                return Err(refused(Fault::Missing(request.segment)).into());
            };
            let into = &mut buffer[..request.bytes];
            let count = read_at(file, request.offset, into).map_err(|error| {
                let path = self.folder.join(segment_name(request.segment));
                StartError::io(&path, error)
            })?;
            reader.take(&buffer[..count], give).map_err(refused)?;
        }
        Ok(reader.finish().map_err(refused)?)
    }
}

/// Looks at the store below a directory, once or until what was seen is right. Whatever `see` has made of a look that was
/// not right is dropped.
///
/// # Errors
/// There is none, or it cannot be read; or what `see` says.
pub fn look<T>(
    location: &Path,
    see: &mut dyn FnMut(&View) -> Result<T, LookError>,
) -> Result<T, LookError> {
    let folder = folder(location)?;
    let mut before: Option<Fault> = None;
    for _ in 0..STORE_LOOKS_MAX {
        let bytes = found_store(&folder)?;
        let view = View::open(&folder, bytes.clone()).map_err(LookError::Start);
        let seen = view.and_then(|view| see(&view));
        let is_same = found_store(&folder)? == bytes;
        let fault = seen.as_ref().err().and_then(LookError::fault).cloned();
        match (is_same, fault) {
            (true, None) => return seen,
            (true, fault) if fault == before => return seen,
            (true, fault) => before = fault,
            (false, _) => before = None,
        }
        std::thread::sleep(Duration::from_millis(STORE_LOOK_AGAIN_MS));
    }
    Err(LookError::Restless(folder))
}

/// Whether a directory is the folder of a store itself, and not the one above it.
pub fn is_folder(path: &Path) -> bool {
    path.join(STORE).is_file()
}

/// Reads a range of a file as far as that goes: a page that the disk does not give is zeros.
pub(super) fn read_around(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    if let Ok(count) = read_at(file, offset, into) {
        return Ok(count);
    }
    let end = file.metadata()?.len();
    let count = end.saturating_sub(offset).min(into.len() as u64) as usize;
    let pages = into[..count].chunks_mut(crate::limits::STORE_PAGE_BYTES);
    for (index, page) in pages.enumerate() {
        let at = offset + (index * crate::limits::STORE_PAGE_BYTES) as u64;
        if !matches!(read_at(file, at, page), Ok(whole) if whole == page.len()) {
            page.fill(0);
        }
    }
    Ok(count)
}
