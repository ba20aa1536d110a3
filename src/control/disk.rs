//! What a file system gives to the store: its kind, its room, whether O_DIRECT works there, and how long a sync takes.
//!
//! Looks, and tries with a file that has no name. Decides nothing.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{major, minor, statfs, statvfs};

use super::place::{denied, missing_folder};
use crate::config::Persistence;
use crate::limits;
use crate::storage::FOLDER;

/// Where a file system without nameless files has one for a moment.
const TRIAL: &str = ".firehose-trial";

/// Syncs that are timed: the one in the middle counts.
const SYNCS: usize = 5;

/// What is below a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// The directory of the store, or where that can be made.
    pub directory: PathBuf,
    /// The directory of the store is there.
    pub is_made: bool,
    /// What the file system is called.
    pub kind: String,
    pub nature: Nature,
    /// Bytes of the file system.
    pub total: u64,
    /// Bytes of it that the broker's user may have.
    pub available: u64,
    /// Bytes that the store has already.
    pub held: u64,
    /// O_DIRECT works.
    pub is_direct: bool,
    /// How long a page takes to be written and synced.
    pub sync: Duration,
    /// The device, as it is called below /sys/dev/block and in /proc/self/mountinfo.
    pub device: String,
}

/// What a kind of file system does with what is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Nature {
    /// On a disk of this host.
    Local,
    /// In memory: gone with the power, and with the mount.
    Memory,
    /// A layer over others, as a container has it: gone with the container.
    Layer,
    /// On another host, or of a program: a sync is what that makes of it.
    Foreign,
    /// Not known here.
    Unknown,
}

/// Kinds, by the number that statfs(2) has for them.
const KINDS: [(u64, &str, Nature); 18] = [
    (0xef53, "ext4", Nature::Local),
    (0x5846_5342, "xfs", Nature::Local),
    (0x9123_683e, "btrfs", Nature::Local),
    (0xf2f5_2010, "f2fs", Nature::Local),
    (0x2fc1_2fc1, "zfs", Nature::Local),
    (0xca45_1a4e, "bcachefs", Nature::Local),
    (0x3153_464a, "jfs", Nature::Local),
    (0x0102_1994, "tmpfs", Nature::Memory),
    (0x8584_58f6, "ramfs", Nature::Memory),
    (0x794c_7630, "overlay", Nature::Layer),
    (0x6969, "nfs", Nature::Foreign),
    (0xff53_4d42, "cifs", Nature::Foreign),
    (0xfe53_4d42, "smb2", Nature::Foreign),
    (0x517b, "smb", Nature::Foreign),
    (0x00c3_6400, "ceph", Nature::Foreign),
    (0x0102_1997, "9p", Nature::Foreign),
    (0x5346_414f, "afs", Nature::Foreign),
    (0x6573_5546, "fuse", Nature::Foreign),
];

impl Disk {
    /// Looks at what is below a location. Writes some pages to a file of its own, and leaves nothing behind.
    ///
    /// # Errors
    /// The store can be neither made nor written there; the error names the path.
    pub(crate) fn look(location: &Path) -> io::Result<Disk> {
        let folder = location.join(FOLDER);
        let is_made = folder.is_dir();
        let directory = if is_made { folder } else { location.into() };
        let named = |error: io::Error| {
            let cure = missing_folder(&location.join(FOLDER), &error);
            let cure = cure.or_else(|| denied(&directory, &error));
            let cure = cure.unwrap_or_default();
            let text = format!("{}: {error}{cure}", directory.display());
            io::Error::new(error.kind(), text)
        };
        let (is_direct, sync) = match Trial::of(&directory, true).and_then(Trial::sync_time) {
            Ok(time) => (true, time),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
                let trial = Trial::of(&directory, false);
                (false, trial.and_then(Trial::sync_time).map_err(named)?)
            }
            Err(error) => return Err(named(error)),
        };
        let of = |error: rustix::io::Errno| named(error.into());
        let number = statfs(&directory).map_err(of)?.f_type as u64 & 0xffff_ffff;
        let (kind, nature) = kind(number);
        let room = statvfs(&directory).map_err(of)?;
        let device = fs::metadata(&directory).map_err(named)?.dev();
        Ok(Disk {
            kind,
            nature,
            total: room.f_blocks.saturating_mul(room.f_frsize),
            available: room.f_bavail.saturating_mul(room.f_frsize),
            held: if is_made { held(&directory) } else { 0 },
            is_direct,
            sync,
            device: format!("{}:{}", major(device), minor(device)),
            directory,
            is_made,
        })
    }
}

/// Bytes of the file system of a path that the broker's user may have; `None` where nothing tells.
pub(crate) fn available(path: &Path) -> Option<u64> {
    let room = statvfs(path).ok()?;
    Some(room.f_bavail.saturating_mul(room.f_frsize))
}

/// Bytes that a store may have on a file system of so many.
pub(crate) fn bytes_max(persistence: &Persistence, total: u64) -> u64 {
    match persistence.max_bytes {
        0 => (total / limits::PERSISTENCE_SHARE_DIVISOR).max(limits::PERSISTENCE_BYTES_MIN),
        bytes => bytes,
    }
}

