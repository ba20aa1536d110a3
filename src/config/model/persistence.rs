//! What is configured about the disk: whether anything is kept there, where, and what an acknowledgement means.

use std::path::{Path, PathBuf};

use super::super::paths::absolute;

/// The file that Mosquitto keeps its database in where nobody names another.
const MOSQUITTO_FILE: &str = "mosquitto.db";

/// What is kept on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Persistence {
    /// The directory in which the store has one of its own, `firehose`. Absolute.
    pub location: PathBuf,
    /// Mosquitto's database, which is read once where the store is empty. Absolute; it need not be there.
    pub import: PathBuf,
    /// What an acknowledgement waits for.
    pub sync: SyncPolicy,
    /// Bytes that the store may have; 0: a part of the file system (`limits::PERSISTENCE_SHARE_DIVISOR`), and
    /// `limits::PERSISTENCE_BYTES_MIN` at least.
    pub max_bytes: u64,
}

/// `persistence_sync`: when what was written is synced, and so what outlives which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Before it is acknowledged: it outlives loss of power.
    #[default]
    Group,
    /// At least once in so many milliseconds: loss of power costs what is younger, the end of the process nothing.
    Interval(u32),
    /// When the kernel thinks fit: the end of the process costs nothing.
    None,
}

/// What the lines say about it.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct PersistenceLines {
    pub is_on: bool,
    pub location: Option<PathBuf>,
    pub file: Option<PathBuf>,
    pub sync: SyncPolicy,
    pub max_bytes: u64,
}

impl PersistenceLines {
    /// What they come to together. As in Mosquitto, the working directory is the location where none is named, and the file is
    /// one below the location where one is.
    pub(in crate::config) fn finish(self) -> Option<Persistence> {
        let file = self.file.unwrap_or_else(|| MOSQUITTO_FILE.into());
        let (location, import) = match self.location {
            Some(location) => {
                let import = location.join(file.strip_prefix("/").unwrap_or(&file));
                (location, import)
            }
            None => (PathBuf::from("."), file),
        };
        self.is_on.then(|| Persistence {
            location: whole(&location),
            import: whole(&import),
            sync: self.sync,
            max_bytes: self.max_bytes,
        })
    }
}

/// The path that holds whatever folder the broker works in, without dots and a slash at the end.
fn whole(path: &Path) -> PathBuf {
    absolute(path).components().collect()
}
