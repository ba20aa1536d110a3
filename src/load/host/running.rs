//! A broker that runs: one that was started here, or somebody else's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::look::SampleTarget;
use super::watched::Watched;
use super::{HostError, proc};
use crate::load::result::{BrokerEvent, BrokerInfo};

/// A broker that was started here. Ended when dropped.
#[derive(Debug)]
pub struct RunningBroker {
    watched: Arc<Watched>,
    address: SocketAddr,
    info: BrokerInfo,
    epoch: Instant,
}

impl RunningBroker {
    pub(super) fn new(watched: Watched, address: SocketAddr, info: BrokerInfo) -> Self {
        RunningBroker {
            watched: Arc::new(watched),
            address,
            info,
            epoch: Instant::now(),
        }
    }

    /// Where it accepts connections.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> u32 {
        self.watched.pid()
    }

    /// What it is, for the report.
    pub fn info(&self) -> BrokerInfo {
        self.info.clone()
    }

    /// What happened to it since the last call, by whomever: each event is told once, to this or to a sampler.
    pub fn events(&mut self, at_s: f64) -> Vec<BrokerEvent> {
        self.watched.events(at_s)
    }

    /// Whether its process is gone.
    pub fn ended(&self) -> bool {
        self.watched.ended().is_some()
    }

    /// What a sampler looks at.
    pub fn target(&self) -> SampleTarget {
        SampleTarget::started(Arc::clone(&self.watched))
    }

    /// The instant that the time of the event of `stop` counts from; without it that of the start.
    pub fn set_epoch(&mut self, epoch: Instant) {
        self.epoch = epoch;
    }

    /// Ends it: SIGTERM, after 5 s SIGKILL, to its process group and its cgroup. An event if it had ended by itself and
    /// nobody was told, or had to be killed. The cgroup and the files go as soon as no sampler holds them.
    pub fn stop(self) -> Option<BrokerEvent> {
        self.watched.stop(self.epoch.elapsed().as_secs_f64())
    }
}

impl Drop for RunningBroker {
    fn drop(&mut self) {
        // At once when it has ended; whoever drops it does not want to know how.
        let _ = self.watched.stop(self.epoch.elapsed().as_secs_f64());
    }
}

/// A broker that runs already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct External {
    /// Its process, if it is on this machine and the user named it.
    pub pid: Option<u32>,
}

impl External {
    /// Whether its process is there.
    ///
    /// # Errors
    /// `Usage` if it is not.
    pub fn check(&self) -> Result<(), HostError> {
        match self.pid {
            Some(pid) if !proc::stat(pid).is_some_and(|stat| stat.is_alive()) => Err(
                HostError::Usage(format!("there is no process {pid} to watch as the broker")),
            ),
            _ => Ok(()),
        }
    }

    /// What it is, for the report.
    pub fn info(&self, address: SocketAddr) -> BrokerInfo {
        BrokerInfo {
            what: "external".into(),
            address: address.to_string(),
            pid: self.pid,
            budget: None,
            cpus: None,
        }
    }

    /// What a sampler looks at.
    pub fn target(&self) -> SampleTarget {
        SampleTarget::process(self.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn external_processes_must_be_there() {
        assert_eq!(External { pid: None }.check(), Ok(()));
        let own = External {
            pid: Some(std::process::id()),
        };
        assert_eq!(own.check(), Ok(()));
        assert_eq!(
            External {
                pid: Some(u32::MAX)
            }
            .check()
            .unwrap_err()
            .exit_code(),
            2
        );
        let info = own.info("192.0.2.1:1883".parse().unwrap());
        assert_eq!((info.what.as_str(), info.pid), ("external", own.pid));
    }
}
