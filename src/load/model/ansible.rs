//! Ansible's playbooks: each run starts, does its tasks host by host, tells every host's statistics, and finishes.
//!
//! Some runs go on at a time; an event of the model is the next step of one of them.

use fastrand::Rng;

use super::event::Event;
use super::json::{Json, push_uuid};
use super::rates::Kind;
use super::results::{Status, Task, tasks};
use super::world::World;

/// Runs that people start, at a time.
const AD_HOC_RUNS: u32 = 2;

/// Runs of cron at a time, at least.
const CRON_RUNS_MIN: u32 = 4;

/// Tasks in ten thousand that fail, and that find nobody.
const FAILED: u32 = 60;
const UNREACHABLE: u32 = 50;

/// The host that people look after most; it is the first of the list of hosts.
const HEALTH_HOST: usize = 0;
const HEALTH_PLAYBOOK: &str = "health.openstack.org:!disabled";

const AD_HOC_PLAYBOOKS: &[&str] = &[
    "localhost:!disabled",
    "firehose01.openstack.org",
    "zuul.openstack.org:nodepool.openstack.org",
];
const CRON_PLAYBOOKS: &[&str] = &[
    "review:review-dev:!disabled",
    "git0*:!disabled",
    "compute*.ic.openstack.org:!disabled",
    "!review:!git0*:!afs*:!disabled",
    "logstash-worker*:elasticsearch*:!disabled",
];

/// Where playbooks are started.
const LAUNCHER: &str = "puppetmaster.openstack.org";

#[derive(Clone, Copy)]
enum Step {
    Start,
    Task { task: usize, host: usize },
    Stats { host: usize },
    Finish,
}

/// A host of a run, and what happened on it.
struct Target {
    host: usize,
    ok: u64,
    lost: Option<Status>,
}

/// One run of a playbook.
struct Run {
    step: Step,
    id: String,
    session: String,
    playbook: &'static str,
    /// The first task and how many follow one another.
    first_task: usize,
    tasks: usize,
    targets: Vec<Target>,
}

/// All runs.
pub(super) struct Ansible {
    tasks: Vec<Task>,
    ad_hoc: Vec<Run>,
    cron: Vec<Run>,
    /// Runs that people started so far: every second one is of `HEALTH_HOST`.
    started: u64,
}

impl Ansible {
    /// Enough runs at a time for so many clients.
    pub(super) fn new(clients: u32, rng: &mut Rng) -> Self {
        let runs = |count: u32| (0..count).map(|_| Run::new()).collect();
        Ansible {
            tasks: tasks(rng),
            ad_hoc: runs(AD_HOC_RUNS),
            cron: runs(CRON_RUNS_MIN.max(clients.saturating_mul(2))),
            started: 0,
        }
    }

    /// Writes the next step of a run and says which run it is.
    pub(super) fn fill(
        &mut self,
        kind: Kind,
        world: &World,
        rng: &mut Rng,
        event: &mut Event,
    ) -> u32 {
        let (runs, first) = match kind {
            Kind::Cron => (&mut self.cron, self.ad_hoc.len()),
            _ => (&mut self.ad_hoc, 0),
        };
        let at = rng.usize(..runs.len());
        let run = &mut runs[at];
        if let Step::Start = run.step {
            let health = kind == Kind::AdHoc && self.started.is_multiple_of(2);
            self.started += u64::from(kind == Kind::AdHoc);
            run.begin(kind, health, self.tasks.len(), world, rng);
        }
        run.write(&self.tasks, world, rng, event);
        (first + at) as u32
    }
}

impl Run {
    fn new() -> Self {
        Run {
            step: Step::Start,
            id: String::new(),
            session: String::new(),
            playbook: HEALTH_PLAYBOOK,
            first_task: 0,
            tasks: 0,
            targets: Vec::new(),
        }
    }

    fn begin(&mut self, kind: Kind, health: bool, tasks: usize, world: &World, rng: &mut Rng) {
        for text in [&mut self.id, &mut self.session] {
            let mut bytes = std::mem::take(text).into_bytes();
            bytes.clear();
            push_uuid(&mut bytes, rng.u64(..), rng.u64(..));
            // Digits and hyphens.
            *text = String::from_utf8(bytes).unwrap_or_default();
        }
        let hosts = world.hosts.len();
        let (playbooks, count) = match kind {
            Kind::Cron => (CRON_PLAYBOOKS, rng.usize(8..40)),
            _ => (AD_HOC_PLAYBOOKS, rng.usize(1..4)),
        };
        let (first, count) = if health {
            (HEALTH_HOST, 1)
        } else {
            (rng.usize(..hosts), count)
        };
        self.playbook = if health {
            HEALTH_PLAYBOOK
        } else {
            playbooks[rng.usize(..playbooks.len())]
        };
        self.first_task = rng.usize(..tasks);
        self.tasks = rng.usize(3..6);
        self.targets.clear();
        self.targets
            .extend((first..first + count).map(|host| Target {
                host: host % hosts,
                ok: 0,
                lost: None,
            }));
    }

