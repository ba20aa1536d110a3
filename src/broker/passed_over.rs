//! A message of a shared subscription whose turn it was for a member that may not read it, or has no room for it: the others
//! are asked, shard by shard, each of which knows the rights and the room of its own members. The first that is ready gets
//! it; if there is none, the best of those who may read it, whose policy decides; if nobody may read it, it is nobody's.
//!
//! A message is offered once around, whatever is refused, and a member that refused one rests ([`Groups::rest`]): who joins
//! a group without a right costs it one message in `limits::GROUP_REST_CHOICES`, and no message is lost.
//!
//! [`Groups::rest`]: crate::routing::Groups::rest

use std::sync::Arc;

use super::Broker;
use super::clients::{Clients, NONE};
use super::effect::{SharedMessage, SharedOffer, Standing};
use super::shared::owner_of_group;
use crate::ids::{ConnId, GroupId, SessionId, ShardId};
use crate::limits;
use crate::mqtt::message::Message;
use crate::mqtt::topic;
use crate::routing::{EntryOptions, Member};
use crate::session::{Delivery, Origin};

impl Broker {
    /// A session of this shard has joined a shared subscription.
    pub(super) fn note_member(&mut self, (name, filter): (&str, &str), member: Member) {
        // The owner knows its members anyway.
        if owner_of_group(name, filter, self.clients.shards) != self.clients.shard {
            self.routing.guests.join(name, filter, member);
        }
    }

    /// A member did not take a message. The group may have ended and its number been given to another one.
    pub(super) fn on_refused(
        &mut self,
        now_ms: u64,
        from: ShardId,
        group: GroupId,
        session: SessionId,
        message: Arc<Message>,
    ) {
        self.routing.groups.rest(group, from, session);
        let known = self.routing.groups.get(group);
        let topic = std::str::from_utf8(&message.topic).unwrap_or_default();
        if !topic::matches(&known.filter, topic) {
            self.clients.counters.publish_dropped += 1;
            return;
        }
        let (name, filter) = (known.group.clone(), known.filter.clone());
        let offer = SharedOffer {
            owner: self.clients.shard,
            group,
            name,
            filter,
            message,
            left: u64::MAX >> (64 - u32::from(self.clients.shards.clamp(1, 64))),
            best: None,
        };
        self.tell_shard(now_ms, from, SharedMessage::Offer(offer));
    }

    /// A message that somebody else could not take: for a member of this shard, or the next one; back at the owner, for
    /// the best that was found.
    pub(super) fn on_offer(&mut self, now_ms: u64, mut offer: SharedOffer) {
        let own = self.clients.shard;
        if offer.left & 1 << own.0 == 0 {
            // Around.
            if let Some((_, member)) = offer.best {
                self.deliver_to(now_ms, offer.group, member, offer.message, true);
            }
            return;
        }
        offer.left &= !(1 << own.0);
        let found = self.best_of_shard(&offer);
        if let Some((Standing::Ready, member)) = found {
            let origin = Origin::shared(offer.owner, offer.group);
            return self.hand_over(now_ms, origin, &member, &offer.message);
        }
        let standing = |best: &Option<(Standing, Member)>| best.map(|(standing, _)| standing);
        if standing(&found) > standing(&offer.best) {
            offer.best = found;
        }
        let next = match offer.left {
            0 => offer.owner,
            left => ShardId(left.trailing_zeros() as u8),
        };
        self.tell_shard(now_ms, next, SharedMessage::Offer(offer));
    }

    /// The member of this shard that suits best among those that may read a message.
    fn best_of_shard(&mut self, offer: &SharedOffer) -> Option<(Standing, Member)> {
        let own = self.clients.shard;
        let groups = match offer.owner == own {
            true => &self.routing.groups,
            false => &self.routing.guests,
        };
        let id = groups.find(&offer.name, &offer.filter)?;
        let topic = std::str::from_utf8(&offer.message.topic).unwrap_or_default();
        let (mut best, mut stamp) = (None, 0);
        let (mut asked, mut readers) = (0, 0);
        for member in groups.get(id).in_turn() {
            asked += 1;
            if member.shard != own || !self.clients.may_read(member.session, topic, &mut stamp) {
                continue;
            }
            let standing = self.clients.standing(member, &offer.message);
            if best.is_none_or(|(known, _)| standing > known) {
                best = Some((standing, *member));
            }
            readers += 1;
            if standing == Standing::Ready || readers == limits::GROUP_ROOM_LOOKS {
                break;
            }
        }
        self.clients.turn.count_match(asked);
        if offer.owner != own {
            // Not the same one each time; the owner has turns of its own.
            self.routing.guests.choose(id);
        }
        best
    }
}

impl Clients {
    /// How a message is delivered to a member of a shared subscription.
    pub(super) fn shared_bits(&self, member: &Member, message: &Message) -> u32 {
        let options = EntryOptions::unpack(member.options);
        let qos = match self.settings.upgrade_outgoing_qos {
            true => options.qos,
            false => options.qos.min(message.qos),
        };
        let retain = options.retain_as_published && message.retain;
        Delivery::pack(qos, retain, options.subscription_id)
    }

    fn standing(&self, member: &Member, message: &Message) -> Standing {
        let bits = self.shared_bits(member, message);
        let is_away = self.conn_of(member.session).is_none();
        match (is_away, self.takes(member.session, bits, message)) {
            (false, true) => Standing::Ready,
            (true, true) => Standing::Away,
            (false, false) => Standing::Full,
            (true, false) => Standing::AwayAndFull,
        }
    }

    /// Whether a message would be sent to a session, or wait for it, without another one being given up.
    pub(super) fn takes(&self, session: SessionId, bits: u32, message: &Message) -> bool {
        let conn = self.hot[session.index()].conn;
        let entry = self.sessions.get(session.index()).and_then(Option::as_ref);
        let flow = entry.and_then(|entry| entry.flow.as_ref());
        let is_direct = conn != NONE && flow.is_none_or(|flow| flow.queued() == 0);
        let pending = match conn {
            NONE => 0,
            conn => self.out.pending(ConnId(conn)),
        };
        if bits & 3 == 0 {
            if is_direct {
                return pending < self.outbound_near;
            }
            if conn == NONE && !self.settings.queue_qos0_messages {
                return false;
            }
        } else if is_direct && pending < self.outbound_max {
            let bounds = self.bounds(Some(ConnId(conn)));
            if flow.is_none_or(|flow| flow.has_room(&bounds)) {
                return true;
            }
        }
        let bytes = message.payload.len() as u64;
        let bounds = self.bounds(None);
        let is_full = flow.is_some_and(|flow| flow.is_full(bytes, &bounds));
        !is_full && self.has_backlog_room(session, message)
    }
}
