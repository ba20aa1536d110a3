//! A tree of topics, read with wildcards. What each filter matches is found by the tester's own matcher, not by
//! the broker's tables.

use std::collections::HashMap;

use fastrand::Rng;

use crate::load::job::{Filter, Phase, Publisher, Stream};
use crate::load::ledger::View;
use crate::load::matcher;

use super::given::{Given, Shape, both_open, counted};

/// Levels below the root, and how many names each level has per node.
const LEVELS: u32 = 3;

pub(super) fn wildcard(given: &Given<'_>) -> Result<Shape, String> {
    let topics = given.options.load.topics.unwrap_or(1000);
    if topics < given.publishers {
        return Err("wildcard: at least as many --topics as --publishers".into());
    }
    let mut rng = Rng::with_seed(given.options.time.seed.unwrap_or_default());
    let share = topics.div_ceil(given.publishers);
    let names = Names::of(topics);
    let mut streams: Vec<Stream> = (0..given.publishers * share)
        .map(|at| Stream {
            publisher: at / share,
            topic: names.topic(at),
            fanout: 0,
        })
        .collect();
    let (filters, of_subscriber) = draw(given, &names, &streams, &mut rng);
    let mut readers = vec![0u32; filters.len()];
    for &filter in &of_subscriber {
        readers[filter as usize] += 1;
    }
    for (filter, &readers) in filters.iter().zip(&readers) {
        for (stream, at) in streams.iter_mut().zip(0..) {
            if filter.view.has(at) {
                stream.fanout += given.fanout(readers);
            }
        }
    }
    let mut phases = both_open();
    phases.push(Phase::Step(given.measured()));
    Ok(Shape {
        title: format!(
            "{} of {}, {} with wildcards, {}",
            counted(given.publishers, "publisher"),
            counted(streams.len() as u32, "topic"),
            counted(given.subscribers, "subscriber"),
            given.pace_text()
        ),
        filters,
        subscribers: of_subscriber
            .iter()
            .map(|&filter| given.subscriber(filter))
            .collect(),
        streams,
        publishers: (0..given.publishers)
            .map(|at| Publisher {
                first_stream: at * share,
                streams: share,
            })
            .collect(),
        phases,
        ..Shape::default()
    })
}

/// The names of a tree with about so many leaves.
struct Names {
    branches: u32,
}

impl Names {
    fn of(topics: u32) -> Names {
        let branches = f64::from(topics).powf(1.0 / f64::from(LEVELS)).ceil() as u32;
        Names {
            branches: branches.max(1),
        }
    }

    /// The levels of the leaf of a number.
    fn levels(&self, at: u32) -> Vec<String> {
        let mut levels = vec!["bench".to_owned(), "wild".to_owned()];
        for level in 0..LEVELS {
            let name = match level {
                0 => at / self.branches.pow(LEVELS - 1),
                1 => at / self.branches % self.branches,
                _ => at % self.branches,
            };
            levels.push(format!("{}{name}", ['a', 'b', 'c'][level as usize]));
        }
        levels
    }

    fn topic(&self, at: u32) -> String {
        self.levels(at).join("/")
    }
}

/// A filter for each subscriber: a leaf, a leaf with `+` at one of its levels, or a branch with `#`.
fn draw(
    given: &Given<'_>,
    names: &Names,
    streams: &[Stream],
    rng: &mut Rng,
) -> (Vec<Filter>, Vec<u32>) {
    let mut filters: Vec<Filter> = Vec::new();
    let mut known: HashMap<String, u32> = HashMap::new();
    let of_subscriber = (0..given.subscribers).map(|_| {
        let mut levels = names.levels(rng.u32(..streams.len() as u32));
        match rng.u32(..10) {
            0..4 => {}
            4..8 => levels[2 + rng.usize(..LEVELS as usize)] = "+".into(),
            _ => {
                levels.truncate(3 + rng.usize(..LEVELS as usize - 1));
                levels.push("#".into());
            }
        }
        let text = levels.join("/");
        *known.entry(text).or_insert_with_key(|text| {
            filters.push(Filter {
                text: given.filter_text(text),
                view: view(text, streams),
            });
            filters.len() as u32 - 1
        })
    });
    let of_subscriber = of_subscriber.collect();
    (filters, of_subscriber)
}

fn view(filter: &str, streams: &[Stream]) -> View {
    let matching = streams.iter().zip(0..);
    let matching = matching.filter(|(stream, _)| matcher::matches(filter, &stream.topic));
    View::of(&matching.map(|(_, at)| at).collect::<Vec<u32>>())
}
