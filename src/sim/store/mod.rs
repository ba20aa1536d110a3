//! The store in virtual time, from a seed: a caller with several streams, a disk that fails, fills up, loses and rots, crashes at
//! any moment, and a record of what was handed over and told, against which every start is checked.
//!
//! `FIREHOSE_STORE_SEED=N cargo test --lib sim::store` runs one world again.

mod caller;
mod record;
mod tests;
mod world;
