//! What is done for an account that is short: sessions give their oldest messages, connections with a packet that is not whole
//! are closed.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::lines::About;
use crate::broker::memory::party::party_of_address;
use crate::broker::settings::LogKind;
use crate::budget::{Account, Cut, Party};
use crate::escape::Name;
use crate::ids::{ConnId, SessionId};
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::mqtt::message::Message;

/// Bytes that one more place in a queue takes, with the message unless somebody holds it already.
fn wanted_by(message: &Message) -> u64 {
    let cost = match message.holders.is_empty() {
        true => message.cost() as u64,
        false => 0,
    };
    cost + limits::BACKLOG_ENTRY_BYTES
}

impl Clients {
    /// Who a session is of, and, if nobody knows more of that one than the address, whether it is connected.
    pub(in crate::broker) fn party_of_session(&self, session: SessionId) -> Party {
        match self.memory.shares.party(session) {
            Party::Address(address) if self.sessions.conn_of(session).is_none() => {
                Party::Away(address)
            }
            party => party,
        }
    }

    /// Who a connection is of.
    pub(in crate::broker) fn party_of(&self, conn: ConnId) -> Party {
        match self.peers.session_of(conn) {
            Some(session) => self.memory.shares.party(session),
            None => party_of_address(self.peers.conns[conn.index()].peer().address.ip()),
        }
    }

    /// Whether one more message may wait for a session, and it gives up none for it.
    pub(crate) fn has_backlog_room(&self, session: SessionId, message: &Message) -> bool {
        let wanted = wanted_by(message);
        self.memory.is_within(Account::Backlog, wanted) || {
            let party = self.party_of_session(session);
            let held = self.weight(session) + wanted;
            self.memory
                .may_go_beyond(Account::Backlog, party, held, wanted)
        }
    }

    /// Whether one more message may wait for a session.
    pub(crate) fn makes_backlog_room(&mut self, session: SessionId, message: &Message) -> bool {
        let wanted = wanted_by(message);
        self.memory.is_within(Account::Backlog, wanted) || self.finds_backlog_room(session, wanted)
    }

    /// The account is short: others give way, or this session does.
    #[cold]
    fn finds_backlog_room(&mut self, session: SessionId, wanted: u64) -> bool {
        if let Some(cut) = self.share_out(Account::Backlog, wanted, wanted) {
            self.cut_backlog(&cut);
        }
        if self.memory.is_within(Account::Backlog, wanted) {
            return true;
        }
        let party = self.party_of_session(session);
        let weight = self.weight(session);
        let held = weight + wanted;
        let shares = &self.memory.shares;
        if !shares.gives_way(Account::Backlog, party, held)
            && self
                .memory
                .may_go_beyond(Account::Backlog, party, held, wanted)
        {
            return true;
        }
        // The others wait for what it holds: it has the new message for its oldest ones.
        let most = weight.saturating_sub(wanted);
        self.shorten(session, most);
        self.weight(session) <= most
    }

    /// Bytes that are held for a session.
    pub(crate) fn weight(&self, session: SessionId) -> u64 {
        self.sessions.weight(session)
    }

