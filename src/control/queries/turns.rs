//! Turns at something that only one may use at a time, in the order in which they were asked for. Glommio's semaphore gives none: who
//! leaves and comes back at once is in before the one that was woken.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Who has the turn, and who waits for one.
#[derive(Default)]
pub(super) struct Turns(RefCell<Line>);

/// The first has the turn.
#[derive(Default)]
struct Line {
    tickets: u64,
    waiting: VecDeque<(u64, Option<Waker>)>,
}

/// A turn, or a place in the line for one: given up with the value.
pub(super) struct Turn<'a> {
    of: &'a Turns,
    ticket: u64,
}

impl Turns {
    /// Waits for a turn. It lasts as long as what is returned.
    pub(super) async fn take(&self) -> Turn<'_> {
        let turn = self.line_up();
        poll_fn(|context| {
            let mut line = self.0.borrow_mut();
            let is_first = line.waiting.front().is_some_and(|one| one.0 == turn.ticket);
            if is_first {
                return Poll::Ready(());
            }
            let mut all = line.waiting.iter_mut();
            if let Some((_, waker)) = all.find(|one| one.0 == turn.ticket) {
                *waker = Some(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
        turn
    }

    fn line_up(&self) -> Turn<'_> {
        let mut line = self.0.borrow_mut();
        line.tickets += 1;
        let ticket = line.tickets;
        line.waiting.push_back((ticket, None));
        Turn { of: self, ticket }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut line = self.of.0.borrow_mut();
        line.waiting.retain(|one| one.0 != self.ticket);
        let next = line.waiting.front_mut().and_then(|one| one.1.take());
        drop(line);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;
    use std::time::Duration;

    use glommio::{LocalExecutorBuilder, Placement, timer};

    use super::*;

    async fn use_it(turns: &Turns, log: &RefCell<String>, name: char) {
        let _turn = turns.take().await;
        log.borrow_mut().push(name);
        timer::sleep(Duration::from_millis(1)).await;
    }

    /// Who comes back at once is behind those that wait, and one that has gone while it waited holds nobody up.
    #[test]
    fn who_comes_back_waits_for_the_others() {
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .make()
            .unwrap();
        let order = executor.run(async {
            let turns = Rc::new(Turns::default());
            let log = Rc::new(RefCell::new(String::new()));
            let again = glommio::spawn_local({
                let (turns, log) = (turns.clone(), log.clone());
                async move {
                    for _ in 0..4 {
                        use_it(&turns, &log, 'a').await;
                    }
                }
            });
            let once = |name| {
                let (turns, log) = (turns.clone(), log.clone());
                glommio::spawn_local(async move { use_it(&turns, &log, name).await })
            };
            let (b, gone, c) = (once('b'), once('x'), once('c'));
            timer::sleep(Duration::from_micros(100)).await;
            gone.cancel().await;
            b.await;
            c.await;
            again.await;
            log.borrow().clone()
        });
        assert_eq!(order, "abcaaa");
    }
}
