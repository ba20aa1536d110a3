//! What this shard holds, brought to its accounts, once a turn.

use super::Broker;
use crate::budget::Account;

impl Broker {
    /// The end of a turn: what is told by its level is brought to its account. Returns whether free memory is to be
    /// given back to the system now.
    pub fn settle(&mut self, _now_ms: u64) -> bool {
        let outbound = self.clients.out.memory() as u64;
        let lease = &mut self.clients.lease;
        lease.set(Account::Outbound, outbound);
        false
    }

    /// Somebody beside the brain holds so many bytes of an account now, on this shard.
    pub fn charge(&mut self, account: Account, level: u64) {
        self.clients.lease.set(account, level);
    }
}