fn kind(number: u64) -> (String, Nature) {
    match KINDS.iter().find(|(known, ..)| *known == number) {
        Some((_, name, nature)) => ((*name).into(), *nature),
        None => (format!("file system {number:#x}"), Nature::Unknown),
    }
}

/// Bytes on the disk of the files in a directory; what may not be looked at is not counted.
fn held(directory: &Path) -> u64 {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let sizes = entries.filter_map(|entry| entry.metadata().ok());
    sizes.map(|file| file.blocks() * 512).sum()
}

/// A file that is written to for a moment.
struct Trial {
    file: File,
    /// Where it lies, if it has a name.
    path: Option<PathBuf>,
}

impl Drop for Trial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What cannot be removed is found by name, and nobody is kept from anything by it.
            let _ = fs::remove_file(path);
        }
    }
}

impl Trial {
    fn of(directory: &Path, is_direct: bool) -> io::Result<Trial> {
        let direct = if is_direct { libc::O_DIRECT } else { 0 };
        let mut options = OpenOptions::new();
        options.write(true).mode(0o600);
        let nameless = options
            .clone()
            .custom_flags(libc::O_TMPFILE | direct)
            .open(directory);
        match nameless {
            Ok(file) => Ok(Trial { file, path: None }),
            Err(error) if error.kind() == ErrorKind::Unsupported || is_directory(&error) => {
                let path = directory.join(TRIAL);
                let options = options.create_new(true).custom_flags(direct);
                let file = options.open(&path)?;
                let path = Some(path);
                Ok(Trial { file, path })
            }
            Err(error) => Err(error),
        }
    }

    /// How long a page takes to be written where something was, and synced.
    fn sync_time(self) -> io::Result<Duration> {
        let page = limits::STORE_PAGE_BYTES;
        let memory = vec![0; 2 * page];
        let start = memory.as_ptr().align_offset(page);
        let bytes = &memory[start..start + page];
        for index in 0..SYNCS {
            self.file.write_all_at(bytes, (index * page) as u64)?;
        }
        self.file.sync_data()?;
        let mut times = [Duration::ZERO; SYNCS];
        for (index, time) in times.iter_mut().enumerate() {
            let began = Instant::now();
            self.file.write_all_at(bytes, (index * page) as u64)?;
            self.file.sync_data()?;
            *time = began.elapsed();
        }
        times.sort_unstable();
        Ok(times[SYNCS / 2])
    }
}

/// What a kernel says of a nameless file that does not know such.
fn is_directory(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EISDIR)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SyncPolicy;

    /// A directory of its own for one test.
    fn scratch(name: &str) -> PathBuf {
        let name = format!("firehose-disk-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    #[test]
    fn a_directory_is_looked_at_and_left_as_it_was() {
        let path = scratch("look");
        let bare = Disk::look(&path).unwrap();
        assert_eq!(
            (&bare.directory, bare.is_made, bare.held),
            (&path, false, 0)
        );
        assert!(bare.total >= bare.available && bare.total > 0);
        assert!(bare.sync > Duration::ZERO);
        assert!(bare.device.contains(':'));
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
        fs::create_dir(path.join(FOLDER)).unwrap();
        fs::write(path.join(FOLDER).join("LOCK"), [1; 5000]).unwrap();
        let made = Disk::look(&path).unwrap();
        assert!(made.is_made && made.held >= 5000, "{made:?}");
        assert_eq!(made.directory, path.join(FOLDER));
        assert_eq!(fs::read_dir(path.join(FOLDER)).unwrap().count(), 1);
        fs::remove_dir_all(&path).unwrap();
        let error = Disk::look(&path).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains(path.to_str().unwrap()));
        let error = Disk::look(Path::new("/proc")).unwrap_err();
        assert!(error.to_string().starts_with("/proc: "), "{error}");
    }

    #[test]
    fn a_file_with_a_name_goes_with_its_trial() {
        let path = scratch("trial").join(TRIAL);
        let file = File::create(&path).unwrap();
        let trial = Trial {
            file,
            path: Some(path.clone()),
        };
        trial.sync_time().unwrap();
        assert!(!path.exists());
        fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }

    #[test]
    fn kinds_have_their_nature() {
        assert_eq!(kind(0xef53), ("ext4".into(), Nature::Local));
        assert_eq!(kind(0x0102_1994), ("tmpfs".into(), Nature::Memory));
        assert_eq!(kind(0x6969), ("nfs".into(), Nature::Foreign));
        assert_eq!(kind(0x794c_7630), ("overlay".into(), Nature::Layer));
        assert_eq!(kind(7), ("file system 0x7".into(), Nature::Unknown));
    }

    #[test]
    fn a_store_has_a_quarter_or_what_it_was_given() {
        let mut persistence = Persistence {
            location: "/".into(),
            import: "/mosquitto.db".into(),
            sync: SyncPolicy::Group,
            max_bytes: 0,
        };
        assert_eq!(bytes_max(&persistence, 8 << 30), 2 << 30);
        assert_eq!(bytes_max(&persistence, 512 << 20), 256 << 20);
        persistence.max_bytes = 1 << 30;
        assert_eq!(bytes_max(&persistence, 512 << 20), 1 << 30);
    }
}
