//! `firehose bench` as a user meets it: every workload against a broker of its own, the stress test against
//! Mosquitto too, what goes wrong and how it is told, and the exit codes.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::process::Command;
use std::time::{Duration, Instant};

use support::{Finished, Folder, Program, Server, run};

/// Runs `firehose bench` with short times.
fn bench(arguments: &[&str]) -> Finished {
    run(Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("bench")
        .args(arguments))
}

/// A flat number of the JSON report's summary.
fn summary(report: &str, name: &str) -> f64 {
    let report: serde_json::Value = serde_json::from_str(report).unwrap();
    report["summary"][name]
        .as_f64()
        .unwrap_or_else(|| panic!("{name}: {}", report["summary"]))
}

/// Small shapes of all workloads; each must pass, and say so.
fn every_workload_runs_against_a_broker_of_its_own() {
    let times = [
        "--warm-up",
        "200ms",
        "--duration",
        "500ms",
        "--interval",
        "100ms",
    ];
    let cases: [&[&str]; 11] = [
        &["fanout", "--subscribers", "20"],
        &[
            "fanin",
            "--publishers",
            "20",
            "--rate",
            "1000",
            "--mqtt",
            "5",
        ],
        &[
            "pairs",
            "--publishers",
            "5",
            "--subscribers",
            "5",
            "--qos",
            "2",
            "--arrivals",
            "poisson",
        ],
        &[
            "wildcard",
            "--topics",
            "100",
            "--subscribers",
            "30",
            "--workers",
            "2",
        ],
        &["connect", "--connections", "100", "--connect-rate", "500"],
        &["churn", "--connections", "10", "--connect-rate", "100"],
        &["idle", "--subscribers", "50"],
        &["retained", "--messages", "200", "--subscribers", "3"],
        &["backlog", "--messages", "50", "--subscribers", "5"],
        &["ramp", "--steps", "2", "--from", "1k", "--to", "2k"],
        &["firehose", "--subscribers", "20", "--scale", "50"],
    ];
    for case in cases {
        // What is stored takes its own time.
        let paced = !["connect", "retained", "backlog"].contains(&case[0]);
        let times: &[&str] = if paced { &times } else { &[] };
        let done = bench(&[case, times].concat());
        assert_eq!(
            done.code,
            Some(0),
            "{case:?}\n{}{}",
            done.stdout,
            done.stderr
        );
        // On a machine that is busy with other things the tester may be late.
        let passed = ["\nPASS\n", "\nVERIFIED, but the tester was"];
        let is_passed = passed.iter().any(|word| done.stdout.contains(word));
        assert!(is_passed, "{}", done.stdout);
    }
}

fn windows_and_closed_loops_are_branded() {
    for (option, brand) in [
        ("--window=8", "windowed: 8"),
        ("--closed-loop", "closed loop"),
    ] {
        let done = bench(&[
            "fanout",
            "--subscribers",
            "3",
            "--duration",
            "300ms",
            option,
        ]);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        assert!(done.stdout.contains(brand) && done.stdout.contains("NOT AN OPEN LOOP"));
    }
}

