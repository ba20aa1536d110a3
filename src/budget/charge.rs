//! Bytes of an account that are held by whoever is no shard, to the byte: given back with the value.

use std::sync::Arc;

use super::{Account, Pool};

/// See the module.
#[derive(Debug)]
pub struct Charge {
    pool: Arc<Pool>,
    account: Account,
    bytes: u64,
}

impl Charge {
    /// Of nothing yet.
    pub fn new(pool: Arc<Pool>, account: Account) -> Charge {
        Charge {
            pool,
            account,
            bytes: 0,
        }
    }

    /// Charges so many bytes more, if the account has room for them and `spare` bytes beside; false if not, and then nothing is charged.
    #[must_use = "what is not charged must not be held"]
    pub fn take(&mut self, bytes: u64, spare: u64) -> bool {
        let takes = self.pool.take_beside(self.account, bytes, spare);
        if takes {
            self.bytes += bytes;
        }
        takes
    }

    /// Charges so many bytes instead of those that were; false if there is no room for what is more, and then nothing changes.
    #[must_use = "what is not charged must not be held"]
    pub fn set(&mut self, bytes: u64, spare: u64) -> bool {
        if bytes > self.bytes {
            return self.take(bytes - self.bytes, spare);
        }
        self.pool.give(self.account, (self.bytes - bytes) as i64);
        self.bytes = bytes;
        true
    }

    /// Charges so many bytes more, whether there is room or not: of what is bounded in another way.
    pub fn force(&mut self, bytes: u64) {
        self.pool.force(self.account, bytes as i64);
        self.bytes += bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.pool.give(self.account, self.bytes as i64);
    }
}
