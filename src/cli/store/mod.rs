//! `firehose store`: looks into what is kept on the disk, copies it, mends it, and brings it to Mosquitto and back.

mod args;
mod check;
mod content;
mod copy;
mod done;
mod dump;
mod kept;
mod mosquitto;
mod own;
mod records;
mod repair;
mod shown;
mod stats;
#[cfg(test)]
mod tests;
mod words;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::control::stderr;

pub(crate) use args::Store;
use args::What;
use done::EXIT_NOT_DONE;

/// Does what `firehose store` was asked for.
pub(super) fn store(options: &Store) -> ExitCode {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = match &options.what {
        What::Stats(options) => stats::stats(options, &mut out),
        What::Dump(options) => dump::dump(options, &mut out),
        What::Check(options) => check::check(options, &mut out),
        What::Repair(options) => repair::repair(options, &mut out),
        What::Backup(options) => copy::backup(options, &mut out),
        What::Export(options) => mosquitto::export(options, &mut out),
        What::Import(options) => mosquitto::import(options, &mut out),
    };
    // A reader who has seen enough and goes is no error.
    let _ = out.flush();
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            stderr::tell(&format!("firehose store: {error}"));
            ExitCode::from(EXIT_NOT_DONE)
        }
    }
}
