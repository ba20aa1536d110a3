//! The upgrade from HTTP (RFC 6455, 4): the request is read whole, checked and answered.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::failure::Failure;
use crate::limits::{WEBSOCKET_HEADERS_BYTES, WEBSOCKET_HEADERS_MAX};

/// What the key is joined with before it is hashed (RFC 6455, 1.3).
const MAGIC: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The subprotocols that are MQTT (MQTT-6.0.0-3); the second is that of old clients.
const SUBPROTOCOLS: [&str; 2] = ["mqtt", "mqttv3.1"];

/// What a listener's WebSocket connections share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The origins that pages may have (`websockets_origin`); empty for any.
    pub origins: Vec<String>,
    /// Bytes of the greatest upgrade request (`websockets_headers_size`).
    pub headers_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            origins: Vec::new(),
            headers_bytes_max: WEBSOCKET_HEADERS_BYTES,
        }
    }
}

/// The request, as far as it has come.
pub(super) struct Upgrade {
    options: Arc<Options>,
    head: Vec<u8>,
}

/// An answer other than 101, and what the log says.
struct Refusal {
    status: &'static str,
    header: &'static str,
    why: &'static str,
}

impl Refusal {
    const fn new(status: &'static str, why: &'static str) -> Refusal {
        Refusal {
            status,
            header: "",
            why,
        }
    }
}

impl Upgrade {
    pub(super) fn new(options: &Arc<Options>) -> Upgrade {
        Upgrade {
            options: options.clone(),
            head: Vec::new(),
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        self.head.capacity()
    }

    /// Takes bytes; when the request is whole, answers it and returns how many of them belonged to it.
    pub(super) fn receive(
        &mut self,
        bytes: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<usize>, Failure> {
        let before = self.head.len();
        if before == 0 {
            stranger(bytes)?;
        }
        let room = self.options.headers_bytes_max - before.min(self.options.headers_bytes_max);
        self.head.extend_from_slice(&bytes[..room.min(bytes.len())]);
        let mut headers = [httparse::EMPTY_HEADER; WEBSOCKET_HEADERS_MAX];
        let mut request = httparse::Request::new(&mut headers);
        let answer = match request.parse(&self.head) {
            Ok(httparse::Status::Complete(len)) => {
                answer(&request, &self.options).map(|answer| (answer, len))
            }
            Ok(httparse::Status::Partial) if bytes.len() < room => return Ok(None),
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                Err(Refusal::new(
                    "431 Request Header Fields Too Large",
                    "the request is too long (see websockets_headers_size)",
                ))
            }
            Err(_) => Err(Refusal::new(
                "400 Bad Request",
                "the request is not HTTP as it should be",
            )),
        };
        match answer {
            Ok((answer, len)) => {
                out.extend_from_slice(answer.as_bytes());
                Ok(Some(len - before))
            }
            Err(refusal) => {
                let Refusal {
                    status,
                    header,
                    why,
                } = refusal;
                let body = format!("{why}\n");
                let len = body.len();
                let text = format!(
                    "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain\r\nContent-Length: {len}\r\n\
                     Connection: close\r\n\r\n{body}"
                );
                out.extend_from_slice(text.as_bytes());
                Err(Failure::new(format!("WebSocket: {why}")))
            }
        }
    }
}

/// Tells those apart who speak something else.
fn stranger(bytes: &[u8]) -> Result<(), Failure> {
    let text = match bytes.first() {
        Some(0x10) => "it speaks MQTT without WebSocket on a WebSocket port",
        Some(0x16) => "it speaks TLS on a WebSocket port without TLS",
        _ => return Ok(()),
    };
    Err(Failure::new(text))
}

/// The answer to a request that is in order.
fn answer(request: &httparse::Request<'_, '_>, options: &Options) -> Result<String, Refusal> {
    let bad = |why| Refusal::new("400 Bad Request", why);
    if request.method != Some("GET") {
        return Err(Refusal {
            status: "405 Method Not Allowed",
            header: "Allow: GET\r\n",
            why: "the method is not GET",
        });
    }
    if request.version != Some(1) {
        return Err(Refusal::new(
            "505 HTTP Version Not Supported",
            "the version is not HTTP/1.1",
        ));
    }
    if values(request, "host").next().is_none() {
        return Err(bad("there is no Host"));
    }
    let has = |name, token| values(request, name).any(|value| has_token(value, token));
    if !has("upgrade", "websocket") || !has("connection", "upgrade") {
        return Err(Refusal {
            status: "426 Upgrade Required",
            header: "Upgrade: websocket\r\n",
            why: "this is an MQTT broker; a WebSocket is wanted",
        });
    }
    if values(request, "sec-websocket-version").next() != Some("13") {
        return Err(Refusal {
            status: "426 Upgrade Required",
            header: "Sec-WebSocket-Version: 13\r\n",
            why: "the version of WebSocket is not 13",
        });
    }
    let key = values(request, "sec-websocket-key").next();
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|key| key.len() == 16));
    let Some(key) = key else {
        return Err(bad("Sec-WebSocket-Key is not 16 bytes in base64"));
    };
    let origin = values(request, "origin").next().unwrap_or_default();
    let is_allowed = |allowed: &String| allowed.eq_ignore_ascii_case(origin);
    if !options.origins.is_empty() && !options.origins.iter().any(is_allowed) {
        return Err(Refusal::new(
            "403 Forbidden",
            "the origin is not allowed (see websockets_origin)",
        ));
    }
    let subprotocol = subprotocol(request)?;
    let accept = accept_of(key);
    let subprotocol = subprotocol.map_or(String::new(), |name| {
        format!("Sec-WebSocket-Protocol: {name}\r\n")
    });
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{subprotocol}\r\n"
    ))
}

/// What a server answers to a key (RFC 6455, 4.2.2).
pub(super) fn accept_of(key: &str) -> String {
    STANDARD.encode(
        Sha1::new()
            .chain_update(key.as_bytes())
            .chain_update(MAGIC)
            .finalize(),
    )
}

/// The first subprotocol offered that is MQTT; `None` when none at all is offered, which is let pass.
fn subprotocol(request: &httparse::Request<'_, '_>) -> Result<Option<&'static str>, Refusal> {
    let mut offered = values(request, "sec-websocket-protocol")
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .peekable();
    if offered.peek().is_none() {
        return Ok(None);
    }
    let known = offered.find_map(|name| SUBPROTOCOLS.into_iter().find(|known| *known == name));
    known.map(Some).ok_or(Refusal::new(
        "400 Bad Request",
        "the subprotocol is neither mqtt nor mqttv3.1",
    ))
}

/// The values of a header, in their order; those that are not text are left out.
fn values<'a>(
    request: &'a httparse::Request<'_, '_>,
    name: &'a str,
) -> impl Iterator<Item = &'a str> {
    request
        .headers
        .iter()
        .filter(move |header| header.name.eq_ignore_ascii_case(name))
        .filter_map(|header| std::str::from_utf8(header.value).ok())
        .map(str::trim)
}

/// Whether a list of tokens holds one, in whatever case.
fn has_token(list: &str, token: &str) -> bool {
    list.split(',')
        .any(|one| one.trim().eq_ignore_ascii_case(token))
}
