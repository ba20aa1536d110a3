//! Doors with handlers of their own, without a socket.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use crossbeam_channel::{Receiver, bounded};
use glommio::{LocalExecutorBuilder, Placement};
use hyper::Method;
use hyper::body::Body;

use super::changing::Changing;
use super::door::Door;
use super::page::Page;
use super::users::Remembered;
use super::{Answer, Ask, Gate, Handler, Route};
use crate::access::{Acl, Credential, Passwords, Scheme};
use crate::budget::{Account, Charge, Plan, Pool};
use crate::config::HttpListener;
use crate::limits;
use crate::shard::{Check, Shared};

/// What a handler was asked for, by whom.
type Site = RefCell<Vec<String>>;

fn note(site: &Site, ask: &Ask) -> Answer {
    let user = ask.user.as_deref().unwrap_or("nobody");
    site.borrow_mut().push(format!("{} {user}", ask.method));
    Answer::text(format!("{user}\n"))
}

static ROUTES: &[Route<Site>] = &[
    Route {
        method: Method::GET,
        path: "/open",
        is_open: true,
        is_probe: true,
        handler: Handler::Now(note),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/things",
        is_open: false,
        is_probe: false,
        handler: Handler::Now(note),
    },
    Route {
        method: Method::DELETE,
        path: "/api/v1/things",
        is_open: false,
        is_probe: false,
        handler: Handler::Later(|site, ask| Box::pin(async move { note(&site, &ask) })),
    },
    Route {
        method: Method::GET,
        path: "/api/v1/parts/*",
        is_open: false,
        is_probe: false,
        handler: Handler::Now(note),
    },
];

static PAGES: &[Page] = &[Page {
    name: "index.html",
    kind: "text/html; charset=utf-8",
    text: "<p>",
}];

struct World {
    door: Door<Site>,
    rules: HttpListener,
    log: Rc<RefCell<Vec<String>>>,
    checks: Receiver<Check>,
}

impl World {
    fn new() -> World {
        let pool = Arc::new(Pool::new(&Plan::unbounded(), 1));
        let (to, checks) = bounded(1);
        let log = Rc::new(RefCell::new(Vec::new()));
        let lines = log.clone();
        let gate = Gate {
            checks: to,
            shared: Shared::new(1, Vec::new(), None, pool),
            log: Rc::new(move |text| lines.borrow_mut().push(text)),
        };
        let mut rules = HttpListener::default();
        rules.listener.settings.allow_anonymous = true;
        World {
            door: Door {
                site: Rc::new(RefCell::default()),
                routes: ROUTES,
                pages: PAGES,
                gate: Some(gate),
            },
            rules,
            log,
            checks,
        }
    }

    /// With a user whose password is `right`.
    fn with_user(user: &str) -> World {
        let mut world = World::new();
        let hashed = Credential::new(Scheme::DEFAULT, b"right", &[1; 12]).unwrap();
        let file = format!("{user}:{}\n", hashed.encoded());
        let (passwords, _) = Passwords::parse(file.as_bytes());
        let settings = &mut world.rules.listener.settings;
        settings.passwords = Some(Arc::new(passwords));
        settings.allow_anonymous = false;
        world
    }

    /// What is answered to a client, which may have logged in before and may have a certificate.
    fn answer(&self, ask: Ask, identity: Option<&str>, login: &Remembered) -> (u16, String) {
        let identity = identity.map(String::from);
        let checks = self.checks.clone();
        // The thread that checks passwords.
        let checking = std::thread::spawn(move || {
            if let Ok(check) = checks.recv_timeout(std::time::Duration::from_millis(200)) {
                check.settle();
            }
        });
        let executor = LocalExecutorBuilder::new(Placement::Unbound)
            .io_memory(64 << 10)
            .ring_depth(32)
            .make()
            .unwrap();
        let answer = executor.run(self.door.answer(&self.rules, ask, identity, login));
        checking.join().unwrap();
        (answer.status, answer.words().into())
    }

    fn get(&self, path: &str) -> (u16, String) {
        self.answer(Ask::get(path), None, &Remembered::default())
    }
}

fn with_password(ask: Ask, user: &str, password: &str) -> Ask {
    let pair = STANDARD.encode(format!("{user}:{password}"));
    Ask {
        authorization: Some(format!("Basic {pair}")),
        ..ask
    }
}

