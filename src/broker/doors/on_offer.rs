//! A message of a shared subscription whose turn it was for a member that may not read it, or has no room for it: the others
//! are asked, shard by shard, each of which knows the rights and the room of its own members. The first that is ready gets
//! it; if there is none, the best of those who may read it, whose policy decides; if nobody may read it, it is nobody's.
//!
//! Who refused a message is remembered ([`Groups::rest`], [`Groups::bar`]), by the owner and by the member's own shard, and
//! others are chosen and asked first. So who joins a group without a right costs it one question each when it is its turn, and
//! all of them together one message in `limits::GROUP_BARRED_CHOICES` from then on; those without room cost one in
//! `limits::GROUP_REST_CHOICES` while somebody has room. While nobody has, or nobody but those that are barred may read a
//! message, each message goes around, and asks: those who may read it at most `limits::GROUP_ROOM_LOOKS` on each shard, and those
//! that are barred only where no other may read it.
//!
//! A message asks `limits::GROUP_ASKS_MAX` members at once and goes on in the next turn, from where it was; the turn counts
//! them. None is lost: where too many wait for that, those that come go on at once.
//!
//! Who is barred is a session. By address one stranger would bar all who come from there, and names that nobody has proved are
//! free; who comes with ever new ones costs a question for each CONNECT and SUBSCRIBE, which take longer.
//!
//! [`Groups::rest`]: crate::routing::Groups::rest
//! [`Groups::bar`]: crate::routing::Groups::bar

