//! Who may do what, over sockets: with mosquitto_pub and mosquitto_sub, and side by side with Debian's mosquitto.

#[path = "access/wire.rs"]
mod wire;

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::time::{Duration, Instant};

use firehose::limits::PASSWORDS_WAITING_MAX;

use support::mosquitto::{self, Subscriber};
use support::{Program, Server, needed};
use wire::{Who, Wire};

const VERSIONS: [&str; 3] = ["3.1", "3.1.1", "5"];

fn start(program: &Program, config: &str) -> Server {
    let lines: Vec<String> = config.lines().map(|line| line.trim().into()).collect();
    Server::start(program, &lines)
}

fn clients_of_mosquitto_see_what_the_file_allows() {
    mosquitto::clients_needed();
    let server = start(
        &Program::Firehose { shards: 2 },
        "acl: topic read #
         acl: topic read $SYS/#
         acl: topic deny secret/#
         acl: user infra
         acl: topic readwrite #
         sys_interval 1",
    );
    for version in VERSIONS {
        let format = ["-F", "|%t %p", "-t", "#"];
        let anonymous = Subscriber::start(&server, version, &format);
        let infra = Subscriber::start(&server, version, &[&format[..], &["-u", "infra"]].concat());
        for qos in ["0", "1", "2"] {
            let by = |user: &[&str], topic: &str, text: &str| {
                let arguments = [user, &["-t", topic, "-m", text, "-q", qos]].concat();
                mosquitto::publish(&server, version, &arguments);
            };
            by(&[], "open", "denied");
            by(&["-u", "infra"], "secret/x", "hidden");
            by(&["-u", "infra"], "open", "seen");
            assert_eq!(anonymous.message(), "|open seen", "{version} {qos}");
            // Those who published them were on different shards, perhaps.
            let mut seen = [infra.message(), infra.message()];
            seen.sort();
            assert_eq!(seen, ["|open seen", "|secret/x hidden"], "{version} {qos}");
        }
        let arguments = ["-F", "|%t", "-t", "$SYS/broker/version"];
        let sys = Subscriber::start(&server, version, &arguments);
        assert_eq!(sys.message(), "|$SYS/broker/version");
    }
}

fn rules_of_one_listener_are_not_those_of_another() {
    let port = support::free_port();
    let config = format!(
        "per_listener_settings true
         acl: topic read #
         listener {port} 127.0.0.1
         allow_anonymous true"
    );
    // `acl_file` is appended last, and so is about the second listener.
    for (config, expected) in [
        (config.clone(), [true, false]),
        (config.replace("true\n", "false\n"), [false, false]),
    ] {
        let server = start(&Program::Firehose { shards: 2 }, &config);
        let second = ([127, 0, 0, 1], port).into();
        let allowed = [server.address(), second].map(|address| {
            let (mut wire, code) = Wire::connect(address, 5, &Who::new("a", None));
            assert_eq!(code, 0);
            wire.publish(&["t".to_string()], &mut Vec::new())[0]
        });
        assert_eq!(allowed, expected, "{config}");
    }
}

/// By mosquitto_passwd; the password is `secret`.
const USER: &str = "password: u:$7$101$o5C7I+5Jq7TLiOYz$rnSaQX5abtF/GMRU+BPays7bMhGoarbE26qavZM4bvXiQx/3Bq1hqSpVdkSnA8COYcyjyDwQutZzY1Zyzk5iNA==";

fn clients_of_mosquitto_are_let_in_with_their_passwords() {
    mosquitto::clients_needed();
    let server = start(
        &Program::Firehose { shards: 2 },
        &format!("{USER}\nallow_anonymous false"),
    );
    let named = ["-u", "u", "-P", "secret"];
    for version in VERSIONS {
        let format = ["-F", "|%t %p", "-t", "#"];
        let reader = Subscriber::start(&server, version, &[&format[..], &named].concat());
        for qos in ["0", "1", "2"] {
            let arguments = [&named[..], &["-t", "t", "-m", qos, "-q", qos]].concat();
            mosquitto::publish(&server, version, &arguments);
            assert_eq!(reader.message(), format!("|t {qos}"));
        }
    }
    for (level, code) in [(3, 5), (4, 5), (5, 0x87)] {
        for (user, password) in [
            (Some("u"), Some("wrong")),
            (Some("u"), None),
            (Some("v"), Some("secret")),
            (None, None),
        ] {
            let mut who = Who::new("c", user);
            who.password = password.map(String::from);
            let (mut wire, found) = Wire::connect(server.address(), level, &who);
            assert_eq!(found, code, "{level} {who:?}");
            assert!(wire.is_closed());
        }
    }
}

