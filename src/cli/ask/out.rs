//! How what a broker has answered is said: lines, and the exit code.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::control::stderr;
use crate::escape::one_line;

/// The exit code where the broker has not answered with what was asked for.
const EXIT_FAILED: u8 = 1;

/// What ends a command early.
pub(super) type Failed = String;

pub(super) const EXIT_CODES: &str = "\
The broker has to have a listener with `protocol http_api`.

Exit codes:
  0  done
  1  the broker does not answer, or refuses, or has no such thing, or a shard is missing in the answer
  2  wrong command line";

/// What a command ends with.
pub(super) fn finish(result: Result<(), Failed>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr::tell(&format!("firehose: {error}"));
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Writes a line. A reader who has seen enough and goes is no error.
pub(super) fn print(line: &str) -> Result<(), Failed> {
    match writeln!(io::stdout().lock(), "{}", one_line(line)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| format!("cannot write: {error}")),
    }
}
