//! `serve`: start order, listening sockets, threads, the ready line, the drain.
//!
//! Order: limits are raised, listeners bound, files opened, root is given up, shards created (each in its pinned thread),
//! and only when all of them are there the first connection is accepted. Whatever fails before that ends the program with one line that names
//! the cause and the cure, and exit code 3. The calling thread becomes the control thread.

mod activation;
pub(crate) mod budget;
mod chance;
mod changes;
mod error;
mod failure;
mod handshakes;
pub(crate) mod holder;
mod identity;
mod import;
mod listen;
mod listeners;
mod passwords;
pub(crate) mod places;
mod reading;
mod reload;
pub(crate) mod resources;
pub mod sockets;
mod start;
mod store;
mod store_error;
#[cfg(test)]
mod tests;
mod threads;
mod waiting;

pub use error::{EXIT_CONFIGURATION, EXIT_FAILED, EXIT_MACHINE, HostError, ServeError};
pub use failure::tell_of_configuration;
pub(crate) use import::names_by_port;
pub use store_error::StoreError;

use std::path::Path;
use std::process::ExitCode;

use crossbeam_channel::Sender;

use crate::broker::{LogKind, LogMask};
use crate::config::{Config, ReadAgain};
use crate::control::{self, Signals, memory, stderr};
use crate::limits;
use crate::shard::{Check, LogLine, Shared};
use budget::Layout;
use failure::Teller;
use listen::Purpose;
use reload::{Reloader, Running};
pub use start::Warnings;
use start::{Created, Keeping, Opened};
use threads::{RESTORED_POLL, Threads};
use waiting::Waiting;