/// All formats of one run, read by others where they are at hand.
fn reports_go_where_they_are_sent() {
    let folder = Folder::new("bench-reports");
    let file = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let names = ["r.json", "r.csv", "r.hgrm", "r.hlog", "r.html"].map(file);
    let done = bench(&[
        "fanout",
        "--subscribers",
        "5",
        "--warm-up",
        "100ms",
        "--duration",
        "600ms",
        "--interval",
        "200ms",
        "--repeat",
        "2",
        "--quiet",
        "--json",
        &names[0],
        "--csv",
        &names[1],
        "--hgrm",
        &names[2],
        "--hlog",
        &names[3],
        "--html",
        &names[4],
    ]);
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), ""),
        "{}",
        done.stderr
    );
    let texts = names
        .each_ref()
        .map(|name| std::fs::read_to_string(name).unwrap());
    assert!(texts.iter().all(|text| text.len() > 200));
    assert_eq!(summary(&texts[0], "lost"), 0.0);
    assert!(summary(&texts[0], "latency_p99_ns") > 0.0);
    assert!(summary(&texts[0], "broker_rss_peak_bytes") > 1e6);
    let report = firehose::load::report::json::read(&texts[0]).unwrap();
    let step = &report.runs[0].steps[0];
    for interval in step.series.iter().filter(|interval| interval.measured) {
        // An interval's latencies are of the same kind as those of the whole.
        let (part, whole) = (interval.latency_ns.p50, step.latency.delivery_ns.p50);
        assert!(part > whole / 20 && part < whole * 20, "{part} {whole}");
    }
    let same = bench(&["compare", &names[0], &names[0]]);
    assert_eq!(same.code, Some(0), "{}", same.stderr);
    assert!(
        same.stdout.contains("latency_p99") || same.stdout.contains("latency p99"),
        "{}",
        same.stdout
    );
    // Other work is no comparison, unless it is asked for.
    let idle = folder.0.join("idle.json");
    let idle = idle.to_str().unwrap();
    let done = bench(&[
        "idle",
        "--subscribers=2",
        "--duration=200ms",
        "--json",
        idle,
    ]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let other = bench(&["compare", &names[0], idle]);
    assert_eq!(other.code, Some(5), "{}{}", other.stdout, other.stderr);
    assert!(
        other
            .stdout
            .contains("NOT COMPARABLE: the loads differ in workload")
    );
    let anyway = bench(&["compare", "--anyway", &names[0], idle]);
    assert_eq!(anyway.code, Some(0), "{}{}", anyway.stdout, anyway.stderr);
    let on_stdout = bench(&[
        "idle",
        "--subscribers",
        "2",
        "--duration",
        "200ms",
        "--json",
        "-",
    ]);
    assert!(summary(&on_stdout.stdout, "connections") == 2.0);
}

