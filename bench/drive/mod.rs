//! The driver's command line: one subcommand per scenario.
//!
//! The driver is one thread. It has its own minimal MQTT encoding (`wire`), so that it shares no defect with the
//! broker that it measures. Every scenario verifies what arrived: a run that lost, duplicated or invented a message
//! prints `"verified":false` and exits with 1.

mod bare;
mod churn;
mod count;
mod idle;
mod link;
mod meter;
mod plan;
mod probe;
mod report;
mod stream;
mod sys;
mod track;
mod wire;

use std::net::SocketAddrV4;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use plan::Plan;
use report::Report;
use wire::Version;

/// What went wrong in a run, in words. There is nobody to recover: the run is over.
pub type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
#[command(
    name = "drive",
    about = "Loads an MQTT broker over loopback and measures its CPU time"
)]
struct Cli {
    #[command(subcommand)]
    scenario: Scenario,
    /// Passed by `cargo bench`; without meaning here.
    #[arg(long, global = true, hide = true)]
    bench: bool,
}

/// What every scenario needs to know.
#[derive(Args, Clone)]
pub struct Common {
    /// Where the broker listens.
    #[arg(long, default_value = "127.0.0.1:1883")]
    addr: SocketAddrV4,
    /// The broker's process, whose CPU time and memory are read from outside.
    #[arg(long)]
    pid: i32,
    /// Copied to the report.
    #[arg(long, default_value = "")]
    label: String,
    /// Load before the measured window, in seconds.
    #[arg(long, default_value_t = 1.0)]
    warm: f64,
    /// The measured window, in seconds.
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Give up when nothing arrives for this long, in seconds.
    #[arg(long, default_value_t = 10.0)]
    stall: f64,
    /// Never sleep: poll the sockets all the time.
    #[arg(long)]
    spin: bool,
    /// Speak MQTT 5 instead of 3.1.1.
    #[arg(long)]
    v5: bool,
}

impl Common {
    fn version(&self) -> Version {
        if self.v5 { Version::V5 } else { Version::V311 }
    }

    fn stall(&self) -> Duration {
        Duration::from_secs_f64(self.stall)
    }
}

/// The size of the traffic.
#[derive(Args, Clone)]
struct Traffic {
    #[arg(long, default_value_t = 64)]
    payload: usize,
    #[arg(long, default_value_t = 0)]
    qos: u8,
    /// Messages that a publisher keeps outstanding: sent, and not yet delivered to every subscriber.
    #[arg(long, default_value_t = 64)]
    window: u32,
}

#[derive(Subcommand)]
enum Scenario {
    /// One publisher, many subscribers of one topic.
    Fanout {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        traffic: Traffic,
        #[arg(long, default_value_t = 1000)]
        subs: u32,
        /// Messages a second (open loop), instead of a window.
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Pairs of one publisher and one subscriber, each with a topic of its own.
    Pairs {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        traffic: Traffic,
        #[arg(long, default_value_t = 50)]
        pairs: u32,
        /// Messages a second of all pairs together (open loop), instead of a window.
        #[arg(long)]
        rate: Option<f64>,
    },
    /// Many publishers, one subscriber of all their topics.
    Fanin {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        traffic: Traffic,
        #[arg(long, default_value_t = 100)]
        pubs: u32,
    },
    /// Many publishers, a shared group of subscribers.
    Shared {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        traffic: Traffic,
        #[arg(long, default_value_t = 100)]
        pubs: u32,
        #[arg(long, default_value_t = 4)]
        subs: u32,
    },
    /// 1000 subscribers, each with a filter of its own (exact, `+`, `#`), one publisher that walks over the topics.
    Filters {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        traffic: Traffic,
        #[arg(long, default_value_t = 200)]
        topics: u32,
    },
    /// Clients that connect, subscribe and disconnect.
    Churn {
        #[command(flatten)]
        common: Common,
        /// Clients at a time.
        #[arg(long, default_value_t = 16)]
        slots: usize,
    },
    /// Connections that do nothing, each with one subscription of its own.
    Idle {
        #[command(flatten)]
        common: Common,
        #[arg(long, default_value_t = 15_000)]
        connections: u32,
    },
    /// Stands in for a broker: every PUBLISH becomes one bare `send()` call per subscriber.
    Bare {
        #[arg(long)]
        port: u16,
        /// One `send()` per subscriber for all that a read brought: the driver's own ceiling.
        #[arg(long)]
        coalesce: bool,
    },
}

pub fn main() -> ExitCode {
    match run(Cli::parse().scenario) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(report)) => {
            println!("{}", report.json());
            if report.verified() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(failure) => {
            eprintln!("drive: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(scenario: Scenario) -> Result<Option<Report>, Failure> {
    let report = match scenario {
        Scenario::Fanout {
            common,
            traffic,
            subs,
            rate,
        } => {
            if traffic.qos == 0 && rate.is_none() {
                count::run(&common, subs, traffic.payload, traffic.window)?
            } else {
                stream::run(&common, Plan::fanout(subs).traffic(&traffic, rate))?
            }
        }
        Scenario::Pairs {
            common,
            traffic,
            pairs,
            rate,
        } => stream::run(&common, Plan::pairs(pairs).traffic(&traffic, rate))?,
        Scenario::Fanin {
            common,
            traffic,
            pubs,
        } => stream::run(&common, Plan::fanin(pubs).traffic(&traffic, None))?,
        Scenario::Shared {
            common,
            traffic,
            pubs,
            subs,
        } => stream::run(&common, Plan::shared(pubs, subs).traffic(&traffic, None))?,
        Scenario::Filters {
            common,
            traffic,
            topics,
        } => stream::run(&common, Plan::filters(topics).traffic(&traffic, None))?,
        Scenario::Churn { common, slots } => churn::run(&common, slots)?,
        Scenario::Idle {
            common,
            connections,
        } => idle::run(&common, connections)?,
        Scenario::Bare { port, coalesce } => return bare::run(port, coalesce).map(|()| None),
    };
    Ok(Some(report))
}

/// The source address of client `index`: 127.0.0.2 and on, so that no address runs out of ports.
fn source(index: u64) -> std::net::Ipv4Addr {
    let host = 2 + u8::try_from(index % 200).unwrap_or(0);
    std::net::Ipv4Addr::new(127, 0, 0, host)
}
