//! Options that say how much memory there is and for what.

use crate::budget::Account;
use crate::config::draft::{Globals, Note};
use crate::config::error::{Misdeed, ValueFault};
use crate::config::line::Line;
use crate::config::model::size;

/// What a size may look like, for those who got it wrong.
const SIZE_RULE: &str =
    "a size is a number of bytes, or one with K, M, G or T behind it, like 512M or 2G";

/// The bytes that a word says.
pub(super) fn parsed(name: &'static str, word: &str) -> Result<u64, Misdeed> {
    let fault = ValueFault::Invalid { rule: SIZE_RULE };
    size(word).ok_or_else(|| Misdeed::value(name, word, fault))
}

/// `memory_limit SIZE`; 0 is as if it were not there.
pub(crate) fn limit(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let bytes = parsed(name, line.word(name)?)?;
    globals.config.memory.limit = (bytes > 0).then_some(bytes);
    Ok(None)
}

/// `tls_memory_limit SIZE`.
pub(crate) fn tls_limit(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    globals.config.memory.tls = Some(parsed(name, line.word(name)?)?);
    Ok(None)
}

/// `memory_account NAME SIZE`, once for each account.
pub(crate) fn account(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let account =
        Account::by_name(word).ok_or_else(|| Misdeed::not_one_of(name, word, &Account::NAMES))?;
    let text = line.words().nth(1).unwrap_or_default();
    let bytes = parsed(name, text)?;
    let size = &mut globals.config.memory.sizes[account as usize];
    if size.is_some() {
        return Err(Misdeed::Twice {
            name,
            value: word.into(),
        });
    }
    *size = Some(bytes);
    Ok(None)
}
