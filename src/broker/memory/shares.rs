//! An account is short: who holds most above a fair share of it gives way, on whatever shard (`budget::Holdings`).
//!
//! The shard that finds no room asks the others what they hold, adds it up, and tells all of them who comes down to what. A
//! session gives its oldest messages, a connection with a packet that is not whole is closed.
//!
//! An answer takes as long as the longest turn of a shard, and one turn can fill the account. Until the others have given way,
//! each shard goes by what it sees itself: who holds most here above what the shard may have gives its own oldest for its
//! newest, and everybody else goes beyond the account.
//!
//! Invariants: nothing here happens while there is room; who comes down is decided by one shard that knows of all, so that no
//! shard takes from its own what another one has more of; what one shard sees decides only who grows.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::effect::{MeshMessage, ShareMessage};
use crate::broker::interest::reach::Reached;
use crate::broker::peers::conn::Stage;
use crate::broker::said::{Bound, Said};
use crate::broker::settings::LogKind;
use crate::budget::{Account, Cut, Holdings, Party, Rung};
use crate::escape::Name;
use crate::ids::NONE;
use crate::ids::{ConnId, Network, SessionId, ShardId};
use crate::limits;
use crate::mqtt::ReasonCode;
use crate::mqtt::message::Message;
use crate::table::Table;

/// Whose a session is of which nothing is known.
const NOBODY: Party = Party::Address(Network::UNSPECIFIED);

/// Finding out who gives way, for one account.
#[derive(Default)]
struct Round {
    number: u32,
    /// Shards that have not answered.
    missing: u8,
    sum: Holdings,
    /// Bytes that somebody needs beyond the reserve.
    wanted: u64,
    /// Bytes that are to go although there is room.
    least: u64,
    /// What has to find no room before it is looked again: so many messages or packets, or so many bytes.
    pause: usize,
    pause_bytes: u64,
    /// Who gave way last.
    cut: Cut,
    /// Who would if this shard had its part of the account and no more, as it was looked last.
    own: Cut,
}

impl Round {
    /// Nobody looks again for a while: it costs as much as there are holders.
    fn rest(&mut self, limit: u64, holders: usize) {
        let some = holders / limits::SHARES_LOOK_HOLDERS;
        self.pause = limits::SHARES_LOOK_MIN.max(some);
        let least = limit / limits::SHARES_MARGIN_DIVISOR;
        let most = limit / limits::SHARES_RESERVE_DIVISOR;
        self.pause_bytes = (some as u64 * limits::SHARES_LOOK_BYTES).clamp(least, most);
    }

    /// The account is not short any more: what was found out is of others than will hold most next time.
    fn forget(&mut self) {
        (self.pause, self.pause_bytes) = (0, 0);
        for cut in [&mut self.cut, &mut self.own] {
            if !cut.is_empty() {
                *cut = Cut::default();
            }
        }
    }
}

/// See the module.
pub struct Shares {
    /// Who each session is of.
    parties: Table<Party>,
    backlog: Round,
    packets: Round,
    /// Lines about sessions that have given way.
    lines: Said<()>,
    /// By how much each has made it more what a topic can lead to.
    pub reached: Reached,
}

impl Default for Shares {
    fn default() -> Self {
        let lines = Said::new(Bound {
            lines: limits::SHARES_LINES,
            ms: limits::LINES_MS,
            apart: 1,
        });
        Shares {
            parties: Table::default(),
            backlog: Round::default(),
            packets: Round::default(),
            lines,
            reached: Reached::default(),
        }
    }
}

impl Shares {
    fn round_of(&self, account: Account) -> &Round {
        match account {
            Account::Packets => &self.packets,
            _ => &self.backlog,
        }
    }

    fn round(&mut self, account: Account) -> &mut Round {
        match account {
            Account::Packets => &mut self.packets,
            _ => &mut self.backlog,
        }
    }

    /// When it is to be said what was not said about sessions that have given way.
    pub fn lines_due_ms(&self) -> Option<u64> {
        self.lines.due_ms()
    }

    /// From here on a session is of this party.
    pub fn join(&mut self, session: SessionId, party: Party) {
        let nodes = self.forget_reach(session);
        self.parties.ensure(session.index(), || NOBODY);
        self.parties[session.index()] = party;
        self.reached.add(session, party, nodes);
    }

    /// A session ends, or is another party's from here on: what it has made it more what a topic can lead to.
    pub fn forget_reach(&mut self, session: SessionId) -> u32 {
        let party = self.party(session);
        self.reached.give_back(session, party, u32::MAX)
    }

    /// Who a session is of.
    pub fn party(&self, session: SessionId) -> Party {
        let party = self.parties.get(session.index());
        party.copied().unwrap_or(NOBODY)
    }

