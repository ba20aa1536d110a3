//! The shard has stood still.

use crate::broker::Broker;
use crate::broker::timers::{TICK_MS, tick};

impl Broker {
    /// This shard has stood still for so long until now. Connections get that time back; sessions, whose clients could not come
    /// back meanwhile, are left alone for a while. What expires is what has been published: its age is what it is
    /// (MQTT-3.3.2-5, MQTT-3.3.2-6).
    pub fn on_standstill(&mut self, now_ms: u64, lost_ms: u64) {
        let (now, lost) = (tick(now_ms), tick(lost_ms.next_multiple_of(TICK_MS)));
        let later = |at: u32| at.saturating_add(lost).min(now);
        for entry in self.clients.peers.conns.iter_mut() {
            entry.active_at = later(entry.active_at);
            if let Some(partial) = &mut entry.partial {
                partial.since = later(partial.since);
            }
        }
        let (now_s, lost_s) = (now_ms / 1000, lost_ms.div_ceil(1000));
        self.clients.out.forgive(now_s as u32, lost_s as u32);
        self.waits.put_off(lost_ms);
        self.looks.begin_anew(now_ms, lost_ms);
    }
}
