//! Who has a store: the lock on its folder, and what the kernel says of who holds it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::error::StartError;

const LOCK: &str = "LOCK";

/// What says that nobody else has the store: the file `LOCK`, which names who has it, and the directory itself, so that who removes that
/// file has not made the store free. No operation of a ring names either: the kernel gives up what a ring has of a process that was killed
/// when the next one may have started.
pub(super) struct Lock {
    file: File,
    directory: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing them would do, but for a process that is being started at this moment and has copies of the descriptors.
        for locked in [&self.directory, &self.file] {
            let _ = flock(locked, FlockOperation::Unlock);
        }
    }
}

/// Locks the folder of a store, and writes down by whom.
///
/// # Errors
/// Another process has it, or it cannot be locked.
pub(super) fn lock(folder: &Path) -> Result<Lock, StartError> {
    let path = &folder.join(LOCK);
    let directory = File::open(folder).map_err(|e| StartError::io(folder, e))?;
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true).create(true).truncate(false);
    let open = options.mode(0o600).open(path);
    let mut file = open.map_err(|e| StartError::io(path, e))?;
    let of_file = flock(&file, FlockOperation::NonBlockingLockExclusive);
    let both =
        of_file.and_then(
            |()| match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
                // Not every file system locks directories: NFS does not.
                Err(error) if error != rustix::io::Errno::WOULDBLOCK => Ok(()),
                other => other,
            },
        );
    if let Err(error) = both {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(StartError::io(path, error.into()));
        }
        let mut holder = String::new();
        let _ = file.take(16).read_to_string(&mut holder);
        return Err(StartError::Locked {
            path: path.into(),
            // A file that was made anew says nothing of who has the directory.
            pid: holder.trim().parse().ok().or_else(|| locker(folder)),
        });
    }
    let said = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    said.map_err(|e| StartError::io(path, e))?;
    Ok(Lock { file, directory })
}

/// The process that has a store, by what the kernel says of locks; `folder` is that of the store. Who removes `LOCK` has taken only one
/// of two.
pub fn holder(folder: &Path) -> Option<u32> {
    locker(&folder.join(LOCK)).or_else(|| locker(folder))
}

/// The process that has locked a file or directory, by what the kernel says of locks.
fn locker(path: &Path) -> Option<u32> {
    let locked = fs::metadata(path).ok()?;
    let device = locked.dev();
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let place = format!(" {major:02x}:{minor:02x}:{} ", locked.ino());
    let locks = fs::read_to_string("/proc/locks").ok()?;
    // One that waits for the lock has an arrow before its kind.
    let of_it =
        |line: &&str| line.contains(" FLOCK ") && line.contains(&place) && !line.contains("->");
    let line = locks.lines().find(of_it)?;
    let mut words = line.split_whitespace().skip_while(|word| *word != "WRITE");
    words.nth(1)?.parse().ok()
}