    /// Gives memory back after many sessions have ended.
    pub fn trim(&mut self, exists: impl Fn(SessionId) -> bool) {
        let is_free = |index: usize, _: &Party| !exists(SessionId(index as u32));
        self.parties.trim(is_free);
        self.reached.trim();
    }

    /// Bytes of memory.
    pub fn memory(&self) -> usize {
        self.parties.memory() + self.reached.memory()
    }
}

/// Bytes of an account that are left to those who hold less than a share; ever more as memory becomes short.
fn reserve(clients: &Clients, account: Account) -> u64 {
    let limit = clients.memory.lease.pool().limit(account);
    match clients.memory.lease.rung() {
        Rung::Shrink | Rung::Refuse | Rung::Slow if account == Account::Backlog => limit / 4,
        Rung::Drop | Rung::Shed if account == Account::Backlog => limit / 2,
        _ => limit / limits::SHARES_RESERVE_DIVISOR,
    }
}

/// Bytes that one more place in a queue takes, with the message unless somebody holds it already.
fn wanted_by(message: &Message) -> u64 {
    let cost = match message.holders.is_empty() {
        true => message.cost() as u64,
        false => 0,
    };
    cost + limits::BACKLOG_ENTRY_BYTES
}

impl Clients {
    /// Whether so many bytes more leave the reserve of an account untouched.
    #[inline]
    pub fn is_within(&self, account: Account, wanted: u64) -> bool {
        self.memory
            .lease
            .has_room(account, wanted + reserve(self, account))
    }

    /// Whether a holder of a party that has `held` bytes, and so many more, may go on before others have given way: who holds
    /// less than its share until the account is overdrawn by half, and until it is by the reserve who holds more than that
    /// only of what this shard sees.
    fn may_go_beyond(&self, account: Account, party: Party, held: u64, wanted: u64) -> bool {
        let round = self.memory.shares.round_of(account);
        let is_above = |cut: &Cut| {
            let level = cut.level(party);
            level.is_some_and(|level| held > level.max(limits::BACKLOG_BYTES_MIN))
        };
        let divisor = match is_above(&round.cut) || is_above(&round.own) {
            true => limits::SHARES_RESERVE_DIVISOR,
            false => limits::SHARES_BEYOND_DIVISOR,
        };
        let beyond = (self.memory.lease.pool().limit(account) / divisor) as i64;
        self.memory.lease.balance(account).saturating_add(beyond) >= wanted as i64
    }

    /// Whether one more message may wait for a session, and it gives up none for it.
    pub fn has_backlog_room(&self, session: SessionId, message: &Message) -> bool {
        let wanted = wanted_by(message);
        self.is_within(Account::Backlog, wanted) || {
            let party = self.party_of_session(session);
            let held = self.weight(session) + wanted;
            self.may_go_beyond(Account::Backlog, party, held, wanted)
        }
    }

    /// Whether one more message may wait for a session.
    pub fn makes_backlog_room(&mut self, session: SessionId, message: &Message) -> bool {
        let wanted = wanted_by(message);
        self.is_within(Account::Backlog, wanted) || self.finds_backlog_room(session, wanted)
    }

    /// The account is short: others give way, or this session does.
    #[cold]
    fn finds_backlog_room(&mut self, session: SessionId, wanted: u64) -> bool {
        if let Some(cut) = self.share_out(Account::Backlog, wanted, wanted) {
            self.cut_backlog(&cut);
        }
        if self.is_within(Account::Backlog, wanted) {
            return true;
        }
        let party = self.party_of_session(session);
        let weight = self.weight(session);
        let gives_way = self.memory.shares.backlog.cut.level(party);
        let gives_way =
            gives_way.is_some_and(|level| weight + wanted > level.max(limits::BACKLOG_BYTES_MIN));
        if !gives_way && self.may_go_beyond(Account::Backlog, party, weight + wanted, wanted) {
            return true;
        }
        // The others wait for what it holds: it has the new message for its oldest ones.
        let most = weight.saturating_sub(wanted);
        self.shorten(session, most);
        self.weight(session) <= most
    }

    /// Bytes that are held for a session.
    pub fn weight(&self, session: SessionId) -> u64 {
        let entry = self
            .sessions
            .table
            .get(session.index())
            .and_then(Option::as_ref);
        let flow = entry.and_then(|entry| entry.flow.as_ref());
        flow.map_or(0, |flow| flow.weight())
    }

