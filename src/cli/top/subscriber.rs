//! A client of MQTT that is subscribed to `$SYS/broker/#` with QoS 0, and gathers what is published there until it stands still.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::cli::web::address::Address;
use crate::cli::web::hints::{self, Spoken};
use crate::cli::web::site::User;
use crate::cli::web::stream::{Ended, Stream};
use crate::limits;
use crate::mqtt::{
    self, ConnectOut, FrameStatus, Packet, PacketId, SubscribeOptions, SubscribeOut, Version,
};
use crate::transport::tls::ClientPlan;

const VERSION: Version = Version::V5;
const FILTER: &str = "$SYS/broker/#";
/// Published last of what moves each time, and never the same.
const ROUND: &str = "uptime";

/// Names below `$SYS/broker/`, and their values.
pub(super) type Topics = BTreeMap<String, String>;

/// How to come to a broker.
#[derive(Clone)]
pub(super) struct Door {
    pub address: Address,
    pub plan: Option<Arc<ClientPlan>>,
    pub user: Option<User>,
}

/// See the module.
pub(super) struct Subscriber {
    address: Address,
    stream: Stream,
    /// What has come and is no whole packet.
    bytes: Vec<u8>,
    topics: Topics,
    /// When the broker was heard last, and when it was last asked whether it is there.
    heard: Instant,
    pinged: Instant,
    /// When the end of a round came that was not handed out.
    round: Option<Instant>,
}

impl Door {
    /// Connects, and subscribes.
    ///
    /// # Errors
    /// The broker is not reached, does not let the client in, or refuses the subscription; a line.
    pub(super) fn open(&self) -> Result<Subscriber, String> {
        let address = &self.address;
        let until = Instant::now() + Duration::from_millis(limits::ASK_MS_MAX);
        let opened = Stream::open(address, self.plan.as_ref(), until);
        let stream = opened.map_err(|ended| match ended {
            Ended::Unreached(error) => hints::unreached(address, &error, Spoken::Mqtt),
            Ended::Handshake(error) => hints::no_tls(address, &error),
        })?;
        let now = Instant::now();
        let mut subscriber = Subscriber {
            address: address.clone(),
            stream,
            bytes: Vec::new(),
            topics: Topics::new(),
            heard: now,
            pinged: now,
            round: None,
        };
        subscriber.say(&self.words())?;
        subscriber.be_let_in(until)?;
        Ok(subscriber)
    }

    /// CONNECT, and SUBSCRIBE behind it.
    fn words(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let id = format!(
            "firehose-top-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let user = self.user.as_ref();
        ConnectOut {
            clean_start: true,
            keep_alive: limits::TOP_KEEP_ALIVE_S,
            client_id: &id,
            username: user.map(|user| &user.name[..]),
            password: user.map(|user| &user.password[..]),
            ..ConnectOut::default()
        }
        .encode(VERSION, &mut out);
        SubscribeOut {
            packet_id: PacketId::FIRST,
            subscription_id: None,
            user_properties: &[],
            filters: &[(FILTER, SubscribeOptions::with_qos(mqtt::QoS::AtMostOnce))],
        }
        .encode(VERSION, &mut out);
        out
    }
}

impl Subscriber {
    /// Waits for CONNACK and SUBACK.
    fn be_let_in(&mut self, until: Instant) -> Result<(), String> {
        loop {
            let mut is_subscribed = false;
            self.packets(|packet| {
                match packet {
                    Packet::Connack(connack) if connack.reason.is_error() => {
                        return Err(format!("the broker refuses the client: {}. --username NAME with --password-file FILE says who it is", connack.reason));
                    }
                    Packet::Suback(suback) => {
                        if let Some(reason) = suback.reasons().find(|reason| reason.is_error()) {
                            return Err(format!("the broker refuses the subscription to {FILTER}: {reason}"));
                        }
                        is_subscribed = true;
                    }
                    _ => {}
                }
                Ok(())
            })?;
            if is_subscribed {
                return Ok(());
            }
            let patience = until.saturating_duration_since(Instant::now());
            if patience.is_zero() || !self.hear(patience)? {
                return Err(hints::failed(
                    &self.address,
                    &ErrorKind::TimedOut.into(),
                    Spoken::Mqtt,
                ));
            }
        }
    }

