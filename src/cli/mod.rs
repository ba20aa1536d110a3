//! The command line: what was typed to a `Config`, and the exit code back.
//!
//! A command's options override the configuration file, so that the commands themselves look at one place only.

mod args;
mod bench;
mod check;
mod exit;
mod passwd;
#[cfg(test)]
mod tests;
mod title;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::broker::LogMask;
use crate::config::{self, Config, Effective, ReadAgain};
use crate::escape::one_line;
use crate::load::secrets;
use crate::server;
use args::{Args, Command, Serve};

pub use exit::EXIT_USAGE;

/// Runs the command that the arguments name; `serve` is what runs a broker until its end.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Config, ReadAgain) -> ExitCode,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    title::hide(&arguments, &secrets::places(&arguments));
    let args = match Args::try_parse_from(arguments) {
        Ok(args) => args,
        Err(error) => {
            // What is printed here is help, a version or a usage error; with the terminal gone nobody misses it.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(EXIT_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    match args.command {
        Command::Bench(options) => bench::bench(*options),
        Command::Check(options) => check::check(&options),
        Command::Passwd(options) => passwd::passwd(&options),
        Command::Serve(options) => match described(&options, None) {
            Ok((config, warnings, effective)) => {
                for warning in warnings {
                    eprintln!("firehose: warning: {}", one_line(&warning));
                }
                if options.test_config {
                    for note in &config.certificates {
                        eprintln!("firehose: warning: {}", one_line(&note.to_string()));
                    }
                    return test_config(&config, &effective, options.config.as_deref());
                }
                let load = move |before: &Config| {
                    configure(&options, before).map_err(|error| error.to_string())
                };
                serve(config, Box::new(load))
            }
            Err(error) => {
                eprintln!("firehose: {}", one_line(&error.to_string()));
                ExitCode::from(EXIT_USAGE)
            }
        },
    }
}

/// Prints the effective settings, and tries what a start does.
fn test_config(config: &Config, effective: &Effective, path: Option<&Path>) -> ExitCode {
    let printed = print_config(&effective.text(config));
    match server::try_start(config, path) {
        Ok(warnings) => {
            for warning in warnings {
                eprintln!("firehose: warning: {}", one_line(&warning));
            }
            printed
        }
        Err(error) => {
            eprintln!("firehose: {}", one_line(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints the effective settings; a reader who has seen enough and goes is no error.
fn print_config(text: &str) -> ExitCode {
    let _ = io::stdout().lock().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// The configuration of a broker: the file's, with what the command line says put over it; and what to warn of.
fn configure(
    options: &Serve,
    before: &Config,
) -> Result<(Config, Vec<String>), config::ConfigError> {
    let (config, warnings, _) = described(options, Some(before))?;
    Ok((config, warnings))
}

/// As `configure`, with where each setting comes from.
fn described(
    options: &Serve,
    before: Option<&Config>,
) -> Result<(Config, Vec<String>, Effective), config::ConfigError> {
    let (mut config, warnings, mut effective) = match &options.config {
        Some(path) => config::load_described(path, before)?,
        None => (Config::default(), Vec::new(), Effective::default()),
    };
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    if !options.ports.is_empty() {
        if config.use_ports(&options.ports) {
            effective.command_line_ports();
        } else {
            warnings.push("-p has no effect: the configuration file defines listeners".into());
        }
    }
    if options.verbose {
        config.settings.log = LogMask::ALL;
        effective.command_line("log_type", "all".into(), "-v");
    }
    if let Some(shards) = options.shards {
        config.shards = Some(shards);
        effective.command_line("shards", shards.to_string(), "--shards");
    }
    if let Some(cpus) = &options.cpus {
        config.cpu_list = Some(cpus.clone());
        effective.command_line("cpu_list", cpus.to_string(), "--cpus");
    }
    Ok((config, warnings, effective))
}
