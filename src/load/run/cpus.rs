//! Who runs where: the broker on the first CPUs, the workers on the last.

/// The CPUs of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cpus {
    /// Empty: the broker is not pinned.
    pub broker: Vec<u16>,
    /// One for each worker; empty: they are not pinned.
    pub workers: Vec<u16>,
}

impl Cpus {
    /// For so many workers; what was given holds.
    pub(super) fn of(workers: u32, given: Option<&[u16]>, broker: Option<&[u16]>) -> Cpus {
        let ids = core_affinity::get_core_ids().unwrap_or_default();
        let all: Vec<u16> = ids.iter().map(|id| id.id as u16).collect();
        Cpus::among(&all, workers as usize, given, broker)
    }

    fn among(all: &[u16], workers: usize, given: Option<&[u16]>, broker: Option<&[u16]>) -> Cpus {
        let wanted = workers.max(1);
        let workers: Vec<u16> = match given {
            Some(given) => given.to_vec(),
            None => {
                let last = all.len().saturating_sub(wanted);
                all[last..].to_vec()
            }
        };
        let broker = match broker {
            Some(broker) => broker.to_vec(),
            None => {
                let rest = all.iter().filter(|cpu| !workers.contains(cpu));
                let rest: Vec<u16> = rest.copied().collect();
                // Where nothing is left the kernel decides.
                if rest.is_empty() { all.to_vec() } else { rest }
            }
        };
        Cpus { broker, workers }
    }

    pub(super) fn workers_text(&self) -> String {
        let workers: Vec<String> = self.workers.iter().map(u16::to_string).collect();
        workers.join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cpus(broker: &[u16], workers: &[u16]) -> Cpus {
        Cpus {
            broker: broker.to_vec(),
            workers: workers.to_vec(),
        }
    }

    #[test]
    fn the_broker_gets_what_the_workers_leave() {
        assert_eq!(Cpus::among(&[0, 1], 1, None, None), cpus(&[0], &[1]));
        assert_eq!(
            Cpus::among(&[0, 1, 2, 3], 2, None, None),
            cpus(&[0, 1], &[2, 3])
        );
        assert_eq!(Cpus::among(&[0, 1], 2, None, None), cpus(&[0, 1], &[0, 1]));
        assert_eq!(Cpus::among(&[5], 1, None, None), cpus(&[5], &[5]));
        assert_eq!(Cpus::among(&[0, 1], 1, Some(&[0]), None), cpus(&[1], &[0]));
        assert_eq!(
            Cpus::among(&[0, 1], 1, None, Some(&[0, 1])),
            cpus(&[0, 1], &[1])
        );
    }
}
