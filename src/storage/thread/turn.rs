//! The thread's turns: what streams hand over, operations and their completions, what is told.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use io_uring::squeue::Entry;

use crate::chunk::Pages;
use crate::limits::{STORE_CLOSE_MS_MAX, STORE_FILL_BYTES, STORE_LINE_SLOTS, STORE_PAGE_BYTES};
use crate::uring::{Completion, Op as RingOp, Ring, RingError, UserData, ops};

use super::super::intake::Intake;
use super::super::op::{Failure, Now, Op, State, Step};
use super::super::writer::Writer;
use super::directory::Files;
use super::figures::{Board, add, set};
use super::line::ThreadSide;
use super::report::Report;
use super::slow::Slowness;
use super::stream::{Known, Stream};
use super::wall::unix_ms;

/// What is said outside, and what was.
struct Told {
    report: Box<dyn FnMut(Report) + Send>,
    state: State,
    is_direct: bool,
    error: Option<String>,
    /// What is not there any more, and ends the run.
    missing: Option<String>,
    slow: Slowness,
}

/// A write of a commit.
struct Write {
    since: Instant,
    bytes: u64,
    segment: u32,
    /// What came of it.
    result: Option<i32>,
    /// The sync behind it, until it has come.
    sync: Option<Option<i32>>,
}

/// What the ring has.
#[derive(Default)]
struct Flight {
    write: Option<Write>,
    sync: Option<(u32, Instant)>,
    step: Option<Step>,
    iovecs: Vec<libc::iovec>,
}

/// What the thread's own submissions carry.
const WRITE: UserData = UserData::from_raw(1);
const LINKED: UserData = UserData::from_raw(2);
const SYNC: UserData = UserData::from_raw(3);
const STEP: UserData = UserData::from_raw(4);

pub(super) struct StorageThread {
    // Dropped first: until then the kernel may use the memory of the others.
    ring: Ring,
    writer: Writer,
    files: Files,
    streams: Vec<Stream>,
    intake: Intake,
    board: Arc<Board>,
    flight: Flight,
    zeros: Pages,
    page: Pages,
    started: Instant,
    closing_since: Option<u64>,
    told: Told,
}

impl StorageThread {
    pub(super) fn new(
        ring: Ring,
        writer: Writer,
        files: Files,
        sides: Vec<ThreadSide>,
        outside: (Arc<Board>, Box<dyn FnMut(Report) + Send>),
    ) -> StorageThread {
        let (board, report) = outside;
        StorageThread {
            ring,
            writer,
            files,
            intake: Intake::new(sides.len() as u8),
            streams: sides.into_iter().map(Stream::new).collect(),
            board,
            flight: Flight::default(),
            zeros: Pages::new(STORE_FILL_BYTES as usize),
            page: Pages::new(STORE_PAGE_BYTES),
            started: Instant::now(),
            closing_since: None,
            told: Told {
                report,
                state: State::Open,
                is_direct: true,
                error: None,
                missing: None,
                slow: Slowness::default(),
            },
        }
    }

    /// Since when the oldest write or sync of what streams wait for is with the disk, by the clock of `now`.
    fn under_way_since(&self) -> Option<u64> {
        let write = self.flight.write.as_ref().map(|write| write.since);
        let sync = self.flight.sync.as_ref().map(|&(_, since)| since);
        let since = write.into_iter().chain(sync).min()?;
        Some(since.duration_since(self.started).as_millis() as u64)
    }

    fn now(&self) -> Now {
        Now {
            ms: self.started.elapsed().as_millis() as u64,
            wall_ms: unix_ms(),
        }
    }

