//! Seeds: fixed ones, and a fresh one each time; and one for each protection that is taken away.

use super::super::disk::Faults;
use super::world::Lives;
use crate::limits::STORE_RETRY_MS;
use crate::storage::{Protection, State, SyncMode, remove, segment_name};

/// Lives of one world.
const LIVES: usize = 6;

/// Milliseconds in which a store that is well again has to be done with everything.
const HEALED_MS: u64 = 60_000;

/// One world from its seed to its end.
fn play(seed: u64) -> Result<(), String> {
    let mut world = Lives::new(seed);
    for _ in 0..LIVES {
        world.start()?;
        live(&mut world)?;
        match world.rng.below(8) {
            0 => end_in_order(&mut world)?,
            1 => rest(&mut world)?,
            _ => {
                let power = world.rng.once_in(2);
                world.crash(power);
            }
        }
    }
    world.start()?;
    heal(&mut world)?;
    end_in_order(&mut world)
}

/// A life: what the caller does, and what the disk does to it.
fn live(world: &mut Lives) -> Result<(), String> {
    world.is_slow = world.rng.once_in(10);
    for _ in 0..world.rng.below(160) {
        if world.rng.once_in(20) {
            upset(world);
        }
        world.act()?;
        let most = world.rng.pick(&[0, 1, 5, 30, 30, 150]);
        world.advance(most)?;
    }
    Ok(())
}

fn upset(world: &mut Lives) {
    let used = world.disk.used();
    world.disk.faults = match world.rng.below(8) {
        0 => Faults {
            io: 5,
            ..Faults::default()
        },
        1 => Faults {
            io: 40,
            ..Faults::default()
        },
        2 => Faults {
            short: 2,
            ..Faults::default()
        },
        3 => Faults {
            capacity: Some(used),
            ..Faults::default()
        },
        4 if world.rng.once_in(3) => Faults {
            is_dead: true,
            ..Faults::default()
        },
        _ => Faults::default(),
    };
}

/// No more faults: everything has to be told.
fn heal(world: &mut Lives) -> Result<(), String> {
    world.disk.faults = Faults::default();
    world.is_slow = false;
    world.late.fill(0);
    world.begin_ops();
    let end = world.now + HEALED_MS;
    let mut pushed = false;
    while !(pushed && world.is_settled()) {
        if world.now > end {
            let state = world.writer.as_ref().map(|writer| writer.state());
            return Err(format!("not done after {HEALED_MS} ms: {state:?}"));
        }
        if world.is_settled() || world.record.runs[&world.run].checkpoints.is_empty() {
            world.checkpoint()?;
            for stream in 0..world.begun.len() {
                world.push(stream, false)?;
            }
            pushed = true;
        }
        world.advance(50)?;
    }
    Ok(())
}

/// The run ends in order; then what rots is found.
fn end_in_order(world: &mut Lives) -> Result<(), String> {
    heal(world)?;
    if let Some(writer) = &mut world.writer {
        writer.close();
    }
    world.begin_ops();
    let end = world.now + HEALED_MS;
    while !world
        .writer
        .as_ref()
        .is_some_and(|writer| writer.is_closed())
    {
        if world.now > end {
            return Err("not closed".into());
        }
        world.advance(50)?;
    }
    all_is_required(world);
    let power = world.rng.once_in(2);
    world.crash(power);
    rot(world)
}

/// Nothing is handed over for a while; then the process ends, and what rots is found.
fn rest(world: &mut Lives) -> Result<(), String> {
    heal(world)?;
    world.pass(2000)?;
    all_is_required(world);
    let power = world.rng.once_in(2);
    world.crash(power);
    rot(world)
}

fn all_is_required(world: &mut Lives) {
    if let Some(run) = world.record.runs.get_mut(&world.run) {
        for stream in &mut run.streams {
            stream.required = stream.told;
        }
    }
}

/// A bit is turned over, or a file is gone: that is refused, or nothing is missing.
fn rot(world: &mut Lives) -> Result<(), String> {
    for _ in 0..12 {
        let files = world.disk.files();
        let name = &files[world.rng.below(files.len())];
        if world.rng.once_in(8) {
            // That a file without a later one is gone cannot be seen.
            let is_last = files.iter().rfind(|name| name.ends_with(".log")) == Some(name);
            if !is_last && let Some(inode) = world.disk.hide(name) {
                let result = world.read();
                world.disk.bring_back(name, inode);
                let _ = result.map_err(|e| format!("without {name}: {e}"))?;
            }
            continue;
        }
        // Most of a segment is not written to.
        let bytes = world
            .disk
            .bytes_of(name)
            .min(world.rng.pick(&[64, 8192, 1 << 20]));
        if bytes == 0 {
            continue;
        }
        let bit = world.rng.below(bytes * 8);
        world.disk.flip(name, bit);
        let result = world.read();
        world.disk.flip(name, bit);
        let _ = result.map_err(|e| format!("bit {bit} of {name}: {e}"))?;
    }
    Ok(())
}