fn a_scenario_is_a_command_line_in_a_file() {
    let folder = Folder::new("bench-scenario");
    let file = folder.write(
        "s.toml",
        "workload = \"fanout\"\nsubscribers = 4\nduration = \"300ms\"\nwarm-up = 0\nqos = 1\n",
    );
    let file = file.to_str().unwrap();
    let done = bench(&["run", file, "--json", "-", "--rate", "100"]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert_eq!(summary(&done.stdout, "connections"), 5.0);
    let broken = folder.write("b.toml", "workload = \"fanout\"\nsubscriber = 4\n");
    let done = bench(&["run", broken.to_str().unwrap()]);
    assert_eq!(done.code, Some(2));
    assert!(
        done.stderr.contains("line 2") && done.stderr.contains("subscriber"),
        "{}",
        done.stderr
    );
}

/// The search finds a rate that a slow budget of attempts can confirm; the curve is in the report.
fn the_highest_rate_is_searched() {
    // A machine that is busy with other things does not reach every rate in every third of a second.
    let attempts = (0..3).map(|_| {
        bench(&[
            "fanout",
            "--subscribers",
            "2",
            "--rate",
            "200",
            "--max-rate",
            "400",
            "--precision",
            "0.5",
            "--find-max",
            "--slo",
            "p50=500ms,loss=0",
            "--warm-up",
            "0",
            "--duration",
            "300ms",
            "--drain",
            "1s",
            "--json",
            "-",
        ])
    });
    let found = attempts.into_iter().find(|done| done.code == Some(0));
    assert!(summary(&found.unwrap().stdout, "max_rate") >= 200.0);
}

/// pymqttbench's text, against a broker.
fn stress(program: &Program) {
    let server = Server::start(program, &[]);
    let port = server.port.to_string();
    for qos in ["0", "1", "2"] {
        let done = bench(&[
            "stress",
            "--brief",
            "--hostname",
            "127.0.0.1",
            "--port",
            &port,
            "--qos",
            qos,
        ]);
        assert_eq!(done.code, Some(0), "{program:?} {qos}: {}", done.stderr);
        let fields: Vec<f64> = done
            .stdout
            .trim()
            .split(':')
            .map(|f| f.parse().unwrap())
            .collect();
        assert_eq!((fields.len(), fields[0], fields[1]), (10, 10.0, 10.0));
    }
}

fn the_stress_test_runs_against_mosquitto() {
    stress(&Program::Mosquitto(support::needed("mosquitto")));
}

fn the_stress_test_runs_against_this_broker() {
    stress(&Program::Firehose { shards: 1 });
    let own = bench(&["stress", "--sub-clients", "3", "--pub-clients", "2"]);
    assert_eq!(own.code, Some(0), "{}", own.stderr);
    assert!(
        own.stdout
            .starts_with("[ran with 3 subscribers and 2 publishers]\n")
    );
}

/// A grid that is run in two goes, and compared.
fn a_grid_goes_on_where_it_was() {
    let folder = Folder::new("bench-grid");
    let dat = folder.0.join("grid.dat");
    let page = folder.0.join("grid.html");
    let grid = |repeat: &str| {
        bench(&[
            "stress",
            "--grid",
            "--grid-max",
            "2",
            "--settle-s",
            "0",
            "--repeat",
            repeat,
            "--dat",
            dat.to_str().unwrap(),
            "--html",
            page.to_str().unwrap(),
        ])
    };
    let first = grid("1");
    assert_eq!(first.code, Some(0), "{}", first.stderr);
    let rows = |path| std::fs::read_to_string(path).unwrap().lines().count();
    assert_eq!(rows(&dat), 5);
    let second = grid("2");
    assert_eq!(second.code, Some(0), "{}", second.stderr);
    assert!(
        second.stderr.contains("4 runs are done, 4 are missing"),
        "{}",
        second.stderr
    );
    assert_eq!(rows(&dat), 9);
    assert!(std::fs::read_to_string(&page).unwrap().contains("<svg"));
}

/// A broker that dies while it is measured is a result: exit code 1, and what became of it.
fn a_broker_that_dies_is_a_result() {
    let done = bench(&[
        "fanout",
        "--subscribers",
        "3",
        "--duration",
        "3s",
        "--drain",
        "1s",
        "--port",
        "0",
    ]);
    assert_eq!(done.code, Some(2), "a port is above 0: {}", done.stderr);
    let mut server = Server::start(&Program::Firehose { shards: 1 }, &[]);
    let (port, pid) = (server.port.to_string(), server.pid().to_string());
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(1500));
        server.signal("KILL");
        server.wait();
    });
    let done = bench(&[
        "fanout",
        "--subscribers",
        "3",
        "--warm-up",
        "0",
        "--duration",
        "5s",
        "--drain",
        "1s",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
        "--broker-pid",
        &pid,
    ]);
    killer.join().unwrap();
    assert_eq!(done.code, Some(1), "{}{}", done.stdout, done.stderr);
    assert!(done.stdout.contains("FAIL"), "{}", done.stdout);
    assert!(
        done.stdout.contains("broker") && done.stdout.contains("connection"),
        "{}",
        done.stdout
    );
}

fn what_the_machine_or_the_user_cannot_is_told_in_a_line() {
    let port = support::free_port().to_string();
    let nobody = bench(&[
        "fanout",
        "--subscribers",
        "2",
        "--host",
        "127.0.0.1",
        "--port",
        &port,
    ]);
    assert_eq!(nobody.code, Some(3), "{}{}", nobody.stdout, nobody.stderr);
    let told = format!("nobody listens at 127.0.0.1:{port}: Connection refused");
    assert!(nobody.stderr.contains(&told), "{}", nobody.stderr);
    let wrong = bench(&["fanout", "--host", "no-such-host.invalid"]);
    assert_eq!(wrong.code, Some(3), "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("no-such-host.invalid"),
        "{}",
        wrong.stderr
    );
    let many = bench(&["idle", "--subscribers", "4000000"]);
    assert_eq!(many.code, Some(3), "{}", many.stderr);
    assert!(many.stderr.contains("ulimit -n"), "{}", many.stderr);
    let usage = bench(&["fanout", "--size", "10"]);
    assert_eq!(usage.code, Some(2));
    assert_eq!(usage.stderr.lines().count(), 1, "{}", usage.stderr);
    let own = bench(&["fanout", "--broker", "exec false"]);
    assert_eq!(own.code, Some(3), "{}", own.stderr);
}

