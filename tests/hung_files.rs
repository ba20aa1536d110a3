//! `http_dir` on a file system that does not answer: opening, reading and closing of a file hang for ever. Everything else that is asked
//! over HTTP is answered, MQTT goes on, and the broker ends when it is told to.

mod support;

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::thread;
use std::time::{Duration, Instant};

use support::client::Client;
use support::{Folder, PATIENCE, Program, Server, free_port, is_root};

/// What the kernel asks of a file system (fuse(4)).
const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const FLUSH: u32 = 25;
const INIT: u32 = 26;
const BATCH_FORGET: u32 = 42;

/// The files, by their numbers: the root is 1.
const NAMES: [&str; 4] = ["good", "open", "read", "close"];

/// Which number a file has.
fn number(name: &str) -> u64 {
    let place = NAMES.iter().position(|known| *known == name);
    place.map_or(0, |place| place as u64 + 2)
}

const BYTES: u64 = 100_000;

fn attributes(node: u64) -> Vec<u8> {
    let (mode, size) = match node {
        1 => (0o40755u32, 0),
        _ => (0o100_644, BYTES),
    };
    let mut out = Vec::new();
    for word in [node, size, 0, 0, 0, 0] {
        out.extend(word.to_ne_bytes());
    }
    for word in [0, 0, 0, mode, 1, 0, 0, 0, 4096, 0] {
        out.extend(word.to_ne_bytes());
    }
    out
}

/// The answer to a request; `None`: none, or none for ever.
fn answered(code: u32, node: u64, body: &[u8]) -> Option<Result<Vec<u8>, i32>> {
    let hangs = |name| node == number(name);
    match code {
        INIT => {
            let mut out = Vec::new();
            for word in [7u32, 31, 0, 0] {
                out.extend(word.to_ne_bytes());
            }
            out.resize(64, 0);
            // The most that is written at once.
            out[20..24].copy_from_slice(&4096u32.to_ne_bytes());
            Some(Ok(out))
        }
        LOOKUP => {
            let name = body.split(|&byte| byte == 0).next()?;
            let found = number(std::str::from_utf8(name).ok()?);
            if found == 0 {
                return Some(Err(libc::ENOENT));
            }
            let mut out = found.to_ne_bytes().to_vec();
            out.resize(40, 0);
            out.extend(attributes(found));
            Some(Ok(out))
        }
        GETATTR => {
            let mut out = vec![0; 16];
            out.extend(attributes(node));
            Some(Ok(out))
        }
        OPEN if hangs("open") => None,
        READ if hangs("read") => None,
        FLUSH if hangs("close") => None,
        // Past the page cache.
        OPEN => Some(Ok([0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0].into())),
        READ => {
            let size = u32::from_ne_bytes(body[16..20].try_into().unwrap());
            let from = u64::from_ne_bytes(body[8..16].try_into().unwrap());
            let left = BYTES.saturating_sub(from).min(size.into());
            Some(Ok(vec![b'x'; left as usize]))
        }
        FORGET | BATCH_FORGET => None,
        FLUSH | RELEASE => Some(Ok(Vec::new())),
        // The kernel asks for the same in an older way.
        _ => Some(Err(libc::ENOSYS)),
    }
}

/// Answers the kernel until the file system is gone.
fn serve(mut device: File) {
    let mut request = vec![0; 64 << 10];
    while let Ok(bytes) = device.read(&mut request) {
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_ne_bytes(request[at..at + 8].try_into().unwrap());
        let (code, unique, node) = (word(4), long(8), long(16));
        let Some(answer) = answered(code, node, &request[40..bytes]) else {
            continue;
        };
        let (error, body) = match answer {
            Ok(body) => (0, body),
            Err(error) => (-error, Vec::new()),
        };
        let mut out = (16 + body.len() as u32).to_ne_bytes().to_vec();
        out.extend(i32::to_ne_bytes(error));
        out.extend(unique.to_ne_bytes());
        out.extend(body);
        if device.write_all(&out).is_err() && code == INIT {
            return;
        }
    }
}

/// The file system, at a folder.
struct Hung(Folder);

