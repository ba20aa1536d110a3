//! Intervals, edges of the measured part, and the spread of a fan-out.

use super::*;

const S: u64 = 1_000_000_000;

fn meter() -> Meter {
    let window = Window {
        start_ns: 10 * S,
        measure_ns: 10 * S + S / 2,
        end_ns: 13 * S,
        interval_ns: S,
    };
    Meter::new(window, true)
}

#[test]
fn warm_up_and_drain_are_cut() {
    let mut meter = meter();
    for tenth in 0..50 {
        let now = 10 * S + tenth * S / 10;
        meter.at(now);
        meter.published(100, now, Some(5));
        meter.delivered(100, now - 1000, now);
    }
    meter.finish();
    // 2.5 seconds, 10 a second.
    assert_eq!(meter.measured.published, 25);
    assert_eq!(meter.measured.delivered_bytes, 2500);
    assert_eq!(meter.slip.len(), 25);
    let all: u64 = meter
        .slices
        .iter()
        .map(|slice| slice.counts.published)
        .sum();
    assert_eq!(all, 50);
    let flags: Vec<_> = meter.slices.iter().map(|s| (s.index, s.measured)).collect();
    assert_eq!(
        flags,
        [
            (0, false),
            (0, true),
            (1, true),
            (2, true),
            (3, false),
            (4, false)
        ]
    );
    // What was intended before the edge and came behind it counts for the warm-up.
    assert_eq!(meter.delivery.len(), 25);
    assert_eq!(meter.delivery.max(), 1000);
}

#[test]
fn a_pause_shows_as_it_would_to_users() {
    // A broker that answers in 1 ms but stands still for 100 ms, at 1000 messages a second from an open loop.
    let mut meter = meter();
    let stall = 11 * S..11 * S + S / 10;
    for k in 0..3000 {
        let intended = 10 * S + k * S / 1000;
        let arrives = (intended + S / 1000).max(if stall.contains(&intended) {
            stall.end
        } else {
            0
        });
        meter.at(arrives);
        meter.delivered(64, intended, arrives);
    }
    meter.finish();
    let late = meter.delivery.len() - meter.delivery.count_between(0, 2 * S / 1000);
    // Not one long latency, but all of those whose time fell into the pause: 100 less the last two.
    assert!((97..=99).contains(&late), "{late}");
    assert!(meter.delivery.max() > 99 * S / 1000);
}

#[test]
fn spread_is_from_the_first_to_the_last_of_all_workers() {
    let window = meter().window;
    let (mut one, mut two) = (Spread::new(2), Spread::new(2));
    let at = 11 * S;
    one.see(0, 4, at);
    one.see(0, 4, at + 500);
    two.see(0, 4, at + 900);
    two.see(0, 5, at + 950);
    two.see(0, 6, at + 960);
    one.merge(two);
    let histogram = one.histogram(&window);
    assert_eq!((histogram.len(), histogram.max()), (1, 900));
}

#[test]
fn an_interval_has_the_latencies_of_what_arrived_in_it() {
    let mut meter = meter();
    for tenth in 10..25 {
        let now = 10 * S + tenth * S / 10;
        // Two milliseconds in the second interval, a quarter of a second in the third.
        let late = if tenth < 20 { S / 500 } else { S / 4 };
        meter.at(now);
        meter.delivered(64, now - late, now);
    }
    meter.finish();
    let median = |index: u64| {
        let slice = meter
            .slices
            .iter()
            .find(|slice| slice.index == index)
            .unwrap();
        slice.latency.value_at_quantile(0.5)
    };
    assert!(median(1).abs_diff(S / 500) < S / 50_000, "{}", median(1));
    assert!(median(2).abs_diff(S / 4) < S / 400, "{}", median(2));
    let all: u64 = meter.slices.iter().map(|slice| slice.latency.len()).sum();
    assert_eq!(all, meter.delivery.len());
}
