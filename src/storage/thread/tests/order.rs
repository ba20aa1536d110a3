//! Several streams at once: one order over all, one that is late, one that never comes, and what is told of checkpoints.

use std::sync::Barrier;

use super::*;
use crate::limits::{STORE_LINE_SLOTS, STORE_SEGMENT_BYTES};

/// Milliseconds in which a thread that could go on would have gone on.
const A_WHILE: Duration = Duration::from_millis(300);

/// Bytes of a segment: so many of them hold all that a test hands over.
const SEGMENT_BYTES: u64 = 1 << 20;

/// A store with so many streams.
fn begin(name: &str, streams: u8, sync: SyncMode) -> (Place, Vec<Line>, Running) {
    let place = Place::new(name);
    let (store, _) = chunks_of(&place);
    let settings = Settings {
        segment_bytes: SEGMENT_BYTES,
        ..settings(streams, sync)
    };
    let (lines, running) = store.start(settings, |_| {}).unwrap();
    (place, lines, running)
}

/// The callers of some lines, for this thread.
fn callers_of(lines: Vec<Line>) -> Vec<Caller> {
    let next = Arc::default();
    let callers = lines.into_iter().map(|line| Caller::with(line, &next));
    callers.collect()
}

/// What each stream does once the run is in force, by a thread of its own; then it closes.
fn each(lines: Vec<Line>, act: impl Fn(u64, &mut Caller) + Sync) {
    let next = Arc::default();
    let (act, next) = (&act, &next);
    std::thread::scope(|scope| {
        for (number, line) in (0..).zip(lines) {
            scope.spawn(move || {
                let mut caller = Caller::with(line, next);
                put_in_force(std::slice::from_mut(&mut caller));
                act(number, &mut caller);
                caller.close();
            });
        }
    });
}

/// Puts the run in force, with a first chunk of each stream.
fn put_in_force(callers: &mut [Caller]) {
    for caller in &mut *callers {
        let order = caller.order();
        caller.send_as(&order.to_le_bytes(), order, true);
        caller.complete();
    }
    for caller in callers {
        caller.wait_until(|caller| caller.checkpoints == 1);
    }
}

/// The numbers that are read, in the order in which they are read.
fn order_of(place: &Place) -> (ReadStore, Vec<u64>) {
    let mut order = Vec::new();
    let give = &mut |chunk: Recovered<'_>| order.push(number_of(&chunk.content[..8]));
    let store = read(&place.0, give, &mut |_| ControlFlow::Continue(())).unwrap();
    (store, order)
}

fn end(callers: Vec<Caller>, running: Running) {
    for mut caller in callers {
        caller.close();
    }
    assert!(running.join().unwrap());
}

#[test]
fn streams_that_hand_over_in_wild_order_are_read_in_one() {
    for (streams, sync) in [
        (2, SyncMode::Group),
        (3, SyncMode::Group),
        (3, SyncMode::Interval(20)),
        (3, SyncMode::None),
    ] {
        let (place, lines, running) = begin("wild", streams, sync);
        each(lines, |_, caller| wild(caller));
        assert!(running.join().unwrap());
        let (_, order) = order_of(&place);
        let count = u64::from(streams) * 301;
        assert_eq!(order, (0..count).collect::<Vec<_>>(), "{sync:?}");
    }
}

/// Takes numbers, and hands over what has them sooner or later, some at once; sleeps now and then until all is told.
fn wild(caller: &mut Caller) {
    let mut rng = fastrand::Rng::with_seed(caller.next.load(Ordering::Relaxed));
    let mut sent = 1;
    while sent < 301 {
        let count = rng.u64(1..8).min(301 - sent);
        for order in (0..count).map(|_| caller.order()).collect::<Vec<_>>() {
            if rng.u8(..8) == 0 {
                std::thread::sleep(Duration::from_micros(rng.u64(..2000)));
            }
            let mut content = order.to_le_bytes().to_vec();
            content.resize(rng.usize(8..9000), 1);
            caller.send_as(&content, order, false);
        }
        sent += count;
        if rng.u8(..3) == 0 {
            caller.wait_until(|caller| caller.told == sent);
        }
    }
    caller.wait_until(|caller| caller.told == sent);
}

