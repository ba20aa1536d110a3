//! The command line: what was typed to a `Config`, and the exit code back.
//!
//! A command's options override the configuration file, so that the commands themselves look at one place only.

mod args;
mod ask;
mod bench;
mod check;
mod health;
mod init;
mod man;
mod passwd;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod title;
mod top;
mod version;
mod web;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::broker::LogMask;
use crate::config::{self, Config, ConfigError, ReadAgain};
use crate::control::stderr;
use crate::escape::one_line;
use crate::load::secrets;
use crate::server::{self, EXIT_CONFIGURATION};
use args::{Args, Command, Serve};
use start::Described;

/// Runs the command that the arguments name; `serve` is what runs a broker until its end.
pub fn run(
    arguments: impl IntoIterator<Item = OsString>,
    serve: impl FnOnce(Config, ReadAgain) -> ExitCode,
) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    title::hide(&arguments, &secrets::places(&arguments));
    let is_long = arguments.iter().any(|word| word == "--version");
    let args = match Args::try_parse_from(as_mosquitto(arguments)) {
        Ok(args) => args,
        Err(error) => return unread(&error, is_long),
    };
    match args.command {
        Command::Bench(options) => bench::bench(*options),
        Command::Check(options) => check::check(&options),
        Command::Clients(options) => ask::clients(&options),
        Command::Completions(options) => man::completions(&options, Args::command()),
        Command::Health(options) => health::health(&options),
        Command::Init(options) => init::init(&options),
        Command::Kick(options) => ask::kick(&options),
        Command::Man(options) => man::man(&options, Args::command()),
        Command::Passwd(options) => passwd::passwd(&options),
        Command::Retained(options) => ask::retained(&options),
        Command::Store(options) => store::store(&options),
        Command::Top(options) => top::top(&options),
        Command::Trace(options) => ask::trace(&options),
        Command::Who(options) => ask::who(&options),
        Command::Serve(options) if options.daemon => {
            stderr::tell(
                "firehose: there is no -d: the broker stays in the foreground. A service manager starts it \
                 (tuning/firehose.service), or a shell by: setsid firehose serve ... &",
            );
            ExitCode::from(EXIT_CONFIGURATION)
        }
        Command::Serve(options) => start_or_try(options, serve),
    }
}

/// `firehose serve`: a broker, or the trial of its configuration.
fn start_or_try(options: Serve, serve: impl FnOnce(Config, ReadAgain) -> ExitCode) -> ExitCode {
    let described = match described(&options, None) {
        Ok(described) => described,
        Err(error) => {
            stderr::tell(&format!("firehose: {error}"));
            let path = options.start.config.as_deref();
            if let Some(path) = path.filter(|_| !options.test_config) {
                let config = config::load_log(path);
                server::tell_of_configuration(&config, &error.to_string());
            }
            return ExitCode::from(EXIT_CONFIGURATION);
        }
    };
    warn(&described.warnings);
    if options.test_config {
        return test_config(&described, options.start.config.as_deref());
    }
    let load = move |before: &Config| match self::described(&options, Some(before)) {
        Ok(described) => Ok((described.config, described.warnings)),
        Err(error) => Err(error.to_string()),
    };
    serve(described.config, Box::new(load))
}

/// Who calls the program as he calls Mosquitto, with options and no command, wants a broker: `serve` is put in.
fn as_mosquitto(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let first = arguments.get(1).and_then(|argument| argument.to_str());
    let is_option = first.is_some_and(|argument| argument.starts_with('-'));
    if is_option && !matches!(first, Some("-h" | "--help" | "-V" | "--version")) {
        arguments.insert(1, "serve".into());
    }
    arguments
}

/// What a command line that asks for no command prints: help, a version or a usage error.
fn unread(error: &clap::Error, is_long: bool) -> ExitCode {
    if error.kind() == ErrorKind::DisplayVersion && is_long {
        print_config(&version::long());
        return ExitCode::SUCCESS;
    }
    // With the terminal gone nobody misses it.
    let _ = error.print();
    match error.use_stderr() {
        true => ExitCode::from(EXIT_CONFIGURATION),
        false => ExitCode::SUCCESS,
    }
}

/// Prints the effective settings, and tries what a start does.
fn test_config(described: &Described, path: Option<&Path>) -> ExitCode {
    let config = &described.config;
    let certificates = config.certificates.iter().map(ToString::to_string);
    warn(&certificates.collect::<Vec<_>>());
    print_config(&described.effective.text(config));
    match server::try_start(config, path) {
        Ok(tried) => {
            warn(&tried.resources);
            warn(&tried.log);
            warn(&tried.identity);
            warn(&tried.import);
            tried
                .store
                .iter()
                .for_each(|line| warn(std::slice::from_ref(line)));
            ExitCode::SUCCESS
        }
        Err(error) => {
            stderr::tell(&format!("firehose: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn warn(warnings: &[String]) {
    for warning in warnings {
        stderr::tell(&format!("firehose: warning: {warning}"));
    }
}

/// Prints the effective settings; a reader who has seen enough and goes is no error. What stands in a file moves no other
/// characters of a terminal.
fn print_config(text: &str) {
    let mut out = io::stdout().lock();
    for line in text.lines() {
        let _ = writeln!(out, "{}", one_line(line));
    }
}

/// The configuration of a broker, with all that the command line says put over it.
fn described(options: &Serve, before: Option<&Config>) -> Result<Described, ConfigError> {
    let mut described = options.start.described(before)?;
    if options.verbose {
        described.config.settings.log = LogMask::ALL;
        let effective = &mut described.effective;
        effective.command_line("log_type", "all".into(), "-v");
    }
    Ok(described)
}