impl Hung {
    /// Skips the test where there may be none.
    fn new(name: &str) -> Hung {
        if !is_root() {
            support::cannot("it takes root to make a file system");
        }
        let folder = Folder::new(name);
        let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
        let Ok(device) = device else {
            support::cannot("there is no /dev/fuse");
        };
        let options = format!(
            "fd={},rootmode=40000,user_id=0,group_id=0,allow_other",
            device.as_raw_fd()
        );
        let path = CString::new(folder.0.as_os_str().as_bytes()).unwrap();
        let options = CString::new(options).unwrap();
        // SAFETY: all pointers are of strings that end with a zero, and live until the call has returned.
        let done = unsafe {
            libc::mount(
                c"hung".as_ptr(),
                path.as_ptr(),
                c"fuse".as_ptr(),
                libc::MS_NOSUID | libc::MS_NODEV,
                options.as_ptr().cast(),
            )
        };
        if done != 0 {
            let error = std::io::Error::last_os_error();
            support::cannot(&format!("no file system may be made: {error}"));
        }
        thread::spawn(move || serve(device));
        Hung(folder)
    }
}

impl Drop for Hung {
    fn drop(&mut self) {
        let path = CString::new(self.0.0.as_os_str().as_bytes()).unwrap();
        // SAFETY: the pointer is of a string that ends with a zero, and lives until the call has returned.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_FORCE | libc::MNT_DETACH) };
    }
}

fn ask(port: u16, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(text.as_bytes()).unwrap();
    stream
}

/// The status of an answer, and how many bytes it has.
fn get(port: u16, path: &str) -> (u16, usize) {
    let mut all = Vec::new();
    let _ = ask(port, path).read_to_end(&mut all);
    let text = String::from_utf8_lossy(&all);
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or(0), all.len())
}

/// A broker that serves files of it, after one of them was asked for and its asker has gone.
fn after(name: &str) {
    let hung = Hung::new(&format!("hung-{name}"));
    let port = free_port();
    let config = [
        format!("listener {port} 127.0.0.1"),
        "protocol http_api".into(),
        format!("http_dir {}", hung.0.0.display()),
    ];
    let mut server = Server::start(&Program::Firehose { shards: 1 }, &config);
    // It goes before the server, whose process could not end otherwise.
    let hung = hung;
    assert!(server.is_ready());
    let (status, bytes) = get(port, "/good");
    assert!(status == 200 && bytes > BYTES as usize, "{status} {bytes}");
    let mut asker = ask(port, &format!("/{name}"));
    thread::sleep(Duration::from_millis(300));
    if name == "close" {
        // It has begun to come, and is given up.
        let mut some = [0; 100];
        asker.read_exact(&mut some).unwrap();
    }
    drop(asker);
    thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    for path in ["/healthz", "/readyz", "/metrics", "/api/v1/version"] {
        assert_eq!(get(port, path).0, 200, "{path} after {name}");
    }
    let mut client = Client::connect(server.address(), 4, "one", true, None);
    client.ping();
    assert!(
        began.elapsed() < Duration::from_secs(3),
        "{:?}",
        began.elapsed()
    );
    let (status, _) = get(port, "/good");
    let wanted = if name == "close" { 200 } else { 503 };
    assert_eq!(status, wanted, "a file after {name}");
    if name == "close" {
        // Each of them waits to be closed behind the first.
        let all = (0..100).map(|_| get(port, "/good").0);
        let found: Vec<u16> = all.collect();
        assert_eq!((found[0], found[99]), (200, 404), "{found:?}");
    }
    assert_eq!(get(port, "/healthz").0, 200);
    let began = Instant::now();
    server.terminate();
    while !server.log().contains(" terminating: SIGTERM") {
        let patience = Duration::from_secs(10);
        assert!(began.elapsed() < patience, "{}", server.log());
        thread::sleep(Duration::from_millis(20));
    }
    // It has done all that there was to do. The kernel lets go of no thread that waits for such a file system before that is gone.
    drop(hung);
    let ended = server.wait();
    assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
}

#[test]
fn a_file_that_cannot_be_opened_holds_up_nobody() {
    after("open");
}

#[test]
fn a_file_that_cannot_be_read_holds_up_nobody() {
    after("read");
}

#[test]
fn a_file_that_cannot_be_closed_holds_up_nobody() {
    after("close");
}
