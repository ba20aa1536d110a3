//! Clients that send all that they want in one segment and leave: what they have sent is done and answered before their
//! connection is closed, on whatever shard the others are that have to hear of it.

mod support;

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::process::Command;

use support::mqtt::{self, Connect, Publish, Version};
use support::{Folder, PATIENCE, Server};

const ROUNDS: u32 = 100;

/// How a client ends what it sends.
#[derive(Clone, Copy, Debug)]
enum End {
    Goodbye,
    HalfClose,
    Both,
}

/// CONNECT of MQTT 5, Clean Start 0, with a session that stays; the user `u` if there is a password.
fn connect(id: &str, password: Option<&str>) -> Vec<u8> {
    let connect = Connect {
        version: Version::V5,
        id,
        resumes: true,
        user: password.map(|_| "u"),
        password,
        expiry_s: Some(256),
        ..Connect::default()
    };
    connect.packet()
}

fn subscribe(filter: &str) -> Vec<u8> {
    mqtt::subscribe(Version::V5, 1, &[filter], 1)
}

fn publish(topic: &str) -> Vec<u8> {
    let message = Publish {
        version: Version::V5,
        topic,
        payload: b"hello",
        qos: 1,
        id: 7,
        ..Publish::default()
    };
    message.packet()
}

fn dial(server: &Server) -> TcpStream {
    let stream = TcpStream::connect(server.address()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The next packet; `None` at the end.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    mqtt::read_packet(stream).unwrap()
}

/// Everything that the broker answers before it closes.
fn hurry(server: &Server, bytes: &[u8], end: End) -> Vec<u8> {
    let mut stream = dial(server);
    let goodbye: &[u8] = match end {
        End::Goodbye | End::Both => &mqtt::GOODBYE,
        End::HalfClose => b"",
    };
    stream.write_all(&[bytes, goodbye].concat()).unwrap();
    if matches!(end, End::HalfClose | End::Both) {
        stream.shutdown(Shutdown::Write).unwrap();
    }
    std::iter::from_fn(|| read(&mut stream))
        .map(|packet| packet[0])
        .collect()
}

/// MQTT-3.8.4-1, and what follows from it: who sees its connection closed may rely on its subscription.
fn subscribes_and_leaves(end: End) {
    let server = Server::under_test(2, &[]);
    // Of two there is one on each shard, as a rule.
    let mut publishers: Vec<TcpStream> = (0..4).map(|_| dial(&server)).collect();
    for (index, publisher) in publishers.iter_mut().enumerate() {
        let id = format!("publisher{index}");
        publisher.write_all(&connect(&id, None)).unwrap();
        assert_eq!(read(publisher).unwrap()[0], 0x20);
    }
    for round in 0..ROUNDS {
        let (id, topic) = (format!("hasty{round}"), format!("hasty/{round}"));
        let bytes = [connect(&id, None), subscribe(&topic)].concat();
        let answers = hurry(&server, &bytes, end);
        assert_eq!(answers, [0x20, 0x90], "round {round}, {end:?}");
        for publisher in &mut publishers {
            publisher.write_all(&publish(&topic)).unwrap();
            let puback = read(publisher).unwrap();
            assert_eq!(puback, b"\x40\x02\0\x07", "round {round}, {end:?}: lost");
        }
        let mut stream = dial(&server);
        stream.write_all(&connect(&id, None)).unwrap();
        assert_eq!(read(&mut stream).unwrap()[0], 0x20);
        for _ in &publishers {
            assert_eq!(read(&mut stream).unwrap()[0], 0x32, "round {round}");
        }
    }
}

#[test]
fn who_subscribes_and_says_goodbye_is_answered() {
    subscribes_and_leaves(End::Goodbye);
}

#[test]
fn who_subscribes_and_shuts_its_side_is_answered() {
    subscribes_and_leaves(End::HalfClose);
}

#[test]
fn who_does_both_is_answered() {
    subscribes_and_leaves(End::Both);
}

/// A retained message that its owner has to hear of, a shared subscription, and a password that takes a while.
#[test]
fn everything_that_waits_is_finished() {
    let folder = Folder::new("hasty");
    let passwords = folder.0.join("passwords");
    let status = Command::new(env!("CARGO_BIN_EXE_firehose"))
        .args(["passwd", "-c", "-b"])
        .arg(&passwords)
        .args(["u", "secret"])
        .status()
        .unwrap();
    assert!(status.success());
    let line = format!("password_file {}", passwords.display());
    let server = Server::under_test(2, &[&line]);
    for round in 0..20 {
        for end in [End::Goodbye, End::HalfClose, End::Both] {
            let id = format!("hasty{round}{end:?}");
            let shared = format!("$share/g{round}/s/{round}");
            let mut retained = publish(&format!("r/{round}"));
            retained[0] |= 1;
            let bytes = [
                connect(&id, Some("secret")),
                subscribe(&shared),
                retained,
                subscribe(&format!("r/{round}{end:?}")),
            ];
            let answers = hurry(&server, &bytes.concat(), end);
            let count = |kind| answers.iter().filter(|&&answer| answer == kind).count();
            let counts = [0x20, 0x90, 0x40].map(count);
            assert_eq!(counts, [1, 2, 1], "{answers:x?}, {end:?}");
        }
    }
}
