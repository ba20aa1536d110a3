//! The coordinator of a run: starts workers, gives them a phase at a time, waits, and puts their parts together.

mod pulse;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use core_affinity::CoreId;
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use hdrhistogram::Histogram;

use crate::limits;
use crate::uring::RingError;

use pulse::Pulse;

use super::assemble::{self, Ended};
use super::distribution::new_histogram;
use super::job::{Group, Job, Open, StepPlan, Traffic};
use super::ledger::Balance;
use super::measure::Window;
use super::result::{Setup, Step};
use super::worker::{
    Command, Place, Progress, QuitPart, Received, Reply, Sent, SetupPart, Start, StepPart, Trouble,
    Worker,
};

/// How often the coordinator looks at the workers.
const LOOK: Duration = Duration::from_millis(2);

/// Time between a command and what is due first: enough for all workers to have taken it.
const LEAD_NS: u64 = 20_000_000;

/// Why there is no run, or no longer.
#[derive(Debug)]
pub enum EngineError {
    /// The machine does not let a worker be.
    Machine(String),
    /// It was told to stop.
    Stopped,
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineError::Machine(text) => f.write_str(text),
            EngineError::Stopped => f.write_str("stopped"),
        }
    }
}

/// What goes on now, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub struct Now<'a> {
    pub phase: &'a str,
    /// Seconds since the phase began, and how many it takes, where that is known.
    pub elapsed_s: f64,
    pub seconds: Option<f64>,
    pub progress: &'a Progress,
}

/// How a run is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    On,
    /// Nothing more is begun; what is under way is waited for, and measured up to now.
    Cease,
    /// At once: there is nothing to wait for.
    End,
}

/// Somebody who watches a run.
pub trait Watch {
    /// Called some hundred times a second.
    fn look(&mut self, now: &Now<'_>) -> Course;
    /// The measured part of a step begins, or ends.
    fn mark(&mut self);
}

/// A run's workers.
pub struct Engine {
    job: Arc<Job>,
    place: Place,
    progress: Arc<Progress>,
    threads: Vec<JoinHandle<Result<(), RingError>>>,
    commands: Vec<Sender<Command>>,
    replies: Vec<Receiver<Reply>>,
    given: u32,
    /// What had been compared before the present step.
    balanced: (Balance, Received),
    unacknowledged: u64,
    setup: Opened,
    ceasing: Ceasing,
}

/// Whether the watcher wants the run to cease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ceasing {
    No,
    Asked,
    /// It did, and what follows is to be done all the same.
    Done,
}

/// What the openings came to so far.
struct Opened {
    connect: Histogram<u64>,
    subscribe: Histogram<u64>,
    opened: u64,
    refused: u64,
    failed: u64,
    seconds: f64,
}

impl Engine {
    /// Starts the workers, each on a CPU of the list, in turn; with an empty list they are not pinned.
    pub fn start(job: &Arc<Job>, place: &Place, cpus: &[u16]) -> Result<Engine, EngineError> {
        let progress = Arc::new(Progress::new(job.workers as usize, job.publishers.len()));
        let mut engine = Engine {
            job: Arc::clone(job),
            place: place.clone(),
            progress,
            threads: Vec::new(),
            commands: Vec::new(),
            replies: Vec::new(),
            given: 0,
            balanced: (Balance::default(), Received::default()),
            unacknowledged: 0,
            setup: Opened {
                connect: new_histogram(),
                subscribe: new_histogram(),
                opened: 0,
                refused: 0,
                failed: 0,
                seconds: 0.0,
            },
            ceasing: Ceasing::No,
        };
        for id in 0..job.workers {
            let cpu = cpus.get(id as usize % cpus.len().max(1)).copied();
            engine.start_worker(id, cpu)?;
        }
        Ok(engine)
    }

    fn start_worker(&mut self, id: u32, cpu: Option<u16>) -> Result<(), EngineError> {
        let (commands, inbox) = unbounded();
        let (outbox, replies) = unbounded();
        let (created, is_created) = bounded(1);
        let start = Start {
            job: Arc::clone(&self.job),
            place: self.place.clone(),
            id,
            commands: inbox,
            replies: outbox,
            progress: Arc::clone(&self.progress),
        };
        let work = move || {
            if let Some(cpu) = cpu {
                core_affinity::set_for_current(CoreId { id: cpu.into() });
            }
            let progress = Arc::clone(&start.progress);
            let result = Worker::new(start).map(|worker| {
                let _ = created.send(());
                worker.run()
            });
            drop(created);
            progress.workers[id as usize]
                .ended
                .store(true, Ordering::Release);
            result.and_then(|ran| ran)
        };
        let thread = std::thread::Builder::new()
            .name(format!("load-{id}"))
            .spawn(work)
            .map_err(|e| EngineError::Machine(format!("a worker's thread: {e}")))?;
        self.threads.push(thread);
        self.commands.push(commands);
        self.replies.push(replies);
        match is_created.recv() {
            Ok(()) => Ok(()),
            Err(_) => Err(self.failure()),
        }
    }

