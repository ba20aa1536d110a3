//! The commands and their options; what stands here as documentation is what `--help` prints.

use clap::{Parser, Subcommand};

use super::start::Start;

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
    Clients(super::ask::Clients),
    Completions(super::man::Completions),
    Health(super::health::Health),
    Init(super::init::Init),
    Kick(super::ask::Kick),
    Man(super::man::Man),
    Passwd(super::passwd::Passwd),
    Retained(super::ask::Retained),
    Store(super::store::Store),
    Top(super::top::Top),
    Trace(super::ask::Trace),
    Who(super::ask::Who),
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
    #[command(flatten)]
    pub start: Start,

    /// Log everything, whatever the configuration file says
    #[arg(short, long)]
    pub verbose: bool,

    /// Do what a start does but serve: read the configuration and all files that it names, print what is in effect and
    /// where it comes from, bind, open and create everything, and end
    #[arg(long = "test-config")]
    pub test_config: bool,

    /// Mosquitto's option to go to the background: known, so that its refusal says what to do instead
    #[arg(short, long, hide = true)]
    pub daemon: bool,
}
