//! The thread's turns: what streams hand over, operations and their completions, what is told.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use io_uring::squeue::Entry;

use crate::limits::{STORE_CLOSE_MS_MAX, STORE_FILL_BYTES, STORE_LINE_SLOTS, STORE_PAGE_BYTES};
use crate::uring::{Completion, Op as RingOp, Ring, RingError, UserData, ops};

use super::super::chunk::Chunk;
use super::super::op::{Failure, Now, Op, State, Step};
use super::super::pages::Pages;
use super::super::writer::Writer;
use super::directory::Files;
use super::line::{Message, News, StoreSide};
use super::report::Report;

/// A stream, as the thread sees it.
struct Stream {
    side: StoreSide,
    /// Chunks that are to go back.
    free: VecDeque<Chunk>,
    /// What it has been told: chunks that are durable, checkpoints, how the store is.
    told: (u64, u64, State),
    /// It has handed over its part of the checkpoint that has begun.
    is_complete: bool,
    /// A chunk with which it begins the next one, while others are not through with this one.
    early: Option<Chunk>,
    is_closed: bool,
}

impl Stream {
    fn new(side: StoreSide) -> Stream {
        Stream {
            side,
            free: VecDeque::new(),
            told: (0, 0, State::Open),
            is_complete: false,
            early: None,
            is_closed: false,
        }
    }

    /// Tells it what is new, as far as there are slots; it is woken for the rest when there are some again, and so are we.
    fn tell(&mut self, now: (u64, u64, State)) {
        while let Some(chunk) = self.free.pop_front() {
            if let Err(News::Free(chunk)) = self.side.send(News::Free(chunk)) {
                self.free.push_front(chunk);
                return;
            }
        }
        if self.told.0 != now.0 && self.side.send(News::Told(now.0)).is_ok() {
            self.told.0 = now.0;
        }
        if self.told.1 != now.1 && self.side.send(News::Checkpoints(now.1)).is_ok() {
            self.told.1 = now.1;
        }
        if self.told.2 != now.2 && self.side.send(News::State(now.2)).is_ok() {
            self.told.2 = now.2;
        }
    }

    /// Whether something is to be taken of what it hands over.
    fn wants(&self, writer: &Writer) -> bool {
        writer.has_room() && self.early.is_none()
    }
}

/// What is said outside, and what was.
struct Told {
    report: Box<dyn FnMut(Report) + Send>,
    state: State,
    is_direct: bool,
    error: Option<String>,
}

/// A write of a commit.
struct Write {
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
    sync: Option<u32>,
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
        sides: Vec<StoreSide>,
        report: Box<dyn FnMut(Report) + Send>,
    ) -> StorageThread {
        StorageThread {
            ring,
            writer,
            files,
            streams: sides.into_iter().map(Stream::new).collect(),
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
            },
        }
    }

    fn now(&self) -> Now {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH);
        Now {
            ms: self.started.elapsed().as_millis() as u64,
            wall_ms: wall.map_or(0, |wall| wall.as_millis() as u64),
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
            self.tell()?;
            self.sleep()?;
        }
        for stream in &self.streams {
            stream.side.set_ring(None);
        }
        Ok(self.writer.is_closed())
    }

    fn is_over(&self) -> bool {
        let waited = self.closing_since.map_or(0, |since| self.now().ms - since);
        self.writer.is_closed() || waited > STORE_CLOSE_MS_MAX
    }

    /// Takes what the streams hand over, as far as there is room.
    fn take_messages(&mut self) {
        let now = self.now();
        for (number, stream) in self.streams.iter_mut().enumerate() {
            if !stream.is_complete
                && let Some(chunk) = stream.early.take()
            {
                self.writer.push(number as u8, chunk, true, now);
            }
            for _ in 0..STORE_LINE_SLOTS {
                if !stream.wants(&self.writer) {
                    break;
                }
                match stream.side.take() {
                    Some(Message::Chunk(chunk, true)) if stream.is_complete => {
                        stream.early = Some(chunk);
                    }
                    Some(Message::Chunk(chunk, begins)) => {
                        self.writer.push(number as u8, chunk, begins, now);
                    }
                    Some(Message::Complete) => stream.is_complete = true,
                    Some(Message::Close) => stream.is_closed = true,
                    Some(Message::News(_)) => {}
                    None => break,
                }
            }
        }
        if self.streams.iter().all(|stream| stream.is_complete) && self.writer.complete_checkpoint()
        {
            for stream in &mut self.streams {
                stream.is_complete = false;
            }
        }
        if self.closing_since.is_none() && self.streams.iter().all(|stream| stream.is_closed) {
            self.closing_since = Some(now.ms);
            self.writer.close();
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
        let (state, checkpoints) = (self.writer.state(), self.writer.checkpoints());
        for (number, stream) in self.streams.iter_mut().enumerate() {
            stream.tell((self.writer.told(number as u8), checkpoints, state));
            if let Some(ring) = stream.side.flush() {
                let wake = UserData::new(RingOp::Wake, 0, 0);
                // A failure needs no answer: the stream's ring is gone, and with it who would wait.
                let entry = ops::wake(ring, wake, wake);
                // SAFETY: it names no memory.
                unsafe { self.ring.push(&entry) }?;
            }
        }
        if std::mem::replace(&mut self.told.state, state) != state {
            let error = self.told.error.clone().filter(|_| state != State::Open);
            (self.told.report)(Report::State(state, error));
        }
        if std::mem::replace(&mut self.told.is_direct, self.files.is_direct())
            && !self.told.is_direct
        {
            (self.told.report)(Report::Buffered);
        }
        Ok(())
    }

    /// Submits what is queued, and waits until there is something to do.
    fn sleep(&mut self) -> Result<(), RingError> {
        // What can be taken now was held back when messages were taken.
        let early = |stream: &Stream| stream.early.is_some() && !stream.is_complete;
        let mut sleeps = !self.streams.iter().any(early);
        for stream in &mut self.streams {
            let wants = stream.wants(&self.writer);
            sleeps = sleeps && stream.side.prepare_sleep(wants);
        }
        let now = self.now().ms;
        let closing = self
            .closing_since
            .map(|since| since + STORE_CLOSE_MS_MAX + 1);
        let deadline = self.writer.deadline().into_iter().chain(closing).min();
        let wait = deadline.map(|deadline| Duration::from_millis(deadline.saturating_sub(now)));
        let result = if sleeps && !self.writer.is_closed() {
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
                self.flight.sync = Some(segment);
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
        let written = u64::try_from(written).map_err(|_| self.failure(written, write.segment));
        self.writer.on_written(written, now);
        if written == Ok(write.bytes)
            && let Some(Some(sync)) = write.sync
        {
            self.flight.sync = Some(write.segment);
            self.on_sync(sync);
        }
    }

    fn on_sync(&mut self, result: i32) {
        let Some(segment) = self.flight.sync.take() else {
            return;
        };
        let result = if result < 0 {
            Err(self.failure(result, segment))
        } else {
            Ok(())
        };
        let now = self.now();
        self.writer.on_synced(result, now);
    }

    /// Remembers an error of a segment.
    fn failure(&mut self, result: i32, segment: u32) -> Failure {
        let path = self.files.path_of(&Step::Enter(segment));
        let error = io::Error::from_raw_os_error(-result);
        self.told.error = Some(format!("{}: {error}", path.display()));
        failure_of(&error)
    }

    fn answer_step(&mut self, step: &Step, result: io::Result<()>) {
        let result = result.map_err(|error| {
            let path = self.files.path_of(step);
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
