//! SIGHUP: the configuration is read again, whole or not at all.
//!
//! Two steps. *Prepare* does everything that can fail: it reads, splits the memory, binds, and asks whether every shard
//! answers; whatever fails there leaves everything as it was. *Commit* changes what holds: all shards take over the settings,
//! and only when each of them has, they accept from new listeners, as a client may move to any shard. A shard that
//! falls silent between the two keeps nobody else from the new configuration, and what does not hold then is said.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::budget::{Budget, Layout};
use super::changes::{self, name};
use super::listen::{Bound, Inherited};
use super::listeners::Listeners;
use super::sockets::Buffers;
use super::{places, resources};
use crate::broker::Settings;
use crate::budget::Account;
use crate::config::{Config, HttpListener, ReadAgain};
use crate::control::{self, HttpChange, Reloaded, memory};
use crate::ids::{ListenerId, ShardId};
use crate::limits;
use crate::shard::{ReplyTo, ShardCommand, ShardHandle, Shared, reply};

#[cfg(test)]
mod tests;

/// What reads the configuration again, and what it changes.
pub(super) struct Reloader {
    read: ReadAgain,
    layout: Layout,
    /// What holds now.
    config: Config,
    /// What the broker has started with: of what is looked at then only, this holds.
    started: Config,
    budget: Budget,
    listeners: Listeners,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    /// How long a shard has to answer.
    patience: Duration,
    /// Paths of Unix domain sockets that are to be removed at the end.
    bound: Bound,
}

/// What a broker runs by when it starts.
pub(super) struct Running {
    pub config: Config,
    pub budget: Budget,
    pub listeners: Listeners,
}

/// A configuration that can hold: all that may fail has been done.
struct Prepared {
    config: Config,
    budget: Budget,
    settings: Arc<Settings>,
    /// The table as it will be.
    listeners: Listeners,
    /// The number of each configured listener.
    ids: Vec<ListenerId>,
    /// Listeners that are new.
    fresh: Bound,
    lines: Vec<String>,
}

impl Reloader {
    /// `running` is what the shards were made from.
    pub(super) fn new(
        read: ReadAgain,
        running: Running,
        layout: Layout,
        shared: Arc<Shared>,
        shards: Vec<ShardHandle>,
    ) -> Reloader {
        let layout = Layout {
            has_journal: Some(running.config.persistence.is_some()),
            ..layout
        };
        Reloader {
            read,
            layout,
            started: running.config.clone(),
            config: running.config,
            budget: running.budget,
            listeners: running.listeners,
            shared,
            shards,
            patience: Duration::from_millis(
                limits::RELOAD_PAUSE_MS * limits::RELOAD_ATTEMPTS as u64,
            ),
            bound: Bound::default(),
        }
    }

