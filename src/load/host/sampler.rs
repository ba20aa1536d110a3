//! A thread that looks at the broker through a run: CPU, memory, and whether it still lives.
//!
//! The samples are bounded; a run that outgrows them is looked at half as often from then on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::look::{Look, SampleTarget};
use crate::limits;
use crate::load::result::{BrokerEvent, Sample};

/// The shortest interval; a shorter one would load what it looks at.
const INTERVAL_MIN: Duration = Duration::from_millis(5);

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
                pss_bytes: look.last_pss(),
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
}
