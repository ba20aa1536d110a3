//! From options to what is done: the clients, the phases, the broker, the reports.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::limits;
use crate::mqtt::Version;

use super::client::Settings;
use super::job::{Job, Pace, Phase, StepPlan, Traffic};
use super::model;
use super::options::Options;
use super::report::Files;
use super::search::Slo;
use super::secrets;
use super::stamp;
use super::worker::{OptionsOf, Wire};
use super::workloads::{self, Shape, Workload, qos};

mod wire;

pub use wire::wire;

/// Where the broker is, unless something else is said.
pub const PORT_DEFAULT: u16 = 1883;

/// Configuration of a broker of our own: what it has taken it keeps. Its bounds would throw away what is late, and a run
/// could not tell that from a loss.
pub const OWN_BROKER_CONFIG: &str = "max_queued_messages 0\nmax_queued_bytes 0\n";

/// What holds a search's rate, unless something else is said.
const SLO_DEFAULT: &str = "p99=10ms,loss=0";

/// A run as it will be done.
#[derive(Debug)]
pub struct Plan {
    pub workload: &'static str,
    /// What is to happen, in a sentence.
    pub title: String,
    /// How the load relates to the broker's answers; every report shows it.
    pub load_model: String,
    /// Every effective setting, by its name on the command line.
    pub settings: BTreeMap<String, String>,
    pub seed: u64,
    pub job: Job,
    pub phases: Vec<Phase>,
    pub repeat: u32,
    pub search: Option<SearchPlan>,
    pub broker: BrokerPlan,
    pub files: Files,
    /// No progress line and no text.
    pub quiet: bool,
    /// Losses at QoS 0 are no violation.
    pub allow_loss: bool,
    /// CPUs of the workers; `None`: the last ones.
    pub cpus: Option<Vec<u16>>,
    /// Source addresses that were given.
    pub sources: Vec<IpAddr>,
    /// What clients speak below MQTT.
    pub wire: Wire,
}

/// Which broker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerPlan {
    /// One that runs already.
    pub address: Option<(String, u16)>,
    /// One to be started by this command; without both it is one of our own.
    pub command: Option<String>,
    /// The port that goes with the command.
    pub port: Option<u16>,
    pub pid: Option<u32>,
    pub cpus: Option<Vec<u16>>,
    pub shards: Option<u16>,
    pub budget: Option<u64>,
    /// Lines for the configuration of a broker of our own.
    pub extra_config: String,
}

/// A search for the highest rate.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchPlan {
    pub slo: Slo,
    pub start_rate: f64,
    pub max_rate: Option<f64>,
    pub precision: f64,
    /// The seed, where arrivals are left to chance.
    pub poisson: Option<u64>,
}

impl SearchPlan {
    /// The pace at a rate.
    pub fn pace(&self, rate: f64) -> Pace {
        match self.poisson {
            Some(seed) => Pace::Poisson(rate, seed),
            None => Pace::Constant(rate),
        }
    }
}

/// The plan of a workload; an error is one of usage.
pub fn plan(workload: Workload, given: &Options) -> Result<Plan, String> {
    check_given(workload, given)?;
    let mut options = given.clone().or(workload.presets()).or(Options::defaults());
    if is_windowed(&options) {
        options.load.rate = None;
    }
    check(&options)?;
    let shape = workloads::shape(workload, &options)?;
    let (job, phases) = finish(&mut options, shape.clone())?;
    Ok(Plan {
        workload: workload.name(),
        title: shape.title,
        load_model: load_model(&options, &phases),
        settings: settings(workload, &options),
        seed: options.time.seed.unwrap_or_default(),
        repeat: options.time.repeat.unwrap_or(1),
        search: search(&options)?,
        broker: broker(&options),
        files: files(&options)?,
        quiet: options.reports.quiet.unwrap_or(false),
        allow_loss: options.judgement.allow_loss.unwrap_or(false),
        cpus: options.time.cpus.clone().map(|cpus| cpus.0),
        sources: options.client.source.clone().unwrap_or_default(),
        wire: wire(
            options.broker.host.as_deref(),
            &options.client,
            OptionsOf::Workload,
        )?,
        job,
        phases,
    })
}

/// What has an effect, by name.
fn settings(workload: Workload, options: &Options) -> BTreeMap<String, String> {
    let mut settings = options.settings();
    let searches = options.judgement.find_max == Some(true);
    settings.retain(|name, _| {
        workload.uses(name) && (searches || !["max-rate", "precision"].contains(&name.as_str()))
    });
    settings
}

