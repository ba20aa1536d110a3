//! Worlds in which checkpoints begin, and what must be found of them.

use super::checkpoints::Checkpoints;
use super::world::World;

/// Plays worlds until one goes wrong.
fn is_found(shards: u8, change: fn(&mut Checkpoints)) -> bool {
    let goes_wrong = |seed: u64| {
        let played = std::panic::catch_unwind(|| {
            let mut world = World::new(seed, shards);
            change(&mut world.log.checkpoints);
            world.run(1500, |_| {});
            world.settle();
            world.check_mirrors();
        });
        played.is_err()
    };
    (1..40).any(goes_wrong)
}

#[test]
fn a_marker_that_is_not_waited_for_is_found() {
    assert!(is_found(3, |checkpoints| {
        checkpoints.is_complete = |progress| progress.imaged;
    }));
}

#[test]
fn images_without_messages_are_found() {
    assert!(is_found(1, |checkpoints| checkpoints.forgets_texts = true));
}

/// Most worlds see several of them through.
#[test]
fn checkpoints_become_complete() {
    let mut world = World::new(5, 3);
    world.run(1500, |_| {});
    world.settle();
    world.check_mirrors();
    let progress = world.brokers[0].checkpoint_progress();
    assert!(progress.complete > 2, "{progress:?}");
    assert!(world.log.checkpoints.compared > 10);
    world.log.checkpoints.check_groups();
}
