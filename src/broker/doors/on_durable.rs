//! Answers are given, or kept until what they promise is durable (`held`).

use crate::broker::Broker;
use crate::broker::held::Kept;

impl Broker {
    /// The next answer that is decided promises what stands in the record with this number: it is given when that is durable.
    pub fn hold_answer_after(&mut self, number: u64) {
        self.held.hold_after(number);
    }

    /// All records up to this number are durable: the answers that waited for them are given. Numbers never become less.
    pub fn on_durable(&mut self, now_ms: u64, number: u64) {
        self.held.note_durable(number);
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
        self.end_event(now_ms);
    }

    /// From here on each answer waits for a record of its own. Returns the number of the last one.
    #[cfg(test)]
    pub fn hold_each_answer(&mut self) -> u64 {
        self.held.each()
    }
}
