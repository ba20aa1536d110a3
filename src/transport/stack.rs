//! One connection's transport: PROXY header, TLS and WebSocket on top of each other, and the bytes they want sent.
//!
//! Invariant: what `output` returned stays where it is until `took` has been told of all of it, whatever is received or
//! packed meanwhile: that goes behind it, into memory of its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::proxy::{Header, Rules};
use super::tls::{self, Tls};
use super::websocket::{self, WebSocket};
use super::{Failure, Plan};

/// 1000 of RFC 6455, 7.4.1: the purpose for which the connection was opened is fulfilled.
const CLOSE_NORMAL: u16 = 1000;

/// Whether the peer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// The peer has said goodbye in the terms of its transport; nothing more will come.
    Closed,
}

/// What the transport has found out about a peer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its address, where a proxy has told it.
    pub source: Option<SocketAddr>,
    /// Its user name, where the certificate tells it, or the proxy.
    pub user: Option<Box<str>>,
}

impl Identity {
    /// Whether there is nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.source.is_none() && self.user.is_none()
    }
}

/// See the module.
pub struct Transport {
    /// Until the header is whole.
    proxy: Option<Box<(Header, Rules)>>,
    tls: Option<Box<Tls>>,
    websocket: Option<Box<WebSocket>>,
    source: Option<SocketAddr>,
    /// The user name that the proxy gives.
    user: Option<Box<str>>,
    /// Whether `identity` has been asked for when it was complete.
    is_identified: bool,
    /// Whether the end has been announced to the peer.
    is_closed: bool,
    /// Lent to a send, from `taken` on.
    sending: Vec<u8>,
    taken: usize,
    /// What follows.
    next: Vec<u8>,
    /// Bytes that it was last counted with; kept here for who counts.
    pub counted: u64,
}

impl Transport {
    /// For a new connection.
    ///
    /// # Errors
    /// TLS could not be set up.
    pub fn new(plan: &Plan) -> Result<Transport, Failure> {
        let tls = plan.tls.as_ref().map(Tls::new).transpose()?;
        Ok(Transport {
            proxy: plan.proxy.map(|rules| Box::new((Header::new(), rules))),
            tls: tls.map(Box::new),
            websocket: plan
                .websocket
                .as_ref()
                .map(|options| Box::new(WebSocket::new(options))),
            source: None,
            user: None,
            is_identified: false,
            is_closed: false,
            sending: Vec::new(),
            taken: 0,
            next: Vec::new(),
            counted: 0,
        })
    }

