//! What is asked.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use hyper::header::{ACCEPT, AUTHORIZATION, HOST, HeaderName, IF_NONE_MATCH};
use hyper::{Method, Request, Version};

use super::percent::{self, Fault};
use crate::access::{Access, Acl, Answer, Client};

/// The client id of whoever asks, for rules that go by one; as in Mosquitto.
const CLIENT_ID: &str = "http-api";

/// One request, as far as anybody looks at it.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// GET, say.
    pub method: Method,
    /// The path as it was sent, from the first `/` on.
    pub path: String,
    /// The path as it is meant, without `%`: what rights are asked for, and what a handler goes by.
    pub meant: Result<String, Fault>,
    /// What stands behind the `?`.
    pub query: String,
    /// Who is asked: all `Host` headers.
    pub hosts: Vec<String>,
    /// It is of HTTP/1.0, which knows no `Host`.
    pub is_old: bool,
    /// The authority of a target that is a whole address.
    pub authority: Option<String>,
    /// What forms of an answer are understood.
    pub accept: String,
    /// What of it is there already: the `If-None-Match` header.
    pub known: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The address that it comes from.
    pub from: IpAddr,
    /// Who asks: what a password or a certificate proves.
    pub user: Option<String>,
    /// What users may do there; `None`: everything.
    pub acl: Option<Arc<Acl>>,
}

impl Ask {
    /// What stands in a head.
    pub(super) fn of<B>(request: &Request<B>, from: IpAddr) -> Ask {
        let uri = request.uri();
        let text = |name: HeaderName| {
            let value = request.headers().get(name)?;
            value.to_str().ok().map(String::from)
        };
        // A header that is no text is there all the same.
        let hosts = request.headers().get_all(HOST).iter().map(|value| {
            let text = value.to_str();
            text.unwrap_or("?").to_string()
        });
        Ask {
            method: request.method().clone(),
            path: uri.path().into(),
            meant: percent::decoded(uri.path()),
            query: uri.query().unwrap_or_default().into(),
            hosts: hosts.collect(),
            is_old: request.version() == Version::HTTP_10,
            authority: uri.authority().map(ToString::to_string),
            accept: text(ACCEPT).unwrap_or_default(),
            known: text(IF_NONE_MATCH).unwrap_or_default(),
            authorization: text(AUTHORIZATION),
            from,
            user: None,
            acl: None,
        }
    }

    /// GET of a path, with what stands behind the `?` in it, from this host.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests ask without a socket"))]
    pub(crate) fn get(target: &str) -> Ask {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Ask {
            method: Method::GET,
            path: path.into(),
            meant: percent::decoded(path),
            query: query.into(),
            hosts: vec!["127.0.0.1".into()],
            is_old: false,
            authority: None,
            accept: String::new(),
            known: String::new(),
            authorization: None,
            from: IpAddr::V4(Ipv4Addr::LOCALHOST),
            user: None,
            acl: None,
        }
    }

    /// The value of a field of the query, as it was sent.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.query.split('&');
        fields.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))
    }

    /// Whether access rules let whoever asks do this with a topic.
    pub(crate) fn may(&self, access: Access, topic: &str) -> bool {
        let Some(acl) = &self.acl else {
            return true;
        };
        let user = self.user.as_deref();
        let client = Client {
            user,
            id: Some(CLIENT_ID),
            with_patterns: acl.suits_patterns(user, CLIENT_ID),
        };
        acl.judge(client, topic).answer(access) == Answer::Yes
    }

    /// Whether it would change nothing.
    pub(super) fn only_looks(&self) -> bool {
        self.method == Method::GET || self.method == Method::HEAD
    }
}
