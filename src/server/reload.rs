//! SIGHUP: the configuration is read again, whole or not at all.
//!
//! Order: everything that can fail comes first (reading, certificates, new listening sockets). Then all shards take over
//! the settings, and only when each of them has, they accept from new listeners: a client may move to any shard.

use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::bounded;

use super::budget::{Budget, Shape};
use super::listen::{Bound, Inherited};
use super::places as listen_places;
use super::resources;
use super::sockets::Buffers;
use crate::broker::{ListenerSettings, LogMask, Settings};
use crate::budget::Account;
use crate::config::{Config, Load, Socket};
use crate::control::memory;
use crate::ids::ShardId;
use crate::limits;
use crate::shard::{ShardCommand, ShardHandle, Shared};

/// What reads the configuration again, and what it changes.
pub struct Reloader {
    load: Load,
    /// What holds now.
    config: Config,
    budget: Budget,
    shape: Shape,
    /// By number; `None` for one that is gone. The numbers are those of `settings`.
    slots: Vec<Option<Socket>>,
    settings: Settings,
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    /// Paths of Unix domain sockets that are to be removed at the end.
    bound: Bound,
}

impl Reloader {
    /// `settings` are those that the shards were made with, `config` is what they come from; budget and shape are what
    /// the accounts were made from.
    pub fn new(
        load: Load,
        (config, budget): (Config, Budget),
        shape: Shape,
        settings: Settings,
        shared: Arc<Shared>,
        shards: Vec<ShardHandle>,
    ) -> Reloader {
        Reloader {
            load,
            slots: config.sockets.iter().cloned().map(Some).collect(),
            config,
            budget,
            shape,
            settings,
            shared,
            shards,
            bound: Bound::default(),
        }
    }

