//! Verdicts on made-up runs.

use super::*;
use crate::load::distribution::{Distribution, new_histogram};
use crate::load::result::{
    Attempt, BrokerUse, Budget, Operations, Search, Setup, TesterUse, WorkerUse,
};

fn distribution(count: u64, value_ns: u64) -> Distribution {
    let mut histogram = new_histogram();
    histogram.record_n(value_ns, count).unwrap();
    Distribution::of(&histogram)
}

fn worker(cpu: u16, busy: f64) -> WorkerUse {
    WorkerUse {
        cpu: Some(cpu),
        busy,
        ..WorkerUse::default()
    }
}

/// 10 s at so many messages a second, all of them published, p99 of 2 ms.
fn step(rate: f64) -> Step {
    Step {
        name: format!("{rate} msg/s"),
        rate_intended: Some(rate),
        seconds: 10.0,
        published: (rate * 10.0) as u64,
        delivered: (rate * 10.0) as u64,
        publish_rate: rate,
        delivery_rate: rate,
        latency: crate::load::result::Latency {
            delivery_ns: distribution((rate * 10.0) as u64, 2_000_000),
            ..Default::default()
        },
        tester: TesterUse {
            slip_ns: distribution((rate * 10.0) as u64, 20_000),
            workers: vec![worker(1, 0.5)],
            ..TesterUse::default()
        },
        broker: Some(BrokerUse {
            busy: 0.4,
            ..BrokerUse::default()
        }),
        ..Step::default()
    }
}

fn report(runs: usize, rates: &[f64]) -> Report {
    let run = Run {
        setup: Setup {
            connections: 11,
            ..Setup::default()
        },
        steps: rates.iter().copied().map(step).collect(),
        ..Run::default()
    };
    let mut report = Report {
        load_model: "open loop".into(),
        runs: vec![run; runs],
        ..Report::default()
    };
    report.broker.pid = Some(1);
    report.broker.cpus = Some("0".into());
    report.machine.cpus = 2;
    report
}

fn one(set: impl FnOnce(&mut Verification)) -> Verification {
    let mut v = Verification {
        expected: 1000,
        ..Verification::default()
    };
    set(&mut v);
    v
}

#[test]
fn each_qos_promises_something_else() {
    let lost = one(|v| v.lost = 3);
    let said = |v: &Verification, p, s, allow, cut| violations(v, p, s, allow, cut).join("; ");
    assert_eq!(
        said(&lost, 0, 0, false, false),
        "lost 3 of 1,000 deliveries at QoS 0"
    );
    assert_eq!(said(&lost, 0, 0, true, false), "");
    // The lower of the two counts: nothing more was promised to this subscriber.
    assert_eq!(said(&lost, 2, 0, true, false), "");
    assert_eq!(
        said(&lost, 2, 1, true, false),
        "lost 3 of 1,000 deliveries at QoS 1"
    );

    let again = one(|v| v.duplicated = 1);
    assert_eq!(said(&again, 0, 2, true, true), "duplicated: 1 at QoS 0");
    assert_eq!(said(&again, 2, 2, true, true), "duplicated: 1 at QoS 2");
    assert_eq!(said(&again, 1, 2, false, true), "");
    assert!(said(&again, 2, 1, false, false).contains("no connection was lost"));
}

#[test]
fn the_rest_is_wrong_at_every_qos() {
    let v = one(|v| {
        (v.reordered, v.unexpected, v.corrupt) = (1, 2, 3);
        (v.unacknowledged, v.refused, v.disconnects) = (4000, 5, 6);
    });
    for qos in 0..=2 {
        let said = violations(&v, qos, 2, true, true);
        assert_eq!(said.len(), 6, "{said:?}");
        assert!(said[0].starts_with("reordered: 1 ") && said[0].ends_with("[MQTT-4.6.0]"));
        assert!(said[3].starts_with("unacknowledged: 4,000 "));
    }
    assert!(violations(&one(|_| ()), 2, 2, false, false).is_empty());
}

