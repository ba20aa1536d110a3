//! A port for a broker that is to be started, and whether somebody listens on one.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{HostError, sources};

/// The lowest port that is chosen.
const PORT_MIN: u16 = 10_000;

/// Ports that are looked at before the kernel is asked for one.
const PORTS_LOOKED_AT: u32 = 100;

/// How long one attempt to connect may take.
const CONNECT_MAX: Duration = Duration::from_millis(200);

/// A port of the loopback address that nobody has now. Below those that the kernel gives to clients, if there is room:
/// a client's end of some connection is then never in the way, and no attempt to connect meets itself.
pub(super) fn free_port() -> Result<u16, HostError> {
    let (first, _) = sources::port_range();
    if first > PORT_MIN {
        for _ in 0..PORTS_LOOKED_AT {
            let port = fastrand::u16(PORT_MIN..first);
            if bound_port(port).is_ok() {
                return Ok(port);
            }
        }
    }
    bound_port(0).map_err(|error| HostError::Cannot(format!("there is no free port: {error}")))
}

/// Binds a port, without listening, and lets go of it.
fn bound_port(port: u16) -> std::io::Result<u16> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    let bound = socket.local_addr()?.as_socket();
    bound
        .map(|address| address.port())
        .ok_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())
}

/// Whether a connection is accepted. One to a free port of our own may meet itself: that is none.
pub(super) fn accepts(address: SocketAddr) -> bool {
    let stream = TcpStream::connect_timeout(&address, CONNECT_MAX);
    stream.is_ok_and(|stream| stream.local_addr().ok() != Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_ports_are_free() {
        let (first, _) = sources::port_range();
        for _ in 0..20 {
            let port = free_port().unwrap();
            assert!(first <= PORT_MIN || (PORT_MIN..first).contains(&port));
            assert!(!accepts(SocketAddr::from((Ipv4Addr::LOCALHOST, port))));
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert!(accepts(address) && bound_port(address.port()).is_err());
    }
}
