//! A broker's HTTP listener, asked one thing at a time (HTTP/1.1), by default over a connection for each question.

use std::io::{Error, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::address::Address;
use super::hints::{self, Spoken};
use super::stream::{Ended, Stream};
use crate::limits;
use crate::transport::tls::ClientPlan;

/// Where a broker is asked.
#[derive(Clone)]
pub(in crate::cli) struct Site {
    address: Address,
    plan: Option<Arc<ClientPlan>>,
    user: Option<User>,
    /// For an answer, from the first address that is tried to its last byte.
    patience: Duration,
}

/// Who asks.
#[derive(Clone)]
pub(in crate::cli) struct User {
    pub name: String,
    pub password: Vec<u8>,
    /// Where the password was given, in words.
    pub source: String,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Response {
    /// 200, say.
    pub status: u16,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Response {
    /// The first line of what it says.
    pub(in crate::cli) fn line(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        text.lines().next().unwrap_or_default().to_string()
    }
}

impl Site {
    pub(in crate::cli) fn new(
        address: Address,
        plan: Option<Arc<ClientPlan>>,
        user: Option<User>,
    ) -> Site {
        Site {
            address,
            plan,
            user,
            patience: Duration::from_millis(limits::ASK_MS_MAX),
        }
    }

    /// The same, with another patience for an answer.
    pub(in crate::cli) fn within(self, patience: Duration) -> Site {
        Site { patience, ..self }
    }

    /// Whether somebody asks by name, or by a certificate.
    pub(in crate::cli) fn has_user(&self) -> bool {
        let mut plans = self.plan.iter();
        self.user.is_some() || plans.any(|plan| plan.has_certificate())
    }

    /// Host and port.
    pub(in crate::cli) fn authority(&self) -> String {
        self.address.authority()
    }

    /// What is there, as JSON.
    pub(in crate::cli) fn get(&self, target: &str) -> Result<Value, String> {
        self.json("GET", target)
    }

    /// What has become of it when it is to be no more, as JSON.
    pub(in crate::cli) fn delete(&self, target: &str) -> Result<Value, String> {
        self.json("DELETE", target)
    }

    fn json(&self, method: &str, target: &str) -> Result<Value, String> {
        let response = self.ask(method, target)?;
        self.meant(&response)
    }

    /// An answer as JSON.
    pub(super) fn meant(&self, response: &Response) -> Result<Value, String> {
        self.well(response)?;
        serde_json::from_slice(&response.body)
            .map_err(|error| format!("{} answers with other than JSON: {error}", self.authority()))
    }

    /// Whether an answer is what was asked for; else what it says.
    pub(super) fn well(&self, response: &Response) -> Result<(), String> {
        match self.refusal(response) {
            None => Ok(()),
            Some(text) => Err(format!("{} answers {text}", self.authority())),
        }
    }

    /// What a refusal says, with its status and what to do about it; `None` if it is none.
    pub(in crate::cli) fn refusal(&self, response: &Response) -> Option<String> {
        let status = response.status;
        let line = response.line();
        let user = self.user.as_ref();
        let who = user.map(|user| (&user.name[..], &user.source[..]));
        let hint = hints::refused(status, &line, who);
        (status != 200).then(|| format!("{status} {line}{hint}"))
    }

    /// Asks, over a connection of its own.
    pub(in crate::cli) fn ask(&self, method: &str, target: &str) -> Result<Response, String> {
        let until = Instant::now() + self.patience;
        let mut stream = self.open(until)?;
        self.exchange(&mut stream, (method, target), "close", until)
    }

    /// A connection, until then.
    pub(super) fn open(&self, until: Instant) -> Result<Stream, String> {
        let opened = Stream::open(&self.address, self.plan.as_ref(), until);
        opened.map_err(|ended| match ended {
            Ended::Unreached(error) => hints::unreached(&self.address, &error, Spoken::Http),
            Ended::Handshake(error) => hints::no_tls(&self.address, &error),
        })
    }

    /// Until when an answer to what is asked now has time.
    pub(super) fn until(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Why a connection has failed, in words.
    pub(super) fn failed(&self, error: &Error) -> String {
        hints::failed(&self.address, error, Spoken::Http)
    }

    /// What came, in words, if it is no answer.
    pub(super) fn unanswered(&self, bytes: &[u8]) -> String {
        hints::unanswered(&self.address, bytes, Spoken::Http)
    }

    /// Writes a request; `connection` is what becomes of the connection behind its answer.
    pub(super) fn request(
        &self,
        stream: &mut Stream,
        (method, target): (&str, &str),
        connection: &str,
    ) -> Result<(), String> {
        let mut head = format!(
            "{method} {}{target} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\nAccept: application/json, text/plain\r\n",
            self.address.base,
            self.authority()
        );
        if let Some(User { name, password, .. }) = &self.user {
            let pair = [name.as_bytes(), b":", password].concat();
            head += &format!("Authorization: Basic {}\r\n", STANDARD.encode(pair));
        }
        head += "\r\n";
        let written = stream.write_all(head.as_bytes());
        written.map_err(|error| self.failed(&error))
    }

    /// Asks over a connection that there is.
    pub(super) fn exchange(
        &self,
        stream: &mut Stream,
        (method, target): (&str, &str),
        connection: &str,
        until: Instant,
    ) -> Result<Response, String> {
        self.request(stream, (method, target), connection)?;
        let mut bytes = Vec::new();
        let mut piece = [0; limits::ASK_PIECE_BYTES];
        loop {
            let waiting = stream.wait_until(until);
            match waiting.and_then(|()| stream.read(&mut piece)) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) => return Err(self.failed(&error)),
            }
            if bytes.len() > limits::ASK_BYTES_MAX {
                return Err(format!("{}: the answer does not end", self.authority()));
            }
            if is_whole(&bytes) {
                break;
            }
        }
        response(&bytes).ok_or_else(|| self.unanswered(&bytes))
    }
}

/// The length of a head, the status in it, and the length of what follows, if it says one.
pub(super) fn head(bytes: &[u8]) -> Option<(usize, u16, Option<usize>)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let length = match head.parse(bytes).ok()? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return None,
    };
    let mut lengths = head.headers.iter();
    let content = lengths.find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let content = content.and_then(|header| std::str::from_utf8(header.value).ok()?.parse().ok());
    Some((length, head.code?, content))
}

fn is_whole(bytes: &[u8]) -> bool {
    let end = head(bytes).and_then(|(head, _, content)| head.checked_add(content?));
    end.is_some_and(|end| bytes.len() >= end)
}

/// An answer that is whole: the connection has ended, or all that it has promised is there.
fn response(bytes: &[u8]) -> Option<Response> {
    let (head, status, content) = head(bytes)?;
    let body = &bytes[head..];
    let body = match content {
        Some(content) => body.get(..content)?,
        None => body,
    };
    Some(Response {
        status,
        body: body.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_ends_where_it_says_or_with_its_connection() {
        let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";
        assert!(is_whole(bytes) && !is_whole(&bytes[..bytes.len() - 1]));
        let whole = response(bytes).unwrap();
        assert_eq!((whole.status, &whole.body[..]), (200, &b"hello"[..]));
        assert_eq!(response(&bytes[..bytes.len() - 1]), None, "cut off");
        let until_end = response(b"HTTP/1.1 404 Not Found\r\n\r\nno").unwrap();
        assert_eq!((until_end.status, &until_end.body[..]), (404, &b"no"[..]));
        assert!(!is_whole(b"HTTP/1.1 404 Not Found\r\n\r\nno"));
        assert_eq!(response(b"SSH-2.0-x\r\n"), None);
    }
}
