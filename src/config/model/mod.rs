//! What a configuration says, typed and whole: what the rest of the program sees of it.
//!
//! Owns the defaults. Reads no text and no file.

mod cpus;
mod files;
mod memory;
mod persistence;
mod tls_lines;

pub use cpus::CpuList;
pub(in crate::config) use files::Content;
pub use files::Files;
pub use memory::{Memory, size, size_text};
pub(in crate::config) use persistence::PersistenceLines;
pub use persistence::{Persistence, SyncPolicy};
pub(in crate::config) use tls_lines::TlsLines;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

use super::certificates::CertificateNote;
use super::error::Location;
use crate::broker::{ListenerSettings, Settings};
use crate::limits;
use crate::mqtt::author::ListenerName;
use crate::transport::Plan;

/// The port that is listened on when nothing else is said.
pub const PORT_DEFAULT: u16 = 1883;

/// Syslog's facility for daemons.
const SYSLOG_DAEMON: u8 = 3;

/// Everything that `serve` needs to know before it starts.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// What the shards' brains need, but for listeners: what these grant stands with where they listen.
    pub settings: Settings,
    /// Those of MQTT: at least one.
    pub listeners: Vec<Listener>,
    /// Those of HTTP.
    pub http: Vec<HttpListener>,
    /// What the operator should know of the listeners' certificates: told in the log at start and at each reload.
    pub certificates: Vec<CertificateNote>,
    /// No listener of MQTT is configured: only clients on this host are served, as Mosquitto 2 does.
    pub local_only: bool,
    /// Connections on all listeners together; `None`: no bound but that of descriptors.
    pub global_max_connections: Option<u32>,
    /// What memory may be used for.
    pub memory: Memory,
    /// What is kept on the disk; `None`: nothing.
    pub persistence: Option<Persistence>,
    /// What one source address may do.
    pub sources: SourceBounds,
    /// Whether `TCP_NODELAY` is set on client sockets.
    pub set_tcp_nodelay: bool,
    /// Where the process id is written once the broker is ready, and removed at its end.
    pub pid_file: Option<PathBuf>,
    /// Where log lines go and what they start with; which lines are wanted is `settings.log`.
    pub log: Log,
    /// Shards to run; `None`: one per CPU that the process may use (or of `cpu_list`).
    pub shards: Option<u8>,
    /// What was read of the files that it names.
    pub files: Files,
    /// No line sets an option.
    pub is_empty: bool,
    /// Whom a broker that is started as root becomes; `None`: mosquitto, or nobody where there is no such user.
    pub user: Option<String>,
    /// CPUs to pin the shards to, in this order; `None`: those that the process may use.
    pub cpu_list: Option<CpuList>,
}

/// Bounds on connections of one source address: an IPv4 address, or an IPv6 network of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceBounds {
    /// Connections at once, on all listeners together; 0: no bound.
    pub connections: u32,
    /// New connections a second, after `limits::SOURCE_BURST_S` seconds' worth at once; 0: no bound.
    pub rate: u32,
    /// Whether they hold for loopback addresses too. Not as a rule: a proxy on this host has all its clients there.
    pub local: bool,
}

impl Default for SourceBounds {
    fn default() -> Self {
        SourceBounds {
            connections: limits::SOURCE_CONNECTIONS,
            rate: limits::SOURCE_RATE,
            local: false,
        }
    }
}

/// One listener: where it listens, and what it grants.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listener {
    /// Where, and what is spoken there below MQTT.
    pub socket: Socket,
    /// What the shards' brains need to know of it.
    pub settings: ListenerSettings,
}

impl Listener {
    /// Its settings get the name of its socket.
    pub(super) fn new(socket: Socket, settings: ListenerSettings) -> Listener {
        let name = ListenerName::new(socket.name());
        Listener {
            socket,
            settings: ListenerSettings { name, ..settings },
        }
    }
}

/// One `listener` with `protocol http_api`: no shard accepts from it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HttpListener {
    /// Where it listens, with which certificates, and whom it lets in: of its settings `allow_anonymous`, `passwords`, `acl` and
    /// `identity_from_certificate` are looked at.
    pub listener: Listener,
    /// What files are served from (`http_dir`).
    pub directory: Option<PathBuf>,
    /// Names by which it may be asked (`http_host`), in lower case, beside addresses and localhost.
    pub hosts: Vec<String>,
}

/// One listening socket.
#[derive(Clone, Debug, PartialEq)]
pub struct Socket {
    /// TCP port, never 0.
    pub port: u16,
    /// IP address or host name to bind to, as written; `None`: all addresses. A name may resolve to several
    /// addresses: each is bound.
    pub address: Option<String>,
    /// Which address families are bound.
    pub domain: SocketDomain,
    /// The network interface to bind to (`SO_BINDTODEVICE`).
    pub interface: Option<String>,
    /// Connections on this listener; `None`: no bound of its own.
    pub max_connections: Option<u32>,
    /// The path of a Unix domain socket (`listener 0 PATH`), instead of port and address.
    pub path: Option<PathBuf>,
    /// What its connections speak below MQTT.
    pub transport: Plan,
    /// A host without this address family (`EAFNOSUPPORT`, `EADDRNOTAVAIL`) goes without this socket; any other
    /// failure to bind it is an error as for the others.
    pub optional: bool,
    /// Where it is configured, for error texts.
    pub at: Option<Location>,
}

