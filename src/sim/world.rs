//! Shards, mesh, network and clients, one small thing at a time, in an order that the seed decides.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::client::Client;
use super::journals::Written;
use super::link::Link;
use super::log::{Log, Outbox};
use super::mirror::Mirror;
use super::oracle::Oracle;
use super::plan::Plan;
use super::rng::Rng;
use super::rules::WORKER;
use super::start::Start;
use crate::access::Acl;
use crate::broker::{Broker, MeshMessage, Settings, UnixMs};
use crate::budget::{Account, Pool};
use crate::limits;
use crate::mqtt::Version;

/// The filter of the shared group.
pub(super) const SHARED: &str = "$share/g/s/#";

/// What the wall clock says in the beginning.
const UNIX: UnixMs = UnixMs(1_800_000_000_000);

/// What the clock of the brains says then.
const BEGIN_MS: u64 = 10_000;

/// Messages in front of a shard's mesh that are much.
const CONGESTED: usize = 8;

/// Steps between two looks at the accounts: a look costs as much as everything that is held.
const AUDIT_STEPS: u64 = 16;

/// Steps between two looks at what nothing else looks at: each costs as much as everything that is held, several times.
const LOOK_STEPS: u64 = 400;

/// See the module.
pub(super) struct World {
    pub rng: Rng,
    pub now_ms: u64,
    pub step: u64,
    pub brokers: Vec<Broker>,
    /// By shard: what is believed of it who has only heard of its facts.
    pub mirrors: Vec<Mirror>,
    /// What they have written down.
    pub log: Log,
    /// By shard: what waits for the end of its turn.
    pub outboxes: Vec<Outbox>,
    pub links: Vec<Link>,
    pub conns: BTreeMap<(u8, u32), usize>,
    pub mesh: Vec<Vec<VecDeque<MeshMessage>>>,
    pub clients: Vec<Client>,
    pub oracle: Oracle,
    pub faults: bool,
    pub plan: Plan,
    pub pool: Arc<Pool>,
    pub settings: Arc<Settings>,
    /// How many wills there have been.
    pub wills: u32,
    /// When clients last wrote a PINGREQ.
    pub pinged_ms: u64,
    /// By so many milliseconds the wall clock was set back.
    pub set_back_ms: u64,
}

impl World {
    pub(super) fn new(seed: u64, shards: u8) -> Self {
        World::of(Plan::of(seed), shards)
    }

