//! Tests of `stress`, against text and lines that pymqttbench printed and against the published runs.

mod compare;
mod dat;
mod grid;
mod options;
mod output;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::Parser;

use super::dat::Grid;
use super::options::StressArgs;
use super::stats::{ClientTimes, Row, StressResult};

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    args: StressArgs,
}

/// The options of a command line.
fn parsed(line: &str) -> Result<StressArgs, clap::Error> {
    let words = std::iter::once("stress").chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.args)
}

fn args(line: &str) -> StressArgs {
    parsed(line).unwrap_or_else(|e| panic!("{e}"))
}

/// Clients that completed, by their durations in microseconds.
fn clients(durations_us: &[u64]) -> Vec<ClientTimes> {
    let client = |&us: &u64| ClientTimes {
        duration_s: us as f64 / 1e6,
        messages: 10,
        complete: true,
    };
    durations_us.iter().map(client).collect()
}

fn result(subscribers_us: &[u64], publishers_us: &[u64]) -> StressResult {
    StressResult {
        subscribers: clients(subscribers_us),
        publishers: clients(publishers_us),
        sub_count: 10,
        pub_count: 10,
        msg_size: 1024,
        qos: 0,
    }
}

/// A run of a cell in which everyone takes the same time.
fn cell_result(subscribers: u32, publishers: u32, us: u64) -> StressResult {
    result(
        &vec![us; subscribers as usize],
        &vec![us; publishers as usize],
    )
}

fn grid_of(rows: &[Row]) -> Grid {
    let mut grid = Grid::default();
    rows.iter().for_each(|&row| grid.add(row));
    grid
}

/// A file name in a folder of its own, removed in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Scratch {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("firehose-stress-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }

    fn dat(&self) -> PathBuf {
        self.0.join("grid.dat")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.dat()).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