/// `socket_domain`: the address families of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketDomain {
    /// Both, each with a socket of its own (`IPV6_V6ONLY`), as Mosquitto does.
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// Where log lines go and what they start with.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// Empty for `log_dest none`. Each destination at most once, and at most one file.
    pub destinations: Vec<LogDestination>,
    /// Whether a line starts with a time.
    pub timestamp: bool,
    /// The time's strftime(3) format; `None`: seconds since 1970.
    pub timestamp_format: Option<String>,
    /// Whether a line is a JSON object (`log_format json`).
    pub json: bool,
    /// The number of syslog's facility: 3 (daemon), or 16 to 23 (local0 to local7).
    pub facility: u8,
    /// Lines of one kind that are written in a second, errors excepted; 0: no bound.
    pub lines_per_second: u32,
}

/// One `log_dest`.
#[derive(Clone, Debug, PartialEq)]
pub enum LogDestination {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// A file that is appended to.
    File(PathBuf),
    /// The host's syslog daemon.
    Syslog,
    /// The systemd journal, by its own protocol.
    Journald,
    /// `$SYS/broker/log/` and the kind's letter.
    Topic,
}

impl Default for Config {
    /// No configuration file: anonymous clients of this host, on port 1883.
    fn default() -> Self {
        let mut config = Config {
            settings: Settings {
                listeners: Vec::new(),
                ..Settings::default()
            },
            listeners: Vec::new(),
            http: Vec::new(),
            certificates: Vec::new(),
            local_only: true,
            global_max_connections: None,
            memory: Memory::default(),
            persistence: None,
            sources: SourceBounds::default(),
            set_tcp_nodelay: false,
            pid_file: None,
            log: Log::default(),
            shards: None,
            files: Files::default(),
            is_empty: true,
            user: None,
            cpu_list: None,
        };
        config.listen_locally(&[PORT_DEFAULT], &Listener::default());
        config
    }
}

impl Config {
    /// The ports of the command line (`-p`, several times). As in Mosquitto, they stand in for port 1883 where no
    /// listener is configured, and have no effect otherwise; the answer is whether they had one.
    pub fn use_ports(&mut self, ports: &[u16]) -> bool {
        let Some(first) = self.listeners.first() else {
            return false;
        };
        if self.local_only && !ports.is_empty() {
            let like = first.clone();
            self.listen_locally(ports, &like);
        }
        self.local_only
    }

    /// Where it listens: for MQTT, then for HTTP.
    pub fn sockets(&self) -> impl Iterator<Item = &Socket> {
        let http = self.http.iter().map(|http| &http.listener);
        let all = self.listeners.iter().chain(http);
        all.map(|listener| &listener.socket)
    }

    /// Makes the listeners of a broker that serves only its own host: the two loopback addresses on each port, each with
    /// what `like` grants and its bounds.
    pub(super) fn listen_locally(&mut self, ports: &[u16], like: &Listener) {
        let addresses = [
            IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::LOCALHOST),
        ];
        let wanted = addresses
            .into_iter()
            .filter(|address| match like.socket.domain {
                SocketDomain::Any => true,
                SocketDomain::V4 => address.is_ipv4(),
                SocketDomain::V6 => address.is_ipv6(),
            });
        let listener = |port: u16, address: IpAddr| {
            let socket = Socket {
                port,
                address: Some(address.to_string()),
                optional: address.is_ipv6(),
                ..like.socket.clone()
            };
            let settings = ListenerSettings {
                port,
                ..like.settings.clone()
            };
            Listener::new(socket, settings)
        };
        let places = ports
            .iter()
            .flat_map(|&port| wanted.clone().map(move |address| (port, address)));
        self.local_only = true;
        self.listeners = places
            .map(|(port, address)| listener(port, address))
            .collect();
    }
}

impl Socket {
    /// Whether it names a loopback address, which only programs of this host reach.
    pub fn is_loopback(&self) -> bool {
        self.address.as_deref().is_some_and(|address| {
            address == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
        })
    }

    /// Where it listens, for people.
    pub fn place(&self) -> String {
        let Socket { port, .. } = self;
        match (&self.path, &self.address) {
            (Some(path), _) => path.display().to_string(),
            (None, Some(address)) if address.contains(':') => format!("[{address}]:{port}"),
            (None, Some(address)) => format!("{address}:{port}"),
            (None, None) => format!("port {port} on all addresses"),
        }
    }

    /// What tells it from every other one: where it listens, and on what.
    pub fn name(&self) -> String {
        let Socket { port, .. } = self;
        if let Some(path) = &self.path {
            return path.display().to_string();
        }
        let domain = match self.domain {
            SocketDomain::Any => "",
            SocketDomain::V4 => " ipv4",
            SocketDomain::V6 => " ipv6",
        };
        let interface = self.interface.as_ref().map(|name| format!(" {name}"));
        format!(
            "{}:{port}{domain}{}",
            self.address.as_deref().unwrap_or("*"),
            interface.unwrap_or_default()
        )
    }
}

impl Default for Socket {
    fn default() -> Self {
        Socket {
            port: PORT_DEFAULT,
            address: None,
            domain: SocketDomain::Any,
            interface: None,
            max_connections: None,
            path: None,
            transport: Plan::default(),
            optional: false,
            at: None,
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Log {
            destinations: vec![LogDestination::Stderr],
            timestamp: true,
            timestamp_format: None,
            json: false,
            facility: SYSLOG_DAEMON,
            lines_per_second: limits::LOG_LINES_PER_SECOND,
        }
    }
}
