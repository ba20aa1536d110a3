//! The `.dat` file of the grid: a header, then a run a line, ten fields with colons between them.
//!
//! A line counts once its end of line is written, and it is written in one go and synced: what an interruption leaves
//! behind the last end of line is dropped by `resume`. One process at a time appends.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::output::brief_row;
use super::stats::{Figures, Row};

/// The names of the fields: the file's first line.
pub const HEADER: &str = "Subscriber Count:Publisher Count:Subscriber Mean Duration:\
Subscriber Duration Std. Deviation:Subscriber Avg. Throughput:Subscriber Total Throughput:\
Publisher Mean Duration:Publisher Duration Std. Deviation:Publisher Avg. Throughput:Publisher Total Throughput";

const FIELDS: usize = 10;

/// How far a product of two printed figures may be from what it should be: their last digits are rounded.
const ROUNDING: f64 = 1e-6;

/// The 579 runs over 60 pairs published in 2017 with the talk "Firehose: a Unified Message Bus for Infra Services":
/// `stresstest.dat` of the repository mtreinish/firehose, branch boston-summit, unchanged. The broker was Mosquitto on
/// 2 vCPU with 2 GB of memory; 10 messages a publisher, 10 awaited a subscriber, QoS 0.
const PUBLISHED_2017: &str = include_str!("published-2017.dat");

/// The number of subscribers and of publishers.
pub type Pair = (u32, u32);

/// Runs by their numbers of subscribers and publishers, each in the order of the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    pub runs: BTreeMap<Pair, Vec<Row>>,
}

/// Why a `.dat` file cannot be used.
#[derive(Debug)]
pub enum DatError {
    /// A line, counted from 1, is neither the header nor a run.
    Line {
        line: usize,
        why: String,
    },
    Io(PathBuf, io::Error),
}

impl fmt::Display for DatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatError::Line { line, why } => write!(f, "line {line} is no run: {why}"),
            DatError::Io(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for DatError {}

impl Grid {
    /// Adds a run.
    pub fn add(&mut self, row: Row) {
        let pair = (row.sub_clients, row.pub_clients);
        self.runs.entry(pair).or_default().push(row);
    }

    /// How many runs a cell has.
    pub fn runs_of(&self, pair: Pair) -> usize {
        self.runs.get(&pair).map_or(0, Vec::len)
    }

    /// All runs of all cells.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.runs.values().flatten()
    }

    /// What runs with other message counts say against adding to them; the figures tell, as throughput times duration
    /// is the count. The size of a message is in no field.
    pub fn other_counts(&self, sub_count: u32, pub_count: u32) -> Option<String> {
        let differs = |figures: &Figures, count: u32| {
            let held = figures.avg_throughput * figures.mean_s;
            ((held - f64::from(count)).abs() > ROUNDING * held).then_some(held.round())
        };
        self.rows().find_map(|row| {
            let (held, kind, count) = match differs(&row.subscriber, sub_count) {
                Some(held) => (held, "subscriber", sub_count),
                None => (differs(&row.publisher, pub_count)?, "publisher", pub_count),
            };
            Some(format!(
                "it holds runs with {held} messages a {kind}, this run has {count}"
            ))
        })
    }
}

/// The pairs of powers of two up to `max`, in the order of the published file: publishers within subscribers.
pub fn cells(max: u32) -> Vec<Pair> {
    let powers = || (0..u32::BITS).map(|bit| 1 << bit).take_while(|&n| n <= max);
    powers()
        .flat_map(|subscribers| powers().map(move |publishers| (subscribers, publishers)))
        .collect()
}

/// The runs that are missing until every cell has `repeat`, pass by pass: what drifts with time then touches all cells,
/// and a grid that is stopped early has the same number of runs everywhere but for one.
pub fn remaining(grid: &Grid, max: u32, repeat: u32) -> Vec<Pair> {
    let cells = cells(max);
    let missing = |pass: u32| {
        let short = move |pair: &Pair| grid.runs_of(*pair) < pass as usize;
        cells.iter().copied().filter(short)
    };
    (1..=repeat).flat_map(missing).collect()
}