    /// All that is published, once a round of it is over and has come, and when its end came.
    ///
    /// # Errors
    /// The broker is away or silent, or publishes nothing there; a line.
    pub(super) fn next(&mut self) -> Result<(&Topics, Instant), String> {
        let begun = Instant::now();
        let quiet = Duration::from_millis(limits::TOP_QUIET_MS);
        loop {
            let has_heard = self.hear(quiet)?;
            self.packets(|_| Ok(()))?;
            if let Some(at) = self.round
                && !has_heard
            {
                self.round = None;
                return Ok((&self.topics, at));
            }
            let first = Duration::from_millis(limits::TOP_FIRST_MS);
            if !self.topics.contains_key(ROUND) && begun.elapsed() > first {
                return Err(format!(
                    "{}: nothing is published below $SYS/broker/: `sys_interval` is 0 there, or the acl_file does not grant `topic read $SYS/#`",
                    self.address.url()
                ));
            }
            self.keep_alive()?;
        }
    }

    /// Asks whether the broker is there where it has said nothing for long.
    fn keep_alive(&mut self) -> Result<(), String> {
        let patience = Duration::from_secs(limits::TOP_KEEP_ALIVE_S.into()) / 2;
        if self.heard.elapsed() > 2 * patience {
            return Err(format!("{} is silent", self.address.url()));
        }
        if self.pinged.elapsed() > patience {
            self.pinged = Instant::now();
            let mut out = Vec::new();
            mqtt::encode_pingreq(&mut out);
            self.say(&out)?;
        }
        Ok(())
    }

    fn say(&mut self, bytes: &[u8]) -> Result<(), String> {
        let written = self.stream.write_all(bytes);
        written.map_err(|error| hints::failed(&self.address, &error, Spoken::Mqtt))
    }

    /// Takes what comes within this time; whether something has.
    fn hear(&mut self, patience: Duration) -> Result<bool, String> {
        let mut piece = [0; limits::ASK_PIECE_BYTES];
        let waiting = self.stream.wait_for(patience);
        match waiting.and_then(|()| self.stream.read(&mut piece)) {
            Ok(0) => Err(hints::unanswered(&self.address, &self.bytes, Spoken::Mqtt)),
            Ok(count) => {
                self.heard = Instant::now();
                self.bytes.extend_from_slice(&piece[..count]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Ok(false)
            }
            Err(error) => Err(hints::failed(&self.address, &error, Spoken::Mqtt)),
        }
    }

    /// Takes the packets that have come whole: messages here, others by `on_other`.
    fn packets(
        &mut self,
        mut on_other: impl FnMut(Packet<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut taken = 0;
        let no_mqtt = |_| hints::unanswered(&self.address, &self.bytes, Spoken::Mqtt);
        loop {
            let rest = &self.bytes[taken..];
            let frame = mqtt::frame(rest, limits::TOP_PACKET_BYTES_MAX).map_err(no_mqtt)?;
            let FrameStatus::Complete(frame) = frame else {
                break;
            };
            let packet = &rest[..frame.total_len];
            match mqtt::decode(VERSION, packet, &frame).map_err(no_mqtt)? {
                Packet::Publish(publish) => {
                    let name = publish.topic.strip_prefix("$SYS/broker/");
                    if let Some(name) = name.filter(|_| self.topics.len() < limits::TOP_TOPICS_MAX)
                    {
                        let value = String::from_utf8_lossy(publish.payload);
                        self.topics.insert(name.into(), value.into_owned());
                        self.round = match name {
                            ROUND => Some(Instant::now()),
                            _ => self.round,
                        };
                    }
                }
                Packet::Disconnect(disconnect) => {
                    return Err(format!(
                        "{} has ended the connection: {}",
                        self.address.url(),
                        disconnect.reason
                    ));
                }
                other => on_other(other)?,
            }
            taken += frame.total_len;
        }
        self.bytes.drain(..taken);
        Ok(())
    }
}
