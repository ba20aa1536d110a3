//! Nothing passes a gate before it opens, and everything does then.

use std::collections::VecDeque;

use super::*;

const A: ConnId = ConnId(0);
const B: ConnId = ConnId(1);

fn outbound(conns: u32) -> Outbound {
    let mut out = Outbound::new();
    (0..conns).for_each(|conn| out.open(ConnId(conn)));
    out
}

/// Queues a packet with a payload of `len` bytes of `seed`; returns how long it is.
fn queue(out: &mut Outbound, conn: ConnId, first: u8, len: usize) -> u32 {
    let bytes = packet(first, len, 7);
    let range = out.append_bytes(&bytes);
    out.push(conn, range);
    out.settle();
    bytes.len() as u32
}

fn dirty(out: &mut Outbound) -> Vec<ConnId> {
    let mut all: Vec<ConnId> = std::iter::from_fn(|| out.next_dirty()).collect();
    all.sort_unstable();
    all
}

/// How much goes out to a connection now.
fn takes(out: &mut Outbound, conn: ConnId) -> u32 {
    let bytes = out.gather(conn, 0, limits::SEND_BYTES_MAX, &mut Vec::new());
    out.sent(conn, bytes);
    out.settle();
    bytes as u32
}

#[test]
fn what_is_behind_a_gate_goes_out_when_it_opens() {
    let mut out = outbound(2);
    let before = queue(&mut out, A, 0x32, 10);
    out.gate(A, 5);
    let behind = queue(&mut out, A, 0x34, 100);
    out.gate(B, 6);
    queue(&mut out, B, 0x34, 3);
    assert_eq!(out.queues[0].len(), 1, "a gate costs no range");
    assert_eq!(dirty(&mut out), [A], "nothing of B may go out");
    assert_eq!(takes(&mut out, A), before);
    assert_eq!(dirty(&mut out), []);
    assert_eq!(takes(&mut out, A), 0);
    assert_eq!(out.pending(A), behind);
    out.open_gates(4);
    assert_eq!(dirty(&mut out), []);
    out.open_gates(5);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), behind);
    out.open_gates(6);
    assert_eq!(dirty(&mut out), [B]);
    out.gate(A, 6);
    queue(&mut out, A, 0x34, 3);
    assert_eq!(
        dirty(&mut out),
        [A],
        "a gate that would be open already is none"
    );
}

/// Gates with nothing between them are one, so that their number is bounded by what is queued.
#[test]
fn gates_at_one_place_are_one() {
    let mut out = outbound(2);
    queue(&mut out, B, 0x32, 1);
    for after in 1..10_000 {
        out.gate(A, after);
        out.gate(A, after);
        out.gate(B, after);
    }
    assert!(out.gates.memory() < 4096, "{}", out.gates.memory());
    let len = queue(&mut out, A, 0x34, 1);
    out.open_gates(9_998);
    assert_eq!(dirty(&mut out), [B]);
    takes(&mut out, B);
    out.open_gates(9_999);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), len);
}

/// One may be moved to a higher number over those of others, which open before it.
#[test]
fn gates_open_in_the_order_of_numbers() {
    let mut out = outbound(2);
    out.gate(A, 1);
    out.gate(B, 2);
    out.gate(A, 3);
    queue(&mut out, A, 0x34, 1);
    queue(&mut out, B, 0x34, 1);
    out.open_gates(2);
    assert_eq!(dirty(&mut out), [B]);
    takes(&mut out, B);
    out.open_gates(3);
    assert_eq!(dirty(&mut out), [A]);
}

#[test]
fn a_gate_that_opens_while_a_send_is_in_flight_lets_out_the_rest_behind_it() {
    let mut out = outbound(1);
    let before = queue(&mut out, A, 0x32, 100);
    out.gate(A, 1);
    let behind = queue(&mut out, A, 0x34, 100);
    assert_eq!(dirty(&mut out), [A]);
    let in_flight = out.gather(A, 0, limits::SEND_BYTES_MAX, &mut Vec::new());
    assert_eq!(in_flight as u32, before);
    out.open_gates(1);
    assert_eq!(dirty(&mut out), []);
    out.sent(A, 30);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), before - 30 + behind);
}

