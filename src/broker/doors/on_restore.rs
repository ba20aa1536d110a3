//! A start: what the run before has left is taken up, by the same changes by which it came about, so that it is told again to
//! whoever keeps it.
//!
//! Which shard held something does not matter: each shard takes what is its own of what any shard has left. The clients of all sessions
//! are away.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::clients::Clients;
use crate::broker::interest::barrier::Waiter;
use crate::broker::memory::party::party_of_user;
use crate::broker::placement::owner_of_topic;
use crate::broker::wall_clock::{UnixMs, WallClock};
use crate::broker::{Broker, home};
use crate::ids::SessionId;
use crate::journal::{KeptMessage, Ledger, SessionRead, WillRead};
use crate::mqtt::author::ListenerName;
use crate::mqtt::message::Message;
use crate::routing::{Entry, EntryOptions, Store};
use crate::session::{EXPIRY_NEVER, Origin, SharedSubscription, Way, Will};

/// The messages of a ledger by the clock of this run, each made once.
struct Messages<'a> {
    ledger: &'a Ledger,
    clock: WallClock,
    known: HashMap<u64, Arc<Message>, FixedState>,
}

impl Messages<'_> {
    fn get(&mut self, number: u64) -> Option<Arc<Message>> {
        if let Some(known) = self.known.get(&number) {
            return Some(known.clone());
        }
        let KeptMessage {
            message,
            expires_at,
        } = self.ledger.message(number)?;
        let message = Arc::new(Message {
            expires_at_ms: self.clock.broker_ms(expires_at.map(UnixMs)),
            ..Message::clone(message)
        });
        self.known.insert(number, message.clone());
        Some(message)
    }
}

/// As it can be used again: groups are known by other numbers in this run.
fn way_now(way: Way) -> Way {
    match way.origin.group() {
        Some(_) => Way {
            origin: Origin::ORDINARY,
            ..way
        },
        None => way,
    }
}

impl Broker {
    /// One shard of the run before has left this. To be called for each before the first event; the journal and the wall clock are
    /// known by then. What does not fit the memory or the bounds that hold now is dropped, and counted.
    pub fn on_restore(&mut self, now_ms: u64, ledger: &Ledger) {
        let clock = self.clients.sessions.facts().clock();
        let mut messages = Messages {
            ledger,
            clock,
            known: HashMap::default(),
        };
        let (own, shards) = (self.clients.desk.shard, self.clients.desk.shards);
        let retained = ledger.retained();
        let retained =
            retained.filter(|(_, kept)| owner_of_topic(&kept.message.topic, shards) == own);
        let numbers: Vec<u64> = retained.map(|(number, _)| number).collect();
        for message in numbers
            .into_iter()
            .filter_map(|number| messages.get(number))
        {
            let seq = self.stores.next(own);
            self.store_retained(now_ms, message, Store::new(own, seq), false);
        }
        let sessions = ledger.sessions();
        let mut sessions: Vec<_> = sessions
            .filter(|(_, kept)| home(&kept.client_id, shards) == own)
            .collect();
        sessions.sort_unstable_by_key(|&(number, _)| number);
        for (_, kept) in ledger.sessions() {
            self.clients.sessions.begin_serials_after(kept.serial);
        }
        for (_, kept) in sessions {
            self.restore_session(now_ms, kept, &mut messages);
        }
        self.end_event(now_ms);
    }

    fn restore_session(&mut self, now_ms: u64, kept: &SessionRead, messages: &mut Messages<'_>) {
        // No bound keeps out who was let in; with all that there can be, those that came first stay.
        if !self.clients.memory.lease.enter(0) {
            return;
        }
        self.clients.desk.counters.clients_disconnected += 1;
        let session = self.clients.new_session_as(&kept.client_id, kept.serial);
        let will = kept.will.as_ref().map(|will| Box::new(will_of(will)));
        self.clients.change_session(session, |entry| {
            entry.set_expiry(kept.expiry_s);
            entry.set_will(will);
        });
        self.clients.restore_owner(session, kept);
        for ((share, filter), &options) in &kept.subscriptions {
            self.restore_subscription(session, share.as_deref(), filter, options);
        }
        for &id in &kept.inbound {
            self.clients
                .change_session(session, |entry| entry.store_inbound(id));
        }
        self.clients.restore_in_flight(session, kept, messages);
        for (number, way) in kept.waiting() {
            let message = messages.get(number);
            if let Some(message) = message.filter(|message| message.expires_at_ms > now_ms) {
                let Way { grant, origin } = way_now(way);
                self.clients.enqueue(session, grant, origin, &message);
            }
        }
        self.restore_deadlines(now_ms, session, kept, messages.clock);
        self.clients
            .sessions
            .charge(session, &mut self.clients.memory.lease);
    }

