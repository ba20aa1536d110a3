//! Reports as a run would leave them, to write and to draw.

use std::sync::LazyLock;

use hdrhistogram::Histogram;

use crate::limits::LOAD_VALUE_NS_MAX;
use crate::load::distribution::{Distribution, new_histogram};
use crate::load::report::series;
use crate::load::result::*;
use crate::load::stress::compare::CellMedian as Cell;

/// A random number from 0 to 1 that is the same in every run of the tests.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Latencies around `middle` nanoseconds with a long tail.
fn latencies(chance: &mut Chance, middle: f64, count: u64) -> Distribution {
    spread(new_histogram(), chance, middle, count)
}

fn spread(
    mut histogram: Histogram<u64>,
    chance: &mut Chance,
    middle: f64,
    count: u64,
) -> Distribution {
    for _ in 0..count {
        let wide = (chance.next() + chance.next() + chance.next() - 1.5) * 1.2;
        let tail = if chance.next() < 0.01 {
            1.0 + 4.0 * chance.next()
        } else {
            0.0
        };
        histogram.saturating_record((middle * (wide + tail).exp()) as u64);
    }
    Distribution::of(&histogram)
}

fn intervals(chance: &mut Chance, count: u32, rate: f64, fan: f64, middle: f64) -> Vec<Interval> {
    (0..count)
        .map(|n| {
            let stall = n % 97 == 60;
            let middle = middle * if stall { 60.0 } else { 1.0 };
            // As coarse as those of a run.
            let histogram = Histogram::new_with_max(LOAD_VALUE_NS_MAX, 2).unwrap();
            let published = rate * (0.98 + 0.04 * chance.next()) * if stall { 0.6 } else { 1.0 };
            Interval {
                at_s: f64::from(n),
                measured: n >= 2 && n + 1 < count,
                published: published as u64,
                delivered: (published * fan) as u64,
                published_bytes: (published * 512.0) as u64,
                delivered_bytes: (published * fan * 512.0) as u64,
                latency_ns: spread(histogram, chance, middle, 600),
            }
        })
        .collect()
}

fn step(chance: &mut Chance, name: &str, rate: f64, seconds: u32, middle: f64) -> Step {
    let fan = 10.0;
    let (published, delivered) = (
        (rate * f64::from(seconds)) as u64,
        (rate * fan * f64::from(seconds)) as u64,
    );
    Step {
        name: name.to_owned(),
        at_s: 0.0,
        rate_intended: Some(rate),
        seconds: f64::from(seconds),
        published,
        delivered,
        published_bytes: published * 512,
        delivered_bytes: delivered * 512,
        publish_rate: rate * 0.998,
        delivery_rate: rate * fan * 0.998,
        operations: None,
        verification: Verification {
            expected: delivered,
            received: delivered,
            ..Verification::default()
        },
        latency: Latency {
            delivery_ns: latencies(chance, middle, 60_000),
            ack_ns: latencies(chance, middle * 0.6, 15_000),
            spread_ns: latencies(chance, middle * 0.2, 6_000),
            spread_every: 16,
            operation_ns: Distribution::default(),
        },
        tester: TesterUse {
            slip_ns: latencies(chance, 4_000.0, 15_000),
            held_back: 0,
            unsent: 0,
            workers: vec![WorkerUse {
                cpu: Some(1),
                busy: 0.43,
                connections: 101,
                received: delivered,
                sent: published,
            }],
            cpu_ns_per_delivery: Some(52.0),
            rss_bytes: 48 << 20,
        },
        broker: Some(BrokerUse {
            user_s: 12.0,
            system_s: 31.0,
            busy: 0.72,
            cpu_ns_per_delivery: Some(410.0),
            rss_peak_bytes: 61 << 20,
            cgroup_peak_bytes: Some(203 << 20),
        }),
        series: intervals(chance, seconds + 3, rate, fan, middle),
        interval_s: 1.0,
    }
}

fn samples(chance: &mut Chance, seconds: u32) -> Vec<Sample> {
    let (mut user_s, mut system_s) = (0.0, 0.0);
    (0..seconds * 2)
        .map(|n| {
            user_s += 0.5 * (0.18 + 0.06 * chance.next());
            system_s += 0.5 * (0.45 + 0.1 * chance.next());
            let grown = (f64::from(n.min(40)) * 1_000_000.0 + 3e5 * chance.next()) as u64;
            Sample {
                at_s: f64::from(n) / 2.0,
                user_s,
                system_s,
                rss_bytes: (20 << 20) + grown,
                pss_bytes: Some((18 << 20) + grown),
                cgroup_bytes: Some((60 << 20) + grown * 3),
                cgroup_kernel_bytes: Some((30 << 20) + grown),
                cgroup_peak_bytes: Some(203 << 20),
                threads: 2,
            }
        })
        .collect()
}

