//! The engine of the scenarios that look into each message: any publishers, any subscribers, QoS 0, 1 and 2, closed
//! loop (a window per publisher) or open loop (a fixed rate, with latency from the intended send time).

use std::time::Duration;

use hdrhistogram::Histogram;

use super::link::{Link, READ_BYTES};
use super::meter::{Meter, Phase};
use super::plan::{Plan, Topic};
use super::report::Report;
use super::track::Track;
use super::wire::{self, Stamp, Template, Version};
use super::{Common, Failure, sys};

/// The longest wait. So long a silence when nothing is outstanding ends a run: a duplicate would have come by then.
const QUIET: Duration = Duration::from_millis(20);

struct Publisher {
    link: Link,
    track: Track,
    templates: Vec<Template>,
    deliveries: Vec<u32>,
    next: usize,
}

struct Subscriber {
    link: Link,
    /// One more than the last sequence seen, for each publisher.
    expected: Vec<u32>,
}

/// When messages are due, in an open loop.
struct Pace {
    start_ns: u64,
    interval_ns: f64,
    /// Messages sent so far by all publishers; message k is due at `start_ns + k * interval_ns`.
    sent: u64,
}

impl Pace {
    fn due_ns(&self) -> u64 {
        self.start_ns + (self.sent as f64 * self.interval_ns) as u64
    }
}

/// Everything that a received packet changes but the link that it came from.
struct Tally {
    version: Version,
    delivered: u64,
    /// Deliveries and acknowledgements that nothing waited for.
    stray: u64,
    /// Deliveries that came behind a younger one of the same publisher.
    reordered: u64,
    measuring: bool,
    latency: Option<Histogram<u64>>,
}

struct Engine {
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    epoll: sys::Epoll,
    buffer: Vec<u8>,
    qos: u8,
    pace: Option<Pace>,
    /// How late messages of an open loop left, which is the driver's part of their latency.
    lag: Histogram<u64>,
    tally: Tally,
}

pub fn run(common: &Common, plan: Plan) -> Result<Report, Failure> {
    sys::exact_timers();
    let mut engine = Engine::connect(common, &plan)?;
    let mut meter = Meter::new(common)?;
    engine.pace = plan.rate.map(|rate| Pace {
        start_ns: sys::now_ns(),
        interval_ns: 1e9 / rate,
        sent: 0,
    });
    while !engine.turn(common, &mut meter)? {}

    let mut report = Report::new(plan.name, &common.label);
    report.count("publishers", plan.publishers.len() as u64);
    report.count("subscribers", plan.filters.len() as u64);
    report.count("payload", plan.payload as u64);
    report.count("qos", u64::from(plan.qos));
    match plan.rate {
        Some(rate) => report.number("rate", rate),
        None => report.count("window", u64::from(plan.window)),
    }
    meter.report("delivery", &mut report);
    engine.report(&mut report);
    Ok(report)
}

impl Engine {
    fn connect(common: &Common, plan: &Plan) -> Result<Self, Failure> {
        let version = common.version();
        let epoll = sys::Epoll::new()?;
        let mut subscribers = Vec::new();
        for (at, filter) in plan.filters.iter().enumerate() {
            let link = Link::open(
                common.addr,
                None,
                version,
                &format!("sub-{at}"),
                Some((filter, plan.qos)),
            )?;
            epoll.add(link.fd(), at as u64)?;
            subscribers.push(Subscriber {
                link,
                expected: vec![0; plan.publishers.len()],
            });
        }
        let mut publishers = Vec::new();
        for (at, topics) in plan.publishers.iter().enumerate() {
            let link = Link::open(common.addr, None, version, &format!("pub-{at}"), None)?;
            epoll.add(link.fd(), (subscribers.len() + at) as u64)?;
            publishers.push(Publisher {
                link,
                track: Track::new(plan.window),
                templates: topics
                    .iter()
                    .map(|t| Template::new(version, &t.name, plan.qos, plan.payload))
                    .collect(),
                deliveries: topics.iter().map(|t: &Topic| t.deliveries).collect(),
                next: 0,
            });
        }
        let histogram = || Histogram::new_with_bounds(1, 60_000_000_000, 3);
        let latency = plan.rate.map(|_| histogram()).transpose()?;
        let tally = Tally {
            version,
            delivered: 0,
            stray: 0,
            reordered: 0,
            measuring: false,
            latency,
        };
        let buffer = vec![0; 2 * READ_BYTES];
        Ok(Self {
            publishers,
            subscribers,
            epoll,
            buffer,
            qos: plan.qos,
            pace: None,
            lag: histogram()?,
            tally,
        })
    }

    /// Sends what may be sent, waits, takes what arrived. True when all is over.
    fn turn(&mut self, common: &Common, meter: &mut Meter) -> Result<bool, Failure> {
        let now = sys::now_ns();
        let phase = meter.tick(now, self.tally.delivered)?;
        self.tally.measuring = phase == Phase::Measure;
        if phase != Phase::Drain {
            self.publish(now)?;
        }
        let timeout = match phase {
            Phase::Drain => QUIET,
            _ if common.spin => Duration::ZERO,
            _ => self.patience(sys::now_ns()),
        };
        let ready = self.epoll.wait(timeout)?;
        for at in 0..ready {
            let token = self.epoll.token(at) as usize;
            match token.checked_sub(self.subscribers.len()) {
                None => self.on_subscriber(token)?,
                Some(publisher) => self.on_publisher(publisher)?,
            }
        }
        let idle = || {
            self.publishers
                .iter()
                .all(|publisher| publisher.track.is_idle())
        };
        Ok(phase == Phase::Drain && ready == 0 && idle())
    }

