//! What clients do: they go and come, say what they want, are slow and hostile, and find what they left behind. Who is back in time
//! finds its session, and its will is not published; who has sent something in time stays, also when all shards have stood still.

use super::client::Client;
use super::link::Link;
use super::oracle::{Published, Session, Subscribed};
use super::world::{SHARED, World};
use crate::mqtt::Version;

const TOPICS: [&str; 6] = ["a/b", "a/c", "c", "d/b", "s/x", "s/y"];
const FILTERS: [&str; 7] = ["#", "a/#", "a/+", "a/b", "+/b", "c", "d/#"];

impl World {
    /// One client does one thing.
    pub(super) fn act(&mut self) {
        let index = 1 + self.rng.below(self.clients.len() - 1);
        if self.rng.once_in(150) {
            return self.hostile();
        }
        if self.rng.once_in(100) {
            return self.stand_still();
        }
        if self.oracle.rules.exist() && self.rng.once_in(100) {
            return self.reload();
        }
        if self.clients[index].link.is_none() {
            self.connect(index);
            // Who may find no session must not take it that what it sends before CONNACK belongs to the old one.
            let is_sure = self.clients[index].expiry_s == u32::MAX;
            if is_sure && !self.clients[index].steady && self.rng.once_in(4) {
                self.hurry(index);
            }
            return;
        }
        if !self.clients[index].connected {
            return;
        }
        let link = self.clients[index].link.unwrap();
        match self.rng.below(100) {
            // Who has said all that it wants only reads, or goes away.
            roll if self.links[link].half_closed => match roll {
                0..3 => self.drop_link(index),
                3..6 => self.stall(link),
                _ => {}
            },
            0..45 => self.publish(index),
            45..60 => self.subscribe(index),
            60..64 => self.unsubscribe(index),
            64..80 => self.send_later(index),
            80..84 if !self.clients[index].steady => self.goodbye(index),
            84..90 if !self.clients[index].steady => self.drop_link(index),
            90..93 if !self.clients[index].steady => {
                // Another connection of the same client takes over.
                self.leave_link(index, true);
                self.connect(index);
            }
            93..96 => self.stall(link),
            _ => {}
        }
    }

    pub(super) fn connect(&mut self, index: usize) {
        let link = self.links.len();
        self.links.push(Link::new(index));
        self.name(index, link);
        let wants_will = index > 0 && self.rng.once_in(2);
        self.come_back(index, link);
        let client = &mut self.clients[index];
        client.will = wants_will.then(|| format!("will-{}-{}", client.id, self.wills));
        self.wills += 1;
        client.link = Some(link);
        let bytes = client.connect();
        self.links[link].to_broker.extend(bytes);
    }

    /// The name by which a client comes next, and notes it. One in three changes it, now and then.
    fn name(&mut self, index: usize, link: usize) {
        let rules = &mut self.oracle.rules;
        if rules.exist() {
            let client = &mut self.clients[index];
            client.user = rules.name_of(index, client.user, &mut self.rng);
            rules.note_caller(index, link, self.step, client.user);
        }
    }

    /// All that a client wants goes out behind its CONNECT, and nothing more: it reads until the broker closes. With a
    /// goodbye, or without one.
    fn hurry(&mut self, index: usize) {
        for _ in 0..1 + self.rng.below(2) {
            self.subscribe(index);
        }
        if self.clients[index].exchanges.unacknowledged() == 0 {
            self.publish(index);
        }
        let link = self.clients[index].link.unwrap();
        if self.rng.once_in(2) {
            let bytes = self.clients[index].disconnect();
            self.write(index, bytes);
            if let Some(will) = self.clients[index].will.take() {
                self.links[link].forbids = Some(will);
            }
        }
        self.links[link].half_closed = true;
        self.links[link].half_closed_ms = self.now_ms;
    }

    fn stall(&mut self, link: usize) {
        self.links[link].stalled ^= true;
        self.links[link].was_stalled = true;
    }

    pub(super) fn write(&mut self, index: usize, bytes: Vec<u8>) {
        if let Some(link) = self.clients[index].link
            && !self.links[link].half_closed
        {
            self.links[link].to_broker.extend(bytes);
        }
    }

    fn publish(&mut self, index: usize) {
        let (topic, qos) = (self.rng.pick(&TOPICS), self.rng.below(3) as u8);
        let is_full = self.clients[index].exchanges.unacknowledged()
            >= usize::from(self.clients[index].send_maximum);
        let qos = if is_full { 0 } else { qos };
        let (retain, empty) = (self.rng.once_in(3), self.rng.once_in(6));
        let empty = empty && retain;
        let message = self.oracle.published.len();
        let payload = if empty {
            String::new()
        } else {
            format!("m{message}")
        };
        let link = self.clients[index].link.unwrap();
        let bytes = self.clients[index].publish(topic, payload.as_bytes(), qos, retain, message);
        self.oracle.published.push(Published {
            publisher: index * 1000 + self.clients[index].next_incarnation() as usize,
            topic: topic.into(),
            qos,
            retain,
            empty,
            sent_at: self.step,
            acknowledged: false,
            resent: false,
            link,
        });
        self.write(index, bytes);
    }

    pub(super) fn session(&mut self, index: usize) -> &mut Session {
        let key = (index, self.clients[index].next_incarnation());
        self.oracle.sessions.entry(key).or_default()
    }

    fn subscribe(&mut self, index: usize) {
        if self.clients[index].shares {
            return self.subscribe_to(index, &[(SHARED, 1)]);
        }
        let count = 1 + self.rng.below(2);
        let wanted: Vec<(&str, u8)> = (0..count)
            .map(|_| (self.rng.pick(&FILTERS), self.rng.below(3) as u8))
            .collect();
        self.subscribe_to(index, &wanted);
    }

