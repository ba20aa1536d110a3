//! A plan carried out: the broker is started, the workers do the phases, the report is written.

mod cpus;
mod search;
mod stress;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::engine::{Engine, EngineError, Finished};
use super::host::{
    self, BrokerCommand, BrokerSpec, External, HostError, RunningBroker, SampleTarget, Sampler,
};
use super::job::{Group, Job, Phase, Traffic};
use super::live::Live;
use super::plan::{BrokerPlan, PORT_DEFAULT, Plan, SearchPlan};
use super::report;
use super::result::{BrokerEvent, BrokerInfo, Report, Run, SCHEMA, Sample, Setup, Step};
use super::verdict;
use super::worker::{KeptOut, Place};

pub use stress::run_stress;

use cpus::Cpus;
use watch::{Farewell, Marks, Watcher, nobody_comes_in};

/// How often the broker is looked at.
const LOOK_AT_BROKER: Duration = Duration::from_millis(100);

/// Seconds between the first and the last of the same event from which on both are told.
const EVENT_SPAN_S: f64 = 1.0;

/// Why there is no report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BenchError {
    /// What was asked for makes no sense: exit code 2.
    Usage(String),
    /// The machine cannot do it: exit code 3.
    Cannot(String),
}

impl BenchError {
    /// The exit code that it ends the program with.
    pub fn exit_code(&self) -> u8 {
        match self {
            BenchError::Usage(_) => 2,
            BenchError::Cannot(_) => 3,
        }
    }
}

impl fmt::Display for BenchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BenchError::Usage(text) | BenchError::Cannot(text) => f.write_str(text),
        }
    }
}

impl From<HostError> for BenchError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Usage(text) => BenchError::Usage(text),
            HostError::Cannot(text) => BenchError::Cannot(text),
        }
    }
}

/// A broker that is there for the runs.
enum Broker {
    Started(Box<RunningBroker>),
    External(External, std::net::SocketAddr),
}

impl Broker {
    /// Finds or starts it. Our own is `program`.
    fn of(plan: &BrokerPlan, program: PathBuf, cpus: &[u16]) -> Result<Broker, BenchError> {
        if let Some((host, port)) = &plan.address {
            let external = External { pid: plan.pid };
            external.check()?;
            return Ok(Broker::External(external, host::resolve(host, *port)?));
        }
        let command = match &plan.command {
            Some(command) => BrokerCommand::Other {
                command: command.clone(),
                host: "127.0.0.1".into(),
                port: plan.port.unwrap_or(match command.contains("{port}") {
                    true => 0,
                    false => PORT_DEFAULT,
                }),
            },
            None => BrokerCommand::Own {
                program,
                shards: plan.shards,
                extra_config: plan.extra_config.clone(),
            },
        };
        let started = host::start(BrokerSpec {
            command,
            budget: plan.budget,
            cpus: cpus.to_vec(),
            log: None,
        })?;
        Ok(Broker::Started(Box::new(started)))
    }

    fn address(&self) -> std::net::SocketAddr {
        match self {
            Broker::Started(broker) => broker.address(),
            Broker::External(_, address) => *address,
        }
    }

    fn info(&self) -> BrokerInfo {
        match self {
            Broker::Started(broker) => broker.info(),
            Broker::External(external, address) => external.info(*address),
        }
    }

    fn is_external(&self) -> bool {
        matches!(self, Broker::External(..))
    }

    fn target(&self) -> SampleTarget {
        match self {
            Broker::Started(broker) => broker.target(),
            Broker::External(external, _) => external.target(),
        }
    }

    /// Ends it, if it was started here; what nobody was told yet.
    fn stop(self) -> Option<BrokerEvent> {
        match self {
            Broker::Started(broker) => broker.stop(),
            Broker::External(..) => None,
        }
    }
}

