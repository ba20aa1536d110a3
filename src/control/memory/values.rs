//! What `$SYS/broker/firehose/memory/` shows.

use super::Monitor;
use crate::budget::{Account, Rung};

impl Monitor {
    /// Names below `memory/`, and what they show now.
    pub fn values(&self) -> Vec<(String, String)> {
        let level = &self.level;
        let mut values = Vec::new();
        let mut set = |name: &str, value: u64| values.push((name.into(), value.to_string()));
        set("limit", self.pool.total());
        set("used", level.leased);
        set("resident", level.resident);
        set("sockets", level.waiting);
        set("permille", level.permille);
        set("stalled_percent", level.stalled);
        if let Some((usage, limit)) = level.group {
            set("cgroup/usage", usage);
            set("cgroup/limit", limit);
        }
        for account in Account::ALL {
            let name = format!("account/{}", account.name());
            set(&format!("{name}/limit"), self.pool.limit(account));
            set(&format!("{name}/used"), self.pool.leased(account));
        }
        for rung in Rung::ALL {
            let name = format!("rung/{}", rung.name());
            set(&format!("{name}/entered"), self.entered[rung as usize]);
            set(
                &format!("{name}/seconds"),
                self.stood_ms[rung as usize] / 1000,
            );
        }
        values.push(("rung".into(), self.ladder.rung().name().into()));
        values
    }
}