/// What the policy drops in front of a gate does not let anything pass it.
#[test]
fn a_gate_moves_with_what_is_dropped_before_it() {
    let mut out = outbound(1);
    for _ in 0..5 {
        queue(&mut out, A, 0x30, 50);
    }
    out.gate(A, 1);
    let first = queue(&mut out, A, 0x34, 10);
    queue(&mut out, A, 0x30, 50);
    out.gate(A, 2);
    let second = queue(&mut out, A, 0x34, 20);
    assert_eq!(dirty(&mut out), [A]);
    out.drop_oldest(A, 0);
    assert_eq!(out.pending(A), first + second);
    assert_eq!(takes(&mut out, A), 0);
    out.open_gates(1);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), first);
    assert_eq!(dirty(&mut out), []);
    out.open_gates(2);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), second);
}

/// Where everything between two gates is dropped the latter is left.
#[test]
fn gates_that_come_together_are_one() {
    let mut out = outbound(1);
    for after in 1..=1000 {
        out.gate(A, after);
        queue(&mut out, A, 0x30, 1);
    }
    let len = queue(&mut out, A, 0x34, 1);
    out.drop_oldest(A, 0);
    assert_eq!(out.pending(A), len);
    out.open_gates(999);
    assert_eq!(dirty(&mut out), []);
    assert_eq!(out.gates.front(A), Some(0));
    out.open_gates(1000);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(out.gates.front(A), None);
}

/// A connection is closed with gates, and its number is another's.
#[test]
fn the_next_owner_of_a_number_has_no_gates() {
    let mut out = outbound(2);
    for after in 1..=10 {
        out.gate(A, after);
        queue(&mut out, A, 0x34, 5);
        out.gate(B, after);
        queue(&mut out, B, 0x34, 5);
    }
    out.close(A);
    out.open(A);
    let len = queue(&mut out, A, 0x34, 5);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), len);
    out.gate(A, 11);
    queue(&mut out, A, 0x34, 5);
    out.open_gates(10);
    assert_eq!(dirty(&mut out), [B]);
    takes(&mut out, B);
    assert_eq!(takes(&mut out, A), 0);
    out.open_gates(11);
    assert_eq!(dirty(&mut out), [A]);
}

/// A connection that is kept in goes by that, and by its gates.
#[test]
fn what_is_kept_in_is_let_out_up_to_the_gate() {
    let mut out = outbound(1);
    out.keep_in(A);
    let before = queue(&mut out, A, 0x20, 2);
    out.gate(A, 1);
    let behind = queue(&mut out, A, 0x34, 2);
    out.let_out(A);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), before);
    out.keep_in(A);
    out.open_gates(1);
    assert_eq!(dirty(&mut out), []);
    out.let_out(A);
    assert_eq!(dirty(&mut out), [A]);
    assert_eq!(takes(&mut out, A), behind);
}

#[test]
fn the_memory_of_gates_is_counted_and_given_back() {
    let mut out = outbound(1);
    let none = out.memory();
    for after in 1..=1000 {
        queue(&mut out, A, 0x34, 5);
        out.gate(A, after);
    }
    assert!(out.gates.memory() > 16_000);
    assert!(out.memory() > none + 16_000);
    out.trim(|_| true);
    assert!(out.gates.memory() > 16_000, "they are needed");
    out.open_gates(1000);
    out.trim(|_| true);
    assert!(out.gates.memory() < 100, "{}", out.gates.memory());
    out.gate(A, 1001);
    queue(&mut out, A, 0x34, 5);
    out.open_gates(1001);
    assert_eq!(dirty(&mut out), [A]);
}

/// The end of a send at a gate is the end of a packet: nothing has to be looked for.
#[test]
fn a_send_that_ends_at_a_gate_leaves_no_part_of_a_packet() {
    let mut out = outbound(1);
    queue(&mut out, A, 0x30, 300);
    out.gate(A, 1);
    queue(&mut out, A, 0x30, 300);
    queue(&mut out, A, 0x30, 300);
    assert_eq!(takes(&mut out, A), 303);
    assert_eq!(out.queues[0].skip(), 0);
    assert_eq!(out.drop_oldest(A, 0).messages, 1, "all but the newest");
}

enum Entry {
    Gate(u64),
    /// A packet, and how many bytes of it are gone.
    Packet(Vec<u8>, usize),
}

/// A connection as a list of bytes with gates.
#[derive(Default)]
struct Line {
    entries: VecDeque<Entry>,
    in_flight: Vec<u8>,
    stuck: bool,
}

