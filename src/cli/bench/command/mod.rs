//! `firehose bench`: what was typed, to what is to be done. Nothing is carried out here.
//!
//! Every workload is a subcommand that takes the same options; its help is made of the workload's own text and presets.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, Subcommand};

use crate::load::options::Options;
use crate::load::plan::{Plan, plan};
use crate::load::scenario;
use crate::load::stress::options::StressArgs;
use crate::load::workloads::Workload;

#[cfg(test)]
mod tests;

/// What `firehose bench` was asked for.
#[derive(Debug)]
pub(crate) enum BenchCommand {
    /// A workload, planned.
    Flat(Box<Plan>),
    /// pymqttbench's stress test; `check` found nothing wrong.
    Stress(Box<StressArgs>),
    /// Two JSON reports, side by side.
    Compare {
        a: PathBuf,
        b: PathBuf,
        /// Whether it does not matter that the loads differ.
        anyway: bool,
    },
}

const EXIT_CODES: &str = "\
Without a workload it is fanout, and without --host or --port the broker is one of its own, started for the run.
`firehose bench WORKLOAD --help` names the workload's presets.

Exit codes:
  0  done, and every message was where it had to be
  1  the answer is no: messages lost or repeated, an objective missed, clients that failed, the broker died
  2  wrong command line or scenario file, a report that cannot be written where it is to go
  3  it could not run: nobody listens, no such host, a wrong login, TLS that fails, a port that speaks something else, too few
     file descriptors, io_uring is forbidden, ...
  4  not valid as a limit of the broker: --find-max or --slo missed, and the tester was the limit
  5  compare: the reports are of different loads
  130  cut short by SIGINT or SIGTERM, and reported as far as it was measured; a second one ends it at once";

const COMPARE_EXIT_CODES: &str = "\
Exit codes:
  0  compared, whatever came of it
  2  a file that is no report
  5  not comparable: the workloads differ, or the options under Load; --anyway compares them all the same";

/// Loads an MQTT broker, verifies every message and reports rates and latencies
#[derive(Debug, Args)]
#[command(
    after_help = EXIT_CODES,
    args_conflicts_with_subcommands = true,
    mut_args(of_fanout),
    subcommand_help_heading = "Workloads and more",
    subcommand_value_name = "WORKLOAD"
)]
pub(crate) struct Bench {
    #[command(subcommand)]
    work: Option<Work>,
    #[command(flatten)]
    options: Options,
}

/// What stands behind `firehose bench`.
#[derive(Debug)]
enum Work {
    Flat(Workload, Box<Options>),
    Other(Other),
}

/// What takes other options than the workloads.
#[derive(Debug, Subcommand)]
enum Other {
    Stress(Box<StressArgs>),
    /// A workload with its options from a file, like those in bench/scenarios; options typed here come before it
    Run {
        /// Scenario in TOML: `workload = "fanout"`, and options by their long names
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Two reports side by side, with ratios
    #[command(after_help = COMPARE_EXIT_CODES)]
    Compare {
        /// JSON report that the other one is compared with
        #[arg(value_name = "A.json")]
        a: PathBuf,
        /// JSON report
        #[arg(value_name = "B.json")]
        b: PathBuf,
        /// Say which is better, and exit with 0, even if the loads differ
        #[arg(long)]
        anyway: bool,
    },
}

impl Bench {
    /// What is to be done; an error is one of usage.
    pub(crate) fn command(self) -> Result<BenchCommand, String> {
        let planned = |workload, options: &Options| {
            let plan = plan(workload, options)?;
            Ok(BenchCommand::Flat(Box::new(plan)))
        };
        match self.work {
            None => planned(Workload::Fanout, &self.options),
            Some(Work::Flat(workload, options)) => planned(workload, &options),
            Some(Work::Other(Other::Run { file, options })) => {
                let scenario = scenario::read(&file)?;
                planned(scenario.workload, &scenario.with(*options))
                    .map_err(|why| format!("{}: {why}", file.display()))
            }
            Some(Work::Other(Other::Stress(args))) => {
                args.check()?;
                Ok(BenchCommand::Stress(Box::new(args.with_password()?)))
            }
            Some(Work::Other(Other::Compare { a, b, anyway })) => {
                Ok(BenchCommand::Compare { a, b, anyway })
            }
        }
    }
}

impl FromArgMatches for Work {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        if let Some((name, given)) = matches.subcommand()
            && let Some(workload) = Workload::by_name(name)
        {
            let options = Options::from_arg_matches(given)?;
            return Ok(Work::Flat(workload, Box::new(options)));
        }
        Other::from_arg_matches(matches).map(Work::Other)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Work::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Subcommand for Work {
    fn augment_subcommands(mut command: Command) -> Command {
        for workload in Workload::ALL {
            let named = Command::new(workload.name());
            // What means nothing to it is refused, and not listed.
            let defaults = defaults(workload);
            let listed = |arg: Arg| {
                let is_used = arg.get_long().is_none_or(|name| workload.uses(name));
                with_default(arg, &defaults).hide(!is_used)
            };
            command = command.subcommand(
                Options::augment_args(named)
                    .mut_args(listed)
                    .about(workload.about())
                    .after_help(presets(workload)),
            );
        }
        Other::augment_subcommands(command)
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Work::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        Workload::by_name(name).is_some() || Other::has_subcommand(name)
    }
}

/// What holds for a workload where nothing is typed, by the options' names; what is off by default is not told.
fn defaults(workload: Workload) -> BTreeMap<String, String> {
    let mut defaults = workload.presets().or(Options::defaults()).settings();
    defaults.retain(|name, value| workload.uses(name) && value != "false");
    defaults
}

/// An option that says what holds where it is not typed.
fn with_default(arg: Arg, defaults: &BTreeMap<String, String>) -> Arg {
    let value = arg.get_long().and_then(|name| defaults.get(name));
    let Some((value, help)) = value.zip(arg.get_help()) else {
        return arg;
    };
    let help = help.to_string();
    let said = help.split(" [default").next().unwrap_or(&help);
    let told = format!("{said} [default: {value}]");
    arg.help(told)
}

/// The same for `firehose bench` without a workload, which is a fan-out.
fn of_fanout(arg: Arg) -> Arg {
    with_default(arg, &defaults(Workload::Fanout))
}

/// What a workload sets unless it is typed, where others have other defaults; for its help.
fn presets(workload: Workload) -> String {
    let each = workload.presets().settings().into_iter();
    let each = each.filter(|(name, _)| workload.uses(name));
    let each: Vec<String> = each
        .map(|(name, value)| format!("--{name} {value}"))
        .collect();
    format!("Presets: {}", each.join(" "))
}
