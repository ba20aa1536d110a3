//! `firehose store backup`: a copy that a broker can start with.

use std::io::Write;

use serde::Serialize;

use super::args::Backup;
use super::content::Content;
use super::done::{Done, EXIT_DONE};
use super::words::{json, moment, quoted, size, unreadable};
use crate::storage::{back_up, folder};

/// What was done.
#[derive(Debug, Serialize)]
struct Told {
    folder: String,
    run: u32,
    linked: usize,
    copied: usize,
    copied_bytes: u64,
    sessions: usize,
    retained: usize,
    /// When the last block of it was written.
    as_of: Option<String>,
}

/// Makes it, and says what it has.
pub(super) fn backup(options: &Backup, out: &mut dyn Write) -> Done {
    let Backup {
        dir,
        dest,
        json: is_json,
    } = options;
    if folder(dest).is_ok() {
        return Err(format!(
            "{} has a store already; name a directory without one",
            dest.display()
        ));
    }
    let mut content = Content::default();
    let done = back_up(dir, dest, &mut |chunk| match chunk {
        None => content = Content::default(),
        Some(chunk) => content.feed(&chunk),
    });
    let done = done.map_err(|error| unreadable(dir, &error))?;
    if let Some(misfit) = content.misfit {
        // It is as good as the store is, which a start refuses.
        return Err(format!(
            "shard {}: {}; {} is as damaged as the store: firehose store check {} says more",
            misfit.stream,
            misfit.broken,
            done.folder.display(),
            dir.display()
        ));
    }
    let counts = content.legacy.counts();
    let told = Told {
        folder: done.folder.display().to_string(),
        run: done.outcome.run,
        linked: done.segments.0,
        copied: done.segments.1,
        copied_bytes: done.copied,
        sessions: counts.sessions,
        retained: counts.retained,
        as_of: Some(done.outcome.wall_ms).filter(|ms| *ms > 0).map(moment),
    };
    // A reader who has seen enough and goes is no error.
    let _ = match is_json {
        true => writeln!(out, "{}", json(&told)),
        false => told.write(out),
    };
    Ok(EXIT_DONE)
}

impl Told {
    fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        writeln!(
            out,
            "{}: {} sessions and {} retained messages as of {}; {} segments linked, {} copied ({})",
            quoted(&self.folder),
            self.sessions,
            self.retained,
            self.as_of.as_deref().unwrap_or("no time yet"),
            self.linked,
            self.copied,
            size(self.copied_bytes)
        )
    }
}
