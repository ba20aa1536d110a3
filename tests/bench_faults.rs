//! `firehose bench` against a broker that makes mistakes on purpose: each is found, is counted exactly under its name,
//! and is answered by the exit code; a slow broker's latency is what its users would see.

mod faulty;
mod support;

use std::process::Command;
use std::time::Duration;

use faulty::{Behaviour, Cut, Fault, Faulty, Greeting};
use firehose::load::distribution::Distribution;
use firehose::load::report::json;
use firehose::load::result::{Report, Setup, Step, Verification};
use support::{Folder, run};

const MS: u64 = 1_000_000;

/// A run against a broker, and what came of it.
struct Tested {
    code: Option<i32>,
    /// Standard output: the report for people.
    text: String,
    report: Report,
    /// Mistakes that the broker made.
    made: u64,
}

impl Tested {
    fn step(&self) -> &Step {
        &self.report.runs[0].steps[0]
    }

    fn setup(&self) -> &Setup {
        &self.report.runs[0].setup
    }

    /// What went wrong, in words.
    fn events(&self) -> Vec<&str> {
        let events = self.report.runs[0].broker_events.iter();
        events.map(|event| event.text.as_str()).collect()
    }

    /// Checks all counts of the verification but `received`, and the exit code that follows from them.
    fn finds(&self, faults: &Verification) {
        let found = Verification {
            received: faults.received,
            expected: faults.expected,
            violations: Vec::new(),
            ..self.step().verification.clone()
        };
        assert_eq!(&found, faults, "{}", self.text);
        assert_eq!(self.code, Some(1), "{}", self.text);
        assert!(self.text.contains("\nFAIL"), "{}", self.text);
    }
}

