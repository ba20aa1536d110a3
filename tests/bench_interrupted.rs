//! `firehose bench` and a user who does not wait for its end: what was measured is told and nothing of it is lost, a
//! second signal ends it at once, and nothing stays behind at the broker. And reports that have no place to go to.

mod support;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use firehose::load::report::json;
use firehose::load::result::{Answer, Report, SearchEnd};
use support::client::Client;
use support::{Folder, Server};

/// Starts a run against a server; its JSON report goes to the folder.
fn start(server: &Server, folder: &Folder, arguments: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_firehose"))
        .arg("bench")
        .args(arguments)
        .args(["--host", "127.0.0.1", "--port"])
        .arg(server.port.to_string())
        .args(["--broker-pid", &server.pid().to_string()])
        .arg("--json")
        .arg(folder.0.join("r.json"))
        .arg("--html")
        .arg(folder.0.join("r.html"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

/// What was printed, and the report.
fn end(mut child: Child, folder: &Folder) -> (Option<i32>, String, Report) {
    let stdout = support::reader(child.stdout.take().unwrap());
    let stderr = support::reader(child.stderr.take().unwrap());
    let status = support::wait_for(&mut child).expect("it goes on and on");
    let text = stdout.join().unwrap() + &stderr.join().unwrap();
    let report = std::fs::read_to_string(folder.0.join("r.json"));
    let report = json::read(&report.unwrap_or_else(|_| panic!("{text}")));
    (status.code(), text, report.unwrap())
}

/// A client that sees all messages.
fn witness(server: &Server) -> Client {
    let mut client = Client::connect(server.address(), 4, "witness", true, None);
    client.subscribe("#");
    client
}

/// Waits until so many messages have come, and acknowledges them where that is due.
fn await_packets(client: &mut Client, packets: u32) {
    for _ in 0..packets {
        let packet = client.packet().expect("the connection ended");
        if packet[0] & 0x06 != 0 {
            client.acknowledge(&packet);
        }
    }
}

#[test]
fn what_was_measured_is_told_and_nothing_is_lost() {
    for (name, qos, option) in [
        ("INT", "0", "--rate=1000"),
        ("INT", "1", "--rate=1000"),
        ("TERM", "2", "--rate=1000"),
        ("INT", "1", "--window=20"),
    ] {
        let folder = Folder::new("bench-interrupted");
        let server = Server::under_test(1, &[]);
        let mut witness = witness(&server);
        let run = ["fanout", "--subscribers=20", "--warm-up=0"];
        let more = ["--duration=100s", "--repeat=3", "--qos", qos, option];
        let child = start(&server, &folder, &[&run[..], &more].concat());
        await_packets(&mut witness, 300);
        signal(&child, name);
        let (code, text, report) = end(child, &folder);
        assert_eq!(code, Some(130), "{text}");
        let v = &report.verdict;
        assert_eq!((v.answer, v.exit_code), (Answer::CutShort, 130), "{text}");
        assert!(
            report.cut_short && !v.passed && v.failures.is_empty(),
            "{text}"
        );
        assert_eq!(report.runs.len(), 1);
        let step = &report.runs[0].steps[0];
        let found = &step.verification;
        assert!(found.violations.is_empty(), "{text}");
        assert_eq!((found.lost, found.received), (0, found.expected), "{text}");
        assert!(found.expected >= 299 * 20 && step.published > 0, "{text}");
        assert!(step.seconds > 0.0 && step.seconds < 90.0, "{text}");
        // The broker's figures are of the same time.
        let broker = step.broker.as_ref().expect("the broker's figures");
        assert!(broker.rss_peak_bytes > 0 && broker.busy > 0.0, "{broker:?}");
        let page = std::fs::read_to_string(folder.0.join("r.html")).unwrap();
        for brand in [&text, &page] {
            assert!(brand.contains("CUT SHORT: it was ended"), "{brand}");
        }
        assert!(
            !text.contains("\nPASS") && !text.contains("\nFAIL"),
            "{text}"
        );
    }
}

#[test]
fn a_search_that_is_cut_short_says_what_held() {
    let folder = Folder::new("bench-interrupted-search");
    let server = Server::under_test(1, &[]);
    let mut witness = witness(&server);
    let arguments = [
        "fanout",
        "--subscribers=2",
        "--warm-up=0",
        "--duration=500ms",
        "--find-max",
        "--rate=200",
        "--slo=p50=10s",
    ];
    let child = start(&server, &folder, &arguments);
    // The first attempt is over, and the second goes on.
    await_packets(&mut witness, 150);
    signal(&child, "INT");
    let (code, text, report) = end(child, &folder);
    assert_eq!(code, Some(130), "{text}");
    let search = report.search.unwrap();
    assert_eq!(search.ended, SearchEnd::CutShort, "{text}");
    assert!(text.contains("before the search was ended"), "{text}");
}

/// Retained messages and durable sessions of a run that ceases are taken away all the same.
#[test]
fn nothing_stays_behind_at_the_broker() {
    let server = Server::under_test(1, &[]);
    for run in [
        ["retained", "--messages=20000", "--rate=2000"],
        ["backlog", "--messages=20000", "--rate=2000"],
    ] {
        let folder = Folder::new("bench-interrupted-stored");
        let mut witness = witness(&server);
        let child = start(&server, &folder, &[&run[..], &["--subscribers=3"]].concat());
        await_packets(&mut witness, 100);
        signal(&child, "INT");
        let (code, text, report) = end(child, &folder);
        assert_eq!(code, Some(130), "{text}");
        assert!(report.cut_short, "{text}");
        witness.disconnect();
        // No retained message comes before one that is published now, and no session takes any.
        let mut reader = Client::connect(server.address(), 4, "reader", true, None);
        let mut back = Client::connect(server.address(), 4, "bench-s0", false, None);
        reader.subscribe("bench/#");
        reader.publish_once("bench/backlog/0", b"last");
        let packet = reader.packet().expect("the connection ended");
        assert!(packet.ends_with(b"last"), "{run:?}: {packet:?}");
        back.ping();
        reader.disconnect();
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let folder = Folder::new("bench-interrupted-twice");
    let server = Server::under_test(1, &[]);
    let mut witness = witness(&server);
    let run = ["fanout", "--subscribers=2", "--warm-up=0", "--qos=1"];
    let more = ["--duration=100s", "--drain=100s", "--rate=1000"];
    let mut child = start(&server, &folder, &[&run[..], &more].concat());
    await_packets(&mut witness, 100);
    // What is under way is waited for, and does not come.
    server.signal("STOP");
    signal(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    let is_patient = child.try_wait().unwrap().is_none();
    let began = Instant::now();
    let code = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status.code();
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it goes on");
        signal(&child, "INT");
        std::thread::sleep(Duration::from_millis(50));
    };
    server.signal("CONT");
    assert!(is_patient && code == Some(130), "{code:?}");
}

/// A place that is none is found before anything is started; one that is lost on the way costs nothing of the text.
#[test]
fn a_report_without_a_place_does_not_cost_the_run() {
    let folder = Folder::new("bench-no-place");
    let began = Instant::now();
    let early = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["bench", "fanout", "--duration=200s", "--json"])
        .arg(folder.0.join("no/r.json"))
        .output()
        .unwrap();
    assert_eq!(early.status.code(), Some(2));
    assert!(began.elapsed() < Duration::from_secs(60));
    let told = String::from_utf8(early.stderr).unwrap();
    assert!(told.contains("no/r.json: No such file"), "{told}");

    let place = folder.0.join("place");
    std::fs::create_dir(&place).unwrap();
    let server = Server::under_test(1, &[]);
    let mut witness = witness(&server);
    let run = ["fanout", "--subscribers=2", "--warm-up=0", "--quiet"];
    let json = place.join("r.json");
    let csv = format!("--csv={}", json.with_extension("csv").display());
    let more = ["--duration=2s", "--rate=100", &csv];
    let child = start(&server, &folder, &[&run[..], &more].concat());
    await_packets(&mut witness, 10);
    std::fs::remove_dir_all(&place).unwrap();
    let (code, text, report) = end(child, &folder);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("every message arrived once"), "{text}");
    assert!(text.contains("r.csv: No such file"), "{text}");
    assert!(report.verdict.passed);
}
