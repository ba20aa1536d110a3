//! Server-sent events: each one's data as JSON, as it comes.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::site::{Response, Site, head};
use super::stream::Stream;
use crate::limits;

/// An answer that goes on.
pub(in crate::cli) struct Events {
    site: Site,
    stream: Stream,
    body: Body,
    /// What has come and was not handed out.
    text: Vec<u8>,
    /// When something came last.
    heard: Instant,
}

/// What has come of an answer that goes on.
pub(in crate::cli) enum Step {
    /// One event.
    Event(Value),
    /// No event yet.
    Nothing,
    /// Its end.
    End,
}

/// How the end of an answer is known.
enum Body {
    /// By its connection.
    Plain,
    Chunked(Chunks),
}

/// Chunks as far as they have come.
#[derive(Default)]
struct Chunks {
    raw: Vec<u8>,
    is_over: bool,
}

impl Site {
    /// Asks for events.
    ///
    /// # Errors
    /// The broker does not answer, or with something else.
    pub(in crate::cli) fn events(&self, target: &str) -> Result<Events, String> {
        let mut stream = self.open(self.until())?;
        let silence = Duration::from_millis(limits::TOP_SILENCE_MS);
        let set = stream.wait_for(silence);
        set.map_err(|error| self.failed(&error))?;
        self.request(&mut stream, ("GET", target), "close")?;
        let mut bytes = Vec::new();
        let (length, status) = loop {
            let count = read(self, &mut stream, &mut bytes)?;
            if let Some((length, status, _)) = head(&bytes) {
                break (length, status);
            }
            if count == 0 || bytes.len() > limits::ASK_BYTES_MAX {
                return Err(self.unanswered(&bytes));
            }
        };
        let is_chunked = is_chunked(&bytes[..length]);
        let rest = bytes.split_off(length);
        let mut events = Events {
            site: self.clone(),
            stream,
            body: match is_chunked {
                true => Body::Chunked(Chunks::default()),
                false => Body::Plain,
            },
            text: Vec::new(),
            heard: Instant::now(),
        };
        events.take(&rest)?;
        if status != 200 {
            let body = std::mem::take(&mut events.text);
            self.well(&Response { status, body })?;
        }
        Ok(events)
    }
}

impl Events {
    /// The next one, or the newest of those that have come; `None` at the end of the answer.
    ///
    /// # Errors
    /// The broker is silent for too long, or says what is no event.
    pub(in crate::cli) fn next(&mut self) -> Result<Option<Value>, String> {
        loop {
            // Who is slow is told of now, not of before.
            let come = std::iter::from_fn(|| event(&mut self.text));
            if let Some(data) = come.last() {
                return self.value(&data).map(Some);
            }
            if self.is_over() {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            if read(&self.site, &mut self.stream, &mut bytes)? == 0 {
                return Ok(None);
            }
            self.take(&bytes)?;
        }
    }

    /// Each `step` waits so long for something to come.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(in crate::cli) fn wait_no_longer_than(&self, time: Duration) -> Result<(), String> {
        let set = self.stream.wait_for(time);
        set.map_err(|error| self.site.failed(&error))
    }

    /// All of them in their order: the next one, if it is there or comes in time.
    ///
    /// # Errors
    /// As of `next`.
    pub(in crate::cli) fn step(&mut self) -> Result<Step, String> {
        if let Some(data) = event(&mut self.text) {
            return self.value(&data).map(Step::Event);
        }
        if self.is_over() {
            return Ok(Step::End);
        }
        let mut piece = [0; limits::ASK_PIECE_BYTES];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(Step::End),
            Ok(count) => {
                self.heard = Instant::now();
                self.take(&piece[..count])?;
                Ok(Step::Nothing)
            }
            // A signal has come, or nothing.
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
            {
                match self.heard.elapsed() < Duration::from_millis(limits::TOP_SILENCE_MS) {
                    true => Ok(Step::Nothing),
                    false => Err(format!("{} is silent", self.site.authority())),
                }
            }
            Err(error) => Err(self.site.failed(&error)),
        }
    }

    fn value(&self, data: &[u8]) -> Result<Value, String> {
        serde_json::from_slice(data).map_err(|error| {
            let authority = self.site.authority();
            format!("{authority} sends an event that is no JSON: {error}")
        })
    }

    fn is_over(&self) -> bool {
        matches!(&self.body, Body::Chunked(chunks) if chunks.is_over)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let taken = match &mut self.body {
            Body::Plain => {
                self.text.extend_from_slice(bytes);
                Some(())
            }
            Body::Chunked(chunks) => chunks.take(bytes, &mut self.text),
        };
        let taken = taken.filter(|()| self.text.len() <= limits::ASK_BYTES_MAX);
        taken.ok_or_else(|| format!("{} does not speak HTTP/1.1", self.site.authority()))
    }
}

