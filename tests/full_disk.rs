//! The disk of the store is full: what would have to be kept is refused, all else goes on, and it works again when there is room.

mod support;

#[path = "support/harness.rs"]
mod harness;

use std::fs::File;
use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use support::mqtt::{self, Connect, Publish, Version};
use support::{Folder, PATIENCE, Program, Server, is_root, run};

/// Bytes of the disk: four segments, and a little more.
const DISK: &str = "280m";

/// Bytes that somebody else has on it, so that there is no room for the fourth segment.
const BALLAST: u64 = 60 << 20;

/// Bytes of each message: few of them fill a segment.
const MESSAGE: usize = 512 << 10;

/// A reason code of MQTT 5.
const QUOTA_EXCEEDED: u8 = 0x97;

/// A file system in memory.
struct Disk(Folder);

impl Disk {
    /// Skips the test where there may be none.
    fn new() -> Disk {
        if !is_root() {
            support::cannot("it takes root to make a file system");
        }
        let folder = Folder::new("disk");
        let size = format!("size={DISK}");
        let mut mount = Command::new("mount");
        let done = run(mount
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(&folder.0));
        if done.code != Some(0) {
            support::cannot(&format!("no file system may be made: {}", done.stderr));
        }
        support::give(&folder.0);
        Disk(folder)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("--lazy").arg(&self.0.0));
    }
}

struct Client {
    stream: TcpStream,
    version: Version,
}

