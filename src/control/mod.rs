//! What is not the path of a message: signals, the log, `$SYS`, what HTTP is asked for, the pid file.
//!
//! Runs on a glommio executor of the main thread, in small pieces; it talks to shards through their commands and the
//! counters that they publish, and is never waited for by them. Nothing here fails once it runs: what cannot be
//! written or sent is given up.

mod api;
mod averages;
pub(crate) mod disk;
mod each_shard;
mod ending;
mod executor;
mod log;
pub(crate) mod memory;
pub(crate) mod notify;
mod pid_file;
pub(crate) mod place;
mod queries;
mod reports;
mod sample;
mod signals;
mod slowest;
mod snapshot;
pub(crate) mod stderr;
pub(crate) mod stdout;
mod store;
mod sys;
#[cfg(test)]
mod tests;
mod totals;

pub(crate) use api::{Early, Http, HttpChange, shown};
pub(crate) use executor::Executor;
pub(crate) use log::LogWriter;
pub(crate) use pid_file::PidFile;
pub use queries::any_requests;
pub(crate) use signals::Signals;
pub(crate) use store::Store;

use std::cell::RefCell;
use std::io::{self, Write};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use glommio::timer;

use crate::broker::{LogKind, LogMask};
use crate::escape::one_line;
use crate::ids::ShardId;
use crate::journal::Counts;
use crate::limits;
use crate::shard::{LogLine, ShardCommand, ShardHandle, Shared};
use api::Web;
use ending::Ending;
use log::Log;
use memory::Monitor;
use queries::Asking;
use reports::{Reports, Steps};
use signals::Wanted;
use sys::Sys;
use totals::Totals;

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
    /// What the storage thread counts.
    pub store: Store,
    /// Listeners of HTTP, and what they are asked about.
    pub http: Http,
}

/// Reads the configuration again and goes by it; the error is why nothing has changed.
pub(crate) type Reload = Box<dyn FnMut() -> Result<Reloaded, String> + Send>;

/// What has come of reading the configuration again.
#[derive(Debug, Default)]
pub(crate) struct Reloaded {
    /// Lines about what has changed.
    pub lines: Vec<String>,
    /// What of it does not hold, and why.
    pub missing: Option<String>,
    /// What holds for HTTP from now on.
    pub http: Option<HttpChange>,
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
    executor: Executor,
    log: Log,
    ready: String,
    signals: Signals,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    sys_interval_s: u32,
    ends: Receiver<ShardEnd>,
    reload: Reload,
    store: Store,
    http: Http,
}

impl Control {
    /// Starts the log writer.
    pub(crate) fn new(mut parts: Parts) -> io::Result<Self> {
        if let Some(shard) = parts.shards.first() {
            parts.writer.publish_by(shard, &parts.shared);
        }
        Ok(Control {
            executor: parts.executor,
            log: parts.writer.start(parts.lines, parts.log)?,
            ready: parts.ready,
            signals: parts.signals,
            shared: parts.shared,
            shards: parts.shards,
            sys_interval_s: parts.sys_interval_s,
            ends: parts.ends,
            reload: parts.reload,
            store: parts.store,
            http: parts.http,
        })
    }

    /// Says that the broker is ready, and runs until every shard has ended.
    pub(crate) fn run(self) {
        let log = Rc::new(self.log);
        tell_of_ready(&log, self.ready);
        let stop = self.signals.handle();
        let (shards, interval_s) = (self.shards, self.sys_interval_s);
        let ending = Rc::new(Ending::default());
        let own = (log.clone(), ending.clone());
        let monitor = Rc::new(RefCell::new(Monitor::new(self.shared.pool().clone())));
        let totals = Rc::new(Totals::new());
        let asking = Rc::new(Asking::new(shards.clone(), self.shared.pool().clone()));
        let sources = api::Sources {
            shared: self.shared.clone(),
            shards: shards.clone(),
            memory: monitor.clone(),
            store: self.store.clone(),
            lost: log.lost(),
            totals: totals.clone(),
            ending: ending.clone(),
            asking: asking.clone(),
        };
        let (web, listeners) = Web::new(sources, self.http, log.clone());
        let asked = (self.signals, self.reload);
        let all = (shards.clone(), asking.clone());
        let on_signals = handle_signals(asked, all, own.clone(), web.clone());
        let until_end = watch_shards(self.ends, shards.clone(), own);
        let watchdog = notify::watchdog_interval().map(|half| keep_watch(shards.clone(), half));
        let watch = memory::watch(
            monitor.clone(),
            self.shared.clone(),
            shards.clone(),
            log.clone(),
        );
        let sys = (interval_s > 0).then(|| {
            let figures = (monitor, self.store);
            let sys = Sys::new(self.shared, shards.clone(), figures, (totals, log.lost()));
            publish_sys(sys, (shards, asking), interval_s)
        });
        self.executor.0.run(async {
            web.open(listeners).await;
            let on_signals = glommio::spawn_local(on_signals);
            let history = glommio::spawn_local(web.clone().remember());
            // Before the others, which show what it has seen.
            let watch = glommio::spawn_local(watch);
            let sys = sys.map(glommio::spawn_local);
            let watchdog = watchdog.map(glommio::spawn_local);
            until_end.await;
            stop.close();
            on_signals.await;
            watch.cancel().await;
            history.cancel().await;
            web.close().await;
            for task in sys.into_iter().chain(watchdog) {
                task.cancel().await;
            }
        });
        if let Some(log) = Rc::into_inner(log) {
            log.write(LogKind::Information, ending.line());
            log.finish();
        }
    }
}

