//! The grid: every cell as often as asked, each run appended to the `.dat` file as soon as it is done.
//!
//! The traffic is the caller's; this thread only calls for it, waits between runs, and stops between two runs when it
//! is told to. A run with a client that failed is reported and not written: its throughput would be another figure.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::dat::{DatError, DatFile, Grid, Pair, remaining};
use super::options::StressArgs;
use super::output::failures;
use super::stats::{Row, StressResult};

/// How often the wait between two runs looks whether to stop.
const LOOK_MS: u64 = 20;

/// Runs one cell: subscribers, publishers.
pub type RunCell<'a> = dyn FnMut(u32, u32) -> Result<StressResult, String> + 'a;

/// What became of the grid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GridOutcome {
    /// All runs in the file, those of earlier invocations included.
    pub grid: Grid,
    /// Runs of this invocation that were written.
    pub written: u32,
    /// Cells that failed in this invocation. Such a cell is not tried again before the next.
    pub failed: Vec<FailedCell>,
    /// Runs still missing, those of the failed cells included.
    pub missing: u32,
    /// Whether it was told to stop before it was done.
    pub stopped: bool,
}

/// A cell without a result.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedCell {
    pub subscribers: u32,
    pub publishers: u32,
    pub why: String,
}

impl GridOutcome {
    /// Whether every cell has all its runs.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }
}

/// Runs what the file does not hold yet. `progress` gets a line, without its end, for what is found and for each run.
/// An error is about the file; a cell's own is in the outcome.
pub fn run_grid(
    args: &StressArgs,
    stop: &AtomicBool,
    run_cell: &mut RunCell<'_>,
    progress: &mut dyn FnMut(&str),
) -> Result<GridOutcome, String> {
    let (mut dat, grid) = open(args, progress)?;
    let mut outcome = GridOutcome {
        grid,
        ..GridOutcome::default()
    };
    let to_run = remaining(&outcome.grid, args.grid.max, args.runs());
    for (number, &pair) in to_run.iter().enumerate() {
        if outcome.has_failed(pair) {
            continue;
        }
        let quiet = if number == 0 { 0.0 } else { args.settle_s };
        if !wait(quiet, stop) {
            break;
        }
        let result = run_cell(pair.0, pair.1);
        let row = match result.and_then(|result| row(&result, pair)) {
            Ok(row) => row,
            // A run that was cut short says nothing about the cell.
            Err(_) if stop.load(Ordering::Relaxed) => break,
            Err(why) => {
                progress(&format!("{} x {}: failed: {why}", pair.0, pair.1));
                outcome.fail(pair, why);
                continue;
            }
        };
        dat.append(&row).map_err(|e| e.to_string())?;
        outcome.grid.add(row);
        outcome.written += 1;
        progress(&done_line(number + 1, to_run.len(), &row));
    }
    outcome.stopped = stop.load(Ordering::Relaxed);
    let missing = remaining(&outcome.grid, args.grid.max, args.runs());
    outcome.missing = missing.len() as u32;
    Ok(outcome)
}

impl GridOutcome {
    fn has_failed(&self, (subscribers, publishers): Pair) -> bool {
        let failed = &mut self.failed.iter();
        failed.any(|cell| (cell.subscribers, cell.publishers) == (subscribers, publishers))
    }

    fn fail(&mut self, (subscribers, publishers): Pair, why: String) {
        self.failed.push(FailedCell {
            subscribers,
            publishers,
            why,
        });
    }
}

/// Opens the file, and says what is in it.
fn open(args: &StressArgs, progress: &mut dyn FnMut(&str)) -> Result<(DatFile, Grid), String> {
    let path = args.dat();
    let (dat, grid, half) = DatFile::resume(path).map_err(|error| match error {
        DatError::Line { .. } => named(args, &error.to_string()),
        DatError::Io(..) => error.to_string(),
    })?;
    if let Some(why) = grid.other_counts(args.sub_count, args.pub_count) {
        let why = format!("{why}; name another file with --dat");
        return Err(named(args, &why));
    }
    if half {
        progress(&named(args, "its last line was cut short and is dropped"));
    }
    let held = grid.rows().count();
    if held > 0 {
        let missing = remaining(&grid, args.grid.max, args.runs()).len();
        progress(&named(
            args,
            &match held {
                1 => format!("1 run is done, {missing} are missing"),
                _ => format!("{held} runs are done, {missing} are missing"),
            },
        ));
    }
    Ok((dat, grid))
}

fn named(args: &StressArgs, text: &str) -> String {
    format!("{}: {text}", args.dat().display())
}

/// The fields of a run that may stand in the file.
fn row(result: &StressResult, (subscribers, publishers): Pair) -> Result<Row, String> {
    if !result.is_complete() {
        let failures = failures(result);
        return Err(failures.trim_end().replace('\n', ", "));
    }
    let row = result.row();
    if (row.sub_clients, row.pub_clients) != (subscribers, publishers) {
        return Err(format!(
            "results of {} subscribers and {} publishers",
            row.sub_clients, row.pub_clients
        ));
    }
    if !row.subscriber.is_finite() || !row.publisher.is_finite() {
        return Err("a duration of zero gives no throughput".into());
    }
    Ok(row)
}

fn done_line(number: usize, of: usize, row: &Row) -> String {
    format!(
        "{number}/{of}: {} x {}: subscribers {:.0} msg/s, publishers {:.0} msg/s",
        row.sub_clients,
        row.pub_clients,
        row.subscriber.total_throughput,
        row.publisher.total_throughput
    )
}

/// Waits; false when it is time to stop.
fn wait(seconds: f64, stop: &AtomicBool) -> bool {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    while !stop.load(Ordering::Relaxed) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(Duration::from_millis(LOOK_MS)));
    }
    false
}
