//! The options: one entry each, with its name, default, range and the field that it sets.
//!
//! Names, units, ranges and defaults are those of mosquitto.conf(5) in 2.0 and 2.1; where the two differ, the wider
//! range is taken. `shards`, `cpu_list`, `memory_account`, `persistence_sync`, `persistence_max_size`,
//! `log_format`, `log_lines_per_second` and `http_host` are our own.

use super::draft::{Globals, ListenerDraft, Note, Security};
use super::error::{Misdeed, ValueFault};
use super::line::{self, Line};
use super::model::SocketDomain;
use super::option::{Opt, Scope, Structure, Value};
use super::values::bounds::{rate, slow_consumer_policy};
use super::values::log::{log_dest, log_format, log_type};
use super::values::{access, memory, persistence, tls, transport};
use crate::limits;
use crate::mqtt::topic;

/// The greatest number that Mosquitto reads.
const INT_MAX: i64 = i32::MAX as i64;
/// The number of syslog's facility local0, which `log_facility 0` names.
const SYSLOG_LOCAL0: u8 = 16;
/// Bytes of the longest `auto_id_prefix`.
const AUTO_ID_PREFIX_BYTES_MAX: usize = 50;
/// The greatest payload of MQTT, as Mosquitto counts it: a Remaining Length without the rest of the packet.
const MESSAGE_BYTES_MAX: i64 = 268_435_455;

const fn global(name: &'static str, default: &'static str, value: Value<Globals>) -> Opt {
    Opt {
        name,
        default,
        scope: Scope::Global(value),
    }
}

const fn listener(name: &'static str, default: &'static str, value: Value<ListenerDraft>) -> Opt {
    Opt {
        name,
        default,
        scope: Scope::Listener(value),
    }
}

const fn security(name: &'static str, default: &'static str, value: Value<Security>) -> Opt {
    Opt {
        name,
        default,
        scope: Scope::Security(value),
    }
}

const fn own(name: &'static str, value: Value<Security>) -> Opt {
    Opt {
        name,
        default: "",
        scope: Scope::ListenerSecurity(value),
    }
}

const fn structure(name: &'static str, structure: Structure) -> Opt {
    Opt {
        name,
        default: "",
        scope: Scope::Structure(structure),
    }
}

use Value::{Boolean, Bound, Number, Other, Text};

