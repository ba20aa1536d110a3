//! `firehose store check`: whether a start would take a store, and what is wrong with it if not.

use std::io::Write;

use serde::Serialize;

use super::args::Check;
use super::content::{Content, Misfit, content};
use super::done::{Done, EXIT_DAMAGED, EXIT_DONE, EXIT_LESS};
use super::kept::kept;
use super::repair::{Lost, lost, made_good, untold};
use super::words::{json, quoted, unreadable};
use crate::storage::{Fault, Hole, LookError, Outcome, Remains, StartError, segment_name};

/// How a store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Sound,
    Torn,
    Damaged,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
struct Wrong {
    file: String,
    byte: Option<u64>,
    what: String,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    store: String,
    verdict: Verdict,
    run: u32,
    /// Blocks that were read, of a store that is not damaged.
    blocks: Option<u64>,
    sessions: usize,
    retained: usize,
    /// Segment and byte where a crash has cut off what was being written.
    torn: Option<(String, u64)>,
    wrong: Vec<Wrong>,
    lost: Vec<Lost>,
    /// What a repair has from elsewhere.
    made_good: Vec<String>,
    /// What may be lost without a trace.
    untold: Vec<String>,
    advice: &'static str,
}

const SOUND: &str = "A start takes it as it is.";
const TORN: &str = "A start takes it: it cuts off the end, in which nothing was that had been acknowledged. There is nothing to do.";
const DAMAGED: &str = "A start refuses it. Look at the disk (smartctl -a, dmesg). Restore a backup, or: firehose store repair DIR NEW";

/// Looks, and says it.
pub(super) fn check(options: &Check, out: &mut dyn Write) -> Done {
    let seen = content(&options.dir, |view| view.folder().display().to_string());
    let report = match seen {
        Ok((content, outcome, store)) => of_readable(&content, &outcome, store),
        Err(error) if is_damage(&error) => of_damaged(options, &error)?,
        Err(error) => return Err(unreadable(&options.dir, &error)),
    };
    // A reader who has seen enough and goes is no error.
    let _ = match options.json {
        true => writeln!(out, "{}", json(&report)),
        false => report.write(out),
    };
    Ok(match report.verdict {
        Verdict::Sound => EXIT_DONE,
        Verdict::Torn => EXIT_LESS,
        Verdict::Damaged => EXIT_DAMAGED,
    })
}

/// Whether it is the store that is damaged, or its disk: not its place, nor who asks.
fn is_damage(error: &LookError) -> bool {
    match error {
        LookError::Start(StartError::Fault { fault, .. }) => !fault.is_of_newer(),
        LookError::Start(StartError::Io { source, .. }) => {
            source.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
        }
        _ => false,
    }
}

fn named((segment, byte): (u32, u64)) -> (String, u64) {
    (segment_name(segment), byte)
}

fn of_readable(content: &Content, outcome: &Outcome, store: String) -> Report {
    let wrong: Vec<Wrong> = content.misfit.iter().map(of_misfit).collect();
    let (verdict, advice) = match (wrong.is_empty(), outcome.torn) {
        (false, _) => (Verdict::Damaged, DAMAGED),
        (true, Some(_)) => (Verdict::Torn, TORN),
        (true, None) => (Verdict::Sound, SOUND),
    };
    let counts = content.legacy.counts();
    Report {
        store,
        verdict,
        run: outcome.run,
        blocks: Some(outcome.blocks),
        sessions: counts.sessions,
        retained: counts.retained,
        torn: outcome.torn.map(named),
        wrong,
        lost: Vec::new(),
        made_good: Vec::new(),
        untold: Vec::new(),
        advice,
    }
}

fn of_misfit(misfit: &Misfit) -> Wrong {
    let (file, byte) = named(misfit.place);
    Wrong {
        file,
        byte: Some(byte),
        what: format!(
            "chunk {} of shard {} is whole and cannot be: {}",
            misfit.sequence, misfit.stream, misfit.broken
        ),
    }
}

fn of_fault(fault: &Fault) -> Wrong {
    let (file, byte) = fault.place();
    Wrong {
        file,
        byte,
        what: fault.to_string(),
    }
}

fn of_hole(hole: &Hole) -> Wrong {
    let (file, byte) = named(hole.from);
    let (first, end) = hole.blocks;
    let blocks = match end - first {
        1 => format!("block {first} was on the disk and cannot be read any more"),
        _ => format!(
            "blocks {first} to {} were on the disk and cannot be read any more",
            end - 1
        ),
    };
    let goes_on = match hole.to {
        Some((segment, byte)) => format!(
            "; reading goes on in {} at byte {byte}",
            segment_name(segment)
        ),
        None => "; nothing comes behind them".into(),
    };
    Wrong {
        file,
        byte: Some(byte),
        what: blocks + &goes_on,
    }
}

/// Goes on behind the first damage.
fn of_damaged(options: &Check, error: &LookError) -> Result<Report, String> {
    let failed = |error: LookError| unreadable(&options.dir, &error);
    let remains = Remains::open(&options.dir, None).map_err(failed)?;
    let kept = kept(&remains).map_err(failed)?;
    let faults = remains.faults().iter().map(of_fault);
    let mut wrong: Vec<Wrong> = faults
        .chain(kept.salvaged.holes.iter().map(of_hole))
        .collect();
    wrong.extend(kept.ends.iter().map(of_misfit));
    if wrong.is_empty() {
        // What a start finds and this does not, a disk that fails now and then for example.
        let (file, byte) = error.fault().map_or(("STORE".into(), None), Fault::place);
        wrong.push(Wrong {
            file,
            byte,
            what: error.to_string(),
        });
    }
    let counts = kept.content.legacy.counts();
    Ok(Report {
        store: remains.folder().display().to_string(),
        verdict: Verdict::Damaged,
        run: remains.run(),
        blocks: None,
        sessions: counts.sessions,
        retained: counts.retained,
        torn: kept.salvaged.torn.map(named),
        wrong,
        lost: lost(&kept),
        made_good: made_good(&kept).collect(),
        untold: untold(&kept),
        advice: DAMAGED,
    })
}

impl Report {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let store = quoted(&self.store);
        match self.verdict {
            Verdict::Sound => writeln!(out, "sound: {store}, run {}", self.run)?,
            Verdict::Torn => writeln!(out, "cut off by a crash: {store}, run {}", self.run)?,
            Verdict::Damaged => writeln!(out, "damaged: {store}, run {}", self.run)?,
        }
        if let Some(blocks) = self.blocks {
            writeln!(
                out,
                "  {blocks} blocks are right, each checksum and each reference"
            )?;
        }
        writeln!(
            out,
            "  {} sessions and {} retained messages can be read",
            self.sessions, self.retained
        )?;
        for wrong in &self.wrong {
            match wrong.byte {
                Some(byte) => writeln!(out, "  {} at byte {byte}: {}", wrong.file, wrong.what)?,
                None => writeln!(out, "  {}: {}", wrong.file, wrong.what)?,
            }
        }
        if let Some((file, byte)) = &self.torn {
            writeln!(out, "  {file} is cut off at byte {byte}, as by a crash")?;
        }
        for line in &self.made_good {
            writeln!(out, "  {line}")?;
        }
        for lost in &self.lost {
            writeln!(out, "  {lost}")?;
        }
        for line in &self.untold {
            writeln!(out, "  {line}")?;
        }
        writeln!(out, "{}", self.advice)
    }
}
