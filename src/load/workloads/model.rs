//! The Firehose itself: the model of its bus, read with the filters that people used.

use crate::load::job::{
    BUS_STREAMS, BusSpec, Filter, Pace, Phase, Publisher, StepPlan, Stream, Traffic,
};
use crate::load::ledger::View;
use crate::load::model;

use super::given::{Given, Shape, both_open, counted};

pub(super) fn firehose(given: &Given<'_>) -> Shape {
    let streams = given.publishers * BUS_STREAMS;
    let filters = model::filters().iter().map(|(filter, _)| Filter {
        text: given.filter_text(filter),
        view: View::Range(0..streams),
    });
    let each_max = None;
    let pace = Pace::Bus;
    let scale = given.options.load.scale.unwrap_or(1.0);
    let mut phases = both_open();
    phases.push(Phase::Step(StepPlan {
        ..given.step("measured", Traffic::Publish { pace, each_max })
    }));
    Shape {
        title: format!(
            "The Firehose of 2017, {scale} times its traffic, read by {} with the filters of its users",
            counted(given.subscribers, "subscriber")
        ),
        filters: filters.collect(),
        subscribers: readers(given.subscribers)
            .into_iter()
            .map(|filter| given.subscriber(filter))
            .collect(),
        streams: (0..streams)
            .map(|at| Stream {
                publisher: at / BUS_STREAMS,
                topic: String::new(),
                fanout: 0,
            })
            .collect(),
        publishers: (0..given.publishers)
            .map(|at| Publisher {
                first_stream: at * BUS_STREAMS,
                streams: BUS_STREAMS,
            })
            .collect(),
        bus: Some(BusSpec {
            seed: given.options.time.seed.unwrap_or_default(),
            scale,
            time_lapse: given.options.load.time_lapse.unwrap_or(1.0),
        }),
        phases,
        ..Shape::default()
    }
}

/// The filter of each subscriber: as many of each as its weight says, and the heaviest first where they are few.
fn readers(subscribers: u32) -> Vec<u32> {
    let weights: Vec<u32> = model::filters().iter().map(|&(_, weight)| weight).collect();
    let all: u32 = weights.iter().sum::<u32>().max(1);
    let mut given = vec![0u32; weights.len()];
    let mut readers = Vec::with_capacity(subscribers as usize);
    for nth in 1..=u64::from(subscribers) {
        // The one that lacks most of its share so far.
        let lack = |at: usize| u64::from(weights[at]) * nth - u64::from(given[at]) * u64::from(all);
        let most = (0..weights.len())
            .filter(|&at| u64::from(weights[at]) * nth >= u64::from(given[at]) * u64::from(all))
            .max_by_key(|&at| (lack(at), usize::MAX - at))
            .unwrap_or(0);
        given[most] += 1;
        readers.push(most as u32);
    }
    readers
}
