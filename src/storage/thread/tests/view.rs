//! Looks at stores and copies of them, also while they are written to; and what is read of damaged ones.

use std::sync::atomic::AtomicBool;

use super::*;
use crate::storage::{Fault, Salvaged};

/// Chunks of numbers in one stream: the last is `next`, less one.
struct Numbers {
    caller: Caller,
    next: u64,
    sent: u64,
}

impl Numbers {
    fn send(&mut self, begins: bool) {
        let mut content = self.next.to_le_bytes().to_vec();
        // Large enough that segments are soon full.
        content.resize(8 + (self.next as usize * 517) % 30_000, 7);
        self.caller.send(&content, begins);
        self.next += 1;
        self.sent += 1;
    }

    /// From its beginning on everything before is not needed any more.
    fn checkpoint(&mut self) {
        let wanted = self.caller.checkpoints + 1;
        self.send(true);
        self.caller.complete();
        self.caller
            .wait_until(|caller| caller.checkpoints == wanted);
    }

    fn settle(&mut self) {
        let sent = self.sent;
        self.caller.wait_until(|caller| caller.told == sent);
    }
}

fn begin(place: &Place) -> (Numbers, Running) {
    let (store, _) = chunks_of(place);
    let (mut lines, running) = store.start(settings(1, SyncMode::Group), |_| {}).unwrap();
    let mut numbers = Numbers {
        caller: Caller::new(lines.remove(0)),
        next: 0,
        sent: 0,
    };
    numbers.checkpoint();
    (numbers, running)
}

fn end(mut numbers: Numbers, running: Running) {
    numbers.caller.close();
    assert!(running.join().unwrap());
}

fn number(content: &[u8]) -> u64 {
    u64::from_le_bytes(content[..8].try_into().unwrap())
}

/// First and last number, which follow each other.
fn first_and_last(numbers: &[u64]) -> (u64, u64) {
    assert!(
        numbers.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "{numbers:?}"
    );
    (numbers[0], *numbers.last().unwrap())
}

fn seen(place: &Place) -> Vec<u64> {
    let looked = look(&place.0, &mut |view| {
        let mut numbers = Vec::new();
        view.read(&mut |chunk| numbers.push(number(chunk.content)))?;
        Ok(numbers)
    });
    looked.unwrap()
}

fn read_by_a_start(place: &Place) -> Vec<u64> {
    let (_, chunks) = chunks_of(place);
    chunks[&0].iter().map(|content| number(content)).collect()
}

#[test]
fn a_look_changes_nothing_and_takes_nothing() {
    let place = Place::new("look");
    let absent = look(&place.0, &mut |_| Ok(())).err().unwrap();
    assert!(
        absent.to_string().starts_with("there is no store in"),
        "{absent}"
    );
    assert!(!place.file("").exists());
    let (mut numbers, running) = begin(&place);
    numbers.send(false);
    numbers.settle();
    let files = || {
        let entries = fs::read_dir(place.file("")).unwrap().map(Result::unwrap);
        let mut files: Vec<_> = entries
            .filter(|entry| !entry.file_name().to_string_lossy().ends_with(".new"))
            .map(|entry| (entry.file_name(), entry.metadata().unwrap().len()))
            .collect();
        files.sort();
        files
    };
    assert_eq!(seen(&place), [0, 1]);
    let held = holder(&place.file(""));
    assert_eq!(held, Some(std::process::id()));
    end(numbers, running);
    let before = files();
    assert_eq!(seen(&place), [0, 1]);
    assert_eq!(files(), before);
    assert_eq!(holder(&place.file("")), None);
}

/// What is written goes on while `act` looks.
fn under_load(name: &str, act: impl Fn(&Place, usize) + Sync) {
    let place = Place::new(name);
    let (mut numbers, running) = begin(&place);
    let is_over = AtomicBool::new(false);
    let told = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let looker = scope.spawn(|| {
            for round in 0..40 {
                act(&place, round);
            }
            is_over.store(true, Ordering::Release);
        });
        while !is_over.load(Ordering::Acquire) && !looker.is_finished() {
            for _ in 0..20 {
                numbers.send(false);
            }
            numbers.settle();
            told.store(numbers.next, Ordering::Release);
            if numbers.next % 3 == 0 {
                numbers.checkpoint();
            }
        }
    });
    end(numbers, running);
}

#[test]
fn a_look_at_a_store_that_is_written_sees_a_moment_of_it() {
    under_load("look-load", |place, _| {
        first_and_last(&seen(place));
    });
}

