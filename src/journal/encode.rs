//! From records to bytes.

use super::bytes::{put_bytes, put_bytes_or_none, put_near, put_number, put_number_or_none};
use super::record::{Errand, Last, Record, SubscriptionText};
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

fn put_session(out: &mut Vec<u8>, session: u32) {
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

/// The kind, and then the fields: each of the functions below knows some records, and leaves the others to the next one.
fn put_record(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    out.push(record.kind());
    put_kept(record, last, out);
}

/// The session, and what is subscribed to.
fn put_of_session(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Opened {
            session,
            serial,
            client_id,
        } => {
            put_session(out, session);
            put_number(out, serial);
            put_bytes(out, client_id.as_bytes());
        }
        Record::Resumed { session }
        | Record::Ended { session }
        | Record::SessionAnew { session } => {
            put_session(out, session);
        }
        Record::Identified {
            session,
            user,
            listener,
        } => {
            put_session(out, session);
            put_bytes_or_none(out, user.map(str::as_bytes));
            put_bytes(out, listener.as_bytes());
        }
        Record::ExpirySet { session, seconds } => {
            put_session(out, session);
            put_number(out, u64::from(seconds));
        }
        Record::Away { session, ends_at } => {
            put_session(out, session);
            put_number_or_none(out, ends_at);
        }
        Record::Subscribed {
            session,
            to,
            options,
        } => {
            put_session(out, session);
            put_subscription(out, to);
            put_number(out, u64::from(options.bits()));
        }
        Record::Unsubscribed { session, from } => {
            put_session(out, session);
            put_subscription(out, from);
        }
        Record::InboundStored { session, id } | Record::InboundReleased { session, id } => {
            put_session(out, session);
            put_number(out, u64::from(id));
        }
        _ => put_will(record, last, out),
    }
}

fn put_will(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::WillSet { session, will } => {
            put_session(out, session);
            put_number(out, u64::from(will.delay_s));
            put_number_or_none(out, will.expiry_s.map(u64::from));
            will.message.encode(last.origin, out);
            last.origin = will.message.origin;
        }
        Record::WillDue { session, at } => {
            put_session(out, session);
            put_number_or_none(out, at);
        }
        Record::WillTaken { session } => put_session(out, session),
        // Those whose kind says all: a test has a sample of each kind, and reads what was written of it.
        _ => {}
    }
}

/// Messages, what waits, what is retained.
fn put_kept(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Message { number, message } => {
            put_number_near(out, last, number);
            message.encode(last.origin, out);
            last.origin = message.origin;
        }
        Record::Queued {
            number,
            way,
            ref members,
        } => {
            put_number_near(out, last, number);
            put_way(out, way);
            members.encode(out);
        }
        Record::Unqueued {
            number,
            way,
            ref members,
        } => {
            put_number_near(out, last, number);
            put_way(out, way);
            members.encode(out);
        }
        Record::QueuedRun {
            session,
            number,
            len,
            way,
        } => {
            put_session(out, session);
            put_number_near(out, last, number);
            put_number(out, u64::from(len));
            put_way(out, way);
        }
        Record::RetainedStored { number } => put_number_near(out, last, number),
        Record::RetainedRemoved { topic } => put_bytes(out, topic.as_bytes()),
        _ => put_in_flight(record, last, out),
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
            put_session(out, session);
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
            put_session(out, session);
            put_order_near(out, last, order);
            put_number(out, u64::from(id));
            put_way(out, way);
        }
        Record::Moved {
            session,
            number,
            order,
            id,
            way,
        } => {
            put_session(out, session);
            put_number_near(out, last, number);
            put_order_near(out, last, order);
            put_number(out, u64::from(id));
            put_way(out, way);
        }
        _ => put_progress(record, last, out),
    }
}

/// What becomes of what was in flight.
fn put_progress(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::Acknowledged { order, ref members } => {
            put_order_near(out, last, order);
            members.encode(out);
        }
        Record::Received { session, order } | Record::CopyGivenUp { session, order } => {
            put_session(out, session);
            put_order_near(out, last, order);
        }
        _ => put_between(record, last, out),
    }
}

/// What goes on between shards.
fn put_between(record: &Record<'_>, last: &mut Last, out: &mut Vec<u8>) {
    match *record {
        Record::GroupNamed { group, to } => {
            put_number(out, u64::from(group));
            put_subscription(out, to);
        }
        Record::Handed {
            to,
            at,
            number,
            errand,
        } => {
            out.push(to);
            put_number(out, at);
            put_number_near(out, last, number);
            put_errand(out, errand);
        }
        Record::Took { from, at } => {
            out.push(from);
            put_number(out, at);
        }
        Record::CheckpointBegun => *last = Last::default(),
        _ => put_of_session(record, last, out),
    }
}

fn put_errand(out: &mut Vec<u8>, errand: Errand) {
    match errand {
        Errand::Deliver => out.push(0),
        Errand::Retain => out.push(1),
        Errand::PassOn { targets, retains } => {
            out.push(2 + u8::from(retains));
            put_number(out, targets);
        }
        Errand::Share { owner, group } => {
            out.extend([4, owner]);
            put_number(out, u64::from(group));
        }
    }
}
