//! How what a broker has answered is said: in lines.

use std::io::{self, Write};

use crate::cli::web::Failed;
use crate::escape::one_line;

/// Writes a line. A reader who has seen enough and goes is no error.
pub(super) fn print(line: &str) -> Result<(), Failed> {
    match writeln!(io::stdout().lock(), "{}", one_line(line)) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => other.map_err(|error| Failed::Broker(format!("cannot write: {error}"))),
    }
}
