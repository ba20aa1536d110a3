//! What is known of the host: files of /proc and /sys, and a few trials. Checks see nothing but this, so that tests can
//! make hosts up; it decides nothing.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use socket2::{Domain, Socket, Type};

use crate::config;
use crate::control::disk::Disk;
use crate::control::place::missing_folder;
use crate::limits;
use crate::server::holder::{Holder, holder};
use crate::server::places;
use crate::uring::{Ring, RingError, Sizes};

/// A host to look at.
pub(super) trait Host {
    /// A text file without the white space around it; `None` where it is missing or may not be read.
    fn read(&self, path: &str) -> Option<String>;
    /// Sets up the rings of so many shards, all at once, with file tables of this size, and gives them back.
    fn rings(&self, shards: u8, files: u32) -> Result<(), RingError>;
    /// Binds the addresses of a listener without listening.
    fn bind(&self, socket: &config::Socket) -> Bind;
    /// Whether this file can be written to, or made; if not, why, or what to do about it where that is known.
    fn writable(&self, path: &Path) -> Result<(), String>;
    /// What is below the store of this location; if it can be neither made nor written there, why.
    fn disk(&self, location: &Path) -> io::Result<Disk>;
}

/// What comes of binding a listener.
#[derive(Clone, Debug)]
pub(super) enum Bind {
    Free,
    /// The broker of this configuration runs, as this process.
    Ours(u32),
    /// Somebody listens who may not be looked at.
    Unknown(String),
    Refused(String),
}

/// The host that this process runs on, and what the broker of the configuration is known by.
#[derive(Default)]
pub(super) struct Here {
    pub config: Option<PathBuf>,
    pub pid_file: Option<PathBuf>,
}

impl Host for Here {
    fn read(&self, path: &str) -> Option<String> {
        Some(std::fs::read_to_string(path).ok()?.trim().to_owned())
    }

    fn rings(&self, shards: u8, files: u32) -> Result<(), RingError> {
        let sizes = Sizes {
            submissions: limits::RING_SUBMISSIONS,
            completions: limits::RING_COMPLETIONS,
            files,
            workers: limits::RING_WORKERS_MAX,
        };
        let rings: Result<Vec<Ring>, RingError> = (0..shards).map(|_| Ring::new(sizes)).collect();
        rings.map(drop)
    }

    fn bind(&self, socket: &config::Socket) -> Bind {
        // A path is left alone: binding it would take it from a broker that runs.
        if socket.path.is_some() {
            return Bind::Free;
        }
        let addresses = match places::addresses(socket) {
            Ok(addresses) => addresses,
            Err(error) => return Bind::Refused(error.to_string()),
        };
        for address in addresses {
            match bound(socket, address) {
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                    return self.held(address, &error);
                }
                Err(error) if !places::may_lack(socket, &error) => {
                    return Bind::Refused(format!("{address}: {error}"));
                }
                _ => {}
            }
        }
        Bind::Free
    }

    fn writable(&self, path: &Path) -> Result<(), String> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        if let Some(cure) = std::fs::metadata(folder)
            .err()
            .and_then(|error| missing_folder(path, &error))
        {
            return Err(cure);
        }
        // One that is not there yet is made in its folder.
        let answer = match path.exists() {
            true => access(path, Access::WRITE_OK),
            false => access(folder, Access::WRITE_OK | Access::EXEC_OK),
        };
        answer.map_err(|errno| format!(": {errno}"))
    }

    fn disk(&self, location: &Path) -> io::Result<Disk> {
        Disk::look(location)
    }
}

impl Here {
    /// Who has an address that is in use.
    fn held(&self, address: SocketAddr, error: &std::io::Error) -> Bind {
        match holder(address, self.config.as_deref(), self.pid_file.as_deref()) {
            Holder::Ours(pid) => Bind::Ours(pid),
            Holder::Unknown => Bind::Unknown(format!("{address} is in use, by whom is not known")),
            Holder::Other(pid, command) => {
                Bind::Refused(format!("{address}: {error}: pid {pid}, {command}"))
            }
        }
    }
}

fn bound(configured: &config::Socket, address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(interface) = &configured.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    socket.bind(&address.into())
}