    /// Turn by turn, until all streams have closed.
    pub(super) fn run(mut self) -> Result<bool, RingError> {
        for stream in &self.streams {
            stream.side.set_ring(Some(self.ring.fd()));
        }
        let mut completions = Vec::new();
        while !self.is_over() {
            self.ring.collect(&mut completions, STORE_LINE_SLOTS)?;
            for completion in completions.drain(..) {
                self.on_completion(completion);
            }
            self.take_messages();
            let now = self.now();
            while let Some(op) = self.writer.poll(now) {
                self.begin(op)?;
            }
            self.publish();
            self.tell()?;
            self.sleep()?;
        }
        for stream in &self.streams {
            stream.side.set_ring(None);
        }
        Ok(self.writer.is_closed())
    }

    /// Puts figures where others see them.
    fn publish(&self) {
        let (board, writer) = (&self.board, &self.writer);
        let bytes = writer.files() as u64 * self.files.segment_bytes();
        add(&board.turns, 1);
        set(&board.chunks, writer.written());
        set(&board.segments, writer.segments() as u64);
        set(&board.disk_bytes, bytes);
        set(&board.checkpoints, writer.checkpoints());
        board.set_state(self.state());
    }

    fn is_over(&self) -> bool {
        let waited = self.closing_since.map_or(0, |since| self.now().ms - since);
        let is_cut = self.closing_since.is_some() && self.told.missing.is_some();
        self.writer.is_closed() || (is_cut && self.writer.is_idle()) || waited > STORE_CLOSE_MS_MAX
    }

    /// Takes what the streams hand over, as far as there is room.
    fn take_messages(&mut self) {
        let now = self.now();
        let streams = &mut self.streams;
        let mut give = |stream: u8| streams.get_mut(usize::from(stream))?.side.take();
        self.intake.take(&mut self.writer, now, &mut give);
        if let (None, Some(order)) = (&self.told.missing, self.intake.missing()) {
            self.told.missing = Some(format!(
                "a stream has closed and not handed over chunk {order} of all: nothing behind it is kept"
            ));
        }
        if self.closing_since.is_none() && self.intake.is_closed() {
            self.closing_since = Some(now.ms);
            if self.told.missing.is_none() {
                self.writer.close();
            }
        }
    }

    /// How the store is, for those who use it.
    fn state(&self) -> State {
        match self.told.missing {
            Some(_) => State::Failed,
            None => self.writer.state(),
        }
    }

    /// Tells the streams, and whoever looks after the broker, what is new.
    fn tell(&mut self) -> Result<(), RingError> {
        while let Some((stream, mut chunk)) = self.writer.take_free() {
            chunk.clear();
            if let Some(stream) = self.streams.get_mut(usize::from(stream)) {
                stream.free.push_back(chunk);
            }
        }
        let checkpoints = self.writer.checkpoints();
        let state = self.state();
        let is_due = self.writer.is_checkpoint_due();
        for (number, stream) in self.streams.iter_mut().enumerate() {
            stream.tell(Known {
                told: self.writer.told(number as u8),
                checkpoints,
                due: if is_due { checkpoints + 1 } else { 0 },
                state,
            });
            if let Some(ring) = stream.side.flush() {
                let wake = UserData::new(RingOp::Wake, 0, 0);
                // A failure needs no answer: the stream's ring is gone, and with it who would wait.
                let entry = ops::wake(ring, wake, wake);
                // SAFETY: it names no memory.
                unsafe { self.ring.push(&entry) }?;
            }
        }
        if std::mem::replace(&mut self.told.state, state) != state {
            let is_bounded = state == State::Full && self.writer.is_bounded();
            let error = self.told.missing.as_ref().or(self.told.error.as_ref());
            let error = error.filter(|_| state != State::Open).cloned();
            (self.told.report)(match is_bounded {
                true => Report::Bounded,
                false => Report::State(state, error),
            });
        }
        if std::mem::replace(&mut self.told.is_direct, self.files.is_direct())
            && !self.told.is_direct
        {
            (self.told.report)(Report::Buffered);
        }
        let (now, under_way) = (self.now().ms, self.under_way_since());
        if let Some(report) = self.told.slow.look(now, under_way) {
            (self.told.report)(report);
        }
        Ok(())
    }

