//! How far a connection is, and how long it may stay there. hyper's own timeouts want timers that go from thread to thread;
//! those of the control thread's executor do not.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::limits;

/// What a connection is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The head of a request comes, or the connection is new.
    Head,
    /// Something is answered, and the answer is not out yet.
    Answer,
    /// Between two requests.
    Idle,
}

/// See the module.
pub(super) struct Progress {
    phase: Cell<Phase>,
    since: Cell<Instant>,
    /// The content of the answer is with hyper.
    is_content_out: Cell<bool>,
    is_told_to_end: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Progress {
    /// Of a connection that begins.
    pub(super) fn new() -> Progress {
        Progress {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            is_content_out: Cell::new(false),
            is_told_to_end: Cell::new(false),
            waker: RefCell::default(),
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Bytes have come.
    pub(super) fn on_bytes(&self) {
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A head is whole.
    pub(super) fn on_request(&self) {
        self.is_content_out.set(false);
        // Whoever asks first is answered.
        self.is_told_to_end.set(false);
        self.enter(Phase::Answer);
    }

    /// The content of the answer is out of its owner's hands.
    pub(super) fn on_content_end(&self) {
        self.is_content_out.set(true);
    }

    /// The socket has taken all that there was.
    pub(super) fn on_flushed(&self) {
        if self.phase.get() == Phase::Answer && self.is_content_out.get() {
            self.enter(Phase::Idle);
        }
    }

    /// Between two requests since when; `None` in the midst of one.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        (self.phase.get() == Phase::Idle).then(|| self.since.get())
    }

    /// Since when a head is awaited that is not whole; `None` beside that.
    pub(super) fn head_since(&self) -> Option<Instant> {
        (self.phase.get() == Phase::Head).then(|| self.since.get())
    }

    /// Who hears that it is to be ended.
    pub(super) fn wake_by(&self, waker: &Waker) {
        let mut known = self.waker.borrow_mut();
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
    }

    /// Another one needs its place. What is being answered is answered all the same.
    pub(super) fn end(&self) {
        self.is_told_to_end.set(self.phase.get() != Phase::Answer);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    /// Whether it is to be ended: it has taken too long, or was told to before a request was whole.
    pub(super) fn is_over(&self, now: Instant) -> bool {
        let most = match self.phase.get() {
            Phase::Head => limits::HTTP_HEAD_MS_MAX,
            Phase::Answer => limits::HTTP_ANSWER_MS_MAX,
            Phase::Idle => limits::HTTP_IDLE_MS_MAX,
        };
        let stood = now.saturating_duration_since(self.since.get());
        self.is_told_to_end.get() || stood >= Duration::from_millis(most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_phase_has_its_time() {
        let progress = Progress::new();
        let after = |ms| Instant::now() + Duration::from_millis(ms);
        assert!(!progress.is_over(Instant::now()));
        assert!(progress.is_over(after(limits::HTTP_HEAD_MS_MAX)));
        progress.on_request();
        progress.on_flushed();
        assert!(progress.idle_since().is_none());
        assert!(!progress.is_over(after(limits::HTTP_HEAD_MS_MAX)));
        assert!(progress.is_over(after(limits::HTTP_ANSWER_MS_MAX)));
        progress.on_content_end();
        progress.on_flushed();
        assert!(progress.idle_since().is_some());
        assert!(progress.is_over(after(limits::HTTP_IDLE_MS_MAX)));
        // A byte every now and then keeps no head alive.
        progress.on_bytes();
        let since = progress.since.get();
        progress.on_bytes();
        assert_eq!(progress.since.get(), since);
        progress.end();
        assert!(progress.is_over(Instant::now()));
    }

    #[test]
    fn what_is_being_answered_gives_no_room() {
        let progress = Progress::new();
        assert!(progress.head_since().is_some());
        progress.end();
        assert!(progress.is_over(Instant::now()));
        // The request was whole before anybody looked.
        progress.on_request();
        assert!(!progress.is_over(Instant::now()));
        assert!(progress.head_since().is_none());
        progress.end();
        assert!(!progress.is_over(Instant::now()));
        progress.on_content_end();
        progress.on_flushed();
        assert!(!progress.is_over(Instant::now()));
        progress.end();
        assert!(progress.is_over(Instant::now()));
    }
}
