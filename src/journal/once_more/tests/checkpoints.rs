//! Checkpoints, which write again what there is.

use super::*;

/// Messages come to a shard, for its session or as a checkpoint writes them again.
fn write(run: &mut Run, shard: u8, numbers: std::ops::Range<u64>, refers: bool) {
    for number in numbers {
        let payload = payload(number + 100 * u64::from(shard));
        let message = text("t", &payload);
        let message = Record::Message { number, message };
        match refers {
            true => run.turn(shard, &[message, queued(number)]),
            false => run.turn(shard, &[message]),
        }
    }
}

/// The image of the session of shard 0, for which so many wait, and the end of the checkpoint.
fn end(run: &mut Run, len: u32) {
    let anew = Record::SessionAnew { session: SESSION };
    let opened = Record::Opened {
        session: SESSION,
        serial: 1,
        client_id: "dave",
    };
    let all = Record::QueuedRun {
        session: SESSION,
        number: 0,
        len,
        way: way(),
    };
    run.turn(0, &[anew, opened, all, Record::CheckpointEnded]);
}

/// A checkpoint writes again what there is: with less room than that it fits as well.
#[test]
fn a_checkpoint_is_read_within_the_room() {
    let mut run = Run::of(1);
    write(&mut run, 0, 0..8, true);
    run.turn(0, &[Record::CheckpointBegun]);
    write(&mut run, 0, 0..8, false);
    end(&mut run, 8);
    assert_eq!(held(&run.read_within(room_for(8)), 0).len(), 8);
    let legacy = run.read_within(room_for(3));
    assert_eq!(held(&legacy, 0), [5, 6, 7]);
    assert_eq!(missing(&legacy).others, 5);
}

/// A checkpoint writes old messages behind newer ones: the oldest are left out all the same.
#[test]
fn what_is_old_is_known_by_its_number_and_not_by_its_place() {
    let mut run = Run::of(2);
    write(&mut run, 0, 0..8, true);
    write(&mut run, 1, 0..16, true);
    run.turn(0, &[Record::CheckpointBegun]);
    write(&mut run, 0, 8..12, true);
    write(&mut run, 0, 0..8, false);
    end(&mut run, 12);
    let legacy = run.read_within(room_for(7));
    assert_eq!(held(&legacy, 0), [9, 10, 11]);
    assert_eq!(held(&legacy, 1), [12, 13, 14, 15]);
    assert_eq!(missing(&legacy).others, 21);
}
