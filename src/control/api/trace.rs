//! `/api/v1/trace`: what a client sends and is sent, or what is published to topics, as server-sent events.
//!
//! Shards are asked what they have seen, again and again, when the viewer has taken what there was: of one who does not
//! read nobody holds more than that, and he is told that he has missed something. Rights are those of the request, which ends after a while; the viewer asks anew, and goes on with his trace.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use glommio::timer;
use hyper::body::Bytes;
use serde_json::json;

use super::site::Api;
use super::traces::Held;
use super::viewers::Viewer;
use crate::access::Access;
use crate::broker::{Query, Reply, TraceEvent, TracePage, TraceSubject};
use crate::budget::Charge;
use crate::control::queries::tracing::{TraceClock, TraceWanted, line, told};
use crate::http::{Answer, Answering, Ask, Live, News};
use crate::ids::ShardId;
use crate::limits;

const EVENTS: &str = "text/event-stream";

/// What a viewer is told while nothing happens.
const NOTHING: &str = ":\n\n";

pub(super) fn trace(api: Rc<Api>, ask: Ask) -> Answering {
    let answer = match TraceWanted::of(&ask.query) {
        Err(refusal) => Answer::status(refusal.status, refusal.text),
        Ok((wanted, number)) => {
            let user = ask.user.as_deref();
            let held = api
                .viewers
                .enter()
                .zip(api.traces.enter(&wanted, user, number));
            match held {
                Some(held) => Answer::live(EVENTS, Viewed::new(api, ask, wanted, held).live()),
                None => Answer::status(503, "Too many look already.\n"),
            }
        }
    };
    Box::pin(async move { answer })
}

/// A trace and its viewer.
struct Viewed {
    api: Rc<Api>,
    ask: Ask,
    wanted: TraceWanted,
    /// It is one as long as this lives.
    _viewer: Viewer,
    held: Held,
    began: Instant,
    /// Whether shards have been asked.
    has_looked: Cell<bool>,
    /// By shard: whether the trace has begun there.
    begun: RefCell<Vec<bool>>,
    /// Shards that have not answered.
    missing: RefCell<Vec<u8>>,
    /// What is to be sent.
    ready: RefCell<VecDeque<Bytes>>,
    /// For that.
    charge: RefCell<Charge>,
    last: Cell<Instant>,
}

impl Viewed {
    fn new(api: Rc<Api>, ask: Ask, wanted: TraceWanted, (viewer, held): (Viewer, Held)) -> Viewed {
        let shards = usize::from(api.sources.asking.shards());
        Viewed {
            begun: RefCell::new(vec![held.is_resumed; shards]),
            charge: RefCell::new(api.sources.asking.held()),
            api,
            ask,
            wanted,
            _viewer: viewer,
            held,
            began: Instant::now(),
            has_looked: Cell::new(false),
            missing: RefCell::default(),
            ready: RefCell::default(),
            last: Cell::new(Instant::now()),
        }
    }

    fn live(self) -> Live {
        let viewed = Rc::new(self);
        Live(Box::new(move || {
            let viewed = viewed.clone();
            let next: News = Box::pin(async move { viewed.next().await });
            next
        }))
    }

    /// What is to be sent next; `None` when the viewer has to ask anew.
    async fn next(&self) -> Option<Bytes> {
        loop {
            let ready = self.ready.borrow_mut().pop_front();
            if let Some(piece) = ready {
                self.last.set(Instant::now());
                return Some(piece);
            }
            if self.began.elapsed() >= Duration::from_millis(limits::TRACE_ANSWER_MS) {
                return None;
            }
            if self.has_looked.get() {
                timer::sleep(Duration::from_millis(limits::TRACE_LOOK_MS)).await;
            }
            self.look().await;
            let silence = Duration::from_millis(limits::TRACE_SILENCE_MS);
            if self.ready.borrow().is_empty() && self.last.get().elapsed() >= silence {
                let piece = Bytes::from_static(NOTHING.as_bytes());
                self.ready.borrow_mut().push_back(piece);
            }
        }
    }