/// Every option that has an effect, in groups.
#[rustfmt::skip]
pub(super) static OPTIONS: &[Opt] = &[
    // Where to listen.
    structure("listener", Structure::Listener),
    structure("port", Structure::Port),
    structure("bind_address", Structure::BindAddress),
    structure("per_listener_settings", Structure::PerListenerSettings),
    Opt { name: "include_dir", default: "", scope: Scope::Include },
    listener("protocol", "mqtt", Other(protocol)),
    listener("socket_domain", "", Other(socket_domain)),
    listener("bind_interface", "", Text(|l, v| put(&mut l.socket.interface, v))),
    listener("max_connections", "-1", Bound { negative: 0, max: INT_MAX, set: |l, v| l.socket.max_connections = bound(v) }),
    global("global_max_connections", "-1", Bound { negative: 0, max: INT_MAX, set: |g, v| g.config.global_max_connections = bound(v) }),
    global("global_max_clients", "-1", Bound { negative: 0, max: INT_MAX, set: |g, v| g.config.settings.quotas.clients = v as u32 }),
    global("max_connections_per_address", "10000", Bound { negative: 0, max: INT_MAX, set: |g, v| g.config.sources.connections = v as u32 }),
    global("max_connection_rate_per_address", "1000/s", Other(|g, name, line| rate(name, line, |v| g.config.sources.rate = v))),
    global("limit_local_addresses", "false", Boolean(|g, v| g.config.sources.local = v)),
    global("set_tcp_nodelay", "false", Boolean(|g, v| g.config.set_tcp_nodelay = v)),

    // Who may connect, and as what.
    security("allow_anonymous", "", Boolean(|s, v| s.allow_anonymous = Some(v))),
    own("listener_allow_anonymous", Boolean(|s, v| s.allow_anonymous = Some(v))),
    security("allow_zero_length_clientid", "true", Boolean(|s, v| s.allow_zero_length_clientid = Some(v))),
    security("auto_id_prefix", "auto-", Text(auto_id_prefix)),
    own("listener_auto_id_prefix", Text(auto_id_prefix)),
    security("password_file", "", Other(access::password_file)),
    security("acl_file", "", Other(access::acl_file)),
    security("clientid_prefixes", "", Text(|s, v| put(&mut s.clientid_prefix, v))),
    listener("accept_protocol_versions", "3, 4, 5", Other(accept_protocol_versions)),
    listener("use_username_as_clientid", "false", Boolean(|l, v| l.settings.use_username_as_clientid = v)),
    listener("mount_point", "", Text(mount_point)),

    // WebSocket and proxies.
    listener("websockets_origin", "", Other(transport::origin)),
    global("websockets_headers_size", "4096", Number { min: 0, max: 65_536, set: |g, v| g.websocket_headers = (v > 0).then(|| (v as usize).max(256)) }),
    listener("enable_proxy_protocol", "", Other(transport::proxy_protocol)),
    listener("proxy_protocol_v2_require_tls", "", Boolean(|l, v| l.tls.proxy_requires_tls = v)),

    // HTTP.
    listener("http_dir", "", Text(|l, v| put(&mut l.http.directory, v))),
    listener("http_host", "", Other(transport::http_host)),

    // TLS.
    global("tls_memory_limit", "", Other(memory::tls_limit)),
    listener("certfile", "", Text(|l, v| put(&mut l.tls.certfile, v))),
    listener("keyfile", "", Text(|l, v| put(&mut l.tls.keyfile, v))),
    listener("tls_certificate", "", Other(tls::certificate)),
    listener("cafile", "", Text(|l, v| put(&mut l.tls.cafile, v))),
    listener("capath", "", Text(|l, v| put(&mut l.tls.capath, v))),
    listener("crlfile", "", Text(|l, v| put(&mut l.tls.crlfile, v))),
    listener("require_certificate", "false", Boolean(|l, v| l.tls.require_certificate = v)),
    listener("disable_client_cert_date_checks", "false", Boolean(|l, v| l.tls.ignores_dates = v)),
    listener("use_identity_as_username", "false", Boolean(|l, v| l.tls.by_identity = v)),
    listener("use_subject_as_username", "false", Boolean(|l, v| l.tls.by_subject = v)),
    listener("tls_version", "tlsv1.2", Other(tls::version)),
    listener("ciphers", "", Text(|l, v| put(&mut l.tls.ciphers, v))),
    listener("ciphers_tls1.3", "", Text(|l, v| put(&mut l.tls.ciphers_v13, v))),
    listener("tls_records", "auto", Other(transport::records)),
    listener("tls_alpn", "", Text(|l, v| put(&mut l.tls.alpn, v))),

    // What a listener grants.
    listener("max_qos", "2", Number { min: 0, max: 2, set: |l, v| l.settings.max_qos = v as u8 }),
    listener("maximum_qos", "2", Number { min: 0, max: 2, set: |l, v| l.settings.max_qos = v as u8 }),
    listener("max_topic_alias", "10", Number { min: 0, max: 65_535, set: |l, v| l.settings.max_topic_alias = v as u16 }),
    listener("max_topic_alias_broker", "10", Number { min: 0, max: 65_535, set: |l, v| l.settings.max_topic_alias_broker = v as u16 }),

    listener("slow_consumer_policy", "", Other(slow_consumer_policy)),

    // What one client may ask for.
    global("max_subscriptions_per_client", "0", Number { min: 0, max: limits::SUBSCRIPTIONS_MAX as i64, set: |g, v| g.config.settings.quotas.subscriptions = v as u32 }),
    global("max_topic_levels", "201", Number { min: 1, max: limits::TOPIC_LEVELS_MAX as i64, set: |g, v| g.config.settings.quotas.topic_levels = v as u16 }),
    global("max_topic_length", "65535", Number { min: 1, max: 65_535, set: |g, v| g.config.settings.quotas.topic_bytes = v as u16 }),
    global("min_wildcard_depth", "0", Number { min: 0, max: limits::TOPIC_LEVELS_MAX as i64, set: |g, v| g.config.settings.quotas.wildcard_depth = v as u16 }),
    global("max_publish_rate", "0", Other(|g, name, line| rate(name, line, |v| g.config.settings.quotas.publish_rate = v))),

    // Bounds on packets, queues and sessions.
    global("max_inflight_messages", "20", Bound { negative: 0, max: 65_535, set: |g, v| g.config.settings.max_inflight_messages = v as u16 }),
    global("max_inflight_bytes", "0", Bound { negative: 0, max: i64::MAX, set: |g, v| g.config.settings.max_inflight_bytes = v as u64 }),
    global("max_queued_messages", "1000", Bound { negative: 0, max: INT_MAX, set: |g, v| g.config.settings.max_queued_messages = v as u32 }),
    global("max_queued_bytes", "0", Bound { negative: 0, max: i64::MAX, set: |g, v| g.config.settings.max_queued_bytes = v as u64 }),
    global("queue_qos0_messages", "false", Boolean(|g, v| g.config.settings.queue_qos0_messages = v)),
    global("max_packet_size", "", Number { min: 20, max: INT_MAX, set: max_packet_size }),
    global("message_size_limit", "0", Number { min: 0, max: MESSAGE_BYTES_MAX, set: |g, v| g.config.settings.message_size_limit = v as u32 }),
    global("max_keepalive", "65535", Number { min: 0, max: 65_535, set: |g, v| g.config.settings.max_keepalive = v as u16 }),
    global("persistent_client_expiration", "", Other(persistent_client_expiration)),

    // How messages are passed on.
    global("retain_available", "true", Boolean(|g, v| g.config.settings.retain_available = v)),
    // Mosquitto's manual gives true as the default; its code does not check unless the option is set.
    global("retain_expiry_interval", "0", Number { min: 0, max: INT_MAX / 60, set: |g, v| g.config.settings.retain_expiry_min = v as u32 }),
    global("check_retain_source", "false", Boolean(|g, v| g.config.settings.check_retain_source = v)),
    global("allow_duplicate_messages", "true", Boolean(|g, v| g.config.settings.allow_duplicate_messages = v)),
    global("upgrade_outgoing_qos", "false", Boolean(|g, v| g.config.settings.upgrade_outgoing_qos = v)),

    // Memory.
    global("memory_limit", "0", Other(memory::limit)),
    global("memory_account", "", Other(memory::account)),

    // The disk.
    global("persistence", "false", Boolean(|g, v| g.persistence.is_on = v)),
    global("retained_persistence", "", Boolean(|g, v| g.persistence.is_on = v)),
    global("persistence_location", "", Text(|g, v| put(&mut g.persistence.location, v))),
    global("persistence_file", "mosquitto.db", Text(|g, v| put(&mut g.persistence.file, v))),
    global("persistence_sync", "group", Other(persistence::sync)),
    global("persistence_max_size", "0", Other(persistence::max_size)),

    // The process.
    global("sys_interval", "10", Number { min: 0, max: 65_535, set: |g, v| g.config.settings.sys_interval = v as u32 }),
    global("user", "mosquitto", Text(user)),
    global("pid_file", "", Text(|g, v| put(&mut g.config.pid_file, v))),
    global("log_dest", "stderr", Other(log_dest)),
    global("log_type", "", Other(log_type)),
    global("connection_messages", "true", Boolean(|g, v| g.config.settings.connection_messages = v)),
    global("log_timestamp", "true", Boolean(|g, v| g.config.log.timestamp = v)),
    global("log_timestamp_format", "", Text(|g, v| put(&mut g.config.log.timestamp_format, v))),
    global("log_facility", "", Number { min: 0, max: 7, set: |g, v| g.config.log.facility = SYSLOG_LOCAL0 + v as u8 }),
    global("log_format", "text", Other(log_format)),
    global("log_lines_per_second", "1000", Number { min: 0, max: INT_MAX, set: |g, v| g.config.log.lines_per_second = v as u32 }),
    global("shards", "", Number { min: 1, max: limits::SHARDS_MAX as i64, set: |g, v| g.config.shards = Some(v as u8) }),
    global("cpu_list", "", Text(cpu_list)),
];

