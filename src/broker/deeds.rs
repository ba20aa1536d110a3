//! What an administrator has a shard do beside the path of messages. It is done in `doors`; what is only asked is in `queries`.

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// The retained message of a topic that this shard owns is to be no more. Nobody who is subscribed is told.
    ForgetRetained(Box<str>),
    /// A client is to be disconnected.
    Disconnect {
        /// The client identifier.
        client: Box<str>,
        /// Whether its session ends too, also when the client is away.
        ends_session: bool,
    },
}

/// What became of it, for each deed in its way.
#[derive(Debug)]
pub enum Done {
    /// Of `ForgetRetained`: whether there was one.
    ForgotRetained(bool),
    /// Of `Disconnect`; `None` if there is no such client.
    Disconnected(Option<Disconnected>),
}

/// What became of a client that was to be disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disconnected {
    /// It was connected.
    pub was_connected: bool,
    /// Its session has ended.
    pub session_ended: bool,
}
