//! From a request to its answer: the name that is asked, the route, who asks and what he may see; then the handler.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use hyper::Method;

use super::answer::Answer;
use super::ask::Ask;
use super::files;
use super::gate::Gate;
use super::host;
use super::job;
use super::page::Page;
use super::percent::{self, Fault};
use super::users::{self, Remembered};
use crate::access::Access;
use crate::broker::Verdict;
use crate::config::HttpListener;
use crate::escape::{Name, one_line};
use crate::limits;

/// Something that can be asked for.
pub(crate) struct Route<S: 'static> {
    /// GET serves HEAD too. Everything else changes something: it needs a user, who may write to the path.
    pub method: Method,
    /// The whole path; where it ends with `/*`, all paths that have one part more in this place.
    pub path: &'static str,
    /// Nobody is asked who he is.
    pub is_open: bool,
    /// It says how the broker is: it is answered also where there is no room for anything else.
    pub is_probe: bool,
    /// What answers.
    pub handler: Handler<S>,
}

impl<S> Route<S> {
    fn is_for(&self, path: &str) -> bool {
        let Some(start) = self.path.strip_suffix('*') else {
            return self.path == path;
        };
        let rest = path.strip_prefix(start);
        rest.is_some_and(|rest| !rest.is_empty() && !rest.contains('/'))
    }
}

/// An answer that comes later.
pub(crate) type Answering = Pin<Box<dyn Future<Output = Answer>>>;

/// What answers: a function of what is asked and of whom it is asked.
pub(crate) enum Handler<S: 'static> {
    /// At once.
    Now(fn(&S, &Ask) -> Answer),
    /// When others have answered.
    Later(fn(Rc<S>, Ask) -> Answering),
}

impl<S> Clone for Handler<S> {
    fn clone(&self) -> Self {
        match self {
            Handler::Now(handler) => Handler::Now(*handler),
            Handler::Later(handler) => Handler::Later(*handler),
        }
    }
}

/// What stands behind all listeners.
pub(super) struct Door<S: 'static> {
    pub site: Rc<S>,
    pub routes: &'static [Route<S>],
    /// Where there is no directory.
    pub pages: &'static [Page],
    /// `None`: nobody can be asked who he is, and only what is open is answered.
    pub gate: Option<Gate>,
}

/// What a request is for.
enum Target<S: 'static> {
    Route {
        handler: Handler<S>,
        is_open: bool,
    },
    /// The file of this name.
    File(String),
    Nothing,
}

impl<S: 'static> Door<S> {
    /// Whether it is asked how the broker is.
    pub(super) fn is_probe(&self, ask: &Ask) -> bool {
        let mut routes = self.routes.iter();
        let is_one = |route: &Route<S>| route.is_probe && route.is_for(&ask.path);
        ask.only_looks() && routes.any(is_one)
    }

    /// Answers what is asked of a listener. `identity` is what a certificate proves, `login` what a password has proved before.
    pub(super) async fn answer(
        &self,
        rules: &HttpListener,
        ask: Ask,
        identity: Option<String>,
        login: &Remembered,
    ) -> Answer {
        if let Some(refusal) = wrong_host(rules, &ask) {
            return refusal;
        }
        let meant = match meant(&ask) {
            Ok(meant) => meant,
            Err(fault) => return Answer::status(400, format!("{fault}\n")),
        };
        let target = match self.target(&ask, &meant) {
            Ok(target) => target,
            Err(refusal) => return refusal,
        };
        let mut ask = ask;
        let is_open = matches!(&target, Target::Route { is_open: true, .. });
        if !is_open {
            let Some(gate) = &self.gate else {
                return Answer::status(503, "The broker starts.\n");
            };
            ask.user = match user(gate, rules, &ask, (identity, login)).await {
                Ok(user) => user,
                Err(refusal) => return refusal,
            };
            ask.acl = rules.listener.settings.acl.clone();
            let path = match &target {
                Target::File(name) => format!("/{name}"),
                Target::Route { .. } | Target::Nothing => meant,
            };
            if let Some(refusal) = forbidden(rules, &ask, &path) {
                return refusal;
            }
        }
        let spare = match self.is_probe(&ask) {
            true => 0,
            false => limits::HTTP_PROBE_BYTES,
        };
        let told = (!ask.only_looks()).then(|| ask.clone());
        let answer = self.answer_from(rules, target, ask).await;
        if let Some(told) = told {
            self.tell_of_change(&told, &answer);
        }
        match &self.gate {
            Some(gate) => answer.charged(gate.shared.pool(), spare),
            None => answer,
        }
    }

    /// What the target says to somebody who may ask it.
    async fn answer_from(&self, rules: &HttpListener, target: Target<S>, ask: Ask) -> Answer {
        match target {
            Target::Nothing => Answer::not_found(),
            Target::File(name) if rules.directory.is_none() => self.page(&name, &ask),
            Target::File(name) => file(rules, name).await,
            Target::Route { handler, .. } => match handler {
                Handler::Now(handler) => handler(&self.site, &ask),
                Handler::Later(handler) => handler(self.site.clone(), ask).await,
            },
        }
    }

    /// What is asked for.
    fn target(&self, ask: &Ask, meant: &str) -> Result<Target<S>, Answer> {
        let mut routes = self.routes.iter().filter(|route| route.is_for(&ask.path));
        let method = match ask.only_looks() {
            true => &Method::GET,
            false => &ask.method,
        };
        let routes_there = routes.clone();
        let there = routes.clone().next();
        if let Some(route) = routes.find(|route| route.method == *method) {
            return Ok(Target::Route {
                handler: route.handler.clone(),
                is_open: route.is_open,
            });
        }
        if !ask.only_looks() || there.is_some() {
            let has = |method| routes_there.clone().any(|route| route.method == method);
            let allowed = match (has(Method::GET), has(Method::DELETE)) {
                (true, true) => "GET, HEAD, DELETE",
                (false, true) => "DELETE",
                (_, false) => "GET, HEAD",
            };
            return Err(Answer::wrong_method(allowed));
        }
        let is_api = meant
            .get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case("/api/"));
        match files::name(meant).filter(|_| !is_api) {
            Some(name) => Ok(Target::File(name)),
            None => Ok(Target::Nothing),
        }
    }

    /// What somebody has changed, or tried to, is a line of the log, with his name and address.
    fn tell_of_change(&self, ask: &Ask, answer: &Answer) {
        let Some(gate) = &self.gate else {
            return;
        };
        let target = match ask.query.is_empty() {
            true => ask.path.clone(),
            false => format!("{}?{}", ask.path, ask.query),
        };
        let outcome = match answer.status {
            200 => answer.deed.unwrap_or("done").into(),
            status => format!("answered with {status}"),
        };
        (gate.log)(format!(
            "HTTP client {} [{}]: {} {}: {outcome}.",
            Name(ask.user.as_deref().unwrap_or_default()),
            ask.from,
            ask.method,
            one_line(&target),
        ));
    }

    /// A page of the program.
    fn page(&self, name: &str, ask: &Ask) -> Answer {
        let page = self.pages.iter().find(|page| page.name == name);
        page.map_or_else(Answer::not_found, |page| {
            Answer::page(page, page.is_known(&ask.known))
        })
    }
}

