//! Why the broker could not start: one line each, with the cause and the cure.

use std::fmt;
use std::io;
use std::path::Path;

use super::store_error::StoreError;
use crate::config::size_text;
use crate::control::place::missing_folder;
use crate::shard::ShardError;

/// The exit code of a machine that cannot run the broker: a port, the kernel, a limit.
pub const EXIT_MACHINE: u8 = 3;

/// The exit code of a configuration that is wrong.
pub const EXIT_CONFIGURATION: u8 = 2;

/// The exit code of a broker that failed while it ran: a service manager should start it anew.
pub const EXIT_FAILED: u8 = 1;

/// Two listeners that cannot listen both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// Which of the configured listeners cannot.
    pub index: usize,
    /// Where it would listen, and the line that asks for it.
    pub place: String,
    pub at: Option<String>,
    /// Where the one listens that is in its way, and the line that asks for it.
    pub other: String,
    pub other_at: Option<String>,
    /// The other one is not in the configuration any more.
    pub is_leaving: bool,
}

/// A failure that ends the program; see `exit_code`.
#[derive(Debug)]
pub enum ServeError {
    /// A listener could not be bound.
    Listen {
        /// Address and port, as far as they are known.
        place: String,
        /// Where the configuration asks for it, if it does.
        at: Option<String>,
        /// What the system said.
        source: io::Error,
    },
    /// Two listeners of the configuration are in each other's way.
    Clash(Clash),
    /// A listener's address is not one of this host, or no address at all.
    Address { place: String, source: io::Error },
    /// The sockets that the service manager has passed in cannot be used.
    Activation(io::Error),
    /// A socket was passed in that no listener asks for.
    Unasked(String),
    /// The host does not give what the broker needs.
    Host(HostError),
    /// A shard could not be created.
    Shard { shard: u8, source: Box<ShardError> },
    /// A shard failed while it ran.
    Failed { shard: u8, source: Box<ShardError> },
    /// A shard's thread ended without a word.
    Lost(u8),
    /// No user has the name that a broker started as root is to have.
    NoUser(String),
    /// Root cannot be given up for this user.
    User { name: String, source: io::Error },
    /// A log file could not be opened.
    Log(io::Error),
    /// The pid file could not be written.
    PidFile(io::Error),
    /// What is kept on the disk cannot be taken up.
    Store(StoreError),
}

/// What the host does not give.
#[derive(Debug)]
pub enum HostError {
    /// A CPU of the list is not allowed to this process, or does not exist.
    Cpu(u16),
    /// Fewer open files than the connections that are asked for need.
    OpenFiles { limit: u64, wanted: u64 },
    /// The memory that there is does not suffice for the accounts' least sizes.
    Memory {
        limit: u64,
        origin: String,
        least: u64,
        shards: u8,
    },
    /// A thread could not be started.
    Thread(io::Error),
    /// The channel for commands to a shard could not be made.
    Commands(io::Error),
    /// Signals could not be registered.
    Signals(io::Error),
    /// The control thread could not be set up.
    Control(io::Error),
}

impl From<HostError> for ServeError {
    fn from(error: HostError) -> ServeError {
        ServeError::Host(error)
    }
}

impl ServeError {
    /// The exit code: of a host that does not let the broker run, which a new start would not change, or of a broker that ran
    /// and failed, which is to be started anew.
    pub fn exit_code(&self) -> u8 {
        match self {
            ServeError::Failed { .. } | ServeError::Lost(_) => EXIT_FAILED,
            ServeError::NoUser(_) | ServeError::Clash(_) => EXIT_CONFIGURATION,
            _ => EXIT_MACHINE,
        }
    }
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServeError::Listen { place, at, source } => fmt_listen(place, at.as_deref(), source, f),
            ServeError::Clash(clash) => clash.fmt(f),
            ServeError::Address { place, source } => write!(
                f,
                "cannot listen on {place}: {source}; give an address of this host"
            ),
            ServeError::Activation(source) => write!(
                f,
                "the sockets passed in by the service manager cannot be used: {source}; see the .socket unit"
            ),
            ServeError::Unasked(place) => write!(
                f,
                "the service manager passes in a socket at {place}, and no listener of the configuration asks for it: add the listener or take it from the .socket unit"
            ),
            ServeError::Host(error) => error.fmt(f),
            ServeError::Shard { shard, source } | ServeError::Failed { shard, source } => {
                write!(f, "shard {shard}: {source}")
            }
            ServeError::Lost(shard) => {
                write!(f, "shard {shard} ended unexpectedly; restart the broker")
            }
            ServeError::NoUser(name) => write!(
                f,
                "root cannot be given up: there is no user {name}; name one that exists with user in the configuration, or start the broker as that user"
            ),
            ServeError::User { name, source } => write!(
                f,
                "root cannot be given up for the user {name}: {source}; CAP_SETUID and CAP_SETGID are needed for that, or start the broker as that user"
            ),
            ServeError::Log(source) => write!(
                f,
                "cannot open a log file: {source}; see log_dest in the configuration"
            ),
            ServeError::Store(error) => error.fmt(f),
            ServeError::PidFile(source) => write!(
                f,
                "cannot write the pid file: {source}; see pid_file in the configuration"
            ),
        }
    }
}

