//! Shared subscriptions (MQTT 5, 4.8.2): owned by one shard each (docs/decisions/0407), which chooses the member that
//! gets a message; the member's home delivers it, or returns it for another.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::groups::message::{Refusal, SharedMessage};
use crate::broker::interest::barrier::{RESTORES, Waiter};
use crate::broker::mesh_message::MeshMessage;
use crate::broker::placement::owner_of_group;
use crate::broker::sessions::change::Change;
use crate::ids::{GroupId, SessionId, ShardId};
use crate::mqtt::message::Message;
use crate::mqtt::topic;
use crate::routing::{Entry, EntryOptions, Member, Target};
use crate::session::{Origin, SharedSubscription};

impl Broker {
    /// A session of this shard joins; `ticket` is answered when the barrier has passed. Returns whether it was no member yet.
    pub(in crate::broker) fn join_shared(
        &mut self,
        now_ms: u64,
        session: SessionId,
        subscription: SharedSubscription,
        options: EntryOptions,
        ticket: u32,
    ) -> bool {
        self.join_as(now_ms, (session, true), subscription, options, ticket)
    }

    /// A session of this shard joins again, at a start: its client is away, and nobody waits.
    pub(in crate::broker) fn join_shared_absent(
        &mut self,
        now_ms: u64,
        session: SessionId,
        subscription: SharedSubscription,
        options: EntryOptions,
    ) {
        self.join_as(now_ms, (session, false), subscription, options, RESTORES);
    }