fn run(chance: &mut Chance, mut steps: Vec<Step>) -> Run {
    let mut at_s = 0.42;
    for step in &mut steps {
        step.at_s = at_s;
        at_s += series::span_s(step);
    }
    let seconds = steps.iter().map(|s| s.series.len() as u32).sum();
    Run {
        setup: Setup {
            connections: 1010,
            connect_ns: latencies(chance, 300_000.0, 1010),
            subscribe_ns: latencies(chance, 90_000.0, 1000),
            seconds: 0.42,
            broker_bytes_before: Some(9 << 20),
            broker_bytes_after: Some(12 << 20),
            broker_bytes_per_connection: Some(3110.0),
            tester_bytes_per_connection: Some(540.0),
            ..Setup::default()
        },
        steps,
        samples: samples(chance, seconds),
        broker_events: Vec::new(),
    }
}

fn report(workload: &str, title: &str, runs: Vec<Run>) -> Report {
    let owned = |pairs: &[(&str, &str)]| {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        pairs.iter().map(own).collect()
    };
    Report {
        schema: SCHEMA.to_owned(),
        workload: workload.to_owned(),
        title: title.to_owned(),
        started: "2026-11-23T12:00:00+01:00".to_owned(),
        version: "firehose 0.1.0".to_owned(),
        command: ["firehose", "bench", workload, "--topic", "a b/<c>&'d'"]
            .map(str::to_owned)
            .to_vec(),
        settings: owned(&[
            ("rate", "34000"),
            ("size", "512"),
            ("qos", "0"),
            ("topic", "a b/<c>&'d'"),
        ]),
        seed: 1,
        load_model: "open loop".to_owned(),
        machine: Machine {
            kernel: "Linux 6.12.0".to_owned(),
            cpu_model: "Some CPU @ 2.6 GHz".to_owned(),
            cpus: 2,
            memory_bytes: 24 << 30,
            settings: owned(&[("nofile", "20000"), ("somaxconn", "4096")]),
        },
        broker: BrokerInfo {
            what: "firehose 0.1.0 (own process)".to_owned(),
            address: "127.0.0.1:40123".to_owned(),
            pid: Some(4711),
            budget: Some(Budget {
                bytes: 2 << 30,
                enforced: true,
                how: "cgroup v2 memory.max, memory.swap.max 0".to_owned(),
            }),
            cpus: Some("0".to_owned()),
        },
        runs,
        search: None,
        cut_short: false,
        verdict: Verdict {
            passed: true,
            ..Verdict::default()
        },
        summary: Default::default(),
    }
}