/// Puts a text that obeys no rule.
fn put<T: for<'a> From<&'a str>>(field: &mut Option<T>, text: &str) -> Result<(), &'static str> {
    *field = Some(text.into());
    Ok(())
}

/// A number of connections; 0 and below are no bound.
fn bound(value: i64) -> Option<u32> {
    u32::try_from(value)
        .ok()
        .filter(|&connections| connections > 0)
}

fn max_packet_size(globals: &mut Globals, value: i64) {
    globals.config.settings.max_packet_size = (value as u32).min(limits::PACKET_BYTES_MAX);
}

fn auto_id_prefix(security: &mut Security, text: &str) -> Result<(), &'static str> {
    if text.len() > AUTO_ID_PREFIX_BYTES_MAX {
        return Err("longer than 50 bytes");
    }
    put(&mut security.auto_id_prefix, text)
}

fn mount_point(listener: &mut ListenerDraft, text: &str) -> Result<(), &'static str> {
    if !topic::topic_name_valid(text) {
        return Err("not a topic name; does it contain a wildcard?");
    }
    listener.settings.mount_point = text.into();
    Ok(())
}

fn cpu_list(globals: &mut Globals, text: &str) -> Result<(), &'static str> {
    globals.config.cpu_list = Some(text.parse()?);
    Ok(())
}

