//! The whole broker in one thread and in virtual time, from a seed: N brains, the mesh between them, a network that
//! splits, delays, shortens, stalls and resets, shards that stand still, clients of all versions, rules that
//! change in some worlds, and an oracle that knows what must hold.
//!
//! First faults, then "heal and demand progress": at the end every queue is let run empty, and what was promised must
//! have happened. A seed that fails is printed and can be run again: `FIREHOSE_SIM_SEED=N cargo test --lib sim`.
//!
//! Compiled for tests only.

mod client;
mod link;
mod network;
mod oracle;
mod rules;
mod standstill;
#[cfg(test)]
mod tests;
mod world;

/// A small generator of repeatable randomness (SplitMix64).
pub struct Rng(pub u64);

impl Rng {
    /// The next 64 bits.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }

    /// True once in `n` times.
    pub fn once_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}
