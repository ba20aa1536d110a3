//! What was handed over and told in each run, and what a start has to give back of it.

use std::collections::BTreeMap;

use crate::storage::{Opened, Outcome};

#[derive(Clone, Default)]
pub(super) struct Stream {
    pub(super) handed: Vec<Vec<u8>>,
    pub(super) told: u64,
    /// Of what was told: what has to be there at every start from now on.
    pub(super) required: u64,
}

/// A checkpoint that the caller has called complete: where each stream begins.
type Starts = Vec<u64>;

#[derive(Default)]
pub(super) struct Run {
    /// The stream of each chunk, in the order over all.
    pub(super) order: Vec<usize>,
    pub(super) streams: Vec<Stream>,
    pub(super) checkpoints: Vec<Starts>,
    /// So many of them are known to be in force.
    pub(super) reported: u64,
}

#[derive(Default)]
pub(super) struct Record {
    pub(super) runs: BTreeMap<u32, Run>,
}

/// Chunks as a start has given them, by stream: the number of the first, and their contents.
#[derive(Default)]
pub(super) struct Given(pub(super) BTreeMap<u8, (u64, Vec<Vec<u8>>)>);

impl Record {
    /// Whether a start has given back what it had to, and nothing else.
    pub(super) fn check(
        &self,
        opened: &Opened,
        outcome: &Outcome,
        given: &Given,
    ) -> Result<(), String> {
        let is_owed = |run: &Run| run.reported > 0 || run.streams.iter().any(|s| s.told > 0);
        let owed = self.runs.iter().rev().find(|(_, run)| is_owed(run));
        let owed = owed.map_or(0, |(number, _)| *number);
        if outcome.run < owed {
            return Err(format!("run {} was read, {owed} was in force", outcome.run));
        }
        if outcome.run == 0 {
            return Ok(());
        }
        let run = self.runs.get(&outcome.run).ok_or("an unknown run")?;
        let starts = &opened.store.starts;
        let known = run.checkpoints.iter().rposition(|known| known == starts);
        let known = known.ok_or_else(|| format!("begins with no checkpoint: {starts:?}"))?;
        if (known as u64) + 1 < run.reported {
            return Err(format!("begins with an old checkpoint: {starts:?}"));
        }
        for (number, stream) in run.streams.iter().enumerate() {
            let next = outcome.next[number];
            if next < stream.required {
                return Err(format!(
                    "run {} stream {number}: {next} chunks, {} were told",
                    outcome.run, stream.required
                ));
            }
            let (first, chunks) = match given.0.get(&(number as u8)) {
                Some((first, chunks)) => (*first, &chunks[..]),
                None => (starts[number], &[][..]),
            };
            if first != starts[number] || first + chunks.len() as u64 != next {
                return Err(format!("stream {number}: {first} and on is not {starts:?}"));
            }
            let handed = stream.handed.get(first as usize..next as usize);
            if handed != Some(chunks) {
                return Err(format!("stream {number}: what came is not what was handed"));
            }
        }
        run.check_order(&outcome.next)
    }
}

impl Run {
    /// Whether what was read, as a count of chunks for each stream, is the beginning of what was handed over.
    fn check_order(&self, next: &[u64]) -> Result<(), String> {
        let read: u64 = next.iter().sum();
        let mut counts = vec![0; next.len()];
        for stream in &self.order[..self.order.len().min(read as usize)] {
            counts[*stream] += 1;
        }
        if counts != next {
            return Err(format!(
                "{next:?} is not the beginning, which is {counts:?}"
            ));
        }
        Ok(())
    }
}