#[test]
fn a_late_tester_names_both_figures() {
    let mut late = step(1000.0);
    assert!(tester_limits(&late).is_empty());
    late.tester.slip_ns = distribution(10_000, 400_000);
    let said = tester_limits(&late).concat();
    assert!(
        said.contains("slip p99 400 µs is 20 % of latency p99 2 ms"),
        "{said}"
    );
    assert!(!is_saturated(&late));

    // A load without a schedule is never late, and a slip below the kernel's timer slack is no news.
    let unpaced = Step {
        rate_intended: None,
        ..late.clone()
    };
    assert!(tester_limits(&unpaced).is_empty());
    late.tester.slip_ns = distribution(10_000, 49_000);
    late.latency.delivery_ns = distribution(10_000, 60_000);
    assert!(tester_limits(&late).is_empty());
}

#[test]
fn a_saturated_worker_is_told_beside_the_broker() {
    let mut full = step(1000.0);
    full.tester.workers = vec![worker(0, 0.3), worker(1, 0.97)];
    let said = tester_limits(&full).concat();
    assert!(
        said.contains("worker 1 on CPU 1 was busy for 97 %"),
        "{said}"
    );
    assert!(
        said.contains("the broker used 40 % of one: the tester was the limit"),
        "{said}"
    );
    full.broker.as_mut().unwrap().busy = 0.99;
    assert!(tester_limits(&full).concat().contains("either may be"));
    full.broker = None;
    assert!(tester_limits(&full).concat().contains("not known"));
    assert!(is_saturated(&full));
}

#[test]
fn a_rate_that_is_not_reached_is_the_testers_doing_unless_the_broker_pushed_back() {
    let mut slow = step(10_000.0);
    (slow.published, slow.publish_rate) = (98_000, 9800.0);
    assert_eq!(
        tester_limits(&slow),
        [
            "too slow: published 9,800 msg/s of the 10,000 msg/s intended although the broker took them all"
        ]
    );
    slow.tester.held_back = 3000;
    assert!(tester_limits(&slow).is_empty());
    let mut told = report(2, &[10_000.0]);
    told.runs[1].steps[0] = slow.clone();
    assert_eq!(
        verdict(&told).notes,
        ["the broker did not take the rate: 9,800 of 10,000 msg/s in step 10000 msg/s"]
    );
    slow.tester.held_back = 100;
    assert!(tester_limits(&slow).concat().ends_with("all but 100"));

    // 100 random arrivals are easily 90, and a rate of connects is none of messages.
    let mut few = step(10.0);
    few.published = 90;
    assert!(tester_limits(&few).is_empty());
    slow.operations = Some(Operations::default());
    assert!(tester_limits(&slow).is_empty());
}

#[test]
fn a_good_report_passes_without_a_word() {
    let verdict = verdict(&report(3, &[1000.0, 2000.0]));
    assert_eq!(
        verdict,
        Verdict {
            passed: true,
            ..Verdict::default()
        }
    );
}

#[test]
fn failures_say_where_only_if_there_are_several_places() {
    let lost = "lost 3 of 1,000 deliveries at QoS 0";
    let fail = |report: &mut Report, run: usize, step: usize| {
        let step = &mut report.runs[run].steps[step];
        step.verification.violations = vec![lost.into()];
    };
    let mut single = report(1, &[1000.0]);
    fail(&mut single, 0, 0);
    assert_eq!(verdict(&single).failures, [lost]);
    assert!(!verdict(&single).passed);

    let mut several = report(3, &[1000.0, 2000.0]);
    fail(&mut several, 1, 1);
    assert_eq!(
        verdict(&several).failures,
        [format!("run 2, step 2000 msg/s: {lost}")]
    );
    fail(&mut several, 0, 1);
    fail(&mut several, 2, 0);
    assert_eq!(
        verdict(&several).failures,
        [
            format!("runs 1 and 2, step 2000 msg/s: {lost}"),
            format!("run 3, step 1000 msg/s: {lost}")
        ]
    );
    fail(&mut several, 2, 1);
    let failures = verdict(&several).failures;
    assert!(failures[0].starts_with("all 3 runs, step"), "{failures:?}");
}

