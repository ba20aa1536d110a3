//! The messages that sessions hold, brought to their account when that changes.
//!
//! A message that waits for many sessions, or is in flight to them, is charged once, with the first of them. Of those that wait the
//! shard's list knows what is to be charged (`session/backlog.rs`); what each session needs to refer to them is charged with its
//! queue.

use crate::budget::{Account, Lease};
use crate::mqtt::message::Message;
use crate::session::Backlog;

/// So many messages wait for sessions or are in flight to them, each counted for each session.
#[derive(Default)]
pub(crate) struct Stored {
    messages: u64,
    bytes: u64,
}

impl Stored {
    /// How many there are.
    pub(crate) fn messages(&self) -> u64 {
        self.messages
    }

    /// What they cost, in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    #[inline]
    fn add(&mut self, message: &Message) {
        self.messages += 1;
        self.bytes += message.cost() as u64;
    }

    #[inline]
    fn take(&mut self, message: &Message) {
        self.messages -= 1;
        self.bytes -= message.cost() as u64;
    }

    /// A session keeps a message in flight from here on.
    #[inline]
    pub(crate) fn keep(&mut self, lease: &mut Lease, message: &Message) {
        self.add(message);
        if message.holders.enter() {
            lease.force(Account::Backlog, message.cost() as u64);
        }
    }

    /// A session no longer keeps a message in flight.
    pub(crate) fn keep_no_longer(&mut self, lease: &mut Lease, message: &Message) {
        self.take(message);
        if message.holders.leave() {
            lease.give(Account::Backlog, message.cost() as u64);
        }
    }

    /// One more message of this list waits for a session.
    #[inline]
    pub(crate) fn wait(&mut self, lease: &mut Lease, backlog: &mut Backlog, message: &Message) {
        self.add(message);
        settle(lease, backlog);
    }

    /// A message no longer waits for a session.
    pub(crate) fn wait_no_longer(
        &mut self,
        lease: &mut Lease,
        backlog: &mut Backlog,
        message: &Message,
    ) {
        self.take(message);
        settle(lease, backlog);
    }
}

/// Charges what the list of messages that wait has come to since the last time.
#[inline]
pub(super) fn settle(lease: &mut Lease, backlog: &mut Backlog) {
    match backlog.take_owed() {
        0 => {}
        more @ 1.. => lease.force(Account::Backlog, more as u64),
        less => lease.give(Account::Backlog, less.unsigned_abs()),
    }
}