#[test]
fn all_wait_for_one_that_is_late_and_nobody_is_busy_meanwhile() {
    let (place, lines, running) = begin("late", 3, SyncMode::Group);
    let board = running.board();
    // More than a line takes.
    let count = STORE_LINE_SLOTS as u64 + 40;
    let taken = Barrier::new(3);
    each(lines, |number, caller| {
        if number == 0 {
            let late = caller.order();
            // Until segments are ready, and what is on the disk is said.
            std::thread::sleep(A_WHILE);
            let before = board.look();
            taken.wait();
            std::thread::sleep(A_WHILE);
            let after = board.look();
            assert_eq!(after.chunks, 3, "before the one that is late");
            assert!(after.turns - before.turns < 20, "{before:?} {after:?}");
            caller.send_as(&late.to_le_bytes(), late, false);
            caller.wait_until(|caller| caller.told == 2);
            return;
        }
        taken.wait();
        let count = if number == 1 { count } else { 1 };
        for _ in 0..count {
            let order = caller.order();
            caller.send_as(&order.to_le_bytes(), order, false);
            // It would wake each time who has gone to sleep again.
            std::thread::sleep(Duration::from_micros(200));
        }
        caller.wait_until(|caller| caller.told == count + 1);
    });
    assert!(running.join().unwrap());
    assert_eq!(order_of(&place).1, (0..count + 5).collect::<Vec<_>>());
}

#[test]
fn a_wake_up_for_the_next_number_is_never_lost() {
    let (_place, lines, running) = begin("ping", 2, SyncMode::None);
    // Each of two sleeps until the other has handed over what was before.
    each(lines, |number, caller| {
        for round in 0..2000 {
            caller.send_as(&[7; 8], 2 + 2 * round + number, false);
            caller.wait_until(|caller| caller.told == round + 2);
        }
    });
    assert!(running.join().unwrap());
}

#[test]
fn a_number_that_nobody_has_any_more_ends_the_run_in_front_of_it() {
    let place = Place::new("missing");
    let (store, _) = chunks_of(&place);
    let reports = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&reports);
    let report = move |report| heard.lock().unwrap().push(report);
    let (lines, running) = store.start(settings(3, SyncMode::Group), report).unwrap();
    let mut callers = callers_of(lines);
    put_in_force(&mut callers);
    callers[0].order();
    callers[0].close();
    for caller in &mut callers[1..] {
        for _ in 0..3 {
            let order = caller.order();
            caller.send_as(&order.to_le_bytes(), order, false);
        }
    }
    // Those who live on are told.
    for caller in &mut callers[1..] {
        caller.wait_until(|caller| caller.state == State::Failed);
        assert_eq!(caller.told, 1);
        for _ in 0..STORE_LINE_SLOTS * 2 {
            caller.send(b"more", false);
        }
        caller.close();
    }
    let start = Instant::now();
    assert!(!running.join().unwrap(), "it has not ended in order");
    assert!(start.elapsed() < Duration::from_secs(5));
    let reports = reports.lock().unwrap().clone();
    let named = |report: &Report| match report {
        Report::State(State::Failed, Some(error)) => error.contains("chunk 3 of all"),
        _ => false,
    };
    assert!(reports.iter().any(named), "{reports:?}");
    let (store, order) = order_of(&place);
    assert_eq!(order, [0, 1, 2]);
    assert!(!store.outcome.ended);
}

#[test]
fn a_stream_that_is_ahead_with_checkpoints_keeps_nobody() {
    let (place, lines, running) = begin("ahead", 2, SyncMode::Group);
    let mut callers = callers_of(lines);
    let mut ahead = callers.remove(0);
    let mut behind = callers.remove(0);
    for content in [b"a", b"b", b"c"] {
        ahead.send(content, true);
        ahead.complete();
    }
    ahead.send(b"d", false);
    behind.send(b"1", true);
    behind.send(b"2", false);
    behind.complete();
    behind.wait_until(|caller| caller.checkpoints == 1);
    ahead.wait_until(|caller| caller.checkpoints == 1 && caller.told == 4);
    for count in 2..4 {
        behind.send(b"3", true);
        behind.complete();
        behind.wait_until(|caller| caller.checkpoints == count);
    }
    ahead.wait_until(|caller| caller.checkpoints == 3);
    // It takes part in the next again.
    behind.complete();
    ahead.send(b"e", true);
    ahead.complete();
    ahead.wait_until(|caller| caller.checkpoints == 4);
    end(vec![ahead, behind], running);
    let (_, chunks) = chunks_of(&place);
    assert_eq!(chunks[&0], [b"e"]);
    assert_eq!(chunks[&1], [b"3"]);
}

