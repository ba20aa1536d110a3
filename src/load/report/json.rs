//! The report as JSON, of the schema `bench/report.schema.json`, and back.

use crate::load::result::{Report, SCHEMA};

/// Fields that may be null: what is not known, or was not asked for. Every other null is a number that is none.
const NULLABLE: [&str; 19] = [
    "broke_rate",
    "broker",
    "broker_bytes_after",
    "broker_bytes_before",
    "broker_bytes_per_connection",
    "budget",
    "cgroup_bytes",
    "cgroup_kernel_bytes",
    "cgroup_peak_bytes",
    "cpu",
    "cpu_ns_per_delivery",
    "cpus",
    "max_rate",
    "operations",
    "pid",
    "pss_bytes",
    "rate_intended",
    "search",
    "tester_bytes_per_connection",
];

/// The report, indented; ends with a line feed. A number that is not finite, which JSON cannot hold, is written as 0, or
/// as null where the field may be unknown.
pub fn write(report: &Report) -> String {
    // Strings, numbers and maps by name are all there is: nothing that cannot be written.
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    let mut out = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        out.push_str(&finite(line));
        out.push('\n');
    }
    out
}

/// A line of indented JSON holds one field at most, and one that ends with a bare null is no text.
fn finite(line: &str) -> String {
    let (field, comma) = match line.strip_suffix(',') {
        Some(field) => (field, ","),
        None => (line, ""),
    };
    let wrong = field.strip_suffix(": null").filter(|name| {
        let name = name.trim().trim_matches('"');
        !NULLABLE.contains(&name)
    });
    match wrong {
        Some(name) => format!("{name}: 0.0{comma}"),
        None => line.to_owned(),
    }
}

