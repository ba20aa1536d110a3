//! A Mosquitto as it is found, with its defaults, that bridges to this broker: nothing goes around, retained stays retained,
//! and the state of the bridge is told, at a cut too.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::process::Command;
use std::time::{Duration, Instant};

use support::mosquitto::{Subscriber, clients_needed, publish};
use support::{PATIENCE, Program, Server, needed};

/// Debian's mosquitto at the edge, bridging everything both ways.
fn edge_of(program: &std::path::Path, to: &Server) -> Server {
    let address = format!("address 127.0.0.1:{}", to.port);
    let lines = [
        "connection edge",
        &address,
        "remote_clientid edge",
        "topic # both 1",
        "restart_timeout 1",
    ];
    let lines: Vec<String> = lines.iter().map(|line| line.to_string()).collect();
    Server::start(&Program::Mosquitto(program.into()), &lines)
}

const STATE: &str = "$SYS/broker/connection/edge/state";

/// Topic, whether retained, payload: of messages as they come.
const FORMAT: [&str; 2] = ["-F", "|%t|%r|%p"];

fn subscribe(server: &Server, topic: &str) -> Subscriber {
    Subscriber::start(
        server,
        "3.1.1",
        &["-q", "1", "-t", topic, FORMAT[0], FORMAT[1]],
    )
}

/// What is retained at a port under a topic, once it is this.
fn eventually_retained(port: u16, topic: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let port = port.to_string();
        let mut command = Command::new("mosquitto_sub");
        command
            .args(["-h", "127.0.0.1", "-p", &port, "-t", topic])
            .args(["--retained-only", "-C", "1", "-W", "1", "-F", "%p"]);
        let found = support::run(&mut command);
        if found.stdout.trim_end() == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{topic}: {:?}", found.stdout);
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn a_mosquitto_bridges_both_ways() {
    let path = needed("mosquitto");
    clients_needed();
    for shards in [1, 2] {
        bridged(&path, shards);
    }
}

fn bridged(path: &std::path::Path, shards: u32) {
    let server = Server::start(&Program::Firehose { shards }, &["sys_interval 0".into()]);
    publish(&server, "3.1.1", &["-r", "-t", "before", "-m", "kept"]);
    let state = subscribe(&server, STATE);
    let edge = edge_of(path, &server);
    assert_eq!(state.message(), format!("|{STATE}|0|1"));
    let started = Instant::now();
    while !server
        .log()
        .contains("New bridge connected from 127.0.0.1:")
    {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
    // What was retained here is retained there.
    eventually_retained(edge.port, "before", "kept");
    let (here, there) = (subscribe(&server, "#"), subscribe(&edge, "#"));
    // What was retained before.
    for side in [&here, &there] {
        assert_eq!(side.message(), "|before|1|kept");
    }
    // Each once, from both sides, live and retained, and in between what ends the wait.
    for number in 0..20 {
        let payload = number.to_string();
        publish(
            &edge,
            "3.1.1",
            &["-q", "1", "-t", "from/edge", "-m", &payload],
        );
        assert_eq!(here.message(), format!("|from/edge|0|{number}"));
        assert_eq!(there.message(), format!("|from/edge|0|{number}"));
        publish(
            &server,
            "3.1.1",
            &["-q", "1", "-t", "from/here", "-m", &payload],
        );
        assert_eq!(here.message(), format!("|from/here|0|{number}"));
        assert_eq!(there.message(), format!("|from/here|0|{number}"));
    }
    publish(
        &edge,
        "3.1.1",
        &["-q", "1", "-r", "-t", "kept/edge", "-m", "e"],
    );
    assert_eq!(here.message(), "|kept/edge|0|e");
    assert_eq!(there.message(), "|kept/edge|0|e");
    eventually_retained(server.port, "kept/edge", "e");
    publish(
        &server,
        "3.1.1",
        &["-q", "1", "-r", "-t", "kept/here", "-m", "h"],
    );
    assert_eq!(here.message(), "|kept/here|0|h");
    assert_eq!(there.message(), "|kept/here|0|h");
    eventually_retained(edge.port, "kept/here", "h");
    // A cut without a word: the will says so.
    edge.signal("KILL");
    assert_eq!(state.message(), format!("|{STATE}|0|0"));
    eventually_retained(server.port, STATE, "0");
    publish(&server, "3.1.1", &["-q", "1", "-t", "last", "-m", "x"]);
    assert_eq!(here.message(), "|last|0|x", "nothing was on its way around");
}

/// Its will's topic has five levels; whoever reads the log knows which option keeps it out.
fn a_bridge_that_a_bound_on_levels_keeps_out_is_told_with_the_option() {
    let path = needed("mosquitto");
    let config = ["sys_interval 0".into(), "max_topic_levels 4".into()];
    let server = Server::start(&Program::Firehose { shards: 1 }, &config);
    let _edge = edge_of(&path, &server);
    let wanted = format!(
        "topic name invalid: the topic of its will, '{STATE}', has 5 levels, and max_topic_levels allows 4."
    );
    let started = Instant::now();
    while !server.log().contains(&wanted) {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

cases![
    a_mosquitto_bridges_both_ways,
    a_bridge_that_a_bound_on_levels_keeps_out_is_told_with_the_option,
];
