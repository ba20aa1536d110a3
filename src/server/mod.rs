//! `serve`: start order, listening sockets, threads, the ready line, the drain.
//!
//! Order: limits are raised, listeners bound, shards created (each in its pinned thread), and only when all of them
//! are there the first connection is accepted. Whatever fails before that ends the program with one line that names
//! the cause and the cure, and exit code 3. The calling thread becomes the control thread.

mod activation;
pub(crate) mod budget;
mod error;
mod handshakes;
mod listen;
mod passwords;
mod reload;
pub(crate) mod resources;
pub mod sockets;
#[cfg(test)]
mod tests;
mod threads;

pub use error::ServeError;

use std::process::ExitCode;
use std::sync::Arc;

use crate::broker::{LogKind, LogMask};
use crate::budget::{Account, Pool};
use crate::config::{Config, Load};
use crate::control;
use crate::limits;
use crate::shard::{LogLine, Shared};
use budget::{Budget, Shape};
use reload::Reloader;

/// The exit code of a machine that cannot run the broker: a port, the kernel, a limit.
pub const EXIT_MACHINE: u8 = 3;

/// Runs a broker until it is told to end, and returns the program's exit code.
pub fn serve(config: Config, load: Load) -> ExitCode {
    match run(config, load) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("firehose: {error}");
            ExitCode::from(EXIT_MACHINE)
        }
    }
}

fn run(config: Config, load: Load) -> Result<(), ServeError> {
    resources::raise_open_files();
    // Caught before anything has to be undone by them.
    let signals = control::Signals::register().map_err(ServeError::Signals)?;
    let cpus = resources::cpus(config.cpu_list.as_ref())?;
    let shards = resources::shards(config.shards, cpus.len());
    let shape = Shape::new(shards);
    let given = control::memory::given();
    let budget = Budget::new(&config, shape, given.as_ref())?;
    let connections = resources::connections_possible(&config, shards);
    let buffers = sockets::Buffers::choose(budget.plan.limit(Account::Sockets), connections);
    let mut bound = listen::bind(&config, buffers)?;
    resources::check_open_files(&config, shards)?;
    let (log, lines) = crossbeam_channel::bounded(limits::LOG_LINES);
    let writer = control::LogWriter::open(&config.log).map_err(ServeError::Log)?;
    for problem in writer.unopened() {
        eprintln!("firehose: warning: {problem}; see log_dest in the configuration");
    }
    let ready = ready_line(&bound.names(), shards, &cpus);
    let mut settings = config.settings.clone();
    if config.log.destinations.is_empty() {
        // Lines that nobody reads are not even formatted.
        settings.log = LogMask::NONE;
    }
    let wanted = settings.log;
    let shared = Shared::new(
        shards,
        bound.take_listeners(),
        config.global_max_connections,
        Arc::new(Pool::new(&budget.plan, shards)),
    );
    shared.sources().set(config.sources);
    shared.set_tls_max(budget.tls_connections());
    let checks = passwords::start().map_err(ServeError::Thread)?;
    let handshakes = handshakes::start(shards).map_err(ServeError::Thread)?;
    let mut threads = threads::create(&threads::Plan {
        settings: &Arc::new(settings.clone()),
        shared: &shared,
        cpus: &cpus,
        descriptors: budget.descriptors,
        log: &log,
        checks: Some(&checks),
        handshakes: &handshakes,
    })?;
    let fixed = budget.charge(shared.pool());
    if wanted.has(LogKind::Information) {
        let sockets = buffers.line(connections);
        tell_of_memory(&config, &budget, sockets, given.as_ref(), &log);
    }
    drop((log, checks, handshakes));
    let sys_interval_s = config.settings.sys_interval;
    let pid_path = config.pid_file.clone();
    let handles = threads.handles.clone();
    let shape = Shape {
        descriptors: Some(budget.descriptors),
        ..shape
    };
    let mut reloader = Reloader::new(
        load,
        (config, budget),
        shape,
        settings,
        shared.clone(),
        handles,
    );
    let control = control::Control::new(control::Parts {
        ready,
        signals,
        writer,
        lines,
        log: wanted,
        shared,
        shards: threads.handles.clone(),
        sys_interval_s,
        reload: Box::new(move || reloader.reload()),
        ends: threads.ends.clone(),
    })
    .map_err(ServeError::Control)?;
    let pid_file = control::PidFile::write(pid_path.as_deref()).map_err(ServeError::PidFile)?;
    threads.go();
    control.run();
    let ended = threads.join();
    drop((pid_file, fixed));
    ended
}

/// Puts the table of accounts into the log.
fn tell_of_memory(
    config: &Config,
    budget: &Budget,
    sockets: String,
    given: Option<&control::memory::Gift>,
    log: &crossbeam_channel::Sender<LogLine>,
) {
    let warning = budget::warning(config, given).map(|text| (LogKind::Warning, text));
    let lines = budget.lines().into_iter().chain([sockets]);
    let table = std::iter::once(budget.headline()).chain(lines);
    let lines = table.map(|text| (LogKind::Information, text));
    for (kind, text) in lines.chain(warning) {
        // There is room for many more at the start.
        let _ = log.try_send(LogLine { kind, text });
    }
}

/// What is printed when connections are accepted: listeners and shards.
fn ready_line(listeners: &str, shards: u8, cpus: &[u16]) -> String {
    let used: Vec<String> = (0..usize::from(shards))
        .map(|index| cpus[index % cpus.len()].to_string())
        .collect();
    format!(
        "firehose {} ready: mqtt {listeners}; {shards} {} on {} {}",
        env!("CARGO_PKG_VERSION"),
        if shards == 1 { "shard" } else { "shards" },
        if shards == 1 { "CPU" } else { "CPUs" },
        used.join(","),
    )
}
