//! The command line: pymqttbench's names and defaults, ours, and what does not go together.

use std::path::Path;

use super::{args, parsed};

#[test]
fn defaults_are_those_of_pymqttbench() {
    let args = args("");
    assert_eq!((args.pub_clients, args.sub_clients), (10, 10));
    assert_eq!((args.pub_count, args.sub_count), (10, 10));
    assert_eq!((args.sub_timeout, args.pub_timeout), (60, 60));
    assert_eq!((args.msg_size, args.qos, args.brief), (1024, 0, false));
    assert_eq!(
        (args.topic(), args.filter().as_str()),
        ("pybench", "pybench/#")
    );
    assert_eq!(
        (args.grid.is_asked_for, args.grid.max, args.runs()),
        (false, 1024, 1)
    );
    assert_eq!(args.dat(), Path::new("stresstest.dat"));
    assert_eq!(args.check(), Ok(()));
}

#[test]
fn every_option_of_pymqttbench_is_taken() {
    let args = args(
        "--hostname firehose.openstack.org --port 1884 --pub-clients 1 --sub-clients 2 --pub-count 30 --sub-count 4 \
         --msg-size 25 --sub-timeout 6 --pub-timeout 7 --topic a/b --username u --password p --qos 2 --brief",
    );
    assert_eq!(args.address(), Some(("firehose.openstack.org", 1884)));
    assert_eq!((args.pub_clients, args.sub_clients), (1, 2));
    assert_eq!((args.pub_count, args.sub_count), (30, 4));
    assert_eq!(
        (args.msg_size, args.sub_timeout, args.pub_timeout),
        (25, 6, 7)
    );
    assert_eq!(args.filter(), "a/b/#");
    assert_eq!(args.client.username.as_deref(), Some("u"));
    assert_eq!(
        args.client.password.as_ref().map(|p| p.bytes()),
        Some(&b"p"[..])
    );
    assert_eq!((args.qos, args.brief), (2, true));
    assert_eq!(args.check(), Ok(()));
}

#[test]
fn the_broker_is_our_own_unless_host_or_port_is_named() {
    assert_eq!(args("").address(), None);
    assert_eq!(args("--port 1").address(), Some(("localhost", 1)));
    assert_eq!(args("--hostname h").address(), Some(("h", 1883)));
    assert_eq!(args("--host h").address(), Some(("h", 1883)));
}

#[test]
fn the_grid_has_options_of_its_own() {
    let args = args("--grid --grid-max 8 --dat a.dat --published b.dat --html c.html --settle-s 0");
    assert_eq!((args.grid.max, args.runs(), args.settle_s), (8, 6, 0.0));
    assert_eq!(args.dat(), Path::new("a.dat"));
    for alone in ["--dat a", "--published a", "--html a", "--grid-max 4"] {
        assert!(parsed(alone).is_err(), "{alone} without --grid");
    }
    assert!(parsed("--grid --pub-clients 3").is_err());
    assert!(parsed("--grid --sub-clients 3").is_err());
}

#[test]
fn nonsense_is_refused() {
    for line in [
        "--pub-clients 0",
        "--sub-count 0",
        "--qos 3",
        "--port 0",
        "--password p",
        "--settle-s -1",
        "--settle-s nan",
        "--repeat 0",
        "--sub-timeout 0",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn a_message_has_room_for_what_verifies_it() {
    let error = args("--msg-size 23").check().unwrap_err();
    assert!(error.contains("at least 24 bytes"), "{error}");
    assert_eq!(args("--msg-size 24").check(), Ok(()));
}

#[test]
fn tls_is_by_files_that_are_there() {
    assert!(args("").wire().is_ok_and(|wire| wire.is_plain()));
    let error = args("--cacert /nowhere/ca.pem").wire().unwrap_err();
    assert!(error.starts_with("/nowhere/ca.pem: "), "{error}");
    assert!(parsed("--cert c.pem --key k.pem").is_err());
    assert!(parsed("--cacert ca.pem --key k.pem").is_err());
}

#[test]
fn a_topic_with_a_wildcard_is_refused() {
    assert!(args("--topic a/#").check().is_err());
    assert!(args("--topic +").check().is_err());
    assert_eq!(args("--topic=").topic(), "pybench");
}

#[test]
fn more_messages_awaited_than_published_is_refused_in_the_same_words() {
    let error = args("--pub-clients 1 --pub-count 5").check().unwrap_err();
    assert_eq!(
        error,
        "The configured number of publisher clients and published message count is too small for the configured \
         subscriber count. Increase the value of --pub-count and/or --pub-clients, or decrease the value of --sub-count."
    );
    // The grid has cells with a single publisher.
    assert!(args("--grid --sub-count 11").check().is_err());
    assert_eq!(args("--sub-count 100").check(), Ok(()));
}