#[test]
fn a_backup_of_a_store_that_is_written_stays_as_it_is() {
    let copies = Mutex::new(Vec::new());
    under_load("backup-load", |place, round| {
        let copy = Place::new(&format!("backup-load-{round}"));
        let mut given = Vec::new();
        let mut give = |chunk: Option<Recovered<'_>>| match chunk {
            None => given.clear(),
            Some(chunk) => given.push(number(chunk.content)),
        };
        let backup = back_up(&place.0, &copy.0, &mut give).unwrap();
        first_and_last(&given);
        assert_eq!(seen(&copy), given);
        copies.lock().unwrap().push((copy, given, backup));
    });
    let copies = copies.into_inner().unwrap();
    let linked: usize = copies.iter().map(|(_, _, backup)| backup.segments.0).sum();
    assert!(linked > 0, "no segment was full");
    // The store has used its files again meanwhile, but not those that the copies have too.
    for (copy, given, _) in &copies {
        assert_eq!(&seen(copy), given);
        assert_eq!(&read_by_a_start(copy), given);
    }
}

#[test]
fn a_backup_is_whole_or_not_there() {
    let place = Place::new("backup");
    let (mut numbers, running) = begin(&place);
    for _ in 0..100 {
        numbers.send(false);
    }
    numbers.settle();
    end(numbers, running);
    let copy = Place::new("backup-copy");
    let new = copy.0.join("deeper");
    let backup = back_up(&place.0, &new, &mut |_| {}).unwrap();
    assert!(backup.outcome.ended && backup.folder == new.join("firehose"));
    // There is one already.
    assert!(back_up(&place.0, &new, &mut |_| {}).is_err());
    assert!(new.join("firehose/STORE").exists());

    let name = "00000001.log";
    let mut bytes = fs::read(place.file(name)).unwrap();
    bytes[4096 + 70] ^= 1;
    fs::write(place.file(name), bytes).unwrap();
    let error = back_up(&place.0, &copy.0.join("bad"), &mut |_| {});
    assert!(matches!(
        error.unwrap_err().fault(),
        Some(Fault::Rot { .. })
    ));
    assert!(!copy.0.join("bad/firehose").exists());
}

/// A store of two streams that has ended: chunks of 5000 bytes in turn, and a second segment.
fn two_streams(name: &str) -> Place {
    let place = Place::new(name);
    let (store, _) = chunks_of(&place);
    let (lines, running) = store.start(settings(2, SyncMode::Group), |_| {}).unwrap();
    let next = Arc::default();
    let mut callers: Vec<_> = lines
        .into_iter()
        .map(|line| Caller::with(line, &next))
        .collect();
    for number in 0..20u64 {
        for caller in &mut callers {
            let mut content = number.to_le_bytes().to_vec();
            content.resize(5000, 9);
            caller.send(&content, false);
        }
        if number == 0 {
            callers.iter_mut().for_each(Caller::complete);
        }
    }
    for caller in &mut callers {
        caller.wait_until(|caller| caller.told == 20);
        caller.close();
    }
    assert!(running.join().unwrap());
    place
}

fn remains(place: &Place, run: Option<u32>) -> (Remains, Salvaged, [Vec<u64>; 2]) {
    let remains = Remains::open(&place.0, run).unwrap();
    let mut numbers = [Vec::new(), Vec::new()];
    let give = &mut |chunk: Recovered<'_>| {
        numbers[usize::from(chunk.stream)].push(number(chunk.content));
    };
    let salvaged = remains.read(give).unwrap();
    assert_eq!(salvaged.begins, [true, true]);
    (remains, salvaged, numbers)
}

fn places_of(place: &Place) -> Vec<(u8, u64, (u32, u64))> {
    let looked = look(&place.0, &mut |view| {
        let mut places = Vec::new();
        view.read(&mut |chunk| places.push((chunk.stream, number(chunk.content), chunk.place)))?;
        Ok(places)
    });
    looked.unwrap()
}