use std::sync::Arc;

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::groups::message::{
    OfferProgress, Refusal, SharedMessage, SharedOffer, Standing,
};
use crate::ids::NONE;
use crate::ids::{ConnId, GroupId, SessionId, ShardId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::mqtt::topic;
use crate::routing::{Grant, Group, Member};
use crate::session::Origin;

/// Asking members of this shard.
#[derive(Default)]
struct Asking {
    asked: usize,
    /// The best of those who may read the message.
    best: Option<(Standing, Member)>,
    readers: usize,
    /// Those who may not.
    unfit: SmallVec<[SessionId; 8]>,
    /// There are more to be asked.
    is_cut: bool,
}

impl Asking {
    fn is_ready(&self) -> bool {
        (self.best).is_some_and(|(standing, _)| standing == Standing::Ready)
    }

    /// Whether nobody else need be asked now.
    fn is_over(&self) -> bool {
        self.is_ready() || self.is_cut || self.readers == limits::GROUP_ROOM_LOOKS
    }
}

impl Broker {
    /// A member did not take a message. The group may have ended and its number been given to another one.
    pub(in crate::broker) fn on_refused(
        &mut self,
        now_ms: u64,
        (from, group, session): (ShardId, GroupId, SessionId),
        message: Arc<Message>,
        why: Refusal,
    ) {
        match why {
            Refusal::NoRight => self.routing.groups.bar(group, from, session),
            Refusal::NoRoom => self.routing.groups.rest(group, from, session),
            Refusal::Gone => {}
        }
        if !topic::matches(&self.routing.groups.get(group).filter, &message.topic) {
            self.clients.desk.counters.drop_untaken();
            return;
        }
        let offer = self.offer_of(group, message, false);
        self.tell_shard(now_ms, from, SharedMessage::Offer(offer));
    }

    /// All members of a group are barred: perhaps this message is one that some of them may read. Without members it is
    /// nobody's.
    pub(in crate::broker) fn offer_to_barred(
        &mut self,
        now_ms: u64,
        group: GroupId,
        message: Arc<Message>,
    ) {
        if self.routing.groups.get(group).members().is_empty() {
            self.clients.desk.counters.drop_untaken();
            return;
        }
        let offer = self.offer_of(group, message, true);
        self.on_offer(now_ms, offer);
    }

    fn offer_of(&self, group: GroupId, message: Arc<Message>, asks_barred: bool) -> SharedOffer {
        let known = self.routing.groups.get(group);
        let (name, filter) = (known.group.clone(), known.filter.clone());
        SharedOffer {
            owner: self.clients.desk.shard,
            group,
            name,
            filter,
            message,
            left: self.all_shards(),
            best: None,
            asks_barred,
            progress: OfferProgress::default(),
        }
    }

    fn all_shards(&self) -> u64 {
        u64::MAX >> (64 - u32::from(self.clients.desk.shards.clamp(1, 64)))
    }

    /// A message that somebody else could not take: for a member of this shard, or the next one; back at the owner, for
    /// the best that was found, or around once more to those that are barred.
    pub(in crate::broker) fn on_offer(&mut self, now_ms: u64, mut offer: SharedOffer) {
        let own = self.clients.desk.shard;
        if offer.left & 1 << own.0 == 0 {
            match offer.best {
                Some((_, member)) => {
                    return self.deliver_to(now_ms, offer.group, member, offer.message, true);
                }
                None if offer.asks_barred => {
                    self.clients.desk.counters.drop_untaken();
                    return;
                }
                None => (offer.left, offer.asks_barred) = (self.all_shards(), true),
            }
        }
        let mut asking = self.ask_members(&mut offer);
        while asking.is_cut {
            if self.offers.has_room() && !self.is_draining() {
                return self.put_off(offer);
            }
            offer.progress.at_once = 0;
            asking = self.ask_members(&mut offer);
        }
        if let Some((Standing::Ready, member)) = offer.best {
            let origin = Origin::shared(offer.owner, offer.group);
            return self.hand_over(now_ms, origin, &member, &offer.message);
        }
        offer.left &= !(1 << own.0);
        let next = match offer.left {
            0 => offer.owner,
            left => ShardId(left.trailing_zeros() as u8),
        };
        let at_once = offer.progress.at_once;
        offer.progress = OfferProgress {
            at_once: if next == own { at_once } else { 0 },
            ..OfferProgress::default()
        };
        self.tell_shard(now_ms, next, SharedMessage::Offer(offer));
    }

    /// A message goes on in the next turn.
    fn put_off(&mut self, offer: SharedOffer) {
        let (errand, message) = (offer.errand(), offer.message.clone());
        let place = (self.clients.desk.shard, self.offers.push(offer));
        self.clients.note_handed_at(place, errand, &message);
    }

    /// Messages that asked as many as they might in the last turn ask others, until the turn is full.
    pub(in crate::broker) fn go_on_offering(&mut self, now_ms: u64) {
        if self.offers.is_empty() {
            return;
        }
        self.begin_mesh();
        for _ in 0..self.offers.len() {
            if self.is_turn_full() {
                return;
            }
            if let Some(offer) = self.offers.pop() {
                self.on_offer(now_ms, offer);
            }
        }
    }

    /// The broker ends: they go on now.
    pub(in crate::broker) fn finish_offers(&mut self, now_ms: u64) {
        while let Some(offer) = self.offers.pop() {
            self.on_offer(now_ms, offer);
        }
    }

    /// Asks members of this shard about a message, a bounded number of them. Who may read it and suits best is noted in the
    /// offer, and who may not is barred.
    fn ask_members(&mut self, offer: &mut SharedOffer) -> Asking {
        let own = self.clients.desk.shard;
        let mut asking = Asking::default();
        let Some(id) = self.routing.guests.find(&offer.name, &offer.filter) else {
            return asking;
        };
        let group = self.routing.guests.get(id);
        let most = limits::GROUP_ASKS_MAX.saturating_sub(offer.progress.at_once);
        self.clients
            .ask(&mut asking, group.open(), &offer.message, most);
        if offer.asks_barred && !asking.is_over() && asking.readers == 0 {
            self.clients.ask_barred(&mut asking, group, offer);
        }
        // Who is barred now stands among those that were: if some of these are still to be asked, it goes on from the start.
        offer.progress.changes = group.changes();
        for &session in &asking.unfit {
            self.routing.guests.bar(id, own, session);
        }
        if let Some((_, member)) = asking.best {
            self.routing.guests.unbar(id, own, member.session);
        }
        let standing = |best: &Option<(Standing, Member)>| best.map(|(standing, _)| standing);
        if standing(&asking.best) > standing(&offer.best) {
            offer.best = asking.best;
        }
        offer.progress.at_once += asking.asked;
        self.clients.desk.counters.shared_asked += asking.asked as u64;
        self.clients.memory.turn.count_asked(asking.asked);
        if offer.owner != own {
            // Not the same one each time; the owner has turns of its own.
            self.routing.guests.choose(id);
        }
        asking
    }
}

impl Clients {
    /// Asks these members, up to so many in all.
    fn ask<'a>(
        &mut self,
        asking: &mut Asking,
        members: impl Iterator<Item = &'a Member>,
        message: &Message,
        most: usize,
    ) {
        let mut stamp = 0;
        for member in members {
            asking.is_cut = asking.asked == most;
            if asking.is_over() {
                return;
            }
            asking.asked += 1;
            if !self
                .sessions
                .may_read(member.session, &message.topic, &mut stamp)
            {
                asking.unfit.push(member.session);
                continue;
            }
            let standing = self.standing(member, message);
            if asking.best.is_none_or(|(known, _)| standing > known) {
                asking.best = Some((standing, *member));
            }
            asking.readers += 1;
        }
    }

    /// The same of those that are barred, from where the offer has come to; anew if these are others now.
    fn ask_barred(&mut self, asking: &mut Asking, group: &Group, offer: &mut SharedOffer) {
        let progress = &mut offer.progress;
        if progress.starts == 0 || progress.changes != group.changes() {
            progress.starts = progress.starts.saturating_add(1);
            progress.asked = 0;
        }
        let most = match progress.starts > limits::GROUP_OFFER_STARTS_MAX {
            true => usize::MAX,
            false => limits::GROUP_ASKS_MAX.saturating_sub(progress.at_once),
        };
        let barred = group.barred().get(progress.asked..).unwrap_or_default();
        let (before, unfit) = (asking.asked, asking.unfit.len());
        self.ask(asking, barred.iter(), &offer.message, most);
        // They are barred already.
        asking.unfit.truncate(unfit);
        offer.progress.asked += asking.asked - before;
    }

    /// How a message is delivered to a member of a shared subscription.
    pub(in crate::broker) fn shared_grant(&self, member: &Member, message: &Message) -> Grant {
        self.grant(member.options, message.qos, message.retain)
    }

    fn standing(&self, member: &Member, message: &Message) -> Standing {
        let grant = self.shared_grant(member, message);
        let is_away = self.sessions.conn_of(member.session).is_none();
        match (is_away, self.takes(member.session, grant, message)) {
            (false, true) => Standing::Ready,
            (true, true) => Standing::Away,
            (false, false) => Standing::Full,
            (true, false) => Standing::AwayAndFull,
        }
    }

    /// Whether a message would be sent to a session, or wait for it, without another one being given up.
    pub(in crate::broker) fn takes(
        &self,
        session: SessionId,
        grant: Grant,
        message: &Message,
    ) -> bool {
        let conn = self.sessions.hot(session).conn;
        let (flow, queue) = (self.sessions.flow(session), self.sessions.queue(session));
        let is_direct = conn != NONE && queue.is_none_or(|queue| queue.is_empty());
        let pending = match conn {
            NONE => 0,
            conn => self.out.pending(ConnId(conn)),
        };
        if grant.is_qos0() {
            if is_direct {
                return pending < self.memory.outbound_near;
            }
            if conn == NONE && !self.desk.settings.queue_qos0_messages {
                return false;
            }
        } else if is_direct && pending < self.memory.outbound_max {
            let bounds = self.bounds(Some(ConnId(conn)));
            if flow.is_none_or(|flow| flow.has_room(&bounds)) {
                return true;
            }
        }
        let bytes = message.payload.len() as u64;
        let bounds = self.bounds(None);
        let is_full = queue.is_some_and(|queue| queue.is_full(bytes, &bounds));
        !is_full && self.has_backlog_room(session, message)
    }
}
