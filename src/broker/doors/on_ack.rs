//! PUBACK, PUBREC and PUBCOMP from a client: what was in flight to it is done, or half done, and what waits follows.

use crate::broker::Broker;
use crate::broker::lines::Doing;
use crate::broker::peers::state::Stage;
use crate::broker::settings::LogKind;
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::{AckKind, PacketId, ReasonCode};
use crate::session::{Progress, Session};

impl Broker {
    /// PUBACK: a QoS 1 message is done. An identifier that is not in flight is ignored, as PUBACK has no answer; an answer of
    /// another kind than is due for its message is a protocol error (MQTT-4.3.2-3, MQTT-4.3.3-7).
    pub(in crate::broker) fn on_puback(&mut self, now_ms: u64, conn: ConnId, id: PacketId) {
        self.complete(now_ms, conn, id, Progress::Puback);
    }

    /// PUBREC: a QoS 2 message has been received; PUBREL answers (MQTT-4.3.3-4), unless it was refused.
    pub(in crate::broker) fn on_pubrec(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        id: PacketId,
        reason: ReasonCode,
    ) {
        if reason.is_error() {
            return self.complete(now_ms, conn, id, Progress::Pubrec);
        }
        let Some(session) = self.clients.peers.session_of(conn) else {
            return;
        };
        let (known, message) = match self.clients.sessions.change(session) {
            Some(mut entry) => match entry.progress(id.get()) {
                Some(Progress::Pubrec | Progress::Pubcomp) => (true, entry.received(id.get())),
                Some(Progress::Puback) => return self.on_wrong_kind(now_ms, conn),
                Some(Progress::Done) | None => (false, None),
            },
            None => (false, None),
        };
        if let Some(message) = message {
            self.clients.memory.unstore(&message);
        }
        let reason = if known {
            ReasonCode::SUCCESS
        } else {
            ReasonCode::PACKET_IDENTIFIER_NOT_FOUND
        };
        self.acknowledge(conn, AckKind::Pubrel, id, reason);
    }

    /// PUBCOMP: a QoS 2 message is done.
    pub(in crate::broker) fn on_pubcomp(&mut self, now_ms: u64, conn: ConnId, id: PacketId) {
        self.complete(now_ms, conn, id, Progress::Pubcomp);
    }

    /// An answer is not of the kind that is due for its message.
    #[cold]
    fn on_wrong_kind(&mut self, now_ms: u64, conn: ConnId) {
        if self.clients.may_tell(now_ms, conn, Doing::Fault) {
            self.clients
                .log_client(LogKind::Information, conn, |client| {
                    format!(
                        "Client {client} disconnected: it answered a message as one of another QoS."
                    )
                });
        }
        self.protocol_error(now_ms, conn, ReasonCode::PROTOCOL_ERROR);
    }

    fn complete(&mut self, now_ms: u64, conn: ConnId, id: PacketId, expected: Progress) {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return;
        };
        let Some(mut entry) = self.clients.sessions.change(session) else {
            return;
        };
        let lease = &mut self.clients.memory.lease;
        let message = match entry.acknowledge(id.get(), expected, lease) {
            Ok(message) => message,
            // It was received, and the client has said so before: PUBREL is on its way.
            Err(Some(Progress::Pubcomp)) if expected == Progress::Pubrec => return,
            Err(Some(Progress::Done) | None) => return,
            Err(Some(_)) => return self.on_wrong_kind(now_ms, conn),
        };
        let (waits, is_resending) = waits_or_resends(&entry, entry.queued());
        if let Some(message) = message {
            self.clients.memory.unstore(&message);
        }
        if is_resending {
            self.resend(now_ms, conn, session);
        }
        if waits {
            self.clients.pump(now_ms, session);
            self.next_replays(now_ms, session);
        }
    }

    /// A socket has taken output: messages that wait may follow.
    pub(in crate::broker) fn pump_after_send(&mut self, now_ms: u64, conn: ConnId) {
        debug_assert_eq!(
            self.clients.peers.conns[conn.index()].stage(),
            Stage::Established
        );
        let Some(session) = self.clients.peers.session_of(conn) else {
            return;
        };
        let Some(entry) = self.clients.sessions.get(session) else {
            return;
        };
        let queued = self.clients.sessions.queued(session);
        let (waits, is_resending) = waits_or_resends(entry, queued);
        if self.clients.out.pending(conn) >= limits::PUMP_BYTES_MAX {
            return;
        }
        if is_resending {
            self.resend(now_ms, conn, session);
        }
        if waits {
            self.clients.pump(now_ms, session);
            self.next_replays(now_ms, session);
        }
    }
}

/// Whether something waits for a session, and whether something is still to be sent again.
#[inline]
fn waits_or_resends(entry: &Session, queued: usize) -> (bool, bool) {
    let waits = queued > 0 || entry.has_replays();
    (waits, entry.flow().is_some_and(|flow| flow.is_resending()))
}
