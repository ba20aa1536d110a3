//! The measured window of a run: warm up, measure, drain. Reads the CPU clocks at its two ends.

use super::probe::Probe;
use super::report::Report;
use super::{Common, Failure, sys};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    Warm,
    Measure,
    /// Nothing new is sent; what is outstanding still arrives.
    Drain,
}

#[derive(Clone, Copy)]
struct Snapshot {
    at_ns: u64,
    done: u64,
    broker_ns: u64,
    driver_ns: u64,
    ticks: u64,
    wait_ns: u64,
}

/// Drives the phases by the clock, and ends a run that makes no progress.
pub struct Meter {
    probe: Probe,
    measure_at_ns: u64,
    measure_ns: u64,
    start: Option<Snapshot>,
    end: Option<Snapshot>,
    stall_ns: u64,
    progress_at_ns: u64,
    progress: u64,
}

impl Meter {
    pub fn new(common: &Common) -> Result<Self, Failure> {
        let now = sys::now_ns();
        Ok(Self {
            probe: Probe::new(common.pid)?,
            measure_at_ns: now + nanoseconds(common.warm),
            measure_ns: nanoseconds(common.seconds),
            start: None,
            end: None,
            stall_ns: nanoseconds(common.stall),
            progress_at_ns: now,
            progress: 0,
        })
    }

    pub fn phase(&self) -> Phase {
        match (self.start, self.end) {
            (None, _) => Phase::Warm,
            (Some(_), None) => Phase::Measure,
            (Some(_), Some(_)) => Phase::Drain,
        }
    }

    /// Moves on to the next phase when its time has come. `done` counts deliveries (or cycles) since the start.
    pub fn tick(&mut self, now_ns: u64, done: u64) -> Result<Phase, Failure> {
        if done != self.progress {
            self.progress = done;
            self.progress_at_ns = now_ns;
        } else if now_ns.saturating_sub(self.progress_at_ns) > self.stall_ns {
            return Err(format!(
                "nothing arrived for {} s, after {done}",
                self.stall_ns / 1_000_000_000
            )
            .into());
        }
        if self.start.is_none() && now_ns >= self.measure_at_ns && done > 0 {
            self.start = Some(self.snapshot(done));
        } else if let Some(start) = self.start
            && self.end.is_none()
            && now_ns >= start.at_ns + self.measure_ns
        {
            self.end = Some(self.snapshot(done));
        }
        Ok(self.phase())
    }

    fn snapshot(&self, done: u64) -> Snapshot {
        Snapshot {
            at_ns: sys::now_ns(),
            done,
            broker_ns: self.probe.cpu_ns(),
            driver_ns: sys::own_cpu_ns(),
            ticks: self.probe.cpu_ticks(),
            wait_ns: self.probe.wait_ns(),
        }
    }

    /// Adds what the measured window showed, `unit` being what was counted.
    pub fn report(&self, unit: &str, report: &mut Report) {
        let (Some(start), Some(end)) = (self.start, self.end) else {
            return;
        };
        let wall_ns = (end.at_ns - start.at_ns) as f64;
        let done = end.done - start.done;
        let broker_ns = (end.broker_ns - start.broker_ns) as f64;
        report.text("unit", unit);
        report.count("count", done);
        report.number("wall_s", wall_ns / 1e9);
        report.number("per_s", done as f64 / wall_ns * 1e9);
        report.number("cpu_ns_each", broker_ns / done as f64);
        report.number(
            "cpu_ns_each_by_ticks",
            (end.ticks - start.ticks) as f64 * 1e7 / done as f64,
        );
        report.number("broker_cpu", broker_ns / wall_ns);
        let waited_ns = end.wait_ns.saturating_sub(start.wait_ns) as f64;
        report.number("broker_wait", waited_ns / wall_ns);
        report.number(
            "driver_cpu",
            (end.driver_ns - start.driver_ns) as f64 / wall_ns,
        );
    }
}

fn nanoseconds(seconds: f64) -> u64 {
    (seconds * 1e9) as u64
}