fn a_storm_of_wrong_passwords_holds_nobody_up() {
    let server = start(&Program::Firehose { shards: 2 }, USER);
    let (mut calm, _) = Wire::connect(server.address(), 5, &Who::new("calm", None));
    let mut wrong = Who::new("", Some("u"));
    wrong.password = Some("wrong".into());
    let mut storm: Vec<Wire> = Vec::new();
    let mut slowest = Duration::ZERO;
    for index in 0..PASSWORDS_WAITING_MAX + 400 {
        let mut wire = Wire::open(server.address());
        wrong.id = format!("storm-{index}");
        wire.send(&wire::connect(if index % 2 == 0 { 5 } else { 4 }, &wrong));
        storm.push(wire);
        if index % 20 == 0 {
            let since = Instant::now();
            calm.send(&[0xc0, 0]);
            assert_eq!(calm.packet(), [0xd0, 0]);
            slowest = slowest.max(since.elapsed());
        }
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    let mut busy = 0;
    for (index, wire) in storm.iter_mut().enumerate() {
        let connack = wire.packet();
        assert_eq!(connack[0], 0x20);
        match (index % 2, connack[3]) {
            (0, 0x87) | (1, 5) => {}
            (0, 0x97) | (1, 3) => busy += 1,
            other => panic!("{other:?}"),
        }
        assert!(wire.is_closed());
    }
    println!(
        "{busy} of {} were too many; slowest answer {slowest:?}",
        storm.len()
    );
    let mut right = Who::new("right", Some("u"));
    right.password = Some("secret".into());
    assert_eq!(Wire::connect(server.address(), 5, &right).1, 0);
}

/// A repeatable sequence.
struct Random(u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % count
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

// None with a `/`: patterns are not for those since Mosquitto 2.1, and Debian's is older.
const USERS: [&str; 5] = ["u", "v", "u.v", "u+", "w w"];
const IDS: [&str; 5] = ["c", "d", "c.d", "#", "u"];

fn random_rules(random: &mut Random) -> Vec<String> {
    let levels = ["a", "b", "+", "", "%c", "%u", "x%c", "%u-%c", "$SYS", "$x"];
    let mut lines = Vec::new();
    for index in 0..40 {
        if index >= 10 && index % 5 == 0 {
            lines.push(format!("acl: user {}", random.of(&USERS)));
        }
        let depth = 1 + random.below(3);
        let mut filter: Vec<&str> = (0..depth).map(|_| random.of(&levels)).collect();
        if random.below(3) == 0 || filter == [""] {
            filter.push("#");
        }
        let access = ["", "read ", "write ", "readwrite ", "deny "];
        let (kind, access) = (random.of(&["topic", "pattern"]), random.of(&access));
        lines.push(format!("acl: {kind} {access}{}", filter.join("/")));
    }
    lines
}

fn random_topics(random: &mut Random) -> Vec<String> {
    let levels = ["a", "b", "", "c", "d", "u", "xc", "u-c", "v", "$x"];
    let mut topics: Vec<String> = (0..60)
        .map(|_| {
            let depth = 1 + random.below(4);
            let levels: Vec<&str> = (0..depth).map(|_| random.of(&levels)).collect();
            levels.join("/")
        })
        .filter(|topic| !topic.is_empty())
        .collect();
    topics.sort();
    topics.dedup();
    topics
}

/// By client: which of the topics it may publish to, and which of those that anybody may publish to it is sent.
fn decisions(server: &Server, topics: &[String]) -> Vec<(Who, Vec<bool>, Vec<String>)> {
    let users = USERS.iter().map(|user| Some(*user)).chain([None]);
    let clients: Vec<Who> = users
        .flat_map(|user| IDS.map(|id| Who::new(id, user)))
        .collect();
    let mut all = Vec::new();
    for who in &clients {
        let (mut wire, code) = Wire::connect(server.address(), 5, who);
        assert_eq!(code, 0, "{who:?}");
        all.push((
            who.clone(),
            wire.publish(topics, &mut Vec::new()),
            Vec::new(),
        ));
    }
    for (who, _, read) in &mut all {
        let (mut reader, _) = Wire::connect(server.address(), 5, who);
        for filter in ["#", "$x/#", "$end/x"] {
            assert_eq!(reader.subscribe(filter), 0);
        }
        let (mut writer, _) = Wire::connect(server.address(), 5, &Who::new("w", Some("all")));
        let topics = [topics, &["$end/x".to_string()]].concat();
        writer.publish(&topics, &mut Vec::new());
        *read = reader.topics_until("$end/x");
    }
    all
}

fn mosquitto_decides_alike() {
    let path = needed("mosquitto");
    let mut random = Random(0x5eed);
    for round in 0..3 {
        let mut config = random_rules(&mut random);
        // One who may write everything, and an end that everybody may read.
        config.push("acl: user all".into());
        config.push("acl: topic write #".into());
        config.push("acl: topic write $x/#".into());
        config.push("acl: topic write $end/x".into());
        for user in USERS {
            config.push(format!("acl: user {user}"));
            config.push("acl: topic read $end/x".into());
        }
        config.insert(0, "acl: topic read $end/x".into());
        let topics = random_topics(&mut random);
        let ours = Server::start(&Program::Firehose { shards: 2 }, &config);
        let theirs = Server::start(&Program::Mosquitto(path.clone()), &config);
        let (ours, theirs) = (decisions(&ours, &topics), decisions(&theirs, &topics));
        let mut allowed = 0;
        for ((who, may, read), (_, their_may, their_read)) in ours.iter().zip(&theirs) {
            for (index, topic) in topics.iter().enumerate() {
                let shown = format!("round {round}: {who:?} {topic}\n{}", config.join("\n"));
                assert_eq!(may[index], their_may[index], "write: {shown}");
                let (one, other) = (read.contains(topic), their_read.contains(topic));
                assert_eq!(one, other, "read: {shown}");
                allowed += usize::from(may[index]) + usize::from(one);
            }
        }
        println!(
            "round {round}: {allowed} of {} allowed",
            2 * ours.len() * topics.len()
        );
    }
}

cases![
    clients_of_mosquitto_see_what_the_file_allows,
    rules_of_one_listener_are_not_those_of_another,
    clients_of_mosquitto_are_let_in_with_their_passwords,
    a_storm_of_wrong_passwords_holds_nobody_up,
    mosquitto_decides_alike,
];
