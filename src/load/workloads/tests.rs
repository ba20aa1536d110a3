//! Shapes and plans of all workloads.

use super::*;
use crate::load::job::{Pace, Phase, Traffic};
use crate::load::ledger::View;
use crate::load::plan::{Plan, plan};
use crate::mqtt::topic;

fn options(set: impl Fn(&mut Options)) -> Options {
    let mut options = Options::default();
    set(&mut options);
    options
}

fn planned(workload: Workload, set: impl Fn(&mut Options)) -> Plan {
    plan(workload, &options(set)).unwrap()
}

/// What a filter's view says is what the matcher says of every topic, and a stream's fan-out counts its readers.
fn assert_views(plan: &Plan) {
    let job = &plan.job;
    for filter in &job.filters {
        for (stream, at) in job.streams.iter().zip(0..) {
            assert_eq!(
                filter.view.has(at),
                topic::matches(&filter.text, &stream.topic),
                "{} {}",
                filter.text,
                stream.topic
            );
        }
    }
    for (stream, at) in job.streams.iter().zip(0..) {
        let readers = job.subscribers.iter().filter(|subscriber| {
            subscriber
                .filter
                .is_some_and(|f| job.filters[f as usize].view.has(at))
        });
        assert_eq!(readers.count() as u32, stream.fanout, "{}", stream.topic);
    }
}

#[test]
fn every_workload_has_a_plan_whose_parts_agree() {
    for workload in Workload::ALL {
        let plan = planned(workload, |options| {
            // The same shapes, smaller.
            let pairs = workload == Workload::Pairs;
            options.load.subscribers = Some(if pairs { 7 } else { 20 });
            let small = |name: &str, value| workload.uses(name).then_some(value);
            options.load.publishers = small("publishers", 7);
            options.load.topics = small("topics", 100);
            options.load.messages = small("messages", 50);
        });
        assert_eq!(plan.workload, workload.name());
        assert!(!plan.title.is_empty() && !plan.load_model.is_empty());
        if workload != Workload::Firehose {
            assert_views(&plan);
        }
        for (publisher, at) in plan.job.publishers.iter().zip(0..) {
            for stream in publisher.first_stream..publisher.first_stream + publisher.streams {
                assert_eq!(plan.job.streams[stream as usize].publisher, at);
            }
        }
        for filter in &plan.job.filters {
            assert!(topic::topic_filter_valid(&filter.text), "{}", filter.text);
        }
        assert!(matches!(
            plan.phases.last(),
            Some(Phase::Step(_) | Phase::Close(_))
        ));
    }
}

#[test]
fn subscribers_that_share_get_a_message_once() {
    let plan = planned(Workload::Fanout, |options| {
        options.load.shared = Some("g".into())
    });
    assert_eq!(plan.job.filters[0].text, "$share/g/bench/fanout");
    assert_eq!(plan.job.streams[0].fanout, 1);
    assert!(
        plan.job
            .subscribers
            .iter()
            .all(|subscriber| subscriber.shared)
    );
}

#[test]
fn a_ramp_goes_evenly_from_its_first_rate_to_its_last() {
    let plan = planned(Workload::Ramp, |_| {});
    let rates: Vec<f64> = plan
        .phases
        .iter()
        .filter_map(|phase| match phase {
            Phase::Step(step) => step.rate,
            _ => None,
        })
        .collect();
    assert_eq!(rates.len(), 10);
    // Nine subscribers of all: what is in and out is ten times what is published.
    assert_eq!((rates[0], rates[9]), (3400.0, 34_000.0));
    assert!(
        rates
            .windows(2)
            .all(|pair| (pair[1] - pair[0] - 3400.0).abs() < 1.0)
    );
}

#[test]
fn readers_of_the_bus_are_as_their_weights() {
    let plan = planned(Workload::Firehose, |options| {
        options.load.subscribers = Some(100)
    });
    for ((_, weight), at) in crate::load::model::filters().iter().zip(0..) {
        let readers = plan
            .job
            .subscribers
            .iter()
            .filter(|s| s.filter == Some(at))
            .count();
        assert!(
            readers.abs_diff(*weight as usize) <= 1,
            "{at}: {readers} of {weight}"
        );
    }
    let few = planned(Workload::Firehose, |options| {
        options.load.subscribers = Some(3)
    });
    assert_eq!(few.job.subscribers.len(), 3);
}

