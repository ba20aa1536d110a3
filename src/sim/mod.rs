//! The whole broker in one thread and in virtual time, from a seed: N brains, the mesh between them, a network that
//! splits, delays, shortens, stalls and resets, shards that stand still, clients of all versions, rules that
//! change in some worlds, and an oracle that knows what must hold. In some worlds everything ends at once now and then, and a run with
//! another number of shards goes on with what the disk has of it (`crash`).
//!
//! First faults, then "heal and demand progress": at the end every queue is let run empty, and what was promised must
//! have happened. A seed that fails is printed and can be run again: `FIREHOSE_SIM_SEED=N cargo test --lib sim`.
//!
//! Compiled for tests only.

mod acts;
#[cfg(test)]
mod asked;
#[cfg(test)]
mod canaries;
mod checkpoint_worlds;
mod checkpoints;
mod client;
mod crash;
mod disk;
mod exchanges;
mod journals;
mod link;
mod log;
mod mirror;
mod network;
mod oracle;
mod plan;
mod restart;
mod rng;
mod rules;
mod short;
mod start;
mod store;
#[cfg(test)]
mod tests;
mod world;
