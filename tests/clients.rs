//! Real clients over sockets: Debian's mosquitto_pub and mosquitto_sub, paho-mqtt 1.6 and 2.x, MQTT.js.
//!
//! `.ci/clients` installs them. Without one of them its tests are ignored, with the reason; in CI that is a failure.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::mosquitto::{self, Subscriber};
use support::{Folder, Program, Server, run, skipped, which};

const SHARDS: [u32; 2] = [1, 2];
const VERSIONS: [&str; 3] = ["3.1", "3.1.1", "5"];

/// A library with its driver script.
struct Library {
    name: &'static str,
    interpreter: PathBuf,
    script: &'static str,
    modules: PathBuf,
}

impl Library {
    fn all() -> Vec<Library> {
        vec![
            Library::find("paho-mqtt 1.6", "paho1/bin/python", "paho_client.py"),
            Library::find("paho-mqtt 2.x", "paho2/bin/python", "paho_client.py"),
            Library::find(
                "MQTT.js",
                "node/node_modules/mqtt/package.json",
                "mqtt_js.js",
            ),
        ]
    }

    /// Skips the test when it is not installed.
    fn find(name: &'static str, file: &str, script: &'static str) -> Library {
        // target/debug/firehose: its folder's folder is where cargo builds.
        let target = Path::new(env!("CARGO_BIN_EXE_firehose"))
            .parent()
            .and_then(Path::parent)
            .unwrap();
        let file = target.join("clients").join(file);
        let interpreter = if name == "MQTT.js" {
            which("node")
        } else {
            Some(file.clone())
        };
        let Some(interpreter) = interpreter.filter(|_| file.exists()) else {
            skipped(name);
        };
        Library {
            name,
            interpreter,
            script,
            modules: target.join("clients/node/node_modules"),
        }
    }

    fn play(&self, server: &Server, scenario: &str, version: &str, qos: u8) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/clients")
            .join(self.script);
        let mut command = Command::new(&self.interpreter);
        command.arg(script).args([
            &server.port.to_string(),
            scenario,
            version,
            &qos.to_string(),
        ]);
        let done = run(command
            .env("NODE_MODULES", &self.modules)
            .env("PYTHONDONTWRITEBYTECODE", "1"));
        assert!(
            done.code == Some(0),
            "{} {scenario} {version} QoS {qos}: {:?} {}{}\n{}",
            self.name,
            done.code,
            done.stdout,
            done.stderr,
            server.log()
        );
    }

    /// Everything that this library can do, in one broker.
    fn play_all(&self, shards: u32) {
        let server = Server::under_test(shards, &[]);
        for version in VERSIONS {
            for qos in 0..3 {
                for scenario in ["round_trip", "retained", "will", "large", "shared"] {
                    self.play(&server, scenario, version, qos);
                }
            }
            self.play(&server, "session", version, 1);
        }
        for qos in 0..3 {
            self.play(&server, "properties", "5", qos);
        }
    }
}

fn library(name: &'static str, file: &str, script: &'static str) {
    let library = Library::find(name, file, script);
    for shards in SHARDS {
        library.play_all(shards);
    }
}

fn paho_1() {
    library("paho-mqtt 1.6", "paho1/bin/python", "paho_client.py");
}

fn paho_2() {
    library("paho-mqtt 2.x", "paho2/bin/python", "paho_client.py");
}

fn mqtt_js() {
    library(
        "MQTT.js",
        "node/node_modules/mqtt/package.json",
        "mqtt_js.js",
    );
}

/// What was left before the broker was killed is there after its start.
fn paho_sessions_outlive_a_kill() {
    for (name, file) in [
        ("paho-mqtt 1.6", "paho1/bin/python"),
        ("paho-mqtt 2.x", "paho2/bin/python"),
    ] {
        let library = Library::find(name, file, "paho_client.py");
        for (version, qos) in [("3.1.1", 1), ("5", 1), ("3.1.1", 2), ("5", 2)] {
            let store = Folder::new("clients");
            let config = [
                "persistence true".to_owned(),
                format!("persistence_location {}/", store.0.display()),
            ];
            let mut server = Server::start(&Program::Firehose { shards: 2 }, &config);
            library.play(&server, "leaves", version, qos);
            server.kill();
            assert!(server.start_again(&Program::Firehose { shards: 3 }));
            library.play(&server, "finds", version, qos);
        }
    }
}

fn mosquitto_every_version_and_qos() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        for version in VERSIONS {
            for qos in ["0", "1", "2"] {
                let topic = format!("m/{version}/{qos}");
                let subscriber = Subscriber::start(
                    &server,
                    version,
                    &["-t", &topic, "-q", qos, "-F", "|%t|%q|%r|%p"],
                );
                for payload in ["first", "second"] {
                    mosquitto::publish(&server, version, &["-t", &topic, "-q", qos, "-m", payload]);
                    assert_eq!(subscriber.message(), format!("|{topic}|{qos}|0|{payload}"));
                }
            }
        }
    }
}

fn mosquitto_between_versions() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        let subscribers = VERSIONS
            .map(|v| Subscriber::start(&server, v, &["-t", "x/+", "-q", "2", "-F", "|%t|%q|%p"]));
        for version in VERSIONS {
            mosquitto::publish(
                &server,
                version,
                &["-t", &format!("x/{version}"), "-q", "1", "-m", "hello"],
            );
            for subscriber in &subscribers {
                assert_eq!(subscriber.message(), format!("|x/{version}|1|hello"));
            }
        }
    }
}

