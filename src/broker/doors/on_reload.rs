//! The configuration has been read again: new settings and rules hold from here on, for everybody.
//!
//! Whoever is still allowed stays and notices nothing. Whoever is not is told and closed: clients of a listener that is
//! gone, anonymous ones where a name is needed now, users who are gone or have another password.

use std::sync::Arc;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::peers::rates::Rates;
use crate::broker::peers::state::Stage;
use crate::broker::sessions::rights::Rights;
use crate::broker::settings::Settings;
use crate::broker::waits::Then;
use crate::ids::{ConnId, SessionId};
use crate::mqtt::ReasonCode;

impl Broker {
    /// Takes over new settings. Listeners keep their numbers: one that is gone is marked as closed, new ones are at the
    /// end or in the place of one that nobody refers to.
    pub fn on_reload(&mut self, now_ms: u64, settings: Arc<Settings>) {
        let old_rights = self.clients.sessions.renew_rights(&settings);
        let old = std::mem::replace(&mut self.clients.desk.settings, settings);
        if old.quotas != self.clients.desk.settings.quotas {
            self.clients.peers.rates = Rates::new(&self.clients.desk.settings.quotas);
        }
        for index in 0..self.clients.sessions.places() {
            self.guard_anew(SessionId(index as u32), old_rights.as_deref());
        }
        self.routing.groups.wake_all();
        self.routing.guests.wake_all();
        self.clients.peers.particulars.forget_authors();
        for index in 0..self.clients.peers.conns.len() {
            let conn = ConnId(index as u32);
            match self.clients.peers.stage(conn) {
                Stage::Established => {
                    if let Some(reason) = self.reason_to_go(conn, &old) {
                        self.disconnect(now_ms, conn, reason);
                    }
                }
                // Judged by the password file that holds now.
                Stage::Verifying => self.verify_anew(now_ms, conn),
                _ => {}
            }
        }
        self.end_event(now_ms);
    }

    /// The rules that hold for a session now. One whose client is away keeps its user name, and has the rules that the
    /// listener has now by which it was last here.
    fn guard_anew(&mut self, session: SessionId, old: Option<&Rights>) {
        let clients = &mut self.clients;
        if clients.sessions.get(session).is_none() {
            return;
        }
        let joined = match clients.sessions.conn_of(session) {
            Some(conn) => {
                let listener = clients.peers.conns[conn.index()].listener();
                let user = clients.peers.particulars.user_name(conn);
                clients.sessions.guard(session, Some(listener), user)
            }
            None => clients
                .sessions
                .guard_absent(session, &clients.desk.settings),
        };
        let Some(rights) = clients.sessions.rights() else {
            return;
        };
        let agrees = rights.agrees(old, session);
        // With `check_retain_source` the rights of others matter as well, and they are not compared.
        if joined.is_guarded && !agrees || clients.desk.settings.check_retain_source {
            clients.doubt(session);
        }
    }

    /// Why a client is not allowed any more.
    fn reason_to_go(&self, conn: ConnId, old: &Settings) -> Option<ReasonCode> {
        let listener = self.clients.listener(conn);
        if listener.is_closed {
            return Some(ReasonCode::ADMINISTRATIVE_ACTION);
        }
        let before = old.listeners.get(usize::from(
            self.clients.peers.conns[conn.index()].listener(),
        ));
        let passwords_before = before.and_then(|listener| listener.passwords.as_ref());
        let has_name_proved = match (
            self.clients.peers.particulars.user_name(conn),
            &listener.passwords,
        ) {
            (Some(_), _) if self.clients.peers.particulars.certified(conn).is_some() => {
                listener.identity_from_certificate
            }
            (Some(user), Some(passwords)) => {
                // A name that stands in the file proves nothing when nobody was asked for a password.
                let same = passwords_before.is_some_and(|before| before.has_same(passwords, user));
                if !same {
                    return Some(ReasonCode::NOT_AUTHORIZED);
                }
                true
            }
            _ => false,
        };
        if !has_name_proved && (!listener.allow_anonymous || listener.identity_from_certificate) {
            return Some(ReasonCode::NOT_AUTHORIZED);
        }
        let session = self.clients.peers.session_of(conn)?;
        let entry = self.clients.sessions.get(session)?;
        let has_prefix = entry.client_id().starts_with(&*listener.clientid_prefix);
        (!has_prefix).then_some(ReasonCode::NOT_AUTHORIZED)
    }

    /// A CONNECT whose password is being checked begins once more.
    fn verify_anew(&mut self, now_ms: u64, conn: ConnId) {
        let lease = &mut self.clients.memory.lease;
        let Some(Then::Admit(admission)) = self.waits.free(lease, conn) else {
            return;
        };
        self.clients.peers.beginners.take(admission.rank);
        self.clients.peers.state(conn).end_verifying();
        let bytes = [&admission.packet[..], &admission.after].concat();
        self.collect_replies(conn, |broker| broker.packets(now_ms, conn, &bytes));
        if let Some(cause) = admission.ended {
            self.end_admitted(now_ms, conn, cause);
        }
    }
}

impl Clients {
    /// Other rules hold for a session: what was offered to it so far is asked about again before it is sent.
    pub(in crate::broker) fn doubt(&mut self, session: SessionId) {
        let order = self.order;
        if let Some(mut entry) = self.sessions.change(session) {
            entry.doubt(order);
        }
    }
}
