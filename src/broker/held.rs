//! Answers that promise something which is not durable yet: kept until it is, in the order in which they were decided.
//!
//! What is told of an event belongs to a turn of the journal (`Facts::promised`). An answer waits for the turn of the event in which it
//! is decided, and for that of the last packet of its connection of which something was told. One that waits for nothing still follows
//! those of its connection that do (MQTT-4.6.0-2 to MQTT-4.6.0-4). CONNACK, which nothing may pass (MQTT-3.2.0-1), is queued at once:
//! what is kept is all output of its connection, so that whatever follows it lies behind it. As long as nobody writes nothing is ever
//! held, and an answer costs a look at two flags.
//!
//! Invariant: turns never become less along the queue.

use std::collections::VecDeque;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::ids::ConnId;
use crate::limits;

/// What is kept.
pub(super) enum Kept {
    /// The packet.
    Packet(SmallVec<[u8; 8]>),
    /// CONNACK, and everything behind it: it lies in the output of its connection, which is kept in.
    Output,
}

/// An answer that is kept.
pub(super) struct HeldAnswer {
    after: u64,
    pub conn: ConnId,
    /// The line by which the connection is owed it (`waits`).
    pub line: u32,
    pub what: Kept,
}

impl HeldAnswer {
    fn spilled(&self) -> usize {
        match &self.what {
            Kept::Packet(bytes) if bytes.spilled() => bytes.capacity(),
            _ => 0,
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Held {
    durable: u64,
    queue: VecDeque<HeldAnswer>,
    /// Bytes of packets that have memory of their own.
    spilled: usize,
    /// By connection: the turn of the last packet of which something was told, where that may not be durable.
    told: HashMap<ConnId, u64, FixedState>,
    /// The last turn of them all.
    told_last: u64,
    /// What waits for the disk takes all the memory that it may.
    is_pressed: bool,
    /// Each answer is one more turn, from this number on.
    #[cfg(test)]
    each: Option<u64>,
    /// The next answer waits for this turn.
    #[cfg(test)]
    next: Option<u64>,
}

impl Held {
    /// Whether an answer may have to be kept although nothing was told in its event.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        #[cfg(test)]
        if self.each.is_some() || self.next.is_some() {
            return true;
        }
        !self.told.is_empty() || !self.queue.is_empty()
    }

    /// Something was told of a packet of this connection, in this turn.
    pub(super) fn note_told(&mut self, conn: ConnId, turn: u64) {
        self.told.insert(conn, turn);
        self.told_last = turn;
    }

    /// A connection is no more.
    pub(super) fn forget(&mut self, conn: ConnId) {
        if !self.told.is_empty() {
            self.told.remove(&conn);
        }
    }

    /// Whether something is kept by the number of a connection.
    #[cfg(test)]
    pub(super) fn knows(&self, conn: ConnId) -> bool {
        self.told.contains_key(&conn)
    }

    /// Which turn an answer to a connection waits for, if what was told in its event belongs to that one; with `follows` it waits for
    /// those before it, too. `None` if it need not wait.
    pub(super) fn after(&mut self, conn: ConnId, told: Option<u64>, follows: bool) -> Option<u64> {
        #[cfg(test)]
        let told = match &mut self.each {
            Some(each) => {
                *each += 1;
                Some(*each)
            }
            None => self.next.take().or(told),
        };
        let after = told.or_else(|| self.told.get(&conn).copied()).unwrap_or(0);
        let last = self.queue.back().map_or(0, |answer| answer.after);
        (after > self.durable || follows).then_some(after.max(last))
    }

    /// Keeps an answer.
    pub(super) fn push(&mut self, after: u64, (conn, line): (ConnId, u32), what: Kept) {
        let answer = HeldAnswer {
            after,
            conn,
            line,
            what,
        };
        self.spilled += answer.spilled();
        self.queue.push_back(answer);
    }

    /// All turns up to this one are durable.
    pub(super) fn note_durable(&mut self, turn: u64) {
        self.durable = self.durable.max(turn);
        if self.told_last <= self.durable {
            self.told.clear();
        }
    }

    /// The next answer that is kept no longer.
    pub(super) fn pop(&mut self) -> Option<HeldAnswer> {
        self.queue
            .front()
            .filter(|front| front.after <= self.durable)?;
        let answer = self.queue.pop_front()?;
        self.spilled -= answer.spilled();
        Some(answer)
    }

    /// Whether so much is kept that publishers have to wait.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.is_pressed || self.queue.len() >= limits::HELD_ANSWERS_MAX
    }

    /// Whether what waits for the disk takes all the memory that it may.
    pub(super) fn set_pressed(&mut self, is_pressed: bool) {
        self.is_pressed = is_pressed;
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.queue.capacity() * size_of::<HeldAnswer>() + self.spilled + self.told.allocation_size()
    }

    /// Gives memory back.
    pub(super) fn trim(&mut self) {
        self.queue.shrink_to_fit();
        self.told.shrink_to_fit();
    }

    /// The next answer waits for this turn.
    #[cfg(test)]
    pub(super) fn hold_next(&mut self, turn: u64) {
        self.next = Some(turn);
    }

    /// From here on each answer waits for a turn of its own; the number of the last one.
    #[cfg(test)]
    pub(super) fn each(&mut self) -> u64 {
        *self.each.get_or_insert(0)
    }
}
