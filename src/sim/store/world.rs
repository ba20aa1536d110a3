//! One store over many lives: the writer, its disk with operations under way, and the clock.

use std::collections::VecDeque;

use super::super::disk::Disk;
use super::super::rng::Rng;
use super::record::{Given, Record, Run, Stream};
use crate::limits::{STORE_SEGMENT_BYTES_MIN, STORE_SEGMENTS_MIN};
use crate::storage::{
    Fault, Handed, Intake, Now, Op, Opened, Outcome, Reader, Settings, Step, SyncMode, Writer, open,
};

/// Milliseconds that no operation takes longer than in a world in which it matters.
pub(super) const LATENCY_MAX: u64 = 40;

/// Operations under way, and when each is done.
#[derive(Default)]
struct UnderWay {
    write: Option<(u64, u32, u64, Vec<u8>, bool)>,
    sync: Option<(u64, u32)>,
    step: Option<(u64, Step)>,
}

pub(super) struct Lives {
    pub(super) rng: Rng,
    pub(super) disk: Disk,
    pub(super) now: u64,
    pub(super) writer: Option<Writer>,
    pub(super) intake: Intake,
    /// What streams have to hand over, and until when they do not.
    pub(super) lines: Vec<VecDeque<Handed>>,
    pub(super) late: Vec<u64>,
    pub(super) settings: Settings,
    pub(super) record: Record,
    pub(super) run: u32,
    /// Where streams begin by the last checkpoint that was called complete, and by the one that has begun.
    pub(super) starts: Vec<u64>,
    pub(super) begun: Vec<Option<u64>>,
    /// Operations take long.
    pub(super) is_slow: bool,
    /// Failures when this life began.
    failed_before: u64,
    /// When so much of each stream had been told: for the mode in which that has to last only after a while.
    told_at: Vec<(u64, Vec<u64>)>,
    under_way: UnderWay,
    /// Segment and offset of the last write.
    pub(super) last_write: (u32, u64),
    /// Writes, and syncs that did not follow one by themselves.
    pub(super) writes: u64,
    pub(super) syncs: u64,
    trace: bool,
}

impl Lives {
    pub(super) fn new(seed: u64) -> Lives {
        let mut rng = Rng(seed);
        let sync = match rng.below(5) {
            0 => SyncMode::Interval(rng.pick(&[10, 200])),
            1 => SyncMode::None,
            _ => SyncMode::Group,
        };
        let settings = Settings {
            streams: 1 + rng.below(3) as u8,
            sync,
            segment_bytes: STORE_SEGMENT_BYTES_MIN + 4096 * rng.below(8) as u64,
            segments_max: STORE_SEGMENTS_MIN + 6 + rng.below(6),
        };
        Lives {
            rng,
            disk: Disk::default(),
            now: 0,
            writer: None,
            intake: Intake::new(0),
            lines: Vec::new(),
            late: Vec::new(),
            settings,
            record: Record::default(),
            run: 0,
            starts: Vec::new(),
            begun: Vec::new(),
            is_slow: false,
            failed_before: 0,
            told_at: Vec::new(),
            under_way: UnderWay::default(),
            last_write: (0, 0),
            writes: 0,
            syncs: 0,
            trace: std::env::var_os("FIREHOSE_STORE_TRACE").is_some(),
        }
    }

    pub(super) fn say(&self, text: impl FnOnce() -> String) {
        if self.trace {
            eprintln!("{:>6} {}", self.now, text());
        }
    }

    /// Goes on for so many milliseconds.
    pub(super) fn pass(&mut self, ms: u64) -> Result<(), String> {
        let end = self.now + ms;
        while self.now < end {
            self.advance(end - self.now)?;
        }
        Ok(())
    }

    pub(super) fn clock(&self) -> Now {
        Now {
            ms: self.now,
            wall_ms: 1_700_000_000_000 + self.now,
        }
    }

