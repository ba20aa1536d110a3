//! The start of a broker, in a process, a memory budget and on CPUs of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::cgroup::MemoryCgroup;
use super::command::{configuration, own_arguments, shell_line};
use super::folder::Folder;
use super::launch::{JOIN_FAILED, Launch, cpus_text};
use super::ports::{accepts, free_port};
use super::running::RunningBroker;
use super::watched::{Watched, status_text};
use super::{HostError, resolve};
use crate::load::report::units;
use crate::load::result::{BrokerInfo, Budget};
use crate::load::secrets;

/// How long a broker may take until it accepts connections.
const READY_MAX: Duration = Duration::from_secs(10);

/// Time between two attempts.
const READY_POLL: Duration = Duration::from_millis(10);

/// How long our own broker may accept connections without saying that it is ready: longer than it waits for a port that is taken
/// (`limits::LISTEN_ATTEMPTS`).
const SILENT_MAX: Duration = Duration::from_secs(3);

/// Ports that are tried for a broker of our own.
const PORTS_TRIED: u32 = 5;

/// The exit codes of a shell that cannot run, or does not find, a command.
const SHELL_CANNOT: [i32; 2] = [126, 127];

/// What to start.
#[derive(Clone, Debug)]
pub struct BrokerSpec {
    pub command: BrokerCommand,
    /// Bytes of memory, kernel memory included, without swap.
    pub budget: Option<u64>,
    /// CPUs that it may use; empty for all that the tester may.
    pub cpus: Vec<u16>,
    /// Where its output goes; a temporary file if `None`.
    pub log: Option<PathBuf>,
}

/// The program.
#[derive(Clone, Debug)]
pub enum BrokerCommand {
    /// This broker, on a free port of the loopback address.
    Own {
        /// The binary: `std::env::current_exe()`.
        program: PathBuf,
        /// Shards; one per CPU if `None`.
        shards: Option<u16>,
        /// Lines of configuration behind those of the listener.
        extra_config: String,
    },
    /// Another one, by a shell command that stays in the foreground. `{port}` in it stands for the port; with port 0 a
    /// free one is chosen.
    Other {
        command: String,
        host: String,
        port: u16,
    },
}

/// Starts a broker and waits until it accepts connections.
///
/// # Errors
/// `Usage` for a command that cannot be run, an address that cannot be, an unknown CPU, a wrong configuration;
/// `Cannot` where the broker ends or does not listen. Its last words are quoted.
pub fn start(spec: BrokerSpec) -> Result<RunningBroker, HostError> {
    let (budget, group) = budget(spec.budget);
    match &spec.command {
        BrokerCommand::Own { .. } => start_own(&spec, budget, group),
        BrokerCommand::Other {
            command,
            host,
            port,
        } => {
            let address = other_address(command, host, *port)?;
            attempt(&spec, address, budget, group).map_err(|failed| failed.error)
        }
    }
}

/// A group for the budget, and what to say about it.
fn budget(bytes: Option<u64>) -> (Option<Budget>, Option<MemoryCgroup>) {
    let Some(bytes) = bytes else {
        return (None, None);
    };
    let (how, group) = match MemoryCgroup::create(bytes) {
        Ok(group) => (group.how(), Some(group)),
        Err(why) => (format!("not enforced: {why}"), None),
    };
    let enforced = group.is_some();
    (
        Some(Budget {
            bytes,
            enforced,
            how,
        }),
        group,
    )
}

fn start_own(
    spec: &BrokerSpec,
    budget: Option<Budget>,
    group: Option<MemoryCgroup>,
) -> Result<RunningBroker, HostError> {
    let (mut budget, mut group) = (budget, group);
    let mut tried = 1;
    loop {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        match attempt(spec, address, budget, group) {
            Ok(broker) => return Ok(broker),
            // Somebody took the port between our look and its bind.
            Err(failed) if failed.port_taken && tried < PORTS_TRIED => tried += 1,
            Err(failed) => return Err(failed.error),
        }
        (budget, group) = self::budget(spec.budget);
    }
}

/// Why an attempt came to nothing.
struct Failed {
    error: HostError,
    port_taken: bool,
}

impl From<HostError> for Failed {
    fn from(error: HostError) -> Failed {
        let port_taken = false;
        Failed { error, port_taken }
    }
}

/// Starts it on this address; a second time outside of the group if it may not join that.
fn attempt(
    spec: &BrokerSpec,
    address: SocketAddr,
    mut budget: Option<Budget>,
    mut group: Option<MemoryCgroup>,
) -> Result<RunningBroker, Failed> {
    loop {
        let joins = group.is_some();
        let watched = spawn(spec, address, group.take())?;
        let status = match wait_ready(spec, &watched, address) {
            Ready::Yes => {
                let info = info(spec, address, &watched, budget);
                return Ok(RunningBroker::new(watched, address, info));
            }
            Ready::Late => return Err(late(spec, address, &watched).into()),
            Ready::Ended(status) => status,
        };
        if !(joins && status.code() == Some(JOIN_FAILED)) {
            return Err(ended(spec, &watched, status));
        }
        if let Some(budget) = &mut budget {
            let words = watched.last_words();
            budget.enforced = false;
            budget.how = format!("not enforced: the cgroup cannot be joined: {words}");
        }
    }
}

