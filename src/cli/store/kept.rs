//! What can be kept of a damaged store: the journals that are read from what is left of its files, and what is lost with the rest.

use super::content::{Content, Misfit};
use crate::journal::{Choices, Found, Glance, Ledger, Lost, Scan, Span};
use crate::storage::{LookError, Recovered, Remains, Salvaged};

/// What is kept.
pub(super) struct Kept {
    pub(super) content: Content,
    pub(super) salvaged: Salvaged,
    /// What ended streams, or kept them from being read from a checkpoint on.
    pub(super) ends: Vec<Misfit>,
    /// By stream; `None`: nothing.
    pub(super) spans: Vec<Option<Span>>,
    /// By stream: when the last chunk of it was written, in milliseconds since 1970.
    pub(super) until_ms: Vec<u64>,
    /// By stream.
    pub(super) lost: Vec<Lost>,
    /// Blocks that are missing and of which no stream is known to have a chunk less: what some streams wrote last.
    pub(super) unplaced: u64,
}

impl Kept {
    /// Whether a chunk is kept.
    pub(super) fn has(&self, chunk: &Recovered<'_>) -> bool {
        is_in(&self.spans, chunk)
    }

    /// Whether nothing of a stream that counts is missing, as far as is known.
    pub(super) fn is_whole(&self, remains: &Remains) -> bool {
        let mut lost = self.lost.iter();
        self.salvaged.holes.is_empty()
            && self.ends.is_empty()
            && lost.all(Lost::is_nothing)
            && remains.faults().is_empty()
            && self.unfinished().next().is_none()
    }

    /// The shards whose stream begins with a checkpoint that is not all there: of sessions that have no image yet nothing is known.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = usize> {
        let ledgers = self.content.legacy.ledgers().enumerate();
        let unfinished = ledgers.filter(|(_, ledger)| !ledger.is_whole());
        unfinished.map(|(shard, _)| shard)
    }
}

fn found<'a>(chunk: &Recovered<'a>) -> Found<'a> {
    Found {
        sequence: chunk.sequence,
        place: chunk.place,
        content: chunk.content,
    }
}

fn is_in(spans: &[Option<Span>], chunk: &Recovered<'_>) -> bool {
    let span = spans.get(usize::from(chunk.stream)).copied().flatten();
    span.is_some_and(|span| span.has(chunk.sequence))
}

/// Reads what there is until nothing in it contradicts anything else.
pub(super) fn kept(remains: &Remains) -> Result<Kept, LookError> {
    let (scans, salvaged) = scanned(remains)?;
    let blocks: u64 = salvaged
        .holes
        .iter()
        .map(|hole| hole.blocks.1 - hole.blocks.0)
        .sum();
    let unplaced = blocks.saturating_sub(scans.iter().map(Scan::missing).sum());
    let all = scans.iter().enumerate().map(|(index, scan)| {
        let has_beginning = salvaged.begins.get(index).copied();
        scan.choices(has_beginning.unwrap_or(false))
    });
    let mut all: Vec<Choices> = all.collect();
    let mut ends: Vec<Misfit> = Vec::new();
    loop {
        let spans: Vec<_> = all.iter().map(Choices::span).collect();
        let mut content = Content::default();
        let mut until_ms = vec![0; spans.len()];
        remains.read(&mut |chunk| {
            if is_in(&spans, &chunk) {
                content.feed(&chunk);
                until_ms[usize::from(chunk.stream)] = chunk.wall_ms;
            }
        })?;
        // Each time one stream has one choice less, or is shorter than before.
        if let Some(misfit) = content.misfit {
            let index = usize::from(misfit.stream);
            all[index].refuse(Some(misfit.sequence));
            ends.retain(|end| end.stream != misfit.stream);
            ends.push(misfit);
            continue;
        }
        let ledgers = content.legacy.ledgers();
        let is_partial = |(index, ledger): (usize, &Ledger)| {
            let span = spans.get(index).copied().flatten();
            !ledger.is_whole() && span.is_some_and(|span| span.checkpoint.is_some())
        };
        if let Some(index) = ledgers.enumerate().position(is_partial) {
            all[index].refuse(None);
            continue;
        }
        let lost = lost(remains, &content, &spans)?;
        return Ok(Kept {
            content,
            salvaged,
            ends,
            spans,
            until_ms,
            lost,
            unplaced,
        });
    }
}

/// What there is of each stream, also of one of which nothing is there.
fn scanned(remains: &Remains) -> Result<(Vec<Scan>, Salvaged), LookError> {
    let mut scans = Vec::<Scan>::new();
    let salvaged = remains.read(&mut |chunk| {
        let index = usize::from(chunk.stream);
        if scans.len() <= index {
            scans.resize_with(index + 1, Scan::default);
        }
        scans[index].note(&found(&chunk));
    })?;
    let streams = scans.len().max(salvaged.begins.len());
    scans.resize_with(streams, Scan::default);
    Ok((scans, salvaged))
}

/// What is not kept.
fn lost(
    remains: &Remains,
    content: &Content,
    spans: &[Option<Span>],
) -> Result<Vec<Lost>, LookError> {
    let mut glances: Vec<Glance> = spans.iter().map(|_| Glance::default()).collect();
    remains.read(&mut |chunk| {
        let index = usize::from(chunk.stream);
        if let Some(glance) = glances.get_mut(index) {
            let ledger = content.legacy.ledger(chunk.stream);
            glance.see(&found(&chunk), spans[index], ledger);
        }
    })?;
    Ok(glances.into_iter().map(Glance::end).collect())
}
