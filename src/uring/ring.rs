//! The ring: set up, submit, wait, collect.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use io_uring::squeue::Entry;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, Probe, cqueue};

use crate::limits;

use super::{RingError, UserData, ops};

/// How large a ring is to be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sizes {
    /// Submissions between two calls into the kernel (a power of two).
    pub submissions: u32,
    /// Completions that fit before the kernel has to set some aside (a power of two).
    pub completions: u32,
    /// Slots in the file table.
    pub files: u32,
    /// Worker threads that the kernel may start for what cannot be done in the caller's thread.
    pub workers: u32,
}

/// What became of a submission.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Completion {
    /// What the submission carried.
    pub user_data: UserData,
    /// The result, or a negative errno.
    pub result: i32,
    flags: u32,
}

impl Completion {
    /// Whether the socket has more than this receive brought (IORING_CQE_F_SOCK_NONEMPTY).
    #[inline]
    pub(crate) fn leaves_bytes(&self) -> bool {
        cqueue::sock_nonempty(self.flags)
    }

    /// Whether more completions of this submission follow (multishot).
    #[inline]
    pub(crate) fn more(&self) -> bool {
        cqueue::more(self.flags)
    }

    /// The provided buffer that came with it.
    #[inline]
    pub(crate) fn buffer(&self) -> Option<u16> {
        cqueue::buffer_select(self.flags)
    }

    /// Whether the kernel goes on filling that buffer.
    #[inline]
    pub(crate) fn buffer_goes_on(&self) -> bool {
        cqueue::buffer_more(self.flags)
    }
}

/// A ring that is set up and belongs to no thread yet: whoever enables it uses it from then on. What it takes of locked memory
/// counts for who set it up, and not at all if that was root.
pub(crate) struct IdleRing {
    uring: IoUring,
    sizes: Sizes,
}

impl IdleRing {
    /// Sets one up.
    ///
    /// # Errors
    /// The kernel does not give it.
    pub(crate) fn new(sizes: Sizes) -> Result<Self, RingError> {
        let uring = setup(sizes)?;
        Ok(IdleRing { uring, sizes })
    }

    /// Makes it the calling thread's, after a check that the kernel has all that is needed.
    ///
    /// # Errors
    /// The kernel lacks something, or gives no table.
    pub(crate) fn enable(self) -> Result<Ring, RingError> {
        self.uring
            .submitter()
            .register_enable_rings()
            .map_err(|e| RingError::from_register("IORING_REGISTER_ENABLE_RINGS", e))?;
        Ring::over(self.uring, self.sizes)
    }
}

/// One io_uring, owned and used by the thread that made or enabled it.
pub(crate) struct Ring {
    uring: IoUring,
    /// Flags of every wait.
    wait_flags: u32,
    files: u32,
}

impl Ring {
    /// Sets up a ring with an empty file table, after a check that the kernel has all that is needed.
    pub(crate) fn new(sizes: Sizes) -> Result<Self, RingError> {
        IdleRing::new(sizes)?.enable()
    }

    fn over(uring: IoUring, sizes: Sizes) -> Result<Self, RingError> {
        let params = uring.params();
        let features = [
            (params.is_feature_nodrop(), "IORING_FEAT_NODROP"),
            (
                params.is_feature_submit_stable(),
                "IORING_FEAT_SUBMIT_STABLE",
            ),
            (params.is_feature_fast_poll(), "IORING_FEAT_FAST_POLL"),
            (params.is_feature_ext_arg(), "IORING_FEAT_EXT_ARG"),
            (
                params.is_feature_skip_cqe_on_success(),
                "IORING_FEAT_CQE_SKIP",
            ),
        ];
        if let Some((_, name)) = features.iter().find(|(there, _)| !there) {
            return Err(RingError::KernelTooOld(name));
        }
        let mut wait_flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        if params.is_feature_no_iowait() {
            // A broker that waits for clients is idle, not waiting for a disk: keep it out of the iowait figures.
            wait_flags |= EnterFlags::NO_IOWAIT;
        }
        let submitter = uring.submitter();
        let mut probe = Probe::new();
        submitter
            .register_probe(&mut probe)
            .map_err(|e| RingError::from_register("IORING_REGISTER_PROBE", e))?;
        if let Some((_, name)) = ops::NEEDED
            .iter()
            .find(|(code, _)| !probe.is_supported(*code))
        {
            return Err(RingError::KernelTooOld(name));
        }
        submitter
            .register_files_sparse(sizes.files)
            .map_err(|source| match source.raw_os_error() {
                Some(libc::EMFILE | libc::ENFILE) => RingError::Descriptors {
                    wanted: sizes.files,
                    source,
                },
                _ => RingError::from_register("IORING_REGISTER_FILES2", source),
            })?;
        submitter
            .register_iowq_max_workers(&mut [sizes.workers, sizes.workers])
            .map_err(|e| RingError::from_register("IORING_REGISTER_IOWQ_MAX_WORKERS", e))?;
        Ok(Ring {
            uring,
            wait_flags: wait_flags.bits(),
            files: sizes.files,
        })
    }

