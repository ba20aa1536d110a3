//! A bounded queue between exactly two threads: one producer, one consumer, no lock.
//!
//! Owns the slots and the two counters. The producer's writes become visible in batches: any number of pushes, then
//! one release store (`Producer::publish`); the consumer gives slots back in batches the same way.
//!
//! Invariants, with counters that only grow (wrapping) and a capacity that is a power of two:
//! - `head <= tail <= head + capacity`, where `head` is written by the consumer only and `tail` by the producer only;
//! - the slots in `head..tail` are initialised and belong to the consumer, all others belong to the producer;
//! - `Producer::tail >= Shared::tail` and `Consumer::head >= Shared::head`: the private counters run ahead.

use std::mem::MaybeUninit;

use super::sync::{Arc, AtomicBool, AtomicUsize, Line, Ordering, UnsafeCell};

/// A queue for at most `capacity` (a power of two) elements.
pub(super) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(
        capacity.is_power_of_two(),
        "the index mask needs a power of two"
    );
    let shared = Arc::new(Shared {
        written: Line(Written {
            tail: AtomicUsize::new(0),
            starved: AtomicBool::new(false),
        }),
        read: Line(Read {
            head: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
        }),
        slots: (0..capacity)
            .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
            .collect(),
    });
    let producer = Producer {
        shared: Arc::clone(&shared),
        tail: 0,
        published: 0,
        head: 0,
        starved: false,
        bytes: 0,
        bytes_read: 0,
    };
    (
        producer,
        Consumer {
            shared,
            head: 0,
            released: 0,
            bytes: 0,
        },
    )
}

/// What the producer writes.
struct Written {
    tail: AtomicUsize,
    /// The last push found no slot: the consumer is to say when it has given some back.
    starved: AtomicBool,
}

/// What the consumer writes.
struct Read {
    /// Its `head`.
    head: AtomicUsize,
    /// Bytes of all elements that it has taken (wrapping): a figure, which orders nothing.
    bytes: AtomicUsize,
}

struct Shared<T> {
    written: Line<Written>,
    read: Line<Read>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

// SAFETY: elements move from the producer's thread to the consumer's, which `T: Send` allows. A slot is accessed by one
// thread at a time: by the invariants above its owner changes only with the release store of a counter that the other
// side has read with acquire. No reference to an element is ever shared.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Shared<T> {
    #[inline(always)]
    fn slot(&self, counter: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[counter & (self.slots.len() - 1)]
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let tail = self.written.tail.load(Ordering::Relaxed);
        let mut head = self.read.head.load(Ordering::Relaxed);
        while head != tail {
            // SAFETY: both sides are gone (`&mut self`, and their drops have published their counters), so that
            // `head..tail` are exactly the elements that nobody has taken.
            self.slot(head)
                .with_mut(|slot| unsafe { (*slot).assume_init_drop() });
            head = head.wrapping_add(1);
        }
    }
}

/// The writing end.
pub(super) struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// Where the next element goes.
    tail: usize,
    /// The last value stored to `Shared::written.tail`.
    published: usize,
    /// The last value read from `Read::head`: never ahead of it.
    head: usize,
    /// The last value stored to `Shared::written.starved`.
    starved: bool,
    /// Bytes of all elements pushed (wrapping).
    bytes: usize,
    /// The last value read from `Read::bytes`.
    bytes_read: usize,
}

impl<T> Producer<T> {
    /// Writes an element of so many bytes that the consumer sees after the next `publish`; gives it back when the ring
    /// is full.
    #[inline]
    pub(super) fn push(&mut self, value: T, bytes: usize) -> Result<(), T> {
        if self.tail.wrapping_sub(self.head) == self.shared.slots.len() && !self.refresh() {
            return Err(value);
        }
        // SAFETY: the check above means `tail < head + capacity`, so the slot is the producer's, which is this thread's
        // (`&mut self`); its old element was moved out before the consumer released `head`.
        self.shared.slot(self.tail).with_mut(|slot| unsafe {
            (*slot).write(value);
        });
        self.tail = self.tail.wrapping_add(1);
        self.bytes = self.bytes.wrapping_add(bytes);
        Ok(())
    }

