//! What can be wrong with a file that is to be Mosquitto's database.

use std::fmt;

/// A fault, and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bytes from the beginning of the file.
    pub offset: u64,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrong {
    /// It does not begin as Mosquitto's databases do.
    Magic,
    /// It is of a version of the format that is not read.
    Version(u32),
    /// It ends, or a chunk does, before what it holds is complete.
    Short,
    /// A chunk is longer than what it holds, by so many bytes.
    Long(usize),
    /// A kind of chunk that nobody knows.
    Kind(u32),
    /// Numbers of messages have another size than 8 bytes.
    NumberSize(u8),
    /// A client identifier is empty or no text.
    ClientId,
    /// There are two clients of this identifier.
    ClientTwice,
    /// A topic name is not valid.
    Topic,
    /// A topic filter is not valid.
    Filter,
    /// A QoS above 2.
    QoS(u8),
    /// A message is at a stage that there is not, or not in its direction.
    Stage(u8),
    /// A message is neither on its way to a client nor from one.
    Direction(u8),
    /// A packet identifier is 0, or of two messages in flight.
    PacketId(u16),
    /// A subscription identifier is larger than MQTT has them.
    SubscriptionId(u32),
    /// Properties are not those of a PUBLISH.
    Properties,
    /// There are two messages of this number.
    MessageTwice(u64),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::Magic => f.write_str("this is no database of Mosquitto"),
            Wrong::Version(version) => write!(
                f,
                "the format has version {version}; versions 5 and 6 are read, those of Mosquitto 1.6, 2.0 and 2.1"
            ),
            Wrong::Short => f.write_str("it ends before what it holds is complete"),
            Wrong::Long(bytes) => write!(f, "{bytes} bytes too many in a chunk"),
            Wrong::Kind(kind) => write!(f, "a chunk of kind {kind}, which is not known"),
            Wrong::NumberSize(bytes) => {
                write!(f, "numbers of messages have {bytes} bytes instead of 8")
            }
            Wrong::ClientId => f.write_str("a client identifier is not valid"),
            Wrong::ClientTwice => f.write_str("a client that has been before"),
            Wrong::Topic => f.write_str("a topic name is not valid"),
            Wrong::Filter => f.write_str("a topic filter is not valid"),
            Wrong::QoS(qos) => write!(f, "QoS {qos}"),
            Wrong::Stage(stage) => write!(f, "a message at stage {stage}, which it cannot be at"),
            Wrong::Direction(direction) => write!(f, "a message in direction {direction}"),
            Wrong::PacketId(0) => f.write_str("a message in flight without a packet identifier"),
            Wrong::PacketId(id) => write!(f, "two messages in flight with packet identifier {id}"),
            Wrong::SubscriptionId(id) => write!(f, "subscription identifier {id}"),
            Wrong::Properties => f.write_str("properties are not those of a PUBLISH"),
            Wrong::MessageTwice(number) => write!(f, "message {number}, which has been before"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "byte {}: {}", self.offset, self.wrong)
    }
}

impl std::error::Error for Fault {}
