//! The load tester's engine against the broker: every way of connecting, publishing and verifying, over sockets.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use firehose::load::client::Settings;
use firehose::load::engine::{Course, Engine, EngineError, Finished, Now, Watch};
use firehose::load::job::{
    Filter, Group, Job, Open, Pace, Publisher, StepPlan, Stream, Subscriber, Timed, Traffic,
};
use firehose::load::ledger::View;
use firehose::load::result::{Setup, Step};
use firehose::load::stamp;
use firehose::load::worker::Place;
use firehose::mqtt::{QoS, Version};
use support::{Server, program};

/// Runs for at most a minute.
struct Patience {
    until: Instant,
    /// What becomes of the run then.
    then: Course,
    marks: u32,
}

impl Patience {
    fn new() -> Patience {
        Patience {
            until: Instant::now() + Duration::from_secs(60),
            then: Course::End,
            marks: 0,
        }
    }
}

impl Watch for Patience {
    fn look(&mut self, _: &Now<'_>) -> Course {
        match Instant::now() < self.until {
            true => Course::On,
            false => self.then,
        }
    }

    fn mark(&mut self) {
        self.marks += 1;
    }
}

/// `publishers` publish to a topic each; `subscribers` read all of them.
fn job(publishers: u32, subscribers: u32, qos: QoS, version: Version, workers: u32) -> Job {
    Job {
        settings: Settings {
            version,
            keep_alive: 0,
            username: None,
            password: None,
            in_flight_max: 100,
        },
        client_prefix: "engine-".into(),
        filters: vec![Filter {
            text: "bench/#".into(),
            view: View::Range(0..publishers),
        }],
        subscribers: (0..subscribers)
            .map(|_| Subscriber {
                filter: Some(0),
                qos,
                durable: false,
                shared: false,
            })
            .collect(),
        streams: (0..publishers)
            .map(|publisher| Stream {
                publisher,
                topic: format!("bench/{publisher}"),
                fanout: subscribers,
            })
            .collect(),
        publishers: (0..publishers)
            .map(|first_stream| Publisher {
                first_stream,
                streams: 1,
            })
            .collect(),
        bus: None,
        filler: stamp::filler(64),
        qos,
        retain: false,
        spread_every: 1,
        workers,
        drain_s: 2.0,
    }
}

fn open(group: Group) -> Open {
    Open {
        group,
        rate: None,
        goal: 0,
        timed: Timed::No,
        forget: false,
    }
}

fn step(seconds: f64, traffic: Traffic) -> StepPlan {
    StepPlan {
        name: "measured".into(),
        rate: None,
        warm_up_s: 0.2,
        seconds,
        interval_s: 0.1,
        traffic,
        operation: Some("operations".into()),
        delivers_all: true,
    }
}

struct Bench {
    engine: Engine,
    patience: Patience,
}

impl Bench {
    fn new(job: Job, server: &Server) -> Bench {
        let place = Place {
            run: 7,
            target: server.address(),
            sources: Vec::new(),
            wire: Default::default(),
            epoch: Instant::now(),
        };
        Bench {
            engine: Engine::start(&Arc::new(job), &place, &[]).unwrap(),
            patience: Patience::new(),
        }
    }

    fn open(&mut self, open: &Open) -> Setup {
        self.engine.open(open, &mut self.patience).unwrap();
        self.engine.setup()
    }

    fn step(&mut self, plan: &StepPlan) -> Step {
        let (step, stopped) = self.engine.step(plan, &mut self.patience).unwrap();
        assert!(!stopped);
        step
    }

    fn finish(self) -> Finished {
        self.engine.finish().unwrap()
    }
}

fn assert_clean(step: &Step) {
    let v = &step.verification;
    assert!(v.expected > 0 && v.received == v.expected, "{v:?}");
    let faults = [
        v.lost,
        v.duplicated,
        v.reordered,
        v.unexpected,
        v.corrupt,
        v.unacknowledged,
        v.refused,
        v.disconnects,
    ];
    assert_eq!(faults, [0; 8], "{v:?}");
}