    /// Reads everything again and goes by it.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub(super) fn reload(&mut self) -> Result<Reloaded, String> {
        let prepared = self.prepare()?;
        Ok(self.commit(prepared))
    }

    /// Does all that may fail, and changes nothing.
    fn prepare(&self) -> Result<Prepared, String> {
        let (config, mut lines) = (self.read)(&self.config)?;
        if config.is_empty && !self.config.is_empty {
            // An editor empties a file before it writes it.
            return Err("the file is empty, and every listener would be closed".into());
        }
        lines.extend(config.certificates.iter().map(ToString::to_string));
        let budget = Budget::new(&config, self.layout, memory::given().as_ref())
            .map_err(|error| error.to_string())?;
        let ids = self.listeners.numbers(&config.listeners);
        let leaving = self.listeners.open_beside(&ids);
        let leaving = leaving.map(|(_, entry)| &entry.socket);
        let http = self.config.http.iter().filter(|old| {
            let mut staying = config.http.iter();
            !staying.any(|new| is_same(old, new))
        });
        let leaving = leaving.chain(http.map(|old| &old.listener.socket));
        places::check(config.sockets(), leaving).map_err(|clash| clash.to_string())?;
        let mut fresh = Bound::default();
        for (listener, &id) in config.listeners.iter().zip(&ids) {
            if self.listeners.open(id).is_none() {
                fresh
                    .add_late(&listener.socket, self.inherited(&config))
                    .map_err(|error| error.to_string())?;
            }
        }
        for rules in &config.http {
            if !self.config.http.iter().any(|old| is_same(old, rules)) {
                fresh
                    .add_http_late(rules, self.inherited(&config))
                    .map_err(|error| error.to_string())?;
            }
        }
        let accepting = fresh.take_listeners();
        let listeners = self.listeners.arranged(&config.listeners, &ids, accepting);
        let (before, after) = ((&self.config, &self.listeners), (&config, &listeners));
        lines.extend(changes::needs_restart(&self.started, &config));
        lines.extend(changes::lines(before, after, &ids));
        lines.extend(self.memory_lines(&config, &budget));
        let silent = self.ask(ShardCommand::Report, &[]);
        if !silent.is_empty() {
            return Err(format!(
                "{}; the broker should be restarted",
                unanswered(&silent)
            ));
        }
        Ok(Prepared {
            settings: Arc::new(listeners.settings(&config)),
            config,
            budget,
            listeners,
            ids,
            fresh,
            lines,
        })
    }

    /// What new listening sockets are set to.
    fn inherited(&self, config: &Config) -> Inherited {
        let bytes = self.shared.pool().limit(Account::Sockets);
        let connections = resources::connections_possible(config, self.shared.shards());
        Inherited {
            nodelay: config.set_tcp_nodelay,
            buffers: Buffers::choose(bytes, connections),
        }
    }

    /// Lines about memory, if it is split in another way.
    fn memory_lines(&self, config: &Config, budget: &Budget) -> Vec<String> {
        if *budget == self.budget {
            return Vec::new();
        }
        let mut lines = vec![budget.headline()];
        lines.extend(budget.lines());
        // Listening sockets that are there keep what they have.
        let account = budget.plan.limit(Account::Sockets);
        let connections = resources::connections_possible(config, self.shared.shards());
        lines.push(Buffers::choose(account, connections).line(connections));
        lines.extend(budget.warnings(config, memory::given().as_ref()));
        lines
    }

    /// Changes what holds. Nothing here fails but for a shard that answers no more, which is told of.
    fn commit(&mut self, prepared: Prepared) -> Reloaded {
        let Prepared {
            config,
            budget,
            settings,
            mut listeners,
            ids,
            mut fresh,
            mut lines,
        } = prepared;
        let http = HttpChange {
            rules: config.http.clone(),
            fresh: fresh.take_http(),
            shown: control::shown(&config),
        };
        lines.extend(changes::of_http(&self.config.http, &config.http));
        self.shared.pool().set_plan(&budget.plan);
        self.shared.set_tls_max(budget.tls_connections());
        let reload = |done| ShardCommand::Reload(settings.clone(), done);
        let behind = self.ask(reload, &[]);
        let is_new = |id: &&ListenerId| self.listeners.open(**id).is_none();
        let mut unopened = Vec::new();
        if behind.is_empty() {
            self.bound.keep_paths(fresh);
        } else {
            for &id in ids.iter().filter(is_new) {
                unopened.extend(listeners.get(id).map(|entry| name(&entry.socket)));
                listeners.give_up(id);
            }
        }
        lines.extend(self.set_listeners(&listeners, &ids));
        self.shared.set_max(config.global_max_connections);
        self.shared.sources().set(config.sources);
        let deaf = self.ask(ShardCommand::Listen, &behind);
        (self.config, self.budget, self.listeners) = (config, budget, listeners);
        Reloaded {
            lines,
            missing: missing(&behind, &unopened, &deaf),
            http: Some(http),
        }
    }

    /// Has shards accept by another table from when they are told to listen; returns lines about it.
    fn set_listeners(&self, listeners: &Listeners, ids: &[ListenerId]) -> Vec<String> {
        let mut lines = Vec::new();
        for (_, entry) in self.listeners.open_beside(ids) {
            lines.push(format!("Listener {} is closed.", name(&entry.socket)));
            entry.accepting.close();
        }
        for &id in ids {
            let Some(new) = listeners.open(id) else {
                continue;
            };
            let name = name(&new.socket);
            match self.listeners.open(id) {
                None => lines.push(format!("Listener {name} is opened.")),
                Some(old) => {
                    new.accepting.set_max(new.socket.max_connections);
                    if old.socket.transport != new.socket.transport {
                        let transport = new.socket.transport.clone();
                        new.accepting.set_transport(transport);
                        let text = format!("Listener {name} has other certificates or rules.");
                        lines.push(text);
                    }
                }
            }
        }
        self.shared.set_listeners(listeners.accepting());
        lines
    }

    /// Gives every shard a command, and waits for all of them but for those that are known to be `silent`: theirs waits
    /// for them. The answer is who else has not answered.
    fn ask<T>(
        &self,
        command: impl Fn(ReplyTo<T>) -> ShardCommand,
        silent: &[ShardId],
    ) -> Vec<ShardId> {
        let until = Instant::now() + self.patience;
        let mut awaited = Vec::new();
        for (index, shard) in self.shards.iter().enumerate() {
            let id = ShardId(index as u8);
            let is_awaited = !silent.contains(&id);
            let (to, answer) = reply();
            let mut waiting = shard.send(command(to)).err();
            while is_awaited && waiting.is_some() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(limits::RELOAD_PAUSE_MS));
                waiting = waiting.and_then(|command| shard.send(command).err());
            }
            if is_awaited {
                awaited.push((id, answer));
            }
        }
        awaited.retain(|(_, answer)| answer.wait_until(until).is_none());
        awaited.into_iter().map(|(id, _)| id).collect()
    }
}

/// Whether two listeners of HTTP listen at the same place.
fn is_same(one: &HttpListener, other: &HttpListener) -> bool {
    one.listener.socket.name() == other.listener.socket.name()
}

/// Shards that do not answer, for people.
fn unanswered(silent: &[ShardId]) -> String {
    let ids: Vec<String> = silent.iter().map(|shard| shard.0.to_string()).collect();
    match silent.len() {
        1 => format!("shard {} does not answer", ids.join("")),
        _ => format!("shards {} do not answer", ids.join(", ")),
    }
}

/// What does not hold of a configuration, by who has not taken it over, listeners that wait for them, and who may not accept
/// as all others.
fn missing(behind: &[ShardId], unopened: &[String], deaf: &[ShardId]) -> Option<String> {
    let mut parts = Vec::new();
    if !behind.is_empty() {
        let who = unanswered(behind);
        parts.push(format!("{who} and may go on by the settings from before"));
    }
    if !unopened.is_empty() {
        let names = unopened.join(", ");
        parts.push(format!("not opened for that reason: listener {names}"));
    }
    if !deaf.is_empty() {
        let who = unanswered(deaf);
        parts.push(format!(
            "{who} and may accept from the listeners from before only"
        ));
    }
    let is_whole = parts.is_empty();
    parts.push("everything else holds; reload again when all answer, or restart the broker".into());
    (!is_whole).then(|| parts.join("; "))
}