    /// Reads everything again and goes by it; returns lines about what has changed.
    ///
    /// # Errors
    /// Why nothing has changed.
    pub fn reload(&mut self) -> Result<Vec<String>, String> {
        let (config, mut lines) = (self.load)(&self.config)?;
        if config.is_empty && !self.config.is_empty {
            // An editor empties a file before it writes it.
            return Err("the file is empty, and every listener would be closed".into());
        }
        lines.extend(config.certificates.iter().map(ToString::to_string));
        let budget = Budget::new(&config, self.shape, memory::given().as_ref())
            .map_err(|error| error.to_string())?;
        let places = self.places(&config);
        let slots = self.slots.iter().enumerate();
        let leaving = slots.filter(|(place, _)| !places.contains(place));
        let leaving = leaving.filter_map(|(_, slot)| slot.as_ref());
        listen_places::check(&config.sockets, leaving).map_err(|clash| clash.to_string())?;
        let mut fresh = Bound::default();
        for (socket, place) in config.sockets.iter().zip(&places) {
            if self.slots.get(*place).is_none_or(Option::is_none) {
                fresh
                    .add_late(socket, self.inherited(&config))
                    .map_err(|error| error.to_string())?;
            }
        }
        let settings = self.arranged(&config, &places);
        lines.extend(needs_restart(&self.config, &config));
        lines.extend(self.changes(&config, &places, &settings));
        if budget != self.budget {
            lines.push(budget.headline());
            lines.extend(budget.lines());
            // Listening sockets that are there keep what they have.
            let account = budget.plan.limit(Account::Sockets);
            let connections = resources::connections_possible(&config, self.shared.shards());
            lines.push(Buffers::choose(account, connections).line(connections));
            lines.extend(budget.warnings(&config, memory::given().as_ref()));
        }
        self.shared.pool().set_plan(&budget.plan);
        self.shared.set_tls_max(budget.tls_connections());
        self.budget = budget;
        self.apply(&config, &places, fresh, &settings, &mut lines)?;
        (self.config, self.settings) = (config, settings);
        Ok(lines)
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

    /// The number of each configured listener: its own if it is there already, or was, else that of one that is gone and
    /// that neither connections nor sessions whose clients are away refer to, else a new one.
    fn places(&self, config: &Config) -> Vec<usize> {
        let listeners = self.shared.listeners();
        let mut taken: Vec<bool> = self.slots.iter().map(Option::is_some).collect();
        let known = |socket: &Socket| {
            let is_same =
                |slot: &Option<Socket>| slot.as_ref().is_some_and(|old| is_same(old, socket));
            self.slots.iter().position(is_same)
        };
        config
            .sockets
            .iter()
            .map(|socket| {
                known(socket).unwrap_or_else(|| {
                    let is_free =
                        |index: &usize| !taken[*index] && listeners[*index].connections() == 0;
                    let names = self
                        .settings
                        .listeners
                        .iter()
                        .map(|listener| &listener.name);
                    let closed = || {
                        names
                            .clone()
                            .enumerate()
                            .filter(|(index, _)| is_free(index))
                    };
                    // What comes back has its own number again.
                    let own = closed().find(|(_, name)| name.text() == socket.name());
                    let other = || closed().find(|(_, name)| !name.is_referred_to());
                    let place = own.or_else(other).map_or(taken.len(), |(index, _)| index);
                    match taken.get_mut(place) {
                        Some(is_taken) => *is_taken = true,
                        None => taken.push(true),
                    }
                    place
                })
            })
            .collect()
    }

    /// The new settings with the listeners at their numbers; those that are gone are marked.
    fn arranged(&self, config: &Config, places: &[usize]) -> Settings {
        let mut settings = config.settings.clone();
        if config.log.destinations.is_empty() {
            settings.log = LogMask::NONE;
        }
        let mut listeners = self.settings.listeners.clone();
        for listener in &mut listeners {
            listener.is_closed = true;
        }
        for (listener, &place) in config.settings.listeners.iter().zip(places) {
            let stays = self.slots.get(place).is_some_and(Option::is_some);
            match listeners.get_mut(place) {
                Some(old) => {
                    // Its clients have subscribed below the old one, and refer to it by its name.
                    let mount_point = std::mem::take(&mut old.mount_point);
                    let name = old.name.clone();
                    old.clone_from(listener);
                    if old.name == name {
                        old.name = name;
                    }
                    if stays {
                        old.mount_point = mount_point;
                    }
                }
                None => listeners.push(listener.clone()),
            }
        }
        settings.listeners = listeners;
        settings
    }

    /// Lines about settings that are others than before, of the broker and of listeners that stay.
    fn changes(&self, config: &Config, places: &[usize], settings: &Settings) -> Vec<String> {
        let mut lines = Vec::new();
        let without = |settings: &Settings| Settings {
            listeners: Vec::new(),
            ..settings.clone()
        };
        let (old, new) = (&self.config, config);
        if without(&self.settings) != without(settings)
            || old.global_max_connections != new.global_max_connections
            || old.sources != new.sources
            || old.memory != new.memory
        {
            lines.push("Settings of the broker have changed.".into());
        }
        let listeners = config.sockets.iter().zip(&config.settings.listeners);
        for ((socket, asked), &place) in listeners.zip(places) {
            let (Some(Some(_)), Some(old)) =
                (self.slots.get(place), self.settings.listeners.get(place))
            else {
                continue;
            };
            let new = &settings.listeners[place];
            if asked.mount_point != new.mount_point {
                let name = name(socket);
                lines.push(format!(
                    "Takes effect with a restart: mount_point of {name}."
                ));
            }
            let rest = |listener: &ListenerSettings| ListenerSettings {
                acl: None,
                passwords: None,
                ..listener.clone()
            };
            for (what, has_changed) in [
                ("ACL", old.acl != new.acl),
                ("users", old.passwords != new.passwords),
                ("settings", rest(old) != rest(new)),
            ] {
                if has_changed {
                    lines.push(format!("Listener {} has other {what}.", name(socket)));
                }
            }
        }
        lines
    }

    /// Changes what holds. Nothing here fails but for a shard that has ended.
    fn apply(
        &mut self,
        config: &Config,
        places: &[usize],
        mut fresh: Bound,
        settings: &Settings,
        lines: &mut Vec<String>,
    ) -> Result<(), String> {
        let listeners = self.shared.listeners();
        for (index, slot) in self.slots.iter_mut().enumerate() {
            if let Some(socket) = slot
                && !places.contains(&index)
            {
                lines.push(format!("Listener {} is closed.", name(socket)));
                listeners[index].close();
                *slot = None;
            }
        }
        let shared_settings = Arc::new(settings.clone());
        self.tell(|done| ShardCommand::Reload(shared_settings.clone(), done))?;
        let mut opened = fresh.take_listeners().into_iter();
        for (socket, &place) in config.sockets.iter().zip(places) {
            match self.slots.get_mut(place) {
                Some(Some(old)) => {
                    listeners[place].set_max(socket.max_connections);
                    if old.transport != socket.transport {
                        listeners[place].set_transport(socket.transport.clone());
                        lines.push(format!(
                            "Listener {} has other certificates or rules.",
                            name(socket)
                        ));
                    }
                }
                _ => {
                    let Some(listener) = opened.next() else {
                        continue;
                    };
                    self.shared.put_listener(place, listener);
                    lines.push(format!("Listener {} is opened.", name(socket)));
                }
            }
            match self.slots.get_mut(place) {
                Some(slot) => *slot = Some(socket.clone()),
                None => self.slots.push(Some(socket.clone())),
            }
        }
        self.bound.keep_paths(fresh);
        self.shared.set_max(config.global_max_connections);
        self.shared.sources().set(config.sources);
        self.tell(ShardCommand::Listen)
    }

    /// Gives every shard a command, and waits for all of them.
    fn tell(
        &self,
        command: impl Fn(crossbeam_channel::Sender<ShardId>) -> ShardCommand,
    ) -> Result<(), String> {
        let (done, answers) = bounded(self.shards.len());
        for shard in &self.shards {
            let mut waiting = Some(command(done.clone()));
            for _ in 0..limits::RELOAD_ATTEMPTS {
                waiting = waiting.and_then(|command| shard.send(command).err());
                if waiting.is_none() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(limits::RELOAD_PAUSE_MS));
            }
        }
        drop(done);
        let patience =
            Duration::from_millis(limits::RELOAD_PAUSE_MS * limits::RELOAD_ATTEMPTS as u64);
        for _ in &self.shards {
            answers.recv_timeout(patience).map_err(|_| {
                "a shard does not answer; the broker should be restarted".to_string()
            })?;
        }
        Ok(())
    }
}

