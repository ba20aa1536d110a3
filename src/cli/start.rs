//! What a broker starts with, typed alike for `serve` and `check`, and the configuration that it comes to.

use std::path::PathBuf;

use clap::{ArgAction, value_parser};

use crate::config::{self, Config, CpuList, Effective};
use crate::limits::SHARDS_MAX;

#[derive(Debug, clap::Args)]
pub(super) struct Start {
    /// Configuration file, in the syntax of mosquitto.conf(5)
    #[arg(short = 'c', long = "config-file", value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Port to listen on instead of 1883, where the configuration file defines no listener; may be given several times
    #[arg(short, long = "port", value_name = "PORT", action = ArgAction::Append, value_parser = value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,

    /// Shards, each a thread on a CPU of its own [default: one per CPU that may be used]
    #[arg(long, value_name = "N", value_parser = value_parser!(u8).range(1..=SHARDS_MAX as i64))]
    pub shards: Option<u8>,

    /// CPUs for the shards, like 0-3,6 [default: those that may be used]
    #[arg(long, value_name = "LIST")]
    pub cpus: Option<CpuList>,
}

/// A configuration, what to warn of, and where each setting comes from.
pub(super) struct Described {
    pub config: Config,
    pub warnings: Vec<String>,
    pub effective: Effective,
}

impl Start {
    /// The configuration of a broker: the file's, with what the command line says put over it. Files that may not be read any
    /// more are as they are in `before`.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub(super) fn described(
        &self,
        before: Option<&Config>,
    ) -> Result<Described, config::ConfigError> {
        let (mut config, warnings, mut effective) = match &self.config {
            Some(path) => config::load_described(path, before)?,
            None => (Config::default(), Vec::new(), Effective::default()),
        };
        let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        if !self.ports.is_empty() {
            if config.use_ports(&self.ports) {
                effective.command_line_ports();
            } else {
                warnings.push("-p has no effect: the configuration file defines listeners".into());
            }
        }
        if let Some(shards) = self.shards {
            config.shards = Some(shards);
            effective.command_line("shards", shards.to_string(), "--shards");
        }
        if let Some(cpus) = &self.cpus {
            config.cpu_list = Some(cpus.clone());
            effective.command_line("cpu_list", cpus.to_string(), "--cpus");
        }
        Ok(Described {
            config,
            warnings,
            effective,
        })
    }
}
