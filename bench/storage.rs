//! What it costs to have records on the disk: the store, by its thread, against a bare write with a linked fdatasync of the same
//! bytes to a file of zeros, in turns.
//!
//! `cargo bench --bench storage [-- FOLDER [SECONDS]]`. A record has 100 bytes. One round hands over so many records, waits until they
//! are told durable, and goes on. "CPU" is that of all threads of the process, the kernel's for it included.

use std::fs::{self, File, OpenOptions};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use firehose::limits::{STORE_PAGE_BYTES, STORE_SEGMENT_BYTES};
use firehose::storage::{Chunk, Line, News, Running, Settings, SyncMode, read};
use io_uring::{IoUring, opcode, squeue, types};

const RECORD: [u8; 100] = [0x5a; 100];
const RECORDS: [usize; 4] = [1, 16, 256, 4096];
const TURN: Duration = Duration::from_millis(250);

fn ring() -> IoUring {
    let mut builder = IoUring::builder();
    builder.setup_single_issuer().setup_defer_taskrun();
    builder.build(16).expect("io_uring")
}

/// Something that has records on the disk when `commit` returns.
trait Variant {
    fn commit(&mut self, records: usize);
}

struct Store {
    line: Line,
    ring: IoUring,
    free: Vec<Chunk>,
    sent: u64,
    told: u64,
    checkpoints: u64,
    is_due: bool,
    running: Option<Running>,
}

impl Store {
    fn new(folder: &Path, sync: SyncMode) -> Store {
        let settings = Settings {
            streams: 1,
            sync,
            segment_bytes: STORE_SEGMENT_BYTES,
            segments_max: 16,
        };
        let store = read(folder, &mut |_| {}, &mut |_| ControlFlow::Continue(())).expect("a store");
        let report = |report| println!("# {report:?}");
        let (mut lines, running) = store.start(settings, report).expect("a thread");
        let line = lines.remove(0);
        let ring = ring();
        line.set_ring(ring.as_raw_fd());
        let mut store = Store {
            line,
            ring,
            free: Vec::new(),
            sent: 0,
            told: 0,
            checkpoints: 0,
            is_due: false,
            running: Some(running),
        };
        store.send(Chunk::new(64), true);
        assert!(store.line.complete());
        while store.checkpoints == 0 {
            store.wait();
        }
        store
    }

    fn send(&mut self, chunk: Chunk, begins: bool) {
        assert!(
            self.line.send(chunk, self.sent, begins).is_none(),
            "no slot"
        );
        self.sent += 1;
    }

    fn flush(&mut self) {
        if let Some(ring) = self.line.flush() {
            let wake = opcode::MsgRingData::new(types::Fd(ring), 0, 0, None).build();
            let wake = wake.flags(squeue::Flags::SKIP_SUCCESS);
            // SAFETY: it names no memory.
            unsafe { self.ring.submission().push(&wake) }.expect("a slot");
        }
    }

    fn wait(&mut self) {
        self.flush();
        if self.line.prepare_sleep() {
            self.ring.submit_and_wait(1).expect("a wait");
        } else {
            self.ring.submit().expect("a call");
        }
        self.line.awake();
        // Wake-ups say nothing.
        self.ring.completion().for_each(drop);
        let (told, free, checkpoints) = (&mut self.told, &mut self.free, &mut self.checkpoints);
        let is_due = &mut self.is_due;
        self.line.receive(|news| match news {
            News::Told(now) => *told = now,
            News::Free(chunk) => free.push(chunk),
            News::Checkpoints(now) => *checkpoints = now,
            News::CheckpointDue => *is_due = true,
            News::State(state) => println!("# {state:?}"),
        });
        self.flush();
    }
}

impl Variant for Store {
    fn commit(&mut self, records: usize) {
        // What lies before is let go when the store asks for it, as by a broker.
        let begins = std::mem::take(&mut self.is_due);
        let mut chunk = self.free.pop().unwrap_or_else(|| Chunk::new(usize::MAX));
        let mut first = begins;
        for _ in 0..records {
            if !chunk.append(&RECORD) {
                let next = self.free.pop().unwrap_or_else(|| Chunk::new(usize::MAX));
                let full = std::mem::replace(&mut chunk, next);
                self.send(full, std::mem::take(&mut first));
                assert!(chunk.append(&RECORD));
            }
        }
        self.send(chunk, first);
        if begins {
            assert!(self.line.complete());
        }
        while self.told < self.sent {
            self.wait();
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        assert!(self.line.close());
        self.flush();
        self.ring.submit().expect("a call");
        if let Some(running) = self.running.take() {
            running.join().expect("an end");
        }
    }
}

/// A file of zeros, written around.
struct Bare {
    file: File,
    ring: IoUring,
    memory: Vec<u8>,
    at: u64,
}

impl Bare {
    fn new(folder: &Path) -> Bare {
        let mut options = OpenOptions::new();
        let options = options.write(true).create(true).truncate(true);
        let path = folder.join("bare");
        let file = options.open(&path).expect("a file");
        let zeros = vec![0; 1 << 20];
        for offset in (0..STORE_SEGMENT_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, offset).expect("room");
        }
        file.sync_all().expect("a sync");
        let mut direct = OpenOptions::new();
        let direct = direct.write(true).custom_flags(libc::O_DIRECT);
        Bare {
            file: direct.open(&path).unwrap_or(file),
            ring: ring(),
            memory: vec![0x5a; (1 << 20) + STORE_PAGE_BYTES],
            at: 0,
        }
    }
}

