//! Messages between the shards: one ring per ordered pair, and the handshake that decides who must be woken.
//!
//! Each shard's thread owns one [`Port`]. A turn of that thread is: `awake`, `drain`, any number of `send`s, `flush`,
//! wake the shards that `flush` names, `prepare_sleep`, and then wait if that says so. How a thread waits and is woken
//! (an io_uring message, in the broker) is its own business. The mesh knows nothing of what it carries.
//!
//! Invariants:
//! - the messages of one pair arrive in the order sent, each once;
//! - nothing sent is visible before the sender's `flush`, which makes one release store per target;
//! - **no lost wake-up**: a thread for which `prepare_sleep` said yes is named by the `flush` of the first shard that
//!   sends it something, or that frees slots that it lacked, unless that was visible to `prepare_sleep` already;
//! - it is named once per sleep, however many shards send.
//!
//! The proof is the usual one of two sides that each write, then fence, then read (Dekker): the sleeper stores "asleep"
//! and reads the rings, the sender stores to the ring and reads "asleep"; between the two sequentially consistent
//! fences at least one sees the other. `loom_tests` explores it.

mod ring;
mod sync;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use crate::ids::ShardId;
use crate::limits::SHARDS_MAX;
use ring::{Consumer, Producer};
use sync::{Arc, AtomicBool, Line, Ordering, fence};

/// The ports of `shards` threads, by `ShardId`; each ordered pair has a ring of `slots` (a power of two) messages.
///
/// # Panics
/// When `shards` is 0 or above `SHARDS_MAX`, or `slots` is no power of two.
pub fn grid<T: Send>(shards: usize, slots: usize) -> Vec<Port<T>> {
    assert!(
        (1..=SHARDS_MAX).contains(&shards),
        "shards: 1 to {SHARDS_MAX}"
    );
    let asleep = Arc::new(
        (0..shards)
            .map(|_| Line(AtomicBool::new(false)))
            .collect::<Vec<_>>(),
    );
    let mut ports: Vec<Port<T>> = (0..shards)
        .map(|id| Port {
            id: ShardId(id as u8),
            outgoing: (0..shards).map(|_| None).collect(),
            incoming: (0..shards).map(|_| None).collect(),
            asleep: Arc::clone(&asleep),
            unpublished: ShardSet::EMPTY,
            freed: ShardSet::EMPTY,
        })
        .collect();
    for from in 0..shards {
        for to in (0..shards).filter(|&to| to != from) {
            let (producer, consumer) = ring::ring(slots);
            ports[from].outgoing[to] = Some(producer);
            ports[to].incoming[from] = Some(consumer);
        }
    }
    ports
}

/// One shard's end of the mesh. Belongs to that shard's thread.
pub struct Port<T> {
    id: ShardId,
    /// By target; `None` for the shard itself.
    outgoing: Box<[Option<Producer<T>>]>,
    /// By source; `None` for the shard itself.
    incoming: Box<[Option<Consumer<T>>]>,
    /// By shard: whether it waits, or is about to, and nobody has taken on to wake it.
    asleep: Arc<Vec<Line<AtomicBool>>>,
    /// Targets sent to since the last `flush`.
    unpublished: ShardSet,
    /// Sources whose slots were given back since the last `flush`.
    freed: ShardSet,
}

impl<T> Port<T> {
    /// Whose port it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// How many shards the mesh connects.
    pub fn shards(&self) -> usize {
        self.outgoing.len()
    }

    /// Queues a message for another shard, to leave with the next `flush`. Gives it back when the ring is full (or
    /// there is no such shard): the caller then keeps it, and everything later for that target, in its own queue and
    /// tries again after `awake`; it is woken for that when slots become free.
    #[inline]
    pub fn send(&mut self, to: ShardId, message: T) -> Result<(), T> {
        self.send_bytes(to, message, 0)
    }

    /// As `send`, for a message that counts as so many bytes until it is taken by `drain_bytes`.
    #[inline]
    pub fn send_bytes(&mut self, to: ShardId, message: T, bytes: usize) -> Result<(), T> {
        match self.outgoing.get_mut(to.index()) {
            Some(Some(producer)) => {
                producer.push(message, bytes)?;
                self.unpublished.insert(to);
                Ok(())
            }
            _ => Err(message),
        }
    }

    /// Publishes what was sent since the last call. Returns the shards that the caller must wake now: those that sleep
    /// and have something to do by it. Must be called after the `drain`s and `send`s of a turn.
    #[inline]
    #[must_use = "a shard that is not woken sleeps on its messages"]
    pub fn flush(&mut self) -> ShardSet {
        let (sent, freed) = (
            std::mem::take(&mut self.unpublished),
            std::mem::take(&mut self.freed),
        );
        let mut wake = ShardSet::EMPTY;
        if sent.is_empty() && freed.is_empty() {
            return wake;
        }
        for to in sent {
            if let Some(producer) = &mut self.outgoing[to.index()] {
                producer.publish();
            }
        }
        // Pairs with the fence in `prepare_sleep`.
        fence(Ordering::SeqCst);
        for to in sent {
            self.claim_wake(to, &mut wake);
        }
        for from in freed {
            if self.incoming[from.index()]
                .as_ref()
                .is_some_and(Consumer::producer_starved)
            {
                self.claim_wake(from, &mut wake);
            }
        }
        wake
    }

