//! The options of `stress`: pymqttbench's by their names and with their defaults, and those of the grid.

use std::path::{Path, PathBuf};

use clap::value_parser;

use crate::limits;
use crate::load::options::ClientOptions;
use crate::load::plan;
use crate::load::quantity::{Bytes, Cpus};
use crate::load::secrets::{self, Secret};
use crate::load::stamp;
use crate::load::worker::{OptionsOf, Wire};
use crate::mqtt::topic::{too_deep, topic_name_valid};

/// Where the publishers publish unless `--topic` says otherwise; subscribers take it and all below.
pub const TOPIC_DEFAULT: &str = "pybench";

/// The broker's host and port where only the other one is named.
pub const HOSTNAME_DEFAULT: &str = "localhost";
pub const PORT_DEFAULT: u16 = 1883;

/// The grid's file unless `--dat` says otherwise: the name under which the talk's plotting script opens it.
pub const DAT_DEFAULT: &str = "stresstest.dat";

/// Runs of each cell unless `--repeat` says otherwise: the talk's plotting script leaves out cells with fewer.
pub const GRID_REPEAT_DEFAULT: u32 = 6;

/// What `stress` measures, and where it differs from pymqttbench; at the end of `--help`.
pub const MANUAL: &str = include_str!("MANUAL.md");

/// The stress test of pymqttbench: every publish on a connection of its own, every subscriber on TOPIC/#
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = MANUAL)]
pub struct StressArgs {
    #[command(flatten)]
    pub broker: BrokerArgs,

    /// Publishers
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "grid", value_parser = value_parser!(u32).range(1..=limits::STRESS_CLIENTS_MAX))]
    pub pub_clients: u32,

    /// Subscribers
    #[arg(long, value_name = "N", default_value_t = 10, conflicts_with = "grid", value_parser = value_parser!(u32).range(1..=limits::STRESS_CLIENTS_MAX))]
    pub sub_clients: u32,

    /// Messages that each publisher publishes
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=limits::STRESS_COUNT_MAX))]
    pub pub_count: u32,

    /// Messages that each subscriber waits for, from whichever publisher
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = value_parser!(u32).range(1..=limits::STRESS_COUNT_MAX))]
    pub sub_count: u32,

    /// Bytes of payload
    #[arg(long, value_name = "BYTES", default_value_t = 1024, value_parser = value_parser!(u32).range(0..=limits::STRESS_MSG_BYTES_MAX))]
    pub msg_size: u32,

    /// Seconds from the first publish until a subscriber without all its messages has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..=limits::STRESS_TIMEOUT_S_MAX))]
    pub sub_timeout: u64,

    /// Seconds from its own start until a publisher that is not done has failed
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = value_parser!(u64).range(1..=limits::STRESS_TIMEOUT_S_MAX))]
    pub pub_timeout: u64,

    /// Topic to publish to; subscribers subscribe to TOPIC/# [default: pybench]
    #[arg(long, value_name = "TOPIC")]
    pub topic: Option<String>,

    #[command(flatten)]
    pub client: ClientArgs,

    /// Quality of service of publishers and subscribers
    #[arg(long, value_name = "QOS", default_value_t = 0, value_parser = value_parser!(u8).range(0..=2))]
    pub qos: u8,

    /// Print a line of ten fields with colons between them
    #[arg(long)]
    pub brief: bool,

    #[command(flatten)]
    pub grid: GridArgs,

    /// Runs; in the grid, runs of each cell [default: 1; in the grid 6, as the talk's plotting script wants]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=limits::STRESS_RUNS_MAX))]
    pub repeat: Option<u32>,

    /// Threads that load [default: half of the CPUs]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=64))]
    pub workers: Option<u32>,

    /// CPUs for the workers, like 2-3 [default: the last ones]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<Cpus>,

    /// Seconds of quiet between two runs
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    pub settle_s: f64,
}

/// The broker: one that runs, or one that is started for the runs.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct BrokerArgs {
    /// The broker's host [default: localhost; without --hostname and --port a broker of its own]
    #[arg(long, visible_alias = "host", value_name = "HOST")]
    pub hostname: Option<String>,

    /// The broker's port [default: 1883]
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    pub port: Option<u16>,

    /// Start this broker, by a shell; {port} in it stands for --port, or for a free port
    #[arg(long, value_name = "CMD", conflicts_with = "hostname")]
    pub broker: Option<String>,

    /// Memory for the broker that is started, kernel memory included and without swap, like 2G
    #[arg(long, value_name = "SIZE", conflicts_with = "hostname")]
    pub budget: Option<Bytes>,

    /// Shards of a broker of its own
    #[arg(long, value_name = "N", conflicts_with_all = ["hostname", "broker"], value_parser = value_parser!(u16).range(1..=64))]
    pub shards: Option<u16>,

    /// CPUs for the broker that is started [default: what the workers leave]
    #[arg(long, value_name = "LIST")]
    pub broker_cpus: Option<Cpus>,
}

