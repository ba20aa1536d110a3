//! Rounds between the shards, in which it is found out who gives way for an account that is short.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::effect::{MeshMessage, ShareMessage};
use crate::budget::{Account, Cut, Holdings};
use crate::ids::ShardId;
use crate::limits;

impl Clients {
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
            _ => self.sessions.places(),
        }
    }

    /// It has been looked who holds how much, here or by another shard.
    fn rest(&mut self, account: Account) {
        let limit = self.memory.lease.pool().limit(account);
        let holders = self.holders(account);
        self.memory.shares.round(account).rest(limit, holders);
    }

    pub(super) fn begin_round(&mut self, account: Account, sum: Holdings) -> Option<Cut> {
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
        let goal = self.memory.reserve(account) + limit / limits::SHARES_MARGIN_DIVISOR + wanted;
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
                let sessions = self.sessions.iter();
                let sessions =
                    sessions.filter_map(|(session, entry)| Some((session, entry.flow()?.weight())));
                for (session, weight) in sessions {
                    holdings.add(self.party_of_session(session), weight);
                }
            }
        }
        holdings.shorten();
        holdings
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
            if self.clients.memory.is_within(account, 0) {
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
}
