//! Losses, duplicates and reorderings, put in on purpose and found again.

use super::*;

fn one(streams: u32) -> Ledger {
    let mut ledger = Ledger::new(vec![View::Range(0..streams)]);
    ledger.add(0, true);
    ledger
}

fn lost(ledger: &Ledger, sent: &[u32]) -> u64 {
    ledger.balance(sent, |_, _| true).lost
}

#[test]
fn in_order_is_clean() {
    let mut ledger = one(2);
    for sequence in 0..100 {
        assert_eq!(ledger.see(0, 0, sequence), Seen::Fresh);
        assert_eq!(ledger.see(0, 1, sequence), Seen::Fresh);
    }
    let balance = ledger.balance(&[100, 100], |_, _| true);
    let clean = Balance {
        expected: 200,
        ..Balance::default()
    };
    assert_eq!(balance, clean);
}

#[test]
fn a_gap_is_a_loss_and_so_is_a_missing_end() {
    let mut ledger = one(1);
    for sequence in [0, 1, 4, 5] {
        assert_eq!(ledger.see(0, 0, sequence), Seen::Fresh);
    }
    assert_eq!(lost(&ledger, &[6]), 2);
    assert_eq!(lost(&ledger, &[10]), 6);
}

#[test]
fn one_that_comes_behind_a_younger_is_late_and_no_loss() {
    let mut ledger = one(1);
    for (sequence, seen) in [
        (0, Seen::Fresh),
        (5, Seen::Fresh),
        (3, Seen::Late),
        (3, Seen::Again),
        (1, Seen::Late),
        (4, Seen::Late),
        (5, Seen::Again),
    ] {
        assert_eq!(ledger.see(0, 0, sequence), seen, "{sequence}");
    }
    assert_eq!(
        (lost(&ledger, &[6]), ledger.reordered, ledger.duplicated),
        (1, 3, 2)
    );
    assert_eq!(ledger.see(0, 0, 2), Seen::Late);
    assert_eq!(lost(&ledger, &[6]), 0);
    assert!(ledger.missing.is_empty());
}

#[test]
fn members_of_a_group_have_no_order_but_share_duplicates() {
    let mut ledger = Ledger::new(vec![View::Range(0..1)]);
    ledger.add(0, false);
    for sequence in [1, 0, 2, 1] {
        ledger.see(0, 0, sequence);
    }
    assert_eq!((ledger.reordered, ledger.duplicated), (0, 1));
    assert_eq!(lost(&ledger, &[3]), 0);
}

#[test]
fn what_nobody_asked_for_is_unexpected() {
    let mut ledger = Ledger::new(vec![View::of(&[2, 3, 9]), View::of(&[4, 5])]);
    let (mapped, ranged) = (ledger.add(0, true), ledger.add(1, true));
    assert_eq!(ledger.see(mapped, 9, 0), Seen::Fresh);
    assert_eq!(ledger.see(mapped, 4, 0), Seen::Unexpected);
    assert_eq!(ledger.see(ranged, 4, 0), Seen::Fresh);
    assert_eq!(ledger.see(ranged, 3, 0), Seen::Unexpected);
    assert_eq!(ledger.see(77, 3, 0), Seen::Unexpected);
    assert_eq!(ledger.unexpected, 3);
    let sent = [0, 0, 0, 0, 1, 0, 0, 0, 0, 1];
    // Told only at the end that the filter did not match stream 9.
    let balance = ledger.balance(&sent, |view, stream| (view, stream) != (0, 9));
    assert_eq!(
        (balance.lost, balance.unexpected, balance.expected),
        (0, 1, 1)
    );
}

#[test]
fn any_permutation_with_losses_and_copies_balances() {
    let mut rng = fastrand::Rng::with_seed(11);
    for _ in 0..500 {
        let sent = rng.u32(1..200);
        let mut arriving: Vec<u32> = (0..sent).filter(|_| rng.u8(..) > 40).collect();
        let lost_count = u64::from(sent) - arriving.len() as u64;
        let copies: Vec<u32> = arriving
            .iter()
            .copied()
            .filter(|_| rng.u8(..) < 30)
            .collect();
        arriving.extend(&copies);
        rng.shuffle(&mut arriving);
        let mut ledger = one(1);
        for sequence in arriving {
            ledger.see(0, 0, sequence);
        }
        assert_eq!(lost(&ledger, &[sent]), lost_count);
        assert_eq!(ledger.duplicated, copies.len() as u64);
    }
}

#[test]
fn a_broker_that_makes_up_numbers_costs_a_bounded_amount() {
    let mut ledger = one(1);
    assert_eq!(ledger.see(0, 0, u32::MAX), Seen::Unexpected);
    let gaps = limits::LOAD_GAPS_MAX as u32;
    for sequence in 0..gaps + 10 {
        assert_eq!(ledger.see(0, 0, 2 * sequence + 1), Seen::Fresh);
    }
    assert_eq!(ledger.gaps, limits::LOAD_GAPS_MAX);
    assert_eq!(lost(&ledger, &[2 * gaps + 20]), u64::from(gaps) + 10);
    // What comes late into a gap that is kept is late; into another one it counts as come again.
    assert_eq!(ledger.see(0, 0, 0), Seen::Late);
    assert_eq!(ledger.see(0, 0, 2 * gaps + 2), Seen::Again);
    assert_eq!(lost(&ledger, &[2 * gaps + 20]), u64::from(gaps) + 9);
}
