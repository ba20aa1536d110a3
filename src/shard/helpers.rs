//! Work that other threads do for a shard: passwords are slow to check by design, and TLS handshakes take up to a millisecond of CPU
//! each, so that a storm of them would hold up every message. Out by bounded queues that are never waited for, back by commands.

use std::sync::Arc;

use crossbeam_channel::Sender;

use crate::broker::{Verdict, Verify};
use crate::budget::Account;
use crate::ids::Network;
use crate::limits;
use crate::transport::Transport;

use super::command::{Answer, ShardCommand, ShardHandle};
use super::fair::Entrance;
use super::handshake::Step;
use super::shared::Shared;

/// The threads that work for a shard.
pub(super) struct Helpers {
    checks: Option<Checks>,
    handshakes: Option<Handshakes>,
}

impl Helpers {
    pub(super) fn new(checks: Option<Checks>, handshakes: Option<Handshakes>) -> Self {
        Helpers { checks, handshakes }
    }

    /// Has a password checked; false if nobody can now: there is no such thread, it has too much to do, or its address has.
    pub(super) fn check(&self, verify: Box<Verify>, shared: &Arc<Shared>) -> bool {
        let Some(checks) = &self.checks else {
            return false;
        };
        let reply = Reply::Shard(checks.reply.clone());
        let check = Check::counted(verify, shared, reply);
        check.is_some_and(|check| checks.queue.try_send(check).is_ok())
    }

    /// Whether handshakes are worked on by others.
    pub(super) fn do_handshakes(&self) -> bool {
        self.handshakes.is_some()
    }

    /// Has a step of a handshake worked on.
    ///
    /// # Errors
    /// Nobody can now; the transport comes back.
    pub(super) fn shake(&self, source: Network, step: Step) -> Result<(), Box<Transport>> {
        let Some(handshakes) = &self.handshakes else {
            return Err(step.transport);
        };
        let reply = handshakes.reply.clone();
        let handshake = Handshake { step, reply };
        let sent = handshakes.queue.put(source, handshake);
        sent.map_err(|handshake| handshake.step.transport)
    }
}

/// Where a shard's passwords go to be checked.
pub(crate) struct Checks {
    /// The queue; where it is full, the client is refused.
    pub queue: Sender<Check>,
    /// The shard's own handle, for the answers.
    pub reply: ShardHandle,
}

/// One of them.
pub(crate) struct Check {
    verify: Box<Verify>,
    reply: Reply,
    /// Counts it for its source address until it is dropped.
    shared: Arc<Shared>,
}

/// Who hears what became of a password.
enum Reply {
    /// The shard of the connection.
    Shard(ShardHandle),
    /// Somebody who is no shard, and has room for the answer.
    Caller(Sender<Verdict>),
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
    /// For somebody who is no shard, and whom `to` has room for one answer to. `None`: the address has too much to be checked.
    pub(crate) fn for_caller(
        verify: Box<Verify>,
        shared: &Arc<Shared>,
        to: Sender<Verdict>,
    ) -> Option<Check> {
        Check::counted(verify, shared, Reply::Caller(to))
    }

    fn counted(verify: Box<Verify>, shared: &Arc<Shared>, reply: Reply) -> Option<Check> {
        let most = shared.pool().limit(Account::Packets) / limits::PACKETS_BEGINNERS_DIVISOR;
        let bytes = verify.memory() as u64;
        let may = shared.sources().enter_check(verify.address, bytes, most);
        may.then(|| Check {
            verify,
            reply,
            shared: shared.clone(),
        })
    }

    /// Checks the password, which is slow by design, and tells who asked. The name and the password are not held any more by
    /// then.
    pub(crate) fn settle(self) {
        let verdict = self.verify.check();
        let command = ShardCommand::Verified {
            conn: self.verify.conn,
            ticket: self.verify.ticket,
            verdict,
        };
        let answer = match &self.reply {
            Reply::Shard(shard) => Ok(Answer::new(command, shard.clone())),
            Reply::Caller(to) => Err(to.clone()),
        };
        drop(self);
        match answer {
            Ok(answer) => answer.deliver(),
            // Who has gone meanwhile wants no answer.
            Err(to) => drop(to.try_send(verdict)),
        }
    }
}

/// Where a shard's handshakes go.
pub(crate) struct Handshakes {
    /// The queue; where it has no place for one more of its address, the connection is closed.
    pub queue: Entrance<Handshake>,
    /// The shard's own handle, for the answers.
    pub reply: ShardHandle,
}

/// One step of a handshake.
pub(crate) struct Handshake {
    step: Step,
    reply: ShardHandle,
}

impl Handshake {
    /// Does the work.
    pub(crate) fn run(self) -> Answer {
        let shaken = Box::new(self.step.run());
        Answer::new(ShardCommand::Shaken(shaken), self.reply)
    }

    /// Gives it up: the queue had no place for it any more.
    pub(crate) fn give_up(self) -> Answer {
        let shaken = Box::new(self.step.give_up());
        Answer::new(ShardCommand::Shaken(shaken), self.reply)
    }
}