#[test]
fn routes_are_found_by_method_and_path() {
    let world = World::new();
    let ok = (200, "nobody\n".into());
    assert_eq!(world.get("/open"), ok);
    assert_eq!(world.get("/api/v1/things?a=1"), ok);
    let head = Ask {
        method: Method::HEAD,
        ..Ask::get("/open")
    };
    assert_eq!(world.answer(head, None, &Remembered::default()), ok);
    for path in [
        "/other.html",
        "/api/v1/thing",
        "/api/v1/things/",
        "/API/v1/x",
        "/open/..",
    ] {
        assert_eq!(world.get(path), (404, "Not found.\n".into()), "{path}");
    }
    for path in ["/open", "/api/badrequest", "/x"] {
        let ask = Ask {
            method: Method::POST,
            ..Ask::get(path)
        };
        let (status, _) = world.answer(ask, None, &Remembered::default());
        assert_eq!(status, 405, "{path}");
    }
}

/// A route for all parts of a kind is for one part, and rights to see one are asked for the part as it is meant.
#[test]
fn a_part_of_a_path_may_be_any() {
    let mut world = World::new();
    for (path, status) in [
        ("/api/v1/parts/a", 200),
        ("/api/v1/parts/a%2Fb", 200),
        ("/api/v1/parts/%FF", 400),
        ("/api/v1/parts/%", 400),
        ("/api/v1/parts/a%00", 400),
        ("/api/v1/parts/a?b=%C0%AF", 400),
        ("/%zz", 400),
        ("/api/v1/parts/", 404),
        ("/api/v1/parts", 404),
        ("/api/v1/parts/a/b", 404),
        ("/api/v1/parts/a/", 404),
    ] {
        assert_eq!(world.get(path).0, status, "{path}");
    }
    let text = "topic read /api/#\ntopic deny /api/v1/parts/secret\n";
    let (acl, _) = Acl::parse(text.as_bytes()).unwrap();
    world.rules.listener.settings.acl = Some(Arc::new(acl));
    assert_eq!(world.get("/api/v1/parts/other").0, 200);
    for path in ["/api/v1/parts/secret", "/api/v1/parts/%73ecret"] {
        let wanted = "The acl_file does not grant you this path: topic read /api/v1/parts/secret\n";
        assert_eq!(world.get(path), (403, wanted.into()), "{path}");
    }
}

/// Whoever may look without a password may change nothing.
#[test]
fn what_changes_something_needs_a_user() {
    let delete = || Ask {
        method: Method::DELETE,
        ..Ask::get("/api/v1/things")
    };
    let login = Remembered::default();
    let mut world = World::with_user("ann");
    world.rules.listener.settings.allow_anonymous = true;
    assert_eq!(world.answer(delete(), None, &login).0, 401);
    assert!(world.door.site.borrow().is_empty());
    let ask = with_password(delete(), "ann", "right");
    assert_eq!(world.answer(ask, None, &login), (200, "ann\n".into()));
    let by_certificate = world.answer(delete(), Some("bob"), &Remembered::default());
    assert_eq!(by_certificate, (200, "bob\n".into()));
    // Without a password file nobody proves anything by a password.
    let world = World::new();
    let ask = with_password(delete(), "ann", "right");
    let (status, text) = world.answer(ask, None, &login);
    assert!(status == 403 && text.contains("no password_file"), "{text}");
}

/// Who may look may not change what he sees, unless he may write to the path; and what is done is told with who did it.
#[test]
fn what_changes_something_wants_a_right_and_is_told() {
    let mut world = World::with_user("ann");
    let delete = |user| {
        let ask = Ask {
            method: Method::DELETE,
            ..Ask::get("/api/v1/things?a=%0A")
        };
        with_password(ask, user, "right")
    };
    let mut asked = |text: &str| {
        let (acl, _) = Acl::parse(text.as_bytes()).unwrap();
        world.rules.listener.settings.acl = Some(Arc::new(acl));
        let answer = world.answer(delete("ann"), None, &Remembered::default());
        (answer, world.log.borrow_mut().split_off(0))
    };
    let ((status, text), log) = asked("user ann\ntopic read #\n");
    let wanted = "The acl_file does not grant you this path: topic write /api/v1/things\n";
    assert_eq!((status, &*text), (403, wanted));
    assert!(log.is_empty(), "{log:?}");
    let ((status, _), log) = asked("user ann\ntopic readwrite /api/#\n");
    assert_eq!(status, 200);
    let line = "HTTP client ann [127.0.0.1]: DELETE /api/v1/things?a=%0A: done.";
    assert_eq!(log, [line]);
    assert_eq!(*world.door.site.borrow(), ["DELETE ann"]);
}