fn mosquitto_retained() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        for version in VERSIONS {
            let topic = format!("r/{version}");
            mosquitto::publish(
                &server,
                version,
                &["-t", &topic, "-q", "1", "-r", "-m", "kept"],
            );
            let subscriber = Subscriber::start(&server, version, &["-t", "r/#", "-F", "|%t|%r|%p"]);
            assert_eq!(subscriber.message(), format!("|{topic}|1|kept"));
            mosquitto::publish(&server, version, &["-t", &topic, "-q", "1", "-r", "-n"]);
            assert_eq!(subscriber.message(), format!("|{topic}|0|"));
        }
    }
}

fn mosquitto_will() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        for version in VERSIONS {
            let subscriber = Subscriber::start(
                &server,
                version,
                &["-t", "will", "-q", "1", "-F", "|%t|%q|%p"],
            );
            let will = [
                "-t",
                "unused",
                "--will-topic",
                "will",
                "--will-payload",
                "gone",
                "--will-qos",
                "1",
            ];
            drop(Subscriber::start(&server, version, &will));
            assert_eq!(subscriber.message(), "|will|1|gone");
        }
    }
}

fn mosquitto_properties() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        let format = "|%C|%R|%D|%P|%F|%S|%p";
        let asks = [
            "-t",
            "p",
            "-D",
            "subscribe",
            "subscription-identifier",
            "42",
            "-F",
            format,
        ];
        let subscriber = Subscriber::start(&server, "5", &asks);
        let mut arguments = vec!["-t", "p", "-m", "hello"];
        for property in [
            &["payload-format-indicator", "1"][..],
            &["content-type", "text/plain"],
            &["response-topic", "answers"],
            &["correlation-data", "7"],
            &["user-property", "k", "v"],
        ] {
            arguments.extend(["-D", "publish"]);
            arguments.extend(property);
        }
        mosquitto::publish(&server, "5", &arguments);
        assert_eq!(subscriber.message(), "|text/plain|answers|7|k:v|1|42|hello");
    }
}

fn mosquitto_large_payload() {
    mosquitto::clients_needed();
    let folder = Folder::new("large");
    let file = folder.write("payload", &"firehose".repeat(128 * 1024));
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        for version in VERSIONS {
            let subscriber = Subscriber::start(
                &server,
                version,
                &["-t", "large", "-q", "2", "-F", "|%l|%p"],
            );
            mosquitto::publish(
                &server,
                version,
                &["-t", "large", "-q", "2", "-f", &file.to_string_lossy()],
            );
            let line = subscriber.message();
            let (length, payload) = line[1..].split_once('|').unwrap();
            assert_eq!(length, (1 << 20).to_string());
            assert_eq!(payload, "firehose".repeat(128 * 1024));
        }
    }
}

fn mosquitto_shared() {
    mosquitto::clients_needed();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        let one = Subscriber::start(&server, "5", &["-t", "$share/g/s", "-q", "1", "-F", "|%p"]);
        let two = Subscriber::start(
            &server,
            "3.1.1",
            &["-t", "$share/g/s", "-q", "1", "-F", "|%p"],
        );
        for number in 0..6 {
            mosquitto::publish(
                &server,
                "5",
                &["-t", "s", "-q", "1", "-m", &number.to_string()],
            );
        }
        let mut got: Vec<String> = (0..3)
            .flat_map(|_| [one.message(), two.message()])
            .collect();
        got.sort();
        assert_eq!(got, ["|0", "|1", "|2", "|3", "|4", "|5"]);
    }
}

/// The main job: `mosquitto_sub -t '#'` shows what everybody publishes.
fn mosquitto_sub_shows_what_everybody_publishes() {
    mosquitto::clients_needed();
    let libraries = Library::all();
    for shards in SHARDS {
        let server = Server::under_test(shards, &[]);
        let subscriber = Subscriber::start(&server, "5", &["-t", "#", "-F", "|%t %p"]);
        for version in VERSIONS {
            mosquitto::publish(
                &server,
                version,
                &[
                    "-t",
                    &format!("seen/mosquitto/{version}"),
                    "-m",
                    "from mosquitto_pub",
                ],
            );
            assert_eq!(
                subscriber.message(),
                format!("|seen/mosquitto/{version} from mosquitto_pub")
            );
            for library in &libraries {
                library.play(&server, "publish", version, 1);
                let name = if library.name == "MQTT.js" {
                    ("js", "mqtt.js")
                } else {
                    ("paho", "paho")
                };
                assert_eq!(
                    subscriber.message(),
                    format!("|seen/{}/{version} from {} {version}", name.0, name.1)
                );
            }
        }
    }
}

cases![
    paho_1,
    paho_2,
    paho_sessions_outlive_a_kill,
    mqtt_js,
    mosquitto_every_version_and_qos,
    mosquitto_between_versions,
    mosquitto_retained,
    mosquitto_will,
    mosquitto_properties,
    mosquitto_large_payload,
    mosquitto_shared,
    mosquitto_sub_shows_what_everybody_publishes,
];
