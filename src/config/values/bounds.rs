//! Options of our own that bound what one client or one address may do.

use crate::config::draft::{ListenerDraft, Note};
use crate::config::error::{Misdeed, ValueFault};
use crate::config::line::{self, Line};
use crate::limits;
use crate::session::SlowPolicy;

/// A number a second, `N` or `N/s`; 0 is no bound.
pub(crate) fn rate(
    name: &'static str,
    line: &Line<'_>,
    set: impl FnOnce(u32),
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let number = line::number(name, word.strip_suffix("/s").unwrap_or(word))?;
    let (min, max) = (0, i64::from(limits::RATE_MAX));
    if !(min..=max).contains(&number) {
        let fault = ValueFault::OutOfRange { min, max };
        return Err(Misdeed::value(name, word, fault));
    }
    set(number as u32);
    Ok(None)
}

/// `slow_consumer_policy POLICY` for the clients of a listener, `slow_consumer_policy POLICY USERNAME` for those of them
/// with this user name.
pub(crate) fn slow_consumer_policy(
    draft: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let text = line.text(name)?;
    let (word, user) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let known = SlowPolicy::ALL.iter().find(|(known, _)| *known == word);
    let Some(&(_, policy)) = known else {
        let choices = "drop_oldest, drop_newest, disconnect or latest".into();
        return Err(Misdeed::value(name, word, ValueFault::NotOneOf { choices }));
    };
    match user.trim() {
        "" => draft.settings.slow_policy = Some(policy),
        user => draft.settings.slow_policy_of.push((user.into(), policy)),
    }
    Ok(None)
}
