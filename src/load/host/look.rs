//! One look at a broker's process, and what it used between two of them.
//!
//! PSS and the list of descendants are renewed at most once a second unless asked for: both make the kernel walk what
//! may be long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::proc::{self, ProcUse};
use super::watched::Watched;
use crate::load::result::{BrokerEvent, BrokerUse, Sample};

/// Time between two looks that cost more.
const SLOW_EVERY: Duration = Duration::from_secs(1);

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

    /// The process, if there is one to look at.
    pub(super) fn pid(&self) -> Option<u32> {
        match &self.0 {
            Target::Started(watched) => Some(watched.pid()),
            Target::Process { pid, .. } => Some(*pid),
            Target::Nothing => None,
        }
    }

    /// Whether it is gone.
    pub(super) fn ended(&self) -> bool {
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
pub(super) struct Look {
    pub target: SampleTarget,
    /// The process and its descendants, as of the last slow look.
    pids: Vec<u32>,
    slow_at: Option<Instant>,
    last: Sample,
    last_pss: Option<u64>,
    is_end_told: bool,
}

impl Look {
    pub(super) fn new(target: SampleTarget) -> Self {
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
    pub(super) fn sample(&mut self, at_s: f64, slow: bool) -> Option<Sample> {
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

    /// The last PSS that was read.
    pub(super) fn last_pss(&self) -> Option<u64> {
        self.last_pss
    }

    /// What is left of a process that is gone: the CPU time that was last seen.
    pub(super) fn remains(&self, at_s: f64) -> Sample {
        let mut sample = Sample {
            at_s,
            user_s: self.last.user_s,
            system_s: self.last.system_s,
            ..Sample::default()
        };
        self.add_group(&mut sample);
        sample
    }

    /// What happened since the last call.
    pub(super) fn events(&mut self, at_s: f64) -> Vec<BrokerEvent> {
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
