//! The search against brokers that are formulas.

use super::*;
use crate::load::distribution::{Distribution, new_histogram};
use crate::load::result::WorkerUse;

const SECONDS: f64 = 10.0;

fn slo() -> Slo {
    Slo::parse("p99=10ms,loss=0").unwrap()
}

fn latency(ns: u64, count: u64) -> Distribution {
    let mut histogram = new_histogram();
    histogram.saturating_record_n(ns, count);
    Distribution::of(&histogram)
}

/// A step at a rate of which all was published and delivered, with a latency.
fn step(rate: f64, latency_ns: u64) -> Step {
    let count = (rate * SECONDS) as u64;
    let mut step = Step {
        rate_intended: Some(rate),
        seconds: SECONDS,
        published: count,
        publish_rate: rate,
        ..Step::default()
    };
    step.verification.expected = count;
    step.latency.delivery_ns = latency(latency_ns, count.max(1));
    step
}

/// Latency rises as that of a queue does, 1 ms without load; above the knee messages are lost.
fn broker(rate: f64, knee: f64) -> Step {
    if rate >= knee {
        let mut step = step(rate, 3_000_000_000);
        step.verification.lost = 17;
        return step;
    }
    step(rate, (1e6 / (1.0 - rate / knee)) as u64)
}

/// Runs a search to its end: its result, notes and number of attempts.
fn run(mut search: Search, mut broker: impl FnMut(f64) -> Step) -> (result::Search, Vec<String>) {
    while let Some(rate) = search.next_rate() {
        assert_eq!(search.next_rate(), Some(rate));
        search.tried(rate, &broker(rate));
    }
    let notes = search.notes();
    (search.finish(), notes)
}

#[test]
fn a_knee_is_found_to_the_precision() {
    // p99 reaches 10 ms at nine tenths of the knee.
    for knee in [3.0, 150.0, 1111.0, 52_345.0, 7_654_321.0] {
        for start in [1.0, 1000.0, 200_000.0] {
            let search = Search::new(slo(), start, f64::INFINITY, 0.05);
            let (found, notes) = run(search, |rate| broker(rate, knee));
            let (max, limit) = (found.max_rate.unwrap(), knee * 0.9);
            assert!(max <= limit * 1.001, "{knee} from {start}: {max}");
            assert!(max >= limit / 1.051 - 0.1, "{knee} from {start}: {max}");
            assert!(
                found.curve.len() <= limits::LOAD_SEARCH_ATTEMPTS_MAX,
                "{}",
                found.curve.len()
            );
            assert!(found.curve.is_sorted_by(|a, b| a.rate <= b.rate));
            assert!(notes.is_empty(), "{notes:?}");
        }
    }
}

#[test]
fn a_disturbed_attempt_does_not_end_the_growth() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let search = Search::new(slo(), 1000.0, f64::INFINITY, 0.05);
        let (found, _) = run(search, |rate| match random.u8(..100) {
            // A neighbour on the machine: latency for the time of an attempt.
            0..5 => step(rate, 80_000_000),
            _ => broker(rate, 100_000.0),
        });
        let max = found.max_rate.unwrap();
        let disturbed_twice = found
            .curve
            .iter()
            .filter(|a| !a.held && a.rate < 80_000.0)
            .count()
            > 1;
        assert!(max <= 90_100.0);
        assert!(
            max >= 85_000.0 || disturbed_twice,
            "seed {seed}: {max} {:#?}",
            found.curve
        );
        assert!(found.curve.len() <= 24);
    }
}

#[test]
fn a_failed_attempt_is_made_twice_and_says_why() {
    let search = Search::new(slo(), 1000.0, 3000.0, 0.5);
    let (found, _) = run(search, |rate| broker(rate, 2500.0));
    let rates: Vec<(f64, bool)> = found.curve.iter().map(|a| (a.rate, a.held)).collect();
    assert_eq!(
        rates,
        [
            (1000.0, true),
            (2000.0, true),
            (3000.0, false),
            (3000.0, false)
        ]
    );
    assert_eq!(found.max_rate, Some(2000.0));
    assert_eq!(found.slo, "p99=10ms,loss=0");
    assert_eq!(
        (found.broke_rate, found.ended),
        (Some(3000.0), SearchEnd::Found)
    );
    assert_eq!(found.broke_why, found.curve[2].why);
    assert_eq!(
        found.curve[2].why,
        "lost 17 of 30,000 (0.057 %), p99 3 s above 10 ms"
    );
}

