//! A stand-in for a broker: one `send()` call per subscriber and PUBLISH, and nothing else. What a broker cannot beat
//! without coalescing, measured by the same scenario as the brokers.
//!
//! With `coalesce` it makes one `send()` of all the frames that one read brought: a broker that costs next to nothing,
//! to find the driver's own ceiling.
//!
//! It serves one run: subscribers first (client ids that start with `sub`), then one publisher, then it ends.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};

use super::Failure;
use super::link::read_frame;
use super::wire;

pub fn run(port: u16, coalesce: bool) -> Result<(), Failure> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut subscribers = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let (_, connect) = read_frame(&mut stream)?;
        stream.write_all(&[wire::CONNACK, 2, 0, 0])?;
        // CONNECT of 3.1.1: ten bytes, then the client id with its length.
        if connect.get(12..15) != Some(b"sub") {
            return relay(stream, &mut subscribers, coalesce);
        }
        let (_, subscribe) = read_frame(&mut stream)?;
        let granted = subscribe.last().copied().unwrap_or(0);
        stream.write_all(&[wire::SUBACK, 3, 0, 1, granted])?;
        subscribers.push(stream);
    }
}

fn relay(
    mut publisher: TcpStream,
    subscribers: &mut [TcpStream],
    coalesce: bool,
) -> Result<(), Failure> {
    let mut buffer = vec![0; 64 * 1024];
    let mut held = 0;
    loop {
        let count = publisher.read(&mut buffer[held..])?;
        if count == 0 {
            return Ok(());
        }
        held += count;
        let mut whole = 0;
        while let Some(length) = frame_len(&buffer[whole..held]) {
            if !coalesce {
                send_to_all(subscribers, &buffer[whole..whole + length])?;
            }
            whole += length;
        }
        if coalesce {
            send_to_all(subscribers, &buffer[..whole])?;
        }
        buffer.copy_within(whole..held, 0);
        held -= whole;
    }
}

fn frame_len(input: &[u8]) -> Option<usize> {
    let mut rest = input;
    wire::next_frame(&mut rest).map(|_| input.len() - rest.len())
}

fn send_to_all(subscribers: &mut [TcpStream], bytes: &[u8]) -> Result<(), Failure> {
    for subscriber in subscribers {
        subscriber.write_all(bytes)?;
    }
    Ok(())
}
