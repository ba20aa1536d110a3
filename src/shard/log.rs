//! Log lines on their way to the log writer: what waits is bounded in bytes and charged to the account of buffers, however
//! many shards write and whatever holds up the writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::broker::LogKind;
use crate::budget::{Account, Pool};
use crate::limits;

/// A log line on its way to the log writer, which puts the time in front.
#[derive(Debug)]
pub(crate) struct LogLine {
    /// Its kind.
    pub kind: LogKind,
    /// The text, without a newline.
    pub text: String,
    /// What it takes while it waits.
    _charge: Option<Charge>,
}

impl LogLine {
    /// A line that nobody waits with: those of the start.
    pub(crate) fn free(kind: LogKind, text: String) -> LogLine {
        LogLine {
            kind,
            text,
            _charge: None,
        }
    }
}

/// Room for the lines that wait, of all threads together.
#[derive(Debug)]
pub(crate) struct LogRoom(Arc<Waiting>);

#[derive(Debug)]
struct Waiting {
    bytes: AtomicU64,
    pool: Arc<Pool>,
}

/// Bytes that are charged until this is dropped.
#[derive(Debug)]
struct Charge {
    bytes: u64,
    waiting: Arc<Waiting>,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        self.waiting.pool.give(Account::Buffers, self.bytes as i64);
    }
}

impl LogRoom {
    /// Of this pool's account.
    pub(crate) fn new(pool: Arc<Pool>) -> LogRoom {
        let bytes = AtomicU64::new(0);
        LogRoom(Arc::new(Waiting { bytes, pool }))
    }

    /// A line, cut at `limits::LOG_LINE_BYTES_MAX`; `None` if so much waits that there is no room for it.
    pub(crate) fn line(&self, kind: LogKind, mut text: String) -> Option<LogLine> {
        if text.len() > limits::LOG_LINE_BYTES_MAX {
            text.truncate(text.floor_char_boundary(limits::LOG_LINE_BYTES_MAX));
        }
        text.shrink_to_fit();
        let bytes = (text.capacity() + size_of::<LogLine>()) as u64;
        let waiting = self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.0.pool.force(Account::Buffers, bytes as i64);
        let charge = Charge {
            bytes,
            waiting: self.0.clone(),
        };
        // What has no room is given back by the end of the charge.
        (waiting + bytes <= limits::LOG_WAITING_BYTES_MAX).then_some(LogLine {
            kind,
            text,
            _charge: Some(charge),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Plan;

    #[test]
    fn lines_that_wait_are_charged_and_bounded_in_bytes() {
        let pool = Arc::new(Pool::new(&Plan::even(64 << 20), 1));
        let room = LogRoom::new(pool.clone());
        let line = || room.line(LogKind::Notice, "x".repeat(100_000));
        let waiting: Vec<LogLine> = std::iter::from_fn(line).collect();
        let held = pool.leased(Account::Buffers);
        assert!(held <= limits::LOG_WAITING_BYTES_MAX, "{held}");
        assert!(held > limits::LOG_WAITING_BYTES_MAX - 2 * limits::LOG_LINE_BYTES_MAX as u64);
        let is_cut = |line: &LogLine| line.text.len() == limits::LOG_LINE_BYTES_MAX;
        assert!(waiting.iter().all(is_cut));
        drop(waiting);
        assert_eq!(pool.leased(Account::Buffers), 0);
        assert!(line().is_some());
    }
}