/// Runs a workload against a broker of this behaviour; half a second at QoS 0 without a warm-up where the options
/// do not say otherwise.
fn bench(behaviour: Behaviour, workload: &str, options: &[&str]) -> Tested {
    let broker = Faulty::start(behaviour);
    let folder = Folder::new("bench-faults");
    let json = folder.0.join("report.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.args(["bench", workload, "--host", "127.0.0.1", "--port"]);
    command.arg(broker.port.to_string());
    command.arg("--json").arg(&json).args(options);
    let is_given = |name: &str| options.iter().any(|option| option.starts_with(name));
    for (name, value) in [
        ("--warm-up", "0"),
        ("--duration", "500ms"),
        ("--drain", "1s"),
    ] {
        if !is_given(name) {
            command.args([name, value]);
        }
    }
    let done = run(&mut command);
    assert!(done.code.is_some(), "no end: {}", done.stdout);
    assert!(!done.stderr.contains("panicked"), "{}", done.stderr);
    let report = std::fs::read_to_string(&json).unwrap_or_else(|_| panic!("{}", done.stderr));
    Tested {
        code: done.code,
        text: done.stdout,
        report: json::read(&report).unwrap(),
        made: broker.made(),
    }
}

/// One publisher, one subscriber, 500 messages; every 50th delivery has the fault.
fn bench_fault(fault: Fault, options: &[&str]) -> Tested {
    let behaviour = Behaviour {
        fault: Some((50, fault)),
        ..Behaviour::default()
    };
    let options = [&["--subscribers", "1", "--rate", "1000"], options].concat();
    let tested = bench(behaviour, "fanout", &options);
    // All that was due is sent, even if the machine is too busy for it to be on time.
    assert_eq!(
        (tested.made, tested.step().verification.expected),
        (10, 500)
    );
    tested
}

/// Carries out a check for each of several cases at the same time: most of them wait for what does not come.
fn each<T: Copy + Send>(cases: impl IntoIterator<Item = T>, check: impl Fn(T) + Sync) {
    std::thread::scope(|scope| {
        for case in cases {
            let check = &check;
            scope.spawn(move || check(case));
        }
    });
}

/// What is timed may be disturbed by whatever else runs on the machine: it has to be right once in a few attempts, which
/// are ever further apart so that the disturbance may end.
fn undisturbed(attempt: impl Fn() -> Result<(), String>) {
    let mut why = String::new();
    for number in 0..6 {
        match attempt() {
            Ok(()) => return,
            Err(text) => why = text,
        }
        std::thread::sleep(Duration::from_secs(number));
    }
    panic!("{why}");
}

/// An error with the figures it is about.
fn timed(holds: bool, what: &str, tested: &Tested) -> Result<(), String> {
    match holds {
        true => Ok(()),
        false => Err(format!("{what}: {}", tested.text)),
    }
}

/// How many values lie above a bound.
fn above(distribution: &Distribution, ns: u64) -> u64 {
    let histogram = distribution.decode().unwrap();
    histogram.count_between(ns, u64::MAX)
}

#[test]
fn a_known_delay_is_the_latency_in_every_loop() {
    let slow = Behaviour {
        delay: Duration::from_millis(20),
        ..Behaviour::default()
    };
    for (load, rates) in [
        ("--rate=300", 299.0..301.0),
        ("--closed-loop", 40.0..50.5),
        ("--window=4", 160.0..202.0),
    ] {
        undisturbed(|| {
            let tested = bench(slow, "fanout", &["--subscribers=2", "--duration=1s", load]);
            assert_eq!(tested.code, Some(0), "{load}: {}", tested.text);
            let latency = &tested.step().latency.delivery_ns;
            // The histogram is true to a thousandth.
            assert!(latency.min >= 20 * MS - MS / 50, "{load}: {latency:?}");
            timed(latency.p50 < 23 * MS, "p50", &tested)?;
            timed(rates.contains(&tested.step().publish_rate), load, &tested)
        });
    }
}

/// Nothing moves for 100 ms in the middle of the run.
fn stall() -> Behaviour {
    Behaviour {
        stall: Some((1000, Duration::from_millis(100))),
        ..Behaviour::default()
    }
}

/// At 1000 messages a second, 100 of them are due while the broker does nothing for 100 ms: the first waits for all of
/// it, the last for next to nothing.
#[test]
fn a_stall_is_seen_by_all_messages_that_are_due_in_it() {
    undisturbed(|| {
        let options = ["--subscribers=1", "--rate=1000", "--duration=2s"];
        let tested = bench(stall(), "fanout", &options);
        assert_eq!((tested.code, tested.made), (Some(0), 1), "{}", tested.text);
        let step = tested.step();
        assert_eq!(step.verification.received, 2000);
        let latency = &step.latency.delivery_ns;
        assert!(latency.p99 > 70 * MS, "{latency:?}");
        assert!(above(latency, 50 * MS) >= 35, "{latency:?}");
        timed(latency.count == 2000, "late", &tested)?;
        timed((95..115).contains(&(latency.max / MS)), "max", &tested)?;
        for bound in [20, 40, 50, 60, 80] {
            let (count, due) = (above(latency, bound * MS), latency.max / MS - bound);
            let what = format!("{count} above {bound} ms");
            timed(count.abs_diff(due) < 10, &what, &tested)?;
        }
        // The broker stood still, the tester did not.
        assert_eq!(step.tester.held_back, 0);
        timed(step.tester.slip_ns.p99 < 5 * MS, "slip", &tested)
    });
}

/// The same stall in a loop that waits: one message has seen it, and the report warns of that.
#[test]
fn a_closed_loop_hides_a_stall_and_says_so() {
    undisturbed(|| {
        let options = ["--subscribers=1", "--closed-loop", "--duration=1s"];
        let tested = bench(stall(), "fanout", &options);
        assert_eq!(tested.code, Some(0), "{}", tested.text);
        assert!(tested.report.load_model.starts_with("closed loop"));
        assert!(tested.text.contains("NOT AN OPEN LOOP"), "{}", tested.text);
        let mut notes = tested.report.verdict.notes.iter();
        assert!(notes.any(|note| note.contains("not an open loop")));
        timed(tested.made == 1, "too slow for a stall", &tested)?;
        let latency = &tested.step().latency.delivery_ns;
        timed(above(latency, 80 * MS) == 1, "one above 80 ms", &tested)?;
        timed(latency.p99 < 50 * MS, "p99", &tested)
    });
}

#[test]
fn losses_are_counted_and_fail_where_they_are_not_allowed() {
    let lost = Verification {
        lost: 10,
        ..Verification::default()
    };
    let not_allowed: [&[&str]; 2] = [&[], &["--qos", "1", "--allow-loss"]];
    each(not_allowed, |options| {
        bench_fault(Fault::Lose, options).finds(&lost);
    });
    let allowed = bench_fault(Fault::Lose, &["--allow-loss"]);
    assert_eq!(allowed.code, Some(0), "{}", allowed.text);
    assert_eq!(allowed.step().verification.lost, 10);
    assert_eq!(allowed.step().verification.received, 490);
    assert_eq!(allowed.report.summary["lost"], 10.0);
}

#[test]
fn duplicates_are_counted_at_every_qos() {
    each(["0", "1", "2"], |qos| {
        bench_fault(Fault::Repeat, &["--qos", qos]).finds(&Verification {
            duplicated: 10,
            ..Verification::default()
        });
    });
}

#[test]
fn neighbours_that_change_places_are_reordered_and_not_lost() {
    for qos in ["0", "1"] {
        bench_fault(Fault::Swap, &["--qos", qos]).finds(&Verification {
            reordered: 10,
            ..Verification::default()
        });
    }
}

#[test]
fn a_changed_byte_is_corrupt() {
    // The last byte of 64, and the first behind the stamp.
    for from_end in [0, 39] {
        let tested = bench_fault(Fault::Change { from_end }, &[]);
        tested.finds(&Verification {
            corrupt: 10,
            ..Verification::default()
        });
        assert_eq!(tested.step().verification.received, 500);
    }
}

/// A message whose stamp is damaged is nobody's, wherever the damage is: also in the time from which latency counts.
#[test]
fn a_changed_stamp_is_no_stamp() {
    each([0, 12, 16], |byte| {
        let from_end = 63 - byte;
        bench_fault(Fault::Change { from_end }, &[]).finds(&Verification {
            unexpected: 10,
            lost: 10,
            ..Verification::default()
        });
    });
}

#[test]
fn what_nobody_asked_for_is_unexpected() {
    let unexpected = Verification {
        unexpected: 10,
        ..Verification::default()
    };
    for fault in [Fault::Stranger, Fault::OtherRun] {
        let tested = bench_fault(fault, &[]);
        tested.finds(&unexpected);
        assert_eq!(tested.step().verification.received, 500);
    }
    // The message itself does not come.
    bench_fault(Fault::Rename, &[]).finds(&Verification {
        lost: 10,
        ..unexpected.clone()
    });
    let misroutes = Behaviour {
        fault: Some((50, Fault::Misroute)),
        ..Behaviour::default()
    };
    let options = ["--publishers=2", "--subscribers=2", "--rate=1000"];
    let tested = bench(misroutes, "pairs", &options);
    assert_eq!(tested.made, 10);
    tested.finds(&unexpected);
}

#[test]
fn acknowledgements_that_do_not_come_are_counted() {
    let every = Some(10);
    let no_ack = Behaviour {
        no_ack: every,
        ..Behaviour::default()
    };
    let no_pubcomp = Behaviour {
        no_pubcomp: every,
        ..Behaviour::default()
    };
    let cases = [(no_ack, "1"), (no_ack, "2"), (no_pubcomp, "2")];
    each(cases, |(behaviour, qos)| {
        let options = [
            "--subscribers=1",
            "--rate=1000",
            "--sub-qos=0",
            "--qos",
            qos,
        ];
        let tested = bench(behaviour, "fanout", &options);
        assert_eq!(tested.made, 50);
        tested.finds(&Verification {
            unacknowledged: 50,
            ..Verification::default()
        });
        let latency = &tested.step().latency;
        assert!((300..=450).contains(&latency.ack_ns.count), "{latency:?}");
    });
}

#[test]
fn refused_clients_are_counted_and_the_reason_is_told() {
    let refuses = Behaviour {
        greeting: Greeting::Refuse(3),
        ..Behaviour::default()
    };
    let tested = bench(refuses, "fanout", &["--subscribers", "7", "--rate", "200"]);
    let setup = tested.setup();
    assert_eq!(tested.made, 2);
    assert_eq!((setup.connections, setup.refused, setup.failed), (6, 2, 0));
    assert_eq!(tested.code, Some(1));
    assert!(
        tested
            .text
            .contains("refused, 2 times: Not authorized (return code 5) (no login was given:"),
        "{}",
        tested.text
    );
    let v = &tested.step().verification;
    assert_eq!((v.received, v.lost, v.disconnects), (500, 0, 0), "{v:?}");
}

#[test]
fn a_subscriber_that_is_cut_off_is_counted_with_all_that_it_misses() {
    let cases = [
        (Cut::Close, "closed by the broker"),
        (Cut::Half, "closed by the broker"),
        (Cut::Garbage, "no MQTT"),
    ];
    each(cases, |(cut, why)| {
        // The subscriber of the 301st delivery of three each has had 101 of 500.
        let cuts = Behaviour {
            cut: Some((301, cut)),
            ..Behaviour::default()
        };
        let tested = bench(cuts, "fanout", &["--subscribers", "3", "--rate", "1000"]);
        tested.finds(&Verification {
            disconnects: 1,
            lost: 399,
            ..Verification::default()
        });
        let events = tested.events();
        assert_eq!(events.len(), 1, "{events:?}");
        assert!(
            events[0].starts_with("once: ") && events[0].contains(why),
            "{events:?}"
        );
        assert_eq!((tested.setup().refused, tested.setup().failed), (0, 0));
        // It is told when it happened, not when the run was over: the other subscribers went on.
        let run = &tested.report.runs[0];
        let (event, step) = (&run.broker_events[0], &run.steps[0]);
        let in_step = event.at_s - step.at_s;
        assert!((0.0..1.0).contains(&in_step), "{in_step} s");
    });
}

/// What lets nobody in because it speaks no MQTT is no broker that could be measured.
#[test]
fn what_is_no_mqtt_fails_in_words() {
    for (greeting, why) in [
        (Greeting::Garbage, "what the broker sent is no MQTT"),
        (Greeting::Half, "closed by the broker before CONNACK"),
    ] {
        let broker = Faulty::start(Behaviour {
            greeting,
            ..Behaviour::default()
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", "fanout", "--host", "127.0.0.1", "--port"]);
        command.arg(broker.port.to_string());
        let done = run(command.args(["--subscribers=4", "--drain=200ms"]));
        assert_eq!(done.code, Some(3), "{}{}", done.stdout, done.stderr);
        let told = format!("127.0.0.1:{} lets no client in: ", broker.port);
        assert!(done.stderr.contains(&told), "{}", done.stderr);
        assert!(done.stderr.contains(why), "{}", done.stderr);
        assert!(
            broker.made() > 0 && done.stdout.is_empty(),
            "{}",
            done.stdout
        );
    }
}

/// Clients that are left without an answer have failed, in every workload, and the run ends.
#[test]
fn a_broker_that_does_not_answer_is_given_up() {
    let silent = Behaviour {
        greeting: Greeting::Silence(2),
        ..Behaviour::default()
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let tested = bench(silent, "idle", &["--subscribers", "4"]);
            let setup = tested.setup();
            assert_eq!((setup.connections, setup.refused, setup.failed), (2, 0, 2));
            assert_eq!(tested.code, Some(1), "{}", tested.text);
        });
        scope.spawn(|| {
            let options = ["--connections", "4", "--connect-rate", "100"];
            let tested = bench(silent, "connect", &options);
            let setup = tested.setup();
            assert_eq!((setup.connections, setup.failed), (2, 2), "{}", tested.text);
            assert_eq!(tested.code, Some(1), "{}", tested.text);
            let operations = tested.step().operations.as_ref().unwrap();
            assert_eq!((operations.count, operations.failed), (2, 2));
        });
        scope.spawn(|| {
            let options = ["--connections", "4", "--connect-rate", "20"];
            let tested = bench(silent, "churn", &options);
            assert_eq!(tested.code, Some(1), "{}", tested.text);
            let operations = tested.step().operations.as_ref().unwrap();
            assert!(operations.failed > 0, "{operations:?}");
        });
    });
}

