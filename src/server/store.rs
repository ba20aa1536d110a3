//! What is kept on the disk: read at the start, and a run begun that is written from then on. Where nothing was kept yet, Mosquitto's
//! database is taken up.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossbeam_channel::Sender;

use super::store_error::StoreError;
use super::{holder, reading, waiting};
use crate::broker::{LogKind, LogMask};
use crate::config::{Config, Listener, Persistence, SyncPolicy, size_text};
use crate::control::disk::{self, Disk};
use crate::control::{notify, place};
use crate::journal::{self, Broken, Counts, Errand, Legacy, MessageText, Record, Room};
use crate::limits;
use crate::mosquitto_db::{Database, Import};
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
    pub warning: Option<String>,
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
        room: Room,
        ends: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Store>, StoreError> {
        let Some(persistence) = &config.persistence else {
            return Ok(None);
        };
        let location = &persistence.location;
        let disk = Disk::look(location).map_err(|error| StoreError::of_disk(location, error))?;
        let bytes_max = disk::bytes_max(persistence, disk.total);
        let (read, mut legacy) = reading::read(location, room, ends)?;
        let mut taken_up = (read.outcome.run > 0).then(|| told(&read.outcome));
        let warning = reading::told_of_missing(journal::missing(&legacy), room);
        if read.outcome.run == 0
            && let Some((imported, told)) = import(persistence, &config.listeners)?
        {
            legacy = imported;
            taken_up = Some(told);
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
            warning,
        }))
    }

    /// Looks whether a start would take it up, as far as that is seen without reading it, or Mosquitto's database where nothing is kept
    /// yet. Nothing is locked or changed: a broker may have it.
    ///
    /// # Errors
    /// Why it would not.
    pub(super) fn look(config: &Config) -> Result<(), StoreError> {
        let Some(persistence) = &config.persistence else {
            return Ok(());
        };
        let location = &persistence.location;
        Disk::look(location).map_err(|error| StoreError::of_disk(location, error))?;
        match storage::look(location, &mut |view| Ok(view.store().in_force)) {
            Ok(0) | Err(LookError::Absent(_)) => {
                import(persistence, &config.listeners)?;
                Ok(())
            }
            // A broker that writes has it.
            Ok(_) | Err(LookError::Restless(_)) => Ok(()),
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
            notify::status(&text);
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
        Report::Buffered => (
            LogKind::Warning,
            "The file system of the store does not take O_DIRECT: it is written through the page cache.".to_string(),
        ),
    }
}

/// Takes up Mosquitto's database, if there is one: all of it, or the start is refused.
fn import(
    persistence: &Persistence,
    listeners: &[Listener],
) -> Result<Option<(Legacy, TakenUp)>, StoreError> {
    let path = &persistence.import;
    let refused = |fault: String| StoreError::Import {
        path: path.clone(),
        fault,
    };
    let file = match std::fs::read(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let whose = place::denied(path, &error).unwrap_or_default();
            return Err(refused(format!("{error}{whose}")));
        }
    };
    let database = Database::read(&file).map_err(|fault| refused(fault.to_string()))?;
    let names = names_by_port(listeners);
    let names: Vec<(u16, &str)> = names
        .iter()
        .map(|(port, name)| (*port, name.as_str()))
        .collect();
    let imported = database.to_ledger(storage::unix_ms(), &names);
    let legacy = imported.and_then(legacy_of);
    let legacy = legacy.map_err(|fault| refused(fault.to_string()))?;
    Ok(Some((legacy, told_of_import(path))))
}

fn told_of_import(path: &Path) -> TakenUp {
    TakenUp {
        what: format!("Mosquitto's database {} is taken up", path.display()),
        more: ". The file stays as it is, and is not read again.".into(),
    }
}

/// What Mosquitto had not routed yet is on its way to all sessions.
fn legacy_of(import: Import) -> Result<Legacy, Broken> {
    let Import {
        mut ledger,
        to_route,
        ..
    } = import;
    let first = ledger.next_number();
    for (index, kept) in to_route.iter().enumerate() {
        let number = first + index as u64;
        let message = MessageText::of(&kept.message, kept.expires_at());
        ledger.apply(&Record::Message { number, message })?;
        ledger.apply(&Record::Handed {
            to: 0,
            at: index as u64 + 1,
            number,
            errand: Errand::PassOn {
                targets: 1,
                retains: kept.message.retain,
            },
        })?;
    }
    Ok(Legacy::of_ledger(ledger))
}

/// The names of listeners by their ports; the first one's also where no port is known.
fn names_by_port(listeners: &[Listener]) -> Vec<(u16, String)> {
    let named = listeners.iter().filter_map(|listener| {
        let name = listener.settings.name.text().to_string();
        (listener.socket.port != 0).then_some((listener.socket.port, name))
    });
    let mut names: Vec<_> = named.collect();
    if let Some((_, first)) = names.first() {
        names.push((0, first.clone()));
    }
    names
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
