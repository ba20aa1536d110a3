//! Which filters this shard wants from the others, and the barrier behind SUBACK (docs/decisions/0401, docs/decisions/0402).
//!
//! The first local subscriber of a filter makes the shard announce it to all others; SUBACK waits until each has
//! answered, so that after it no publish on any shard is missed. The last one to go takes the announcement back.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::doors::on_subscribe::PendingSubscribe;
use crate::broker::effect::{MeshMessage, SharedMessage};
use crate::broker::outcome::Until;
use crate::broker::peers::conn::Stage;
use crate::broker::peers::quotas::Reading;
use crate::broker::timers::TICK_MS;
use crate::ids::{ConnId, ShardId};
use crate::limits;
use crate::routing::{Entry, FilterId, Target};

/// Who waits for a filter to be known everywhere.
#[derive(Clone, Copy, Debug)]
pub enum Waiter {
    /// A SUBSCRIBE of this shard, by ticket.
    Subscribe(u32),
    /// A member of a shared subscription, on its shard, by the ticket it gave.
    Member { shard: ShardId, ticket: u32 },
}

struct Announcement {
    filter: FilterId,
    missing: u8,
    waiters: SmallVec<[Waiter; 1]>,
}

/// SUBSCRIBEs of a connection that have not been answered yet.
#[derive(Default)]
struct Unanswered {
    count: u32,
    /// The end of the connection waits for the answers, until then; 0 if there is none yet.
    end_due_ms: u64,
}

/// Announcements that are under way, and SUBSCRIBEs that wait for them.
pub struct Interests {
    tickets: u32,
    announcements: HashMap<u32, Announcement, FixedState>,
    under_way: HashMap<FilterId, u32, FixedState>,
    pub subscribes: HashMap<u32, PendingSubscribe, FixedState>,
    /// By connection.
    unanswered: HashMap<u32, Unanswered, FixedState>,
}

impl Default for Interests {
    fn default() -> Self {
        let state = || FixedState::with_seed(0);
        Interests {
            tickets: 0,
            announcements: HashMap::with_hasher(state()),
            under_way: HashMap::with_hasher(state()),
            subscribes: HashMap::with_hasher(state()),
            unanswered: HashMap::with_hasher(state()),
        }
    }
}

impl Interests {
    /// Gives memory back after many announcements at once.
    pub fn trim(&mut self) {
        self.announcements.shrink_to_fit();
        self.under_way.shrink_to_fit();
        self.subscribes.shrink_to_fit();
        self.unanswered.shrink_to_fit();
    }

    /// Ends of connections wait so much longer.
    pub fn put_off(&mut self, ms: u64) {
        let unanswered = self.unanswered.values_mut();
        for one in unanswered.filter(|one| one.end_due_ms > 0) {
            one.end_due_ms += ms;
        }
    }

    /// A number for a question to other shards.
    pub fn next_ticket(&mut self) -> u32 {
        self.tickets = self.tickets.wrapping_add(1);
        self.tickets
    }

    /// A SUBSCRIBE of a connection has to wait.
    pub fn note_unanswered(&mut self, conn: ConnId) {
        self.unanswered.entry(conn.0).or_default().count += 1;
    }

    /// One of them is answered. Returns whether it was the last one, and the end of the connection has waited for it.
    pub fn note_answered(&mut self, conn: ConnId) -> bool {
        let Some(unanswered) = self.unanswered.get_mut(&conn.0) else {
            return false;
        };
        unanswered.count -= 1;
        let (is_last, ends) = (unanswered.count == 0, unanswered.end_due_ms > 0);
        if is_last {
            self.unanswered.remove(&conn.0);
        }
        is_last && ends
    }

    /// A connection is parted from its session: nothing is answered any more.
    #[inline]
    pub fn forget_unanswered(&mut self, conn: ConnId) {
        if !self.unanswered.is_empty() {
            self.unanswered.remove(&conn.0);
        }
    }

    /// Whether a connection has SUBSCRIBEs that have not been answered.
    #[cfg(test)]
    pub fn knows(&self, conn: ConnId) -> bool {
        self.unanswered.contains_key(&conn.0)
    }

    /// Until when the end of a connection waits for answers, if it has to.
    fn end_due_ms(&mut self, now_ms: u64, conn: ConnId) -> Option<u64> {
        let unanswered = self.unanswered.get_mut(&conn.0)?;
        if unanswered.end_due_ms == 0 {
            unanswered.end_due_ms = now_ms + limits::ANSWERS_MS_MAX;
        }
        Some(unanswered.end_due_ms).filter(|&due_ms| now_ms < due_ms)
    }
}

