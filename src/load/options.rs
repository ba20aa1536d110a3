//! The options of all workloads: one flat set, the same on the command line and in a scenario file. What is not given
//! comes from the workload's presets, and what they leave open from the defaults.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args as _, value_parser};
use serde::Serialize;

use crate::limits;

use super::quantity::{Bytes, Cpus, Rate, Seconds};
use super::secrets::{self, Secret};

/// What a flag without a value means.
const ON: &str = "true";

/// Options as they were given; `None` is open.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
pub struct Options {
    #[command(flatten)]
    #[serde(flatten)]
    pub broker: BrokerOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub client: ClientOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub load: LoadOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub time: TimeOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub judgement: JudgementOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub reports: ReportOptions,
}

/// The broker: one that runs, or one that is started for the run.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct BrokerOptions {
    /// The broker's host [default: a broker of its own, started for the run]
    #[arg(long, value_name = "HOST", help_heading = "Broker")]
    pub host: Option<String>,
    /// The broker's port [default: 1883]
    #[arg(long, value_name = "PORT", help_heading = "Broker", value_parser = value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Start this broker, by a shell; {port} in it stands for --port, or for a free port
    #[arg(long, value_name = "CMD", help_heading = "Broker")]
    pub broker: Option<String>,
    /// Process of a broker that runs already, to be sampled
    #[arg(long, value_name = "PID", help_heading = "Broker")]
    pub broker_pid: Option<u32>,
    /// CPUs for the broker that is started, like 0-3 [default: what the workers leave]
    #[arg(long, value_name = "LIST", help_heading = "Broker")]
    pub broker_cpus: Option<Cpus>,
    /// Shards of a broker of its own
    #[arg(long, value_name = "N", help_heading = "Broker", value_parser = value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,
    /// Memory for the broker that is started, kernel memory included and without swap, like 2G
    #[arg(long, value_name = "SIZE", help_heading = "Broker")]
    pub budget: Option<Bytes>,
}

/// What all clients are alike in: their login, and what they speak.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ClientOptions {
    /// User name of all clients
    #[arg(long, value_name = "NAME", help_heading = "Broker")]
    pub username: Option<String>,
    /// Password of all clients; others may see what is typed, so rather --password-file, or FIREHOSE_PASSWORD in the
    /// environment
    #[arg(long, value_name = "PASSWORD", help_heading = "Broker")]
    pub password: Option<Secret>,
    /// Password of all clients: the first line of this file
    #[arg(
        long,
        value_name = "FILE",
        help_heading = "Broker",
        conflicts_with = "password"
    )]
    pub password_file: Option<PathBuf>,
    /// Speak TLS, and accept certificates of the CAs in this file
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    pub cafile: Option<PathBuf>,
    /// Speak TLS, and accept any certificate
    #[arg(long, value_name = "BOOL", help_heading = "Broker", num_args = 0..=1, default_missing_value = ON, conflicts_with = "cafile")]
    pub insecure: Option<bool>,
    /// Certificate of all clients, for a broker that requires one, and those between it and its CA (PEM)
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    pub cert: Option<PathBuf>,
    /// Private key of --cert (PEM, not encrypted) [default: what FIREHOSE_KEY in the environment holds]
    #[arg(long, value_name = "FILE", help_heading = "Broker")]
    pub key: Option<PathBuf>,
    /// The lowest version of TLS [default: tlsv1.2]
    #[arg(long, value_name = "VERSION", help_heading = "Broker", value_parser = ["tlsv1.2", "tlsv1.3"])]
    pub tls_version: Option<String>,
    /// TLS goes on with sessions of earlier connections; without it each handshake is a full one
    #[arg(long, value_name = "BOOL", help_heading = "Broker", num_args = 0..=1, default_missing_value = ON)]
    pub resume: Option<bool>,
    /// Speak MQTT over WebSocket (path /mqtt); with TLS as well, over secure WebSocket
    #[arg(long, value_name = "BOOL", help_heading = "Broker", num_args = 0..=1, default_missing_value = ON)]
    pub websocket: Option<bool>,
    /// Protocol version: 3.1, 3.1.1 or 5 [default: 3.1.1]
    #[arg(long, value_name = "VERSION", help_heading = "Broker", value_parser = ["3.1", "3.1.1", "5"])]
    pub mqtt: Option<String>,
    /// Local address to connect from; several are taken in turn
    #[arg(
        long,
        value_name = "ADDRESS",
        help_heading = "Broker",
        value_delimiter = ','
    )]
    pub source: Option<Vec<IpAddr>>,
}