/// Runs a broker until it is told to end, and returns the program's exit code.
pub fn serve(config: Config, read: ReadAgain) -> ExitCode {
    let teller = Teller::of(&config);
    match run(config, read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::tell(&format!("firehose: {error}"));
            let line = error.log_line();
            line.into_iter().for_each(|line| teller.tell(&line));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Does all that a start does but accept connections, and undoes it. `path` is the configuration's file: a place where a
/// broker of the same file listens is not tried. What there is to warn of is the answer. A process of root's is the broker's
/// user afterwards.
///
/// # Errors
/// Why a start would fail.
pub fn try_start(config: &Config, path: Option<&Path>) -> Result<Warnings, ServeError> {
    let mut opened = Opened::open(config, Purpose::Try(path))?;
    let (log, _lines) = crossbeam_channel::bounded(limits::LOG_LINES);
    let created = Created::create(config, &mut opened, &log)?;
    created.threads.join()?;
    let means = opened.means(memory::resident());
    let import = store::Store::look(config, means).map_err(ServeError::Store)?;
    let mut warnings = opened.warnings(config);
    warnings.import = import;
    warnings.store = store::told_of_holder(config, path);
    Ok(warnings)
}

fn run(config: Config, read: ReadAgain) -> Result<(), ServeError> {
    // Caught before anything has to be undone by them.
    let mut signals = Signals::register().map_err(HostError::Signals)?;
    let Some(mut opened) = open(&config, &mut signals)? else {
        return Ok(());
    };
    print_warnings(&opened.warnings);
    let (log, lines) = crossbeam_channel::bounded(limits::LOG_LINES);
    let created = Created::create(&config, &mut opened, &log)?;
    let (threads, shared, wanted) = (created.threads, created.shared, created.log);
    let keeping = created.keeping;
    let http = http(&config, &mut opened, created.checks);
    let fixed = opened.budget.charge(shared.pool(), opened.kept_bytes);
    tell_of_start(&config, &mut opened, &keeping, (&log, wanted));
    drop(log);
    let names = opened.bound.names();
    let ready = ready_line(&names, opened.shards(), &opened.cpus, &opened.user);
    let sys_interval_s = config.settings.sys_interval;
    let layout = Layout {
        descriptors: Some(opened.budget.descriptors),
        ..opened.layout
    };
    let running = Running {
        config,
        budget: opened.budget,
        listeners: created.listeners,
    };
    let mut reloader = Reloader::new(
        read,
        running,
        layout,
        shared.clone(),
        threads.handles.clone(),
    );
    let control = control::Control::new(control::Parts {
        ready,
        signals,
        executor: opened.executor,
        writer: opened.writer,
        lines,
        log: wanted,
        shared: shared.clone(),
        shards: threads.handles.clone(),
        sys_interval_s,
        reload: Box::new(move || reloader.reload()),
        http,
        store: control::Store(keeping.board()),
        ends: threads.ends.clone(),
    })
    .map_err(HostError::Control)?;
    let mut pid_file = opened.pid_file;
    pid_file.write().map_err(ServeError::PidFile)?;
    let ended = until_end(control, threads, &shared, keeping);
    drop((pid_file, fixed));
    ended
}

/// What HTTP starts with.
fn http(config: &Config, opened: &mut Opened, checks: Sender<Check>) -> control::Http {
    control::Http {
        listeners: opened.bound.take_http(),
        shown: control::shown(config),
        checks,
        early: opened.early.take(),
    }
}

/// Lets the shards go, and waits for the end of everything; of a start that is ended in its midst for nothing.
fn until_end(
    mut control: control::Control,
    mut threads: Threads,
    shared: &Shared,
    mut keeping: Keeping,
) -> Result<(), ServeError> {
    threads.go();
    let ended = threads.wait_restored(shared, || {
        if let Some(line) = keeping.waiting.as_mut().and_then(Waiting::line) {
            stderr::tell(&format!("firehose: {line}"));
            control.tell_of_waiting(line);
        }
        control.pause(RESTORED_POLL);
        control.end_asked()
    });
    if let Some(signal) = ended {
        // The run that is being written is not in force, or has all that the one before it had: the next start finds either.
        control.end_at_start(signal);
        return Ok(());
    }
    if let Some(taken_up) = &keeping.taken_up {
        control.tell_of_kept(|kept| taken_up.line(kept));
    }
    control.run();
    let ended = threads.join();
    // It ends when all shards have closed their lines.
    let stored = keeping.storage.map_or(Ok(true), |storage| storage.join());
    ended?;
    let stored = stored.map_err(|fault| ServeError::Store(StoreError::Thread(fault)));
    stored.map(|_| ())
}

/// Opens everything, and reads what is kept. `None`: a signal to end has come meanwhile, and the log says so.
fn open(config: &Config, signals: &mut Signals) -> Result<Option<Opened>, ServeError> {
    let mut opened = Opened::open(config, Purpose::Serve)?;
    let mut signal = None;
    let read = opened.read_store(config, &mut || {
        signal = signals.end_asked();
        signal.is_some()
    });
    match signal {
        Some(signal) => {
            let ended = control::end_at_start(opened.writer, config.settings.log, signal);
            ended.map_err(HostError::Control)?;
            Ok(None)
        }
        None => read.map(|()| Some(opened)),
    }
}

fn print_warnings(warnings: &Warnings) {
    let all = [&warnings.resources, &warnings.log, &warnings.identity];
    for warning in all.into_iter().flatten() {
        stderr::tell(&format!("firehose: warning: {warning}"));
    }
}

/// Puts what there is to warn of and the table of accounts into the log.
fn tell_of_start(
    config: &Config,
    opened: &mut Opened,
    keeping: &Keeping,
    (log, wanted): (&Sender<LogLine>, LogMask),
) {
    let certificates = config.certificates.iter().map(ToString::to_string);
    let warnings = opened.warnings(config);
    let warnings = [warnings.log, warnings.identity, warnings.resources];
    let warnings = warnings.into_iter().flatten().chain(certificates);
    let warnings = warnings.map(|text| (LogKind::Warning, text));
    let budget = &opened.budget;
    let lines = budget.lines().into_iter().chain([opened.sockets.clone()]);
    let is_new = keeping.is_new();
    let lines = lines.chain(is_new.then(|| "Nothing is kept yet: the store is new.".into()));
    let table = std::iter::once(budget.headline()).chain(lines);
    let lines = table.map(|text| (LogKind::Information, text));
    let all = lines.chain(warnings);
    for (kind, text) in all.filter(|(kind, _)| wanted.has(*kind)) {
        // There is room for many more at the start.
        let _ = log.try_send(LogLine::free(kind, text));
    }
}

/// What is printed when connections are accepted: listeners, shards, and who serves.
fn ready_line(listeners: &str, shards: u8, cpus: &[u16], user: &str) -> String {
    let used: Vec<String> = (0..usize::from(shards))
        .map(|index| cpus[index % cpus.len()].to_string())
        .collect();
    format!(
        "firehose {} ready: {listeners}; {shards} {} on {} {}; user {user}",
        env!("CARGO_PKG_VERSION"),
        if shards == 1 { "shard" } else { "shards" },
        if shards == 1 { "CPU" } else { "CPUs" },
        used.join(","),
    )
}
