//! A filter is wanted by this shard, or by another one: told, answered, and taken back (`interest::barrier`).

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::groups::message::SharedMessage;
use crate::broker::interest::barrier::{Announcement, Waiter};
use crate::broker::mesh_message::MeshMessage;
use crate::broker::waits::{Then, WaitOf};
use crate::ids::{SessionId, ShardId};
use crate::routing::{Entry, FilterId, Target};

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
        let becomes_durable = self.outlives(entry) && !self.interests.are_durable(inserted.filter);
        if !inserted.first_local && !becomes_durable {
            let waits = self.joins_announcement(inserted.filter, waiter);
            return (inserted.filter, is_new, waits);
        }
        let waiters = SmallVec::from_elem(waiter, 1);
        self.announce(filter, inserted.filter, becomes_durable, waiters);
        // The canary of the simulation: with this feature SUBACK does not wait, and a seed must find it.
        (inserted.filter, is_new, !cfg!(feature = "canary"))
    }

    /// Tells all other shards of a filter.
    fn announce(
        &mut self,
        text: &str,
        filter: FilterId,
        durable: bool,
        waiters: SmallVec<[Waiter; 1]>,
    ) {
        let announcement = Announcement { filter, waiters };
        let ticket = (self.waits).open(WaitOf::Shard, Then::Announced(announcement));
        let others = u32::from(self.clients.desk.shards) - 1;
        self.waits.await_more(ticket, others - 1);
        self.interests.note(filter, ticket, durable);
        self.clients.desk.mesh_all(|| MeshMessage::Interest {
            filter: text.into(),
            wanted: true,
            durable,
            ticket,
        });
    }

    /// Whether a local target is to outlive the process, so that no message for it may be lost between shards.
    fn outlives(&mut self, entry: Entry) -> bool {
        self.clients.sessions.facts().are_written()
            && match entry.target() {
                Target::Session(session) => {
                    let session = self.clients.sessions.get(session);
                    session.is_some_and(|session| session.is_durable())
                }
                Target::Group(group) => self.routing.groups.get(group).is_durable(),
                Target::Shard(_) => false,
            }
    }

    /// Whether a filter is being announced; then `waiter` waits for that.
    fn joins_announcement(&mut self, filter: FilterId, waiter: Waiter) -> bool {
        let ticket = self.interests.ticket(filter);
        let then = ticket.and_then(|ticket| Some((ticket, self.waits.then(ticket)?)));
        let Some((ticket, Then::Announced(announcement))) = then else {
            return false;
        };
        announcement.waiters.push(waiter);
        self.waits.charge(&mut self.clients.memory.lease, ticket);
        true
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
            self.interests.forget(filter);
            self.clients.desk.mesh_all(|| MeshMessage::Interest {
                filter: name.as_str().into(),
                wanted: false,
                durable: false,
                ticket: 0,
            });
        }
        true
    }

    /// Another shard wants a filter.
    pub(in crate::broker) fn on_interest(
        &mut self,
        from: ShardId,
        filter: &str,
        durable: bool,
        ticket: u32,
    ) {
        let entry = match durable {
            true => Entry::durable_shard(from),
            false => Entry::shard(from),
        };
        self.routing.subscriptions.insert(filter, entry);
        let stored = self.stores.made();
        self.clients
            .desk
            .mesh(from, MeshMessage::InterestAck { ticket, stored });
    }

    /// Another shard wants a filter no longer.
    pub(in crate::broker) fn on_disinterest(&mut self, from: ShardId, filter: &str) {
        if let Some(id) = self.routing.subscriptions.find(filter) {
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
        self.stores.note_made(from, stored);
        let (lease, sessions) = (&mut self.clients.memory.lease, &self.clients.sessions);
        let over = self.waits.answer(lease, sessions, ticket);
        let Some(Then::Announced(announcement)) = over.map(|over| over.then) else {
            return;
        };
        self.interests.note_known(announcement.filter, ticket);
        for waiter in announcement.waiters {
            self.waiter_done(now_ms, waiter);
        }
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

    /// A session has given up a subscription that gives so many nodes back. With the last one nothing is left.
    pub(in crate::broker) fn give_reach_back(&mut self, session: SessionId, nodes: u32) {
        let nodes = match self.subscriptions_of(session) {
            (0, 0) => u32::MAX,
            _ => nodes,
        };
        let shares = &mut self.clients.memory.shares;
        let party = shares.party(session);
        shares.reached.give_back(session, party, nodes);
    }
}