/// The load: who publishes and reads what, and how fast. Two runs that differ in one of these did not do the same
/// work.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LoadOptions {
    /// Clients that publish
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_CLIENTS_MAX))]
    pub publishers: Option<u32>,
    /// Clients that subscribe, or only connect
    #[arg(long, visible_alias = "connections", value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_CLIENTS_MAX))]
    pub subscribers: Option<u32>,
    /// Topics in the tree of `wildcard`
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_TOPICS_MAX))]
    pub topics: Option<u32>,
    /// Bytes of a payload; at least 24, which hold what verifies it
    #[arg(long, value_name = "BYTES", help_heading = "Load")]
    pub size: Option<Bytes>,
    /// Quality of service of the publishes
    #[arg(long, value_name = "QOS", help_heading = "Load", value_parser = value_parser!(u8).range(0..=2))]
    pub qos: Option<u8>,
    /// Quality of service of the subscriptions [default: that of the publishes]
    #[arg(long, value_name = "QOS", help_heading = "Load", value_parser = value_parser!(u8).range(0..=2))]
    pub sub_qos: Option<u8>,
    /// Messages a second of all publishers together, like 50k: open loop, they go when they are due
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub rate: Option<Rate>,
    /// How messages are spaced: constant or poisson
    #[arg(long, value_name = "HOW", help_heading = "Load", value_parser = ["constant", "poisson"])]
    pub arrivals: Option<String>,
    /// Not open loop: keep N messages of each publisher outstanding, and report that
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_WINDOW_MAX), conflicts_with = "rate")]
    pub window: Option<u32>,
    /// Not open loop: each publisher waits for the delivery of its last message, and the report says so
    #[arg(long, value_name = "BOOL", help_heading = "Load", num_args = 0..=1, default_missing_value = ON, conflicts_with_all = ["rate", "window"])]
    pub closed_loop: Option<bool>,
    /// Publishes of a client with QoS above 0 that may be unacknowledged
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u16).range(1..))]
    pub in_flight: Option<u16>,
    /// Subscribers share the messages, as $share/NAME
    #[arg(long, value_name = "NAME", help_heading = "Load")]
    pub shared: Option<String>,
    /// Sessions of subscribers outlive their connections, as those of `backlog` always do; they are ended behind the run
    #[arg(long, value_name = "BOOL", help_heading = "Load", num_args = 0..=1, default_missing_value = ON)]
    pub durable: Option<bool>,
    /// Messages that are stored: `retained` in all, `backlog` by each publisher
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_TOPICS_MAX))]
    pub messages: Option<u32>,
    /// Connections, or cycles, a second: `connect` and `churn`
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub connect_rate: Option<Rate>,
    /// `ramp`: messages a second in and out, to begin with
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub from: Option<Rate>,
    /// `ramp`: messages a second in and out, at the end
    #[arg(long, value_name = "RATE", help_heading = "Load")]
    pub to: Option<Rate>,
    /// `ramp`: how many rates
    #[arg(long, value_name = "N", help_heading = "Load", value_parser = value_parser!(u32).range(1..=limits::LOAD_STEPS_MAX))]
    pub steps: Option<u32>,
    /// `firehose`: times the traffic of 2017
    #[arg(long, value_name = "FACTOR", help_heading = "Load")]
    pub scale: Option<f64>,
    /// `firehose`: times the speed at which the model's day passes, with its bursts
    #[arg(long, value_name = "FACTOR", help_heading = "Load")]
    pub time_lapse: Option<f64>,
}

/// How long it is loaded, how often, and by which threads.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TimeOptions {
    /// Length of the measured part; of `ramp`, of each rate's
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub duration: Option<Seconds>,
    /// Load before the measured part, which is cut
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub warm_up: Option<Seconds>,
    /// Quiet after which missing messages are lost
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub drain: Option<Seconds>,
    /// Interval of the report's series
    #[arg(long, value_name = "TIME", help_heading = "Time")]
    pub interval: Option<Seconds>,
    /// Runs, each on new connections; the report gives their spread
    #[arg(long, value_name = "N", help_heading = "Time", value_parser = value_parser!(u32).range(1..=limits::LOAD_RUNS_MAX))]
    pub repeat: Option<u32>,
    /// What chance is drawn from; the same seed repeats a run
    #[arg(long, value_name = "N", help_heading = "Time")]
    pub seed: Option<u64>,
    /// Threads that load [default: half of the CPUs]
    #[arg(long, value_name = "N", help_heading = "Time", value_parser = value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,
    /// CPUs for the workers, like 2-3 [default: the last ones]
    #[arg(long, value_name = "LIST", help_heading = "Time")]
    pub cpus: Option<Cpus>,
}

