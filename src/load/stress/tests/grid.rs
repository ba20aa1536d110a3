//! The loop: order, resume, failures, the stop flag.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::dat::{HEADER, Pair, read};
use super::super::grid::{GridOutcome, run_grid};
use super::super::options::StressArgs;
use super::super::stats::StressResult;
use super::{Scratch, args, cell_result};

fn grid_args(scratch: &Scratch, more: &str) -> StressArgs {
    let dat = scratch.dat();
    args(&format!(
        "--grid --settle-s 0 --dat {} {more}",
        dat.display()
    ))
}

type Ran = (Result<GridOutcome, String>, Vec<Pair>, Vec<String>);

/// Runs it; gives the outcome, the cells run and the lines of progress.
fn run(args: &StressArgs, cell: impl Fn(u32, u32) -> Result<StressResult, String>) -> Ran {
    let (mut ran, mut lines) = (Vec::new(), Vec::new());
    let outcome = run_grid(
        args,
        &AtomicBool::new(false),
        &mut |subs, pubs| {
            ran.push((subs, pubs));
            cell(subs, pubs)
        },
        &mut |line| lines.push(line.to_string()),
    );
    (outcome, ran, lines)
}

fn good(subs: u32, pubs: u32) -> Result<StressResult, String> {
    Ok(cell_result(subs, pubs, 1000))
}

#[test]
fn every_cell_is_run_and_written_in_passes() {
    let scratch = Scratch::new();
    let (outcome, ran, lines) = run(&grid_args(&scratch, "--grid-max 2 --repeat 2"), good);
    let outcome = outcome.unwrap();
    let pass = [(1, 1), (1, 2), (2, 1), (2, 2)];
    assert_eq!(ran, [pass, pass].concat());
    assert!(outcome.is_complete() && !outcome.stopped && outcome.written == 8);
    assert_eq!(read(&scratch.dat()).unwrap(), outcome.grid);
    assert_eq!(lines.len(), 8);
    assert_eq!(
        lines[2],
        "3/8: 2 x 1: subscribers 20000 msg/s, publishers 10000 msg/s"
    );
}

#[test]
fn an_interrupted_grid_goes_on() {
    let scratch = Scratch::new();
    let args = grid_args(&scratch, "--grid-max 2 --repeat 1");
    let stop = AtomicBool::new(false);
    let mut count = 0;
    let outcome = run_grid(
        &args,
        &stop,
        &mut |subs, pubs| {
            count += 1;
            stop.store(count == 3, Ordering::Relaxed);
            // The third is cut short by the stop itself.
            if count == 3 {
                Err("interrupted".into())
            } else {
                good(subs, pubs)
            }
        },
        &mut |_| {},
    )
    .unwrap();
    assert!(outcome.stopped && outcome.failed.is_empty());
    assert_eq!((outcome.written, outcome.missing), (2, 2));

    // Killed in the middle of a line, too.
    let text = scratch.text();
    fs::write(scratch.dat(), format!("{text}2:1:0.0")).unwrap();
    let (outcome, ran, lines) = run(&args, good);
    assert_eq!(ran, [(2, 1), (2, 2)]);
    assert!(outcome.unwrap().is_complete());
    assert!(lines[0].contains("cut short"), "{lines:?}");
    assert!(
        lines[1].ends_with("2 runs are done, 2 are missing"),
        "{lines:?}"
    );

    let (outcome, ran, _) = run(&args, good);
    assert!(ran.is_empty() && outcome.unwrap().is_complete());
}

#[test]
fn a_run_that_completes_while_stopping_is_kept() {
    let scratch = Scratch::new();
    let stop = AtomicBool::new(false);
    let outcome = run_grid(
        &grid_args(&scratch, "--grid-max 2"),
        &stop,
        &mut |subs, pubs| {
            stop.store(true, Ordering::Relaxed);
            good(subs, pubs)
        },
        &mut |_| {},
    )
    .unwrap();
    assert!(outcome.stopped && outcome.written == 1 && outcome.missing == 23);
}

#[test]
fn a_failed_cell_is_reported_not_written_and_tried_again_next_time() {
    let scratch = Scratch::new();
    let args = grid_args(&scratch, "--grid-max 2 --repeat 2");
    let (outcome, ran, lines) = run(&args, |subs, pubs| match (subs, pubs) {
        (1, 2) => Err("connection refused".into()),
        (2, 2) => {
            let mut result = cell_result(2, 2, 1000);
            result.subscribers[0].complete = false;
            Ok(result)
        }
        _ => good(subs, pubs),
    });
    let outcome = outcome.unwrap();
    assert_eq!(ran, [(1, 1), (1, 2), (2, 1), (2, 2), (1, 1), (2, 1)]);
    assert_eq!((outcome.written, outcome.missing), (4, 4));
    let why: Vec<&str> = outcome.failed.iter().map(|cell| &*cell.why).collect();
    assert_eq!(why, ["connection refused", "1 subscription workers failed"]);
    assert!(lines[1].contains("1 x 2: failed: connection refused"));
    assert!(!scratch.text().contains("1:2:"));
    let (outcome, ran, _) = run(&args, good);
    assert_eq!(ran, [(1, 2), (2, 2), (1, 2), (2, 2)]);
    assert!(outcome.unwrap().is_complete());
}

#[test]
fn a_result_that_makes_no_line_is_a_failure() {
    let scratch = Scratch::new();
    let args = grid_args(&scratch, "--grid-max 1 --repeat 1");
    let (outcome, ..) = run(&args, |_, _| Ok(cell_result(1, 1, 0)));
    assert!(outcome.unwrap().failed[0].why.contains("duration of zero"));
    let (outcome, ..) = run(&args, |_, _| good(2, 1));
    assert!(outcome.unwrap().failed[0].why.contains("2 subscribers"));
    assert_eq!(scratch.text(), format!("{HEADER}\n"));
}

#[test]
fn a_file_of_other_runs_is_refused() {
    let scratch = Scratch::new();
    run(&grid_args(&scratch, "--grid-max 1"), good).0.unwrap();
    let before = scratch.text();
    let (outcome, ran, _) = run(&grid_args(&scratch, "--pub-count 20"), good);
    let error = outcome.unwrap_err();
    assert!(
        error.contains("--dat") && error.contains("grid.dat"),
        "{error}"
    );
    assert!(ran.is_empty());
    assert_eq!(scratch.text(), before);

    let nowhere = args("--grid --dat /nonexistent/grid.dat");
    let error = run(&nowhere, good).0.unwrap_err();
    assert_eq!(error.matches("/nonexistent/grid.dat").count(), 1, "{error}");
}
