//! Shards, mesh, network and clients, one small thing at a time, in an order that the seed decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::Rng;
use super::client::Client;
use super::link::Link;
use super::oracle::{Oracle, Published, Session, Subscribed};
use crate::broker::{Broker, ListenerSettings, MeshMessage, Quotas, Settings};
use crate::budget::{Account, Lease, Plan, Pool};
use crate::ids::ShardId;
use crate::mqtt::Version;
use crate::routing::PageBounds;
use crate::session::SlowPolicy;

const TOPICS: [&str; 6] = ["a/b", "a/c", "c", "d/b", "s/x", "s/y"];
const FILTERS: [&str; 7] = ["#", "a/#", "a/+", "a/b", "+/b", "c", "d/#"];
pub const SHARED: &str = "$share/g/s/#";

/// Bytes of each account: far more than these worlds need.
const POOL_BYTES: u64 = 1 << 30;

/// The same of what waits, where that is short: about what its tables take.
const BACKLOG_BYTES: u64 = 32 << 10;

/// Messages in front of a shard's mesh that are much.
const CONGESTED: usize = 8;

/// Steps between two looks at the accounts: a look costs as much as everything that is held.
const AUDIT_STEPS: u64 = 16;

/// What a world has little room for: in some of them messages are dropped all the time, which must never reorder others.
struct WorldBounds {
    /// Messages that may wait for a session; 0 for no bound.
    queued: u32,
    /// What becomes of those that find no place.
    policy: Option<SlowPolicy>,
    /// Bytes that all that waits may take.
    backlog_bytes: u64,
}

impl WorldBounds {
    fn of(seed: u64) -> Self {
        let none = [0, 0, 0];
        let queued = [none, [1, 2, 5]][usize::from(seed % 5 < 2)][(seed / 11 % 3) as usize];
        let policies = [
            None,
            None,
            Some(SlowPolicy::DropOldest),
            Some(SlowPolicy::Latest),
        ];
        WorldBounds {
            queued,
            policy: policies[(seed / 13 % 4) as usize],
            backlog_bytes: [POOL_BYTES, BACKLOG_BYTES][usize::from(seed % 7 == 3)],
        }
    }

    fn may_drop(&self) -> bool {
        self.queued > 0
            || self.policy == Some(SlowPolicy::Latest)
            || self.backlog_bytes < POOL_BYTES
    }
}

/// See the module.
pub struct World {
    pub rng: Rng,
    pub now_ms: u64,
    pub step: u64,
    pub brokers: Vec<Broker>,
    pub links: Vec<Link>,
    pub conns: BTreeMap<(u8, u32), usize>,
    pub mesh: Vec<Vec<VecDeque<MeshMessage>>>,
    pub clients: Vec<Client>,
    pub oracle: Oracle,
    pub faults: bool,
    slow_mesh: bool,
    pool: Arc<Pool>,
    pub settings: Arc<Settings>,
    wills: u32,
    /// When clients last wrote a PINGREQ.
    pub pinged_ms: u64,
    /// Whether a member of the shared group ever left.
    pub member_left: bool,
    /// Retained messages that came, by topic and message, while somebody notes them.
    pub seen: Vec<(String, usize)>,
}

impl World {
    pub fn new(seed: u64, shards: u8) -> Self {
        let mut rng = Rng(seed);
        let bounds = WorldBounds::of(seed);
        let listener = ListenerSettings {
            slow_policy: bounds.policy,
            ..ListenerSettings::default()
        };
        let settings = Settings {
            listeners: vec![listener],
            max_inflight_messages: rng.pick(&[0, 1, 3, 20]),
            max_queued_messages: bounds.queued,
            quotas: Quotas {
                // In some worlds whoever publishes fast has to wait.
                publish_rate: [0, 0, 0, 20][(seed % 4) as usize],
                ..Quotas::default()
            },
            ..Settings::default()
        };
        let settings = Arc::new(settings);
        let plan = Plan::even(POOL_BYTES).with(Account::Backlog, bounds.backlog_bytes);
        let pool = Arc::new(Pool::new(&plan, shards));
        // In most worlds what is retained is more than a page.
        let page = PageBounds {
            messages: [1, 2, 3, 1000][(seed / 3 % 4) as usize],
            nodes: [2, 5, 1000][(seed / 7 % 3) as usize],
            slots: [1, 3][(seed / 5 % 2) as usize],
        };
        // In most worlds publishers have to wait for the next turn now and then.
        let deliveries = [2, 10, 1000][(seed / 2 % 3) as usize];
        // In most worlds so few share packet identifiers that most messages have such.
        let shared_from = [1, 2, 8][(seed / 17 % 3) as usize];
        // In some worlds few messages may be under way by owners of topics.
        let (one, all) = [(1, 1), (2, 3), (1000, 1000)][(seed / 19 % 3) as usize];
        let brokers = (0..shards)
            .map(|shard| {
                Broker::new(settings.clone(), ShardId(shard), shards, seed)
                    .with_pages(page)
                    .with_turns_of(deliveries)
                    .with_shared_ids_from(shared_from)
                    .with_under_way(one, all)
                    .with_lease(Lease::new(pool.clone()))
            })
            .collect();
        let mesh = (0..shards)
            .map(|_| (0..shards).map(|_| VecDeque::new()).collect())
            .collect();
        let mut world = World {
            rng,
            now_ms: 10_000,
            step: 0,
            brokers,
            links: Vec::new(),
            conns: BTreeMap::new(),
            mesh,
            clients: Vec::new(),
            oracle: Oracle::default(),
            faults: false,
            slow_mesh: seed.is_multiple_of(3),
            pool,
            settings,
            wills: 0,
            pinged_ms: 0,
            member_left: false,
            seen: Vec::new(),
        };
        world.oracle.may_drop = bounds.may_drop();
        world.oracle.may_drop_retained = bounds.backlog_bytes < POOL_BYTES;
        world.populate();
        // In some worlds there are rules, and they change.
        if (seed / 11).is_multiple_of(2) {
            world.begin_rules();
        }
        world
    }