fn is_windowed(options: &Options) -> bool {
    options.load.window.is_some() || options.load.closed_loop == Some(true)
}

/// What contradicts itself in what was typed, or in the file.
fn check_given(workload: Workload, given: &Options) -> Result<(), String> {
    if let Some(name) = given.settings().keys().find(|name| !workload.uses(name)) {
        return Err(format!(
            "--{name} means nothing to {}; its options: firehose bench {0} --help",
            workload.name()
        ));
    }
    let external = given.broker.host.is_some() || given.broker.broker_pid.is_some();
    let conflicts = [
        (
            external && given.broker.broker.is_some(),
            "--broker starts a broker; --host and --broker-pid name one that runs",
        ),
        (
            external && given.broker.budget.is_some(),
            "--budget is for a broker that is started here, not for one that runs",
        ),
        (
            external && given.broker.broker_cpus.is_some(),
            "--broker-cpus is for a broker that is started here",
        ),
        (
            given.broker.shards.is_some() && (external || given.broker.broker.is_some()),
            "--shards is for a broker of its own",
        ),
        (
            is_windowed(given) && given.load.rate.is_some(),
            "--rate is open loop; --window and --closed-loop are not",
        ),
        (
            is_windowed(given) && given.judgement.find_max == Some(true),
            "--find-max searches a rate; --window and --closed-loop have none",
        ),
        (
            given.judgement.find_max == Some(true)
                && given.time.repeat.is_some_and(|runs| runs > 1),
            "--find-max repeats by itself what it doubts; --repeat is for runs at one rate",
        ),
        (
            (given.judgement.max_rate.is_some() || given.judgement.precision.is_some())
                && given.judgement.find_max != Some(true),
            "--max-rate and --precision are for --find-max",
        ),
    ];
    match conflicts.iter().find(|(is, _)| *is) {
        Some((_, text)) => Err((*text).into()),
        None => Ok(()),
    }
}

/// What is wrong with the effective options.
fn check(options: &Options) -> Result<(), String> {
    let size = options.load.size.unwrap_or_default().0;
    if size < stamp::STAMP_BYTES as u64 {
        return Err(format!(
            "--size {size}: a payload has at least {} bytes, which say whose message it is, which, and when it was due",
            stamp::STAMP_BYTES
        ));
    }
    if size > limits::STRESS_MSG_BYTES_MAX as u64 {
        return Err(format!("--size {size}: more than a packet holds"));
    }
    if options.time.duration.unwrap_or_default().0 <= 0.0 {
        return Err("--duration: a run takes time".into());
    }
    let interval_s = options.time.interval.unwrap_or_default().0;
    if interval_s < 0.01 {
        return Err("--interval: at least 10ms".into());
    }
    let intervals = options.time.duration.unwrap_or_default().0 / interval_s;
    if intervals > limits::LOAD_INTERVALS_MAX {
        return Err(format!(
            "--interval: {intervals:.0} intervals in --duration; at most {} are kept",
            limits::LOAD_INTERVALS_MAX
        ));
    }
    if !(0.001..=1.0).contains(&options.judgement.precision.unwrap_or(0.05)) {
        return Err("--precision: a share from 0.001 to 1".into());
    }
    for (name, factor, most) in [
        ("--scale", options.load.scale, model::SCALE_MAX),
        (
            "--time-lapse",
            options.load.time_lapse,
            model::TIME_LAPSE_MAX,
        ),
    ] {
        if factor.is_some_and(|factor| !(0.001..=most).contains(&factor)) {
            return Err(format!("{name}: a factor from 0.001 to {most}"));
        }
    }
    Ok(())
}

/// The parts that all workloads have in common.
fn finish(options: &mut Options, shape: Shape) -> Result<(Job, Vec<Phase>), String> {
    let workers = options.time.workers.unwrap_or_else(default_workers);
    options.time.workers = Some(workers);
    let connections = shape.subscribers.len() + shape.publishers.len();
    let spread_every = *options
        .judgement
        .spread_every
        .get_or_insert_with(|| default_spread(&shape.phases));
    let qos = qos(options.load.qos.unwrap_or(0));
    let settings = Settings {
        version: match options.client.mqtt.as_deref() {
            Some("3.1") => Version::V31,
            Some("5") => Version::V5,
            _ => Version::V311,
        },
        keep_alive: 0,
        username: options.client.username.clone(),
        password: secrets::password(
            options.client.password.as_ref(),
            options.client.password_file.as_deref(),
            options.client.username.is_some(),
        )?,
        in_flight_max: options.load.in_flight.unwrap_or(1024),
    };
    let job = Job {
        settings,
        client_prefix: "bench-".into(),
        filters: shape.filters,
        subscribers: shape.subscribers,
        streams: shape.streams,
        publishers: shape.publishers,
        bus: shape.bus,
        filler: stamp::filler(options.load.size.unwrap_or_default().0 as usize),
        qos,
        retain: shape.retain,
        spread_every,
        workers: workers.min(connections.max(1) as u32),
        drain_s: options.time.drain.unwrap_or_default().0,
    };
    Ok((job, shape.phases))
}

