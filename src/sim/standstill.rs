//! Shards that are late, and all of them standing still, while clients go and come: who is back in time finds its session, and
//! its will is not published; who has sent something in time stays.

use super::world::World;
use crate::mqtt::Version;

impl World {
    /// Nothing lasts so long that a bound has to end it: the shards look, and hear of each other, as often as it takes.
    pub fn look_everywhere(&mut self) {
        for _ in 0..4 {
            for shard in 0..self.brokers.len() {
                self.look(shard);
            }
        }
    }

    /// Clients that have promised to send something do.
    pub fn ping(&mut self) {
        if self.now_ms < self.pinged_ms + 1000 {
            return;
        }
        self.pinged_ms = self.now_ms;
        for index in 0..self.clients.len() {
            if self.clients[index].keep_alive_s > 0 {
                self.write(index, b"\xc0\0".to_vec());
            }
        }
    }

    /// All shards do nothing for a while, in which clients go and come.
    pub fn stand_still(&mut self) {
        let began_ms = self.now_ms;
        for _ in 0..1 + self.rng.below(10) {
            self.now_ms += 500 + self.rng.below(500) as u64;
            self.ping();
            let index = 1 + self.rng.below(self.clients.len() - 1);
            let client = &self.clients[index];
            match client.link {
                None => self.connect(index),
                Some(_) if client.connected && !client.steady => self.drop_link(index),
                _ => {}
            }
        }
        let lost_ms = self.now_ms - began_ms;
        for shard in 0..self.brokers.len() {
            self.brokers[shard].on_standstill(self.now_ms, lost_ms);
            self.after(shard);
        }
    }

    /// The moment before which the broker has not parted a client from its session that now forgets its connection; `None` if
    /// the broker was first.
    pub fn left_ms(&self, index: usize) -> Option<u64> {
        let link = &self.links[self.clients[index].link?];
        match (link.half_closed, &link.closing) {
            (true, _) => Some(link.half_closed_ms),
            (false, None) => Some(self.now_ms),
            (false, Some(_)) => None,
        }
    }

    /// A client connects again: what must hold if it does so in time.
    pub fn come_back(&mut self, index: usize, link: usize) {
        let client = &mut self.clients[index];
        let Some((left_ms, will)) = client.left.take().filter(|_| client.durable) else {
            return;
        };
        let away_ms = self.now_ms - left_ms;
        let is_within = |seconds: u32| away_ms < u64::from(seconds) * 1000;
        self.links[link].finds_session =
            client.version == Version::V5 && is_within(client.expiry_s);
        if is_within(client.will_delay_s.min(client.expiry_s)) {
            self.links[link].forbids = will;
        }
    }
}
