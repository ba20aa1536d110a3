//! The format byte by byte, and what `open` refuses. How a store is written and read is tested in `sim::store`.

use proptest::prelude::*;

use super::format::{
    BLOCK_HEADER_BYTES, BlockHeader, EMPTY, ENDS, FIRST_BLOCK_AT, Place, RESUMES, SegmentHeader,
};
use super::*;
use crate::limits::STORE_SEGMENT_BYTES_MIN;

/// What format 1 looks like, in hexadecimal: every later version has to read it.
const FORMAT_1: &str = include_str!("tests/format-1.hex");

fn store() -> Store {
    Store {
        id: 0x0123_4567_89ab_cdef,
        in_force: 3,
        run_last: 4,
        first_segment: 9,
        first_block: 1000,
        synced_block: 1010,
        starts: vec![5, 0, 70_000_000_000],
    }
}

fn header(number: u32) -> SegmentHeader {
    SegmentHeader {
        store: store().id,
        run: 3,
        number,
        bytes: STORE_SEGMENT_BYTES_MIN,
    }
}

fn place() -> Place {
    Place {
        store: store().id,
        run: 3,
        segment: 9,
        offset: FIRST_BLOCK_AT,
    }
}

fn block() -> (BlockHeader, Vec<u8>) {
    let block = BlockHeader {
        length: 5,
        stream: 2,
        flags: RESUMES,
        number: 1000,
        synced: 998,
        sequence: 70_000_000_000,
        wall_ms: 1_764_000_000_000,
    };
    let mut bytes = vec![0; BLOCK_HEADER_BYTES];
    bytes.extend(b"hello");
    block.seal(&place(), &mut bytes);
    (block, bytes)
}

/// A directory with a segment of the run in force and nothing in it, one that is ready, and one of an older run.
fn found() -> Found {
    let older = SegmentHeader {
        run: 2,
        ..header(4)
    };
    let segments = [header(9), header(10), older].map(|header| FoundSegment {
        name: segment_name(header.number),
        start: header.encode(),
        bytes: header.bytes,
    });
    let store = Store {
        synced_block: 0,
        ..store()
    };
    Found {
        store: Some(store.encode()),
        segments: segments.into(),
    }
}

/// What cannot be read of a directory that was changed.
fn fault(change: impl FnOnce(&mut Found)) -> String {
    let mut found = found();
    change(&mut found);
    open(&found, 1).unwrap_err().to_string()
}

