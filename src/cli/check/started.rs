//! What a start would come to: it is made and undone, so that `check` and `serve` do not disagree.

use super::report::{Finding, Severity};
use crate::server::{ServeError, Warnings};

/// What came of trying a start.
pub(super) fn findings(tried: &Result<Warnings, ServeError>) -> Vec<Finding> {
    let start = Finding {
        id: "start",
        severity: match tried {
            Ok(_) => Severity::Ok,
            Err(_) => Severity::Fatal,
        },
        found: match tried {
            Ok(_) => "succeeds".into(),
            Err(error) => error.to_string(),
        },
        wanted: match tried {
            Ok(_) => "as serve would start".into(),
            Err(error) => format!("no error; serve ends with exit code {}", error.exit_code()),
        },
        why: "A start was made and undone; it ends with the first thing that is wrong.",
        file: None,
    };
    let Ok(warnings) = tried else {
        return vec![start];
    };
    [start].into_iter().chain(warned(warnings)).collect()
}

/// What a start would warn of.
fn warned(warnings: &Warnings) -> impl Iterator<Item = Finding> {
    let log = warnings.log.iter().map(|text| Finding {
        id: "log_dest",
        severity: Severity::Missing,
        found: text.clone(),
        wanted: "takes lines".into(),
        why: "Lines go to standard error where a destination of the log does not take them.",
        file: None,
    });
    let identity = warnings.identity.iter().map(|text| Finding {
        id: "user",
        severity: Severity::Advice,
        found: text.clone(),
        wanted: "a user of its own, who may read all files".into(),
        why: "A broker that root starts becomes another user (user in the configuration), and reads its files again as that.",
        file: None,
    });
    let store = warnings.store.iter().map(|text| Finding {
        id: "store.holder",
        severity: Severity::Missing,
        found: text.clone(),
        wanted: "a store that nobody has, or the broker of this configuration".into(),
        why: "A store has one broker: serve ends with exit code 3 while another process has it.",
        file: None,
    });
    let import = warnings.import.iter().map(|text| Finding {
        id: "store.import",
        severity: Severity::Missing,
        found: text.clone(),
        wanted: "no database of Mosquitto with more than the store takes up".into(),
        why: "A database of Mosquitto is taken up where nothing is kept yet, and never again; see docs/persistence.md.",
        file: None,
    });
    store.chain(import).chain(log).chain(identity)
}

/// What is to be said of lines of the configuration.
pub(super) fn of_configuration(warnings: &[String]) -> impl Iterator<Item = Finding> {
    warnings.iter().map(|text| Finding {
        id: "configuration",
        severity: Severity::Advice,
        found: text.clone(),
        wanted: "no warning".into(),
        why: "The broker starts with it, and warns of it.",
        file: None,
    })
}