    /// Whether the next bytes are worth a thread of their own: those of a TLS handshake take up to a millisecond.
    pub fn is_handshaking(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Whether there is TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether MQTT can be sent.
    pub fn is_ready(&self) -> bool {
        self.proxy.is_none()
            && !self.is_handshaking()
            && self.websocket.as_ref().is_none_or(|layer| layer.is_open())
    }

    /// Takes bytes from the socket, in place, and hands on those of MQTT. What the peer is to be answered is added to
    /// the output, also when it fails.
    ///
    /// # Errors
    /// The peer breaks the rules of its transport; the connection is to be closed when the output is sent.
    pub fn receive(
        &mut self,
        bytes: &mut [u8],
        mqtt: &mut dyn FnMut(&[u8]),
    ) -> Result<Progress, Failure> {
        let mut rest = bytes;
        if let Some(proxy) = &mut self.proxy {
            let (header, rules) = &mut **proxy;
            let Some((consumed, told)) = header.receive(rest)? else {
                return Ok(Progress::Open);
            };
            let admitted = rules.admit(&told);
            self.source = told.source;
            self.proxy = None;
            // Whoever is not let in is not listened to either.
            self.is_closed = admitted.is_err();
            self.user = admitted?;
            rest = rest.split_at_mut(consumed).1;
        }
        if rest.is_empty() || self.is_closed {
            return Ok(Progress::Open);
        }
        let Some(tls) = &mut self.tls else {
            return receive_above(&mut self.websocket, rest, &mut self.next, mqtt);
        };
        let (mut answer, mut above) = (Vec::new(), Ok(Progress::Open));
        let websocket = &mut self.websocket;
        let below = tls.receive(rest, &mut self.next, &mut |plain| {
            if matches!(above, Ok(Progress::Open)) {
                above = receive_above(websocket, plain, &mut answer, mqtt);
            }
        });
        if !answer.is_empty() && below.is_ok() {
            tls.send(&[&answer], &mut self.next)?;
        }
        match (below?, above?) {
            (tls::Progress::Open, Progress::Open) => Ok(Progress::Open),
            _ => Ok(Progress::Closed),
        }
    }

    /// Tells once what was found out about the peer, as soon as the layers that know are through.
    pub fn identity(&mut self) -> Option<Identity> {
        if self.is_identified || self.proxy.is_some() || self.is_handshaking() {
            return None;
        }
        self.is_identified = true;
        let user = match &self.tls {
            Some(tls) => tls.identity().map(Into::into),
            None => self.user.take(),
        };
        Some(Identity {
            source: self.source,
            user,
        })
    }

    /// The peer's address, as soon as a proxy has told it.
    pub fn source(&self) -> Option<IpAddr> {
        self.source.map(|source| source.ip())
    }

    /// What was agreed on in the TLS handshake, once it is over.
    pub fn tls(&self) -> Option<tls::Summary> {
        let tls = self.tls.as_ref()?;
        (!tls.is_handshaking()).then(|| tls.summary())
    }

    /// Adds these bytes of MQTT to the output: as one WebSocket frame, as few TLS records. With `parts`, lengths that add up
    /// to them, no record and no frame has bytes of two parts.
    ///
    /// # Errors
    /// TLS cannot go on (a connection's keys are used up).
    pub fn pack(&mut self, mqtt: &[&[u8]], parts: &[u32]) -> Result<(), Failure> {
        match (&mut self.tls, &self.websocket, parts) {
            (_, _, []) => self.pack_together(mqtt),
            (Some(tls), None, parts) => Ok(tls.send_parts(mqtt, parts, &mut self.next)?),
            (Some(tls), Some(_), parts) => {
                let (framed, parts) = frames(mqtt, parts);
                Ok(tls.send_parts(&[&framed], &parts, &mut self.next)?)
            }
            (None, Some(_), parts) => {
                let (framed, _) = frames(mqtt, parts);
                self.next.extend_from_slice(&framed);
                Ok(())
            }
            (None, None, _) => self.pack_together(mqtt),
        }
    }

    fn pack_together(&mut self, mqtt: &[&[u8]]) -> Result<(), Failure> {
        let bytes = mqtt.iter().map(|slice| slice.len()).sum();
        let header = WebSocket::header(bytes);
        let header = match self.websocket {
            Some(_) => header.as_ref(),
            None => &[],
        };
        match &mut self.tls {
            Some(tls) if header.is_empty() => tls.send(mqtt, &mut self.next)?,
            Some(tls) => {
                let mut framed: smallvec::SmallVec<[&[u8]; 16]> = smallvec::smallvec![header];
                framed.extend_from_slice(mqtt);
                tls.send(&framed, &mut self.next)?;
            }
            None => {
                self.next.reserve(header.len() + bytes);
                self.next.extend_from_slice(header);
                for slice in mqtt {
                    self.next.extend_from_slice(slice);
                }
            }
        }
        Ok(())
    }

    /// What is to be sent now. It stays where it is until `took` has been told of all of it.
    pub fn output(&mut self) -> &[u8] {
        if self.taken == self.sending.len() && !self.next.is_empty() {
            self.sending.clear();
            self.taken = 0;
            std::mem::swap(&mut self.sending, &mut self.next);
        }
        &self.sending[self.taken..]
    }

    /// Whether anything is to be sent.
    pub fn has_output(&self) -> bool {
        self.taken < self.sending.len() || !self.next.is_empty()
    }

    /// So many bytes of the output have been sent; returns whether all of what `output` returned has.
    pub fn took(&mut self, bytes: usize) -> bool {
        self.taken = (self.taken + bytes).min(self.sending.len());
        let all = self.taken == self.sending.len();
        if all {
            // An idle connection owns no buffer.
            self.sending = Vec::new();
            self.taken = 0;
        }
        all
    }

    /// Announces the end to the peer, once; the output says how.
    pub fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) || self.proxy.is_some() {
            return;
        }
        let mut frame = Vec::new();
        if let Some(websocket) = &mut self.websocket
            && websocket.is_open()
        {
            websocket.close(CLOSE_NORMAL, &mut frame);
        }
        match &mut self.tls {
            Some(tls) => {
                if !frame.is_empty() {
                    // A connection that cannot be encrypted any more ends without a goodbye.
                    let _ = tls.send(&[&frame], &mut self.next);
                }
                tls.close(&mut self.next);
            }
            None => self.next.extend_from_slice(&frame),
        }
    }

    /// Bytes held for the peer: output, and what was received of a record or frame that is not whole.
    pub fn held_bytes(&self) -> usize {
        let websocket = self
            .websocket
            .as_ref()
            .map_or(0, |layer| layer.held_bytes());
        let tls = self.tls.as_ref().map_or(0, |tls| tls.held_bytes());
        let proxy = self.proxy.as_ref().map_or(0, |proxy| proxy.0.held_bytes());
        self.sending.capacity() + self.next.capacity() + websocket + tls + proxy
    }

    /// Bytes that it costs: what is held, and its state. Cheap to ask.
    pub fn cost(&self) -> u64 {
        let tls = self.tls.as_ref().map_or(0, |tls| tls.state_bytes());
        let websocket = self
            .websocket
            .as_ref()
            .map_or(0, |_| size_of::<WebSocket>());
        (size_of::<Self>() + websocket + self.held_bytes()) as u64 + tls
    }

    /// Bytes that wait behind those being sent.
    pub fn waiting_bytes(&self) -> usize {
        self.next.len()
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tls, websocket) = (self.tls.is_some(), self.websocket.is_some());
        write!(f, "Transport {{ tls: {tls}, websocket: {websocket} }}")
    }
}

/// A WebSocket frame for each part, and their lengths.
fn frames(mqtt: &[&[u8]], parts: &[u32]) -> (Vec<u8>, Vec<u32>) {
    let mqtt = mqtt.concat();
    let mut framed = Vec::with_capacity(mqtt.len() + parts.len() * size_of::<websocket::Header>());
    let mut lengths = Vec::with_capacity(parts.len());
    let mut rest = &mqtt[..];
    for &part in parts {
        let (part, after) = rest.split_at_checked(part as usize).unwrap_or((rest, &[]));
        let start = framed.len();
        framed.extend_from_slice(WebSocket::header(part.len()).as_ref());
        framed.extend_from_slice(part);
        lengths.push((framed.len() - start) as u32);
        rest = after;
    }
    (framed, lengths)
}

/// What lies above TLS.
fn receive_above(
    websocket: &mut Option<Box<WebSocket>>,
    bytes: &mut [u8],
    out: &mut Vec<u8>,
    mqtt: &mut dyn FnMut(&[u8]),
) -> Result<Progress, Failure> {
    match websocket {
        None => {
            mqtt(bytes);
            Ok(Progress::Open)
        }
        Some(websocket) => match websocket.receive(bytes, out, mqtt)? {
            websocket::Progress::Open => Ok(Progress::Open),
            websocket::Progress::Closed => Ok(Progress::Closed),
        },
    }
}