    /// Reads what is there, and checks it.
    pub(super) fn read(&self) -> Result<Result<(Opened, Outcome), Fault>, String> {
        let opened = match open(&self.disk.found(), 77) {
            Ok(opened) => opened,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut given = Given::default();
        let mut reader = Reader::new(&opened);
        while let Some(request) = reader.next_read() {
            let bytes = self
                .disk
                .read(request.segment, request.offset, request.bytes);
            let mut give = |chunk: crate::storage::Recovered<'_>| {
                let start = (chunk.sequence, Vec::new());
                let stream = given.0.entry(chunk.stream).or_insert(start);
                stream.1.push(chunk.content.to_vec());
            };
            if let Err(fault) = reader.take(&bytes, &mut give) {
                return Ok(Err(fault));
            }
        }
        let outcome = match reader.finish() {
            Ok(outcome) => outcome,
            Err(fault) => return Ok(Err(fault)),
        };
        self.record.check(&opened, &outcome, &given)?;
        Ok(Ok((opened, outcome)))
    }

    /// Begins a life.
    pub(super) fn start(&mut self) -> Result<(), String> {
        let (opened, outcome) = self.read()?.map_err(|fault| format!("refused: {fault}"))?;
        self.say(|| format!("start, read {outcome:?} of {:?}", opened.store));
        // What is read is synced first, so that it does not depend on how the next crash comes.
        self.disk.settle();
        self.settings.streams = 1 + self.rng.below(3) as u8;
        let streams = usize::from(self.settings.streams);
        self.run = opened.store.run_last + 1;
        self.writer = Some(Writer::new(opened, self.settings));
        let run = Run {
            streams: vec![Stream::default(); streams],
            ..Run::default()
        };
        if let Some(old) = self.record.runs.insert(self.run, run)
            && old.streams.iter().any(|stream| stream.told > 0)
        {
            return Err(format!("run {} again", self.run));
        }
        self.starts = vec![0; streams];
        self.begun = vec![None; streams];
        self.intake = Intake::new(self.settings.streams);
        self.lines = (0..streams).map(|_| VecDeque::new()).collect();
        self.late = vec![0; streams];
        self.told_at.clear();
        self.failed_before = self.disk.failed;
        self.begin_ops();
        Ok(())
    }

    fn latency(&mut self) -> u64 {
        let longest = if self.is_slow {
            3000
        } else {
            LATENCY_MAX as usize / 4
        };
        self.now + self.rng.below(longest) as u64
    }

    /// Begins what the writer asks for.
    pub(super) fn begin_ops(&mut self) {
        let clock = self.clock();
        if let Some(writer) = &mut self.writer {
            let (lines, late) = (&mut self.lines, &self.late);
            let mut give = |stream: u8| {
                let stream = usize::from(stream);
                lines[stream].pop_front_if(|_| late[stream] <= clock.ms)
            };
            self.intake.take(writer, clock, &mut give);
        }
        while let Some(op) = self.writer.as_mut().and_then(|writer| writer.poll(clock)) {
            let due = self.latency();
            self.say(|| match &op {
                Op::Step(Step::Header { number, .. }) => format!("header of {number}"),
                op => format!("{op:?}"),
            });
            match op {
                Op::Write {
                    segment,
                    offset,
                    then_sync,
                    ..
                } => {
                    let writer = self.writer.iter();
                    let bytes: Vec<u8> = writer
                        .flat_map(Writer::under_way)
                        .flatten()
                        .copied()
                        .collect();
                    self.last_write = (segment, offset);
                    self.writes += 1;
                    self.under_way.write = Some((due, segment, offset, bytes, then_sync));
                }
                Op::Sync { segment } => {
                    self.syncs += 1;
                    self.under_way.sync = Some((due, segment));
                }
                Op::Step(step) => self.under_way.step = Some((due, step)),
            }
        }
    }

