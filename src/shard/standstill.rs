//! Being late: what is due is done when everything that had come before has been handled, and clients are not at fault for the
//! time in which the shard stood still (SIGSTOP, a virtual machine that was suspended, no CPU).
//!
//! The kernel takes in connections and bytes meanwhile. One look does not show them all: an accept is followed by a receive, that
//! by a hand-over to another shard; buffers are few, and a turn handles no more than it may.

use crate::broker::LogKind;

use super::{Brain, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Has the brain do what is due.
    pub(super) fn run_timers(&mut self) -> Result<(), ShardError> {
        match self.has_looked()? {
            true => self.brain.on_timers(self.now_ms),
            false => self.brain.on_timers_behind(self.now_ms),
        }
        Ok(())
    }

    /// Whether everything has been handled that had come when this turn began: the turn has found nothing, nothing waits for a
    /// buffer, for threads that work on handshakes or for the other half of a connection, and accepts are in flight.
    fn has_looked(&mut self) -> Result<bool, ShardError> {
        let is_done = self.batch.is_empty()
            && !self.overload.leaves_work()
            && self.receiving.is_settled()
            && self.moves.are_none()
            && !self.transports.are_away()
            && self.acceptor.paused_until_ms().is_none();
        Ok(is_done && !self.ring.has_put_off()?)
    }

    /// The shard has stood still.
    #[cold]
    pub(super) fn tell_standstill(&mut self) {
        let lost_ms = self.overload.take_stood_ms();
        self.drain.put_off(lost_ms);
        self.brain.on_standstill(self.now_ms, lost_ms);
        let text = format!("Shard {} stood still for {lost_ms} ms.", self.id.0);
        self.log(LogKind::Notice, text);
    }
}
