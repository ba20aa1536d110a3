//! The one way to change a session: by what happens to it. Each change is a fact.

use std::ops::Deref;
use std::sync::Arc;

use crate::broker::facts::{Fact, Subscription};
use crate::broker::keepers::Facts;
use crate::budget::{Account, Lease};
use crate::ids::{SessionId, SessionRef};
use crate::mqtt::message::Message;
use crate::routing::{EntryOptions, FilterId, Grant};
use crate::session::{
    Backlog, Bounds, Delivery, InFlight, Origin, Progress, Queue, Queued, Replay, Session,
    SharedSubscription, SlowPolicy, Way, Will,
};
use crate::table::Table;

/// A session that something happens to. What is there is read as of the session itself.
pub(crate) struct Change<'a> {
    id: SessionId,
    session: &'a mut Session,
    queues: &'a mut Table<Option<Box<Queue>>>,
    backlog: &'a mut Backlog,
    facts: &'a mut Facts,
}

impl Deref for Change<'_> {
    type Target = Session;

    #[inline]
    fn deref(&self) -> &Session {
        self.session
    }
}

impl<'a> Change<'a> {
    #[inline]
    pub(super) fn of(
        id: SessionId,
        session: &'a mut Session,
        queues: &'a mut Table<Option<Box<Queue>>>,
        backlog: &'a mut Backlog,
        facts: &'a mut Facts,
    ) -> Self {
        Change {
            id,
            session,
            queues,
            backlog,
            facts,
        }
    }

    /// Which session it is.
    #[inline]
    pub(crate) fn reference(&self) -> SessionRef {
        SessionRef {
            id: self.id,
            serial: self.session.serial(),
        }
    }

    /// Tells a fact about it.
    #[cfg(test)]
    pub(crate) fn tell<'b>(&mut self, fact: impl FnOnce(crate::broker::WallClock) -> Fact<'b>) {
        self.facts.tell(fact);
    }

    /// Charges what its windows and queue take now.
    #[inline]
    pub(crate) fn charge(&mut self, lease: &mut Lease) {
        if let Some(flow) = self.session.flow_mut()
            && flow.is_uncharged()
        {
            let before = flow.charge();
            lease.change(Account::Backlog, before, flow.charged());
        }
        if let Some((queue, _)) = self.queue_mut()
            && queue.is_uncharged()
        {
            let before = queue.charge();
            lease.change(Account::Backlog, before, queue.charged());
        }
    }
}

/// The session and its client.
impl Change<'_> {
    /// Its client is there from this moment on: nothing ends it.
    pub(crate) fn resume(&mut self, now_ms: u64) {
        self.session.begin_presence(now_ms);
        let session = self.reference();
        self.facts.tell(|_| Fact::Resumed { session });
    }

    /// Its client is away: when that ends it, and when its will is due, in milliseconds.
    pub(crate) fn leave_alone(&mut self, ends_at_ms: u64, will_due_ms: u64) {
        self.session.begin_absence(ends_at_ms, will_due_ms);
        let session = self.reference();
        self.facts.tell(|clock| Fact::Away {
            session,
            ends_at: clock.unix(ends_at_ms),
        });
        if self.session.will().is_some() {
            self.facts.tell(|clock| Fact::WillDue {
                session,
                at: clock.unix(will_due_ms),
            });
        }
    }

    /// It outlives its connection by so many seconds.
    pub(crate) fn set_expiry(&mut self, expiry_s: u32) {
        self.session.set_expiry(expiry_s);
        let session = self.reference();
        self.facts.tell(|_| Fact::ExpirySet {
            session,
            seconds: expiry_s,
        });
    }

    /// The will that CONNECT brought, or that it brought none.
    pub(crate) fn set_will(&mut self, will: Option<Box<Will>>) {
        self.take_will();
        let session = self.reference();
        if let Some(will) = will {
            self.facts.tell(|_| Fact::WillSet {
                session,
                will: &will,
            });
            self.session.set_will(will);
        }
    }

    /// Its will is taken out: to be published, or for good.
    pub(crate) fn take_will(&mut self) -> Option<Box<Will>> {
        let taken = self.session.take_will()?;
        let session = self.reference();
        self.facts.tell(|_| Fact::WillTaken { session });
        Some(taken)
    }

    /// Another deadline in the timer heap is meant; 0 for none.
    pub(crate) fn set_timer(&mut self, at: u32) {
        self.session.set_timer(at);
    }
}

