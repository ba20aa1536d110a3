//! Output equals the concatenation of what was queued, under any short sends; drops take whole QoS 0 messages only. Gates
//! have tests of their own.

mod gates;

use super::*;
use proptest::prelude::*;

/// A PUBLISH with this first byte whose payload has `len` bytes that depend on `seed`.
fn packet(first: u8, len: usize, seed: u8) -> Vec<u8> {
    let mut bytes = vec![first];
    let mut rest = len;
    loop {
        let byte = (rest & 0x7f) as u8;
        rest >>= 7;
        bytes.push(if rest > 0 { byte | 0x80 } else { byte });
        if rest == 0 {
            break;
        }
    }
    bytes.extend((0..len).map(|index| (index as u8).wrapping_mul(31).wrapping_add(seed)));
    bytes
}

/// An outbound log beside what each connection should receive.
struct Model {
    out: Outbound,
    queued: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
    in_flight: Vec<usize>,
    /// Where packets end in what was queued; none once some were dropped.
    ends: Vec<Vec<usize>>,
}

impl Model {
    fn new(conns: usize) -> Self {
        let mut out = Outbound::new();
        (0..conns).for_each(|index| out.open(ConnId(index as u32)));
        Model {
            out,
            queued: vec![vec![]; conns],
            received: vec![vec![]; conns],
            in_flight: vec![0; conns],
            ends: vec![vec![]; conns],
        }
    }

    fn queue(&mut self, conns: &[usize], packet: &[u8], by_reference: bool) {
        let range = match by_reference {
            true => self.out.reference(Bytes::copy_from_slice(packet)),
            false => self.out.append_bytes(packet),
        };
        for &conn in conns {
            self.out.push(ConnId(conn as u32), range);
            self.queued[conn].extend_from_slice(packet);
            self.ends[conn].push(self.queued[conn].len());
        }
        self.out.settle();
        self.serve_cancels();
    }

    /// Cancelled sends have taken nothing.
    fn serve_cancels(&mut self) {
        while let Some(conn) = self.out.next_cancel() {
            self.sent(conn.index(), 0);
        }
    }

    fn gather(&mut self, conn: usize) {
        if self.in_flight[conn] == 0 {
            let max = match conn {
                3 => limits::TRANSPORT_SEND_BYTES_SPLIT,
                _ => limits::SEND_BYTES_MAX,
            };
            self.in_flight[conn] = self
                .out
                .gather(ConnId(conn as u32), 0, max, &mut Vec::new());
            self.check_parts(conn);
            self.out.settle();
            self.serve_cancels();
        }
    }

    /// What is in flight is told packet by packet.
    fn check_parts(&self, conn: usize) {
        if self.ends[conn].is_empty() {
            return;
        }
        let mut parts = Vec::new();
        self.out.parts(ConnId(conn as u32), &mut parts);
        let start = self.received[conn].len();
        let end = start + self.in_flight[conn];
        let within = |at: &&usize| (start + 1..end).contains(*at);
        let mut expected: Vec<usize> = self.ends[conn].iter().filter(within).copied().collect();
        expected.extend((end > start).then_some(end));
        let mut at = start;
        let got = parts.iter().map(|&part| {
            at += part as usize;
            at
        });
        assert_eq!(got.collect::<Vec<_>>(), expected);
    }

    fn sent(&mut self, conn: usize, written: usize) {
        let written = written.min(self.in_flight[conn]);
        let mut bytes = Vec::new();
        self.out.gathered_into(ConnId(conn as u32), &mut bytes);
        assert_eq!(bytes.len(), self.in_flight[conn]);
        self.received[conn].extend_from_slice(&bytes[..written]);
        self.out.sent(ConnId(conn as u32), written);
        self.out.settle();
        self.in_flight[conn] = 0;
    }

    fn finish(&mut self) {
        for conn in 0..self.queued.len() {
            while self.out.pending(ConnId(conn as u32)) > 0 {
                self.gather(conn);
                self.sent(conn, usize::MAX);
            }
        }
        self.out.settle();
    }
}