#[test]
fn each_stream_is_told_once_that_a_checkpoint_is_due() {
    let (_place, lines, running) = begin("due", 2, SyncMode::Group);
    let mut callers = callers_of(lines);
    put_in_force(&mut callers);
    // The bound is near after a while.
    while callers[0].dues == 0 {
        callers[0].send(&[7; 60_000], false);
        callers[0].wait_until(|caller| !caller.free.is_empty());
    }
    callers[1].wait_until(|caller| caller.dues == 1);
    callers[0].send(&[7; 60_000], false);
    assert!(running.board().look().segments > 3 * (STORE_SEGMENTS_MIN as u64 + 40) / 4);
    for caller in &mut callers {
        caller.send(b"again", true);
        caller.complete();
    }
    for caller in &mut callers {
        caller.wait_until(|caller| caller.checkpoints == 2);
        assert_eq!(caller.dues, 1);
    }
    while callers[1].dues == 1 {
        callers[1].send(&[7; 60_000], false);
        callers[1].wait_until(|caller| !caller.free.is_empty());
    }
    callers[0].wait_until(|caller| caller.dues == 2);
    end(callers, running);
}

#[test]
fn figures_are_seen_from_outside() {
    let (place, lines, running) = begin("figures", 1, SyncMode::Group);
    let mut callers = callers_of(lines);
    let board = running.board();
    put_in_force(&mut callers);
    callers[0].send(&[7; 5000], false);
    callers[0].wait_until(|caller| caller.told == 2);
    while board.look().segments < 3 {
        std::thread::sleep(Duration::from_millis(1));
    }
    end(callers, running);
    let seen = board.look();
    assert_eq!((seen.chunks, seen.checkpoints, seen.failures), (2, 1, 0));
    // Two chunks, what completes a checkpoint, and the end; and an empty block whenever nothing came for `STORE_IDLE_MS`.
    let (least, pages) = (1 + 2 + 1 + 1, seen.bytes / 4096);
    assert_eq!(seen.bytes % 4096, 0, "{seen:?}");
    assert!((least..=least + seen.commits).contains(&pages), "{seen:?}");
    assert!(seen.commits >= 3 && seen.syncs == seen.commits, "{seen:?}");
    assert!(seen.sync_last_us > 0 && seen.sync_max_us >= seen.sync_last_us);
    // Who looks takes nothing away.
    assert_eq!(board.look(), seen);
    assert_eq!((seen.state, seen.segments), (State::Open, 3));
    let segments = fs::read_dir(place.file("")).unwrap();
    let segments = segments.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".log")
    });
    assert_eq!(seen.disk_bytes, segments.count() as u64 * SEGMENT_BYTES);
}

#[test]
fn how_far_reading_is_can_be_heard() {
    let place = Place::new("progress");
    let (store, _) = chunks_of(&place);
    let settings = Settings {
        segment_bytes: STORE_SEGMENT_BYTES / 16,
        ..settings(1, SyncMode::None)
    };
    let (mut lines, running) = store.start(settings, |_| {}).unwrap();
    let mut caller = Caller::new(lines.remove(0));
    caller.send(b"first", true);
    caller.complete();
    for _ in 0..100 {
        caller.send(&[7; 60_000], false);
    }
    caller.wait_until(|caller| caller.told == 101);
    let mut heard = Vec::new();
    // As after a crash: what is ready is read as well.
    let copy = copy_of(&place, "progress-copy");
    caller.close();
    running.join().unwrap();
    read(&copy.0, &mut |_| {}, &mut |progress| {
        heard.push(progress);
        ControlFlow::Continue(())
    })
    .unwrap();
    let (first, last) = (heard[0], *heard.last().unwrap());
    assert!(heard.is_sorted_by_key(|progress| progress.bytes));
    assert!(first.bytes <= crate::limits::STORE_READ_BYTES as u64 + 4096 && first.of == last.of);
    assert!(heard.len() > 6 && last.bytes == last.of, "{heard:?}");
}