/// Carries a plan out. `program` is this binary, for a broker of its own; `stop` ends the runs.
pub fn run(
    mut plan: Plan,
    command: Vec<String>,
    program: PathBuf,
    stop: &Arc<AtomicBool>,
) -> Result<Report, BenchError> {
    let cpus = prepare(&plan)?;
    let connections = plan.job.connections() as u64;
    let mut report = begun(&mut plan, command, &cpus);
    let broker = Broker::of(&plan.broker, program, &cpus.broker)?;
    let repetitions = Repetitions {
        place: Place {
            run: 0,
            target: broker.address(),
            sources: host::sources(broker.address(), connections, Some(&plan.sources))?,
            wire: plan.wire,
            epoch: Instant::now(),
        },
        job: Arc::new(plan.job),
        phases: plan.phases,
        search: plan.search,
        count: plan.repeat,
        allow_loss: plan.allow_loss,
        cpus,
        stop,
    };
    report.broker = broker.info();
    let mut live = Live::new(plan.quiet);
    let notes = repetitions.carry_out(&broker, &mut live, &mut report)?;
    live.finish();
    if let (Some(event), Some(run)) = (broker.stop(), report.runs.last_mut()) {
        run.broker_events.push(event);
    }
    judge(&mut report, notes);
    Ok(report)
}

/// The runs of a plan, each on connections of its own.
struct Repetitions<'a> {
    /// That of the first; each has a number and a clock of its own.
    place: Place,
    job: Arc<Job>,
    phases: Vec<Phase>,
    search: Option<SearchPlan>,
    count: u32,
    allow_loss: bool,
    cpus: Cpus,
    stop: &'a Arc<AtomicBool>,
}

impl Repetitions<'_> {
    /// Adds the runs to the report; notes for its verdict.
    fn carry_out(
        &self,
        broker: &Broker,
        live: &mut Live,
        report: &mut Report,
    ) -> Result<Vec<String>, BenchError> {
        let mut notes = Vec::new();
        for number in 0..self.count {
            let mut bench = Bench {
                job: &self.job,
                phases: &self.phases,
                place: Place {
                    run: run_number(number),
                    epoch: Instant::now(),
                    ..self.place.clone()
                },
                cpus: &self.cpus,
                allow_loss: self.allow_loss,
                live: &mut *live,
                stop: self.stop,
                is_external: broker.is_external(),
                nobody: false,
            };
            let sampler = Sampler::start(broker.target(), bench.place.epoch, LOOK_AT_BROKER);
            let (run, finished) = match &self.search {
                Some(search) => {
                    let (ran, found, noted) = bench.search(search, sampler)?;
                    report.search = found;
                    notes = noted;
                    ran
                }
                None => bench.run(sampler)?,
            };
            bench.nobody_came_in(&finished)?;
            report.runs.push(run);
            if finished.has_ceased || self.stop.load(Ordering::Relaxed) {
                report.cut_short = finished.has_ceased || number + 1 < self.count;
                break;
            }
        }
        Ok(notes)
    }
}

/// Adds what follows from the runs.
fn judge(report: &mut Report, notes: Vec<String>) {
    report.verdict = verdict::verdict(report);
    report.verdict.notes.extend(notes);
    report.summary = report::summary::summary(report);
}

/// Checks what the workers need of the machine, and gives them their CPUs.
fn prepare(plan: &Plan) -> Result<Cpus, BenchError> {
    host::raise_nofile();
    let connections = plan.job.connections() as u64;
    host::check_descriptors(connections, plan.job.workers, true)?;
    Ok(Cpus::of(
        plan.job.workers,
        plan.cpus.as_deref(),
        plan.broker.cpus.as_deref(),
    ))
}

/// A report of a run that is about to begin, without the broker.
fn begun(plan: &mut Plan, command: Vec<String>, cpus: &Cpus) -> Report {
    let started = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z");
    let mut machine = host::machine();
    let workers = cpus.workers_text();
    machine.settings.insert("workers on CPUs".into(), workers);
    Report {
        schema: SCHEMA.into(),
        workload: plan.workload.into(),
        title: std::mem::take(&mut plan.title),
        started: started.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        command,
        settings: std::mem::take(&mut plan.settings),
        seed: plan.seed,
        load_model: std::mem::take(&mut plan.load_model),
        machine,
        ..Report::default()
    }
}

/// A number that messages of other runs, and of other testers, hardly have.
fn run_number(repetition: u32) -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let ns = now.map_or(0, |since| since.as_nanos() as u64);
    let mixed = (ns ^ u64::from(std::process::id()) << 40).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed >> 32) as u32).wrapping_add(repetition)
}

/// One repetition.
struct Bench<'a> {
    job: &'a Arc<Job>,
    phases: &'a [Phase],
    place: Place,
    cpus: &'a Cpus,
    allow_loss: bool,
    live: &'a mut Live,
    stop: &'a Arc<AtomicBool>,
    /// Whether the broker ran before.
    is_external: bool,
    /// Whether no client comes in, for want of somebody who listens or takes what they say.
    nobody: bool,
}

