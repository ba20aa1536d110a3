//! Connections that do nothing, each with one subscription of its own: what memory do they take in the broker?

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::link::{Link, READ_BYTES};
use super::probe::Probe;
use super::report::Report;
use super::wire::{self, Stamp, Template};
use super::{Common, Failure, source};

/// Connections opened before the first reading, so that what a broker builds up once is not counted as theirs.
const WARM_CONNECTIONS: u32 = 16;

/// Every how manieth connection is asked for a sign of life at the end.
const SAMPLE_STEP: usize = 100;

/// From the last connection to the reading of the memory.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(common: &Common, connections: u32) -> Result<Report, Failure> {
    let probe = Probe::new(common.pid)?;
    let fresh = probe.pss_bytes()?;
    let mut links = Vec::new();
    open(common, &mut links, WARM_CONNECTIONS)?;
    sleep(SETTLE);
    let before = probe.pss_bytes()?;
    let cpu_before = probe.cpu_ns();
    let started = Instant::now();
    open(common, &mut links, WARM_CONNECTIONS + connections)?;
    let opened_s = started.elapsed().as_secs_f64();
    let opened_cpu = probe.cpu_ns() - cpu_before;
    sleep(SETTLE);
    let after = probe.pss_bytes()?;
    let cpu_idle = probe.cpu_ns();
    sleep(Duration::from_secs_f64(common.seconds));
    let idle_share = (probe.cpu_ns() - cpu_idle) as f64 / 1e9 / common.seconds;
    let lost = links.len().div_ceil(SAMPLE_STEP) as u64 - alive(common, &mut links)?;

    let mut report = Report::new("idle", &common.label);
    report.count("connections", u64::from(connections));
    report.text("unit", "connection");
    report.count("pss_fresh", fresh);
    report.count("pss_before", before);
    report.count("pss_after", after);
    report.number(
        "bytes_each",
        (after as f64 - before as f64) / f64::from(connections),
    );
    let all = f64::from(connections + WARM_CONNECTIONS);
    report.number("bytes_each_from_fresh", (after as f64 - fresh as f64) / all);
    report.number("cpu_ns_each", opened_cpu as f64 / f64::from(connections));
    report.number("per_s", f64::from(connections) / opened_s);
    report.number("broker_cpu", idle_share);
    report.count("lost", lost);
    report.verdict(lost == 0);
    Ok(report)
}

fn topic(at: u32) -> String {
    format!("idle/{at:05}")
}

fn open(common: &Common, links: &mut Vec<Link>, until: u32) -> Result<(), Failure> {
    while links.len() < until as usize {
        let at = links.len() as u32;
        let from = Some(source(u64::from(at)));
        links.push(Link::open(
            common.addr,
            from,
            common.version(),
            &format!("idle-{at:05}"),
            Some((&topic(at), 0)),
        )?);
    }
    Ok(())
}

/// Publishes to a sample of the connections and counts those that got their message.
fn alive(common: &Common, links: &mut [Link]) -> Result<u64, Failure> {
    let mut publisher = Link::open(
        common.addr,
        Some(source(0)),
        common.version(),
        "idle-pub",
        None,
    )?;
    let mut buffer = vec![0; 2 * READ_BYTES];
    let mut living = 0;
    for (at, link) in links.iter_mut().enumerate().step_by(SAMPLE_STEP) {
        let stamp = Stamp {
            publisher: at as u32,
            ..Stamp::default()
        };
        Template::new(common.version(), &topic(at as u32), 0, 64).append(
            0,
            stamp,
            &mut publisher.out,
        );
        publisher.flush()?;
        let deadline = Instant::now() + common.stall();
        let mut answered = false;
        while !answered && Instant::now() < deadline {
            link.frames(&mut buffer, |first, body, _| {
                let got = wire::read_publish(common.version(), first, body);
                answered = got.is_some_and(|(_, got)| got == stamp);
                Ok(())
            })?;
        }
        living += u64::from(answered);
    }
    Ok(living)
}