/// Its subscriptions.
impl Change<'_> {
    /// It has subscribed to a filter of its own, to which it had not.
    pub(crate) fn subscribe(&mut self, filter: FilterId, text: &str, options: EntryOptions) {
        self.session.subscribe(filter);
        self.resubscribe(text, options);
    }

    /// It has subscribed to a filter of its own to which it had: with these options from here on.
    pub(crate) fn resubscribe(&mut self, text: &str, options: EntryOptions) {
        let to = Subscription {
            share: None,
            filter: text,
        };
        let session = self.reference();
        self.facts.tell(|_| Fact::Subscribed {
            session,
            to,
            options,
        });
    }

    /// It has unsubscribed from a filter of its own, which is this text.
    pub(crate) fn unsubscribe(&mut self, filter: FilterId, text: &str) {
        self.session.unsubscribe(filter, text);
        let from = Subscription {
            share: None,
            filter: text,
        };
        let session = self.reference();
        self.facts.tell(|_| Fact::Unsubscribed { session, from });
    }

    /// It has joined a shared subscription, or has other options; false if it was a member.
    pub(crate) fn join_shared(
        &mut self,
        subscription: SharedSubscription,
        options: EntryOptions,
    ) -> bool {
        let session = self.reference();
        self.facts.tell(|_| Fact::Subscribed {
            session,
            to: told(&subscription),
            options,
        });
        self.session.join_shared(subscription)
    }

    /// It leaves the shared subscription of which this holds.
    pub(crate) fn leave_shared(
        &mut self,
        is_it: impl FnMut(&SharedSubscription) -> bool,
    ) -> Option<SharedSubscription> {
        let left = self.session.leave_shared(is_it)?;
        let session = self.reference();
        self.facts.tell(|_| Fact::Unsubscribed {
            session,
            from: told(&left),
        });
        Some(left)
    }

    /// It leaves all its shared subscriptions.
    pub(crate) fn leave_all_shared(&mut self) -> Vec<SharedSubscription> {
        let left = self.session.leave_all_shared();
        let session = self.reference();
        for one in &left {
            self.facts.tell(|_| Fact::Unsubscribed {
                session,
                from: told(one),
            });
        }
        left
    }

    /// One more subscription waits for its retained messages.
    pub(crate) fn await_replay(&mut self, replay: Replay) {
        self.session.await_replay(replay);
    }

    /// Takes the next subscription that waits for its retained messages.
    pub(crate) fn next_replay(&mut self) -> Option<Replay> {
        self.session.next_replay()
    }
}

/// QoS 2 from its client.
impl Change<'_> {
    /// PUBLISH has come: its identifier is kept until PUBREL. Returns how many bytes of memory that takes.
    pub(crate) fn store_inbound(&mut self, id: u16) -> usize {
        let session = self.reference();
        self.facts.tell(|_| Fact::InboundStored { session, id });
        self.session.store_inbound(id)
    }

    /// PUBREL has come: forgets the identifier; false if it was not there.
    pub(crate) fn release_inbound(&mut self, id: u16) -> bool {
        let was_there = self.session.release_inbound(id);
        if was_there {
            let session = self.reference();
            self.facts.tell(|_| Fact::InboundReleased { session, id });
        }
        was_there
    }
}

