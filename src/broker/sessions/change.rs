//! The one way to change a session: by what happens to it.

use std::ops::Deref;
use std::sync::Arc;

use crate::budget::{Account, Lease};
use crate::mqtt::message::Message;
use crate::routing::{FilterId, Grant};
use crate::session::{
    Bounds, Delivery, InFlight, Origin, Progress, Queued, Replay, Session, SharedSubscription,
    SlowPolicy, Will,
};

/// A session that something happens to. What is there is read as of the session itself.
pub struct Change<'a> {
    session: &'a mut Session,
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
    pub(super) fn of(session: &'a mut Session) -> Self {
        Change { session }
    }

    /// Charges what its windows and queue take now.
    #[inline]
    pub fn charge(&mut self, lease: &mut Lease) {
        if let Some(flow) = self.session.flow_mut()
            && flow.is_uncharged()
        {
            let before = flow.charge();
            lease.change(Account::Backlog, before, flow.charged());
        }
    }
}

/// The session and its client.
impl Change<'_> {
    /// Its client is there: nothing ends it.
    pub fn resume(&mut self) {
        self.session.begin_presence();
    }

    /// Its client is away: when that ends it, and when its will is due, in milliseconds.
    pub fn leave_alone(&mut self, ends_at_ms: u64, will_due_ms: u64) {
        self.session.begin_absence(ends_at_ms, will_due_ms);
    }

    /// It outlives its connection by so many seconds.
    pub fn set_expiry(&mut self, expiry_s: u32) {
        self.session.set_expiry(expiry_s);
    }

    /// The will that CONNECT brought.
    pub fn set_will(&mut self, will: Option<Box<Will>>) {
        self.session.set_will(will);
    }

    /// Its will is taken out: to be published, or for good.
    pub fn take_will(&mut self) -> Option<Box<Will>> {
        self.session.take_will()
    }

    /// Another deadline in the timer heap is meant; 0 for none.
    pub fn set_timer(&mut self, at: u32) {
        self.session.set_timer(at);
    }
}

/// Its subscriptions.
impl Change<'_> {
    /// It has subscribed to a filter of its own, to which it had not.
    pub fn subscribe(&mut self, filter: FilterId) {
        self.session.subscribe(filter);
    }

    /// It has unsubscribed from a filter of its own, which is this text.
    pub fn unsubscribe(&mut self, filter: FilterId, text: &str) {
        self.session.unsubscribe(filter, text);
    }

    /// It has joined a shared subscription; false if it is a member.
    pub fn join_shared(&mut self, subscription: SharedSubscription) -> bool {
        self.session.join_shared(subscription)
    }

    /// It leaves the shared subscription of which this holds.
    pub fn leave_shared(
        &mut self,
        is_it: impl FnMut(&SharedSubscription) -> bool,
    ) -> Option<SharedSubscription> {
        self.session.leave_shared(is_it)
    }

    /// It leaves all its shared subscriptions.
    pub fn leave_all_shared(&mut self) -> Vec<SharedSubscription> {
        self.session.leave_all_shared()
    }

    /// One more subscription waits for its retained messages.
    pub fn await_replay(&mut self, replay: Replay) {
        self.session.await_replay(replay);
    }

    /// Takes the next subscription that waits for its retained messages.
    pub fn next_replay(&mut self) -> Option<Replay> {
        self.session.next_replay()
    }
}

/// QoS 2 from its client.
impl Change<'_> {
    /// PUBLISH has come: its identifier is kept until PUBREL. Returns how many bytes of memory that takes.
    pub fn store_inbound(&mut self, id: u16) -> usize {
        self.session.store_inbound(id)
    }

    /// PUBREL has come: forgets the identifier; false if it was not there.
    pub fn release_inbound(&mut self, id: u16) -> bool {
        self.session.release_inbound(id)
    }
}

