//! The sessions of a shard.

use foldhash::fast::FixedState;
use std::hash::BuildHasher;

use crate::broker::sessions::absent::Absent;
use crate::broker::sessions::hot::Hot;
use crate::broker::sessions::rights::Rights;
use crate::ids::{ConnId, NONE, SessionId, ShardId};
use crate::index::Index;
use crate::session::Session;
use crate::table::Table;

/// See the module.
pub struct Sessions {
    pub hot: Table<Hot>,
    pub table: Table<Option<Session>>,
    free: Vec<u32>,
    index: Index,
    hasher: FixedState,
    /// Whose the sessions are whose clients are away.
    pub absent: Absent,
    /// What clients may do; absent without an ACL file.
    pub rights: Option<Box<Rights>>,
    shard: ShardId,
    serials: u64,
}

impl Sessions {
    pub fn new(shard: ShardId, seed: u64, rights: Option<Box<Rights>>) -> Self {
        Sessions {
            hot: Table::new(),
            table: Table::new(),
            free: Vec::new(),
            index: Index::new(),
            hasher: FixedState::with_seed(seed),
            absent: Absent::new(seed),
            rights,
            shard,
            serials: 0,
        }
    }

    /// A session that exists.
    #[inline]
    pub fn get(&mut self, session: SessionId) -> Option<&mut Session> {
        self.table.get_mut(session.index())?.as_mut()
    }

    fn hash(&self, client_id: &str) -> u64 {
        self.hasher.hash_one(client_id)
    }

    /// The session of a client identifier.
    pub fn find(&self, client_id: &str) -> Option<SessionId> {
        let is_it = |index: u32| {
            self.table[index as usize]
                .as_ref()
                .is_some_and(|session| *session.client_id == *client_id)
        };
        self.index.find(self.hash(client_id), is_it).map(SessionId)
    }

    /// Bytes of the table of names.
    pub fn index_memory(&self) -> usize {
        self.index.memory()
    }

    /// Gives memory back after many sessions have ended.
    fn shrink_index(&mut self) {
        let (sessions, hasher) = (&self.table, &self.hasher);
        self.index.shrink(|index| hash_of(sessions, hasher, index));
    }

    /// Sessions that exist.
    pub fn ids(&self) -> impl Iterator<Item = SessionId> + '_ {
        let exists = |(index, session): (usize, &Option<Session>)| {
            session.is_some().then_some(SessionId(index as u32))
        };
        self.table.indexed().filter_map(exists)
    }

    /// The connection of a session.
    #[inline]
    pub fn conn_of(&self, session: SessionId) -> Option<ConnId> {
        let conn = self.hot.get(session.index())?.conn;
        (conn != NONE).then_some(ConnId(conn))
    }

    /// A number nobody can guess from the outside is not needed here, only one that differs: for assigned client ids.
    pub fn next_unique(&mut self) -> u64 {
        self.serials += 1;
        self.hasher.hash_one((self.shard.0, self.serials))
    }

    /// A new session for a client identifier that has none.
    pub fn open(&mut self, client_id: &str) -> SessionId {
        self.serials += 1;
        let serial = u64::from(self.shard.0) << 56 | self.serials;
        let session = Session::new(client_id.into(), serial);
        if self.free.is_empty()
            && let Some(places) = self.table.refill(|| None)
        {
            self.free.extend(places.rev());
        }
        let index = match self.free.pop() {
            Some(index) => {
                self.table[index as usize] = Some(session);
                index
            }
            None => {
                self.table.push(Some(session));
                (self.table.len() - 1) as u32
            }
        };
        self.hot.ensure(index as usize, || Hot::AWAY);
        self.hot[index as usize] = Hot::AWAY;
        let hash = self.hash(client_id);
        let (table, hasher) = (&self.table, &self.hasher);
        self.index
            .insert(hash, index, |index| hash_of(table, hasher, index));
        SessionId(index)
    }

    /// Takes a session out of the tables.
    pub fn take(&mut self, session: SessionId) -> Option<Session> {
        let taken = self.table.get_mut(session.index())?.take()?;
        if let Some(rights) = &mut self.rights {
            rights.leave(session);
        }
        self.absent.forget(session);
        let hash = self.hash(&taken.client_id);
        let (table, hasher) = (&self.table, &self.hasher);
        self.index
            .remove(hash, session.0, |index| hash_of(table, hasher, index));
        self.free.push(session.0);
        Some(taken)
    }

    /// Places that nobody has.
    pub fn free_places(&self) -> usize {
        self.free.len()
    }

    /// Gives up what is only kept for reuse.
    pub fn trim(&mut self) {
        self.table.trim(|_, entry| entry.is_none());
        let sessions = &self.table;
        self.hot.trim(|index, _| sessions.get(index).is_none());
        self.free
            .retain(|&index| sessions.get(index as usize).is_some());
        self.free.shrink_to_fit();
        self.absent.trim();
        self.shrink_index();
    }
}

/// The hash of a session's client identifier.
fn hash_of(sessions: &Table<Option<Session>>, hasher: &FixedState, index: u32) -> u64 {
    sessions[index as usize]
        .as_ref()
        .map_or(0, |session| hasher.hash_one(&*session.client_id))
}
