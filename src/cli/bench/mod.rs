//! `firehose bench`: from the command line to a run, its reports and an exit code.

pub(super) mod command;

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::load::plan::Plan;
use crate::load::report;
use crate::load::run::{self, BenchError};
use crate::load::secrets;
use crate::load::stress::options::StressArgs;

use command::{Bench, BenchCommand};

/// The exit code of a run whose answer is no.
const EXIT_NO: u8 = 1;

/// Does what `firehose bench` was asked for.
pub(super) fn bench(bench: Bench) -> ExitCode {
    let result = bench
        .command()
        .map_err(BenchError::Usage)
        .and_then(|command| match command {
            BenchCommand::Flat(plan) => load(*plan),
            BenchCommand::Stress(args) => stress(&args),
            BenchCommand::Compare { a, b } => compare(&a, &b).map_err(BenchError::Usage),
        });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NO),
        Err(error) => {
            eprintln!("firehose bench: {}", secrets::redacted(&error.to_string()));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether all is well.
fn load(plan: Plan) -> Result<bool, BenchError> {
    let (files, quiet) = (plan.files.clone(), plan.quiet);
    let report = run::run(plan, secrets::command(), program()?, &interrupted()?)?;
    report::write_all(&report, &files).map_err(BenchError::Cannot)?;
    if !quiet && !files.use_stdout() {
        print!("{}", report::text::text(&report));
    }
    Ok(report.verdict.passed)
}

fn compare(a: &Path, b: &Path) -> Result<bool, String> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let report = text.and_then(|text| report::json::read(&text));
        report.map_err(|error| format!("{}: {error}", path.display()))
    };
    let (a, b) = (read(a)?, read(b)?);
    print!("{}", report::compare::compare(&a, &b));
    Ok(true)
}

fn stress(args: &StressArgs) -> Result<bool, BenchError> {
    run::run_stress(args, program()?, &interrupted()?)
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
        let twice = signal_hook::flag::register_conditional_shutdown(signal, 1, Arc::clone(&flag));
        twice
            .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
            .map_err(|error| BenchError::Cannot(format!("signals: {error}")))?;
    }
    Ok(flag)
}
