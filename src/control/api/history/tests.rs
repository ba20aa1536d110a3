//! Points from looks that are made up.

use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::History;
use super::look::{COUNTED, LEVELS, Look};
use super::series::{Series, Turns};
use crate::control::reports::Told;
use crate::limits;

fn histogram(values: &[(u64, u64)]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 1 << 40, 2).unwrap();
    for &(value, times) in values {
        histogram.record_n(value, times).unwrap();
    }
    histogram
}

/// So many seconds after a moment, with so much counted of everything.
fn look(start: Instant, second: u64, counted: u64, told: Vec<Option<Rc<Told>>>) -> Look {
    Look {
        at: start + Duration::from_secs(second),
        counted: [counted; COUNTED.len()],
        levels: [second; LEVELS.len()],
        told,
    }
}

fn told(at: Instant, turn_ns: &[(u64, u64)], delivery_us: &[(u64, u64)]) -> Option<Rc<Told>> {
    Some(Rc::new(Told {
        at,
        turn_ns: histogram(turn_ns),
        delivery_us: histogram(delivery_us),
    }))
}

#[test]
fn a_point_is_what_was_between_two_looks() {
    let start = Instant::now();
    let later = start + Duration::from_secs(2);
    let mut series = Series::new(2, 10);
    let silent = told(start, &[(1000, 5)], &[(10, 5)]);
    let first = told(start, &[(1_000_000, 5)], &[(10, 5)]);
    series.add(4, look(start, 0, 100, vec![first, silent.clone(), None]));
    assert_eq!(series.after(None).count(), 0);
    let turns = [(1_000_000, 5), (2_000_000, 500)];
    let second = told(later, &turns, &[(10, 5), (20, 98), (3000, 2)]);
    series.add(6, look(start, 2, 107, vec![second, silent, None]));
    let points: Vec<_> = series.after(None).collect();
    let [point] = points[..] else {
        panic!("{points:?}");
    };
    assert_eq!((point.end, point.milliseconds), (6, 2000));
    assert_eq!(point.counted, [7; COUNTED.len()]);
    assert_eq!(point.levels, [2; LEVELS.len()]);
    assert_eq!(point.buckets.iter().sum::<u32>(), 100);
    // Up to 32 and up to 4096 microseconds.
    assert_eq!((point.buckets[2], point.buckets[9]), (98, 2));
    let [p50, p99] = point.delivery_us.unwrap();
    assert_eq!(p50, 20);
    assert!((2980..3020).contains(&p99), "{p99}");
    let [
        Some(Turns {
            busy_permille,
            p99_us,
        }),
        None,
        None,
    ] = point.shards[..]
    else {
        panic!("{:?}", point.shards);
    };
    assert!((495..505).contains(&busy_permille), "{busy_permille}");
    assert!((1990..2020).contains(&p99_us), "{p99_us}");
}

#[test]
fn the_oldest_points_go() {
    let start = Instant::now();
    let mut series = Series::new(1, 3);
    for second in 0..10 {
        series.add(second, look(start, second, 0, Vec::new()));
    }
    let ends: Vec<u64> = series.after(None).map(|point| point.end).collect();
    assert_eq!(ends, [7, 8, 9]);
    assert_eq!(series.after(Some(8)).count(), 1);
    assert_eq!(series.after(Some(9)).count(), 0);
}

/// Also where seconds were missed, because the machine stood still.
#[test]
fn ten_seconds_are_a_point_too() {
    let start = Instant::now();
    let mut history = History::default();
    for second in (1..25).chain(38..45).chain([44]) {
        history.add(second, look(start, second, second, Vec::new()));
    }
    assert_eq!(history.newest, 44);
    let ends: Vec<u64> = history.tens.after(None).map(|point| point.end).collect();
    assert_eq!(ends, [20, 38, 40]);
    let lengths: Vec<u64> = history
        .tens
        .after(None)
        .map(|point| point.milliseconds)
        .collect();
    assert_eq!(lengths, [10_000, 18_000, 2000]);
    let counted: u64 = history.tens.after(None).map(|point| point.counted[0]).sum();
    assert_eq!(counted, 30);
    assert_eq!(history.seconds.after(None).count(), 23 + 7);
}

#[test]
fn its_memory_is_what_the_limits_say() {
    let point = size_of::<super::series::Point>() + 64 * size_of::<Option<Turns>>();
    let points = limits::HISTORY_SECONDS + limits::HISTORY_STEPS;
    assert!(
        points * point <= limits::HISTORY_BYTES_MAX,
        "{}",
        points * point
    );
}
