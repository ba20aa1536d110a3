//! Findings, and how they are shown: a table for people, JSON for machines. Looks at nothing itself.

use std::fmt::Write;

use serde::Serialize;

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

/// The exit code of a list of findings.
pub(super) fn exit_code(findings: &[Finding]) -> u8 {
    match findings.iter().map(|finding| finding.severity).max() {
        Some(Severity::Fatal) => 3,
        Some(Severity::Missing) => 1,
        _ => 0,
    }
}

/// The table for people: columns aligned, and below each finding that is not well the reason and the file that helps.
pub(super) fn table(findings: &[Finding], colour: bool) -> String {
    let width = |of: fn(&Finding) -> &str| findings.iter().map(|f| of(f).len()).max().unwrap_or(0);
    let (ids, founds) = (width(|f| f.id), width(|f| &f.found).min(40));
    let mut out = String::new();
    for finding in findings {
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
