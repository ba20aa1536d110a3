//! Answers are given, or kept until what they promise is durable (`held`).

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::facts::Answer;
use crate::broker::held::Kept;
use crate::ids::ConnId;
use crate::mqtt::{AckKind, AckOut, PacketId, ReasonCode};

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

    /// Acknowledges: PUBACK, PUBREC, PUBREL, PUBCOMP. All of them go through here, but for a PUBREL that is sent again.
    #[inline]
    pub(in crate::broker) fn acknowledge(
        &mut self,
        conn: ConnId,
        kind: AckKind,
        id: PacketId,
        reason: ReasonCode,
    ) {
        if reason.is_error() {
            self.clients.log_acknowledgement(conn, kind, id, reason);
        }
        self.clients
            .tell_answer(conn, Answer::Ack(kind, id, reason));
        let version = self.clients.peers.conns[conn.index()].version();
        let ack = AckOut {
            kind,
            packet_id: id,
            reason,
            reason_string: None,
        };
        self.answer_client(conn, |out| ack.encode(version, out));
    }

    /// Answers a client, now or when what that promises is durable.
    #[inline]
    pub(in crate::broker) fn answer_client(
        &mut self,
        conn: ConnId,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        if !self.held.is_on() {
            return self.clients.reply(conn, encode);
        }
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.hold_answer(conn, &bytes);
    }

    #[cold]
    fn hold_answer(&mut self, conn: ConnId, bytes: &[u8]) {
        match self.held.take_after(self.waits.has_held(conn)) {
            None => self.clients.reply(conn, |out| out.extend_from_slice(bytes)),
            Some(after) => {
                let line = self.waits.hold(conn);
                let packet = Kept::Packet(SmallVec::from_slice(bytes));
                self.held.push(after, conn, line, packet);
            }
        }
    }

    /// CONNACK follows. If it promises what is not durable yet, nothing goes out to the client until it is.
    pub(in crate::broker) fn hold_connack(&mut self, conn: ConnId) {
        if !self.held.is_on() {
            return;
        }
        if let Some(after) = self.held.take_after(false) {
            let line = self.waits.hold(conn);
            self.held.push(after, conn, line, Kept::Output);
            self.clients.out.keep_in(conn);
        }
    }

    /// From here on each answer waits for a record of its own. Returns the number of the last one.
    #[cfg(test)]
    pub fn hold_each_answer(&mut self) -> u64 {
        self.held.each()
    }
}
