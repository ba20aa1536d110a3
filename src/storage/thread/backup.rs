//! Makes another store of what a store holds at a moment, also while a broker writes to it.
//!
//! A segment that is full is never written again as long as `STORE` names it, and afterwards only if it has no other name (`Files`): so
//! it can be given one. The last is copied up to the last block that is whole. `STORE` is written when all else is on the disk, and
//! everything is dropped and begun again if it has changed meanwhile. Only what is whole has the name of a store: what a backup that
//! was killed has left is in nobody's way.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::super::format::{FIRST_BLOCK_AT, segment_name};
use super::super::recovery::{Outcome, Recovered};
use super::directory::{FOLDER, STORE};
use super::error::StartError;
use super::view::{LookError, View, look};

/// What a backup has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Its folder.
    pub folder: PathBuf,
    /// Segments that share their bytes with the store, and segments that were copied.
    pub segments: (usize, usize),
    /// Bytes that were copied.
    pub copied: u64,
    /// What was read.
    pub outcome: Outcome,
}

/// The name of the folder until it is whole.
const UNFINISHED: &str = "firehose.unfinished";

/// A folder that goes again, unless it has got another name.
struct Made {
    folder: PathBuf,
    /// Locked: whose folder it is.
    handle: File,
}

impl Drop for Made {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Makes a store below `to` of the one below `location`, and gives what is in it: `None` is said before each attempt, then the chunks.
///
/// # Errors
/// The store cannot be read or is damaged, or `to` cannot be written to, or has a store.
pub fn back_up(
    location: &Path,
    to: &Path,
    give: &mut dyn FnMut(Option<Recovered<'_>>),
) -> Result<Backup, LookError> {
    let mut made: Option<Made> = None;
    let mut backup = look(location, &mut |view| {
        // What an attempt before this one has left goes.
        made = None;
        give(None);
        let outcome = view.read(&mut |chunk| give(Some(chunk)))?;
        let made = made.insert(make(to)?);
        let backup = fill(view, &made.folder, outcome)?;
        if !view.is_current()? {
            return Err(LookError::Restless(view.folder().into()));
        }
        finish(view, made)?;
        Ok(backup)
    })?;
    if let Some(made) = made {
        backup.folder = name(&made.folder, to)?;
    }
    Ok(backup)
}

/// The folder of a new store, where there is none yet.
fn make(to: &Path) -> Result<Made, StartError> {
    let new = |path: &Path| fs::DirBuilder::new().mode(0o700).create(path);
    if let Err(error) = new(to)
        && error.kind() != io::ErrorKind::AlreadyExists
    {
        return Err(StartError::io(to, error));
    }
    let whole = to.join(FOLDER);
    if whole.exists() {
        return Err(StartError::io(&whole, io::ErrorKind::AlreadyExists.into()));
    }
    let folder = to.join(UNFINISHED);
    let failed = |error| StartError::io(&folder, error);
    if let Ok(left) = File::open(&folder) {
        // Locked, it is of a backup that is being made; else of one that was killed.
        flock(&left, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
        fs::remove_dir_all(&folder).map_err(failed)?;
    }
    new(&folder).map_err(failed)?;
    let handle = File::open(&folder).map_err(failed)?;
    flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|e| failed(e.into()))?;
    Ok(Made { folder, handle })
}

fn fill(view: &View, folder: &Path, outcome: Outcome) -> Result<Backup, StartError> {
    let mut backup = Backup {
        folder: folder.into(),
        segments: (0, 0),
        copied: 0,
        outcome,
    };
    // Without a block the first of them is there all the same: a store has one.
    let first = view
        .read_segments()
        .first()
        .map(|first| (*first, FIRST_BLOCK_AT));
    let Some((last, end)) = backup.outcome.end.or(first) else {
        return Ok(backup);
    };
    for &number in view
        .read_segments()
        .iter()
        .take_while(|number| **number <= last)
    {
        let name = segment_name(number);
        let (from, to) = (view.folder().join(&name), folder.join(&name));
        if number < last && fs::hard_link(&from, &to).is_ok() {
            backup.segments.0 += 1;
            continue;
        }
        let Some(file) = view.file(number) else {
            continue;
        };
        let bytes = if number < last { u64::MAX } else { end };
        let copied = copy(file, bytes, &to).map_err(|e| StartError::io(&to, e))?;
        backup.segments.1 += 1;
        backup.copied += copied;
    }
    Ok(backup)
}

/// Copies so many bytes from the beginning of a file to a new one, and waits until they are on the disk.
fn copy(mut file: &File, bytes: u64, to: &Path) -> io::Result<u64> {
    file.rewind()?;
    let mut new = create(to)?;
    let copied = io::copy(&mut file.take(bytes), &mut new)?;
    new.sync_all()?;
    Ok(copied)
}

fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    options.open(path)
}

/// `STORE`, when all else is on the disk.
fn finish(view: &View, made: &Made) -> Result<(), StartError> {
    let folder = &made.folder;
    let all_synced = || {
        let synced = made.handle.sync_all();
        synced.map_err(|e| StartError::io(folder, e))
    };
    all_synced()?;
    if let Some(bytes) = view.store_bytes() {
        let path = folder.join(STORE);
        let written = create(&path).and_then(|mut store| {
            store.write_all(bytes)?;
            store.sync_all()
        });
        written.map_err(|e| StartError::io(&path, e))?;
    }
    all_synced()
}

/// The name of a store, which lasts.
fn name(folder: &Path, to: &Path) -> Result<PathBuf, StartError> {
    let synced = |path: &Path| {
        let synced = File::open(path).and_then(|folder| folder.sync_all());
        synced.map_err(|e| StartError::io(path, e))
    };
    let whole = to.join(FOLDER);
    fs::rename(folder, &whole).map_err(|e| StartError::io(&whole, e))?;
    synced(to)?;
    // A name in the directory above lasts as well.
    match to.parent() {
        Some(above) if !above.as_os_str().is_empty() => synced(above)?,
        _ => synced(Path::new("."))?,
    }
    Ok(whole)
}