impl Line {
    /// What may go out, of all that is pending.
    fn bytes(&self, durable: u64) -> Vec<u8> {
        let is_open = |entry: &&Entry| !matches!(entry, Entry::Gate(after) if *after > durable);
        let packets = self.entries.iter().take_while(is_open);
        let rest = packets.filter_map(|entry| match entry {
            Entry::Packet(bytes, gone) => Some(&bytes[*gone..]),
            Entry::Gate(_) => None,
        });
        rest.collect::<Vec<_>>().concat()
    }

    fn sent(&mut self, mut written: usize) {
        while written > 0 {
            match self.entries.front_mut() {
                Some(Entry::Packet(bytes, gone)) if bytes.len() - *gone > written => {
                    *gone += written;
                    break;
                }
                Some(Entry::Packet(bytes, gone)) => written -= bytes.len() - *gone,
                Some(Entry::Gate(_)) => {}
                None => panic!("more was sent than there was"),
            }
            self.entries.pop_front();
        }
        self.stuck &= self.in_flight.is_empty();
        self.in_flight.clear();
    }

    /// Drops as `Outbound::drop_oldest`; returns how many.
    fn drop_oldest(&mut self, keep: usize) -> u64 {
        let mut pending = self.bytes(u64::MAX).len();
        let (mut position, mut dropped, all) = (0, 0, pending);
        let mut kept = VecDeque::new();
        let stuck = self.stuck;
        for entry in self.entries.drain(..) {
            let Entry::Packet(bytes, gone) = &entry else {
                kept.push_back(entry);
                continue;
            };
            let len = bytes.len() - gone;
            let stays = position < self.in_flight.len() || *gone > 0 || position + len == all;
            position += len;
            if !stuck && !stays && pending > keep && bytes[0] & 6 == 0 {
                pending -= len;
                dropped += 1;
            } else {
                kept.push_back(entry);
            }
        }
        self.entries = kept;
        self.stuck |= pending > keep;
        dropped
    }
}

struct GatedModel {
    out: Outbound,
    lines: Vec<Line>,
    last: u64,
    durable: u64,
}

const LINES: usize = 4;

impl GatedModel {
    fn new() -> Self {
        let mut out = outbound(LINES as u32);
        // Segments leave the window early, but nothing is dropped for that.
        out.set_memory(1);
        out.set_private_max(u32::MAX);
        GatedModel {
            out,
            lines: (0..LINES).map(|_| Line::default()).collect(),
            last: 0,
            durable: 0,
        }
    }

    fn queue(&mut self, conns: &[usize], packet: &[u8], by_reference: bool) {
        let range = match by_reference {
            true => self.out.reference(Bytes::copy_from_slice(packet)),
            false => self.out.append_bytes(packet),
        };
        for &conn in conns {
            self.out.push(ConnId(conn as u32), range);
            let entry = Entry::Packet(packet.to_vec(), 0);
            self.lines[conn].entries.push_back(entry);
        }
        self.settle();
    }

    fn settle(&mut self) {
        self.out.settle();
        while let Some(conn) = self.out.next_cancel() {
            self.sent(conn.index(), 0);
        }
    }

    fn gate(&mut self, conn: usize, step: u64) {
        self.last += step;
        self.out.gate(ConnId(conn as u32), self.last);
        self.lines[conn].entries.push_back(Entry::Gate(self.last));
    }

    fn open(&mut self, part: u64) {
        self.durable += (self.last - self.durable) * part / 4;
        self.out.open_gates(self.durable);
    }

    /// A send for each that is dirty, as at the end of a turn: whoever could have one has it then.
    fn send_all(&mut self, max: usize) {
        while let Some(id) = self.out.next_dirty() {
            let bytes = self.out.gather(id, 0, max, &mut Vec::new());
            assert!(bytes > 0 && self.lines[id.index()].in_flight.is_empty());
            let mut copy = Vec::new();
            self.out.gathered_into(id, &mut copy);
            assert_eq!(copy.len(), bytes);
            let open = self.lines[id.index()].bytes(self.durable);
            assert!(open.starts_with(&copy), "connection {}", id.0);
            let mut parts = Vec::new();
            self.out.parts(id, &mut parts);
            assert_eq!(parts.iter().sum::<u32>() as usize, bytes);
            self.lines[id.index()].in_flight = copy;
            self.settle();
        }
        for line in &self.lines {
            assert!(!line.in_flight.is_empty() || line.bytes(self.durable).is_empty());
        }
    }

