//! Opaque chunks of several streams, kept in files: written in groups, told durable, and given back after any crash.
//!
//! It knows nothing of MQTT nor of what a chunk says. All that decides is sans-io: `Writer` (chunks and results in, operations and
//! durable positions out), `open` and `Reader` (what lies in the files in, chunks out, or a fault that names the place). `read` and
//! `ReadStore::start` do the same with a real disk, by a thread of their own.
//!
//! `look` reads a store that others may have, without a lock and without a write; `back_up` makes another of it; `Remains` is what can be
//! read of one that a start refuses.
//!
//! A *run* is one life of the process. A start reads the run in force, begins the next, writes everything that counts anew, and
//! says so (`Writer::complete`): with that `STORE` names the new run, and files of the old one may be used again.
//! Within a run *checkpoints* do the same, stream by stream. So a run that is read is never written to.
//!
//! Invariants:
//! - what `Writer::told` has said is given back by the next start, whatever happened to the process, and in mode `Group` whatever
//!   happened to the power;
//! - what is given back is the beginning of what was handed over, in one order over all streams (`Intake`): no chunk is there without
//!   those of other streams before it;
//! - chunks of a stream come back in order, each once, without a gap, from the beginning of a complete checkpoint on;
//! - bytes that were on the disk and are not any more (rot, a file that is missing) are refused, with the place; what a crash cut
//!   off is not.

mod canary;
mod commit;
mod due;
mod format;
mod intake;
mod keeper;
mod op;
mod recovery;
mod salvage;
mod segments;
mod streams;
mod thread;
mod writer;

#[cfg(test)]
mod tests;

pub use crate::chunk::Chunk;
pub use format::{FormatError, STORE_BYTES_MAX, Store, segment_name, segment_number, unready_name};
pub use intake::{Handed, HandedChunk, Intake};
pub use op::{Failure, Now, Op, Settings, State, Step, SyncMode};
pub use recovery::{
    Fault, Found, FoundSegment, Opened, Outcome, Progress, ReadRequest, Reader, Recovered, open,
};
pub use salvage::{Hole, Salvaged};
pub use thread::{
    Backup, Board, FOLDER, Figures, Fill, FillError, Line, LookError, News, ReadStore, Remains,
    Report, Running, StartError, View, back_up, folder, holder, is_folder, look, read, set_aside,
    unix_ms,
};
pub use writer::Writer;

#[cfg(test)]
pub(crate) use canary::{Protection, remove};
#[cfg(test)]
pub(crate) use format::forged_block;
