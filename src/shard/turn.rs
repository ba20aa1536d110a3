//! One turn: collect completions, handle them, hear the other shards, do what the brain wants, send.
//!
//! Being late: what is due is done when everything that had come before has been handled, and clients are not at fault for the
//! time in which the shard stood still (SIGSTOP, a virtual machine that was suspended, no CPU). The kernel takes in connections
//! and bytes meanwhile. One look does not show them all: an accept is followed by a receive, that by a hand-over to another
//! shard; buffers are few, and a turn handles no more than it may.

use std::time::{Duration, Instant};

use crate::broker::LogKind;
use crate::ids::ShardId;
use crate::limits;
use crate::uring::{Completion, Op};

use super::store_side::StoreSide;
use super::{Brain, Metric, Shard, ShardError, Traffic};

impl<B: Brain> Shard<B> {
    /// One turn. `since` is when the one before ended; returns when this one did. Sleeps only when there is nothing
    /// to do; handles completions and mesh messages for a bounded time, so that no one waits for long.
    pub(super) fn turn(&mut self, since: Instant) -> Result<Instant, ShardError> {
        self.batch.begin();
        self.batch.collect(self.traffic.sockets.ring())?;
        let has_nothing = self.batch.is_empty()
            && !self.traffic.receiving.can_feed()
            && !self.can_return_buffers();
        let started = if has_nothing {
            self.sleep(since)?
        } else {
            since
        };
        self.traffic.desk.wake(started);
        let now_ms = self.traffic.desk.now_ms();
        if self.overload.has_stood_still() {
            self.tell_standstill();
        }

        self.handle_completions(started)?;
        let is_due = |at_ms: Option<u64>| at_ms.is_some_and(|at_ms| at_ms <= now_ms);
        self.traffic.hear_others(&mut self.overload)?;
        self.traffic.hear_store();
        if !self.is_restoring && is_due(self.traffic.brain.next_deadline()) {
            self.run_timers()?;
        }
        let traffic = &mut self.traffic;
        traffic.run_effects()?;
        if is_due(self.acceptor.paused_until_ms()) {
            self.acceptor.resume(traffic)?;
        }
        // Other shards are told before the sends, which take most of the turn.
        traffic.flush_roads()?;
        traffic.return_buffers();
        traffic.arm_receives()?;
        traffic.start_sends()?;
        // Gathering may have made the brain change its mind about a connection.
        traffic.run_effects()?;
        traffic.check_flushing()?;
        traffic.charge();
        if traffic.brain.settle(now_ms) {
            traffic.give_memory_back();
        }
        traffic.flush_roads()?;
        let ring = traffic.sockets.ring();
        if ring.has_queued() {
            ring.poll()?;
        }

        if now_ms >= self.published_ms + limits::BOARD_MS {
            self.publish();
        }
        let ended = Instant::now();
        let left_work = self.overload.end(ended - started);
        let desk = &mut self.traffic.desk;
        desk.count(Metric::Turns, 1);
        desk.count(Metric::OverloadedTurns, left_work.into());
        Ok(ended)
    }

    /// Has the brain do what is due.
    fn run_timers(&mut self) -> Result<(), ShardError> {
        let has_looked = self.has_looked()?;
        let now_ms = self.traffic.desk.now_ms();
        match has_looked {
            true => self.traffic.brain.on_timers(now_ms),
            false => self.traffic.brain.on_timers_behind(now_ms),
        }
        Ok(())
    }

    /// Whether everything has been handled that had come when this turn began: the turn has found nothing, nothing waits for a
    /// buffer, for threads that work on handshakes or for the other half of a connection, and accepts are in flight.
    fn has_looked(&mut self) -> Result<bool, ShardError> {
        let traffic = &mut self.traffic;
        let is_done = self.batch.is_empty()
            && !self.overload.leaves_work()
            && traffic.receiving.is_settled()
            && traffic.roads.are_empty()
            && !traffic.transports.are_away()
            && self.acceptor.paused_until_ms().is_none();
        Ok(is_done && !traffic.sockets.ring().has_put_off()?)
    }

    /// The shard has stood still.
    #[cold]
    fn tell_standstill(&mut self) {
        let lost_ms = self.overload.take_stood_ms();
        let Traffic { desk, brain, .. } = &mut self.traffic;
        desk.drain().put_off(lost_ms);
        brain.on_standstill(desk.now_ms(), lost_ms);
        let text = format!("Shard {} stood still for {lost_ms} ms.", desk.id().0);
        desk.log(LogKind::Notice, text);
    }

    /// Waits for a completion, a wake-up or the next deadline; returns when it woke.
    fn sleep(&mut self, since: Instant) -> Result<Instant, ShardError> {
        let Traffic { roads, brain, .. } = &mut self.traffic;
        let mesh = roads.mesh_mut();
        if !mesh.prepare_sleep(|from| brain.takes_from(from)) {
            return Ok(since);
        }
        if !self.traffic.store.prepare_sleep() {
            self.traffic.roads.mesh_mut().awake();
            self.traffic.store.awake();
            return Ok(since);
        }
        debug_assert!(
            !self.traffic.receiving.withholds() || self.traffic.roads.mesh().congested(),
            "nobody would wake it to lend the buffers that it has"
        );
        self.publish();
        let wake_ms = self.next_wake_ms();
        let Traffic {
            sockets,
            roads,
            desk,
            store,
            ..
        } = &mut self.traffic;
        let shared = desk.shared();
        let timeout = wake_ms.map(|at_ms| shared.until(at_ms));
        if timeout != Some(Duration::ZERO) {
            sockets.ring().wait(timeout)?;
        }
        roads.mesh_mut().awake();
        store.awake();
        let woke = Instant::now();
        if let Some(wake_ms) = wake_ms {
            let due_ms = wake_ms.max(shared.ms_at(since));
            self.overload.woke(shared.ms_at(woke), due_ms);
        }
        self.batch.collect(sockets.ring())?;
        Ok(woke)
    }