#[test]
fn passwords_are_checked_once_a_connection() {
    let world = World::with_user("ann");
    assert_eq!(world.get("/api/v1/things").0, 401);
    assert_eq!(world.get("/open").0, 200);
    assert!(world.log.borrow().is_empty());
    let login = Remembered::default();
    let ask = |user, password| with_password(Ask::get("/api/v1/things"), user, password);
    assert_eq!(world.answer(ask("ann", "wrong"), None, &login).0, 401);
    assert_eq!(world.answer(ask("bob", "right"), None, &login).0, 401);
    let wanted = [
        "HTTP client ann [127.0.0.1] refused: not authorised.",
        "HTTP client bob [127.0.0.1] refused: not authorised.",
    ];
    assert_eq!(*world.log.borrow(), wanted);
    let right = (200, "ann\n".into());
    assert_eq!(world.answer(ask("ann", "right"), None, &login), right);
    // Nobody is there who would check it again.
    let (to, nobody) = bounded(0);
    drop(nobody);
    let mut world = world;
    world.door.gate.as_mut().unwrap().checks = to;
    assert_eq!(world.answer(ask("ann", "right"), None, &login), right);
    assert_eq!(world.answer(ask("ann", "wrong"), None, &login).0, 503);
    // Others are in force, be they the same.
    let other = World::with_user("ann").rules;
    world.rules = other;
    assert_eq!(world.answer(ask("ann", "right"), None, &login).0, 503);
}

#[test]
fn the_host_is_an_address_or_a_configured_name() {
    let mut world = World::new();
    let asked = |world: &World, host: Option<&str>, authority: Option<&str>| {
        let ask = Ask {
            hosts: host.iter().map(ToString::to_string).collect(),
            authority: authority.map(String::from),
            ..Ask::get("/open")
        };
        world.answer(ask, None, &Remembered::default()).0
    };
    assert_eq!(asked(&world, Some("localhost:9883"), None), 200);
    assert_eq!(asked(&world, None, None), 400);
    let odd = |hosts: &[&str], is_old| Ask {
        hosts: hosts.iter().map(ToString::to_string).collect(),
        is_old,
        ..Ask::get("/open")
    };
    let login = Remembered::default();
    for (hosts, is_old, status) in [
        (&["localhost", "localhost"][..], false, 400),
        (&["localhost", "rebound.example"], true, 400),
        (&[], true, 200),
        (&["rebound.example"], true, 403),
    ] {
        let (found, _) = world.answer(odd(hosts, is_old), None, &login);
        assert_eq!(found, status, "{hosts:?}");
    }
    assert_eq!(asked(&world, Some("rebound.example"), None), 403);
    assert_eq!(asked(&world, Some("[::1]"), Some("rebound.example")), 403);
    world.rules.hosts.push("rebound.example".into());
    assert_eq!(asked(&world, Some("Rebound.Example:80"), None), 200);
}

