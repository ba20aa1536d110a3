//! `firehose top` against a broker that runs: as text, and in a terminal of its own.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::client::Client;
use support::{Finished, Folder, PATIENCE, Program, Server, free_port, give, run, wait_for};

const PASSWORD: &str = "right";
const TAKEN: &str = "\u{1b}[?1049h";
const GIVEN_BACK: &str = "\u{1b}[?1049l";
const CURSOR_SHOWN: &str = "\u{1b}[?25h";

/// The program with nothing of the environment that it would go by.
fn firehose(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
    command
        .args(arguments)
        .env_remove("FIREHOSE_URL")
        .env_remove("FIREHOSE_USERNAME")
        .env("FIREHOSE_PASSWORD", PASSWORD);
    command
}

/// A broker with a listener of HTTP, and a user `ann`.
struct Web {
    server: Server,
    port: u16,
    folder: Folder,
}

impl Web {
    fn start() -> Web {
        let folder = Folder::new("top");
        let passwords = folder.write("passwords", "");
        let file = passwords.to_str().unwrap();
        let done = run(&mut firehose(&[
            "passwd", "-b", "-H", "sha512", file, "ann", PASSWORD,
        ]));
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        give(&passwords);
        for _ in 0..3 {
            let port = free_port();
            let config = [
                format!("listener {port} 127.0.0.1"),
                "protocol http_api".into(),
                "allow_anonymous true".into(),
                format!("password_file {}", passwords.display()),
            ];
            let server = Server::start(&Program::Firehose { shards: 2 }, &config);
            if server.is_ready() {
                return Web {
                    server,
                    port,
                    folder,
                };
            }
        }
        panic!("it does not start");
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn get(&self, target: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        serde_json::from_str(text.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    fn once(&self, arguments: &[&str]) -> Finished {
        let url = self.url();
        let all = [&["top", "--once", "--url", &url], arguments].concat();
        run(&mut firehose(&all))
    }
}

/// The rows of shards, as words.
fn shard_rows(text: &str) -> Vec<Vec<&str>> {
    let below = text
        .lines()
        .skip_while(|line| !line.contains("SHARD"))
        .skip(1);
    let rows = below.take_while(|line| !line.starts_with("MEMORY"));
    rows.map(|line| line.split_whitespace().collect()).collect()
}

/// Figures on the screen are those of the API.
#[test]
fn a_text_has_the_figures_of_the_api() {
    let web = Web::start();
    let mut subscriber = Client::connect(web.server.address(), 4, "sub\u{202e}x", true, None);
    subscriber.subscribe("a/#");
    let mut publisher = Client::connect(web.server.address(), 5, "pub", true, None);
    publisher.publish_burst("a/b", b"hello", 1234);
    for _ in 0..1234 {
        assert!(subscriber.packet().is_some());
    }
    publisher.ping();
    // A shard that is late has told nothing yet.
    let mut looks = (0..10).map(|_| web.once(&[]));
    let done = looks.find(|done| shard_rows(&done.stdout).iter().all(|row| row[2] == "%"));
    let done = done.expect("all shards tell how busy they are");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = &done.stdout;
    assert!(text.is_ascii(), "{text}");
    assert!(text.lines().count() > 20, "{text}");
    assert!(text.contains("clients 2 connected, 0 away"), "{text}");
    assert!(text.contains("store none"), "{text}");
    assert_eq!(text.matches("  of 1,234").count(), 2, "{text}");
    let line = |start: &str| {
        text.lines()
            .find(|line| line.trim_start().starts_with(start))
            .unwrap()
    };
    assert!(line("pub ").contains("127.0.0.1:"), "{text}");
    assert!(line("sub\\u{202e}x").contains("127.0.0.1:"), "{text}");
    let shards = shard_rows(text);
    assert_eq!(shards.len(), 2, "{text}");
    let api = web.get("/api/v1/shards");
    for (shard, cells) in shards.iter().enumerate() {
        assert_eq!(cells[0], shard.to_string(), "{text}");
        let connections = &api["shards"][shard]["figures"]["connections"];
        let found = cells.iter().rev().nth(3).unwrap();
        assert_eq!(*found, connections.to_string(), "{text}");
    }
    for (name, account) in web.get("/api/v1/memory")["accounts"].as_object().unwrap() {
        let shown = line(&format!("{name} "));
        if account["limit"] == 0 {
            assert!(shown.ends_with("of 0 B"), "{text}");
        }
    }
}

/// Without a listener of HTTP: what `$SYS` says.
#[test]
fn figures_of_sys_are_shown_where_there_is_no_http() {
    let server = Server::start(
        &Program::Firehose { shards: 2 },
        &["sys_interval 1".to_string()],
    );
    let mut subscriber = Client::connect(server.address(), 4, "sub", true, None);
    subscriber.subscribe("a/#");
    let mut publisher = Client::connect(server.address(), 5, "pub", true, None);
    publisher.publish_burst("a/b", b"hello", 1234);
    for _ in 0..1234 {
        assert!(subscriber.packet().is_some());
    }
    let port = server.address().port();
    let done = run(&mut firehose(&[
        "top",
        "--mqtt",
        &format!("127.0.0.1:{port}"),
    ]));
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    let text = &done.stdout;
    let title = format!("firehose top  127.0.0.1:{port} $SYS  up 0:00:");
    assert!(text.starts_with(&title), "{text}");
    assert!(text.contains("of 1,234 "), "{text}");
    assert!(text.contains("clients 3 connected, 0 away"), "{text}");
    assert_eq!(shard_rows(text).len(), 2, "{text}");
    assert!(text.contains("MEMORY calm: "), "{text}");
    // What speaks something else, or publishes nothing, is told.
    let web = Web::start();
    let done = run(&mut firehose(&[
        "top",
        "--mqtt",
        &format!("127.0.0.1:{}", web.port),
    ]));
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("speaks HTTP"), "{}", done.stderr);
    let silent = Server::start(
        &Program::Firehose { shards: 1 },
        &["sys_interval 0".to_string()],
    );
    let port = silent.address().port();
    let done = run(&mut firehose(&[
        "top",
        "--mqtt",
        &format!("127.0.0.1:{port}"),
    ]));
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(
        done.stderr.contains("`sys_interval` is 0"),
        "{}",
        done.stderr
    );
}

/// `firehose top | head`: a reader who goes is no error, and an output that is no terminal gets a text.
#[test]
fn a_reader_who_goes_is_no_error() {
    let web = Web::start();
    let url = web.url();
    let command = &mut firehose(&["top", "--url", &url]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(wait_for(&mut child).unwrap().code(), Some(0));
    let done = run(&mut firehose(&["top", "--url", &url]));
    assert!(done.stdout.starts_with("firehose top"), "{}", done.stdout);
}

#[test]
fn nobody_there_is_an_error() {
    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let done = run(&mut firehose(&["top", "--once", "--url", &url]));
    assert_eq!(done.code, Some(1), "{}", done.stdout);
    assert!(done.stderr.contains("refused"), "{}", done.stderr);
    let done = run(&mut firehose(&["top", "--limit", "0"]));
    assert_eq!(done.code, Some(2), "{}", done.stderr);
}

/// The program in a terminal, which `script` makes; what that shows.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    shown: Arc<Mutex<String>>,
}

impl Terminal {
    fn start(web: &Web, folder: &Path) -> Terminal {
        let program = env!("CARGO_BIN_EXE_firehose");
        let (pid, after) = (folder.join("pid"), folder.join("after"));
        let (pid, after, url) = (pid.display(), after.display(), web.url());
        let inner = format!("echo $$ > {pid}; exec {program} top --url {url} --user ann");
        let line = format!(
            "stty rows 24 cols 80; sh -c '{inner}'; code=$?; stty -a > {after}; exit $code"
        );
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm")
            .env("FIREHOSE_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let keys = child.stdin.take().unwrap();
        let mut output = child.stdout.take().unwrap();
        let shown = Arc::new(Mutex::new(String::new()));
        let into = shown.clone();
        thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut piece) {
                let text = String::from_utf8_lossy(&piece[..count]);
                into.lock().unwrap().push_str(&text);
            }
        });
        Terminal { child, keys, shown }
    }