    /// Submits what is queued, and waits until there is something to do.
    fn sleep(&mut self) -> Result<(), RingError> {
        // A stream of which nothing would be taken does not wake us: its first chunk waits for that of another, which does, or there
        // is no room before a write has come.
        let mut sleeps = !self.intake.is_due(&self.writer);
        for (number, stream) in self.streams.iter_mut().enumerate() {
            let wants = self.intake.wants(number as u8, &self.writer);
            if wants || stream.is_behind() {
                sleeps = sleeps && stream.side.prepare_sleep(wants);
            }
        }
        let now = self.now().ms;
        let closing = self
            .closing_since
            .map(|since| since + STORE_CLOSE_MS_MAX + 1);
        let slow = self.told.slow.deadline(self.under_way_since());
        let deadlines = [self.writer.deadline(), closing, slow];
        let deadline = deadlines.into_iter().flatten().min();
        let wait = deadline.map(|deadline| Duration::from_millis(deadline.saturating_sub(now)));
        let result = if sleeps && !self.is_over() {
            self.ring.wait(wait)
        } else {
            self.ring.poll()
        };
        for stream in &mut self.streams {
            stream.side.awake();
        }
        result
    }

    fn begin(&mut self, op: Op) -> Result<(), RingError> {
        match op {
            Op::Write {
                segment,
                offset,
                bytes,
                then_sync,
            } => self.begin_write(segment, offset, bytes, then_sync),
            Op::Sync { segment } => {
                self.flight.sync = Some((segment, Instant::now()));
                match self.files.segment(segment) {
                    Some(file) => self.push(&ops::sync_data(file, SYNC)),
                    None => {
                        self.on_sync(-libc::EBADF);
                        Ok(())
                    }
                }
            }
            Op::Step(step) => self.begin_step(step),
        }
    }

    fn begin_write(
        &mut self,
        segment: u32,
        offset: u64,
        bytes: u64,
        then_sync: bool,
    ) -> Result<(), RingError> {
        self.flight.write = Some(Write {
            since: Instant::now(),
            bytes,
            segment,
            result: None,
            sync: then_sync.then_some(None),
        });
        let Some(file) = self.files.segment(segment) else {
            self.on_write_part(WRITE, -libc::EBADF);
            self.on_write_part(LINKED, -libc::ECANCELED);
            return Ok(());
        };
        let iovec = |block: &[u8]| libc::iovec {
            iov_base: block.as_ptr().cast_mut().cast(),
            iov_len: block.len(),
        };
        self.flight.iovecs.clear();
        self.flight
            .iovecs
            .extend(self.writer.under_way().map(iovec));
        let write = ops::write_vectored(file, &self.flight.iovecs, offset, WRITE);
        if then_sync {
            self.push(&ops::linked(write))?;
            self.push(&ops::sync_data(file, LINKED))
        } else {
            self.push(&write)
        }
    }

    fn begin_step(&mut self, step: Step) -> Result<(), RingError> {
        let entry = match &step {
            Step::Fill {
                number,
                offset,
                bytes,
            } => {
                let zeros = &self.zeros.bytes()[..*bytes as usize];
                let file = self.files.unready(*number);
                file.map(|file| ops::write(file, zeros, *offset, STEP))
            }
            Step::Header { number, page } => {
                self.page.bytes_mut().copy_from_slice(page);
                let file = self.files.unready(*number);
                file.map(|file| ops::write(file, self.page.bytes(), 0, STEP))
            }
            Step::SyncUnready(number) => {
                let file = self.files.unready(*number);
                file.map(|file| ops::sync(file, STEP))
            }
            Step::StoreSync => self.files.store().map(|file| ops::sync(file, STEP)),
            Step::SyncDirectory => Some(ops::sync(self.files.directory(), STEP)),
            _ => {
                let result = self.files.carry_out(&step);
                self.answer_step(&step, result);
                return Ok(());
            }
        };
        match entry {
            Some(entry) => {
                self.flight.step = Some(step);
                self.push(&entry)
            }
            None => {
                let error = io::Error::from_raw_os_error(libc::EBADF);
                self.answer_step(&step, Err(error));
                Ok(())
            }
        }
    }

