//! What the writer asks of whoever has the disk, and what that may answer.

/// What an operation came to when it did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// There is no room (ENOSPC, EDQUOT).
    NoSpace,
    /// Anything else: what the file holds is not known any more.
    Io,
}

/// An operation. At most one of each kind is under way; they may be carried out side by side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// The blocks of `Writer::under_way` are to be written one after the other; answered by `Writer::on_written`.
    Write {
        /// The segment's number.
        segment: u32,
        /// Where the first of them goes.
        offset: u64,
        /// Bytes of all.
        bytes: u64,
        /// fdatasync is to follow a write of all bytes, and to be answered by `Writer::on_synced`.
        then_sync: bool,
    },
    /// fdatasync of a segment; answered by `Writer::on_synced`.
    Sync {
        /// The segment's number.
        segment: u32,
    },
    /// Something about files; answered by `Writer::on_step`.
    Step(Step),
}

/// What is done with files beside commits. A file that is removed and is not there counts as removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// An empty file for a segment under its unready name; an older one of that name goes.
    Create(u32),
    /// Zeros in an unready segment.
    Fill {
        /// The segment's number.
        number: u32,
        /// The first byte.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// A segment that is not used any more gets the unready name of another.
    Recycle {
        /// Its number so far.
        from: u32,
        /// Its number from now on.
        number: u32,
    },
    /// The first page of an unready segment.
    Header {
        /// The segment's number.
        number: u32,
        /// The page.
        page: Vec<u8>,
    },
    /// fsync of an unready segment.
    SyncUnready(u32),
    /// An unready segment gets its proper name, in place of an older one of that name.
    Enter(u32),
    /// A segment is removed.
    Remove(u32),
    /// An unready segment is removed.
    RemoveUnready(u32),
    /// fsync of the directory.
    SyncDirectory,
    /// A new file with these bytes under the name that `STORE` has before it is in force; an older one of that name goes.
    StoreWrite(Vec<u8>),
    /// fsync of that file.
    StoreSync,
    /// That file gets the name `STORE`, in place of the older one.
    StoreRename,
}

/// How a store is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// All is well.
    #[default]
    Open,
    /// No more room can be had than what is in reserve for what frees some; it is tried again each second.
    Full,
    /// The disk has failed, and failed again elsewhere; it is tried again each second.
    Failed,
}

/// When a stream is told that a chunk is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// When it survives loss of power: after fdatasync.
    Group,
    /// When it survives the end of the process: after the write. fdatasync follows within so many milliseconds.
    Interval(u64),
    /// When it survives the end of the process. fdatasync follows when much has been written, or nothing for a while.
    None,
}

/// What the clocks say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back.
    pub ms: u64,
    /// Milliseconds since 1970.
    pub wall_ms: u64,
}

/// How a store is written.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Streams, each in an order of its own.
    pub streams: u8,
    /// When they are told.
    pub sync: SyncMode,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// Segments of this run at most.
    pub segments_max: usize,
}
