//! One turn: collect completions, handle them, hear the other shards, do what the brain wants, send.

use std::time::{Duration, Instant};

use crate::budget::Account;
use crate::ids::ShardId;
use crate::limits;
use crate::uring::{Completion, Op};

use super::{Brain, Metric, Shard, ShardError};

impl<B: Brain> Shard<B> {
    /// One turn. `since` is when the one before ended; returns when this one did. Sleeps only when there is nothing
    /// to do; handles completions and mesh messages for a bounded time, so that no one waits for long.
    pub(super) fn turn(&mut self, since: Instant) -> Result<Instant, ShardError> {
        self.batch.begin();
        self.batch.collect(&mut self.ring)?;
        let has_nothing =
            self.batch.is_empty() && !self.receiving.can_feed() && !self.can_return_buffers();
        let started = if has_nothing {
            self.sleep(since)?
        } else {
            since
        };
        self.now_ms = self.shared.ms_at(started);
        if self.overload.has_stood_still() {
            self.tell_standstill();
        }

        self.handle_completions(started)?;
        self.drain_mesh()?;
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
        if is_due(self.brain.next_deadline()) {
            self.run_timers()?;
        }
        self.run_effects()?;
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= self.now_ms);
        if is_due(self.acceptor.paused_until_ms()) {
            self.arm_accepts()?;
        }
        // Other shards are told before the sends, which take most of the turn.
        self.flush_mesh()?;
        self.return_buffers();
        self.arm_receives()?;
        self.start_sends()?;
        // Gathering may have made the brain change its mind about a connection.
        self.run_effects()?;
        self.check_flushing()?;
        self.charge();
        if self.brain.settle(self.now_ms) {
            self.give_memory_back();
        }
        self.flush_mesh()?;
        if self.ring.has_queued() {
            self.ring.poll()?;
        }

