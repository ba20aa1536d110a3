//! A queue between shards and threads that work for them, in which each source address has its turn: however much of one
//! address waits, another one's first is taken next but for the addresses that wait too.
//!
//! Where there is no place left, the newest of the address that has most gives way, if that has more than whoever comes. It is
//! given up by who takes, as what it is for has to be told.
//!
//! Invariants: `turns` has each address of which something waits once; whoever takes never holds the lock while working.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::ids::Network;

/// What waits.
struct Waiting<T> {
    by_source: HashMap<Network, VecDeque<T>>,
    /// Whose turn it is, the next one first.
    turns: VecDeque<Network>,
    count: usize,
    /// Those that have given way, at most an eighth as many as may wait.
    given_up: VecDeque<T>,
    /// Nobody can put anything in any more.
    is_closed: bool,
}

struct Queue<T> {
    waiting: Mutex<Waiting<T>>,
    came: Condvar,
    most: usize,
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, Waiting<T>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes the queue when the last entrance is gone.
struct Closer<T>(Arc<Queue<T>>);

impl<T> Drop for Closer<T> {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.came.notify_all();
    }
}

/// Where something is put in.
pub(crate) struct Entrance<T>(Arc<Closer<T>>);

impl<T> Clone for Entrance<T> {
    fn clone(&self) -> Self {
        Entrance(self.0.clone())
    }
}

/// Where it is taken out.
pub(crate) struct Exit<T>(Arc<Queue<T>>);

impl<T> Clone for Exit<T> {
    fn clone(&self) -> Self {
        Exit(self.0.clone())
    }
}

/// What is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Taken<T> {
    /// It is its turn.
    Due(T),
    /// It has given way to another one.
    GivenUp(T),
}

/// A queue in which at most so many wait.
pub(crate) fn fair<T>(most: usize) -> (Entrance<T>, Exit<T>) {
    let queue = Arc::new(Queue {
        waiting: Mutex::new(Waiting {
            by_source: HashMap::new(),
            turns: VecDeque::new(),
            count: 0,
            given_up: VecDeque::new(),
            is_closed: false,
        }),
        came: Condvar::new(),
        most,
    });
    (Entrance(Arc::new(Closer(queue.clone()))), Exit(queue))
}

impl<T> Entrance<T> {
    /// Lets one of this address wait. Never waits itself, but for who puts something in or takes it out.
    ///
    /// # Errors
    /// It is one too many, and comes back.
    pub(crate) fn put(&self, source: Network, item: T) -> Result<(), T> {
        let queue = &self.0.0;
        let mut waiting = queue.lock();
        let own = waiting.by_source.get(&source).map_or(0, VecDeque::len);
        if waiting.count >= queue.most {
            let has_room = waiting.given_up.len() < queue.most.div_ceil(8);
            if !has_room || !waiting.give_up_one(own) {
                return Err(item);
            }
        }
        waiting.by_source.entry(source).or_default().push_back(item);
        if own == 0 {
            waiting.turns.push_back(source);
        }
        waiting.count += 1;
        drop(waiting);
        queue.came.notify_one();
        Ok(())
    }
}

