//! What is kept while something is waited for, as the table of waits sees it (`waits`). What is not said here is as for most.

use crate::budget::Account;

/// What becomes of a connection whose wait has lasted for as long as it may.
pub(crate) enum Late {
    /// It goes on waiting.
    Waits,
    /// It goes on as if an answer had come.
    GoesOn,
    /// It goes on, and does not wait for the same once more.
    GivesUp,
    /// It is closed, for this reason.
    Closes(&'static str),
}

/// See the module.
pub(crate) trait Continuation {
    /// The account that is charged.
    fn account(&self) -> Account {
        Account::Connections
    }

    /// Bytes of memory beside itself.
    fn memory(&self) -> usize {
        0
    }

    /// What it is looked for by while it waits.
    fn key(&self) -> Option<u64> {
        None
    }

    /// No answer has come in time.
    fn be_late(&mut self) -> Late {
        Late::Waits
    }
}
