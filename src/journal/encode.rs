//! From records to bytes.

use super::bytes::{put_bytes, put_bytes_or_none, put_near, put_number, put_number_or_none};
use super::record::{Last, Record, SubscriptionText, kind};
use crate::limits;
use crate::session::Way;

fn put_way(out: &mut Vec<u8>, way: Way) {
    let (grant, origin) = way.to_words();
    put_number(out, u64::from(grant));
    // An ordinary subscription, by far the most, is one byte.
    put_number(out, u64::from(!origin));
}

/// Writes records of one stream.
#[derive(Debug, Default)]
pub struct Encoder {
    last: Last,
    body: Vec<u8>,
}

impl Encoder {
    /// Appends a record.
    pub fn encode(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.body.clear();
        put_record(record, &mut self.last, &mut self.body);
        put_bytes(out, &self.body);
    }

    /// Bytes of memory beside itself.
    pub fn memory(&self) -> usize {
        self.body.capacity()
    }

    /// Gives memory back that one large record took.
    pub fn trim(&mut self) {
        self.body.clear();
        self.body.shrink_to(limits::JOURNAL_CHUNK_BYTES);
    }
}

/// Starts a record of a session.
fn put_head(out: &mut Vec<u8>, kind: u8, session: u32) {
    out.push(kind);
    put_number(out, u64::from(session));
}

fn put_subscription(out: &mut Vec<u8>, subscription: SubscriptionText<'_>) {
    put_bytes_or_none(out, subscription.share.map(str::as_bytes));
    put_bytes(out, subscription.filter.as_bytes());
}

fn put_number_near(out: &mut Vec<u8>, last: &mut Last, number: u64) {
    put_near(out, last.number, number);
    last.number = number;
}

fn put_order_near(out: &mut Vec<u8>, last: &mut Last, order: u64) {
    put_near(out, last.order, order);
    last.order = order;
}

/// All records are of one of four kinds of things.
fn put_record(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match record {
        Record::Message { .. }
        | Record::Queued { .. }
        | Record::Unqueued { .. }
        | Record::RetainedStored { .. }
        | Record::RetainedRemoved { .. }
        | Record::SetsForgotten => put_kept(record, last, out),
        Record::Sent { .. }
        | Record::SentAlone { .. }
        | Record::SentBare { .. }
        | Record::Moved { .. } => put_in_flight(record, last, out),
        Record::Acknowledged { .. } | Record::Received { .. } | Record::CopyGivenUp { .. } => {
            put_progress(record, last, out);
        }
        Record::WillSet { .. } | Record::WillDue { .. } | Record::WillTaken { .. } => {
            put_will(record, last, out);
        }
        Record::Opened { .. }
        | Record::Resumed { .. }
        | Record::Identified { .. }
        | Record::ExpirySet { .. }
        | Record::Away { .. }
        | Record::Ended { .. }
        | Record::Subscribed { .. }
        | Record::Unsubscribed { .. }
        | Record::InboundStored { .. }
        | Record::InboundReleased { .. } => put_session(record, out),
    }
}

fn put_session(record: &Record<'_>, out: &mut Vec<u8>) {
    match *record {
        Record::Opened {
            session,
            serial,
            client_id,
        } => {
            put_head(out, kind::OPENED, session);
            put_number(out, serial);
            put_bytes(out, client_id.as_bytes());
        }
        Record::Resumed { session } => put_head(out, kind::RESUMED, session),
        Record::Identified {
            session,
            user,
            listener,
        } => {
            put_head(out, kind::IDENTIFIED, session);
            put_bytes_or_none(out, user.map(str::as_bytes));
            put_bytes(out, listener.as_bytes());
        }
        Record::ExpirySet { session, seconds } => {
            put_head(out, kind::EXPIRY_SET, session);
            put_number(out, u64::from(seconds));
        }
        Record::Away { session, ends_at } => {
            put_head(out, kind::AWAY, session);
            put_number_or_none(out, ends_at);
        }
        Record::Ended { session } => put_head(out, kind::ENDED, session),
        Record::Subscribed {
            session,
            to,
            options,
        } => {
            put_head(out, kind::SUBSCRIBED, session);
            put_subscription(out, to);
            put_number(out, u64::from(options.bits()));
        }
        Record::Unsubscribed { session, from } => {
            put_head(out, kind::UNSUBSCRIBED, session);
            put_subscription(out, from);
        }
        Record::InboundStored { session, id } => {
            put_head(out, kind::INBOUND_STORED, session);
            put_number(out, u64::from(id));
        }
        Record::InboundReleased { session, id } => {
            put_head(out, kind::INBOUND_RELEASED, session);
            put_number(out, u64::from(id));
        }
        _ => {}
    }
}

