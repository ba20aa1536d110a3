//! The listeners of the broker by their numbers: where each listens, what it grants, and what shards accept from, in one
//! table, so that these cannot go apart. What the shards' brains know and what all of them accept from is made of it.
//!
//! A listener keeps its number. One that is gone stays in the table for those who came by it, until its number is needed for
//! another and nobody refers to it: no connection, and no session whose client is away.

use std::sync::Arc;

use crate::broker::{ListenerSettings, LogMask, Settings};
use crate::config::{self, Config, Socket};
use crate::ids::{ByListener, ListenerId};
use crate::shard;

/// One listener, with all that its number stands for.
#[derive(Clone)]
pub(super) struct Entry {
    /// Where it listens, or listened.
    pub socket: Socket,
    /// What the shards know of it.
    pub settings: ListenerSettings,
    /// What they accept from.
    pub accepting: Arc<shard::Listener>,
}

impl Entry {
    /// Whether it has not been taken away.
    pub(super) fn is_open(&self) -> bool {
        !self.settings.is_closed
    }
}

/// All of them.
#[derive(Clone, Default)]
pub(super) struct Listeners(ByListener<Entry>);

impl Listeners {
    /// Those that a broker starts with; `accepting` are theirs.
    pub(super) fn new(
        configured: &[config::Listener],
        accepting: Vec<shard::Listener>,
    ) -> Listeners {
        let entry = |(listener, accepting): (&config::Listener, shard::Listener)| Entry {
            socket: listener.socket.clone(),
            settings: listener.settings.clone(),
            accepting: Arc::new(accepting),
        };
        Listeners(configured.iter().zip(accepting).map(entry).collect())
    }

    /// The settings of a configuration with these listeners.
    pub(super) fn settings(&self, config: &Config) -> Settings {
        let mut settings = config.settings.clone();
        if config.log.destinations.is_empty() {
            // Lines that nobody reads are not even formatted.
            settings.log = LogMask::NONE;
        }
        let each = self.0.iter();
        settings.listeners = each.map(|(_, entry)| entry.settings.clone()).collect();
        settings
    }

    /// What shards accept from, by number.
    pub(super) fn accepting(&self) -> Vec<Arc<shard::Listener>> {
        let each = self.0.iter();
        each.map(|(_, entry)| entry.accepting.clone()).collect()
    }

    /// One of them.
    pub(super) fn get(&self, id: ListenerId) -> Option<&Entry> {
        self.0.get(id)
    }

    /// One of them, if it has not been taken away.
    pub(super) fn open(&self, id: ListenerId) -> Option<&Entry> {
        self.0.get(id).filter(|entry| entry.is_open())
    }

    /// Those that are open and not among these.
    pub(super) fn open_beside(
        &self,
        ids: &[ListenerId],
    ) -> impl Iterator<Item = (ListenerId, &Entry)> {
        let each = self.0.iter();
        each.filter(|(id, entry)| entry.is_open() && !ids.contains(id))
    }

    /// The number of each configured listener: its own if it is there already, or was, else that of one that is gone and
    /// that neither connections nor sessions whose clients are away refer to, else a new one.
    pub(super) fn numbers(&self, configured: &[config::Listener]) -> Vec<ListenerId> {
        let mut used: Vec<ListenerId> = self.open_beside(&[]).map(|(id, _)| id).collect();
        let mut next = self.0.next_id();
        let number = |listener: &config::Listener| {
            let name = listener.socket.name();
            let known = self.open_beside(&[]);
            if let Some((id, _)) = known
                .into_iter()
                .find(|(_, entry)| entry.socket.name() == name)
            {
                return id;
            }
            let closed = self.0.iter().filter(|(id, entry)| {
                !entry.is_open() && entry.accepting.connections() == 0 && !used.contains(id)
            });
            // What comes back has its own number again.
            let own = closed
                .clone()
                .find(|(_, entry)| entry.settings.name.text() == name);
            let other = || {
                let mut closed = closed.clone();
                closed.find(|(_, entry)| !entry.settings.name.is_referred_to())
            };
            let id = own.or_else(other).map_or(next, |(id, _)| id);
            if id == next {
                next = ListenerId(next.0 + 1);
            }
            used.push(id);
            id
        };
        configured.iter().map(number).collect()
    }

    /// The table by which a configuration holds, with its listeners at their numbers: those that stay accept as they do,
    /// the others from what is `fresh`. Who is not among them is closed.
    pub(super) fn arranged(
        &self,
        configured: &[config::Listener],
        ids: &[ListenerId],
        fresh: Vec<shard::Listener>,
    ) -> Listeners {
        let mut next = self.clone();
        for entry in next.0.values_mut() {
            entry.settings.is_closed = true;
        }
        let mut fresh = fresh.into_iter();
        for (listener, &id) in configured.iter().zip(ids) {
            let mut settings = listener.settings.clone();
            let open = self.open(id);
            if let Some(old) = self.get(id) {
                // Its clients have subscribed below the old one, and refer to it by its name.
                if open.is_some() {
                    settings.mount_point.clone_from(&old.settings.mount_point);
                }
                if settings.name == old.settings.name {
                    settings.name = old.settings.name.clone();
                }
            }
            let stays = open.map(|old| old.accepting.clone());
            // One was bound for each that does not stay.
            let Some(accepting) = stays.or_else(|| fresh.next().map(Arc::new)) else {
                continue;
            };
            let entry = Entry {
                socket: listener.socket.clone(),
                settings,
                accepting,
            };
            next.0.put(id, entry);
        }
        next
    }

    /// Takes a listener back that was to be opened: its socket is closed, and the next reload opens it.
    pub(super) fn give_up(&mut self, id: ListenerId) {
        if let Some(entry) = self.0.get(id) {
            let mut entry = entry.clone();
            entry.accepting.close();
            entry.settings.is_closed = true;
            self.0.put(id, entry);
        }
    }
}