    fn write(&mut self, tasks: &[Task], world: &World, rng: &mut Rng, event: &mut Event) {
        event.topic.push_str("ansible/playbook/");
        event.topic.push_str(&self.id);
        match self.step {
            Step::Start => self.write_start(event),
            Step::Task { task, host } => {
                let which = &tasks[(self.first_task + task) % tasks.len()];
                self.write_task(which, host, world, rng, event);
            }
            Step::Stats { host } => self.write_stats(host, world, event),
            Step::Finish => self.write_finish(event),
        }
        self.step = self.next_step();
    }

    /// Tasks go from host to host; a host on which one went wrong is left out from then on.
    fn next_step(&self) -> Step {
        let alive =
            |from: usize| (from..self.targets.len()).find(|at| self.targets[*at].lost.is_none());
        let (task, host) = match self.step {
            Step::Start => (0, alive(0)),
            Step::Task { task, host } => match alive(host + 1) {
                Some(next) => (task, Some(next)),
                None => (task + 1, alive(0)),
            },
            Step::Stats { host } if host + 1 < self.targets.len() => {
                return Step::Stats { host: host + 1 };
            }
            Step::Stats { .. } => return Step::Finish,
            Step::Finish => return Step::Start,
        };
        match host {
            Some(host) if task < self.tasks => Step::Task { task, host },
            _ => Step::Stats { host: 0 },
        }
    }

    fn write_start(&self, event: &mut Event) {
        event.topic.push_str("/action/start");
        let mut json = Json::payload(&mut event.payload);
        json.string("status", Status::Ok.name());
        json.string("playbook_name", self.playbook);
        json.string("ansible_type", "start");
        json.string("host", LAUNCHER);
        json.string("session", &self.session);
        json.string("playbook_id", &self.id);
        json.end();
    }

    fn write_task(
        &mut self,
        task: &Task,
        at: usize,
        world: &World,
        rng: &mut Rng,
        event: &mut Event,
    ) {
        let target = &mut self.targets[at];
        let status = match rng.u32(..10_000) {
            draw if draw < FAILED => Status::Failed,
            draw if draw < FAILED + UNREACHABLE => Status::Unreachable,
            _ => Status::Ok,
        };
        match status {
            Status::Ok => target.ok += 1,
            _ => target.lost = Some(status),
        }
        let host = &world.hosts[target.host];
        for part in ["/task/", host, "/", status.name()] {
            event.topic.push_str(part);
        }
        let mut json = Json::payload(&mut event.payload);
        json.string("status", status.name());
        json.string("host", LAUNCHER);
        json.string("session", &self.session);
        json.string("playbook_name", self.playbook);
        json.raw("ansible_result", task.result(status, rng));
        json.string("ansible_type", "task");
        json.string("ansible_task", &task.title);
        json.string("playbook_id", &self.id);
        json.string("ansible_host", host);
        json.end();
    }

    fn write_stats(&self, at: usize, world: &World, event: &mut Event) {
        let target = &self.targets[at];
        let host = &world.hosts[target.host];
        event.topic.push_str("/stats/");
        event.topic.push_str(host);
        let mut json = Json::payload(&mut event.payload);
        json.string("playbook_name", self.playbook);
        json.string("host", LAUNCHER);
        json.object("stats");
        let lost_by = |status| u64::from(target.lost == Some(status));
        json.number("unreachable", lost_by(Status::Unreachable));
        json.number("skipped", 0);
        json.number("ok", target.ok);
        json.number("changed", target.ok / 4);
        json.number("failures", lost_by(Status::Failed));
        json.end();
        json.string("playbook_id", &self.id);
        json.string("ansible_host", host);
        json.end();
    }

    fn write_finish(&self, event: &mut Event) {
        let lost = self.targets.iter().any(|target| target.lost.is_some());
        let status = if lost { Status::Failed } else { Status::Ok };
        event.topic.push_str("/action/finish/");
        event.topic.push_str(status.name());
        let mut json = Json::payload(&mut event.payload);
        json.string("playbook_id", &self.id);
        json.string("playbook_name", self.playbook);
        json.string("status", status.name());
        json.end();
    }
}
