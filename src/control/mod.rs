//! What is not the path of a message: signals, the log, `$SYS`, the pid file.
//!
//! Runs on a glommio executor of the main thread, in small pieces; it talks to shards through their commands and the
//! counters that they publish, and is never waited for by them.

mod load;
mod log;
mod pid_file;
mod signals;
mod sys;
#[cfg(test)]
mod tests;

pub use log::LogWriter;
pub use pid_file::PidFile;
pub use signals::Signals;

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use glommio::{LocalExecutorBuilder, Placement, PoolPlacement, timer};

use crate::broker::LogKind;
use crate::limits;
use crate::shard::{LogLine, ShardCommand, ShardHandle, Shared};
use signals::Wanted;
use sys::Sys;

/// What the control thread works with.
pub struct Control {
    /// Printed when everything runs.
    pub ready: String,
    /// Where signals arrive.
    pub signals: Signals,
    /// Where log lines go.
    pub writer: LogWriter,
    /// Where log lines come from.
    pub lines: Receiver<LogLine>,
    /// Counters and clock.
    pub shared: Arc<Shared>,
    /// One per shard.
    pub shards: Vec<ShardHandle>,
    /// Seconds between updates of `$SYS`; 0 for none.
    pub sys_interval_s: u32,
    /// Disconnected when every shard has ended.
    pub running: Receiver<()>,
}

/// Runs until every shard has ended.
pub fn run(control: Control) -> io::Result<()> {
    let Control {
        ready,
        signals,
        writer,
        lines,
        shared,
        shards,
        sys_interval_s,
        running,
    } = control;
    let writer = writer.start(lines)?;
    println!("{ready}");
    writer.write(LogKind::Information, ready);
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .name("control")
        .io_memory(limits::CONTROL_IO_BYTES)
        .ring_depth(limits::CONTROL_RING_DEPTH)
        // One thread waits for signals, one for the shards.
        .blocking_thread_pool_placement(PoolPlacement::Unbound(2))
        .make()
        .map_err(|error| io::Error::other(error.to_string()))?;
    let stop = signals.handle();
    let writer = Rc::new(writer);
    executor.run(async {
        let on_signals =
            glommio::spawn_local(handle_signals(signals, shards.clone(), writer.clone()));
        let sys = (sys_interval_s > 0)
            .then(|| glommio::spawn_local(publish_sys(Sys::new(shared, shards), sys_interval_s)));
        glommio::executor()
            .spawn_blocking(move || while running.recv().is_ok() {})
            .await;
        stop.close();
        on_signals.await;
        if let Some(sys) = sys {
            sys.cancel().await;
        }
    });
    if let Ok(writer) = Rc::try_unwrap(writer) {
        writer.finish();
    }
    Ok(())
}

async fn handle_signals(signals: Signals, shards: Vec<ShardHandle>, writer: Rc<log::Log>) {
    let mut signals = signals;
    loop {
        let (next, wanted) = glommio::executor()
            .spawn_blocking(move || signals.wait())
            .await;
        signals = next;
        match wanted {
            Some(Wanted::End) => {
                writer.write(
                    LogKind::Information,
                    "Ending: clients are told and let go.".into(),
                );
                for shard in &shards {
                    // Given back only by a shard that has ended already.
                    let _ = shard.send(ShardCommand::Drain);
                }
            }
            Some(Wanted::Reopen) => {
                writer.reopen();
                writer.write(
                    LogKind::Warning,
                    "SIGHUP: log files are reopened; the configuration is not read again yet: restart the broker.".into(),
                );
            }
            None => return,
        }
    }
}

async fn publish_sys(mut sys: Sys, interval_s: u32) {
    sys.publish_constants();
    loop {
        sys.publish(interval_s);
        timer::sleep(Duration::from_secs(u64::from(interval_s))).await;
    }
}
