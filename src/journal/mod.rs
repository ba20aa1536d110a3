//! What a shard writes down so that nothing acknowledged is lost, and what is made of it after a start.
//!
//! A journal is the facts of the brain in a short form: a message is written once for all its sessions, sets of sessions once for all
//! messages, acknowledgements many at a time. Sans-io: bytes go out in chunks (`Stream`) and come in as chunks (`Joiner`); who writes
//! them to a disk, and what is durable, is not known here.
//!
//! Invariant: what records say up to any place is what the shard held then. One shard's thread writes a stream.

mod about;
mod acks;
mod bytes;
mod canary;
mod decode;
mod encode;
mod error;
mod fields;
mod gathered;
mod ledger;
mod legacy;
mod members;
mod message;
mod once_more;
mod part;
mod reading;
mod record;
mod salvage;
mod scribe;
mod settle;
mod stream;
#[cfg(test)]
mod tests;
mod texts;
mod turns;
mod undone;

pub use about::{About, Concerned};
#[cfg(test)]
pub(crate) use canary::remove;
pub(crate) use canary::{Protection, has};
pub use decode::Decoder;
pub use encode::Encoder;
pub use error::Broken;
pub use fields::{Field, Fields, Value};
pub use ledger::{
    HandedRead, HeldRead, InFlightRead, KeptMessage, Ledger, Room, SessionRead, Shelf, Shelves,
    WillRead,
};
pub use legacy::{Counts, InTransit, Legacy};
pub use members::{Members, Sets, SetsRead, Sum};
pub use message::{AuthorText, MessageText};
pub use once_more::{Missing, is_short, missing, once_more};
pub use part::Part;
pub use reading::Reading;
pub use record::{Errand, Record, SubscriptionText, WillText};
pub use salvage::{Choices, Found, Glance, Lost, Scan, Span};
pub use scribe::{Frame, Scribe, SessionText};
pub use stream::{Joiner, Stream};
pub use undone::{Deed, Undone};
