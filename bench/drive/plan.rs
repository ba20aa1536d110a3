//! Who publishes what to whom, for the scenarios that look into each message.

use super::Traffic;

/// A topic and how many deliveries one message of it makes.
pub struct Topic {
    pub name: String,
    pub deliveries: u32,
}

pub struct Plan {
    pub name: &'static str,
    /// The topics of each publisher, which it walks over round and round.
    pub publishers: Vec<Vec<Topic>>,
    /// The filter of each subscriber.
    pub filters: Vec<String>,
    pub payload: usize,
    pub qos: u8,
    pub window: u32,
    /// Messages a second of all publishers together; without one, the window is the limit.
    pub rate: Option<f64>,
}

/// Most messages that a publisher of an open loop may have outstanding.
const OPEN_WINDOW: u32 = 16_384;

/// Subscribers of the `filters` scenario, five for each group of topics.
const FILTER_GROUPS: u32 = 200;

impl Plan {
    fn new(name: &'static str, publishers: Vec<Vec<Topic>>, filters: Vec<String>) -> Self {
        Self {
            name,
            publishers,
            filters,
            payload: 0,
            qos: 0,
            window: 1,
            rate: None,
        }
    }

    pub fn traffic(mut self, traffic: &Traffic, rate: Option<f64>) -> Self {
        self.payload = traffic.payload;
        self.qos = traffic.qos;
        // Packet identifiers of a publisher are unique while fewer than 65,535 messages are outstanding.
        self.window = if rate.is_some() {
            OPEN_WINDOW
        } else {
            traffic.window.clamp(1, 32_768)
        };
        self.rate = rate;
        self
    }

    pub fn fanout(subs: u32) -> Self {
        let topic = Topic {
            name: "fan".into(),
            deliveries: subs,
        };
        Self::new(
            "fanout",
            vec![vec![topic]],
            (0..subs).map(|_| "fan".into()).collect(),
        )
    }

    pub fn pairs(pairs: u32) -> Self {
        let name = |pair| format!("pair/{pair:03}");
        let publishers = (0..pairs).map(|pair| {
            vec![Topic {
                name: name(pair),
                deliveries: 1,
            }]
        });
        Self::new(
            "pairs",
            publishers.collect(),
            (0..pairs).map(name).collect(),
        )
    }

    pub fn fanin(pubs: u32) -> Self {
        Self::new("fanin", sources(pubs), vec!["in/+".into()])
    }

    pub fn shared(pubs: u32, subs: u32) -> Self {
        Self::new(
            "shared",
            sources(pubs),
            (0..subs).map(|_| "$share/group/in/+".into()).collect(),
        )
    }

    /// Topic `t` is `own/g{t % 200}/t{t / 200}/data`; each of the 200 groups has five subscribers with a filter of
    /// their own: one exact, two with `+`, one with `#`, one with both. A message of the group's first topic goes to
    /// five of them, any other to four.
    pub fn filters(topics: u32) -> Self {
        let topic = |at: u32| Topic {
            name: format!("own/g{}/t{}/data", at % FILTER_GROUPS, at / FILTER_GROUPS),
            deliveries: if at < FILTER_GROUPS { 5 } else { 4 },
        };
        let filters = (0..FILTER_GROUPS).flat_map(|group| {
            [
                format!("own/g{group}/t0/data"),
                format!("own/g{group}/+/data"),
                format!("own/g{group}/+/+"),
                format!("own/g{group}/#"),
                format!("+/g{group}/#"),
            ]
        });
        Self::new(
            "filters",
            vec![(0..topics).map(topic).collect()],
            filters.collect(),
        )
    }
}

fn sources(pubs: u32) -> Vec<Vec<Topic>> {
    (0..pubs)
        .map(|at| {
            vec![Topic {
                name: format!("in/{at:03}"),
                deliveries: 1,
            }]
        })
        .collect()
}
