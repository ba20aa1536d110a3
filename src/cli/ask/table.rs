//! Answers for people: rows below each other in columns, or the fields of one thing.

use serde_json::Value;

use crate::escape::Name;

/// A column of a table: its heading, and the field that it shows.
#[derive(Clone, Copy)]
pub(super) struct Column {
    heading: &'static str,
    field: &'static str,
    kind: Kind,
}

/// How a column is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    /// At the right edge.
    Number,
    YesNo,
}

impl Column {
    pub(super) const fn text(heading: &'static str, field: &'static str) -> Column {
        let kind = Kind::Text;
        Column {
            heading,
            field,
            kind,
        }
    }

    pub(super) const fn number(heading: &'static str, field: &'static str) -> Column {
        let kind = Kind::Number;
        Column {
            heading,
            field,
            kind,
        }
    }

    pub(super) const fn yes_no(heading: &'static str, field: &'static str) -> Column {
        let kind = Kind::YesNo;
        Column {
            heading,
            field,
            kind,
        }
    }

    fn cell(&self, row: &Value) -> String {
        match (&row[self.field], self.kind) {
            (Value::Null, _) => "-".into(),
            (Value::Bool(yes), Kind::YesNo) => if *yes { "yes" } else { "no" }.into(),
            (value, _) => cell(value),
        }
    }
}

/// A value on one line, with nothing in it that moves others.
fn cell(value: &Value) -> String {
    match value {
        Value::String(text) => Name(text).to_string(),
        other => other.to_string(),
    }
}

/// Rows with the same columns.
pub(super) struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<Vec<String>>,
}

impl<'a> Table<'a> {
    pub(super) fn new(columns: &'a [Column]) -> Table<'a> {
        let headings = columns.iter().map(|column| column.heading.to_string());
        Table {
            columns,
            rows: vec![headings.collect()],
        }
    }

    pub(super) fn add(&mut self, row: &Value) {
        let cells = self.columns.iter().map(|column| column.cell(row));
        self.rows.push(cells.collect());
    }

    /// Headings and rows, each column as wide as its longest cell.
    pub(super) fn lines(&self) -> Vec<String> {
        let width = |index: usize| {
            let cells = self.rows.iter().map(|row| row[index].chars().count());
            cells.max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).zip(self.columns);
            let cells = cells.map(|((cell, &width), column)| match column.kind {
                Kind::Number => format!("{cell:>width$}"),
                Kind::Text | Kind::YesNo => format!("{cell:<width$}"),
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            line.trim_end().to_string()
        };
        self.rows.iter().map(line).collect()
    }
}

/// The fields of an object, one a line; those of objects and lists in it behind their names.
pub(super) fn fields(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect(object, String::new(), &mut found);
    let width = found.iter().map(|(name, _)| name.chars().count()).max();
    let width = width.unwrap_or(0);
    let lines = found
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {value}"));
    lines.collect()
}

fn collect(value: &Value, name: String, found: &mut Vec<(String, String)>) {
    let inside = |part: &str| match name.is_empty() {
        true => part.to_string(),
        false => format!("{name}.{part}"),
    };
    match value {
        Value::Object(fields) => {
            for (part, value) in fields {
                collect(value, inside(part), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                collect(value, inside(&index.to_string()), found);
            }
        }
        Value::Null => found.push((name, "-".into())),
        other => found.push((name, cell(other))),
    }
}