fn flip(place: &Place, (segment, byte): (u32, u64)) {
    let path = place.file(&crate::storage::segment_name(segment));
    let mut bytes = fs::read(&path).unwrap();
    bytes[byte as usize + 100] ^= 4;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn a_store_that_is_sound_is_all_salvaged() {
    let place = two_streams("salvage-sound");
    let (remains, salvaged, numbers) = remains(&place, None);
    assert_eq!((remains.faults(), remains.run()), (&[][..], 1));
    assert!(salvaged.holes.is_empty() && salvaged.ended && salvaged.torn.is_none());
    for numbers in numbers {
        assert_eq!(numbers, (0..20).collect::<Vec<u64>>());
    }
}

#[test]
fn only_a_block_that_is_lost_is_not_given() {
    let place = two_streams("salvage-hole");
    let found = places_of(&place).into_iter();
    let (.., at) = found
        .clone()
        .find(|(stream, number, _)| (*stream, *number) == (1, 7))
        .unwrap();
    flip(&place, at);
    assert!(refusal(&place).contains("is damaged at byte"));
    let (_, salvaged, [all, cut]) = remains(&place, None);
    assert_eq!(all, (0..20).collect::<Vec<u64>>());
    // What is behind the gap is given too.
    let around = (0..20).filter(|number| *number != 7);
    assert_eq!(cut, around.collect::<Vec<u64>>());
    assert_eq!((salvaged.holes.len(), salvaged.holes[0].from), (1, at));
}

#[test]
fn a_stream_without_its_first_chunk_has_no_beginning() {
    let place = two_streams("salvage-beginning");
    let found = places_of(&place).into_iter();
    let is_first = |(stream, number, _): &(u8, u64, _)| (*stream, *number) == (1, 0);
    let (.., at) = found.clone().find(is_first).unwrap();
    flip(&place, at);
    let remains = Remains::open(&place.0, None).unwrap();
    let salvaged = remains.read(&mut |_| {}).unwrap();
    assert_eq!(salvaged.begins, [true, false]);
}

#[test]
fn the_end_that_a_crash_cuts_off_is_no_loss() {
    let place = two_streams("salvage-torn");
    let found = places_of(&place);
    let &(.., (segment, byte)) = found.last().unwrap();
    let path = place.file(&crate::storage::segment_name(segment));
    let mut bytes = fs::read(&path).unwrap();
    // The block of the last chunk is cut, and the empty ones that say it was there.
    bytes[byte as usize + 4096..].fill(0);
    fs::write(&path, bytes).unwrap();
    let (store, chunks) = chunks_of(&place);
    assert_eq!(store.outcome.torn, Some((segment, byte)));
    drop(store);
    let (_, salvaged, numbers) = remains(&place, None);
    assert_eq!(salvaged.torn, Some((segment, byte)));
    assert!(salvaged.holes.is_empty() && !salvaged.ended);
    assert_eq!(
        numbers[0].len() + numbers[1].len(),
        chunks[&0].len() + chunks[&1].len()
    );
}

#[test]
fn a_segment_that_is_missing_or_has_no_header_is_named_and_gone_around() {
    let place = two_streams("salvage-segment");
    let found = places_of(&place);
    let last = found.last().unwrap().2.0;
    assert!(last > 2, "{last} segments");
    let path = place.file("00000002.log");
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let (missing, salvaged, numbers) = remains(&place, None);
    assert_eq!(missing.faults(), [Fault::Missing(2)]);
    assert_eq!(salvaged.holes.len(), 1);
    let elsewhere = found.iter().filter(|(.., at)| at.0 != 2).count();
    assert_eq!(numbers[0].len() + numbers[1].len(), elsewhere);

    // Blocks say themselves that they belong there.
    let mut headless = good.clone();
    headless[..4096].fill(0);
    fs::write(&path, headless).unwrap();
    let (headless, salvaged, numbers) = remains(&place, None);
    assert!(matches!(headless.faults(), [Fault::Segment(2, _)]));
    assert!(salvaged.holes.is_empty() && salvaged.ended);
    assert_eq!(numbers.map(|all| all.len()), [20, 20]);

    // A name that is not its own.
    fs::remove_file(&path).unwrap();
    fs::write(place.file("00000abc.log"), &good).unwrap();
    let (misnamed, salvaged, _) = remains(&place, None);
    let named = Fault::Misnamed {
        number: 0xabc,
        header: 2,
    };
    assert_eq!(misnamed.faults(), [named]);
    assert!(salvaged.holes.is_empty() && salvaged.ended);
}

#[test]
fn without_store_the_newest_run_is_read() {
    let place = two_streams("salvage-store");
    let good = fs::read(place.file("STORE")).unwrap();
    for bad in [None, Some(b"hello".to_vec()), Some(good[..20].to_vec())] {
        match bad {
            None => fs::remove_file(place.file("STORE")).unwrap(),
            Some(bytes) => fs::write(place.file("STORE"), bytes).unwrap(),
        }
        let (remains, salvaged, numbers) = remains(&place, None);
        assert_eq!((remains.faults().len(), remains.run()), (1, 1));
        assert!(salvaged.holes.is_empty() && salvaged.ended);
        assert_eq!(numbers.map(|all| all.len()), [20, 20]);
    }
}

#[test]
fn a_store_is_filled_with_chunks_and_read_by_a_start() {
    let place = Place::new("fill");
    let (store, _) = chunks_of(&place);
    let mut fill = store.fill(2).unwrap();
    for number in 0..1000u64 {
        fill.push((number % 2) as u8, &number.to_le_bytes())
            .unwrap();
    }
    assert!(matches!(fill.push(2, b"x"), Err(FillError::Chunk)));
    fill.finish().unwrap();
    let (store, chunks) = chunks_of(&place);
    assert!(store.outcome.ended && chunks.values().all(|chunks| chunks.len() == 500));
    let third = chunks[&1].get(2).map(|content| number(content));
    assert_eq!(third, Some(5));
}

#[test]
fn a_store_is_put_aside_unless_somebody_has_it() {
    let place = Place::new("aside");
    assert!(set_aside(&place.0).unwrap().is_none());
    let (store, _) = chunks_of(&place);
    assert!(set_aside(&place.0).is_err());
    drop(store);
    assert_eq!(
        set_aside(&place.0).unwrap(),
        Some(place.0.join("firehose.1"))
    );
    assert!(!place.file("").exists());
}
