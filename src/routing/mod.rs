//! Who wants a topic: the subscriptions of one shard, the retained messages it owns and the shared subscriptions it
//! owns.
//!
//! Everything here belongs to one shard and is called by that shard only. It never looks at a clock, takes a lock or
//! draws a random number: the time and the seed of the hash functions are arguments. It trusts its callers to have
//! validated topic names and filters (`mqtt::topic`), but no input makes it panic or loop without end.
//!
//! `tree` holds paths of interned level names and is what `Subscriptions` and `Retained` are built on.

mod cache;
mod entry;
mod filter_id;
mod grant;
mod groups;
mod lists;
mod retained;
mod subscriptions;
mod symbols;
mod tree;

pub use entry::{Entry, Target};
pub use filter_id::FilterId;
pub use grant::{EntryOptions, Grant, Together};
pub use groups::{Group, Groups, Member};
pub use retained::{Cursor, Page, PageBounds, Retained, Store};
pub use subscriptions::{Inserted, Removed, Subscriptions};

#[cfg(test)]
mod tests;
