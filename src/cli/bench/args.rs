//! `firehose bench` on the command line; what stands here as documentation is what `--help` prints.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::load::options::Options;
use crate::load::stress::options::StressArgs;

const AFTER: &str = "\
Without a workload it is fanout; without --host, --port and --broker it starts a broker of its own.

Exit codes:
  0  all is well
  1  the answer is no: messages lost, an objective missed, a client that failed, a broker that died
  2  wrong command line or scenario
  3  the machine cannot: too few descriptors, no io_uring, a host that is not there, ...";

/// The load tester
#[derive(Debug, Args)]
#[command(after_help = AFTER, args_conflicts_with_subcommands = true, subcommand_value_name = "WORKLOAD", subcommand_help_heading = "Workloads")]
pub(in crate::cli) struct Bench {
    #[command(subcommand)]
    pub workload: Option<BenchCommand>,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum BenchCommand {
    /// One publisher, many subscribers of its topic [default]
    Fanout(Box<Options>),
    /// Many publishers, each with a topic, one subscriber of all
    Fanin(Box<Options>),
    /// Publishers and subscribers, one to one
    Pairs(Box<Options>),
    /// A tree of topics read with wildcards; deliveries checked by the tester's own matcher
    Wildcard(Box<Options>),
    /// A storm of connections, at a rate
    Connect(Box<Options>),
    /// Clients that connect, subscribe and leave, again and again, at a rate
    Churn(Box<Options>),
    /// Connections that do nothing: what one costs in memory
    Idle(Box<Options>),
    /// A large set of retained messages, replayed to all who subscribe
    Retained(Box<Options>),
    /// Durable sessions that are away while messages come, and then are back
    Backlog(Box<Options>),
    /// The load of the Firehose's bus, raised in steps to ten times the talk's peak
    Ramp(Box<Options>),
    /// The Firehose of 2017 itself: its topics, payloads, rates, bursts and readers
    Firehose(Box<Options>),
    /// The stress test of pymqttbench, and the grid of the 2017 talk
    Stress(Box<StressArgs>),
    /// A scenario from a file, like those in bench/scenarios
    Run(Scenario),
    /// Two reports of --json side by side
    Compare(Compare),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Scenario {
    /// The scenario: TOML, with `workload` and the options of the command line
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub options: Options,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Compare {
    /// A report that --json wrote
    #[arg(value_name = "A.json")]
    pub a: PathBuf,
    /// Another one
    #[arg(value_name = "B.json")]
    pub b: PathBuf,
}