impl Control {
    /// The name of the signal to end, if one has come before `run`.
    pub(crate) fn end_asked(&mut self) -> Option<&'static str> {
        self.signals.end_asked()
    }

    /// Lets some time pass before `run`, in which is answered what can be.
    pub(crate) fn pause(&self, time: Duration) {
        match self.http.early {
            Some(_) => self.executor.pause(time),
            None => std::thread::sleep(time),
        }
    }

    /// The start waits for something: for the log and the service manager, before `run`.
    pub(crate) fn tell_of_waiting(&self, line: String) {
        notify::status(&line);
        self.log.write(LogKind::Error, line);
    }

    /// What is kept is taken up: for the log, before `run`, a `line` with how much of it there is now, and how much was dropped.
    pub(crate) fn tell_of_kept(&self, line: impl FnOnce(Counts) -> String) {
        let mut kept = Counts {
            sessions: 0,
            retained: 0,
        };
        let (mut dropped, mut refused) = (0, 0);
        for shard in 0..self.shared.shards() {
            let counters = self.shared.board(ShardId(shard)).counters();
            kept.sessions += counters.clients_disconnected as usize;
            kept.retained += counters.retained_messages as usize;
            dropped += counters.publish_dropped;
            refused += counters.retained_refused;
        }
        self.log.write(LogKind::Information, line(kept));
        if dropped + refused > 0 {
            let text = format!(
                "{dropped} messages that were kept are dropped, counted once for each session, and {refused} retained ones: they are beyond the bounds that hold now (memory_limit, max_queued_messages, max_queued_bytes)."
            );
            self.log.write(LogKind::Warning, text);
        }
    }

    /// In the place of `run`: the broker ends before it has served anybody, for a signal of this name. Waits for no shard.
    pub(crate) fn end_at_start(mut self, signal: &'static str) {
        if let Some(early) = self.http.early.take() {
            early.end(&self.executor);
        }
        tell_of_early_end(self.log, signal);
    }
}

/// The broker ends before there is a [`Control`], for a signal of this name.
///
/// # Errors
/// The log has no thread.
pub(crate) fn end_at_start(
    writer: LogWriter,
    wanted: LogMask,
    signal: &'static str,
) -> io::Result<()> {
    let lines = crossbeam_channel::never();
    tell_of_early_end(writer.start(lines, wanted)?, signal);
    Ok(())
}

fn tell_of_early_end(log: Log, signal: &'static str) {
    notify::stopping();
    let ending = Ending::default();
    ending.begin(signal);
    let text = "Ending: what is kept is not taken up, and stays as it is.";
    log.write(LogKind::Information, text.into());
    log.write(LogKind::Information, ending.line());
    log.finish();
}

fn tell_of_ready(log: &Log, ready: String) {
    // Whoever started the broker may have closed the other end.
    let _ = writeln!(io::stdout(), "{}", one_line(&ready));
    notify::ready(&ready);
    log.write(LogKind::Information, ready);
}

async fn handle_signals(
    (mut signals, mut reload): (Signals, Reload),
    (shards, asking): (Vec<ShardHandle>, Rc<Asking>),
    (log, ending): (Rc<Log>, Rc<Ending>),
    web: Rc<Web>,
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
                let result = result.map(|mut reloaded| {
                    if let Some(change) = reloaded.http.take() {
                        web.go_by(change);
                    }
                    reloaded
                });
                notify::ready(&tell_of_reload(&log, result));
            }
            Some(Wanted::Slowest) => slowest::tell(&log, &slowest::slowest(&asking).await),
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
async fn publish_sys(
    mut sys: Sys,
    (shards, asking): (Vec<ShardHandle>, Rc<Asking>),
    interval_s: u32,
) {
    let interval = Duration::from_secs(interval_s.into());
    let (mut reports, mut steps) = (Reports::new(shards), Steps::default());
    sys.set_constants();
    sys.set_values(interval, &[]);
    // What the first interval is compared with.
    reports.ask();
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
        steps.to(reports.all_told());
        reports.ask();
        timer::sleep(Duration::from_millis(limits::REPORT_MS)).await;
        sys.set_slowest(&slowest::slowest(&asking).await);
        reports.collect();
        sys.set_values(elapsed, &steps.to(reports.all_told()));
    }
}

/// Tells the service manager that the broker is alive, for as long as every shard answers from one time to the next.
async fn keep_watch(shards: Vec<ShardHandle>, half: Duration) {
    let mut reports = Reports::new(shards);
    loop {
        reports.collect();
        if reports.all_answered() {
            notify::watchdog();
        }
        reports.ask();
        timer::sleep(half).await;
    }
}