/// What is in flight to its client.
impl Change<'_> {
    /// Whether one more message may be sent at once with an identifier of its own.
    #[inline]
    pub(crate) fn has_room(&mut self, bounds: &Bounds) -> bool {
        let flow = self.session.flow_made();
        flow.has_room(bounds) && flow.has_id()
    }

    /// Whether nothing waits, and one more message may be in flight.
    #[inline]
    pub(crate) fn is_open(&self, bounds: &Bounds) -> bool {
        let flow = self.session.flow();
        flow.is_none_or(|flow| flow.has_room(bounds)) && self.queued() == 0
    }

    /// Whether the shared identifier of this frame is free here.
    #[inline]
    pub(crate) fn admits_shared(&mut self, order: u64) -> bool {
        self.session.flow_made().admits_shared(order)
    }

    /// The next identifier of its own, if one is free.
    #[inline]
    pub(crate) fn next_id(&mut self) -> Option<u16> {
        self.session.flow_made().next_id()
    }

    /// A message has been sent with this identifier. `message` is kept where it may have to be sent again. What the window takes
    /// is charged.
    #[inline]
    pub(crate) fn sent(
        &mut self,
        (id, order): (u16, u64),
        grant: Grant,
        origin: Origin,
        message: Option<Arc<Message>>,
        lease: &mut Lease,
    ) {
        if self.facts.are_kept_of(self.id) {
            self.tell_sent((id, order), Way { grant, origin }, message.as_ref());
        }
        let flow = self.session.flow_made();
        if flow.sent(id, order, grant, origin, message) {
            self.charge(lease);
        }
    }

    #[cold]
    fn tell_sent(&mut self, (id, order): (u16, u64), way: Way, message: Option<&Arc<Message>>) {
        let session = self.reference();
        let number = message.map_or(0, |message| {
            let waited = self.facts.number_of_unqueued(session, message);
            waited.unwrap_or_else(|| self.backlog.number(message))
        });
        self.facts.tell(|clock| Fact::Sent {
            session,
            id,
            order,
            grant: way.grant,
            origin: way.origin,
            message: message.map(|message| clock.numbered(message, number)),
        });
    }

    /// A message was in flight in another run, and is again; to be called in the order in which they were sent. False if its
    /// identifier cannot be used.
    pub(crate) fn take_up(
        &mut self,
        (id, order): (u16, u64),
        way: Way,
        message: Option<Arc<Message>>,
        lease: &mut Lease,
    ) -> bool {
        let takes_up = self.session.flow_made().takes_up(id, order);
        if takes_up {
            self.sent((id, order), way.grant, way.origin, message, lease);
        }
        takes_up
    }

    /// The client acknowledges an identifier in this way (PUBACK, PUBCOMP, PUBREC with an error): it is done. Returns the message, if
    /// it was kept. The error is what the identifier waits for instead, if it is in flight.
    #[inline]
    pub(crate) fn acknowledge(
        &mut self,
        id: u16,
        due: Progress,
        lease: &mut Lease,
    ) -> Result<Option<Arc<Message>>, Option<Progress>> {
        let flow = self.session.flow_mut().ok_or(None)?;
        let (InFlight { order, message, .. }, is_other) = flow.acknowledge(id, due)?;
        if is_other {
            // A window whose oldest message is slow gives memory back.
            self.charge(lease);
        }
        let session = self.reference();
        self.facts
            .tell_of(session, |_| Fact::Acknowledged { session, id, order });
        Ok(message)
    }

    /// What an identifier in flight waits for.
    #[inline]
    pub(crate) fn progress(&mut self, id: u16) -> Option<Progress> {
        self.session.flow_mut()?.progress(id)
    }

    /// The client is done with this identifier (PUBACK, PUBCOMP, PUBREC with an error), or is taken to be.
    #[inline]
    pub(crate) fn acknowledged(&mut self, id: u16) -> Option<InFlight> {
        let done = self.session.flow_mut()?.complete(id)?;
        let session = self.reference();
        let order = done.order;
        self.facts
            .tell_of(session, |_| Fact::Acknowledged { session, id, order });
        Some(done)
    }

    /// PUBREC has come for an identifier in flight: the message is the client's. Returns the message, if it was kept.
    pub(crate) fn received(&mut self, id: u16) -> Option<Arc<Message>> {
        let (order, message) = self.session.flow_mut()?.received(id)?;
        let session = self.reference();
        self.facts
            .tell_of(session, |_| Fact::Received { session, id, order });
        message
    }

    /// A new connection: what is in flight is to be sent again.
    pub(crate) fn begin_resending(&mut self) {
        if let Some(flow) = self.session.flow_mut() {
            flow.resend();
        }
    }

    /// The next message that is to be sent again, as far as the bounds allow.
    pub(crate) fn next_to_resend(&mut self, bounds: &Bounds) -> Option<InFlight> {
        self.session.flow_mut()?.next_later(bounds)
    }

    /// Gives up the copies of messages in flight, the oldest first, until no more is held than `most` bytes.
    pub(crate) fn give_up_copies(&mut self, most: u64) -> Vec<Arc<Message>> {
        let waiting = self.queue().map_or(0, Queue::weight);
        let flow = self.session.flow_mut();
        let copies = flow.map(|flow| flow.give_up_copies(most.saturating_sub(waiting)));
        let session = self.reference();
        let copies = copies.unwrap_or_default().into_iter();
        let given_up = copies.map(|(InFlight { id, order, .. }, message)| {
            self.facts
                .tell_of(session, |_| Fact::CopyGivenUp { session, id, order });
            message
        });
        given_up.collect()
    }

    /// The session ends: takes out what is in flight with QoS 1 and not acknowledged, for other members of its shared
    /// subscriptions.
    pub(crate) fn take_shared_in_flight(&mut self) -> Vec<InFlight> {
        let session = self.reference();
        let flow = self.session.flow_mut();
        let taken = flow.map(|flow| flow.take_shared_in_flight());
        let taken = taken.unwrap_or_default();
        for one in &taken {
            let (id, order) = (one.id, one.order);
            self.facts
                .tell_of(session, |_| Fact::Acknowledged { session, id, order });
        }
        taken
    }

    /// For how many seconds the oldest message in flight has been that, as far as it was looked; 0 if none ever was.
    pub(crate) fn stuck_for(&mut self, now_s: u32) -> u32 {
        let flow = self.session.flow_mut();
        flow.map_or(0, |flow| flow.stuck_for(now_s))
    }

    /// Whether it is to be said now that the oldest one is not acknowledged: once for each.
    pub(crate) fn says_stuck(&mut self) -> bool {
        self.session
            .flow_mut()
            .is_some_and(|flow| flow.says_stuck())
    }
}

