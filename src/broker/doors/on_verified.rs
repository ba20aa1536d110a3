//! A password is being checked, off the shard: CONNECT waits, and goes on when the answer has come.
//!
//! Invariants:
//! - an answer counts only for the connection that asked: it must still wait, with the same ticket;
//! - a name and a password that are being checked are charged until their answer comes, whatever becomes of the connection.

use std::sync::Arc;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::access::Passwords;
use crate::broker::Broker;
use crate::broker::doors::on_connect::user_name;
use crate::broker::effect::{CloseCause, CloseHow, Effect, Verdict, Verify};
use crate::broker::peers::conn::Stage;
use crate::broker::peers::partial::Place;
use crate::broker::timers::tick;
use crate::budget::Account;
use crate::ids::ConnId;
use crate::ids::NONE;
use crate::limits;
use crate::mqtt::{self, Connect, FrameStatus, Packet, ReasonCode, Version};

/// A CONNECT that waits, with what was found out about it.
pub struct Admission {
    pub packet: Vec<u8>,
    /// What came behind it.
    pub after: Vec<u8>,
    pub client_id: String,
    pub is_assigned: bool,
    /// Its peer has closed its side meanwhile.
    pub ended: Option<CloseCause>,
}

/// The connections that wait for an answer. Each is charged like one of which CONNECT has not come whole, and gives way like it.
pub struct Verifying {
    tickets: u32,
    waiting: HashMap<u32, Waiting, FixedState>,
    /// By ticket, bytes of what is being checked and has not been answered, also for connections that are gone.
    asked: HashMap<u32, usize, FixedState>,
}

/// One of them.
struct Waiting {
    ticket: u32,
    admission: Admission,
    /// Bytes of what is being checked, which are charged by its ticket.
    asked: usize,
    /// Tick at which it began to wait.
    since: u32,
    /// Where it stands among those that are not let in yet.
    place: Option<Place>,
    /// Bytes of memory that have been charged.
    charged: usize,
}

impl Waiting {
    /// Bytes of memory, without what is being checked.
    fn memory(&self) -> usize {
        let Admission {
            packet,
            after,
            client_id,
            ..
        } = &self.admission;
        let texts = packet.capacity() + after.capacity() + client_id.capacity();
        size_of::<(u32, Self)>() + texts
    }
}

impl Verifying {
    pub fn new() -> Self {
        Verifying {
            tickets: 0,
            waiting: HashMap::with_hasher(FixedState::with_seed(0)),
            asked: HashMap::with_hasher(FixedState::with_seed(0)),
        }
    }

    /// Bytes of memory of those that wait, and of what is being checked.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        let waiting = self.waiting.values().map(Waiting::memory);
        waiting.chain(self.asked.values().copied()).sum()
    }

    /// Whether a connection waits for an answer.
    #[cfg(test)]
    pub fn knows(&self, conn: ConnId) -> bool {
        self.waiting.contains_key(&conn.0)
    }

    /// Whether a client of this identifier waits for an answer.
    pub fn waits_for(&self, client_id: &str) -> bool {
        let mut waiting = self.waiting.values();
        waiting.any(|one| one.admission.client_id == client_id)
    }
}

impl Broker {
    /// Takes a CONNECT back, if one waits: the wait is over. An answer that is under way will find nobody, and gives back
    /// what is being checked.
    pub(in crate::broker) fn take_admission(&mut self, conn: ConnId) -> Option<Admission> {
        if self.verifying.waiting.is_empty() {
            return None;
        }
        let waiting = self.verifying.waiting.remove(&conn.0)?;
        self.clients.peers.beginners.take(waiting.place);
        let lease = &mut self.clients.memory.lease;
        lease.give(Account::Packets, waiting.charged as u64);
        Some(waiting.admission)
    }

    /// Charges a CONNECT that waits with what it takes now; the largest of those who are not let in yet may have to go.
    fn charge_admission(&mut self, now_ms: u64, conn: ConnId) {
        let Some(waiting) = self.verifying.waiting.get_mut(&conn.0) else {
            return;
        };
        let bytes = waiting.memory();
        let more = bytes.saturating_sub(std::mem::replace(&mut waiting.charged, bytes));
        self.clients
            .memory
            .lease
            .force(Account::Packets, more as u64);
        let (place, since) = (&mut waiting.place, waiting.since);
        let bytes = bytes + waiting.asked;
        self.clients.peers.beginners.put(conn, place, since, bytes);
        self.shorten_beginners(now_ms);
    }

    /// What was asked with this ticket is answered, and held no more.
    fn give_asked_back(&mut self, ticket: u32) {
        if let Some(bytes) = self.verifying.asked.remove(&ticket) {
            self.clients
                .memory
                .lease
                .give(Account::Packets, bytes as u64);
        }
        if self.verifying.asked.is_empty() {
            self.verifying.asked.shrink_to_fit();
        }
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
        let verifying = &mut self.verifying;
        verifying.tickets = verifying.tickets.wrapping_add(1);
        let ticket = verifying.tickets;
        let verify = Verify {
            conn,
            ticket,
            address,
            passwords,
            user: user.into(),
            password: password.into(),
        };
        let asked = verify.memory();
        verifying.asked.insert(ticket, asked);
        self.clients
            .memory
            .lease
            .force(Account::Packets, asked as u64);
        let waiting = Waiting {
            ticket,
            admission,
            asked,
            since: tick(now_ms),
            place: None,
            charged: 0,
        };
        verifying.waiting.insert(conn.0, waiting);
        self.clients.peers.conns[conn.index()].stage = Stage::Verifying;
        self.clients
            .desk
            .effects
            .push_back(Effect::Verify(Box::new(verify)));
        self.charge_admission(now_ms, conn);
    }

    /// Whether a connection should not be read from: it waits for its password to be checked, or publishes too fast.
    pub fn is_waiting(&self, conn: ConnId) -> bool {
        self.clients.peers.conns[conn.index()].stage == Stage::Verifying || self.is_held(conn)
    }

    /// Keeps what a client sends while it waits, within bounds.
    pub(in crate::broker) fn hold(&mut self, now_ms: u64, conn: ConnId, bytes: &[u8]) {
        let fits = match self.verifying.waiting.get_mut(&conn.0) {
            Some(Waiting { admission, .. }) => {
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
        self.give_asked_back(ticket);
        let is_asked = |waiting: &Waiting| waiting.ticket == ticket;
        let waits = self.verifying.waiting.get(&conn.0).is_some_and(is_asked);
        if !waits || !self.is_waiting(conn) {
            return;
        }
        let Some(admission) = self.take_admission(conn) else {
            return;
        };
        self.clients.peers.conns[conn.index()].stage = Stage::Connecting;
        self.clients.peers.replies_to = conn;
        let refusal = match verdict {
            _ if self.is_draining() => Some(ReasonCode::SERVER_SHUTTING_DOWN),
            Verdict::Right => None,
            // As Mosquitto answers: the same as to a client without a name that would need one.
            Verdict::Wrong => Some(ReasonCode::NOT_AUTHORIZED),
            Verdict::Busy => Some(ReasonCode::QUOTA_EXCEEDED),
        };
        match refusal {
            None => self.admit_verified(now_ms, conn, &admission),
            Some(reason) => self.refuse_admission(now_ms, conn, &admission, reason),
        }
        self.clients.flush_replies();
        self.clients.peers.replies_to = ConnId(NONE);
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
        match self.verifying.waiting.get_mut(&conn.0) {
            Some(Waiting { admission, .. }) if waits => {
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
