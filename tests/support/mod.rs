//! What the tests over real sockets share: a broker as a process of its own, a port for it, a folder for its files.

#![allow(dead_code, reason = "each test uses its part")]

pub mod client;
pub mod mosquitto;
pub mod mqtt;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// How long a process may take to start, stop or answer before a test gives up. Generous: CI machines stall.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A folder of this test's own, removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("firehose-{name}-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        give(&path);
        Folder(path)
    }

    /// Writes a file into it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Gives a folder to whom a broker becomes that root starts, so that it is at home there.
pub fn give(path: &Path) {
    if is_root() {
        let (_, uid) = broker_user();
        std::os::unix::fs::chown(path, Some(uid), None).unwrap();
    }
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// The user that a broker becomes which root starts, by name and number: as the broker itself looks for it.
pub fn broker_user() -> (String, u32) {
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let find = |name: &str| {
        let mut fields = users
            .lines()
            .map(|line| line.split(':').collect::<Vec<_>>());
        let found = fields.find(|fields| fields[0] == name)?;
        Some((name.to_owned(), found[2].parse().unwrap()))
    };
    find("mosquitto").or_else(|| find("nobody")).unwrap()
}

/// A port that nobody listens on now. Below those that the kernel gives to clients, from a block that this process has
/// for itself, so that tests in several processes never take each other's broker for their own.
pub fn free_port() -> u16 {
    static BLOCK: LazyLock<(u16, File)> = LazyLock::new(port_block);
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed) as u16;
        let port = BLOCK.0 + number % PORTS_IN_BLOCK;
        // Bound, never listening: a child that is being started has the descriptor for a moment, and nobody must
        // take that for a broker.
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        if socket
            .bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())
            .is_ok()
        {
            return port;
        }
    }
}

const PORTS_IN_BLOCK: u16 = 500;

/// The first block of ports whose lock file no other process holds; the lock ends with this process.
fn port_block() -> (u16, File) {
    let folder = std::env::temp_dir().join("firehose-ports");
    std::fs::create_dir_all(&folder).unwrap();
    let blocks = (10_000..32_000).step_by(PORTS_IN_BLOCK.into());
    let free = blocks.filter_map(|first| {
        let file = File::create(folder.join(first.to_string())).ok()?;
        file.try_lock().is_ok().then_some((first, file))
    });
    free.into_iter().next().expect("a free block of ports")
}

/// Which program serves, and how it is told so.
#[derive(Clone, Debug)]
pub enum Program {
    /// The binary of this package, with that many shards.
    Firehose { shards: u32 },
    /// Debian's mosquitto.
    Mosquitto(PathBuf),
}

/// The broker under test: this package's, or the one that the environment variable BROKER names.
pub fn program(shards: u32) -> Program {
    match std::env::var_os("BROKER") {
        Some(path) => Program::Mosquitto(path.into()),
        None => Program::Firehose { shards },
    }
}

/// A configuration file: a listener on the loopback address for everybody, and these lines.
pub fn configuration(port: u16, lines: &[String]) -> String {
    let listener = format!("listener {port} 127.0.0.1\nallow_anonymous true\n");
    // It has to stand above what it is about.
    let (first, lines): (Vec<&String>, Vec<&String>) = lines
        .iter()
        .partition(|line| line.starts_with("per_listener_settings"));
    let first = first.iter().map(|line| format!("{line}\n"));
    lines
        .iter()
        .fold(first.collect::<String>() + &listener, |text, line| {
            text + line + "\n"
        })
}

/// Writes the configuration file of a broker. Lines that begin with `acl: ` or `password: ` go to files of their own,
/// which the configuration then names.
pub fn configure(folder: &Folder, port: u16, lines: &[String]) -> PathBuf {
    let mut config: Vec<String> = Vec::new();
    let mut files = [("acl", String::new()), ("password", String::new())];
    for line in lines {
        let file = files
            .iter_mut()
            .find_map(|(name, text)| Some((text, line.strip_prefix(*name)?.strip_prefix(": ")?)));
        match file {
            Some((text, line)) => *text += &format!("{line}\n"),
            None => config.push(line.clone()),
        }
    }
    for (name, text) in files.iter().filter(|(_, text)| !text.is_empty()) {
        let path = folder.write(name, text);
        config.push(format!("{name}_file {}", path.display()));
    }
    folder.write("broker.conf", &configuration(port, &config))
}

