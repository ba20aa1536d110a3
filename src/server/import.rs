//! Mosquitto's database, taken up where nothing is kept yet: all of it or nothing, within the memory that the broker has. And what there is
//! to warn of where it is younger than what is kept.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use super::chance;
use super::reading::told_of_missing;
use super::store_error::StoreError;
use crate::config::{Listener, Persistence};
use crate::control::place;
use crate::journal::{self, Broken, Legacy, Room};
use crate::mosquitto_db::{Database, Told, Weight};
use crate::storage;

/// The memory that a start has for what is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Means {
    /// For messages, in the end.
    pub room: Room,
    /// While they are read: nobody has anything of it yet.
    pub free: u64,
}

/// What was taken up.
pub(super) struct Imported {
    pub legacy: Legacy,
    /// What there is to warn of.
    pub warnings: Vec<String>,
}

/// Takes up Mosquitto's database, if there is one.
///
/// # Errors
/// It cannot be read, is damaged, or would take more memory than there is.
pub(super) fn import(
    persistence: &Persistence,
    listeners: &[Listener],
    means: Means,
) -> Result<Option<Imported>, StoreError> {
    let path = &persistence.import;
    let refused = |fault: String| StoreError::Import {
        path: path.clone(),
        fault,
    };
    let (file, weight) = match open(path) {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let whose = place::denied(path, &error).unwrap_or_default();
            return Err(refused(format!("{error}{whose}")));
        }
    };
    if let Some(location) = too_large(&weight, means).then(|| persistence.location.clone()) {
        return Err(StoreError::TooLarge {
            path: path.clone(),
            location,
            needs: needs(&weight, means.room),
            has: means.free,
        });
    }
    let mut bytes = Vec::with_capacity(weight.bytes() as usize);
    let read_whole = file.take(weight.bytes()).read_to_end(&mut bytes);
    read_whole.map_err(|error| refused(error.to_string()))?;
    let database = Database::read(&bytes).map_err(|fault| refused(fault.to_string()))?;
    let names = names_by_port(listeners);
    let (legacy, told) =
        read(&database, &names, means.room).map_err(|fault| refused(fault.to_string()))?;
    let missing = told_of_missing(journal::missing(&legacy), means.room);
    let left_out = told.left_out.lines().into_iter();
    let left_out = left_out.map(|line| format!("{}: left out: {line}", path.display()));
    Ok(Some(Imported {
        legacy,
        warnings: left_out.chain(missing).collect(),
    }))
}

/// The file, at its beginning, and what it takes to read it. It is opened once: what is read is what was weighed.
fn open(path: &Path) -> io::Result<(File, Weight)> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("it is no regular file"));
    }
    let weight = weigh(&file, metadata.len())?;
    file.rewind()?;
    Ok((file, weight))
}

fn weigh(file: &File, bytes: u64) -> io::Result<Weight> {
    let mut weight = Weight::of(bytes);
    let mut file = BufReader::new(file);
    let mut at = Weight::FIRST;
    let mut step = at;
    let mut head = [0; 8];
    while at.saturating_add(head.len() as u64) <= bytes {
        file.seek_relative(step as i64)?;
        file.read_exact(&mut head)?;
        step = weight.take(head);
        at += head.len() as u64 + step;
    }
    Ok(weight)
}

/// Bytes that it takes to have a database in memory, and what messages come to beside it.
fn needs(weight: &Weight, room: Room) -> u64 {
    let most = room.sessions.saturating_add(room.retained);
    weight.to_read().saturating_add(weight.told().min(most))
}

fn too_large(weight: &Weight, means: Means) -> bool {
    needs(weight, means.room) > means.free
}

/// As what one shard has left, with the messages that there is room for: told once, or a second time where that did not hold all that
/// matters.
fn read(
    database: &Database<'_>,
    names: &[(u16, String)],
    room: Room,
) -> Result<(Legacy, Told), Broken> {
    let now = storage::unix_ms();
    let mut legacy = Legacy::default().within(room, chance::seed());
    let mut told = database.to_journal(now, names, |chunk| legacy.feed(0, chunk))?;
    if journal::is_short(&legacy) {
        legacy = journal::once_more(legacy, now);
        told = database.to_journal(now, names, |chunk| legacy.feed(0, chunk))?;
    }
    legacy.end();
    Ok((legacy, told))
}

/// That Mosquitto has run since anything was kept here; `None` where it has not.
pub(super) fn told_of_younger(persistence: &Persistence) -> Option<String> {
    let (path, location) = (&persistence.import, &persistence.location);
    let mut head = Vec::new();
    let file = File::open(path).ok()?;
    let written = file.metadata().ok()?.modified().ok()?;
    file.take(Weight::FIRST).read_to_end(&mut head).ok()?;
    let kept = storage::look(location, &mut |view| Ok(view.last_written()));
    let younger = written.duration_since(kept.ok()??).ok()?;
    if younger.is_zero() || !Database::is_one(&head) {
        return None;
    }
    let (path, location) = (path.display(), location.display());
    Some(format!(
        "Mosquitto's database {path} is younger than what is kept in {location}: Mosquitto has run since, and what clients have left with it is not taken up. To go on with that instead, end the broker before clients come, and `firehose store import --force {location} {path}`, which puts the store aside; to go on without it, move the file away."
    ))
}

/// The names of listeners by their ports; the first one's also where no port is known.
pub(crate) fn names_by_port(listeners: &[Listener]) -> Vec<(u16, String)> {
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