    fn shown(&self) -> String {
        self.shown.lock().unwrap().clone()
    }

    fn shows(&self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.shown().contains(text) {
            assert!(Instant::now() < until, "no {text:?} in {:?}", self.shown());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// It has ended well, and the terminal is as it was.
    fn has_ended(mut self, folder: &Path) {
        let ended = wait_for(&mut self.child).expect("it ends");
        assert_eq!(ended.code(), Some(0), "{:?}", self.shown());
        self.shows(GIVEN_BACK);
        let shown = self.shown();
        assert!(
            shown.contains(TAKEN) && shown.contains(CURSOR_SHOWN),
            "{shown:?}"
        );
        let modes = std::fs::read_to_string(folder.join("after")).unwrap();
        let modes: Vec<&str> = modes.split([' ', ';', '\n']).collect();
        assert!(
            modes.contains(&"icanon") && modes.contains(&"echo"),
            "{modes:?}"
        );
    }
}

#[test]
fn in_a_terminal_keys_disconnect_a_client_and_quit() {
    let web = Web::start();
    let mut client = Client::connect(web.server.address(), 5, "victim", true, None);
    let mut terminal = Terminal::start(&web, &web.folder.0);
    terminal.shows("firehose top  127.0.0.1:");
    terminal.shows("victim");
    terminal.press("k");
    terminal.shows("Disconnect this client?");
    terminal.press("y");
    terminal.shows("Disconnected.");
    let goodbye = client.packet();
    assert!(goodbye.is_none_or(|packet| packet[0] == 0xE0));
    terminal.press("q");
    terminal.has_ended(&web.folder.0);
}

#[test]
fn a_signal_gives_the_terminal_back() {
    let web = Web::start();
    for signal in ["TERM", "INT", "HUP"] {
        let terminal = Terminal::start(&web, &web.folder.0);
        terminal.shows("firehose top  127.0.0.1:");
        let pid = std::fs::read_to_string(web.folder.0.join("pid")).unwrap();
        let kill = Command::new("kill")
            .args(["-s", signal, pid.trim()])
            .status();
        assert!(kill.unwrap().success());
        terminal.has_ended(&web.folder.0);
    }
}

/// The broker goes and comes again: it says so, and goes on.
#[test]
fn a_broker_that_goes_is_waited_for() {
    let mut web = Web::start();
    let mut terminal = Terminal::start(&web, &web.folder.0);
    terminal.shows("MEMORY calm");
    web.server.kill();
    terminal.shows("The broker is away");
    let before = terminal.shown().len();
    assert!(web.server.start_again(&Program::Firehose { shards: 2 }));
    let until = Instant::now() + PATIENCE;
    while !terminal.shown()[before..].contains("q quit") {
        assert!(Instant::now() < until, "{:?}", &terminal.shown()[before..]);
        thread::sleep(Duration::from_millis(50));
    }
    terminal.press("q");
    terminal.has_ended(&web.folder.0);
}
