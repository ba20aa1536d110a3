//! A page in one of the two text formats: families in the order of their names, each with its type and help.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

use crate::control::api::histogram::Buckets;
use crate::figure::Kind;

/// What is read of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Prometheus' own, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Form {
    /// By the `Accept` header.
    pub(super) fn of(accept: &str) -> Form {
        match accept.contains("application/openmetrics-text") {
            true => Form::OpenMetrics,
            false => Form::Text,
        }
    }

    /// `Content-Type`.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Form::Text => "text/plain; version=0.0.4; charset=utf-8",
            Form::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Labels of one line, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels(String);

impl Labels {
    /// A value that is the broker's own word.
    pub(super) fn with(mut self, name: &str, value: impl Display) -> Labels {
        let comma = if self.0.is_empty() { "" } else { "," };
        // Writing to a `String` does not fail.
        let _ = write!(self.0, "{comma}{name}=\"{value}\"");
        self
    }

    /// A value that may be anything.
    pub(super) fn with_text(self, name: &str, value: &str) -> Labels {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"");
        self.with(name, value.replace('\n', "\\n"))
    }

    pub(super) fn shard(self, shard: Option<u8>) -> Labels {
        match shard {
            Some(shard) => self.with("shard", shard),
            None => self,
        }
    }
}

/// The name of a family without `_total`, its kind and its help.
pub(super) type Family<'a> = (&'a str, Kind, &'a str);

/// What Prometheus calls a type.
const GAUGE: &str = "gauge";
const COUNTER: &str = "counter";
const HISTOGRAM: &str = "histogram";

struct Lines {
    kind: &'static str,
    help: String,
    lines: String,
}

/// See the module.
pub(super) struct Page {
    form: Form,
    families: BTreeMap<String, Lines>,
}

impl Page {
    pub(super) fn new(form: Form) -> Page {
        Page {
            form,
            families: BTreeMap::new(),
        }
    }

    /// One line of a family.
    pub(super) fn put(&mut self, family: Family<'_>, labels: &Labels, value: f64) {
        self.line(family, labels, value);
    }

    /// The same with a whole number, of which no digit is lost.
    pub(super) fn put_whole(&mut self, family: Family<'_>, labels: &Labels, value: u64) {
        self.line(family, labels, value);
    }

    fn line(&mut self, (name, kind, help): Family<'_>, labels: &Labels, value: impl Display) {
        let (kind, end) = match kind {
            Kind::Counter => (COUNTER, "_total"),
            Kind::Level | Kind::Peak => (GAUGE, ""),
        };
        let lines = self.lines(name, kind, help);
        let _ = match labels.0.is_empty() {
            true => writeln!(lines, "{name}{end} {value}"),
            false => writeln!(lines, "{name}{end}{{{}}} {value}", labels.0),
        };
    }

    /// A histogram, with its own labels.
    pub(super) fn histogram(&mut self, name: &str, help: &str, labels: &Labels, buckets: &Buckets) {
        let lines = self.lines(name, HISTOGRAM, help);
        let comma = if labels.0.is_empty() { "" } else { "," };
        let own = &labels.0;
        for (bound, count) in buckets.cumulated() {
            let _ = writeln!(lines, "{name}_bucket{{{own}{comma}le=\"{bound}\"}} {count}");
        }
        let (count, sum) = (buckets.count(), buckets.sum_s());
        let _ = writeln!(lines, "{name}_bucket{{{own}{comma}le=\"+Inf\"}} {count}");
        let own = match own.is_empty() {
            true => String::new(),
            false => format!("{{{own}}}"),
        };
        let _ = writeln!(lines, "{name}_sum{own} {sum}\n{name}_count{own} {count}");
    }

    fn lines(&mut self, name: &str, kind: &'static str, help: &str) -> &mut String {
        let family = self.families.entry(name.into());
        let family = family.or_insert_with(|| Lines {
            kind,
            help: help.into(),
            lines: String::new(),
        });
        &mut family.lines
    }

    /// The text.
    pub(super) fn finish(self) -> String {
        let mut out = String::new();
        for (name, Lines { kind, help, lines }) in &self.families {
            // Of counters the older format names the lines, the newer one the family.
            let end = match (self.form, *kind) {
                (Form::Text, COUNTER) => "_total",
                _ => "",
            };
            let _ = write!(
                out,
                "# HELP {name}{end} {help}\n# TYPE {name}{end} {kind}\n{lines}"
            );
        }
        if self.form == Form::OpenMetrics {
            out += "# EOF\n";
        }
        out
    }
}