/// Whatever the workload, nobody who listens is found out at once, however long the run was to be.
fn nobody_is_found_out_at_once() {
    let port = support::free_port().to_string();
    for workload in ["fanin", "connect", "churn", "idle", "retained", "stress"] {
        let began = Instant::now();
        let (host, long) = match workload {
            "stress" => ("--hostname", "--sub-timeout=300"),
            _ => ("--host", "--duration=300s"),
        };
        let done = bench(&[workload, host, "127.0.0.1", "--port", &port, long]);
        assert_eq!(done.code, Some(3), "{workload}: {}", done.stdout);
        let told = &done.stderr;
        assert!(told.contains("nobody listens at"), "{workload}: {told}");
        assert!(began.elapsed() < Duration::from_secs(60), "{workload}");
    }
}

/// An objective without a search is a threshold, of every workload that times something.
fn an_objective_without_a_search_is_a_threshold() {
    let times = ["--warm-up=0", "--duration=500ms", "--json=-"];
    for workload in [
        &["fanout", "--subscribers=3"][..],
        &["churn", "--connections=5", "--connect-rate=50"],
    ] {
        for (slo, codes) in [("p50=100s,loss=0", &[0][..]), ("p50=1ns", &[1, 4])] {
            let done = bench(&[workload, &times, &["--slo", slo]].concat());
            let report = firehose::load::report::json::read(&done.stdout);
            let verdict = report.unwrap().verdict;
            let code = done.code.unwrap();
            assert!(codes.contains(&code), "{workload:?}: {verdict:?}");
            assert_eq!(i32::from(verdict.exit_code), code);
            let said = [&verdict.failures[..], &verdict.notes[..]].concat();
            let objective = said.iter().find(|text| text.contains("objective"));
            assert!(objective.is_some_and(|text| text.contains(slo)), "{said:?}");
        }
    }
    let wrong = bench(&["fanout", "--slo", "p98=1ms"]);
    assert_eq!(wrong.code, Some(2), "{}", wrong.stderr);
}

/// The answer of a search comes first, in text and page, and agrees with the exit code.
fn a_search_begins_with_its_answer() {
    let folder = Folder::new("bench-search");
    let file = |name: &str| folder.0.join(name).to_str().unwrap().to_owned();
    let (json, html) = (file("r.json"), file("r.html"));
    let search = ["fanout", "--subscribers=2", "--find-max", "--rate=100"];
    let times = ["--warm-up=0", "--duration=200ms", "--drain=1s"];
    let reports = ["--json", &json, "--html", &html];
    for (objective, found) in [
        (["--slo=p50=100s", "--max-rate=200"], true),
        (["--slo=p50=1ns", "--max-rate=100"], false),
    ] {
        let done = bench(&[&search[..], &times, &objective, &reports].concat());
        let text = std::fs::read_to_string(&json).unwrap();
        let report = firehose::load::report::json::read(&text).unwrap();
        assert_eq!(done.code, Some(report.verdict.exit_code.into()));
        let (first, _) = done.stdout.split_once("\n\n").unwrap();
        let first = first.replace("\n  ", " ");
        let answer = report.search.as_ref().unwrap();
        assert_eq!(answer.max_rate.is_some(), found, "{first}");
        assert!(first.contains(&answer.slo), "{first}");
        assert!(first.contains("held"), "{first}");
        let page = std::fs::read_to_string(&html).unwrap();
        let header = page.split("<h1>").next().unwrap();
        assert!(header.contains("class=\"answer\""), "{header}");
        // A limit of the tester is none of the broker, and not passed.
        let is_limited = !report.verdict.tester_limits.is_empty();
        assert!(!(is_limited && done.stdout.contains("\nPASS")), "{first}");
    }
}

cases![
    every_workload_runs_against_a_broker_of_its_own,
    windows_and_closed_loops_are_branded,
    reports_go_where_they_are_sent,
    a_scenario_is_a_command_line_in_a_file,
    the_highest_rate_is_searched,
    the_stress_test_runs_against_mosquitto,
    the_stress_test_runs_against_this_broker,
    a_grid_goes_on_where_it_was,
    a_broker_that_dies_is_a_result,
    what_the_machine_or_the_user_cannot_is_told_in_a_line,
    nobody_is_found_out_at_once,
    an_objective_without_a_search_is_a_threshold,
    a_search_begins_with_its_answer,
];
