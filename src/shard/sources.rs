//! Connections by source address: how many each has open, and how fast new ones come. What is too much is closed right
//! after the accept, before a byte is read and before TLS; some of those that come too fast are told so.
//!
//! One table for all shards, in stripes with a lock each, touched only when a connection is accepted and when it is
//! closed; not at all while no bound is set, and not for this host's own addresses unless that is asked for.
//!
//! An address is what tells hosts apart ([`Network`]).
//!
//! Invariants: an address with an open connection is never forgotten, so that what is counted is taken back; there are
//! no more of those than connections. Of the others at most some `limits::SOURCES_IDLE_MAX` are kept. Who is not known
//! is let in: a full table never shuts anybody out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::config::SourceBounds;
use crate::ids::Network;
use crate::limits;

/// Locks that the table is divided by (a power of two).
const STRIPES: usize = 64;
/// The option that bounds how fast connections come.
pub(super) const RATE: &str = "max_connection_rate_per_address";
/// Addresses from which on a stripe looks for those that it can forget.
const STRIPE_SOURCES: usize = limits::SOURCES_IDLE_MAX / STRIPES;

/// Neighbouring addresses go to different stripes.
fn stripe_of(source: Network) -> usize {
    (source.spread() >> 32) as usize % STRIPES
}

/// What is known of an address.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    /// Microseconds: when its bucket of tokens is full again.
    full_at_us: u64,
    open: u32,
    /// Refused since the last line about it.
    refused: u32,
    /// The second after that of the last line about it; 0 for none.
    said_s: u32,
}

struct Stripe {
    entries: HashMap<Network, Entry>,
    /// How many entries make it look for those that can be forgotten.
    sweep_at: usize,
}

impl Stripe {
    /// Forgets addresses without a connection: those whose bucket is full lose nothing; the others only if there are
    /// still too many. The next look is far enough away that looks cost little per connection.
    #[cold]
    fn sweep(&mut self, now_us: u64) {
        self.entries
            .retain(|_, entry| entry.open > 0 || entry.full_at_us > now_us);
        if self.entries.len() > self.sweep_at / 2 {
            self.entries.retain(|_, entry| entry.open > 0);
        }
        self.sweep_at = STRIPE_SOURCES.max(2 * self.entries.len());
    }
}

/// Why a connection is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    /// The option whose bound is reached.
    pub option: &'static str,
    /// How many of the address have been refused since the last line about it, with this one; `None`: there was a
    /// line within this second.
    pub say: Option<u32>,
}

/// Passwords that wait to be checked.
#[derive(Default)]
struct Waiting {
    sources: HashMap<Network, Checks>,
    bytes: u64,
}

/// Those of one address.
#[derive(Default)]
struct Checks {
    count: usize,
    bytes: u64,
}

/// See the module.
pub(crate) struct Sources {
    connections: AtomicU32,
    rate: AtomicU32,
    local: AtomicBool,
    stripes: Box<[Mutex<Stripe>]>,
    /// The second, and the lines written in it.
    lines: AtomicU64,
    checks: Mutex<Waiting>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Sources {
    fn default() -> Self {
        let stripe = || Stripe {
            entries: HashMap::new(),
            sweep_at: STRIPE_SOURCES,
        };
        Sources {
            connections: AtomicU32::new(0),
            rate: AtomicU32::new(0),
            local: AtomicBool::new(false),
            stripes: (0..STRIPES).map(|_| Mutex::new(stripe())).collect(),
            lines: AtomicU64::new(0),
            checks: Mutex::default(),
        }
    }
}

impl Sources {
    /// Sets the bounds, for connections that come from here on.
    pub(crate) fn set(&self, bounds: SourceBounds) {
        self.connections
            .store(bounds.connections, Ordering::Relaxed);
        self.rate.store(bounds.rate, Ordering::Relaxed);
        self.local.store(bounds.local, Ordering::Relaxed);
    }

    /// Whether connections from this address are counted: some bound is set, and it is not this host's own (a Unix
    /// socket has the unspecified address).
    pub(crate) fn counts(&self, address: IpAddr) -> bool {
        let is_on =
            self.connections.load(Ordering::Relaxed) > 0 || self.rate.load(Ordering::Relaxed) > 0;
        is_on && !self.is_exempt(address)
    }

    fn is_exempt(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_unspecified() || (address.is_loopback() && !self.local.load(Ordering::Relaxed))
    }

    fn stripe(&self, source: Network) -> MutexGuard<'_, Stripe> {
        locked(&self.stripes[stripe_of(source)])
    }

