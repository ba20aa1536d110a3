//! `firehose check`: what host and configuration lack for the wished connections and shards. It changes nothing.

mod checks;
mod facts;
mod memory;
mod report;
#[cfg(test)]
mod tests;
mod wish;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::value_parser;

use crate::config::{self, Config};
use crate::escape::one_line;
use crate::limits::SHARDS_MAX;
use crate::server::budget::Layout;
use crate::server::resources;

/// Connections that are wished for where nothing says how many.
const CONNECTIONS_DEFAULT: u64 = 10_000;

/// Says what this host and a configuration lack for so many connections and shards
#[derive(Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Check {
    /// Configuration file, in the syntax of mosquitto.conf(5)
    #[arg(short = 'c', long = "config-file", value_name = "FILE")]
    config: Option<PathBuf>,

    /// Connections to serve [default: what the configuration allows, or 10000]
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1 << 32))]
    connections: Option<u64>,

    /// Shards [default: as serve would start]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=SHARDS_MAX as i64))]
    shards: Option<u8>,

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
  2  wrong command line or configuration
  3  the broker cannot run with this configuration on this host";

/// Bytes from `N`, `NK`, `NM` or `NG`.
fn size(text: &str) -> Result<u64, String> {
    config::size(text).ok_or_else(|| "a size like 512M or 4G".to_owned())
}

/// Looks, and says what it found.
pub(super) fn check(options: &Check) -> ExitCode {
    let loaded = options.config.as_deref().map(config::load).transpose();
    let mut config = match loaded {
        Ok(loaded) => loaded.map_or_else(Config::default, |(config, _)| config),
        Err(error) => {
            eprintln!("firehose check: {}", one_line(&error.to_string()));
            return ExitCode::from(crate::cli::EXIT_USAGE);
        }
    };
    config.shards = options.shards.or(config.shards);
    config.memory.limit = options.memory.or(config.memory.limit);
    resources::raise_open_files();
    let cpus = match resources::cpus(config.cpu_list.as_ref()) {
        Ok(cpus) => cpus.len(),
        Err(error) => {
            eprintln!("firehose check: {}", one_line(&error.to_string()));
            return ExitCode::from(crate::server::EXIT_MACHINE);
        }
    };
    let shards = resources::shards(config.shards, cpus);
    let here = facts::Here {
        config: options.config.clone(),
        pid_file: config.pid_file.clone(),
    };
    let (budget, _) = memory::budget(&here, &config, Layout::new(shards));
    let files = budget.as_ref().map(|budget| budget.descriptors);
    let wish = wish::Wish {
        connections: options
            .connections
            .or_else(|| resources::connections_max(&config))
            .unwrap_or(CONNECTIONS_DEFAULT),
        shards,
        layout: Layout::new(shards),
        files: files.unwrap_or_else(|_| resources::descriptors(&config)),
    };
    let findings = checks::all(&here, &config, &wish);
    if options.json {
        let text = serde_json::to_string_pretty(&findings);
        println!("{}", text.unwrap_or_default());
    } else {
        let colour = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{}", report::table(&findings, colour));
        if let Ok(budget) = budget {
            println!("\n{}\n{}", budget.headline(), budget.lines().join("\n"));
        }
    }
    ExitCode::from(report::exit_code(&findings))
}
