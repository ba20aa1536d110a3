//! Passwords are checked by others: out by a bounded queue that is never waited for, back by a command.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::broker::{Verdict, Verify};
use crate::budget::Account;
use crate::limits;

use super::{Answer, Brain, Shard, ShardCommand, ShardHandle, Shared};

/// Where a shard's passwords go to be checked.
pub struct Checks {
    /// The queue; where it is full, the client is refused.
    pub queue: Sender<Check>,
    /// The shard's own handle, for the answers.
    pub reply: ShardHandle,
}

/// One of them.
pub struct Check {
    verify: Box<Verify>,
    reply: ShardHandle,
    /// Counts it for its source address until it is dropped.
    shared: Arc<Shared>,
}

impl Drop for Check {
    fn drop(&mut self) {
        let bytes = self.verify.memory() as u64;
        self.shared
            .sources()
            .leave_check(self.verify.address, bytes);
    }
}

impl Check {
    /// Checks the password. Slow by design.
    pub fn run(&self) -> Verdict {
        self.verify.check()
    }

    /// Turns it into its answer: the name and the password are not held any more.
    pub fn answer(self, verdict: Verdict) -> Answer {
        let command = ShardCommand::Verified {
            conn: self.verify.conn,
            ticket: self.verify.ticket,
            verdict,
        };
        Answer::new(command, self.reply.clone())
    }
}

impl<B: Brain> Shard<B> {
    /// The brain wants to know whether a password is right.
    pub(super) fn verify(&mut self, verify: Box<Verify>) {
        let (conn, ticket) = (verify.conn, verify.ticket);
        let sent = self.checks.as_ref().is_some_and(|checks| {
            let most =
                self.shared.pool().limit(Account::Packets) / limits::PACKETS_BEGINNERS_DIVISOR;
            let bytes = verify.memory() as u64;
            let sources = self.shared.sources();
            if !sources.enter_check(verify.address, bytes, most) {
                return false;
            }
            let check = Check {
                verify,
                reply: checks.reply.clone(),
                shared: self.shared.clone(),
            };
            checks.queue.try_send(check).is_ok()
        });
        if !sent {
            self.brain
                .on_verified(self.now_ms, conn, ticket, Verdict::Busy);
        }
    }
}
