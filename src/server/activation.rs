//! Socket activation: listening sockets that the service manager has passed in take the place of those that the
//! configuration asks for by the same address and port, or path.
//!
//! The variables LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES stay: they name this process, and it starts no other.
//! A socket that no listener asks for is an error: the manager goes on listening on it, and its clients would wait for
//! ever.

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use socket2::{Socket, Type};

use super::ServeError;
use crate::shard;

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Address {
        address: SocketAddr,
        /// IPv4 comes in here too.
        both: bool,
    },
    Path(PathBuf),
}

/// The sockets that nobody has taken yet.
#[derive(Default)]
pub(super) struct Activated {
    sockets: Vec<(Place, Socket)>,
}

/// What there is for an address.
pub(super) enum Found {
    /// Nothing: it is to be bound.
    Nothing,
    /// This socket.
    Socket(Socket),
    /// The socket of the IPv6 wildcard, which takes IPv4 connections too, stands for it.
    Covered,
}

impl Activated {
    /// What was passed to this process.
    pub(super) fn inherited() -> Result<Self, ServeError> {
        let sockets = shard::inherited().and_then(Self::from_descriptors);
        sockets.map_err(ServeError::Activation)
    }

    fn from_descriptors(descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut sockets = Vec::new();
        for descriptor in descriptors {
            let socket = Socket::from(descriptor);
            if socket.r#type()? != Type::STREAM || !socket.is_listener()? {
                let text = "one of them is not a listening stream socket (ListenStream=)";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
            }
            // The ring waits by itself.
            socket.set_nonblocking(false)?;
            sockets.push((place(&socket)?, socket));
        }
        Ok(Activated { sockets })
    }

    /// Takes the socket for an address, with `TCP_NODELAY` as configured.
    pub(super) fn take(&mut self, wanted: SocketAddr, nodelay: bool) -> io::Result<Found> {
        let is_it =
            |place: &Place| matches!(place, Place::Address { address, .. } if *address == wanted);
        if let Some(index) = self.sockets.iter().position(|(place, _)| is_it(place)) {
            let (_, socket) = self.sockets.swap_remove(index);
            socket.set_tcp_nodelay(nodelay)?;
            return Ok(Found::Socket(socket));
        }
        let everywhere = SocketAddr::from((Ipv6Addr::UNSPECIFIED, wanted.port()));
        let wide = Place::Address {
            address: everywhere,
            both: true,
        };
        let covered = wanted.ip() == IpAddr::from([0, 0, 0, 0])
            && self.sockets.iter().any(|(place, _)| *place == wide);
        Ok(match covered {
            true => Found::Covered,
            false => Found::Nothing,
        })
    }

    /// Takes the socket for a path.
    pub(super) fn take_path(&mut self, wanted: &Path) -> Option<Socket> {
        let is_it = |place: &Place| matches!(place, Place::Path(path) if path == wanted);
        let index = self.sockets.iter().position(|(place, _)| is_it(place))?;
        Some(self.sockets.swap_remove(index).1)
    }

    /// To be called when every listener has what it asks for.
    pub(super) fn finish(self) -> Result<(), ServeError> {
        match self.sockets.into_iter().next() {
            None => Ok(()),
            Some((Place::Address { address, .. }, _)) => {
                Err(ServeError::Unasked(address.to_string()))
            }
            Some((Place::Path(path), _)) => Err(ServeError::Unasked(path.display().to_string())),
        }
    }
}

fn place(socket: &Socket) -> io::Result<Place> {
    let local = socket.local_addr()?;
    if let Some(address) = local.as_socket() {
        let both = address.is_ipv6() && !socket.only_v6()?;
        return Ok(Place::Address { address, both });
    }
    match local.as_pathname() {
        Some(path) => Ok(Place::Path(path.into())),
        None => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "one of them has neither an IP address nor a path",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, UdpSocket};

    #[test]
    fn a_socket_is_taken_by_its_address_once() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let mut activated = Activated::from_descriptors(vec![listener.into()]).unwrap();
        let other = SocketAddr::from(([127, 0, 0, 2], address.port()));
        assert!(matches!(activated.take(other, true), Ok(Found::Nothing)));
        let Ok(Found::Socket(socket)) = activated.take(address, true) else {
            panic!("not found");
        };
        assert!(socket.tcp_nodelay().unwrap());
        assert!(matches!(activated.take(address, true), Ok(Found::Nothing)));
        assert!(activated.finish().is_ok());
    }

    #[test]
    fn what_nobody_asks_for_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port().to_string();
        let activated = Activated::from_descriptors(vec![listener.into()]).unwrap();
        let error = activated.finish().unwrap_err().to_string();
        assert!(
            error.contains(&port) && error.contains("listener"),
            "{error}"
        );
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(Activated::from_descriptors(vec![datagrams.into()]).is_err());
    }

    #[test]
    fn one_socket_for_both_families_covers_both() {
        // Where there is no IPv6 there is nothing to test.
        let Ok(listener) = TcpListener::bind("[::]:0") else {
            return;
        };
        let address = listener.local_addr().unwrap();
        let v4 = SocketAddr::from(([0, 0, 0, 0], address.port()));
        let mut activated = Activated::from_descriptors(vec![listener.into()]).unwrap();
        assert!(matches!(activated.take(v4, false), Ok(Found::Covered)));
        assert!(matches!(
            activated.take(address, false),
            Ok(Found::Socket(_))
        ));
    }

    #[test]
    fn a_unix_socket_is_taken_by_its_path() {
        let name = format!("firehose-activation-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_file(&path);
        let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let mut activated = Activated::from_descriptors(vec![listener.into()]).unwrap();
        assert!(activated.take_path(Path::new("/elsewhere")).is_none());
        assert!(activated.take_path(&path).is_some());
        std::fs::remove_file(&path).unwrap();
    }
}
