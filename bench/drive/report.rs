//! One run's result: ordered fields, printed as one JSON line.

use std::fmt::Write as _;

pub struct Report {
    json: String,
    verified: bool,
}

impl Report {
    pub fn new(scenario: &str, label: &str) -> Self {
        let mut report = Self {
            json: String::from("{"),
            verified: false,
        };
        report.text("scenario", scenario);
        report.text("label", label);
        report
    }

    fn key(&mut self, key: &str) {
        if self.json.len() > 1 {
            self.json.push(',');
        }
        let _ = write!(self.json, "\"{key}\":");
    }

    pub fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        let _ = write!(self.json, "{value:?}");
    }

    pub fn count(&mut self, key: &str, value: u64) {
        self.key(key);
        let _ = write!(self.json, "{value}");
    }

    pub fn number(&mut self, key: &str, value: f64) {
        self.key(key);
        let value = if value.is_finite() { value } else { 0.0 };
        let _ = write!(self.json, "{value:.3}");
    }

    /// Whether everything that was sent arrived, no more and no less. Goes last.
    pub fn verdict(&mut self, verified: bool) {
        self.key("verified");
        let _ = write!(self.json, "{verified}");
        self.verified = verified;
    }

    pub fn verified(&self) -> bool {
        self.verified
    }

    pub fn json(&self) -> String {
        format!("{}}}", self.json)
    }
}
