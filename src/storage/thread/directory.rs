//! The directory of a store: made, locked, looked through; and its files while a run is written.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate};

use crate::limits::{STORE_BYTES_READ_MAX, STORE_PAGE_BYTES};

use super::super::format::{segment_name, segment_number, unready_name};
use super::super::op::Step;
use super::super::recovery::{Found, FoundSegment};
use super::error::StartError;
use super::lock::{Lock, lock};

/// The directory of a store, below the one that `persistence_location` names.
pub const FOLDER: &str = "firehose";
pub(super) const STORE: &str = "STORE";
const STORE_NEW: &str = "STORE.new";

/// The directory of a store, which nobody else has.
pub(super) struct Directory {
    path: PathBuf,
    handle: File,
    _lock: Lock,
}

impl Directory {
    /// Makes it if it is not there, and locks it.
    pub(super) fn open(location: &Path) -> Result<Directory, StartError> {
        let path = location.join(FOLDER);
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        if let Err(error) = made
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(StartError::io(&path, error));
        }
        let handle = File::open(&path).map_err(|e| StartError::io(&path, e))?;
        let lock = lock(&path)?;
        // The name of the directory has to last as well.
        let above = File::open(location).and_then(|above| above.sync_all());
        above.map_err(|e| StartError::io(location, e))?;
        Ok(Directory {
            path,
            handle,
            _lock: lock,
        })
    }

    /// The path of a file of it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// What lies in it.
    pub(super) fn found(&self) -> Result<Found, StartError> {
        Ok(Found {
            store: found_store(&self.path)?,
            segments: found_segments(&self.path)?,
        })
    }

    /// The path of a segment.
    pub(super) fn segment(&self, number: u32) -> PathBuf {
        self.file(&segment_name(number))
    }
}

/// The bytes of `STORE`, if it is there.
pub(super) fn found_store(folder: &Path) -> Result<Option<Vec<u8>>, StartError> {
    let path = folder.join(STORE);
    match read_start(&path, STORE_BYTES_READ_MAX) {
        Ok((bytes, _)) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StartError::io(&path, error)),
    }
}

/// The files of segments. One that goes meanwhile is not there.
pub(super) fn found_segments(folder: &Path) -> Result<Vec<FoundSegment>, StartError> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).map_err(|e| StartError::io(folder, e))?;
    for entry in entries {
        let entry = entry.map_err(|e| StartError::io(folder, e))?;
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if segment_number(&name).is_none() {
            continue;
        }
        match read_start(&path, STORE_PAGE_BYTES) {
            Ok((start, bytes)) => found.push(FoundSegment { name, start, bytes }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StartError::io(&path, error)),
        }
    }
    Ok(found)
}

/// The first bytes of a file, and how many it has.
fn read_start(path: &Path, most: usize) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let bytes = file.metadata()?.len();
    let mut start = Vec::new();
    file.take(most as u64).read_to_end(&mut start)?;
    Ok((start, bytes))
}