        if self.now_ms >= self.published_ms + limits::BOARD_MS {
            self.publish();
        }
        let ended = Instant::now();
        self.metrics.add(Metric::Turns, 1);
        let left_work = self.overload.end(ended - started);
        self.metrics.add(Metric::OverloadedTurns, left_work.into());
        Ok(ended)
    }

    /// Tells what the thread holds beside the brain, and whether that is much.
    #[inline]
    fn charge(&mut self) {
        let sockets = self.connections.open() as u64 * limits::SOCKET_BYTES;
        self.brain.charge(Account::Sockets, sockets);
        self.brain
            .charge(Account::Transports, self.transports.charge());
        self.brain.charge(Account::Mesh, self.mesh.bytes());
        self.brain.on_congestion(self.mesh.congested());
    }

    /// Waits for a completion, a wake-up or the next deadline; returns when it woke.
    fn sleep(&mut self, since: Instant) -> Result<Instant, ShardError> {
        let brain = &self.brain;
        if !self.mesh.prepare_sleep(|from| brain.takes_from(from)) {
            return Ok(since);
        }
        debug_assert!(
            !self.receiving.withholds() || self.mesh.congested(),
            "nobody would wake it to lend the buffers that it has"
        );
        self.publish();
        let wake_ms = self.next_wake_ms();
        let timeout = wake_ms.map(|at_ms| self.shared.until(at_ms));
        if timeout != Some(Duration::ZERO) {
            self.ring.wait(timeout)?;
        }
        self.mesh.awake();
        let woke = Instant::now();
        if let Some(wake_ms) = wake_ms {
            self.overload.woke(
                self.shared.ms_at(woke),
                wake_ms.max(self.shared.ms_at(since)),
            );
        }
        self.batch.collect(&mut self.ring)?;
        Ok(woke)
    }

    /// When there will be something to do even if nothing happens.
    fn next_wake_ms(&self) -> Option<u64> {
        let draining = self.drain.until_ms();
        let draining = draining.map(|_| self.now_ms + limits::DRAIN_POLL_MS);
        // Who takes something out of a ring that is not full wakes nobody for it.
        let mesh = match (self.mesh.congested(), self.mesh.bytes()) {
            (true, _) => Some(self.now_ms + limits::MESH_POLL_MS),
            (false, 0) => None,
            (false, _) => Some(self.now_ms + limits::MESH_LOOK_MS),
        };
        [
            self.brain.next_deadline(),
            self.acceptor.paused_until_ms(),
            draining,
            mesh,
            self.mesh.owed_at_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at_ms| at_ms.min(self.now_ms + limits::WATCH_MS))
    }

    /// Handles completions in their order, until all are handled or the turn has worked enough: then the others are
    /// the first of the next turn.
    fn handle_completions(&mut self, started: Instant) -> Result<(), ShardError> {
        self.overload.begin(started);
        let mut is_enough = false;
        while !is_enough && let Some(completion) = self.batch.next() {
            self.handle(completion)?;
            is_enough = completion.user_data.op() == Some(Op::Receive)
                && match usize::try_from(completion.result) {
                    Ok(bytes @ 1..) => self.overload.received(bytes),
                    // The end of a connection: of a session with many subscriptions, as a rule, some milliseconds.
                    _ => self.overload.look(),
                };
        }
        self.metrics
            .add(Metric::Completions, self.batch.handled() as u64);
        if self.batch.leaves_some() {
            self.overload.leave();
        }
        Ok(())
    }

    #[inline]
    fn handle(&mut self, completion: Completion) -> Result<(), ShardError> {
        match completion.user_data.op() {
            Some(Op::Receive) => self.on_receive(completion)?,
            Some(Op::Send) => self.on_send(completion)?,
            Some(Op::Accept) => self.on_accept(completion)?,
            Some(Op::CancelReceive) => self.on_receive_cancelled(completion)?,
            Some(Op::CancelSend) => self.on_send_cancelled(completion)?,
            Some(Op::Shutdown) => self.on_shut(completion)?,
            Some(Op::Close) => self.on_slot_closed(completion),
            Some(Op::CloseSlot) => self.acceptor.slot_closed(),
            Some(Op::Give) => self.on_given_away(completion)?,
            Some(Op::Given) => self.on_given(completion)?,
            Some(Op::Commands) => self.on_commands()?,
            Some(Op::WakeFailed) => {
                self.on_wake_failed(ShardId(completion.user_data.index() as u8))
            }
            // A wake-up has done what it is for.
            Some(Op::Wake | Op::CancelAccept | Op::Connect) => {}
            None => self.metrics.add(Metric::Stray, 1),
        }
        Ok(())
    }

    /// Whether buffers are kept for a congestion that is over: the others took what was sent to them after this turn had looked.
    fn can_return_buffers(&self) -> bool {
        self.receiving.withholds() && !self.mesh.congested()
    }

    /// Lends the kernel the buffers that were read, unless the mesh is congested: without buffers the kernel
    /// receives nothing, and TCP holds the publishers up.
    fn return_buffers(&mut self) {
        if self.mesh.congested() {
            self.metrics.add(Metric::MeshCongested, 1);
        } else {
            self.receiving.give_back_withheld();
        }
        self.receiving.publish();
    }

    /// Leaves copies of the counters for others to read.
    pub(super) fn publish(&mut self) {
        self.published_ms = self.now_ms;
        self.metrics.set_connections(self.connections.open() as u64);
        self.metrics.set_mesh_waiting(self.mesh.waiting() as u64);
        self.shared
            .board(self.id)
            .publish(self.brain.counters(), &self.metrics);
    }

    /// Begins the end: no more accepts, and the brain closes what is open. Once only.
    pub(super) fn begin_drain(&mut self) -> Result<(), ShardError> {
        if self.drain.begin(self.now_ms + limits::DRAIN_MS_MAX) {
            self.acceptor.cancel_all(&mut self.ring)?;
            self.brain.on_drain(self.now_ms);
        }
        Ok(())
    }

    /// Whether the drain is over: on this shard and on all others, whose messages are answered until then.
    pub(super) fn finished(&mut self) -> bool {
        let Some(until_ms) = self.drain.until_ms() else {
            return false;
        };
        let late = self.now_ms >= until_ms;
        let idle =
            self.connections.open() == 0 && self.acceptor.is_idle() && !self.moves.awaits_halves();
        if (idle || late) && self.drain.tells() {
            self.shared.note_drained();
        }
        late || (self.drain.is_told() && self.shared.all_drained())
    }
}
