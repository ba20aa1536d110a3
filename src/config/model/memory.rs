//! What is configured about memory: the limit, and accounts that somebody wants to be of a certain size.

use super::super::error::Misdeed;
use crate::budget::Account;

/// `memory_limit`, `memory_account` and `tls_memory_limit`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes that the broker may hold, with what the kernel holds for it; `None`: what the host gives.
    pub limit: Option<u64>,
    /// Bytes of accounts that have a size of their own, by `Account`.
    pub sizes: [Option<u64>; Account::COUNT],
    /// Bytes for TLS connections; `None`: what the account `transports` has.
    pub tls: Option<u64>,
}

/// Bytes from `N`, `NK`, `NM`, `NG` or `NT`, with an `iB` or a `B` behind the letter or without. `None` where it is none
/// of those, or more than 63 bits hold.
pub fn size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let shift = match unit.as_str() {
        "" | "B" => 0,
        "K" | "KB" | "KIB" => 10,
        "M" | "MB" | "MIB" => 20,
        "G" | "GB" | "GIB" => 30,
        "T" | "TB" | "TIB" => 40,
        _ => return None,
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    i64::try_from(bytes).is_ok().then_some(bytes)
}

/// A size for people: three figures or so, and its unit.
pub fn size_text(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    // What would be shown as 1024 of a unit is 1 of the next.
    while value >= 1023.5 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = if value < 99.95 { 1 } else { 0 };
    format!("{value:.decimals$} {}", units[unit])
}

impl Memory {
    /// What is wrong with the settings together: accounts that take more than there is.
    pub(in crate::config) fn check(&self) -> Result<(), Misdeed> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let sum = self
            .sizes
            .iter()
            .flatten()
            .fold(0u64, |sum, size| sum.saturating_add(*size));
        match sum > limit {
            true => Err(Misdeed::AccountsAboveLimit {
                sum: size_text(sum),
                limit: size_text(limit),
            }),
            false => Ok(()),
        }
    }
}
