//! The thread on a real disk: what it tells, what the next start gives back, and what it refuses.

mod order;
mod view;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::*;
use crate::limits::{STORE_SEGMENT_BYTES_MIN, STORE_SEGMENTS_MIN};
use crate::storage::{Chunk, State, SyncMode};
use crate::uring::{Op as RingOp, Ring, UserData, ops};
use std::time::{Duration, Instant};

/// Milliseconds that anything may take before a test fails.
const PATIENCE: Duration = Duration::from_secs(60);

/// A directory that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path =
            std::env::temp_dir().join(format!("firehose-store-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Place(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join("firehose").join(name)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Chunks by stream, in order.
type Chunks = BTreeMap<u8, Vec<Vec<u8>>>;

fn settings(streams: u8, sync: SyncMode) -> Settings {
    Settings {
        streams,
        sync,
        segment_bytes: STORE_SEGMENT_BYTES_MIN + 8 * 4096,
        segments_max: STORE_SEGMENTS_MIN + 40,
    }
}

/// A stream's thread: its ring, and what it has been told.
struct Caller {
    line: Line,
    /// The number of the next chunk of all.
    next: Arc<AtomicU64>,
    dues: u64,
    ring: Ring,
    told: u64,
    checkpoints: u64,
    state: State,
    free: Vec<Chunk>,
}

impl Caller {
    /// One that is alone.
    fn new(line: Line) -> Caller {
        Caller::with(line, &Arc::default())
    }

    fn with(line: Line, next: &Arc<AtomicU64>) -> Caller {
        let ring = Ring::new(Sizes {
            submissions: 8,
            completions: 16,
            files: 1,
            workers: 1,
        });
        let ring = ring.unwrap();
        line.set_ring(ring.fd());
        Caller {
            line,
            next: Arc::clone(next),
            dues: 0,
            ring,
            told: 0,
            checkpoints: 0,
            state: State::Open,
            free: Vec::new(),
        }
    }

    /// The next number of all.
    fn order(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn send(&mut self, content: &[u8], begins: bool) {
        let order = self.order();
        self.send_as(content, order, begins);
    }

    fn send_as(&mut self, content: &[u8], order: u64, begins: bool) {
        let mut chunk = self.free.pop().unwrap_or_else(|| Chunk::new(usize::MAX));
        assert!(chunk.append(content));
        let start = Instant::now();
        while let Some(back) = self.line.send(chunk, order, begins) {
            assert!(start.elapsed() < PATIENCE, "no slot");
            chunk = back;
            self.wait();
        }
        self.flush();
    }

    fn flush(&mut self) {
        if let Some(ring) = self.line.flush() {
            let wake = UserData::new(RingOp::Wake, 0, 0);
            // SAFETY: it names no memory.
            unsafe { self.ring.push(&ops::wake(ring, wake, wake)) }.unwrap();
            self.ring.submit().unwrap();
        }
    }

    /// Sleeps until something has come.
    fn wait(&mut self) {
        self.flush();
        if self.line.prepare_sleep() {
            self.ring.wait(Some(PATIENCE)).unwrap();
        }
        self.line.awake();
        let mut completions = Vec::new();
        self.ring.collect(&mut completions, 16).unwrap();
        let Caller {
            line,
            told,
            dues,
            checkpoints,
            state,
            free,
            ..
        } = self;
        line.receive(|news| match news {
            News::Told(now) => {
                assert!(now > *told);
                *told = now;
            }
            News::Checkpoints(now) => *checkpoints = now,
            News::CheckpointDue => *dues += 1,
            News::State(now) => *state = now,
            News::Free(chunk) => {
                assert!(chunk.is_empty());
                free.push(chunk);
            }
        });
        self.flush();
    }

    fn wait_until(&mut self, done: impl Fn(&Caller) -> bool) {
        let start = Instant::now();
        while !done(self) {
            assert!(start.elapsed() < PATIENCE, "{} told", self.told);
            self.wait();
        }
    }

    fn complete(&mut self) {
        self.say(Line::complete);
    }

    fn close(&mut self) {
        self.say(Line::close);
    }

    /// Says it again until there is a slot.
    fn say(&mut self, what: fn(&mut Line) -> bool) {
        let start = Instant::now();
        while !what(&mut self.line) {
            assert!(start.elapsed() < PATIENCE, "no slot");
            self.wait();
        }
        self.flush();
    }
}

/// Reads what is there.
fn chunks_of(place: &Place) -> (ReadStore, Chunks) {
    let mut chunks = Chunks::new();
    let give = &mut |chunk: Recovered<'_>| {
        let stream = chunks.entry(chunk.stream).or_default();
        stream.push(chunk.content.to_vec());
    };
    let store = read(&place.0, give, &mut |_| ControlFlow::Continue(())).unwrap();
    (store, chunks)
}

/// Another directory with the files as they are now, as a kill would leave them.
fn copy_of(place: &Place, name: &str) -> Place {
    let copy = Place::new(name);
    fs::create_dir(copy.file("")).unwrap();
    for entry in fs::read_dir(place.file("")).unwrap() {
        let name = entry.unwrap().file_name();
        let name = name.to_str().unwrap();
        // What is being made may go meanwhile.
        let copied = fs::copy(place.file(name), copy.file(name));
        assert!(copied.is_ok() || name.ends_with(".new"));
    }
    copy
}

fn refusal(place: &Place) -> String {
    let store = read(&place.0, &mut |_| {}, &mut |_| ControlFlow::Continue(()));
    store.err().unwrap().to_string()
}

#[test]
fn what_is_told_is_read_by_the_next_start() {
    for sync in [SyncMode::Group, SyncMode::Interval(20), SyncMode::None] {
        let place = Place::new("told");
        let mut expected = Chunks::new();
        for run in 1..5u32 {
            // Another number of streams each time.
            let streams = 1 + (run % 3) as u8;
            let (store, chunks) = chunks_of(&place);
            assert_eq!(chunks, expected, "{sync:?}, before run {run}");
            assert_eq!(store.outcome.run, run - 1);
            assert_eq!(store.outcome.ended, run > 1);
            let (lines, running) = store.start(settings(streams, sync), |_| {}).unwrap();
            let next = Arc::default();
            let callers = lines.into_iter().enumerate().map(|(stream, line)| {
                let next = Arc::clone(&next);
                std::thread::spawn(move || live(stream as u8, Caller::with(line, &next)))
            });
            let callers: Vec<_> = callers.collect();
            let all = callers.into_iter().map(|caller| caller.join().unwrap());
            expected = (0..).zip(all).collect();
            assert!(running.join().unwrap());
        }
    }
}

/// A run of one stream. Returns what the next has to read.
fn live(stream: u8, mut caller: Caller) -> Vec<Vec<u8>> {
    let mut chunks = Vec::new();
    let mut send = |caller: &mut Caller, begins: bool| {
        let content = vec![stream; 10 + chunks.len() * 97 % 9000];
        caller.send(&content, begins);
        chunks.push(content);
        chunks.len()
    };
    for _ in 0..20 {
        send(&mut caller, false);
    }
    caller.complete();
    caller.wait_until(|caller| caller.checkpoints == 1);
    for _ in 0..30 {
        let count = send(&mut caller, false) as u64;
        caller.wait_until(|caller| caller.told == count);
    }
    let from = send(&mut caller, true) - 1;
    caller.complete();
    // Early: the other streams may not be through with theirs.
    let last = send(&mut caller, true);
    caller.wait_until(|caller| caller.checkpoints == 2 && caller.told == last as u64);
    caller.close();
    chunks.split_off(from)
}

#[test]
fn a_process_that_is_killed_leaves_what_was_told() {
    let place = Place::new("killed");
    let (store, _) = chunks_of(&place);
    let (mut lines, running) = store.start(settings(1, SyncMode::Group), |_| {}).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    caller.send(b"first", false);
    caller.complete();
    caller.send(b"second", false);
    caller.wait_until(|caller| caller.told == 2);
    let copy = copy_of(&place, "killed-copy");
    let (store, chunks) = chunks_of(&copy);
    assert_eq!(chunks[&0], [b"first".to_vec(), b"second".to_vec()]);
    assert!(!store.outcome.ended);
    caller.close();
    assert!(running.join().unwrap());
}

#[test]
fn a_store_has_one_holder() {
    let place = Place::new("locked");
    let (store, _) = chunks_of(&place);
    let told = refusal(&place);
    assert!(told.contains("another process has this store"), "{told}");
    assert!(told.contains(&format!("process {}", std::process::id())));
    drop(store);
    chunks_of(&place);
}

#[test]
fn what_cannot_be_read_is_named() {
    let place = Place::new("refused");
    let (store, _) = chunks_of(&place);
    let (mut lines, running) = store.start(settings(1, SyncMode::Group), |_| {}).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    caller.send(b"first", false);
    caller.complete();
    caller.wait_until(|caller| caller.told == 1);
    caller.close();
    assert!(running.join().unwrap());

    let name = "00000001.log";
    let good = fs::read(place.file(name)).unwrap();
    let mut bad = good.clone();
    bad[4096 + 66] ^= 1;
    fs::write(place.file(name), &bad).unwrap();
    let told = refusal(&place);
    assert!(
        told.contains("00000001.log is damaged at byte 4096"),
        "{told}"
    );
    fs::remove_file(place.file(name)).unwrap();
    assert!(refusal(&place).contains("00000001.log is missing"));
    fs::write(place.file(name), &good).unwrap();
    fs::write(place.file("STORE"), "hello").unwrap();
    assert!(refusal(&place).contains("not a file of firehose"));
    fs::remove_file(place.file("STORE")).unwrap();
    assert!(refusal(&place).contains("STORE is missing"));
}

#[test]
fn reading_that_is_broken_off_changes_nothing() {
    let place = Place::new("broken-off");
    let (store, _) = chunks_of(&place);
    let (mut lines, running) = store.start(settings(1, SyncMode::None), |_| {}).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    caller.send(b"first", true);
    caller.complete();
    caller.wait_until(|caller| caller.told == 1);
    caller.close();
    assert!(running.join().unwrap());
    let files = || {
        let entries = fs::read_dir(place.file("")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name());
        let files = names.map(|name| (fs::read(place.file(name.to_str().unwrap())).unwrap(), name));
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    };
    let before = files();
    let broken_off = read(&place.0, &mut |_| {}, &mut |_| ControlFlow::Break(()));
    assert!(matches!(broken_off.err(), Some(StartError::BrokenOff)));
    assert!(files() == before);
    let (_, chunks) = chunks_of(&place);
    assert_eq!(chunks[&0], [b"first"]);
}

#[test]
fn a_location_that_is_not_there_is_named() {
    let place = Place::new("gone");
    let gone = place.0.join("nothing");
    let error = read(&gone, &mut |_| {}, &mut |_| ControlFlow::Continue(()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("nothing/firehose"), "{error}");
}

#[test]
fn a_directory_that_is_taken_away_is_told_and_nothing_more_is() {
    let place = Place::new("taken");
    let (store, _) = chunks_of(&place);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reports);
    let report = move |report| heard.lock().unwrap().push(report);
    let (mut lines, running) = store.start(settings(1, SyncMode::Group), report).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    caller.send(b"first", false);
    caller.complete();
    caller.wait_until(|caller| caller.told == 1);
    fs::remove_dir_all(place.file("")).unwrap();
    // No segment can be made any more.
    while caller.state == State::Open {
        caller.send(&[7; 30_000], false);
        caller.wait_until(|caller| caller.state != State::Open || !caller.free.is_empty());
    }
    assert_eq!(caller.state, State::Failed);
    let reports = reports.lock().unwrap().clone();
    let named = |report: &Report| match report {
        Report::State(State::Failed, Some(error)) => error.contains("No such file"),
        _ => false,
    };
    assert!(reports.iter().any(named), "{reports:?}");
    // It gives up after a while, and nobody waits for that here.
    caller.close();
    drop(running);
}

/// Where the process that is to be killed keeps its store.
const CHILD: &str = "FIREHOSE_STORE_CHILD";

/// Not a test by itself: writes numbers, one a chunk, and says on standard output how many were told, until it is killed.
#[test]
fn writes_until_it_is_killed() {
    let Some(location) = std::env::var_os(CHILD) else {
        return;
    };
    let mut next = 0u64;
    let give = &mut |chunk: Recovered<'_>| next = number_of(chunk.content) + 1;
    let store = read(location.as_ref(), give, &mut |_| ControlFlow::Continue(()));
    let settings = settings(1, SyncMode::Group);
    let (mut lines, _running) = store.unwrap().start(settings, |_| {}).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    // The snapshot: the last number of the runs before.
    caller.send(&next.saturating_sub(1).to_le_bytes(), true);
    let mut sent = 1;
    caller.complete();
    loop {
        for _ in 0..3 {
            caller.send(&next.to_le_bytes(), false);
            next += 1;
            sent += 1;
        }
        caller.wait_until(|caller| caller.told == sent);
        println!("told {}", next - 1);
    }
}

fn number_of(content: &[u8]) -> u64 {
    u64::from_le_bytes(content.try_into().unwrap())
}

#[test]
fn a_process_that_is_killed_again_and_again_loses_nothing() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let place = Place::new("again");
    let mut told = 0;
    for round in 0..15u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "storage::thread::tests::writes_until_it_is_killed",
            ])
            .args(["--nocapture", "--test-threads", "1"])
            .env(CHILD, &place.0)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let numbers = output.lines().map_while(Result::ok).filter_map(|line| {
            let (_, number) = line.split_once("told ")?;
            number.parse::<u64>().ok()
        });
        for (count, number) in (0..).zip(numbers) {
            told = number;
            if count == round * 7 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        let (_, chunks) = chunks_of(&place);
        let numbers = chunks[&0].iter().map(|content| number_of(content));
        let numbers: Vec<u64> = numbers.collect();
        assert!(
            numbers.last() >= Some(&told),
            "{told} was told, {numbers:?}"
        );
        let gaps = numbers.windows(2).filter(|pair| pair[1] > pair[0] + 1);
        assert_eq!(gaps.count(), 0, "{numbers:?}");
    }
    assert!(told > 100, "{told}");
}