    /// Asks all shards what they have seen; what they said before has been sent.
    async fn look(&self) {
        let _ = self.charge.borrow_mut().set(0, 0);
        let number = self.held.number;
        let shards = (0..self.api.sources.asking.shards()).map(ShardId);
        let queries = shards.map(|shard| {
            let look = self.wanted.look(number);
            (shard, Query::Trace(Box::new(look)))
        });
        let replies = self.api.sources.asking.ask_each(queries).await;
        let clock = TraceClock::at(self.api.sources.shared.now_ms());
        let (mut events, mut lines, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        let mut is_connected = false;
        for (shard, reply) in replies {
            let Some(Reply::Traced(mut page)) = reply else {
                missing.push(shard.0);
                continue;
            };
            is_connected |= page.is_connected;
            if self.missing.borrow().contains(&shard.0) {
                // What it answered too late is gone.
                lines.push(told(&clock, "gap", &json!({"shard": shard.0})));
            }
            let seen = std::mem::take(&mut page.events);
            events.extend(seen.into_iter().map(|event| (shard.0, event)));
            self.note(&clock, shard, &page, &mut lines);
        }
        if !self.has_looked.replace(true) {
            lines.insert(0, self.begin(&clock, is_connected));
        }
        if *self.missing.borrow() != missing {
            lines.push(told(&clock, "missing_shards", &json!({"shards": missing})));
            *self.missing.borrow_mut() = missing;
        }
        self.write(&clock, events, lines);
    }

    /// What a shard tells of the trace itself.
    fn note(&self, clock: &TraceClock, shard: ShardId, page: &TracePage, lines: &mut Vec<String>) {
        let had_begun = std::mem::replace(&mut self.begun.borrow_mut()[shard.index()], true);
        if page.has_begun && had_begun {
            lines.push(told(clock, "gap", &json!({"shard": shard.0})));
        }
        if page.left_out > 0 {
            let more = json!({"shard": shard.0, "events": page.left_out});
            lines.push(told(clock, "left_out", &more));
        }
    }

    fn begin(&self, clock: &TraceClock, is_connected: bool) -> String {
        let trace = format!("{:016x}", self.held.number);
        let resumed = self.held.is_resumed;
        let more = match &self.wanted.subject {
            TraceSubject::Client(client) => {
                json!({"trace": trace, "resumed": resumed, "client": client, "connected": is_connected})
            }
            TraceSubject::Topic(filter) => {
                json!({"trace": trace, "resumed": resumed, "filter": filter})
            }
        };
        told(clock, "begin", &more)
    }

    /// Lines are sent in the order of time, in pieces that are not too large; those that the account has no room for are counted.
    fn write(&self, clock: &TraceClock, mut events: Vec<(u8, TraceEvent)>, mut lines: Vec<String>) {
        events.sort_by_key(|(_, event)| event.at_ms);
        let may_read = |topic: &str| self.ask.may(Access::Read, topic);
        let (mut seen, mut left_out) = (Vec::new(), BTreeMap::new());
        let mut charge = self.charge.borrow_mut();
        for (shard, event) in events {
            let at = (shard, clock.time_ms(event.at_ms));
            let Some(line) = line(event, at, &self.wanted.subject, may_read) else {
                continue;
            };
            match charge.take(line.len() as u64, 0) {
                true => seen.push(line),
                false => *left_out.entry(shard).or_insert(0) += 1,
            }
        }
        for (shard, events) in left_out {
            let more = json!({"shard": shard, "events": events});
            lines.push(told(clock, "left_out", &more));
        }
        // First that it has begun, and what it lacks; then what was seen.
        let mut ready = self.ready.borrow_mut();
        let mut piece = String::new();
        for line in lines.into_iter().chain(seen) {
            piece += &format!("data: {line}\n\n");
            if piece.len() >= limits::HTTP_PIECE_BYTES {
                ready.push_back(std::mem::take(&mut piece).into());
            }
        }
        if !piece.is_empty() {
            ready.push_back(piece.into());
        }
    }
}
