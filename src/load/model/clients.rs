//! Which MQTT client publishes an event: one for each service of 2017, more where a scaled run asks for more.

use super::event::Source;

/// The clients that published in 2017: Gerrit's, Launchpad's, Ansible's, those of two Subunit workers and of twenty
/// Logstash workers.
pub const PUBLISHERS_2017: u32 =
    CLIENTS_2017[0] + CLIENTS_2017[1] + CLIENTS_2017[2] + CLIENTS_2017[3] + CLIENTS_2017[4];

const CLIENTS_2017: [u32; SOURCES] = [1, 1, 1, 2, 20];

/// How clients beyond those are divided, in percent: as the messages are; what rounding leaves is Gerrit's.
const SHARES: [u32; SOURCES] = [40, 2, 35, 3, 20];

const SOURCES: usize = 5;

/// The division of so many publishers among the sources.
pub(super) struct Clients {
    first: [u32; SOURCES],
    count: [u32; SOURCES],
    all: u32,
}

impl Clients {
    pub(super) fn new(publishers: u32) -> Self {
        let all = publishers.max(1);
        let mut count = [1; SOURCES];
        if all > PUBLISHERS_2017 {
            let more = all - PUBLISHERS_2017;
            let each = |at: usize| (u64::from(more) * u64::from(SHARES[at]) / 100) as u32;
            count = std::array::from_fn(|at| CLIENTS_2017[at] + each(at));
            count[0] += all - count.iter().sum::<u32>();
        } else if all > SOURCES as u32 {
            count[3] = CLIENTS_2017[3];
            count[4] = all - 3 - count[3];
        }
        let mut first = [0; SOURCES];
        for at in 1..SOURCES {
            first[at] = first[at - 1] + count[at - 1];
        }
        Clients { first, count, all }
    }

    /// Clients of a source.
    pub(super) fn count(&self, source: Source) -> u32 {
        self.count[source as usize]
    }

    /// The client that publishes what belongs to `key`, always the same for the same key.
    #[inline]
    pub(super) fn publisher(&self, source: Source, key: u32) -> u32 {
        let at = source as usize;
        // Fewer clients than sources share them.
        (self.first[at] + key % self.count[at]) % self.all
    }
}
