//! Receiving: into provided buffers, single until the client is let in, multishot from then on.

use crate::broker::CloseCause;
use crate::ids::ConnId;
use crate::uring::{Completion, Filled, Op, ReceiveFailure, ops};

use super::connections::Flags;
use super::receiving::Feed;
use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// Arms receives for the connections that want one. To be called when the effects of the events that led here
    /// have been carried out: a connection that moves away must not receive any more.
    pub(super) fn arm_receives(&mut self) -> Result<(), ShardError> {
        if self.receiving.can_feed() {
            self.feed_starved()?;
        }
        let mut place = 0;
        while let Some((conn, once)) = self.receiving.wanting(place) {
            self.arm_receive(conn, once)?;
            place += 1;
        }
        self.receiving.forget_wanting();
        Ok(())
    }

    /// A receive is over that brought bytes.
    #[inline]
    fn receive_again(&mut self, conn: ConnId, leaves_bytes: bool, deliveries: u64) {
        if leaves_bytes {
            return self.receiving.want_again(conn, deliveries);
        }
        if let Some(entry) = self.connections.get(conn) {
            entry.flags.clear(Flags::TOOK_BUFFERS);
        }
        self.receiving.want(conn);
    }

    /// Receives from connections that found no buffer, before others do. Who has taken so many buffers that the others found none is
    /// received from once, or they would never have any.
    #[cold]
    fn feed_starved(&mut self) -> Result<(), ShardError> {
        let Feed { most, once } = self.receiving.feed();
        for _ in 0..most {
            let Some(conn) = self.receiving.next_starved() else {
                break;
            };
            let entry = self.connections.get(conn);
            let took = entry.is_some_and(|entry| entry.flags.has(Flags::TOOK_BUFFERS));
            self.arm_receive(conn, took || once)?;
        }
        Ok(())
    }

    /// A receive found no buffer.
    #[cold]
    fn on_starved(&mut self, conn: ConnId) {
        self.metrics.add(Metric::Starved, 1);
        if self.receiving.starve(conn)
            && let Some(entry) = self.connections.get(conn)
        {
            entry.flags.set(Flags::TOOK_BUFFERS);
        }
    }

    /// Looks at every connection for whether it is to be received from.
    pub(super) fn arm_all(&mut self) {
        self.receiving.want_all(self.connections.numbers());
    }

    fn arm_receive(&mut self, conn: ConnId, once: bool) -> Result<(), ShardError> {
        let idle = Flags::RECEIVING
            .or(Flags::EOF)
            .or(Flags::CLOSING)
            .or(Flags::GIVING)
            .or(Flags::AWAY);
        let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(idle))
        else {
            return Ok(());
        };
        if self.brain.is_waiting(conn) {
            return Ok(());
        }
        let user_data = entry.user_data(Op::Receive, conn);
        // What a connection that is being flushed still receives is thrown away: it does not move any more.
        let stays = entry.flags.has(Flags::FLUSHING) || self.brain.is_established(conn);
        let receive = if stays && !once {
            ops::receive_multishot
        } else {
            ops::receive_once
        };
        let submission = receive(entry.slot, self.receiving.group(), user_data);
        entry.flags.set(Flags::RECEIVING);
        entry.in_flight += 1;
        // SAFETY: names no memory; the provided buffers are `self.receiving`'s affair.
        unsafe { self.ring.push(&submission)? };
        Ok(())
    }

    /// A receive brought bytes, or ended.
    #[inline]
    pub(super) fn on_receive(&mut self, completion: Completion) -> Result<(), ShardError> {
        let filled = self.receiving.take(&completion);
        let result = self.on_received(completion, filled);
        if let Some(id) = filled.and_then(|filled| filled.finished) {
            self.receiving.release(id, self.mesh.congested());
        }
        result
    }

    #[inline]
    fn on_received(
        &mut self,
        completion: Completion,
        filled: Option<Filled>,
    ) -> Result<(), ShardError> {
        let Some((conn, entry)) = self.connections.of(completion.user_data) else {
            self.metrics.add(Metric::Stray, 1);
            return Ok(());
        };
        if !completion.more() {
            entry.flags.clear(Flags::RECEIVING);
            entry.in_flight -= 1;
        }
        let leaving = entry.flags.has(Flags::LEAVING);
        let has_transport = entry.flags.has(Flags::TRANSPORT);
        if completion.result > 0
            && let Some(filled) = filled
        {
            self.metrics.add(Metric::Receives, 1);
            let before = self.brain.delivered();
            if has_transport {
                self.on_transport_bytes(conn, filled)?;
            } else if !leaving {
                let bytes = self.receiving.bytes(filled);
                self.brain.on_bytes(self.now_ms, conn, bytes);
            } else if let Some(received) = self.moves.received(conn) {
                received.extend_from_slice(self.receiving.bytes(filled));
            }
            self.receiving.note(conn, completion.result as usize);
            if !completion.more() {
                let deliveries = self.brain.delivered() - before;
                self.receive_again(conn, completion.leaves_bytes(), deliveries);
            }
        } else {
            self.on_receive_ended(conn, completion)?;
        }
        if leaving { self.advance(conn) } else { Ok(()) }
    }

    /// A receive without bytes: the end of the stream, or an error.
    #[cold]
    fn on_receive_ended(&mut self, conn: ConnId, completion: Completion) -> Result<(), ShardError> {
        if completion.result == 0 {
            if let Some(entry) = self.connections.get(conn) {
                entry.flags.set(Flags::EOF);
            }
            return self.tell_end(conn, CloseCause::Eof);
        }
        match ReceiveFailure::of(-completion.result) {
            // Somebody cancelled it who no longer wants that, or it is to be tried again; or not, if it is leaving.
            ReceiveFailure::Cancelled | ReceiveFailure::Again => self.receiving.want(conn),
            ReceiveFailure::NoBuffers => self.on_starved(conn),
            ReceiveFailure::Broken(errno) => self.on_broken(conn, errno)?,
        }
        Ok(())
    }

    /// The connection is broken: nothing more can be sent or received.
    #[cold]
    pub(super) fn on_broken(&mut self, conn: ConnId, errno: i32) -> Result<(), ShardError> {
        let Some(entry) = self.connections.get(conn) else {
            return Ok(());
        };
        entry.flags.set(Flags::EOF);
        if entry.flags.has(Flags::FLUSHING) {
            return self.close_now(conn);
        }
        self.tell_end(conn, CloseCause::Error(errno))
    }

    /// Tells the brain once that a connection has ended; it answers with a close. What it wanted before it knew comes
    /// first: a last answer may still reach a peer that has closed its own side only.
    pub(super) fn tell_end(&mut self, conn: ConnId, cause: CloseCause) -> Result<(), ShardError> {
        self.run_effects()?;
        // A brain that puts an orderly end off hears of an error too.
        let told = match cause {
            CloseCause::Error(_) => Flags::default(),
            _ => Flags::END_TOLD,
        };
        let leaving = told
            .or(Flags::CLOSING)
            .or(Flags::FLUSHING)
            .or(Flags::GIVING);
        if let Some(entry) = self
            .connections
            .get(conn)
            .filter(|entry| !entry.flags.has(leaving))
        {
            entry.flags.set(Flags::END_TOLD);
            self.brain.on_eof(self.now_ms, conn, cause);
        }
        Ok(())
    }
}
