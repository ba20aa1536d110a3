//! What a failed operation means for the connection it belongs to. Kept apart from the paths that succeed.

/// What a negative result of an accept means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AcceptFailure {
    /// The operation was cancelled.
    Cancelled,
    /// That one connection failed before it was accepted; the next may well succeed.
    Connection,
    /// Descriptors, slots or memory are short: accepting at once again would only spin.
    Resources,
    /// The listening socket is unusable.
    Listener(i32),
}

impl AcceptFailure {
    /// From an errno (positive).
    #[cold]
    pub(crate) fn of(errno: i32) -> Self {
        match errno {
            libc::ECANCELED => AcceptFailure::Cancelled,
            // accept(2): errors that are pending on the new socket are passed on by accept and are to be retried.
            libc::ECONNABORTED
            | libc::EINTR
            | libc::EAGAIN
            | libc::EPROTO
            | libc::EPERM
            | libc::ENETDOWN
            | libc::ENOPROTOOPT
            | libc::EHOSTDOWN
            | libc::ENONET
            | libc::EHOSTUNREACH
            | libc::EOPNOTSUPP
            | libc::ENETUNREACH
            | libc::ETIMEDOUT => AcceptFailure::Connection,
            libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM => AcceptFailure::Resources,
            other => AcceptFailure::Listener(other),
        }
    }
}

/// What a negative result of a receive means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ReceiveFailure {
    /// The operation was cancelled.
    Cancelled,
    /// The provided buffers are used up: flow control, no byte is lost. To be armed again when some are back.
    NoBuffers,
    /// To be armed again at once.
    Again,
    /// The connection is broken.
    Broken(i32),
}

impl ReceiveFailure {
    /// From an errno (positive).
    #[cold]
    pub(crate) fn of(errno: i32) -> Self {
        match errno {
            libc::ECANCELED => ReceiveFailure::Cancelled,
            libc::ENOBUFS => ReceiveFailure::NoBuffers,
            libc::EINTR | libc::EAGAIN => ReceiveFailure::Again,
            other => ReceiveFailure::Broken(other),
        }
    }
}

/// What a negative result of a send means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SendFailure {
    /// Nothing was taken, and the connection is as it was: cancelled, interrupted, or the kernel is short of memory.
    Nothing,
    /// The connection is broken.
    Broken(i32),
}

impl SendFailure {
    /// From an errno (positive).
    #[cold]
    pub(crate) fn of(errno: i32) -> Self {
        match errno {
            libc::ECANCELED | libc::EINTR | libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM => {
                SendFailure::Nothing
            }
            other => SendFailure::Broken(other),
        }
    }
}
