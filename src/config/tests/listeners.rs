//! Which listeners there are, and which of them an option is about.

use super::*;

#[test]
fn listener_options_are_about_the_listener_above() {
    let config = config(
        "listener 1884 127.0.0.1\nmax_connections 10\nmax_qos 1\nmax_topic_alias 0\nmount_point a/b/\n\
         bind_interface lo\nsocket_domain ipv4\nprotocol mqtt\n\
         listener 1885\nmax_topic_alias_broker 5\nuse_username_as_clientid true\naccept_protocol_versions 4, 5\n",
    );
    assert!(!config.local_only);
    let [one, two] = &sockets(&config)[..] else {
        panic!("{:?}", sockets(&config))
    };
    assert_eq!(
        (one.port, one.address.as_deref(), one.max_connections),
        (1884, Some("127.0.0.1"), Some(10))
    );
    assert_eq!(
        (one.interface.as_deref(), one.domain),
        (Some("lo"), SocketDomain::V4)
    );
    assert_eq!(
        (two.port, two.address.as_deref(), two.max_connections),
        (1885, None, None)
    );
    assert_eq!((two.domain, two.optional), (SocketDomain::Any, false));
    let [one, two] = &granted(&config)[..] else {
        unreachable!()
    };
    assert_eq!(
        (
            one.port,
            one.max_qos,
            one.max_topic_alias,
            one.mount_point.as_str()
        ),
        (1884, 1, 0, "a/b/")
    );
    assert_eq!(
        (
            two.port,
            two.max_qos,
            two.max_topic_alias,
            two.max_topic_alias_broker
        ),
        (1885, 2, 10, 5)
    );
    assert!(!one.use_username_as_clientid && two.use_username_as_clientid);
    assert_eq!(
        (one.accept_versions, two.accept_versions),
        ([true; 3], [false, true, true])
    );
}

#[test]
fn anonymous_clients_are_let_in_only_where_asked_for_or_local() {
    let anonymous = |text: &str| -> Vec<bool> {
        granted(&config(text))
            .iter()
            .map(|l| l.allow_anonymous)
            .collect()
    };
    assert_eq!(anonymous(""), [true, true]);
    assert_eq!(anonymous("allow_anonymous false\n"), [false, false]);
    assert_eq!(anonymous("listener 1884\n"), [false]);
    assert_eq!(anonymous("port 1884\n"), [false]);
    assert_eq!(anonymous("bind_address 127.0.0.1\n"), [false]);
    assert_eq!(
        anonymous("listener 1884\nallow_anonymous true\nlistener 1885\n"),
        [true, true]
    );
    let own = "per_listener_settings true\nlistener 1884\nallow_anonymous true\nlistener 1885\n";
    assert_eq!(anonymous(own), [true, false]);
    let own =
        "allow_anonymous true\nlistener 1884\nlistener 1885\nlistener_allow_anonymous false\n";
    assert_eq!(anonymous(own), [true, false]);
}

#[test]
fn client_ids_follow_the_broker_or_the_listener() {
    let all = config(
        "auto_id_prefix x-\nallow_zero_length_clientid false\nlistener 1884\nlistener 1885\n",
    );
    for listener in &granted(&all) {
        assert_eq!(listener.auto_id_prefix, "x-");
        assert!(!listener.allow_zero_length_clientid);
    }
    let own =
        config("per_listener_settings true\nlistener 1884\nauto_id_prefix y-\nlistener 1885\n");
    let prefixes: Vec<_> = granted(&own)
        .into_iter()
        .map(|l| l.auto_id_prefix)
        .collect();
    assert_eq!(prefixes, ["y-", "auto-"]);
}

#[test]
fn port_and_bind_address_make_one_listener() {
    let config = config("port 1884\nbind_address 127.0.0.1\nmax_connections 5\n");
    let [socket] = &sockets(&config)[..] else {
        panic!()
    };
    assert_eq!(
        (
            socket.port,
            socket.address.as_deref(),
            socket.max_connections
        ),
        (1884, Some("127.0.0.1"), Some(5))
    );
    assert_eq!(
        warnings("port 1884\nport 1885\n"),
        ["2: port: given before, only the latest is used"]
    );
}

#[test]
fn listener_option_without_a_listener_stays_on_this_host() {
    let (config, warnings) = read("max_connections 5\nsocket_domain ipv4\n").unwrap();
    let [socket] = &sockets(&config)[..] else {
        panic!()
    };
    assert_eq!(
        (socket.port, socket.address.as_deref()),
        (1883, Some("127.0.0.1"))
    );
    assert_eq!(socket.max_connections, Some(5));
    assert!(
        warnings[0]
            .to_string()
            .contains("1: max_connections: no listener is configured")
    );
}

#[test]
fn listener_option_above_the_first_listener_opens_the_default_one() {
    let (config, warnings) = read("max_connections 5\nlistener 1884\n").unwrap();
    let ports: Vec<_> = sockets(&config)
        .iter()
        .map(|s| (s.port, s.max_connections))
        .collect();
    assert_eq!(ports, [(1884, None), (1883, Some(5))]);
    assert!(granted(&config).iter().all(|l| !l.allow_anonymous));
    assert!(
        warnings[0]
            .text
            .contains("opens port 1883 on all addresses")
    );
}
