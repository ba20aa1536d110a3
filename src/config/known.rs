//! The options that Mosquitto 2.0 and 2.1 know and this broker does not yet.
//!
//! A configuration that works with Mosquitto has to start here or say why it does not: what only adds a feature is
//! named in a warning, what keeps somebody out is an error, because going on without would let them in.

use super::error::Misdeed;
use super::line::Line;

/// Why such an option has no effect, and what to do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// One line of a bridge: the broker goes on, not connected to the other one.
    Bridge,
    /// About what plugins do; what keeps nobody out.
    Control,
    /// A plugin, which may keep somebody out.
    Plugin,
    /// An engine of OpenSSL's, or its key.
    Engine,
    /// Asks for TLS with pre-shared keys, which will not come.
    Psk,
    /// Sets something that this broker does not have.
    Meaningless(&'static str),
    /// Has no effect in Mosquitto either.
    Obsolete,
    /// Says where a private key lies: a file in PEM is what is read here.
    KeyForm,
}

impl Known {
    /// The text of the warning, or the error.
    pub(super) fn verdict(
        self,
        name: &'static str,
        line: &Line<'_>,
    ) -> Result<&'static str, Misdeed> {
        match self {
            Known::Bridge => Ok("bridges are not supported yet, has no effect"),
            Known::Control => Ok("there are no plugins here to be asked about, has no effect"),
            Known::Meaningless(why) => Ok(why),
            Known::Obsolete => Ok("has no effect, in Mosquitto 2 as here"),
            Known::KeyForm if line.words().next() == Some("pem") => {
                Ok("private keys are always read from PEM files")
            }
            Known::Psk => Err(Misdeed::Misplaced {
                name,
                rule: "TLS with pre-shared keys is not spoken here (rustls has none): give clients certificates or passwords",
            }),
            Known::Engine | Known::KeyForm => Err(Misdeed::Misplaced {
                name,
                rule: "engines of OpenSSL's are not used here (TLS is rustls'): give the key in a PEM file",
            }),
            Known::Plugin => Err(Misdeed::WouldOpen { name }),
        }
    }
}

/// Looks up an option by its name, or what its name starts with for the options of plugins.
pub(super) fn find(name: &str) -> Option<(&'static str, Known)> {
    KNOWN
        .iter()
        .find(|(known, _)| *known == name || (known.ends_with("opt_") && name.starts_with(known)))
        .copied()
}

use Known::{Bridge, Control, Engine, KeyForm, Meaningless, Obsolete, Plugin, Psk};

/// Mosquitto writes its database anew now and then; here what is acknowledged is stored already.
const NOTHING_WAITS: &str = "nothing waits to be saved here: what is acknowledged is stored (persistence_sync); has no effect";

/// By subject, in alphabetical order.
#[rustfmt::skip]
pub(super) static KNOWN: &[(&str, Known)] = &[
    // Access.
    ("auth_opt_", Plugin),
    ("auth_plugin", Plugin),
    ("auth_plugin_deny_special_chars", Plugin),
    ("global_plugin", Plugin),
    ("plugin", Plugin),
    ("plugin_load", Plugin),
    ("plugin_opt_", Plugin),
    ("plugin_use", Plugin),
    ("psk_file", Psk),
    // TLS, and the proxy in front of a listener.
    ("dhparamfile", Meaningless("keys are exchanged over elliptic curves here, which need no parameters; has no effect")),
    ("psk_hint", Psk),
    ("tls_engine", Engine),
    ("tls_engine_kpass_sha1", Engine),
    ("tls_keyform", KeyForm),
    // Persistence.
    ("autosave_interval", Meaningless(NOTHING_WAITS)),
    ("autosave_on_changes", Meaningless(NOTHING_WAITS)),
    // WebSockets.
    ("packet_buffer_size", Meaningless("the kernel chooses among buffers that all connections share; has no effect")),
    ("websockets_log_level", Meaningless("it is for libwebsockets, which is not used here; has no effect")),
    // The process.
    ("enable_control_api", Control),
    ("retry_interval", Obsolete),
    // Bridges.
    ("address", Bridge),
    ("addresses", Bridge),
    ("bridge_alpn", Bridge),
    ("bridge_attempt_unsubscribe", Bridge),
    ("bridge_bind_address", Bridge),
    ("bridge_cafile", Bridge),
    ("bridge_capath", Bridge),
    ("bridge_certfile", Bridge),
    ("bridge_ciphers", Bridge),
    ("bridge_ciphers_tls1.3", Bridge),
    ("bridge_identity", Bridge),
    ("bridge_insecure", Bridge),
    ("bridge_keyfile", Bridge),
    ("bridge_max_packet_size", Bridge),
    ("bridge_max_topic_alias", Bridge),
    ("bridge_outgoing_retain", Bridge),
    ("bridge_protocol_version", Bridge),
    ("bridge_psk", Bridge),
    ("bridge_receive_maximum", Bridge),
    ("bridge_reload_type", Bridge),
    ("bridge_require_ocsp", Bridge),
    ("bridge_session_expiry_interval", Bridge),
    ("bridge_tcp_keepalive", Bridge),
    ("bridge_tcp_user_timeout", Bridge),
    ("bridge_tls_use_os_certs", Bridge),
    ("bridge_tls_version", Bridge),
    ("cleansession", Bridge),
    ("clientid", Bridge),
    ("connection", Bridge),
    ("idle_timeout", Bridge),
    ("keepalive_interval", Bridge),
    ("local_cleansession", Bridge),
    ("local_clientid", Bridge),
    ("local_password", Bridge),
    ("local_username", Bridge),
    ("notification_topic", Bridge),
    ("notifications", Bridge),
    ("notifications_local_only", Bridge),
    ("password", Bridge),
    ("remote_clientid", Bridge),
    ("remote_password", Bridge),
    ("remote_username", Bridge),
    ("restart_timeout", Bridge),
    ("round_robin", Bridge),
    ("start_type", Bridge),
    ("threshold", Bridge),
    ("topic", Bridge),
    ("try_private", Bridge),
    ("username", Bridge),
];