/// That a listener could not be bound.
fn fmt_listen(
    place: &str,
    at: Option<&str>,
    source: &io::Error,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    write!(f, "cannot listen on {place}: {source}")?;
    if let Some(at) = at {
        write!(f, " ({at})")?;
    }
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            // -p is for who has no listener in a file.
            let place = match at {
                Some(_) => "in that line",
                None => "with -p",
            };
            write!(
                f,
                "; another program has the port (`ss -ltnp` names it): stop it or choose another port {place}"
            )
        }
        io::ErrorKind::PermissionDenied => write!(
            f,
            "; ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE (AmbientCapabilities= in a unit)"
        ),
        _ if source.raw_os_error() == Some(libc::ENODEV) => write!(
            f,
            "; this host has no interface of that name (`ip link` lists them): see bind_interface"
        ),
        io::ErrorKind::NotFound => {
            f.write_str(&missing_folder(Path::new(place), source).unwrap_or_default())
        }
        _ => f.write_str(files_cure(source)),
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostError::Cpu(cpu) => write!(
                f,
                "CPU {cpu} is not allowed to this process; see `taskset -p $$` and choose others with --cpus or cpu_list"
            ),
            HostError::OpenFiles { limit, wanted } => write!(
                f,
                "the limit on open files is {limit}, too low for {wanted} connections; raise it (LimitNOFILE=, ulimit -n) or lower max_connections"
            ),
            HostError::Memory {
                limit,
                origin,
                least,
                shards,
            } => write!(
                f,
                "the limit on memory is {} ({origin}), too low: {shards} {} and the accounts need at least {}; raise memory_limit, run fewer shards or make a memory_account smaller",
                size_text(*limit),
                if *shards == 1 { "shard" } else { "shards" },
                size_text(*least),
            ),
            HostError::Thread(source) => write!(
                f,
                "cannot start a thread: {source}; raise the limit on processes (TasksMax=, ulimit -u)"
            ),
            HostError::Commands(source) => {
                let cure = files_cure(source);
                write!(f, "cannot make an eventfd for a shard: {source}{cure}")
            }
            HostError::Signals(source) => write!(f, "cannot handle signals: {source}"),
            HostError::Control(source) => {
                write!(f, "the control thread cannot start: {source}")?;
                match source.raw_os_error() {
                    Some(libc::ENOMEM) => write!(
                        f,
                        "; it needs 512 KiB of locked memory besides the shards': raise the limit (LimitMEMLOCK=, ulimit -l)"
                    ),
                    _ => f.write_str(files_cure(source)),
                }
            }
        }
    }
}

impl std::error::Error for ServeError {}

impl fmt::Display for Clash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot listen on {}", self.place)?;
        if let Some(at) = &self.at {
            write!(f, " ({at})")?;
        }
        match &self.other_at {
            Some(at) => write!(f, ": the listener of {at} has {}", self.other)?,
            None => write!(f, ": another listener has {}", self.other)?,
        }
        f.write_str(match self.is_leaving {
            true => {
                " until this configuration holds, which closes it: restart the broker, or reload without the new listener first"
            }
            false => "; give one of them another port or address, or remove it",
        })
    }
}

/// What to do about descriptors that have run out; nothing where that is not the matter.
fn files_cure(source: &io::Error) -> &'static str {
    match source.raw_os_error() {
        Some(libc::EMFILE) => {
            "; no file descriptor is left: raise the limit on open files (LimitNOFILE=, ulimit -n)"
        }
        Some(libc::ENFILE) => "; raise the system's limit on open files (sysctl fs.file-max)",
        _ => "",
    }
}
