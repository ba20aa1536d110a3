//! A WebSocket client that hides nothing: frames as bytes, and what came back.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::support::PATIENCE;

/// The mask of all frames sent.
const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// What came until the end: the data frames' payload, the pongs, the close frame's payload.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    pub data: Vec<u8>,
    pub pongs: Vec<Vec<u8>>,
    pub close: Option<Vec<u8>>,
}

/// A connection whose upgrade has been accepted.
pub fn upgrade(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
        .write_all(
            b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
              Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
              Sec-WebSocket-Protocol: mqtt\r\n\r\n",
        )
        .unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.extend(byte);
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{head}");
    stream
}

/// A masked frame; `first` is FIN, the reserved bits and the opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend((len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend((len as u64).to_be_bytes());
        }
    }
    bytes.extend(KEY);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(b, k)| b ^ k));
    bytes
}

/// A close frame's payload.
pub fn close_frame(code: u16) -> Vec<u8> {
    code.to_be_bytes().to_vec()
}

/// Reads one frame; an error at the end.
pub fn read_frame(stream: &mut TcpStream, seen: &mut Seen) -> io::Result<()> {
    let mut head = [0; 2];
    stream.read_exact(&mut head)?;
    assert_eq!(head[1] & 0x80, 0, "a server masks nothing");
    assert_eq!(head[0] & 0xf0, 0x80, "whole frames, no reserved bits");
    let len = match head[1] {
        126 => {
            let mut len = [0; 2];
            stream.read_exact(&mut len)?;
            u64::from(u16::from_be_bytes(len))
        }
        127 => {
            let mut len = [0; 8];
            stream.read_exact(&mut len)?;
            u64::from_be_bytes(len)
        }
        len => len.into(),
    };
    let mut payload = vec![0; len as usize];
    stream.read_exact(&mut payload)?;
    assert!(seen.close.is_none(), "nothing follows a close frame");
    match head[0] & 0x0f {
        2 => seen.data.extend(payload),
        10 => seen.pongs.push(payload),
        8 => seen.close = Some(payload),
        other => panic!("opcode {other}"),
    }
    Ok(())
}

/// Reads on until the broker closes the connection.
pub fn read_frames(stream: &mut TcpStream, mut seen: Seen) -> Seen {
    loop {
        match read_frame(stream, &mut seen) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return seen,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return seen,
            Err(error) => panic!("{error}; so far {seen:?}"),
        }
    }
}
