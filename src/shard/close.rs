//! Closing: flush or now, and the end of a connection's operations.
//!
//! ```text
//! open --Close{Flush}--> flushing --nothing to send--> shut --peer closed--> closing --nothing in flight--> slot
//!   \--Close{Now}---------------\-------------------------\---------------->    /                        closed
//! ```

use crate::ids::ConnId;
use crate::uring::{Completion, Op, ops};

use super::connections::Flags;
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Sends what is queued, shuts the sending side down, and closes when the peer has closed too.
    pub(super) fn close_flush(&mut self, conn: ConnId) {
        let leaving = Flags::CLOSING.or(Flags::FLUSHING).or(Flags::GIVING);
        if let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(leaving))
        {
            entry.flags.set(Flags::FLUSHING);
            self.receiving.want(conn);
            self.connections.look_at(conn);
        }
    }

    /// Gives up what is queued and closes.
    pub(super) fn close_now(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(Flags::GIVING))
        {
            entry.flags.set(Flags::CLOSING);
            self.advance(conn)?;
        }
        Ok(())
    }

    /// Takes a connection that is leaving as far as it can go. Called when anything of it has changed.
    pub(super) fn advance(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(());
        };
        if entry.flags.has(Flags::CLOSING) {
            self.advance_closing(conn)
        } else if entry.flags.has(Flags::GIVING) {
            self.advance_giving(conn)
        } else {
            if entry.flags.has(Flags::FLUSHING) {
                self.connections.look_at(conn);
            }
            Ok(())
        }
    }

    fn advance_closing(&mut self, conn: ConnId) -> Result<(), ShardError> {
        if !self.still(conn)? {
            return Ok(());
        }
        let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(Flags::SLOT_CLOSING))
        else {
            return Ok(());
        };
        entry.flags.set(Flags::SLOT_CLOSING);
        entry.in_flight += 1;
        let submission = ops::close(entry.slot, entry.user_data(Op::Close, conn));
        // SAFETY: names no memory.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// Cancels what is in flight; true when nothing is.
    pub(super) fn still(&mut self, conn: ConnId) -> Result<bool, ShardError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(false);
        };
        if entry.in_flight == 0 {
            return Ok(true);
        }
        self.cancel_receive(conn)?;
        self.cancel_send(conn)?;
        Ok(false)
    }

    fn cancel_receive(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(());
        };
        if entry.flags.has(Flags::RECEIVING) && !entry.flags.has(Flags::CANCELLING_RECEIVE) {
            entry.flags.set(Flags::CANCELLING_RECEIVE);
            entry.in_flight += 1;
            let cancel = ops::cancel(
                entry.user_data(Op::Receive, conn),
                entry.user_data(Op::CancelReceive, conn),
            );
            // SAFETY: names no memory.
            unsafe { self.ring.push(&cancel)? };
        }
        Ok(())
    }

    /// The brain wants nothing more from a connection for now. Where a receive is in flight it is cancelled; it is
    /// armed again when the brain wants that.
    pub(super) fn pause(&mut self, conn: ConnId) -> Result<(), ShardError> {
        let is_wanted =
            |entry: &&mut super::connections::Connection| !entry.flags.has(Flags::LEAVING);
        let paused = self.connections.get(conn).filter(is_wanted).is_some();
        if paused && self.brain.is_waiting(conn) {
            self.cancel_receive(conn)?;
        }
        Ok(())
    }

    /// A cancellation of a receive is over. A multishot receive may have been between two attempts, where it cannot
    /// be found: then `still` cancels it again.
    pub(super) fn on_receive_cancelled(
        &mut self,
        completion: Completion,
    ) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        entry.flags.clear(Flags::CANCELLING_RECEIVE);
        entry.in_flight -= 1;
        self.pause(conn)?;
        self.advance(conn)
    }

    /// Shuts down the connections that have nothing left to send, and closes those whose peer has closed too. To be
    /// called after the sends of a turn, so that "no send in flight" means "nothing to send".
    pub(super) fn check_flushing(&mut self) -> Result<(), ShardError> {
        while let Some(conn) = self.connections.next_flushing() {
            let Some(entry) = self.connections.get(conn) else {
                continue;
            };
            let busy = entry.flags.has(Flags::CLOSING.or(Flags::SENDING));
            if busy || !entry.flags.has(Flags::FLUSHING) {
                continue;
            }
            if !entry.flags.has(Flags::SHUT) {
                if entry.flags.has(Flags::TRANSPORT) && self.says_goodbye(conn)? {
                    continue;
                }
                let Some(entry) = self.connections.get(conn) else {
                    continue;
                };
                entry.flags.set(Flags::SHUT);
                entry.in_flight += 1;
                let submission =
                    ops::shutdown_write(entry.slot, entry.user_data(Op::Shutdown, conn));
                // SAFETY: names no memory.
                unsafe { self.ring.push(&submission)? };
            } else if entry.flags.has(Flags::EOF) && entry.in_flight == 0 {
                self.close_now(conn)?;
            }
        }
        Ok(())
    }

    /// The sending side is shut down; or it could not be, for the connection is gone.
    pub(super) fn on_shut(&mut self, completion: Completion) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        entry.in_flight -= 1;
        if completion.result < 0 {
            return self.close_now(conn);
        }
        self.advance(conn)
    }

    /// A connection's slot is closed: this was the last that was in flight.
    pub(super) fn on_slot_closed(&mut self, completion: Completion) {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return;
        };
        debug_assert_eq!(entry.in_flight, 1);
        let (listener, flags) = (entry.listener, entry.flags);
        if !flags.has(Flags::GIVEN) {
            self.shared.release(listener, flags.has(Flags::TLS));
        }
        self.end(conn);
    }
}