/// Whether two configured listeners listen at the same place.
fn is_same(one: &Socket, other: &Socket) -> bool {
    (
        one.port,
        &one.address,
        one.domain,
        &one.interface,
        &one.path,
    ) == (
        other.port,
        &other.address,
        other.domain,
        &other.interface,
        &other.path,
    )
}

/// A listener, as a person calls it.
fn name(socket: &Socket) -> String {
    match (&socket.path, &socket.address) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(address)) => format!("{address}:{}", socket.port),
        (None, None) => format!("on port {}", socket.port),
    }
}

/// What has changed that is looked at when the broker starts only.
fn needs_restart(old: &Config, new: &Config) -> Option<String> {
    let options = [
        ("shards", old.shards != new.shards),
        ("cpu_list", old.cpu_list != new.cpu_list),
        (
            "set_tcp_nodelay",
            old.set_tcp_nodelay != new.set_tcp_nodelay,
        ),
        ("pid_file", old.pid_file != new.pid_file),
        ("user", old.user != new.user),
        ("log_dest and log_format", old.log != new.log),
        (
            "sys_interval",
            old.settings.sys_interval != new.settings.sys_interval,
        ),
    ];
    let changed: Vec<&str> = options
        .iter()
        .filter(|(_, has_changed)| *has_changed)
        .map(|(name, _)| *name)
        .collect();
    (!changed.is_empty()).then(|| format!("Takes effect with a restart: {}.", changed.join(", ")))
}
