//! How much memory is used, looked at ten times a second, and the step of the ladder that follows from it.
//!
//! Owns the readings and the ladder; takes no measure itself: shards do, when they see the step in the pool. Those that
//! sleep are woken for that.

mod falls;
mod groups;
mod reading;
#[cfg(test)]
mod tests;
mod values;

pub(crate) use groups::{Gift, field, given as given_by, reserve};
pub(crate) use reading::{given, resident};

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use glommio::timer;

use super::log::Log;
use crate::broker::LogKind;
use crate::budget::{Account, Ladder, Lease, Pool, Rung};
use crate::config::size_text;
use crate::limits;
use crate::shard::{ShardCommand, ShardHandle, Shared, give_free_memory_back};
use falls::Falls;
use reading::{Level, Reader, Reading, Waiting};

/// See the module.
pub(crate) struct Monitor {
    pool: Arc<Pool>,
    /// What waits in sockets is held by it.
    sockets: Lease,
    ladder: Ladder,
    /// Bytes that may wait in one connection's socket, both directions, by the kernel's own bounds.
    socket_bytes_max: u64,
    /// As of the last look.
    level: Standing,
    /// Looks until everything is read again.
    until_whole: u32,
    /// How often control groups have met their limits, and when that was last more than before.
    events: u64,
    met_ms: Option<u64>,
    /// When it looked last.
    looked_ms: Option<u64>,
    /// By step.
    entered: [u64; Rung::ALL.len()],
    stood_ms: [u64; Rung::ALL.len()],
    lines: Lines,
    falls: Falls,
}

/// What a look came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Thousandths of the limit: the greatest of those below.
    pub permille: u64,
    /// Bytes of all accounts that are leased.
    pub leased: u64,
    /// Bytes of the process that are in memory.
    pub resident: u64,
    /// Bytes that wait in sockets, as measured.
    pub waiting: u64,
    /// The control group that is nearest to its limit: bytes used, and the limit.
    pub group: Option<(u64, u64)>,
    /// Hundredths of the time in which somebody stood still for want of memory.
    pub stalled: u64,
}

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// From here on.
    pub rung: Rung,
    /// What to say about it, unless enough has been said.
    pub line: Option<String>,
}

impl Monitor {
    /// For the accounts of this pool.
    pub(crate) fn new(pool: Arc<Pool>) -> Monitor {
        Monitor {
            sockets: Lease::new(pool.clone()),
            pool,
            ladder: Ladder::default(),
            socket_bytes_max: socket_bytes_max(),
            level: Standing::default(),
            until_whole: 0,
            events: 0,
            met_ms: None,
            looked_ms: None,
            entered: [0; _],
            stood_ms: [0; _],
            lines: Lines::default(),
            falls: Falls::default(),
        }
    }

    /// Whether the next look should read everything.
    fn wants_whole(&mut self) -> bool {
        let is_due = self.until_whole == 0;
        self.until_whole = match is_due {
            true => limits::MEMORY_LOOKS_PER_READING - 1,
            false => self.until_whole - 1,
        };
        is_due || self.level.permille >= limits::MEMORY_CLOSE
    }

    /// Goes by what was read, with so many connections open. Returns the step that was taken, if one was.
    pub(crate) fn update(
        &mut self,
        now_ms: u64,
        reading: &Reading,
        connections: u64,
    ) -> Option<Step> {
        let waiting = match reading.waiting {
            Some(Waiting::OfGroup(bytes)) => bytes,
            // Of the host's, not more than the own connections can have.
            Some(Waiting::OfHost(bytes)) => bytes.min(connections * self.socket_bytes_max),
            None => 0,
        };
        self.sockets.set(Account::Sockets, waiting);
        let leased = Account::ALL
            .iter()
            .map(|&account| self.pool.leased(account))
            .sum();
        let resident = reading.resident.unwrap_or(0);
        let own = resident + self.pool.leased(Account::Sockets);
        let nearest = reading
            .groups
            .iter()
            .max_by_key(|level| of_group(own, level));
        let permille = [
            share(leased, self.pool.total()),
            share(own, self.pool.total()),
            nearest.map_or(0, |level| of_group(own, level)),
            reading.available.map_or(0, |left| share(own, own + left)),
        ];
        self.level = Standing {
            permille: permille.into_iter().max().unwrap_or(0),
            leased,
            resident,
            waiting,
            group: nearest.map(|level| (level.usage, level.limit)),
            stalled: reading.stalled,
        };
        let floor = self.floor(now_ms, reading);
        self.step(now_ms, floor)
    }

    /// Whether everybody is to give free memory back, as of the last look.
    fn gives_back(&mut self, now_ms: u64) -> bool {
        // What waits in sockets is the kernel's, and not resident.
        let held = self
            .level
            .leased
            .saturating_sub(self.pool.leased(Account::Sockets));
        self.falls.look(now_ms, held, self.level.resident)
    }

