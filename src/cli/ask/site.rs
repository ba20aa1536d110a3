//! A broker's HTTP listener, asked one thing at a time: HTTP/1.1 without TLS, a connection for each question.

use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::limits;

/// Where a broker is asked.
#[derive(Clone)]
pub(in crate::cli) struct Site {
    /// Host and port, as `Host` has it.
    authority: String,
    /// In front of every path: where a proxy has the broker below another site.
    base: String,
    authorization: Option<String>,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::cli) struct Response {
    /// 200, say.
    pub status: u16,
    /// What follows the head.
    pub body: Vec<u8>,
}

impl Site {
    /// From a URL: `http://HOST[:PORT][/BASE]`.
    pub(in crate::cli) fn at(url: &str) -> Result<Site, String> {
        let rest = url.strip_prefix("http://").ok_or_else(|| {
            format!("{url}: a URL begins with http:// here; TLS is not spoken, ask on the broker's own host")
        })?;
        let (authority, base) = match rest.split_once('/') {
            Some((authority, base)) => (authority, format!("/{}", base.trim_end_matches('/'))),
            None => (rest, String::new()),
        };
        let is_odd = |letter: char| !letter.is_ascii_graphic() || matches!(letter, '@' | '?' | '#');
        if authority.is_empty() || rest.contains(is_odd) {
            return Err(format!("{url}: this is no URL of a host"));
        }
        let has_port = match authority.rsplit_once(']') {
            Some((_, behind)) => behind.starts_with(':'),
            None => authority.contains(':'),
        };
        let port = if has_port { "" } else { ":80" };
        Ok(Site {
            authority: format!("{authority}{port}"),
            base: if base == "/" { String::new() } else { base },
            authorization: None,
        })
    }

    /// The same, asked by a user (HTTP Basic).
    pub(in crate::cli) fn by_user(self, user: &str, password: &str) -> Site {
        let pair = STANDARD.encode(format!("{user}:{password}"));
        Site {
            authorization: Some(format!("Basic {pair}")),
            ..self
        }
    }

    /// Whether somebody asks by name.
    pub(in crate::cli) fn has_user(&self) -> bool {
        self.authorization.is_some()
    }

    /// Host and port.
    pub(in crate::cli) fn authority(&self) -> &str {
        &self.authority
    }

    /// What is there, as JSON.
    pub(super) fn get(&self, target: &str) -> Result<Value, String> {
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
            .map_err(|error| format!("{} answers with other than JSON: {error}", self.authority))
    }

    /// Whether an answer is what was asked for; else what it says.
    pub(super) fn well(&self, response: &Response) -> Result<(), String> {
        if response.status == 200 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&response.body);
        let text = text.lines().next().unwrap_or_default();
        let hint = match response.status {
            401 => " (--user NAME with --password-file FILE says who asks)",
            _ => "",
        };
        Err(format!(
            "{} answers {}: {text}{hint}",
            self.authority, response.status
        ))
    }

    /// Asks.
    pub(in crate::cli) fn ask(&self, method: &str, target: &str) -> Result<Response, String> {
        let mut stream = self.open()?;
        self.exchange(&mut stream, method, target, "close")
    }

    /// A connection that waits for a limited time.
    pub(super) fn open(&self) -> Result<TcpStream, String> {
        let patience = Duration::from_millis(limits::ASK_MS_MAX);
        let stream = self.connect(patience).map_err(|error| self.failed(error))?;
        stream
            .set_read_timeout(Some(patience))
            .and_then(|()| stream.set_write_timeout(Some(patience)))
            .map_err(|error| self.failed(error))?;
        Ok(stream)
    }

    /// What stands in front of the reason why a connection has failed.
    pub(super) fn failed(&self, error: std::io::Error) -> String {
        format!("{}: {error}", self.authority)
    }

    /// Writes a request; `connection` is what becomes of the connection behind its answer.
    pub(super) fn request(
        &self,
        stream: &mut TcpStream,
        method: &str,
        target: &str,
        connection: &str,
    ) -> Result<(), String> {
        let mut head = format!(
            "{method} {}{target} HTTP/1.1\r\nHost: {}\r\nConnection: {connection}\r\nAccept: application/json\r\n",
            self.base, self.authority
        );
        if let Some(authorization) = &self.authorization {
            head += &format!("Authorization: {authorization}\r\n");
        }
        head += "\r\n";
        let written = stream.write_all(head.as_bytes());
        written.map_err(|error| self.failed(error))
    }

    /// Asks over a connection that there is.
    pub(super) fn exchange(
        &self,
        stream: &mut TcpStream,
        method: &str,
        target: &str,
        connection: &str,
    ) -> Result<Response, String> {
        self.request(stream, method, target, connection)?;
        let patience = Duration::from_millis(limits::ASK_MS_MAX);
        let mut bytes = Vec::new();
        let began = Instant::now();
        let mut piece = [0; 16 << 10];
        loop {
            match stream.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => bytes.extend_from_slice(&piece[..count]),
                Err(error) => return Err(self.failed(error)),
            }
            if bytes.len() > limits::ASK_BYTES_MAX || began.elapsed() > patience {
                return Err(format!("{}: the answer does not end", self.authority));
            }
            if is_whole(&bytes) {
                break;
            }
        }
        response(&bytes).ok_or_else(|| format!("{} does not speak HTTP/1.1", self.authority))
    }

    fn connect(&self, patience: Duration) -> std::io::Result<TcpStream> {
        let mut last = std::io::ErrorKind::NotFound.into();
        for address in self.authority.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, patience) {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
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
    fn a_url_is_a_host_and_what_stands_in_front_of_paths() {
        let parts = |url: &str| {
            let site = Site::at(url).ok()?;
            Some((site.authority, site.base))
        };
        let found = |authority: &str, base: &str| Some((authority.into(), base.into()));
        assert_eq!(parts("http://127.0.0.1:9883"), found("127.0.0.1:9883", ""));
        assert_eq!(parts("http://broker/"), found("broker:80", ""));
        assert_eq!(parts("http://[::1]:9883"), found("[::1]:9883", ""));
        assert_eq!(parts("http://[::1]"), found("[::1]:80", ""));
        assert_eq!(parts("http://h:1/mqtt/"), found("h:1", "/mqtt"));
        for wrong in [
            "",
            "broker",
            "https://broker",
            "http://",
            "http:///x",
            "http://a b",
            "http://u@h",
        ] {
            assert_eq!(parts(wrong), None, "{wrong}");
        }
    }

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