    /// Goes on to the next event, at most so many milliseconds away, and says whether there was one.
    pub(super) fn advance(&mut self, most: u64) -> Result<bool, String> {
        let ops = &self.under_way;
        let due = [
            ops.write.as_ref().map(|write| write.0),
            ops.sync.as_ref().map(|sync| sync.0),
            ops.step.as_ref().map(|step| step.0),
        ];
        let deadline = self.writer.as_ref().and_then(Writer::deadline);
        let late = self.late.iter().copied().filter(|late| *late > self.now);
        let next = due.into_iter().flatten().chain(deadline).chain(late).min();
        let end = self.now + most;
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return Ok(false);
        };
        self.now = self.now.max(next);
        let before = deadline == Some(next) && !self.late.contains(&next);
        let ended = self.end_ops();
        self.begin_ops();
        let stuck = self.writer.as_ref().and_then(Writer::deadline);
        if before && !ended && stuck.is_some_and(|again| again <= self.now) {
            return Err(format!("the deadline stays at {stuck:?}"));
        }
        self.look()?;
        Ok(true)
    }

    /// Ends one operation that is due.
    fn end_ops(&mut self) -> bool {
        let clock = self.clock();
        let Some(writer) = &mut self.writer else {
            return false;
        };
        let (disk, rng, now) = (&mut self.disk, &mut self.rng, self.now);
        if let Some((_, number, offset, bytes, then_sync)) =
            self.under_way.write.take_if(|write| write.0 <= now)
        {
            let result = disk.write(number, offset, &bytes, rng);
            writer.on_written(result, clock);
            if then_sync && result == Ok(bytes.len() as u64) {
                let due = now + rng.below(10) as u64;
                self.under_way.sync = Some((due, number));
            }
        } else if let Some((_, number)) = self.under_way.sync.take_if(|sync| sync.0 <= now) {
            let result = disk.sync(number, rng);
            writer.on_synced(result, clock);
        } else if let Some((_, step)) = self.under_way.step.take_if(|step| step.0 <= now) {
            let result = disk.step(&step, rng);
            writer.on_step(result, clock);
        } else {
            return false;
        }
        true
    }

    /// Notes what was told, and looks whether the directory is within its bounds.
    fn look(&mut self) -> Result<(), String> {
        let Some(writer) = &mut self.writer else {
            return Ok(());
        };
        while writer.take_free().is_some() {}
        let Some(run) = self.record.runs.get_mut(&self.run) else {
            return Ok(());
        };
        run.reported = writer.checkpoints();
        let mut told = Vec::new();
        for (number, stream) in run.streams.iter_mut().enumerate() {
            let now = writer.told(number as u8);
            if now < stream.told || now > stream.handed.len() as u64 {
                return Err(format!("told {now} after {}", stream.told));
            }
            stream.told = now;
            told.push(now);
        }
        self.told_at.push((self.now, told));
        let files = self.disk.files().len();
        let most = 3 * self.settings.segments_max + 8;
        if files > most {
            return Err(format!("{files} files, at most {most}"));
        }
        Ok(())
    }

    /// Ends a life: all at once, with the power or without.
    pub(super) fn crash(&mut self, power: bool) {
        self.say(|| format!("crash, power {power}"));
        self.writer = None;
        let ops = std::mem::take(&mut self.under_way);
        let faults = std::mem::take(&mut self.disk.faults);
        if let Some((_, number, offset, bytes, _)) = ops.write {
            // Some of its pages.
            for (page, bytes) in bytes.chunks(4096).enumerate() {
                if !self.rng.once_in(3) {
                    let offset = offset + 4096 * page as u64;
                    let _ = self.disk.write(number, offset, bytes, &mut self.rng);
                }
            }
        }
        if let Some((_, step)) = ops.step
            && self.rng.once_in(2)
        {
            let _ = self.disk.step(&step, &mut self.rng);
        }
        self.disk.faults = faults;
        self.require(power);
        if power {
            self.disk.lose_power(&mut self.rng);
        }
    }

    /// What of what was told has to last.
    fn require(&mut self, power: bool) {
        let has_failed = self.disk.failed > self.failed_before || self.is_slow;
        let Some(run) = self.record.runs.get_mut(&self.run) else {
            return;
        };
        let before = match self.settings.sync {
            SyncMode::Group => Some(self.now),
            // What was written is with the kernel, unless the disk had failed.
            _ if has_failed => None,
            _ if !power => Some(self.now),
            SyncMode::Interval(ms) => self.now.checked_sub(ms + 4 * LATENCY_MAX),
            SyncMode::None => None,
        };
        let told = self.told_at.iter().rev();
        let last = before.and_then(|before| told.clone().find(|(at, _)| *at <= before));
        for (number, stream) in run.streams.iter_mut().enumerate() {
            let last = last.map_or(0, |(_, told)| told[number]);
            stream.required = stream.required.max(last);
        }
    }
}
