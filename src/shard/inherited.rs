//! Descriptors that the service manager has passed to the process (sd_listen_fds(3)).

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

static TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes them, in their order, closed on exec; none the second time. To be called at the start.
pub(crate) fn inherited() -> io::Result<Vec<OwnedFd>> {
    if TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    // Fails when one of them is not open.
    let fds = sd_notify::listen_fds()?;
    // SAFETY: LISTEN_PID names this process: the descriptors were opened for it before it began, and whoever reads
    // LISTEN_FDS owns them. Nobody else here does, and the flag lets it happen once.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}
