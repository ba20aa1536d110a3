//! What a client may read is asked when it is sent: with mosquitto's clients, that go away and come back as another, while
//! files and listeners change.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::process::Command;

use support::mosquitto::{Subscriber, clients_needed, publish};
use support::{Folder, Server, free_port, program, run};

fn lines(text: &str) -> Vec<String> {
    text.lines().map(|line| line.trim().into()).collect()
}

/// Runs mosquitto_sub with a session that lasts, to its end.
fn subscriber(port: u16, arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new("mosquitto_sub");
    let port = port.to_string();
    command.args(["-h", "127.0.0.1", "-p", &port, "-V", "mqttv311"]);
    command.args(["-c", "-i", "s", "-q", "1", "-t", "#", "-W", "20"]);
    let done = run(command.args(arguments));
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
    lines(&done.stdout)
}

fn subscribe(port: u16, who: &[&str]) {
    subscriber(port, &[who, &["-E"]].concat());
}

/// The topics of what waits for the session, up to one that ends with `end`.
fn waiting(port: u16, who: &[&str], count: &str) -> Vec<String> {
    subscriber(port, &[who, &["-F", "%t", "-C", count]].concat())
}

fn publish_all(server: &Server, topics: &[&str]) {
    for topic in topics {
        let arguments = ["-u", "infra", "-q", "1", "-t", topic, "-m", "x"];
        publish(server, "3.1.1", &arguments);
    }
}

const INFRA: [&str; 2] = ["-u", "infra"];

fn who_comes_back_as_another_gets_what_that_one_may_read() {
    clients_needed();
    for shards in [1, 2] {
        let rules = "acl: topic read pub/#\nacl: user infra\nacl: topic readwrite #";
        let server = Server::start(&program(shards), &lines(rules));
        subscribe(server.port, &INFRA);
        publish_all(&server, &["secret/1", "pub/1", "secret/2", "pub/end"]);
        let seen = waiting(server.port, &[], "2");
        assert_eq!(seen, ["pub/1", "pub/end"]);
    }
}

fn a_right_that_a_reload_takes_away_is_gone_for_what_waits() {
    clients_needed();
    for shards in [1, 2] {
        let rules = "acl: user infra\nacl: topic readwrite #";
        let server = Server::start(&program(shards), &lines(rules));
        subscribe(server.port, &INFRA);
        publish_all(&server, &["secret/1", "pub/1", "secret/2", "pub/end"]);
        let fewer = "acl: user infra\nacl: topic write #\nacl: topic read pub/#";
        let log = server.reconfigure(&lines(fewer));
        assert!(log.contains("has other ACL."), "{log}");
        let seen = waiting(server.port, &INFRA, "2");
        assert_eq!(seen, ["pub/1", "pub/end"]);
    }
}

fn what_is_acknowledged_while_the_file_is_out_and_back_arrives() {
    clients_needed();
    for shards in [1, 2] {
        let rules = lines("acl: user infra\nacl: topic readwrite #");
        let server = Server::start(&program(shards), &rules);
        subscribe(server.port, &INFRA);
        server.reconfigure(&[]);
        publish_all(&server, &["without"]);
        server.reconfigure(&rules);
        publish_all(&server, &["with"]);
        assert_eq!(waiting(server.port, &INFRA, "2"), ["without", "with"]);
    }
}

/// With one listener, with two, without the second, with another in its place, and with the second again.
fn a_session_that_is_away_keeps_the_rules_of_its_listener() {
    clients_needed();
    let folder = Folder::new("rights");
    let narrow = folder.write("narrow", "topic read pub/#\n");
    let open = folder.write("open", "topic readwrite #\n");
    for shards in [1, 2] {
        let (second, third) = (free_port(), free_port());
        let listener = |port: u16, acl: &std::path::Path| {
            format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\nacl_file {}",
                acl.display()
            )
        };
        let config = |more: &str| lines(&format!("per_listener_settings true\n{more}"));
        let original = config(&listener(second, &narrow));
        let server = Server::start(&program(shards), &original);
        subscribe(second, &[]);
        let topics = ["secret/x", "pub/x"];
        server.reconfigure(&config(""));
        publish_all(&server, &topics);
        server.reconfigure(&config(&listener(third, &open)));
        publish_all(&server, &topics);
        // Its own again, beside the other.
        let both = format!("{}\n{}", listener(third, &open), listener(second, &narrow));
        server.reconfigure(&config(&both));
        publish_all(&server, &topics);
        server.reconfigure(&original);
        publish_all(&server, &["secret/end", "pub/end"]);
        let seen = waiting(second, &[], "4");
        assert_eq!(seen, ["pub/x", "pub/x", "pub/x", "pub/end"]);
    }
}

