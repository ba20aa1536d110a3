//! The gearman workers' messages: a build's test results were stored, a log file was fetched.

use fastrand::Rng;

use super::changes::{Change, Changes};
use super::event::{Event, Source};
use super::json::{Json, decimal, push_hex};
use super::names::{JOBS, LOG_FILES};
use super::world::{World, any_text};

/// Writes a message of the worker `number` of the event's source, which counts from 0.
pub(super) fn fill(
    number: u32,
    changes: &Changes,
    world: &World,
    rng: &mut Rng,
    event: &mut Event,
) {
    let change = changes.get(changes.draw(rng));
    let subunit = event.source == Source::Subunit;
    let topic = &mut event.topic;
    topic.push_str(if subunit {
        "gearman-subunit/subunit-worker"
    } else {
        "gearman-logstash/logstash-worker"
    });
    let mut digits = [0; 20];
    if number < 9 {
        topic.push('0');
    }
    topic.push_str(decimal(u64::from(number) + 1, &mut digits));
    topic.push('/');
    topic.push_str(&world.repos[change.repo].path);
    topic.push('/');
    topic.push_str(decimal(u64::from(change.number), &mut digits));
    if !subunit {
        topic.push_str("/retrieve_logs");
    }
    let file = if subunit {
        "logs/testrepository.subunit.gz"
    } else {
        any_text(rng, LOG_FILES)
    };
    write(&mut event.payload, change, file, rng);
}

fn write(payload: &mut Vec<u8>, change: &Change, file: &str, rng: &mut Rng) {
    let (high, low) = (rng.u64(..), rng.u64(..));
    let job = any_text(rng, JOBS);
    let good = rng.u32(..50) > 0;
    let mut json = Json::payload(payload);
    json.string("status", if good { "success" } else { "failed" });
    json.string_of("build_uuid", |out| {
        push_hex(out, high, 16);
        push_hex(out, low, 16);
    });
    json.string_of("source_url", |out| {
        out.extend_from_slice(b"http://logs.openstack.org/");
        change.push_path(out);
        out.extend_from_slice(b"/check/");
        out.extend_from_slice(job.as_bytes());
        out.push(b'/');
        // Logs are kept under the first digits of the build's name.
        push_hex(out, high >> 36, 7);
        out.push(b'/');
        out.extend_from_slice(file.as_bytes());
    });
    json.end();
}