    fn join_as(
        &mut self,
        now_ms: u64,
        (session, online): (SessionId, bool),
        subscription: SharedSubscription,
        options: EntryOptions,
        ticket: u32,
    ) -> bool {
        let SharedSubscription { group, filter, .. } = subscription.clone();
        let (group, filter) = (&*group, &*filter);
        let join = |entry: &mut Change<'_>| {
            let is_new = entry.join_shared(subscription, options);
            (entry.serial(), entry.is_durable(), is_new)
        };
        let Some((serial, is_durable, is_new)) = self.clients.change_session(session, join) else {
            return false;
        };
        self.clients.desk.counters.shared_subscriptions += u64::from(is_new);
        let member = Member {
            shard: self.clients.desk.shard,
            session,
            serial,
            options,
            online,
            durable: is_durable,
        };
        self.routing.guests.join(group, filter, member);
        let message = SharedMessage::Join {
            group: group.into(),
            filter: filter.into(),
            member,
            ticket,
        };
        self.tell_owner(now_ms, group, filter, message);
        is_new
    }

    /// A session of this shard leaves one.
    pub(in crate::broker) fn leave_group(
        &mut self,
        now_ms: u64,
        session: SessionId,
        subscription: SharedSubscription,
    ) {
        self.clients.desk.counters.shared_subscriptions -= 1;
        let SharedSubscription { group, filter, .. } = subscription;
        let own = self.clients.desk.shard;
        self.routing.guests.leave(&group, &filter, own, session);
        let message = SharedMessage::Leave {
            group: group.clone(),
            filter: filter.clone(),
            session,
        };
        self.tell_owner(now_ms, &group, &filter, message);
    }

    /// A client has gone: it leaves its shared subscriptions if the session `ends`, else it is only away. What waits
    /// for it goes back to be given to other members; so does what is in flight, if the session ends.
    pub(in crate::broker) fn leave_shared(&mut self, now_ms: u64, session: SessionId, ends: bool) {
        let leave = |entry: &mut Change<'_>| match ends {
            true => entry.leave_all_shared(),
            false => entry.shared().to_vec(),
        };
        let Some(subscriptions) = self.clients.change_session(session, leave) else {
            return;
        };
        let taken = self.clients.take_shared(session, ends);
        for subscription in subscriptions {
            if ends {
                self.leave_group(now_ms, session, subscription);
            } else {
                self.tell_online(now_ms, session, &subscription, false);
            }
        }
        for (origin, message) in taken {
            self.return_shared(now_ms, origin, session, message, Refusal::Gone);
        }
    }

    /// A client has come back.
    pub(in crate::broker) fn rejoin_shared(&mut self, now_ms: u64, session: SessionId) {
        let Some(entry) = self.clients.sessions.get(session) else {
            return;
        };
        for subscription in entry.shared().to_vec() {
            self.tell_online(now_ms, session, &subscription, true);
        }
    }

    fn tell_online(
        &mut self,
        now_ms: u64,
        session: SessionId,
        subscription: &SharedSubscription,
        online: bool,
    ) {
        let SharedSubscription { group, filter, .. } = subscription.clone();
        let (own, guests) = (self.clients.desk.shard, &mut self.routing.guests);
        guests.set_online(&group, &filter, own, session, online);
        let message = SharedMessage::Online {
            group: group.clone(),
            filter: filter.clone(),
            session,
            online,
        };
        self.tell_owner(now_ms, &group, &filter, message);
    }

    fn tell_owner(&mut self, now_ms: u64, group: &str, filter: &str, message: SharedMessage) {
        let owner = owner_of_group(group, filter, self.clients.desk.shards);
        self.tell_shard(now_ms, owner, message);
    }

    pub(in crate::broker) fn tell_shard(
        &mut self,
        now_ms: u64,
        to: ShardId,
        message: SharedMessage,
    ) {
        if to == self.clients.desk.shard {
            self.on_shared(now_ms, to, message);
        } else {
            let message = Box::new(message);
            let is_written = self.clients.sessions.facts().are_written();
            let own = self.clients.desk.shard;
            let handed = is_written.then(|| message.handed(own, to)).flatten();
            self.clients.desk.mesh(to, MeshMessage::Shared(message));
            if let Some((errand, message)) = handed {
                self.clients.note_handed(to, errand, &message);
            }
        }
    }

    /// A message for a shared subscription that this shard owns: exactly one member gets it (MQTT-4.8.2-3).
    pub(in crate::broker) fn deliver_shared(
        &mut self,
        now_ms: u64,
        group: GroupId,
        message: &Arc<Message>,
    ) {
        match self.routing.groups.choose(group) {
            Some(member) => self.deliver_to(now_ms, group, member, message.clone(), false),
            None => self.offer_to_barred(now_ms, group, message.clone()),
        }
    }

    pub(in crate::broker) fn deliver_to(
        &mut self,
        now_ms: u64,
        group: GroupId,
        member: Member,
        message: Arc<Message>,
        insists: bool,
    ) {
        let deliver = SharedMessage::Deliver {
            group,
            member,
            message,
            insists,
        };
        self.tell_shard(now_ms, member.shard, deliver);
    }

    /// Gives a message back to the owner of the shared subscription that it came by.
    pub(in crate::broker) fn return_shared(
        &mut self,
        now_ms: u64,
        origin: Origin,
        session: SessionId,
        message: Arc<Message>,
        why: Refusal,
    ) {
        let Some((owner, group)) = origin.group() else {
            return;
        };
        self.tell_shard(
            now_ms,
            owner,
            SharedMessage::Return {
                group,
                session,
                message,
                why,
            },
        );
    }

    /// Something about a shared subscription, from another shard or this one.
    pub(in crate::broker) fn on_shared(
        &mut self,
        now_ms: u64,
        from: ShardId,
        message: SharedMessage,
    ) {
        match message {
            SharedMessage::Join {
                group,
                filter,
                member,
                ticket,
            } => self.on_join(now_ms, &group, &filter, member, ticket),
            SharedMessage::Joined { ticket } => self.subscribe_step_done(now_ms, ticket),
            SharedMessage::Leave {
                group,
                filter,
                session,
            } => self.on_leave(&group, &filter, from, session),
            SharedMessage::Online {
                group,
                filter,
                session,
                online,
            } => {
                self.routing
                    .groups
                    .set_online(&group, &filter, from, session, online);
            }
            SharedMessage::Deliver {
                group,
                member,
                message,
                insists,
            } => {
                let origin = Origin::shared(from, group);
                self.on_shared_delivery(now_ms, origin, member, message, insists);
            }
            SharedMessage::Return {
                group,
                session,
                message,
                why,
            } => match why {
                Refusal::Gone => self.on_shared_return(now_ms, from, group, session, message),
                _ => self.on_refused(now_ms, (from, group, session), message, why),
            },
            SharedMessage::Offer(offer) => self.on_offer(now_ms, offer),
        }
    }

    fn on_join(&mut self, now_ms: u64, group: &str, filter: &str, member: Member, ticket: u32) {
        let waiter = Waiter::Member {
            shard: member.shard,
            ticket,
        };
        let (id, is_new) = self.routing.groups.join(group, filter, member);
        if is_new {
            self.clients.sessions.facts().name_group(id, group, filter);
        }
        let (_, _, waits) = self.subscribe_filter(filter, Entry::group(id), waiter);
        if !waits {
            self.waiter_done(now_ms, waiter);
        }
    }

    /// A member of another shard, or of this one, leaves a group of this shard.
    fn on_leave(&mut self, group: &str, filter: &str, from: ShardId, session: SessionId) {
        if let Some((id, true)) = self.routing.groups.leave(group, filter, from, session)
            && let Some(filter) = self.routing.subscriptions.find(filter)
        {
            self.unsubscribe_filter(filter, Target::Group(id));
        }
    }

    fn on_shared_delivery(
        &mut self,
        now_ms: u64,
        origin: Origin,
        member: Member,
        message: Arc<Message>,
        insists: bool,
    ) {
        let (session, serial) = (member.session, member.serial);
        let shards = self.clients.desk.shards;
        let wants = |shared: &[SharedSubscription]| {
            let topic = message.topic.as_str();
            shared.iter().any(|known| {
                topic::matches(&known.filter, topic)
                    && origin.group().map(|(owner, _)| owner)
                        == Some(owner_of_group(&known.group, &known.filter, shards))
            })
        };
        // Nothing is added for a member that has left (MQTT-3.10.4-2), also when the owner does not know yet.
        let is_there = self.clients.sessions.get(session).is_some_and(|entry| {
            let shared = entry.shared();
            let is_member = !shared.is_empty() && !entry.has_left_shared();
            entry.serial() == serial && (is_member || wants(shared))
        });
        if !is_there {
            return self.return_shared(now_ms, origin, session, message, Refusal::Gone);
        }
        self.clients.desk.counters.shared_asked += 1;
        if !(self.clients.sessions).may_read(session, &message.topic, &mut 0) {
            return self.return_shared(now_ms, origin, session, message, Refusal::NoRight);
        }
        let grant = self.clients.shared_grant(&member, &message);
        if !insists && !self.clients.takes(session, grant, &message) {
            return self.return_shared(now_ms, origin, session, message, Refusal::NoRoom);
        }
        self.hand_over(now_ms, origin, &member, &message);
    }

    /// A member of this shard gets a message.
    pub(in crate::broker) fn hand_over(
        &mut self,
        now_ms: u64,
        origin: Origin,
        member: &Member,
        message: &Arc<Message>,
    ) {
        let grant = self.clients.shared_grant(member, message);
        let hot = self.clients.sessions.hot(member.session);
        let outgoing = &mut Outgoing::shared(message, now_ms);
        self.clients
            .offer(member.session, hot, grant, origin, outgoing);
    }

    /// A member could not take a message, or is gone: another gets it. The group may have ended and its number been
    /// given to another one: only one that wants the topic gets the message.
    fn on_shared_return(
        &mut self,
        now_ms: u64,
        from: ShardId,
        group: GroupId,
        session: SessionId,
        message: Arc<Message>,
    ) {
        let wants = topic::matches(&self.routing.groups.get(group).filter, &message.topic);
        let groups = &mut self.routing.groups;
        let member = match wants {
            true => groups
                .choose_other(group, (from, session))
                .or_else(|| groups.choose(group)),
            false => None,
        };
        match member {
            Some(member) => self.deliver_to(now_ms, group, member, message, false),
            None if wants => self.offer_to_barred(now_ms, group, message),
            None => self.clients.desk.counters.drop_untaken(),
        }
    }
}

impl Clients {
    /// Takes out what a session has for other members of its shared subscriptions: what waits, and if it `ends` what is in flight
    /// with QoS 1.
    fn take_shared(&mut self, session: SessionId, ends: bool) -> Vec<(Origin, Arc<Message>)> {
        let mut taken = Vec::new();
        let entry = self.sessions.change(session).filter(|_| ends);
        let in_flight = entry.map(|mut entry| entry.take_shared_in_flight());
        for one in in_flight.unwrap_or_default() {
            if let Some(message) = one.message {
                self.memory.unstore(&message);
                taken.push((one.origin, message));
            }
        }
        let entry = self.sessions.change(session);
        let waiting = entry.map(|mut entry| entry.take_shared_waiting());
        for one in waiting.unwrap_or_default() {
            let backlog = self.sessions.backlog_mut();
            self.memory.note_waits_no_longer(backlog, &one.message);
            taken.push((one.origin, one.message));
        }
        self.sessions.charge(session, &mut self.memory.lease);
        taken
    }
}
