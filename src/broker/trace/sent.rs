//! What a socket has taken, in pieces that end anywhere, cut into packets.
//!
//! A packet that comes in one piece is looked at where it is. Of one that comes in several the start is kept, as much as is ever shown
//! of it.

use crate::limits;
use crate::mqtt::{FrameStatus, frame};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct SentPackets {
    /// Bytes that come next and are not looked at.
    passed: usize,
    /// The start of a packet.
    begun: Vec<u8>,
    /// What was taken is no row of packets: nothing is looked at any more.
    is_lost: bool,
}

impl SentPackets {
    /// Of a connection of which a packet is under way, so many bytes of which are still to come.
    pub(crate) fn behind(rest: usize) -> SentPackets {
        SentPackets {
            passed: rest,
            ..SentPackets::default()
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        self.begun.capacity()
    }

    /// The socket has taken these bytes. Hands on each packet that is whole: what is known of it, and how many bytes it has.
    pub(crate) fn take(&mut self, mut bytes: &[u8], mut each: impl FnMut(&[u8], usize)) {
        while !bytes.is_empty() && !self.is_lost {
            if self.passed > 0 {
                let passed = self.passed.min(bytes.len());
                self.passed -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            if self.begun.is_empty()
                && let Ok(FrameStatus::Complete(frame)) = frame(bytes, u32::MAX)
            {
                each(&bytes[..frame.total_len], frame.total_len);
                bytes = &bytes[frame.total_len..];
                continue;
            }
            bytes = self.go_on(bytes, &mut each);
        }
    }

    /// Adds to a packet that has begun; returns the bytes behind what was added.
    fn go_on<'a>(&mut self, bytes: &'a [u8], each: &mut impl FnMut(&[u8], usize)) -> &'a [u8] {
        // As long as its length is not known, byte by byte.
        let total = match frame(&self.begun, u32::MAX) {
            Ok(FrameStatus::Incomplete { total_len }) => total_len,
            Ok(FrameStatus::Complete(frame)) => Some(frame.total_len),
            Err(_) => {
                self.is_lost = true;
                return &[];
            }
        };
        let kept = total.map(|total| total.min(limits::TRACE_PACKET_BYTES_MAX));
        let wanted = kept.map_or(1, |kept| kept.saturating_sub(self.begun.len()));
        let (more, rest) = bytes.split_at(wanted.min(bytes.len()));
        self.begun.extend_from_slice(more);
        let total = total.or_else(|| match frame(&self.begun, u32::MAX) {
            Ok(FrameStatus::Complete(frame)) => Some(frame.total_len),
            _ => None,
        });
        if let Some(total) = total
            && self.begun.len() >= total.min(limits::TRACE_PACKET_BYTES_MAX)
        {
            self.passed = total - self.begun.len();
            each(&self.begun, total);
            self.begun = Vec::new();
        }
        rest
    }
}
