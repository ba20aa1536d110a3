//! A turn of the shard ends, and what was written down of it is durable: answers that were held are given (`held`), and gates in the
//! output open.

use crate::broker::Broker;
use crate::broker::held::Kept;
use crate::chunk::Chunk;
use crate::journal::{Protection, has};

impl Broker {
    /// A turn ends as far as what is written down goes. To be called before anything that other shards are told can be seen there;
    /// then `next_chunk`, until there is none.
    pub fn end_turn(&mut self, now_ms: u64) {
        self.write_images();
        let (own, gone_on) = (self.clients.desk.shard, self.offers.popped());
        let is_settled = self.checkpoint.is_settled(own, gone_on);
        if is_settled && let Some(journal) = self.clients.sessions.facts().journal() {
            // What was taken of others has to be in it.
            journal.demand_turn();
        }
        self.end_written_turn(now_ms);
        if is_settled {
            self.checkpoint.complete();
        }
    }

    /// The turn of the journal ends, and another one begins.
    pub(in crate::broker) fn end_written_turn(&mut self, now_ms: u64) {
        let own = self.clients.desk.shard.0;
        let gone_on = self.offers.popped();
        let handled = self.ordering.handled();
        // What it has kept to go on with is handed to itself.
        let took = handled.map(|(from, at)| (from, if from == own { gone_on } else { at }));
        if let Some(journal) = self.clients.sessions.facts().journal() {
            journal.end_turn(now_ms, took.filter(|_| has(Protection::TookWritten)));
        }
    }

    /// The next chunk that is to be written, in the order of all chunks of all shards that were taken before, and whether a checkpoint
    /// of this shard begins with it.
    pub fn next_chunk(&mut self) -> Option<(Chunk, bool)> {
        self.clients.sessions.facts().journal()?.next_chunk()
    }

    /// A chunk has been written, and may be used again.
    pub fn give_chunk_back(&mut self, chunk: Chunk) {
        if let Some(journal) = self.clients.sessions.facts().journal() {
            journal.give_back(chunk);
        }
    }

    /// So many chunks of this shard are durable: what waited for that goes out.
    pub fn on_durable(&mut self, now_ms: u64, chunks: u64) {
        let Some(journal) = self.clients.sessions.facts().journal() else {
            return;
        };
        let turn = journal.on_durable(chunks);
        self.on_durable_turn(now_ms, turn);
    }

    /// All turns up to this one are durable. Numbers never become less.
    pub(in crate::broker) fn on_durable_turn(&mut self, now_ms: u64, turn: u64) {
        self.held.note_durable(turn);
        self.checkpoint.note_durable(turn);
        while let Some(answer) = self.held.pop() {
            let (conn, line) = (answer.conn, answer.line);
            if !self.waits.is_owed(conn, line) {
                continue; // it is gone, and its number may be another's
            }
            match answer.what {
                Kept::Packet(bytes) => self
                    .clients
                    .reply(conn, |out| out.extend_from_slice(&bytes)),
                Kept::Output => self.clients.out.let_out(conn),
            }
            self.waits.release(conn);
            if self.waits.pay(&mut self.clients.memory.lease, conn, line) {
                self.go_on_waiting(now_ms, conn);
            }
        }
        self.clients.out.open_gates(turn);
        self.end_event(now_ms);
    }

    /// Whether more can be written down: else what would have to be is refused.
    pub fn on_store(&mut self, is_open: bool) {
        self.clients.sessions.facts().set_open(is_open);
    }

    /// Whether all that was written down is durable, but for acknowledgements that are kept back.
    pub fn is_all_durable(&mut self) -> bool {
        let journal = self.clients.sessions.facts().journal();
        journal.is_none_or(|journal| journal.is_all_told())
    }

    /// The next answer waits for this turn.
    #[cfg(test)]
    pub fn hold_answer_after(&mut self, turn: u64) {
        self.held.hold_next(turn);
    }

    /// From here on each answer waits for a turn of its own. Returns the number of the last one.
    #[cfg(test)]
    pub fn hold_each_answer(&mut self) -> u64 {
        self.held.each()
    }
}
