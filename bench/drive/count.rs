//! Fan-out with QoS 0, as cheap as it gets: all frames have one size, so the received bytes are counted and dropped in
//! the kernel. The first subscriber alone looks at what it gets: every frame, byte for byte.

use std::time::Duration;

use super::link::{Link, READ_BYTES};
use super::meter::{Meter, Phase};
use super::report::Report;
use super::wire::{self, Stamp, Template};
use super::{Common, Failure, sys};

const TOPIC: &str = "fan";

/// The longest wait. So long a silence when nothing is outstanding ends a run: a duplicate would have come by then.
const QUIET: Duration = Duration::from_millis(20);

struct Fanout {
    publisher: Link,
    subscribers: Vec<Link>,
    /// Bytes received by each subscriber.
    received: Vec<u64>,
    total: u64,
    epoll: sys::Epoll,
    buffer: Vec<u8>,
    scratch: Vec<u8>,
    template: Template,
    window: u64,
    /// Messages sent, and messages that every subscriber has in full.
    sent: u64,
    complete: u64,
    /// Frames that the first subscriber has checked, and those that were not the ones due.
    checked: u32,
    wrong: u64,
}

pub fn run(common: &Common, subs: u32, payload: usize, window: u32) -> Result<Report, Failure> {
    let mut fanout = Fanout::connect(common, subs, payload, window)?;
    let mut meter = Meter::new(common)?;
    while !fanout.turn(common, &mut meter)? {}

    let mut report = Report::new("fanout", &common.label);
    report.count("publishers", 1);
    report.count("subscribers", u64::from(subs));
    report.count("payload", payload as u64);
    report.count("qos", 0);
    report.count("window", u64::from(window));
    meter.report("delivery", &mut report);
    report.count("sent", fanout.sent);
    report.count("delivered", fanout.delivered());
    report.count("wrong", fanout.wrong);
    report.verdict(fanout.is_exact());
    Ok(report)
}

impl Fanout {
    fn connect(common: &Common, subs: u32, payload: usize, window: u32) -> Result<Self, Failure> {
        let epoll = sys::Epoll::new()?;
        let mut subscribers = Vec::new();
        for at in 0..subs {
            let name = format!("sub-{at}");
            let link = Link::open(common.addr, None, common.version(), &name, Some((TOPIC, 0)))?;
            epoll.add(link.fd(), u64::from(at))?;
            subscribers.push(link);
        }
        let publisher = Link::open(common.addr, None, common.version(), "pub-0", None)?;
        epoll.add(publisher.fd(), u64::from(subs))?;
        Ok(Self {
            publisher,
            received: vec![0; subscribers.len()],
            subscribers,
            total: 0,
            epoll,
            buffer: vec![0; 2 * READ_BYTES],
            scratch: Vec::with_capacity(4 << 20),
            template: Template::new(common.version(), TOPIC, 0, payload),
            window: u64::from(window.max(1)),
            sent: 0,
            complete: 0,
            checked: 0,
            wrong: 0,
        })
    }

    fn frame_bytes(&self) -> u64 {
        self.template.len() as u64
    }

    fn delivered(&self) -> u64 {
        self.total / self.frame_bytes()
    }

    /// Nothing too much, nothing too little, for each subscriber, and all in order for the one that looked.
    fn is_exact(&self) -> bool {
        let due = self.sent * self.frame_bytes();
        self.wrong == 0
            && u64::from(self.checked) == self.sent
            && self.received.iter().all(|&bytes| bytes == due)
    }

    fn turn(&mut self, common: &Common, meter: &mut Meter) -> Result<bool, Failure> {
        let phase = meter.tick(sys::now_ns(), self.delivered())?;
        let room = self.window - (self.sent - self.complete);
        if phase != Phase::Drain && room > 0 {
            self.publish(room)?;
        }
        let spin = common.spin && phase != Phase::Drain;
        let ready = self.epoll.wait(if spin { Duration::ZERO } else { QUIET })?;
        for at in 0..ready {
            let token = self.epoll.token(at) as usize;
            self.on_event(token)?;
        }
        self.count_complete();
        Ok(phase == Phase::Drain && ready == 0 && self.sent == self.complete)
    }

    fn publish(&mut self, room: u64) -> Result<(), Failure> {
        for _ in 0..room {
            let stamp = Stamp {
                publisher: 0,
                sequence: self.sent as u32,
                intended_ns: 0,
            };
            self.template.append(0, stamp, &mut self.publisher.out);
            self.sent += 1;
        }
        Ok(self.publisher.flush()?)
    }

    fn on_event(&mut self, token: usize) -> Result<(), Failure> {
        let Some(link) = self.subscribers.get_mut(token) else {
            if self.publisher.discard(&mut self.scratch)? > 0 {
                return Err("the broker sent something to the publisher".into());
            }
            return Ok(self.publisher.flush()?);
        };
        let bytes = if token == 0 {
            self.check()?
        } else {
            link.discard(&mut self.scratch)?
        };
        self.received[token] += bytes;
        self.total += bytes;
        Ok(())
    }

    /// Compares every frame of the first subscriber with the one that is due.
    fn check(&mut self) -> Result<u64, Failure> {
        let Self {
            subscribers,
            buffer,
            template,
            checked,
            wrong,
            ..
        } = self;
        let mut due = Vec::new();
        let mut bytes = 0;
        subscribers[0].frames(buffer, |first, body, _| {
            due.clear();
            template.append(
                0,
                Stamp {
                    publisher: 0,
                    sequence: *checked,
                    intended_ns: 0,
                },
                &mut due,
            );
            let same = wire::next_frame(&mut due.as_slice()) == Some((first, body));
            *wrong += u64::from(!same);
            *checked = checked.wrapping_add(1);
            bytes += template.len() as u64;
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Finds how many messages everybody has. Looked for only when so many bytes came that it may be one more.
    fn count_complete(&mut self) {
        let all = self.subscribers.len() as u64 * self.frame_bytes();
        if self.total >= (self.complete + 1) * all {
            let least = self.received.iter().copied().min().unwrap_or(0);
            self.complete = least / self.frame_bytes();
        }
    }
}
