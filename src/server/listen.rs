//! Listening sockets from the configuration: one per address, several for a listener that names none or a host name.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::activation::{Activated, Found};
use super::holder::{Holder, holder};
use super::sockets::Buffers;
use super::{ServeError, places};
use crate::config::{Config, HttpListener, Socket as Configured, absolute};
use crate::http;
use crate::limits;
use crate::shard::Listener;
use crate::transport;

/// What a start is for.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// To serve.
    Serve,
    /// To see whether one could: files are as they were afterwards, and a place where the broker of the same
    /// configuration file listens is not tried.
    Try(Option<&'a Path>),
}

/// What was bound.
#[derive(Default)]
pub(super) struct Bound {
    /// By configured listener.
    listeners: Vec<Listener>,
    /// Those of HTTP.
    http: Vec<http::Bound>,
    /// What is spoken where.
    places: Vec<(&'static str, String)>,
    /// What was not tried, and why.
    notes: Vec<String>,
    /// Of Unix domain sockets.
    paths: Vec<PathBuf>,
}

impl Bound {
    /// Takes the listeners out.
    pub(super) fn take_listeners(&mut self) -> Vec<Listener> {
        std::mem::take(&mut self.listeners)
    }

    /// Those of HTTP.
    pub(super) fn http(&self) -> &[http::Bound] {
        &self.http
    }

    /// Takes those of HTTP out.
    pub(super) fn take_http(&mut self) -> Vec<http::Bound> {
        std::mem::take(&mut self.http)
    }

    /// Takes over the paths of others, to remove them when the broker ends.
    pub(super) fn keep_paths(&mut self, mut other: Bound) {
        self.paths.append(&mut other.paths);
    }

    /// The addresses, each group of them behind the protocol that is spoken there.
    pub(super) fn names(&self) -> String {
        let mut text = String::new();
        let mut last = "";
        for (protocol, place) in &self.places {
            text += if text.is_empty() { "" } else { ", " };
            if *protocol != last {
                text = text + protocol + " ";
                last = protocol;
            }
            text += place;
        }
        text
    }

    /// What was not tried, and why.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The paths of Unix domain sockets that were made.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.paths.iter().map(PathBuf::as_path)
    }
}

impl Drop for Bound {
    /// Takes back the paths of Unix domain sockets.
    fn drop(&mut self) {
        for path in &self.paths {
            // If it is gone already, somebody has done our work.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A Unix domain socket. One that a broker has left behind, and that nobody listens at, gives way.
fn local(configured: &Configured, path: &Path, buffers: &Buffers) -> Result<Listener, ServeError> {
    let failed = |source| ServeError::Listen {
        place: absolute(path).display().to_string(),
        at: configured.at.as_ref().map(ToString::to_string),
        source,
    };
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.file_type().is_socket());
    if is_socket && UnixStream::connect(path).is_err() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let bind = || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        buffers.set_local(&socket)?;
        socket.bind(&SockAddr::unix(path)?)?;
        socket.listen(limits::LISTEN_BACKLOG)?;
        Ok(OwnedFd::from(socket))
    };
    let socket = bind().map_err(failed)?;
    let listener = Listener::new([socket], configured.max_connections);
    listener.set_transport(configured.transport.clone());
    Ok(listener)
}

/// What all listening sockets are set to, and their connections inherit.
#[derive(Clone, Copy)]
pub(super) struct Inherited {
    /// TCP_NODELAY.
    pub nodelay: bool,
    /// Bounds of buffers.
    pub buffers: Buffers,
}

/// Binds all listeners of the configuration, or takes those that were passed in.
///
/// # Errors
/// One cannot be bound. Where the broker of the same configuration listens, and this is no more than a trial, that is none.
pub(super) fn bind(
    config: &Config,
    buffers: Buffers,
    purpose: Purpose<'_>,
) -> Result<Bound, ServeError> {
    places::check(config.sockets(), std::iter::empty()).map_err(ServeError::Clash)?;
    let mut bound = Bound::default();
    let mut activated = Activated::inherited()?;
    let inherited = Inherited {
        nodelay: config.set_tcp_nodelay,
        buffers,
    };
    let judge = |bound: &mut Bound, added| match (purpose, added) {
        (Purpose::Try(path), Err(error)) => {
            let note = running(&error, path, config.pid_file.as_deref());
            bound.notes.push(note.ok_or(error)?);
            Ok(())
        }
        (_, added) => added,
    };
    for listener in &config.listeners {
        let added = bound.add(&listener.socket, inherited, &mut activated);
        judge(&mut bound, added)?;
    }
    for rules in &config.http {
        let added = bound.add_http(rules, inherited, &mut activated);
        judge(&mut bound, added)?;
    }
    activated.finish()?;
    Ok(bound)
}

/// A note that the place of an error is held by the broker of the same configuration, if it is.
fn running(error: &ServeError, config: Option<&Path>, pid_file: Option<&Path>) -> Option<String> {
    let ServeError::Listen { place, source, .. } = error else {
        return None;
    };
    if source.kind() != io::ErrorKind::AddrInUse {
        return None;
    }
    let holder = match place.parse() {
        Ok(address) => holder(address, config, pid_file),
        // A path: somebody listens there, and who may not be known.
        Err(_) => Holder::Unknown,
    };
    match holder {
        Holder::Ours(pid) => Some(format!(
            "{place} is not tried: the broker of this configuration listens there (pid {pid})"
        )),
        Holder::Unknown => Some(format!(
            "{place} is not tried: somebody listens there, perhaps the broker of this configuration"
        )),
        Holder::Other(..) => None,
    }
}

/// What is spoken on a listener of HTTP.
fn http_protocol(transport: &transport::Plan) -> &'static str {
    match transport.tls.is_some() {
        false => "http",
        true => "https",
    }
}

