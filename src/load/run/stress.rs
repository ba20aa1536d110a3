//! The stress test's runs: a plan's machinery for each, pymqttbench's text for what comes out.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crate::control::{stderr, stdout};
use crate::load::engine::Finished;
use crate::load::host::{self, Sampler};
use crate::load::job::Phase;
use crate::load::live::Live;
use crate::load::plan::{self, BrokerPlan};
use crate::load::quantity::Bytes;
use crate::load::report::{html, units};
use crate::load::result::{BrokerEvent, Run};
use crate::load::secrets;
use crate::load::stress::compare::{self, Comparison};
use crate::load::stress::dat::{self, Grid};
use crate::load::stress::grid::{GridOutcome, run_grid};
use crate::load::stress::options::StressArgs;
use crate::load::stress::output;
use crate::load::stress::stats::{ClientTimes, StressResult};
use crate::load::worker::{Place, Times, Wire};
use crate::load::workloads::stress_plan;

use super::cpus::Cpus;
use super::{Bench, BenchError, Broker, LOOK_AT_BROKER, run_number};

/// Ports that a connection uses up: for a while after it is closed nobody else can have its own.
const PORTS_EACH: u64 = 2;

/// What the stress test's runs have in common.
struct Stress<'a> {
    args: &'a StressArgs,
    wire: Wire,
    broker: Broker,
    cpus: Cpus,
    workers: u32,
    stop: &'a Arc<AtomicBool>,
    live: Live,
    runs: u32,
    /// The most memory that the broker was seen with: its own, and its cgroup's.
    peak: (u64, Option<u64>),
    /// What became of the broker, other than that it ran.
    events: Vec<BrokerEvent>,
    violations: usize,
}

/// Runs the stress test, or its grid; whether all of it went well. What is printed is pymqttbench's, on standard
/// output; all else goes to standard error.
pub fn run_stress(
    args: &StressArgs,
    program: PathBuf,
    stop: &Arc<AtomicBool>,
) -> Result<bool, BenchError> {
    args.check().map_err(BenchError::Usage)?;
    let wire = args.wire().map_err(BenchError::Usage)?;
    host::raise_nofile();
    let (subscribers, publishers) = match args.grid.is_asked_for {
        true => (args.grid.max, args.grid.max),
        false => (args.sub_clients, args.pub_clients),
    };
    let workers = args.workers.unwrap_or_else(plan::default_workers);
    host::check_descriptors(
        u64::from(subscribers) + u64::from(publishers),
        workers,
        true,
    )?;
    let given = |cpus: &Option<crate::load::quantity::Cpus>| cpus.clone().map(|cpus| cpus.0);
    let cpus = Cpus::of(
        workers,
        given(&args.cpus).as_deref(),
        given(&args.broker.broker_cpus).as_deref(),
    );
    let broker = Broker::of(&broker_plan(args), program, &cpus.broker)?;
    let mut stress = Stress {
        args,
        wire,
        broker,
        cpus,
        workers,
        stop,
        live: Live::new(args.brief && !args.grid.is_asked_for),
        runs: 0,
        peak: (0, None),
        events: Vec::new(),
        violations: 0,
    };
    let budget = stress.broker.info().budget;
    if let Some(budget) = &budget {
        let bytes = Bytes(budget.bytes);
        stderr::tell(&format!("budget: {bytes} bytes, {}", budget.how));
    }
    let passed = match args.grid.is_asked_for {
        true => stress.grid()?,
        false => stress.single()?,
    };
    stress.live.finish();
    stress.say_peak();
    stress.broker.stop();
    Ok(passed && stress.events.is_empty() && stress.violations == 0)
}

fn broker_plan(args: &StressArgs) -> BrokerPlan {
    let runs = args.address();
    BrokerPlan {
        address: runs.map(|(host, port)| (host.to_owned(), port)),
        command: args.broker.broker.clone(),
        port: args.broker.port,
        shards: args.broker.shards,
        budget: args.broker.budget.map(|bytes| bytes.0),
        extra_config: plan::OWN_BROKER_CONFIG.into(),
        ..BrokerPlan::default()
    }
}

