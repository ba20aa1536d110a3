//! Clients that connect, subscribe to a topic of their own, disconnect and come again as somebody else.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Duration;

use super::link::dial;
use super::meter::{Meter, Phase};
use super::report::Report;
use super::wire;
use super::{Common, Failure, source, sys};

/// Connect → `Connecting` → CONNACK: SUBSCRIBE → `Subscribing` → SUBACK: DISCONNECT, close, next client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Connecting,
    Subscribing,
}

struct Slot {
    stream: TcpStream,
    step: Step,
    number: u64,
    received: Vec<u8>,
}

struct Churn<'a> {
    common: &'a Common,
    epoll: sys::Epoll,
    slots: Vec<Option<Slot>>,
    started: u64,
    done: u64,
}

pub fn run(common: &Common, slots: usize) -> Result<Report, Failure> {
    let mut churn = Churn {
        common,
        epoll: sys::Epoll::new()?,
        slots: (0..slots).map(|_| None).collect(),
        started: 0,
        done: 0,
    };
    let mut meter = Meter::new(common)?;
    for at in 0..slots {
        churn.start(at)?;
    }
    while churn.slots.iter().any(Option::is_some) {
        let phase = meter.tick(sys::now_ns(), churn.done)?;
        let timeout = if common.spin {
            Duration::ZERO
        } else {
            Duration::from_millis(20)
        };
        for at in 0..churn.epoll.wait(timeout)? {
            let slot = churn.epoll.token(at) as usize;
            churn.on_event(slot, phase)?;
        }
    }

    let mut report = Report::new("churn", &common.label);
    report.count("slots", slots as u64);
    meter.report("cycle", &mut report);
    report.count("started", churn.started);
    report.count("done", churn.done);
    report.verdict(churn.started == churn.done);
    Ok(report)
}

impl Churn<'_> {
    fn start(&mut self, at: usize) -> Result<(), Failure> {
        let number = self.started;
        self.started += 1;
        let mut stream = dial(self.common.addr, Some(source(number)))?;
        stream.set_nonblocking(true)?;
        stream.write_all(&wire::connect(
            self.common.version(),
            &format!("churn-{number}"),
        ))?;
        self.epoll.add(stream.as_raw_fd(), at as u64)?;
        self.slots[at] = Some(Slot {
            stream,
            step: Step::Connecting,
            number,
            received: Vec::new(),
        });
        Ok(())
    }

    fn on_event(&mut self, at: usize, phase: Phase) -> Result<(), Failure> {
        let version = self.common.version();
        let Some(slot) = &mut self.slots[at] else {
            return Ok(());
        };
        let Some(first) = slot.read()? else {
            return Ok(());
        };
        match (slot.step, first) {
            (Step::Connecting, wire::CONNACK) => {
                let topic = format!("churn/{}", slot.number);
                slot.stream
                    .write_all(&wire::subscribe(version, &topic, 0))?;
                slot.step = Step::Subscribing;
            }
            (Step::Subscribing, wire::SUBACK) => {
                slot.stream.write_all(&wire::DISCONNECT)?;
                self.slots[at] = None;
                self.done += 1;
                if phase != Phase::Drain {
                    self.start(at)?;
                }
            }
            (_, other) => {
                return Err(format!("a client got packet {other:#04x} out of turn").into());
            }
        }
        Ok(())
    }
}

impl Slot {
    /// Reads what is there; the first byte of a frame that is whole now.
    fn read(&mut self) -> Result<Option<u8>, Failure> {
        let mut buffer = [0; 512];
        match self.stream.read(&mut buffer) {
            Ok(0) => return Err("the broker closed a connection".into()),
            Ok(count) => self.received.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let mut input = self.received.as_slice();
        let Some((first, body)) = wire::next_frame(&mut input) else {
            return Ok(None);
        };
        let refused = if first == wire::CONNACK {
            body.get(1) != Some(&0)
        } else {
            body.last() >= Some(&0x80)
        };
        if refused {
            return Err(format!("a client was refused: {first:#04x} {body:02x?}").into());
        }
        let rest = input.to_vec();
        self.received = rest;
        Ok(Some(first))
    }
}