#[derive(Clone, Debug)]
enum Step {
    Queue {
        conns: Vec<usize>,
        len: usize,
        qos: u8,
        by_reference: bool,
    },
    Gather(usize),
    Sent(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    let conns = proptest::collection::vec(0..4usize, 1..4).prop_map(|mut conns| {
        conns.sort_unstable();
        conns.dedup();
        conns
    });
    let len = prop_oneof![8 => 0..200usize, 2 => 10_000..60_000usize, 1 => 300_000..1_200_000usize];
    prop_oneof![
        4 => (conns, len, 0..2u8, any::<bool>())
            .prop_map(|(conns, len, qos, by_reference)| Step::Queue { conns, len, qos, by_reference }),
        2 => (0..4usize).prop_map(Step::Gather),
        2 => (0..4usize, prop_oneof![0..300usize, 0..3_000_000usize]).prop_map(|(conn, bytes)| Step::Sent(conn, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn output_is_what_was_queued(steps in proptest::collection::vec(step(), 1..150)) {
        let mut model = Model::new(4);
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                Step::Queue { conns, len, qos, by_reference } => {
                    model.queue(&conns, &packet(0x30 | qos << 1, len, index as u8), by_reference);
                }
                Step::Gather(conn) => model.gather(conn),
                Step::Sent(conn, written) => model.sent(conn, written),
            }
        }
        model.finish();
        for conn in 0..4 {
            prop_assert!(model.received[conn] == model.queued[conn], "connection {conn}");
        }
        prop_assert_eq!(model.out.pending_total(), 0);
        prop_assert_eq!(model.out.in_flight(), 0);
    }

    #[test]
    fn only_whole_messages_of_qos_0_are_dropped(
        lens in proptest::collection::vec((0..300usize, 0..2u8, any::<bool>()), 2..120),
        written in 0..4000usize,
        keep in 0..6000u32,
        gathers in any::<bool>(),
    ) {
        let mut model = Model::new(1);
        let mut packets = Vec::new();
        for (index, (len, qos, by_reference)) in lens.into_iter().enumerate() {
            let bytes = packet(0x30 | qos << 1, len, index as u8);
            model.queue(&[0], &bytes, by_reference);
            packets.push(bytes);
        }
        model.gather(0);
        model.sent(0, written);
        if gathers {
            model.gather(0);
        }
        let before = model.out.pending(ConnId(0));
        let dropped = model.out.drop_oldest(ConnId(0), keep);
        prop_assert_eq!(u64::from(before), u64::from(model.out.pending(ConnId(0))) + dropped.bytes);
        model.ends[0].clear();
        if model.in_flight[0] > 0 {
            model.sent(0, 100);
        }
        model.finish();
        // What arrived is the packets in order, without some whole ones of QoS 0.
        let mut rest = model.received[0].as_slice();
        let mut missing = 0;
        for packet in &packets {
            match rest.strip_prefix(packet.as_slice()) {
                Some(after) => rest = after,
                None => {
                    prop_assert_eq!(packet[0], 0x30);
                    missing += 1;
                }
            }
        }
        prop_assert!(rest.is_empty());
        prop_assert_eq!(missing, dropped.messages);
    }
}

#[test]
fn messages_in_a_row_are_one_range() {
    let mut model = Model::new(2);
    for index in 0..1000 {
        model.queue(&[0, 1], &packet(0x30, 64, index as u8), false);
    }
    let mut slices = Vec::new();
    model
        .out
        .gather(ConnId(0), 0, limits::SEND_BYTES_MAX, &mut slices);
    assert_eq!(slices.len(), 1);
    assert_eq!(slices[0].len, 66_000);
}

#[test]
fn one_who_lags_does_not_hold_the_window() {
    let mut model = Model::new(2);
    let bytes = packet(0x32, 100_000, 1);
    for index in 0..600 {
        // Connection 0 takes all, connection 1 gets a little now and then and takes nothing.
        model.queue(&[0], &bytes, false);
        if index % 50 == 0 {
            model.queue(&[1], &bytes, false);
            model.gather(1);
        }
        model.gather(0);
        model.sent(0, usize::MAX);
        let bound = (limits::SEGMENTS_WINDOW + 2) * limits::SEGMENT_BYTES
            + model.out.pending(ConnId(1)) as usize;
        assert!(
            model.out.memory() <= bound,
            "{} > {bound}",
            model.out.memory()
        );
    }
    model.finish();
    assert_eq!(model.received[1], model.queued[1]);
}

#[test]
fn memory_is_given_back() {
    let mut model = Model::new(3);
    for index in 0..100 {
        model.queue(&[0, 1, 2], &packet(0x30, 100_000, index), index % 2 == 0);
    }
    assert!(model.out.memory() > 4 << 20);
    model.finish();
    assert!(model.out.memory() <= (limits::SEGMENTS_KEPT + 1) * limits::SEGMENT_BYTES);
    for conn in 0..3 {
        model.out.close(ConnId(conn));
    }
    assert!(model.out.blobs.live() <= limits::SEGMENTS_KEPT + 1);
}

#[test]
fn a_closed_queue_leaves_nothing_behind() {
    let mut model = Model::new(1);
    model.queue(&[0], &packet(0x30, 500_000, 0), false);
    model.queue(&[0], &packet(0x30, 500_000, 0), true);
    model.out.close(ConnId(0));
    model.out.settle();
    assert_eq!(model.out.pending_total(), 0);
    model.out.open(ConnId(0));
    model.queue(&[0], b"\xd0\x00", false);
    assert_eq!(model.out.next_dirty(), Some(ConnId(0)));
    assert_eq!(model.out.next_dirty(), None);
}

/// Looking through a long queue is not repeated for every message: only when something was sent is there new hope.
#[test]
fn a_queue_that_cannot_shrink_is_searched_once_a_send() {
    let mut model = Model::new(1);
    for index in 0..100 {
        model.queue(&[0], &packet(0x32, 1000, index), false);
    }
    assert_eq!(model.out.drop_oldest(ConnId(0), 1000).messages, 0);
    for index in 0..3 {
        model.queue(&[0], &packet(0x30, 1000, index), false);
    }
    assert_eq!(model.out.drop_oldest(ConnId(0), 1000).messages, 0);
    model.gather(0);
    model.sent(0, 500);
    assert_eq!(
        model.out.drop_oldest(ConnId(0), 1000).messages,
        2,
        "all but the newest"
    );
}

/// A payload that many share is not copied for each of them because they have many small packets beside it.
#[test]
fn a_large_payload_stays_shared_in_a_queue_of_many_ranges() {
    const CONNS: usize = 10;
    let mut model = Model::new(CONNS);
    let all: Vec<usize> = (0..CONNS).collect();
    model.queue(&all, &packet(0x32, 1 << 20, 1), true);
    for seed in 0..1000 {
        for conn in 0..CONNS {
            model.queue(&[conn], &packet(0x32, 20, seed as u8), false);
        }
    }
    let ranges: Vec<usize> = model.out.queues.iter().map(|queue| queue.len()).collect();
    assert!(
        ranges.iter().all(|&len| len <= limits::QUEUE_RANGES_MAX),
        "{ranges:?}"
    );
    assert!(model.out.memory() < 4 << 20, "{}", model.out.memory());
    for conn in 0..CONNS {
        while model.received[conn].len() < model.queued[conn].len() {
            model.gather(conn);
            model.sent(conn, usize::MAX);
        }
        assert_eq!(model.received[conn], model.queued[conn]);
    }
}

/// Large and small packets by turns: copying stops to help, so that it is not done for every packet.
#[test]
fn a_queue_of_large_and_small_ranges_is_not_copied_for_every_packet() {
    let mut model = Model::new(2);
    let mut changes = 0;
    for seed in 0..2000 {
        let len = if seed % 8 == 0 { 33_000 } else { 20 };
        // Another connection's packet between them: the ranges do not merge.
        model.queue(&[1], &packet(0x32, 10, 0), false);
        let before = model.out.queues[0].len();
        model.queue(&[0], &packet(0x32, len, seed as u8), len > 20);
        changes += usize::from(model.out.queues[0].len() <= before);
    }
    assert!(model.out.queues[0].len() <= limits::QUEUE_RANGES_MAX);
    assert!(
        changes <= 2000 / (limits::QUEUE_RANGES_MAX / 2),
        "{changes}"
    );
    model.finish();
    assert_eq!(model.received, model.queued);
}

/// A queue of many small messages, 70 of which are QoS 0 and before `between`, that loses most of them when it is copied together: the
/// head is full, and the next segment pushes it out of the window.
fn shrinks_when_copied(between: impl FnOnce(&mut Outbound)) -> Model {
    let mut model = Model::new(2);
    model.out.set_memory(1);
    model.out.set_private_max(limits::OUTBOUND_BYTES_MIN);
    let queue_some = |model: &mut Model, count: usize| {
        for seed in 0..count {
            // Another connection's packet between them: the ranges do not merge.
            model.queue(&[1], &packet(0x32, 1, 0), false);
            model.queue(&[0], &packet(0x30, 450, seed as u8), false);
        }
    };
    queue_some(&mut model, 70);
    between(&mut model.out);
    queue_some(&mut model, 180);
    model.gather(1);
    model.sent(1, usize::MAX);
    let fill = model.out.blobs.room() - 1000;
    model.queue(&[1], &packet(0x32, fill, 0), false);
    model.ends[0].clear();
    model
}

#[test]
fn a_queue_that_shrinks_while_it_is_copied_together_is_sent_as_it_is_then() {
    let mut model = shrinks_when_copied(|_| ());
    let before = model.out.pending(ConnId(0));
    model.gather(0);
    let dropped = model.out.take_dropped();
    assert!(dropped.messages > 70);
    let kept = u64::from(before) - dropped.bytes;
    assert_eq!(u64::from(model.out.pending(ConnId(0))), kept);
    model.finish();
    let whole = &model.queued[0];
    assert!(model.received[0] == whole[whole.len() - kept as usize..]);
}

/// All that lies before the gate goes then: nothing is sent until it opens.
#[test]
fn a_queue_that_shrinks_to_a_gate_while_it_is_copied_together_is_not_sent() {
    let mut model = shrinks_when_copied(|out| out.gate(ConnId(0), 1));
    model.gather(0);
    assert!(model.out.take_dropped().messages > 70);
    assert_eq!((model.in_flight[0], model.out.in_flight()), (0, 0));
    model.out.open_gates(1);
    model.finish();
    assert!(model.queued[0].ends_with(&model.received[0]));
    assert!(model.received[0].len() > 1000);
}