    /// Why a worker has ended.
    #[cold]
    fn failure(&mut self) -> EngineError {
        self.commands.clear();
        let ends = self.threads.drain(..).map(JoinHandle::join);
        let errors: Vec<String> = ends
            .filter_map(|end| match end {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("a worker ended by a defect of the tester".into()),
            })
            .collect();
        match errors.first() {
            Some(error) => EngineError::Machine(error.clone()),
            None => EngineError::Machine("a worker ended".into()),
        }
    }

    fn give(&mut self, command: impl Fn() -> Command) {
        for worker in &self.commands {
            let _ = worker.send(command());
        }
        self.given += 1;
    }

    fn receive<T>(&mut self, take: impl Fn(Reply) -> Option<T>) -> Result<Vec<T>, EngineError> {
        let replies: Vec<Option<T>> = self
            .replies
            .iter()
            .map(|worker| worker.recv().ok().and_then(&take))
            .collect();
        match replies.into_iter().collect() {
            Some(replies) => Ok(replies),
            None => Err(self.failure()),
        }
    }

    /// What workers tell all along.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Connects a group, and waits until all of it is open or has failed.
    pub fn open(&mut self, open: &Open, watch: &mut dyn Watch) -> Result<(), EngineError> {
        if self.ceasing == Ceasing::Asked {
            return Err(EngineError::Stopped);
        }
        let began_ns = self.place.now_ns();
        self.give(|| Command::Open(*open, began_ns));
        let name = match open.group {
            Group::Subscribers => "connecting subscribers",
            Group::Publishers => "connecting publishers",
        };
        let quiet_ns = (limits::LOAD_OPEN_QUIET_S * 1e9) as u64;
        let complete = self.wait_idle(name, began_ns, quiet_ns, watch)?;
        if !complete {
            // Those that are still missing have failed.
            self.give(|| Command::End);
            self.receive(|reply| matches!(reply, Reply::Ended(_)).then_some(()))?;
        }
        let parts = self.setup_parts()?;
        let wanted = match open.group {
            Group::Subscribers => self.job.subscribers.len(),
            Group::Publishers => self.job.publishers.len(),
        } as u64;
        let before = self.setup.opened + self.setup.failed;
        self.setup.add(parts);
        let known = self.setup.opened + self.setup.failed - before;
        self.setup.seconds += (self.place.now_ns() - began_ns) as f64 / 1e9;
        if self.ceasing == Ceasing::Asked {
            return Err(EngineError::Stopped);
        }
        self.setup.failed += wanted.saturating_sub(known);
        Ok(())
    }

    fn setup_parts(&mut self) -> Result<Vec<SetupPart>, EngineError> {
        self.give(|| Command::Setup);
        self.receive(|reply| match reply {
            Reply::Setup(part) => Some(*part),
            _ => None,
        })
    }

    /// Disconnects a group.
    pub fn close(&mut self, group: Group, watch: &mut dyn Watch) -> Result<(), EngineError> {
        let began_ns = self.place.now_ns();
        self.give(|| Command::Close(group));
        let quiet_ns = (limits::LOAD_OPEN_QUIET_S * 1e9) as u64;
        self.wait_idle("disconnecting", began_ns, quiet_ns, watch)?;
        Ok(())
    }

    /// Empties the retained topics of the publishers.
    pub fn clear(&mut self, watch: &mut dyn Watch) -> Result<(), EngineError> {
        let began_ns = self.place.now_ns();
        self.give(|| Command::Begin(Window::endless(began_ns), Traffic::Clear));
        let quiet_ns = (limits::LOAD_OPEN_QUIET_S * 1e9) as u64;
        self.wait_idle("clearing", began_ns, quiet_ns, watch)?;
        self.give(|| Command::End);
        self.receive(|reply| matches!(reply, Reply::Ended(_)).then_some(()))?;
        Ok(())
    }

    /// Waits until the workers have nothing to do; false if nothing moved for too long.
    fn wait_idle(
        &mut self,
        phase: &str,
        began_ns: u64,
        quiet_ns: u64,
        watch: &mut dyn Watch,
    ) -> Result<bool, EngineError> {
        let mut pulse = Pulse::new(began_ns);
        let mut asked = self.ceasing == Ceasing::Asked;
        while !self.progress.is_idle(self.given) {
            let now_ns = self.look(phase, began_ns, None, watch)?;
            if !asked && self.ceasing == Ceasing::Asked {
                asked = true;
                self.give(|| Command::Cease(now_ns));
            }
            pulse.feel(now_ns, self.moves(), false);
            if pulse.is_dead(now_ns, 0, quiet_ns) {
                return Ok(false);
            }
            std::thread::sleep(LOOK);
        }
        Ok(true)
    }

