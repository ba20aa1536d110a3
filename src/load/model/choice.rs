//! Draws from a fixed distribution over a few hundred things, by a look into a table.

use fastrand::Rng;

/// Entries of a table: what is likelier than one in so many is drawn at all.
const SLOTS: usize = 4096;

/// A distribution over the numbers from 0.
pub(super) struct Choice {
    table: Vec<u16>,
}

impl Choice {
    /// The number `n` as often as `weights[n]` says, at a precision of 1 / 4096.
    pub(super) fn weighted(weights: &[f64]) -> Self {
        let sum: f64 = weights.iter().sum();
        let mut table = Vec::with_capacity(SLOTS);
        let mut below = 0.0;
        for (number, weight) in weights.iter().enumerate() {
            below += weight;
            let end = (below / sum * SLOTS as f64).round() as usize;
            table.resize(end.min(SLOTS), number as u16);
        }
        Choice { table }
    }

    /// Zipf's law: the number `n` of `len` with a weight of `1 / (n + 1)^exponent`.
    pub(super) fn zipf(len: usize, exponent: f64) -> Self {
        let weights: Vec<f64> = (1..=len)
            .map(|rank| (rank as f64).powf(-exponent))
            .collect();
        Choice::weighted(&weights)
    }

    #[inline]
    pub(super) fn draw(&self, rng: &mut Rng) -> usize {
        usize::from(self.table[rng.usize(..self.table.len())])
    }
}
