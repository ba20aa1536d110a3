//! The end of the broker: what it came of, and how long it took.

use std::cell::RefCell;
use std::time::Instant;

/// Nothing until the end has begun.
#[derive(Default)]
pub(super) struct Ending(RefCell<Option<(String, Instant)>>);

impl Ending {
    /// The end begins, for this reason; of several the first is told.
    pub(super) fn begin(&self, reason: impl Into<String>) {
        let mut begun = self.0.borrow_mut();
        begun.get_or_insert_with(|| (reason.into(), Instant::now()));
    }

    /// Whether it has begun.
    pub(super) fn has_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// The last line of the log.
    pub(super) fn line(&self) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match &*self.0.borrow() {
            Some((reason, since)) => {
                let seconds = since.elapsed().as_secs_f64();
                format!("firehose {version} terminating: {reason}, drained in {seconds:.3} s.")
            }
            None => format!("firehose {version} terminating."),
        }
    }
}