    /// An account has no room as it grows by so many bytes, of which so many are `wanted` and not there yet: finds out who gives
    /// way, unless it was asked a moment ago. What is returned is to be done now; with several shards it comes later.
    pub fn share_out(&mut self, account: Account, bytes: u64, wanted: u64) -> Option<Cut> {
        let round = self.memory.shares.round(account);
        round.wanted = round.wanted.max(wanted);
        round.pause = round.pause.saturating_sub(1);
        round.pause_bytes = round.pause_bytes.saturating_sub(bytes);
        if round.pause > 0 && round.pause_bytes > 0 {
            return None;
        }
        self.rest(account);
        let holdings = self.holdings(account);
        let own = self.own_cut(account, &holdings);
        let round = self.memory.shares.round(account);
        round.own = own;
        if round.missing > 0 {
            return None;
        }
        self.begin_round(account, holdings)
    }

    /// Who would give way if this shard had its part of the account and no more.
    fn own_cut(&self, account: Account, holdings: &Holdings) -> Cut {
        let limit = self.memory.lease.pool().limit(account);
        let held = u64::try_from(self.memory.lease.held(account)).unwrap_or(0);
        let most = limit / u64::from(self.desk.shards);
        if self.desk.shards == 1 || held <= most {
            return Cut::default();
        }
        let connected = limit / limits::SHARES_RESERVE_DIVISOR;
        holdings.cut(
            holdings.for_bytes(held - most, held),
            holdings.for_bytes(connected, held),
        )
    }

    /// How many there are who may hold something of an account.
    fn holders(&self, account: Account) -> usize {
        match account {
            Account::Packets => self.peers.conns.len(),
            _ => self.sessions.table.len(),
        }
    }

    /// It has been looked who holds how much, here or by another shard.
    fn rest(&mut self, account: Account) {
        let limit = self.memory.lease.pool().limit(account);
        let holders = self.holders(account);
        self.memory.shares.round(account).rest(limit, holders);
    }

    fn begin_round(&mut self, account: Account, sum: Holdings) -> Option<Cut> {
        let missing = self.desk.shards - 1;
        let round = self.memory.shares.round(account);
        (round.sum, round.missing) = (sum, missing);
        round.number = round.number.wrapping_add(1);
        let round = round.number;
        if missing == 0 {
            return Some(self.end_round(account));
        }
        self.desk
            .mesh_all(|| MeshMessage::Shares(Box::new(ShareMessage::Ask { account, round })));
        None
    }

    /// All shards have said what they hold: who gives way.
    fn end_round(&mut self, account: Account) -> Cut {
        let pool = self.memory.lease.pool();
        let limit = pool.limit(account);
        let held = pool.leased(account).max(1);
        let wanted = self.memory.shares.round(account).wanted;
        let goal = reserve(self, account) + limit / limits::SHARES_MARGIN_DIVISOR + wanted;
        let missing = goal as i64 - self.memory.lease.balance(account);
        let round = self.memory.shares.round(account);
        let missing = missing.max(std::mem::take(&mut round.least) as i64);
        let sum = std::mem::take(&mut round.sum);
        let connected = limit / limits::SHARES_RESERVE_DIVISOR;
        let cut = sum.cut(
            sum.for_bytes(missing.max(0) as u64, held),
            sum.for_bytes(connected, held),
        );
        round.cut = cut.clone();
        round.wanted = 0;
        cut
    }

    /// What this shard holds of an account.
    fn holdings(&mut self, account: Account) -> Holdings {
        let holders = self.holders(account);
        self.memory.turn.count_holders(holders);
        let mut holdings = Holdings::default();
        match account {
            Account::Packets => {
                for (conn, bytes) in self.packets_held() {
                    holdings.add(self.party_of(conn), bytes);
                }
            }
            _ => {
                let sessions = self.sessions.table.indexed().filter_map(|(index, entry)| {
                    let weight = entry.as_ref()?.flow.as_ref()?.weight();
                    Some((SessionId(index as u32), weight))
                });
                for (session, weight) in sessions {
                    holdings.add(self.party_of_session(session), weight);
                }
            }
        }
        holdings.shorten();
        holdings
    }

