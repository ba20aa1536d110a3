//! Text of clients and moments as these commands write them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::content::Misfit;
use crate::control::place::{denied, missing_folder};
use crate::escape;
use crate::storage::{LookError, StartError, is_folder};

/// A text in quotes, as JSON has it: nothing in it moves or hides what is around it.
pub(super) fn quoted(text: &str) -> String {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    escape::json(&quoted).into_owned()
}

/// Bytes as base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Milliseconds since 1970 as UTC.
pub(super) fn moment(unix_ms: u64) -> String {
    let known = i64::try_from(unix_ms).ok();
    let known = known.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    known.map_or_else(|| format!("{unix_ms} ms"), |moment| moment.to_string())
}

/// How long ago a moment was.
pub(super) fn age(unix_ms: u64, now_ms: u64) -> String {
    let seconds = now_ms.saturating_sub(unix_ms) / 1000;
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds} s ago"),
        (0, 0, minutes) => format!("{minutes} min ago"),
        (0, hours, minutes) => format!("{hours} h {minutes} min ago"),
        (days, hours, _) => format!("{days} d {hours} h ago"),
    }
}

/// Bytes for people.
pub(super) fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units.into_iter().find(|(bits, _)| bytes >= 1 << bits) {
        Some((bits, unit)) => format!("{:.1} {unit}", bytes as f64 / (1u64 << bits) as f64),
        None => format!("{bytes} bytes"),
    }
}

/// A JSON value on one line.
pub(super) fn json(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string(value).unwrap_or_default();
    escape::json(&text).into_owned()
}

/// What was read does not fit together: where, and what to do.
pub(super) fn unfit(location: &Path, misfit: &Misfit) -> String {
    format!(
        "shard {}: {}{}",
        misfit.stream,
        misfit.broken,
        check_says_more(location)
    )
}

fn check_says_more(location: &Path) -> String {
    format!("; firehose store check {} says more", location.display())
}

/// Why a store cannot be looked at, and what to do.
pub(super) fn unreadable(location: &Path, error: &LookError) -> String {
    let cure = match error {
        LookError::Absent(_) if is_folder(location) => {
            "; the directory above it is meant, which persistence_location names".into()
        }
        LookError::Absent(_) => {
            "; the directory is meant that persistence_location names, with firehose in it".into()
        }
        LookError::Restless(_) => "; try again, or when the broker has less to do".into(),
        LookError::Start(StartError::Io { path, source }) => {
            let cure = denied(path, source).or_else(|| missing_folder(path, source));
            cure.unwrap_or_default()
        }
        LookError::Start(_) => match error.fault() {
            Some(fault) if fault.is_of_newer() => {
                "; start that version, or restore a backup from before it".into()
            }
            Some(_) => check_says_more(location),
            None => String::new(),
        },
    };
    format!("{error}{cure}")
}
