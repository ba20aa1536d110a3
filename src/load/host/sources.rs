//! Where connections come from and how many there can be: source addresses, descriptors, and the broker's address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use rustix::process::{Resource, getrlimit};

use super::{HostError, read_trimmed};
use crate::limits;
use crate::load::secrets;

/// Ports of an address that connections may take, in percent: others use some, and closed connections keep theirs for a
/// minute.
const PORTS_USABLE_PERCENT: u64 = 80;

/// What kernels give to clients where they do not say.
const PORT_RANGE: (u16, u16) = (32_768, 60_999);

/// The addresses that so many connections to a target have to come from, by turns; none where the kernel's choice is
/// enough. Configured ones are checked and used as they are; `None`: the command has no option for them.
///
/// # Errors
/// `Usage` for a configured address that is not of this machine or of the other family; `Cannot` where there are too
/// few ports.
pub fn sources(
    target: SocketAddr,
    connections: u64,
    configured: Option<&[IpAddr]>,
) -> Result<Vec<IpAddr>, HostError> {
    for &address in configured.unwrap_or_default() {
        check_configured(target, address)?;
    }
    let ports = usable_ports(port_range());
    spread(target, connections, configured, ports)
}

/// The same with `ports` of each address to use.
fn spread(
    target: SocketAddr,
    connections: u64,
    configured: Option<&[IpAddr]>,
    ports: u64,
) -> Result<Vec<IpAddr>, HostError> {
    let given = configured.unwrap_or_default();
    let wanted = connections.div_ceil(ports.max(1)).max(1);
    if wanted <= given.len().max(1) as u64 {
        return Ok(given.to_vec());
    }
    match target.ip() {
        // All of 127.0.0.0/8 is this machine; its first and last address are kept out.
        IpAddr::V4(ip) if ip.is_loopback() && given.is_empty() && wanted < (1 << 24) - 1 => {
            let first = u32::from(Ipv4Addr::LOCALHOST);
            let all = (0..wanted as u32).map(|number| Ipv4Addr::from(first + number).into());
            Ok(all.collect())
        }
        ip => Err(too_few_ports(
            ip,
            connections,
            configured.map(<[IpAddr]>::len),
            wanted,
            ports,
        )),
    }
}

fn too_few_ports(
    target: IpAddr,
    connections: u64,
    configured: Option<usize>,
    wanted: u64,
    ports: u64,
) -> HostError {
    let have = match configured.unwrap_or_default() {
        0 => "one source address".to_owned(),
        1 => "1 source address".to_owned(),
        n => format!("{n} source addresses"),
    };
    let hint = if target.is_loopback() && target.is_ipv6() {
        "connect to 127.0.0.1 instead, which has as many source addresses as it takes"
    } else if configured.is_some() {
        "give this machine more addresses (`ip addr add`) and name them with --source, or widen net.ipv4.ip_local_port_range"
    } else {
        "widen net.ipv4.ip_local_port_range, or ask for fewer"
    };
    HostError::Cannot(format!(
        "{connections} connections to {target} need {wanted} source addresses: one has some {ports} free ports, and there is {have}; {hint}"
    ))
}

fn check_configured(target: SocketAddr, address: IpAddr) -> Result<(), HostError> {
    if address.is_ipv4() != target.is_ipv4() {
        return Err(HostError::Usage(format!(
            "the source address {address} cannot reach {}: one is IPv4, the other IPv6",
            target.ip()
        )));
    }
    // Binding asks whether the address is ours; nothing is sent.
    match UdpSocket::bind((address, 0)) {
        Ok(_) if address.is_unspecified() => Err(HostError::Usage(format!(
            "the source address {address} stands for any address: name one"
        ))),
        Ok(_) => Ok(()),
        Err(error) => Err(HostError::Usage(format!(
            "the source address {address} cannot be used: {error}; `ip addr` lists those of this machine"
        ))),
    }
}

/// The ports that the kernel gives to clients, first and last.
pub(super) fn port_range() -> (u16, u16) {
    read_trimmed("/proc/sys/net/ipv4/ip_local_port_range")
        .and_then(|text| parse_range(&text))
        .unwrap_or(PORT_RANGE)
}

fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(char::is_whitespace)?;
    let range = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (range.0 <= range.1).then_some(range)
}

