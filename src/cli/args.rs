//! The commands and their options; what stands here as documentation is what `--help` prints.

use std::path::PathBuf;

use clap::{ArgAction, Parser, Subcommand, value_parser};

use crate::config::CpuList;
use crate::limits::SHARDS_MAX;

/// An MQTT broker for Linux, one thread per core, each with an io_uring of its own; and a load tester
#[derive(Debug, Parser)]
#[command(name = "firehose", version, arg_required_else_help = true)]
pub(super) struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the broker until SIGTERM or SIGINT
    #[command(after_help = EXIT_CODES)]
    Serve(Serve),
    Bench(Box<super::bench::command::Bench>),
    Check(super::check::Check),
    Passwd(super::passwd::Passwd),
}

const EXIT_CODES: &str = "\
Without a configuration file that defines a listener, clients on this host are served on port 1883.

Exit codes:
  0  ended by SIGTERM or SIGINT, everything flushed; with --test-config: the broker would start
  1  a part failed while the broker ran, or the kernel's memory for it: to be started anew
  2  wrong command line or configuration
  3  the host does not let the broker run: a port is taken, io_uring is forbidden, ...";

#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    /// Configuration file, in the syntax of mosquitto.conf(5)
    #[arg(short = 'c', long = "config-file", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Port to listen on instead of 1883, where the configuration file defines no listener; may be given several times
    #[arg(short, long = "port", value_name = "PORT", action = ArgAction::Append, value_parser = value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,

    /// Log everything, whatever the configuration file says
    #[arg(short, long)]
    pub verbose: bool,

    /// Shards, each a thread on a CPU of its own [default: one per CPU that may be used]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=SHARDS_MAX as i64))]
    pub shards: Option<u8>,

    /// CPUs for the shards, like 0-3,6 [default: those that may be used]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuList>,

    /// Do what a start does but serve: read the configuration and all files that it names, print what is in effect and
    /// where it comes from, bind, open and create everything, and end
    #[arg(long = "test-config")]
    pub test_config: bool,
}
