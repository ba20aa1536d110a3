//! Connections whose PROXY header, TLS handshake or upgrade to WebSocket is not over: who holds how much of the account of
//! transports without having proved anything.
//!
//! Where the account is short, the oldest one of the address that holds most gives way to another address: so nobody keeps the
//! neighbours out by beginning what it never ends. Behind a proxy that is the proxy's address until its header has come, and then
//! the client's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::ids::{ConnId, Network};

/// Keys that the library's trees have room for in a node.
const NODE_KEYS: usize = 11;

/// See the module.
#[derive(Default)]
pub(super) struct Unready {
    groups: HashMap<Network, Group>,
    /// Bytes, and whose: who holds most is last.
    ranked: BTreeSet<(u64, Network)>,
    begun: u64,
    /// How many there are.
    count: usize,
}

/// Those of one address.
#[derive(Default)]
struct Group {
    bytes: u64,
    /// By when they began, the oldest first.
    members: BTreeMap<u64, ConnId>,
}

/// Where one of them stands.
#[derive(Debug)]
pub(super) struct Standing {
    source: Network,
    number: u64,
    bytes: u64,
}

impl Standing {
    /// Whose it is.
    pub(super) fn source(&self) -> Network {
        self.source
    }
}

impl Unready {
    /// A connection of this address begins.
    pub(super) fn begin(&mut self, conn: ConnId, source: Network) -> Standing {
        self.begun += 1;
        let (number, bytes) = (self.begun, 0);
        self.join(source, number, conn);
        Standing {
            source,
            number,
            bytes,
        }
    }

    fn join(&mut self, source: Network, number: u64, conn: ConnId) {
        let group = self.groups.entry(source).or_default();
        group.members.insert(number, conn);
        if group.members.len() == 1 {
            self.ranked.insert((0, source));
        }
        self.count += 1;
    }

    /// A proxy has told its address: there it counts from here on, as old as it is.
    pub(super) fn move_to(&mut self, standing: &mut Standing, source: Network) {
        if standing.source == source {
            return;
        }
        let bytes = standing.bytes;
        self.change(standing, 0);
        if let Some(conn) = self.leave(standing) {
            self.join(source, standing.number, conn);
        }
        standing.source = source;
        self.change(standing, bytes);
    }

    /// It holds so many bytes now.
    pub(super) fn change(&mut self, standing: &mut Standing, bytes: u64) {
        if standing.bytes == bytes {
            return;
        }
        if let Some(group) = self.groups.get_mut(&standing.source) {
            self.ranked.remove(&(group.bytes, standing.source));
            group.bytes = group.bytes - standing.bytes + bytes;
            self.ranked.insert((group.bytes, standing.source));
        }
        standing.bytes = bytes;
    }

    /// It is ready, or gone.
    pub(super) fn end(&mut self, mut standing: Standing) {
        self.change(&mut standing, 0);
        self.leave(&standing);
    }

    /// One that counts nothing is no member of its group any more.
    fn leave(&mut self, standing: &Standing) -> Option<ConnId> {
        let group = self.groups.get_mut(&standing.source)?;
        let conn = group.members.remove(&standing.number)?;
        self.count -= 1;
        if group.members.is_empty() {
            self.ranked.remove(&(group.bytes, standing.source));
            self.groups.remove(&standing.source);
        }
        if self.groups.is_empty() {
            self.groups.shrink_to_fit();
        }
        Some(conn)
    }

    /// Bytes of memory: of trees what such a one takes, about; one that is not empty has a node at least.
    pub(super) fn memory(&self) -> u64 {
        const MEMBER: usize = size_of::<(u64, ConnId)>();
        const GROUP: usize = size_of::<(Network, Group)>() + 1;
        const RANKED: usize = size_of::<(u64, Network)>();
        let groups = self.groups.capacity() * GROUP + self.groups.len() * NODE_KEYS * MEMBER;
        let ranked = 2 * self.ranked.len() * RANKED;
        (groups + ranked + self.count * (2 * MEMBER + size_of::<Standing>())) as u64
    }

