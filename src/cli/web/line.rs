//! A connection over which a broker is asked one thing after the other: a password is checked once for a connection, and that takes time.

use serde_json::Value;

use super::site::{Response, Site};
use super::stream::Stream;

/// See the module.
pub(in crate::cli) struct Line {
    site: Site,
    stream: Option<Stream>,
}

impl Line {
    pub(in crate::cli) fn new(site: Site) -> Line {
        Line { site, stream: None }
    }

    /// What is there, as JSON.
    ///
    /// # Errors
    /// The broker does not answer, or with something else.
    pub(in crate::cli) fn json(&mut self, target: &str) -> Result<Value, String> {
        let response = self.get(target)?;
        self.site.meant(&response)
    }

    /// What is there, as text.
    ///
    /// # Errors
    /// As of `json`.
    pub(in crate::cli) fn text(&mut self, target: &str) -> Result<String, String> {
        let response = self.get(target)?;
        self.site.well(&response)?;
        Ok(String::from_utf8_lossy(&response.body).into_owned())
    }

    fn get(&mut self, target: &str) -> Result<Response, String> {
        if let Some(stream) = self.stream.take()
            && let Ok(response) = self.exchange(stream, target)
        {
            return Ok(response);
        }
        // It is the first time, or the broker has ended the connection: it does when one is idle, and where others need it.
        let stream = self.site.open(self.site.until())?;
        self.exchange(stream, target)
    }

    fn exchange(&mut self, mut stream: Stream, target: &str) -> Result<Response, String> {
        let site = &self.site;
        let question = ("GET", target);
        let response = site.exchange(&mut stream, question, "keep-alive", site.until())?;
        self.stream = Some(stream);
        Ok(response)
    }
}
