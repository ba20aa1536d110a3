//! What is not the path of a message: signals, the log, `$SYS`, the pid file.
//!
//! Runs on a glommio executor of the main thread, in small pieces; it talks to shards through their commands and the
//! counters that they publish, and is never waited for by them. Nothing here fails once it runs: what cannot be
//! written or sent is given up.

mod averages;
mod ending;
mod log;
pub(crate) mod memory;
pub(crate) mod notify;
mod pid_file;
pub(crate) mod place;
mod reports;
mod sample;
mod signals;
mod slowest;
mod snapshot;
mod sys;
#[cfg(test)]
mod tests;

pub(crate) use log::LogWriter;
pub(crate) use pid_file::PidFile;
pub(crate) use signals::Signals;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use glommio::{GlommioError, LocalExecutor, LocalExecutorBuilder, Placement, PoolPlacement, timer};

use crate::broker::{LogKind, LogMask};
use crate::escape::one_line;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{LogLine, ShardCommand, ShardHandle, Shared};
use ending::Ending;
use log::Log;
use memory::Monitor;
use reports::Reports;
use signals::Wanted;
use sys::Sys;

/// What the control thread works with.
pub(crate) struct Parts {
    /// Printed when everything runs.
    pub ready: String,
    /// Where signals arrive.
    pub signals: Signals,
    /// What the control thread runs on.
    pub executor: Executor,
    /// Where log lines go.
    pub writer: LogWriter,
    /// Where log lines come from.
    pub lines: Receiver<LogLine>,
    /// Which lines of its own are wanted.
    pub log: LogMask,
    /// Counters and clock.
    pub shared: Arc<Shared>,
    /// One per shard.
    pub shards: Vec<ShardHandle>,
    /// Seconds between updates of `$SYS`; 0 for none.
    pub sys_interval_s: u32,
    /// Each shard's end; disconnected when every shard has ended.
    pub ends: Receiver<ShardEnd>,
    /// Reads the configuration again and goes by it.
    pub reload: Reload,
}

/// Reads the configuration again and goes by it; the error is why nothing has changed.
pub(crate) type Reload = Box<dyn FnMut() -> Result<Reloaded, String> + Send>;

/// What has come of reading the configuration again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reloaded {
    /// Lines about what has changed.
    pub lines: Vec<String>,
    /// What of it does not hold, and why.
    pub missing: Option<String>,
}

/// The end of a shard's thread.
#[derive(Debug)]
pub(crate) struct ShardEnd {
    /// Which one it was.
    pub shard: ShardId,
    /// Why, if nobody asked for it.
    pub failure: Option<String>,
}

/// The control thread's work, ready to run.
pub(crate) struct Control {
    executor: LocalExecutor,
    log: Log,
    ready: String,
    signals: Signals,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    sys_interval_s: u32,
    ends: Receiver<ShardEnd>,
    reload: Reload,
}

impl Control {
    /// Starts the log writer.
    pub(crate) fn new(mut parts: Parts) -> io::Result<Self> {
        if let Some(shard) = parts.shards.first() {
            parts.writer.publish_by(shard, &parts.shared);
        }
        Ok(Control {
            executor: parts.executor.0,
            log: parts.writer.start(parts.lines, parts.log)?,
            ready: parts.ready,
            signals: parts.signals,
            shared: parts.shared,
            shards: parts.shards,
            sys_interval_s: parts.sys_interval_s,
            ends: parts.ends,
            reload: parts.reload,
        })
    }

    /// Says that the broker is ready, and runs until every shard has ended.
    pub(crate) fn run(self) {
        // Whoever started the broker may have closed the other end.
        let _ = writeln!(io::stdout(), "{}", one_line(&self.ready));
        notify::ready(&self.ready);
        self.log.write(LogKind::Information, self.ready);
        let log = Rc::new(self.log);
        let stop = self.signals.handle();
        let (shards, interval_s) = (self.shards, self.sys_interval_s);
        let ending = Rc::new(Ending::default());
        let own = (log.clone(), ending.clone());
        let on_signals = handle_signals(self.signals, self.reload, shards.clone(), own.clone());
        let until_end = watch_shards(self.ends, shards.clone(), own);
        let watchdog = notify::watchdog_interval().map(|half| keep_watch(shards.clone(), half));
        let monitor = Rc::new(RefCell::new(Monitor::new(self.shared.pool().clone())));
        let watch = memory::watch(
            monitor.clone(),
            self.shared.clone(),
            shards.clone(),
            log.clone(),
        );
        let sys = (interval_s > 0).then(|| {
            let sys = Sys::new(self.shared, shards.clone(), monitor, log.lost());
            publish_sys(sys, shards, interval_s)
        });
        self.executor.run(async {
            let on_signals = glommio::spawn_local(on_signals);
            // Before the others, which show what it has seen.
            let watch = glommio::spawn_local(watch);
            let sys = sys.map(glommio::spawn_local);
            let watchdog = watchdog.map(glommio::spawn_local);
            until_end.await;
            stop.close();
            on_signals.await;
            watch.cancel().await;
            if let Some(sys) = sys {
                sys.cancel().await;
            }
            if let Some(watchdog) = watchdog {
                watchdog.cancel().await;
            }
        });
        if let Some(log) = Rc::into_inner(log) {
            log.write(LogKind::Information, ending.line());
            log.finish();
        }
    }
}