    /// The oldest of the address that holds most, if that is twice as much as `source` would hold with so many bytes more: so two
    /// that have begun one each do not put each other out.
    pub(super) fn first_of_most(&self, source: Network, wanted: u64) -> Option<ConnId> {
        let own = self.groups.get(&source).map_or(0, |group| group.bytes);
        let &(bytes, most) = self.ranked.last()?;
        let (_, &oldest) = self.groups.get(&most)?.members.first_key_value()?;
        (bytes >= 2 * (own + wanted) && most != source).then_some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn the_oldest_of_who_holds_most_gives_way_to_others() {
        let (many, few) = (source("192.0.2.1"), source("192.0.2.2"));
        let mut unready = Unready::default();
        assert_eq!(unready.first_of_most(few, 0), None);
        let mut all: Vec<Standing> = (0..3)
            .map(|number| unready.begin(ConnId(number), many))
            .collect();
        let mut other = unready.begin(ConnId(9), few);
        unready.change(&mut other, 15);
        for standing in &mut all {
            unready.change(standing, 10);
        }
        assert_eq!(unready.first_of_most(few, 0), Some(ConnId(0)));
        assert_eq!(unready.first_of_most(few, 1), None, "it would be no less");
        assert_eq!(unready.first_of_most(many, 0), None, "its own");
        unready.change(&mut other, 10);
        unready.end(all.remove(0));
        assert_eq!(unready.first_of_most(few, 0), Some(ConnId(1)));
        unready.end(all.remove(0));
        assert_eq!(unready.first_of_most(few, 0), None, "one each");
        unready.change(&mut other, 20);
        assert_eq!(unready.first_of_most(many, 0), Some(ConnId(9)));
        unready.end(other);
        unready.end(all.remove(0));
        assert!(unready.groups.is_empty() && unready.ranked.is_empty());
    }

    #[test]
    fn who_is_told_by_a_proxy_counts_for_its_own_address() {
        let (proxy, one, other) = (
            source("192.0.2.1"),
            source("192.0.2.2"),
            source("192.0.2.3"),
        );
        let mut unready = Unready::default();
        let mut all: Vec<Standing> = (0..4)
            .map(|number| unready.begin(ConnId(number), proxy))
            .collect();
        for (standing, to) in all.iter_mut().zip([other, one, one, one]) {
            unready.change(standing, 10);
            unready.move_to(standing, to);
            unready.move_to(standing, to);
        }
        assert_eq!(unready.groups.len(), 2);
        assert_eq!(unready.first_of_most(other, 0), Some(ConnId(1)));
        assert_eq!(unready.first_of_most(one, 0), None, "its own");
        // The order is that in which they began, wherever they were.
        let mut late = unready.begin(ConnId(9), one);
        let mut early = all.remove(0);
        unready.move_to(&mut early, one);
        unready.change(&mut late, 1);
        assert_eq!(unready.first_of_most(other, 0), Some(ConnId(0)));
        assert_eq!(unready.count, 5);
        assert!(unready.memory() > 0);
        for standing in all.into_iter().chain([early, late]) {
            unready.end(standing);
        }
        assert!(unready.groups.is_empty() && unready.ranked.is_empty());
        assert_eq!(unready.memory(), 0);
    }

    #[test]
    fn a_network_is_one_address() {
        let mut unready = Unready::default();
        for host in 0..4 {
            let mut standing = unready.begin(ConnId(host), source(&format!("2001:db8::{host}")));
            unready.change(&mut standing, 10);
        }
        assert_eq!(unready.groups.len(), 1);
        assert_eq!(unready.first_of_most(source("2001:db8::9"), 0), None);
        assert_eq!(
            unready.first_of_most(source("2001:db9::9"), 0),
            Some(ConnId(0))
        );
    }
}
