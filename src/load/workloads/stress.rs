//! The stress test's traffic: a connection for each publish, subscribers of the topic and all below it.

use crate::load::client::Settings;
use crate::load::job::{
    Filter, Group, Job, Open, Phase, Publisher, StepPlan, Stream, Subscriber, Timed, Traffic,
};
use crate::load::ledger::View;
use crate::load::stamp;
use crate::load::stress::options::StressArgs;
use crate::mqtt::Version;

use super::given::{one_stream_each, open, qos};

/// Seconds that may pass without anything arriving before a run is over.
const QUIET_S: f64 = 5.0;

/// The job and the phases of one run. `workers` threads load.
pub fn stress_plan(
    args: &StressArgs,
    subscribers: u32,
    publishers: u32,
    workers: u32,
) -> (Job, Vec<Phase>) {
    let qos = qos(args.qos);
    let topics = (0..publishers).map(|_| args.topic().to_owned());
    let (owners, streams): (Vec<Publisher>, Vec<Stream>) = one_stream_each(topics, subscribers);
    let job = Job {
        settings: Settings {
            version: Version::V311,
            keep_alive: 0,
            username: args.client.username.clone(),
            password: args.client.password.clone(),
            in_flight_max: u16::MAX,
        },
        client_prefix: "stress-".into(),
        filters: vec![Filter {
            text: args.filter(),
            view: View::Range(0..publishers),
        }],
        subscribers: vec![
            Subscriber {
                filter: Some(0),
                qos,
                durable: false,
                shared: false,
            };
            subscribers as usize
        ],
        publishers: owners,
        streams,
        bus: None,
        filler: stamp::filler(args.msg_size as usize),
        qos,
        retain: false,
        spread_every: 0,
        workers,
        drain_s: QUIET_S,
    };
    let wait = Open {
        goal: args.sub_count,
        timed: Timed::Goal,
        ..open(Group::Subscribers)
    };
    (job, vec![Phase::Open(wait), Phase::Step(visits(args))])
}

/// Publishers come for a message each, again and again.
fn visits(args: &StressArgs) -> StepPlan {
    StepPlan {
        name: "stress".into(),
        rate: None,
        warm_up_s: 0.0,
        seconds: args.sub_timeout.max(args.pub_timeout) as f64,
        interval_s: 1.0,
        traffic: Traffic::Visits {
            group: Group::Publishers,
            rate: None,
            each_max: Some(args.pub_count),
        },
        operation: Some("publishes".into()),
        delivers_all: true,
    }
}
