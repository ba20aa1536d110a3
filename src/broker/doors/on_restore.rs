//! A start: what the run before has left is taken up, by the same changes by which it came about, so that it is told again to
//! whoever keeps it.
//!
//! Which shard held something does not matter: each shard takes what is its own of what any shard has left. The clients of all sessions
//! are away.

use std::collections::BTreeMap;
use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::delivery::overlap::Overlap;
use crate::broker::interest::barrier::{RESTORES, Waiter};
use crate::broker::memory::party::party_of_user;
use crate::broker::placement::owner_of_topic;
use crate::broker::wall_clock::{UnixMs, WallClock};
use crate::broker::{Broker, home};
use crate::chunk::Chunk;
use crate::ids::SessionId;
use crate::journal::{Deed, HeldRead, InFlightRead, Ledger, Legacy, SessionRead, Undone, WillRead};
use crate::mqtt::author::ListenerName;
use crate::mqtt::message::Message;
use crate::prefetch::prefetch_for_write;
use crate::routing::{Entry, EntryOptions, Store};
use crate::session::{Origin, SharedSubscription, Way, Will};

/// How many messages ahead one is asked for from memory, and then what it says: some hundred nanoseconds before it is needed.
const MESSAGE_AHEAD: u64 = 16;
const TEXTS_AHEAD: u64 = 8;

/// Sessions in a list of which the memory is kept for the next one.
const LIST_SPARE: usize = 64;

/// The messages of a ledger by the clock of this run, each made once: one that does not expire is the ledger's own.
struct Messages<'a> {
    ledger: &'a Ledger,
    clock: WallClock,
    /// Those that expire.
    known: HashMap<u64, Arc<Message>, FixedState>,
}

/// By session: the shard of the run before where it lived.
type Homes = HashMap<SessionId, u8, FixedState>;

impl<'a> Messages<'a> {
    fn of(ledger: &'a Ledger, clock: WallClock) -> Self {
        Messages {
            ledger,
            clock,
            known: HashMap::default(),
        }
    }

    fn get(&mut self, number: u64) -> Option<Arc<Message>> {
        let kept = self.ledger.message(number)?;
        let Some(expires_at) = kept.expires_at() else {
            return Some(kept.message.clone());
        };
        let known = self.known.entry(number).or_insert_with(|| {
            Arc::new(Message {
                expires_at_ms: self.clock.broker_ms(Some(UnixMs(expires_at))),
                ..Message::clone(&kept.message)
            })
        });
        Some(known.clone())
    }
}

