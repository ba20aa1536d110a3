//! How fast each client publishes (`max_publish_rate`).

use crate::broker::settings::Quotas;
use crate::ids::ConnId;

/// By connection, when its bucket of tokens is full again, in microseconds.
pub(crate) struct Rates {
    interval_us: u64,
    full_at_us: Vec<u64>,
}

impl Rates {
    /// `None` if there is no bound.
    pub(crate) fn new(quotas: &Quotas) -> Option<Box<Rates>> {
        (quotas.publish_rate > 0).then(|| {
            Box::new(Rates {
                interval_us: 1_000_000 / u64::from(quotas.publish_rate),
                full_at_us: Vec::new(),
            })
        })
    }

    /// Takes a token; without one, the answer is in how many milliseconds there will be.
    pub(crate) fn take(&mut self, conn: ConnId, now_ms: u64) -> Result<(), u64> {
        if self.full_at_us.len() <= conn.index() {
            self.full_at_us.resize(conn.index() + 1, 0);
        }
        let (full_at_us, now_us) = (&mut self.full_at_us[conn.index()], now_ms * 1000);
        let full = (*full_at_us).max(now_us) + self.interval_us;
        // The bucket holds one second's worth.
        if full - now_us > 1_000_000.max(self.interval_us) {
            return Err((full - now_us - 1_000_000).div_ceil(1000));
        }
        *full_at_us = full;
        Ok(())
    }

    /// A connection is no more; its number may be another's soon.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        if let Some(full_at_us) = self.full_at_us.get_mut(conn.index()) {
            *full_at_us = 0;
        }
    }

    /// Bytes of memory beside itself.
    pub(crate) fn memory(&self) -> usize {
        self.full_at_us.capacity() * size_of::<u64>()
    }

    /// Whether a connection has taken a token.
    #[cfg(test)]
    pub(crate) fn knows(&self, conn: ConnId) -> bool {
        self.full_at_us
            .get(conn.index())
            .is_some_and(|&full_at_us| full_at_us > 0)
    }
}