fn usable_ports((first, last): (u16, u16)) -> u64 {
    (u64::from(last - first) + 1) * PORTS_USABLE_PERCENT / 100
}

/// Whether so many connections can be open. With `direct` they are slots in a table of each worker's ring, whose size
/// the limit on open files bounds, ring by ring; otherwise they are descriptors of the process.
///
/// # Errors
/// `Cannot`, with the limit found, the value wanted and what to do.
pub fn check_descriptors(connections: u64, workers: u32, direct: bool) -> Result<(), HostError> {
    let hard = getrlimit(Resource::Nofile).maximum;
    check_against(hard.unwrap_or(u64::MAX), connections, workers, direct)
}

fn check_against(hard: u64, connections: u64, workers: u32, direct: bool) -> Result<(), HostError> {
    let reserve = limits::LOAD_DESCRIPTORS_RESERVE;
    let table_max = u64::from(limits::DIRECT_DESCRIPTORS_MAX);
    let each = if direct {
        connections.div_ceil(u64::from(workers.max(1)))
    } else {
        connections
    };
    let room = hard.saturating_sub(reserve);
    let room = if direct { room.min(table_max) } else { room };
    if each <= room {
        return Ok(());
    }
    let wanted = each + reserve;
    let raise = format!(
        "raise it (`ulimit -n {wanted}` as root, LimitNOFILE={wanted} in a unit, nofile in /etc/security/limits.conf)"
    );
    if !direct {
        return Err(HostError::Cannot(format!(
            "{connections} connections need {wanted} open files, and the hard limit is {hard}: {raise}"
        )));
    }
    let workers_wanted = connections.div_ceil(room.max(1));
    let of = match workers.max(1) {
        1 => "one worker".to_owned(),
        n => format!("one of {n} workers"),
    };
    Err(HostError::Cannot(if room == table_max {
        format!(
            "{each} connections of {of} are more than the {table_max} that a ring can hold: use --workers {workers_wanted}"
        )
    } else if room == 0 {
        format!(
            "{each} connections of {of} need {wanted} open files, and the hard limit is {hard}: {raise}"
        )
    } else {
        format!(
            "{each} connections of {of} need {wanted} open files, and the hard limit is {hard}: {raise} or use --workers {workers_wanted}"
        )
    }))
}

