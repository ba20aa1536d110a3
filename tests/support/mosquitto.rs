//! Debian's mosquitto_pub and mosquitto_sub as children.

use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;

use super::{PATIENCE, Server, run};

/// mosquitto_sub, with its lines as they come.
pub struct Subscriber {
    child: Child,
    lines: Receiver<String>,
}

impl Subscriber {
    /// Starts it and waits until the broker has acknowledged its subscription.
    pub fn start(server: &Server, version: &str, arguments: &[&str]) -> Subscriber {
        // Line by line: into a pipe it would write in blocks.
        let mut command = Command::new("stdbuf");
        let port = server.port.to_string();
        command
            .args([
                "-oL",
                "mosquitto_sub",
                "-h",
                "127.0.0.1",
                "-p",
                &port,
                "-V",
                flag(version),
                "-d",
            ])
            .args(arguments);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let lines = super::lines(child.stdout.take().unwrap());
        let subscriber = Subscriber { child, lines };
        while !subscriber.line().starts_with("Subscribed") {}
        subscriber
    }

    fn line(&self) -> String {
        self.lines
            .recv_timeout(PATIENCE)
            .expect("a line of mosquitto_sub in time")
    }

    /// The next line that is a message and not a note of what it does.
    pub fn message(&self) -> String {
        loop {
            let line = self.line();
            if line.starts_with('|') {
                return line;
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As mosquitto's clients name the versions.
fn flag(version: &str) -> &'static str {
    match version {
        "3.1" => "mqttv31",
        "3.1.1" => "mqttv311",
        _ => "mqttv5",
    }
}

/// Runs mosquitto_pub to its end.
pub fn publish(server: &Server, version: &str, arguments: &[&str]) {
    let mut command = Command::new("mosquitto_pub");
    command
        .args([
            "-h",
            "127.0.0.1",
            "-p",
            &server.port.to_string(),
            "-V",
            flag(version),
        ])
        .args(arguments);
    let done = run(&mut command);
    assert!(
        done.code == Some(0),
        "mosquitto_pub {arguments:?}: {}{}\n{}",
        done.stdout,
        done.stderr,
        server.log()
    );
}

/// Skips the test when they are not installed.
pub fn clients_needed() {
    for name in ["mosquitto_pub", "mosquitto_sub"] {
        super::needed(name);
    }
}
