//! A client has come back: what was in flight to it is sent again, as far as it may still have it.

use crate::broker::Broker;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::groups::message::Refusal;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::{AckKind, AckOut, PacketId};
use crate::session::{Flow, InFlight, Progress};

impl Broker {
    /// Sends again what was in flight when the last connection ended: PUBLISH with DUP, and PUBREL, in their order
    /// (MQTT-4.4.0-1, MQTT-3.3.1-1), as far as the receive maximum and the socket allow.
    pub(in crate::broker) fn resend(&mut self, now_ms: u64, conn: ConnId, session: SessionId) {
        let bounds = self.clients.bounds(Some(conn));
        while self.clients.out.pending(conn) < limits::PUMP_BYTES_MAX {
            let entry = self.clients.sessions.change(session);
            let Some(entry) = entry.and_then(|mut entry| entry.next_to_resend(&bounds)) else {
                return;
            };
            self.send_again(now_ms, conn, session, entry);
        }
    }

    /// Sends one of them.
    fn send_again(&mut self, now_ms: u64, conn: ConnId, session: SessionId, entry: InFlight) {
        let Some(id) = PacketId::new(entry.id) else {
            return;
        };
        if entry.progress == Progress::Pubcomp {
            return self.send_release(conn, id);
        }
        let Some(message) = &entry.message else {
            // Sent while the session was not to outlive its connection: there is nothing to send again.
            return self.give_up(conn, session, id, &entry);
        };
        if !self.may_send_again(session, &entry) {
            if entry.progress == Progress::Puback {
                let message = message.clone();
                self.return_shared(now_ms, entry.origin, session, message, Refusal::NoRight);
            }
            return self.give_up(conn, session, id, &entry);
        }
        let mut outgoing = Outgoing::shared(message, now_ms);
        if !self.clients.fits(conn, entry.grant, &outgoing) {
            self.clients.desk.counters.drop_large();
            return self.give_up(conn, session, id, &entry);
        }
        self.clients
            .send_private(conn, entry.grant, Some(id), true, &mut outgoing);
    }

    /// Whether a message that was in flight is still the session's to read.
    fn may_send_again(&mut self, session: SessionId, entry: &InFlight) -> bool {
        let is_doubted = |flow: &Flow| flow.is_doubted(entry.order);
        let flow = self.clients.sessions.flow(session);
        let is_doubted = flow.is_some_and(is_doubted);
        let message = entry.message.as_ref().filter(|_| is_doubted);
        let (sessions, settings) = (&mut self.clients.sessions, &self.clients.desk.settings);
        message.is_none_or(|message| {
            sessions.may_still_be_sent(settings, session, entry.origin, message)
        })
    }

    /// A message is not sent again, as if it had been completed (MQTT-3.1.2-25). With QoS 2 the client may have it, and
    /// hold its identifier until the release: a later message with this identifier would be nothing new to it
    /// (MQTT-4.3.3-10). Who does not have it says so.
    fn give_up(&mut self, conn: ConnId, session: SessionId, id: PacketId, entry: &InFlight) {
        if let Some(message) = &entry.message {
            self.clients.memory.unstore(message);
        }
        let Some(mut known) = self.clients.sessions.change(session) else {
            return;
        };
        if entry.progress == Progress::Pubrec {
            known.received(id.get());
            return self.send_release(conn, id);
        }
        known.acknowledged(id.get());
    }

    fn send_release(&mut self, conn: ConnId, id: PacketId) {
        let version = self.clients.peers.conns[conn.index()].version();
        let release = AckOut::success(AckKind::Pubrel, id);
        self.clients.reply(conn, |out| release.encode(version, out));
        self.clients.flush_replies();
    }
}
