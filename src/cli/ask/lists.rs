//! A list of a broker, page by page.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::cli::web::site::Site;
use crate::limits;

/// A list that is being asked for.
pub(super) struct List<'a> {
    site: &'a Site,
    path: &'static str,
    /// What is asked, as it stands behind the `?`.
    query: String,
    rows: usize,
    next: Option<String>,
    has_begun: bool,
    missing: Vec<u64>,
    unfinished: Vec<u64>,
}

/// A text as it stands in a path or a query.
pub(in crate::cli) fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

impl<'a> List<'a> {
    pub(super) fn new(site: &'a Site, path: &'static str) -> List<'a> {
        List {
            site,
            path,
            query: String::new(),
            rows: 0,
            next: None,
            has_begun: false,
            missing: Vec::new(),
            unfinished: Vec::new(),
        }
    }

    /// Only what has this value in a field.
    pub(super) fn ask(&mut self, field: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.query += &format!("&{field}={}", encoded(value));
        }
    }

    /// The next page, as long as there are not so many rows; `None` at the end.
    pub(super) fn next(&mut self, limit: usize) -> Result<Option<Vec<Value>>, String> {
        let left = limit - self.rows;
        if left == 0 || (self.has_begun && self.next.is_none()) {
            return Ok(None);
        }
        let wanted = left.min(limits::ANSWER_ROWS_MAX);
        let mut target = format!("{}?limit={wanted}{}", self.path, self.query);
        if let Some(next) = &self.next {
            target += &format!("&after={}", encoded(next));
        }
        let mut page = self.site.get(&target)?;
        self.has_begun = true;
        // Whoever answers may not be a broker: the answer need be no object.
        let Some(Value::Array(mut rows)) = page.get_mut("items").map(Value::take) else {
            return Err("the answer has no list in it".into());
        };
        rows.truncate(left);
        self.rows += rows.len();
        self.next = page["next"].as_str().map(String::from);
        add(&mut self.missing, &page["missing_shards"]);
        add(&mut self.unfinished, &page["unfinished_shards"]);
        Ok(Some(rows))
    }

    /// Whether the list goes on.
    pub(super) fn is_more(&self) -> bool {
        self.next.is_some()
    }

    /// Shards that have not answered.
    pub(super) fn missing(&self) -> &[u64] {
        &self.missing
    }

    /// Shards with more sessions than are looked at for one answer.
    pub(super) fn unfinished(&self) -> &[u64] {
        &self.unfinished
    }
}

/// Adds the numbers of a list to those that are known, each once.
fn add(known: &mut Vec<u64>, numbers: &Value) {
    let numbers = numbers.as_array().into_iter().flatten();
    known.extend(numbers.filter_map(Value::as_u64));
    known.sort_unstable();
    known.dedup();
}