    fn push(&mut self, entry: &Entry) -> Result<(), RingError> {
        // SAFETY: what an entry names are chunks, which the writer keeps where they are until it is answered, `iovecs`, `zeros` and
        // `page`, which are changed only when nothing that names them is under way. All live as long as the ring.
        unsafe { self.ring.push(entry) }
    }

    fn on_completion(&mut self, completion: Completion) {
        match completion.user_data {
            part @ (WRITE | LINKED) => self.on_write_part(part, completion.result),
            SYNC => self.on_sync(completion.result),
            STEP => {
                if let Some(step) = self.flight.step.take() {
                    let result = step_result(&step, completion.result);
                    self.answer_step(&step, result);
                }
            }
            // A wake-up, or one that found nobody.
            _ => {}
        }
    }

    /// A part of a commit has come; it is answered when all have.
    fn on_write_part(&mut self, part: UserData, result: i32) {
        let Some(mut write) = self.flight.write.take() else {
            return;
        };
        if part == WRITE {
            write.result = Some(result);
        } else if let Some(sync) = &mut write.sync {
            *sync = Some(result);
        }
        let (Some(written), true) = (write.result, write.sync != Some(None)) else {
            self.flight.write = Some(write);
            return;
        };
        let now = self.now();
        // One that has failed says nothing of how fast the disk is.
        if written >= 0 {
            let took = write.since.elapsed();
            self.told.slow.on_done(took.as_millis() as u64);
        }
        let written = u64::try_from(written).map_err(|_| self.failure(written, write.segment));
        if let Ok(bytes) = written {
            add(&self.board.bytes, bytes);
            add(&self.board.commits, 1);
        }
        self.writer.on_written(written, now);
        if written == Ok(write.bytes)
            && let Some(Some(sync)) = write.sync
        {
            self.flight.sync = Some((write.segment, write.since));
            self.on_sync(sync);
        }
    }

    fn on_sync(&mut self, result: i32) {
        let Some((segment, since)) = self.flight.sync.take() else {
            return;
        };
        let took = since.elapsed();
        self.board.on_sync(took);
        let result = if result < 0 {
            Err(self.failure(result, segment))
        } else {
            self.told.slow.on_done(took.as_millis() as u64);
            Ok(())
        };
        let now = self.now();
        self.writer.on_synced(result, now);
    }

    /// Remembers an error of a segment.
    fn failure(&mut self, result: i32, segment: u32) -> Failure {
        let path = self.files.path_of(&Step::Enter(segment));
        let error = io::Error::from_raw_os_error(-result);
        add(&self.board.failures, 1);
        self.told.error = Some(format!("{}: {error}", path.display()));
        failure_of(&error)
    }

    fn answer_step(&mut self, step: &Step, result: io::Result<()>) {
        let result = result.map_err(|error| {
            let path = self.files.path_of(step);
            add(&self.board.failures, 1);
            self.told.error = Some(format!("{}: {error}", path.display()));
            failure_of(&error)
        });
        let now = self.now();
        self.writer.on_step(result, now);
    }
}

fn failure_of(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT | libc::EFBIG) => Failure::NoSpace,
        _ => Failure::Io,
    }
}

/// What came of a step that the ring carried out.
fn step_result(step: &Step, result: i32) -> io::Result<()> {
    let wanted = match step {
        Step::Fill { bytes, .. } => *bytes as i32,
        Step::Header { page, .. } => page.len() as i32,
        _ => 0,
    };
    match result {
        _ if result < 0 => Err(io::Error::from_raw_os_error(-result)),
        // A disk that fills up takes a part first.
        _ if result < wanted => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
        _ => Ok(()),
    }
}
