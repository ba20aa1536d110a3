//! What a run found, as data.
//!
//! Everything here is serialized as it stands: the JSON report is a `Report`, of the schema `firehose-bench/1`. Units are
//! in the names: `_ns`, `_s`, `_bytes`; rates are per second.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::distribution::Distribution;

/// What `schema` holds in reports of this version.
pub const SCHEMA: &str = "firehose-bench/1";

/// A whole invocation: one or several runs of one plan against one broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// `SCHEMA`.
    pub schema: String,
    /// The workload's name, as on the command line.
    pub workload: String,
    /// What was to happen, in a sentence.
    pub title: String,
    /// When it began, RFC 3339, with the offset of the local time.
    pub started: String,
    /// The version of the tester.
    pub version: String,
    /// The command line, as it can be typed again.
    pub command: Vec<String>,
    /// Every setting of the plan with its effective value, as strings, by its name on the command line.
    pub settings: BTreeMap<String, String>,
    /// What makes the run repeatable.
    pub seed: u64,
    /// `open loop`, `windowed: N outstanding a publisher`, `closed loop: ...`: the brand that every report shows.
    pub load_model: String,
    pub machine: Machine,
    pub broker: BrokerInfo,
    /// One per repetition.
    pub runs: Vec<Run>,
    /// `--find-max`, if it was asked for.
    pub search: Option<Search>,
    /// Whether the user ended it (SIGINT, SIGTERM) before its time: what is here was measured until then.
    #[serde(default)]
    pub cut_short: bool,
    pub verdict: Verdict,
    /// A small flat object of the most important numbers for CI (names with units), of the median run.
    pub summary: BTreeMap<String, f64>,
}

/// Where the tester ran.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    pub kernel: String,
    pub cpu_model: String,
    pub cpus: u32,
    pub memory_bytes: u64,
    /// Limits and kernel settings that matter, by name: `nofile`, `memlock_bytes`, `tcp_congestion_control`,
    /// `somaxconn`, `governor`, ...
    pub settings: BTreeMap<String, String>,
}

/// The broker under load, as far as it is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerInfo {
    /// `firehose 0.1.0 (own process)`, `external`, or the command line of `--broker`.
    pub what: String,
    pub address: String,
    /// Some if the tester started it or was given its pid.
    pub pid: Option<u32>,
    pub budget: Option<Budget>,
    /// CPUs that the broker is pinned to, if the tester did that.
    pub cpus: Option<String>,
}

/// `--budget`: what was asked for and what was enforced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    pub bytes: u64,
    pub enforced: bool,
    /// `cgroup v2 memory.max, memory.swap.max 0`, `cgroup v1 ... kernel memory included`, or why it is not enforced.
    pub how: String,
}

/// One repetition: all steps on the same connections and the same broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub setup: Setup,
    /// Most workloads have one; `ramp` one per rate, `--find-max` one per attempt.
    pub steps: Vec<Step>,
    /// The broker's CPU and memory through the run, from before the first connection to after the last.
    pub samples: Vec<Sample>,
    /// What became of the broker; empty is good.
    pub broker_events: Vec<BrokerEvent>,
}

/// The connections made before the first step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Setup {
    pub connections: u64,
    pub refused: u64,
    pub failed: u64,
    /// CONNECT sent (or the intended time of a paced connect) to CONNACK.
    pub connect_ns: Distribution,
    /// SUBSCRIBE sent to SUBACK.
    pub subscribe_ns: Distribution,
    pub seconds: f64,
    /// Resident memory of the broker (PSS where it can be read) before and after, and what a connection makes of it.
    pub broker_bytes_before: Option<u64>,
    pub broker_bytes_after: Option<u64>,
    pub broker_bytes_per_connection: Option<f64>,
    /// The same of the tester.
    pub tester_bytes_per_connection: Option<f64>,
}

