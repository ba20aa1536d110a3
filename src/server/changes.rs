//! What a reload tells: which settings are others than before, and which of them wait for a restart.

use super::listeners::Listeners;
use crate::broker::{ListenerSettings, Settings};
use crate::config::{Config, HttpListener, Socket};
use crate::ids::ListenerId;

/// Lines about what is different in a new configuration; its listeners have these numbers.
pub(super) fn lines(
    (old, before): (&Config, &Listeners),
    (new, after): (&Config, &Listeners),
    ids: &[ListenerId],
) -> Vec<String> {
    let mut lines = Vec::new();
    if of_broker(old, before) != of_broker(new, after)
        || old.global_max_connections != new.global_max_connections
        || old.sources != new.sources
        || old.memory != new.memory
    {
        lines.push("Settings of the broker have changed.".into());
    }
    for (listener, &id) in new.listeners.iter().zip(ids) {
        let (Some(old), Some(new)) = (before.open(id), after.open(id)) else {
            continue;
        };
        let (old, new, name) = (&old.settings, &new.settings, name(&listener.socket));
        if listener.settings.mount_point != new.mount_point {
            lines.push(format!(
                "Takes effect with a restart: mount_point of {name}."
            ));
        }
        for (what, has_changed) in [
            ("ACL", old.acl != new.acl),
            ("users", old.passwords != new.passwords),
            ("settings", without_files(old) != without_files(new)),
        ] {
            if has_changed {
                lines.push(format!("Listener {name} has other {what}."));
            }
        }
    }
    lines
}

/// What holds for all listeners.
fn of_broker(config: &Config, listeners: &Listeners) -> Settings {
    Settings {
        listeners: Vec::new(),
        ..listeners.settings(config)
    }
}

/// Lines about listeners of HTTP.
pub(super) fn of_http(old: &[HttpListener], new: &[HttpListener]) -> Vec<String> {
    let named = |all: &'_ [HttpListener], name: &str| {
        let mut all = all.iter();
        all.find(|http| http.listener.socket.name() == name)
            .cloned()
    };
    let mut lines = Vec::new();
    for http in old {
        let socket = &http.listener.socket;
        if named(new, &socket.name()).is_none() {
            lines.push(format!("Listener {} is closed.", name(socket)));
        }
    }
    for http in new {
        let socket = &http.listener.socket;
        let text = name(socket);
        match named(old, &socket.name()) {
            None => lines.push(format!("Listener {text} is opened.")),
            Some(mut before) => {
                before.listener.socket.at.clone_from(&socket.at);
                if before != *http {
                    lines.push(format!("Listener {text} has other settings."));
                }
            }
        }
    }
    lines
}

fn without_files(listener: &ListenerSettings) -> ListenerSettings {
    ListenerSettings {
        acl: None,
        passwords: None,
        ..listener.clone()
    }
}

/// What is otherwise than the broker has started with, and is looked at when it starts only.
pub(super) fn needs_restart(old: &Config, new: &Config) -> Option<String> {
    let options = [
        ("shards", old.shards != new.shards),
        ("cpu_list", old.cpu_list != new.cpu_list),
        (
            "set_tcp_nodelay",
            old.set_tcp_nodelay != new.set_tcp_nodelay,
        ),
        ("pid_file", old.pid_file != new.pid_file),
        ("user", old.user != new.user),
        (
            "persistence and its options",
            old.persistence != new.persistence,
        ),
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

/// A listener, as a person calls it.
pub(super) fn name(socket: &Socket) -> String {
    match (&socket.path, &socket.address) {
        (Some(path), _) => path.display().to_string(),
        (None, Some(address)) => format!("{address}:{}", socket.port),
        (None, None) => format!("on port {}", socket.port),
    }
}
