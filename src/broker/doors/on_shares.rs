//! An account is short, here or on another shard: rounds between the shards find out who gives way.

use crate::broker::Broker;
use crate::broker::clients::Clients;
use crate::broker::mesh_message::{MeshMessage, ShareMessage};
use crate::budget::{Account, Cut, Holdings};
use crate::ids::ShardId;
use crate::limits;

impl Clients {
    /// An account has no room as it grows by so many bytes, of which so many are `wanted` and not there yet: finds out who gives
    /// way, unless it was asked a moment ago. What is returned is to be done now; with several shards it comes later.
    pub(crate) fn share_out(&mut self, account: Account, bytes: u64, wanted: u64) -> Option<Cut> {
        if !self.memory.shares.note_short(account, bytes, wanted) {
            return None;
        }
        self.memory.rest(account, self.holders(account));
        let holdings = self.holdings(account);
        let own = self.memory.own_cut(account, &holdings, self.desk.shards);
        self.memory.shares.note_own(account, own);
        match self.memory.shares.is_asking(account) {
            true => None,
            false => self.begin_round(account, holdings),
        }
    }

    /// How many there are who may hold something of an account.
    fn holders(&self, account: Account) -> usize {
        match account {
            Account::Packets => self.peers.conns.len(),
            _ => self.sessions.places(),
        }
    }

    fn begin_round(&mut self, account: Account, sum: Holdings) -> Option<Cut> {
        let others = self.desk.shards - 1;
        let round = self.memory.shares.begin(account, sum, others);
        if others == 0 {
            return Some(self.memory.end_round(account));
        }
        self.desk
            .mesh_all(|| MeshMessage::Shares(Box::new(ShareMessage::Ask { account, round })));
        None
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
                for session in self.sessions.ids() {
                    let weight = self.sessions.weight(session);
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
                let memory = &mut self.clients.memory;
                if !memory.shares.add(account, number, &holdings) {
                    return;
                }
                let cut = memory.end_round(account);
                let tell = || ShareMessage::Cut {
                    account,
                    cut: Box::new(cut.clone()),
                };
                self.clients
                    .desk
                    .mesh_all(|| MeshMessage::Shares(Box::new(tell())));
                self.cut_account(now_ms, account, &cut);
            }
            ShareMessage::Cut { account, cut } => {
                self.cut_account(now_ms, account, &cut);
                let holders = self.clients.holders(account);
                let memory = &mut self.clients.memory;
                memory.shares.note_cut(account, *cut);
                memory.rest(account, holders);
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
        self.clients.desk.tell_left_out(now_ms);
        for account in [Account::Backlog, Account::Packets] {
            if self.clients.memory.is_within(account, 0) {
                self.clients.memory.shares.forget(account);
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
        let shares = &mut self.clients.memory.shares;
        if shares.is_asking(Account::Backlog) {
            return;
        }
        shares.want_least(Account::Backlog, least);
        let holdings = self.clients.holdings(Account::Backlog);
        if let Some(cut) = self.clients.begin_round(Account::Backlog, holdings) {
            self.clients.cut_backlog(&cut);
        }
    }
}