/// The address of a host by name or number; of several an IPv4 address is preferred, which brokers listen on by
/// default.
///
/// # Errors
/// `Usage` for what can be no host, `Cannot` for a name that has no address.
pub fn resolve(host: &str, port: u16) -> Result<SocketAddr, HostError> {
    let name = host.trim();
    let name = name
        .strip_prefix('[')
        .and_then(|n| n.strip_suffix(']'))
        .unwrap_or(name);
    if port == 0 {
        return Err(HostError::Usage("port 0 is no port to connect to".into()));
    }
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == '/') {
        return Err(HostError::Usage(format!(
            "`{}` is no host: give a name or an address, without mqtt:// and without the port",
            secrets::redacted(host)
        )));
    }
    if let Ok(ip) = name.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    // An address and port in one: a name has no colon.
    if let Some((name, _)) = name.split_once(':')
        && !name.is_empty()
        && !host.contains("::")
    {
        return Err(HostError::Usage(format!(
            "`{}` is no host: give the port with --port",
            secrets::redacted(host)
        )));
    }
    let found = (name, port).to_socket_addrs().map_err(|error| {
        HostError::Cannot(format!(
            "the host `{name}` is not found: {error}; is it spelled right?"
        ))
    })?;
    let mut found: Vec<SocketAddr> = found.collect();
    found.sort_by_key(SocketAddr::is_ipv6);
    found
        .into_iter()
        .next()
        .ok_or_else(|| HostError::Cannot(format!("the host `{name}` has no address")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn loopback_has_as_many_sources_as_it_takes() {
        let target = address("127.0.0.1:1883");
        let of = |connections| spread(target, connections, Some(&[]), 1000).unwrap();
        assert_eq!(of(0), ips(&[]));
        assert_eq!(of(1000), ips(&[]));
        assert_eq!(of(1001), ips(&["127.0.0.1", "127.0.0.2"]));
        assert_eq!(of(256_000)[255], ips(&["127.0.1.0"])[0]);
        assert!(spread(target, 1 << 40, Some(&[]), 1000).is_err());
    }

    #[test]
    fn elsewhere_they_must_be_configured() {
        let target = address("192.0.2.1:1883");
        assert_eq!(spread(target, 1000, Some(&[]), 1000), Ok(vec![]));
        let error = spread(target, 3000, Some(&ips(&["192.0.2.7"])), 1000).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        let text = error.to_string();
        for part in [
            "3000 connections",
            "3 source addresses",
            "--source",
            "ip addr add",
        ] {
            assert!(text.contains(part), "{text}");
        }
        // A command without the option is told of another way.
        let error = spread(target, 3000, None, 1000).unwrap_err().to_string();
        assert!(!error.contains("--"), "{error}");
        assert!(error.contains("ip_local_port_range"), "{error}");
        let enough = ips(&["192.0.2.7", "192.0.2.8", "192.0.2.9"]);
        assert_eq!(
            spread(target, 3000, Some(&enough), 1000),
            Ok(enough.clone())
        );
        let error = spread(address("[::1]:1883"), 1001, Some(&[]), 1000).unwrap_err();
        assert!(error.to_string().contains("127.0.0.1"), "{error}");
    }

    #[test]
    fn configured_addresses_are_checked() {
        let target = address("127.0.0.1:1883");
        let own = ips(&["127.0.0.9"]);
        assert_eq!(sources(target, 10, Some(&own)), Ok(own));
        assert_eq!(sources(target, 10, Some(&[])), Ok(vec![]));
        for (wrong, says) in [
            ("::1", "IPv6"),
            ("192.0.2.77", "ip addr"),
            ("0.0.0.0", "any"),
        ] {
            let error = sources(target, 10, Some(&ips(&[wrong]))).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(says), "{error}");
        }
        let (first, last) = port_range();
        let many = u64::from(last - first) + 1;
        assert_eq!(sources(target, many, Some(&[])).unwrap().len(), 2);
    }

    #[test]
    fn ranges_of_ports() {
        assert_eq!(parse_range("32768\t60999"), Some((32_768, 60_999)));
        assert_eq!(parse_range("5 4"), None);
        assert_eq!(parse_range(""), None);
        assert_eq!(usable_ports((32_768, 60_999)), 22_585);
        assert_eq!(usable_ports((7, 7)), 0);
        assert_eq!(
            spread(address("127.0.0.1:1"), 2, Some(&[]), 0)
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn descriptors_are_bounded_by_worker() {
        assert_eq!(check_against(20_000, 19_936, 1, true), Ok(()));
        assert_eq!(check_against(20_000, 39_872, 2, true), Ok(()));
        assert_eq!(check_against(20_000, 15_000, 2, false), Ok(()));
        let error = check_against(20_000, 50_000, 2, true).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        for part in [
            "25000 connections",
            "25064",
            "20000",
            "ulimit -n",
            "--workers 3",
        ] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let error = check_against(20_000, 20_000, 2, false).unwrap_err();
        assert!(error.to_string().contains("ulimit -n 20064"), "{error}");
        assert!(!error.to_string().contains("--workers"), "{error}");
        let error = check_against(u64::MAX, 3 << 20, 2, true).unwrap_err();
        assert!(error.to_string().contains("--workers 3"), "{error}");
        assert!(check_against(10, 1, 0, true).is_err());
        assert_eq!(check_descriptors(10, 1, true), Ok(()));
    }

    #[test]
    fn hosts() {
        assert_eq!(resolve("127.0.0.1", 1883), Ok(address("127.0.0.1:1883")));
        assert_eq!(resolve(" [::1] ", 1883), Ok(address("[::1]:1883")));
        assert_eq!(resolve("::1", 1883), Ok(address("[::1]:1883")));
        assert!(resolve("localhost", 1883).unwrap().ip().is_loopback());
        for (host, says) in [
            ("", "name or an address"),
            ("mqtt://a", "without mqtt://"),
            ("a b", "name or an address"),
            ("localhost:1883", "--port"),
        ] {
            let error = resolve(host, 1883).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{host}");
            assert!(error.to_string().contains(says), "{error}");
        }
        assert!(resolve("localhost", 0).is_err());
        let error = resolve("no-such-host.invalid", 1883).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(
            error.to_string().contains("no-such-host.invalid"),
            "{error}"
        );
    }
}