    /// A watcher of wills that nothing happens to, ordinary clients of all versions, members of a shared group.
    fn populate(&mut self) {
        let mut watcher = Client::new("watcher".into(), Version::V311, true);
        watcher.steady = true;
        self.clients.push(watcher);
        for index in 0..9 {
            let version = self.rng.pick(&[Version::V31, Version::V311, Version::V5]);
            let durable = self.rng.once_in(2);
            let mut client = Client::new(format!("client{index}"), version, durable);
            client.shares = index >= 7;
            client.durable &= !client.shares;
            client.steady = self.rng.once_in(3);
            if version == Version::V5 && self.rng.once_in(2) {
                client.expiry_s = 2 + self.rng.below(4) as u32;
            }
            if version == Version::V5 && client.durable {
                client.will_delay_s = self.rng.pick(&[0, 1, 3]);
            }
            client.keep_alive_s = self.rng.pick(&[0, 2]);
            if version == Version::V5 && self.rng.once_in(2) {
                client.receive_maximum = 1 + self.rng.below(4) as u16;
            }
            self.clients.push(client);
        }
        self.connect(0);
        self.settle();
        self.subscribe_to(0, &[("w/#", 1)]);
        self.settle();
    }

    /// One more client, that comes at the end to ask.
    pub fn observer(&mut self, id: &str, version: Version) -> usize {
        self.clients.push(Client::new(id.into(), version, false));
        self.clients.len() - 1
    }

    /// Some steps with faults.
    pub fn run(&mut self, steps: u64) {
        self.faults = true;
        for step in 0..steps {
            self.act();
            for _ in 0..1 + self.rng.below(4) {
                self.move_something();
            }
            if step % AUDIT_STEPS == 0 {
                let one = step / AUDIT_STEPS % self.brokers.len() as u64;
                self.brokers[one as usize].trim();
                self.audit();
            }
        }
        self.faults = false;
    }

    /// The accounts say what is held, and no more is leased than there is.
    pub fn audit(&mut self) {
        let mut held = [0; Account::COUNT];
        let mut charged = [0; Account::COUNT];
        let mut messages = BTreeMap::new();
        for broker in &mut self.brokers {
            broker.settle(self.now_ms);
            let audit = broker.audit();
            for account in Account::ALL {
                held[account as usize] += audit.held[account as usize];
                charged[account as usize] += audit.charged[account as usize];
            }
            messages.extend(audit.messages);
        }
        held[Account::Backlog as usize] += messages.values().sum::<i64>();
        for account in Account::ALL {
            let name = account.name();
            assert_eq!(charged[account as usize], held[account as usize], "{name}");
            let leased = self.pool.leased(account) as i64;
            assert!(
                leased >= held[account as usize],
                "{name}: {leased} are leased"
            );
            let is_bounded = account == Account::Backlog && self.oracle.may_drop;
            assert!(
                is_bounded || self.pool.free(account) >= 0,
                "{name} is overdrawn"
            );
        }
    }