    /// Whatever changes when anything does.
    fn moves(&self) -> u64 {
        let progress = &self.progress;
        progress
            .sum(|w| &w.moves)
            .wrapping_add(progress.sum(|w| &w.published))
            .wrapping_add(progress.sum(|w| &w.delivered))
            .wrapping_sub(progress.sum(|w| &w.unacknowledged))
    }

    /// Lets the watcher look; the time.
    fn look(
        &mut self,
        phase: &str,
        began_ns: u64,
        seconds: Option<f64>,
        watch: &mut dyn Watch,
    ) -> Result<u64, EngineError> {
        if self.progress.any_ended() {
            return Err(self.failure());
        }
        let now_ns = self.place.now_ns();
        let now = Now {
            phase,
            elapsed_s: now_ns.saturating_sub(began_ns) as f64 / 1e9,
            seconds,
            progress: &self.progress,
        };
        match watch.look(&now) {
            Course::On => {}
            Course::Cease if self.ceasing == Ceasing::No => self.ceasing = Ceasing::Asked,
            Course::Cease => {}
            Course::End => return Err(EngineError::Stopped),
        }
        Ok(now_ns)
    }

    /// Whether the run has ceased before its end.
    pub fn has_ceased(&self) -> bool {
        self.ceasing != Ceasing::No
    }

    /// What follows is done although the run has ceased: what it leaves at the broker is taken away.
    pub fn tidy_up(&mut self) {
        self.ceasing = Ceasing::Done;
    }

    /// Carries out a step, and waits until what it published has arrived or does not come any more. A step that the
    /// watcher ends is put together from what there is, and says so by `true`.
    pub fn step(
        &mut self,
        plan: &StepPlan,
        watch: &mut dyn Watch,
    ) -> Result<(Step, bool), EngineError> {
        if self.ceasing == Ceasing::Asked {
            return Err(EngineError::Stopped);
        }
        let start_ns = self.place.now_ns() + LEAD_NS;
        let mut window = Window {
            start_ns,
            measure_ns: start_ns + (plan.warm_up_s * 1e9) as u64,
            end_ns: start_ns + ((plan.warm_up_s + plan.seconds) * 1e9) as u64,
            interval_ns: (plan.interval_s * 1e9).max(1e6) as u64,
        };
        self.give(|| Command::Begin(window, plan.traffic));
        let stopped = match self.follow(plan, &mut window, watch) {
            Ok(()) => self.ceasing == Ceasing::Asked,
            Err(EngineError::Stopped) => true,
            Err(error) => return Err(error),
        };
        self.give(|| Command::End);
        let parts = self.receive(|reply| match reply {
            Reply::Ended(part) => Some(*part),
            _ => None,
        })?;
        let ended = self.balance(plan, window, parts)?;
        let step = assemble::step(plan, ended);
        if let Traffic::Open(_) = plan.traffic {
            let parts = self.setup_parts()?;
            self.setup.add(parts);
            self.setup.seconds += step.seconds;
        }
        Ok((step, stopped))
    }

    /// Marks the measured part, and waits for the end of the step and of its deliveries.
    fn follow(
        &mut self,
        plan: &StepPlan,
        window: &mut Window,
        watch: &mut dyn Watch,
    ) -> Result<(), EngineError> {
        let seconds = Some(plan.warm_up_s + plan.seconds);
        let drain_ns = (self.job.drain_s * 1e9) as u64;
        let publishes = match plan.traffic {
            Traffic::Publish { .. } => true,
            Traffic::Visits { group, .. } => group == Group::Publishers,
            Traffic::Receive | Traffic::Clear | Traffic::Open(_) => false,
        };
        let (mut marked, mut ceases) = (0, false);
        let mut pulse = Pulse::new(window.start_ns);
        loop {
            let now_ns = self.look(&plan.name, window.start_ns, seconds, watch)?;
            if !ceases && self.ceasing == Ceasing::Asked {
                ceases = true;
                let end_ns = window.end_ns.min(now_ns + LEAD_NS);
                window.cease(end_ns);
                self.give(|| Command::Cease(end_ns));
            }
            let edges = [window.measure_ns, window.end_ns];
            while edges.get(marked).is_some_and(|&edge| now_ns >= edge) {
                watch.mark();
                marked += 1;
            }
            let progress = &self.progress;
            let is_idle = progress.is_idle(self.given);
            let arrived = !(plan.delivers_all && publishes)
                || progress.sum(|w| &w.delivered) >= progress.sum(|w| &w.expected);
            let acknowledged = progress.sum(|w| &w.unacknowledged) == 0;
            pulse.feel(now_ns, self.moves(), is_idle && arrived && acknowledged);
            // Work that is done before its time does not wait for it; work that is not, does.
            let patience_from_ns = if is_idle { 0 } else { window.end_ns };
            if pulse.is_complete(now_ns) || pulse.is_dead(now_ns, patience_from_ns, drain_ns) {
                break;
            }
            std::thread::sleep(LOOK);
        }
        (marked..2).for_each(|_| watch.mark());
        Ok(())
    }