    /// The step that the system asks for, whatever the level.
    fn floor(&mut self, now_ms: u64, reading: &Reading) -> Rung {
        let close = |level: &&Level| share(level.usage, level.limit) >= limits::MEMORY_EVENTS_FROM;
        let events = reading.groups.iter().map(|level| level.events).sum();
        let has_met = events > self.events && reading.groups.iter().any(|level| close(&level));
        // What was counted before the start is not news.
        if has_met && self.looked_ms.is_some() {
            self.met_ms = Some(now_ms);
        }
        self.events = events;
        let met = self
            .met_ms
            .is_some_and(|at_ms| now_ms < at_ms + limits::MEMORY_EVENTS_MS);
        match reading.stalled {
            _ if met => Rung::Shrink,
            limits::MEMORY_STALL_SHRINK.. => Rung::Shrink,
            limits::MEMORY_STALL_TRIM.. => Rung::Trim,
            _ => Rung::Calm,
        }
    }

    fn step(&mut self, now_ms: u64, floor: Rung) -> Option<Step> {
        let before = self.ladder.rung();
        let since_ms = self.looked_ms.replace(now_ms).unwrap_or(now_ms);
        self.stood_ms[before as usize] += now_ms.saturating_sub(since_ms);
        let (rung, is_other) = self.ladder.update(now_ms, self.level.permille, floor);
        // Also where the step stays: some measures go by the level, and end before the step does.
        self.pool.set_level(self.level.permille);
        if !is_other {
            return None;
        }
        self.pool.set_rung(rung);
        self.entered[rung as usize] += 1;
        let line = self
            .lines
            .may_say(now_ms)
            .then(|| self.line(before, rung, floor));
        Some(Step { rung, line })
    }

    /// What to say about a step.
    fn line(&self, before: Rung, rung: Rung, floor: Rung) -> String {
        let level = &self.level;
        let group = level.group.map_or(String::new(), |(usage, limit)| {
            format!(
                ", control group {} of {}",
                size_text(usage),
                size_text(limit)
            )
        });
        let floor = match floor > Rung::Calm {
            true => format!(", the system asks for {}", floor.name()),
            false => String::new(),
        };
        format!(
            "Memory: {} after {}, at {}.{} %: accounts {}, resident {}, in sockets {}, limit {}{group}{floor}.",
            rung.name(),
            before.name(),
            level.permille / 10,
            level.permille % 10,
            size_text(level.leased),
            size_text(level.resident),
            size_text(level.waiting),
            size_text(self.pool.total()),
        )
    }
}

/// Thousandths that a part is of a whole; above 1000 where it is more.
fn share(part: u64, whole: u64) -> u64 {
    (u128::from(part) * 1000 / u128::from(whole.max(1))) as u64
}

/// How near a control group is to its limit, in thousandths. What others in the group use is room that is not there; it
/// does not make the broker give up what it has before it has to. A group that is mostly the broker's counts as its own,
/// with what the kernel holds there and nobody names.
fn of_group(own: u64, level: &Level) -> u64 {
    let own = match own >= level.usage / 2 {
        true => level.usage,
        false => own,
    };
    share(own, own + level.limit.saturating_sub(level.usage))
}

/// Bytes that the kernel lets wait in one connection's socket.
fn socket_bytes_max() -> u64 {
    let most = |name: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}"));
        let last = |text: String| text.split_whitespace().last()?.parse().ok();
        text.ok().and_then(last).unwrap_or(4 << 20)
    };
    most("tcp_rmem") + most("tcp_wmem")
}

/// Lines about steps, not too many of them.
#[derive(Default)]
struct Lines {
    minute: u64,
    said: u32,
}

impl Lines {
    fn may_say(&mut self, now_ms: u64) -> bool {
        let minute = now_ms / 60_000;
        if minute != self.minute {
            (self.minute, self.said) = (minute, 0);
        }
        self.said += 1;
        self.said <= limits::RUNG_LINES_PER_MINUTE
    }
}

/// Looks for as long as the broker runs.
pub(super) async fn watch(
    monitor: Rc<RefCell<Monitor>>,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    log: Rc<Log>,
) {
    let mut reader = Reader::open();
    let started = Instant::now();
    loop {
        let now_ms = started.elapsed().as_millis() as u64;
        let (step, is_calm, gives_back) = {
            let mut monitor = monitor.borrow_mut();
            let whole = monitor.wants_whole();
            let reading = reader.look(whole);
            let step = monitor.update(now_ms, reading, shared.connections().into());
            let is_calm = monitor.ladder.rung() == Rung::Calm;
            (step, is_calm, monitor.gives_back(now_ms))
        };
        if step.is_some() || !is_calm {
            tell(&shards, || ShardCommand::Pressure);
        }
        if gives_back {
            tell(&shards, || ShardCommand::GiveBack);
            give_free_memory_back();
        }
        for text in reader.take_failed() {
            let text = format!("Memory: goes on without {text}.");
            log.write(LogKind::Warning, text);
        }
        if let Some(Step {
            rung,
            line: Some(line),
        }) = step
        {
            log.write(kind(rung), line);
        }
        timer::sleep(Duration::from_millis(limits::MEMORY_LOOK_MS)).await;
    }
}

/// Gives every shard a turn, in which it sees the step and does what it asks for. Above the ground that is at every look: a
/// shard on which nothing happens has measures to take too, and some take one after the other.
fn tell(shards: &[ShardHandle], command: impl Fn() -> ShardCommand) {
    for shard in shards {
        // One whose queue is full has a turn anyway, and much in its hands.
        let _ = shard.send(command());
    }
}

/// How much a step matters to whoever reads the log.
fn kind(rung: Rung) -> LogKind {
    match rung {
        Rung::Calm | Rung::Trim => LogKind::Notice,
        _ => LogKind::Warning,
    }
}