impl Client {
    /// Connects; the reason code of CONNACK.
    fn try_new(server: &Server, version: Version, id: &str, resumes: bool) -> (Client, u8) {
        let stream = TcpStream::connect(server.address()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client { stream, version };
        let connect = Connect {
            version,
            id,
            resumes,
            expiry_s: resumes.then_some(3600),
            ..Connect::default()
        };
        client.send(&connect.packet());
        let connack = client.packet().expect("CONNACK");
        (client, connack.code)
    }

    fn new(server: &Server, version: Version, id: &str, resumes: bool) -> Client {
        let (client, code) = Client::try_new(server, version, id, resumes);
        assert_eq!(code, 0, "{id} is let in");
        client
    }

    fn send(&mut self, packet: &[u8]) {
        // The broker may close at any time.
        let _ = self.stream.write_all(packet);
    }

    fn packet(&mut self) -> Option<mqtt::Packet> {
        let packet = mqtt::read_packet(&mut self.stream).expect("a packet in time")?;
        Some(mqtt::decode(self.version, &packet).unwrap())
    }

    /// Subscribes; the reason code.
    fn subscribe(&mut self, filter: &str, qos: u8) -> u8 {
        self.send(&mqtt::subscribe(self.version, 9, &[filter], qos));
        self.packet().expect("SUBACK").codes[0]
    }

    /// Publishes; the reason code of PUBACK or PUBREC, `None` when the connection was closed instead.
    fn publish(&mut self, topic: &str, qos: u8, payload: &[u8]) -> Option<u8> {
        let message = Publish {
            version: self.version,
            topic,
            payload,
            qos,
            id: 5,
            ..Publish::default()
        };
        self.send(&message.packet());
        let answer = self.packet()?;
        let kind = if qos == 2 { mqtt::PUBREC } else { mqtt::PUBACK };
        assert_eq!((answer.kind, answer.id), (kind, Some(5)));
        if qos == 2 && answer.code < 0x80 {
            self.send(&mqtt::ack(mqtt::PUBREL, 5));
            assert_eq!(self.packet().expect("PUBCOMP").kind, mqtt::PUBCOMP);
        }
        Some(answer.code)
    }

    /// A message of QoS 0 to another client comes there.
    fn reaches(&mut self, other: &mut Client, topic: &str) {
        let message = Publish {
            version: self.version,
            topic,
            payload: b"alive",
            ..Publish::default()
        };
        self.send(&message.packet());
        let came = other.packet().expect("a message");
        assert_eq!(came.payload, b"alive");
    }
}

/// Publishes until it is refused; how many were taken. Messages are not acknowledged meanwhile but when they are on the disk.
fn fill(publisher: &mut Client) -> u32 {
    let payload = vec![b'.'; MESSAGE];
    for taken in 0..1000 {
        match publisher.publish("kept/1", 1, &payload) {
            Some(0) => {}
            Some(QUOTA_EXCEEDED) => return taken,
            other => panic!("message {taken}: {other:?}"),
        }
    }
    panic!("the disk is never full");
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What waits for a client comes, and is acknowledged; how many messages of the large ones that were.
fn take_all(client: &mut Client) -> u32 {
    let mut count = 0;
    loop {
        let message = client.packet().expect("a message");
        if let Some(id) = message.id {
            client.send(&mqtt::ack(mqtt::PUBACK, id));
        }
        if message.payload == b"end" {
            return count;
        }
        count += u32::from(message.payload.len() == MESSAGE);
    }
}

fn a_full_disk_refuses_what_would_be_kept_and_nothing_else() {
    for shards in [1, 2] {
        let disk = Disk::new();
        let ballast = disk.0.0.join("ballast");
        let mut file = File::create(&ballast).unwrap();
        file.write_all(&vec![1; BALLAST as usize]).unwrap();
        let config = [
            "persistence true".to_owned(),
            format!("persistence_location {}/", disk.0.0.display()),
            "max_queued_messages 0".to_owned(),
            "sys_interval 1".to_owned(),
        ];
        let server = Server::start(&Program::Firehose { shards }, &config);
        let mut away = Client::new(&server, Version::V311, "away", true);
        assert_eq!(away.subscribe("kept/#", 1), 1);
        drop(away);
        let mut plain = Client::new(&server, Version::V5, "plain", false);
        assert_eq!(plain.subscribe("plain/#", 1), 1);
        let mut publisher = Client::new(&server, Version::V5, "publisher", false);
        let taken = fill(&mut publisher);
        assert!(taken > 50, "a segment has room for more than {taken}");
        // The log has a thread of its own.
        eventually("the log says it", || {
            server.log().contains("file system of the store is full")
        });

        // Refused is what would be kept, whoever asks.
        assert_eq!(publisher.publish("kept/1", 1, b"x"), Some(QUOTA_EXCEEDED));
        assert_eq!(publisher.publish("kept/1", 2, b"x"), Some(QUOTA_EXCEEDED));
        let mut old = Client::new(&server, Version::V311, "old", false);
        assert_eq!(
            old.publish("kept/1", 1, b"x"),
            None,
            "closed without an answer"
        );
        let (_, code) = Client::try_new(&server, Version::V5, "new", true);
        assert_eq!(code, QUOTA_EXCEEDED);
        // And nothing else.
        publisher.reaches(&mut plain, "plain/0");
        assert_eq!(publisher.publish("plain/1", 1, b"x"), Some(0));
        assert_eq!(plain.packet().expect("a message").payload, b"x");

        // There is room again.
        drop(file);
        std::fs::remove_file(&ballast).unwrap();
        eventually("it is taken again", || {
            publisher.publish("kept/1", 1, b"again") == Some(0)
        });
        eventually("the log says it", || {
            server.log().contains("takes everything again")
        });
        let mut old = Client::new(&server, Version::V311, "old", false);
        assert_eq!(old.publish("kept/1", 2, b"end"), Some(0));
        let mut away = Client::new(&server, Version::V311, "away", true);
        assert_eq!(take_all(&mut away), taken);
    }
}

/// The same when the broker is killed while it is full: all that was acknowledged is there.
fn what_was_acknowledged_before_the_disk_was_full_is_there_after_a_kill() {
    let disk = Disk::new();
    let ballast = disk.0.0.join("ballast");
    std::fs::write(&ballast, vec![1; BALLAST as usize]).unwrap();
    let config = [
        "persistence true".to_owned(),
        format!("persistence_location {}/", disk.0.0.display()),
        "max_queued_messages 0".to_owned(),
    ];
    let mut server = Server::start(&Program::Firehose { shards: 1 }, &config);
    let mut away = Client::new(&server, Version::V311, "away", true);
    assert_eq!(away.subscribe("kept/#", 1), 1);
    drop(away);
    let mut publisher = Client::new(&server, Version::V5, "publisher", false);
    let taken = fill(&mut publisher);
    server.kill();
    // A start has to have room for all that counts once more.
    std::fs::remove_file(&ballast).unwrap();
    resize(&disk, "800m");
    assert!(server.start_again(&Program::Firehose { shards: 2 }));
    let mut publisher = Client::new(&server, Version::V5, "publisher", false);
    assert_eq!(publisher.publish("kept/1", 1, b"end"), Some(0));
    let mut away = Client::new(&server, Version::V311, "away", true);
    assert_eq!(take_all(&mut away), taken);
}

/// `persistence_max_size` is kept to; what has been fetched is not written anew by a checkpoint, which makes room.
fn a_store_that_has_all_that_it_may_have_takes_more_when_what_it_has_is_read() {
    let store = Folder::new("full");
    let config = [
        "persistence true".to_owned(),
        format!("persistence_location {}/", store.0.display()),
        "persistence_max_size 256M".to_owned(),
        "max_queued_messages 0".to_owned(),
    ];
    let server = Server::start(&Program::Firehose { shards: 1 }, &config);
    // One session has at most 64 MiB that wait.
    let sessions = ["kept/0", "kept/1", "kept/2", "kept/3", "kept/4", "kept/5"];
    for topic in sessions {
        let mut away = Client::new(&server, Version::V311, topic, true);
        assert_eq!(away.subscribe(topic, 1), 1);
    }
    let mut publisher = Client::new(&server, Version::V5, "publisher", false);
    let payload = vec![b'.'; MESSAGE];
    let mut taken = 0;
    while publisher.publish(sessions[taken % sessions.len()], 1, &payload) == Some(0) {
        taken += 1;
        assert!(taken < 600, "the store is never full");
    }
    let files = std::fs::read_dir(store.0.join("firehose")).unwrap();
    let lens = files.map(|file| file.unwrap().metadata().unwrap().len());
    assert!(lens.sum::<u64>() <= (256 << 20) + 8192);
    for (index, topic) in sessions.into_iter().enumerate() {
        let mut away = Client::new(&server, Version::V311, topic, true);
        let count = (taken + sessions.len() - 1 - index) / sessions.len();
        for _ in 0..count {
            let message = away.packet().expect("a message");
            away.send(&mqtt::ack(mqtt::PUBACK, message.id.unwrap()));
        }
        away.send(&mqtt::GOODBYE);
        assert!(away.packet().is_none());
    }
    // A checkpoint gives it room, without a start.
    eventually("it is taken again", || {
        publisher.publish("kept/0", 1, b"again") == Some(0)
    });
}

/// Makes the file system of a disk so large.
fn resize(disk: &Disk, size: &str) {
    let mut mount = Command::new("mount");
    let done = mount
        .args(["-o", &format!("remount,size={size}")])
        .arg(&disk.0.0)
        .status();
    assert!(done.unwrap().success());
}

/// A start that has no room says what it needs: it ends if not even its first file can be made, and else waits until there is.
fn a_start_without_room_says_so() {
    let disk = Disk::new();
    let location = disk.0.0.display().to_string();
    let config = [
        "persistence true".to_owned(),
        format!("persistence_location {location}"),
        "max_queued_messages 0".to_owned(),
    ];
    let program = Program::Firehose { shards: 1 };
    let mut server = Server::start(&program, &config);
    let mut away = Client::new(&server, Version::V311, "away", true);
    assert_eq!(away.subscribe("kept/#", 1), 1);
    drop(away);
    let mut publisher = Client::new(&server, Version::V5, "publisher", false);
    let mut payload = vec![b'.'; MESSAGE];
    for number in 0..100 {
        payload[0] = number;
        assert_eq!(publisher.publish("kept/1", 1, &payload), Some(0));
    }
    server.kill();

    let ballast = disk.0.0.join("ballast");
    let mut file = File::create(&ballast).unwrap();
    while file.write_all(&[1; 4096]).is_ok() {}
    server.launch_again(&program);
    assert_eq!(server.wait().and_then(|status| status.code()), Some(3));
    let log = server.log();
    let words =
        format!("0 B of the file system of {location} are free, and a start needs 256 MiB there");
    assert!(log.contains("No space left on device"), "{log}");
    assert!(log.contains(&words), "{log}");

    // Room for a few pages, but not for a segment.
    resize(&disk, "300m");
    server.launch_again(&program);
    let waits = format!("The start waits for room in the file system of {location}: ");
    // At once on standard error, and in the log.
    eventually("it says that it waits", || {
        server.log().matches(&waits).count() >= 2
    });
    assert!(
        server.log().contains("about 306 MiB in all"),
        "{}",
        server.log()
    );
    assert!(server.is_running() && !server.is_ready());
    resize(&disk, "800m");
    eventually("it goes on", || server.is_ready());
    let mut publisher = Client::new(&server, Version::V5, "publisher", false);
    assert_eq!(publisher.publish("kept/1", 1, b"end"), Some(0));
    let mut away = Client::new(&server, Version::V311, "away", true);
    assert_eq!(take_all(&mut away), 100);
}

cases![
    a_start_without_room_says_so,
    a_store_that_has_all_that_it_may_have_takes_more_when_what_it_has_is_read,
    a_full_disk_refuses_what_would_be_kept_and_nothing_else,
    what_was_acknowledged_before_the_disk_was_full_is_there_after_a_kill,
];