/// As in Mosquitto: a path is a topic, and rights to read it are rights to see what is there. However it is written.
#[test]
fn rights_are_those_of_the_path() {
    let mut world = World::with_user("ann");
    let folder = std::env::temp_dir().join(format!("firehose-rights-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("secret")).unwrap();
    std::fs::write(folder.join("page"), "x").unwrap();
    std::fs::write(folder.join("secret/page"), "x").unwrap();
    world.rules.directory = Some(folder.clone());
    let text = "topic read /api/v1/other\nuser ann\ntopic read /#\ntopic deny /secret/#\n";
    let (acl, _) = Acl::parse(text.as_bytes()).unwrap();
    world.rules.listener.settings.acl = Some(Arc::new(acl));
    let asked = |world: &World, path| {
        let ask = with_password(Ask::get(path), "ann", "right");
        world.answer(ask, None, &Remembered::default()).0
    };
    assert_eq!(asked(&world, "/api/v1/things"), 200);
    assert_eq!(asked(&world, "/page"), 200);
    for path in [
        "/secret/page",
        "/%73ecret/page",
        "//secret/page",
        "/./secret//page",
    ] {
        assert_eq!(asked(&world, path), 403, "{path}");
    }
    world.rules.listener.settings.allow_anonymous = true;
    assert_eq!(world.get("/api/v1/things").0, 401);
    assert_eq!(world.get("/open").0, 200);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_page_of_the_program_gives_way_to_a_directory() {
    let mut world = World::new();
    let page = (200, "<p>".into());
    assert_eq!(world.get("/"), page);
    assert_eq!(world.get("/index.html?a=b"), page);
    let known = |tag: &str| Ask {
        known: tag.into(),
        ..Ask::get("/")
    };
    let login = Remembered::default();
    let tag = PAGES[0].tag();
    assert_eq!(world.answer(known(&tag), None, &login).0, 304);
    assert_eq!(world.answer(known("\"other\""), None, &login).0, 200);
    world.rules.directory = Some("/nowhere".into());
    assert_eq!(world.get("/").0, 404);
    // Who may not look sees no page either.
    let mut world = World::with_user("ann");
    assert_eq!(world.get("/").0, 401);
    let (acl, _) = Acl::parse(b"topic read /other\n").unwrap();
    world.rules.listener.settings.acl = Some(Arc::new(acl));
    world.rules.listener.settings.allow_anonymous = true;
    assert_eq!(world.get("/").0, 401);
}

#[test]
fn without_a_gate_only_what_is_open_is_answered() {
    let mut world = World::with_user("ann");
    world.door.gate = None;
    assert_eq!(world.get("/open").0, 200);
    for path in ["/api/v1/things", "/none"] {
        let ask = with_password(Ask::get(path), "ann", "right");
        let (status, text) = world.answer(ask, None, &Remembered::default());
        assert_eq!((status, &*text), (503, "The broker starts.\n"), "{path}");
    }
}

/// What others have not taken yet leaves no room for another answer, but for a look at how the broker is.
#[test]
fn answers_are_charged_until_they_are_out() {
    let world = World::new();
    let pool = world.door.gate.as_ref().unwrap().shared.pool().clone();
    let long = || Answer::text("x".repeat(2 * limits::HTTP_WORDS_BYTES as usize));
    let before = pool.leased(Account::Http);
    let answer = long().charged(&pool, limits::HTTP_PROBE_BYTES);
    let held = pool.leased(Account::Http) - before;
    assert!(held >= 2 * limits::HTTP_WORDS_BYTES, "{held}");
    let mut response = answer.into_response();
    assert_eq!(pool.leased(Account::Http) - before, held);
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    let words = executor.run(async {
        let body = response.body_mut();
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *body).poll_frame(cx)).await;
        frame.unwrap().unwrap().into_data().unwrap()
    });
    drop(response);
    // hyper has them, and the socket not yet.
    assert_eq!(pool.leased(Account::Http) - before, held);
    drop(words);
    assert_eq!(pool.leased(Account::Http), before);
    let mut others = Charge::new(pool.clone(), Account::Http);
    others.force(pool.free(Account::Http) as u64 - limits::HTTP_PROBE_BYTES);
    let refused = long().charged(&pool, limits::HTTP_PROBE_BYTES);
    assert_eq!(refused.status, 503);
    assert_eq!(long().charged(&pool, 0).status, 200);
    drop(others);
}

/// Who leaves before the answer has changed something all the same, and the log says so.
#[test]
fn a_change_is_made_to_its_end() {
    let executor = LocalExecutorBuilder::new(Placement::Unbound)
        .make()
        .unwrap();
    executor.run(async {
        let changing = Rc::new(Changing::default());
        let (log, gate) = (Rc::new(RefCell::new(0)), Rc::new(RefCell::new(false)));
        let (told, open) = (log.clone(), gate.clone());
        let answering = Box::pin(async move {
            while !*open.borrow() {
                glommio::yield_if_needed().await;
                glommio::timer::sleep(std::time::Duration::from_millis(1)).await;
            }
            *told.borrow_mut() += 1;
            Answer::text("")
        });
        let asked = changing.clone();
        let client = glommio::spawn_local(async move { asked.run(answering).await.status });
        glommio::timer::sleep(std::time::Duration::from_millis(5)).await;
        client.cancel().await;
        *gate.borrow_mut() = true;
        changing.finish().await;
        assert_eq!(*log.borrow(), 1);
        changing.finish().await;
    });
}