#[test]
fn the_bounds_are_kept() {
    let (found, _) = run(Search::new(slo(), 1000.0, 5000.0, 0.05), |rate| {
        broker(rate, 1e9)
    });
    let rates: Vec<f64> = found.curve.iter().map(|a| a.rate).collect();
    assert_eq!(rates, [1000.0, 2000.0, 4000.0, 5000.0]);
    assert_eq!(found.max_rate, Some(5000.0));
    assert_eq!((found.broke_rate, found.ended), (None, SearchEnd::MaxRate));

    // Nothing holds, not even the lowest rate.
    let (found, _) = run(Search::new(slo(), 1000.0, f64::INFINITY, 0.05), |rate| {
        step(rate, 11_000_000)
    });
    assert_eq!(found.max_rate, None);
    assert_eq!(found.curve[0].rate, limits::LOAD_SEARCH_RATE_MIN);

    // A precision that cannot be reached.
    let mut flips = false;
    let (found, notes) = run(Search::new(slo(), 1e6, f64::INFINITY, 0.0), |rate| {
        flips = !flips;
        broker(rate, if flips { 1.0 } else { 9e6 })
    });
    assert!(found.curve.len() <= limits::LOAD_SEARCH_ATTEMPTS_MAX);
    assert!(found.max_rate.is_some() && notes.len() <= 1);
    let endless = Search::new(slo(), 1.0, f64::INFINITY, 0.05);
    let (found, notes) = run(endless, |rate| step(rate, 1));
    assert_eq!(found.curve.len(), limits::LOAD_SEARCH_ATTEMPTS_MAX);
    assert!(notes[0].contains("after 40 attempts"), "{notes:?}");
    assert_eq!(found.ended, SearchEnd::Attempts);
    let mut begun = Search::new(slo(), 1000.0, 9000.0, 0.05);
    begun.tried(1000.0, &step(1000.0, 1));
    assert_eq!(begun.finish().ended, SearchEnd::CutShort);
}

/// A tester that is at its end above 40,000 messages a second.
fn weak_tester(rate: f64, knee: f64) -> Step {
    let mut step = broker(rate.min(39_000.0 + rate / 1000.0), knee);
    step.rate_intended = Some(rate);
    let busy = (rate / 40_000.0).min(1.0);
    step.tester.workers = vec![WorkerUse {
        busy,
        ..WorkerUse::default()
    }];
    step
}

#[test]
fn a_tester_at_its_end_ends_the_search_and_is_named() {
    let search = Search::new(slo(), 1000.0, f64::INFINITY, 0.05);
    let (found, notes) = run(search, |rate| weak_tester(rate, 1e9));
    let max = found.max_rate.unwrap();
    assert!((36_000.0..42_000.0).contains(&max), "{max}");
    assert_eq!((found.ended, notes.len()), (SearchEnd::Tester, 0));
    let limit = &found.tester_limit;
    assert!(limit.contains("where the search ended: "), "{limit}");
    assert!(found.curve.last().unwrap().tester_limited);
    assert!(!found.curve[0].tester_limited);
    // 64,000 twice, and not 128,000.
    assert_eq!(found.curve.last().unwrap().rate, 64_000.0);

    // A worker without CPU that still sends all: held, and nothing above is tried.
    let search = Search::new(slo(), 30_000.0, f64::INFINITY, 0.05);
    let (found, _) = run(search, |rate| {
        let mut step = step(rate, 1_000_000);
        step.tester.workers = weak_tester(rate, 1e9).tester.workers;
        step
    });
    assert_eq!(found.max_rate, Some(60_000.0));
    assert_eq!((found.curve.len(), found.ended), (2, SearchEnd::Tester));
}

/// What the attempts at 2,000 messages a second are, where those at 1,000 hold.
#[derive(Clone, Copy, Debug)]
enum At {
    Holds,
    /// It holds with the last of the tester's strength.
    HoldsFull,
    /// The broker misses, and the tester has strength left.
    Misses,
    /// It misses, and the tester has no strength left.
    MissesFull,
    /// It misses, and the tester is late.
    MissesLate,
}

impl At {
    fn step(self, rate: f64) -> Step {
        let latency_ns = match self {
            At::Holds | At::HoldsFull => 1_000_000,
            At::Misses | At::MissesFull | At::MissesLate => 12_000_000,
        };
        let mut step = step(rate, latency_ns);
        if let At::HoldsFull | At::MissesFull = self {
            step.tester.workers = weak_tester(40_000.0, 1e9).tester.workers;
        }
        if let At::MissesLate = self {
            step.tester.slip_ns = latency(2_000_000, 1000);
        }
        step
    }
}

