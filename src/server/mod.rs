//! `serve`: start order, listening sockets, threads, the ready line, the drain.
//!
//! Order: limits are raised, listeners bound, files opened, root is given up, shards created (each in its pinned thread),
//! and only when all of them are there the first connection is accepted. Whatever fails before that ends the program with one line that names
//! the cause and the cure, and exit code 3. The calling thread becomes the control thread.

mod activation;
pub(crate) mod budget;
mod changes;
mod error;
mod handshakes;
pub(crate) mod holder;
mod identity;
mod listen;
mod listeners;
mod passwords;
pub(crate) mod places;
mod reload;
pub(crate) mod resources;
pub mod sockets;
mod start;
#[cfg(test)]
mod tests;
mod threads;

pub use error::{EXIT_CONFIGURATION, EXIT_FAILED, EXIT_MACHINE, HostError, ServeError};

use std::path::Path;
use std::process::ExitCode;

use crossbeam_channel::Sender;

use crate::broker::{LogKind, LogMask};
use crate::config::{Config, ReadAgain};
use crate::control;
use crate::escape::one_line;
use crate::limits;
use crate::shard::LogLine;
use budget::Layout;
use listen::Purpose;
use reload::{Reloader, Running};
pub use start::Warnings;
use start::{Created, Opened};

/// Runs a broker until it is told to end, and returns the program's exit code.
pub fn serve(config: Config, read: ReadAgain) -> ExitCode {
    match run(config, read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("firehose: {}", one_line(&error.to_string()));
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
    Ok(opened.warnings(config))
}

fn run(config: Config, read: ReadAgain) -> Result<(), ServeError> {
    // Caught before anything has to be undone by them.
    let signals = control::Signals::register().map_err(HostError::Signals)?;
    let mut opened = Opened::open(&config, Purpose::Serve)?;
    let told = &opened.warnings;
    for warning in [&told.resources, &told.log, &told.identity]
        .into_iter()
        .flatten()
    {
        eprintln!("firehose: warning: {}", one_line(warning));
    }
    let (log, lines) = crossbeam_channel::bounded(limits::LOG_LINES);
    let created = Created::create(&config, &mut opened, &log)?;
    let (mut threads, shared, wanted) = (created.threads, created.shared, created.log);
    let fixed = opened.budget.charge(shared.pool());
    tell_of_start(&config, &mut opened, (&log, wanted));
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
        shared,
        shards: threads.handles.clone(),
        sys_interval_s,
        reload: Box::new(move || reloader.reload()),
        ends: threads.ends.clone(),
    })
    .map_err(HostError::Control)?;
    let mut pid_file = opened.pid_file;
    pid_file.write().map_err(ServeError::PidFile)?;
    threads.go();
    control.run();
    let ended = threads.join();
    drop((pid_file, fixed));
    ended
}

/// Puts what there is to warn of and the table of accounts into the log.
fn tell_of_start(config: &Config, opened: &mut Opened, (log, wanted): (&Sender<LogLine>, LogMask)) {
    let certificates = config.certificates.iter().map(ToString::to_string);
    let warnings = opened.warnings(config);
    let warnings = [warnings.log, warnings.identity, warnings.resources];
    let warnings = warnings.into_iter().flatten().chain(certificates);
    let warnings = warnings.map(|text| (LogKind::Warning, text));
    let budget = &opened.budget;
    let lines = budget.lines().into_iter().chain([opened.sockets.clone()]);
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
