//! Where the listeners of a configuration listen, and which of them are in each other's way.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use super::error::{Clash, ServeError};
use crate::config::{Socket, SocketDomain};

/// The addresses that a listener stands for, each once; none for one with a path.
///
/// # Errors
/// Its name stands for no address of the wanted family.
pub(crate) fn addresses(configured: &Socket) -> Result<Vec<SocketAddr>, ServeError> {
    if configured.path.is_some() {
        return Ok(Vec::new());
    }
    let port = configured.port;
    let fits = |address: &SocketAddr| match configured.domain {
        SocketDomain::Any => true,
        SocketDomain::V4 => address.is_ipv4(),
        SocketDomain::V6 => address.is_ipv6(),
    };
    let Some(name) = &configured.address else {
        let all = [
            SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)),
        ];
        return Ok(all.into_iter().filter(fits).collect());
    };
    let failed = |source| ServeError::Address {
        place: configured.place(),
        source,
    };
    let resolved = (name.as_str(), port).to_socket_addrs().map_err(failed)?;
    let mut found: Vec<SocketAddr> = Vec::new();
    for address in resolved.filter(fits) {
        if !found.contains(&address) {
            found.push(address);
        }
    }
    match found.is_empty() {
        true => Err(failed(io::ErrorKind::AddrNotAvailable.into())),
        false => Ok(found),
    }
}

/// Whether the host simply lacks the address or its family, and the listener does not insist: one that is marked so,
/// and the second family of one that names no address.
pub(crate) fn may_lack(configured: &Socket, error: &io::Error) -> bool {
    let lacks = matches!(
        error.raw_os_error(),
        Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL)
    );
    lacks && (configured.optional || configured.address.is_none())
}

/// A listener and its addresses. A name that stands for none is an error when it is bound.
struct Claim<'a> {
    configured: &'a Socket,
    addresses: Vec<SocketAddr>,
    is_leaving: bool,
}

impl Claim<'_> {
    fn new(configured: &Socket, is_leaving: bool) -> Claim<'_> {
        Claim {
            configured,
            addresses: addresses(configured).unwrap_or_default(),
            is_leaving,
        }
    }

    /// The places at which two are in each other's way, if they are: first this one's.
    fn meets(&self, other: &Claim<'_>) -> Option<(String, String)> {
        let (one, two) = (self.configured, other.configured);
        if one.name() == two.name() {
            return Some((one.place(), two.place()));
        }
        // Sockets of different interfaces have ports of their own.
        if one.interface.is_some() && two.interface.is_some() && one.interface != two.interface {
            return None;
        }
        self.addresses.iter().find_map(|address| {
            let mut theirs = other.addresses.iter();
            let met = theirs.find(|other| overlap(*address, **other))?;
            Some((address.to_string(), met.to_string()))
        })
    }
}

/// Whether two sockets of ours are in each other's way: those for IPv6 take no IPv4.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port()
        && one.is_ipv4() == other.is_ipv4()
        && (one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified())
}

/// Whether all configured listeners can listen at once, with those beside them that are `leaving`: they are closed when
/// the others listen.
///
/// # Errors
/// The first one that is in another's way.
pub(crate) fn check<'a>(
    configured: impl Iterator<Item = &'a Socket>,
    leaving: impl Iterator<Item = &'a Socket>,
) -> Result<(), Clash> {
    let mut claims: Vec<Claim<'_>> = leaving.map(|socket| Claim::new(socket, true)).collect();
    for (index, socket) in configured.enumerate() {
        let claim = Claim::new(socket, false);
        for other in &claims {
            if let Some((place, met)) = claim.meets(other) {
                let at = |socket: &Socket| socket.at.as_ref().map(ToString::to_string);
                return Err(Clash {
                    index,
                    place,
                    at: at(socket),
                    other: met,
                    other_at: at(other.configured),
                    is_leaving: other.is_leaving,
                });
            }
        }
        claims.push(claim);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Listener;

    fn check_all<'a>(
        configured: &'a [Listener],
        leaving: impl Iterator<Item = &'a Socket>,
    ) -> Result<(), Clash> {
        check(configured.iter().map(|listener| &listener.socket), leaving)
    }

    fn listeners<const N: usize>(sockets: [Socket; N]) -> [Listener; N] {
        sockets.map(|socket| Listener {
            socket,
            ..Listener::default()
        })
    }

    fn socket(place: &str, interface: Option<&str>) -> Socket {
        let (address, port) = place.rsplit_once(':').unwrap();
        let domain = match address {
            "*4" => SocketDomain::V4,
            "*6" => SocketDomain::V6,
            _ => SocketDomain::Any,
        };
        Socket {
            port: port.parse().unwrap(),
            address: (!address.starts_with('*')).then(|| address.into()),
            domain,
            interface: interface.map(Into::into),
            ..Socket::default()
        }
    }

    #[test]
    fn listeners_are_in_each_others_way_by_address_port_and_interface() {
        for (one, other, clashes) in [
            ("127.0.0.1:7", "127.0.0.1:7", true),
            ("127.0.0.1:7", "127.0.0.1:8", false),
            ("127.0.0.1:7", "127.0.0.2:7", false),
            ("127.0.0.1:7", "*:7", true),
            ("*:7", "::1:7", true),
            ("*4:7", "::1:7", false),
            ("*4:7", "*6:7", false),
            ("*4:7", "*:7", true),
            ("localhost:7", "127.0.0.1:7", true),
        ] {
            for pair in [[one, other], [other, one]] {
                let sockets = pair.map(|place| socket(place, None));
                let found = check_all(&listeners(sockets.clone()), std::iter::empty());
                assert_eq!(found.is_err(), clashes, "{pair:?}: {found:?}");
                let [one, other] = sockets;
                let found = check_all(&listeners([other]), std::iter::once(&one));
                assert_eq!(found.is_err_and(|clash| clash.is_leaving), clashes);
            }
        }
        for (one, other, clashes) in [
            (None, Some("a"), true),
            (Some("a"), Some("a"), true),
            (Some("a"), Some("b"), false),
        ] {
            let sockets = [socket("*:7", one), socket("*:7", other)];
            assert_eq!(
                check_all(&listeners(sockets.clone()), std::iter::empty()).is_err(),
                clashes
            );
        }
    }

    #[test]
    fn a_path_is_listened_at_once() {
        let path = |path: &str| Socket {
            port: 0,
            path: Some(path.into()),
            ..Socket::default()
        };
        let none = std::iter::empty;
        assert!(
            check_all(
                &listeners([path("/a"), path("/b"), socket("*:7", None)]),
                none()
            )
            .is_ok()
        );
        let clash =
            check_all(&listeners([path("/a"), path("/b"), path("/a")]), none()).unwrap_err();
        assert_eq!((clash.index, &*clash.place, &*clash.other), (2, "/a", "/a"));
    }
}
