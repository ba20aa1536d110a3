//! Asks the broker: a thread that follows `/api/v1/live`, and with each event asks for what is not in it, over one connection more. Or, where
//! `$SYS` is shown, the thread of `sys.rs`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::model::{Look, Order};
use super::news::News;
use super::scrape::Scrape;
use super::subscriber::Door;
use super::sys;
use crate::cli::ask::lists::encoded;
use crate::cli::web::line::Line;
use crate::cli::web::site::Site;
use crate::limits;

/// Looks that wait for the screen at most: it takes them ten times as often as they come.
const NEWS_MAX: usize = 8;

/// See the module.
pub(super) struct Feed {
    pub news: Receiver<News>,
    to: SyncSender<News>,
    /// Who does what is asked for; nobody where `$SYS` is shown.
    site: Option<Site>,
    /// Which of `Order::ALL` is wanted.
    order: Arc<AtomicUsize>,
}

/// What the thread has.
struct Asking {
    site: Site,
    to: SyncSender<News>,
    order: Arc<AtomicUsize>,
    limit: usize,
    began: Instant,
    line: Line,
    clients: Clients,
}

/// The last list of clients.
struct Clients {
    answer: Value,
    order: usize,
    /// Not before this are they asked for again.
    due: Instant,
}

/// Nobody looks any more.
struct Gone;

impl Feed {
    /// Begins to ask, for so many clients.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn begin(site: Site, order: Order, limit: usize) -> Result<Feed, String> {
        let (to, news) = sync_channel(NEWS_MAX);
        let order = Arc::new(AtomicUsize::new(order as usize));
        let began = Instant::now();
        let mut asking = Asking {
            line: Line::new(site.clone()),
            site: site.clone(),
            to: to.clone(),
            order: order.clone(),
            limit,
            began,
            clients: Clients {
                answer: Value::Null,
                order: usize::MAX,
                due: began,
            },
        };
        let thread = thread::Builder::new().name("top".into());
        let thread = thread.spawn(move || while let Ok(()) = asking.follow() {});
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Feed {
            news,
            to,
            site: Some(site),
            order,
        })
    }

    /// Begins to listen to `$SYS`.
    ///
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn of_sys(door: Door) -> Result<Feed, String> {
        let (to, news) = sync_channel(NEWS_MAX);
        let (told, began) = (to.clone(), Instant::now());
        let thread = thread::Builder::new().name("top".into());
        let thread = thread.spawn(move || sys::follow(&door, &told, began));
        thread.map_err(|error| format!("cannot start a thread: {error}"))?;
        Ok(Feed {
            news,
            to,
            site: None,
            order: Arc::default(),
        })
    }

    /// From the next look on clients come in this order.
    pub(super) fn sort(&self, order: Order) {
        self.order.store(order as usize, Ordering::Relaxed);
    }

    /// Disconnects a client, beside everything else; `News::Said` has what became of it.
    pub(super) fn disconnect(&self, client: &str) {
        let (Some(site), to) = (self.site.clone(), self.to.clone()) else {
            return;
        };
        let target = format!("/api/v1/clients/{}?end_session=false", encoded(client));
        let ask = move || {
            let said = match site.delete(&target) {
                Ok(done) if done["was_connected"] == Value::Bool(true) => "Disconnected.".into(),
                Ok(_) => "It was away already.".into(),
                Err(error) => error,
            };
            // Who has gone meanwhile misses nothing.
            let _ = to.send(News::Said(said));
        };
        if let Err(error) = thread::Builder::new().name("top-ask".into()).spawn(ask) {
            let _ = self.to.try_send(News::Said(error.to_string()));
        }
    }
}

impl Asking {
    /// Follows the events to the end of one answer.
    fn follow(&mut self) -> Result<(), Gone> {
        let trouble = match self.site.events("/api/v1/live") {
            Ok(mut events) => {
                let mut count = 0;
                loop {
                    match events.next() {
                        Ok(Some(live)) => {
                            count += 1;
                            let look = self.look(live);
                            self.tell(News::Look(Box::new(look)))?;
                        }
                        // It is asked anew after some 50 seconds.
                        Ok(None) if count > 1 => return Ok(()),
                        Ok(None) => break format!("{}: no events", self.site.authority()),
                        Err(error) => break error,
                    }
                }
            }
            Err(error) => error,
        };
        self.tell(News::Away(trouble))?;
        thread::sleep(Duration::from_millis(limits::TOP_AGAIN_MS));
        Ok(())
    }

    fn tell(&self, news: News) -> Result<(), Gone> {
        self.to.send(news).map_err(|_| Gone)
    }

    /// Everything that belongs to an event.
    fn look(&mut self, live: Value) -> Look {
        let mut look = Look {
            at: self.began.elapsed(),
            live,
            ..Look::default()
        };
        let mut faults = Vec::new();
        match self.line.text("/metrics") {
            Ok(text) => look.scrape = Some(Scrape::of(&text, self.began.elapsed())),
            Err(error) => faults.push(error),
        }
        let topics = format!("/api/v1/topics?limit={}", self.limit);
        for (target, place) in [
            ("/api/v1/memory", &mut look.memory),
            ("/api/v1/store", &mut look.store),
            (&topics, &mut look.topics),
        ] {
            match self.line.json(target) {
                Ok(answer) => *place = answer,
                Err(error) => faults.push(error),
            }
        }
        if let Err(error) = self.ask_clients() {
            faults.push(error);
        }
        look.clients = self.clients.answer.clone();
        // One is enough: they have mostly the same reason.
        look.fault = faults.into_iter().next();
        look
    }

    /// Asks for clients, unless that took so long that it would be too much.
    fn ask_clients(&mut self) -> Result<(), String> {
        let order = self.order.load(Ordering::Relaxed);
        let began = Instant::now();
        if began < self.clients.due && order == self.clients.order {
            return Ok(());
        }
        let sort = Order::ALL[order % Order::ALL.len()].name();
        let target = format!("/api/v1/clients?sort={sort}&limit={}", self.limit);
        let answer = self.line.json(&target);
        let rest = began.elapsed() * (limits::TOP_CLIENTS_PART - 1);
        self.clients = Clients {
            due: Instant::now() + rest,
            order,
            answer: Value::Null,
        };
        self.clients.answer = answer?;
        Ok(())
    }
}
