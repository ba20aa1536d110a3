//! firehose: an MQTT broker for Linux, one pinned thread per core, each with an io_uring of its own.
//!
//! The map of the code, a turn and the paths of events are in `src/ARCHITECTURE.md`, decisions in `docs/decisions`.
//! Modules import downwards only, in the order below: everything up to `broker` is sans-io (no syscall, clock,
//! thread, lock or random number), `uring` and `mesh` know no MQTT, and `shard` is where the two meet.
//! Public is what the program, the tests, the benchmarks and the fuzz targets name.

#![warn(unreachable_pub)]

pub mod limits;

pub mod chunk;
mod escape;
mod figure;
pub mod ids;
mod index;
mod prefetch;
mod table;

pub mod budget;

pub mod mqtt;
pub mod routing;

pub mod access;
pub mod outbound;
mod session;
pub mod transport;

pub mod journal;
pub mod mosquitto_db;

pub mod broker;

pub mod config;

pub mod mesh;
mod uring;

pub mod storage;

mod shard;

mod http;

mod control;
pub use control::any_requests;

pub mod server;

pub mod load;

pub mod cli;

#[cfg(test)]
mod sim;