impl Variant for Bare {
    fn commit(&mut self, records: usize) {
        let bytes = (records * RECORD.len()).next_multiple_of(STORE_PAGE_BYTES);
        if self.at + bytes as u64 > STORE_SEGMENT_BYTES {
            self.at = 0;
        }
        let start = self.memory.as_ptr().align_offset(STORE_PAGE_BYTES);
        let from = &self.memory[start..start + bytes];
        let file = types::Fd(self.file.as_raw_fd());
        let write = opcode::Write::new(file, from.as_ptr(), bytes as u32).offset(self.at);
        let write = write.build().flags(squeue::Flags::IO_LINK);
        let sync = opcode::Fsync::new(file).flags(types::FsyncFlags::DATASYNC);
        // SAFETY: the memory is that of `self`, and both have completed when this returns.
        unsafe { self.ring.submission().push_multiple(&[write, sync.build()]) }.expect("slots");
        self.ring.submit_and_wait(2).expect("a wait");
        let results = self.ring.completion().map(|completion| completion.result());
        assert_eq!(results.filter(|result| *result >= 0).count(), 2);
        self.at += bytes as u64;
    }
}

/// What turns of one variant with so many records a commit have shown.
#[derive(Default)]
struct Cell {
    commits: Vec<Duration>,
    /// CPU and wall-clock time, and records, of each turn.
    turns: Vec<(Duration, Duration, u64)>,
}

impl Cell {
    fn turn(&mut self, variant: &mut dyn Variant, records: usize) {
        let (start, cpu, mut commits) = (Instant::now(), cpu(), 0);
        while start.elapsed() < TURN {
            let before = Instant::now();
            variant.commit(records);
            self.commits.push(before.elapsed());
            commits += 1;
        }
        let spent = cpu_since(cpu);
        self.turns
            .push((spent, start.elapsed(), commits * records as u64));
    }

    /// Median and 99th percentile of a commit in microseconds, the best turn's records in a second, the least CPU of a record.
    fn row(&mut self) -> String {
        self.commits.sort_unstable();
        let at = |share: f64| {
            let index = (self.commits.len() as f64 * share) as usize;
            self.commits[index.min(self.commits.len() - 1)].as_secs_f64() * 1e6
        };
        let rate = |turn: &(Duration, Duration, u64)| turn.2 as f64 / turn.1.as_secs_f64();
        let cost = |turn: &(Duration, Duration, u64)| turn.0.as_nanos() as f64 / turn.2 as f64;
        let best = self.turns.iter().map(rate).fold(0.0, f64::max);
        let least = self.turns.iter().map(cost).fold(f64::INFINITY, f64::min);
        format!(
            "{:9.0} {:9.0} {:9.0} {best:12.0} {least:10.0}",
            at(0.1),
            at(0.5),
            at(0.99)
        )
    }
}

fn cpu() -> Duration {
    let usage = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(usage.tv_sec as u64, usage.tv_nsec as u32)
}

fn cpu_since(before: Duration) -> Duration {
    cpu() - before
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut arguments = arguments.iter().filter(|argument| *argument != "--bench");
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from)
        .join(format!("firehose-bench-{}", std::process::id()));
    let seconds: u64 = arguments
        .next()
        .map_or(30, |seconds| seconds.parse().expect("seconds are a number"));
    fs::create_dir(&folder).expect("a folder");
    {
        let names = [
            "bare write + fdatasync",
            "store, group",
            "store, interval",
            "store, none",
        ];
        let folders = ["group", "interval", "none"].map(|name| folder.join(name));
        for folder in &folders {
            fs::create_dir(folder).expect("a folder");
        }
        let mut variants: [Box<dyn Variant>; 4] = [
            Box::new(Bare::new(&folder)),
            Box::new(Store::new(&folders[0], SyncMode::Group)),
            Box::new(Store::new(&folders[1], SyncMode::Interval(1000))),
            Box::new(Store::new(&folders[2], SyncMode::None)),
        ];
        let mut cells: Vec<Cell> = (0..16).map(|_| Cell::default()).collect();
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(seconds) {
            for (size, records) in RECORDS.into_iter().enumerate() {
                for (number, variant) in variants.iter_mut().enumerate() {
                    cells[size * 4 + number].turn(variant.as_mut(), records);
                }
            }
        }
        println!(
            "records a commit        commit p10 us       p50       p99  records/s CPU ns/record"
        );
        for (index, cell) in cells.iter_mut().enumerate() {
            let records = RECORDS[index / 4];
            println!("{records:5} {:24} {}", names[index % 4], cell.row());
        }
    }
    fs::remove_dir_all(&folder).expect("the folder is ours");
}