    /// Counts a connection of this address, if its bounds allow it; the answer is whether it is counted and has to be
    /// released. `now_ms` is the broker's clock.
    ///
    /// # Errors
    /// It is one too many.
    pub(crate) fn admit(&self, address: IpAddr, now_ms: u64) -> Result<bool, Refused> {
        if !self.counts(address) {
            return Ok(false);
        }
        let (most, rate) = (
            self.connections.load(Ordering::Relaxed),
            self.rate.load(Ordering::Relaxed),
        );
        let now_us = now_ms * 1000;
        let source = Network::of(address);
        let mut stripe = self.stripe(source);
        if stripe.entries.len() >= stripe.sweep_at && !stripe.entries.contains_key(&source) {
            stripe.sweep(now_us);
        }
        let entry = stripe.entries.entry(source).or_default();
        let Err(option) = entry.take(most, rate, now_us) else {
            return Ok(true);
        };
        entry.refused = entry.refused.saturating_add(1);
        let second = (now_ms / 1000) as u32 + 1;
        let say = entry.said_s != second && self.may_say(second);
        Err(Refused {
            option,
            say: say.then(|| {
                entry.said_s = second;
                std::mem::take(&mut entry.refused)
            }),
        })
    }

    /// Whether one more line about a refused connection may be written now, whoever it is about.
    pub(super) fn may_say_now(&self, now_ms: u64) -> bool {
        self.may_say((now_ms / 1000) as u32 + 1)
    }

    fn may_say(&self, second: u32) -> bool {
        let more = |lines: u64| match (lines >> 32) as u32 == second {
            true if lines as u32 >= limits::REFUSAL_LINES_PER_S => None,
            true => Some(lines + 1),
            false => Some(u64::from(second) << 32 | 1),
        };
        let (set, fetch) = (Ordering::Relaxed, Ordering::Relaxed);
        self.lines.fetch_update(set, fetch, more).is_ok()
    }

    /// Takes back what `admit` counted.
    pub(crate) fn release(&self, address: IpAddr, now_ms: u64) {
        let source = Network::of(address);
        let mut stripe = self.stripe(source);
        if let Some(entry) = stripe.entries.get_mut(&source) {
            entry.open = entry.open.saturating_sub(1);
            if entry.open == 0 && entry.refused == 0 && entry.full_at_us <= now_ms * 1000 {
                stripe.entries.remove(&source);
            }
        }
    }

    /// Connections that are counted now.
    #[cfg(test)]
    pub(crate) fn open(&self) -> u64 {
        let open = |stripe: &Mutex<Stripe>| {
            let stripe = locked(stripe);
            let entries = stripe.entries.values();
            entries.map(|entry| u64::from(entry.open)).sum::<u64>()
        };
        self.stripes.iter().map(open).sum()
    }

    /// Lets a password of this address, with its name so many bytes, wait to be checked, if not too many of its passwords do.
    /// All of them together have `most` bytes; where others hold all of that, who has little waiting is let in all the same.
    pub(super) fn enter_check(&self, address: IpAddr, bytes: u64, most: u64) -> bool {
        let most = most.min(limits::PASSWORDS_WAITING_BYTES_MAX);
        let most_of_one =
            (most / limits::PASSWORDS_WAITING_DIVISOR).max(limits::CONNECT_BYTES_MAX.into());
        let is_exempt = self.is_exempt(address);
        let mut waiting = locked(&self.checks);
        let Waiting {
            sources,
            bytes: all,
        } = &mut *waiting;
        let source = Network::of(address);
        let (count, own) = match sources.get(&source) {
            Some(checks) if !is_exempt => (checks.count, checks.bytes + bytes),
            _ => (0, bytes),
        };
        let may = count < limits::PASSWORDS_WAITING_PER_ADDRESS
            && own <= most_of_one
            && (*all + bytes <= most.max(most_of_one)
                || own <= limits::PASSWORDS_WAITING_BYTES_ALWAYS);
        if may {
            let checks = sources.entry(source).or_default();
            checks.count += 1;
            checks.bytes += bytes;
            *all += bytes;
        }
        may
    }

    /// Takes back what `enter_check` counted.
    pub(super) fn leave_check(&self, address: IpAddr, bytes: u64) {
        let source = Network::of(address);
        let mut waiting = locked(&self.checks);
        let Some(checks) = waiting.sources.get_mut(&source) else {
            return;
        };
        checks.count -= 1;
        checks.bytes -= bytes;
        if checks.count == 0 {
            waiting.sources.remove(&source);
        }
        waiting.bytes -= bytes;
    }
}

impl Entry {
    /// Counts a connection and takes its token; the error is the option that does not allow it. A bound of 0 is none.
    fn take(&mut self, most: u32, rate: u32, now_us: u64) -> Result<(), &'static str> {
        if most > 0 && self.open >= most {
            return Err("max_connections_per_address");
        }
        if rate > 0 {
            let interval = 1_000_000 / u64::from(rate);
            let burst = u64::from(rate) * limits::SOURCE_BURST_S;
            let from = self.full_at_us.max(now_us);
            if from - now_us > (burst - 1) * interval {
                return Err(RATE);
            }
            self.full_at_us = from + interval;
        }
        self.open += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