    fn patience(&self, now: u64) -> Duration {
        match &self.pace {
            Some(pace) => QUIET.min(Duration::from_nanos(pace.due_ns().saturating_sub(now))),
            None => QUIET,
        }
    }

    fn publish(&mut self, now: u64) -> Result<(), Failure> {
        let extra = u32::from(self.qos > 0);
        let Some(pace) = &mut self.pace else {
            for (at, publisher) in self.publishers.iter_mut().enumerate() {
                let room = publisher.track.room();
                for _ in 0..room {
                    publisher.send_one(at as u32, extra, now);
                }
                if room > 0 {
                    publisher.link.flush()?;
                }
            }
            return Ok(());
        };
        let count = self.publishers.len() as u64;
        while pace.due_ns() <= now {
            let at = (pace.sent % count) as usize;
            let publisher = &mut self.publishers[at];
            if publisher.track.room() == 0 {
                break;
            }
            publisher.send_one(at as u32, extra, pace.due_ns());
            if self.tally.measuring {
                self.lag.saturating_record(now - pace.due_ns());
            }
            pace.sent += 1;
            publisher.link.flush()?;
        }
        Ok(())
    }

    fn on_subscriber(&mut self, at: usize) -> Result<(), Failure> {
        let Self {
            subscribers,
            publishers,
            tally,
            buffer,
            ..
        } = self;
        let Subscriber { link, expected } = &mut subscribers[at];
        let now = if tally.latency.is_some() {
            sys::now_ns()
        } else {
            0
        };
        link.frames(buffer, |first, body, out| {
            tally.on_delivery(now, first, body, out, expected, publishers)
        })?;
        if link.is_backed_up() {
            link.flush()?;
        }
        Ok(())
    }

    fn on_publisher(&mut self, at: usize) -> Result<(), Failure> {
        let Publisher { link, track, .. } = &mut self.publishers[at];
        let stray = &mut self.tally.stray;
        link.frames(&mut self.buffer, |first, body, out| {
            let id = wire::ack_id(body).ok_or("an acknowledgement without an identifier")?;
            match first {
                wire::PUBACK | wire::PUBCOMP => *stray += u64::from(!track.settle(track.by_id(id))),
                wire::PUBREC => out.extend_from_slice(&wire::ack(wire::PUBREL, id)),
                _ => return Err(format!("a publisher got packet {first:#04x}").into()),
            }
            Ok(())
        })?;
        if link.is_backed_up() {
            link.flush()?;
        }
        Ok(())
    }

    fn report(&self, report: &mut Report) {
        if let Some(latency) = &self.tally.latency {
            for (key, quantile) in [
                ("p50_us", 0.5),
                ("p90_us", 0.9),
                ("p99_us", 0.99),
                ("p999_us", 0.999),
            ] {
                report.number(key, latency.value_at_quantile(quantile) as f64 / 1e3);
            }
            report.number("max_us", latency.max() as f64 / 1e3);
            report.number(
                "send_lag_p99_us",
                self.lag.value_at_quantile(0.99) as f64 / 1e3,
            );
        }
        let sent: u64 = self
            .publishers
            .iter()
            .map(|publisher| publisher.track.sent)
            .sum();
        report.count("sent", sent);
        report.count("delivered", self.tally.delivered);
        report.count("stray", self.tally.stray);
        report.count("reordered", self.tally.reordered);
        // Every counter of every publisher went to zero, and nothing came that was not counted.
        report.verdict(self.tally.stray == 0 && self.tally.reordered == 0);
    }
}

impl Publisher {
    fn send_one(&mut self, index: u32, extra: u32, intended_ns: u64) {
        let sequence = self.track.send(self.deliveries[self.next] + extra);
        let stamp = Stamp {
            publisher: index,
            sequence: sequence as u32,
            intended_ns,
        };
        self.templates[self.next].append(Track::id(sequence), stamp, &mut self.link.out);
        self.next = (self.next + 1) % self.templates.len();
    }
}

impl Tally {
    fn on_delivery(
        &mut self,
        now: u64,
        first: u8,
        body: &[u8],
        out: &mut Vec<u8>,
        expected: &mut [u32],
        publishers: &mut [Publisher],
    ) -> Result<(), Failure> {
        if first == wire::PUBREL {
            let id = wire::ack_id(body).ok_or("a PUBREL without an identifier")?;
            out.extend_from_slice(&wire::ack(wire::PUBCOMP, id));
            return Ok(());
        }
        if first & 0xf0 != wire::PUBLISH {
            return Err(format!("a subscriber got packet {first:#04x}").into());
        }
        let (id, stamp) =
            wire::read_publish(self.version, first, body).ok_or("a PUBLISH without a stamp")?;
        match first & 0x06 {
            0x02 => out.extend_from_slice(&wire::ack(wire::PUBACK, id)),
            0x04 => out.extend_from_slice(&wire::ack(wire::PUBREC, id)),
            _ => {}
        }
        let at = stamp.publisher as usize;
        let publisher = publishers.get_mut(at).ok_or("a stamp of nobody")?;
        self.delivered += 1;
        self.stray += u64::from(!publisher.track.settle(stamp.sequence));
        self.reordered += u64::from(stamp.sequence < expected[at]);
        expected[at] = stamp.sequence.wrapping_add(1);
        if let Some(latency) = &mut self.latency
            && self.measuring
        {
            latency.saturating_record(now.saturating_sub(stamp.intended_ns));
        }
        Ok(())
    }
}
