//! A client like others.

use super::rules::Rules;
use crate::mqtt::Connect;

/// See the module.
pub(super) struct Client;

impl Rules for Client {
    fn name(&self) -> &'static str {
        "client"
    }

    fn claims(&self, _connect: &Connect<'_>) -> bool {
        true
    }
}
