//! A thread that looks at the broker through a run: CPU, memory, and whether it still lives.
//!
//! PSS and the list of descendants are renewed at most once a second: both make the kernel walk what may be long. The
//! samples are bounded; a run that outgrows them is looked at half as often from then on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::proc::{self, ProcUse};
use super::watched::Watched;
use crate::limits;
use crate::load::result::{BrokerEvent, BrokerUse, Sample};

/// Time between two looks that cost more.
const SLOW_EVERY: Duration = Duration::from_secs(1);

/// The shortest interval; a shorter one would load what it looks at.
const INTERVAL_MIN: Duration = Duration::from_millis(5);

/// What is looked at; made by `RunningBroker` and `External`.
#[derive(Clone, Debug)]
pub struct SampleTarget(Target);

#[derive(Clone, Debug)]
enum Target {
    Started(Arc<Watched>),
    /// A process of somebody else's. The time of its start tells it from a later one with its number.
    Process {
        pid: u32,
        started: Option<u64>,
    },
    Nothing,
}

impl SampleTarget {
    pub(super) fn started(watched: Arc<Watched>) -> Self {
        SampleTarget(Target::Started(watched))
    }

    /// A process that somebody else started; nothing for `None`.
    pub fn process(pid: Option<u32>) -> Self {
        SampleTarget(match pid {
            None => Target::Nothing,
            Some(pid) => Target::Process {
                pid,
                started: proc::stat(pid).map(|stat| stat.started),
            },
        })
    }

    fn pid(&self) -> Option<u32> {
        match &self.0 {
            Target::Started(watched) => Some(watched.pid()),
            Target::Process { pid, .. } => Some(*pid),
            Target::Nothing => None,
        }
    }

    fn ended(&self) -> bool {
        match &self.0 {
            Target::Started(watched) => watched.ended().is_some(),
            Target::Process { pid, started } => {
                let now = proc::stat(*pid).filter(proc::Stat::is_alive);
                now.is_none_or(|stat| Some(stat.started) != *started)
            }
            Target::Nothing => false,
        }
    }
}

/// The last look, and what the next one needs.
#[derive(Debug)]
struct Look {
    target: SampleTarget,
    /// The process and its descendants, as of the last slow look.
    pids: Vec<u32>,
    slow_at: Option<Instant>,
    last: Sample,
    last_pss: Option<u64>,
    is_end_told: bool,
}

impl Look {
    fn new(target: SampleTarget) -> Self {
        Look {
            target,
            pids: Vec::new(),
            slow_at: None,
            last: Sample::default(),
            last_pss: None,
            is_end_told: false,
        }
    }

    /// Looks now; `None` when the process is gone. `slow` asks for PSS even if it is not time for it.
    fn sample(&mut self, at_s: f64, slow: bool) -> Option<Sample> {
        let pid = self.target.pid()?;
        if self.target.ended() {
            return None;
        }
        let slow = slow || self.slow_at.is_none_or(|at| at.elapsed() >= SLOW_EVERY);
        if slow {
            self.pids = proc::tree(pid);
            self.slow_at = Some(Instant::now());
        }
        let found = ProcUse::of_tree(&self.pids, slow)?;
        let mut sample = Sample {
            at_s,
            // What a child used that nobody waited for is lost to the sum.
            user_s: found.user_s.max(self.last.user_s),
            system_s: found.system_s.max(self.last.system_s),
            rss_bytes: found.rss_bytes,
            pss_bytes: found.pss_bytes,
            threads: found.threads,
            ..Sample::default()
        };
        self.add_group(&mut sample);
        self.last_pss = found.pss_bytes.or(self.last_pss);
        self.last = sample;
        Some(sample)
    }

    /// What the cgroup counts, if there is one.
    fn add_group(&self, sample: &mut Sample) {
        if let Target::Started(watched) = &self.target.0
            && let Some(group) = &watched.group
        {
            let counted = group.usage();
            sample.cgroup_bytes = Some(counted.bytes);
            sample.cgroup_kernel_bytes = Some(counted.kernel_bytes);
            sample.cgroup_peak_bytes = Some(counted.peak_bytes);
        }
    }