/// Starts the process with its files.
fn spawn(
    spec: &BrokerSpec,
    address: SocketAddr,
    group: Option<MemoryCgroup>,
) -> Result<Watched, HostError> {
    let cannot = |error| HostError::Cannot(format!("cannot write temporary files: {error}"));
    let folder = Folder::create().map_err(cannot)?;
    let log = spec
        .log
        .clone()
        .unwrap_or_else(|| folder.path().join("log"));
    let file = File::create(&log).map_err(|error| {
        HostError::Usage(format!("cannot write the log {}: {error}", log.display()))
    })?;
    let (program, arguments) = match &spec.command {
        BrokerCommand::Own {
            program,
            shards,
            extra_config,
        } => {
            let path = folder.path().join("broker.conf");
            fs::write(&path, configuration(address, extra_config)).map_err(cannot)?;
            (
                program.clone().into(),
                own_arguments(path, *shards, &spec.cpus),
            )
        }
        BrokerCommand::Other { command, .. } => {
            let line = shell_line(command, address.port());
            (OsString::from("/bin/sh"), vec!["-c".into(), line.into()])
        }
    };
    let launch = Launch {
        program,
        arguments,
        cpus: &spec.cpus,
        procs: group.as_ref().map(MemoryCgroup::procs_path),
        log: file,
    };
    let child = launch.spawn()?;
    Ok(Watched::new(child, group, log, folder))
}

/// Where another broker will listen.
fn other_address(command: &str, host: &str, port: u16) -> Result<SocketAddr, HostError> {
    if command.trim().is_empty() {
        return Err(HostError::Usage("the broker's command is empty".into()));
    }
    if port == 0 && !command.contains("{port}") {
        let command = secrets::redacted(command);
        return Err(HostError::Usage(format!(
            "which port does `{command}` listen on? Give it with --port, or write {{port}} where the command takes it"
        )));
    }
    let port = if port == 0 { free_port()? } else { port };
    let address = resolve(host, port)?;
    if accepts(address) {
        return Err(HostError::Usage(format!(
            "another program accepts connections on {address} already (`ss -ltnp` names it): end it, choose another port, or test it as it is, without --broker"
        )));
    }
    Ok(address)
}

enum Ready {
    Yes,
    Ended(ExitStatus),
    Late,
}

fn wait_ready(spec: &BrokerSpec, watched: &Watched, address: SocketAddr) -> Ready {
    // Our own broker says so when all of its listeners are there; it may be configured to be silent.
    let says = matches!(spec.command, BrokerCommand::Own { .. });
    let started = Instant::now();
    let mut accepts_since = None;
    loop {
        if accepts_since.is_none() && accepts(address) {
            accepts_since = Some(Instant::now());
        }
        if let Some(status) = watched.ended() {
            return Ready::Ended(status);
        }
        if let Some(since) = accepts_since
            && (!says || watched.has_said(" ready: ") || since.elapsed() > SILENT_MAX)
        {
            return Ready::Yes;
        }
        if started.elapsed() > READY_MAX {
            return Ready::Late;
        }
        std::thread::sleep(READY_POLL);
    }
}

/// The command as the user knows it, without what nobody else should.
fn name(spec: &BrokerSpec) -> String {
    match &spec.command {
        BrokerCommand::Own { .. } => {
            format!("firehose {} (own process)", env!("CARGO_PKG_VERSION"))
        }
        BrokerCommand::Other { command, .. } => secrets::redacted(command),
    }
}

fn late(spec: &BrokerSpec, address: SocketAddr, watched: &Watched) -> HostError {
    HostError::Cannot(format!(
        "the broker `{}` accepts no connection on {address} within {} s: does it listen there?{}",
        name(spec),
        READY_MAX.as_secs(),
        watched.quoted()
    ))
}

/// The error for one that ended before it accepted a connection.
fn ended(spec: &BrokerSpec, watched: &Watched, status: ExitStatus) -> Failed {
    let name = name(spec);
    let events = watched.events(0.0);
    if let (Some(_), Some(bytes)) = (
        events.iter().find(|e| e.kind == "out of memory"),
        spec.budget,
    ) {
        let size = units::bytes(bytes as f64);
        let text = format!(
            "the broker `{name}` ran out of its budget of {size} before it accepted a connection"
        );
        return HostError::Cannot(text + &watched.quoted()).into();
    }
    let mut text = format!("the broker `{name}` {} at once", status_text(status));
    if matches!(spec.command, BrokerCommand::Other { .. }) && status.success() {
        text += ": the command must stay in the foreground";
    }
    text += &watched.quoted();
    let is_own = matches!(spec.command, BrokerCommand::Own { .. });
    let is_usage = match status.code() {
        Some(code) if is_own => code == 2,
        Some(code) => SHELL_CANNOT.contains(&code),
        None => false,
    };
    let port_taken = is_own
        && watched
            .last_words()
            .contains("another program has the port");
    let error = if is_usage {
        HostError::Usage(text)
    } else {
        HostError::Cannot(text)
    };
    Failed { error, port_taken }
}

fn info(
    spec: &BrokerSpec,
    address: SocketAddr,
    watched: &Watched,
    budget: Option<Budget>,
) -> BrokerInfo {
    BrokerInfo {
        what: name(spec),
        address: address.to_string(),
        pid: Some(watched.pid()),
        budget,
        cpus: (!spec.cpus.is_empty()).then(|| cpus_text(&spec.cpus)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_others() {
        let error = |command: &str, host: &str, port| {
            let error = other_address(command, host, port).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{error}");
            error.to_string()
        };
        assert!(error(" ", "127.0.0.1", 1883).contains("empty"));
        assert!(error("broker", "127.0.0.1", 0).contains("{port}"));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(error("broker", "127.0.0.1", port).contains("already"));
        assert_ne!(other_address("b {port}", "127.0.0.1", 0).unwrap().port(), 0);
    }
}
