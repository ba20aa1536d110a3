//! What is answered.

use std::sync::Arc;

use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderValue,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};

use super::body::{Content, Live};
use super::files::Served;
use super::kinds::{JSON, TEXT};
use super::page::{POLICY, Page};
use crate::budget::{Account, Charge, Pool};
use crate::limits;

/// An answer before it is one of hyper's.
#[derive(Debug)]
pub(crate) struct Answer {
    /// 200, say.
    pub status: u16,
    /// `Content-Type`.
    pub kind: &'static str,
    /// What it says.
    pub(super) what: What,
    /// What may be done there instead (`Allow`).
    allow: Option<&'static str>,
    /// What has become of what was to be done, for the log.
    pub(super) deed: Option<&'static str>,
    /// What its memory is charged with until it is out.
    charge: Option<Charge>,
}

/// What an answer says.
#[derive(Debug)]
pub(super) enum What {
    /// These words.
    Text(String),
    /// A file.
    File(Served),
    /// What comes piece by piece.
    Live(Live),
    /// A page of the program; 304 where who asks has it.
    Page(&'static Page),
}

impl Answer {
    fn empty() -> Answer {
        Answer {
            status: 200,
            kind: TEXT,
            what: What::Text(String::new()),
            allow: None,
            deed: None,
            charge: None,
        }
    }

    /// What has become of what was to be done.
    pub(crate) fn of_deed(self, deed: &'static str) -> Answer {
        Answer {
            deed: Some(deed),
            ..self
        }
    }

    /// Charges what it holds until it is out, with so many bytes of the account left free: a refusal where there is no room.
    pub(super) fn charged(self, pool: &Arc<Pool>, spare: u64) -> Answer {
        let bytes = match &self.what {
            What::Text(text) => text.capacity() as u64,
            // A piece that is read, and one that is on its way.
            What::File(_) => 2 * limits::HTTP_PIECE_BYTES as u64,
            What::Live(_) | What::Page(_) => 0,
        };
        let mut charge = Charge::new(pool.clone(), Account::Http);
        // What is said of a refusal is little, and has to be said.
        let is_little = bytes <= limits::HTTP_WORDS_BYTES;
        if is_little {
            charge.force(bytes);
        } else if !charge.take(bytes, spare) {
            return Answer::no_memory();
        }
        Answer {
            charge: Some(charge),
            ..self
        }
    }

    /// What others have asked for fills the account.
    pub(super) fn no_memory() -> Answer {
        let text = "The memory for answers is used up by those that others have not taken yet.\n";
        Answer::status(503, text)
    }

    /// All places are taken.
    pub(super) fn no_room() -> Answer {
        let text = "All connections are taken; /healthz, /readyz and /metrics are answered.\n";
        Answer::status(503, text)
    }

    /// 200, with words of this type.
    pub(crate) fn ok(kind: &'static str, text: String) -> Answer {
        Answer {
            status: 200,
            kind,
            what: What::Text(text),
            ..Answer::empty()
        }
    }

    /// 200, with JSON.
    pub(crate) fn json(text: String) -> Answer {
        Answer::ok(JSON, text)
    }

    /// 200, with plain text.
    pub(crate) fn text(text: impl Into<String>) -> Answer {
        Answer::ok(TEXT, text.into())
    }

    /// Another status, with plain text.
    pub(crate) fn status(status: u16, text: impl Into<String>) -> Answer {
        Answer {
            status,
            ..Answer::text(text)
        }
    }

    /// There is no such thing.
    pub(super) fn not_found() -> Answer {
        Answer::status(404, "Not found.\n")
    }

    /// Nothing of the kind is done there, but what `allow` says.
    pub(super) fn wrong_method(allow: &'static str) -> Answer {
        Answer {
            allow: Some(allow),
            ..Answer::status(405, "Invalid HTTP Method\n")
        }
    }

    /// Who asks does not say who he is, or wrongly: a browser asks for a name and a password.
    pub(super) fn unauthorised() -> Answer {
        Answer::status(401, "Not authorised\n")
    }

    /// 200, with what comes piece by piece until there is none.
    pub(crate) fn live(kind: &'static str, live: Live) -> Answer {
        Answer {
            what: What::Live(live),
            ..Answer::ok(kind, String::new())
        }
    }

    /// A file.
    pub(super) fn file(served: Served) -> Answer {
        Answer {
            status: 200,
            kind: served.kind,
            what: What::File(served),
            ..Answer::empty()
        }
    }

    /// A page of the program, for who has it already or has not.
    pub(super) fn page(page: &'static Page, is_known: bool) -> Answer {
        Answer {
            status: if is_known { 304 } else { 200 },
            kind: page.kind,
            what: What::Page(page),
            ..Answer::empty()
        }
    }

    /// The words, for tests; nothing of a file.
    #[cfg(test)]
    pub(crate) fn words(&self) -> &str {
        match &self.what {
            What::Text(text) => text,
            What::Page(page) => page.text,
            What::File(_) | What::Live(_) => "",
        }
    }

    /// The same for hyper.
    pub(super) fn into_response(self) -> Response<Content> {
        let is_file = matches!(self.what, What::File(_));
        let page = match self.what {
            What::Page(page) => Some(page),
            What::Text(_) | What::File(_) | What::Live(_) => None,
        };
        let content = match self.what {
            What::Text(text) => Content::text(text, self.charge),
            What::File(served) => Content::file(served, self.charge),
            What::Live(live) => Content::live(live, self.charge),
            What::Page(_) if self.status == 304 => Content::fixed(""),
            What::Page(page) => Content::fixed(page.text),
        };
        let mut response = Response::new(content);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if let Some(page) = page {
            // It is asked for anew each time, and told that it is the same: another version of the program has another one.
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
            headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
            if let Ok(tag) = HeaderValue::from_str(&page.tag()) {
                headers.insert(ETAG, tag);
            }
        } else if !is_file {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if self.status == 503 {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.status == 401 {
            let challenge = "Basic realm=\"firehose\", charset=\"UTF-8\"";
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(allow) = self.allow {
            headers.insert(ALLOW, HeaderValue::from_static(allow));
        }
        response
    }
}