/// Bytes of `STORE` as another format would have them.
fn sealed_as(format: u32, store: &mut [u8]) {
    store[8..12].copy_from_slice(&format.to_le_bytes());
    store[12..16].fill(0);
    let crc = crc32c::crc32c(store);
    store[12..16].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn format_1_stays_as_it_is() {
    let hex = |bytes: &[u8]| {
        let lines = bytes.chunks(16).map(|line| {
            let line = line.iter().map(|byte| format!("{byte:02x}"));
            line.collect::<String>() + "\n"
        });
        lines.collect::<String>()
    };
    let segment = header(9).encode();
    assert!(segment[64..].iter().all(|byte| *byte == 0));
    let parts = [&store().encode()[..], &segment[..64], &block().1];
    assert_eq!(parts.map(hex).join("\n"), FORMAT_1);
}

#[test]
fn format_1_is_read() {
    let parts = FORMAT_1.split("\n\n").map(|part| {
        let digits: Vec<u8> = part.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pairs = digits.chunks(2).map(|pair| {
            let pair = str::from_utf8(pair).unwrap();
            u8::from_str_radix(pair, 16).unwrap()
        });
        pairs.collect::<Vec<u8>>()
    });
    let parts: Vec<Vec<u8>> = parts.collect();
    assert_eq!(Store::decode(&parts[0]), Ok(store()));
    assert_eq!(SegmentHeader::decode(&parts[1]), Ok(header(9)));
    let read = BlockHeader::decode(&place(), &parts[2]);
    assert_eq!(read, Some((block().0, &b"hello"[..])));
}

#[test]
fn a_block_is_none_where_it_does_not_belong() {
    let (_, bytes) = block();
    let here = place();
    let elsewhere = [
        Place { store: 1, ..here },
        Place { run: 4, ..here },
        Place { segment: 8, ..here },
        Place {
            offset: 8192,
            ..here
        },
    ];
    for place in elsewhere {
        assert_eq!(BlockHeader::decode(&place, &bytes), None, "{place:?}");
    }
}

#[test]
fn flags_that_are_not_known_are_no_block() {
    let (mut header, mut bytes) = block();
    header.flags = EMPTY | RESUMES | ENDS;
    header.seal(&place(), &mut bytes);
    assert!(BlockHeader::decode(&place(), &bytes).is_some());
    header.flags = 8;
    header.seal(&place(), &mut bytes);
    assert!(BlockHeader::decode(&place(), &bytes).is_none());
}

#[test]
fn names_are_read_as_they_are_written() {
    assert_eq!(segment_number("0000abcd.log"), Some((0xabcd, true)));
    assert_eq!(segment_number("0000abcd.new"), Some((0xabcd, false)));
    for other in [
        "0000ABCD.log",
        "abcd.log",
        "STORE",
        "0000abcd.log.new",
        "+000abcd.log",
        "",
    ] {
        assert_eq!(segment_number(other), None, "{other}");
    }
}

#[test]
fn a_directory_in_order_is_opened() {
    let opened = open(&found(), 1).unwrap();
    assert_eq!(opened.read, [9, 10]);
    assert_eq!(opened.leftovers.spare, [4]);
    assert_eq!(opened.leftovers.next_number, 11);
    let fresh = open(&Found::default(), 42).unwrap();
    assert_eq!((fresh.store.id, fresh.store.in_force), (42, 0));
    assert!(Reader::new(&fresh).next_read().is_none());
    assert_eq!(Reader::new(&fresh).finish().unwrap().run, 0);
}

#[test]
fn what_is_missing_or_foreign_is_named() {
    let missing = fault(|found| {
        found.segments.remove(0);
    });
    assert_eq!(missing, "00000009.log is missing");
    let no_store = fault(|found| found.store = None);
    assert_eq!(no_store, "STORE is missing, but 00000009.log is there");
    let cut = fault(|found| found.store.as_mut().unwrap().truncate(70));
    assert_eq!(cut, "STORE cannot be read: its checksum is wrong");
    let other = fault(|found| found.store = Some(b"[Desktop Entry]".to_vec()));
    assert_eq!(other, "STORE cannot be read: it is not a file of firehose");
    let newer = fault(|found| sealed_as(2, found.store.as_mut().unwrap()));
    assert!(newer.contains("format 2, of a newer firehose"), "{newer}");
    let rotten = fault(|found| found.store.as_mut().unwrap()[8] = 2);
    assert_eq!(rotten, "STORE cannot be read: its checksum is wrong");

    let foreign = SegmentHeader {
        store: 5,
        ..header(10)
    };
    let foreign = fault(|found| found.segments[1].start = foreign.encode());
    assert_eq!(foreign, "0000000a.log is of another store");
    let renamed = fault(|found| found.segments[1].start = header(12).encode());
    assert_eq!(
        renamed,
        "0000000a.log was 0000000c.log before: it has been renamed"
    );
    let future = SegmentHeader {
        run: 9,
        ..header(10)
    };
    let future = fault(|found| found.segments[1].start = future.encode());
    assert!(
        future.starts_with("STORE is older than 0000000a.log"),
        "{future}"
    );
    let damaged = fault(|found| found.segments[0].start[30] ^= 1);
    assert_eq!(
        damaged,
        "00000009.log cannot be read: its checksum is wrong"
    );
}

#[test]
fn what_a_store_says_was_on_the_disk_has_to_be_there() {
    let mut found = found();
    found.store = Some(store().encode());
    let opened = open(&found, 1).unwrap();
    let mut reader = Reader::new(&opened);
    while let Some(request) = reader.next_read() {
        let zeros = vec![0; request.bytes];
        reader
            .take(&zeros, &mut |_| panic!("nothing is there"))
            .unwrap();
    }
    let fault = reader.finish().unwrap_err();
    let rot = Fault::Rot {
        segment: 9,
        offset: FIRST_BLOCK_AT,
        block: 1000,
    };
    assert_eq!(fault, rot);
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        numbers in any::<[u64; 5]>(),
        small in any::<[u32; 4]>(),
        starts in prop::collection::vec(any::<u64>(), 0..65),
        flip in any::<prop::sample::Index>(),
    ) {
        let store = Store {
            id: numbers[0],
            in_force: small[0],
            run_last: small[1],
            first_segment: small[2],
            first_block: numbers[1],
            synced_block: numbers[2],
            starts: starts.into_iter().take(64).collect(),
        };
        let mut bytes = store.encode();
        prop_assert!(bytes.len() <= STORE_BYTES_MAX);
        prop_assert_eq!(Store::decode(&bytes), Ok(store));
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Store::decode(&bytes).is_err());
    }

    #[test]
    fn a_block_with_a_bit_turned_over_is_none(
        content in prop::collection::vec(any::<u8>(), 0..3000),
        numbers in any::<[u64; 4]>(),
        flip in any::<prop::sample::Index>(),
    ) {
        let header = BlockHeader {
            length: content.len() as u32,
            number: numbers[0],
            synced: numbers[1],
            sequence: numbers[2],
            wall_ms: numbers[3],
            ..block().0
        };
        let mut bytes = vec![0; BLOCK_HEADER_BYTES];
        bytes.extend(&content);
        header.seal(&place(), &mut bytes);
        prop_assert_eq!(BlockHeader::decode(&place(), &bytes), Some((header, &content[..])));
        let bit = flip.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(BlockHeader::decode(&place(), &bytes), None);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Store::decode(&bytes);
        let _ = SegmentHeader::decode(&bytes);
        let _ = BlockHeader::decode(&place(), &bytes);
        let mut known = b"FHSTORE\n".to_vec();
        known.extend([&[1, 0, 0, 0], &bytes[..]].concat());
        prop_assert!(Store::decode(&known).is_err());
    }
}