/// What clients speak on a listener, as the ready line calls it.
fn protocol(transport: &transport::Plan) -> &'static str {
    match (transport.websocket.is_some(), transport.tls.is_some()) {
        (false, false) => "mqtt",
        (false, true) => "mqtts",
        (true, false) => "websockets",
        (true, true) => "websockets over TLS",
    }
}

impl Bound {
    /// Binds one more listener, while the broker runs.
    pub(super) fn add_late(
        &mut self,
        configured: &Configured,
        inherited: Inherited,
    ) -> Result<(), ServeError> {
        self.add(configured, inherited, &mut Activated::default())
    }

    /// The same for one of HTTP.
    pub(super) fn add_http_late(
        &mut self,
        rules: &HttpListener,
        inherited: Inherited,
    ) -> Result<(), ServeError> {
        self.add_http(rules, inherited, &mut Activated::default())
    }

    fn add_http(
        &mut self,
        rules: &HttpListener,
        inherited: Inherited,
        activated: &mut Activated,
    ) -> Result<(), ServeError> {
        let configured = &rules.listener.socket;
        // An answer is not to wait for the acknowledgement of its head.
        let inherited = Inherited {
            nodelay: true,
            ..inherited
        };
        let spoken = http_protocol(&configured.transport);
        let sockets = self.sockets(configured, inherited, activated, spoken)?;
        self.http.push(http::Bound {
            rules: rules.clone(),
            sockets,
        });
        Ok(())
    }

    fn add(
        &mut self,
        configured: &Configured,
        inherited: Inherited,
        activated: &mut Activated,
    ) -> Result<(), ServeError> {
        let listener = match &configured.path {
            None => Listener::new(
                self.sockets(
                    configured,
                    inherited,
                    activated,
                    protocol(&configured.transport),
                )?,
                configured.max_connections,
            ),
            Some(path) => {
                let place = path.display().to_string();
                self.places.push((protocol(&configured.transport), place));
                match activated.take_path(path) {
                    // One that is passed in has a path that is the service manager's to remove.
                    Some(socket) => {
                        Listener::new([OwnedFd::from(socket)], configured.max_connections)
                    }
                    None => {
                        let listener = local(configured, path, &inherited.buffers)?;
                        self.paths.push(path.clone());
                        listener
                    }
                }
            }
        };
        listener.set_transport(configured.transport.clone());
        self.listeners.push(listener);
        Ok(())
    }

    /// The sockets of a listener that has addresses.
    fn sockets(
        &mut self,
        configured: &Configured,
        inherited: Inherited,
        activated: &mut Activated,
        spoken: &'static str,
    ) -> Result<Vec<OwnedFd>, ServeError> {
        let mut sockets: Vec<OwnedFd> = Vec::new();
        let mut skipped = None;
        for address in places::addresses(configured)? {
            let listening = match activated.take(address, inherited.nodelay) {
                Ok(Found::Covered) => continue,
                Ok(Found::Socket(socket)) => inherited.buffers.set(&socket).map(|()| socket),
                Ok(Found::Nothing) => listen_patiently(configured, address, inherited),
                Err(error) => Err(error),
            };
            match listening {
                Ok(socket) => {
                    let local = socket.local_addr().ok().and_then(|local| local.as_socket());
                    let place = local.unwrap_or(address).to_string();
                    self.places.push((spoken, place));
                    sockets.push(socket.into());
                }
                Err(source) if places::may_lack(configured, &source) => {
                    skipped = Some((address, source))
                }
                Err(source) => return Err(failed(configured, address, source)),
            }
        }
        match (sockets.is_empty(), configured.optional, skipped) {
            (true, false, Some((address, source))) => Err(failed(configured, address, source)),
            _ => Ok(sockets),
        }
    }
}

fn failed(configured: &Configured, address: SocketAddr, source: io::Error) -> ServeError {
    let place = address.to_string();
    if source.kind() == io::ErrorKind::AddrNotAvailable {
        return ServeError::Address { place, source };
    }
    let at = configured.at.as_ref().map(ToString::to_string);
    ServeError::Listen { place, at, source }
}

/// As `listen`, but with some patience for a port: after a broker was killed, the kernel takes some milliseconds to undo
/// the accepts that were in flight, and its socket lives until then.
fn listen_patiently(
    configured: &Configured,
    address: SocketAddr,
    inherited: Inherited,
) -> io::Result<Socket> {
    for _ in 0..limits::LISTEN_ATTEMPTS {
        match listen(configured, address, inherited) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                std::thread::sleep(Duration::from_millis(limits::LISTEN_PAUSE_MS));
            }
            result => return result,
        }
    }
    listen(configured, address, inherited)
}

fn listen(
    configured: &Configured,
    address: SocketAddr,
    inherited: Inherited,
) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    // A port in TIME_WAIT of the last run is no reason to wait; one that somebody listens on stays an error.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    if let Some(interface) = &configured.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    // Connections inherit these.
    if inherited.nodelay {
        socket.set_tcp_nodelay(true)?;
    }
    inherited.buffers.set(&socket)?;
    socket.bind(&SockAddr::from(address))?;
    socket.listen(limits::LISTEN_BACKLOG)?;
    Ok(socket)
}
