//! What keeps a store whole, by name, so that a test can take one protection away at a time: the simulation has to find each.
//!
//! Outside tests all are there, and asking costs nothing.

/// Something without which a store would lose, repeat or invent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// What waits for the disk is told only when fdatasync has returned.
    SyncBeforeTold,
    /// Nothing is told before the run is in force.
    InForceBeforeTold,
    /// A segment whose write or fdatasync has failed is not used again.
    FailedSegmentLeft,
    /// The checksum of a block says where it belongs.
    SeededChecksum,
    /// The directory is synced after `STORE` has got its new name.
    DirectorySynced,
    /// Segments are used again only when `STORE` no longer names them.
    RecycledAfterStore,
    /// A new segment is synced before it is used.
    SegmentSyncedBeforeUse,
    /// What was on the disk and cannot be read is told from what a crash has cut off.
    RotTold,
    /// The first block behind a segment that has failed says so.
    AbandonedTold,
    /// A chunk that comes again behind a failure is taken once.
    TakenOnce,
    /// Chunks of all streams are written in the order of their numbers.
    OneOrder,
    /// `STORE` says that a run begins before there is a segment of it.
    RunAnnounced,
}

/// Whether it is there.
#[cfg(not(test))]
#[inline(always)]
pub(super) fn has(_: Protection) -> bool {
    true
}

#[cfg(test)]
thread_local! {
    static REMOVED: std::cell::Cell<Option<Protection>> = const { std::cell::Cell::new(None) };
}

/// Whether it is there.
#[cfg(test)]
pub(super) fn has(protection: Protection) -> bool {
    REMOVED.get() != Some(protection)
}

/// Takes one away for this thread.
#[cfg(test)]
pub(crate) fn remove(protection: Option<Protection>) {
    REMOVED.set(protection);
}