    /// Takes it on to wake a shard, if it sleeps and no other shard has taken that on.
    #[inline]
    fn claim_wake(&self, shard: ShardId, wake: &mut ShardSet) {
        let asleep = &self.asleep[shard.index()];
        // The load keeps the line shared while the shard is awake, which is the common case under load.
        if asleep.load(Ordering::Relaxed) && asleep.swap(false, Ordering::AcqRel) {
            wake.insert(shard);
        }
    }

    /// Takes what has arrived, in order per source, at most `max` per source. Returns how many. What is left makes
    /// `prepare_sleep` say no.
    #[inline]
    pub fn drain(&mut self, max: usize, mut take: impl FnMut(ShardId, T)) -> usize {
        self.drain_bytes(max, |from, message| {
            take(from, message);
            0
        })
    }

    /// As `drain`; `take` returns the bytes as which its message was sent.
    #[inline]
    pub fn drain_bytes(&mut self, max: usize, mut take: impl FnMut(ShardId, T) -> usize) -> usize {
        let mut total = 0;
        for (from, consumer) in self.incoming.iter_mut().enumerate() {
            let Some(consumer) = consumer else { continue };
            let from = ShardId(from as u8);
            let count = consumer.drain(max, |message| take(from, message));
            if count > 0 {
                self.freed.insert(from);
                total += count;
            }
        }
        total
    }

    /// Takes what has arrived from one source, in order, at most `max`. `take` returns the bytes as which its message was sent,
    /// and whether to go on. Returns how many.
    #[inline]
    pub fn drain_from(
        &mut self,
        from: ShardId,
        max: usize,
        take: impl FnMut(T) -> (usize, bool),
    ) -> usize {
        let Some(Some(consumer)) = self.incoming.get_mut(from.index()) else {
            return 0;
        };
        let count = consumer.drain_while(max, take);
        if count > 0 {
            self.freed.insert(from);
        }
        count
    }

    /// Bytes of the messages that were sent and not taken, over all targets, as far as these have said so.
    pub fn bytes(&mut self) -> usize {
        let rings = self.outgoing.iter_mut().flatten();
        rings.map(Producer::bytes).sum()
    }

    /// Announces that this thread is about to wait. `true`: it may, and every reason to wake it will make another
    /// shard's `flush` name it. `false`: something has arrived, or slots that a failed `send` lacked are free; it is
    /// awake and must run another turn. Call `flush` before.
    #[inline]
    pub fn prepare_sleep(&mut self) -> bool {
        self.prepare_sleep_on(|_| true)
    }

    /// As `prepare_sleep`, for a thread that takes nothing of some sources until it has taken something of others: what has
    /// arrived from a source that it does not `want` is no reason to stay awake.
    #[inline]
    pub fn prepare_sleep_on(&mut self, wants: impl Fn(ShardId) -> bool) -> bool {
        debug_assert!(
            self.unpublished.is_empty() && self.freed.is_empty(),
            "flush before sleep"
        );
        let asleep = &self.asleep[self.id.index()];
        // Every write to the flag is a swap, so that claims and sleeps are in one order even to loom, which does not
        // order a plain store against a concurrent swap.
        asleep.swap(true, Ordering::AcqRel);
        // Pairs with the fence in `flush`.
        fence(Ordering::SeqCst);
        let mut sources = self.incoming.iter().enumerate();
        let arrived = sources.any(|(from, consumer)| {
            let has_some = |consumer: &Consumer<T>| !consumer.is_empty();
            consumer.as_ref().is_some_and(has_some) && wants(ShardId(from as u8))
        });
        let relieved = || self.outgoing.iter().flatten().any(Producer::relieved);
        if arrived || relieved() {
            asleep.swap(false, Ordering::AcqRel);
            return false;
        }
        true
    }

    /// Says that the wait is over, whatever ended it. A wake that another shard has taken on meanwhile still comes and
    /// must be harmless.
    #[inline]
    pub fn awake(&mut self) {
        self.asleep[self.id.index()].swap(false, Ordering::AcqRel);
    }
}

/// A set of shards; iterates in their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardSet(u64);

const _: () = assert!(
    SHARDS_MAX <= u64::BITS as usize,
    "a ShardSet has one bit per shard"
);

impl ShardSet {
    /// No shard.
    pub const EMPTY: ShardSet = ShardSet(0);

    /// Adds a shard.
    #[inline]
    pub fn insert(&mut self, shard: ShardId) {
        self.0 |= 1 << shard.0;
    }

    /// Whether the shard is in it.
    #[inline]
    pub fn contains(self, shard: ShardId) -> bool {
        self.0 & (1 << shard.0) != 0
    }

    /// Whether there is none in it.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Iterator for ShardSet {
    type Item = ShardId;

    #[inline]
    fn next(&mut self) -> Option<ShardId> {
        if self.0 == 0 {
            return None;
        }
        let shard = ShardId(self.0.trailing_zeros() as u8);
        self.0 &= self.0 - 1;
        Some(shard)
    }
}
