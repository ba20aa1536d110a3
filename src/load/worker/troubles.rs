//! What went wrong with clients, by its text.

use std::collections::BTreeMap;

use crate::limits;

use super::command::{KeptOut, Trouble};

/// Errors since the run began. Only so many texts are told apart.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    pub by_text: BTreeMap<String, Trouble>,
    /// Connections that were not made since nobody listens, or there is no way there.
    pub unreachable: u64,
    /// Connections that were not made since the broker takes no such login, or speaks something else.
    pub kept_out: u64,
}

impl Troubles {
    /// Counts an error by its text, and notes the time.
    pub(super) fn error(&mut self, text: String, now_ns: u64) {
        let has_room = self.by_text.len() < limits::LOAD_ERROR_TEXTS_MAX;
        if has_room || self.by_text.contains_key(&text) {
            let trouble = self.by_text.entry(text).or_insert(Trouble::at(now_ns));
            trouble.count += 1;
            trouble.last_ns = now_ns;
        }
    }

    /// Counts an error that is why a client did not come in.
    pub(super) fn keeps_out(&mut self, why: KeptOut, text: String, now_ns: u64) {
        self.error(text.clone(), now_ns);
        if let Some(trouble) = self.by_text.get_mut(&text) {
            trouble.kept_out = Some(why);
        }
        match why {
            KeptOut::Unreached => self.unreachable += 1,
            KeptOut::Login | KeptOut::Wire => self.kept_out += 1,
        }
    }
}