    /// The ring's own descriptor, by which other rings reach it.
    pub(crate) fn fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Whether completions that take from one incremental buffer come in the order in which they took (Linux 6.15; a
    /// feature that came with it tells).
    pub(crate) fn has_ordered_buffers(&self) -> bool {
        self.uring.params().is_feature_no_iowait()
    }

    /// Slots in the file table.
    pub(crate) fn files(&self) -> u32 {
        self.files
    }

    /// Queues a submission; a full queue is submitted first.
    ///
    /// # Safety
    /// Memory that the entry names must stay valid, and unchanged where the kernel reads it or unread where it writes
    /// it, until the last completion of the entry has been collected or the ring is dropped. Exempt are `msghdr` and
    /// `iovec`s: they are needed until the next `submit`, `poll` or `wait` only.
    #[inline]
    pub(crate) unsafe fn push(&mut self, entry: &Entry) -> Result<(), RingError> {
        // SAFETY: passed on to the caller.
        if unsafe { self.uring.submission().push(entry) }.is_ok() {
            return Ok(());
        }
        self.submit()?;
        // SAFETY: passed on to the caller.
        unsafe { self.uring.submission().push(entry) }.map_err(|_| {
            RingError::Call("io_uring_enter", io::Error::from_raw_os_error(libc::EBUSY))
        })
    }

    /// Whether anything is queued and not yet submitted.
    pub(crate) fn has_queued(&mut self) -> bool {
        !self.uring.submission().is_empty()
    }

    /// Submits all that is queued. When the kernel has no memory for it, this blocks until there is some, and gives up
    /// after a while.
    #[cold]
    pub(crate) fn submit(&mut self) -> Result<(), RingError> {
        const PAUSE: Duration = Duration::from_millis(1);
        const PAUSES_MAX: u32 = 10_000;
        let mut pauses = 0;
        loop {
            let queued = self.uring.submission().len();
            if queued == 0 {
                return Ok(());
            }
            // Without GETEVENTS: completions of work that was put off wait for `poll` or `wait`.
            if self.enter(queued as u32, 0, 0, None)? == 0 {
                if pauses == PAUSES_MAX {
                    let error = io::Error::from_raw_os_error(libc::ENOMEM);
                    return Err(RingError::Call("io_uring_enter", error));
                }
                pauses += 1;
                std::thread::sleep(PAUSE);
            }
        }
    }

    /// Submits what is queued and lets the kernel finish some of what it had put off; does not wait.
    pub(crate) fn poll(&mut self) -> Result<(), RingError> {
        let queued = self.uring.submission().len();
        self.enter(queued as u32, 0, EnterFlags::GETEVENTS.bits(), None)?;
        Ok(())
    }

    /// Submits what is queued and waits for a completion, or until `timeout` has passed.
    pub(crate) fn wait(&mut self, timeout: Option<Duration>) -> Result<(), RingError> {
        let queued = self.uring.submission().len();
        self.enter(queued as u32, 1, self.wait_flags, Some(timeout))?;
        Ok(())
    }

    /// Moves completions to `out`, until it holds `max` or the kernel has no more at hand.
    pub(crate) fn collect(
        &mut self,
        out: &mut Vec<Completion>,
        max: usize,
    ) -> Result<(), RingError> {
        loop {
            let before = out.len();
            out.extend(
                self.uring
                    .completion()
                    .take(max.saturating_sub(before))
                    .map(|entry| Completion {
                        user_data: UserData::from_raw(entry.user_data()),
                        result: entry.result(),
                        flags: entry.flags(),
                    }),
            );
            // The kernel works off only some 20 of the events that it has put off in each call.
            if !self.says_put_off() || out.len() >= max {
                return Ok(());
            }
            self.poll()?;
            if self.uring.completion().is_empty() {
                return Ok(());
            }
        }
    }

    /// Whether the kernel has put off something of which nobody knows yet. What comes while it works such things off is done with
    /// them, and its flag for that is set behind: the flag alone says so until the next event, however long that is. So the kernel
    /// is asked for as long as the flag is set and nothing comes.
    pub(crate) fn has_put_off(&mut self) -> Result<bool, RingError> {
        for _ in 0..limits::RING_ASKS_MAX {
            if !self.says_put_off() {
                return Ok(false);
            }
            self.poll()?;
            if !self.uring.completion().is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the kernel's flags say that it has put something off. They may say so when there is nothing.
    fn says_put_off(&mut self) -> bool {
        let submission = self.uring.submission();
        submission.taskrun() || submission.cq_overflow()
    }

    /// Registers a ring of `entries` provided buffers.
    ///
    /// # Safety
    /// `address` must be that of `entries` entries, page-aligned, and stay valid until the ring is dropped.
    pub(super) unsafe fn register_buffer_ring(
        &self,
        address: u64,
        entries: u16,
        group: u16,
        flags: u16,
    ) -> Result<(), RingError> {
        // SAFETY: passed on to the caller.
        unsafe {
            self.uring
                .submitter()
                .register_buf_ring_with_flags(address, entries, group, flags)
        }
        .map_err(|e| RingError::from_register("IORING_REGISTER_PBUF_RING", e))
    }

    /// Puts a descriptor into an empty slot of the file table; the table holds the file from then on, and the
    /// descriptor may be closed.
    pub(crate) fn put_file(&mut self, slot: u32, fd: RawFd) -> Result<(), RingError> {
        self.uring
            .submitter()
            .register_files_update(slot, &[fd])
            .map(drop)
            .map_err(|e| RingError::from_register("IORING_REGISTER_FILES_UPDATE", e))
    }

    /// `io_uring_enter`; returns how many were submitted. `wait` is `None` for calls that do not wait.
    fn enter(
        &mut self,
        submit: u32,
        complete: u32,
        flags: u32,
        wait: Option<Option<Duration>>,
    ) -> Result<usize, RingError> {
        let submitter = self.uring.submitter();
        let result = match wait {
            // SAFETY: without EXT_ARG the argument is a signal mask, and there is none.
            None => unsafe { submitter.enter::<libc::sigset_t>(submit, complete, flags, None) },
            Some(timeout) => {
                let timespec = Timespec::from(timeout.unwrap_or_default());
                let arguments = match timeout {
                    Some(_) => SubmitArgs::new().timespec(&timespec),
                    None => SubmitArgs::new(),
                };
                // SAFETY: with EXT_ARG the argument is an io_uring_getevents_arg, which `SubmitArgs` is
                // (repr(transparent)); it and the timespec live until the call returns.
                unsafe { submitter.enter(submit, complete, flags, Some(&arguments)) }
            }
        };
        result.or_else(|error| match error.raw_os_error() {
            // The time is over, a signal came, or the kernel wants completions to be collected first or is short of
            // memory: the caller goes on collecting, and what is still queued goes with the next call.
            Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN | libc::ENOMEM) => Ok(0),
            _ => Err(RingError::from_enter(error)),
        })
    }
}

/// Sets the ring up; with less room for submissions and completions where the limit on locked memory asks for it.
fn setup(mut sizes: Sizes) -> Result<IoUring, RingError> {
    const SUBMISSIONS_MIN: u32 = 256;
    loop {
        let built = IoUring::builder()
            .setup_r_disabled() // who uses it is who enables it
            .setup_single_issuer() // one thread submits: no lock in the kernel
            .setup_defer_taskrun() // completions are made in our own calls, in batches, never by an interrupt
            .setup_taskrun_flag() // and the queue's flags tell when there are any to be made
            .setup_submit_all() // one bad submission does not hold up the others
            .setup_cqsize(sizes.completions)
            .setup_clamp()
            .build(sizes.submissions);
        match built {
            Err(error)
                if error.raw_os_error() == Some(libc::ENOMEM)
                    && sizes.submissions > SUBMISSIONS_MIN =>
            {
                sizes.submissions /= 2;
                sizes.completions /= 2;
            }
            other => return other.map_err(RingError::from_setup),
        }
    }
}
