//! Known streams, and what is told of them.

use std::collections::HashMap;

use super::*;

/// Messages at the same distance over some seconds, to the topics that `topic` gives by number; what was really sent of each, a second.
fn run(
    busiest: &mut Busiest,
    seconds: u64,
    a_second: u64,
    mut topic: impl FnMut(u64) -> u64,
) -> HashMap<u64, f64> {
    let mut sent: HashMap<u64, f64> = HashMap::new();
    for number in 0..seconds * a_second {
        let now_ms = 5000 + number * 1000 / a_second;
        let to = topic(number);
        busiest.note(now_ms, &format!("t/{to}"), 10);
        *sent.entry(to).or_default() += 1.0 / seconds as f64;
    }
    sent
}

fn number_of(topic: &BusyTopic) -> u64 {
    topic.topic.strip_prefix("t/").unwrap().parse().unwrap()
}

/// Topic `n` of 20,000 with a part of all that is as 1 to `n`, in an order that has no pattern.
fn zipf() -> impl FnMut(u64) -> u64 {
    let mut weights = Vec::new();
    let mut sum = 0.0;
    for number in 1..=20_000 {
        sum += 1.0 / f64::from(number);
        weights.push(sum);
    }
    let mut random = 88_172_645_463_325_252u64;
    move |_| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let point = (random >> 11) as f64 / (1u64 << 53) as f64 * sum;
        weights.partition_point(|&weight| weight < point) as u64 + 1
    }
}

#[test]
fn what_is_little_is_counted_exactly() {
    let mut busiest = Busiest::new(7);
    let sent = run(&mut busiest, 9, 1000, |number| number % 10);
    let told = busiest.tell(14_000);
    assert_eq!((told.topics.len(), told.long), (10, 0.0));
    for topic in &told.topics {
        let wanted = sent[&number_of(topic)];
        assert_eq!((topic.at_least, topic.at_most), (topic.rate, topic.rate));
        assert!((topic.rate - wanted).abs() < 0.01, "{topic:?} {wanted}");
        assert!((topic.byte_rate - 10.0 * wanted).abs() < 0.1, "{topic:?}");
    }
    assert!((told.all - 1000.0).abs() < 0.1);
}

/// Looked at one by one, and one in many: the first are found, in their order as far as the error allows, and all are within their bounds.
#[test]
fn the_first_of_zipf_are_found_within_their_bounds() {
    for (seconds, a_second) in [(9, 4000), (9, 200_000)] {
        let mut busiest = Busiest::new(7);
        let sent = run(&mut busiest, seconds, a_second, zipf());
        let told = busiest.tell(5000 + 1000 * seconds);
        for topic in &told.topics {
            let wanted = sent.get(&number_of(topic)).copied().unwrap_or(0.0);
            let is_within = topic.at_least <= wanted + 0.01 && wanted <= topic.at_most + 0.01;
            assert!(is_within, "{a_second}: {topic:?}: {wanted}");
        }
        let mut by_rate = told.topics.clone();
        by_rate.sort_by(|one, other| other.rate.total_cmp(&one.rate));
        for (place, topic) in by_rate.iter().take(10).enumerate() {
            assert!(
                number_of(topic) <= place as u64 + 4,
                "{a_second}: {topic:?}"
            );
            let error = (topic.rate - sent[&number_of(topic)]).abs() / topic.rate;
            // Of the tenth some 320 are looked at: its deviation is a twentieth.
            assert!(error < 0.2, "{a_second}: {topic:?}: {error}");
        }
        let known: Vec<u64> = told.topics.iter().map(number_of).collect();
        for (number, rate) in sent {
            let is_there = known.contains(&number);
            assert!(is_there || rate <= told.others_at_most, "{number}: {rate}");
        }
    }
}

/// Who goes round more topics than there are places pushes none out that has more than its share, and is told of as what he is: of each of
/// his topics nothing is known but that it may be.
#[test]
fn an_adversary_who_goes_round_hides_nothing() {
    let mut busiest = Busiest::new(7);
    // One message of fifty to a topic; the others to 1000 topics, one after the other.
    let sent = run(&mut busiest, 9, 4000, |number| match number % 50 {
        0 => 5000,
        _ => number % 1000,
    });
    let told = busiest.tell(14_000);
    let honest = told.topics.iter().find(|one| number_of(one) == 5000);
    let honest = honest.unwrap();
    assert!((honest.rate - sent[&5000]).abs() < 1.0, "{honest:?}");
    let most = told.topics.iter().map(|one| one.rate).fold(0.0, f64::max);
    assert_eq!(most, honest.rate);
    // Space-Saving: none that is not there has more than all by the number of places.
    let bound = told.all / limits::BUSIEST_TOPICS as f64;
    assert!(told.others_at_most <= bound + 0.1, "{told:?}");
    for topic in &told.topics {
        assert!(topic.at_most >= sent[&number_of(topic)] - 0.01, "{topic:?}");
    }
}

/// A publisher that goes round as many topics as one message in which is looked at.
#[test]
fn nobody_is_in_step_with_the_looks() {
    let mut busiest = Busiest::new(7);
    run(&mut busiest, 9, 262_144, |number| number % 64);
    let told = busiest.tell(14_000);
    assert_eq!(told.topics.len(), 64);
    for topic in &told.topics {
        let is_within = topic.at_least <= 4096.0 && 4096.0 <= topic.at_most;
        assert!(is_within, "{topic:?}");
        assert!((topic.rate - 4096.0).abs() < 800.0, "{topic:?}");
    }
}

#[test]
fn what_was_long_ago_is_gone_and_the_next_is_counted_at_once() {
    let mut busiest = Busiest::new(7);
    run(&mut busiest, 9, 100_000, |_| 1);
    let rate = |told: &BusyTopics, name: &str| {
        let found = told.topics.iter().find(|one| &*one.topic == name);
        found.map(|one| one.rate)
    };
    let then = rate(&busiest.tell(14_000), "t/1").unwrap();
    assert!((then - 100_000.0).abs() < 2000.0, "{then}");
    // Few messages after many: the first looks still stand for many, no later ones.
    for number in 0..120 {
        busiest.note(20_000 + 1000 * number, "slow", 1);
    }
    let told = busiest.tell(140_000);
    let (old, new) = (rate(&told, "t/1").unwrap(), rate(&told, "slow").unwrap());
    assert!(old < 0.2 * then, "{old}");
    assert!((0.7..1.3).contains(&new), "{new}");
    let told = busiest.tell(100_000_000);
    assert_eq!((told.topics.len(), told.all < 1e-3), (0, true));
}

#[test]
fn long_names_are_counted_together() {
    let mut busiest = Busiest::new(7);
    busiest.note(0, &"n".repeat(limits::BUSIEST_NAME_BYTES), 1);
    busiest.note(0, &"n".repeat(limits::BUSIEST_NAME_BYTES + 1), 1);
    let told = busiest.tell(1000);
    assert_eq!((told.topics.len(), told.all, told.long), (1, 2.0, 1.0));
}

/// The same messages at the same times are told the same.
#[test]
fn it_is_decided_by_what_it_is_given() {
    let told = || {
        let mut busiest = Busiest::new(9);
        run(&mut busiest, 9, 50_000, zipf());
        busiest.tell(14_000)
    };
    assert_eq!(told(), told());
}