/// How many worlds with fixed seeds are played.
fn worlds() -> u64 {
    let asked = std::env::var("FIREHOSE_STORE_WORLDS").ok();
    asked.map_or(300, |worlds| worlds.parse().unwrap())
}

fn run(seed: u64) {
    if let Err(error) = play(seed) {
        panic!("FIREHOSE_STORE_SEED={seed}: {error}");
    }
}

#[test]
fn what_was_told_is_there_whatever_happens() {
    if let Ok(seed) = std::env::var("FIREHOSE_STORE_SEED") {
        return run(seed.parse().unwrap());
    }
    for seed in 0..worlds() {
        run(seed);
    }
    for _ in 0..40 {
        run(fastrand::u64(..));
    }
}

/// Worlds until one finds that a protection is gone.
fn is_found(protection: Protection) {
    remove(Some(protection));
    let found = (0..3000).find_map(|seed| play(seed).err().map(|error| (seed, error)));
    remove(None);
    let (seed, error) = found.unwrap_or_else(|| panic!("{protection:?}: nobody missed it"));
    println!("{protection:?}: seed {seed}: {error}");
}

#[test]
fn durable_before_fdatasync_is_found() {
    is_found(Protection::SyncBeforeTold);
}

#[test]
fn durable_before_the_run_is_in_force_is_found() {
    is_found(Protection::InForceBeforeTold);
}

#[test]
fn a_failed_segment_that_is_used_again_is_found() {
    is_found(Protection::FailedSegmentLeft);
}

#[test]
fn a_checksum_without_its_place_is_found() {
    is_found(Protection::SeededChecksum);
}

#[test]
fn a_store_whose_name_is_not_synced_is_found() {
    is_found(Protection::DirectorySynced);
}

#[test]
fn a_segment_that_is_recycled_too_early_is_found() {
    is_found(Protection::RecycledAfterStore);
}

#[test]
fn a_segment_that_is_used_before_it_is_synced_is_found() {
    is_found(Protection::SegmentSyncedBeforeUse);
}

#[test]
fn rot_that_is_cut_off_is_found() {
    is_found(Protection::RotTold);
}

#[test]
fn a_failure_that_is_not_told_is_found() {
    is_found(Protection::AbandonedTold);
}

#[test]
fn a_chunk_that_is_taken_twice_is_found() {
    is_found(Protection::TakenOnce);
}

#[test]
fn chunks_of_streams_in_any_order_are_found() {
    is_found(Protection::OneOrder);
}

#[test]
fn a_run_that_is_not_announced_is_found() {
    is_found(Protection::RunAnnounced);
}

/// A world in which the last segment that was written to has few blocks, all told, and nothing behind them says that they were on
/// the disk. Returns its name, and where the last block begins.
fn with_a_last_block(seed: u64) -> (Lives, String, usize) {
    let mut world = Lives::new(seed);
    world.settings.sync = SyncMode::Group;
    world.start().unwrap();
    heal(&mut world).unwrap();
    let page = vec![7; 3000];
    let mut place = (0, 0);
    let first = world.last_write.0;
    while world.last_write.0 == first || place.1 < 3 {
        world.push_content(0, false, page.clone()).unwrap();
        while !world.is_settled() {
            world.advance(5).unwrap();
        }
        place = (world.last_write.0, world.last_write.1 / 4096);
    }
    let name = segment_name(place.0);
    let last = world.last_write.1 as usize;
    world.crash(false);
    // Whatever is cut off here, a prefix is left.
    for stream in &mut world.record.runs.get_mut(&1).unwrap().streams {
        stream.required = 0;
    }
    (world, name, last)
}

#[test]
fn a_last_segment_that_is_cut_anywhere_leaves_a_prefix() {
    let (mut world, name, last) = with_a_last_block(1);
    let mut counts = Vec::new();
    for bytes in 0..last + 4096 {
        let end = world.disk.cut(&name, bytes);
        let (_, outcome) = world.read().unwrap().unwrap();
        world.disk.add_end(&name, &end);
        counts.push(outcome.blocks);
    }
    assert!(counts.is_sorted(), "more of the file, fewer blocks");
    let (_, whole) = world.read().unwrap().unwrap();
    assert!(whole.blocks > counts[0] + 2 && counts.last() == Some(&(whole.blocks - 1)));
}

#[test]
fn a_last_block_with_any_bit_turned_over_leaves_the_others() {
    let (mut world, name, last) = with_a_last_block(2);
    let whole = world.read().unwrap().unwrap().1;
    for bit in 0..(64 + 3000) * 8 {
        world.disk.flip(&name, last * 8 + bit);
        let (_, outcome) = world.read().unwrap().unwrap();
        world.disk.flip(&name, last * 8 + bit);
        assert_eq!(outcome.blocks, whole.blocks - 1, "bit {bit}");
        // Where magic, run and length are as they should be something was begun there.
        let is_seen = bit >= 32 && !(64..128).contains(&bit);
        assert!(!is_seen || outcome.torn.is_some(), "bit {bit}");
    }
}