/// Constant, Poisson and windowed load, at each QoS, in each version, by one worker and by two.
#[test]
fn everything_arrives_once_and_in_order() {
    let server = Server::under_test(2, &[]);
    let levels = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];
    let versions = [Version::V31, Version::V311, Version::V5];
    for (round, qos) in levels.into_iter().enumerate() {
        let version = versions[round];
        let job = job(3, 5, qos, version, 1 + round as u32 % 2);
        let mut bench = Bench::new(job, &server);
        bench.open(&open(Group::Subscribers));
        let setup = bench.open(&open(Group::Publishers));
        assert_eq!((setup.connections, setup.failed), (8, 0), "{setup:?}");
        assert_eq!(setup.subscribe_ns.count, 5);
        for pace in [
            Pace::Constant(2000.0),
            Pace::Poisson(2000.0, 3),
            Pace::Window(4),
        ] {
            let each_max = None;
            let step = bench.step(&step(0.5, Traffic::Publish { pace, each_max }));
            assert_clean(&step);
            assert!(step.published > 100, "{step:?}");
            assert!(step.latency.delivery_ns.count > 500);
            assert!(!step.latency.spread_ns.is_empty());
            assert_eq!(step.latency.ack_ns.is_empty(), qos == QoS::AtMostOnce);
            let paced = !matches!(pace, Pace::Window(_));
            assert_eq!(step.tester.slip_ns.is_empty(), !paced);
            let sum: u64 = step.series.iter().map(|interval| interval.delivered).sum();
            assert_eq!(sum, step.verification.received);
        }
        assert_eq!(bench.patience.marks, 6);
        let finished = bench.finish();
        assert!(finished.errors().is_empty(), "{:?}", finished.errors());
    }
}

/// Publishers that come for one message and go, as in pymqttbench; subscribers that wait for some.
#[test]
fn visits_and_goals_are_timed_for_each_client() {
    let server = Server::under_test(1, &[]);
    for qos in [QoS::AtMostOnce, QoS::ExactlyOnce] {
        let mut bench = Bench::new(job(4, 3, qos, Version::V311, 2), &server);
        bench.open(&Open {
            goal: 20,
            timed: Timed::Goal,
            ..open(Group::Subscribers)
        });
        let mut plan = step(
            20.0,
            Traffic::Visits {
                group: Group::Publishers,
                rate: None,
                each_max: Some(5),
            },
        );
        plan.warm_up_s = 0.0;
        let step = bench.step(&plan);
        assert_clean(&step);
        assert_eq!(step.verification.received, 60);
        assert!(step.seconds < 15.0, "{step:?}");
        let finished = bench.finish();
        let (subscribers, publishers) = (finished.parts.subscribers, finished.parts.publishers);
        assert_eq!((subscribers.len(), publishers.len()), (3, 4));
        for (_, times) in subscribers {
            let timed = times.first_ns > 0 && times.first_ns <= times.last_ns;
            assert!(times.complete && times.messages == 20 && timed, "{times:?}");
        }
        for (_, times) in publishers {
            assert!(times.complete && times.messages == 5 && times.first_ns < times.last_ns);
        }
    }
}

/// A storm of connections at a rate, and a churn of subscribers.
#[test]
fn connects_and_cycles_are_operations() {
    let server = Server::under_test(2, &[]);
    let mut bench = Bench::new(job(1, 40, QoS::AtMostOnce, Version::V5, 2), &server);
    let mut plan = step(
        5.0,
        Traffic::Open(Open {
            rate: Some(200.0),
            timed: Timed::Ready,
            ..open(Group::Subscribers)
        }),
    );
    plan.warm_up_s = 0.0;
    let storm = bench.step(&plan);
    let operations = storm.operations.unwrap();
    assert_eq!((operations.count, operations.failed), (40, 0));
    assert_eq!(storm.latency.operation_ns.count, 40);
    bench
        .engine
        .close(Group::Subscribers, &mut bench.patience)
        .unwrap();
    let churn = bench.step(&step(
        1.0,
        Traffic::Visits {
            group: Group::Subscribers,
            rate: Some(300.0),
            each_max: None,
        },
    ));
    let operations = churn.operations.unwrap();
    assert!(
        operations.count > 200 && operations.failed == 0,
        "{operations:?}"
    );
    assert_eq!(bench.engine.setup().failed, 0);
    assert!(bench.finish().errors().is_empty());
}