/// The same evidence has the same answer, in whatever order it came, and however the search came to its end.
#[test]
fn the_same_evidence_has_the_same_answer() {
    use crate::load::result::{Answer, Report, Run};
    use At::*;
    let (passes, not_valid) = (Answer::Passed, Answer::NotValid);
    for (attempts, max_rate, ended, answer) in [
        (&[Holds][..], 2000.0, SearchEnd::MaxRate, passes),
        (&[HoldsFull], 2000.0, SearchEnd::MaxRate, passes),
        (&[HoldsFull], 4000.0, SearchEnd::Tester, not_valid),
        (&[Misses, HoldsFull], 4000.0, SearchEnd::Tester, not_valid),
        (&[MissesFull, Holds], 2000.0, SearchEnd::MaxRate, passes),
        (&[Misses, Misses], 2000.0, SearchEnd::Found, passes),
        (&[Misses, MissesFull], 2000.0, SearchEnd::Found, passes),
        (&[MissesFull, Misses], 2000.0, SearchEnd::Found, passes),
        (&[Misses, MissesLate], 2000.0, SearchEnd::Found, passes),
        (&[MissesLate, Misses], 2000.0, SearchEnd::Found, passes),
        (
            &[MissesLate, MissesLate],
            2000.0,
            SearchEnd::Tester,
            not_valid,
        ),
        (
            &[MissesFull, MissesLate],
            2000.0,
            SearchEnd::Tester,
            not_valid,
        ),
        (
            &[MissesFull, MissesFull],
            2000.0,
            SearchEnd::Tester,
            not_valid,
        ),
    ] {
        for runs_out in [false, true] {
            let mut search = Search::new(slo(), 1000.0, max_rate, 1.0);
            let mut steps = vec![step(1000.0, 1_000_000)];
            search.tried(1000.0, &steps[0]);
            for at in attempts {
                assert_eq!(search.next_rate(), Some(2000.0), "{attempts:?}");
                let step = at.step(2000.0);
                search.tried(2000.0, &step);
                steps.push(step);
            }
            assert_eq!(search.next_rate(), None, "{attempts:?}");
            // The attempts ran out here, before the search was as precise as asked.
            search.is_cut_short = runs_out;
            let ended = match (runs_out, ended) {
                (true, SearchEnd::Found | SearchEnd::MaxRate) => SearchEnd::Attempts,
                (_, ended) => ended,
            };
            let found = search.finish();
            assert_eq!(found.ended, ended, "{attempts:?} {runs_out}");
            let mut report = Report {
                runs: vec![Run {
                    steps,
                    ..Run::default()
                }],
                search: Some(found),
                ..Report::default()
            };
            report.broker.pid = Some(1);
            let verdict = verdict::verdict(&report);
            assert_eq!(verdict.answer, answer, "{attempts:?} {runs_out}");
        }
    }
}

#[test]
fn a_late_tester_is_marked_and_goes_on() {
    let search = Search::new(slo(), 1000.0, 4000.0, 0.05);
    let (found, _) = run(search, |rate| {
        let mut step = step(rate, 1_000_000);
        step.tester.slip_ns = latency(300_000, 1000);
        step
    });
    assert_eq!(found.max_rate, Some(4000.0));
    assert!(found.curve.iter().all(|a| a.tester_limited && a.held));
}

#[test]
fn an_objective_is_read() {
    let all =
        Slo::parse(" p50=1us, p90 = 2.5µs,p99=10ms,p999=1s,max=900000ns, loss=0.1% ").unwrap();
    let mut slow = step(1000.0, 2_000_000_000);
    slow.verification.lost = 11;
    assert_eq!(
        all.misses(&slow).unwrap(),
        "lost 11 of 10,000 (0.11 %), p50 2 s above 1 µs, p90 2 s above 2.5 µs, p99 2 s above 10 ms, \
         p99.9 2 s above 1 s, max 2 s above 900 µs"
    );
    slow.verification.lost = 10;
    assert!(!all.misses(&slow).unwrap().contains("lost"));
    let text = "max=3s";
    assert_eq!(Slo::parse(text).unwrap().misses(&slow), None);
    assert_eq!(Slo::parse(text).unwrap().to_string(), text);
    assert!(Slo::parse("loss=1").is_ok() && Slo::parse("loss=100%").is_ok());
}

#[test]
fn a_rate_that_is_not_reached_misses_every_objective() {
    let mut short = step(10_000.0, 1000);
    (short.published, short.publish_rate) = (97_000, 9700.0);
    let said = slo().misses(&short).unwrap();
    assert_eq!(said, "published 9,700 of 10,000 msg/s");
    short.latency = Default::default();
    assert!(
        slo()
            .misses(&short)
            .unwrap()
            .ends_with("nothing was delivered")
    );
}

#[test]
fn an_objective_that_is_none_says_why() {
    for (text, why) in [
        ("", "has no `=`"),
        ("p99", "has no `=`"),
        ("p98=1ms", "is none of p50"),
        ("p99=10", "needs a unit"),
        ("p99=ms", "is no duration"),
        ("p99=-1ms", "is no duration"),
        ("p99=0ms", "between 1 ns and an hour"),
        ("p99=2000000s", "between 1 ns and an hour"),
        ("p99=nans", "is no duration"),
        ("p99=1ms,p99=2ms", "p99 is given twice"),
        ("loss=0,loss=1%", "loss is given twice"),
        ("loss=2", "is no share"),
        ("loss=101%", "is no share"),
        ("loss=x", "is no share"),
        ("p99=1ms,", "has no `=`"),
    ] {
        let said = Slo::parse(text).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
        assert!(said.contains("looks like p99=10ms,loss=0"), "{said}");
    }
}