/// What is in flight to its client.
impl Change<'_> {
    /// Whether one more message may be sent at once, with an identifier of its own or a shared one.
    #[inline]
    pub fn has_room(&mut self, bounds: &Bounds) -> bool {
        let flow = self.session.flow_made();
        flow.has_room(bounds) && flow.has_id()
    }

    /// Whether the shared identifier of this frame is free here.
    #[inline]
    pub fn admits_shared(&mut self, order: u64) -> bool {
        self.session.flow_made().admits_shared(order)
    }

    /// The next identifier of its own, if one is free.
    #[inline]
    pub fn next_id(&mut self) -> Option<u16> {
        self.session.flow_made().next_id()
    }

    /// A message has been sent with this identifier. `message` is kept where it may have to be sent again.
    #[inline]
    pub fn sent(
        &mut self,
        (id, order): (u16, u64),
        grant: Grant,
        origin: Origin,
        message: Option<Arc<Message>>,
    ) {
        let flow = self.session.flow_made();
        flow.sent(id, order, grant, origin, message);
    }

    /// What an identifier in flight waits for.
    #[inline]
    pub fn progress(&mut self, id: u16) -> Option<Progress> {
        self.session.flow_mut()?.progress(id)
    }

    /// The client is done with this identifier (PUBACK, PUBCOMP, PUBREC with an error), or is taken to be.
    #[inline]
    pub fn acknowledged(&mut self, id: u16) -> Option<InFlight> {
        self.session.flow_mut()?.complete(id)
    }

    /// PUBREC has come: the message is the client's. Returns the message, if it was kept.
    pub fn received(&mut self, id: u16) -> Option<Arc<Message>> {
        self.session.flow_mut()?.received(id)
    }

    /// A new connection: what is in flight is to be sent again.
    pub fn begin_resending(&mut self) {
        if let Some(flow) = self.session.flow_mut() {
            flow.resend();
        }
    }

    /// The next message that is to be sent again, as far as the bounds allow.
    pub fn next_to_resend(&mut self, bounds: &Bounds) -> Option<InFlight> {
        self.session.flow_mut()?.next_later(bounds)
    }

    /// Gives up the copies of messages in flight, the oldest first, until no more is held than `most` bytes.
    pub fn give_up_copies(&mut self, most: u64) -> Vec<Arc<Message>> {
        let flow = self.session.flow_mut();
        flow.map(|flow| flow.give_up_copies(most))
            .unwrap_or_default()
    }

    /// For how many seconds the oldest message in flight has been that, as far as it was looked; 0 if none ever was.
    pub fn stuck_for(&mut self, now_s: u32) -> u32 {
        let flow = self.session.flow_mut();
        flow.map_or(0, |flow| flow.stuck_for(now_s))
    }

    /// Whether it is to be said now that the oldest one is not acknowledged: once for each.
    pub fn says_stuck(&mut self) -> bool {
        self.session
            .flow_mut()
            .is_some_and(|flow| flow.says_stuck())
    }
}

/// What waits for its client.
impl Change<'_> {
    /// What becomes of messages for which there is no room.
    pub fn set_policy(&mut self, policy: Option<SlowPolicy>) {
        if policy.is_some() || self.session.flow().is_some() {
            self.session.flow_made().set_policy(policy);
        }
    }

    /// A message waits behind the others, or in the place of an older one, if the bounds allow it.
    pub fn queue(&mut self, delivery: Delivery, bounds: &Bounds) -> Queued {
        self.session.flow_made().enqueue(delivery, bounds)
    }

    /// Takes what is next in the queue.
    pub fn unqueue(&mut self) -> Option<Delivery> {
        self.session.flow_mut()?.pop()
    }

    /// Takes the oldest message that waits, but for those of a replay.
    pub fn unqueue_oldest(&mut self) -> Option<Delivery> {
        self.session.flow_mut()?.pop_oldest()
    }

    /// Takes out what is for other members of its shared subscriptions: what waits, and if the session ends what is in
    /// flight with QoS 1.
    pub fn take_shared(&mut self, ends: bool) -> Vec<(Origin, Arc<Message>)> {
        let flow = self.session.flow_mut();
        flow.map(|flow| flow.take_shared(ends)).unwrap_or_default()
    }

    /// Other rules hold from here on than those by which all of this was offered. `order` is the last frame's.
    pub fn doubt(&mut self, order: u64) {
        if let Some(flow) = self.session.flow_mut() {
            flow.doubt(order);
        }
    }

    /// A message has been dropped for want of room.
    pub fn note_dropped(&mut self, message: &Message) {
        if let Some(flow) = self.session.flow_mut() {
            flow.note_dropped(message);
        }
    }
}