    fn restore_subscription(
        &mut self,
        session: SessionId,
        share: Option<&str>,
        filter: &str,
        options: EntryOptions,
    ) {
        let reach = self.routing.subscriptions.reach_of(filter);
        if let Some(group) = share {
            let subscription = SharedSubscription {
                group: group.into(),
                filter: filter.into(),
                reach,
            };
            self.clients
                .change_session(session, |entry| entry.join_shared(subscription, options));
        } else {
            // Nobody waits: nothing is published before all shards know of all filters.
            let entry = Entry::session(session, options);
            let waiter = Waiter::Subscribe(0);
            let (id, ..) = self.subscribe_filter(filter, entry, waiter);
            self.clients
                .change_session(session, |entry| entry.subscribe(id, filter, options));
        }
        self.clients.desk.counters.subscriptions += 1;
        let shares = &mut self.clients.memory.shares;
        let party = shares.party(session);
        shares.reached.add(session, party, reach);
        self.charge_subscriptions();
    }

    /// Who was there when the run ended is away from now on.
    fn restore_deadlines(
        &mut self,
        now_ms: u64,
        session: SessionId,
        kept: &SessionRead,
        clock: WallClock,
    ) {
        let longest_s = self.clients.desk.settings.persistent_client_expiration;
        let ends_at_ms = match (kept.is_there, kept.expiry_s, longest_s) {
            (false, ..) => clock.broker_ms(kept.ends_at.map(UnixMs)),
            (true, EXPIRY_NEVER, Some(longest_s)) => now_ms + longest_s * 1000,
            (true, EXPIRY_NEVER, None) => u64::MAX,
            (true, expiry_s, _) => now_ms + u64::from(expiry_s) * 1000,
        };
        let will = kept.will.as_ref();
        let will_due_ms = match will.and_then(|will| will.due_at) {
            Some(at) => clock.broker_ms(Some(UnixMs(at))),
            None => now_ms + will.map_or(0, |will| u64::from(will.delay_s) * 1000),
        };
        if let Some(mut entry) = self.clients.sessions.change(session) {
            entry.leave_alone(ends_at_ms, will_due_ms);
            let next_ms = entry.next_deadline_ms();
            self.clients.arm_session(session, next_ms);
        }
    }
}

fn will_of(will: &WillRead) -> Will {
    Will {
        message: will.message.clone(),
        delay_s: will.delay_s,
        due_ms: u64::MAX,
        expiry_s: will.expiry_s,
    }
}

impl Clients {
    /// Whose the session is: the rules are those that its listener has now.
    fn restore_owner(&mut self, session: SessionId, kept: &SessionRead) {
        let Some((user, listener)) = &kept.owner else {
            return;
        };
        let listener = ListenerName::new(&**listener);
        let settings = self.desk.settings.clone();
        let known = settings.listener_named(&listener);
        let known = known.and_then(|index| settings.listeners.get(usize::from(index)));
        // Without a password a name proves nothing. The address of a stranger is not known any more.
        let proves =
            known.is_some_and(|known| known.passwords.is_some() || known.identity_from_certificate);
        let listener = known.map_or(listener, |known| known.name.clone());
        if let Some(user) = user.as_deref().filter(|_| proves) {
            self.memory.shares.join(session, party_of_user(user));
        }
        self.sessions.identify(session, user.as_deref(), &listener);
        self.sessions
            .keep_owner(session, user.as_deref(), &listener);
        self.sessions.guard_absent(session, &settings);
    }

    /// What was in flight keeps its identifiers.
    fn restore_in_flight(
        &mut self,
        session: SessionId,
        kept: &SessionRead,
        messages: &mut Messages<'_>,
    ) {
        for one in kept.in_flight() {
            self.order = self.order.max(one.order);
            let message = one.number.and_then(|number| messages.get(number));
            let (frame, way) = ((one.id, one.order), way_now(one.way));
            let lease = &mut self.memory.lease;
            let Some(mut entry) = self.sessions.change(session) else {
                return;
            };
            if !entry.take_up(frame, way, message.clone(), lease) {
                continue;
            }
            if one.is_received {
                entry.received(one.id);
            }
            if let Some(message) = &message {
                self.memory.store(message);
            }
        }
        // The right to read is asked again before anything is sent again.
        self.doubt(session);
    }
}
