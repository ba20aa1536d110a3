//! All destinations of the log together: whoever takes no lines has standard error in its place, is told of at once, and
//! counted.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::format::LineFormat;
use super::output::{Line, Output, Publisher, stream, write_to};
use super::sink::Sink;
use crate::broker::LogKind;
use crate::config::{Log as Configured, LogDestination};
use crate::control::place;
use crate::limits;

/// The destinations, opened.
pub(super) struct Outputs {
    all: Vec<Watched>,
    shape: LineFormat,
    /// Standard error, where it is no destination itself.
    stand_in: Option<Sink>,
    /// Lines that a destination has not taken.
    refused: Arc<AtomicU64>,
    /// What takes no lines from the start, with the reason and what happens instead.
    unopened: Vec<String>,
    /// Files that were made.
    made: Vec<PathBuf>,
}

/// A destination, and what is known of it.
struct Watched {
    output: Output,
    /// It takes no lines, and that was said.
    is_told: bool,
    /// When it was said last, in seconds since 1970.
    told_s: u64,
}

/// Something that has come to be, and is to be said.
enum Change {
    Refuses(String),
    TakesAgain(String),
}

impl Outputs {
    /// Opens what the configuration names.
    ///
    /// # Errors
    /// A standard stream cannot be used.
    pub(super) fn open(configured: &Configured) -> io::Result<Outputs> {
        let has_stderr = configured.destinations.contains(&LogDestination::Stderr);
        let mut outputs = Outputs {
            all: Vec::new(),
            shape: LineFormat {
                timestamp: configured.timestamp,
                time_format: configured.timestamp_format.clone(),
                json: configured.json,
            },
            stand_in: match has_stderr {
                true => None,
                false => Some(stream(io::stderr())?),
            },
            refused: Arc::default(),
            unopened: Vec::new(),
            made: Vec::new(),
        };
        for destination in &configured.destinations {
            if let LogDestination::File(path) = destination
                && !place::is_taken(path)
            {
                outputs.made.push(path.clone());
            }
            let (output, problem) = Output::open(destination, configured.facility)?;
            let is_told = problem.is_some();
            if let Some(error) = problem {
                outputs.unopened.push(match output {
                    Output::File(..) => format!(
                        "the log file cannot be opened, its lines go to standard error: {error}"
                    ),
                    _ => refusal(&output, &error.to_string()),
                });
            }
            outputs.all.push(Watched {
                output,
                is_told,
                told_s: 0,
            });
        }
        Ok(outputs)
    }

    /// What takes no lines from the start, with the reason and what happens instead.
    pub(super) fn unopened(&self) -> &[String] {
        &self.unopened
    }

    /// Files that were not there before.
    pub(super) fn made(&self) -> &[PathBuf] {
        &self.made
    }

    /// Lines that a destination has not taken; it is counted there by whoever writes.
    pub(super) fn refused(&self) -> Arc<AtomicU64> {
        self.refused.clone()
    }

    /// Lines for topics are published by this one.
    pub(super) fn publish_by(&mut self, new: &Publisher) {
        for watched in &mut self.all {
            if let Output::Topic(publisher) = &mut watched.output {
                *publisher = Some(new.clone());
            }
        }
    }

    /// Writes a line to all of them, and says what has come to be with it. What comes to be with such a word is said too, which
    /// comes to its end: a destination that refuses lines is told of once in a while.
    pub(super) fn put(&mut self, kind: LogKind, text: &str, now_s: u64) {
        let mut changes = VecDeque::from(self.write(&Line { kind, text, now_s }));
        while let Some(change) = changes.pop_front() {
            let kind = LogKind::Warning;
            match &change {
                // It is refused there too, and so goes to standard error.
                Change::Refuses(text) => changes.extend(self.write(&Line { kind, text, now_s })),
                Change::TakesAgain(text) => self.write_in_place(&Line { kind, text, now_s }),
            }
        }
    }

    /// Writes a line to all of them but standard error, which has it in another form; who does not take it is passed over.
    pub(super) fn put_once(&mut self, kind: LogKind, text: &str, now_s: u64) {
        let line = Line { kind, text, now_s };
        let outputs = self.all.iter_mut().map(|watched| &mut watched.output);
        for output in outputs.filter(|output| !matches!(output, Output::Stderr(_))) {
            // Whoever is told of it has standard error.
            let _ = output.write(&self.shape, &line);
        }
    }

    /// Opens files anew; why some cannot be.
    pub(super) fn reopen(&mut self) -> Vec<io::Error> {
        let all = self.all.iter_mut();
        all.filter_map(|watched| watched.output.reopen().err())
            .collect()
    }

    fn write(&mut self, line: &Line<'_>) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut is_refused = false;
        for watched in &mut self.all {
            match watched.output.write(&self.shape, line) {
                Ok(()) => changes.extend(watched.takes()),
                Err(why) => {
                    is_refused = true;
                    self.refused.fetch_add(1, Ordering::Relaxed);
                    changes.extend(watched.refuses(&why, line.now_s));
                }
            }
        }
        if is_refused {
            self.write_in_place(line);
        }
        changes
    }

    /// Writes a line to standard error.
    fn write_in_place(&mut self, line: &Line<'_>) {
        // Where it cannot be written either, nothing is left to be done.
        if let Some(stand_in) = self.stand_in.as_mut().filter(|sink| sink.has_room()) {
            let _ = write_to(stand_in, &self.shape, line);
        }
    }
}

impl Watched {
    fn takes(&mut self) -> Option<Change> {
        std::mem::take(&mut self.is_told).then(|| {
            let text = format!("{} takes log lines again.", self.output.name());
            Change::TakesAgain(capital(&text))
        })
    }

    fn refuses(&mut self, why: &str, now_s: u64) -> Option<Change> {
        if self.is_told || now_s < self.told_s + limits::LOG_REFUSAL_WORD_S {
            return None;
        }
        (self.is_told, self.told_s) = (true, now_s);
        let text = refusal(&self.output, why);
        Some(Change::Refuses(capital(&text)))
    }
}

/// What is said of a destination that takes no lines.
fn refusal(output: &Output, why: &str) -> String {
    let instead = match output {
        Output::Stderr(_) => "",
        _ => ", they go to standard error until it does",
    };
    format!("{} takes no log lines{instead}: {why}", output.name())
}

/// Lines of the log begin with a capital letter.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}
