//! Log files on disks that are full: no line is cut, and what is missing is said.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use support::{Folder, PATIENCE};

/// A broker whose log file lies on a disk of its own, of 16 KiB, half of which a file takes up.
struct Cramped {
    child: Child,
    folder: Folder,
    port: u16,
}

impl Cramped {
    /// `None` where this user may not mount anything.
    fn start() -> Option<Cramped> {
        let folder = Folder::new("log");
        let port = support::free_port();
        let disk = folder.0.join("disk");
        std::fs::create_dir(&disk).unwrap();
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\nlog_type all\nlog_format json\nlog_dest file {}/log\n",
            disk.display()
        );
        let config = folder.write("conf", &text);
        let script = "mount -t tmpfs -o size=16k none \"$1\" || exit 77; head -c 8192 /dev/zero >\"$1/ballast\" && \
                      exec \"$0\" serve --shards 1 -c \"$2\"";
        let mut child = Command::new("unshare")
            .args(["-rm", "sh", "-c", script, env!("CARGO_BIN_EXE_firehose")])
            .arg(&disk)
            .arg(config)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut ready = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut ready).unwrap();
        if ready.is_empty() {
            let _ = child.wait();
            return None;
        }
        assert!(ready.contains(" ready: "), "{ready}");
        Some(Cramped {
            child,
            folder,
            port,
        })
    }

    /// A file of that disk, which is seen from within only.
    fn path(&self, name: &str) -> PathBuf {
        let inside = self.folder.0.join("disk").join(name);
        let root = format!("/proc/{}/root", self.child.id());
        PathBuf::from(root).join(inside.strip_prefix("/").unwrap())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// A client comes, and goes.
    fn visit(&self) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
            .write_all(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s\xe0\x00")
            .unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, [0x20, 2, 0, 0]);
    }
}

impl Drop for Cramped {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn a_full_disk_cuts_no_line_and_what_is_lost_is_said() {
    let Some(broker) = Cramped::start() else {
        support::skipped("unshare, or the right to mount,");
    };
    let started = Instant::now();
    let mut before = 0;
    // Until a client more makes the file no longer.
    while broker.log().len() > before || before < 8192 {
        before = broker.log().len();
        broker.visit();
        std::thread::sleep(Duration::from_millis(60));
        assert!(started.elapsed() < PATIENCE, "{}", broker.log());
    }
    std::fs::remove_file(broker.path("ballast")).unwrap();
    let told = |log: &str| log.contains(" lost: ") && log.ends_with('\n');
    while !told(&broker.log()) {
        broker.visit();
        assert!(started.elapsed() < PATIENCE, "{}", broker.log());
        std::thread::sleep(Duration::from_millis(60));
    }
    for line in broker.log().lines() {
        let value: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(value.is_ok(), "{line}");
    }
}

cases![a_full_disk_cuts_no_line_and_what_is_lost_is_said,];
