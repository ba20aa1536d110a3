//! Options about the disk.

use super::memory::parsed;
use crate::config::draft::{Globals, Note};
use crate::config::error::{Misdeed, ValueFault};
use crate::config::line::{self, Line};
use crate::config::model::SyncPolicy;
use crate::limits;

const SIZE_RULE: &str = "the store needs 256M at least; 0 is a quarter of the file system";

/// `persistence_sync group`, `persistence_sync interval MS` or `persistence_sync none`.
pub(crate) fn sync(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let mut words = line.words().skip(1);
    globals.persistence.sync = match line.word(name)? {
        "group" => SyncPolicy::Group,
        "none" => SyncPolicy::None,
        "interval" => SyncPolicy::Interval(interval(name, words.next())?),
        other => {
            let choices = "group, interval MS or none".into();
            return Err(Misdeed::value(
                name,
                other,
                ValueFault::NotOneOf { choices },
            ));
        }
    };
    Ok(words
        .next()
        .map(|word| format!("`{word}` after the value is not looked at")))
}

/// Milliseconds between two syncs.
fn interval(name: &'static str, word: Option<&str>) -> Result<u32, Misdeed> {
    let rule = "how many milliseconds is missing, like interval 1000";
    let fault = ValueFault::Invalid { rule };
    let word = word.ok_or_else(|| Misdeed::value(name, "interval", fault))?;
    let number = line::number(name, word)?;
    let max = limits::PERSISTENCE_SYNC_MS_MAX;
    match u32::try_from(number) {
        Ok(ms) if (1..=max).contains(&ms) => Ok(ms),
        _ => {
            let (min, max) = (1, i64::from(max));
            let fault = ValueFault::OutOfRange { min, max };
            Err(Misdeed::value(name, word, fault))
        }
    }
}

/// `persistence_max_size SIZE`; 0 is as if it were not there.
pub(crate) fn max_size(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let bytes = parsed(name, word)?;
    if (1..limits::PERSISTENCE_BYTES_MIN).contains(&bytes) {
        let fault = ValueFault::Invalid { rule: SIZE_RULE };
        return Err(Misdeed::value(name, word, fault));
    }
    globals.persistence.max_bytes = bytes;
    Ok(None)
}