    fn sent(&mut self, conn: usize, written: usize) {
        let id = ConnId(conn as u32);
        if !self.lines[conn].in_flight.is_empty() {
            let mut copy = Vec::new();
            self.out.gathered_into(id, &mut copy);
            assert!(copy == self.lines[conn].in_flight, "it has changed");
        }
        let written = written.min(self.lines[conn].in_flight.len());
        self.out.sent(id, written);
        self.out.settle();
        self.lines[conn].sent(written);
    }

    fn drop_oldest(&mut self, conn: usize, keep: u32) {
        let dropped = self.out.drop_oldest(ConnId(conn as u32), keep);
        let expected = self.lines[conn].drop_oldest(keep as usize);
        assert_eq!(dropped.messages, expected);
    }

    fn close(&mut self, conn: usize) {
        self.sent(conn, usize::MAX);
        self.out.close(ConnId(conn as u32));
        self.out.open(ConnId(conn as u32));
        self.lines[conn] = Line::default();
    }

    fn check(&self) {
        for (conn, line) in self.lines.iter().enumerate() {
            let pending = self.out.pending(ConnId(conn as u32)) as usize;
            assert_eq!(pending, line.bytes(u64::MAX).len());
            let is_closed =
                |entry: &Entry| matches!(entry, Entry::Gate(after) if *after > self.durable);
            let closed = line.entries.iter().any(is_closed);
            let front = closed.then(|| line.bytes(self.durable).len() as u32);
            assert_eq!(self.out.gates.front(ConnId(conn as u32)), front);
        }
    }

    fn finish(&mut self) {
        self.open(4);
        self.check();
        for conn in 0..LINES {
            while self.out.pending(ConnId(conn as u32)) > 0 {
                self.sent(conn, usize::MAX);
                self.send_all(limits::SEND_BYTES_MAX);
            }
            assert!(self.lines[conn].bytes(self.durable).is_empty());
        }
        assert_eq!(self.out.pending_total(), 0);
        assert_eq!(self.out.take_dropped(), Dropped::default());
        self.out.trim(|_| true);
        assert!(self.out.gates.memory() < 100);
    }
}

#[derive(Clone, Debug)]
enum GatedStep {
    Queue(Vec<usize>, usize, u8, bool),
    Gate(usize, u64),
    Open(u64),
    SendAll(usize),
    Sent(usize, usize),
    Drop(usize, u32),
    Close(usize),
}

fn gated_step() -> impl Strategy<Value = GatedStep> {
    use GatedStep::*;
    let conn = || 0..LINES;
    let len = prop_oneof![8 => 0..200usize, 2 => 10_000..60_000usize];
    let max = prop_oneof![Just(limits::SEND_BYTES_MAX), 1..300usize];
    let written = prop_oneof![0..300usize, 0..200_000usize];
    let keep = prop_oneof![0..600u32, 0..100_000u32];
    let conns = proptest::sample::subsequence((0..LINES).collect::<Vec<_>>(), 1..=3);
    prop_oneof![
        12 => (conns, len, 0..3u8, any::<bool>()).prop_map(|(conns, len, qos, by)| Queue(conns, len, qos, by)),
        6 => (conn(), 0..3u64).prop_map(|(conn, step)| Gate(conn, step)),
        3 => (0..5u64).prop_map(Open),
        3 => max.prop_map(SendAll),
        5 => (conn(), written).prop_map(|(conn, bytes)| Sent(conn, bytes)),
        3 => (conn(), keep).prop_map(|(conn, keep)| Drop(conn, keep)),
        1 => conn().prop_map(Close),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn output_is_a_list_of_bytes_with_gates(steps in proptest::collection::vec(gated_step(), 1..200)) {
        let mut model = GatedModel::new();
        for (index, step) in steps.into_iter().enumerate() {
            match step {
                GatedStep::Queue(conns, len, qos, by_reference) => {
                    model.queue(&conns, &packet(0x30 | qos << 1, len, index as u8), by_reference);
                }
                GatedStep::Gate(conn, step) => model.gate(conn, step),
                GatedStep::Open(part) => model.open(part),
                GatedStep::SendAll(max) => model.send_all(max),
                GatedStep::Sent(conn, written) => model.sent(conn, written),
                GatedStep::Drop(conn, keep) => model.drop_oldest(conn, keep),
                GatedStep::Close(conn) => model.close(conn),
            }
            model.check();
        }
        model.finish();
    }
}
