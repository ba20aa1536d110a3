//! Why a client of a proxy is not let in.

use std::fmt;

/// Why a header cannot be read, or its client is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure(pub(super) &'static str);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
