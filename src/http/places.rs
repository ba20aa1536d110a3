//! The connections of a listener: how many there are, who waits for one to end, and which one gives way.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use glommio::Task;
use glommio::timer::Timer;

use super::progress::Progress;
use crate::limits;

/// See the module.
pub(super) struct Connections {
    /// How many there may be, beside those that look how the broker is.
    most: Cell<usize>,
    all: RefCell<Vec<Connection>>,
    /// Who waits for one to end.
    waiting: RefCell<Option<Waker>>,
}

/// One of them.
struct Connection {
    from: IpAddr,
    progress: Weak<Progress>,
    task: Task<()>,
}

impl Connections {
    /// None yet.
    pub(super) fn new() -> Connections {
        Connections {
            most: Cell::new(limits::HTTP_CONNECTIONS_MAX),
            all: RefCell::default(),
            waiting: RefCell::default(),
        }
    }

    /// So many may there be, if those are fewer than there may be anyway.
    pub(super) fn set_most(&self, most: Option<u32>) {
        let most = most.map_or(limits::HTTP_CONNECTIONS_MAX, |most| most as usize);
        self.most.set(most.min(limits::HTTP_CONNECTIONS_MAX));
    }

    /// How many there are; those that have ended are forgotten.
    fn count(&self) -> usize {
        let mut all = self.all.borrow_mut();
        all.retain(|connection| connection.progress.strong_count() > 0);
        all.len()
    }

    /// Waits until one has ended, or for a while.
    async fn one_less(&self) {
        let mut pause = Timer::new(Duration::from_millis(limits::HTTP_ROOM_LOOK_MS));
        let before = self.count();
        poll_fn(|cx| {
            // Of several who wait the last one is woken; the others look again after their pause.
            self.waiting.replace(Some(cx.waker().clone()));
            if self.count() < before {
                return Poll::Ready(());
            }
            Pin::new(&mut pause).poll(cx).map(drop)
        })
        .await;
    }

    /// Waits for room for one more; what asks nothing makes room, and what takes its answer slowly. Whether it is none but for a look at
    /// how the broker is.
    pub(super) async fn room(&self) -> bool {
        loop {
            let (count, most) = (self.count(), self.most.get());
            if count < most {
                return false;
            }
            self.make_room();
            if count < most + limits::HTTP_PROBES_MAX {
                return true;
            }
            self.one_less().await;
        }
    }

    /// Waits a while until one that came without room has some; whether it does.
    pub(super) async fn room_for(&self) -> bool {
        let until = Instant::now() + Duration::from_millis(limits::HTTP_ROOM_MS);
        while self.count() > self.most.get() {
            if Instant::now() >= until {
                return false;
            }
            self.make_room();
            self.one_less().await;
        }
        true
    }

    /// One more.
    pub(super) fn add(&self, from: IpAddr, progress: Weak<Progress>, task: Task<()>) {
        let connection = Connection {
            from,
            progress,
            task,
        };
        self.all.borrow_mut().push(connection);
    }

    /// One has ended.
    pub(super) fn on_end(&self) {
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
    }

    /// The tasks of all, which end with them.
    pub(super) fn take(&self) -> Vec<Task<()>> {
        let all = self.all.take();
        all.into_iter().map(|connection| connection.task).collect()
    }

    /// Tells one to end: that which has been idle longest; or else one of those from which no request has come for a while; or else
    /// that which takes its answer slowest.
    fn make_room(&self) {
        let all = self.all.borrow();
        let all = all.iter().filter_map(|connection| {
            let progress = connection.progress.upgrade()?;
            Some((connection.from, progress))
        });
        let all: Vec<(IpAddr, Rc<Progress>)> = all.collect();
        let idle = all.iter().filter_map(|(_, progress)| {
            let since = progress.idle_since()?;
            Some((since, progress))
        });
        if let Some((_, progress)) = idle.min_by_key(|(since, _)| *since) {
            return progress.end();
        }
        let now = Instant::now();
        let silent = all.iter().filter_map(|(from, progress)| {
            let since = progress.head_since()?;
            Some(((*from, now.saturating_duration_since(since)), progress))
        });
        let (heads, silent): (Vec<_>, Vec<_>) = silent.unzip();
        if let Some(place) = to_give_way(&heads) {
            return silent[place].end();
        }
        let waited = Duration::from_millis(limits::HTTP_SLOW_WAITED_MS);
        let slow = all.iter().filter_map(|(_, progress)| {
            let speed = progress.speed_after(now, waited)?;
            (speed < limits::HTTP_SPEED_KEPT).then_some((speed, progress))
        });
        if let Some((_, progress)) = slow.min_by_key(|(speed, _)| *speed) {
            progress.break_off();
        }
    }
}

/// Which of those that ask nothing, by their addresses and for how long they have, gives way: the oldest one of the address that has most
/// of them. One address keeps nobody else out, and its connections share the time that one may be silent.
fn to_give_way(heads: &[(IpAddr, Duration)]) -> Option<usize> {
    let count = |from: IpAddr| heads.iter().filter(|(other, _)| *other == from).count();
    let patience = Duration::from_millis(limits::HTTP_SILENCE_MS);
    let named = heads.iter().enumerate();
    let named = named.map(|(place, &(from, silent))| (place, count(from), silent));
    let late = named.filter(|&(_, count, silent)| silent >= patience / count as u32);
    late.max_by_key(|&(place, count, silent)| (count, silent, std::cmp::Reverse(place)))
        .map(|(place, ..)| place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_keeps_nobody_out() {
        let head = |last, ms| (IpAddr::from([127, 0, 0, last]), Duration::from_millis(ms));
        assert_eq!(to_give_way(&[]), None);
        assert_eq!(to_give_way(&[head(1, limits::HTTP_SILENCE_MS)]), Some(0));
        assert_eq!(to_give_way(&[head(1, limits::HTTP_SILENCE_MS - 1)]), None);
        let heads = [
            head(1, 900),
            head(2, 300),
            head(2, 800),
            head(2, 500),
            head(3, 700),
        ];
        assert_eq!(to_give_way(&heads), Some(2));
        assert_eq!(to_give_way(&[head(1, 500), head(2, 600)]), Some(1));
        // The more one address has, the less time each of them has.
        let crowd = [head(1, limits::HTTP_SILENCE_MS / 10); 10];
        assert_eq!(to_give_way(&crowd), Some(0));
        assert_eq!(to_give_way(&crowd[1..]), None);
    }
}