/// Half of the CPUs: the other half is the broker's.
pub fn default_workers() -> u32 {
    let cpus = core_affinity::get_core_ids().map_or(1, |ids| ids.len());
    (cpus as u32 / 2).max(1)
}

/// So that a step keeps some thousands of messages' first and last arrivals.
fn default_spread(phases: &[Phase]) -> u32 {
    let messages = phases.iter().map(|phase| match phase {
        Phase::Step(step) => step.rate.unwrap_or(100_000.0) * (step.seconds + step.warm_up_s),
        _ => 0.0,
    });
    let most = messages.fold(0.0, f64::max);
    (most / limits::LOAD_SPREAD_WANTED).ceil().max(1.0) as u32
}

fn broker(options: &Options) -> BrokerPlan {
    let runs = options.broker.broker.is_none()
        && (options.broker.host.is_some() || options.broker.port.is_some());
    let address = runs.then(|| {
        let host = options
            .broker
            .host
            .clone()
            .unwrap_or_else(|| "localhost".into());
        (host, options.broker.port.unwrap_or(PORT_DEFAULT))
    });
    BrokerPlan {
        address,
        command: options.broker.broker.clone(),
        port: options.broker.port,
        pid: options.broker.broker_pid,
        cpus: options.broker.broker_cpus.clone().map(|cpus| cpus.0),
        shards: options.broker.shards,
        budget: options.broker.budget.map(|bytes| bytes.0),
        extra_config: OWN_BROKER_CONFIG.into(),
    }
}

fn files(options: &Options) -> Result<Files, String> {
    let files = Files {
        json: options.reports.json.clone(),
        csv: options.reports.csv.clone(),
        hgrm: options.reports.hgrm.clone(),
        hlog: options.reports.hlog.clone(),
        html: options.reports.html.clone(),
    };
    files.check()?;
    Ok(files)
}

fn search(options: &Options) -> Result<Option<SearchPlan>, String> {
    let slo = options.judgement.slo.as_deref().unwrap_or(SLO_DEFAULT);
    let slo = Slo::parse(slo).map_err(|error| format!("--slo: {error}"))?;
    if options.judgement.find_max != Some(true) {
        return Ok(None);
    }
    Ok(Some(SearchPlan {
        slo,
        start_rate: options.load.rate.unwrap_or_default().0,
        max_rate: options.judgement.max_rate.map(|rate| rate.0),
        precision: options.judgement.precision.unwrap_or(0.05),
        poisson: (options.load.arrivals.as_deref() == Some("poisson"))
            .then_some(options.time.seed.unwrap_or_default()),
    }))
}

/// What every report is branded with.
fn load_model(options: &Options, phases: &[Phase]) -> String {
    let mut steps = phases.iter().filter_map(|phase| match phase {
        Phase::Step(StepPlan { traffic, .. }) => Some(traffic),
        _ => None,
    });
    match steps.next_back() {
        Some(Traffic::Publish { pace, .. }) => match pace {
            Pace::Constant(_) => "open loop, constant".into(),
            Pace::Poisson(..) => "open loop, poisson".into(),
            Pace::Bus => "open loop, the bus of 2017".into(),
            Pace::Window(1) if options.load.closed_loop == Some(true) => {
                "closed loop: a publisher waits for its last message".into()
            }
            Pace::Window(n) => format!("windowed: {n} outstanding a publisher"),
        },
        Some(Traffic::Open(open)) if open.rate.is_some() => "open loop, constant".into(),
        Some(Traffic::Visits { rate: Some(_), .. }) => "open loop, constant".into(),
        Some(Traffic::Visits { rate: None, .. }) => {
            "closed loop: a client comes when it has gone".into()
        }
        Some(Traffic::Open(_)) => "closed loop: all come as fast as they are taken".into(),
        Some(Traffic::Receive | Traffic::Clear) | None => "open loop, without messages".into(),
    }
}
