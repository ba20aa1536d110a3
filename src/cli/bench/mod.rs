//! `firehose bench`: from the command line to a run, its reports and an exit code.

pub(super) mod command;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::control::{stderr, stdout};
use crate::load::plan::Plan;
use crate::load::report;
use crate::load::result::Answer;
use crate::load::run::{self, BenchError};
use crate::load::secrets;
use crate::load::stress::options::StressArgs;

use command::{Bench, BenchCommand};

/// The exit code of a comparison of reports of different loads.
const EXIT_NOT_COMPARABLE: u8 = 5;

/// Does what `firehose bench` was asked for.
pub(super) fn bench(bench: Bench) -> ExitCode {
    let result = bench
        .command()
        .map_err(BenchError::Usage)
        .and_then(|command| match command {
            BenchCommand::Flat(plan) => load(*plan),
            BenchCommand::Stress(args) => stress(&args),
            BenchCommand::Compare { a, b, anyway } => {
                compare(&a, &b, anyway).map_err(BenchError::Usage)
            }
        });
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            stderr::show(&format!("firehose bench: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

/// The exit code.
fn load(plan: Plan) -> Result<u8, BenchError> {
    let (files, quiet) = (plan.files.clone(), plan.quiet);
    files.check_places().map_err(BenchError::Usage)?;
    let report = run::run(plan, secrets::command(), program()?, &interrupted()?)?;
    let written = report::write_all(&report, &files);
    // What a run has found is not lost with the place that it was to go to.
    let text = || report::text::text(&report);
    match (files.use_stdout(), written.is_err(), quiet) {
        (true, true, _) => stderr::show(&text()),
        (false, true, _) | (false, _, false) => stdout::show(&text()),
        _ => {}
    }
    written.map_err(BenchError::Cannot)?;
    Ok(report.verdict.exit_code)
}

fn compare(a: &Path, b: &Path, anyway: bool) -> Result<u8, String> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let report = text.and_then(|text| report::json::read(&text));
        report.map_err(|error| format!("{}: {error}", path.display()))
    };
    let (a, b) = (read(a)?, read(b)?);
    let found = report::compare::compare(&a, &b, anyway);
    stdout::show(&found.text);
    match anyway || found.other_loads.is_empty() {
        true => Ok(0),
        false => Ok(EXIT_NOT_COMPARABLE),
    }
}

fn stress(args: &StressArgs) -> Result<u8, BenchError> {
    let page = report::Files {
        html: args.grid.html.clone(),
        ..report::Files::default()
    };
    page.check_places().map_err(BenchError::Usage)?;
    let stop = interrupted()?;
    let passed = run::run_stress(args, program()?, &stop)?;
    let answer = match (stop.load(Ordering::Relaxed), passed) {
        (true, _) => Answer::CutShort,
        (_, true) => Answer::Passed,
        (_, false) => Answer::Failed,
    };
    Ok(answer.exit_code())
}

/// This binary, for a broker of its own.
fn program() -> Result<std::path::PathBuf, BenchError> {
    std::env::current_exe()
        .map_err(|error| BenchError::Cannot(format!("this program is not to be found: {error}")))
}

/// A flag that SIGINT and SIGTERM set; the second of them ends the program at once.
fn interrupted() -> Result<Arc<AtomicBool>, BenchError> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let code = i32::from(Answer::CutShort.exit_code());
        let twice =
            signal_hook::flag::register_conditional_shutdown(signal, code, Arc::clone(&flag));
        twice
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(|error| BenchError::Cannot(format!("signals: {error}")))?;
    }
    Ok(flag)
}
