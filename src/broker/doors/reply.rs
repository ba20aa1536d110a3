//! Answers to a client: packets that are not messages. They are given at once, or kept until what they promise is durable (`held`).
//!
//! Answers to the connection whose bytes are being handled are queued together when its bytes are done, so that they
//! do not lie between the messages of others in the log (which would keep those from merging).

use smallvec::SmallVec;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::facts::Answer;
use crate::broker::held::Kept;
use crate::broker::peers::state::Stage;
use crate::ids::{ConnId, NONE};
use crate::journal::{Protection, has};
use crate::limits;
use crate::mqtt::{AckKind, AckOut, PacketId, ReasonCode};

impl Broker {
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
        let held = match kind {
            AckKind::Puback => Protection::PubackHeld,
            AckKind::Pubrec => Protection::PubrecHeld,
            AckKind::Pubrel => Protection::PubrelHeld,
            AckKind::Pubcomp => Protection::PubcompHeld,
        };
        self.answer_client(conn, held, |out| ack.encode(version, out));
    }

    /// Answers a client, now or, `held`, when what that promises is durable.
    #[inline]
    pub(in crate::broker) fn answer_client(
        &mut self,
        conn: ConnId,
        held: Protection,
        encode: impl FnOnce(&mut Vec<u8>),
    ) {
        let told = self.clients.sessions.facts().promised();
        if !has(held) || (told.is_none() && !self.held.is_on()) {
            return self.clients.reply(conn, encode);
        }
        let mut bytes = Vec::new();
        encode(&mut bytes);
        self.hold_answer(conn, told, &bytes);
    }

    #[cold]
    fn hold_answer(&mut self, conn: ConnId, told: Option<u64>, bytes: &[u8]) {
        let kept = self.waits.held_of(conn);
        if kept >= limits::HELD_ANSWERS_OF_ONE {
            return self.clients.peers.overflowing.push(conn);
        }
        match self.held.after(conn, told, kept > 0) {
            None => self.clients.reply(conn, |out| out.extend_from_slice(bytes)),
            Some(after) => {
                let line = self.waits.hold(conn);
                let packet = Kept::Packet(SmallVec::from_slice(bytes));
                self.held.push(after, (conn, line), packet);
            }
        }
    }

    /// CONNACK follows. If it promises what is not durable yet, nothing goes out to the client until it is.
    pub(in crate::broker) fn hold_connack(&mut self, conn: ConnId) {
        let told = self.clients.sessions.facts().promised();
        if has(Protection::ConnackHeld)
            && (told.is_some() || self.held.is_on())
            && let Some(after) = self.held.after(conn, told, false)
        {
            let line = self.waits.hold(conn);
            self.held.push(after, (conn, line), Kept::Output);
            self.clients.out.keep_in(conn);
        }
    }

    /// A packet of this connection has been handled: its answer may come later, and promises what was told of it.
    #[inline]
    pub(in crate::broker) fn note_told(&mut self, conn: ConnId) {
        if let Some(turn) = self.clients.sessions.facts().take_promised() {
            self.held.note_told(conn, turn);
        }
    }

    /// What is answered to a connection while its bytes are handled goes out behind them, together.
    #[inline]
    pub(in crate::broker) fn collect_replies(
        &mut self,
        conn: ConnId,
        handle: impl FnOnce(&mut Broker),
    ) {
        self.clients.peers.replies_to = conn;
        handle(self);
        self.clients.flush_replies();
        self.clients.peers.replies_to = ConnId(NONE);
    }
}

impl Clients {
    /// Queues an answer, written by `encode`.
    pub(crate) fn reply(&mut self, conn: ConnId, encode: impl FnOnce(&mut Vec<u8>)) {
        if self.peers.conns[conn.index()].stage() == Stage::Moved {
            return;
        }
        self.desk.counters.packets_sent += 1;
        if conn == self.peers.replies_to {
            encode(&mut self.peers.replies);
            return;
        }
        let mut bytes = Vec::new();
        encode(&mut bytes);
        let range = self.out.append_bytes(&bytes);
        self.push_control(conn, range);
    }

    /// Queues the answers to the connection whose bytes are being handled.
    pub(crate) fn flush_replies(&mut self) {
        if self.peers.replies.is_empty() {
            return;
        }
        let replies = std::mem::take(&mut self.peers.replies);
        let range = self.out.append_bytes(&replies);
        self.push_control(self.peers.replies_to, range);
        self.peers.replies = replies;
        self.peers.replies.clear();
    }

    /// The same, if they are this connection's.
    pub(crate) fn flush_replies_to(&mut self, conn: ConnId) {
        if self.peers.replies_to == conn {
            self.flush_replies();
        }
    }
}