/// Retained messages are replayed to everybody who comes.
#[test]
fn what_was_stored_is_replayed() {
    let server = Server::under_test(2, &[]);
    let mut job = job(100, 6, QoS::AtLeastOnce, Version::V311, 1);
    job.retain = true;
    let mut bench = Bench::new(job, &server);
    bench.open(&open(Group::Publishers));
    let mut store = step(
        10.0,
        Traffic::Publish {
            pace: Pace::Constant(1000.0),
            each_max: Some(1),
        },
    );
    (store.delivers_all, store.warm_up_s) = (false, 0.0);
    let stored = bench.step(&store);
    assert_eq!((stored.published, stored.verification.lost), (100, 0));
    bench
        .engine
        .close(Group::Publishers, &mut bench.patience)
        .unwrap();
    let mut replay = step(
        10.0,
        Traffic::Open(Open {
            goal: 100,
            timed: Timed::Goal,
            ..open(Group::Subscribers)
        }),
    );
    replay.warm_up_s = 0.0;
    let replayed = bench.step(&replay);
    assert_clean(&replayed);
    assert_eq!(replayed.verification.received, 600);
    assert_eq!(replayed.operations.unwrap().count, 6);
    let (engine, patience) = (&mut bench.engine, &mut bench.patience);
    engine.close(Group::Subscribers, patience).unwrap();
    engine.open(&open(Group::Publishers), patience).unwrap();
    engine.clear(patience).unwrap();
    engine.close(Group::Publishers, patience).unwrap();
    replay.seconds = 0.2;
    let cleared = bench.step(&replay);
    assert_eq!(cleared.verification.received, 0, "nothing is left behind");
}

/// A broker that dies is seen as what it is: connections that end, messages that are lost, and no end of patience.
#[test]
fn a_broker_that_dies_is_noticed() {
    let mut server = Server::under_test(1, &[]);
    let mut bench = Bench::new(job(1, 3, QoS::AtMostOnce, Version::V311, 1), &server);
    bench.open(&open(Group::Subscribers));
    bench.open(&open(Group::Publishers));
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        server.signal("KILL");
        server.wait();
    });
    let pace = Pace::Constant(500.0);
    let each_max = None;
    let step = bench.step(&step(2.0, Traffic::Publish { pace, each_max }));
    killer.join().unwrap();
    assert_eq!(step.verification.disconnects, 4, "{:?}", step.verification);
    assert!(step.verification.received > 0);
    assert!(!bench.finish().errors().is_empty());
}

/// Nobody listens: all connections fail, and the reason is told.
#[test]
fn a_port_without_a_broker_fails_all_connections() {
    let _ = program(1);
    let place = Place {
        run: 1,
        target: ([127, 0, 0, 1], support::free_port()).into(),
        sources: vec![[127, 0, 0, 9].into(), [127, 0, 0, 10].into()],
        wire: Default::default(),
        epoch: Instant::now(),
    };
    let job = Arc::new(job(1, 10, QoS::AtMostOnce, Version::V5, 1));
    let mut engine = Engine::start(&job, &place, &[]).unwrap();
    let mut patience = Patience::new();
    engine
        .open(&open(Group::Subscribers), &mut patience)
        .unwrap();
    assert_eq!((engine.setup().connections, engine.setup().failed), (0, 10));
    let finished = engine.finish().unwrap();
    let errors: Vec<_> = finished.errors().iter().collect();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].0.contains("refused") && errors[0].1.count == 10,
        "{errors:?}"
    );
}