fn put_will(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::WillSet { session, will } => {
            put_head(out, kind::WILL_SET, session);
            put_number(out, u64::from(will.delay_s));
            put_number_or_none(out, will.expiry_s.map(u64::from));
            will.message.encode(last.origin, out);
            last.origin = will.message.origin;
        }
        Record::WillDue { session, at } => {
            put_head(out, kind::WILL_DUE, session);
            put_number_or_none(out, at);
        }
        Record::WillTaken { session } => put_head(out, kind::WILL_TAKEN, session),
        _ => {}
    }
}

/// Messages, what waits, what is retained.
fn put_kept(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Message { number, message } => {
            out.push(kind::MESSAGE);
            put_number_near(out, last, number);
            message.encode(last.origin, out);
            last.origin = message.origin;
        }
        Record::Queued {
            number,
            way,
            ref members,
        } => {
            out.push(kind::QUEUED);
            put_number_near(out, last, number);
            put_way(out, way);
            members.encode(out);
        }
        Record::Unqueued {
            number,
            ref members,
        } => {
            out.push(kind::UNQUEUED);
            put_number_near(out, last, number);
            members.encode(out);
        }
        Record::RetainedStored { number } => {
            out.push(kind::RETAINED_STORED);
            put_number_near(out, last, number);
        }
        Record::RetainedRemoved { topic } => {
            out.push(kind::RETAINED_REMOVED);
            put_bytes(out, topic.as_bytes());
        }
        Record::SetsForgotten => out.push(kind::SETS_FORGOTTEN),
        _ => {}
    }
}

fn put_in_flight(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Sent {
            number,
            order,
            way,
            ref members,
        } => {
            out.push(kind::SENT);
            put_number_near(out, last, number);
            put_order_near(out, last, order);
            put_way(out, way);
            members.encode(out);
        }
        Record::SentAlone {
            session,
            number,
            order,
            id,
            way,
        } => {
            put_head(out, kind::SENT_ALONE, session);
            put_number_near(out, last, number);
            put_order_near(out, last, order);
            put_number(out, u64::from(id));
            put_way(out, way);
        }
        Record::SentBare {
            session,
            order,
            id,
            way,
        } => {
            put_head(out, kind::SENT_BARE, session);
            put_order_near(out, last, order);
            put_number(out, u64::from(id));
            put_way(out, way);
        }
        Record::Moved {
            session,
            number,
            order,
            id,
        } => {
            put_head(out, kind::MOVED, session);
            put_number_near(out, last, number);
            put_order_near(out, last, order);
            put_number(out, u64::from(id));
        }
        _ => {}
    }
}

/// What becomes of what was in flight.
fn put_progress(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Acknowledged { order, ref members } => {
            out.push(kind::ACKNOWLEDGED);
            put_order_near(out, last, order);
            members.encode(out);
        }
        Record::Received { session, order } => {
            put_head(out, kind::RECEIVED, session);
            put_order_near(out, last, order);
        }
        Record::CopyGivenUp { session, order } => {
            put_head(out, kind::COPY_GIVEN_UP, session);
            put_order_near(out, last, order);
        }
        _ => {}
    }
}