#[test]
fn connections_operations_and_the_brokers_end_count() {
    let mut bad = report(1, &[1000.0]);
    bad.runs[0].setup.refused = 2;
    bad.runs[0].setup.failed = 1;
    bad.runs[0].steps[0].operations = Some(Operations {
        name: "cycles".into(),
        count: 90,
        failed: 10,
        rate: 9.0,
    });
    let event = |kind: &str, text: &str| BrokerEvent {
        at_s: 3.25,
        kind: kind.into(),
        text: text.into(),
    };
    bad.runs[0].broker_events = vec![event("dropped", "7 messages"), event("killed", "signal 9")];
    let verdict = verdict(&bad);
    assert_eq!(
        verdict.failures,
        [
            "connections: 3 of 14 were not made (2 refused, 1 failed)",
            "the broker was killed after 3.25 s: signal 9",
            "operations: 10 of 100 cycles failed",
        ]
    );
    // What becomes of the broker and its clients stands among the events, once.
    assert!(verdict.notes.is_empty(), "{:?}", verdict.notes);
    assert_eq!(
        super::verdict(&Report::default()).failures,
        ["nothing was run"]
    );
}

#[test]
fn past_its_limit_a_search_may_lose_but_not_corrupt() {
    let mut found = report(1, &[1000.0, 2000.0]);
    let attempt = |rate: f64, held, tester_limited| Attempt {
        rate,
        achieved: rate,
        held,
        tester_limited,
        ..Attempt::default()
    };
    found.search = Some(Search {
        slo: "p99=10ms".into(),
        max_rate: Some(1000.0),
        curve: vec![attempt(1000.0, true, false), attempt(2000.0, false, true)],
        ..Search::default()
    });
    let lost = violations(&one(|v| v.lost = 3), 1, 1, false, false);
    found.runs[0].steps[1].verification.violations = lost.clone();
    found.runs[0].steps[1].latency.delivery_ns = distribution(20_000, 11_000_000);
    let passed = verdict(&found);
    assert_eq!((passed.answer, passed.exit_code), (Answer::Passed, 0));
    assert!(passed.passed, "{passed:?}");
    // Whether the tester was the limit of a search is what the search says of its end.
    found.runs[0].steps[1].tester.workers = vec![worker(1, 1.0)];
    assert!(verdict(&found).tester_limits.is_empty());
    if let Some(search) = &mut found.search {
        search.ended = SearchEnd::Tester;
        search.tester_limit = "at 2,000 msg/s, where the search ended: saturated".into();
    }
    let limited = verdict(&found);
    assert_eq!((limited.answer, limited.exit_code), (Answer::NotValid, 4));
    assert!(!limited.passed && limited.failures.is_empty());
    assert_eq!(limited.tester_limits.len(), 1);
    if let Some(search) = &mut found.search {
        search.ended = SearchEnd::Found;
    }

    let corrupt = violations(&one(|v| v.corrupt = 3), 1, 1, false, false);
    found.runs[0].steps[1].verification.violations = corrupt;
    assert!(!verdict(&found).passed);
    found.runs[0].steps[1].verification.violations = Vec::new();
    found.runs[0].steps[0].verification.violations = lost;
    assert!(!verdict(&found).passed);

    let none = Search {
        slo: "max=1us".into(),
        ..Search::default()
    };
    found.runs[0].steps.clear();
    found.search = Some(none);
    assert_eq!(
        verdict(&found).failures,
        ["no rate held the objective max=1us"]
    );
}