/// A visitor whose socket cannot be made (its address is not this machine's) is over at once, and nobody waits for it.
#[test]
fn visitors_without_a_socket_are_over() {
    let _ = program(1);
    let place = Place {
        run: 1,
        target: ([127, 0, 0, 1], support::free_port()).into(),
        sources: vec![[192, 0, 2, 1].into()],
        wire: Default::default(),
        epoch: Instant::now(),
    };
    let job = Arc::new(job(1, 10, QoS::AtMostOnce, Version::V5, 1));
    let mut engine = Engine::start(&job, &place, &[]).unwrap();
    let mut patience = Patience::new();
    let mut plan = step(
        150.0,
        Traffic::Visits {
            group: Group::Subscribers,
            rate: None,
            each_max: Some(1),
        },
    );
    plan.warm_up_s = 0.0;
    let (step, stopped) = engine.step(&plan, &mut patience).unwrap();
    assert!(
        !stopped,
        "it was waited for them until patience was at its end"
    );
    let operations = step.operations.unwrap();
    assert_eq!((operations.count, operations.failed), (0, 10));
    let finished = engine.finish().unwrap();
    let errors: Vec<_> = finished.errors().iter().collect();
    assert!(errors.len() == 1 && errors[0].1.count == 10, "{errors:?}");
}

/// The watcher ends a run.
#[test]
fn a_run_can_be_stopped() {
    let server = Server::under_test(1, &[]);
    let mut bench = Bench::new(job(1, 1, QoS::AtMostOnce, Version::V311, 1), &server);
    bench.open(&open(Group::Subscribers));
    bench.open(&open(Group::Publishers));
    bench.patience.until = Instant::now() + Duration::from_millis(500);
    let pace = Pace::Constant(100.0);
    let each_max = None;
    let plan = step(30.0, Traffic::Publish { pace, each_max });
    let (step, stopped) = bench.engine.step(&plan, &mut bench.patience).unwrap();
    assert!(stopped && step.published > 0);
    let again = bench
        .engine
        .open(&open(Group::Subscribers), &mut bench.patience);
    assert!(matches!(again, Err(EngineError::Stopped)));
}

/// A run that ceases before its time says goodbye to nothing that is under way: all that was published arrives, and the
/// measured part ends when the publishing does.
#[test]
fn a_run_can_cease_and_loses_nothing() {
    for pace in [
        Pace::Constant(2000.0),
        Pace::Poisson(2000.0, 1),
        Pace::Window(50),
    ] {
        let server = Server::under_test(1, &[]);
        let mut bench = Bench::new(job(3, 20, QoS::AtLeastOnce, Version::V5, 2), &server);
        bench.open(&open(Group::Subscribers));
        bench.open(&open(Group::Publishers));
        bench.patience.then = Course::Cease;
        bench.patience.until = Instant::now() + Duration::from_secs(1);
        let each_max = None;
        let plan = step(30.0, Traffic::Publish { pace, each_max });
        let (step, stopped) = bench.engine.step(&plan, &mut bench.patience).unwrap();
        assert!(stopped && bench.engine.has_ceased() && step.published > 0);
        let v = &step.verification;
        assert_eq!((v.received, v.lost), (v.expected, 0), "{pace:?}: {v:?}");
        assert_eq!((v.unacknowledged, v.disconnects), (0, 0), "{pace:?}: {v:?}");
        assert!(v.expected > 0 && step.seconds < 20.0, "{step:?}");
        assert_eq!(bench.patience.marks, 2);
        // Nothing else is begun, but for what tidies up.
        let group = open(Group::Subscribers);
        let again = bench.engine.open(&group, &mut bench.patience);
        assert!(matches!(again, Err(EngineError::Stopped)));
        bench.engine.tidy_up();
        let watch = &mut bench.patience;
        bench.engine.close(Group::Subscribers, watch).unwrap();
        bench.engine.open(&group, &mut bench.patience).unwrap();
        assert!(bench.finish().errors().is_empty());
    }
}
