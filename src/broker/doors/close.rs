//! Connections and sessions end: DISCONNECT in both directions, lost connections, takeovers, wills.
//!
//! A connection leaves its session (`detach`) at once, whatever still has to be sent; the socket follows when the shard
//! has closed it. A will is published when the connection was lost without a goodbye: after its delay or with the end
//! of the session, whichever is first (MQTT-3.1.3-9).

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::delivery::outgoing::Outgoing;
use crate::broker::effect::CloseHow;
use crate::broker::outcome::Outcome;
use crate::broker::peers::peer::CloseCause;
use crate::broker::peers::refusals::words;
use crate::broker::peers::state::Stage;
use crate::broker::placement::is_broker_topic;
use crate::broker::timers::tick;
use crate::budget::Account;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::message::{Message, NEVER};
use crate::mqtt::{Disconnect, DisconnectOut, ReasonCode, Version};
use crate::routing::Target;
use crate::session::{Queue, Session, Will};

impl Broker {
    /// The peer has closed the connection, or it broke.
    pub fn on_eof(&mut self, now_ms: u64, conn: ConnId, cause: CloseCause) {
        self.finish_interrupted(now_ms, conn);
        if self.ends_later(now_ms, conn, cause) || self.ends_verified(conn, cause) {
            return;
        }
        if self.is_held(conn) {
            // A goodbye among what has come counts.
            self.drop_held(now_ms, conn);
        }
        match self.clients.peers.conns[conn.index()].stage() {
            Stage::Free | Stage::Moved => return,
            Stage::Closing => return self.clients.desk.close(conn, CloseHow::Now),
            Stage::Connecting | Stage::Verifying | Stage::Established => {}
        }
        match cause {
            // Why a transport failed has been said already.
            CloseCause::Transport => {}
            CloseCause::Eof | CloseCause::Goodbye => {
                self.clients
                    .log_end(now_ms, conn, "connection closed by client");
            }
            CloseCause::Error(errno) => self.clients.log_end(now_ms, conn, &errno_text(errno)),
        }
        self.clients.desk.counters.protocol_errors += u64::from(cause == CloseCause::Transport);
        self.detach(now_ms, conn, true);
        // Who has only shut its sending side still takes what it is owed.
        let how = match cause {
            CloseCause::Eof if self.clients.out.pending(conn) > 0 => CloseHow::Flush,
            CloseCause::Eof | CloseCause::Error(_) => CloseHow::Now,
            CloseCause::Goodbye | CloseCause::Transport => CloseHow::Flush,
        };
        self.shut(now_ms, conn, how);
        self.end_event(now_ms);
    }

