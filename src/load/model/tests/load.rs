//! Rates, sizes and bursts.

use super::events_of;
use crate::load::model::rates::{KINDS, Kind, Process};
use crate::load::model::{Bus, CYCLE_MINUTES, Event, START_MINUTE, Source};

/// What was published of May 2017, a minute.
const MESSAGES: std::ops::RangeInclusive<usize> = 100..=2_600;
const BYTES: std::ops::RangeInclusive<usize> = 20_000..=2_400_000;

const DAY_MINUTES: usize = 24 * 60;

/// Events of each kind in each minute from midnight.
fn day(seed: u64) -> Vec<[usize; KINDS.len()]> {
    let mut process = Process::new(seed, 1.0, 1.0, 0.0);
    let mut minutes = vec![[0; KINDS.len()]; DAY_MINUTES];
    loop {
        let kind = process.next();
        let minute = process.at_ns() as usize / 60_000_000_000;
        if minute >= DAY_MINUTES {
            return minutes;
        }
        minutes[minute][kind as usize] += 1;
    }
}

#[test]
fn every_minute_of_a_day_is_within_the_published_rates() {
    let minutes = day(1);
    let counts: Vec<usize> = minutes.iter().map(|kinds| kinds.iter().sum()).collect();
    for (minute, count) in counts.iter().enumerate() {
        assert!(MESSAGES.contains(count), "{minute}: {count}");
    }
    // Most of the range is made use of.
    assert!(counts.iter().min().unwrap() < &180);
    assert!(counts.iter().max().unwrap() > &2_000);
}

#[test]
fn gerrit_is_commonest_and_ansible_next() {
    let minutes = day(2);
    let sum = |kind: Kind| -> usize { minutes.iter().map(|kinds| kinds[kind as usize]).sum() };
    let ansible = sum(Kind::AdHoc) + sum(Kind::Cron);
    assert!(sum(Kind::Gerrit) > ansible);
    assert!(ansible > sum(Kind::Logstash));
    assert!(sum(Kind::Logstash) > sum(Kind::Subunit));
    assert!(sum(Kind::Subunit) > sum(Kind::Launchpad));
}

#[test]
fn a_burst_begins_every_quarter_of_an_hour() {
    let minutes = day(3);
    let cycle = CYCLE_MINUTES as usize;
    let counts: Vec<usize> = minutes.iter().map(|kinds| kinds.iter().sum()).collect();
    for quarter in counts.chunks(cycle) {
        let quiet = quarter[8..].iter().max().unwrap();
        assert!(quarter[0] > 2 * quiet, "{quarter:?}");
    }
}

fn minutes_of(events: &[Event]) -> Vec<(usize, usize)> {
    let mut minutes = vec![(0, 0); CYCLE_MINUTES as usize];
    for event in events {
        let (count, bytes) = &mut minutes[event.at_ns as usize / 60_000_000_000];
        *count += 1;
        *bytes += event.topic.len() + event.payload.len();
    }
    minutes
}

/// A quarter of an hour with the biggest burst of the day, and one of the quietest.
#[test]
fn bytes_a_minute_are_within_the_published_range() {
    for (start, seed) in [(15 * 60, 1), (15 * 60, 2), (3 * 60 + 15, 3)] {
        let bus = Bus::new(seed, 1.0, 25).with_start_minute(f64::from(start));
        for (minute, (count, bytes)) in minutes_of(&events_of(bus, 15 * 60)).iter().enumerate() {
            println!("{start} + {minute}: {count} messages, {bytes} bytes");
            assert!(MESSAGES.contains(count), "{start} + {minute}: {count}");
            assert!(BYTES.contains(bytes), "{start} + {minute}: {bytes}");
        }
    }
}

#[test]
fn sizes_are_plausible() {
    let bus = Bus::new(4, 50.0, 25).with_start_minute(14.0 * 60.0);
    let events = events_of(bus, 20);
    let of = |source| -> Vec<usize> {
        let of = events.iter().filter(|event| event.source == source);
        of.map(|event| event.payload.len()).collect()
    };
    for (source, mean_range, max_range) in [
        (Source::Gerrit, 1_000..2_500, 1_500..6_000),
        (Source::Launchpad, 600..2_500, 800..5_000),
        (Source::Ansible, 600..1_200, 15_000..60_000),
        (Source::Subunit, 200..400, 200..500),
        (Source::Logstash, 200..400, 200..500),
    ] {
        let sizes = of(source);
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        let max = *sizes.iter().max().unwrap();
        println!("{source:?}: {} of {mean}, {max} at most", sizes.len());
        assert!(mean_range.contains(&mean), "{source:?}: {mean} on average");
        assert!(max_range.contains(&max), "{source:?}: {max} at most");
    }
}

#[test]
fn times_do_not_decrease() {
    let events = events_of(Bus::new(6, 500.0, 25), 5);
    assert!(events.iter().map(|event| event.at_ns).is_sorted());
    assert!(events.len() > 5_000);
}

fn count(scale: f64, time_lapse: f64, minutes: u64) -> usize {
    let mut process = Process::new(8, scale, time_lapse, START_MINUTE);
    let mut count = 0;
    loop {
        process.next();
        if process.at_ns() >= minutes * 60_000_000_000 {
            return count;
        }
        count += 1;
    }
}

/// The scale multiplies the rate; the lapse of time leaves the mean of whole hours as it is.
#[test]
fn scale_multiplies_and_lapse_does_not() {
    let one = count(1.0, 1.0, 60) as f64;
    for (times, lapse) in [(10.0, 1.0), (10.0, 2.0), (1.0, 2.0), (0.5, 1.0)] {
        let ratio = count(times, lapse, 60) as f64 / one;
        assert!(
            (0.95..1.05).contains(&(ratio / times)),
            "{times} {lapse}: {ratio}"
        );
    }
}

/// The fullest minute of the day is within the range whatever the seed.
#[test]
fn the_fullest_minute_is_within_the_range_for_many_seeds() {
    for seed in 10..26 {
        let bus = Bus::new(seed, 1.0, 25).with_start_minute(15.0 * 60.0);
        let (count, bytes) = minutes_of(&events_of(bus, 60))[0];
        println!("{seed}: {count} messages, {bytes} bytes");
        assert!(MESSAGES.contains(&count), "{seed}: {count}");
        assert!(BYTES.contains(&bytes), "{seed}: {bytes}");
    }
}

/// Half a minute at thirty times the speed is a quarter of an hour: the burst comes after ten seconds.
#[test]
fn a_lapse_of_time_brings_the_burst_forward() {
    let events = events_of(Bus::new(2, 20.0, 25).with_time_lapse(30.0), 30);
    let mut seconds = [0; 30];
    for event in &events {
        seconds[event.at_ns as usize / 1_000_000_000] += 1;
    }
    let before: usize = seconds[..10].iter().sum();
    let burst: usize = seconds[10..14].iter().sum();
    assert!(burst > before, "{seconds:?}");
}

#[test]
fn odd_parameters_are_brought_within_bounds() {
    for odd in [0.0, -5.0, f64::NAN, f64::INFINITY, 1e300] {
        let mut bus = Bus::new(1, odd, 0)
            .with_time_lapse(odd)
            .with_start_minute(odd);
        let mut event = Event::default();
        for _ in 0..3 {
            bus.next(&mut event);
        }
        assert_eq!(event.publisher, 0);
    }
}
