//! How commands ask a broker that runs: over HTTP (`protocol http_api`), with TLS or without, by name or by certificate. `firehose top` comes to
//! MQTT by the same stream. Threads wait here as long as they are told to, and no longer; nothing is asked twice but where it says so.

pub(super) mod account;
pub(super) mod address;
pub(super) mod events;
pub(super) mod hints;
pub(super) mod line;
pub(super) mod site;
pub(super) mod stream;

use std::process::ExitCode;

use crate::control::stderr;
use crate::server::EXIT_CONFIGURATION;

/// The exit code where the broker has not answered with what was asked for.
pub(super) const EXIT_FAILED: u8 = 1;

/// Exit codes of all that asks, for `--help`.
pub(super) const AFTER_HELP: &str = "\
The broker has to have a listener for that: `listener 9883 127.0.0.1` and below it `protocol http_api`. Where no password is given for a
user name, it is asked for at the terminal.

Examples:
  firehose clients --sort lag --limit 10
  firehose clients sensor-7
  firehose who plant/7/alarm
  firehose retained 'plant/#'
  firehose kick sensor-7 --username ann
  firehose clients --url https://broker.example --cafile ca.crt --username ann --password-file ~/.firehose

Exit codes:
  0  done
  1  the broker does not answer, or refuses, or has no such thing, or a shard is missing in the answer
  2  wrong command line, or a file that it names cannot be used";

/// Why a command has not done what it was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// What was typed, or a file that it names, is of no use.
    Usage(String),
    /// The broker does not do it.
    Broker(String),
}

impl From<String> for Failed {
    fn from(text: String) -> Failed {
        Failed::Broker(text)
    }
}

impl Failed {
    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self {
            Failed::Usage(_) => EXIT_CONFIGURATION,
            Failed::Broker(_) => EXIT_FAILED,
        }
    }

    /// In words: a line.
    pub(super) fn text(&self) -> &str {
        match self {
            Failed::Usage(text) | Failed::Broker(text) => text,
        }
    }
}

/// Says what went wrong, if something did; the exit code.
pub(super) fn finish(result: Result<(), Failed>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            stderr::tell(&format!("firehose: {}", failed.text()));
            ExitCode::from(failed.code())
        }
    }
}
