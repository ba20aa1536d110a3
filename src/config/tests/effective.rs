//! What `serve --test-config` prints can be read again, gives the same settings, and says where they come from.

use super::*;

/// What is printed for a text, with the directory taken out of the origins.
fn printed(text: &str) -> String {
    let scratch = Scratch::new();
    let path = scratch.file("broker.conf", text);
    let (config, _, effective) = load_described(&path, None).unwrap();
    let folder = format!("{}/", path.parent().unwrap().display());
    effective.text(&config).replace(&folder, "")
}

fn placeless(mut config: Config) -> Config {
    let http = config.http.iter_mut().map(|http| &mut http.listener);
    for listener in config.listeners.iter_mut().chain(http) {
        listener.socket.at = None;
        listener.socket.optional = false;
    }
    (config.local_only, config.is_empty) = (false, false);
    config
}

/// The line of an option, and its origin, by the first that starts so.
fn origin_of<'a>(printed: &'a str, line: &str) -> &'a str {
    let lines: Vec<&str> = printed.lines().collect();
    let index = lines
        .iter()
        .position(|other| *other == line || other.starts_with(&format!("{line} ")))
        .unwrap_or_else(|| panic!("{line:?} in:\n{printed}"));
    match lines[index].split_once(" # ") {
        Some((_, origin)) => origin,
        None => lines[index - 1].trim_matches(['#', ' ', ':']),
    }
}

#[test]
fn what_is_printed_gives_the_same_settings() {
    for text in [
        "",
        "max_qos 1\n",
        "socket_domain ipv4\nallow_anonymous false\n",
        "listener 1883\n",
        "port 1884\nclientid_prefixes a # b\nmount_point a b\nlistener 1885 ::1\nmaximum_qos 1\nmax_qos 0\n",
        "listener 1885\nmaximum_qos 0\nmax_connections 7 # seven\nbind_address 127.0.0.1\nmax_topic_alias 3\n",
        "log_dest stdout\nlog_dest none\nlog_dest file /tmp/a b # c\nlog_dest stderr\nlog_type none\nlog_type error\n",
        "per_listener_settings true\nlistener 1\nallow_anonymous true\nlistener 2\nauto_id_prefix x y\nlistener 0 /run/x.sock\n",
        "allow_anonymous false\nlistener 1\nlistener_allow_anonymous true\nlistener_auto_id_prefix q\nlistener 2\n",
        "listener 80\nprotocol websockets\nwebsockets_origin a\nwebsockets_origin b\nenable_proxy_protocol 2\n",
        "accept_protocol_versions 3, 5\nmax_keepalive 0x10\npersistent_client_expiration 2h\nmax_publish_rate 5/s\n",
        "listener 9883 127.0.0.1\nprotocol http_api\nhttp_dir /srv/a b\nhttp_host a.example\nhttp_host b\nmax_connections 3\n",
        "listener 9883 ::1\nprotocol http_api\nmax_qos 1\nlistener 1883\nmax_qos 0\nlistener 9884 localhost\nprotocol http_api\n",
        "allow_anonymous false\nlistener 9883 ::1\nprotocol http_api\nlistener_allow_anonymous true\nlistener 1\n",
        "per_listener_settings true\nlistener 9883 ::1\nprotocol http_api\nlistener 1\nallow_anonymous true\n",
        "memory_limit 2G\nmemory_account retained 512M\nmemory_account backlog 64M # few\ntls_memory_limit 1M\n",
        "persistence true\npersistence_location /var/lib/a b/\npersistence_file c d.db\npersistence_sync interval 250 # ms\n",
        "persistence true\nretained_persistence false\n",
        "retained_persistence true\npersistence_max_size 1G\npersistence_sync none\n",
        "shards 3\ncpu_list 1-2,7\npid_file /run/a b.pid\nlog_timestamp_format %Y # %m\nmax_packet_size 0x100\n",
    ] {
        let (config, _) = read(text).unwrap();
        let printed = printed(text);
        let (again, _) = read(&printed).unwrap_or_else(|error| panic!("{error}:\n{printed}"));
        assert_eq!(placeless(again), placeless(config), "{text}\n{printed}");
    }
}

#[test]
fn origins_are_lines_and_defaults() {
    let text =
        "max_keepalive 9\n\nmax_keepalive 10\npid_file /run/x\nlistener 1883 ::1\nmax_qos 1\n";
    let printed = printed(text);
    for (line, origin) in [
        ("max_keepalive 10", "broker.conf:3"),
        ("pid_file /run/x", "broker.conf:4"),
        ("listener 1883 ::1", "broker.conf:5"),
        ("max_qos 1", "broker.conf:6"),
        ("allow_anonymous false", "default"),
        ("log_type warning", "default"),
        ("auto_id_prefix auto-", "default"),
        ("max_topic_alias 10", "default"),
    ] {
        assert_eq!(origin_of(&printed, line), origin, "{line}:\n{printed}");
    }
    assert!(!printed.contains("max_keepalive 9"), "{printed}");
    assert!(!printed.contains("tls_version"), "{printed}");
}

#[test]
fn included_files_are_named() {
    let scratch = Scratch::new();
    let included = scratch.file("more.conf", "\nmax_inflight_messages 5\n");
    let folder = included.parent().unwrap().display().to_string();
    let path = scratch.file("broker", &format!("include_dir {folder}\n"));
    let (config, _, effective) = load_described(&path, None).unwrap();
    let printed = effective.text(&config);
    let expected = format!("{folder}/more.conf:2");
    assert_eq!(origin_of(&printed, "max_inflight_messages 5"), expected);
    assert!(!printed.contains("include_dir"), "{printed}");
}

#[test]
fn the_command_line_has_the_last_word() {
    let scratch = Scratch::new();
    let path = scratch.file("broker.conf", "log_type error\nshards 2\n");
    let (mut config, _, mut effective) = load_described(&path, None).unwrap();
    effective.command_line("log_type", "all".into(), "-v");
    assert!(config.use_ports(&[1999]));
    effective.command_line_ports();
    let printed = effective.text(&config);
    assert_eq!(origin_of(&printed, "log_type all"), "command line, -v");
    assert!(!printed.contains("log_type error"), "{printed}");
    assert_eq!(origin_of(&printed, "listener 1999 ::1"), "command line, -p");
}