/// The executor of the thread that made it, for [`Control`].
pub(crate) struct Executor(LocalExecutor);

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
            // One thread waits for signals, one for the ends of shards.
            .blocking_thread_pool_placement(PoolPlacement::Unbound(2))
            .make()
            .map(Executor)
            .map_err(refused)
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

async fn handle_signals(
    mut signals: Signals,
    mut reload: Reload,
    shards: Vec<ShardHandle>,
    (log, ending): (Rc<Log>, Rc<Ending>),
) {
    loop {
        let (next, wanted) = glommio::executor()
            .spawn_blocking(move || signals.wait())
            .await;
        signals = next;
        match wanted {
            Some(Wanted::End(signal)) => {
                ending.begin(signal);
                notify::stopping();
                let text = "Ending: clients are told and let go.";
                log.write(LogKind::Information, text.into());
                drain(&shards);
            }
            Some(Wanted::Reopen) => {
                notify::reloading();
                log.reopen();
                let (again, result) = glommio::executor()
                    .spawn_blocking(move || {
                        let result = reload();
                        (reload, result)
                    })
                    .await;
                reload = again;
                notify::ready(&tell_of_reload(&log, result));
            }
            Some(Wanted::Slowest) => slowest::tell(&log, &slowest::slowest(&shards).await),
            None => return,
        }
    }
}

/// Writes what a reload has changed, or why it has changed nothing; returns that in short.
fn tell_of_reload(log: &Log, result: Result<Reloaded, String>) -> String {
    let reloaded = match result {
        Ok(reloaded) => reloaded,
        Err(error) => {
            let text = format!("SIGHUP: the configuration stays as it was: {error}");
            log.write(LogKind::Error, text);
            return format!("running; the configuration in the file is faulty: {error}");
        }
    };
    let mut lines = reloaded.lines.iter();
    let kept = lines.any(|line| line.contains("stays in force"));
    for line in reloaded.lines {
        log.write(LogKind::Warning, line);
    }
    if let Some(missing) = reloaded.missing {
        let text =
            format!("SIGHUP: the configuration has been read again and holds in part: {missing}");
        log.write(LogKind::Error, text);
        return format!("running; the configuration holds in part: {missing}");
    }
    let but = match kept {
        true => ", but for files whose content from before stays in force",
        false => "",
    };
    let text = format!("SIGHUP: the configuration has been read again and holds{but}.");
    log.write(LogKind::Information, text);
    format!("running; the configuration was read again{but}")
}

/// Waits for the end of all shards. One that fails takes the broker down in order: its sessions are gone, and the
/// others would wait for its answers for ever.
async fn watch_shards(
    ends: Receiver<ShardEnd>,
    shards: Vec<ShardHandle>,
    (log, ending): (Rc<Log>, Rc<Ending>),
) {
    loop {
        let ends = ends.clone();
        let end = glommio::executor()
            .spawn_blocking(move || ends.recv())
            .await;
        match end {
            Ok(ShardEnd {
                shard,
                failure: Some(failure),
            }) => {
                ending.begin(format!("shard {} failed", shard.0));
                let text = format!("Shard {} failed, the broker ends: {failure}", shard.0);
                log.write(LogKind::Error, text);
                drain(&shards);
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

fn drain(shards: &[ShardHandle]) {
    for shard in shards {
        // Given back only by a shard that has ended already.
        let _ = shard.send(ShardCommand::Drain);
    }
}

/// Publishes `$SYS` by the interval, and looks at the number of clients in between. At the start what is known then is
/// published at once, and again and again in less than an interval: nobody has to wait for a long one to see a figure that
/// is not 0.
async fn publish_sys(mut sys: Sys, shards: Vec<ShardHandle>, interval_s: u32) {
    let interval = Duration::from_secs(interval_s.into());
    let mut reports = Reports::new(shards.len());
    sys.set_constants();
    sys.set_values(interval, &[]);
    // What the first interval is compared with.
    reports.ask(&shards);
    let mut since = Instant::now();
    let mut pause = Duration::from_millis(limits::SYS_FIRST_MS);
    loop {
        sys.publish().await;
        pause = pause.min(interval);
        loop {
            let left = pause.saturating_sub(since.elapsed());
            timer::sleep(left.min(Duration::from_millis(limits::SYS_SAMPLE_MS))).await;
            sys.sample();
            if since.elapsed() >= pause {
                break;
            }
        }
        pause = pause.saturating_mul(2);
        let elapsed = since.elapsed();
        since = Instant::now();
        reports.collect();
        reports.ask(&shards);
        timer::sleep(Duration::from_millis(limits::REPORT_MS)).await;
        sys.set_slowest(&slowest::slowest(&shards).await);
        sys.set_values(elapsed, &reports.collect());
    }
}

/// Tells the service manager that the broker is alive, for as long as every shard answers from one time to the next.
async fn keep_watch(shards: Vec<ShardHandle>, half: Duration) {
    let mut reports = Reports::new(shards.len());
    loop {
        reports.collect();
        if reports.all_answered() {
            notify::watchdog();
        }
        reports.ask(&shards);
        timer::sleep(half).await;
    }
}
