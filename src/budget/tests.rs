//! Splitting, leasing, climbing.

use std::sync::Arc;

use super::*;
use crate::limits;

fn wishes(shards: u8) -> Wishes {
    Wishes {
        shards,
        shard_bytes: 2 << 20,
        mesh_bytes: 1 << 20,
        has_journal: false,
        has_http: false,
        sizes: [None; Account::COUNT],
    }
}

fn sum(plan: &Plan) -> u64 {
    Account::ALL
        .iter()
        .map(|&account| plan.limit(account))
        .sum()
}

#[test]
fn the_whole_limit_is_split() {
    for total in [256 << 20, 2 << 30, 64 << 30u64] {
        let plan = Plan::split(total, &wishes(2)).unwrap();
        assert!(sum(&plan) <= total && total - sum(&plan) < 16, "{plan:?}");
    }
}

#[test]
fn what_somebody_has_set_is_kept_and_the_rest_shared() {
    let mut wishes = wishes(1);
    wishes.sizes[Account::Retained as usize] = Some(1 << 30);
    let plan = Plan::split(2 << 30, &wishes).unwrap();
    assert_eq!(plan.limit(Account::Retained), 1 << 30);
    assert!(sum(&plan) <= 2 << 30);
    wishes.sizes[Account::Retained as usize] = Some(4 << 30);
    let least = Plan::split(2 << 30, &wishes).unwrap_err();
    assert!(Plan::split(least, &wishes).is_ok());
    assert_eq!(Plan::split(least - 1, &wishes), Err(least));
}

#[test]
fn what_shards_need_is_there() {
    let mut before = 0;
    for shards in [1, 2, 8, 64] {
        let least = Plan::split(0, &wishes(shards)).unwrap_err();
        assert!(least > before);
        before = least;
        let plan = Plan::split(least, &wishes(shards)).unwrap();
        assert_eq!(sum(&plan), least);
        assert!(plan.limit(Account::Outbound) >= u64::from(shards) << 21);
        let meshed = if shards == 1 { 0 } else { u64::from(shards) };
        let waiting = |plan: &Plan| plan.limit(Account::Mesh) - (1 << 20);
        assert_eq!(waiting(&plan), meshed * limits::MESH_WAITING_BYTES_MIN);
        let plan = Plan::split(64 << 30, &wishes(shards)).unwrap();
        assert_eq!(waiting(&plan), meshed * limits::MESH_WAITING_BYTES_MAX);
    }
    assert!(Plan::split(0, &wishes(1)).unwrap_err() < 64 << 20);
}

/// Without a disk it has nothing, whatever somebody wishes, and the others have what it would have had.
#[test]
fn the_journal_has_its_account_where_something_is_kept() {
    for shards in [1, 2, 8] {
        let without = wishes(shards);
        let with = Wishes {
            has_journal: true,
            ..without
        };
        let needed = |wishes: &Wishes| Plan::split(0, wishes).unwrap_err();
        let journal = (8 << 20) + (u64::from(shards) * (4 << 20));
        assert_eq!(needed(&with), needed(&without) + journal);
        let plan = Plan::split(needed(&with), &with).unwrap();
        assert_eq!(plan.limit(Account::Journal), journal);
        for total in [256 << 20, 2 << 30, 64 << 30u64] {
            let plan = Plan::split(total, &with).unwrap();
            assert!(total - sum(&plan) < 16, "{plan:?}");
            let share = plan.limit(Account::Journal) - journal;
            assert!(share > 0 && share <= total / 50, "{plan:?}");
            let bare = Plan::split(total, &without).unwrap();
            assert_eq!(bare.limit(Account::Journal), 0);
            assert!(bare.limit(Account::Backlog) > plan.limit(Account::Backlog));
        }
        let mut sized = with;
        sized.sizes[Account::Journal as usize] = Some(64 << 20);
        let plan = Plan::split(1 << 30, &sized).unwrap();
        assert_eq!(plan.limit(Account::Journal), 64 << 20);
        sized.has_journal = false;
        let plan = Plan::split(1 << 30, &sized).unwrap();
        assert_eq!(plan.limit(Account::Journal), 0);
        assert!((1 << 30) - sum(&plan) < 16, "{plan:?}");
    }
}