/// What a repetition has come to so far.
#[derive(Default)]
struct Done {
    steps: Vec<(Step, Marks)>,
    before: Option<Sample>,
    after: Option<Sample>,
    tester_before: Option<u64>,
    tester_after: Option<u64>,
    connected: u64,
}

impl Bench<'_> {
    /// Carries the phases out; what each client did is told too.
    fn run(&mut self, sampler: Sampler) -> Result<(Run, Finished), BenchError> {
        let mut done = self.begin(&sampler);
        let mut engine = self.start()?;
        for phase in self.phases {
            if !self.phase(phase, &mut engine, &sampler, &mut done)? {
                break;
            }
        }
        self.tidy_up(&mut engine, &sampler)?;
        self.finish(engine, sampler, done)
    }

    /// What a run that has ceased would leave at the broker, retained messages and sessions, is taken away by the phases
    /// behind the last step.
    fn tidy_up(&mut self, engine: &mut Engine, sampler: &Sampler) -> Result<(), BenchError> {
        if !engine.has_ceased() {
            return Ok(());
        }
        engine.tidy_up();
        let is_step = |phase: &Phase| matches!(phase, Phase::Step(_));
        let behind = self.phases.iter().rposition(is_step).map_or(0, |at| at + 1);
        let mut unmeasured = Done::default();
        // These begin with clients of which none is connected.
        let all_leave = [Group::Publishers, Group::Subscribers].map(Phase::Close);
        let rest = &self.phases[behind..];
        let phases = all_leave.iter().filter(|_| !rest.is_empty()).chain(rest);
        for phase in phases {
            if !self.phase(phase, engine, sampler, &mut unmeasured)? {
                break;
            }
        }
        Ok(())
    }

    /// An error where no client came in, with the most frequent reason.
    fn nobody_came_in(&self, finished: &Finished) -> Result<(), BenchError> {
        if !self.nobody {
            return Ok(());
        }
        let target = self.place.target;
        let reasons = finished.errors().iter();
        let reasons = reasons.filter(|(_, trouble)| trouble.kept_out.is_some());
        let reason = reasons.max_by_key(|(_, trouble)| trouble.count);
        Err(BenchError::Cannot(match reason {
            Some((text, trouble)) if trouble.kept_out == Some(KeptOut::Unreached) => {
                let why = text.strip_prefix("connect: ").unwrap_or(text);
                format!("nobody listens at {target}: {why}")
            }
            Some((text, _)) => format!("{target} lets no client in: {text}"),
            None => format!("nobody listens at {target}: no connection is made"),
        }))
    }

    fn start(&self) -> Result<Engine, BenchError> {
        Engine::start(self.job, &self.place, &self.cpus.workers)
            .map_err(|error| BenchError::Cannot(error.to_string()))
    }

    fn begin(&self, sampler: &Sampler) -> Done {
        Done {
            before: sampler.sees().then(|| sampler.now()),
            tester_before: host::own_pss_bytes(),
            ..Done::default()
        }
    }

    /// One phase; false when the run is over before its time.
    fn phase(
        &mut self,
        phase: &Phase,
        engine: &mut Engine,
        sampler: &Sampler,
        done: &mut Done,
    ) -> Result<bool, BenchError> {
        if publishes(phase) && engine.progress().sum(|worker| &worker.opened) == 0 {
            // Nobody has come in: a step would only say that nothing was published.
            return Ok(false);
        }
        let mut watcher = Watcher::new(
            self.live,
            sampler,
            self.stop,
            self.job.connections() as u64,
            self.is_external,
        );
        let result = match phase {
            Phase::Open(open) => engine.open(open, &mut watcher).map(|()| true),
            Phase::Close(group) => engine.close(*group, &mut watcher).map(|()| true),
            Phase::Clear => engine.clear(&mut watcher).map(|()| true),
            Phase::Step(plan) => engine.step(plan, &mut watcher).map(|(step, stopped)| {
                let marks = watcher.marks();
                done.steps.push((step, marks));
                !stopped
            }),
        };
        // A phase may be over before it is looked at for the first time.
        self.nobody |= watcher.nobody
            || !sampler.ended() && nobody_comes_in(engine.progress(), self.is_external, 1);
        if let Phase::Open(_)
        | Phase::Step(super::job::StepPlan {
            traffic: Traffic::Open(_),
            ..
        }) = phase
        {
            done.look(engine, sampler);
        }
        match result {
            Ok(goes_on) => Ok(goes_on && !self.nobody),
            Err(EngineError::Stopped) => Ok(false),
            Err(EngineError::Machine(text)) => Err(BenchError::Cannot(text)),
        }
    }

    fn finish(
        &mut self,
        mut engine: Engine,
        sampler: Sampler,
        done: Done,
    ) -> Result<(Run, Finished), BenchError> {
        let setup = done.setup(engine.setup());
        // Clients say goodbye, and nobody waits long for them: of what goes wrong now nothing is to be measured.
        for group in [Group::Publishers, Group::Subscribers] {
            let _ = engine.close(group, &mut Farewell::new());
        }
        let finished = engine
            .finish()
            .map_err(|error| BenchError::Cannot(error.to_string()))?;
        let sees = sampler.sees();
        let (samples, mut events) = sampler.finish();
        events.extend(client_events(&finished));
        events.sort_by(|a, b| a.at_s.total_cmp(&b.at_s));
        let steps = done.steps.into_iter().map(|(mut step, marks)| {
            if sees {
                step.broker = marks.broker_use(&samples, step.delivered);
            }
            step.tester.rss_bytes = host::rss_bytes();
            for (worker, cpu) in step
                .tester
                .workers
                .iter_mut()
                .zip(self.cpus.workers.iter().cycle())
            {
                worker.cpu = Some(*cpu);
            }
            let lost_connection = step.verification.disconnects > 0;
            let subscribed = self.job.subscribers.first().map_or(self.job.qos, |s| s.qos);
            let (published, subscribed) = (self.job.qos as u8, subscribed as u8);
            let v = &step.verification;
            let violations =
                verdict::violations(v, published, subscribed, self.allow_loss, lost_connection);
            step.verification.violations = violations;
            step
        });
        let run = Run {
            setup,
            steps: steps.collect(),
            samples,
            broker_events: events,
        };
        Ok((run, finished))
    }
}

