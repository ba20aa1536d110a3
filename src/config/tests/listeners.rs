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

#[test]
fn a_listener_of_http_is_none_of_mqtt() {
    let places = |config: &Config| {
        let mqtt: Vec<u16> = config.listeners.iter().map(|one| one.socket.port).collect();
        let http = config.http.iter().map(|one| one.listener.socket.port);
        (mqtt, http.collect::<Vec<u16>>())
    };
    let text = "listener 9883 127.0.0.1\nprotocol http_api\nhttp_host A.example\nhttp_dir /srv\n";
    let (config, warned) = read(text).unwrap();
    // MQTT is served as where no listener is configured.
    assert_eq!(places(&config), (vec![1883, 1883], vec![9883]));
    assert!(config.local_only && warned.is_empty());
    let http = &config.http[0];
    assert_eq!(http.hosts, ["a.example"]);
    assert_eq!(http.directory.as_deref(), Some(Path::new("/srv")));
    assert!(http.listener.settings.allow_anonymous);
    let (config, _) = read(&format!("listener 1884\n{text}")).unwrap();
    assert_eq!(places(&config), (vec![1884], vec![9883]));
    assert!(!config.local_only && !config.listeners[0].settings.allow_anonymous);
    let (config, _) = read(&format!("allow_anonymous false\n{text}")).unwrap();
    assert!(!config.http[0].listener.settings.allow_anonymous);
    let (config, _) = read("port 9883\nbind_address ::1\nprotocol http_api\n").unwrap();
    assert_eq!(places(&config), (vec![1883, 1883], vec![9883]));
    let text =
        |directory| format!("listener 9883 127.0.0.1\nprotocol http_api\nhttp_dir {directory}\n");
    for (directory, why) in [
        (
            "/nowhere/at/all",
            "/nowhere/at/all cannot be served from: No such file",
        ),
        ("/etc/hostname", "/etc/hostname is no directory"),
    ] {
        let warned = warnings(&text(directory));
        assert!(warned.len() == 1 && warned[0].contains(why), "{warned:?}");
        assert!(warned[0].starts_with("3: http_dir: "), "{warned:?}");
    }
    assert!(warnings(&text("/srv")).is_empty());
    let warned = warnings("listener 80\nprotocol websockets\nhttp_dir /srv\n");
    assert_eq!(warned.len(), 1);
    assert!(warned[0].starts_with("3: http_dir: "), "{warned:?}");
    let text = error("listener 9883 127.0.0.1\nprotocol http_api\nhttp_host http://a\n");
    assert!(text.starts_with("3: http_host: "), "{text}");
}

#[test]
fn http_that_others_reach_has_users() {
    let scratch = Scratch::new();
    let users = scratch.file("users", "ann:$6$c2FsdHNhbHRzYWx0$eA==\n");
    let users = format!("password_file {}\n", users.display());
    let http = "listener 9883 192.0.2.1\nprotocol http_api\n";
    for text in [
        http.to_string(),
        format!("allow_anonymous true\n{http}"),
        format!("allow_anonymous true\n{users}{http}"),
        "listener 9883\nprotocol http_api\n".into(),
        "listener 9883 a.example\nprotocol http_api\n".into(),
    ] {
        let text = error(&text);
        assert!(text.contains("wants `allow_anonymous false`"), "{text}");
    }
    let (config, _) = read(&format!("{users}{http}")).unwrap();
    assert!(!config.http[0].listener.settings.allow_anonymous);
}