/// What all clients are alike in: whom they trust, and how they come in.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClientArgs {
    /// Speak TLS, and accept certificates of the CAs in this file
    #[arg(long, visible_alias = "cafile", value_name = "FILE")]
    pub cacert: Option<PathBuf>,

    /// Certificate of all clients, for a broker that requires one, and those between it and its CA (PEM)
    #[arg(long, value_name = "FILE", requires = "cacert")]
    pub cert: Option<PathBuf>,

    /// Private key of --cert (PEM, not encrypted) [default: what FIREHOSE_KEY in the environment holds]
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub key: Option<PathBuf>,

    /// User name of all clients
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,

    /// Password of all clients; others may see what is typed, so rather --password-file, or FIREHOSE_PASSWORD in the
    /// environment
    #[arg(long, value_name = "PASSWORD", requires = "username")]
    pub password: Option<Secret>,

    /// Password of all clients: the first line of this file
    #[arg(
        long,
        value_name = "FILE",
        requires = "username",
        conflicts_with = "password"
    )]
    pub password_file: Option<PathBuf>,
}

/// The grid: every pair of powers of two.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct GridArgs {
    /// Run every pair of powers of two up to --grid-max subscribers and publishers
    #[arg(long = "grid", id = "grid")]
    pub is_asked_for: bool,

    /// The largest number of subscribers, and of publishers, in the grid
    #[arg(long = "grid-max", id = "grid_max", value_name = "N", default_value_t = 1024, requires = "grid", value_parser = value_parser!(u32).range(1..=limits::STRESS_CLIENTS_MAX))]
    pub max: u32,

    /// The grid's results, a line per run; a grid that stopped goes on from there [default: stresstest.dat]
    #[arg(long, value_name = "FILE", requires = "grid")]
    pub dat: Option<PathBuf>,

    /// Published runs to compare the grid with [default: the 579 runs of the Firehose of 2017]
    #[arg(long, value_name = "FILE", requires = "grid")]
    pub published: Option<PathBuf>,

    /// Write the grid as a page with heat maps
    #[arg(long, value_name = "FILE", requires = "grid")]
    pub html: Option<PathBuf>,
}

/// Seconds of quiet: finite, not negative, at most an hour.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=limits::STRESS_SETTLE_S_MAX).contains(&seconds) => Ok(seconds),
        _ => Err(format!(
            "must be 0 to {} seconds",
            limits::STRESS_SETTLE_S_MAX
        )),
    }
}

impl StressArgs {
    /// The broker to test; `None`: the tester starts one of its own.
    pub fn address(&self) -> Option<(&str, u16)> {
        let given = &self.broker;
        if given.broker.is_some() || (given.hostname.is_none() && given.port.is_none()) {
            return None;
        }
        let hostname = given.hostname.as_deref().unwrap_or(HOSTNAME_DEFAULT);
        Some((hostname, given.port.unwrap_or(PORT_DEFAULT)))
    }

    /// The topic that is published to. As in pymqttbench an empty one counts as none given.
    pub fn topic(&self) -> &str {
        match self.topic.as_deref() {
            None | Some("") => TOPIC_DEFAULT,
            Some(topic) => topic,
        }
    }

    /// The filter of every subscriber; it covers the topic itself.
    pub fn filter(&self) -> String {
        format!("{}/#", self.topic())
    }

    /// Runs, or runs of each cell.
    pub fn runs(&self) -> u32 {
        let default = if self.grid.is_asked_for {
            GRID_REPEAT_DEFAULT
        } else {
            1
        };
        self.repeat.unwrap_or(default)
    }

    /// The grid's file.
    pub fn dat(&self) -> &Path {
        self.grid.dat.as_deref().unwrap_or(Path::new(DAT_DEFAULT))
    }

    /// The same with the password, wherever it comes from; an error is one of usage.
    pub fn with_password(mut self) -> Result<Self, String> {
        let client = &mut self.client;
        let file = client.password_file.take();
        let has_user = client.username.is_some();
        client.password = secrets::password(client.password.as_ref(), file.as_deref(), has_user)?;
        Ok(self)
    }

    /// What clients speak below MQTT; the files are read.
    ///
    /// # Errors
    /// One of usage: a file cannot be read, or is no use.
    pub fn wire(&self) -> Result<Wire, String> {
        let (client, host) = (&self.client, self.address().map(|(host, _)| host));
        let options = ClientOptions {
            cafile: client.cacert.clone(),
            cert: client.cert.clone(),
            key: client.key.clone(),
            ..ClientOptions::default()
        };
        plan::wire(host, &options, OptionsOf::Stress)
    }

    /// What no parser of a single option finds; an error here is one of usage.
    pub fn check(&self) -> Result<(), String> {
        if (self.msg_size as usize) < stamp::STAMP_BYTES {
            return Err(format!(
                "--msg-size {}: a message has at least {} bytes, which say whose it is and which",
                self.msg_size,
                stamp::STAMP_BYTES
            ));
        }
        if self.broker.budget.is_some() && self.address().is_some() {
            return Err("--budget is for a broker that is started here".into());
        }
        let topic = self.topic();
        if !topic_name_valid(topic) || topic.len() + 2 > usize::from(u16::MAX) {
            return Err(format!(
                "--topic {topic:?}: not a topic that can be published to"
            ));
        }
        if too_deep(&self.filter()) {
            return Err(format!("--topic {topic:?}: too many levels"));
        }
        // The grid begins with a single publisher.
        let publishers = if self.grid.is_asked_for {
            1
        } else {
            self.pub_clients
        };
        if u64::from(self.pub_count) * u64::from(publishers) < u64::from(self.sub_count) {
            return Err(TOO_FEW_MESSAGES.into());
        }
        Ok(())
    }
}

/// More messages awaited than published; in pymqttbench's words.
const TOO_FEW_MESSAGES: &str = "The configured number of publisher clients and published message count is too small \
for the configured subscriber count. Increase the value of --pub-count and/or --pub-clients, or decrease the value of \
--sub-count.";