    /// What is left of a process that is gone: the CPU time that was last seen.
    fn remains(&self, at_s: f64) -> Sample {
        let mut sample = Sample {
            at_s,
            user_s: self.last.user_s,
            system_s: self.last.system_s,
            ..Sample::default()
        };
        self.add_group(&mut sample);
        sample
    }

    fn events(&mut self, at_s: f64) -> Vec<BrokerEvent> {
        match &self.target.0 {
            Target::Started(watched) => watched.events(at_s),
            Target::Process { pid, .. } if !self.is_end_told && self.target.ended() => {
                self.is_end_told = true;
                vec![BrokerEvent {
                    at_s,
                    kind: "ended".into(),
                    text: format!("the broker's process {pid} is gone"),
                }]
            }
            Target::Process { .. } | Target::Nothing => Vec::new(),
        }
    }
}

/// What was seen.
#[derive(Debug)]
struct Kept {
    samples: Vec<Sample>,
    events: Vec<BrokerEvent>,
    latest: Option<Sample>,
    interval: Duration,
    samples_max: usize,
}

impl Kept {
    fn push(&mut self, sample: Sample) {
        if self.samples.len() >= self.samples_max {
            self.halve();
        }
        self.samples.push(sample);
    }

    /// Keeps one of two, with the PSS of either, and halves the pace.
    fn halve(&mut self) {
        let pairs = self.samples.chunks(2).map(|pair| Sample {
            pss_bytes: pair.iter().find_map(|sample| sample.pss_bytes),
            ..pair[0]
        });
        self.samples = pairs.collect();
        self.interval *= 2;
    }

    fn tell(&mut self, events: Vec<BrokerEvent>) {
        let room = limits::LOAD_EVENTS_MAX.saturating_sub(self.events.len());
        self.events.extend(events.into_iter().take(room));
    }
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    look: Mutex<Look>,
    kept: Mutex<Kept>,
    ended: AtomicBool,
}

impl Shared {
    fn at_s(&self) -> f64 {
        self.epoch.elapsed().as_secs_f64()
    }

