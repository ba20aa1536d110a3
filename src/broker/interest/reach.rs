//! Who has made it more what a topic can lead to, by how many nodes of the tree of filters (`routing::tree::reach`).
//!
//! What strangers have subscribed to must leave room for others: a session, and all that are of one user or address together,
//! may have as much as is left. A subscription is charged to its session before it is in the tree. That of a group which
//! another shard owns comes into this shard's tree later, by way of that shard; so it knows itself what it was charged. Other
//! subscriptions give back by how much the tree becomes less when they go, and with its last one a session has nothing left.
//!
//! Invariant: a party has what its sessions have, together.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::budget::Party;
use crate::ids::SessionId;
use crate::limits;

/// See the module.
#[derive(Default)]
pub(crate) struct Reached {
    by_session: HashMap<SessionId, u32, FixedState>,
    by_party: HashMap<Party, u32, FixedState>,
}

impl Reached {
    /// A subscription of a session has made it more by so many nodes.
    pub(crate) fn add(&mut self, session: SessionId, party: Party, nodes: u32) {
        if nodes == 0 {
            return;
        }
        let sum = self.by_session.entry(session).or_default();
        let before = *sum;
        *sum = before.saturating_add(nodes);
        let nodes = *sum - before;
        let sum = self.by_party.entry(party).or_default();
        *sum = sum.saturating_add(nodes);
    }

    /// Subscriptions of a session have gone, and with them so many nodes, or as many as it has. Returns how many.
    pub(crate) fn give_back(&mut self, session: SessionId, party: Party, nodes: u32) -> u32 {
        if nodes == 0 {
            return 0;
        }
        let Some(sum) = self.by_session.get_mut(&session) else {
            return 0;
        };
        let nodes = nodes.min(*sum);
        *sum -= nodes;
        if *sum == 0 {
            self.by_session.remove(&session);
        }
        if let Some(sum) = self.by_party.get_mut(&party) {
            *sum = sum.saturating_sub(nodes);
            if *sum == 0 {
                self.by_party.remove(&party);
            }
        }
        nodes
    }

    /// By how many nodes a session, and all of its party, have made it more.
    pub(crate) fn of(&self, session: SessionId, party: Party) -> (u32, u32) {
        let by_session = self.by_session.get(&session).copied();
        let by_party = self.by_party.get(&party).copied();
        (by_session.unwrap_or(0), by_party.unwrap_or(0))
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.by_session.allocation_size() + self.by_party.allocation_size()
    }

    /// Gives memory back after many have gone.
    pub(crate) fn trim(&mut self) {
        self.by_session.shrink_to_fit();
        self.by_party.shrink_to_fit();
    }
}

/// Whether a filter hardly makes it more what a topic can lead to, whatever others there are: without a wildcard, with `#` at its
/// end only, or with one `+` as well where it has not many levels.
pub(crate) fn is_plain(filter: &str) -> bool {
    let wildcards = filter.split('/').filter(|&level| level == "+").count();
    let levels = filter.split('/').count();
    wildcards == 0 || (wildcards == 1 && levels <= limits::MATCH_PLAIN_LEVELS)
}
