//! What one turn delivers, and what it subscribes to, is bounded: a client whose messages go to very many is interrupted in the
//! middle of what was received of it, and goes on in the next turn. Meanwhile it is held, as one that publishes too fast is
//! (`hold`).
//!
//! A receive brings some hundred small messages. To twenty thousand subscribers they would be a turn of 200 ms, in which
//! nobody else is served; to a hundred thousand sessions that are away it would be seconds. A hundred clients that subscribe
//! to two hundred filters each at the same time are such a turn too.

use crate::broker::Broker;
use crate::broker::outcome::Until;
use crate::ids::ConnId;
use crate::mqtt::PacketType;

impl Broker {
    /// The same, with another bound on what a turn delivers, and on the levels of filters.
    #[cfg(test)]
    pub fn with_turns_of(mut self, deliveries: u64) -> Broker {
        use crate::broker::memory::turn::Turn;
        self.clients.memory.turn = Turn::of(deliveries);
        self
    }

    /// A turn has ended, and another one begins.
    #[inline]
    pub(in crate::broker) fn begin_turn(&mut self) {
        let delivered = self.clients.desk.counters.publish_sent;
        self.clients.memory.turn.begin(delivered);
    }

    /// Messages of other shards are handled from here on: however much clients have made the turn deliver, something is left.
    #[inline]
    pub fn begin_mesh(&mut self) {
        let delivered = self.clients.desk.counters.publish_sent;
        self.clients.memory.turn.leave_some(delivered);
    }

    /// Whether the turn has delivered what it may.
    #[inline]
    pub(in crate::broker) fn is_turn_full(&self) -> bool {
        let delivered = self.clients.desk.counters.publish_sent;
        self.clients.memory.turn.is_full(delivered)
    }

    /// Whether a packet of this kind has to wait because the turn has subscribed to what it may.
    #[inline]
    pub(in crate::broker) fn has_subscribed_enough(&self, first: u8) -> bool {
        let subscribes = [PacketType::Subscribe, PacketType::Unsubscribe];
        self.clients.memory.turn.is_out_of_levels()
            && subscribes
                .iter()
                .any(|kind| kind.first() >> 4 == first >> 4)
    }

    /// A connection has to wait for the next turn; what was received of it is kept. `None` if it is not to wait.
    #[cold]
    pub(in crate::broker) fn interrupt(&mut self, conn: ConnId) -> Option<Until> {
        let entry = &self.clients.peers.conns[conn.index()];
        if !entry.state.may_be_held() {
            return None;
        }
        if entry.state.is_open() {
            match self.is_turn_full() {
                true => self.clients.desk.counters.publish_cut += 1,
                false => self.clients.desk.counters.subscribe_cut += 1,
            }
        }
        Some(Until::NextTurn)
    }

    /// A connection ends, or the broker does: what was received of one that was interrupted is handled now, however much it is.
    pub(in crate::broker) fn finish_interrupted(&mut self, now_ms: u64, conn: ConnId) {
        let was_interrupted = self.clients.peers.next_turn.remove(conn);
        let waited = self.ends_waiting(conn);
        if (!was_interrupted && !waited) || !self.is_held(conn) {
            return;
        }
        self.ordering.under_way.lift(true);
        let lifted = self.clients.memory.turn.lift();
        let catching_up = self.clients.peers.state(conn).catch_up();
        if let Some(held) = self.take_partial(conn) {
            self.packets(now_ms, conn, &held);
        }
        // Who is too fast as well, or for whom memory is short, is held as before; the others end in any case.
        let _ = self.clients.peers.state(conn).caught_up(catching_up);
        self.ordering.under_way.lift(false);
        self.clients.memory.turn.restore(lifted);
    }

    /// Those who were interrupted go on, one after the other, until the turn is full. However much others have delivered in it,
    /// something is left for them.
    pub(in crate::broker) fn go_on(&mut self, now_ms: u64) {
        // One of those that wait for owners in any case; others if there is time.
        self.clients
            .peers
            .next_turn
            .extend(self.ordering.under_way.let_in());
        if self.clients.peers.next_turn.is_empty() {
            return;
        }
        let turn = &mut self.clients.memory.turn;
        turn.leave_some(self.clients.desk.counters.publish_sent);
        turn.leave_some_levels();
        for _ in 0..self.clients.peers.next_turn.len() {
            if self.is_turn_full() {
                return;
            }
            let Some(conn) = self.clients.peers.next_turn.pop_front() else {
                return;
            };
            let partial = self.clients.peers.conns[conn.index()].partial.as_ref();
            let first = partial.and_then(|partial| partial.bytes.first().copied());
            if first.is_some_and(|first| self.has_subscribed_enough(first)) {
                self.clients.peers.next_turn.push_back(conn);
            } else if self.is_held(conn) {
                self.catch_up(now_ms, conn);
            }
        }
        while !self.is_turn_full()
            && let Some(conn) = self.ordering.under_way.let_in()
        {
            if self.is_held(conn) {
                self.catch_up(now_ms, conn);
            }
        }
    }
}
