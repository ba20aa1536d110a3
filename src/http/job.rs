//! Work on files, one piece at a time. The executor's blocking threads are few: one waits for signals, one for the ends of shards, and a
//! file system that does not answer must have no more than the one that is left.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use glommio::timer;

use crate::limits;

static IS_BUSY: AtomicBool = AtomicBool::new(false);

/// The only place there is. It goes with the work, which goes on though nobody waits for it any more.
struct Place(&'static AtomicBool);

impl Place {
    fn take(is_busy: &'static AtomicBool) -> Option<Place> {
        let taken = is_busy.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed);
        // Not `then_some`: a place that was made and is dropped gives the other one away.
        taken.is_ok().then(|| Place(is_busy))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Has a blocking thread do it. `None`: another piece of work has not come to its end for as long as somebody waits.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    run_at(&IS_BUSY, Duration::from_millis(limits::HTTP_FILE_MS), work).await
}

async fn run_at<T: Send + 'static>(
    is_busy: &'static AtomicBool,
    wait: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let until = Instant::now() + wait;
    let place = loop {
        if let Some(place) = Place::take(is_busy) {
            break place;
        }
        if Instant::now() >= until {
            return None;
        }
        timer::sleep(Duration::from_millis(limits::HTTP_FILE_LOOK_MS)).await;
    };
    let work = move || {
        let done = work();
        drop(place);
        done
    };
    Some(glommio::executor().spawn_blocking(work).await)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use glommio::{LocalExecutorBuilder, Placement, PoolPlacement};

    use super::*;

    #[test]
    fn who_waits_for_a_file_that_does_not_come_is_told() {
        static OWN: AtomicBool = AtomicBool::new(false);
        const WAIT: Duration = Duration::from_millis(50);
        let pool = PoolPlacement::Unbound(2);
        let builder = LocalExecutorBuilder::new(Placement::Unbound);
        let executor = builder.blocking_thread_pool_placement(pool).make();
        executor.unwrap().run(async {
            let (to, hangs) = mpsc::channel::<()>();
            let hung = glommio::spawn_local(run_at(&OWN, WAIT, move || hangs.recv().is_err()));
            timer::sleep(Duration::from_millis(20)).await;
            // Who waited for it has gone, and it still has the place.
            hung.cancel().await;
            assert_eq!(run_at(&OWN, WAIT, || 1).await, None);
            // The other thread is free.
            assert_eq!(glommio::executor().spawn_blocking(|| 2).await, 2);
            drop(to);
            let patience = Duration::from_secs(10);
            assert_eq!(run_at(&OWN, patience, || 3).await, Some(3));
        });
    }
}
