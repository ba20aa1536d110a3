//! A harness for tests that need what not every machine has: other brokers, clients, rights, kernel features. What cannot be
//! tested is counted as ignored, with the reason, and named once more at the end, where libtest would count it as passed.
//!
//! A file that uses it has `harness = false` in `Cargo.toml` and lists its tests with [`cases`]; a function that is not listed
//! is dead code, which the compiler tells. In CI a program that is missing fails its tests.

use std::fs::OpenOptions;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Completion, Failed, Trial};

use crate::support::Skipped;

/// Makes `main` of a file: it runs these functions as tests.
#[macro_export]
macro_rules! cases {
    ($($name:ident),+ $(,)?) => {
        fn main() -> std::process::ExitCode {
            harness::run(&[$((stringify!($name), $name)),+])
        }
    };
}

/// Runs the tests as the command line asks for, names those that could not be done, and says how the process ends.
pub fn run(cases: &[(&'static str, fn())]) -> ExitCode {
    let ignored = Arc::new(Mutex::new(Vec::new()));
    let trials = cases.iter().map(|&(name, case)| {
        let ignored = Arc::clone(&ignored);
        Trial::ignorable_test(name, move || {
            let completion = attempt(case)?;
            if let Completion::Ignored { reason } = &completion {
                let line = format!("{name}: {}", reason.as_deref().unwrap_or_default());
                ignored.lock().unwrap().push(line);
            }
            Ok(completion)
        })
    });
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials.collect());
    let mut ignored = ignored.lock().unwrap();
    ignored.sort();
    tell(&ignored);
    conclusion.exit_code()
}

/// A test that says by a [`Skipped`] that it cannot be done is ignored; every other panic is the caller's.
fn attempt(case: fn()) -> Result<Completion, Failed> {
    match catch_unwind(AssertUnwindSafe(case)) {
        Ok(()) => Ok(Completion::Completed),
        Err(payload) => match payload.downcast::<Skipped>() {
            Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
            Err(panic) => resume_unwind(panic),
        },
    }
}

/// Names what was not tested: on the standard error, and in the file that FIREHOSE_SKIPPED names, for the end of a run of
/// many files.
fn tell(ignored: &[String]) {
    if ignored.is_empty() {
        return;
    }
    eprintln!("not tested here:");
    for line in ignored {
        eprintln!("    {line}");
    }
    if let Some(path) = std::env::var_os("FIREHOSE_SKIPPED") {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let text: String = ignored.iter().map(|line| format!("{line}\n")).collect();
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .expect("the file that FIREHOSE_SKIPPED names");
    }
}