/// Reports that are made once for all tests: to fill their histograms takes long.
macro_rules! made_once {
    ($($(#[$doc:meta])* $name:ident = $make:ident;)*) => {$(
        $(#[$doc])*
        pub(super) fn $name() -> Report {
            static MADE: LazyLock<Report> = LazyLock::new($make);
            MADE.clone()
        }
    )*};
}

made_once! {
    /// Ten minutes of one load.
    steady = make_steady;
    /// Three repetitions of a ramp, with a broker that dies in the last.
    ramp = make_ramp;
    /// A search for the highest rate.
    search = make_search;
    /// Connections without messages: what a storm of them measures.
    connects = make_connects;
    /// Two short runs of two steps that have something of everything.
    full = make_full;
}

fn make_steady() -> Report {
    let mut chance = Chance(1);
    let step = step(&mut chance, "measured", 3400.0, 600, 400_000.0);
    let run = run(&mut chance, vec![step]);
    report(
        "fanout",
        "100 subscribers get what 1 publisher sends",
        vec![run],
    )
}

fn make_ramp() -> Report {
    let mut chance = Chance(2);
    let runs = (0..3).map(|_| {
        let rates = (1..=8).map(|n| 5000.0 * f64::from(n));
        let steps = rates.map(|r| {
            step(
                &mut chance,
                &format!("{r} msg/s"),
                r,
                10,
                2e5 + r * r / 800.0,
            )
        });
        let steps = steps.collect();
        run(&mut chance, steps)
    });
    let runs: Vec<Run> = runs.collect();
    let mut report = report("ramp", "The rate is raised in steps of 5,000", runs);
    report.verdict = Verdict {
        answer: Answer::Failed,
        exit_code: 1,
        passed: false,
        failures: vec!["12 of 400,000 messages lost <at QoS 1>".to_owned()],
        tester_limits: vec!["slip p99 of 3 ms is more than a tenth of latency p99".to_owned()],
        notes: vec!["The budget is not enforced: no permission".to_owned()],
    };
    for run in &mut report.runs {
        run.steps[7].publish_rate *= 0.81;
        run.steps[7].verification.lost = 12;
        run.steps[7].verification.violations = vec!["12 lost at QoS 1".to_owned()];
        run.broker_events = vec![BrokerEvent {
            at_s: 88.0,
            kind: "out of memory".to_owned(),
            text: "the cgroup's oom_kill rose to 1".to_owned(),
        }];
    }
    report.broker.budget = Some(Budget {
        bytes: 256 << 20,
        enforced: false,
        how: "no permission to make a cgroup".to_owned(),
    });
    report
}

fn make_search() -> Report {
    let mut report = ramp();
    report.workload = "fanin".to_owned();
    report.verdict = Verdict {
        passed: true,
        ..Verdict::default()
    };
    let attempt = |n: u32| {
        let rate = 5000.0 * f64::from(n);
        let p99 = (2e5 * (rate / 9000.0).exp()) as u64;
        let held = p99 < 10_000_000;
        Attempt {
            rate,
            achieved: rate * 0.99,
            p50_ns: p99 / 5,
            p99_ns: p99,
            p999_ns: p99 * 3,
            lost: 0,
            held,
            why: if held {
                String::new()
            } else {
                "p99 14 ms".to_owned()
            },
            tester_limited: n == 8,
        }
    };
    report.search = Some(Search {
        slo: "p99=10ms,loss=0".to_owned(),
        max_rate: Some(35_000.0),
        broke_rate: Some(40_000.0),
        broke_why: "p99 14 ms above 10 ms".to_owned(),
        ended: SearchEnd::Found,
        tester_limit: String::new(),
        curve: (1..=8).map(attempt).collect(),
    });
    report
}

/// A grid that is ours, and a smaller and slower one.
pub(super) fn grids() -> (Vec<Cell>, Vec<Cell>) {
    let places = || (0..=10).flat_map(|s| (0..=10).map(move |p| (1u32 << s, 1u32 << p)));
    let cell = |(subscribers, publishers): (u32, u32), speed: f64| {
        let (s, p) = (f64::from(subscribers), f64::from(publishers));
        let speed = speed * (1.0 + 0.1 * (s.sqrt() - p.sqrt() / 2.0).sin());
        let sub_total = 300.0 * s.powf(0.8) * p.powf(0.1) * speed;
        let pub_total = 130.0 * p.powf(0.5) * speed;
        Cell {
            subscribers,
            publishers,
            runs: 5,
            sub_total,
            pub_total,
            sub_duration: s * 10.0 / sub_total,
            pub_duration: p * 10.0 / pub_total,
        }
    };
    let ours = places().map(|at| cell(at, 12.0)).collect();
    let theirs = places().filter(|(s, p)| (s + p) % 3 != 0);
    (ours, theirs.map(|at| cell(at, 1.0)).collect())
}

fn make_connects() -> Report {
    let mut chance = Chance(4);
    let mut one = step(&mut chance, "measured", 500.0, 3, 400_000.0);
    one.rate_intended = None;
    for count in [&mut one.published, &mut one.delivered] {
        *count = 0;
    }
    (one.published_bytes, one.delivered_bytes) = (0, 0);
    (one.publish_rate, one.delivery_rate) = (0.0, 0.0);
    one.verification = Verification::default();
    one.latency = Latency {
        operation_ns: latencies(&mut chance, 900_000.0, 1500),
        ..Latency::default()
    };
    one.operations = Some(Operations {
        name: "connects".to_owned(),
        count: 1500,
        failed: 3,
        rate: 500.0,
    });
    one.tester.slip_ns = Distribution::default();
    one.tester.cpu_ns_per_delivery = None;
    if let Some(broker) = &mut one.broker {
        broker.cpu_ns_per_delivery = None;
        broker.cgroup_peak_bytes = None;
    }
    for interval in &mut one.series {
        *interval = Interval {
            at_s: interval.at_s,
            measured: interval.measured,
            ..Interval::default()
        };
    }
    let mut run = run(&mut chance, vec![one]);
    run.samples.clear();
    let mut report = report("connect", "Clients connect, 500 a second", vec![run]);
    report.load_model = "closed loop: a connect after the other".to_owned();
    report.broker.budget = None;
    report
}

fn make_full() -> Report {
    let mut chance = Chance(3);
    let runs = (0..2).map(|_| {
        let rates = [1000.0, 2000.0];
        let steps = rates.map(|r| {
            step(
                &mut chance,
                &format!("{r} msg/s, \"paced\""),
                r,
                3,
                r * 300.0,
            )
        });
        let mut run = run(&mut chance, steps.to_vec());
        run.broker_events = vec![BrokerEvent {
            at_s: 2.5,
            kind: "refused".to_owned(),
            text: "a connection".to_owned(),
        }];
        for step in &mut run.steps {
            step.latency.operation_ns = latencies(&mut chance, 1e6, 500);
            step.verification.violations = vec!["1 lost at QoS 1".to_owned()];
            step.operations = Some(Operations {
                name: "cycles".to_owned(),
                count: 500,
                failed: 1,
                rate: 166.7,
            });
        }
        run
    });
    let mut report = report("churn", "Subscribers come and go", runs.collect());
    report.search = search().search;
    report.summary = super::summary::summary(&report);
    report.verdict = ramp().verdict;
    report
}