impl<T> Exit<T> {
    /// Waits for one; `None` when all that was put in has been taken, and nothing more can come.
    pub(crate) fn take(&self) -> Option<Taken<T>> {
        let mut waiting = self.0.lock();
        loop {
            let taken = waiting.take();
            if taken.is_some() {
                return taken;
            }
            if waiting.is_closed {
                return None;
            }
            let woken = self.0.came.wait(waiting);
            waiting = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
impl<T> Exit<T> {
    /// Waits for one so long.
    pub(crate) fn take_within(&self, time: std::time::Duration) -> Option<Taken<T>> {
        let waiting = self.0.lock();
        let is_empty = |waiting: &mut Waiting<T>| {
            waiting.count == 0 && waiting.given_up.is_empty() && !waiting.is_closed
        };
        let woken = self.0.came.wait_timeout_while(waiting, time, is_empty);
        let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
        waiting.take()
    }
}

#[cfg(test)]
impl<T> Exit<T> {
    /// The next one that has given way, if there is one.
    fn take_given_up(&self) -> Option<Taken<T>> {
        let given_up = self.0.lock().given_up.pop_front();
        given_up.map(Taken::GivenUp)
    }
}

impl<T> Waiting<T> {
    /// The next one. Those that have given way come first: there is little to do for them.
    fn take(&mut self) -> Option<Taken<T>> {
        match self.given_up.pop_front() {
            Some(item) => Some(Taken::GivenUp(item)),
            None => self.pop().map(Taken::Due),
        }
    }

    /// The newest one of the address that has most gives way to one of an address that has so many; false if that would not
    /// have less even then.
    fn give_up_one(&mut self, own: usize) -> bool {
        let most = self.by_source.values_mut().max_by_key(|items| items.len());
        // It keeps one at least, and so its turn.
        let newest = most.filter(|items| items.len() > own + 1);
        let Some(item) = newest.and_then(VecDeque::pop_back) else {
            return false;
        };
        self.given_up.push_back(item);
        self.count -= 1;
        true
    }

    fn pop(&mut self) -> Option<T> {
        let source = self.turns.pop_front()?;
        let own = self.by_source.get_mut(&source)?;
        let item = own.pop_front()?;
        if own.is_empty() {
            self.by_source.remove(&source);
        } else {
            self.turns.push_back(source);
        }
        self.count -= 1;
        if self.count == 0 {
            self.by_source.shrink_to_fit();
            self.turns.shrink_to_fit();
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(number: u32) -> Network {
        Network::of(Ipv4Addr::from_bits(number).into())
    }

    #[test]
    fn hundreds_of_one_address_keep_no_other_waiting() {
        let (entrance, exit) = fair(1024);
        for number in 0..800 {
            entrance.put(source(1), (1, number)).unwrap();
        }
        assert_eq!(exit.take(), Some(Taken::Due((1, 0))));
        for (address, number) in [(2, 0), (2, 1), (3, 0)] {
            entrance.put(source(address), (address, number)).unwrap();
        }
        for next in [(1, 1), (2, 0), (3, 0), (1, 2), (2, 1)] {
            assert_eq!(exit.take(), Some(Taken::Due(next)));
        }
        for number in 3..800 {
            assert_eq!(exit.take(), Some(Taken::Due((1, number))));
        }
        drop(entrance);
        assert_eq!(exit.take(), None);
    }

    #[test]
    fn a_queue_that_one_address_fills_has_places_for_others() {
        let (entrance, exit) = fair(64);
        let put = |address, number| entrance.put(source(address), (address, number));
        for number in 0..64 {
            put(1, number).unwrap();
        }
        assert_eq!(put(1, 64), Err((1, 64)), "its own give way to others only");
        // Eight are given up before anybody is told, and no more.
        for address in 2..10 {
            put(address, 0).unwrap();
        }
        assert_eq!(put(10, 0), Err((10, 0)));
        for number in (56..64).rev() {
            assert_eq!(exit.take(), Some(Taken::GivenUp((1, number))));
        }
        put(10, 0).unwrap();
        assert_eq!(exit.take(), Some(Taken::GivenUp((1, 55))));
        // Two share it at last, and neither puts the other out.
        for number in 0..100 {
            let _ = put(11, number);
            while let Some(Taken::GivenUp((of, _))) = exit.take_given_up() {
                assert_eq!(of, 1);
            }
        }
        drop(entrance);
        let mut counts = HashMap::new();
        while let Some(taken) = exit.take() {
            let Taken::Due((of, _)) = taken else {
                panic!("{taken:?}");
            };
            *counts.entry(of).or_insert(0) += 1;
        }
        assert_eq!(counts.values().sum::<usize>(), 64);
        assert!(counts[&1].abs_diff(counts[&11]) <= 1, "{counts:?}");
        assert!((2..=10).all(|address| counts[&address] == 1), "{counts:?}");
    }

    #[test]
    fn those_who_have_one_each_put_nobody_out() {
        const MOST: usize = 64;
        let (entrance, exit) = fair(MOST);
        let put = |address| entrance.put(source(address), address).is_ok();
        assert_eq!((0..1000).filter(|&address| put(address)).count(), MOST);
        assert_eq!(exit.take(), Some(Taken::Due(0)));
        assert!(put(2000) && !put(3000));
    }

    #[test]
    fn those_who_wait_are_woken() {
        let (entrance, exit) = fair(8);
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let exit = exit.clone();
                std::thread::spawn(move || std::iter::from_fn(|| exit.take()).count())
            })
            .collect();
        let other = entrance.clone();
        for number in 0..200 {
            while other.put(source(number % 5), ()).is_err() {
                std::thread::yield_now();
            }
        }
        drop((entrance, other));
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        assert_eq!(counts.sum::<usize>(), 200);
    }
}
