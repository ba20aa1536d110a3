//! Whose the sessions are whose clients are away: the user name, and the name of the listener that it came by. What such
//! a session may be sent follows from these, whatever reloads do meanwhile.
//!
//! Sessions with both in common share one *owner*. Invariants: an owner is counted by exactly the sessions that have it,
//! and is there as long as there is one; while it is, its listener's number is not given to another
//! ([`CameBy`]).

use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::FixedState;

use crate::ids::NONE;
use crate::ids::SessionId;
use crate::index::Index;
use crate::mqtt::author::{CameBy, ListenerName};
use crate::table::Table;

/// What sessions have in common.
struct InCommon {
    user: Option<Box<str>>,
    came_by: CameBy,
    sessions: u32,
}

impl InCommon {
    fn is(&self, user: Option<&str>, listener: &Arc<ListenerName>) -> bool {
        self.user.as_deref() == user && Arc::ptr_eq(self.came_by.name(), listener)
    }

    fn heap(&self) -> usize {
        self.user.as_ref().map_or(0, |user| user.len())
    }
}

/// See the module.
pub(super) struct Absent {
    /// By session; `NONE` while its client is there.
    owner_of: Table<u32>,
    owners: Table<Option<InCommon>>,
    free: Vec<u32>,
    index: Index,
    hasher: FixedState,
    /// Bytes of the user names.
    heap: usize,
}

impl Absent {
    /// Nobody is away; the seed is for the hash functions.
    pub(super) fn new(seed: u64) -> Self {
        Absent {
            owner_of: Table::new(),
            owners: Table::new(),
            free: Vec::new(),
            index: Index::new(),
            hasher: FixedState::with_seed(seed),
            heap: 0,
        }
    }

    /// The client of a session is away from here on.
    pub(super) fn keep(
        &mut self,
        session: SessionId,
        user: Option<&str>,
        listener: &Arc<ListenerName>,
    ) {
        self.forget(session);
        let hash = self.hash(user, listener);
        let is_it = |index: u32| {
            let owner = self.owners[index as usize].as_ref();
            owner.is_some_and(|owner| owner.is(user, listener))
        };
        let index = match self.index.find(hash, is_it) {
            Some(index) => index,
            None => self.add(user, listener),
        };
        if let Some(owner) = &mut self.owners[index as usize] {
            owner.sessions += 1;
        }
        self.owner_of.ensure(session.index(), || NONE);
        self.owner_of[session.index()] = index;
    }

    /// The client of a session is there, or the session has ended.
    pub(super) fn forget(&mut self, session: SessionId) {
        let Some(of) = self.owner_of.get_mut(session.index()) else {
            return;
        };
        let index = std::mem::replace(of, NONE);
        let Some(place) = self.owners.get_mut(index as usize) else {
            return;
        };
        let Some(owner) = place else { return };
        owner.sessions -= 1;
        if owner.sessions > 0 {
            return;
        }
        self.heap -= owner.heap();
        let (owners, hasher) = (&self.owners, &self.hasher);
        let hash = hash_of(owners, hasher, index);
        self.index
            .remove(hash, index, |index| hash_of(owners, hasher, index));
        self.owners[index as usize] = None;
        self.free.push(index);
    }

    /// The user name of a session whose client is away, and the listener that it came by.
    pub(super) fn owner(&self, session: SessionId) -> Option<(Option<&str>, &Arc<ListenerName>)> {
        let index = *self.owner_of.get(session.index())?;
        let owner = self.owners.get(index as usize)?.as_ref()?;
        Some((owner.user.as_deref(), owner.came_by.name()))
    }

    fn add(&mut self, user: Option<&str>, listener: &Arc<ListenerName>) -> u32 {
        let owner = InCommon {
            user: user.map(Box::from),
            came_by: CameBy::new(listener),
            sessions: 0,
        };
        self.heap += owner.heap();
        if self.free.is_empty()
            && let Some(places) = self.owners.refill(|| None)
        {
            self.free.extend(places.rev());
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.owners[index as usize] = Some(owner);
                index
            }
            None => {
                self.owners.push(Some(owner));
                (self.owners.len() - 1) as u32
            }
        };
        let hash = self.hash(user, listener);
        let (owners, hasher) = (&self.owners, &self.hasher);
        self.index
            .insert(hash, index, |index| hash_of(owners, hasher, index));
        index
    }

    fn hash(&self, user: Option<&str>, listener: &ListenerName) -> u64 {
        self.hasher.hash_one((user, listener.text()))
    }

    /// Gives memory back after many have come back or ended.
    pub(super) fn trim(&mut self) {
        self.owner_of.trim(|_, owner| *owner == NONE);
        self.owners.trim(|_, owner| owner.is_none());
        let owners = &self.owners;
        self.free
            .retain(|&index| owners.get(index as usize).is_some());
        self.free.shrink_to_fit();
        let (owners, hasher) = (&self.owners, &self.hasher);
        self.index.shrink(|index| hash_of(owners, hasher, index));
    }

    /// Bytes of memory beside itself.
    pub(super) fn memory(&self) -> usize {
        self.owner_of.memory()
            + self.owners.memory()
            + self.free.capacity() * size_of::<u32>()
            + self.index.memory()
            + self.heap
    }
}

fn hash_of(owners: &Table<Option<InCommon>>, hasher: &FixedState, index: u32) -> u64 {
    let owner = owners.get(index as usize).and_then(Option::as_ref);
    owner.map_or(0, |owner| {
        hasher.hash_one((owner.user.as_deref(), owner.came_by.name().text()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_share_an_owner_as_long_as_there_is_one() {
        let (inner, outer) = (ListenerName::new("inner"), ListenerName::new("outer"));
        let mut absent = Absent::new(1);
        for session in 0..100 {
            absent.keep(SessionId(session), None, &inner);
        }
        absent.keep(SessionId(100), Some("u"), &inner);
        absent.keep(SessionId(101), Some("u"), &outer);
        assert_eq!(absent.index.len(), 3);
        let name = |session| {
            let owner = absent.owner(SessionId(session));
            owner.map(|(user, listener)| (user.unwrap_or("-"), listener.text()))
        };
        assert_eq!(name(7), Some(("-", "inner")));
        assert_eq!(name(100), Some(("u", "inner")));
        assert_eq!(name(101), Some(("u", "outer")));
        assert_eq!(name(102), None);
        absent.forget(SessionId(101));
        assert!(!outer.is_referred_to() && inner.is_referred_to());
        for session in 0..102 {
            absent.forget(SessionId(session));
            absent.forget(SessionId(session));
        }
        assert!(!inner.is_referred_to());
        let before = absent.memory();
        absent.trim();
        assert_eq!(
            (absent.index.len(), absent.heap, absent.free.len()),
            (0, 0, 0)
        );
        assert!(absent.memory() < before);
        absent.keep(SessionId(5), Some("v"), &outer);
        assert_eq!(absent.owner(SessionId(5)), Some((Some("v"), &outer)));
    }

    #[test]
    fn a_session_that_is_away_again_has_one_owner() {
        let name = ListenerName::new("");
        let mut absent = Absent::new(1);
        absent.keep(SessionId(0), Some("a"), &name);
        absent.keep(SessionId(0), Some("b"), &name);
        assert_eq!((absent.index.len(), absent.heap), (1, 1));
        assert_eq!(absent.owner(SessionId(0)), Some((Some("b"), &name)));
    }
}
