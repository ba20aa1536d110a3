//! Traces: what a client sends and is sent, or what is published to topics, shown while somebody looks (docs/decisions/0914).
//!
//! A trace is asked for again and again, and each answer has what was seen since the last one. One that nobody asks for any more ends
//! by itself (`limits::TRACE_LEASE_MS`). What a shard keeps of one is bounded, and what is left out is counted. While there is none, a
//! packet that comes, a message that is routed and a send that is over look at one flag each, and deliveries at nothing.

mod event;
mod look;
mod seen;
mod sent;
mod table;
mod watched;

pub use event::*;
pub(super) use look::{payload_start, properties_start};
pub(super) use seen::{PacketAt, seen};
pub(super) use sent::SentPackets;
pub(super) use table::Traces;
pub(super) use watched::Watched;