#[test]
fn notes_tell_what_the_figures_do_not() {
    let mut doubtful = report(2, &[1000.0]);
    doubtful.load_model = "windowed: 64 outstanding a publisher".into();
    doubtful.broker.pid = None;
    doubtful.broker.budget = Some(Budget {
        bytes: 2 << 30,
        enforced: false,
        how: "no permission".into(),
    });
    doubtful.settings.insert("allow-loss".into(), "true".into());
    doubtful.runs[1].steps[0].latency.delivery_ns = distribution(200, 3_000_000);
    doubtful.runs[0].steps[0].tester.workers = vec![worker(0, 0.5), worker(0, 0.2)];
    let notes = verdict(&doubtful).notes;
    let begins = [
        "not an open loop (windowed: 64",
        "the broker's process is not known",
        "the budget of 2 GiB is not enforced: no permission",
        "losses at QoS 0 are allowed: 0 of 0 lost",
        "few samples: p99.9 is of no more than 200 deliveries",
        "repetitions differ: latency p99 from 2 ms to 3 ms, 40 % of the median",
        "shared CPU 0: the broker and the tester",
        "shared CPU 0: several workers",
    ];
    assert_eq!(notes.len(), begins.len(), "{notes:#?}");
    for (note, begin) in notes.iter().zip(begins) {
        assert!(note.starts_with(begin), "{note}");
    }
    doubtful
        .settings
        .insert("allow-loss".into(), "false".into());
    assert_eq!(verdict(&doubtful).notes.len(), begins.len() - 1);
}

#[test]
fn a_machine_that_both_fill_is_told_unless_they_are_apart() {
    let mut full = report(1, &[1000.0]);
    full.runs[0].steps[0].tester.workers = vec![worker(1, 0.94)];
    full.runs[0].steps[0].broker.as_mut().unwrap().busy = 0.95;
    assert!(verdict(&full).notes.is_empty());
    full.broker.cpus = Some("0-1".into());
    assert!(verdict(&full).notes[0].starts_with("shared CPU 1: the broker"));
    full.broker.cpus = None;
    let notes = verdict(&full).notes;
    assert!(
        notes[0].contains("together used 94.5 % of the machine's 2"),
        "{notes:?}"
    );
}

/// An objective without a search is one for every step, and the tester's weakness no excuse and no proof.
#[test]
fn an_objective_is_a_threshold() {
    let mut held = report(2, &[1000.0, 2000.0]);
    held.settings.insert("slo".into(), "p99=3ms,loss=0".into());
    let passed = verdict(&held);
    assert_eq!((passed.answer, passed.exit_code), (Answer::Passed, 0));
    assert_eq!(passed.notes, ["objective p99=3ms,loss=0 held"]);

    // Late, and it holds all the same: that is an answer.
    held.runs[0].steps[0].tester.slip_ns = distribution(10_000, 400_000);
    let late = verdict(&held);
    assert_eq!(late.answer, Answer::Passed, "{late:?}");
    assert!(late.tester_limits.is_empty());
    assert!(late.notes[1].contains("held all the same: run 1, step 1000 msg/s: late: "));

    held.runs[1].steps[1].latency.delivery_ns = distribution(20_000, 4_000_000);
    let missed = verdict(&held);
    assert_eq!((missed.answer, missed.exit_code), (Answer::Failed, 1));
    assert_eq!(
        missed.failures,
        ["run 2, step 2000 msg/s: objective p99=3ms,loss=0 missed: p99 4 ms above 3 ms"]
    );

    // The same where the tester had no CPU left says nothing of the broker.
    held.runs[1].steps[1].tester.workers = vec![worker(1, 1.0)];
    let doubtful = verdict(&held);
    assert_eq!((doubtful.answer, doubtful.exit_code), (Answer::NotValid, 4));
    assert_eq!(doubtful.failures, missed.failures);
    assert!(doubtful.tester_limits[0].contains("saturated"));
}

#[test]
fn words_do_not_contradict_each_other() {
    let mut limited = report(1, &[1000.0]);
    limited.runs[0].steps[0].tester.workers = vec![worker(1, 1.0)];
    let verified = verdict(&limited);
    assert_eq!((verified.answer, verified.exit_code), (Answer::Verified, 0));
    assert!(verified.passed && verified.tester_limits.len() == 1);
    limited.cut_short = true;
    let cut = verdict(&limited);
    assert_eq!((cut.answer, cut.exit_code), (Answer::CutShort, 130));
    assert!(!cut.passed);
}