/// The path as it is meant, of a request all of which means something.
fn meant(ask: &Ask) -> Result<String, Fault> {
    percent::decoded(&ask.query)?;
    ask.meant.clone()
}

/// Who asks; nobody where the listener lets in whoever names himself not.
async fn user(
    gate: &Gate,
    rules: &HttpListener,
    ask: &Ask,
    (identity, login): (Option<String>, &Remembered),
) -> Result<Option<String>, Answer> {
    let settings = &rules.listener.settings;
    if identity.is_some() {
        return Ok(identity);
    }
    if let (Some(header), Some(passwords)) = (&ask.authorization, &settings.passwords) {
        let user = users::user(ask, header, passwords, (gate, login)).await;
        return user
            .map(Some)
            .map_err(|verdict| refused(gate, ask, header, verdict));
    }
    match settings.allow_anonymous {
        true => Ok(None),
        false => Err(nobody(rules)),
    }
}

/// The refusal of who names himself not: he is asked for a name where one could be checked.
fn nobody(rules: &HttpListener) -> Answer {
    match rules.listener.settings.passwords {
        Some(_) => Answer::unauthorised(),
        None => Answer::status(
            403,
            "This wants a user, and this listener has no password_file that could tell one.\n",
        ),
    }
}

/// The refusal of what whoever asks may not do. Mosquitto's rule: a path is a topic, and whoever may read it may see what is there;
/// what changes something wants a user who may write to it.
fn forbidden(rules: &HttpListener, ask: &Ask, path: &str) -> Option<Answer> {
    let (access, right) = match ask.only_looks() {
        true => (Access::Read, "read"),
        false => (Access::Write, "write"),
    };
    if ask.may(access, path) && (ask.only_looks() || ask.user.is_some()) {
        return None;
    }
    let could_log_in = rules.listener.settings.passwords.is_some();
    if ask.user.is_none() && (could_log_in || !ask.only_looks()) {
        return Some(nobody(rules));
    }
    let text = format!(
        "The acl_file does not grant you this path: topic {right} {}\n",
        one_line(path)
    );
    Some(Answer::status(403, text))
}

fn refused(gate: &Gate, ask: &Ask, header: &str, verdict: Verdict) -> Answer {
    if verdict == Verdict::Busy {
        return Answer::status(503, "Too many passwords are being checked.\n");
    }
    let name = users::credentials(header).map(|(user, _)| user);
    (gate.log)(format!(
        "HTTP client {} [{}] refused: not authorised.",
        Name(name.as_deref().unwrap_or_default()),
        ask.from
    ));
    Answer::unauthorised()
}

/// The refusal of a request that names another host than this one, or none.
fn wrong_host(rules: &HttpListener, ask: &Ask) -> Option<Answer> {
    let refused = |text: &str| Some(Answer::status(400, text));
    match ask.hosts.len() {
        0 if !ask.is_old => return refused("The Host header is missing.\n"),
        0 | 1 => {}
        _ => return refused("There is more than one Host header.\n"),
    }
    let mut named = ask.hosts.iter().chain(&ask.authority);
    let is_known = named.all(|name| host::is_known(name, &rules.hosts));
    (!is_known).then(|| {
        let text = "The name by which you ask is not known here. Ask by an address, or configure `http_host NAME`.\n";
        Answer::status(403, text)
    })
}

async fn file(rules: &HttpListener, name: String) -> Answer {
    let Some(directory) = rules.directory.clone() else {
        return Answer::not_found();
    };
    let open = move || files::open(&directory, &name);
    match job::run(open).await {
        Some(served) => served.map_or_else(Answer::not_found, Answer::file),
        None => Answer::status(503, "The directory of files does not answer.\n"),
    }
}