/// One constant load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// `measured`, `34000 msg/s`, ...
    pub name: String,
    /// Seconds from the start of the run to that of the step, warm-up included.
    pub at_s: f64,
    /// Messages per second that were to be published; None when the load was not paced.
    pub rate_intended: Option<f64>,
    /// Seconds of the measured window (warm-up cut).
    pub seconds: f64,
    /// Published within the measured window.
    pub published: u64,
    /// Delivered within the measured window (of whatever was published).
    pub delivered: u64,
    pub published_bytes: u64,
    pub delivered_bytes: u64,
    /// Published messages and deliveries per second of the measured window.
    pub publish_rate: f64,
    pub delivery_rate: f64,
    /// Operations per second of workloads whose unit is another one (connects, cycles), with its name.
    pub operations: Option<Operations>,
    pub verification: Verification,
    pub latency: Latency,
    pub tester: TesterUse,
    pub broker: Option<BrokerUse>,
    /// Once a second (or `interval_s`), warm-up and drain included.
    pub series: Vec<Interval>,
    pub interval_s: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Operations {
    /// `connects`, `cycles`, `replays`, ...
    pub name: String,
    pub count: u64,
    pub failed: u64,
    pub rate: f64,
}

/// Every message, from the first of the warm-up to the end of the drain, by what the QoS in use promises.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Deliveries that had to come.
    pub expected: u64,
    pub received: u64,
    /// Expected and never came. A violation at QoS 1 and 2, and at QoS 0 too unless `qos0_loss_allowed`.
    pub lost: u64,
    /// Came again. A violation at QoS 0 and 2, and at QoS 1 unless the connection was lost in between.
    pub duplicated: u64,
    /// Came behind a younger message of the same publisher and topic.
    pub reordered: u64,
    /// Nobody had asked for it there: wrong topic, wrong run, no stamp.
    pub unexpected: u64,
    /// Payload bytes other than those sent.
    pub corrupt: u64,
    /// Published with QoS above 0 and never acknowledged.
    pub unacknowledged: u64,
    /// Acknowledged with an error, or refused.
    pub refused: u64,
    /// Connections that ended although nobody wanted that.
    pub disconnects: u64,
    /// What the QoS makes of the numbers above, in words; empty is good.
    pub violations: Vec<String>,
}

impl Verification {
    /// Adds what another step found.
    pub fn add(&mut self, other: &Verification) {
        self.expected += other.expected;
        self.received += other.received;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.unexpected += other.unexpected;
        self.corrupt += other.corrupt;
        self.unacknowledged += other.unacknowledged;
        self.refused += other.refused;
        self.disconnects += other.disconnects;
        self.violations.extend(other.violations.iter().cloned());
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Intended time of the publish (open loop) or actual send (closed, windowed) to arrival, per delivery.
    pub delivery_ns: Distribution,
    /// Intended or actual publish to PUBACK or PUBCOMP.
    pub ack_ns: Distribution,
    /// First to last subscriber of a message; of every `spread_every`th message of a publisher and topic.
    pub spread_ns: Distribution,
    pub spread_every: u64,
    /// The workload's own operation: connect, cycle, replay.
    pub operation_ns: Distribution,
}

/// What the tester knows about itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TesterUse {
    /// Intended to actual send: the tester's own lateness. Empty when not paced.
    pub slip_ns: Distribution,
    /// Messages that were late because the broker did not take those before them: its slowness, not the tester's.
    pub held_back: u64,
    /// Messages that were due and were never sent: the broker did not take them in time, or had closed the connection.
    #[serde(default)]
    pub unsent: u64,
    /// One per worker, over the measured window.
    pub workers: Vec<WorkerUse>,
    /// utime + stime of all workers in nanoseconds, over messages received in the window.
    pub cpu_ns_per_delivery: Option<f64>,
    pub rss_bytes: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WorkerUse {
    pub cpu: Option<u16>,
    /// CPU seconds over wall seconds, 0 to 1.
    pub busy: f64,
    pub connections: u64,
    pub received: u64,
    pub sent: u64,
}

/// The broker's process over the measured window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerUse {
    pub user_s: f64,
    pub system_s: f64,
    /// (user + system) over wall seconds; 2 shards can make it 2.
    pub busy: f64,
    /// CPU nanoseconds per delivery; None without deliveries.
    pub cpu_ns_per_delivery: Option<f64>,
    pub rss_peak_bytes: u64,
    pub cgroup_peak_bytes: Option<u64>,
}