#[test]
fn sizes_without_measure_are_too_much() {
    let mut wishes = wishes(1);
    wishes.sizes = [Some(u64::MAX >> 1); Account::COUNT];
    assert_eq!(Plan::split(1 << 40, &wishes), Err(u64::MAX));
    wishes.sizes = [Some(0); Account::COUNT];
    let plan = Plan::split(1 << 30, &wishes).unwrap();
    assert_eq!(plan.limit(Account::Backlog), 0);
    // What does not grow is there whatever somebody wishes.
    assert_eq!(plan.limit(Account::Program), limits::PROGRAM_BYTES);
    let buffers = (2 << 20) + limits::LOG_WAITING_BYTES_MAX;
    assert_eq!(sum(&plan), limits::PROGRAM_BYTES + buffers + (1 << 20));
}

#[test]
fn accounts_have_names() {
    for account in Account::ALL {
        assert_eq!(Account::by_name(account.name()), Some(account));
    }
    assert_eq!(Account::by_name("nothing"), None);
}

#[test]
fn no_more_is_taken_than_there_is() {
    let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 2));
    let mut leases = [Lease::new(pool.clone()), Lease::new(pool.clone())];
    let mut taken = 0;
    let mut turn = 0;
    while leases[turn % 2].take(Account::Backlog, 1000)
        || leases[(turn + 1) % 2].take(Account::Backlog, 1000)
    {
        taken += 1000;
        turn += 1;
    }
    assert!(taken <= 1 << 20, "{taken}");
    // What is left is leased in part, to one of them.
    assert!(taken > (1 << 20) - 3000, "{taken}");
    let held: i64 = leases
        .iter()
        .map(|lease| lease.held(Account::Backlog))
        .sum();
    assert_eq!(held, taken);
    assert_eq!(leases[0].room(Account::Outbound), 1 << 20);
}

#[test]
fn what_is_forced_is_counted_and_nothing_is_taken_until_it_is_gone() {
    let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 1));
    let mut lease = Lease::new(pool.clone());
    lease.force(Account::Outbound, 3 << 20);
    assert_eq!(pool.leased(Account::Outbound), 3 << 20);
    assert_eq!(lease.room(Account::Outbound), 0);
    assert!(!lease.take(Account::Outbound, 1));
    lease.set(Account::Outbound, 1 << 19);
    assert!(lease.take(Account::Outbound, 1));
    assert!(pool.leased(Account::Outbound) <= 1 << 20);
    drop(lease);
    assert_eq!(pool.free(Account::Outbound), 1 << 20);
}

#[test]
fn one_shard_may_give_back_what_another_took() {
    let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 2));
    let (mut one, mut other) = (Lease::new(pool.clone()), Lease::new(pool.clone()));
    for _ in 0..1000 {
        assert!(one.take(Account::Backlog, 100_000));
        other.give(Account::Backlog, 100_000);
    }
    let held = one.held(Account::Backlog) + other.held(Account::Backlog);
    assert_eq!(held, 0);
    assert!(pool.free(Account::Backlog) > 1 << 19);
}

#[test]
fn the_bound_for_one_falls_as_the_account_fills() {
    let pool = Arc::new(Pool::new(&Plan::even(64 << 20), 1));
    let mut lease = Lease::new(pool);
    let mut queues = [0u64; 100];
    for _ in 0..200_000 {
        for queue in &mut queues {
            if *queue + 1000 <= lease.threshold(Account::Outbound)
                && lease.take(Account::Outbound, 1000)
            {
                *queue += 1000;
            }
        }
    }
    let (least, most) = (*queues.iter().min().unwrap(), *queues.iter().max().unwrap());
    assert!(most - least <= 1000, "{least} {most}");
    assert!(lease.room(Account::Outbound) > 0);
    assert!(least > (32 << 20) / 100);
}

