//! What a log line looks like: its time, its text as Mosquitto writes it or a JSON object, and how many are written.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::broker::LogKind;
use crate::escape::{self, one_line};
use crate::limits;

/// Whole seconds since 1970.
pub(super) fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// A time in local time by a strftime format (`log_timestamp_format`).
pub(super) fn format_time(format: &str, unix_s: u64) -> String {
    let Ok(time) = jiff::Timestamp::from_second(unix_s as i64) else {
        return unix_s.to_string();
    };
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    let mut out = String::new();
    match jiff::fmt::strtime::BrokenDownTime::from(&local).format(format, &mut out) {
        Ok(()) => out,
        Err(_) => unix_s.to_string(),
    }
}

/// The kind's name, as in `log_type`.
pub(super) fn level(kind: LogKind) -> &'static str {
    match kind {
        LogKind::Error => "error",
        LogKind::Warning => "warning",
        LogKind::Notice => "notice",
        LogKind::Information => "information",
        LogKind::Subscribe => "subscribe",
        LogKind::Unsubscribe => "unsubscribe",
        LogKind::Debug => "debug",
        LogKind::Websockets => "websockets",
        LogKind::Internal => "internal",
    }
}

/// One JSON object: `time` (RFC 3339, UTC, milliseconds), `level` and `message`.
pub(super) fn json(kind: LogKind, text: &str) -> String {
    let now = jiff::Timestamp::now();
    let object = serde_json::json!({
        "time": format!("{now:.3}"),
        "level": level(kind),
        "message": text,
    });
    escape::json(&object.to_string()).into_owned()
}

/// How lines look, as configured.
pub(super) struct LineFormat {
    /// Whether a line starts with a time.
    pub timestamp: bool,
    /// The time's strftime format; `None`: seconds since 1970.
    pub time_format: Option<String>,
    /// Whether a line is a JSON object.
    pub json: bool,
}

impl LineFormat {
    /// A line, without its end.
    pub(super) fn line(&self, kind: LogKind, text: &str, now_s: u64) -> String {
        match (self.json, self.timestamp, &self.time_format) {
            (true, _, _) => json(kind, text),
            (_, false, _) => one_line(text).into_owned(),
            (_, _, None) => format!("{now_s}: {}", one_line(text)),
            (_, _, Some(format)) => {
                let time = format_time(format, now_s);
                format!("{time}: {}", one_line(text))
            }
        }
    }
}

/// Bounds the lines of each kind in a second, so that whoever is refused again and again fills no disk.
pub(super) struct Rate {
    /// Lines of one kind in a second; 0: no bound.
    max: u32,
    second: u64,
    /// By the kind's bit.
    written: [u32; limits::LOG_KINDS],
    suppressed: u64,
}

impl Rate {
    pub(super) fn new(max: u32) -> Self {
        Rate {
            max,
            second: 0,
            written: [0; limits::LOG_KINDS],
            suppressed: 0,
        }
    }

    /// Whether another second has begun since the last turn.
    pub(super) fn is_later(&self, second: u64) -> bool {
        self.second != second
    }

    /// The lines that were left out before this second, told once.
    pub(super) fn turn(&mut self, second: u64) -> Option<u64> {
        if self.second == second {
            return None;
        }
        self.second = second;
        self.written = [0; limits::LOG_KINDS];
        Some(std::mem::take(&mut self.suppressed)).filter(|lines| *lines > 0)
    }

    /// Whether lines were left out that nobody has been told of.
    pub(super) fn owes(&self) -> bool {
        self.suppressed > 0
    }

    /// Whether one more line of this kind is written. Errors always are.
    pub(super) fn admit(&mut self, kind: LogKind) -> bool {
        if self.max == 0 || kind == LogKind::Error {
            return true;
        }
        let Some(written) = self
            .written
            .get_mut((kind as u16).trailing_zeros() as usize)
        else {
            return true;
        };
        if *written >= self.max {
            self.suppressed += 1;
            return false;
        }
        *written += 1;
        true
    }
}

/// What is said at a destination that has not taken lines.
pub(super) fn missing(lines: u64, why: &str) -> String {
    let (noun, they) = match lines {
        1 => ("line is", "it"),
        _ => ("lines are", "they"),
    };
    format!("{lines} log {noun} missing here: {why}; {they} went to standard error.")
}

/// What is said where lines are lost.
pub(super) fn loss(lost: u64, why: &str) -> String {
    let lines = if lost == 1 { "line is" } else { "lines are" };
    format!("{lost} log {lines} lost: {why}.")
}
