//! What can be wrong with the bytes of a peer: one variant per misdeed, with the reason code that answers it and the
//! statement of the standard that it breaks.

use std::fmt;

use super::reason::ReasonCode;

macro_rules! decode_errors {
    ($($name:ident: $reason:ident, $statement:literal, $text:literal;)*) => {
        /// Why a packet was not accepted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum DecodeError {
            $(#[doc = concat!($text, " (", $statement, ").")] $name,)*
        }

        impl DecodeError {
            /// All of them.
            pub const ALL: &'static [DecodeError] = &[$(DecodeError::$name,)*];

            /// The reason code of the CONNACK or DISCONNECT that answers it (MQTT 5, 4.13).
            pub const fn reason(self) -> ReasonCode {
                match self { $(DecodeError::$name => ReasonCode::$reason,)* }
            }

            /// The statement of MQTT 5 (of MQTT 3.1.1 where it says so) that is broken; where a rule has no
            /// statement of its own, its chapter.
            pub const fn statement(self) -> &'static str {
                match self { $(DecodeError::$name => $statement,)* }
            }

            /// What is wrong, in words.
            pub const fn text(self) -> &'static str {
                match self { $(DecodeError::$name => $text,)* }
            }
        }
    };
}

decode_errors! {
    // Fixed header.
    PacketTypeReserved: MALFORMED_PACKET, "MQTT 5, 2.1.2", "packet type is reserved in this version";
    FlagsReserved: MALFORMED_PACKET, "MQTT-2.1.3-1", "reserved flag bits of the fixed header have another value";
    PublishQosReserved: MALFORMED_PACKET, "MQTT-3.3.1-4", "PUBLISH with both QoS bits set";
    PublishDupAtQos0: MALFORMED_PACKET, "MQTT-3.3.1-2", "PUBLISH with DUP set and QoS 0";
    VarintTooLong: MALFORMED_PACKET, "MQTT 5, 1.5.5", "variable byte integer of more than four bytes";
    VarintNotMinimal: MALFORMED_PACKET, "MQTT-1.5.5-1", "variable byte integer with more bytes than it needs";
    PacketTooLarge: PACKET_TOO_LARGE, "MQTT-3.2.2-15", "packet larger than the maximum packet size";
    // Any packet.
    Truncated: MALFORMED_PACKET, "MQTT 5, 4.13.1", "a field does not fit into the packet";
    TrailingBytes: MALFORMED_PACKET, "MQTT 5, 2.1.4", "bytes are left after the last field";
    Utf8IllFormed: MALFORMED_PACKET, "MQTT-1.5.4-1", "string is not well-formed UTF-8";
    Utf8Nul: MALFORMED_PACKET, "MQTT-1.5.4-2", "string has the character U+0000";
    Utf8Control: MALFORMED_PACKET, "MQTT 5, 1.5.4", "string has a control character";
    Utf8NonCharacter: MALFORMED_PACKET, "MQTT 5, 1.5.4", "string has a code point that is no character";
    PacketIdZero: PROTOCOL_ERROR, "MQTT-2.2.1-3", "packet identifier is zero";
    ReasonCodeInvalid: PROTOCOL_ERROR, "MQTT 5, 2.4", "reason code that this packet cannot carry";
    // Properties.
    PropertyUnknown: MALFORMED_PACKET, "MQTT 5, 2.2.2.2", "property identifier is unknown";
    PropertyMisplaced: MALFORMED_PACKET, "MQTT 5, 2.2.2.2", "property that this packet cannot carry";
    PropertyRepeated: PROTOCOL_ERROR, "MQTT 5, 2.2.2.2", "property is there more than once";
    PropertyFlagInvalid: PROTOCOL_ERROR, "MQTT 5, 3.1.2.11.6", "property value is neither 0 nor 1";
    ReceiveMaximumZero: PROTOCOL_ERROR, "MQTT 5, 3.1.2.11.3", "Receive Maximum is zero";
    MaximumPacketSizeZero: PROTOCOL_ERROR, "MQTT 5, 3.1.2.11.4", "Maximum Packet Size is zero";
    TopicAliasZero: TOPIC_ALIAS_INVALID, "MQTT-3.3.2-8", "Topic Alias is zero";
    SubscriptionIdZero: PROTOCOL_ERROR, "MQTT 5, 3.8.2.1.2", "Subscription Identifier is zero";
    ResponseTopicInvalid: PROTOCOL_ERROR, "MQTT-3.3.2-14", "Response Topic is empty or has a wildcard";
    AuthenticationMethodMissing: PROTOCOL_ERROR, "MQTT 5, 3.1.2.11.10", "Authentication Data without a method";
    // CONNECT and CONNACK.
    ProtocolNameUnknown: UNSUPPORTED_PROTOCOL_VERSION, "MQTT-3.1.2-1", "protocol name is not MQTT";
    ProtocolLevelUnsupported: UNSUPPORTED_PROTOCOL_VERSION, "MQTT-3.1.2-2", "protocol level is not supported";
    ConnectFlagReserved: MALFORMED_PACKET, "MQTT-3.1.2-3", "reserved connect flag is set";
    WillFlagsWithoutWill: MALFORMED_PACKET, "MQTT-3.1.2-11", "Will QoS or Will Retain without Will Flag";
    WillQosReserved: MALFORMED_PACKET, "MQTT-3.1.2-12", "Will QoS is 3";
    WillTopicInvalid: MALFORMED_PACKET, "MQTT 5, 3.1.3.3", "Will Topic is no topic name";
    PasswordWithoutUsername: MALFORMED_PACKET, "MQTT 3.1.1, MQTT-3.1.2-22", "password without a user name";
    ConnackFlagsReserved: MALFORMED_PACKET, "MQTT-3.2.2-1", "reserved bits of the connect acknowledge flags are set";
    SessionPresentRefused: PROTOCOL_ERROR, "MQTT-3.2.2-6", "Session Present in a CONNACK that refuses";
    // PUBLISH, SUBSCRIBE and UNSUBSCRIBE.
    TopicEmpty: PROTOCOL_ERROR, "MQTT-4.7.3-1", "topic name is empty and there is no Topic Alias";
    TopicWildcard: MALFORMED_PACKET, "MQTT-3.3.2-2", "topic name has a wildcard";
    TopicTooDeep: TOPIC_NAME_INVALID, "MQTT 5, 4.7.3", "topic name has more levels than this server allows";
    FiltersMissing: PROTOCOL_ERROR, "MQTT-3.8.3-2", "SUBSCRIBE or UNSUBSCRIBE without a topic filter";
    FilterInvalid: MALFORMED_PACKET, "MQTT-4.7.1-1", "topic filter is empty or has a wildcard where none may be";
    FilterTooDeep: TOPIC_FILTER_INVALID, "MQTT 5, 4.7.3", "topic filter has more levels than this server allows";
    ShareInvalid: MALFORMED_PACKET, "MQTT-4.8.2-1", "shared subscription without a valid share name and filter";
    ShareNoLocal: PROTOCOL_ERROR, "MQTT-3.8.3-4", "No Local on a shared subscription";
    SubscribeQosReserved: PROTOCOL_ERROR, "MQTT 5, 3.8.3.1", "requested QoS is 3";
    SubscribeOptionsReserved: MALFORMED_PACKET, "MQTT-3.8.3-5", "reserved bits of the subscription options are set";
    RetainHandlingReserved: PROTOCOL_ERROR, "MQTT 5, 3.8.3.1", "Retain Handling is 3";
    ReasonCodesMissing: MALFORMED_PACKET, "MQTT-3.8.4-5", "SUBACK or UNSUBACK without a reason code";
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.text(), self.statement())
    }
}

impl std::error::Error for DecodeError {}