#[test]
fn another_plan_changes_what_is_free() {
    let pool = Arc::new(Pool::new(&Plan::even(1 << 20), 1));
    let mut lease = Lease::new(pool.clone());
    assert!(lease.take(Account::Retained, 1 << 19));
    pool.set_plan(&Plan::even(1 << 18));
    assert!(!lease.take(Account::Retained, 1 << 18));
    pool.set_plan(&Plan::even(4 << 20));
    assert!(lease.take(Account::Retained, 3 << 20));
}

#[test]
fn the_ladder_is_climbed_at_once_and_left_step_by_step() {
    let mut ladder = Ladder::default();
    assert_eq!(ladder.update(0, 0, Rung::Calm), (Rung::Calm, false));
    assert_eq!(ladder.update(0, 2000, Rung::Calm), (Rung::Shed, true));
    let mut now_ms = 0;
    for below in Rung::ALL.iter().rev().skip(1) {
        let (rung, changed) = ladder.update(now_ms, 0, Rung::Calm);
        assert!(rung > *below && !changed);
        now_ms += limits::RUNG_DOWN_MS;
        assert_eq!(ladder.update(now_ms, 0, Rung::Calm), (*below, true));
    }
}

#[test]
fn a_level_at_a_step_does_not_make_it_go_up_and_down() {
    let mut ladder = Ladder::default();
    let mut changes = 0;
    for tick in 0..10_000u64 {
        let permille = limits::RUNG_REFUSE - 2 + tick % 4;
        changes += u64::from(ladder.update(tick * 100, permille, Rung::Calm).1);
    }
    assert_eq!((ladder.rung(), changes), (Rung::Refuse, 2));
}

#[test]
fn the_system_may_ask_for_a_step() {
    let mut ladder = Ladder::default();
    assert_eq!(ladder.update(0, 100, Rung::Shrink), (Rung::Shrink, true));
    assert_eq!(
        ladder.update(100_000, 100, Rung::Shrink),
        (Rung::Shrink, false)
    );
    ladder.update(200_000, 100, Rung::Calm);
    assert_eq!(ladder.update(300_000, 100, Rung::Calm), (Rung::Trim, true));
}

#[test]
fn a_charge_is_exact_and_leaves_what_is_spared() {
    let pool = Arc::new(Pool::new(&Plan::even(1000), 1));
    let free = || pool.free(Account::Http);
    let mut one = Charge::new(pool.clone(), Account::Http);
    assert!(one.take(600, 300) && !one.take(200, 300) && one.take(100, 300));
    assert_eq!(free(), 300);
    let mut other = Charge::new(pool.clone(), Account::Http);
    assert!(!other.take(u64::MAX, 0) && !other.take(1, u64::MAX));
    other.force(400);
    assert_eq!(free(), -100);
    drop(one);
    assert_eq!(free(), 600);
    drop(other);
    assert_eq!(free(), 1000);
}

/// Where nobody can ask over HTTP there is nothing for it, and where somebody can, others have a little less.
#[test]
fn http_has_its_account_where_it_is_open() {
    let closed = Plan::split(64 << 20, &wishes(1)).unwrap();
    assert_eq!(closed.limit(Account::Http), 0);
    let open = Wishes {
        has_http: true,
        ..wishes(1)
    };
    for total in [64 << 20, 2 << 30] {
        let plan = Plan::split(total, &open).unwrap();
        let http = plan.limit(Account::Http);
        assert!(http >= 2 << 20 && http < total / 24, "{http}");
        assert!(sum(&plan) <= total && total - sum(&plan) < 16, "{plan:?}");
    }
}