    /// One look, kept. Returns the time to the next.
    fn tick(&self) -> Duration {
        let at_s = self.at_s();
        let mut look = lock(&self.look);
        let sample = look.sample(at_s, false);
        let events = look.events(self.at_s());
        if look.target.ended() {
            self.ended.store(true, Ordering::Relaxed);
        }
        let mut kept = lock(&self.kept);
        if let Some(sample) = sample {
            kept.push(sample);
            kept.latest = Some(Sample {
                pss_bytes: look.last_pss,
                ..sample
            });
        }
        kept.tell(events);
        kept.interval
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A look that panicked leaves an older one behind, which is as good.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The thread and what it has seen. It ends with this value.
#[derive(Debug)]
pub struct Sampler {
    shared: Arc<Shared>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Starts looking, every `interval`. Times count from `epoch`. Without a thread to be had only `now` looks.
    pub fn start(target: SampleTarget, epoch: Instant, interval: Duration) -> Sampler {
        Sampler::with_max(target, epoch, interval, limits::LOAD_SAMPLES_MAX)
    }

    fn with_max(target: SampleTarget, epoch: Instant, interval: Duration, max: usize) -> Sampler {
        let is_idle = target.pid().is_none();
        let shared = Arc::new(Shared {
            epoch,
            look: Mutex::new(Look::new(target)),
            kept: Mutex::new(Kept {
                samples: Vec::new(),
                events: Vec::new(),
                latest: None,
                interval: interval.max(INTERVAL_MIN),
                samples_max: max.max(2),
            }),
            ended: AtomicBool::new(false),
        });
        let (stop, stopped) = channel();
        let mut thread = None;
        if !is_idle {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name("sampler".into());
            let run = move || {
                let mut next = Instant::now();
                loop {
                    next += shared.tick();
                    // After a pause it goes on from now instead of catching up.
                    next = next.max(Instant::now());
                    let wait = next.saturating_duration_since(Instant::now());
                    if stopped.recv_timeout(wait) != Err(RecvTimeoutError::Timeout) {
                        return;
                    }
                }
            };
            thread = builder.spawn(run).ok();
        }
        Sampler {
            shared,
            stop: Some(stop),
            thread,
        }
    }

    /// Whether there is a process to look at; without one `now` has nothing but the time.
    pub fn sees(&self) -> bool {
        lock(&self.shared.look).target.pid().is_some()
    }

    /// A fresh look, PSS included: for the edges of a step. It may take some milliseconds. Of a process that is gone
    /// the CPU time that was last seen is left. It is not among the samples of `finish`.
    pub fn now(&self) -> Sample {
        let mut look = lock(&self.shared.look);
        let at_s = self.shared.at_s();
        look.sample(at_s, true)
            .unwrap_or_else(|| look.remains(at_s))
    }

    /// The last look, with the last known PSS, for a progress line.
    pub fn latest(&self) -> Option<Sample> {
        lock(&self.shared.kept).latest
    }

    /// What happened so far.
    pub fn events(&self) -> Vec<BrokerEvent> {
        lock(&self.shared.kept).events.clone()
    }

    /// Whether the broker's process is gone, as of the last look.
    pub fn ended(&self) -> bool {
        self.shared.ended.load(Ordering::Relaxed)
    }

    /// Ends the thread after a last look, and gives everything that it saw.
    pub fn finish(mut self) -> (Vec<Sample>, Vec<BrokerEvent>) {
        self.join();
        self.shared.tick();
        let mut kept = lock(&self.shared.kept);
        (
            std::mem::take(&mut kept.samples),
            std::mem::take(&mut kept.events),
        )
    }

    fn join(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked, what it saw until then is there.
            let _ = thread.join();
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.join();
    }
}

/// What the broker used between two looks; `between` are looks in that time, for the peaks.
pub fn broker_use(
    before: &Sample,
    after: &Sample,
    between: &[Sample],
    delivered: u64,
) -> BrokerUse {
    let user_s = (after.user_s - before.user_s).max(0.0);
    let system_s = (after.system_s - before.system_s).max(0.0);
    let wall_s = after.at_s - before.at_s;
    let cpu_s = user_s + system_s;
    let within = between
        .iter()
        .filter(|sample| sample.at_s >= before.at_s && sample.at_s <= after.at_s);
    let looks: Vec<&Sample> = [before, after].into_iter().chain(within).collect();
    let seen = looks.iter().filter_map(|sample| sample.cgroup_bytes).max();
    // The kernel's peak is that of all time: it is of this time if it rose.
    let risen =
        (after.cgroup_peak_bytes > before.cgroup_peak_bytes).then_some(after.cgroup_peak_bytes);
    BrokerUse {
        user_s,
        system_s,
        busy: if wall_s > 0.0 { cpu_s / wall_s } else { 0.0 },
        cpu_ns_per_delivery: (delivered > 0).then(|| cpu_s * 1e9 / delivered as f64),
        rss_peak_bytes: looks
            .iter()
            .map(|sample| sample.rss_bytes)
            .max()
            .unwrap_or(0),
        cgroup_peak_bytes: seen.max(risen.flatten()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> SampleTarget {
        SampleTarget::process(Some(std::process::id()))
    }

    fn eventually(mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < Duration::from_secs(20));
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    #[test]
    fn it_looks_at_a_process() {
        let epoch = Instant::now();
        let sampler = Sampler::start(own(), epoch, Duration::from_millis(10));
        eventually(|| sampler.latest().is_some_and(|sample| sample.at_s > 0.1));
        let now = sampler.now();
        assert!(sampler.sees() && !sampler.ended() && sampler.events().is_empty());
        assert!(now.rss_bytes > 0 && now.pss_bytes.is_some() && now.threads >= 2);
        let (samples, events) = sampler.finish();
        assert!(events.is_empty());
        assert!(samples.len() >= 5, "{}", samples.len());
        assert!(samples.is_sorted_by(|a, b| a.at_s < b.at_s && a.user_s <= b.user_s));
        assert!(samples[0].pss_bytes.is_some() && samples[1].pss_bytes.is_none());
        assert_eq!(samples[0].cgroup_bytes, None);
    }

    #[test]
    fn the_end_of_a_process_is_told_once() {
        let mut child = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let target = SampleTarget::process(Some(child.id()));
        let sampler = Sampler::start(target, Instant::now(), Duration::from_millis(5));
        eventually(|| sampler.latest().is_some());
        child.kill().unwrap();
        child.wait().unwrap();
        eventually(|| sampler.ended());
        let now = sampler.now();
        assert_eq!((now.rss_bytes, now.pss_bytes, now.threads), (0, None, 0));
        let (samples, events) = sampler.finish();
        assert!(samples.iter().all(|sample| sample.threads == 1));
        assert_eq!(events.len(), 1);
        assert_eq!(events[0].kind, "ended");
        assert!(events[0].text.contains(&child.id().to_string()));
    }

    #[test]
    fn nothing_to_look_at() {
        let target = SampleTarget::process(None);
        let sampler = Sampler::start(target, Instant::now(), Duration::from_millis(5));
        let now = sampler.now();
        assert_eq!(
            now,
            Sample {
                at_s: now.at_s,
                ..Sample::default()
            }
        );
        assert!(!sampler.sees() && !sampler.ended() && sampler.latest().is_none());
        assert_eq!(sampler.finish(), (vec![], vec![]));
    }

    #[test]
    fn a_long_run_is_thinned_out() {
        let mut kept = Kept {
            samples: Vec::new(),
            events: Vec::new(),
            latest: None,
            interval: Duration::from_secs(1),
            samples_max: 8,
        };
        let mut at_s = 0.0;
        while at_s < 17.0 {
            kept.push(Sample {
                at_s,
                pss_bytes: (at_s == 3.0).then_some(7),
                ..Sample::default()
            });
            at_s += kept.interval.as_secs_f64();
        }
        let times: Vec<f64> = kept.samples.iter().map(|sample| sample.at_s).collect();
        assert_eq!(times, [0.0, 4.0, 8.0, 12.0, 16.0]);
        assert_eq!(kept.samples[0].pss_bytes, Some(7));
        assert_eq!(kept.interval, Duration::from_secs(4));
    }

    #[test]
    fn a_sampler_with_little_room_goes_on() {
        let sampler = Sampler::with_max(own(), Instant::now(), Duration::from_millis(5), 4);
        eventually(|| sampler.latest().is_some_and(|sample| sample.at_s > 0.2));
        let (samples, _) = sampler.finish();
        assert!((2..=4).contains(&samples.len()));
        assert!(samples[samples.len() - 1].at_s > 0.1);
    }

    #[test]
    fn use_between_two_looks() {
        let look = |at_s, cpu_s, bytes, peak| Sample {
            at_s,
            user_s: cpu_s,
            system_s: cpu_s * 3.0,
            rss_bytes: bytes,
            cgroup_bytes: Some(bytes + 1),
            cgroup_peak_bytes: Some(peak),
            ..Sample::default()
        };
        let (before, after) = (look(1.0, 1.0, 10, 900), look(3.0, 1.5, 20, 900));
        let between = [look(0.5, 0.0, 1000, 900), look(2.0, 1.2, 50, 900)];
        let found = broker_use(&before, &after, &between, 1000);
        assert_eq!((found.user_s, found.system_s, found.busy), (0.5, 1.5, 1.0));
        assert_eq!(found.cpu_ns_per_delivery, Some(2e6));
        assert_eq!(
            (found.rss_peak_bytes, found.cgroup_peak_bytes),
            (50, Some(51))
        );
        let risen = Sample {
            cgroup_peak_bytes: Some(950),
            ..after
        };
        assert_eq!(
            broker_use(&before, &risen, &between, 0).cgroup_peak_bytes,
            Some(950)
        );
        let same = broker_use(&before, &before, &[], 0);
        assert_eq!((same.busy, same.cpu_ns_per_delivery), (0.0, None));
    }
}
