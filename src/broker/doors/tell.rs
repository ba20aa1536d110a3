//! Lines of the log about clients: by their identifiers, or their addresses before they have one.

use crate::broker::clients::Clients;
use crate::broker::lines::{About, Doing};
use crate::broker::peers::conn::PeerName;
use crate::broker::peers::refusals::ended;
use crate::broker::settings::LogKind;
use crate::escape::Name;
use crate::ids::{ConnId, Network};

impl Clients {
    /// Writes a log line about a client, by its identifier or, before it has one, its address.
    pub(crate) fn log_client(
        &mut self,
        kind: LogKind,
        conn: ConnId,
        text: impl FnOnce(&str) -> String,
    ) {
        if !self.desk.settings.log.has(kind) {
            return;
        }
        let entry = &self.peers.conns[conn.index()];
        let name = match entry
            .session()
            .and_then(|session| self.sessions.get(session))
        {
            Some(session) => Name(session.client_id()).to_string(),
            None => PeerName(entry.peer().address).to_string(),
        };
        self.desk.log(kind, || text(&name));
    }

    /// Writes the line about the end of a connection, which still has its session; without a reason, of one whose client
    /// said goodbye.
    pub(crate) fn log_end(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        match self.desk.settings.connection_messages {
            true => self.log_end_anyhow(now_ms, conn, why),
            false => self.show_end(now_ms, conn, why),
        }
    }

    /// The same where comings and goings are not wanted: for ends that somebody has to see to.
    pub(crate) fn log_end_anyhow(&mut self, now_ms: u64, conn: ConnId, why: &str) {
        self.show_end(now_ms, conn, why);
        let is_wanted = self.desk.settings.log.has(LogKind::Notice);
        if !is_wanted || !self.may_tell(now_ms, conn, Doing::Going) {
            return;
        }
        let entry = &self.peers.conns[conn.index()];
        let session = entry
            .session()
            .and_then(|session| self.sessions.get(session));
        let id = session.map_or("", |session| session.client_id());
        let text = ended(id, &PeerName(entry.peer().address), why);
        self.desk.log(LogKind::Notice, || text);
    }

    /// Whether one more line about what a connection does is written. Who has proved its name has all of its lines.
    pub(in crate::broker) fn may_tell(&mut self, now_ms: u64, conn: ConnId, doing: Doing) -> bool {
        let is_let_in = self.peers.session_of(conn).is_some();
        if is_let_in && !self.peers.conns[conn.index()].is_anonymous() {
            return true;
        }
        let doing = match is_let_in {
            true => doing.when_let_in(),
            false => doing,
        };
        self.desk.tell_left_out(now_ms);
        let address = self.peers.conns[conn.index()].peer().address.ip();
        let about = About::Stranger(doing, Network::of(address));
        self.desk.lines.admit(about)
    }

    /// Writes a line about something that a client is refused, unless there are too many such lines already.
    #[cold]
    pub(crate) fn log_refusal(
        &mut self,
        now_ms: u64,
        conn: ConnId,
        text: impl FnOnce(&str) -> String,
    ) {
        self.desk.tell_left_out(now_ms);
        if self.desk.lines.admit(About::Request) {
            self.log_client(LogKind::Notice, conn, text);
        }
    }
}