    /// Bytes of the elements that the consumer has not taken, as far as it has said so.
    #[inline]
    pub(super) fn bytes(&mut self) -> usize {
        // Where all were taken nothing is read of the other side's line.
        if self.bytes_read != self.bytes {
            self.bytes_read = self.shared.read.bytes.load(Ordering::Relaxed);
        }
        self.bytes.wrapping_sub(self.bytes_read)
    }

    /// Looks for slots that the consumer has given back; asks it to report them when there are none.
    #[cold]
    fn refresh(&mut self) -> bool {
        self.head = self.shared.read.head.load(Ordering::Acquire);
        let full = self.tail.wrapping_sub(self.head) == self.shared.slots.len();
        if full != self.starved {
            self.starved = full;
            self.shared.written.starved.store(full, Ordering::Relaxed);
        }
        !full
    }

    /// Makes all pushed elements visible with one release store. Returns whether there were any.
    #[inline]
    pub(super) fn publish(&mut self) -> bool {
        let any = self.published != self.tail;
        if any {
            self.published = self.tail;
            self.shared.written.tail.store(self.tail, Ordering::Release);
        }
        any
    }

    /// Whether a push has failed and would now succeed.
    pub(super) fn relieved(&self) -> bool {
        self.starved
            && self
                .tail
                .wrapping_sub(self.shared.read.head.load(Ordering::Acquire))
                < self.shared.slots.len()
    }
}

impl<T> Drop for Producer<T> {
    fn drop(&mut self) {
        self.publish();
    }
}

/// The reading end.
pub(super) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// The next element to take.
    head: usize,
    /// The last value stored to `Read::head`.
    released: usize,
    /// Bytes of all elements taken (wrapping).
    bytes: usize,
}

impl<T> Consumer<T> {
    /// Takes at most `max` of the elements that are visible now, in order, and gives their slots back with one release
    /// store. `take` returns the bytes with which its element was pushed. Returns how many.
    #[inline]
    pub(super) fn drain(&mut self, max: usize, mut take: impl FnMut(T) -> usize) -> usize {
        self.drain_while(max, |value| (take(value), true))
    }

    /// As `drain`; `take` also says whether to go on.
    #[inline]
    pub(super) fn drain_while(
        &mut self,
        max: usize,
        mut take: impl FnMut(T) -> (usize, bool),
    ) -> usize {
        let tail = self.shared.written.tail.load(Ordering::Acquire);
        let most = tail.wrapping_sub(self.head).min(max);
        let mut count = 0;
        while count < most {
            // SAFETY: `head < tail`, read with acquire, so the slot is initialised and the consumer's, which is this
            // thread's (`&mut self`); `head` moves on at once, so the element is read out once even if `take` panics.
            let value = self
                .shared
                .slot(self.head)
                .with(|slot| unsafe { (*slot).assume_init_read() });
            self.head = self.head.wrapping_add(1);
            count += 1;
            let (bytes, goes_on) = take(value);
            self.bytes = self.bytes.wrapping_add(bytes);
            if !goes_on {
                break;
            }
        }
        self.release();
        count
    }

    fn release(&mut self) {
        if self.released != self.head {
            self.released = self.head;
            self.shared.read.bytes.store(self.bytes, Ordering::Relaxed);
            self.shared.read.head.store(self.head, Ordering::Release);
        }
    }

    /// Whether nothing is visible.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.shared.written.tail.load(Ordering::Acquire) == self.head
    }

    /// Whether the producer waits for slots.
    #[inline]
    pub(super) fn producer_starved(&self) -> bool {
        self.shared.written.starved.load(Ordering::Relaxed)
    }
}

impl<T> Drop for Consumer<T> {
    fn drop(&mut self) {
        self.release();
    }
}