    /// When there will be something to do even if nothing happens.
    fn next_wake_ms(&self) -> Option<u64> {
        let Traffic {
            roads, brain, desk, ..
        } = &self.traffic;
        let (mesh, now_ms) = (roads.mesh(), desk.now_ms());
        let draining = desk.ends_at_ms().map(|_| now_ms + limits::DRAIN_POLL_MS);
        // Who takes something out of a ring that is not full wakes nobody for it.
        let looked = match (mesh.congested(), mesh.bytes()) {
            (true, _) => Some(now_ms + limits::MESH_POLL_MS),
            (false, 0) => None,
            (false, _) => Some(now_ms + limits::MESH_LOOK_MS),
        };
        [
            brain.next_deadline(),
            self.acceptor.paused_until_ms(),
            draining,
            looked,
            mesh.owed_at_ms(),
        ]
        .into_iter()
        .flatten()
        .min()
        .map(|at_ms| at_ms.min(now_ms + limits::WATCH_MS))
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
        let handled = self.batch.handled() as u64;
        self.traffic.desk.count(Metric::Completions, handled);
        if self.batch.leaves_some() {
            self.overload.leave();
        }
        Ok(())
    }

    #[inline]
    fn handle(&mut self, completion: Completion) -> Result<(), ShardError> {
        let traffic = &mut self.traffic;
        match completion.user_data.op() {
            Some(Op::Receive) => traffic.on_receive(completion)?,
            Some(Op::Send) => traffic.on_send(completion)?,
            Some(Op::Accept) => {
                let is_too_much = self.overload.is_too_much();
                self.acceptor.on_accept(completion, is_too_much, traffic)?;
            }
            Some(Op::CancelReceive) => traffic.on_receive_cancelled(completion)?,
            Some(Op::CancelSend) => traffic.on_send_cancelled(completion)?,
            Some(Op::Shutdown) => traffic.on_shut(completion)?,
            Some(Op::Close) => traffic.on_slot_closed(completion)?,
            Some(Op::CloseSlot) => traffic.sockets.slot_closed(),
            Some(Op::Give) => traffic.on_given_away(completion)?,
            Some(Op::Given) => traffic.on_given(completion)?,
            Some(Op::Commands) => self.on_commands()?,
            Some(Op::WakeFailed) => {
                let to = ShardId(completion.user_data.index() as u8);
                match StoreSide::is_it(to) {
                    true => traffic.store.on_wake_failed(),
                    false => traffic.roads.on_wake_failed(to, &mut traffic.desk),
                }
            }
            // A wake-up has done what it is for.
            Some(Op::Wake | Op::CancelAccept | Op::Connect) => {}
            None => traffic.desk.count_stray(),
        }
        Ok(())
    }

    /// Whether buffers are kept for a congestion that is over: the others took what was sent to them after this turn had looked.
    fn can_return_buffers(&self) -> bool {
        self.traffic.receiving.withholds() && !self.traffic.roads.mesh().congested()
    }

    /// Leaves copies of the counters for others to read.
    pub(super) fn publish(&mut self) {
        let Traffic {
            sockets,
            roads,
            brain,
            desk,
            store,
            ..
        } = &mut self.traffic;
        self.published_ms = desk.now_ms();
        store.tell_wall_clock(brain, desk);
        desk.set_levels(sockets.open(), roads.mesh().waiting());
        let board = desk.shared().board(desk.id());
        board.publish(brain.counters(), desk.metrics());
    }

    /// Begins the end: no more accepts, and the brain closes what is open. Once only.
    pub(super) fn begin_drain(&mut self) -> Result<(), ShardError> {
        let traffic = &mut self.traffic;
        let now_ms = traffic.desk.now_ms();
        if traffic.desk.drain().begin(now_ms + limits::DRAIN_MS_MAX) {
            self.acceptor.cancel_all(traffic.sockets.ring())?;
            traffic.brain.on_drain(now_ms);
        }
        Ok(())
    }

    /// Whether the drain is over: on this shard and on all others, whose messages are answered until then.
    pub(super) fn finished(&mut self) -> bool {
        let Traffic {
            sockets,
            roads,
            desk,
            store,
            brain,
            ..
        } = &mut self.traffic;
        let Some(until_ms) = desk.ends_at_ms() else {
            return false;
        };
        let late = desk.now_ms() >= until_ms;
        let idle = sockets.are_gone()
            && self.acceptor.is_idle()
            && !roads.await_halves()
            && store.is_idle(brain);
        if (idle || late) && desk.drain().tells() {
            desk.shared().note_drained();
        }
        late || (desk.drain().is_told() && desk.shared().all_drained())
    }
}
