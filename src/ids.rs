//! The identifiers that more than one layer speaks of, each a type of its own.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// No number of a connection or a session.
pub const NONE: u32 = u32::MAX;

/// One shard: a pinned thread with its ring, its sessions and its part of the topics.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ShardId(pub u8);

impl ShardId {
    /// As an index into per-shard tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A network connection of one shard: an index into that shard's tables, reused after the connection is closed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnId(pub u32);

impl ConnId {
    /// As an index into per-connection tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A session (MQTT 5, 4.1) of one shard: an index into that shard's tables, reused after the session has ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionId(pub u32);

impl SessionId {
    /// As an index into per-session tables.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A session, and which of those that have had its number: its serial, unlike the number, is given once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SessionRef {
    /// Its number on its shard.
    pub id: SessionId,
    /// What no other session of this process has had, on any shard.
    pub serial: u64,
}

/// A shared subscription (`$share/GROUP/FILTER`) of the shard that owns it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub u32);

/// A listener of the broker: a number that it keeps for as long as the broker runs, whatever a reload brings and takes away.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ListenerId(pub u16);

impl ListenerId {
    /// As an index into tables by listener.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Whom an address tells apart: an IPv4 address, or an IPv6 network of 64 bits, which a host may have to itself.
///
/// A number: the first 64 bits of IPv6. No connection comes from a multicast group (RFC 4291, 2.7), so that the others, which are
/// told apart from all networks, have their numbers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Network(u64);

impl Network {
    /// No address: those who come by a Unix socket have it.
    pub const UNSPECIFIED: Network = Network(0xff02 << 48);
    /// The IPv6 address of this host itself.
    const LOOPBACK: Network = Network(0xff01 << 48);
    /// Multicast groups, whatever tells that somebody comes from there.
    const GROUPS: Network = Network(0xff03 << 48);
    /// The first 32 bits of IPv4 addresses.
    const IPV4: u64 = 0xff00 << 16;

    /// That of an address; an IPv4 address written as IPv6 is one of IPv4.
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            address if address.is_unspecified() => Network::UNSPECIFIED,
            IpAddr::V4(address) => Network(Network::IPV4 << 32 | u64::from(address.to_bits())),
            IpAddr::V6(address) if address.is_loopback() => Network::LOOPBACK,
            IpAddr::V6(address) if address.is_multicast() => Network::GROUPS,
            IpAddr::V6(address) => Network((address.to_bits() >> 64) as u64),
        }
    }

    /// A hash in which neighbours are far from each other.
    #[inline]
    pub fn spread(self) -> u64 {
        self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Network::UNSPECIFIED => Ipv6Addr::UNSPECIFIED.fmt(f),
            Network::LOOPBACK => Ipv6Addr::LOCALHOST.fmt(f),
            Network::GROUPS => f.write_str("ff00::/8"),
            Network(bits) if bits >> 32 == Network::IPV4 => Ipv4Addr::from_bits(bits as u32).fmt(f),
            Network(bits) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(bits) << 64)),
        }
    }
}

/// Something of each listener, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByListener<T>(Vec<T>);

impl<T> Default for ByListener<T> {
    fn default() -> Self {
        ByListener(Vec::new())
    }
}

impl<T> FromIterator<T> for ByListener<T> {
    /// In the order of the numbers.
    fn from_iter<I: IntoIterator<Item = T>>(each: I) -> Self {
        ByListener(each.into_iter().collect())
    }
}

impl<T> ByListener<T> {
    /// That of one listener; `None` for a number that none has.
    #[inline]
    pub fn get(&self, id: ListenerId) -> Option<&T> {
        self.0.get(id.index())
    }

    /// That of each, with its number, in the order of the numbers.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (ListenerId, &T)> + Clone {
        let each = self.0.iter().enumerate();
        each.map(|(index, it)| (ListenerId(index as u16), it))
    }

    /// That of each, to be changed.
    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }

    /// Puts that of one listener in the place of what it had, or behind the others: numbers have no gaps.
    pub fn put(&mut self, id: ListenerId, it: T) {
        match self.0.get_mut(id.index()) {
            Some(place) => *place = it,
            None => self.0.push(it),
        }
    }

    /// The number of the next one that is put behind the others.
    pub fn next_id(&self) -> ListenerId {
        ListenerId(self.0.len() as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_apart_and_have_names() {
        let network = |address: &str| Network::of(address.parse().unwrap());
        for (address, name) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("255.255.255.255", "255.255.255.255"),
            ("127.0.0.1", "127.0.0.1"),
            ("::1", "::1"),
            ("::2", "::/64"),
            ("0.0.0.0", "::"),
            ("::", "::"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8:0:0:ffff::", "2001:db8::/64"),
            ("2001:db8:0:1::", "2001:db8:0:1::/64"),
            ("0:0:c000:201::", "0:0:c000:201::/64"),
            // Numbers of others.
            ("ff00:0:c000:201::", "ff00::/8"),
            ("ff01::", "ff00::/8"),
            ("ff02::1", "ff00::/8"),
        ] {
            assert_eq!(network(address).to_string(), name, "{address}");
        }
    }
}
