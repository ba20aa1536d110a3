//! Fields of a line of a trace: what is in a packet, a message and its properties. What a packet does not have is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::json::version;
use crate::broker::{TracedConnect, TracedContent, TracedFilter, TracedMessage};
use crate::mqtt::{Property, PropertyIter, ReasonCode};

/// See the module.
#[derive(Default)]
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    /// One more.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// All of them.
    pub(super) fn text(self) -> String {
        Value::Object(self.0).to_string()
    }

    /// A message, with its payload as far as it was wanted.
    pub(super) fn message(&mut self, message: &TracedMessage) {
        self.head(message);
        if message.payload.is_empty() {
            return;
        }
        let is_cut = message.payload.len() < message.payload_bytes;
        match text(&message.payload, is_cut) {
            Some(text) => self.put("payload", text),
            None => self.put("payload_base64", STANDARD.encode(&message.payload)),
        }
        self.put("payload_cut", is_cut);
    }

    /// A reason code, and its name.
    pub(super) fn reason(&mut self, code: u8) {
        self.put("reason_code", code);
        self.put("reason", ReasonCode(code).name());
    }

    fn head(&mut self, message: &TracedMessage) {
        self.put("topic", message.topic.as_deref());
        self.put("qos", u8::from(message.qos));
        self.put("retain", message.retain);
        self.put("dup", message.dup);
        self.put("payload_bytes", message.payload_bytes);
    }
}

/// The start of a payload as text, where it is text: a letter that the end cuts in two is left out.
fn text(bytes: &[u8], is_cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if is_cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// What is in a packet. True if what a message says is kept from who looks: its properties are too.
pub(super) fn content_of(
    fields: &mut Fields,
    content: &TracedContent,
    may_read: impl Fn(&str) -> bool,
) -> bool {
    match content {
        TracedContent::None => {}
        TracedContent::Connect(connect) => connect_fields(fields, connect),
        TracedContent::Connack {
            session_present,
            reason,
        } => {
            fields.put("session_present", *session_present);
            fields.reason(*reason);
        }
        TracedContent::Publish(message) => {
            let is_hidden = !message.topic.as_deref().is_some_and(may_read);
            match is_hidden {
                true => fields.head(message),
                false => fields.message(message),
            }
            return is_hidden;
        }
        TracedContent::Reason(code) => fields.reason(*code),
        TracedContent::Filters { filters, more } => {
            let filters = filters.iter().map(filter_fields);
            fields.put("filters", filters.collect::<Vec<Value>>());
            fields.put("filters_left_out", *more);
        }
        TracedContent::Reasons { codes, more } => {
            fields.put("reason_codes", json!(&codes[..]));
            fields.put("reason_codes_left_out", *more);
        }
    }
    false
}

fn connect_fields(fields: &mut Fields, connect: &TracedConnect) {
    fields.put("protocol", version(connect.version));
    fields.put("clean_start", connect.clean_start);
    fields.put("keep_alive_seconds", connect.keep_alive_s);
    fields.put("username", connect.user.as_deref());
    fields.put("has_password", connect.has_password);
    let will = connect.will.as_ref().map(|will| {
        json!({
            "topic": will.topic,
            "qos": u8::from(will.qos),
            "retain": will.retain,
            "delay_seconds": will.delay_s,
            "payload_bytes": will.payload_bytes,
        })
    });
    fields.put("will", will);
}

fn filter_fields(one: &TracedFilter) -> Value {
    let Some(options) = &one.options else {
        return json!({"filter": one.filter});
    };
    json!({
        "filter": one.filter,
        "qos": u8::from(options.qos),
        "no_local": options.no_local,
        "retain_as_published": options.retain_as_published,
        "retain_handling": options.retain_handling,
    })
}

/// The properties of a packet by the names of the standard, with `_` between their words. Authentication data are nobody's business.
pub(super) fn properties_of(fields: &mut Fields, raw: &[u8], has_more: bool) {
    let (mut all, mut users, mut ids) = (Fields::default(), Vec::new(), Vec::new());
    for property in PropertyIter::new(raw) {
        match property {
            Property::UserProperty(name, value) => users.push(json!([name, value])),
            Property::SubscriptionIdentifier(id) => ids.push(Value::from(id)),
            Property::AuthenticationData(_) => {}
            property => put_property(&mut all, property),
        }
    }
    if !ids.is_empty() {
        all.put("subscription_identifiers", ids);
    }
    if !users.is_empty() {
        all.put("user_properties", users);
    }
    if !all.0.is_empty() || has_more {
        fields.put("properties", Value::Object(all.0));
    }
    if has_more {
        fields.put("properties_cut", true);
    }
}

fn put_property(all: &mut Fields, property: Property<'_>) {
    match property {
        Property::PayloadFormatIndicator(value) => all.put("payload_format_indicator", value),
        Property::MessageExpiryInterval(value) => all.put("message_expiry_interval", value),
        Property::ContentType(text) => all.put("content_type", text),
        Property::ResponseTopic(text) => all.put("response_topic", text),
        Property::CorrelationData(bytes) => {
            all.put("correlation_data_base64", STANDARD.encode(bytes));
        }
        Property::SessionExpiryInterval(value) => all.put("session_expiry_interval", value),
        Property::AssignedClientIdentifier(text) => all.put("assigned_client_identifier", text),
        Property::ServerKeepAlive(value) => all.put("server_keep_alive", value),
        Property::AuthenticationMethod(text) => all.put("authentication_method", text),
        Property::RequestProblemInformation(flag) => all.put("request_problem_information", flag),
        Property::WillDelayInterval(value) => all.put("will_delay_interval", value),
        Property::RequestResponseInformation(flag) => {
            all.put("request_response_information", flag);
        }
        Property::ResponseInformation(text) => all.put("response_information", text),
        Property::ServerReference(text) => all.put("server_reference", text),
        Property::ReasonString(text) => all.put("reason_string", text),
        Property::ReceiveMaximum(value) => all.put("receive_maximum", value),
        Property::TopicAliasMaximum(value) => all.put("topic_alias_maximum", value),
        Property::TopicAlias(value) => all.put("topic_alias", value.get()),
        Property::MaximumQos(qos) => all.put("maximum_qos", u8::from(qos)),
        Property::RetainAvailable(flag) => all.put("retain_available", flag),
        Property::MaximumPacketSize(value) => all.put("maximum_packet_size", value),
        Property::WildcardSubscriptionAvailable(flag) => {
            all.put("wildcard_subscription_available", flag);
        }
        Property::SubscriptionIdentifierAvailable(flag) => {
            all.put("subscription_identifier_available", flag);
        }
        Property::SharedSubscriptionAvailable(flag) => {
            all.put("shared_subscription_available", flag);
        }
        Property::UserProperty(..)
        | Property::SubscriptionIdentifier(_)
        | Property::AuthenticationData(_) => {}
    }
}
