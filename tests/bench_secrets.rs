//! Secrets that the load tester is given are nowhere but in its CONNECT packets: not in a report, not in what is printed,
//! not in the title of the process, not in the environment of a broker that it starts.

mod support;

#[path = "support/certificates.rs"]
mod certificates;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certificates::Certificates;
use support::{Folder, Program, Server, free_port};

const SECRET: &str = "hunter2-canary";

/// A broker that lets nobody in but `u` with the secret.
fn guarded(folder: &Folder) -> Server {
    let file = folder.0.join("passwords");
    let made = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["passwd", "-c", "-b"])
        .arg(&file)
        .args(["u", SECRET])
        .status();
    assert!(made.unwrap().success());
    let lines = [
        "allow_anonymous false".to_owned(),
        format!("password_file {}", file.display()),
    ];
    Server::start(&Program::Firehose { shards: 1 }, &lines)
}

/// Where the password comes from.
#[derive(Clone, Copy, Debug)]
enum From {
    Argument,
    File,
    Environment,
    Scenario,
}

/// The command of a run of a second, whose reports are in the folder.
fn command(from: From, folder: &Folder, port: u16) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command.arg("bench");
    let path = |name: &str| folder.0.join(name);
    match from {
        From::Scenario => {
            let text = format!("workload = \"fanout\"\npassword = \"{SECRET}\"\n");
            command.arg("run").arg(folder.write("s.toml", &text));
        }
        _ => {
            command.arg("fanout");
        }
    }
    match from {
        From::Argument => {
            command.arg("--password").arg(SECRET);
        }
        From::File => {
            let file = folder.write("password", &format!("{SECRET}\n"));
            command.arg("--password-file").arg(file);
        }
        From::Environment => {
            command.env("FIREHOSE_PASSWORD", SECRET);
        }
        From::Scenario => {}
    }
    command.args(["--username", "u", "--host", "127.0.0.1", "--port"]);
    command.arg(port.to_string());
    command.args(["--subscribers", "2", "--warm-up", "0", "--duration", "1s"]);
    for (option, name) in REPORTS {
        command.arg(option).arg(path(name));
    }
    command
}

const REPORTS: [(&str, &str); 5] = [
    ("--json", "r.json"),
    ("--csv", "r.csv"),
    ("--hgrm", "r.hgrm"),
    ("--hlog", "r.hlog"),
    ("--html", "r.html"),
];

/// The title of a process once it has been at work for a moment: when it has several threads.
fn title(child: &Child) -> String {
    let folder = PathBuf::from(format!("/proc/{}", child.id()));
    let threads = || std::fs::read_dir(folder.join("task")).map_or(0, Iterator::count);
    let until = Instant::now() + Duration::from_secs(30);
    while threads() < 2 {
        assert!(Instant::now() < until, "no threads");
        std::thread::sleep(Duration::from_millis(5));
    }
    let bytes = std::fs::read(folder.join("cmdline")).unwrap();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn assert_none(what: &str, text: &str) {
    assert!(!text.contains(SECRET), "{what}: {text}");
}

#[test]
fn a_password_is_in_no_report_and_in_no_title() {
    for from in [
        From::Argument,
        From::File,
        From::Environment,
        From::Scenario,
    ] {
        let folder = Folder::new("bench-secrets");
        let server = guarded(&folder);
        let mut command = command(from, &folder, server.port);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let title = title(&child);
        assert_none("the title", &title);
        assert!(title.contains("--username u"), "{title}");
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        // It was the right one.
        assert_eq!(output.status.code(), Some(0), "{from:?}: {text}");
        assert_none("what is printed", &text);
        for (_, name) in REPORTS {
            let report = std::fs::read_to_string(folder.0.join(name)).unwrap();
            assert_none(name, &report);
        }
        let json = std::fs::read_to_string(folder.0.join("r.json")).unwrap();
        let report = firehose::load::report::json::read(&json).unwrap();
        match from {
            From::Argument => {
                let hidden = report.command.windows(2);
                let mut hidden = hidden.filter(|two| *two == ["--password", "(hidden)"]);
                assert!(hidden.next().is_some(), "{:?}", report.command);
                assert_eq!(report.settings["password"], "(hidden)");
            }
            From::Scenario => assert_eq!(report.settings["password"], "(hidden)"),
            From::File => assert!(report.settings["password-file"].ends_with("password")),
            From::Environment => {}
        }
    }
}

#[test]
fn the_stress_test_takes_a_password_from_a_file_and_hides_one() {
    let folder = Folder::new("bench-secrets-stress");
    let server = guarded(&folder);
    let file = folder.write("password", SECRET);
    for from_file in [true, false] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", "stress", "--hostname", "127.0.0.1", "--port"]);
        command.arg(server.port.to_string());
        command.args(["--grid", "--grid-max", "1", "--repeat", "1", "--settle-s=0"]);
        command
            .arg("--dat")
            .arg(folder.0.join(format!("{from_file}.dat")));
        command.arg("--html").arg(folder.0.join("grid.html"));
        command.args(["--username", "u"]);
        match from_file {
            true => command.arg("--password-file").arg(&file),
            false => command.arg(format!("--password={SECRET}")),
        };
        let done = support::run(&mut command);
        assert_eq!(done.code, Some(0), "{}{}", done.stdout, done.stderr);
        assert_none("what is printed", &(done.stdout + &done.stderr));
        let page = std::fs::read_to_string(folder.0.join("grid.html")).unwrap();
        assert_none("the page", &page);
    }
}