/// The bus model and one publisher that waits for each acknowledgement: while the broker does nothing for a second, a
/// message that waits is one message, however often a worker looks whether it may go, and waiting is no slip.
#[test]
fn what_the_bus_model_holds_back_is_messages_and_not_looks() {
    undisturbed(|| {
        let stalls = Behaviour {
            stall: Some((200, Duration::from_secs(1))),
            ..Behaviour::default()
        };
        let options = [
            "--publishers=1",
            "--subscribers=1",
            "--qos=1",
            "--in-flight=1",
            "--scale=40",
            "--duration=3s",
        ];
        let tested = bench(stalls, "firehose", &options);
        assert_eq!(tested.made, 1, "{}", tested.text);
        let (step, tester) = (tested.step(), &tested.step().tester);
        let (held, published) = (tester.held_back, step.published);
        assert!((20..=published).contains(&held), "{held} of {published}");
        // Each message is either held back or has a slip.
        assert!(tester.slip_ns.count + held >= published, "{}", tested.text);
        timed(tester.unsent == 0, "unsent", &tested)?;
        timed(tester.slip_ns.p99 < 100 * MS, "slip", &tested)
    });
}

/// A broker that stands still until after the end: what was due and could not be sent is counted once, as never sent.
#[test]
fn what_the_bus_model_never_sends_is_told() {
    let stands = Behaviour {
        stall: Some((50, Duration::from_secs(4))),
        ..Behaviour::default()
    };
    let options = [
        "--publishers=1",
        "--subscribers=1",
        "--qos=1",
        "--in-flight=1",
        "--scale=40",
        "--duration=2s",
    ];
    let tested = bench(stands, "firehose", &options);
    let (step, tester) = (tested.step(), &tested.step().tester);
    assert!(step.published < 60, "{}", tested.text);
    assert!((50..2000).contains(&tester.unsent), "{}", tested.text);
    assert!(tester.held_back >= tester.unsent, "{}", tested.text);
    let mut notes = tested.report.verdict.notes.iter();
    assert!(
        notes.any(|note| note.contains("never sent")),
        "{}",
        tested.text
    );
}
