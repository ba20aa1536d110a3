//! What is kept on the disk: read at the start, and a run begun that is written from then on. Where nothing was kept yet, Mosquitto's
//! database is taken up.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::import::{self, Means, import};
use super::store_error::StoreError;
use super::{holder, reading, waiting};
use crate::broker::{LogKind, LogMask};
use crate::config::{Config, Persistence, SyncPolicy, size_text};
use crate::control::disk::{self, Disk};
use crate::control::notify;
use crate::journal::{self, Counts, Legacy};
use crate::limits;
use crate::shard::{Kept, LogLine};
use crate::storage::{
    self, LookError, ReadStore, Report, Running, Settings, StartError, State, SyncMode,
};

/// A store that was read, and that no other process has while this lives.
pub(super) struct Store {
    read: ReadStore,
    legacy: Legacy,
    sync: SyncMode,
    segments_max: usize,
    /// What it may have on the disk at most, as it is said.
    bound: String,
    /// Where it is.
    pub location: PathBuf,
    /// What was read; `None` where nothing was kept.
    pub taken_up: Option<TakenUp>,
    /// What there is to warn of.
    pub warnings: Vec<String>,
}

/// What is taken up, for the log.
pub(super) struct TakenUp {
    what: String,
    /// What else there is to say.
    more: String,
}

impl TakenUp {
    /// The line, once so much of it has been taken up.
    pub(super) fn line(&self, kept: Counts) -> String {
        let Counts { sessions, retained } = kept;
        let (what, more) = (&self.what, &self.more);
        format!("{what}: {sessions} sessions, {retained} retained messages{more}")
    }
}

