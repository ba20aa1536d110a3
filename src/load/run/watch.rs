//! Who watches a run: the progress line, the broker's pulse, the user who wants it to end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::limits;
use crate::load::engine::{Course, Now, Watch};
use crate::load::host::{Sampler, broker_use};
use crate::load::live::{Live, Look};
use crate::load::result::{BrokerUse, Sample};
use crate::load::worker::Progress;

/// How often the line changes.
const REDRAW: Duration = Duration::from_millis(200);

/// How long a run goes on without its broker: until its clients have noticed.
const AFTERLIFE: Duration = Duration::from_secs(1);

/// The broker at the edges of the measured part.
#[derive(Clone, Debug, Default)]
pub(super) struct Marks(Vec<Sample>);

impl Marks {
    /// What the broker used in between.
    pub(super) fn broker_use(&self, samples: &[Sample], delivered: u64) -> Option<BrokerUse> {
        let (before, after) = (self.0.first()?, self.0.get(1)?);
        Some(broker_use(before, after, samples, delivered))
    }
}

/// Waits for the end of a run's connections, but not for long.
pub(super) struct Farewell(Instant);

impl Farewell {
    pub(super) fn new() -> Self {
        Farewell(Instant::now() + AFTERLIFE)
    }
}

impl Watch for Farewell {
    fn look(&mut self, _: &Now<'_>) -> Course {
        match Instant::now() < self.0 {
            true => Course::On,
            false => Course::End,
        }
    }

    fn mark(&mut self) {}
}

pub(super) struct Watcher<'a> {
    live: &'a mut Live,
    sampler: &'a Sampler,
    stop: &'a Arc<AtomicBool>,
    connections: u64,
    marks: Marks,
    phase: String,
    drawn: Option<Drawn>,
    ended: Option<Instant>,
    /// Whether the broker is one that ran before: then somebody has to listen.
    is_external: bool,
    /// Whether no client comes in.
    pub nobody: bool,
}

/// What was known when the line was last drawn.
struct Drawn {
    at: Instant,
    published: u64,
    delivered: u64,
}

impl<'a> Watcher<'a> {
    pub(super) fn new(
        live: &'a mut Live,
        sampler: &'a Sampler,
        stop: &'a Arc<AtomicBool>,
        connections: u64,
        is_external: bool,
    ) -> Self {
        Watcher {
            live,
            sampler,
            stop,
            connections,
            marks: Marks::default(),
            phase: String::new(),
            drawn: None,
            ended: None,
            is_external,
            nobody: false,
        }
    }

    pub(super) fn marks(&mut self) -> Marks {
        std::mem::take(&mut self.marks)
    }

    fn draw(&mut self, now: &Now<'_>) {
        if self.phase != now.phase {
            self.phase = now.phase.to_owned();
            self.live.phase(now.phase, now.seconds);
        }
        let at = Instant::now();
        let progress = now.progress;
        let published = progress.sum(|worker| &worker.published);
        let delivered = progress.sum(|worker| &worker.delivered);
        if let Some(drawn) = &self.drawn {
            let passed = at - drawn.at;
            if passed < REDRAW {
                return;
            }
            let rate = |now: u64, then: u64| (now - then) as f64 / passed.as_secs_f64();
            self.live.show(&Look {
                elapsed_s: now.elapsed_s,
                published_per_s: rate(published, drawn.published),
                delivered_per_s: rate(delivered, drawn.delivered),
                p99_ns: progress.p99_ns(),
                lost: 0,
                connected: progress.sum(|worker| &worker.ready),
                connections: self.connections,
                broker_bytes: self.sampler.latest().map(|sample| sample.rss_bytes),
            });
        }
        self.drawn = Some(Drawn {
            at,
            published,
            delivered,
        });
    }
}

impl Watch for Watcher<'_> {
    fn look(&mut self, now: &Now<'_>) -> Course {
        self.draw(now);
        if self.sampler.ended() {
            let since = *self.ended.get_or_insert_with(Instant::now);
            if since.elapsed() >= AFTERLIFE {
                return Course::End;
            }
        }
        let sure = self.connections.min(limits::LOAD_KEPT_OUT_SURE);
        if !self.sampler.ended() && nobody_comes_in(now.progress, self.is_external, sure) {
            self.nobody = true;
            return Course::End;
        }
        match self.stop.load(Ordering::Relaxed) {
            true => Course::Cease,
            false => Course::On,
        }
    }

    fn mark(&mut self) {
        if self.sampler.sees() {
            self.marks.0.push(self.sampler.now());
        }
    }
}

/// No connection has ever been made, and one was refused by the system of the other side or found no way there, or
/// `sure` were kept out for their login or for what lies below MQTT. Of a broker that is started here the first is a
/// result: it has ended.
pub(super) fn nobody_comes_in(progress: &Progress, is_external: bool, sure: u64) -> bool {
    let unreachable = progress.sum(|worker| &worker.unreachable);
    let kept_out = progress.sum(|worker| &worker.kept_out);
    let is_sure = is_external && unreachable > 0 || kept_out >= sure.max(1);
    is_sure && progress.sum(|worker| &worker.opened) == 0
}
