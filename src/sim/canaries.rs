//! Each thing that keeps a promise over a crash is taken away once: a world that crashes has to miss it.

use super::plan::Plan;
use super::tests::play_with_crashes;
use crate::journal::{Protection, remove};

/// Seeds that are played until one goes wrong.
const SEEDS: u64 = 100;

/// Steps of a world.
const STEPS: u64 = 800;

/// Worlds from this seed on, until one misses the protection.
fn is_missed(protection: Protection, shards: u8, first: u64) {
    let goes_wrong = |seed: &u64| {
        remove(Some(protection));
        let played = std::panic::catch_unwind(|| {
            play_with_crashes(Plan::losing(*seed), shards, STEPS);
        });
        remove(None);
        played.is_err()
    };
    let seed = (first..first + SEEDS).find(goes_wrong);
    let seed = seed.unwrap_or_else(|| panic!("{protection:?}: nobody missed it"));
    // With it the same world is well.
    play_with_crashes(Plan::losing(seed), shards, STEPS);
}

#[test]
fn a_puback_that_is_not_held_is_found() {
    is_missed(Protection::PubackHeld, 1, 11);
}

#[test]
fn a_pubrec_that_is_not_held_is_found() {
    is_missed(Protection::PubrecHeld, 1, 14);
}

#[test]
fn a_pubrel_that_is_not_held_is_found() {
    is_missed(Protection::PubrelHeld, 1, 223);
}

#[test]
fn a_pubcomp_that_is_not_held_is_found() {
    is_missed(Protection::PubcompHeld, 1, 129);
}

#[test]
fn a_suback_that_is_not_held_is_found() {
    is_missed(Protection::SubackHeld, 1, 12);
}

#[test]
fn an_unsuback_that_is_not_held_is_found() {
    is_missed(Protection::UnsubackHeld, 1, 39);
}

#[test]
fn a_connack_that_is_not_held_is_found() {
    is_missed(Protection::ConnackHeld, 1, 1);
}

#[test]
fn a_gate_that_is_open_is_found() {
    is_missed(Protection::Gate, 1, 9);
}

#[test]
fn what_is_handed_over_and_not_written_is_found() {
    is_missed(Protection::HandedWritten, 3, 1);
}

#[test]
fn what_is_taken_and_not_written_is_found() {
    is_missed(Protection::TookWritten, 3, 1);
}

#[test]
fn half_a_turn_is_found() {
    is_missed(Protection::TurnWhole, 1, 6);
}

#[test]
fn a_turn_that_others_see_first_is_found() {
    is_missed(Protection::TurnBeforeMesh, 3, 15);
}