/// Reads what there is; 0 at the end.
fn read(site: &Site, stream: &mut Stream, into: &mut Vec<u8>) -> Result<usize, String> {
    let mut piece = [0; limits::ASK_PIECE_BYTES];
    match stream.read(&mut piece) {
        Ok(count) => {
            into.extend_from_slice(&piece[..count]);
            Ok(count)
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            Err(format!("{} is silent", site.authority()))
        }
        Err(error) => Err(site.failed(&error)),
    }
}

/// Whether a head says that chunks follow.
fn is_chunked(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.any(|(name, value)| name == "transfer-encoding" && value.trim() == "chunked")
}

impl Chunks {
    /// Takes them apart (RFC 9112, 7.1); `None` if they are none.
    fn take(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Option<()> {
        self.raw.extend_from_slice(bytes);
        while !self.is_over {
            let (start, size) = match httparse::parse_chunk_size(&self.raw).ok()? {
                httparse::Status::Complete((start, size)) => (start, usize::try_from(size).ok()?),
                httparse::Status::Partial => return Some(()),
            };
            if size > limits::ASK_BYTES_MAX {
                return None;
            }
            let end = start + size;
            if size > 0 && self.raw.len() < end + 2 {
                return Some(());
            }
            into.extend_from_slice(&self.raw[start..end]);
            self.is_over = size == 0;
            self.raw.drain(..(end + 2).min(self.raw.len()));
        }
        Some(())
    }
}

/// Takes out the data of the first event that is whole and has some.
fn event(text: &mut Vec<u8>) -> Option<Vec<u8>> {
    loop {
        let end = text.windows(2).position(|pair| pair == b"\n\n")?;
        let block: Vec<u8> = text.drain(..end + 2).collect();
        let lines = block.split(|&byte| byte == b'\n');
        let data: Vec<&[u8]> = lines.filter_map(|l| l.strip_prefix(b"data:")).collect();
        if !data.is_empty() {
            return Some(data.join(&b'\n'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_together_wherever_they_are_cut() {
        let bytes = b"5\r\nhello\r\nA;x=y\r\n, world\r\n!\r\n0\r\n\r\n";
        for cut in 0..bytes.len() {
            let (mut chunks, mut text) = (Chunks::default(), Vec::new());
            chunks.take(&bytes[..cut], &mut text).unwrap();
            chunks.take(&bytes[cut..], &mut text).unwrap();
            assert_eq!(
                (&text[..], chunks.is_over),
                (&b"hello, world\r\n!"[..], true)
            );
        }
        let mut text = Vec::new();
        assert_eq!(Chunks::default().take(b"hello\r\n", &mut text), None);
        assert_eq!(Chunks::default().take(b"fffffffffff\r\n", &mut text), None);
    }

    #[test]
    fn an_event_is_its_data() {
        let mut text = b"retry: 1000\n\nid: 7\ndata: {\"a\":\ndata:1}\n\ndata: half".to_vec();
        assert_eq!(event(&mut text), Some(b" {\"a\":\n1}".to_vec()));
        assert_eq!(event(&mut text), None);
        assert_eq!(text, b"data: half");
    }

    #[test]
    fn a_head_says_whether_chunks_follow() {
        assert!(is_chunked(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n"
        ));
        assert!(!is_chunked(
            b"HTTP/1.1 200 OK\r\nx: transfer-encoding: chunked\r\n\r\n"
        ));
    }
}
