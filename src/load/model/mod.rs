//! A model of the 2017 OpenStack Firehose bus: what Gerrit, Launchpad, Ansible and the gearman workers published, with
//! their topics and JSON, at the rates and in the bursts that were published of it.
//!
//! It is a function of its seed: no clock, no I/O. Time is virtual and belongs to the events; whoever publishes them
//! waits until they are due. Payloads leave room for the tester's stamp.

mod ansible;
mod changes;
mod choice;
mod clients;
mod event;
mod gerrit;
mod json;
mod launchpad;
mod names;
mod rates;
mod results;
#[cfg(test)]
mod tests;
mod workers;
mod world;

use fastrand::Rng;

pub use clients::PUBLISHERS_2017;
pub use event::{Event, STAMP_CHARS, STAMP_OFFSET, Source};
pub use rates::{CYCLE_MINUTES, START_MINUTE};

use ansible::Ansible;
use changes::Changes;
use clients::Clients;
use gerrit::Gerrit;
use launchpad::Launchpad;
use rates::{Kind, Process};
use world::World;

/// The scales that the model takes; others are brought to the nearest.
const SCALE_MIN: f64 = 1e-3;
pub const SCALE_MAX: f64 = 1e6;

/// The same of time lapses.
const TIME_LAPSE_MIN: f64 = 1e-3;
pub const TIME_LAPSE_MAX: f64 = 1e4;

/// Midnight before the model's day, in seconds of Unix time: May 8, 2017.
const MIDNIGHT_S: u64 = 1_494_201_600;

/// All sources.
pub fn sources() -> &'static [Source] {
    &[
        Source::Gerrit,
        Source::Launchpad,
        Source::Ansible,
        Source::Subunit,
        Source::Logstash,
    ]
}

/// The filters that people subscribed with, and how many of a hundred subscribers have each.
pub fn filters() -> &'static [(&'static str, u32)] {
    &[
        ("#", 14),
        ("gerrit/openstack/nova/comment-added", 14),
        ("ansible/playbook/+/task/health.openstack.org/#", 8),
        ("gerrit/#", 16),
        ("gerrit/+/+/change-merged", 10),
        ("gerrit/openstack/+/patchset-created", 8),
        ("gerrit/openstack-infra/#", 6),
        ("launchpad/#", 5),
        ("launchpad/nova/bug/+", 5),
        ("ansible/playbook/+/action/#", 4),
        ("ansible/playbook/+/task/+/FAILED", 4),
        ("gearman-subunit/#", 5),
        ("gearman-logstash/+/openstack/neutron/+/retrieve_logs", 1),
    ]
}

/// The bus: events without end, in the order of their times.
pub struct Bus {
    seed: u64,
    scale: f64,
    time_lapse: f64,
    start_minute: f64,
    process: Process,
    /// Chance for what the events say; their times have their own.
    rng: Rng,
    clients: Clients,
    world: World,
    changes: Changes,
    gerrit: Gerrit,
    launchpad: Launchpad,
    ansible: Ansible,
}

impl Bus {
    /// The bus with `scale` times as many messages as in 2017 (of the same sizes), published by so many clients.
    pub fn new(seed: u64, scale: f64, publishers: u32) -> Self {
        let scale = bounded(scale, SCALE_MIN, SCALE_MAX);
        let mut rng = Rng::with_seed(json::mix(seed));
        let clients = Clients::new(publishers);
        let world = World::new(&mut rng);
        Bus {
            seed,
            scale,
            time_lapse: 1.0,
            start_minute: START_MINUTE,
            process: Process::new(seed, scale, 1.0, START_MINUTE),
            changes: Changes::new(&world, &mut rng),
            gerrit: Gerrit::new(),
            launchpad: Launchpad::new(),
            ansible: Ansible::new(clients.count(Source::Ansible), &mut rng),
            rng,
            clients,
            world,
        }
    }

    /// The same bus with the model's day running through `time_lapse` times as fast: bursts come more often and are
    /// shorter, while messages a second remain what `scale` makes them.
    pub fn with_time_lapse(mut self, time_lapse: f64) -> Self {
        self.time_lapse = bounded(time_lapse, TIME_LAPSE_MIN, TIME_LAPSE_MAX);
        self.restarted()
    }

    /// The same bus, beginning at another minute of the day.
    pub fn with_start_minute(mut self, minute: f64) -> Self {
        self.start_minute = bounded(minute, 0.0, 24.0 * 60.0);
        self.restarted()
    }

    fn restarted(mut self) -> Self {
        self.process = Process::new(self.seed, self.scale, self.time_lapse, self.start_minute);
        self
    }

    /// Goes to the next event and writes it. Buffers are used again: nothing is allocated once they have grown.
    pub fn next(&mut self, event: &mut Event) {
        let kind = self.process.next();
        event.at_ns = self.process.at_ns();
        event.topic.clear();
        event.source = match kind {
            Kind::Gerrit => Source::Gerrit,
            Kind::Launchpad => Source::Launchpad,
            Kind::AdHoc | Kind::Cron => Source::Ansible,
            Kind::Subunit => Source::Subunit,
            Kind::Logstash => Source::Logstash,
        };
        let key = self.fill(kind, event);
        event.publisher = self.clients.publisher(event.source, key);
    }

    /// Writes topic and payload; returns what decides on the client.
    fn fill(&mut self, kind: Kind, event: &mut Event) -> u32 {
        let (world, rng) = (&self.world, &mut self.rng);
        match kind {
            Kind::Gerrit => {
                let now_s = MIDNIGHT_S + (self.start_minute * 60.0) as u64 + self.process.second();
                self.gerrit
                    .fill(&mut self.changes, world, rng, now_s, event)
            }
            Kind::Launchpad => self.launchpad.fill(world, rng, event),
            Kind::AdHoc | Kind::Cron => self.ansible.fill(kind, world, rng, event),
            Kind::Subunit | Kind::Logstash => {
                let worker = rng.u32(..self.clients.count(event.source));
                workers::fill(worker, &self.changes, world, rng, event);
                worker
            }
        }
    }
}

/// A number brought between two others; what is no number becomes 1.
fn bounded(number: f64, min: f64, max: f64) -> f64 {
    if number.is_nan() {
        1.0
    } else {
        number.clamp(min, max)
    }
}