/// What is looked for, and what counts as a failure.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct JudgementOptions {
    /// Search the highest rate that holds --slo, beginning at --rate
    #[arg(long, value_name = "BOOL", help_heading = "Judgement", num_args = 0..=1, default_missing_value = ON)]
    pub find_max: Option<bool>,
    /// What is to hold: p50, p90, p99, p999, max as times, loss as a share, like p99=10ms,loss=0; without --find-max a
    /// threshold: exit code 1 if a step misses it [default of --find-max: p99=10ms,loss=0]
    #[arg(long, value_name = "OBJECTIVE", help_heading = "Judgement")]
    pub slo: Option<String>,
    /// Where the search ends
    #[arg(long, value_name = "RATE", help_heading = "Judgement")]
    pub max_rate: Option<Rate>,
    /// How close the search comes, as a share
    #[arg(long, value_name = "SHARE", help_heading = "Judgement")]
    pub precision: Option<f64>,
    /// Losses at QoS 0 are no violation
    #[arg(long, value_name = "BOOL", help_heading = "Judgement", num_args = 0..=1, default_missing_value = ON)]
    pub allow_loss: Option<bool>,
    /// Take the spread of a fan-out of every Nth message; 0: of none [default: by the number of deliveries]
    #[arg(long, value_name = "N", help_heading = "Judgement")]
    pub spread_every: Option<u32>,
}

/// Where reports go.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct ReportOptions {
    /// Write the report as JSON; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub json: Option<PathBuf>,
    /// Write the series as CSV; - is standard output
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub csv: Option<PathBuf>,
    /// Write HdrHistogram's percentile distribution
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub hgrm: Option<PathBuf>,
    /// Write HdrHistogram's interval log
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub hlog: Option<PathBuf>,
    /// Write a page with charts
    #[arg(long, value_name = "FILE", help_heading = "Reports")]
    pub html: Option<PathBuf>,
    /// No progress line and no text
    #[arg(long, value_name = "BOOL", help_heading = "Reports", num_args = 0..=1, default_missing_value = ON)]
    pub quiet: Option<bool>,
}

/// The fields of a struct, so that none is forgotten where they are gone through: the first's, and where they are open the
/// second's.
macro_rules! merge {
    ($type:ident, $first:expr, $second:expr; $($field:ident)*) => {
        $type { $($field: $first.$field.or($second.$field),)* }
    };
}

impl Options {
    /// These, and where they are open the others.
    pub fn or(self, other: Options) -> Options {
        let (a, b) = (self, other);
        Options {
            broker: merge!(BrokerOptions, a.broker, b.broker; host port broker broker_pid broker_cpus shards budget),
            client: merge!(ClientOptions, a.client, b.client; username password password_file cafile insecure cert key tls_version resume websocket mqtt source),
            load: merge!(LoadOptions, a.load, b.load; publishers subscribers topics size qos sub_qos rate arrivals window closed_loop in_flight shared durable messages connect_rate from to steps scale time_lapse),
            time: merge!(TimeOptions, a.time, b.time; duration warm_up drain interval repeat seed workers cpus),
            judgement: merge!(JudgementOptions, a.judgement, b.judgement; find_max slo max_rate precision allow_loss spread_every),
            reports: merge!(ReportOptions, a.reports, b.reports; json csv hgrm hlog html quiet),
        }
    }

    /// Whether an option, by its name on the command line, is part of the load: two runs that differ in it did not do the
    /// same work.
    pub fn is_of_load(name: &str) -> bool {
        let command = LoadOptions::augment_args(clap::Command::new("bench"));
        let mut arguments = command.get_arguments();
        arguments.any(|argument| argument.get_long() == Some(name))
    }

    /// What holds where neither the user nor the workload says anything.
    pub fn defaults() -> Options {
        Options {
            client: ClientOptions {
                mqtt: Some("3.1.1".into()),
                ..ClientOptions::default()
            },
            load: LoadOptions {
                publishers: Some(1),
                subscribers: Some(1),
                size: Some(Bytes(64)),
                qos: Some(0),
                rate: Some(Rate(1000.0)),
                arrivals: Some("constant".into()),
                closed_loop: Some(false),
                in_flight: Some(1024),
                ..LoadOptions::default()
            },
            time: TimeOptions {
                duration: Some(Seconds(10.0)),
                warm_up: Some(Seconds(2.0)),
                drain: Some(Seconds(5.0)),
                interval: Some(Seconds(1.0)),
                repeat: Some(1),
                seed: Some(2017),
                ..TimeOptions::default()
            },
            judgement: JudgementOptions {
                find_max: Some(false),
                precision: Some(0.05),
                allow_loss: Some(false),
                ..JudgementOptions::default()
            },
            reports: ReportOptions {
                quiet: Some(false),
                ..ReportOptions::default()
            },
            ..Options::default()
        }
    }

    /// Every option that has a value, as text, by its name on the command line. Secrets are not told.
    pub fn settings(&self) -> std::collections::BTreeMap<String, String> {
        // A struct of such fields is always an object.
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(self) else {
            return Default::default();
        };
        let each = fields.into_iter().filter(|(_, value)| !value.is_null());
        each.map(|(name, value)| {
            let text = match value {
                serde_json::Value::String(text) => secrets::redacted(&text),
                other => other.to_string(),
            };
            (name, text)
        })
        .collect()
    }
}