#[test]
fn what_is_not_open_loop_is_branded() {
    let brand = |set: &dyn Fn(&mut Options)| planned(Workload::Fanout, set).load_model;
    assert_eq!(brand(&|_| {}), "open loop, constant");
    assert_eq!(
        brand(&|o| o.load.arrivals = Some("poisson".into())),
        "open loop, poisson"
    );
    assert_eq!(
        brand(&|o| o.load.window = Some(64)),
        "windowed: 64 outstanding a publisher"
    );
    assert!(brand(&|o| o.load.closed_loop = Some(true)).starts_with("closed loop"));
    let windowed = planned(Workload::Fanout, |o| o.load.window = Some(64));
    assert!(
        !windowed.settings.contains_key("rate"),
        "{:?}",
        windowed.settings
    );
    let Some(Phase::Step(step)) = windowed.phases.last() else {
        unreachable!()
    };
    assert_eq!(step.rate, None);
    assert!(matches!(
        step.traffic,
        Traffic::Publish {
            pace: Pace::Window(64),
            ..
        }
    ));
}

#[test]
fn contradictions_are_told_in_words() {
    let error = |workload, set: &dyn Fn(&mut Options)| plan(workload, &options(set)).unwrap_err();
    type Case<'a> = (Workload, &'a dyn Fn(&mut Options), &'a str);
    let cases: [Case<'_>; 9] = [
        (
            Workload::Fanout,
            &|o| o.load.size = Some(Bytes(23)),
            "at least 24",
        ),
        (
            Workload::Fanout,
            &|o| (o.load.window, o.load.rate) = (Some(1), Some(Rate(1.0))),
            "open loop",
        ),
        (
            Workload::Fanout,
            &|o| (o.broker.host, o.broker.budget) = (Some("h".into()), Some(Bytes(1))),
            "--budget",
        ),
        (
            Workload::Fanout,
            &|o| (o.broker.host, o.broker.broker) = (Some("h".into()), Some("b".into())),
            "--broker",
        ),
        (
            Workload::Fanout,
            &|o| o.client.password = "p".parse().ok(),
            "--username",
        ),
        (
            Workload::Idle,
            &|o| o.judgement.find_max = Some(true),
            "--find-max means nothing to idle",
        ),
        (Workload::Pairs, &|o| o.load.publishers = Some(3), "as many"),
        (
            Workload::Ramp,
            &|o| (o.load.from, o.load.to) = (Some(Rate(2.0)), Some(Rate(1.0))),
            "--from",
        ),
        (
            Workload::Fanout,
            &|o| o.time.duration = Some(Seconds(0.0)),
            "--duration",
        ),
    ];
    for (workload, set, part) in cases {
        let text = error(workload, set);
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn a_retained_topic_has_one_message_and_one_owner() {
    let plan = planned(Workload::Retained, |options| {
        (options.load.publishers, options.load.messages) = (Some(3), Some(10));
    });
    assert_eq!(plan.job.streams.len(), 12);
    assert!(plan.job.retain);
    let View::Range(range) = &plan.job.filters[0].view else {
        unreachable!()
    };
    assert_eq!(*range, 0..12);
}

#[test]
fn an_option_that_would_do_nothing_is_refused() {
    let error = plan(
        Workload::Connect,
        &options(|o| o.load.rate = Some(Rate(500.0))),
    )
    .unwrap_err();
    assert!(
        error.contains("--rate") && error.contains("connect"),
        "{error}"
    );
    let error = plan(Workload::Fanout, &options(|o| o.load.topics = Some(2))).unwrap_err();
    assert!(error.contains("--topics"), "{error}");
    assert!(
        plan(
            Workload::Fanout,
            &options(|o| o.judgement.precision = Some(0.1))
        )
        .is_err()
    );
    let huge =
        |o: &mut Options| (o.load.messages, o.load.publishers) = (Some(50_000_000), Some(100));
    assert!(
        plan(Workload::Backlog, &options(huge))
            .unwrap_err()
            .contains("--messages")
    );
    // What a report lists has an effect.
    let idle = planned(Workload::Idle, |_| {});
    for name in ["rate", "size", "precision"] {
        assert!(!idle.settings.contains_key(name), "{name}");
    }
    assert!(idle.settings.contains_key("subscribers") && idle.settings.contains_key("seed"));
}