/// Reads what `write` wrote.
///
/// # Errors
/// In words: what is no JSON (with its line), no report, a report of another version, or lacks a field.
pub fn read(text: &str) -> Result<Report, String> {
    let value: serde_json::Value =
        serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
    match value.get("schema").map(|schema| schema.as_str()) {
        Some(Some(SCHEMA)) => {}
        Some(Some(other)) => {
            return Err(format!(
                "a report of the schema `{other}`, where this version reads `{SCHEMA}`"
            ));
        }
        _ => return Err("no report of firehose bench: it has no `schema`".to_owned()),
    }
    serde_json::from_str(text).map_err(|error| format!("no whole report of `{SCHEMA}`: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::load::report::sample;
    use crate::load::result::{Attempt, Search};

    const SCHEMA_TEXT: &str = include_str!("../../../bench/report.schema.json");

    /// The part of JSON Schema that the schema uses, and which of its properties came up.
    struct Checker {
        root: Value,
        seen: BTreeSet<String>,
    }

    impl Checker {
        fn new() -> Self {
            Checker {
                root: serde_json::from_str(SCHEMA_TEXT).unwrap(),
                seen: BTreeSet::new(),
            }
        }

        fn check(&mut self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
            if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
                let path = reference.strip_prefix('#').unwrap();
                let target = self.root.pointer(path).ok_or(format!("no {path}"))?.clone();
                return self.check(&target, value, at);
            }
            if let Some(any) = schema.get("anyOf").and_then(Value::as_array) {
                let errors = any.iter().map(|s| self.check(s, value, at));
                let errors: Vec<_> = errors.collect();
                return match errors.iter().any(Result::is_ok) {
                    true => Ok(()),
                    false => Err(format!("{errors:?}")),
                };
            }
            if let Some(constant) = schema.get("const")
                && constant != value
            {
                return Err(format!("{at}: {value} is not {constant}"));
            }
            check_type(schema, value, at)?;
            match value {
                Value::Object(fields) => self.check_object(schema, fields, at),
                Value::Array(items) => items
                    .iter()
                    .try_for_each(|item| self.check(&schema["items"], item, at)),
                _ => Ok(()),
            }
        }

        fn check_object(
            &mut self,
            schema: &Value,
            fields: &serde_json::Map<String, Value>,
            at: &str,
        ) -> Result<(), String> {
            for name in schema
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
            {
                let name = name.as_str().unwrap();
                fields.get(name).ok_or(format!("{at}: no {name}"))?;
            }
            for (name, field) in fields {
                let inner = format!("{at}/{name}");
                let known = schema.get("properties").and_then(|p| p.get(name));
                if known.is_some() {
                    self.seen.insert(format!("{}:{name}", schema["title"]));
                }
                match known.or(schema.get("additionalProperties")) {
                    Some(Value::Bool(_)) | None => {
                        return Err(format!("{inner}: not in the schema"));
                    }
                    Some(of) => self.check(&of.clone(), field, &inner)?,
                }
            }
            Ok(())
        }

        fn report(&mut self, text: &str) -> Result<(), String> {
            let root = self.root.clone();
            self.check(&root, &serde_json::from_str(text).unwrap(), "")
        }
    }

    fn check_type(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let types = match &schema["type"] {
            Value::Array(types) => types.clone(),
            one => vec![one.clone()],
        };
        let fits = |name: &Value| match name.as_str().unwrap() {
            "null" => value.is_null(),
            "boolean" => value.is_boolean(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            "number" => value.is_number(),
            "array" => value.is_array(),
            "object" => value.is_object(),
            other => panic!("type {other}"),
        };
        match types.iter().any(fits) {
            true => Ok(()),
            false => Err(format!("{at}: {value} is not of {types:?}")),
        }
    }

    /// Every object of the schema, by its title.
    fn objects(schema: &Value) -> Vec<&Value> {
        let parts = schema["$defs"].as_object().unwrap();
        parts.values().chain([schema]).collect()
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        for report in [
            sample::full(),
            sample::ramp(),
            Report {
                schema: SCHEMA.to_owned(),
                ..Report::default()
            },
        ] {
            let text = write(&report);
            assert!(
                text.starts_with("{\n  \"schema\": \"firehose-bench/1\"") && text.ends_with("}\n")
            );
            let back = read(&text).unwrap();
            assert!(write(&back) == text && back == report);
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let error = |text: &str| read(text).unwrap_err();
        assert!(error("{\n1").starts_with("not JSON: ") && error("{\n1").contains("line 2"));
        assert_eq!(
            error("[]"),
            "no report of firehose bench: it has no `schema`"
        );
        assert_eq!(error("{\"schema\": 1}"), error("{}"));
        assert!(error("{\"schema\": \"firehose-bench/9\"}").contains("`firehose-bench/9`, where"));
        let lacks = error("{\"schema\": \"firehose-bench/1\"}");
        assert!(lacks.contains("missing field `workload`"), "{lacks}");
    }

    #[test]
    fn reports_are_of_the_schema_and_use_all_of_it() {
        let mut checker = Checker::new();
        for report in [
            sample::full(),
            sample::steady(),
            sample::search(),
            sample::connects(),
        ] {
            assert_eq!(checker.report(&write(&report)), Ok(()));
        }
        let schema = checker.root.clone();
        for object in objects(&schema) {
            assert_eq!(
                object["additionalProperties"],
                Value::Bool(false),
                "{}",
                object["title"]
            );
            for name in object["properties"].as_object().unwrap().keys() {
                let name = format!("{}:{name}", object["title"]);
                assert!(checker.seen.contains(&name), "{name} is in no report");
            }
        }
    }

    #[test]
    fn the_schema_is_strict() {
        let text = write(&sample::full());
        for (from, to) in [
            ("\"seed\": 1", "\"seed\": \"1\""),
            ("\"seed\": 1", "\"seed\": 1.5"),
            ("\"seed\": 1", "\"sead\": 1"),
            ("\"seed\": 1,", ""),
            ("\"seed\": 1", "\"seed\": null"),
            ("firehose-bench/1", "firehose-bench/2"),
            ("\"passed\": false", "\"passed\": 0"),
        ] {
            assert!(text.contains(from), "{from}");
            let result = Checker::new().report(&text.replace(from, to));
            assert!(result.is_err(), "{from} as {to}");
        }
    }

    #[test]
    fn what_may_be_null_is_what_the_schema_says() {
        let schema: Value = serde_json::from_str(SCHEMA_TEXT).unwrap();
        let mut nullable = BTreeSet::new();
        for object in objects(&schema) {
            for (name, field) in object["properties"].as_object().unwrap() {
                if field.to_string().contains("\"null\"") {
                    nullable.insert(name.as_str());
                }
            }
        }
        // `broker` is also the name of a field that is always there.
        assert_eq!(nullable, BTreeSet::from(NULLABLE));
    }

    #[test]
    fn a_number_that_is_none_is_written_so_that_it_can_be_read() {
        let mut report = sample::full();
        report.runs[0].steps[0].publish_rate = f64::NAN;
        report.runs[0].steps[0].rate_intended = Some(f64::INFINITY);
        report.summary.insert("lost: null".to_owned(), f64::NAN);
        report.title = "null".to_owned();
        report.search = Some(Search {
            curve: vec![Attempt {
                achieved: f64::NAN,
                ..Attempt::default()
            }],
            ..Search::default()
        });
        let text = write(&report);
        assert_eq!(Checker::new().report(&text), Ok(()));
        let back = read(&text).unwrap();
        assert_eq!(back.runs[0].steps[0].publish_rate, 0.0);
        assert_eq!(back.runs[0].steps[0].rate_intended, None);
        assert_eq!(
            (back.title.as_str(), back.summary["lost: null"]),
            ("null", 0.0)
        );
    }
}