    pub(super) fn of(plan: Plan, shards: u8) -> Self {
        let mut rng = Rng(plan.seed);
        let settings = Arc::new(plan.settings(&mut rng));
        let pool = Arc::new(Pool::new(&plan.memory(), shards));
        let start = Start {
            plan: &plan,
            shards,
            settings: &settings,
            pool: &pool,
            now_ms: BEGIN_MS,
            unix: UNIX,
        };
        let mut brokers: Vec<_> = (0..shards).map(|shard| start.broker(shard)).collect();
        let mesh = (0..shards)
            .map(|_| (0..shards).map(|_| VecDeque::new()).collect())
            .collect();
        let mut world = World {
            rng,
            now_ms: BEGIN_MS,
            step: 0,
            mirrors: brokers.iter_mut().map(Mirror::of).collect(),
            brokers,
            log: Log::new(shards, plan.has_disk),
            outboxes: (0..shards).map(|_| Outbox::default()).collect(),
            links: Vec::new(),
            conns: BTreeMap::new(),
            mesh,
            clients: Vec::new(),
            oracle: Oracle::default(),
            faults: false,
            plan,
            pool,
            settings,
            wills: 0,
            pinged_ms: 0,
            set_back_ms: 0,
        };
        world.oracle.may_drop = world.plan.may_drop();
        world.oracle.may_drop_retained = world.plan.may_drop_retained();
        world.populate();
        if world.plan.has_rules {
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
            if client.shares {
                client.durable = self.plan.has_durable_members();
            }
            client.exchanges.has_few_ids = self.plan.crashes;
            client.steady = self.rng.once_in(3);
            if version == Version::V5 && self.rng.once_in(2) {
                client.expiry_s = 2 + self.rng.below(4) as u32;
            }
            if client.shares {
                client.expiry_s = u32::MAX;
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

    /// From here on there are rules. One member of the shared group may read everything and stays: what the other one may
    /// not read is its.
    fn begin_rules(&mut self) {
        self.reload();
        self.clients[WORKER].steady = true;
        self.connect(WORKER);
        self.settle();
        self.subscribe_to(WORKER, &[(SHARED, 1)]);
        self.settle();
    }

    /// All shards read the configuration again, with other rules, or none.
    pub(super) fn reload(&mut self) {
        self.change_rules();
        for shard in 0..self.brokers.len() {
            self.brokers[shard].on_reload(self.now_ms, self.settings.clone());
            self.after(shard);
        }
    }

    /// Other rules are in the configuration, or none.
    pub(super) fn change_rules(&mut self) {
        let file = self.oracle.rules.change(self.step, &mut self.rng);
        let mut settings = Settings::clone(&self.settings);
        settings.listeners[0].acl =
            file.map(|text| Arc::new(Acl::parse(text.as_bytes()).unwrap().0));
        self.settings = Arc::new(settings);
    }

    /// One more client, that comes at the end to ask.
    pub(super) fn observer(&mut self, id: &str, version: Version) -> usize {
        self.clients.push(Client::new(id.into(), version, false));
        self.clients.len() - 1
    }

    /// Some steps with faults, and now and then a look `between` them.
    pub(super) fn run(&mut self, steps: u64, mut between: impl FnMut(&mut World)) {
        self.faults = true;
        for step in 0..steps {
            self.act();
            for _ in 0..1 + self.rng.below(4) {
                self.move_something();
            }
            self.begin_checkpoints();
            if step % AUDIT_STEPS == 0 {
                let one = step / AUDIT_STEPS % self.brokers.len() as u64;
                self.brokers[one as usize].trim();
                self.audit();
            }
            if step % LOOK_STEPS == LOOK_STEPS - 1 {
                between(self);
            }
        }
        self.faults = false;
    }

    /// Now and then a checkpoint begins.
    pub(super) fn begin_checkpoints(&mut self) {
        for shard in 0..self.brokers.len() {
            let checkpoints = &mut self.log.checkpoints;
            if !checkpoints.begins() {
                continue;
            }
            let forgets_texts = checkpoints.forgets_texts;
            let broker = &mut self.brokers[shard];
            broker.begin_checkpoint(self.now_ms);
            if forgets_texts && let Some(journal) = broker.journal() {
                journal.forget_texts();
            }
            self.after(shard);
        }
    }

    /// What was told of each shard is what it holds.
    pub(super) fn check_mirrors(&mut self) {
        for shard in 0..self.brokers.len() {
            self.end_turn(shard);
            // Acknowledgements that were kept back are due by then.
            let broker = &mut self.brokers[shard];
            let later_ms = self.now_ms + limits::JOURNAL_ACKS_MS;
            self.log.end_turn(shard, broker, later_ms);
            let held = broker.state();
            self.mirrors[shard].check(&held);
            let ledger = self.log.legacy().ledger(shard as u8).unwrap();
            Written(ledger).check(held);
        }
        self.log.check_checkpoints(&self.brokers);
    }

    /// What the wall clock says now.
    pub(super) fn unix(&self) -> UnixMs {
        UnixMs(UNIX.0 + self.now_ms - BEGIN_MS - self.set_back_ms)
    }

    /// A turn of a shard ends: what it has written down is there before others see what it has sent to them, and what goes to clients
    /// goes behind it. Returns whether there was anything.
    pub(super) fn end_turn(&mut self, shard: usize) -> bool {
        let broker = &mut self.brokers[shard];
        let mut moved = self.log.end_turn(shard, broker, self.now_ms);
        for (to, message) in std::mem::take(&mut self.outboxes[shard].unsent) {
            self.mesh[shard][to.index()].push_back(message);
            moved = true;
        }
        if !self.log.is_slow() {
            self.log.sync(usize::MAX);
            self.tell_durable(shard);
        }
        self.gather(shard);
        moved |= !self.outboxes[shard].unclosed.is_empty();
        self.close(shard);
        moved
    }

    /// A shard hears how much of what it wrote is durable.
    fn tell_durable(&mut self, shard: usize) {
        let chunks = self.log.durable_of(shard);
        self.brokers[shard].on_durable(self.now_ms, chunks);
        self.carry_out(shard);
    }

    /// The accounts say what is held, and no more is leased than there is.
    pub(super) fn audit(&mut self) {
        self.check_mirrors();
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
    pub(super) fn settle(&mut self) {
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
            for shard in 0..self.brokers.len() {
                moved |= self.end_turn(shard);
            }
            moved |= self.write_to_disk(usize::MAX);
            // Who was cut off in a turn goes on in the next.
            moved |= (self.brokers.iter()).any(|broker| broker.next_deadline() == Some(0));
            idle = if moved { 0 } else { idle + 1 };
            self.pass(200);
        }
        // What was due in the end may have been told to others.
        while self.move_all_mesh() || (0..self.brokers.len()).any(|shard| self.end_turn(shard)) {}
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

    /// So many chunks more are durable, or all; false if that is nothing new.
    fn write_to_disk(&mut self, chunks: usize) -> bool {
        let is_more = self.log.sync(chunks);
        for shard in 0..self.brokers.len() {
            self.tell_durable(shard);
            self.gather(shard);
        }
        is_more
    }

    fn move_something(&mut self) {
        self.step += 1;
        if self.log.is_slow() && self.rng.once_in(self.plan.disk_one_in) {
            let chunks = self.rng.below(6 * self.plan.disk_one_in / 4);
            self.write_to_disk(chunks);
        }
        if self.rng.once_in(3) {
            let shard = self.rng.below(self.brokers.len());
            self.end_turn(shard);
        }
        match self.rng.below(10) {
            0..6 if !self.links.is_empty() => {
                // The newest connections are the lively ones.
                let recent = self.links.len().min(24);
                let index = self.links.len() - 1 - self.rng.below(recent);
                self.move_link(index);
            }
            // In some worlds shards hear of each other late.
            6..9 if !self.plan.slow_mesh || self.rng.once_in(8) => {
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
}