impl Store {
    /// Reads what is kept, and says how far it is once a second; unless it `ends` in between. Messages that there is no room for are
    /// left out.
    ///
    /// # Errors
    /// Why it cannot be taken up, or that reading was broken off.
    pub(super) fn open(
        config: &Config,
        means: Means,
        ends: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Store>, StoreError> {
        let Some(persistence) = &config.persistence else {
            return Ok(None);
        };
        let location = &persistence.location;
        let disk = Disk::look(location).map_err(|error| StoreError::of_disk(location, error))?;
        let bytes_max = disk::bytes_max(persistence, disk.total);
        let (read, mut legacy) = reading::read(location, means.room, ends)?;
        let mut taken_up = (read.outcome.run > 0).then(|| told(&read.outcome));
        let missing = reading::told_of_missing(journal::missing(&legacy), means.room);
        let mut warnings: Vec<String> = missing.into_iter().collect();
        if read.outcome.run > 0 {
            warnings.extend(import::told_of_younger(persistence));
        } else if let Some(imported) = import(persistence, &config.listeners, means)? {
            taken_up = Some(told_of_import(&persistence.import));
            (legacy, warnings) = (imported.legacy, imported.warnings);
        }
        Ok(Some(Store {
            read,
            legacy,
            sync: match persistence.sync {
                SyncPolicy::Group => SyncMode::Group,
                SyncPolicy::Interval(ms) => SyncMode::Interval(ms.into()),
                SyncPolicy::None => SyncMode::None,
            },
            segments_max: (bytes_max / limits::STORE_SEGMENT_BYTES) as usize,
            bound: bound(persistence, bytes_max),
            location: location.clone(),
            taken_up,
            warnings,
        }))
    }

    /// Looks whether a start would take it up, as far as that is seen without reading it, or Mosquitto's database where nothing is kept
    /// yet. Nothing is locked or changed: a broker may have it. What there is to warn of is the answer.
    ///
    /// # Errors
    /// Why it would not.
    pub(super) fn look(config: &Config, means: Means) -> Result<Vec<String>, StoreError> {
        let Some(persistence) = &config.persistence else {
            return Ok(Vec::new());
        };
        let location = &persistence.location;
        Disk::look(location).map_err(|error| StoreError::of_disk(location, error))?;
        match storage::look(location, &mut |view| Ok(view.store().in_force)) {
            Ok(0) | Err(LookError::Absent(_)) => {
                let imported = import(persistence, &config.listeners, means)?;
                Ok(imported.map_or(Vec::new(), |imported| imported.warnings))
            }
            Ok(_) => Ok(import::told_of_younger(persistence).into_iter().collect()),
            // A broker that writes has it.
            Err(LookError::Restless(_)) => Ok(Vec::new()),
            Err(LookError::Start(error)) => Err(StoreError::of_start(location, error)),
        }
    }

    /// Bytes that a start of it writes, about.
    pub(super) fn needed(&self) -> u64 {
        waiting::needed(self.legacy.bytes())
    }

    /// Begins the run: what each shard has of the store, and the storage thread.
    ///
    /// # Errors
    /// Why it cannot be begun.
    pub(super) fn start(
        self,
        shards: u8,
        log: &Sender<LogLine>,
        wanted: LogMask,
    ) -> Result<(Vec<Kept>, Running), StoreError> {
        let settings = Settings {
            streams: shards,
            sync: self.sync,
            segment_bytes: limits::STORE_SEGMENT_BYTES,
            segments_max: self.segments_max,
        };
        let (log, bound) = (log.clone(), self.bound);
        let report = move |report: Report| {
            let (kind, text) = line_of(&report, &bound);
            // A disk that is slow now and then changes nothing of what the store is.
            if !matches!(report, Report::Slow | Report::Prompt(_)) {
                notify::status(&text);
            }
            if wanted.has(kind) {
                let _ = log.try_send(LogLine::free(kind, text));
            }
        };
        let (lines, running) = self
            .read
            .start(settings, report)
            .map_err(StoreError::Start)?;
        let (taken_up, dropped) = crossbeam_channel::unbounded();
        let drops = std::thread::Builder::new().name("drops".into());
        let drops = drops.spawn(move || dropped.into_iter().for_each(drop));
        drops.map_err(|error| StoreError::Start(StartError::Thread(error)))?;
        let legacy = Arc::new(self.legacy);
        let kept = lines.into_iter().map(|line| Kept {
            line,
            legacy: legacy.clone(),
            taken_up: taken_up.clone(),
        });
        Ok((kept.collect(), running))
    }
}

/// Who has the store of a configuration, if that is another process than the broker of the same configuration file: a start ends
/// while he has it.
pub(super) fn told_of_holder(config: &Config, path: Option<&Path>) -> Option<String> {
    let folder = config.persistence.as_ref()?.location.join(storage::FOLDER);
    let pid = storage::holder(&folder)?;
    let is_ours = holder::is_ours(pid, path, config.pid_file.as_deref());
    (!is_ours).then(|| {
        format!(
            "the store {} is in use by process {pid}: a start ends while that runs; end it, or name another directory with persistence_location",
            folder.display()
        )
    })
}

fn told(outcome: &storage::Outcome) -> TakenUp {
    let end = match (outcome.ended, outcome.torn) {
        (true, _) => "it had ended in order",
        (false, None) => "it had crashed or was killed",
        (false, Some(_)) => "it had crashed or was killed, and what was being written was cut off",
    };
    TakenUp {
        what: format!("Run {} is taken up", outcome.run),
        more: format!("; {end}."),
    }
}

/// What a store may have on the disk, and what says so.
fn bound(persistence: &Persistence, bytes_max: u64) -> String {
    let bytes = size_text(bytes_max);
    match persistence.max_bytes {
        0 => format!("{bytes}, a quarter of the file system; persistence_max_size sets it"),
        _ => format!("persistence_max_size {bytes}"),
    }
}

fn line_of(report: &Report, bound: &str) -> (LogKind, String) {
    match report {
        Report::State(State::Open, _) => (
            LogKind::Notice,
            "The store takes everything again.".to_string(),
        ),
        Report::State(State::Full, _) => (
            LogKind::Error,
            "The file system of the store is full: what would have to be kept is refused until there is room.".to_string(),
        ),
        Report::Bounded => (
            LogKind::Error,
            format!(
                "The store has all the room that it may have ({bound}): what would have to be kept is refused until less is kept, or it may have more."
            ),
        ),
        Report::State(State::Failed, error) => (
            LogKind::Error,
            format!(
                "The disk of the store has failed ({}): what would have to be kept is refused until it works.",
                error.as_deref().unwrap_or("it does not say why")
            ),
        ),
        Report::Slow => (
            LogKind::Warning,
            "The disk of the store has not answered for a second: who waits for it waits, everything else goes on.".to_string(),
        ),
        Report::Prompt(ms) => (
            LogKind::Notice,
            format!(
                "The disk of the store answers again, after {:.1} s.",
                *ms as f64 / 1000.0
            ),
        ),
        Report::Buffered => (
            LogKind::Warning,
            "The file system of the store does not take O_DIRECT: it is written through the page cache.".to_string(),
        ),
    }
}

fn told_of_import(path: &Path) -> TakenUp {
    TakenUp {
        what: format!("Mosquitto's database {} is taken up", path.display()),
        more: ". The file stays as it is, and is not read again.".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn persistence(max_bytes: u64) -> Persistence {
        Persistence {
            location: "/srv".into(),
            import: "/srv/mosquitto.db".into(),
            sync: SyncPolicy::Group,
            max_bytes,
        }
    }

    #[test]
    fn a_bound_that_is_met_is_no_full_disk() {
        let text = |report: &Report, max| {
            let bound = bound(&persistence(max), 1 << 30);
            line_of(report, &bound).1
        };
        let met = text(&Report::Bounded, 1 << 30);
        assert!(met.contains("(persistence_max_size 1.0 GiB)"), "{met}");
        let met = text(&Report::Bounded, 0);
        assert!(met.contains("a quarter of the file system"), "{met}");
        let full = text(&Report::State(State::Full, None), 1 << 30);
        assert!(
            full.contains("The file system of the store is full"),
            "{full}"
        );
    }
}
