//! How far a connection is, and how long it may stay there. hyper's own timeouts want timers that go from thread to thread;
//! those of the control thread's executor do not.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::heads::Heads;
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
    heads: RefCell<Heads>,
    taking: Cell<Taking>,
    waker: RefCell<Option<Waker>>,
}

/// How the client takes the answer.
#[derive(Clone, Copy, Default)]
struct Taking {
    /// Since when the broker waits for it to take more.
    since: Option<Instant>,
    /// For how long the broker has waited before.
    waited: Duration,
    /// Bytes that it has taken since the broker had to wait for it first.
    bytes: u64,
}

impl Progress {
    /// Of a connection that begins.
    pub(super) fn new() -> Progress {
        Progress {
            phase: Cell::new(Phase::Head),
            since: Cell::new(Instant::now()),
            is_content_out: Cell::new(false),
            is_told_to_end: Cell::new(false),
            heads: RefCell::default(),
            taking: Cell::default(),
            waker: RefCell::default(),
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(Instant::now());
    }

    /// Bytes have come.
    pub(super) fn on_bytes(&self, bytes: &[u8]) {
        self.heads.borrow_mut().take(bytes);
        if self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A head is whole.
    pub(super) fn on_request(&self) {
        self.is_content_out.set(false);
        self.heads.borrow_mut().on_request();
        self.taking.take();
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
            // Of what has come behind the request the time begins now.
            let has_more = self.heads.borrow().has_more();
            self.enter(if has_more { Phase::Head } else { Phase::Idle });
        }
    }

    /// The socket takes no more for now.
    pub(super) fn on_blocked(&self) {
        let mut taking = self.taking.get();
        taking.since.get_or_insert_with(Instant::now);
        self.taking.set(taking);
    }

    /// The socket has taken so many bytes.
    pub(super) fn on_taken(&self, bytes: usize) {
        let mut taking = self.taking.get();
        let since = taking.since.take();
        taking.waited += since.map_or(Duration::ZERO, |since| since.elapsed());
        if !taking.waited.is_zero() {
            taking.bytes += bytes as u64;
        }
        self.taking.set(taking);
    }

    /// Bytes a second that the client takes while the broker waits for it, once that was for so long in all, and is so now.
    pub(super) fn speed_after(&self, now: Instant, waited: Duration) -> Option<u64> {
        let taking = self.taking.get();
        let since = taking.since.filter(|_| self.phase.get() == Phase::Answer)?;
        let all = taking.waited + now.saturating_duration_since(since);
        let per_s = taking.bytes as f64 / all.as_secs_f64();
        (all >= waited).then_some(per_s as u64)
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
        self.wake();
    }

    /// Another one needs its place, and it takes its answer too slowly.
    pub(super) fn break_off(&self) {
        self.is_told_to_end.set(true);
        self.wake();
    }

    fn wake(&self) {
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
        let speed = self.speed_after(now, Duration::from_millis(limits::HTTP_SLOW_MS));
        self.is_told_to_end.get()
            || stood >= Duration::from_millis(most)
            || speed.is_some_and(|speed| speed < limits::HTTP_SPEED_MIN)
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
        progress.on_bytes(b"G");
        let since = progress.since.get();
        progress.on_bytes(b"E");
        assert_eq!(progress.since.get(), since);
        progress.end();
        assert!(progress.is_over(Instant::now()));
    }

    /// Half a head behind a request has the time of a head, not that between two requests.
    #[test]
    fn half_a_head_behind_a_request_is_a_head() {
        let progress = Progress::new();
        progress.on_bytes(b"GET / HTTP/1.1\r\n\r\nGET /");
        progress.on_request();
        progress.on_content_end();
        progress.on_flushed();
        assert!(progress.idle_since().is_none() && progress.head_since().is_some());
        let most = Duration::from_millis(limits::HTTP_HEAD_MS_MAX);
        assert!(progress.is_over(Instant::now() + most));
    }

    #[test]
    fn who_takes_too_little_is_ended() {
        let progress = Progress::new();
        let after = |ms| Instant::now() + Duration::from_millis(ms);
        progress.on_request();
        progress.on_taken(1 << 20);
        assert!(
            !progress.is_over(after(limits::HTTP_SLOW_MS)),
            "nobody waits"
        );
        progress.on_blocked();
        assert!(!progress.is_over(Instant::now()));
        assert!(progress.is_over(after(limits::HTTP_SLOW_MS)));
        // A byte now and then is not enough, and what it took before it was waited for does not count.
        std::thread::sleep(Duration::from_millis(2));
        progress.on_taken(1);
        assert!(!progress.is_over(after(limits::HTTP_SLOW_MS)));
        progress.on_blocked();
        assert!(progress.is_over(after(limits::HTTP_SLOW_MS)));
        progress.on_taken((2 * limits::HTTP_SPEED_MIN * limits::HTTP_SLOW_MS / 1000) as usize);
        progress.on_blocked();
        assert!(!progress.is_over(after(limits::HTTP_SLOW_MS)));
        let waited = Duration::from_millis(limits::HTTP_SLOW_WAITED_MS);
        let speed = progress.speed_after(after(limits::HTTP_SLOW_MS), waited);
        assert!(speed > Some(limits::HTTP_SPEED_MIN), "{speed:?}");
        assert_eq!(progress.speed_after(Instant::now(), waited), None);
        progress.on_request();
        assert!(
            !progress.is_over(after(limits::HTTP_SLOW_MS)),
            "another answer"
        );
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
