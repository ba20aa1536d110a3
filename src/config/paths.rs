//! Paths as errors name them.

use std::path::{Path, PathBuf};

/// The path that the system is asked for: one that is relative, with the folder that it is relative to. Whoever reads an
/// error may stand in another folder than the broker.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}