/// What waits for its client.
impl Change<'_> {
    /// What waits; `None` while nothing ever has.
    #[inline]
    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.queues.get(self.id.index())?.as_deref()
    }

    /// How many messages wait.
    #[inline]
    pub(crate) fn queued(&self) -> usize {
        self.queue().map_or(0, Queue::len)
    }

    /// The queue, and the list that it refers to.
    #[inline]
    fn queue_mut(&mut self) -> Option<(&mut Queue, &mut Backlog)> {
        let queue = self.queues.get_mut(self.id.index())?.as_deref_mut()?;
        Some((queue, self.backlog))
    }

    /// The same, made on its first use.
    #[inline]
    fn queue_made(&mut self) -> (&mut Queue, &mut Backlog) {
        let index = self.id.index();
        if self.queue().is_none() {
            let is_latest = self.session.policy() == Some(SlowPolicy::Latest);
            let mut queue = Box::<Queue>::default();
            queue.set_latest(self.backlog, is_latest);
            self.queues.ensure(index, || None);
            self.queues[index] = Some(queue);
        }
        (self.queues[index].get_or_insert_default(), self.backlog)
    }

    /// What becomes of messages for which there is no room.
    pub(crate) fn set_policy(&mut self, policy: Option<SlowPolicy>) {
        self.session.set_policy(policy);
        if let Some((queue, backlog)) = self.queue_mut() {
            queue.set_latest(backlog, policy == Some(SlowPolicy::Latest));
        }
    }

    /// A message waits behind the others, or in the place of an older one, if the bounds allow it.
    #[inline]
    pub(crate) fn put(&mut self, message: &Arc<Message>, way: Way, bounds: &Bounds) -> Queued {
        let session = self.reference();
        let (queue, backlog) = self.queue_made();
        let queued = queue.put(backlog, message, way, bounds);
        if let Queued::Replaced(older) = &queued {
            self.tell_unqueued(older);
        }
        if self.facts.are_kept_of(self.id) && !matches!(queued, Queued::Full) {
            let number = self.backlog.number(message);
            self.facts.tell(|clock| Fact::Queued {
                session,
                message: clock.numbered(message, number),
                grant: way.grant,
                origin: way.origin,
            });
        }
        queued
    }

    /// Takes what is next in the queue.
    pub(crate) fn unqueue(&mut self) -> Option<Delivery> {
        let (queue, backlog) = self.queue_mut()?;
        let taken = queue.pop(backlog)?;
        self.tell_unqueued(&taken);
        Some(taken)
    }

    fn tell_unqueued(&mut self, taken: &Delivery) {
        let session = self.reference();
        self.facts.tell_unqueued(session, taken);
    }

    /// Takes the oldest message that waits, but for those of a replay.
    pub(crate) fn unqueue_oldest(&mut self) -> Option<Delivery> {
        let (queue, backlog) = self.queue_mut()?;
        let taken = queue.pop_oldest(backlog)?;
        self.tell_unqueued(&taken);
        Some(taken)
    }

    /// Takes out what waits for other members of its shared subscriptions.
    pub(crate) fn take_shared_waiting(&mut self) -> Vec<Delivery> {
        let queue = self.queue_mut();
        let taken = queue.map(|(queue, backlog)| queue.take_shared(backlog));
        let taken = taken.unwrap_or_default();
        for one in &taken {
            self.tell_unqueued(one);
        }
        taken
    }

    /// Other rules hold from here on than those by which all of this was offered. `order` is the last frame's.
    pub(crate) fn doubt(&mut self, order: u64) {
        if let Some(flow) = self.session.flow_mut() {
            flow.doubt(order);
        }
        if let Some((queue, _)) = self.queue_mut() {
            queue.doubt();
        }
    }

    /// A message has been dropped for want of room.
    pub(crate) fn note_dropped(&mut self, message: &Message) {
        if self.queue().is_some() || self.session.flow().is_some() {
            self.queue_made().0.note_dropped(message);
        }
    }
}

fn told(subscription: &SharedSubscription) -> Subscription<'_> {
    Subscription {
        share: Some(&subscription.group),
        filter: &subscription.filter,
    }
}