fn protocol(
    listener: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    listener.websocket = word == "websockets";
    listener.http.is_on = word == "http_api";
    match word {
        "mqtt" | "websockets" | "http_api" => Ok(None),
        other => {
            let choices = ["mqtt", "websockets", "http_api"];
            Err(Misdeed::not_one_of(name, other, &choices))
        }
    }
}

fn socket_domain(
    listener: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    listener.socket.domain = match line.word(name)? {
        "ipv4" => SocketDomain::V4,
        "ipv6" => SocketDomain::V6,
        other => return Err(Misdeed::not_one_of(name, other, &["ipv4", "ipv6"])),
    };
    Ok(None)
}

fn accept_protocol_versions(
    listener: &mut ListenerDraft,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let mut versions = [false; 3];
    for word in line
        .words()
        .flat_map(|word| word.split(','))
        .filter(|word| !word.is_empty())
    {
        match word {
            "3" => versions[0] = true,
            "4" => versions[1] = true,
            "5" => versions[2] = true,
            other => return Err(Misdeed::not_one_of(name, other, &["3", "4", "5"])),
        }
    }
    if versions == [false; 3] {
        return Err(Misdeed::Empty { name });
    }
    listener.settings.accept_versions = versions;
    Ok(None)
}

fn persistent_client_expiration(
    globals: &mut Globals,
    name: &'static str,
    line: &Line<'_>,
) -> Result<Note, Misdeed> {
    let word = line.word(name)?;
    let rule = "a span of time is a number above 0 and its unit: h, d, w, m or y";
    let seconds = line::seconds(word);
    let seconds =
        seconds.ok_or_else(|| Misdeed::value(name, word, ValueFault::Invalid { rule }))?;
    globals.config.settings.persistent_client_expiration = Some(seconds);
    Ok(None)
}

/// `user NAME`: mosquitto is who it is without the option.
fn user(globals: &mut Globals, text: &str) -> Result<(), &'static str> {
    globals.config.user = Some(text.into()).filter(|_| text != "mosquitto");
    Ok(())
}
