//! From facts to what the journal is told.

use crate::broker::facts::{Fact, Numbered, Subscription};
use crate::broker::wall_clock::{UnixMs, WallClock};
use crate::journal::{Errand, Frame, MessageText, Scribe, SubscriptionText, WillText};
use crate::mqtt::message::Message;
use crate::mqtt::topic;
use crate::session::{Way, Will};

/// Tells the journal what has changed.
pub(super) fn note(journal: &mut Scribe, fact: &Fact<'_>) {
    match *fact {
        Fact::Queued {
            session,
            ref message,
            grant,
            origin,
        } => {
            let way = Way { grant, origin };
            journal.queued(session.id.0, message.number, way, || text(message));
        }
        Fact::Unqueued {
            session,
            number,
            grant,
            origin,
            ..
        } => journal.unqueued(session.id.0, number, Way { grant, origin }),
        Fact::Sent {
            session,
            id,
            order,
            grant,
            origin,
            ref message,
        } => {
            let (frame, way) = (Frame { order, id }, Way { grant, origin });
            match message {
                Some(one) => journal.sent(session.id.0, one.number, frame, way, || text(one)),
                None => journal.sent_bare(session.id.0, frame, way),
            }
        }
        Fact::CopyGivenUp { session, order, .. } => journal.copy_given_up(session.id.0, order),
        Fact::Received { session, order, .. } => journal.received(session.id.0, order),
        Fact::Acknowledged { session, order, .. } => journal.acknowledged(session.id.0, order),
        Fact::RetainedStored { .. } | Fact::RetainedRemoved { .. } => note_retained(journal, fact),
        // What is not to outlive the process.
        Fact::Answered { .. } => {}
        #[cfg(test)]
        Fact::Example { .. } => {}
        Fact::Opened { .. }
        | Fact::Resumed { .. }
        | Fact::Identified { .. }
        | Fact::ExpirySet { .. }
        | Fact::Away { .. }
        | Fact::Ended { .. }
        | Fact::WillSet { .. }
        | Fact::WillDue { .. }
        | Fact::WillTaken { .. }
        | Fact::Subscribed { .. }
        | Fact::Unsubscribed { .. }
        | Fact::InboundStored { .. }
        | Fact::InboundReleased { .. } => note_session(journal, fact),
    }
}

/// Tells the journal that a message is handed to another shard.
pub(super) fn note_handed(
    journal: &mut Scribe,
    place: (u8, u64),
    errand: Errand,
    message: &Numbered<'_>,
) {
    journal.handed(place, errand, message.number, || text(message));
}

fn note_retained(journal: &mut Scribe, fact: &Fact<'_>) {
    match *fact {
        Fact::RetainedStored { ref message } if topic::is_sys(&message.message.topic) => {}
        Fact::RetainedRemoved { topic } if topic::is_sys(topic) => {}
        Fact::RetainedStored { ref message } => {
            journal.retained_stored(message.number, || text(message));
        }
        Fact::RetainedRemoved { topic } => journal.retained_removed(topic),
        _ => {}
    }
}

/// The session, its will, its subscriptions.
fn note_session(journal: &mut Scribe, fact: &Fact<'_>) {
    match *fact {
        Fact::Opened { session, client_id } => {
            journal.opened(session.id.0, session.serial, client_id);
        }
        Fact::InboundStored { session, id } => journal.inbound_stored(session.id.0, id),
        Fact::InboundReleased { session, id } => journal.inbound_released(session.id.0, id),
        Fact::Resumed { session } => journal.resumed(session.id.0),
        Fact::Identified {
            session,
            user,
            listener,
        } => journal.identified(session.id.0, user, listener),
        Fact::ExpirySet { session, seconds } => journal.expiry_set(session.id.0, seconds),
        Fact::Away { session, ends_at } => journal.away(session.id.0, ends_at.map(ms)),
        Fact::Ended { session } => journal.ended(session.id.0),
        Fact::WillSet { session, will } => journal.will_set(session.id.0, will_text(will)),
        Fact::WillDue { session, at } => journal.will_due(session.id.0, at.map(ms)),
        Fact::WillTaken { session } => journal.will_taken(session.id.0),
        Fact::Subscribed {
            session,
            to,
            options,
        } => journal.subscribed(session.id.0, subscription(to), options),
        Fact::Unsubscribed { session, from } => {
            journal.unsubscribed(session.id.0, subscription(from));
        }
        _ => {}
    }
}

/// A moment of the broker's clock, in milliseconds since 1970; `None` for never.
pub(super) fn ms_of(at_ms: u64, clock: WallClock) -> Option<u64> {
    clock.unix(at_ms).map(ms)
}

/// What is written of a message.
pub(super) fn text_of(message: &Message, clock: WallClock) -> MessageText<'_> {
    MessageText::of(message, ms_of(message.expires_at_ms, clock))
}

fn ms(at: UnixMs) -> u64 {
    at.0
}

fn text<'a>(numbered: &Numbered<'a>) -> MessageText<'a> {
    MessageText::of(numbered.message, numbered.expires_at.map(ms))
}

fn subscription(subscription: Subscription<'_>) -> SubscriptionText<'_> {
    SubscriptionText {
        share: subscription.share,
        filter: subscription.filter,
    }
}

/// What is written of a will.
pub(super) fn will_text(will: &Will) -> WillText<'_> {
    WillText {
        // Its expiry counts from when it is published.
        message: MessageText::of(&will.message, None),
        delay_s: will.delay_s,
        expiry_s: will.expiry_s,
    }
}
