//! By which names a listener may be asked. A page of anywhere may have its own name resolved to this host (DNS rebinding), and
//! would read with its visitor's browser what only this host may see; its requests name the page's host.

use std::net::{IpAddr, Ipv6Addr};

/// Whether what a `Host` header or a target names is an address, this host, or one of these names (in lower case).
pub(super) fn is_known(authority: &str, names: &[String]) -> bool {
    if let Some(rest) = authority.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else {
            return false;
        };
        return address.parse::<Ipv6Addr>().is_ok() && is_port(port);
    }
    let (name, port) = match authority.find(':') {
        Some(colon) => authority.split_at(colon),
        None => (authority, ""),
    };
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let is_known = name.parse::<IpAddr>().is_ok() || name == "localhost" || names.contains(&name);
    is_known && is_port(port)
}

fn is_port(text: &str) -> bool {
    let port = text.strip_prefix(':');
    text.is_empty() || port.is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_own_names_are_known() {
        let names = [String::from("broker.example")];
        for host in [
            "127.0.0.1",
            "192.0.2.7:9883",
            "[::1]:9883",
            "[2001:db8::1]",
            "localhost",
            "LocalHost:80",
            "broker.example",
            "Broker.Example.:443",
        ] {
            assert!(is_known(host, &names), "{host}");
        }
        for host in [
            "",
            ":80",
            "evil.example",
            "broker.example.evil.example",
            "127.0.0.1.evil.example",
            "user@127.0.0.1",
            "127.0.0.1:80@evil.example",
            "[::1]evil.example",
            "[::1",
            "localhost:80:80",
            "127.0.0.1/evil",
        ] {
            assert!(!is_known(host, &names), "{host}");
        }
    }
}