    fn balance(
        &mut self,
        plan: &StepPlan,
        window: Window,
        parts: Vec<StepPart>,
    ) -> Result<Ended, EngineError> {
        let mut sent = Sent {
            messages: vec![0; self.job.streams.len()],
            classes: Vec::new(),
        };
        for part in &parts {
            for (sum, more) in sent.messages.iter_mut().zip(&part.sent) {
                *sum += more;
            }
            sent.classes.extend(&part.classes);
        }
        let sent = Arc::new(sent);
        self.give(|| Command::Balance(Arc::clone(&sent)));
        let parts_balanced = self.receive(|reply| match reply {
            Reply::Balanced(balance, received) => Some((balance, received)),
            _ => None,
        })?;
        let (mut balance, mut received) = (Balance::default(), Received::default());
        for (b, f) in &parts_balanced {
            balance.expected += b.expected;
            balance.lost += b.lost;
            received.add(f, 1);
        }
        let unacknowledged: u64 = parts.iter().map(|part| part.unacknowledged).sum();
        let before = self.balanced;
        let mut step_received = received;
        step_received.add(&before.1, -1);
        let step_balance = Balance {
            expected: balance.expected.saturating_sub(before.0.expected),
            lost: balance.lost.saturating_sub(before.0.lost),
            unexpected: 0,
        };
        let step_unacknowledged = unacknowledged.saturating_sub(self.unacknowledged);
        self.unacknowledged = unacknowledged;
        self.balanced.1 = received;
        if plan.delivers_all {
            self.balanced.0 = balance;
        }
        Ok(Ended {
            window,
            ended_ns: self.place.now_ns(),
            parts,
            balance: plan.delivers_all.then_some(step_balance),
            received: step_received,
            unacknowledged: step_unacknowledged,
        })
    }

    /// What the openings came to, for the report; memory is the caller's affair.
    pub fn setup(&self) -> Setup {
        self.setup.report()
    }

    /// Ends the workers.
    pub fn finish(mut self) -> Result<Finished, EngineError> {
        self.give(|| Command::Quit);
        let parts = self.receive(|reply| match reply {
            Reply::Quit(part) => Some(*part),
            _ => None,
        })?;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        let mut finished = Finished {
            has_ceased: self.has_ceased(),
            ..Finished::default()
        };
        for part in parts {
            finished.add(part);
        }
        finished
            .parts
            .subscribers
            .sort_by_key(|&(number, _)| number);
        finished.parts.publishers.sort_by_key(|&(number, _)| number);
        Ok(finished)
    }
}

impl Drop for Engine {
    /// Workers whose coordinator is gone end by themselves.
    fn drop(&mut self) {
        self.commands.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Opened {
    fn add(&mut self, parts: Vec<SetupPart>) {
        for part in parts {
            // All have the same bounds.
            let _ = self.connect.add(&part.connect);
            let _ = self.subscribe.add(&part.subscribe);
            self.opened += part.opened;
            self.refused += part.refused;
            self.failed += part.failed;
        }
    }

    fn report(&self) -> Setup {
        Setup {
            connections: self.opened,
            refused: self.refused,
            failed: self.failed - self.refused.min(self.failed),
            connect_ns: super::distribution::Distribution::of(&self.connect),
            subscribe_ns: super::distribution::Distribution::of(&self.subscribe),
            seconds: self.seconds,
            ..Setup::default()
        }
    }
}

/// What is left when all workers have ended.
#[derive(Debug, Default)]
pub struct Finished {
    pub parts: QuitPart,
    /// Whether the run ceased before its end.
    pub has_ceased: bool,
}

impl Finished {
    fn add(&mut self, part: QuitPart) {
        for (text, trouble) in part.errors {
            self.parts
                .errors
                .entry(text)
                .and_modify(|known| known.add(trouble))
                .or_insert(trouble);
        }
        self.parts.subscribers.extend(part.subscribers);
        self.parts.publishers.extend(part.publishers);
    }

    /// What went wrong, how often and when.
    pub fn errors(&self) -> &BTreeMap<String, Trouble> {
        &self.parts.errors
    }
}
