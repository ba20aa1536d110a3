//! `firehose check`: what host and configuration lack for the wished connections and shards. It makes a start and undoes it, and
//! changes nothing else.

mod checks;
mod disk;
mod facts;
mod memory;
mod report;
mod started;
#[cfg(test)]
mod tests;
mod wish;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::value_parser;

use super::start::Start;
use crate::config::{self, Config};
use crate::control::{stderr, stdout};
use crate::escape::one_line;
use crate::server::budget::{Budget, Layout};
use crate::server::{self, EXIT_CONFIGURATION, resources};
use report::Finding;

/// Connections that are wished for where nothing says how many.
const CONNECTIONS_DEFAULT: u64 = 10_000;

/// Says what this host and a configuration lack for so many connections and shards
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Check {
    #[command(flatten)]
    start: Start,

    /// Connections to serve [default: what the configuration allows, or 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 32))]
    connections: Option<u64>,

    /// Memory of the broker, like 512M or 4G [default: memory_limit, or what the host gives]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    memory: Option<u64>,

    /// Write JSON instead of a table
    #[arg(long)]
    json: bool,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  everything suffices
  1  the broker runs, but something that is wanted is missing
  2  wrong command line or configuration, as of serve
  3  the host does not let the broker run, as of serve";

/// Bytes from `N`, `NK`, `NM` or `NG`.
fn size(text: &str) -> Result<u64, String> {
    config::size(text).ok_or_else(|| "a size like 512M or 4G".to_owned())
}

/// Looks, and says what it found.
pub(super) fn check(options: &Check) -> ExitCode {
    let described = match options.start.described(None) {
        Ok(described) => described,
        Err(error) => {
            stderr::tell(&format!("firehose check: {error}"));
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    let mut config = described.config;
    config.memory.limit = options.memory.or(config.memory.limit);
    let mut findings: Vec<Finding> = started::of_configuration(&described.warnings).collect();
    let (of_host, budget) = look(options, &config);
    findings.extend(of_host);
    // At the end: it makes of root the broker's user.
    let tried = server::try_start(&config, options.start.config.as_deref());
    findings.extend(started::findings(&tried));
    // As that user, who is to write there.
    let held_max = budget.as_ref().map(|budget| budget.kept_max());
    findings.extend(disk::findings(&facts::Here::default(), &config, held_max));
    if options.json {
        stdout::show(&format!("{}\n", report::json(&findings)));
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        stdout::show(&report::table(&findings, colour));
        if let Some(budget) = budget {
            let lines = [vec![String::new(), budget.headline()], budget.lines()].concat();
            for line in &lines {
                stdout::show(&format!("{}\n", one_line(line)));
            }
        }
    }
    let start = tried.err().map(|error| error.exit_code());
    ExitCode::from(report::exit_code(&findings, start))
}

/// What host and configuration have, and how memory is split. Nothing where the CPUs cannot be had: what is looked at goes by
/// the number of shards, and the start says why.
fn look(options: &Check, config: &Config) -> (Vec<Finding>, Option<Budget>) {
    resources::raise_open_files();
    let Ok(cpus) = resources::cpus(config.cpu_list.as_ref()) else {
        return (Vec::new(), None);
    };
    let shards = resources::shards(config.shards, cpus.len());
    let here = facts::Here {
        config: options.start.config.clone(),
        pid_file: config.pid_file.clone(),
    };
    let (budget, _) = memory::budget(&here, config, Layout::new(shards));
    let files = budget.as_ref().map(|budget| budget.descriptors);
    let wish = wish::Wish {
        connections: options
            .connections
            .or_else(|| resources::connections_max(config))
            .unwrap_or(CONNECTIONS_DEFAULT),
        shards,
        layout: Layout::new(shards),
        files: files.unwrap_or_else(|_| resources::descriptors(config)),
    };
    (checks::all(&here, config, &wish), budget.ok())
}
