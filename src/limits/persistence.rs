//! Bounds of what a configuration may ask of the disk. Part of `limits`, like every bound.

use super::{STORE_SEGMENT_BYTES, STORE_SEGMENTS_MIN};

/// Bytes that the store may have at least: with fewer segments it could not go on.
pub const PERSISTENCE_BYTES_MIN: u64 = 256 << 20;
const _: () = assert!(PERSISTENCE_BYTES_MIN >= STORE_SEGMENTS_MIN as u64 * STORE_SEGMENT_BYTES);

/// The part of its file system that the store may have where nobody says how much: others have files there too.
pub const PERSISTENCE_SHARE_DIVISOR: u64 = 4;

/// Milliseconds between two syncs at most (`persistence_sync interval`). By then the kernel has long written on its own account
/// (30 s), so that a longer time saves nothing.
pub const PERSISTENCE_SYNC_MS_MAX: u32 = 60_000;

/// Milliseconds of one sync from which on `check` says that each acknowledgement waits for so long: spinning disks and memory cards
/// take more.
pub const PERSISTENCE_SLOW_SYNC_MS: u64 = 5;