    /// Established connections with a packet that is not whole, and the bytes of it.
    fn packets_held(&self) -> impl Iterator<Item = (ConnId, u64)> + '_ {
        self.peers.conns.indexed().filter_map(|(index, entry)| {
            let partial = entry.partial.as_ref()?;
            let is_established = entry.stage == Stage::Established;
            is_established.then_some((ConnId(index as u32), partial.memory() as u64))
        })
    }

    /// Sessions come down to what is left to them, their oldest messages first.
    pub fn cut_backlog(&mut self, cut: &Cut) {
        if cut.is_empty() {
            return;
        }
        self.memory.turn.count_holders(self.sessions.table.len());
        for index in 0..self.sessions.table.len() {
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
            if self.memory.shares.lines.admit(()) {
                // What is known of those dropped may take more than they did.
                let bytes = before.saturating_sub(self.weight(session));
                self.log_shortened(session, dropped, bytes);
            }
        }
    }

    /// Says how often it was not said that sessions lose messages, when that is due.
    pub(in crate::broker) fn tell_of_shortened(&mut self, now_ms: u64) {
        for (_, times) in self.memory.shares.lines.take(now_ms) {
            self.desk.log(LogKind::Warning, || {
                format!(
                    "Sessions have lost their oldest messages {times} more times for that reason."
                )
            });
        }
    }

    fn log_shortened(&mut self, session: SessionId, dropped: u64, bytes: u64) {
        let Some(entry) = self.sessions.get(session) else {
            return;
        };
        let client_id = entry.client_id.clone();
        self.desk.log(LogKind::Warning, || {
            let client_id = Name(&client_id);
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
            let flow = self
                .sessions
                .get(session)
                .and_then(|entry| entry.flow.as_mut());
            let Some(oldest) = flow.and_then(|flow| flow.pop_oldest()) else {
                break;
            };
            dropped += 1;
            self.unstore(&oldest.message);
            self.note_dropped(session, &oldest.message);
            if dropped % 64 == 0 {
                self.charge_flow_of(session);
            }
        }
        self.charge_flow_of(session);
        if self.weight(session) > most {
            let flow = self
                .sessions
                .get(session)
                .and_then(|entry| entry.flow.as_mut());
            let copies = flow.map(|flow| flow.give_up_copies(most));
            for message in copies.unwrap_or_default() {
                dropped += u64::from(self.sessions.hot[session.index()].conn == NONE);
                self.note_dropped(session, &message);
                self.unstore(&message);
            }
        }
        self.desk.counters.publish_dropped += dropped;
        self.desk.counters.backlog_refused += dropped;
        dropped
    }
}

impl Broker {
    /// Another shard says something about an account that is short.
    pub(in crate::broker) fn on_shares(
        &mut self,
        now_ms: u64,
        from: ShardId,
        message: ShareMessage,
    ) {
        match message {
            ShareMessage::Ask { account, round } => {
                let holdings = Box::new(self.clients.holdings(account));
                let answer = ShareMessage::Holdings {
                    account,
                    round,
                    holdings,
                };
                self.clients
                    .desk
                    .mesh(from, MeshMessage::Shares(Box::new(answer)));
            }
            ShareMessage::Holdings {
                account,
                round: number,
                holdings,
            } => {
                let round = self.clients.memory.shares.round(account);
                if round.number != number || round.missing == 0 {
                    return;
                }
                round.sum.merge(&holdings);
                round.missing -= 1;
                if round.missing == 0 {
                    let cut = self.clients.end_round(account);
                    let tell = || ShareMessage::Cut {
                        account,
                        cut: Box::new(cut.clone()),
                    };
                    self.clients
                        .desk
                        .mesh_all(|| MeshMessage::Shares(Box::new(tell())));
                    self.cut_account(now_ms, account, &cut);
                }
            }
            ShareMessage::Cut { account, cut } => {
                self.cut_account(now_ms, account, &cut);
                self.clients.memory.shares.round(account).cut = *cut;
                self.clients.rest(account);
            }
        }
    }

    fn cut_account(&mut self, now_ms: u64, account: Account, cut: &Cut) {
        match account {
            Account::Packets => self.cut_packets(now_ms, cut),
            _ => self.clients.cut_backlog(cut),
        }
    }

    /// A look at these accounts: more may have been forced into that of what waits than it has, or they are short no more.
    pub(in crate::broker) fn look_at_shares(&mut self, now_ms: u64) {
        self.clients.tell_of_shortened(now_ms);
        for account in [Account::Backlog, Account::Packets] {
            if self.clients.is_within(account, 0) {
                self.clients.memory.shares.round(account).forget();
            } else if account == Account::Backlog
                && let Some(cut) = self.clients.share_out(account, 0, 0)
            {
                self.clients.cut_backlog(&cut);
            }
        }
    }

    /// The memory of the process is short: those who hold most of what waits give way, though their account has room.
    pub(in crate::broker) fn shed_backlog(&mut self) {
        let pool = self.clients.memory.lease.pool();
        let least = pool.leased(Account::Backlog) / limits::SHED_BACKLOG_DIVISOR;
        let round = self.clients.memory.shares.round(Account::Backlog);
        if round.missing > 0 {
            return;
        }
        round.least = least;
        let holdings = self.clients.holdings(Account::Backlog);
        if let Some(cut) = self.clients.begin_round(Account::Backlog, holdings) {
            self.clients.cut_backlog(&cut);
        }
    }

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
        if !clients.may_go_beyond(Account::Packets, clients.party_of(conn), held, 0) {
            self.close_for_packet(now_ms, conn);
        }
    }

    /// Connections of those who hold too much are closed, until what the shard has to give is free: first those whose packets
    /// have held most for the longest time.
    fn cut_packets(&mut self, now_ms: u64, cut: &Cut) {
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
