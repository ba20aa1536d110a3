//! SUBSCRIBE and UNSUBSCRIBE (MQTT 5, 3.8 and 3.10): into the routing table at once, answered when all shards know,
//! retained messages behind the answer.

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::facts::Answer;
use crate::broker::interest::barrier::{RESTORES, Waiter};
use crate::broker::interest::reach::is_plain;
use crate::broker::interest::requested::RequestedFilter;
use crate::broker::interest::suback::Suback;
use crate::broker::outcome::Outcome;
use crate::broker::sessions::change::Change;
use crate::broker::settings::LogKind;
use crate::broker::waits::{Over, Then, WaitOf};
use crate::escape::Name;
use crate::ids::{ConnId, SessionId};
use crate::journal::Protection;
use crate::limits;
use crate::mqtt::{
    ReasonCode, SubackOut, Subscribe, SubscribeOptions, UnsubackOut, Unsubscribe, Version,
};
use crate::routing::{Entry, EntryOptions, Target};
use crate::session::SharedSubscription;

/// A SUBSCRIBE that is being handled.
struct Asked {
    session: SessionId,
    conn: ConnId,
    /// Of the wait for its SUBACK.
    ticket: u32,
    /// The subscription identifier; 0 for none.
    id: u32,
}

impl Broker {
    /// SUBSCRIBE has come from a client.
    pub(in crate::broker) fn on_subscribe(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        subscribe: &Subscribe<'_>,
    ) -> Outcome {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return Outcome::Done;
        };
        let Some(reference) = self.clients.sessions.reference(session) else {
            return Outcome::Done;
        };
        let suback = Then::Suback(Suback::new(conn, subscribe.packet_id));
        let ticket = self.waits.open(WaitOf::Session(reference), suback);
        let asked = Asked {
            session,
            conn,
            ticket,
            id: subscribe.subscription_id.unwrap_or(0),
        };
        let mut levels = 0;
        for (index, (filter, options)) in subscribe.filters().enumerate() {
            levels += self.count_levels(filter);
            if index == limits::FILTERS_PER_PACKET_MAX || levels > limits::LEVELS_PER_PACKET_MAX {
                self.waits.end(&mut self.clients.memory.lease, ticket);
                return Outcome::End(ReasonCode::QUOTA_EXCEEDED);
            }
            let filter = RequestedFilter::new(filter, self.clients.listener(conn));
            let role = self.clients.peers.conns[conn.index()].role();
            let options = role.options(options, filter.share_name().is_some());
            if let Err(reason) = self.subscribe_one(now_ms, &asked, &filter, options) {
                self.waits.end(&mut self.clients.memory.lease, ticket);
                return Outcome::End(reason);
            }
            self.clients.log_client(LogKind::Subscribe, conn, |client| {
                format!("{client} {} {}", options.qos as u8, Name(filter.text()))
            });
        }
        self.subscribe_step_done(now_ms, ticket);
        if self.waits.then(ticket).is_some() {
            let line = self.waits.owe(conn);
            self.suback(ticket, |suback| suback.line = line);
            self.waits.charge(&mut self.clients.memory.lease, ticket);
        }
        Outcome::Done
    }

    /// Takes note of the work that a filter is; returns its levels.
    fn count_levels(&mut self, filter: &str) -> usize {
        let levels = 1 + filter.bytes().filter(|&byte| byte == b'/').count();
        self.clients.memory.turn.count_levels(levels);
        levels
    }

    /// One filter of a SUBSCRIBE.
    fn subscribe_one(
        &mut self,
        now_ms: u64,
        asked: &Asked,
        requested: &RequestedFilter<'_>,
        options: SubscribeOptions,
    ) -> Result<(), ReasonCode> {
        let &Asked {
            session,
            conn,
            ticket,
            id,
        } = asked;
        let entry =
            EntryOptions::with_qos(options.qos.min(self.clients.listener(conn).maximum_qos()))
                .with_no_local(options.no_local)
                .with_retain_as_published(options.retain_as_published)
                .with_id(id);
        let unkept = self
            .is_unkept_subscription(conn)
            .then_some(ReasonCode::QUOTA_EXCEEDED);
        let refused =
            unkept.or_else(|| self.refuses_subscription(now_ms, session, conn, requested));
        if let Some(reason) = refused {
            if self.clients.peers.conns[conn.index()].version() == Version::V31 {
                return Err(reason); // its SUBACK knows no error
            }
            self.suback(ticket, |suback| suback.reasons.push(reason));
            return Ok(());
        }
        let granted = ReasonCode(entry.qos() as u8);
        self.suback(ticket, |suback| suback.reasons.push(granted));
        let filter: Box<str> = requested.filter().into();
        // Before it is in the tree; that of a group which another shard owns comes there later.
        let reach = self.routing.subscriptions.reach_of(&filter);
        let is_new = if let Some(group) = requested.share_name() {
            let subscription = SharedSubscription {
                group: group.into(),
                filter,
                reach,
            };
            self.waits.await_more(ticket, 1);
            self.join_shared(now_ms, session, subscription, entry, ticket)
        } else {
            let retain_handling = options.retain_handling;
            self.subscribe_own(session, filter, entry, retain_handling, ticket)
        };
        if is_new {
            let shares = &mut self.clients.memory.shares;
            let party = shares.party(session);
            shares.reached.add(session, party, reach);
            self.charge_subscriptions();
        }
        Ok(())
    }

    /// A session subscribes to a filter, not by a shared subscription. Returns whether it had not.
    fn subscribe_own(
        &mut self,
        session: SessionId,
        filter: Box<str>,
        entry: EntryOptions,
        retain_handling: u8,
        ticket: u32,
    ) -> bool {
        let (id, is_new, waits) = self.subscribe_filter(
            &filter,
            Entry::session(session, entry),
            Waiter::Subscribe(ticket),
        );
        self.clients.desk.counters.subscriptions += u64::from(is_new);
        self.clients.change_session(session, |change| match is_new {
            true => change.subscribe(id, &filter, entry),
            false => change.resubscribe(&filter, entry),
        });
        let wants_retained = retain_handling == 0 || (retain_handling == 1 && is_new);
        let replays = wants_retained && self.clients.desk.settings.retain_available;
        self.waits.await_more(ticket, u32::from(waits));
        if replays {
            self.suback(ticket, |suback| suback.replays.push((filter, entry)));
        }
        is_new
    }

    /// Why a client may not subscribe to a filter.
    fn refuses_subscription(
        &mut self,
        now_ms: u64,
        session: SessionId,
        conn: ConnId,
        requested: &RequestedFilter<'_>,
    ) -> Option<ReasonCode> {
        if let Some(reason) = self.refuses_filter(now_ms, conn, requested) {
            return Some(reason);
        }
        let reason = ReasonCode::QUOTA_EXCEEDED;
        let is_too_many = self.is_one_too_many(session, requested)
            || self.leads_too_far(now_ms, session, requested.filter());
        let (own, shared) = self.subscriptions_of(session);
        let memory = &self.clients.memory;
        let is_short = memory.is_short_for_filter(session, requested.text(), own + shared)
            && !self.has_filter(session, requested);
        self.clients.desk.counters.subscriptions_short += u64::from(is_short);
        (is_too_many || is_short).then(|| {
            self.note_refused_subscription(now_ms, conn, requested, reason);
            reason
        })
    }

    /// Whether a session has as many subscriptions as it may have, and this is not one of them: those are replaced
    /// (MQTT-3.8.4-3).
    fn is_one_too_many(&mut self, session: SessionId, requested: &RequestedFilter<'_>) -> bool {
        let most = self.clients.desk.settings.quotas.subscriptions as usize;
        let (plain, shared) = self.subscriptions_of(session);
        let is_full = match requested.share_name() {
            _ if most > 0 && plain + shared >= most => true,
            Some(_) => shared >= limits::SHARED_SUBSCRIPTIONS_MAX,
            None => plain >= limits::SUBSCRIPTIONS_MAX,
        };
        is_full && !self.has_filter(session, requested)
    }

    /// How many subscriptions of its own, and shared ones, a session has.
    pub(in crate::broker) fn subscriptions_of(&mut self, session: SessionId) -> (usize, usize) {
        self.clients.sessions.get(session).map_or((0, 0), |entry| {
            (entry.subscriptions().len(), entry.shared().len())
        })
    }

    /// Whether with this filter a topic would lead to more nodes of the tree than it may. Other shards have the same filters.
    fn leads_too_far(&mut self, now_ms: u64, session: SessionId, filter: &str) -> bool {
        let (plain, shared) = self.subscriptions_of(session);
        let max = match plain + shared < limits::MATCH_RESERVE_SUBSCRIPTIONS {
            true => 2 * limits::MATCH_NODES_MAX,
            false => limits::MATCH_NODES_MAX,
        };
        if !self.reaches_beyond(session, filter, max) || is_plain(filter) {
            return false;
        }
        let routing = &mut self.routing;
        let rest = routing.subscriptions.nodes() / limits::MATCH_TIGHTEN_NODES;
        if now_ms < routing.tightened_ms + limits::MATCH_TIGHTEN_MS.max(rest)
            || !routing.subscriptions.tighten()
        {
            return true;
        }
        routing.tightened_ms = now_ms;
        self.reaches_beyond(session, filter, max)
    }

    /// Whether a filter makes it more what a topic can lead to, and that is more than `max`, or more than its client may have
    /// of it: a session as much as is left, and all sessions of a user or an address together twice that.
    fn reaches_beyond(&self, session: SessionId, filter: &str, max: u32) -> bool {
        let subscriptions = &self.routing.subscriptions;
        if !subscriptions.reaches_too_far(filter, max / limits::MATCH_SHARED_DIVISOR) {
            return false;
        }
        let left = max.saturating_sub(subscriptions.reach());
        let shares = &self.clients.memory.shares;
        let (by_session, by_party) = shares.reached.of(session, shares.party(session));
        by_session > left || by_party / 2 > left || subscriptions.reaches_too_far(filter, max)
    }

    /// Whether a session has this subscription already.
    fn has_filter(&mut self, session: SessionId, requested: &RequestedFilter<'_>) -> bool {
        if requested.share_name().is_none() {
            return self.has_subscribed(session, requested.filter());
        }
        let entry = self.clients.sessions.get(session);
        let mut shared = entry.into_iter().flat_map(|entry| entry.shared());
        shared.any(|known| requested.is(known))
    }

    /// Whether a session has a subscription to a filter, not a shared one.
    pub(in crate::broker) fn has_subscribed(&self, session: SessionId, filter: &str) -> bool {
        let subscriptions = &self.routing.subscriptions;
        subscriptions
            .find(filter)
            .and_then(|id| subscriptions.entry(id, Target::Session(session)))
            .is_some()
    }

    fn suback(&mut self, ticket: u32, change: impl FnOnce(&mut Suback)) {
        if let Some(Then::Suback(suback)) = self.waits.then(ticket) {
            change(suback);
        }
    }

    /// One of the things that a SUBSCRIBE waits for has happened; after the last one it is answered.
    pub(in crate::broker) fn subscribe_step_done(&mut self, now_ms: u64, ticket: u32) {
        if ticket == RESTORES {
            self.restoring = self.restoring.saturating_sub(1);
            return;
        }
        let (lease, sessions) = (&mut self.clients.memory.lease, &self.clients.sessions);
        let over = self.waits.answer(lease, sessions, ticket);
        let Some(Over {
            then: Then::Suback(suback),
            session: Some(session),
        }) = over
        else {
            return;
        };
        let (conn, line) = (suback.conn, suback.line);
        if line == 0 || self.waits.is_owed(conn, line) {
            self.answer_subscribe(&suback);
        }
        // Also when the client has gone: the subscription is there, and the rest of it follows when the client is back.
        self.want_replays(now_ms, session, suback.replays);
        if self.waits.pay(&mut self.clients.memory.lease, conn, line) {
            self.go_on_waiting(now_ms, conn);
        }
    }

    fn answer_subscribe(&mut self, pending: &Suback) {
        let version = self.clients.peers.conns[pending.conn.index()].version();
        let suback = SubackOut {
            packet_id: pending.packet_id,
            reasons: &pending.reasons,
        };
        let (conn, id) = (pending.conn, pending.packet_id);
        self.clients.tell_answer(conn, Answer::Suback(id));
        self.answer_client(pending.conn, Protection::SubackHeld, |out| {
            suback.encode(version, out)
        });
        self.clients.flush_replies_to(pending.conn);
    }

    /// UNSUBSCRIBE has come from a client.
    pub(in crate::broker) fn on_unsubscribe(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        unsubscribe: &Unsubscribe<'_>,
    ) -> Outcome {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return Outcome::Done;
        };
        let mut reasons: SmallVec<[ReasonCode; 4]> = SmallVec::new();
        // Each is looked for among those that the session has.
        let search = self.subscriptions_of(session).0 / limits::FILTERS_SEARCHED_PER_LEVEL;
        let mut levels = 0;
        for (index, filter) in unsubscribe.filters().enumerate() {
            self.clients.memory.turn.count_levels(search);
            levels += self.count_levels(filter);
            if index == limits::FILTERS_PER_PACKET_MAX || levels > limits::LEVELS_PER_PACKET_MAX {
                return Outcome::End(ReasonCode::QUOTA_EXCEEDED);
            }
            let filter = RequestedFilter::new(filter, self.clients.listener(conn));
            let was_there = match filter.share_name() {
                Some(_) => self.unsubscribe_shared(now_ms, session, &filter),
                None => self.unsubscribe_one(session, filter.filter()),
            };
            reasons.push(if was_there {
                ReasonCode::SUCCESS
            } else {
                ReasonCode::NO_SUBSCRIPTION_EXISTED
            });
            self.clients
                .log_client(LogKind::Unsubscribe, conn, |client| {
                    format!("{client} {}", Name(filter.text()))
                });
        }
        let version: Version = self.clients.peers.conns[conn.index()].version();
        let unsuback = UnsubackOut {
            packet_id: unsubscribe.packet_id,
            reasons: &reasons,
        };
        let id = unsubscribe.packet_id;
        self.clients.tell_answer(conn, Answer::Unsuback(id));
        self.answer_client(conn, Protection::UnsubackHeld, |out| {
            unsuback.encode(version, out)
        });
        Outcome::Done
    }

    fn unsubscribe_one(&mut self, session: SessionId, filter: &str) -> bool {
        let Some(id) = self.routing.subscriptions.find(filter) else {
            return false;
        };
        let reach = self.routing.subscriptions.reach();
        if !self.unsubscribe_filter(id, Target::Session(session)) {
            return false;
        }
        let reach = reach.saturating_sub(self.routing.subscriptions.reach());
        self.clients
            .change_session(session, |entry| entry.unsubscribe(id, filter));
        self.give_reach_back(session, reach);
        true
    }

    fn unsubscribe_shared(
        &mut self,
        now_ms: u64,
        session: SessionId,
        requested: &RequestedFilter<'_>,
    ) -> bool {
        let leave = |entry: &mut Change<'_>| entry.leave_shared(|known| requested.is(known));
        let Some(subscription) = self.clients.change_session(session, leave).flatten() else {
            return false;
        };
        self.give_reach_back(session, subscription.reach);
        self.leave_group(now_ms, session, subscription);
        true
    }
}