impl Broker {
    /// Adds a local target to a filter. Returns the filter, whether the target was new there, and whether `waiter` has
    /// to wait until other shards know of it.
    pub(in crate::broker) fn subscribe_filter(
        &mut self,
        filter: &str,
        entry: Entry,
        waiter: Waiter,
    ) -> (FilterId, bool, bool) {
        let inserted = self.routing.subscriptions.insert(filter, entry);
        let is_new = inserted.replaced.is_none();
        if self.clients.desk.shards == 1 {
            return (inserted.filter, is_new, false);
        }
        if !inserted.first_local {
            let ticket = self.interests.under_way.get(&inserted.filter);
            let announcement =
                ticket.and_then(|ticket| self.interests.announcements.get_mut(ticket));
            let waits = announcement
                .map(|announcement| announcement.waiters.push(waiter))
                .is_some();
            return (inserted.filter, is_new, waits);
        }
        let ticket = self.interests.next_ticket();
        let missing = self.clients.desk.shards - 1;
        let announcement = Announcement {
            filter: inserted.filter,
            missing,
            waiters: SmallVec::from_elem(waiter, 1),
        };
        self.interests.announcements.insert(ticket, announcement);
        self.interests.under_way.insert(inserted.filter, ticket);
        self.clients.desk.mesh_all(|| MeshMessage::Interest {
            filter: filter.into(),
            wanted: true,
            ticket,
        });
        // The canary of the simulation: with this feature SUBACK does not wait, and a seed must find it.
        (inserted.filter, is_new, !cfg!(feature = "canary"))
    }

    /// Takes a local target off a filter. Returns whether it was there.
    pub(in crate::broker) fn unsubscribe_filter(
        &mut self,
        filter: FilterId,
        target: Target,
    ) -> bool {
        let mut name = String::new();
        if self.clients.desk.shards > 1 {
            self.routing.subscriptions.filter_name(filter, &mut name);
        }
        let Some(removed) = self.routing.subscriptions.remove(filter, target) else {
            return false;
        };
        if matches!(target, Target::Session(_)) {
            self.clients.desk.counters.subscriptions -= 1;
        }
        if removed.last_local && self.clients.desk.shards > 1 {
            self.interests.under_way.remove(&filter);
            self.clients.desk.mesh_all(|| MeshMessage::Interest {
                filter: name.as_str().into(),
                wanted: false,
                ticket: 0,
            });
        }
        true
    }

    /// Another shard wants a filter, or no longer does.
    pub(in crate::broker) fn on_interest(
        &mut self,
        from: ShardId,
        filter: &str,
        wanted: bool,
        ticket: u32,
    ) {
        if wanted {
            self.routing
                .subscriptions
                .insert(filter, Entry::shard(from));
            let stored = self.replays.stored();
            self.clients
                .desk
                .mesh(from, MeshMessage::InterestAck { ticket, stored });
        } else if let Some(id) = self.routing.subscriptions.find(filter) {
            self.routing.subscriptions.remove(id, Target::Shard(from));
        }
    }

    /// Another shard knows a filter now.
    pub(in crate::broker) fn on_interest_ack(
        &mut self,
        now_ms: u64,
        from: ShardId,
        ticket: u32,
        stored: &[u64],
    ) {
        self.replays.note_stored(from, stored);
        let Some(announcement) = self.interests.announcements.get_mut(&ticket) else {
            return;
        };
        announcement.missing -= 1;
        if announcement.missing > 0 {
            return;
        }
        let Some(announcement) = self.interests.announcements.remove(&ticket) else {
            return;
        };
        if self.interests.under_way.get(&announcement.filter) == Some(&ticket) {
            self.interests.under_way.remove(&announcement.filter);
        }
        for waiter in announcement.waiters {
            self.waiter_done(now_ms, waiter);
        }
    }

    /// Until when a goodbye, or the end of what a client sends, has to wait for the answers to its SUBSCRIBEs (MQTT-3.8.4-1),
    /// if it has: who sees the connection closed may rely on them.
    #[cold]
    pub(in crate::broker) fn end_waits(&mut self, now_ms: u64, conn: ConnId) -> Option<Until> {
        let entry = &self.clients.peers.conns[conn.index()];
        if entry.stage != Stage::Established || entry.reading == Reading::Dropping {
            return None;
        }
        let due_ms = self.interests.end_due_ms(now_ms, conn)?;
        Some(Until::Ms(due_ms.max(now_ms + TICK_MS)))
    }

    /// What somebody waited for is known everywhere.
    pub(in crate::broker) fn waiter_done(&mut self, now_ms: u64, waiter: Waiter) {
        match waiter {
            Waiter::Subscribe(ticket) => self.subscribe_step_done(now_ms, ticket),
            Waiter::Member { shard, ticket } if shard == self.clients.desk.shard => {
                self.subscribe_step_done(now_ms, ticket)
            }
            Waiter::Member { shard, ticket } => {
                self.clients.desk.mesh(
                    shard,
                    MeshMessage::Shared(Box::new(SharedMessage::Joined { ticket })),
                );
            }
        }
    }
}
