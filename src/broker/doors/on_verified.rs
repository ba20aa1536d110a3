//! A password is being checked, off the shard: CONNECT waits, and goes on when the answer has come.
//!
//! A CONNECT that waits is charged like one that has not come whole, and gives way like it. The name and the password that are
//! being checked are charged until their answer comes, whatever becomes of the connection.

use std::sync::Arc;

use crate::access::Passwords;
use crate::broker::Broker;
use crate::broker::doors::on_connect::user_name;
use crate::broker::effect::{CloseHow, Effect, Verdict, Verify};
use crate::broker::peers::admission::Admission;
use crate::broker::peers::peer::CloseCause;
use crate::broker::peers::state::Stage;
use crate::broker::timers::TICK_MS;
use crate::broker::waits::{Then, WaitOf};
use crate::ids::ConnId;
use crate::limits;
use crate::mqtt::{self, Connect, FrameStatus, Packet, ReasonCode, Version};

impl Broker {
    /// The CONNECT of a connection that waits, and its ticket.
    fn admission(&mut self, conn: ConnId) -> Option<(u32, &mut Admission)> {
        match self.waits.of_conn(conn)? {
            (ticket, Then::Admit(admission)) => Some((ticket, admission)),
            _ => None,
        }
    }

    /// Charges a CONNECT that waits with what it takes now; the largest of those who are not let in yet may have to go.
    fn charge_admission(&mut self, now_ms: u64, conn: ConnId) {
        let Some((ticket, _)) = self.admission(conn) else {
            return;
        };
        let bytes = self.waits.charge(&mut self.clients.memory.lease, ticket);
        if let Some(Then::Admit(admission)) = self.waits.then(ticket) {
            let (rank, since) = (&mut admission.rank, admission.since);
            self.clients.peers.beginners.put(conn, rank, since, bytes);
        }
        self.shorten_beginners(now_ms);
    }

    /// What the user name in this CONNECT is to be checked against.
    pub(in crate::broker) fn wanted_passwords(
        &self,
        conn: ConnId,
        connect: &Connect<'_>,
    ) -> Option<Arc<Passwords>> {
        user_name(connect)?;
        if self.clients.peers.particulars.certified(conn).is_some() {
            return None; // the certificate was proof enough
        }
        self.clients.listener(conn).passwords.clone()
    }

    /// Lets a CONNECT wait for its password to be checked.
    pub(in crate::broker) fn verify(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        connect: &Connect<'_>,
        admission: Admission,
        passwords: Arc<Passwords>,
    ) {
        let (Some(user), Some(password)) = (user_name(connect), connect.password) else {
            return self.refuse_connect(now_ms, conn, connect, ReasonCode::NOT_AUTHORIZED);
        };
        let address = self.address(conn);
        let ticket = self.waits.open(WaitOf::Conn(conn), Then::Admit(admission));
        let verify = Verify {
            conn,
            ticket,
            address,
            passwords,
            user: user.into(),
            password: password.into(),
        };
        let lease = &mut self.clients.memory.lease;
        self.waits.lend(lease, ticket, verify.memory());
        let came_ms = u64::from(self.clients.peers.conns[conn.index()].active_at) * TICK_MS;
        self.waits.end_at(ticket, came_ms + limits::CONNECT_MS_MAX);
        self.clients.peers.state(conn).verify();
        self.clients
            .desk
            .effects
            .push_back(Effect::Verify(Box::new(verify)));
        self.charge_admission(now_ms, conn);
    }

    /// Whether a connection should not be read from: it waits for its password to be checked, or is held.
    pub fn is_waiting(&self, conn: ConnId) -> bool {
        self.clients.peers.conns[conn.index()].stage() == Stage::Verifying || self.is_held(conn)
    }

    /// Keeps what a client sends while it waits, within bounds.
    pub(in crate::broker) fn keep_behind_connect(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        bytes: &[u8],
    ) {
        let fits = match self.admission(conn) {
            Some((_, admission)) => {
                admission.after.extend_from_slice(bytes);
                admission.after.len() <= limits::CONNECT_BYTES_MAX as usize
            }
            None => false,
        };
        if fits {
            self.charge_admission(now_ms, conn);
        } else {
            self.clients.desk.counters.protocol_errors += 1;
            self.clients.log_end(now_ms, conn, "oversize packet");
            self.shut(now_ms, conn, CloseHow::Now);
        }
        self.end_event(now_ms);
    }

    /// The password of a connection has been checked. Comes once for each [`Verify`], also when the connection is gone.
    pub fn on_verified(&mut self, now_ms: u64, conn: ConnId, ticket: u32, verdict: Verdict) {
        let (lease, sessions) = (&mut self.clients.memory.lease, &self.clients.sessions);
        let over = self.waits.answer(lease, sessions, ticket);
        let Some(Then::Admit(admission)) = over.map(|over| over.then) else {
            return;
        };
        self.clients.peers.beginners.take(admission.rank);
        self.clients.peers.state(conn).end_verifying();
        let refusal = match verdict {
            _ if self.is_draining() => Some(ReasonCode::SERVER_SHUTTING_DOWN),
            Verdict::Right => None,
            // As Mosquitto answers: the same as to a client without a name that would need one.
            Verdict::Wrong => Some(ReasonCode::NOT_AUTHORIZED),
            Verdict::Busy => Some(ReasonCode::QUOTA_EXCEEDED),
        };
        self.collect_replies(conn, |broker| match refusal {
            None => broker.admit_verified(now_ms, conn, &admission),
            Some(reason) => broker.refuse_admission(now_ms, conn, &admission, reason),
        });
        if let Some(cause) = admission.ended {
            self.end_admitted(now_ms, conn, cause);
        }
        self.end_event(now_ms);
    }

    /// The peer of a connection has closed its side while CONNECT waited. One that is refused is closing already.
    pub(in crate::broker) fn end_admitted(&mut self, now_ms: u64, conn: ConnId, cause: CloseCause) {
        if matches!(
            self.clients.peers.stage(conn),
            Stage::Established | Stage::Verifying
        ) {
            self.on_eof(now_ms, conn, cause);
        }
    }

    /// The peer of a connection has closed its side: true if that counts when its password has been checked, and what
    /// came before it has been handled.
    pub(in crate::broker) fn ends_verified(&mut self, conn: ConnId, cause: CloseCause) -> bool {
        let waits = matches!(cause, CloseCause::Eof | CloseCause::Goodbye)
            && self.clients.peers.stage(conn) == Stage::Verifying;
        match self.admission(conn) {
            Some((_, admission)) if waits => {
                admission.ended = Some(cause);
                true
            }
            _ => false,
        }
    }

    fn admit_verified(&mut self, now_ms: u64, conn: ConnId, admission: &Admission) {
        // It was read before, so that it can be read again.
        let frame = mqtt::frame(&admission.packet, limits::CONNECT_BYTES_MAX);
        let Ok(FrameStatus::Complete(frame)) = frame else {
            return self.shut(now_ms, conn, CloseHow::Now);
        };
        match mqtt::decode(Version::V5, &admission.packet, &frame) {
            Ok(Packet::Connect(connect)) => {
                let client_id = &admission.client_id;
                self.admit(now_ms, conn, &connect, client_id, admission.is_assigned);
                self.packets(now_ms, conn, &admission.after);
            }
            _ => self.shut(now_ms, conn, CloseHow::Now),
        }
    }
}
