//! `firehose bench`: from the command line to a run, its reports and an exit code.

pub(super) mod args;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::load::options::Options;
use crate::load::plan::plan;
use crate::load::report;
use crate::load::run::{self, BenchError};
use crate::load::scenario;
use crate::load::stress::options::StressArgs;
use crate::load::workloads::Workload;

use args::{Bench, BenchCommand, Compare};

/// The exit code of a run whose answer is no.
const EXIT_NO: u8 = 1;

/// Does what `firehose bench` was asked for.
pub(super) fn bench(bench: Bench) -> ExitCode {
    let result = match bench.workload {
        None => load(Workload::Fanout, &bench.options),
        Some(BenchCommand::Fanout(options)) => load(Workload::Fanout, &options),
        Some(BenchCommand::Fanin(options)) => load(Workload::Fanin, &options),
        Some(BenchCommand::Pairs(options)) => load(Workload::Pairs, &options),
        Some(BenchCommand::Wildcard(options)) => load(Workload::Wildcard, &options),
        Some(BenchCommand::Connect(options)) => load(Workload::Connect, &options),
        Some(BenchCommand::Churn(options)) => load(Workload::Churn, &options),
        Some(BenchCommand::Idle(options)) => load(Workload::Idle, &options),
        Some(BenchCommand::Retained(options)) => load(Workload::Retained, &options),
        Some(BenchCommand::Backlog(options)) => load(Workload::Backlog, &options),
        Some(BenchCommand::Ramp(options)) => load(Workload::Ramp, &options),
        Some(BenchCommand::Firehose(options)) => load(Workload::Firehose, &options),
        Some(BenchCommand::Stress(args)) => stress(&args),
        Some(BenchCommand::Run(file)) => scenario::read(&file.file)
            .map_err(BenchError::Usage)
            .and_then(|(workload, options)| load(workload, &file.options.or(options))),
        Some(BenchCommand::Compare(files)) => compare(&files).map_err(BenchError::Usage),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_NO),
        Err(error) => {
            eprintln!("firehose bench: {error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Whether all is well.
fn load(workload: Workload, options: &Options) -> Result<bool, BenchError> {
    let plan = plan(workload, options).map_err(BenchError::Usage)?;
    let (files, quiet) = (plan.files.clone(), plan.quiet);
    let command = std::env::args().collect();
    let report = run::run(plan, command, program()?, &interrupted()?)?;
    report::write_all(&report, &files).map_err(BenchError::Cannot)?;
    if !quiet && !files.use_stdout() {
        print!("{}", report::text::text(&report));
    }
    Ok(report.verdict.passed)
}

fn compare(files: &Compare) -> Result<bool, String> {
    let read = |path: &std::path::Path| {
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string());
        let report = text.and_then(|text| report::json::read(&text));
        report.map_err(|error| format!("{}: {error}", path.display()))
    };
    let (a, b) = (read(&files.a)?, read(&files.b)?);
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
