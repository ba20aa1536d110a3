//! From the times of the clients to the ten figures of a run, by pymqttbench's formulas.
//!
//! Throughput is the number of messages over the mean duration, not the mean of the clients' throughputs; the total
//! is that times the number of clients. Clients that did not complete count neither as a duration nor in the total.

/// What became of one subscriber or one publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ClientTimes {
    /// Subscriber: from its first message to the one that completes its count. Publisher: from before its first
    /// connect to after its last disconnect.
    pub duration_s: f64,
    /// Messages received or published.
    pub messages: u64,
    /// Whether all of them came or went within the timeout.
    pub complete: bool,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StressResult {
    pub subscribers: Vec<ClientTimes>,
    pub publishers: Vec<ClientTimes>,
    /// Messages that each subscriber waits for.
    pub sub_count: u32,
    /// Messages that each publisher publishes.
    pub pub_count: u32,
    /// Bytes of payload.
    pub msg_size: u32,
    pub qos: u8,
}

/// The four figures of the subscribers or of the publishers; not a number without a client that completed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    pub mean_s: f64,
    /// Of the population: over n, not n - 1.
    pub stddev_s: f64,
    /// Messages per second of one client.
    pub avg_throughput: f64,
    /// Messages per second of all.
    pub total_throughput: f64,
}

/// A run as the ten fields of `--brief` and of the `.dat` file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Row {
    pub sub_clients: u32,
    pub pub_clients: u32,
    pub subscriber: Figures,
    pub publisher: Figures,
}

impl Figures {
    /// The figures of clients that were to send or receive `count` messages each.
    pub fn of(clients: &[ClientTimes], count: u32) -> Figures {
        let complete = clients.iter().filter(|client| client.complete);
        let durations: Vec<f64> = complete.map(|client| client.duration_s).collect();
        let clients = durations.len() as f64;
        let mean_s = durations.iter().sum::<f64>() / clients;
        let squares: f64 = durations.iter().map(|d| (d - mean_s).powi(2)).sum();
        Figures {
            mean_s,
            stddev_s: (squares / clients).sqrt(),
            avg_throughput: f64::from(count) / mean_s,
            total_throughput: f64::from(count) * clients / mean_s,
        }
    }

    /// Whether all of them are numbers that mean something.
    pub fn is_finite(&self) -> bool {
        let figures = [
            self.mean_s,
            self.stddev_s,
            self.avg_throughput,
            self.total_throughput,
        ];
        figures.iter().all(|figure| figure.is_finite())
    }
}

impl StressResult {
    /// The ten fields.
    pub fn row(&self) -> Row {
        Row {
            sub_clients: self.subscribers.len() as u32,
            pub_clients: self.publishers.len() as u32,
            subscriber: Figures::of(&self.subscribers, self.sub_count),
            publisher: Figures::of(&self.publishers, self.pub_count),
        }
    }

    /// Subscribers that did not complete.
    pub fn subscribers_failed(&self) -> usize {
        failed(&self.subscribers)
    }

    /// Publishers that did not complete.
    pub fn publishers_failed(&self) -> usize {
        failed(&self.publishers)
    }

    /// Whether every client completed.
    pub fn is_complete(&self) -> bool {
        self.subscribers_failed() == 0 && self.publishers_failed() == 0
    }
}

fn failed(clients: &[ClientTimes]) -> usize {
    clients.iter().filter(|client| !client.complete).count()
}