/// The published runs of 2017.
pub fn published() -> Grid {
    // A test reads it whole.
    parse(PUBLISHED_2017).unwrap_or_default()
}

/// Reads a file of someone else's, whole.
pub fn read(path: &Path) -> Result<Grid, DatError> {
    let text = std::fs::read_to_string(path).map_err(|e| DatError::Io(path.into(), e))?;
    parse(&text)
}

/// The runs in a text; the header may be missing, and so may the end of the last line.
pub fn parse(text: &str) -> Result<Grid, DatError> {
    let mut grid = Grid::default();
    for (number, line) in text.lines().enumerate() {
        if (number == 0 && line == HEADER) || line.is_empty() {
            continue;
        }
        let line_error = |why| DatError::Line {
            line: number + 1,
            why,
        };
        grid.add(parse_row(line).map_err(line_error)?);
    }
    Ok(grid)
}

fn parse_row(line: &str) -> Result<Row, String> {
    let fields: Vec<&str> = line.split(':').collect();
    if fields.len() != FIELDS {
        return Err(format!("{} fields, not {FIELDS}", fields.len()));
    }
    let figures = |at: usize| {
        Ok::<Figures, String>(Figures {
            mean_s: figure(fields[at])?,
            stddev_s: figure(fields[at + 1])?,
            avg_throughput: figure(fields[at + 2])?,
            total_throughput: figure(fields[at + 3])?,
        })
    };
    Ok(Row {
        sub_clients: clients(fields[0])?,
        pub_clients: clients(fields[1])?,
        subscriber: figures(2)?,
        publisher: figures(6)?,
    })
}

fn clients(field: &str) -> Result<u32, String> {
    let number = field.parse().ok().filter(|&number| number > 0);
    number.ok_or_else(|| format!("{field:?} is no number of clients"))
}

fn figure(field: &str) -> Result<f64, String> {
    let number = field.parse().ok();
    number
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| format!("{field:?} is no duration and no throughput"))
}

/// A file that runs are appended to.
#[derive(Debug)]
pub struct DatFile {
    file: File,
    path: PathBuf,
}

impl DatFile {
    /// Opens or creates the file: what it holds so far, and whether half a line was dropped from its end.
    pub fn resume(path: &Path) -> Result<(DatFile, Grid, bool), DatError> {
        let io_error = |e| DatError::Io(path.into(), e);
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(io_error)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(io_error)?;
        let (whole, grid) = whole_lines(&bytes)?;
        let half = whole < bytes.len();
        if half {
            file.set_len(whole as u64).map_err(io_error)?;
        }
        let path = path.into();
        let mut dat = DatFile { file, path };
        if whole == 0 {
            dat.append_line(HEADER)?;
        }
        Ok((dat, grid, half))
    }

    /// Appends a run; when this returns it is on the disk.
    pub fn append(&mut self, row: &Row) -> Result<(), DatError> {
        self.append_line(&brief_row(row))
    }

    fn append_line(&mut self, line: &str) -> Result<(), DatError> {
        let line = format!("{line}\n");
        let written = self.file.write_all(line.as_bytes());
        written
            .and_then(|()| self.file.sync_data())
            .map_err(|e| DatError::Io(self.path.clone(), e))
    }
}

/// The bytes up to the last end of line, and the runs in them. A file that is not ours is an error, not half a line.
fn whole_lines(bytes: &[u8]) -> Result<(usize, Grid), DatError> {
    let first_line = |why: &str| DatError::Line {
        line: 1,
        why: why.into(),
    };
    let end = bytes.iter().rposition(|&byte| byte == b'\n');
    let whole = end.map_or(0, |at| at + 1);
    if whole == 0 && !HEADER.as_bytes().starts_with(bytes) {
        return Err(first_line("the names of the fields are expected"));
    }
    let text = str::from_utf8(&bytes[..whole]).map_err(|_| first_line("it is not text"))?;
    Ok((whole, parse(text)?))
}
