//! Findings, and how they are shown: a table for people, JSON for machines. Looks at nothing itself.

use std::fmt::Write;

use serde::Serialize;

use crate::escape::{self, one_line};

/// The exit code where the broker runs, and something that is wanted is missing.
const EXIT_MISSING: u8 = 1;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// As wanted.
    Ok,
    /// Good to know; nothing is missing.
    Advice,
    /// The broker runs, but not for the wished connections or not as well as it could.
    Missing,
    /// The broker cannot run like this.
    Fatal,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Finding {
    /// A stable name.
    pub id: &'static str,
    pub severity: Severity,
    pub found: String,
    pub wanted: String,
    /// One sentence.
    pub why: &'static str,
    /// The file under tuning/ that sets it.
    pub file: Option<&'static str>,
}

/// The exit code of a list of findings; `start` is that of a start that failed, which is the answer then.
pub(super) fn exit_code(findings: &[Finding], start: Option<u8>) -> u8 {
    let worst = findings.iter().map(|finding| finding.severity).max();
    let is_missing = worst.is_some_and(|worst| worst >= Severity::Missing);
    start.unwrap_or(match is_missing {
        true => EXIT_MISSING,
        false => 0,
    })
}

/// For machines.
pub(super) fn json(findings: &[Finding]) -> String {
    let text = serde_json::to_string_pretty(findings).unwrap_or_default();
    let lines = text.lines().map(escape::json);
    lines.collect::<Vec<_>>().join("\n")
}

/// The table for people, in which text of files moves no other: columns aligned, and below each finding that is not well the reason and the file that helps.
pub(super) fn table(findings: &[Finding], colour: bool) -> String {
    let shown = |finding: &Finding| Finding {
        found: one_line(&finding.found).into_owned(),
        wanted: one_line(&finding.wanted).into_owned(),
        ..finding.clone()
    };
    let findings: Vec<Finding> = findings.iter().map(shown).collect();
    let width = |of: fn(&Finding) -> &str| findings.iter().map(|f| of(f).len()).max().unwrap_or(0);
    let (ids, founds) = (width(|f| f.id), width(|f| &f.found).min(40));
    let mut out = String::new();
    for finding in &findings {
        let (word, code) = match finding.severity {
            Severity::Ok => ("ok", 32),
            Severity::Advice => ("advice", 36),
            Severity::Missing => ("missing", 33),
            Severity::Fatal => ("fatal", 31),
        };
        let (on, off) = if colour {
            (format!("\x1b[{code}m"), "\x1b[0m")
        } else {
            (String::new(), "")
        };
        let (id, found, wanted) = (finding.id, &finding.found, &finding.wanted);
        // Writing to a string does not fail.
        let _ = writeln!(
            out,
            "{on}{word:<7}{off}  {id:<ids$}  {found:<founds$}  {wanted}"
        );
        if finding.severity > Severity::Ok {
            let file = finding.file.map(|file| format!(" (tuning/{file})"));
            let _ = writeln!(out, "         {}{}", finding.why, file.unwrap_or_default());
        }
    }
    out
}