/// Nine that may not read join a group with one that may: it gets everything.
fn a_member_that_may_not_read_is_passed_over() {
    clients_needed();
    for shards in [1, 2, 3] {
        let rules = "acl: topic read pub/#\nacl: user infra\nacl: topic readwrite #";
        let server = Server::start(&program(shards), &lines(rules));
        let share = ["-t", "$share/g/secret/#", "-q", "1", "-F", "|%t %p"];
        let strangers: Vec<Subscriber> = (0..9)
            .map(|_| Subscriber::start(&server, "5", &share))
            .collect();
        let worker = Subscriber::start(&server, "5", &[&share[..], &INFRA].concat());
        let mut publisher = Command::new("mosquitto_pub");
        let port = server.port.to_string();
        publisher.args(["-h", "127.0.0.1", "-p", &port, "-u", "infra"]);
        publisher.args(["-q", "1", "-t", "secret/x", "-l"]);
        let numbers: String = (0..1000).map(|number| format!("{number}\n")).collect();
        publisher.stdin(std::process::Stdio::piped());
        let mut publisher = publisher.spawn().unwrap();
        std::io::Write::write_all(&mut publisher.stdin.take().unwrap(), numbers.as_bytes())
            .unwrap();
        let mut seen: Vec<u32> = (0..1000)
            .map(|_| {
                let message = worker.message();
                message.strip_prefix("|secret/x ").unwrap().parse().unwrap()
            })
            .collect();
        assert!(publisher.wait().unwrap().success());
        seen.sort_unstable();
        assert_eq!(seen, (0..1000).collect::<Vec<_>>());
        drop(strangers);
    }
}

/// `check_retain_source`: what somebody stored goes with its right to write, and comes back with it.
fn a_retained_message_needs_the_right_of_who_stored_it() {
    clients_needed();
    for shards in [1, 2] {
        for checks in [true, false] {
            let rules = |writes: &str| {
                lines(&format!(
                    "check_retain_source {checks}\nacl: topic read #\nacl: user infra\n\
                     acl: topic write #\nacl: user temp\nacl: topic write {writes}"
                ))
            };
            let server = Server::start(&program(shards), &rules("t/#"));
            for (user, topic) in [("temp", "t/1"), ("infra", "t/2"), ("temp", "t/3")] {
                let arguments = ["-r", "-u", user, "-q", "1", "-t", topic, "-m", "x"];
                publish(&server, "5", &arguments);
            }
            let retained = |count: &str| {
                let mut command = Command::new("mosquitto_sub");
                let port = server.port.to_string();
                command.args(["-h", "127.0.0.1", "-p", &port, "-t", "#", "-F", "%t"]);
                let done = run(command.args(["--retained-only", "-W", "20", "-C", count]));
                let mut seen = lines(&done.stdout);
                seen.sort();
                seen
            };
            assert_eq!(retained("3"), ["t/1", "t/2", "t/3"]);
            server.reconfigure(&rules("u/#"));
            if checks {
                assert_eq!(retained("1"), ["t/2"]);
            } else {
                assert_eq!(retained("3"), ["t/1", "t/2", "t/3"]);
            }
            server.reconfigure(&rules("t/3"));
            if checks {
                assert_eq!(retained("2"), ["t/2", "t/3"]);
            }
        }
    }
}

cases![
    who_comes_back_as_another_gets_what_that_one_may_read,
    a_right_that_a_reload_takes_away_is_gone_for_what_waits,
    what_is_acknowledged_while_the_file_is_out_and_back_arrives,
    a_session_that_is_away_keeps_the_rules_of_its_listener,
    a_member_that_may_not_read_is_passed_over,
    a_retained_message_needs_the_right_of_who_stored_it,
];