#[test]
fn rot_names_the_file_and_the_place() {
    let (mut world, name, last) = with_a_last_block(3);
    world.disk.flip(&name, (last - 4096) * 8 + 700);
    let fault = world.read().unwrap().unwrap_err().to_string();
    let place = format!("{name} is damaged at byte {}", last - 4096);
    assert!(fault.starts_with(&place), "{fault}");
}

/// A world that is well, in a mode, with a run in force and nothing to do.
fn well(sync: SyncMode) -> Lives {
    let mut world = Lives::new(5);
    world.settings.sync = sync;
    world.start().unwrap();
    heal(&mut world).unwrap();
    world.pass(1000).unwrap();
    world
}

fn state(world: &Lives) -> State {
    world.writer.as_ref().unwrap().state()
}

fn told(world: &Lives) -> u64 {
    world.writer.as_ref().unwrap().told(0)
}

#[test]
fn a_full_disk_is_told_while_there_is_a_reserve() {
    let mut world = well(SyncMode::Group);
    world.disk.faults.capacity = Some(world.disk.used());
    assert_eq!(state(&world), State::Open);
    while state(&world) == State::Open {
        world.push_content(0, false, vec![1; 8000]).unwrap();
        world.pass(100).unwrap();
        assert!(world.is_settled());
    }
    assert_eq!(state(&world), State::Full);
    for _ in 0..6 {
        world.push_content(0, false, vec![1; 8000]).unwrap();
        world.pass(100).unwrap();
        assert!(world.is_settled(), "the reserve is for what frees room");
    }
    // A checkpoint frees segments, without more room on the disk.
    for stream in 0..world.begun.len() {
        world.push_content(stream, true, vec![2; 100]).unwrap();
    }
    world.complete();
    world.pass(3000).unwrap();
    assert_eq!(state(&world), State::Open);
}

#[test]
fn a_full_disk_gets_well_by_itself() {
    let mut world = well(SyncMode::Group);
    world.disk.faults.capacity = Some(world.disk.used());
    while world.is_settled() {
        world.push_content(0, false, vec![1; 8000]).unwrap();
        world.pass(2000).unwrap();
    }
    assert_eq!(state(&world), State::Full);
    world.disk.faults.capacity = None;
    world.pass(STORE_RETRY_MS + 1000).unwrap();
    assert_eq!(state(&world), State::Open);
    assert!(world.is_settled());
}

#[test]
fn a_disk_that_goes_on_failing_is_told_and_does_not_fill_up() {
    for sync in [SyncMode::Group, SyncMode::Interval(10), SyncMode::None] {
        let mut world = well(sync);
        let before = told(&world);
        world.disk.faults.is_dead = true;
        world.push_content(0, false, vec![1; 100]).unwrap();
        world.pass(20_000).unwrap();
        assert_eq!(state(&world), State::Failed);
        assert_eq!(told(&world), before);
        let files = world.disk.files().len();
        world.disk.faults.is_dead = false;
        world.disk.faults.io = 2;
        world.pass(20_000).unwrap();
        assert!(world.disk.files().len() <= files + 4, "{sync:?}");
        world.disk.faults.io = 0;
        world.pass(3 * STORE_RETRY_MS).unwrap();
        assert_eq!((state(&world), told(&world)), (State::Open, before + 1));
    }
}

#[test]
fn what_comes_while_a_commit_is_under_way_is_one_commit() {
    let mut world = well(SyncMode::Group);
    let before = world.writes;
    for _ in 0..10 {
        world.push_content(0, false, vec![1; 100]).unwrap();
    }
    world.pass(90).unwrap();
    assert!(world.is_settled());
    assert_eq!(world.writes - before, 2);
}

#[test]
fn a_store_with_nothing_to_do_says_so_once() {
    for sync in [SyncMode::Group, SyncMode::Interval(10), SyncMode::None] {
        let mut world = well(sync);
        let before = world.writes;
        world.push_content(0, false, vec![1; 100]).unwrap();
        world.pass(100_000).unwrap();
        assert_eq!(world.writes - before, 2, "{sync:?}");
        let deadline = world.writer.as_ref().unwrap().deadline();
        assert_eq!(deadline, None, "{sync:?}: it goes on waking up");
    }
}

#[test]
fn what_is_told_after_the_write_is_synced_soon() {
    let mut world = well(SyncMode::Interval(30));
    let before = world.syncs;
    for _ in 0..100 {
        world.push_content(0, false, vec![1; 100]).unwrap();
        world.pass(10).unwrap();
    }
    let syncs = world.syncs - before;
    assert!((10..=40).contains(&syncs), "{syncs} syncs in a second");
    // Without an interval there is one when the segment is full, or when nothing comes.
    let mut world = well(SyncMode::None);
    let before = world.syncs;
    for _ in 0..8 {
        world.push_content(0, false, vec![1; 100]).unwrap();
        world.pass(10).unwrap();
        assert!(told(&world) + 1 >= world.record.runs[&1].streams[0].handed.len() as u64);
    }
    assert!(world.syncs - before <= 1);
}