    /// Lets everything run empty.
    pub fn settle(&mut self) {
        for link in &mut self.links {
            link.stalled = false;
        }
        for index in 0..self.clients.len() {
            self.send_later(index);
        }
        let mut idle = 0;
        while idle < 3 {
            let mut moved = false;
            for link in 0..self.links.len() {
                while self.move_link(link) {
                    moved = true;
                }
            }
            moved |= self.move_all_mesh();
            // Who was cut off in a turn goes on in the next.
            moved |= (self.brokers.iter()).any(|broker| broker.next_deadline() == Some(0));
            idle = if moved { 0 } else { idle + 1 };
            self.pass(200);
        }
        // What was due in the end may have been told to others.
        while self.move_all_mesh() {}
        let left = self.mesh.iter().flatten().map(VecDeque::len).sum::<usize>();
        assert_eq!(left, 0, "no two shards wait for each other");
    }

    fn move_all_mesh(&mut self) -> bool {
        let mut moved = false;
        for from in 0..self.brokers.len() {
            for to in 0..self.brokers.len() {
                while self.move_mesh(from, to) {
                    moved = true;
                }
            }
        }
        moved
    }

    fn pass(&mut self, ms: u64) {
        self.ping();
        self.now_ms += ms;
        if (self.brokers.iter()).any(|broker| broker.looks_are_late(self.now_ms)) {
            self.look_everywhere();
        }
        for shard in 0..self.brokers.len() {
            let waiting = self.mesh[shard].iter().map(VecDeque::len).sum::<usize>();
            self.brokers[shard].on_congestion(waiting > CONGESTED);
            let broker = &mut self.brokers[shard];
            if broker.next_deadline().is_none_or(|at| at > self.now_ms) {
                continue;
            }
            // With faults shards are behind, until they catch up some time.
            match !self.faults || (broker.waits_for_look() && self.rng.once_in(8)) {
                true => self.look(shard),
                false => {
                    broker.on_timers_behind(self.now_ms);
                    self.after(shard);
                }
            }
        }
    }

    fn move_something(&mut self) {
        self.step += 1;
        match self.rng.below(10) {
            0..6 if !self.links.is_empty() => {
                // The newest connections are the lively ones.
                let recent = self.links.len().min(24);
                let index = self.links.len() - 1 - self.rng.below(recent);
                self.move_link(index);
            }
            // In some worlds shards hear of each other late.
            6..9 if !self.slow_mesh || self.rng.once_in(8) => {
                let (from, to) = (
                    self.rng.below(self.brokers.len()),
                    self.rng.below(self.brokers.len()),
                );
                self.move_mesh(from, to);
            }
            _ => {
                let ms = self.rng.below(30) as u64;
                self.pass(ms);
            }
        }
    }

    /// One client does one thing.
    fn act(&mut self) {
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

    pub fn connect(&mut self, index: usize) {
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

    /// All that a client wants goes out behind its CONNECT, and nothing more: it reads until the broker closes. With a
    /// goodbye, or without one.
    fn hurry(&mut self, index: usize) {
        for _ in 0..1 + self.rng.below(2) {
            self.subscribe(index);
        }
        if self.clients[index].sent.is_empty() {
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

    pub fn write(&mut self, index: usize, bytes: Vec<u8>) {
        if let Some(link) = self.clients[index].link
            && !self.links[link].half_closed
        {
            self.links[link].to_broker.extend(bytes);
        }
    }

    fn publish(&mut self, index: usize) {
        let (topic, qos) = (self.rng.pick(&TOPICS), self.rng.below(3) as u8);
        let is_full =
            self.clients[index].sent.len() >= usize::from(self.clients[index].send_maximum);
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

    pub fn session(&mut self, index: usize) -> &mut Session {
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

    pub fn subscribe_to(&mut self, index: usize, wanted: &[(&'static str, u8)]) {
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
        self.member_left |= filter == SHARED;
        let bytes = self.clients[index].unsubscribe(&filter);
        self.write(index, bytes);
    }

    fn send_later(&mut self, index: usize) {
        let bytes: Vec<u8> = self.clients[index].later.drain(..).flatten().collect();
        self.write(index, bytes);
    }

    /// DISCONNECT, and the connection is closed when it has been sent.
    pub fn goodbye(&mut self, index: usize) {
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
    pub fn drop_link(&mut self, index: usize) {
        let Some(link) = self.clients[index].link else {
            return;
        };
        self.links[link].client_closed = true;
        self.links[link].reset = self.rng.once_in(2);
        self.leave_link(index, true);
    }

    /// The client forgets its connection; its will is due unless it said goodbye.
    pub fn leave_link(&mut self, index: usize, with_will: bool) {
        self.member_left |= self.clients[index].shares;
        let left_ms = self.left_ms(index);
        let client = &mut self.clients[index];
        client.link = None;
        let will = client.will.take().filter(|_| with_will && client.connected);
        if client.connected {
            client.left = left_ms.map(|left_ms| (left_ms, will.clone()));
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
}