/// The private key of a load's certificate is a secret as well, whose file may be told.
#[test]
fn a_private_key_is_in_no_report_and_in_no_title() {
    let certificates = Certificates::new();
    let tls = free_port();
    let file = |name| certificates.file(name);
    let text = format!(
        "listener {tls} 127.0.0.1\ncafile {}\ncertfile {}\nkeyfile {}\nrequire_certificate true",
        file("ca.crt"),
        file("server.crt"),
        file("server.key")
    );
    let lines: Vec<String> = text.lines().map(String::from).collect();
    let _server = Server::start(&Program::Firehose { shards: 1 }, &lines);
    let pem = read(&certificates.path("good.key"));
    // A line of the key itself: PEM may be folded anew, not invented.
    let line = pem.lines().nth(1).unwrap();
    let folder = Folder::new("bench-secrets-key");
    for by_environment in [true, false] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
        command.args(["bench", "fanout", "--host", "127.0.0.1", "--port"]);
        command.arg(tls.to_string());
        command.args(["--subscribers", "2", "--warm-up", "0", "--duration", "1s"]);
        command.args(["--cafile", &file("ca.crt"), "--cert", &file("good.crt")]);
        match by_environment {
            true => command.env("FIREHOSE_KEY", &pem),
            false => command.args(["--key", &file("good.key")]),
        };
        for (option, name) in REPORTS {
            command.arg(option).arg(folder.0.join(name));
        }
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let title = title(&child);
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{text}");
        let mut texts = vec![title, text];
        texts.extend(REPORTS.map(|(_, name)| read(&folder.0.join(name))));
        for text in &texts {
            assert!(!text.contains(line) && !text.contains("PRIVATE"), "{text}");
        }
        let report = firehose::load::report::json::read(&read(&folder.0.join("r.json"))).unwrap();
        assert_eq!(report.settings["cert"], file("good.crt"));
        let told = report.settings.get("key").cloned();
        assert_eq!(told, (!by_environment).then(|| file("good.key")));
    }
}

/// The command of a broker may hold secrets, and its environment holds none of ours.
#[test]
fn a_broker_that_is_started_is_told_of_without_its_secrets() {
    let folder = Folder::new("bench-secrets-broker");
    let firehose = env!("CARGO_BIN_EXE_firehose");
    let environment = folder.0.join("environment");
    let script = format!(
        "env > {}; exec {firehose} serve -p {{port}}",
        environment.display()
    );
    let broker = format!("DB_PASSWORD={SECRET}; {script}");
    for broker in [broker, format!("exit 3; : --token {SECRET}")] {
        let json = folder.0.join("r.json");
        let mut command = Command::new(firehose);
        command.args(["bench", "fanout", "--subscribers", "2"]);
        command.args(["--warm-up", "0", "--duration", "300ms"]);
        command.args(["--broker", &broker]);
        command.arg("--json").arg(&json);
        command.env("FIREHOSE_PASSWORD", SECRET);
        command.env("FIREHOSE_KEY", SECRET);
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!([Some(0), Some(3)].contains(&output.status.code()), "{text}");
        assert_none("what is printed", &text);
        assert!(text.contains("(hidden)"), "{text}");
        let report = std::fs::read_to_string(&json).unwrap_or_default();
        assert_none("the report", &report);
    }
    let environment = read(&environment);
    assert!(environment.contains("PATH="), "{environment}");
    assert_none("the environment", &environment);
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// `firehose passwd -b` is how mosquitto_passwd is called: it waits for its file here, and is looked at meanwhile.
#[test]
fn the_title_of_passwd_hides_the_password() {
    let folder = Folder::new("bench-secrets-passwd");
    let pipe = folder.0.join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    let child = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["passwd", "-b"])
        .arg(&pipe)
        .args(["u", SECRET])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let cmdline = PathBuf::from(format!("/proc/{}/cmdline", child.id()));
    let _waits = Ended(child);
    let until = Instant::now() + Duration::from_secs(30);
    loop {
        let title = read(&cmdline);
        // Between its start and the first thing that it does, what was typed is seen.
        if title.contains("passwd") && !title.contains(SECRET) {
            break;
        }
        assert!(Instant::now() < until, "{title}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A process that does not outlive its test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