/// Whether a phase needs clients that are connected before it.
fn publishes(phase: &Phase) -> bool {
    let Phase::Step(step) = phase else {
        return false;
    };
    matches!(step.traffic, Traffic::Publish { .. })
}

/// What went wrong with clients, each when it happened first.
fn client_events(finished: &Finished) -> impl Iterator<Item = BrokerEvent> {
    finished.errors().iter().map(|(text, trouble)| {
        let kind = match text.contains("refused") {
            true => "refused",
            false => "dropped",
        };
        // The kind stands before the text.
        let text = text.strip_prefix("refused: ").unwrap_or(text);
        let (first_s, last_s) = (trouble.first_ns as f64 / 1e9, trouble.last_ns as f64 / 1e9);
        // What goes on for long is not what happened once.
        let until = match last_s - first_s > EVENT_SPAN_S {
            true => format!(" (the last of them at {})", report::units::seconds(last_s)),
            false => String::new(),
        };
        BrokerEvent {
            at_s: first_s,
            kind: kind.into(),
            text: format!("{}: {text}{until}", report::units::repeated(trouble.count)),
        }
    })
}

impl Done {
    /// Takes note of what memory has become after connections came.
    fn look(&mut self, engine: &Engine, sampler: &Sampler) {
        self.after = sampler.sees().then(|| sampler.now());
        self.tester_after = host::own_pss_bytes();
        self.connected = engine.progress().sum(|worker| &worker.ready);
    }

    /// The setup with its memory.
    fn setup(&self, setup: Setup) -> Setup {
        let memory = |sample: &Sample| sample.pss_bytes.unwrap_or(sample.rss_bytes);
        let before = self.before.as_ref().map(memory);
        let after = self.after.as_ref().map(memory);
        let each = |before: Option<u64>, after: Option<u64>| {
            let more = after?.saturating_sub(before?);
            (self.connected > 0).then(|| more as f64 / self.connected as f64)
        };
        Setup {
            broker_bytes_before: before,
            broker_bytes_after: after,
            broker_bytes_per_connection: each(before, after),
            tester_bytes_per_connection: each(self.tester_before, self.tester_after),
            ..setup
        }
    }
}
