//! A stand-in for a broker: one `send()` call for each subscriber and PUBLISH, and nothing else. What a broker cannot beat without
//! putting messages together, measured by the same load as the brokers.
//!
//!     bare PORT
//!
//! It serves what `firehose bench fanout` does with QoS 0 and MQTT 3.1.1: subscribers, and then one publisher. It ends when it
//! is ended.

#[path = "../tests/support/mqtt/mod.rs"]
mod mqtt;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::ExitCode;

fn main() -> ExitCode {
    let port = std::env::args().nth(1).and_then(|port| port.parse().ok());
    let Some(port) = port else {
        eprintln!("bare PORT");
        return ExitCode::from(2);
    };
    match serve(port) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bare: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(port: u16) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    let mut subscribers = Vec::new();
    loop {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        // Who looks whether anybody listens says nothing.
        if mqtt::read_packet(&mut stream)?.is_none() {
            continue;
        }
        stream.write_all(&mqtt::connack(0))?;
        match first_byte(&mut stream)? {
            Some(first) if first >> 4 == mqtt::SUBSCRIBE => {
                let Some(subscribe) = mqtt::read_packet(&mut stream)? else {
                    continue;
                };
                let id = mqtt::Fields::of(&subscribe).u16();
                stream.write_all(&mqtt::suback(id, 0))?;
                subscribers.push(stream);
            }
            _ => {
                relay(stream, &mut subscribers)?;
                subscribers.clear();
            }
        }
    }
}

/// The first byte of what a client sends next, which stays to be read.
fn first_byte(stream: &mut TcpStream) -> io::Result<Option<u8>> {
    let mut first = [0];
    let count = stream.peek(&mut first)?;
    Ok((count > 0).then_some(first[0]))
}

/// Until the publisher has gone.
fn relay(mut publisher: TcpStream, subscribers: &mut [TcpStream]) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut held = 0;
    loop {
        let count = publisher.read(&mut buffer[held..])?;
        if count == 0 {
            return Ok(());
        }
        held += count;
        let mut done = 0;
        while let Some(len) = mqtt::whole(&buffer[done..held]).map_err(io::Error::other)? {
            let packet = &buffer[done..done + len];
            if packet[0] >> 4 == mqtt::PUBLISH {
                for subscriber in &mut *subscribers {
                    subscriber.write_all(packet)?;
                }
            }
            done += len;
        }
        buffer.copy_within(done..held, 0);
        held -= done;
    }
}