/// One look at the broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Seconds since the run began.
    pub at_s: f64,
    /// CPU seconds used so far.
    pub user_s: f64,
    pub system_s: f64,
    pub rss_bytes: u64,
    pub pss_bytes: Option<u64>,
    /// What the memory cgroup counts, kernel memory included, and the kernel's part of it.
    pub cgroup_bytes: Option<u64>,
    pub cgroup_kernel_bytes: Option<u64>,
    /// The most that the cgroup ever counted.
    pub cgroup_peak_bytes: Option<u64>,
    pub threads: u32,
}

/// Something that happened to the broker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BrokerEvent {
    /// Seconds of the run; of what happened several times, the first time.
    pub at_s: f64,
    /// `ended`, `killed`, `out of memory`, `refused`, `dropped`
    pub kind: String,
    pub text: String,
}

/// One interval of the series.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Seconds from the start of the step to the start of the interval.
    pub at_s: f64,
    /// Whether it belongs to the measured window.
    pub measured: bool,
    pub published: u64,
    pub delivered: u64,
    pub published_bytes: u64,
    pub delivered_bytes: u64,
    /// Delivery latency of what arrived in it.
    pub latency_ns: Distribution,
}

/// `--find-max`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Search {
    /// As given: `p99=10ms,loss=0`.
    pub slo: String,
    /// The highest rate that held it; None when none did.
    pub max_rate: Option<f64>,
    /// The lowest rate that did not, twice; None when none was found.
    #[serde(default)]
    pub broke_rate: Option<f64>,
    /// What was missed there; empty when nothing was.
    #[serde(default)]
    pub broke_why: String,
    #[serde(default)]
    pub ended: SearchEnd,
    /// How the tester was the limit where the search ended; empty if it was not.
    #[serde(default)]
    pub tester_limit: String,
    /// Every attempt, in the order of the rates.
    pub curve: Vec<Attempt>,
}

/// Why a search tried no further rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SearchEnd {
    /// What held and what did not are as close to each other as was asked for: the limit of the broker.
    #[default]
    Found,
    /// The tester was the limit: the broker may hold more.
    Tester,
    /// The highest rate that was to be tried held.
    MaxRate,
    /// There were as many attempts as there may be.
    Attempts,
    /// The user, or the end of the broker, ended it.
    CutShort,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    pub rate: f64,
    pub achieved: f64,
    pub p50_ns: u64,
    pub p99_ns: u64,
    pub p999_ns: u64,
    pub lost: u64,
    pub held: bool,
    /// What was missed; empty if it held.
    pub why: String,
    /// Whether the tester was the limit in this attempt.
    pub tester_limited: bool,
}

/// The answer in a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// All is as it has to be.
    #[default]
    Passed,
    /// Every message is where it had to be; but the tester was the limit, so that no figure is one of the broker.
    Verified,
    /// The answer is no.
    Failed,
    /// The tester was the limit: what was asked about the broker is not answered.
    NotValid,
    /// The user ended it before its time.
    CutShort,
}

impl Answer {
    /// What the program ends with.
    pub fn exit_code(self) -> u8 {
        match self {
            Answer::Passed | Answer::Verified => 0,
            Answer::Failed => 1,
            Answer::NotValid => 4,
            // What a shell makes of SIGINT.
            Answer::CutShort => 130,
        }
    }
}

/// The answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    #[serde(default)]
    pub answer: Answer,
    /// Of the program: 0 passed or verified, 1 failed, 4 not valid, 130 cut short.
    #[serde(default)]
    pub exit_code: u8,
    /// Whether the exit code is 0.
    pub passed: bool,
    /// Why not; empty if it passed.
    pub failures: Vec<String>,
    /// Why the figures say more about the tester than about the broker; empty if they do not.
    pub tester_limits: Vec<String>,
    /// What else a reader has to know: loops that are not open, budget not enforced, few samples.
    pub notes: Vec<String>,
}