    /// Established connections with a packet that is not whole, and the bytes of it.
    pub(super) fn packets_held(&self) -> impl Iterator<Item = (ConnId, u64)> + '_ {
        self.peers.conns.indexed().filter_map(|(index, entry)| {
            let partial = entry.partial.as_ref()?;
            let is_established = entry.is_established();
            is_established.then_some((ConnId(index as u32), partial.memory() as u64))
        })
    }

    /// Sessions come down to what is left to them, their oldest messages first.
    pub(crate) fn cut_backlog(&mut self, cut: &Cut) {
        if cut.is_empty() {
            return;
        }
        self.memory.turn.count_holders(self.sessions.places());
        for index in 0..self.sessions.places() {
            let session = SessionId(index as u32);
            let Some(level) = cut.level(self.party_of_session(session)) else {
                continue;
            };
            let before = self.weight(session);
            if before <= level {
                continue;
            }
            let dropped = self.shorten(session, level);
            if dropped == 0 {
                continue;
            }
            self.desk.counters.shed += 1;
            if self.desk.lines.admit(About::Shortened) {
                // What is known of those dropped may take more than they did.
                let bytes = before.saturating_sub(self.weight(session));
                self.log_shortened(session, dropped, bytes);
            }
        }
    }

    fn log_shortened(&mut self, session: SessionId, dropped: u64, bytes: u64) {
        let Some(entry) = self.sessions.get(session) else {
            return;
        };
        let client_id = Name(entry.client_id());
        self.desk.log(LogKind::Warning, || {
            format!(
                "{client_id} holds more than its share of the memory for messages that wait: its oldest {dropped} \
                 ({bytes} bytes) are dropped."
            )
        });
    }

    /// Drops the oldest messages of a session until no more than so many bytes are held for it: those that wait, then the
    /// copies of those in flight. Returns how many.
    fn shorten(&mut self, session: SessionId, most: u64) -> u64 {
        let mut dropped = 0;
        while self.weight(session) > most {
            let entry = self.sessions.change(session);
            let Some(oldest) = entry.and_then(|mut entry| entry.unqueue_oldest()) else {
                break;
            };
            dropped += 1;
            self.memory
                .note_waits_no_longer(self.sessions.backlog_mut(), &oldest.message);
            self.note_dropped(session, &oldest.message);
            if dropped % 64 == 0 {
                self.sessions.charge(session, &mut self.memory.lease);
            }
        }
        self.sessions.charge(session, &mut self.memory.lease);
        if self.weight(session) > most {
            let entry = self.sessions.change(session);
            let copies = entry.map(|mut entry| entry.give_up_copies(most));
            for message in copies.unwrap_or_default() {
                dropped += u64::from(self.sessions.conn_of(session).is_none());
                self.note_dropped(session, &message);
                self.memory.unstore(&message);
            }
        }
        self.desk.counters.publish_dropped += dropped;
        self.desk.counters.backlog_refused += dropped;
        dropped
    }
}

impl Broker {
    /// The account of packets has no room for so many bytes, which are there already.
    #[cold]
    pub(in crate::broker) fn share_packets(&mut self, now_ms: u64, conn: ConnId, bytes: u64) {
        if let Some(cut) = self.clients.share_out(Account::Packets, bytes, 0) {
            self.cut_packets(now_ms, &cut);
        }
        // The others have not given way yet, and there is no more to wait with.
        let clients = &self.clients;
        let partial = clients.peers.conns[conn.index()].partial.as_ref();
        let held = partial.map_or(0, |partial| partial.memory() as u64);
        if !clients
            .memory
            .may_go_beyond(Account::Packets, clients.party_of(conn), held, 0)
        {
            self.close_for_packet(now_ms, conn);
        }
    }

    /// Connections of those who hold too much are closed, until what the shard has to give is free: first those whose packets
    /// have held most for the longest time.
    pub(super) fn cut_packets(&mut self, now_ms: u64, cut: &Cut) {
        let clients = &self.clients;
        let now = crate::broker::timers::tick(now_ms);
        let mut excess: HashMap<Party, u64, FixedState> = HashMap::default();
        let mut above: Vec<(u64, Party, u64, ConnId)> = Vec::new();
        for (conn, bytes) in clients.packets_held() {
            let party = clients.party_of(conn);
            let Some(more) = cut
                .level(party)
                .and_then(|level| bytes.checked_sub(level))
                .filter(|&more| more > 0)
            else {
                continue;
            };
            *excess.entry(party).or_default() += more;
            let partial = clients.peers.conns[conn.index()].partial.as_ref();
            let ticks = partial.map_or(0, |partial| now.saturating_sub(partial.since));
            above.push((bytes * u64::from(1 + ticks), party, bytes, conn));
        }
        above.sort_unstable_by_key(|&(cost, ..)| std::cmp::Reverse(cost));
        for (_, party, bytes, conn) in above {
            let Some(due) = excess.get_mut(&party) else {
                continue;
            };
            if *due > 0 {
                *due = due.saturating_sub(bytes);
                self.close_for_packet(now_ms, conn);
            }
        }
    }

    /// Closes a connection because of the memory that its packet takes.
    pub(in crate::broker) fn close_for_packet(&mut self, now_ms: u64, conn: ConnId) {
        self.clients.desk.counters.packets_refused += 1;
        self.clients.log_refusal(now_ms, conn, |client| {
            format!("{client} is closed: no memory is left for its packet.")
        });
        self.disconnect(now_ms, conn, ReasonCode::QUOTA_EXCEEDED);
    }
}
