//! Why there is no ring, or no longer: cause and cure in one line each.

use std::fmt;
use std::io;

/// A failure of the ring itself.
#[derive(Debug)]
pub enum RingError {
    /// `kernel.io_uring_disabled` forbids it (its value).
    Disabled(u8),
    /// A seccomp filter or a security module forbids it, or the kernel was built without it.
    Forbidden(io::Error),
    /// The kernel lacks what is named here.
    KernelTooOld(&'static str),
    /// Memory for the ring: the limit on locked memory, or the system's.
    Memory(io::Error),
    /// File descriptors: the process has no more, or the limit does not allow a table of this size.
    Descriptors {
        /// Slots asked for; 0 when the ring itself could not be opened.
        wanted: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// Completions are lost: the completion queue was full, and the kernel had no memory to keep them beside it (EBADR). Which
    /// ones it does not tell, so what is in flight for whom is not known any more.
    Lost,
    /// Any other failure of a call, by its name.
    Call(&'static str, io::Error),
}

impl RingError {
    /// From a failed `io_uring_setup`.
    pub(super) fn from_setup(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EPERM) => match disabled() {
                Some(value @ 1..) => RingError::Disabled(value),
                _ => RingError::Forbidden(error),
            },
            Some(libc::ENOSYS | libc::EACCES) => RingError::Forbidden(error),
            Some(libc::EINVAL) => RingError::KernelTooOld("IORING_SETUP_DEFER_TASKRUN"),
            Some(libc::ENOMEM) => RingError::Memory(error),
            Some(libc::EMFILE | libc::ENFILE) => RingError::Descriptors {
                wanted: 0,
                source: error,
            },
            _ => RingError::Call("io_uring_setup", error),
        }
    }

    /// From a failed `io_uring_enter`.
    pub(super) fn from_enter(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::EBADR) => RingError::Lost,
            _ => RingError::Call("io_uring_enter", error),
        }
    }

    /// From a failed `io_uring_register`.
    pub(super) fn from_register(what: &'static str, error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOMEM) => RingError::Memory(error),
            Some(libc::EINVAL) => RingError::KernelTooOld(what),
            _ => RingError::Call(what, error),
        }
    }
}

/// The value of `kernel.io_uring_disabled`, where the kernel has it.
fn disabled() -> Option<u8> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled")
        .ok()?
        .trim()
        .parse()
        .ok()
}

impl fmt::Display for RingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RingError::Disabled(value) => write!(
                f,
                "io_uring is disabled on this host (kernel.io_uring_disabled = {value}): run `sysctl kernel.io_uring_disabled=0`"
            ),
            RingError::Forbidden(source) => write!(
                f,
                "io_uring is not permitted here ({source}): allow io_uring_setup, io_uring_enter and io_uring_register in the \
                 seccomp profile of the container or service (docker: --security-opt seccomp=...)"
            ),
            RingError::KernelTooOld(what) => {
                write!(
                    f,
                    "the kernel's io_uring lacks {what}: Linux 6.1 or newer is needed"
                )
            }
            RingError::Memory(source) => write!(
                f,
                "no memory for io_uring ({source}): raise the limit on locked memory (LimitMEMLOCK=, ulimit -l) or use fewer threads"
            ),
            RingError::Descriptors { wanted: 0, source } => {
                write!(
                    f,
                    "no file descriptor for io_uring ({source}): raise the limit on open files (LimitNOFILE=, ulimit -n)"
                )
            }
            RingError::Descriptors { wanted, source } => write!(
                f,
                "no table of {wanted} connections ({source}): raise the limit on open files (LimitNOFILE=, ulimit -n) or lower max_connections"
            ),
            RingError::Lost => f.write_str(
                "the kernel had no memory for what it has to tell (EBADR of io_uring_enter), so that the broker cannot go on: give \
                 the machine or the control group more memory than memory_limit",
            ),
            RingError::Call(name, source) => write!(f, "{name} failed: {source}"),
        }
    }
}

impl std::error::Error for RingError {}