    pub(super) fn subscribe_to(&mut self, index: usize, wanted: &[(&'static str, u8)]) {
        let mut fresh: Vec<(&str, u8)> = Vec::new();
        for &(filter, qos) in wanted {
            let known = self
                .session(index)
                .subscriptions
                .iter()
                .any(|known| known.filter == filter);
            if !known && fresh.iter().all(|(other, _)| *other != filter) {
                fresh.push((filter, qos));
            }
        }
        if fresh.is_empty() {
            return;
        }
        for &(filter, qos) in &fresh {
            let subscribed = Subscribed {
                filter: filter.into(),
                qos,
                acknowledged_at: None,
                ended: false,
                ended_at: None,
            };
            self.session(index).subscriptions.push(subscribed);
        }
        if std::env::var_os("FIREHOSE_SIM_TRACE").is_some() {
            let incarnation = self.clients[index].incarnation;
            eprintln!(
                "{} client {index}.{incarnation} subscribes {fresh:?}",
                self.step
            );
        }
        let bytes = self.clients[index].subscribe(&fresh);
        self.write(index, bytes);
    }

    fn unsubscribe(&mut self, index: usize) {
        if self.oracle.rules.keeps(index) {
            return;
        }
        let session = self.session(index);
        let Some(subscribed) = session.subscriptions.iter_mut().find(|known| !known.ended) else {
            return;
        };
        subscribed.ended = true;
        let filter = subscribed.filter.clone();
        self.oracle.member_left |= filter == SHARED;
        let bytes = self.clients[index].unsubscribe(&filter);
        self.write(index, bytes);
    }

    pub(super) fn send_later(&mut self, index: usize) {
        let bytes: Vec<u8> = self.clients[index].later.drain(..).flatten().collect();
        self.write(index, bytes);
    }

    /// DISCONNECT, and the connection is closed when it has been sent.
    pub(super) fn goodbye(&mut self, index: usize) {
        let Some(link) = self.clients[index].link else {
            return;
        };
        if std::env::var_os("FIREHOSE_SIM_TRACE").is_some() {
            eprintln!("{} link {link} client {index} says goodbye", self.step);
        }
        let bytes = self.clients[index].disconnect();
        self.write(index, bytes);
        if let Some(will) = self.clients[index].will.take()
            && self.clients[index].connected
        {
            self.links[link].forbids = Some(will);
        }
        self.links[link].client_closed = true;
        self.leave_link(index, false);
    }

    /// The connection breaks.
    pub(super) fn drop_link(&mut self, index: usize) {
        let Some(link) = self.clients[index].link else {
            return;
        };
        self.links[link].client_closed = true;
        self.links[link].reset = self.rng.once_in(2);
        self.leave_link(index, true);
    }

    /// The client forgets its connection; its will is due unless it said goodbye.
    pub(super) fn leave_link(&mut self, index: usize, with_will: bool) {
        self.oracle.member_left |= self.clients[index].shares;
        let left_ms = self.left_ms(index);
        let client = &mut self.clients[index];
        let link = client.link.map(|link| &self.links[link]);
        let link_is_cut = link.is_some_and(|link| link.end.cut_ms.is_some());
        client.link = None;
        let will = client.will.take().filter(|_| with_will && client.connected);
        if client.connected {
            client.left = left_ms.map(|left_ms| (left_ms, will.clone()));
        } else if link_is_cut && client.expiry_s < u32::MAX {
            // What it would find may be the session that it had, or the one that it never heard of.
            client.starts_clean = client.durable;
        }
        // Who has one that waits may be back before it is due.
        if let Some(will) = will.filter(|_| client.will_delay_s == 0) {
            self.oracle.wills_due.insert(will);
        }
        client.connected = false;
        if !client.durable {
            self.session(index).alive = false;
        }
    }

    /// Somebody sends anything at all.
    fn hostile(&mut self) {
        let mut link = Link::new(usize::MAX);
        if self.rng.once_in(2) {
            let mut client = Client::new("hostile".into(), Version::V5, false);
            link.to_broker.extend(client.connect());
        }
        let garbage: Vec<u8> = (0..self.rng.below(80))
            .map(|_| self.rng.next() as u8)
            .collect();
        link.to_broker.extend(garbage);
        link.client_closed = true;
        self.links.push(link);
    }

    /// Clients that have promised to send something do.
    pub(super) fn ping(&mut self) {
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
    fn stand_still(&mut self) {
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
    fn left_ms(&self, index: usize) -> Option<u64> {
        let link = &self.links[self.clients[index].link?];
        match (link.half_closed, &link.closing) {
            (true, _) => Some(link.half_closed_ms),
            (false, None) => Some(link.end.cut_ms.unwrap_or(self.now_ms)),
            (false, Some(_)) => None,
        }
    }

    /// A client connects again: what must hold if it does so in time.
    fn come_back(&mut self, index: usize, link: usize) {
        let client = &mut self.clients[index];
        let is_kept = client.durable && !client.starts_clean;
        let Some((left_ms, will)) = client.left.clone().filter(|_| is_kept) else {
            return;
        };
        let away_ms = self.now_ms - left_ms;
        let is_within = |seconds: u32| away_ms < u64::from(seconds) * 1000;
        self.links[link].finds_session =
            client.version != Version::V31 && is_within(client.expiry_s);
        if is_within(client.will_delay_s.min(client.expiry_s)) {
            self.links[link].forbids = will;
        }
    }
}
