//! The broker as a service: sockets that are passed in, and what the service manager is told.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use support::{Folder, PATIENCE, wait_for};

/// Starts a broker as a service manager does: the listener is descriptor 3.
fn start(listener: TcpListener, config: &Path, notify: &Path) -> Child {
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" serve --shards 2 -c \"$1\"";
    Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_firehose")])
        .arg(config)
        .env("LISTEN_FDS", "1")
        .env("NOTIFY_SOCKET", notify)
        .env("WATCHDOG_USEC", "200000")
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Messages to the service manager, up to one that contains the text.
fn until(manager: &UnixDatagram, text: &str) -> Vec<String> {
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let len = manager
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("no {text} after {seen:?}: {error}"));
        seen.push(String::from_utf8(buffer[..len].to_vec()).unwrap());
        if seen.last().unwrap().contains(text) {
            return seen;
        }
    }
}

fn signal(child: &Child, name: &str) {
    let pid = child.id().to_string();
    let status = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(status.unwrap().success());
}

#[test]
fn it_serves_on_the_socket_and_tells_the_manager() {
    let folder = Folder::new("service");
    let path = folder.0.join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    // As systemd's is: who gives root up goes on telling.
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let lines = format!(
        "listener {} 127.0.0.1\nallow_anonymous true\n",
        address.port()
    );
    let config = folder.write("conf", &lines);
    // A client may come before the broker does.
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut child = start(listener, &config, &path);
    let ready = until(&manager, "READY=1").pop().unwrap();
    assert!(ready.contains("STATUS=firehose"), "{ready}");
    let connect = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01s";
    client.write_all(connect).unwrap();
    let mut connack = [0; 4];
    client.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    // Beyond the first, which is sent before anybody had to answer.
    for _ in 0..3 {
        until(&manager, "WATCHDOG=1");
    }
    signal(&child, "HUP");
    let reloading = until(&manager, "RELOADING=1").pop().unwrap();
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    until(&manager, "READY=1");
    drop(client);
    signal(&child, "TERM");
    until(&manager, "STOPPING=1");
    assert!(wait_for(&mut child).unwrap().success());
}

#[test]
fn a_socket_that_no_listener_asks_for_is_named() {
    let folder = Folder::new("service");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap().to_string();
    let port = support::free_port();
    let config = folder.write("conf", &format!("listener {port} 127.0.0.1\n"));
    let mut child = start(listener, &config, Path::new("/nonexistent"));
    let errors = support::reader(child.stderr.take().unwrap());
    assert_eq!(wait_for(&mut child).unwrap().code(), Some(3));
    let errors = errors.join().unwrap();
    assert!(errors.contains(&place), "{errors}");
}

#[test]
fn no_secret_is_logged() {
    use support::{Program, Server};
    let config = ["allow_anonymous true", "log_dest stdout", "log_type all"];
    let config: Vec<String> = config.iter().map(|line| line.to_string()).collect();
    let server = Server::start(&Program::Firehose { shards: 2 }, &config);
    let mut client = TcpStream::connect(server.address()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // With a will, a user name and a password; then a message, and then what no client may send.
    let connect = b"\x10\x2d\x00\x04MQTT\x04\xc6\x00\x00\x00\x03who\x00\x01w\x00\x07willpay\x00\x04user\x00\x0apassw0rd!!";
    client.write_all(connect).unwrap();
    let mut connack = [0; 4];
    client.read_exact(&mut connack).unwrap();
    assert_eq!(connack, [0x20, 2, 0, 0]);
    client
        .write_all(b"\x30\x0b\x00\x01tpayload!\xff\xff")
        .unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    let started = std::time::Instant::now();
    while !server.log().contains("who") {
        assert!(started.elapsed() < PATIENCE, "{}", server.log());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    std::thread::sleep(std::time::Duration::from_millis(100));
    let log = server.log();
    for secret in ["passw0rd", "payload!", "willpay"] {
        assert!(!log.contains(secret), "{log}");
    }
}
