//! A start that fails is told where log lines go, beside standard error: whoever looks at a host later has only those.

use super::identity::Identity;
use super::{ServeError, StoreError};
use crate::broker::{LogKind, LogMask};
use crate::config::{Config, Log};
use crate::control::LogWriter;

/// Where a failure is told.
pub(super) struct Teller {
    log: Log,
    wanted: LogMask,
    user: Option<String>,
}

impl Teller {
    /// For a broker of this configuration.
    pub(super) fn of(config: &Config) -> Teller {
        Teller {
            log: config.log.clone(),
            wanted: config.settings.log,
            user: config.user.clone(),
        }
    }

    /// Writes why the broker does not start, or has failed, to every destination of the log that takes it. Standard error is for who
    /// calls; a topic has nobody to publish it.
    pub(super) fn tell(&self, why: &str) {
        if !self.wanted.has(LogKind::Error) {
            return;
        }
        // Without a standard stream there is still standard error for the same line, as far as it goes.
        let Ok(writer) = LogWriter::open(&self.log) else {
            return;
        };
        // A file that root has made must be one that the broker can open once it starts.
        let identity = Identity::find(self.user.as_deref()).ok();
        let made = writer.made().to_vec();
        if let Some(identity) = &identity {
            made.iter().for_each(|path| identity.give(path));
        }
        writer.write_alone(LogKind::Error, why);
        if identity.is_none() {
            for path in made {
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Tells of a configuration that cannot be used, as far as it says where.
pub fn tell_of_configuration(config: &Config, why: &str) {
    Teller::of(config).tell(&format!("The broker does not start: {why}"));
}

impl ServeError {
    /// What the log says of it; `None` for what it says already.
    pub(super) fn log_line(&self) -> Option<String> {
        match self {
            ServeError::Failed { .. } | ServeError::Lost(_) => None,
            ServeError::Store(StoreError::Thread(_)) => Some(format!("The broker ends: {self}")),
            _ => Some(format!("The broker does not start: {self}")),
        }
    }
}
