//! What is asked of all shards beside the path of messages, and answered as JSON: who is connected, who gets what, what is retained.
//! One shard after the other, a page at a time, and put together (docs/decisions/0912).

pub(super) mod answers;
mod any;
mod asking;
pub(super) mod busiest;
mod fields;
mod json;
mod paged;
mod ranked;
mod refusal;
#[cfg(test)]
mod tests;
mod traced;
pub(super) mod tracing;
mod turns;

pub use any::any_requests;
pub(super) use asking::Asking;
pub(super) use refusal::Refusal;
