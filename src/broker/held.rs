//! Answers that promise something which is not durable yet: kept until it is, in the order in which they were decided.
//!
//! Who writes a record says with its number that the next answer waits for it (`Broker::hold_answer_after`), and later up to which
//! number all is durable (`Broker::on_durable`). An answer that waits for nothing still follows those of its connection that do
//! (MQTT-4.6.0-2 to MQTT-4.6.0-4). CONNACK, which nothing may pass (MQTT-3.2.0-1), is queued at once: what is kept is all output
//! of its connection, so that whatever follows it lies behind it. As long as nobody writes records nothing is ever held, and an answer costs a look at one flag.
//!
//! Invariant: numbers never become less along the queue.

use std::collections::VecDeque;

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
    /// Whether an answer may have to be kept.
    is_on: bool,
    /// The record that the next answer waits for; 0 for none.
    next_after: u64,
    durable: u64,
    queue: VecDeque<HeldAnswer>,
    /// Bytes of packets that have memory of their own.
    spilled: usize,
    /// Each answer is one more record, from this number on.
    #[cfg(test)]
    records: Option<u64>,
}

impl Held {
    /// Whether an answer may have to be kept.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on
    }

    /// The next answer waits for a record.
    pub(super) fn hold_after(&mut self, number: u64) {
        self.next_after = number;
        self.is_on = true;
    }

    /// What the next answer waits for; with `follows` it waits for those before it, too. `None` if it need not wait.
    pub(super) fn take_after(&mut self, follows: bool) -> Option<u64> {
        #[cfg(test)]
        if let Some(records) = &mut self.records {
            *records += 1;
            self.next_after = *records;
        }
        let after = std::mem::take(&mut self.next_after);
        let last = self.queue.back().map_or(0, |answer| answer.after);
        self.refresh();
        (after > self.durable || follows).then_some(after.max(last))
    }

    fn refresh(&mut self) {
        self.is_on = self.next_after > 0 || !self.queue.is_empty();
        #[cfg(test)]
        {
            self.is_on |= self.records.is_some();
        }
    }

    /// Keeps an answer.
    pub(super) fn push(&mut self, after: u64, conn: ConnId, line: u32, what: Kept) {
        let answer = HeldAnswer {
            after,
            conn,
            line,
            what,
        };
        self.spilled += answer.spilled();
        self.queue.push_back(answer);
        self.is_on = true;
    }

    /// All records up to this one are durable.
    pub(super) fn note_durable(&mut self, number: u64) {
        self.durable = self.durable.max(number);
    }

    /// The next answer that is kept no longer.
    pub(super) fn pop(&mut self) -> Option<HeldAnswer> {
        self.queue
            .front()
            .filter(|front| front.after <= self.durable)?;
        let answer = self.queue.pop_front()?;
        self.spilled -= answer.spilled();
        self.refresh();
        Some(answer)
    }

    /// Whether so much is kept that publishers have to wait.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.queue.len() >= limits::HELD_ANSWERS_MAX
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        self.queue.capacity() * size_of::<HeldAnswer>() + self.spilled
    }

    /// Gives memory back.
    pub(super) fn trim(&mut self) {
        self.queue.shrink_to_fit();
    }

    /// From here on each answer waits for a record of its own; the number of the last one.
    #[cfg(test)]
    pub(super) fn each(&mut self) -> u64 {
        let records = *self.records.get_or_insert(0);
        self.refresh();
        records
    }
}