impl Messages<'_> {
    /// The message of this number is at hand: those behind it come from memory meanwhile. There are millions, none of which the
    /// processor has seen for long.
    fn foresee(&self, number: u64) {
        if let Some(kept) = self.ledger.message(number.saturating_add(MESSAGE_AHEAD)) {
            let message = Arc::as_ptr(&kept.message);
            prefetch_for_write(message);
            prefetch_for_write(message.wrapping_add(1));
        }
        if let Some(kept) = self.ledger.message(number.saturating_add(TEXTS_AHEAD)) {
            prefetch_for_write(kept.message.payload.as_ptr());
            prefetch_for_write(kept.message.topic.as_ptr());
        }
    }

    /// Whether there was no room for a message when it was read.
    fn is_left_out(&self, number: u64) -> bool {
        self.ledger.is_left_out(number)
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
    /// The run before has left this. To be called once, before the first event; the journal and the wall clock are known by then.
    /// What does not fit the memory or the bounds that hold now is dropped, and counted.
    ///
    /// No client is to be let in, and nothing that is due to be done, before no shard `is_restoring` any more: what is published sooner
    /// could miss subscriptions of other shards.
    /// Chunks that are written meanwhile go to `hand_over`.
    pub fn on_restore(&mut self, now_ms: u64, legacy: &Legacy, hand_over: &mut dyn FnMut(Chunk)) {
        self.restored_ms = Some(now_ms);
        let mut homes = Homes::default();
        for (shard, ledger) in legacy.ledgers().enumerate() {
            self.restore_ledger(now_ms, (shard as u8, ledger), &mut homes, hand_over);
        }
        self.restore_in_transit(now_ms, legacy, &homes);
        self.end_event(now_ms);
    }

    /// Whether other shards do not know yet what this one subscribes to.
    pub fn is_restoring(&self) -> bool {
        self.restoring > 0
    }

    fn restore_ledger(
        &mut self,
        now_ms: u64,
        (shard, ledger): (u8, &Ledger),
        homes: &mut Homes,
        hand_over: &mut dyn FnMut(Chunk),
    ) {
        let clock = self.clients.sessions.facts().clock();
        let mut messages = Messages::of(ledger, clock);
        let (own, shards) = (self.clients.desk.shard, self.clients.desk.shards);
        let retained = ledger.retained();
        let retained =
            retained.filter(|(_, kept)| owner_of_topic(&kept.message.topic, shards) == own);
        let mut numbers: Vec<u64> = retained.map(|(number, _)| number).collect();
        numbers.sort_unstable();
        for number in numbers {
            if let Some(message) = messages.get(number) {
                self.restore_retained(now_ms, message);
                self.hand_over_full(now_ms, hand_over);
            }
        }
        for topic in ledger.retained_left_out() {
            self.restore_without(topic);
        }
        let sessions = ledger.sessions();
        let mut sessions: Vec<_> = sessions
            .filter(|(_, kept)| home(&kept.client_id, shards) == own)
            .collect();
        sessions.sort_unstable_by_key(|&(number, _)| number);
        for (_, kept) in ledger.sessions() {
            self.clients.sessions.begin_serials_after(kept.serial);
        }
        let mut restored = Vec::with_capacity(sessions.len());
        for (_, kept) in sessions {
            if let Some(session) = self.restore_session(now_ms, kept) {
                homes.insert(session, shard);
                restored.push((session, kept));
                self.hand_over_full(now_ms, hand_over);
            }
        }
        self.restore_held(now_ms, &restored, &mut messages, hand_over);
        for (session, kept) in restored {
            // The right to read is asked again before anything is sent: other rules may hold now.
            self.clients.doubt(session);
            self.restore_deadlines(now_ms, session, kept, clock);
            let lease = &mut self.clients.memory.lease;
            self.clients.sessions.charge(session, lease);
        }
    }

    /// What the sessions hold, message by message: what many of them have is in one list for all, and written once.
    fn restore_held(
        &mut self,
        now_ms: u64,
        restored: &[(SessionId, &SessionRead)],
        messages: &mut Messages<'_>,
        hand_over: &mut dyn FnMut(Chunk),
    ) {
        let held = restored.iter().map(|(session, kept)| {
            let held = kept.held().peekable();
            (*session, held)
        });
        let mut held: Vec<_> = held.collect();
        // Those whose next message has this number.
        let mut next = BTreeMap::<u64, Vec<usize>>::new();
        for (at, (_, held)) in held.iter_mut().enumerate() {
            if let Some(first) = held.peek() {
                next.entry(first.number()).or_default().push(at);
            }
        }
        // Memory of lists, which most messages have of their own.
        let mut spare = Vec::new();
        while let Some((number, mut sessions)) = next.pop_first() {
            messages.foresee(number);
            for at in sessions.drain(..) {
                let (session, held) = &mut held[at];
                match held.next() {
                    Some(HeldRead::InFlight(one)) => {
                        let number = one.number;
                        let is_left_out = number.is_some_and(|number| messages.is_left_out(number));
                        self.count_left_out(is_left_out);
                        self.clients.restore_in_flight(*session, &one, messages);
                    }
                    Some(HeldRead::Waiting(number, way)) => {
                        let message = messages.get(number);
                        self.count_left_out(message.is_none() && messages.is_left_out(number));
                        self.restore_waiting(now_ms, *session, message, way);
                    }
                    None => {}
                }
                if let Some(following) = held.peek() {
                    let same = next.entry(following.number());
                    let same = same.or_insert_with(|| spare.pop().unwrap_or_default());
                    same.push(at);
                }
            }
            if sessions.capacity() <= LIST_SPARE && spare.len() < restored.len() {
                spare.push(sessions);
            }
            self.hand_over_full(now_ms, hand_over);
        }
    }

    /// A message of a session that there was no room for is dropped for it.
    fn count_left_out(&mut self, is_left_out: bool) {
        let counters = &mut self.clients.desk.counters;
        counters.publish_dropped += u64::from(is_left_out);
        counters.backlog_refused += u64::from(is_left_out);
    }

    fn restore_waiting(
        &mut self,
        now_ms: u64,
        session: SessionId,
        message: Option<Arc<Message>>,
        way: Way,
    ) {
        if let Some(message) = message.filter(|message| message.expires_at_ms > now_ms) {
            let Way { grant, origin } = way_now(way);
            self.clients.enqueue(session, grant, origin, &message);
        }
    }

    /// What was taken up is written anew; it need not all be in memory twice.
    fn hand_over_full(&mut self, now_ms: u64, hand_over: &mut dyn FnMut(Chunk)) {
        let Some(journal) = self.clients.sessions.facts().journal() else {
            return;
        };
        while let Some(chunk) = journal.next_full_chunk() {
            hand_over(chunk);
            // Who reads a turn has it in memory until it ends.
            journal.end_turn(now_ms, std::iter::empty());
        }
    }

    /// A session without what it holds.
    fn restore_session(&mut self, now_ms: u64, kept: &SessionRead) -> Option<SessionId> {
        // No bound keeps out who was let in; with all that there can be, those that came first stay.
        if !self.clients.memory.lease.enter(0) {
            return None;
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
            self.restore_subscription(now_ms, session, (share.as_deref(), filter), options);
        }
        for &id in &kept.inbound {
            self.clients
                .change_session(session, |entry| entry.store_inbound(id));
        }
        Some(session)
    }

    fn restore_subscription(
        &mut self,
        now_ms: u64,
        session: SessionId,
        (share, filter): (Option<&str>, &str),
        options: EntryOptions,
    ) {
        let reach = self.routing.subscriptions.reach_of(filter);
        if let Some(group) = share {
            let subscription = SharedSubscription {
                group: group.into(),
                filter: filter.into(),
                reach,
            };
            self.restoring += 1;
            self.join_shared_absent(now_ms, session, subscription, options);
        } else {
            let entry = Entry::session(session, options);
            let waiter = Waiter::Subscribe(RESTORES);
            let (id, _, waits) = self.subscribe_filter(filter, entry, waiter);
            self.restoring += u32::from(waits);
            self.clients
                .change_session(session, |entry| entry.subscribe(id, filter, options));
            self.clients.desk.counters.subscriptions += 1;
        }
        let shares = &mut self.clients.memory.shares;
        let party = shares.party(session);
        shares.reached.add(session, party, reach);
        self.charge_subscriptions();
    }

    /// What was on its way between shards is done now. Who was published to has been given it on all other shards.
    fn restore_in_transit(&mut self, now_ms: u64, legacy: &Legacy, homes: &Homes) {
        let clock = self.clients.sessions.facts().clock();
        let ledgers = legacy.ledgers();
        let mut messages: Vec<_> = ledgers.map(|ledger| Messages::of(ledger, clock)).collect();
        for Undone { from, number, deed } in legacy.undone() {
            let Some(message) = messages[usize::from(from)].get(number) else {
                let topic = legacy.ledger(from).and_then(|ledger| ledger.topic(number));
                topic
                    .into_iter()
                    .for_each(|topic| self.restore_without(topic));
                continue;
            };
            let has_expired = message.expires_at_ms <= now_ms;
            match deed {
                // Also then it has replaced what was retained before.
                Deed::Retain => self.restore_retained(now_ms, message),
                _ if has_expired => {}
                Deed::Deliver { shards } => self.restore_delivery(now_ms, homes, shards, &message),
                Deed::Share { client_id, options } => {
                    if let Some(session) = self.clients.sessions.find(client_id) {
                        let mut outgoing = Outgoing::shared(&message, now_ms);
                        self.clients.deliver(session, options, &mut outgoing);
                    }
                }
            }
        }
    }

    /// A retained message of this topic is dropped, as there was no room for it when it was read. What it took the place of is no longer
    /// true.
    fn restore_without(&mut self, topic: &str) {
        let (own, shards) = (self.clients.desk.shard, self.clients.desk.shards);
        if owner_of_topic(topic, shards) == own {
            self.forget_retained(topic);
            self.clients.desk.counters.retained_refused += 1;
        }
    }

    fn restore_retained(&mut self, now_ms: u64, message: Arc<Message>) {
        let (own, shards) = (self.clients.desk.shard, self.clients.desk.shards);
        if owner_of_topic(&message.topic, shards) == own {
            let seq = self.stores.next(own);
            self.store_retained(now_ms, message, Store::new(own, seq), false);
        }
    }

    /// A message was on its way to the sessions of these shards.
    fn restore_delivery(
        &mut self,
        now_ms: u64,
        homes: &Homes,
        shards: u64,
        message: &Arc<Message>,
    ) {
        let mut matched = SmallVec::new();
        let subscriptions = &mut self.routing.subscriptions;
        subscriptions.matching(&message.topic, &mut matched);
        let mut overlap = Overlap::default();
        let entries = matched
            .iter()
            .flat_map(|&filter| subscriptions.entries(filter));
        for entry in entries {
            if let Some(session) = entry.as_session()
                && let Some(home) = homes.get(&session)
                && shards >> home & 1 != 0
            {
                overlap.add(session, entry.options());
            }
        }
        let mut outgoing = Outgoing::shared(message, now_ms);
        self.clients.deliver_once(overlap, &mut outgoing);
    }

    /// Who was there when the run ended is away from now on. Nobody is away for longer than if it had gone now: a wall clock that was set
    /// back would have sessions and wills wait for as long as that.
    fn restore_deadlines(
        &mut self,
        now_ms: u64,
        session: SessionId,
        kept: &SessionRead,
        clock: WallClock,
    ) {
        let settings = &self.clients.desk.settings;
        let from_now_ms = settings.absence_ends_ms(now_ms, kept.expiry_s);
        let ends_at_ms = match (kept.is_there, kept.ends_at) {
            (true, _) => from_now_ms,
            (false, None) => u64::MAX,
            (false, Some(at)) => clock.broker_ms(Some(UnixMs(at))).min(from_now_ms),
        };
        let will = kept.will.as_ref();
        let from_now_ms = now_ms + will.map_or(0, |will| u64::from(will.delay_s) * 1000);
        let will_due_ms = match will.and_then(|will| will.due_at) {
            Some(at) => clock.broker_ms(Some(UnixMs(at))).min(from_now_ms),
            None => from_now_ms,
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
        one: &InFlightRead,
        messages: &mut Messages<'_>,
    ) {
        self.order = self.order.max(one.order);
        let message = one.number.and_then(|number| messages.get(number));
        let (frame, way) = ((one.id, one.order), way_now(one.way));
        let lease = &mut self.memory.lease;
        let Some(mut entry) = self.sessions.change(session) else {
            return;
        };
        if !entry.take_up(frame, way, message.clone(), lease) {
            return;
        }
        if one.is_received {
            entry.received(one.id);
        }
        if let Some(message) = &message {
            self.memory.store(message);
        }
    }
}
