//! `firehose health`: asks a broker over HTTP whether it is ready, for containers and service managers.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::escape::one_line;
use crate::limits::{HEALTH_ANSWER_BYTES_MAX, HEALTH_MS_MAX};

/// Where a listener of HTTP is as a rule, Mosquitto's too.
const URL_DEFAULT: &str = "http://127.0.0.1:9883/readyz";

/// The exit code where it is not.
const EXIT_NOT_READY: u8 = 1;

/// Asks a broker over HTTP whether it is ready, and says so in one line
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Health {
    /// Where to ask: http://HOST[:PORT][/PATH]
    #[arg(default_value = URL_DEFAULT, value_name = "URL")]
    url: String,
}

const AFTER_HELP: &str = "\
The broker needs a listener for that: `listener 9883 127.0.0.1` and below it `protocol http_api`. /readyz is whether it should
be sent clients, /healthz whether it lives.

Exit codes:
  0  it is
  1  it is not, it does not answer within 5 seconds, or nobody listens there
  2  wrong command line";

/// Where to ask.
#[derive(Debug, PartialEq, Eq)]
struct Target<'a> {
    /// As it stands in the address, with the port if that has one: the `Host` header.
    authority: &'a str,
    host: &'a str,
    port: u16,
    path: &'a str,
}

/// Does it.
pub(super) fn health(options: &Health) -> ExitCode {
    let result = target(&options.url).map_err(String::from);
    let result = result.and_then(|target| {
        let answer = ask(&target).map_err(|error| format!("{}: {error}", options.url))?;
        judge(&answer)
    });
    let (text, code) = match result {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::from(EXIT_NOT_READY)),
    };
    // Whoever is gone reads no line; the code says it too.
    let _ = writeln!(io::stdout(), "{}", one_line(&text));
    code
}

/// Reads an address.
fn target(url: &str) -> Result<Target<'_>, &'static str> {
    let rest = url.strip_prefix("http://");
    let rest = rest.ok_or("the address has to begin with http:// (TLS is not spoken here: ask a listener on a loopback address)")?;
    let (authority, path) = match rest.find('/') {
        Some(slash) => rest.split_at(slash),
        None => (rest, "/readyz"),
    };
    let is_fit = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_fit(path) || !is_fit(authority) || authority.contains('@') {
        return Err("the address has to be http://HOST[:PORT][/PATH]");
    }
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match authority[end..].find(':') {
        Some(colon) => (&authority[..end + colon], &authority[end + colon + 1..]),
        None => (authority, "80"),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let port = port.parse().map_err(|_| "the port is no number")?;
    match host.is_empty() {
        true => Err("the address names no host"),
        false => Ok(Target {
            authority,
            host,
            port,
            path,
        }),
    }
}

/// Asks, by each address of the host until one answers.
fn ask(target: &Target<'_>) -> io::Result<Vec<u8>> {
    let until = Instant::now() + Duration::from_millis(HEALTH_MS_MAX);
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in (target.host, target.port).to_socket_addrs()? {
        let left = left(until)?;
        match TcpStream::connect_timeout(&address, left) {
            Ok(stream) => return exchange(stream, target, until),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn exchange(mut stream: TcpStream, target: &Target<'_>, until: Instant) -> io::Result<Vec<u8>> {
    let Target {
        authority, path, ..
    } = target;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n");
    stream.set_write_timeout(Some(left(until)?))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    while answer.len() < HEALTH_ANSWER_BYTES_MAX {
        stream.set_read_timeout(Some(left(until)?))?;
        match stream.read(&mut piece)? {
            0 => break,
            bytes => answer.extend_from_slice(&piece[..bytes]),
        }
    }
    Ok(answer)
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(io::ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// The first line of what an answer says; an error unless its status is 200.
fn judge(answer: &[u8]) -> Result<String, String> {
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let mut words = head.split_ascii_whitespace();
    let is_http = words.next().is_some_and(|word| word.starts_with("HTTP/1."));
    let status = words.next().filter(|_| is_http);
    let line = body.lines().next().unwrap_or_default().to_string();
    match status {
        Some("200") => Ok(line),
        Some(status) => Err(format!("{status} {line}")),
        None => Err("what answers there does not speak HTTP".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_host() {
        let parts = |url| target(url).map(|target| (target.host, target.port, target.path));
        assert_eq!(parts(URL_DEFAULT), Ok(("127.0.0.1", 9883, "/readyz")));
        assert_eq!(parts("http://a"), Ok(("a", 80, "/readyz")));
        assert_eq!(parts("http://[::1]:1/healthz"), Ok(("::1", 1, "/healthz")));
        assert_eq!(parts("http://[::1]/"), Ok(("::1", 80, "/")));
        for url in [
            "https://a",
            "a:1",
            "http://",
            "http://:1",
            "http://a:b",
            "http://a:70000",
            "http://u@a",
            "http://a/x y",
            "http://a/\r\nx: y",
        ] {
            assert!(target(url).is_err(), "{url:?}");
        }
    }

    #[test]
    fn only_200_is_ready() {
        let ready = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nready\n";
        assert_eq!(judge(ready), Ok("ready".into()));
        let busy = b"HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: x\n";
        assert_eq!(judge(busy), Err("503 not ready: x".into()));
        for other in ["", "\0\0", "220 mail HTTP/1.1", "HTTP/1.1"] {
            assert!(judge(other.as_bytes()).is_err(), "{other}");
        }
    }
}
