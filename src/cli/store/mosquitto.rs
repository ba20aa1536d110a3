//! `firehose store import` and `export`: Mosquitto's database to a store and back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::args::{Export, Import};
use super::content::{Content, content};
use super::done::{Done, EXIT_DONE, EXIT_LESS};
use super::own;
use super::words::{unfit, unreadable};
use crate::config;
use crate::journal::Legacy;
use crate::mosquitto_db::{Database, Told};
use crate::server::names_by_port;
use crate::storage::{self, FOLDER, ReadStore, folder, set_aside, unix_ms};

/// Writes Mosquitto's database.
pub(super) fn export(options: &Export, out: &mut dyn Write) -> Done {
    let Export { dir, file, .. } = options;
    if !options.force && file.exists() {
        return Err(format!(
            "{} is there already; --force replaces it",
            file.display()
        ));
    }
    let look = content(dir, |view| view.last_written());
    let (mut content, _, as_of) = look.map_err(|error| unreadable(dir, &error))?;
    if let Some(misfit) = &content.misfit {
        return Err(unfit(dir, misfit));
    }
    let settled = content.legacy.settle();
    settled.map_err(|broken| format!("{}: {broken}", dir.display()))?;
    let ledgers: Vec<_> = content.legacy.ledgers().collect();
    let database = Database::of_ledgers(&ledgers, unix_ms());
    replace(file, &database.write(), as_of)
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let left_out = left_out(&content);
    // A reader who has seen enough and goes is no error.
    let _ = writeln!(
        out,
        "{}: {} clients, {} messages, {} of them retained",
        file.display(),
        database.clients(),
        database.messages(),
        database.retained()
    );
    for line in &left_out {
        let _ = writeln!(out, "left out: {line}");
    }
    Ok(code(left_out.is_empty()))
}

fn code(is_all: bool) -> u8 {
    if is_all { EXIT_DONE } else { EXIT_LESS }
}

/// What Mosquitto's database has no place for.
fn left_out(content: &Content) -> Vec<String> {
    let sessions = || {
        content
            .legacy
            .ledgers()
            .flat_map(|ledger| ledger.sessions())
    };
    let wills = sessions().filter(|(_, session)| session.will.is_some());
    let fleeting = sessions().filter(|(_, session)| session.expiry_s == 0);
    let counts = [
        (wills.count(), "wills: Mosquitto saves none"),
        (fleeting.count(), "sessions that end with their connection"),
    ];
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
}

/// Puts a file in place of another, in one step and on the disk. It is as old as the store, so that a start knows it from one that
/// Mosquitto has written since.
fn replace(file: &Path, bytes: &[u8], as_of: Option<SystemTime>) -> io::Result<()> {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let new = PathBuf::from(name);
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut to = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        to.write_all(bytes)?;
        if let Some(as_of) = as_of {
            to.set_modified(as_of)?;
        }
        to.sync_all()?;
        fs::rename(&new, file)?;
        let above = file.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()
    };
    written().inspect_err(|_| {
        let _ = fs::remove_file(&new);
    })
}

/// Fills a store from Mosquitto's database.
pub(super) fn import(options: &Import, out: &mut dyn Write) -> Done {
    let Import { dir, file, .. } = options;
    let names = listeners(options)?;
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let database = Database::read(&bytes)
        .map_err(|fault| format!("{}: {fault}; nothing was written", file.display()))?;
    let aside = make_empty(options)?;
    let store = read_empty(dir)?;
    let filled = fill(store, &database, &names);
    let Told {
        sessions,
        retained,
        left_out,
    } = filled.map_err(|error| {
        format!(
            "{}: {error}; remove {0}/{FOLDER}, which is no whole store",
            dir.display()
        )
    })?;
    // A reader who has seen enough and goes is no error.
    let _ = writeln!(
        out,
        "{}: {sessions} sessions, {retained} retained messages",
        dir.join(FOLDER).display(),
    );
    if let Some(aside) = aside {
        let _ = writeln!(out, "the store that was there is {}", aside.display());
    }
    let _ = own::tell(&dir.join(FOLDER).display(), out);
    let left_out = left_out.lines();
    for line in &left_out {
        let _ = writeln!(out, "left out: {line}");
    }
    Ok(code(left_out.is_empty()))
}

/// The names of the broker's listeners, by port.
fn listeners(options: &Import) -> Result<Vec<(u16, String)>, String> {
    let Some(path) = &options.config else {
        return Ok(Vec::new());
    };
    let (config, ..) = config::load_described(path, None).map_err(|error| error.to_string())?;
    Ok(names_by_port(&config.listeners))
}

/// With `--force` puts a store aside that is not empty. Returns its name then.
fn make_empty(options: &Import) -> Result<Option<PathBuf>, String> {
    let Import { dir, force, .. } = options;
    if !dir.is_dir() {
        return Err(format!("{} is no directory", dir.display()));
    }
    if folder(dir).is_err() {
        return Ok(None);
    }
    match content(dir, |_| ()) {
        Ok((content, ..)) if is_empty(&content) => Ok(None),
        _ if *force => set_aside(dir).map_err(|error| error.to_string()),
        Ok(_) => Err(format!(
            "{} has a store that is not empty; --force puts it aside",
            dir.display()
        )),
        Err(error) => Err(unreadable(dir, &error)),
    }
}

fn is_empty(content: &Content) -> bool {
    let legacy = &content.legacy;
    let has = legacy
        .ledgers()
        .any(|ledger| ledger.sessions().next().is_some() || ledger.retained().next().is_some());
    !has && legacy.in_transit().is_empty() && content.misfit.is_none()
}

/// Takes the store, which nobody has filled meanwhile.
fn read_empty(dir: &Path) -> Result<ReadStore, String> {
    let mut legacy = Legacy::default();
    let mut broken = None;
    let mut give = |chunk: storage::Recovered<'_>| {
        broken = broken.or(legacy.feed(chunk.stream, chunk.content).err());
    };
    let store = storage::read(dir, &mut give, &mut |_| ControlFlow::Continue(()))
        .map_err(|error| error.to_string())?;
    let content = Content {
        legacy,
        ..Content::default()
    };
    match broken.is_none() && is_empty(&content) {
        true => Ok(store),
        false => Err(format!("{} has a store that is not empty", dir.display())),
    }
}

fn fill(
    store: ReadStore,
    database: &Database<'_>,
    names: &[(u16, String)],
) -> Result<Told, storage::FillError> {
    let mut fill = store.fill(1)?;
    let told = database.to_journal(unix_ms(), names, |chunk| fill.push(0, chunk))?;
    fill.finish()?;
    Ok(told)
}
