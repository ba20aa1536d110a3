//! One shard's brain, sans-io: events and `now` in, effects out.

mod counters;
mod effect;
mod settings;

pub use counters::Counters;
pub use effect::*;
pub use settings::*;