/// Reads what a file has of a range.
pub(super) fn read_at(file: &File, offset: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < into.len() {
        match file.read_at(&mut into[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Gives the folder of the store below a directory another name, so that a start finds none. Returns that name; `None` where there is no
/// folder.
///
/// # Errors
/// Another process has the store, or the folder cannot be renamed.
pub fn set_aside(location: &Path) -> Result<Option<PathBuf>, StartError> {
    if !location.join(FOLDER).exists() {
        return Ok(None);
    }
    let directory = Directory::open(location)?;
    let names = (1u32..).map(|number| location.join(format!("{FOLDER}.{number}")));
    let Some(name) = names.into_iter().find(|name| !name.exists()) else {
        return Ok(None);
    };
    let renamed = fs::rename(&directory.path, &name);
    let renamed = renamed.and_then(|()| File::open(location)?.sync_all());
    renamed.map_err(|e| StartError::io(&directory.path, e))?;
    Ok(Some(name))
}

/// The files of the run that is written.
pub(super) struct Files {
    directory: Directory,
    segment_bytes: u64,
    segments: BTreeMap<u32, File>,
    unready: BTreeMap<u32, File>,
    store: Option<File>,
    /// The file system takes O_DIRECT.
    is_direct: bool,
}

impl Files {
    pub(super) fn new(directory: Directory, segment_bytes: u64) -> Files {
        Files {
            directory,
            segment_bytes,
            segments: BTreeMap::new(),
            unready: BTreeMap::new(),
            store: None,
            is_direct: true,
        }
    }

    /// Bytes of a segment of this run.
    pub(super) fn segment_bytes(&self) -> u64 {
        self.segment_bytes
    }

    /// Whether commits go around the page cache, as far as is known.
    pub(super) fn is_direct(&self) -> bool {
        self.is_direct
    }

    /// A segment that is ready. Those before it are not written to any more, and are closed.
    pub(super) fn segment(&mut self, number: u32) -> Option<RawFd> {
        self.segments = self.segments.split_off(&number);
        self.segments.get(&number).map(File::as_raw_fd)
    }

    /// An unready segment.
    pub(super) fn unready(&self, number: u32) -> Option<RawFd> {
        self.unready.get(&number).map(File::as_raw_fd)
    }

    /// `STORE` before it is in force.
    pub(super) fn store(&self) -> Option<RawFd> {
        self.store.as_ref().map(File::as_raw_fd)
    }

    pub(super) fn directory(&self) -> RawFd {
        self.directory.handle.as_raw_fd()
    }

    /// The path that an error in a step is about.
    pub(super) fn path_of(&self, step: &Step) -> PathBuf {
        let name = match step {
            Step::Create(number)
            | Step::Fill { number, .. }
            | Step::Recycle { number, .. }
            | Step::Header { number, .. }
            | Step::SyncUnready(number)
            | Step::RemoveUnready(number) => unready_name(*number),
            Step::Enter(number) | Step::Remove(number) => segment_name(*number),
            Step::SyncDirectory => return self.directory.path.clone(),
            Step::StoreWrite(_) | Step::StoreSync => STORE_NEW.into(),
            Step::StoreRename => STORE.into(),
        };
        self.directory.file(&name)
    }

    /// Carries out a step that is about names, or small. Those that write to segments, and syncs, are the ring's.
    pub(super) fn carry_out(&mut self, step: &Step) -> io::Result<()> {
        let file = |name: &str| self.directory.file(name);
        match step {
            Step::Create(number) => {
                remove(&file(&unready_name(*number)))?;
                self.open_unready(*number, true)
            }
            Step::Recycle { from, number } => {
                self.segments.remove(from);
                let from = file(&segment_name(*from));
                let to = file(&unready_name(*number));
                // Another name of it is that of a backup, whose bytes stay. The zeros of the new one are the file system's.
                if fs::metadata(&from)?.nlink() > 1 {
                    remove(&to)?;
                    self.open_unready(*number, true)?;
                    return remove(&from);
                }
                fs::rename(from, to)?;
                self.open_unready(*number, false)
            }
            Step::Enter(number) => {
                let from = file(&unready_name(*number));
                fs::rename(from, file(&segment_name(*number)))?;
                let entered = self.unready.remove(number);
                self.segments.extend(entered.map(|file| (*number, file)));
                Ok(())
            }
            Step::Remove(number) => {
                self.segments.remove(number);
                remove(&self.directory.file(&segment_name(*number)))
            }
            Step::RemoveUnready(number) => {
                self.unready.remove(number);
                remove(&self.directory.file(&unready_name(*number)))
            }
            Step::StoreWrite(bytes) => {
                let path = file(STORE_NEW);
                self.store = None;
                remove(&path)?;
                let mut options = OpenOptions::new();
                let options = options.write(true).create_new(true).mode(0o600);
                let mut store = options.open(path)?;
                store.write_all(bytes)?;
                self.store = Some(store);
                Ok(())
            }
            Step::StoreRename => {
                self.store = None;
                fs::rename(file(STORE_NEW), file(STORE))
            }
            Step::Fill { .. }
            | Step::Header { .. }
            | Step::SyncUnready(_)
            | Step::SyncDirectory
            | Step::StoreSync => Ok(()),
        }
    }

    fn open_unready(&mut self, number: u32, is_new: bool) -> io::Result<()> {
        let path = self.directory.file(&unready_name(number));
        let open = |flags: i32| {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create_new(is_new);
            options.mode(0o600).custom_flags(flags).open(&path)
        };
        let direct = if self.is_direct { libc::O_DIRECT } else { 0 };
        let file = match open(direct) {
            Err(error) if self.is_direct && error.raw_os_error() == Some(libc::EINVAL) => {
                self.is_direct = false;
                // It may have been made before that was found out.
                if is_new {
                    remove(&path)?;
                }
                open(0)?
            }
            other => other?,
        };
        if file.metadata()?.len() != self.segment_bytes {
            // All room is taken at once, where the file system can; zeros and a sync follow in any case.
            match fallocate(&file, FallocateFlags::empty(), 0, self.segment_bytes) {
                Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => {}
                Err(error) => return Err(error.into()),
            }
            file.set_len(self.segment_bytes)?;
        }
        self.unready.insert(number, file);
        Ok(())
    }
}

/// Removes a file, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