    /// DISCONNECT has come from the client (MQTT 5, 3.14).
    pub(in crate::broker) fn on_disconnect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        disconnect: &Disconnect<'_>,
    ) -> Outcome {
        if !is_for_clients(disconnect.reason) {
            return Outcome::End(ReasonCode::PROTOCOL_ERROR);
        }
        if let Some(mut session) = self
            .clients
            .peers
            .session_of(conn)
            .and_then(|session| self.clients.sessions.change(session))
            && let Some(expiry_s) = disconnect.session_expiry
        {
            if !session.is_durable() && expiry_s > 0 {
                return Outcome::End(ReasonCode::PROTOCOL_ERROR); // MQTT 5, 3.14.2.2.2
            }
            session.set_expiry(expiry_s);
        }
        self.clients.log_end(now_ms, conn, "");
        // MQTT-3.14.4-3: the will goes with a goodbye; any other reason than 0x00 asks for it.
        let with_will = disconnect.reason != ReasonCode::SUCCESS;
        self.clients.flush_replies_to(conn);
        self.detach(now_ms, conn, with_will);
        // Answers to what came before the goodbye still go out.
        let goodbye = self.clients.listener(conn).says_goodbye;
        let how = match self.clients.out.pending(conn) {
            0 if !goodbye => CloseHow::Now,
            _ => CloseHow::Flush,
        };
        self.shut(now_ms, conn, how);
        Outcome::Done
    }

    /// A client has broken the protocol: counted, told if it speaks MQTT 5, closed.
    pub(in crate::broker) fn protocol_error(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        reason: ReasonCode,
    ) {
        self.clients.desk.counters.protocol_errors += 1;
        self.disconnect(now_ms, conn, reason);
    }

    /// Ends a connection for this reason: DISCONNECT for MQTT 5, a close for 3.x; the will is published.
    pub(in crate::broker) fn disconnect(&mut self, now_ms: u64, conn: ConnId, reason: ReasonCode) {
        let entry = &self.clients.peers.conns[conn.index()];
        if !matches!(entry.stage(), Stage::Connecting | Stage::Established) {
            return;
        }
        // The end of the broker is no news about each of its clients.
        if reason != ReasonCode::SERVER_SHUTTING_DOWN {
            self.clients.log_end(now_ms, conn, &words(reason));
        }
        let entry = &self.clients.peers.conns[conn.index()];
        if entry.is_established() && entry.version() == Version::V5 {
            let reason_string = entry.wants_problems().then(|| reason.name());
            let packet = DisconnectOut {
                reason,
                reason_string,
                ..DisconnectOut::default()
            };
            let max = entry.packet_bytes_max() as usize;
            self.clients.reply(conn, |out| {
                let start = out.len();
                packet.encode(Version::V5, out);
                if out.len() - start > max {
                    // MQTT-3.14.2-3: without the reason string where it would be too much.
                    out.truncate(start);
                    DisconnectOut {
                        reason,
                        ..DisconnectOut::default()
                    }
                    .encode(Version::V5, out);
                }
            });
        }
        self.clients.flush_replies_to(conn);
        self.detach(now_ms, conn, true);
        self.shut(now_ms, conn, CloseHow::Flush);
    }

    /// The only place where the number of a connection is forgotten: what waits for something in its name, what it is still to
    /// send, and all that `Peers` has of it.
    pub(in crate::broker) fn forget_conn(&mut self, now_ms: u64, conn: ConnId) {
        self.forget_waits(conn);
        self.clients.forget_shown(now_ms, conn);
        self.held.forget(conn);
        self.clients.out.close(conn);
        let released = self.clients.peers.release(conn);
        released.give(&mut self.clients.memory.lease);
    }

    /// Whether one more connection may be let in to be turned away.
    pub fn may_turn_away(&self) -> bool {
        self.clients.peers.particulars.turned_away() < limits::TURNED_AWAY_MAX
    }

    /// A connection that has just been accepted is to be refused for this reason when its CONNECT comes: a client that speaks
    /// MQTT 5 waits longer when it knows why (0x9F).
    pub fn turn_away(&mut self, conn: ConnId, reason: ReasonCode) {
        self.clients.peers.particulars.turn_away(conn, reason);
    }

    /// Closes a connection that has no session any more. One that has not been given its CONNACK yet is given nothing else
    /// either (MQTT-3.14.0-1).
    pub(in crate::broker) fn shut(&mut self, now_ms: u64, conn: ConnId, how: CloseHow) {
        let how = match self.clients.out.is_kept_in(conn) {
            true => CloseHow::Now,
            false => how,
        };
        let entry = &mut self.clients.peers.conns[conn.index()];
        entry.state.give_up();
        entry.active_at = tick(now_ms);
        self.take_partial(conn);
        self.forget_waits(conn);
        if how == CloseHow::Flush {
            self.clients.arm_conn(conn, now_ms + limits::LINGER_MS_MAX);
        }
        self.clients.desk.close(conn, how);
    }

    /// Parts a connection from its session.
    pub(in crate::broker) fn detach(&mut self, now_ms: u64, conn: ConnId, with_will: bool) {
        let Some(session) = self.clients.peers.session_of(conn) else {
            return;
        };
        self.ends_waiting(conn);
        self.clients.peers.conns[conn.index()].part();
        self.forget_waits(conn);
        let lease = &mut self.clients.memory.lease;
        self.clients.peers.drop_aliases(conn, lease);
        self.clients.sessions.part(session);
        let version = self.clients.peers.conns[conn.index()].version();
        let counters = &mut self.clients.desk.counters;
        counters.clients_connected -= 1;
        *counters.clients_by(version) -= 1;
        counters.clients_disconnected += 1;
        if !with_will {
            self.clients
                .change_session(session, |entry| entry.take_will());
        }
        let Some(mut entry) = self.clients.sessions.change(session) else {
            return;
        };
        if !entry.is_durable() {
            return self.end_session(now_ms, session);
        }
        let will_delay_s = entry.will().map(|will| will.delay_s);
        let settings = &self.clients.desk.settings;
        let ends_at_ms = settings.absence_ends_ms(now_ms, entry.expiry_s());
        let will_due_ms = now_ms + u64::from(will_delay_s.unwrap_or(0)) * 1000;
        entry.leave_alone(ends_at_ms, will_due_ms);
        let next_ms = entry.next_deadline_ms();
        let user = self.clients.peers.particulars.user_name(conn);
        let name = self.clients.listener(conn).name.clone();
        self.clients.sessions.keep_owner(session, user, &name);
        self.leave_shared(now_ms, session, false);
        if will_delay_s == Some(0) {
            self.publish_will(now_ms, session);
        }
        self.clients.arm_session(session, next_ms);
    }

    /// Publishes the will of a session, if it still has one.
    pub(in crate::broker) fn publish_will(&mut self, now_ms: u64, session: SessionId) {
        let taken = self
            .clients
            .change_session(session, |entry| entry.take_will());
        let Some(Some(will)) = taken else { return };
        let Will {
            message, expiry_s, ..
        } = *will;
        // Not when CONNECT brings it: as Mosquitto does.
        let topic = message.topic.as_str();
        if is_broker_topic(topic) || !self.clients.sessions.may_write(session, topic) {
            self.clients.desk.counters.publish_denied += 1;
            return;
        }
        let expires_at_ms = expiry_s.map_or(NEVER, |expiry_s| now_ms + u64::from(expiry_s) * 1000);
        let message = Arc::new(Message {
            expires_at_ms,
            ..Arc::unwrap_or_clone(message)
        });
        let mut outgoing = Outgoing::shared(&message, now_ms);
        outgoing.publisher = session.0;
        self.route(now_ms, &mut outgoing, None);
    }

    /// Ends a session: its will, its subscriptions, what it held.
    pub(in crate::broker) fn end_session(&mut self, now_ms: u64, session: SessionId) {
        self.publish_will(now_ms, session);
        self.leave_shared(now_ms, session, true);
        if self.clients.sessions.conn_of(session).is_none() {
            self.clients.desk.counters.clients_disconnected -= 1;
        }
        let queue = self.clients.sessions.take_queue(session);
        let Some(entry) = self.clients.remove_session(session) else {
            return;
        };
        for &filter in entry.subscriptions() {
            self.unsubscribe_filter(filter, Target::Session(session));
        }
        self.clients.release(&entry, queue);
    }
}

impl Clients {
    /// A session is no more: what it held is held for it no longer.
    fn release(&mut self, session: &Session, queue: Option<Box<Queue>>) {
        let mut charged = 0;
        if let Some(flow) = session.flow() {
            for message in flow.held() {
                self.memory.unstore(message);
            }
            charged += flow.charged();
        }
        if let Some(mut queue) = queue {
            let backlog = self.sessions.backlog_mut();
            while let Some(one) = queue.pop(backlog) {
                self.memory.note_waits_no_longer(backlog, &one.message);
            }
            charged += queue.charged();
        }
        self.memory.lease.give(Account::Backlog, charged as u64);
    }
}

/// Whether a client may give this reason for its DISCONNECT (MQTT 5, table 3-10: some are the server's only).
fn is_for_clients(reason: ReasonCode) -> bool {
    matches!(reason.0, 0x00 | 0x04 | 0x80..=0x83 | 0x90 | 0x93..=0x99)
}

/// What an errno means to a person.
fn errno_text(errno: i32) -> String {
    std::io::Error::from_raw_os_error(errno).to_string()
}
