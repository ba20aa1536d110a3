//! What both sides of a TLS connection do with rustls' unbuffered interface.

use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, InsufficientSizeError,
    UnbufferedStatus, WriteTraffic,
};

/// Bytes that a record adds to what it carries, at most, in the suites of `suites`: header, nonce, tag, content type.
const RECORD_OVERHEAD: usize = 32;

/// Bytes of the greatest record's plaintext (RFC 8446, 5.1).
const RECORD_BYTES: usize = 1 << 14;

/// Whether the peer goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More may come.
    Open,
    /// close_notify has come.
    Closed,
}

/// rustls has the same method on two types, and no trait.
pub(super) trait Machine {
    type Data;
    fn step<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data>;
    /// Whether messages of its own wait to be sent.
    fn has_words(&self) -> bool;
}

impl Machine for UnbufferedServerConnection {
    type Data = ServerConnectionData;
    fn step<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
    fn has_words(&self) -> bool {
        self.wants_write()
    }
}

impl Machine for UnbufferedClientConnection {
    type Data = ClientConnectionData;
    fn step<'c, 'i>(&'c mut self, bytes: &'i mut [u8]) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(bytes)
    }
    fn has_words(&self) -> bool {
        self.wants_write()
    }
}

/// Works off what is whole; returns the bytes used. Plaintext is added to `plain`, answers to `out`.
pub(super) fn receive<M: Machine>(
    machine: &mut M,
    bytes: &mut [u8],
    out: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> Result<(usize, Progress), rustls::Error> {
    let (mut used, mut progress) = (0, Progress::Open);
    loop {
        let UnbufferedStatus { mut discard, state } = machine.step(&mut bytes[used..]);
        let is_over = match state {
            Err(error) => {
                last_words(machine, &mut bytes[used + discard..], out);
                return Err(error);
            }
            Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                while let Some(record) = traffic.next_record() {
                    let record = record?;
                    plain.extend_from_slice(record.payload);
                    discard += record.discard;
                }
                false
            }
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, out)?;
                false
            }
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                false
            }
            Ok(ConnectionState::PeerClosed) => {
                progress = Progress::Closed;
                false
            }
            Ok(_) => true,
        };
        used += discard;
        if is_over {
            return Ok((used, progress));
        }
    }
}

/// As `receive`, with what was not whole before in front, and what is not whole now kept: in `kept`, which owns no
/// memory while it is empty.
pub(super) fn receive_and_keep<M: Machine>(
    machine: &mut M,
    kept: &mut Vec<u8>,
    bytes: &mut [u8],
    out: &mut Vec<u8>,
    plain: &mut Vec<u8>,
) -> Result<Progress, rustls::Error> {
    if kept.is_empty() {
        let (used, progress) = receive(machine, bytes, out, plain)?;
        if progress == Progress::Open {
            kept.extend_from_slice(&bytes[used..]);
        }
        return Ok(progress);
    }
    kept.extend_from_slice(bytes);
    let (used, progress) = receive(machine, kept, out, plain)?;
    match used < kept.len() && progress == Progress::Open {
        true => drop(kept.drain(..used)),
        false => *kept = Vec::new(),
    }
    Ok(progress)
}

/// The alert that tells the peer why. A connection that has failed is not to be asked for more than that.
/// rustls wants to see what it has not used, always: it remembers where in there the parts of a message lie, and ends
/// the program when they do not.
fn last_words<M: Machine>(machine: &mut M, mut rest: &mut [u8], out: &mut Vec<u8>) {
    while machine.has_words() {
        let UnbufferedStatus { discard, state } = machine.step(rest);
        match state {
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if encode(&mut data, out).is_err() {
                    return;
                }
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            _ => return,
        }
        rest = rest.split_at_mut(discard).1;
    }
}

/// Encrypts to the end of `out`: each of `parts`, lengths that add up to what `plain` has, in as few records as possible,
/// and none of them with bytes of two parts. `kept` is what was received and not used.
pub(super) fn send<M: Machine>(
    machine: &mut M,
    kept: &mut Vec<u8>,
    plain: &[u8],
    parts: &[u32],
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let room = |bytes: usize| bytes + bytes.div_ceil(RECORD_BYTES).max(1) * RECORD_OVERHEAD;
    when_writable(machine, kept, out, |traffic, out| {
        let wanted = parts.iter().map(|&part| room(part as usize)).sum();
        // Exactly: how much is charged is what is there.
        out.reserve_exact(wanted);
        let mut rest = plain;
        for &part in parts {
            let (plain, after) = rest.split_at_checked(part as usize).unwrap_or((rest, &[]));
            rest = after;
            fit(out, room(plain.len()), |room| {
                traffic
                    .encrypt(plain, room)
                    .map_err(|error| (required(&error), error))
            })
            .map_err(|error| format!("TLS cannot send: {error}"))?;
        }
        Ok(())
    })
}

/// Announces the end (close_notify), as far as the handshake has come.
pub(super) fn close<M: Machine>(machine: &mut M, kept: &mut Vec<u8>, out: &mut Vec<u8>) {
    // Whoever cannot be told any more learns of it by the end of the connection.
    let _ = when_writable(machine, kept, out, |traffic, out| {
        fit(out, 2 + RECORD_OVERHEAD, |room| {
            traffic
                .queue_close_notify(room)
                .map_err(|error| (required(&error), error))
        })
        .map_err(|error| error.to_string())
    });
}

/// Sends what rustls has to say first, then calls `write`.
fn when_writable<M: Machine>(
    machine: &mut M,
    kept: &mut Vec<u8>,
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut WriteTraffic<'_, M::Data>, &mut Vec<u8>) -> Result<(), String>,
) -> Result<(), String> {
    loop {
        let UnbufferedStatus { discard, state } = machine.step(kept);
        match state {
            Err(error) => return Err(error.to_string()),
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                encode(&mut data, out).map_err(|error| error.to_string())?
            }
            Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
            Ok(ConnectionState::WriteTraffic(mut traffic)) => return write(&mut traffic, out),
            // Half closed: the peer sends no more, and may still be sent to.
            Ok(ConnectionState::PeerClosed) => {}
            Ok(_) => return Err("the TLS handshake is not over".into()),
        }
        kept.drain(..discard);
    }
}

fn encode<D>(data: &mut EncodeTlsData<'_, D>, out: &mut Vec<u8>) -> Result<(), rustls::Error> {
    fit(out, RECORD_BYTES, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(InsufficientSizeError { required_size }) => {
                (Some(required_size), error)
            }
            _ => (None, error),
        })
    })
    .map_err(|error| rustls::Error::General(error.to_string()))
}

fn required(error: &EncryptError) -> Option<usize> {
    match error {
        EncryptError::InsufficientSize(InsufficientSizeError { required_size }) => {
            Some(*required_size)
        }
        _ => None,
    }
}

/// Has `write` write to the end of `out`, with so much room, or with more if it asks for more.
fn fit<E>(
    out: &mut Vec<u8>,
    mut room: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, (Option<usize>, E)>,
) -> Result<(), E> {
    let start = out.len();
    loop {
        out.resize(start + room, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err((Some(more), _)) if more > room => room = more,
            Err((_, error)) => {
                out.truncate(start);
                return Err(error);
            }
        }
    }
}