impl Stress<'_> {
    /// The runs of one pair; each is printed.
    fn single(&mut self) -> Result<bool, BenchError> {
        let mut passed = true;
        for _ in 0..self.args.runs() {
            let result = self.cell(self.args.sub_clients, self.args.pub_clients)?;
            self.live.finish();
            if self.args.brief {
                stderr::show(&output::failures(&result));
                stdout::show(&format!("{}\n", output::brief(&result)));
            } else {
                stdout::show(&output::text(&result));
            }
            passed &= result.is_complete();
            if self.stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
        }
        Ok(passed)
    }

    fn grid(&mut self) -> Result<bool, BenchError> {
        let published = match &self.args.grid.published {
            Some(path) => dat::read(path).map_err(|error| BenchError::Usage(error.to_string()))?,
            None => dat::published(),
        };
        let (args, stop) = (self.args, self.stop);
        let mut failure = None;
        let outcome = run_grid(
            args,
            stop,
            &mut |subscribers, publishers| {
                let result = self.cell(subscribers, publishers);
                self.live.finish();
                result.map_err(|error| {
                    let text = error.to_string();
                    failure = Some(error);
                    // Where the machine cannot, the next cell cannot either.
                    stop.store(true, Ordering::Relaxed);
                    text
                })
            },
            &mut |line| stderr::tell(line),
        )
        .map_err(BenchError::Usage)?;
        if let Some(error) = failure {
            return Err(error);
        }
        let comparison = Comparison::of(&outcome.grid, &published);
        stdout::show(&comparison.text());
        if let Some(path) = &args.grid.html {
            self.page(&outcome, &published, path)?;
        }
        Ok(outcome.is_complete() && outcome.failed.is_empty())
    }

    fn page(
        &self,
        outcome: &GridOutcome,
        published: &Grid,
        path: &std::path::Path,
    ) -> Result<(), BenchError> {
        let machine = host::machine();
        let mut meta = vec![
            ("kernel".to_owned(), machine.kernel),
            (
                "CPU".to_owned(),
                format!("{} x {}", machine.cpus, machine.cpu_model),
            ),
            ("broker".to_owned(), self.broker.info().what),
            ("command".to_owned(), secrets::command().join(" ")),
            ("version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
        ];
        if let Some(budget) = self.broker.info().budget {
            meta.push((
                "budget".into(),
                format!("{} bytes, {}", budget.bytes, budget.how),
            ));
        }
        meta.extend(machine.settings);
        let title = "The stress test of the Firehose";
        let (ours, theirs) = (compare::cells(&outcome.grid), compare::cells(published));
        let page = html::grid_page(&ours, &theirs, title, &meta);
        std::fs::write(path, page)
            .map_err(|error| BenchError::Usage(format!("{}: {error}", path.display())))
    }

    /// One run.
    fn cell(&mut self, subscribers: u32, publishers: u32) -> Result<StressResult, BenchError> {
        let workers = self.workers.min(subscribers + publishers);
        let (job, phases) = stress_plan(self.args, subscribers, publishers, workers);
        let connections = u64::from(subscribers)
            + u64::from(publishers) * u64::from(self.args.pub_count) * PORTS_EACH;
        let epoch = Instant::now();
        let place = Place {
            run: run_number(self.runs),
            target: self.broker.address(),
            sources: host::sources(self.broker.address(), connections, None)?,
            wire: self.wire.clone(),
            epoch,
        };
        self.runs += 1;
        let sampler = Sampler::start(self.broker.target(), epoch, LOOK_AT_BROKER);
        let (run, finished) = self.carry_out(&Arc::new(job), &phases, place, sampler)?;
        self.look(&run, &finished);
        Ok(self.result(subscribers, publishers, &finished))
    }

    fn carry_out(
        &mut self,
        job: &Arc<crate::load::job::Job>,
        phases: &[Phase],
        place: Place,
        sampler: Sampler,
    ) -> Result<(Run, Finished), BenchError> {
        let is_external = self.broker.is_external();
        let mut bench = Bench {
            job,
            phases,
            place,
            cpus: &self.cpus,
            // At QoS 0 a subscriber is owed what it waits for; more that is lost is told, and is no failure.
            allow_loss: self.args.qos == 0,
            live: &mut self.live,
            stop: self.stop,
            is_external,
            nobody: false,
        };
        let ran = bench.run(sampler)?;
        bench.nobody_came_in(&ran.1)?;
        Ok(ran)
    }

    /// Takes note of the broker's memory, and says what went wrong.
    fn look(&mut self, run: &Run, finished: &Finished) {
        for sample in &run.samples {
            self.peak.0 = self.peak.0.max(sample.rss_bytes);
            self.peak.1 = self.peak.1.max(sample.cgroup_peak_bytes);
        }
        for (text, trouble) in finished.errors() {
            stderr::tell(&format!("{}: {text}", units::repeated(trouble.count)));
        }
        for event in &run.broker_events {
            if !matches!(event.kind.as_str(), "refused" | "dropped") {
                stderr::tell(&format!("broker: {}: {}", event.kind, event.text));
                self.events.push(event.clone());
            }
        }
        for step in &run.steps {
            let verification = &step.verification;
            if !self.args.brief || verification.lost > 0 {
                stderr::tell(&format!(
                    "verified: {} of {} arrived, {:.0} a second from first publish to last arrival",
                    verification.received,
                    units::counted(verification.expected, "delivery"),
                    verification.received as f64 / step.seconds.max(1e-9)
                ));
            }
            for violation in &verification.violations {
                stderr::tell(&format!("verification: {violation}"));
            }
            self.violations += verification.violations.len();
        }
    }

    fn say_peak(&self) {
        let (rss, cgroup) = self.peak;
        if rss > 0 {
            let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let cgroup = cgroup.map(|bytes| format!(", {:.0} MiB with kernel memory", mib(bytes)));
            let cgroup = cgroup.unwrap_or_default();
            stderr::tell(&format!(
                "broker: at most {:.0} MiB resident{cgroup}",
                mib(rss)
            ));
        }
    }

    fn result(&self, subscribers: u32, publishers: u32, finished: &Finished) -> StressResult {
        let parts = &finished.parts;
        let began = parts
            .publishers
            .iter()
            .map(|(_, times)| times.first_ns)
            .min();
        let sub_ns = self.args.sub_timeout * 1_000_000_000;
        let pub_ns = self.args.pub_timeout * 1_000_000_000;
        let in_time =
            |times: &Times| times.last_ns - began.unwrap_or(0).min(times.last_ns) <= sub_ns;
        StressResult {
            subscribers: clients(subscribers, &parts.subscribers, in_time),
            publishers: clients(publishers, &parts.publishers, |times| {
                times.last_ns - times.first_ns <= pub_ns
            }),
            sub_count: self.args.sub_count,
            pub_count: self.args.pub_count,
            msg_size: self.args.msg_size,
            qos: self.args.qos,
        }
    }
}

/// The times of so many clients; of whom nothing is known has not completed.
fn clients(
    count: u32,
    known: &[(u32, Times)],
    in_time: impl Fn(&Times) -> bool,
) -> Vec<ClientTimes> {
    let mut clients = vec![ClientTimes::default(); count as usize];
    for (number, times) in known {
        if let Some(client) = clients.get_mut(*number as usize) {
            *client = ClientTimes {
                duration_s: times.last_ns.saturating_sub(times.first_ns) as f64 / 1e9,
                messages: times.messages,
                complete: times.complete && in_time(times),
            };
        }
    }
    clients
}
