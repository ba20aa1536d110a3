//! The executor of the control thread: what runs on it, and what it does while a start takes its time.

use std::io;
use std::panic::resume_unwind;
use std::thread;
use std::time::Duration;

use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, timer};

use crate::limits;

/// The executor of the thread that made it.
pub(crate) struct Executor(pub(super) LocalExecutor);

impl Executor {
    /// Sets it up.
    ///
    /// # Errors
    /// The host does not give it.
    pub(crate) fn new() -> io::Result<Executor> {
        LocalExecutorBuilder::new(Placement::Unbound)
            .name("control")
            .io_memory(limits::CONTROL_IO_BYTES)
            .ring_depth(limits::CONTROL_RING_DEPTH)
            // One thread waits for signals, one for the ends of shards, one reads files that HTTP serves.
            .blocking_thread_pool_placement(PoolPlacement::Unbound(3))
            .make()
            .map(Executor)
            .map_err(refused)
    }
    /// Has another thread do what takes its time, and answers meanwhile.
    ///
    /// # Errors
    /// There is no such thread.
    pub(crate) fn beside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("start".into());
            let builder = builder.stack_size(limits::START_STACK_BYTES);
            let doing = builder.spawn_scoped(scope, work)?;
            self.0.run(async {
                while !doing.is_finished() {
                    timer::sleep(Duration::from_millis(limits::START_LOOK_MS)).await;
                }
            });
            Ok(doing.join().unwrap_or_else(|panic| resume_unwind(panic)))
        })
    }

    /// Lets some time pass, and answers meanwhile.
    pub(super) fn pause(&self, time: Duration) {
        self.0.run(timer::sleep(time));
    }
}

/// Why the executor could not be set up, in terms of the system: glommio looks at the limit on locked memory itself.
fn refused(error: GlommioError<()>) -> io::Error {
    let error = io::Error::from(error);
    if error.to_string().contains("MemLockLimit") {
        io::Error::from_raw_os_error(libc::ENOMEM)
    } else {
        error
    }
}