/// Starts the process. Its log is a file of its own; that of the one before it is kept beside.
fn launch(program: &Program, folder: &Folder) -> Child {
    let path = folder.0.join("log");
    let _ = std::fs::rename(&path, folder.0.join("log.before"));
    let log = File::create(path).unwrap();
    let mut command = match program {
        Program::Firehose { shards } => {
            let mut command = Command::new(env!("CARGO_BIN_EXE_firehose"));
            command.args(["serve", "--shards", &shards.to_string()]);
            command
        }
        Program::Mosquitto(path) => Command::new(path),
    };
    command
        .arg("-c")
        .arg(folder.0.join("broker.conf"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command.spawn().unwrap()
}

/// A broker that runs; killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
    folder: Folder,
}

impl Server {
    /// The broker under test with these configuration lines beside its listener.
    pub fn under_test(shards: u32, config: &[&str]) -> Server {
        let config: Vec<String> = config.iter().map(|l| l.to_string()).collect();
        Server::start(&program(shards), &config)
    }

    /// Starts it and waits until it accepts connections. A port may be taken between choosing and binding it: then
    /// another is tried.
    pub fn start(program: &Program, config: &[String]) -> Server {
        for _ in 0..5 {
            if let Some(server) = Server::try_start(program, config) {
                return server;
            }
        }
        panic!("{program:?} does not start");
    }

    fn try_start(program: &Program, config: &[String]) -> Option<Server> {
        let port = free_port();
        let folder = Folder::new("server");
        configure(&folder, port, config);
        let mut server = Server {
            child: launch(program, &folder),
            port,
            folder,
        };
        server.becomes_ready(program).then_some(server)
    }

    /// Starts it anew after its end, with the same files and port, and does not wait until it is ready.
    pub fn launch_again(&mut self, program: &Program) {
        assert!(!self.is_running(), "the one before has ended");
        self.child = launch(program, &self.folder);
    }

    /// The same, and waits; false and told when it is not ready in time, or ends.
    pub fn start_again(&mut self, program: &Program) -> bool {
        self.launch_again(program);
        self.becomes_ready(program)
    }

    fn becomes_ready(&mut self, program: &Program) -> bool {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            if let Some(status) = self.child.try_wait().unwrap() {
                eprintln!("{program:?} ended with {status}:\n{}", self.log());
                return false;
            }
            let is_ready = match program {
                Program::Firehose { .. } => self.is_ready(),
                Program::Mosquitto(_) => TcpStream::connect(self.address()).is_ok(),
            };
            if is_ready {
                return true;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        eprintln!("{program:?} does not listen:\n{}", self.log());
        false
    }

    /// Whether it has said so; of this package's broker.
    pub fn is_ready(&self) -> bool {
        self.log().contains(" ready: ")
    }

    /// Kills it with SIGKILL, and waits for its end.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Writes its configuration anew for the next start.
    #[allow(dead_code, reason = "few change it between two starts")]
    pub fn configure(&self, config: &[String]) {
        configure(&self.folder, self.port, config);
    }

    /// Writes its configuration anew, sends SIGHUP, and waits for the word on it.
    pub fn reconfigure(&self, config: &[String]) -> String {
        configure(&self.folder, self.port, config);
        self.reload()
    }

    /// The same with a configuration file of exactly this text.
    pub fn reload_with(&self, text: &str) -> String {
        self.folder.write("broker.conf", text);
        self.reload()
    }

    fn reload(&self) -> String {
        let before = self.log().len();
        self.signal("HUP");
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let log = self.log().split_off(before);
            if log.contains("SIGHUP: the configuration") && log.ends_with('\n') {
                return log;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no word on SIGHUP:\n{}", self.log());
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to its standard output and error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log")).unwrap_or_default()
    }

    /// The log, once it has these words: its writer is a moment behind what it tells of.
    pub fn says(&self, words: &str) -> String {
        let started = Instant::now();
        loop {
            let log = self.log();
            if log.contains(words) {
                return log;
            }
            assert!(started.elapsed() < PATIENCE, "{words:?} is not in {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What the one before it wrote.
    pub fn log_before(&self) -> String {
        std::fs::read_to_string(self.folder.0.join("log.before")).unwrap_or_default()
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("TERM");
    }

    /// Sends a signal.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args(["-s", name, &self.pid().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> Option<ExitStatus> {
        wait_for(&mut self.child)
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for a process to end; `None` and killed when it takes too long.
pub fn wait_for(child: &mut Child) -> Option<ExitStatus> {
    let started = Instant::now();
    while started.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}

/// What a program that ran to its end left behind.
pub struct Finished {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs a program to its end, which must come in time.
pub fn run(command: &mut Command) -> Finished {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let readers = (
        reader(child.stdout.take().unwrap()),
        reader(child.stderr.take().unwrap()),
    );
    let code = wait_for(&mut child).and_then(|status| status.code());
    Finished {
        code,
        stdout: readers.0.join().unwrap(),
        stderr: readers.1.join().unwrap(),
    }
}

/// Reads a pipe to its end, beside.
pub fn reader(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}

/// Lines of a pipe as they come, for those who wait for one of them.
pub fn lines(pipe: impl Read + Send + 'static) -> std::sync::mpsc::Receiver<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// Why a test cannot be done on this machine: what `skipped` and `cannot` unwind with, for the harness to see.
pub struct Skipped(pub String);

/// Ends a test because something is not installed that `.ci/clients` installs: it is ignored. In CI that is a failure.
pub fn skipped(what: &str) -> ! {
    assert!(
        std::env::var_os("CI").is_none(),
        "{what} is not installed; .ci/clients installs it"
    );
    cannot(&format!(
        "{what} is not installed (.ci/clients installs it)"
    ))
}

/// Ends a test that this machine has no way to do, in CI too: it is ignored.
pub fn cannot(why: &str) -> ! {
    // No panic hook: nothing went wrong.
    std::panic::resume_unwind(Box::new(Skipped(why.to_owned())))
}

/// A program in the search path. Skips the test when it is not there.
pub fn needed(name: &str) -> PathBuf {
    which(name).unwrap_or_else(|| skipped(name))
}

/// A program in the search path.
pub fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|p| p.join(name))
        .find(|p| p.is_file());
    found.filter(|p| p != Path::new(""))
}

/// Makes what `STORE` says be of another format.
pub fn seal_store_as(format: u32, path: &Path) {
    let mut store = std::fs::read(path).unwrap();
    store[8..12].copy_from_slice(&format.to_le_bytes());
    store[12..16].fill(0);
    let crc = crc32c::crc32c(&store);
    store[12..16].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(path, store).unwrap();
}
