//! Opaque chunks of several streams, kept in files: written in groups, told durable, and given back after any crash.
//!
//! It knows nothing of MQTT nor of what a chunk says. All that decides is sans-io: `Writer` (chunks and results in, operations and
//! durable positions out), `open` and `Reader` (what lies in the files in, chunks out, or a fault that names the place). `read` and
//! `ReadStore::start` do the same with a real disk, by a thread of their own.
//!
//! A *run* is one life of the process. A start reads the run in force, begins the next, writes everything that counts anew, and
//! says so (`Writer::complete_checkpoint`): with that `STORE` names the new run, and files of the old one may be used again.
//! Within a run *checkpoints* do the same, stream by stream. So a run that is read is never written to.
//!
//! Invariants:
//! - what `Writer::told` has said is given back by the next start, whatever happened to the process, and in mode `Group` whatever
//!   happened to the power;
//! - chunks of a stream come back in order, each once, without a gap, from the beginning of a complete checkpoint on;
//! - bytes that were on the disk and are not any more (rot, a file that is missing) are refused, with the place; what a crash cut
//!   off is not.

mod canary;
mod chunk;
mod format;
mod keeper;
mod op;
mod pages;
mod recovery;
mod segments;
mod streams;
mod thread;
mod writer;

#[cfg(test)]
mod tests;

pub use chunk::Chunk;
pub use format::{FormatError, STORE_BYTES_MAX, Store, segment_name, segment_number, unready_name};
pub use op::{Failure, Now, Op, Settings, State, Step, SyncMode};
pub use recovery::{
    Fault, Found, FoundSegment, Opened, Outcome, ReadRequest, Reader, Recovered, open,
};
pub use thread::{Line, News, ReadStore, Report, Running, StartError, read};
pub use writer::Writer;

#[cfg(test)]
pub(crate) use canary::{Protection, remove};
#[cfg(test)]
pub(crate) use format::forged_block;
