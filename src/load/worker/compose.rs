//! From a message that is due to bytes in its publisher's output.

use crate::load::job::Job;
use crate::load::model::Event;
use crate::load::stamp::{self, Stamp};
use crate::mqtt::{PublishHead, QoS};

use super::protocol::Protocol;

/// Where a message of the bus model belongs.
pub(super) struct InStream {
    pub stream: u32,
    /// When it was to be published.
    pub intended_ns: u64,
    /// Deliveries that it is to cause.
    pub fanout: u64,
}

impl Protocol {
    /// Appends a message of a stream to a publisher's output.
    #[inline]
    pub(super) fn append(&mut self, job: &Job, index: u32, stream: u32, intended_ns: u64) {
        let sequence = self.count_sent(stream);
        let stamp = Stamp {
            run: self.run(),
            stream,
            sequence,
            intended_ns,
        };
        let payload_len = stamp::STAMP_BYTES + job.filler.len();
        let topic = &job.streams[stream as usize].topic;
        let out = self.append_head(job, index, topic, payload_len, intended_ns);
        stamp::append_plain(out, stamp, &job.filler);
        self.meter_published(payload_len, u64::from(job.streams[stream as usize].fanout));
    }

    /// Appends a message without payload, which empties a retained topic. It is nobody's delivery.
    pub(super) fn append_empty(&mut self, job: &Job, index: u32, stream: u32, at_ns: u64) {
        let topic = &job.streams[stream as usize].topic;
        self.append_head(job, index, topic, 0, at_ns);
    }

    /// Appends a message of the bus model: a payload with room for its stamp.
    pub(super) fn append_json(
        &mut self,
        job: &Job,
        index: u32,
        place: InStream,
        event: &mut Event,
    ) {
        let InStream {
            stream,
            intended_ns,
            fanout,
        } = place;
        let sequence = self.count_sent(stream);
        let stamp = Stamp {
            run: self.run(),
            stream,
            sequence,
            intended_ns,
        };
        stamp::write_json(&mut event.payload, stamp);
        let bytes = event.payload.len();
        let out = self.append_head(job, index, &event.topic, bytes, intended_ns);
        out.extend_from_slice(&event.payload);
        self.meter_published(bytes, fanout);
    }

    #[inline]
    fn count_sent(&mut self, stream: u32) -> u32 {
        let sent = &mut self.published.by_stream[stream as usize];
        *sent += 1;
        *sent - 1
    }

    #[inline]
    fn meter_published(&mut self, bytes: usize, fanout: u64) {
        self.published.messages += 1;
        self.published.deliveries += fanout;
        self.meter.published(bytes, 0, None);
    }

    #[inline]
    fn append_head(
        &mut self,
        job: &Job,
        index: u32,
        topic: &str,
        payload_len: usize,
        at_ns: u64,
    ) -> &mut Vec<u8> {
        let (version, qos, retain) = (job.settings.version, job.qos, job.retain);
        self.published.unacknowledged += u64::from(qos != QoS::AtMostOnce);
        let connection = self.output(index);
        let head = PublishHead {
            version,
            dup: false,
            qos,
            retain,
            topic: topic.as_bytes(),
            packet_id: (qos != QoS::AtMostOnce).then(|| connection.client.begin_publish(at_ns)),
            topic_alias: None,
            message_expiry: None,
            subscription_ids: &[],
            properties: &[],
            payload_len,
        };
        let start = connection.out.len();
        connection.out.resize(start + head.head_len(), 0);
        head.write_head(&mut connection.out[start..]);
        &mut connection.out
    }
}
